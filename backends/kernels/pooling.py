"""Kernels: pooling over windows and over whole images, and its inverse."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from .convolution import (
    kernel_positions,
    pad_spatial,
    widened,
    window_counts,
    window_pads,
    window_slices,
    window_span,
)

Array: TypeAlias = Any


def pool_geometry(
    sizes: tuple[int, ...],
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
    pads: tuple[int, ...] | None,
    auto_pad: str,
    ceil_mode: int,
) -> tuple[tuple[int, ...], tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]]:
    """
    (windows per axis, the padding asked for, the padding that the windows touch).

    With `ceil_mode` a last window may hang over the padded end, but begins before it.
    """
    pairs = window_pads(sizes, kernel, strides, dilations, pads, auto_pad)
    counts = list(window_counts(sizes, kernel, strides, dilations, pairs))
    touched: list[tuple[int, int]] = []
    for axis, (n, k, s, d) in enumerate(
        zip(sizes, kernel, strides, dilations, strict=True)
    ):
        first, last = pairs[axis]
        rest = n + first + last - window_span(k, d)
        if ceil_mode and rest >= 0:
            counts[axis] = math.ceil(rest / s) + 1
            if (counts[axis] - 1) * s >= n + first:
                counts[axis] -= 1
        reach = (counts[axis] - 1) * s + window_span(k, d)
        touched.append((first, max(reach - n - first, last)))
    return tuple(counts), pairs, tuple(touched)


def lowest(dtype: Any) -> Any:
    """The value that loses to every other in a maximum: -inf, or the least integer."""
    if np.dtype(dtype).kind in "iu":
        return np.iinfo(dtype).min
    return -np.inf


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
    padded = pad_spatial(xp, x, touched, lowest(x.dtype))
    y: Any = None
    for position in kernel_positions(kernel_shape):
        seen = padded[(..., *window_slices(position, counts, strides, dilations))]
        y = seen if y is None else xp.maximum(y, seen)
    return y, None


def indexed_maxima(
    xp: Any,
    x: Array,
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
    counts: tuple[int, ...],
    touched: tuple[tuple[int, int], ...],
    storage_order: int,
) -> tuple[Array, Array]:
    """
    Each window's first maximum and its index into the whole flat `x`.

    With `storage_order` 1 the last two axes are counted column by column.
    """
    padded = pad_spatial(xp, x, touched, lowest(x.dtype))
    sizes = x.shape[2:]
    y = xp.full((*x.shape[:2], *counts), lowest(x.dtype), x.dtype)
    where = xp.full(y.shape, -1, xp.int64)
    for position in kernel_positions(kernel):
        seen = padded[(..., *window_slices(position, counts, strides, dilations))]
        grid = np.indices(counts)
        for axis, s in enumerate(strides):
            grid[axis] = grid[axis] * s + position[axis] * dilations[axis]
            grid[axis] -= touched[axis][0]
        limits = np.array(sizes).reshape(-1, *(1,) * len(sizes))
        inside = np.all((grid >= 0) & (grid < limits), axis=0)
        order = "F" if storage_order else "C"
        flat = np.ravel_multi_index(tuple(grid), sizes, mode="clip", order=order)
        better = xp.asarray(inside) & ((seen > y) | (where < 0))
        y = xp.where(better, seen, y)
        where = xp.where(better, xp.asarray(flat), where)
    images = xp.arange(x.shape[0] * x.shape[1]).reshape(
        *x.shape[:2], *(1,) * len(sizes)
    )
    return y, where + images * math.prod(sizes)


def window_sums(
    xp: Any,
    x: Array,
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
    counts: tuple[int, ...],
    touched: tuple[tuple[int, int], ...],
) -> Array:
    """The sum of every window of `x`, zeros around it."""
    padded = pad_spatial(xp, x, touched)
    total: Any = 0
    for position in kernel_positions(kernel):
        seen = padded[(..., *window_slices(position, counts, strides, dilations))]
        total = total + seen
    return total


def window_elements(
    sizes: tuple[int, ...],
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
    counts: tuple[int, ...],
    begins: tuple[int, ...],
    pairs: tuple[tuple[int, int], ...],
) -> Array:
    """How many elements each window holds of an image widened by `pairs`."""
    elements = np.ones((1,) * len(sizes))
    for axis, n in enumerate(sizes):
        starts = np.arange(counts[axis]) * strides[axis] - begins[axis]
        places = starts[:, None] + np.arange(kernel[axis]) * dilations[axis]
        first, last = pairs[axis]
        held = ((places >= -first) & (places < n + last)).sum(axis=1)
        shape = tuple(-1 if i == axis else 1 for i in range(len(sizes)))
        elements = elements * held.reshape(shape)
    return np.maximum(elements, 1)


def average_divisor(
    sizes: tuple[int, ...],
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
    counts: tuple[int, ...],
    pairs: tuple[tuple[int, int], ...],
    count_include_pad: int,
) -> Array:
    """What each window's sum is divided by: its elements, with or without padding."""
    counted = pairs if count_include_pad else ((0, 0),) * len(sizes)
    begins = tuple(first for first, _ in pairs)
    return window_elements(sizes, kernel, strides, dilations, counts, begins, counted)


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
    window = (kernel_shape, strides, dilations, counts)
    total = window_sums(xp, widened(xp, x), *window, touched)
    divisor = average_divisor(x.shape[2:], *window, pairs, count_include_pad)
    return (total / xp.asarray(divisor, total.dtype)).astype(x.dtype, copy=False)


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
    powers = xp.abs(widened(xp, x)) ** p
    total = window_sums(xp, powers, kernel_shape, strides, dilations, counts, touched)
    return (total ** (1 / p)).astype(x.dtype, copy=False)


def global_average_pool(xp: Any, x: Array) -> Array:
    """Mean over every spatial axis, which stay as 1."""
    axes = tuple(range(2, x.ndim))
    return xp.mean(widened(xp, x), axis=axes, keepdims=True).astype(x.dtype, copy=False)


def global_max_pool(xp: Any, x: Array) -> Array:
    """Maximum over every spatial axis, which stay as 1."""
    return xp.max(x, axis=tuple(range(2, x.ndim)), keepdims=True)


def global_lp_pool(xp: Any, x: Array, p: int = 2) -> Array:
    """``(sum |x| ** p) ** (1 / p)`` over every spatial axis, which stay as 1."""
    powers = xp.abs(widened(xp, x)) ** p
    total = xp.sum(powers, axis=tuple(range(2, x.ndim)), keepdims=True)
    return (total ** (1 / p)).astype(x.dtype, copy=False)


def unpooled_shape(
    shape: tuple[int, ...],
    kernel: tuple[int, ...],
    pads: tuple[int, ...] | None,
    strides: tuple[int, ...] | None,
) -> tuple[int, ...]:
    """What a pooling to `shape` came from: ``(n - 1) * stride + kernel - pads``."""
    rank = len(kernel)
    pads, strides = pads or (0,) * (2 * rank), strides or (1,) * rank
    sizes: list[int] = []
    for axis, n in enumerate(shape[2:]):
        length = (n - 1) * strides[axis] + kernel[axis]
        sizes.append(length - pads[axis] - pads[axis + rank])
    return (*shape[:2], *sizes)


def fitted(xp: Any, x: Array, shape: tuple[int, ...]) -> Array:
    """`x` cut, and filled with zeros at the ends, to `shape`."""
    x = x[tuple(slice(0, n) for n in shape)]
    ends = tuple((0, n - m) for n, m in zip(shape, x.shape, strict=True))
    return xp.pad(x, ends) if any(last for _, last in ends) else x


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
    y[indices.reshape(-1)] = x.reshape(-1)
    y = y.reshape(shape)
    return y if output_shape is None else fitted(xp, y, tuple(map(int, output_shape)))


def roi_bins(xp: Any, first: Array, last: Array, bins: int, size: int) -> Array:
    """``[regions, bins, size]``: which pixels along one axis belong to each bin."""
    start = xp.floor(first + 0.5)
    step = xp.maximum(xp.floor(last + 0.5) - start + 1, 1) / bins
    edges = xp.arange(bins + 1)
    lows = xp.floor(edges[:-1] * step[:, None]) + start[:, None]
    highs = xp.ceil(edges[1:] * step[:, None]) + start[:, None]
    pixels = xp.arange(size)
    return (pixels >= lows[..., None]) & (pixels < highs[..., None])


def max_roi_pool(
    xp: Any,
    x: Array,
    rois: Array,
    pooled_shape: tuple[int, ...] = (1, 1),
    spatial_scale: float = 1.0,
) -> Array:
    """Maximum of each bin of each region ``(batch, x1, y1, x2, y2)``; 0 if empty."""
    corners = widened(xp, rois[:, 1:]) * spatial_scale
    rows = roi_bins(xp, corners[:, 1], corners[:, 3], pooled_shape[0], x.shape[2])
    columns = roi_bins(xp, corners[:, 0], corners[:, 2], pooled_shape[1], x.shape[3])
    images = widened(xp, x)[rois[:, 0].astype(xp.int64)]
    low = xp.asarray(-np.inf, images.dtype)
    bands: list[Array] = []
    for i in range(pooled_shape[0]):
        seen = xp.where(rows[:, i][:, None, :, None], images, low)
        bands.append(xp.max(seen, axis=2))
    band = xp.stack(bands, axis=2)
    cells: list[Array] = []
    for j in range(pooled_shape[1]):
        seen = xp.where(columns[:, j][:, None, None, :], band, low)
        cells.append(xp.max(seen, axis=3))
    y = xp.stack(cells, axis=3)
    return xp.where(y == low, xp.zeros_like(y), y).astype(x.dtype)


KERNELS: dict[str, Callable[..., Any]] = {
    "AveragePool": average_pool,
    "GlobalAveragePool": global_average_pool,
    "GlobalLpPool": global_lp_pool,
    "GlobalMaxPool": global_max_pool,
    "LpPool": lp_pool,
    "MaxPool": max_pool,
    "MaxRoiPool": max_roi_pool,
    "MaxUnpool": max_unpool,
}

STATIC: dict[str, tuple[int, ...]] = {"MaxUnpool": (2,)}
