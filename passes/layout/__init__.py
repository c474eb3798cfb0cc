"""Passes that choose in which order a backend holds the axes of tensors."""
