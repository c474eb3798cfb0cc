"""
Convolution and pooling of images with channels last, each shape as XLA runs it fastest.

The choices were measured on whole models (CPU, float32): products of matrices for 1x1
kernels, one multiplication per place of the kernel where each channel is by itself,
slices that are shifted for pooling. Everything else is XLA's own convolution, which is
Eigen's: see `COMPILER_OPTIONS` of `calls`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from jax import lax

from ..kernels.convolution import (
    kernel_positions,
    pad_spatial,
    widened,
    window_counts,
    window_pads,
    window_slices,
)
from ..kernels.pooling import average_divisor, lowest, pool_geometry

Array: TypeAlias = Any

FEW_CHANNELS = 3
"""Up to so many channels of an image, XLA's convolution is slow ..."""
FEW_FILTERS = 32
"""... if it makes no more than these: 7 GFLOP/s, where a product makes 35."""
FEW_PLACES = 64
"""Up to so many places of the result, a product is faster: 265 for 143 GFLOP/s."""
MANY_TERMS = 1024
"""It is if each element is the sum of at least so many."""
MANY_ROWS = 64
"""Of so many rows on, Eigen's product is faster than YNNPACK's: 100 for 174 us."""
VECTOR = 16
"""Fewer terms in a row of the kernel are less than a vector: 379 for 432 us."""
FEW_PIECES = 9
"""Of up to so many pieces a row of a product is made fast: 404 for 762 us."""
MAX_SPLIT = 4
"""Up to so many groups are a convolution each."""


def nhwc_conv_by_shape(
    xp: Any,
    x: Array,
    w: Array,
    b: Array | None = None,
    auto_pad: str = "NOTSET",
    dilations: tuple[int, ...] | None = None,
    group: int = 1,
    pads: tuple[int, ...] | None = None,
    strides: tuple[int, ...] | None = None,
) -> Array:
    """Conv of ``x[n, h, w, c]`` with ``w[kh, kw, c / group, m]``."""
    kernel, sizes = tuple(w.shape[:2]), x.shape[1:3]
    strides, dilations = strides or (1, 1), dilations or (1, 1)
    pairs = window_pads(sizes, kernel, strides, dilations, pads, auto_pad)
    window = (pairs, strides, dilations)
    padded = any(sum(pair) for pair in pairs)
    if sizes[1] == kernel[1] == 1 and kernel[0] > 1 and not sum(pairs[1]):
        return lying(xp, x, w, b, *window, group)
    if kernel == (1, 1) and not padded:
        y = pointwise(xp, x, w, strides, group)
    elif group > 1 and w.shape[2:] == (1, group):
        y = depthwise(xp, x, w, *window)
    elif group == 1 and is_thin(x, w, dilations):
        y = by_rows(xp, x, w, pairs, strides)
    elif group == 1 and is_slow(x, w, *window):
        y = unfolded(xp, x, w, *window)
    elif 1 < group <= MAX_SPLIT:
        y = in_groups(xp, x, w, *window, group)
    else:
        y = convolution(xp, x, w, *window, group)
    return (y if b is None else y + b).astype(x.dtype)


def accumulator(xp: Any, x: Array) -> Any:
    """The type in which products of elements of `x` add up: float32 for 16 bits."""
    return xp.float32 if x.dtype.itemsize == 2 else None


def convolution(
    xp: Any,
    x: Array,
    w: Array,
    pairs: tuple[tuple[int, int], ...],
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
    group: int,
) -> Array:
    """XLA's own convolution."""
    return lax.conv_general_dilated(
        x,
        w,
        strides,
        pairs,
        rhs_dilation=dilations,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=group,
        precision=lax.Precision.HIGHEST,
        preferred_element_type=accumulator(xp, x),
    )


def lying(
    xp: Any,
    x: Array,
    w: Array,
    b: Array | None,
    pairs: tuple[tuple[int, int], ...],
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
    group: int,
) -> Array:
    """
    A convolution of an image of one column, as that of the row it also is.

    YNNPACK, which convolves where JAX knows none of `COMPILER_OPTIONS`, makes each row
    a product of its own: 1.8 ms for 5 of 512 places, 256 channels.
    """
    images, weights = x.transpose(0, 2, 1, 3), w.transpose(1, 0, 2, 3)
    begin, end = zip(*pairs[::-1], strict=True)
    window = ("NOTSET", dilations[::-1], group, (*begin, *end), strides[::-1])
    y = nhwc_conv_by_shape(xp, images, weights, b, *window)
    return y.transpose(0, 2, 1, 3)


def in_groups(
    xp: Any,
    x: Array,
    w: Array,
    pairs: tuple[tuple[int, int], ...],
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
    group: int,
) -> Array:
    """A convolution for each group of channels."""
    images, filters = xp.split(x, group, axis=3), xp.split(w, group, axis=3)
    parts: list[Array] = []
    for image, part in zip(images, filters, strict=True):
        parts.append(convolution(xp, image, part, pairs, strides, dilations, 1))
    return xp.concatenate(parts, axis=3)


def product(xp: Any, rows: Array, matrix: Array) -> Array:
    """
    ``rows[n, h, w, k] @ matrix[k, m]``.

    XLA makes a product of a convolution with a 1x1 kernel only after it has handed
    products to YNNPACK, so that is how one is left to Eigen. If all are, SqueezeNet
    takes 0.94 of the time and ResNet-50, whose last stage has 49 rows, 1.06; so it is
    0.92 and 1.00. It convolves one long row, as what follows is fused in other ways if
    it is an image.
    """
    places = rows.shape[:3]
    if not is_static(rows) or math.prod(places) < MANY_ROWS:
        return lax.dot_general(  # pyright: ignore[reportUnknownMemberType]
            rows,
            matrix,
            (((3,), (0,)), ((), ())),
            precision=lax.Precision.HIGHEST,
            preferred_element_type=accumulator(xp, rows),
        )
    line = rows.reshape(1, 1, math.prod(places), rows.shape[3])
    filters = matrix.reshape(1, 1, *matrix.shape)
    y = convolution(xp, line, filters, ((0, 0), (0, 0)), (1, 1), (1, 1), 1)
    return y.reshape(*places, matrix.shape[1])


def pointwise(
    xp: Any, x: Array, w: Array, strides: tuple[int, ...], group: int
) -> Array:
    """A convolution with a 1x1 kernel: a product for each group of channels."""
    seen = x[:, :: strides[0], :: strides[1]]
    if group == 1:
        return product(xp, seen, w[0, 0])
    rows = seen.reshape(*seen.shape[:3], group, w.shape[2])
    matrices = w[0, 0].reshape(w.shape[2], group, w.shape[3] // group)
    y = xp.einsum(
        "nhwgc,cgm->nhwgm",
        rows,
        matrices,
        precision=lax.Precision.HIGHEST,
        preferred_element_type=accumulator(xp, x),
    )
    return y.reshape(*seen.shape[:3], w.shape[3])


def depthwise(
    xp: Any,
    x: Array,
    w: Array,
    pairs: tuple[tuple[int, int], ...],
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
) -> Array:
    """A convolution of each channel by itself, as a sum over the kernel's places."""
    kernel = tuple(w.shape[:2])
    counts = window_counts(x.shape[1:3], kernel, strides, dilations, pairs)
    padded = pad_spatial(xp, widened(xp, x), (*pairs, (0, 0)))
    filters, total = widened(xp, w), None
    for position in kernel_positions(kernel):
        places = window_slices(position, counts, strides, dilations)
        part = padded[(slice(None), *places)] * filters[position][0]
        total = part if total is None else total + part
    return total


def is_static(x: Array) -> bool:
    """Whether each size of `x` is known while JAX traces."""
    return all(isinstance(size, int) for size in x.shape)


def is_slow(
    x: Array,
    w: Array,
    pairs: tuple[tuple[int, int], ...],
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
) -> bool:
    """Whether a product is faster than XLA's convolution of these shapes."""
    kernel = tuple(w.shape[:2])
    if w.shape[2] <= FEW_CHANNELS and w.shape[3] <= FEW_FILTERS:
        return True
    if not is_static(x):
        return False
    counts = window_counts(x.shape[1:3], kernel, strides, dilations, pairs)
    places = x.shape[0] * counts[0] * counts[1]
    return places <= FEW_PLACES and w[..., 0].size >= MANY_TERMS


def is_thin(x: Array, w: Array, dilations: tuple[int, ...]) -> bool:
    """Whether a row of the kernel has few terms, as in a network's first layer."""
    if not is_static(x) or dilations != (1, 1):
        return False
    return w.shape[2] <= FEW_CHANNELS and w.shape[1] * w.shape[2] < VECTOR


def by_rows(
    xp: Any,
    x: Array,
    w: Array,
    pairs: tuple[tuple[int, int], ...],
    strides: tuple[int, ...],
) -> Array:
    """
    A convolution of what a window's rows have side by side.

    A place of the image has, as its channels, as many columns as the window moves on
    by: of 3x3 windows that move by 2, six pieces are put into a row of one product and
    not nine. Of more than `FEW_PIECES`, only the window's rows are put together, and
    the places are convolved as one long row.
    """
    sizes, kernel = x.shape[1:3], tuple(w.shape[:2])
    rows, columns = window_counts(sizes, kernel, strides, (1, 1), pairs)
    down, across = strides
    taps = math.ceil(kernel[1] / across)
    places, height = columns + taps - 1, (rows - 1) * down + kernel[0]
    wanted = (height, places * across)
    ends = zip(wanted, pairs, sizes, strict=True)
    room = [(begin, max(all_ - begin - size, 0)) for all_, (begin, _), size in ends]
    padded = pad_spatial(xp, x, (*room, (0, 0)))[:, :height, : places * across]
    whole = xp.pad(w, ((0, 0), (0, taps * across - kernel[1]), (0, 0), (0, 0)))
    apart = padded.reshape(x.shape[0], height, places, -1)
    last = (rows - 1) * down + 1
    seen = [apart[:, i : i + last : down] for i in range(kernel[0])]
    if kernel[0] * taps <= FEW_PIECES:
        pieces = [row[:, :, j : j + columns] for row in seen for j in range(taps)]
        windows = xp.concatenate(pieces, axis=3)
        return product(xp, windows, whole.reshape(-1, w.shape[3]))
    line = xp.concatenate(seen, axis=3).reshape(x.shape[0], 1, rows * places, -1)
    filters = whole.reshape(kernel[0], taps, -1, w.shape[3]).transpose(1, 0, 2, 3)
    filters = filters.reshape(1, taps, -1, w.shape[3])
    y = convolution(xp, line, filters, ((0, 0), (0, taps - 1)), (1, 1), (1, 1), 1)
    return y.reshape(x.shape[0], rows, places, w.shape[3])[:, :, :columns]


def unfolded(
    xp: Any,
    x: Array,
    w: Array,
    pairs: tuple[tuple[int, int], ...],
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
) -> Array:
    """A convolution as one product, each window's elements in a row."""
    kernel = tuple(w.shape[:2])
    counts = window_counts(x.shape[1:3], kernel, strides, dilations, pairs)
    padded = pad_spatial(xp, x, (*pairs, (0, 0)))
    seen: list[Array] = []
    for position in kernel_positions(kernel):
        places = window_slices(position, counts, strides, dilations)
        seen.append(padded[(slice(None), *places)])
    return product(xp, xp.concatenate(seen, axis=3), w.reshape(-1, w.shape[3]))


def windows_of(
    xp: Any,
    x: Array,
    start: Any,
    combine: Callable[..., Any],
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
    counts: tuple[int, ...],
    touched: tuple[tuple[int, int], ...],
) -> Array:
    """Every window of ``x[n, h, w, c]``, with `start` around, reduced by `combine`."""
    total: Any = pad_spatial(xp, x, (*touched, (0, 0)), np.asarray(start, x.dtype))
    # First along one side, then along the other: of 3x3 six elements, not nine.
    for axis, size in enumerate(kernel):
        window = (counts[axis],), (strides[axis],), (dilations[axis],)
        lead = (slice(None),) * (axis + 1)
        parts: list[Array] = []
        for position in kernel_positions((size,)):
            parts.append(total[(*lead, *window_slices(position, *window))])
        total = functools.reduce(combine, parts)
    return total


def nhwc_max_pool_by_slices(
    xp: Any,
    x: Array,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: tuple[int, ...] | None = None,
    kernel_shape: tuple[int, ...] = (),
    pads: tuple[int, ...] | None = None,
    strides: tuple[int, ...] | None = None,
) -> Array:
    """The maximum of every window of ``x[n, h, w, c]``."""
    strides, dilations = strides or (1, 1), dilations or (1, 1)
    window = (kernel_shape, strides, dilations)
    sizes = x.shape[1:3]
    counts, _, touched = pool_geometry(sizes, *window, pads, auto_pad, ceil_mode)
    return windows_of(xp, x, lowest(x.dtype), lax.max, *window, counts, touched)


def nhwc_average_pool_by_slices(
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
    """Mean of every window of ``x[n, h, w, c]``."""
    strides, dilations = strides or (1, 1), dilations or (1, 1)
    window = (kernel_shape, strides, dilations)
    sizes = x.shape[1:3]
    counts, pairs, touched = pool_geometry(sizes, *window, pads, auto_pad, ceil_mode)
    total = windows_of(xp, widened(xp, x), 0, lax.add, *window, counts, touched)
    divisor = average_divisor(sizes, *window, counts, pairs, count_include_pad)
    held = xp.asarray(divisor[..., None], total.dtype)
    return (total / held).astype(x.dtype)


KERNELS: dict[str, Callable[..., Any]] = {
    "nhwc.AveragePool": nhwc_average_pool_by_slices,
    "nhwc.Conv": nhwc_conv_by_shape,
    "nhwc.MaxPool": nhwc_max_pool_by_slices,
}
