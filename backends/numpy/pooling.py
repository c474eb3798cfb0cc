"""Pooling one axis after another, in place and without a padded copy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from ..kernels.convolution import widened
from ..kernels.pooling import average_divisor, indexed_maxima, lowest, pool_geometry
from .arithmetic import written

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
    y: Array,
) -> None:
    """Into `y`: every window of `x` along `axis`; what is outside is `start`."""
    lead, count = (slice(None),) * axis, y.shape[axis]
    parts: list[tuple[int, int, slice]] = []
    for tap in range(kernel):
        shift = tap * dilation - begin
        first = max(-(shift // stride), 0)
        last = min((x.shape[axis] - 1 - shift) // stride + 1, count)
        if first < last:
            stop = (last - 1) * stride + shift + 1
            parts.append((first, last, slice(first * stride + shift, stop, stride)))
    parts.sort(key=whole_first)
    seen = [x[(*lead, source)] for _, _, source in parts]
    whole = sum(last - first == count for first, last, _ in parts)
    if whole > 1:
        combine(seen[0], seen[1], out=y)
    elif whole:
        np.copyto(y, seen[0])
    else:
        y.fill(start)
    done = min(whole, 2)
    for (first, last, _), values in zip(parts[done:], seen[done:], strict=True):
        part = y[(*lead, slice(first, last))]
        combine(part, values, out=part)


def whole_first(part: tuple[int, int, slice]) -> int:
    """A key that puts what meets most windows first."""
    return part[0] - part[1]


def pooled(
    x: Array,
    start: Any,
    combine: Any,
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
    touched: tuple[tuple[int, int], ...],
    counts: tuple[int, ...],
    out: Array = None,
) -> Array:
    """Every window of `x` combined: a maximum or a sum may go axis by axis."""
    for i, (first, _) in enumerate(touched):
        shape = (*x.shape[: i + 2], counts[i], *x.shape[i + 3 :])
        is_last = i == len(touched) - 1 and out is not None
        y = out if is_last else np.empty(shape, x.dtype)
        window = (kernel[i], strides[i], dilations[i], first)
        pooled_axis(x, i + 2, start, combine, *window, y)
        x = y
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
    out: Array = None,
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
        return (written(y, out) if outputs[0] else None), where
    return pooled(x, lowest(x.dtype), np.maximum, *window, touched, counts, out), None


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
    out: Array = None,
) -> Array:
    """Mean of every window, over its elements inside the image (or the padding too)."""
    ones = (1,) * len(kernel_shape)
    strides, dilations = strides or ones, dilations or ones
    counts, pairs, touched = pool_geometry(
        x.shape[2:], kernel_shape, strides, dilations, pads, auto_pad, ceil_mode
    )
    window = (kernel_shape, strides, dilations)
    wide = widened(np, x)
    place = out if wide is x else None
    total = pooled(wide, 0, np.add, *window, touched, counts, place)
    divisor = average_divisor(x.shape[2:], *window, counts, pairs, count_include_pad)
    total /= divisor.astype(total.dtype)
    return total if wide is x else written(total.astype(x.dtype), out)


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
