"""
Images with channels last: convolutions as BLAS products, windows by shifted slices.

What a window sees of a row is contiguous in memory there, so that unfolding an image
copies long runs, and what is done to every pixel's channels runs over whole rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ..kernels.convolution import (
    kernel_positions,
    window_counts,
    window_pads,
    window_slices,
)
from ..kernels.nhwc import nhwc_average_pool, nhwc_conv, nhwc_lrn
from ..kernels.pooling import average_divisor, pool_geometry
from .memory import scratch
from .pooling import pooled_axis
from .winograd import tiled_pads, tiled_products

Array: TypeAlias = Any

UNFOLDED = 1 << 21
"""About as many elements of an image are unfolded at a time."""
PIECE = 1 << 17
"""About as many elements are computed at a time by several passes."""
TILED_CHANNELS = 96
"""The harmonic mean of channels from which on Winograd's products save time …"""
TILED_WINDOWS = 4
"""… if there are as many windows along both axes."""
RUN = 2048
"""Channels are repeated to rows at least as long: NumPy's loop over one costs 10 ns."""


def is_wide(x: Array) -> bool:
    """Whether the floats of `x` have 32 bits or 64: BLAS knows them."""
    return x.dtype.kind == "f" and x.dtype.itemsize > 2


def bordered(x: Array, pairs: tuple[tuple[int, int], ...]) -> tuple[Array, int]:
    """
    ``[n, h, w, c]`` with zeros around it, in the workspace, and how much of that it
    takes; `x` itself, if it stands row by row, where there is nothing to add.
    """
    (top, bottom), (left, right) = pairs
    if not (top or bottom or left or right) and x.flags.c_contiguous:
        return x, 0
    n, height, width, channels = x.shape
    shape = (n, top + height + bottom, left + width + right, channels)
    wide = scratch(shape, x.dtype)
    wide[:, :top] = 0
    wide[:, top + height :] = 0
    wide[:, top : top + height, :left] = 0
    wide[:, top : top + height, left + width :] = 0
    wide[:, top : top + height, left : left + width] = x
    return wide, wide.size


def channel_rows(x: Array, *channels: Array) -> tuple[Array, ...]:
    """
    `x` ``[..., c]`` as a matrix of rows of about `RUN` elements, and vectors ``[c]``
    repeated to such rows.
    """
    count, size = math.prod(x.shape[:-1]), x.shape[-1]
    times = 1
    if size:
        most = min(RUN // size, count)
        times = next((k for k in range(most, 1, -1) if count % k == 0), 1)
    rows = x.reshape(-1, times * size)
    return rows, *(repeated(v, times) if times > 1 else v for v in channels)


def repeated(vector: Array, times: int) -> Array:
    """`vector` so many times: 3 us for 196 times 8, np.concatenate takes 20."""
    whole = np.empty((times, vector.size), vector.dtype)
    whole[:] = vector
    return whole.reshape(-1)


def add_channels(y: Array, b: Array | None) -> None:
    """Add the vector `b` to the channels of every pixel of `y`, in place."""
    if b is not None:
        rows, bias = channel_rows(y, b)
        rows += bias


def pointwise(x: Array, w: Array, group: int, y: Array) -> None:
    """``y[..., m] = x[..., c] @ w[c / group, m]``, by groups of channels."""
    depth, maps = w.shape
    if group == 1:
        np.matmul(x.reshape(-1, depth), w, out=y.reshape(-1, maps))
        return
    parts = x.reshape(-1, group, depth).swapaxes(0, 1)
    weights = w.reshape(depth, group, -1).swapaxes(0, 1)
    np.matmul(parts, weights, out=y.reshape(-1, group, maps // group).swapaxes(0, 1))


def unfolded_products(
    x: Array,
    used: int,
    w: Array,
    group: int,
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
    y: Array,
) -> None:
    """
    ``y[n, h, w, m]``: products of `w` with what each window of `x` sees.

    Some rows of windows at a time are copied into the workspace, `used` elements behind
    its beginning.
    """
    kh, kw, depth, maps = w.shape
    n, height, width, _ = y.shape
    size = kh * kw * depth
    step = max(UNFOLDED // max(group * size * width, 1), 1)
    weights = w.reshape(size, maps)
    if group > 1:
        weights = weights.reshape(size, group, -1).swapaxes(0, 1)
    down, right, one = x.strides[1:]
    jumps = (down * strides[0], right * strides[1])
    taps = (down * dilations[0], right * dilations[1])
    for image in range(n):
        for start in range(0, height, step):
            count = min(step, height - start)
            origin = x[image, start * strides[0] :]
            block = scratch((group, count, width, kh, kw, depth), x.dtype, used)
            if group == 1 and dilations[1] == 1:
                # The kernel's row is one run.
                shape, lengths = (count, width, kh, kw * depth), (*jumps, taps[0], one)
                np.copyto(block.reshape(shape), as_strided(origin, shape, lengths))
            else:
                lengths = (depth * one, *jumps, *taps, one)
                np.copyto(block, as_strided(origin, block.shape, lengths))
            part = y[image, start : start + count].reshape(count * width, group, -1)
            seen = block.reshape(group, count * width, size)
            if group == 1:
                np.matmul(seen[0], weights, out=part[:, 0])
            else:
                np.matmul(seen, weights, out=part.swapaxes(0, 1))


def row_products(
    x: Array,
    used: int,
    w: Array,
    stride: int,
    dilations: tuple[int, ...],
    y: Array,
) -> None:
    """
    As `unfolded_products`, of one group and with a vertical stride of 1.

    Only a row of the kernel is unfolded: moving it down the image is an offset into the
    same matrix, so the copy is smaller by the kernel's height.
    """
    kh, kw, depth, maps = w.shape
    n, height, width, _ = y.shape
    reach = (kh - 1) * dilations[0]
    step = max(UNFOLDED // max(kw * depth * width, 1) - reach, 4 * kh)
    down, right, one = x.strides[1:]
    lengths = (down, right * stride, right * dilations[1], one)
    for image in range(n):
        for start in range(0, height, step):
            part = y[image, start : start + step].reshape(-1, maps)
            count = part.shape[0] // width
            block = scratch((count + reach, width, kw, depth), x.dtype, used)
            np.copyto(block, as_strided(x[image, start:], block.shape, lengths))
            other = scratch(part.shape, y.dtype, used + block.size)
            for i in range(kh):
                first = i * dilations[0]
                seen = block[first : first + count].reshape(count * width, kw * depth)
                weights = w[i].reshape(kw * depth, maps)
                np.matmul(seen, weights, out=other if i else part)
                if i:
                    part += other


def depthwise(
    x: Array,
    used: int,
    w: Array,
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
    y: Array,
) -> None:
    """
    ``y[n, h, w, c]``: a kernel for each channel, as a sum of shifted images.

    Some rows at a time, so that their sum stays in the cache over the positions.
    """
    kh, kw, _, channels = w.shape
    n, height, width, _ = y.shape
    step = max(PIECE // max(width * channels, 1), 1)
    # A row of the image times a row of weights: fewer, longer loops.
    repeated = scratch((kh, kw, 1, width, channels), y.dtype, used)
    np.copyto(repeated, w.reshape(kh, kw, 1, 1, channels))
    used += repeated.size
    first, *others = kernel_positions((kh, kw))
    for image in range(n):
        for start in range(0, height, step):
            part = y[image, start : start + step]
            block = x[image, start * strides[0] :]
            product = scratch(part.shape, y.dtype, used)
            counts = part.shape[:2]
            seen = block[window_slices(first, counts, strides, dilations)]
            np.multiply(seen, repeated[first], out=part)
            for position in others:
                seen = block[window_slices(position, counts, strides, dilations)]
                np.multiply(seen, repeated[position], out=product)
                part += product


def is_tiled(w: Array, counts: tuple[int, ...]) -> bool:
    """
    Whether `w` ``[kh, kw, c, m]`` is worth Winograd's transform.

    It is for constant kernels of 3x3, where the transforms, of `c` and `m` images, take
    less than the products that they save, of `c` times `m`.
    """
    depth, maps = w.shape[2:]
    enough = 2 * depth * maps >= TILED_CHANNELS * (depth + maps)
    fits = w.shape[:2] == (3, 3) and min(counts) >= TILED_WINDOWS
    return enough and fits and not w.flags.writeable


def image_conv(
    xp: Any,
    x: Array,
    w: Array,
    b: Array | None = None,
    auto_pad: str = "NOTSET",
    dilations: tuple[int, ...] | None = None,
    group: int = 1,
    pads: tuple[int, ...] | None = None,
    strides: tuple[int, ...] | None = None,
    out: Array = None,
) -> Array:
    """Conv of ``x[n, h, w, c]`` with ``w[kh, kw, c / group, m]``."""
    if not is_wide(x):
        return nhwc_conv(xp, x, w, b, auto_pad, dilations, group, pads, strides)
    kernel, (depth, maps) = w.shape[:2], w.shape[2:]
    strides, dilations = strides or (1, 1), dilations or (1, 1)
    pairs = window_pads(x.shape[1:3], kernel, strides, dilations, pads, auto_pad)
    counts = window_counts(x.shape[1:3], kernel, strides, dilations, pairs)
    y = np.empty((x.shape[0], *counts, maps), x.dtype) if out is None else out
    if not y.size:
        return y
    tiled = group == 1 and strides == dilations == (1, 1) and is_tiled(w, counts)
    padded, used = bordered(x, tiled_pads(counts, pairs) if tiled else pairs)
    if tiled:
        tiled_products(padded, used, w, y)
    elif kernel == (1, 1):
        if strides != (1, 1):
            seen = padded[:, :: strides[0], :: strides[1]]
            padded = scratch((*y.shape[:3], x.shape[3]), x.dtype, used)
            np.copyto(padded, seen)
        pointwise(padded, w.reshape(depth, maps), group, y)
    elif depth == 1 and maps == group > 1:
        depthwise(padded, used, w, strides, dilations, y)
    elif group == strides[0] == 1 < kernel[0] and kernel[1] * depth >= maps:
        row_products(padded, used, w, strides[1], dilations, y)
    else:
        unfolded_products(padded, used, w, group, strides, dilations, y)
    add_channels(y, b)
    return y


def image_pooled(
    x: Array,
    start: Any,
    combine: Any,
    window: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]],
    touched: tuple[tuple[int, int], ...],
    counts: tuple[int, ...],
    out: Array,
) -> Array:
    """Every window of `x` ``[n, h, w, c]`` combined, down the columns first."""
    kernel, strides, dilations = window
    if kernel[1] == strides[1] == 1 and counts[1] == x.shape[2]:
        down = out
    else:
        down = scratch((x.shape[0], counts[0], *x.shape[2:]), x.dtype)
    first = (kernel[0], strides[0], dilations[0], touched[0][0])
    pooled_axis(x, 1, start, combine, *first, down)
    if down is not out:
        second = (kernel[1], strides[1], dilations[1], touched[1][0])
        pooled_axis(down, 2, start, combine, *second, out)
    return out


def image_max_pool(
    xp: Any,
    x: Array,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: tuple[int, ...] | None = None,
    kernel_shape: tuple[int, ...] = (),
    pads: tuple[int, ...] | None = None,
    strides: tuple[int, ...] | None = None,
    out: Array = None,
) -> Array:
    """The maximum of every window of ``x[n, h, w, c]``."""
    strides, dilations = strides or (1, 1), dilations or (1, 1)
    counts, _, touched = pool_geometry(
        x.shape[1:3], kernel_shape, strides, dilations, pads, auto_pad, ceil_mode
    )
    shape = (x.shape[0], *counts, x.shape[3])
    y = np.empty(shape, x.dtype) if out is None else out
    window = (kernel_shape, strides, dilations)
    return image_pooled(x, -np.inf, np.maximum, window, touched, counts, y)


def image_average_pool(
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
    """Mean of every window of ``x[n, h, w, c]``."""
    strides, dilations = strides or (1, 1), dilations or (1, 1)
    if not is_wide(x):
        counted = (auto_pad, ceil_mode, count_include_pad)
        window = (*counted, dilations, kernel_shape, pads, strides)
        return nhwc_average_pool(xp, x, *window)
    sizes, window = x.shape[1:3], (kernel_shape, strides, dilations)
    counts, pairs, touched = pool_geometry(sizes, *window, pads, auto_pad, ceil_mode)
    shape = (x.shape[0], *counts, x.shape[3])
    y = np.empty(shape, x.dtype) if out is None else out
    image_pooled(x, 0, np.add, window, touched, counts, y)
    divisor = average_divisor(sizes, *window, counts, pairs, count_include_pad)
    y /= divisor.astype(x.dtype)[..., None]
    return y


def image_batch_normalization(
    xp: Any,
    x: Array,
    scale: Array,
    bias: Array,
    mean: Array,
    variance: Array,
    epsilon: float = 9.999999747378752e-06,
    out: Array = None,
) -> Array:
    """``(x - mean) / sqrt(variance + epsilon) * scale + bias`` per last axis."""
    wide = x.dtype if x.dtype.itemsize > 2 else np.dtype(np.float32)
    factor = scale.astype(wide) / np.sqrt(variance.astype(wide) + wide.type(epsilon))
    shift = bias.astype(wide) - mean.astype(wide) * factor
    y: Array = np.empty(x.shape, x.dtype) if out is None else out
    rows, factor, shift = channel_rows(x, factor, shift)
    results: Array = y.reshape(rows.shape)
    step = max(PIECE // max(rows.shape[-1], 1), 1)
    for start in range(0, len(rows), step):
        part = rows[start : start + step] * factor
        np.add(part, shift, out=results[start : start + step], casting="same_kind")
    return y


def image_lrn(
    xp: Any,
    x: Array,
    size: int,
    alpha: float = 9.999999747378752e-05,
    beta: float = 0.75,
    bias: float = 1.0,
    out: Array = None,
) -> Array:
    """``x / (bias + alpha / size * local sum of x^2) ** beta`` along the last axis."""
    if not is_wide(x):
        return nhwc_lrn(xp, x, size, alpha, beta, bias)
    channels = x.shape[-1]
    rows = x.reshape(-1, channels)
    y: Array = np.empty(x.shape, x.dtype) if out is None else out
    results: Array = y.reshape(rows.shape)
    before = (size - 1) // 2
    step = max(PIECE // max(channels, 1), 1)
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        # Zeros to both sides of the channels: every sum is of `size` of them.
        squares = np.zeros((len(part), channels + size - 1), x.dtype)
        np.square(part, out=squares[:, before : before + channels])
        total = squares[:, :channels].copy()
        for offset in range(1, size):
            total += squares[:, offset : offset + channels]
        total *= x.dtype.type(alpha / size)
        total += x.dtype.type(bias)
        np.divide(part, raised(total, beta), out=results[start : start + step])
    return y


def raised(x: Array, exponent: float) -> Array:
    """``x ** exponent`` of numbers above 0; 3/4 by square roots, far faster."""
    if exponent == 0.75:
        root = np.sqrt(x)
        return np.multiply(root, np.sqrt(root), out=root)
    return np.power(x, exponent, out=x)


KERNELS: dict[str, Callable[..., Any]] = {
    "nhwc.AveragePool": image_average_pool,
    "nhwc.BatchNormalization": image_batch_normalization,
    "nhwc.Conv": image_conv,
    "nhwc.LRN": image_lrn,
    "nhwc.MaxPool": image_max_pool,
}
