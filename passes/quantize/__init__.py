"""Quantization: weights and activations in few bits, and the maps that prepare them."""
