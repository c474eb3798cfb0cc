"""Passes that leave a smaller graph of the same operators."""
