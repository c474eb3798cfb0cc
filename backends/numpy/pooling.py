"""Pooling one axis after another, in place and without a padded copy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from ..kernels.convolution import widened
from ..kernels.pooling import average_divisor, indexed_maxima, lowest, pool_geometry

Array: TypeAlias = Any


def pooled_axis(
    x: Array,
    axis: int,
    start: Any,
    combine: Any,
    kernel: int,
    stride: int,
    dilation: int,
    begin: int,
    count: int,
) -> Array:
    """`x` with every window along `axis` combined; what is outside is `start`."""
    lead = (slice(None),) * axis
    shape = (*x.shape[:axis], count, *x.shape[axis + 1 :])
    y = np.full(shape, start, x.dtype)
    for tap in range(kernel):
        shift = tap * dilation - begin
        first = max(-(shift // stride), 0)
        last = min((x.shape[axis] - 1 - shift) // stride + 1, count)
        if first >= last:
            continue
        source = slice(first * stride + shift, (last - 1) * stride + shift + 1, stride)
        part = y[(*lead, slice(first, last))]
        combine(part, x[(*lead, source)], out=part)
    return y


def pooled(
    x: Array,
    start: Any,
    combine: Any,
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
    touched: tuple[tuple[int, int], ...],
    counts: tuple[int, ...],
) -> Array:
    """Every window of `x` combined: a maximum or a sum may go axis by axis."""
    for i, (first, _) in enumerate(touched):
        window = (kernel[i], strides[i], dilations[i], first, counts[i])
        x = pooled_axis(x, i + 2, start, combine, *window)
    return x


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
        y, where = indexed_maxima(np, x, *window, counts, touched, storage_order)
        return (y if outputs[0] else None), where
    return pooled(x, lowest(x.dtype), np.maximum, *window, touched, counts), None


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
    total = pooled(widened(np, x), 0, np.add, *window, touched, counts)
    divisor = average_divisor(x.shape[2:], *window, counts, pairs, count_include_pad)
    total /= divisor.astype(total.dtype)
    return total.astype(x.dtype, copy=False)


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
    counts, _, touched = pool_geometry(
        x.shape[2:], kernel_shape, strides, dilations, pads, auto_pad, ceil_mode
    )
    powers = np.abs(widened(np, x)) ** p
    window = (kernel_shape, strides, dilations, touched, counts)
    total = pooled(powers, 0, np.add, *window)
    return (total ** (1 / p)).astype(x.dtype, copy=False)


KERNELS: dict[str, Callable[..., Any]] = {
    "AveragePool": average_pool,
    "LpPool": lp_pool,
    "MaxPool": max_pool,
}
