"""Kernels between real numbers and their few-bit stand-ins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import ml_dtypes
import numpy as np

from .elementwise import cast

Array: TypeAlias = Any

DIVISION_TYPES = {1: "float32", 10: "float16", 11: "float64", 16: "bfloat16"}
"""The types that `precision` may name, by ONNX's numbers."""


def fitted(
    xp: Any, scale: Array, shape: tuple[int, ...], axis: int, block_size: int
) -> Array:
    """`scale` of a tensor, an axis or blocks, in a shape that broadcasts to `shape`."""
    if block_size:
        axis = axis + len(shape) if axis < 0 else axis
        whole = xp.repeat(scale, block_size, axis=axis)
        return whole[(slice(None),) * axis + (slice(shape[axis]),)]
    if len(scale.shape) == 0 or scale.shape == (1,):
        return xp.reshape(scale, ())
    if len(scale.shape) != 1:
        raise ValueError(f"found scale of shape {scale.shape} without block_size")
    sizes = [1] * len(shape)
    sizes[axis] = scale.shape[0]
    return xp.reshape(scale, tuple(sizes))


def quantize_linear(
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
    """``saturate(round(x / y_scale) + y_zero_point)``; a float is rounded last."""
    if precision and precision not in DIVISION_TYPES:
        raise ValueError(f"precision is {precision}, not in {sorted(DIVISION_TYPES)}")
    wide = np.dtype(DIVISION_TYPES[precision] if precision else y_scale.dtype)
    scale = fitted(xp, y_scale, x.shape, axis, block_size)
    zero = y_zero_point
    if zero is not None:
        output_dtype = np.dtype(zero.dtype).name
        zero = fitted(xp, zero, x.shape, axis, block_size).astype(xp.float32)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = x.astype(wide, copy=False) / scale.astype(wide)
        ratio = ratio.astype(np.float64 if wide.itemsize == 8 else np.float32)
    return stored(xp, ratio, zero, output_dtype or "uint8", saturate)


def stored(
    xp: Any, ratio: Array, zero: Array | None, to: str, saturate: int = 1
) -> Array:
    """`ratio` moved by `zero` as elements of type `to`: within its limits, nan as 0."""
    if "float" in to:
        moved = ratio if zero is None else ratio + zero
        return cast(xp, moved, to, saturate or to == "float4_e2m1fn")
    limits = ml_dtypes.iinfo(np.dtype(to))
    moved = xp.rint(ratio)
    moved = moved if zero is None else moved + zero
    bounded = xp.clip(moved, float(limits.min), float(limits.max))
    return xp.where(xp.isnan(bounded), 0, bounded).astype(np.dtype(to))


def dequantize_linear(
    xp: Any,
    x: Array,
    x_scale: Array,
    x_zero_point: Array | None = None,
    axis: int = 1,
    block_size: int = 0,
    output_dtype: str | None = None,
) -> Array:
    """``(x - x_zero_point) * x_scale`` in float32, then rounded to the output type."""
    scale = fitted(xp, x_scale, x.shape, axis, block_size).astype(xp.float32)
    difference = x.astype(xp.float32)
    if x_zero_point is not None:
        zero = fitted(xp, x_zero_point, x.shape, axis, block_size)
        difference = difference - zero.astype(xp.float32)
    return (difference * scale).astype(np.dtype(output_dtype or x_scale.dtype))


def dynamic_quantize_linear(
    xp: Any, x: Array, outputs: tuple[bool, ...] = (True, True, True)
) -> tuple[Array | None, ...]:
    """`x` in uint8 over the range of its values and 0; its scale and zero point."""
    low, high = xp.min(x, initial=0), xp.max(x, initial=0)
    scale = xp.asarray((high - low) / np.float32(255))
    with np.errstate(divide="ignore", invalid="ignore"):
        zero = stored(xp, -low / scale, None, "uint8")
    y = quantize_linear(xp, x, scale, zero) if outputs[0] else None
    return y, scale if outputs[1] else None, zero if outputs[2] else None


KERNELS: dict[str, Callable[..., Any]] = {
    "DequantizeLinear": dequantize_linear,
    "DynamicQuantizeLinear": dynamic_quantize_linear,
    "QuantizeLinear": quantize_linear,
}

STATIC: dict[str, tuple[int, ...]] = {}
