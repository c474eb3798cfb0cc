"""NumPy quantization that computes in place: a large array is read and written once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import ml_dtypes
import numpy as np

from ..kernels.convolution import requantized
from ..kernels.quantization import fitted, quantize_linear

Array: TypeAlias = Any


def quantize_in_place(
    xp: Any,
    x: Array,
    y_scale: Array,
    y_zero_point: Array | None = None,
    axis: int = 1,
    block_size: int = 0,
    output_dtype: str | None = None,
    precision: int = 0,
    saturate: int = 1,
) -> Array:
    """``saturate(round(x / y_scale) + y_zero_point)``; nan becomes 0."""
    zero = y_zero_point
    to = (output_dtype or "uint8") if zero is None else zero.dtype.name
    plain = x.dtype == np.float32 == y_scale.dtype and precision in (0, 1)
    if not plain or "float" in to:
        return quantize_linear(
            xp, x, y_scale, zero, axis, block_size, output_dtype, precision, saturate
        )
    limits = ml_dtypes.iinfo(np.dtype(to))
    y = np.empty(x.shape, np.float32)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        np.divide(x, fitted(xp, y_scale, x.shape, axis, block_size), out=y)
    np.rint(y, out=y)
    if zero is not None:
        y += fitted(xp, zero, x.shape, axis, block_size).astype(np.float32)
    np.clip(y, float(limits.min), float(limits.max), out=y)
    lost = np.isnan(y)
    if lost.any():
        y[lost] = 0
    return y.astype(np.dtype(to))


def dequantize_in_place(
    xp: Any,
    x: Array,
    x_scale: Array,
    x_zero_point: Array | None = None,
    axis: int = 1,
    block_size: int = 0,
    output_dtype: str | None = None,
) -> Array:
    """``(x - x_zero_point) * x_scale`` in float32, then rounded to the output type."""
    y = np.array(x, np.float32)
    if x_zero_point is not None:
        zero = fitted(xp, x_zero_point, x.shape, axis, block_size)
        y -= zero.astype(np.float32)
    y *= fitted(xp, x_scale, x.shape, axis, block_size).astype(np.float32)
    return y.astype(np.dtype(output_dtype or x_scale.dtype), copy=False)


def requantized_in_place(xp: Any, x: Array, scale: Array, zero_point: Array) -> Array:
    """``saturate(round(x * scale) + zero_point)`` in the type of `zero_point`."""
    limits = np.iinfo(zero_point.dtype)
    y = x.astype(np.float32)
    y *= scale
    np.rint(y, out=y)
    y += zero_point.astype(np.float32)
    np.clip(y, float(limits.min), float(limits.max), out=y)
    return y.astype(zero_point.dtype)


KERNELS: dict[str, Callable[..., Any]] = {
    "DequantizeLinear": dequantize_in_place,
    "QuantizeLinear": quantize_in_place,
}

INNER: dict[Callable[..., Any], Callable[..., Any]] = {
    requantized: requantized_in_place
}
