"""Calibration, schemes, and what they cost: what `sardonyx quantize` does."""
