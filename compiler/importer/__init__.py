"""Reads model files into the IR."""
