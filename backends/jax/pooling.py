"""Pooling as XLA's window reductions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from jax import lax

from ..kernels.convolution import widened
from ..kernels.pooling import (
    average_divisor,
    fitted,
    indexed_maxima,
    lowest,
    pool_geometry,
    unpooled_shape,
)

Array: TypeAlias = Any


def reduced_windows(
    x: Array,
    start: Any,
    combine: Callable[..., Any],
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
    touched: tuple[tuple[int, int], ...],
) -> Array:
    """Every window of `x`, padded with `start`, reduced by `combine`."""
    return lax.reduce_window(  # pyright: ignore
        x,
        np.asarray(start, x.dtype),
        combine,
        (1, 1, *kernel),
        (1, 1, *strides),
        ((0, 0), (0, 0), *touched),
        window_dilation=(1, 1, *dilations),
    )


def max_pool(
    xp: Any,
    x: Array,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: tuple[int, ...] | None = None,
    kernel_shape: tuple[int, ...] = (),
    pads: tuple[int, ...] | None = None,
    storage_order: int = 0,
    strides: tuple[int, ...] | None = None,
    outputs: tuple[bool, ...] = (True, True),
) -> tuple[Array | None, ...]:
    """``y[o] = max_k x[o * stride + k * dilation - pad]``, and where that one is."""
    ones = (1,) * len(kernel_shape)
    strides, dilations = strides or ones, dilations or ones
    counts, _, touched = pool_geometry(
        x.shape[2:], kernel_shape, strides, dilations, pads, auto_pad, ceil_mode
    )
    window = (kernel_shape, strides, dilations)
    if outputs[1]:
        y, where = indexed_maxima(xp, x, *window, counts, touched, storage_order)
        return (y if outputs[0] else None), where
    return reduced_windows(x, lowest(x.dtype), lax.max, *window, touched), None


def average_pool(
    xp: Any,
    x: Array,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    count_include_pad: int = 0,
    dilations: tuple[int, ...] | None = None,
    kernel_shape: tuple[int, ...] = (),
    pads: tuple[int, ...] | None = None,
    strides: tuple[int, ...] | None = None,
) -> Array:
    """Mean of every window, over its elements inside the image (or the padding too)."""
    ones = (1,) * len(kernel_shape)
    strides, dilations = strides or ones, dilations or ones
    counts, pairs, touched = pool_geometry(
        x.shape[2:], kernel_shape, strides, dilations, pads, auto_pad, ceil_mode
    )
    window = (kernel_shape, strides, dilations)
    total = reduced_windows(widened(xp, x), 0, lax.add, *window, touched)
    divisor = average_divisor(x.shape[2:], *window, counts, pairs, count_include_pad)
    return (total / xp.asarray(divisor, total.dtype)).astype(x.dtype)


def lp_pool(
    xp: Any,
    x: Array,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: tuple[int, ...] | None = None,
    kernel_shape: tuple[int, ...] = (),
    p: int = 2,
    pads: tuple[int, ...] | None = None,
    strides: tuple[int, ...] | None = None,
) -> Array:
    """``(sum |x| ** p) ** (1 / p)`` of every window."""
    ones = (1,) * len(kernel_shape)
    strides, dilations = strides or ones, dilations or ones
    _, _, touched = pool_geometry(
        x.shape[2:], kernel_shape, strides, dilations, pads, auto_pad, ceil_mode
    )
    window = (kernel_shape, strides, dilations)
    powers = xp.abs(widened(xp, x)) ** p
    total = reduced_windows(powers, 0, lax.add, *window, touched)
    return (total ** (1 / p)).astype(x.dtype)


def max_unpool(
    xp: Any,
    x: Array,
    indices: Array,
    output_shape: Array | None = None,
    kernel_shape: tuple[int, ...] = (),
    pads: tuple[int, ...] | None = None,
    strides: tuple[int, ...] | None = None,
) -> Array:
    """``y.flat[indices] = x`` in zeros, of the shape that the pooling came from."""
    shape = unpooled_shape(x.shape, kernel_shape, pads, strides)
    y = xp.zeros(math.prod(shape), x.dtype)
    y = y.at[indices.reshape(-1)].set(x.reshape(-1)).reshape(shape)
    return y if output_shape is None else fitted(xp, y, tuple(map(int, output_shape)))


KERNELS: dict[str, Callable[..., Any]] = {
    "AveragePool": average_pool,
    "LpPool": lp_pool,
    "MaxPool": max_pool,
    "MaxUnpool": max_unpool,
}
