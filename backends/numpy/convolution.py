"""Convolutions as BLAS products of unfolded images (Chellapilla et al., 2006)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ..kernels.convolution import (
    add_channel_bias,
    centred,
    conv_kernel,
    kernel_positions,
    transposed_pads,
    widened,
    window_counts,
    window_pads,
    window_slices,
    window_span,
)
from ..kernels.integer_products import (
    EXACT_LIMIT,
    WIDEST,
    exact_sum,
    exact_terms,
    floats,
    is_prepared,
)
from .arithmetic import written
from .memory import scratch

Array: TypeAlias = Any


def zero_padded(x: Array, pairs: tuple[tuple[int, int], ...]) -> Array:
    """`x` with zeros around its trailing axes; less overhead than ``np.pad``."""
    if not any(first or last for first, last in pairs):
        return x
    padded, inner = framed(x, pairs, x.dtype)
    np.copyto(inner, x)
    return padded


def framed(
    x: Array, pairs: tuple[tuple[int, int], ...], dtype: Any
) -> tuple[Array, Array]:
    """Zeros of the shape of `x` padded by `pairs`, and the place of `x` in them."""
    sizes = x.shape[x.ndim - len(pairs) :]
    shape = (n + a + b for n, (a, b) in zip(sizes, pairs, strict=True))
    padded = np.zeros((*x.shape[: x.ndim - len(pairs)], *shape), dtype)
    inner = (slice(a, a + n) for n, (a, _) in zip(sizes, pairs, strict=True))
    return padded, padded[(..., *inner)]


def padded_floats(
    x: Array, zero_point: Array | None, pairs: tuple[tuple[int, int], ...]
) -> Array:
    """``x - zero_point`` in float32, with zeros around its trailing axes."""
    if not any(first or last for first, last in pairs):
        return floats(x, zero_point)
    padded, inner = framed(x, pairs, np.float32)
    floats(x, zero_point, inner)
    return padded


def unfolded(
    padded: Array,
    group: int,
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
    counts: tuple[int, ...],
) -> Array:
    """Matrix ``[n, group, c / group * kernel, windows]`` of what each window sees."""
    n, channels = padded.shape[:2]
    shape = (n, group, channels // group * math.prod(kernel), math.prod(counts))
    if math.prod(kernel) == 1 or not math.prod(counts):
        return padded[(..., *(slice(None, None, s) for s in strides))].reshape(shape)
    axes = tuple(range(2, padded.ndim))
    spans = tuple(map(window_span, kernel, dilations))
    windows = sliding_window_view(padded, spans, axis=axes)
    picked = (
        slice(None, (c - 1) * s + 1, s) for c, s in zip(counts, strides, strict=True)
    )
    taps = (slice(None, None, d) for d in dilations)
    windows = windows[(slice(None), slice(None), *picked, *taps)]
    order = (*range(padded.ndim, windows.ndim), *axes)
    return windows.transpose(0, 1, *order).reshape(shape)


def row_products(
    padded: Array,
    weights: Array,
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
    counts: tuple[int, ...],
) -> Iterator[tuple[Array, Array]]:
    """
    The factors of products that make up a convolution whose first stride is 1.

    Only the kernel's other axes are unfolded: moving a row down the image is an offset
    into the same matrix, so the copy is smaller by the kernel's height.
    """
    group, _, _, height, *rest = weights.shape
    inner = (padded.shape[2], *counts[1:])
    row = math.prod(counts[1:])
    columns = unfolded(padded, group, (1, *rest), strides, (1, *dilations[1:]), inner)
    for i in range(height):
        start = i * dilations[0] * row
        seen = columns[..., start : start + counts[0] * row]
        yield weights[:, :, :, i].reshape(group, weights.shape[1], -1), seen


def conv_products(
    padded: Array,
    weights: Array,
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
    counts: tuple[int, ...],
) -> Iterator[tuple[Array, Array]]:
    """The factors of products whose sum is a convolution: one, or one per row."""
    group, filters, _, *kernel = weights.shape
    # Slicing the weight by rows copies it; that pays where the image is the larger.
    if strides[0] == 1 < kernel[0] and 1 < filters <= math.prod(counts):
        return row_products(padded, weights, strides, dilations, counts)
    columns = unfolded(padded, group, tuple(kernel), strides, dilations, counts)
    return iter([(weights.reshape(group, filters, -1), columns)])


def add_products(products: Iterator[tuple[Array, Array]], total: Array) -> None:
    """Into `total`: the sum of products of matrices, of which there is one at least."""
    layer, seen = next(products)
    np.matmul(layer, seen, out=total)
    part: Any = None
    for layer, seen in products:
        part = np.matmul(layer, seen, out=part)
        total += part


def conv(
    xp: Any,
    x: Array,
    w: Array,
    b: Array | None = None,
    auto_pad: str = "NOTSET",
    dilations: tuple[int, ...] | None = None,
    group: int = 1,
    kernel_shape: tuple[int, ...] | None = None,
    pads: tuple[int, ...] | None = None,
    strides: tuple[int, ...] | None = None,
    out: Array = None,
) -> Array:
    """``y[n, m, o] = sum x[n, c, o * stride + k * dilation] * w[m, c, k] + b[m]``."""
    kernel = conv_kernel(w, kernel_shape)
    ones = (1,) * len(kernel)
    strides, dilations = strides or ones, dilations or ones
    pairs = window_pads(x.shape[2:], kernel, strides, dilations, pads, auto_pad)
    counts = window_counts(x.shape[2:], kernel, strides, dilations, pairs)
    padded = zero_padded(widened(np, x), pairs)
    filters = w.shape[0] // group
    weights = widened(np, w).reshape(group, filters, w.shape[1], *kernel)
    shape = (x.shape[0], group, filters, math.prod(counts))
    narrow = padded.dtype != x.dtype
    y = np.empty(shape, padded.dtype) if out is None or narrow else out.reshape(shape)
    add_products(conv_products(padded, weights, strides, dilations, counts), y)
    y = y.reshape(x.shape[0], w.shape[0], *counts)
    if b is not None:
        y += b.reshape(-1, *ones)
    return written(y.astype(x.dtype), out) if narrow else y


def conv_integer(
    xp: Any,
    x: Array,
    w: Array,
    x_zero_point: Array | None = None,
    w_zero_point: Array | None = None,
    auto_pad: str = "NOTSET",
    dilations: tuple[int, ...] | None = None,
    group: int = 1,
    kernel_shape: tuple[int, ...] | None = None,
    pads: tuple[int, ...] | None = None,
    strides: tuple[int, ...] | None = None,
    out: Array = None,
) -> Array:
    """
    ``Conv(x - x_zero_point, w - w_zero_point)`` in int32, exact by way of floats.

    `w` may come prepared, its zero point subtracted: as `prepared_filters` gives it.
    """
    wide, terms = integer_filters(x, w, x_zero_point, w_zero_point)
    kernel = conv_kernel(wide, kernel_shape)
    ones = (1,) * len(kernel)
    strides, dilations = strides or ones, dilations or ones
    pairs = window_pads(x.shape[2:], kernel, strides, dilations, pads, auto_pad)
    counts = window_counts(x.shape[2:], kernel, strides, dilations, pairs)
    padded = padded_floats(x, x_zero_point, pairs)
    weights = wide.reshape(group, wide.shape[0] // group, wide.shape[1], *kernel)
    y = np.empty((x.shape[0], wide.shape[0], *counts), np.int32) if out is None else out
    shape = (x.shape[0], group, weights.shape[1], math.prod(counts))
    products = conv_products(padded, weights, strides, dilations, counts)
    rooms = scratch((2, *shape), np.float32)
    exact_sum(products, terms, y.reshape(shape), rooms)
    return y


def integer_filters(
    x: Array, w: Array, x_zero_point: Array | None, w_zero_point: Array | None
) -> tuple[Array, int]:
    """``w - w_zero_point`` in float32, and how many products add up exactly."""
    if is_prepared(w):
        return w
    terms = exact_terms(x, w, x_zero_point, w_zero_point)
    return centred(np, w, w_zero_point, np.float32), terms


def prepared_filters(
    xp: Any, w: Array, w_zero_point: Array | None = None
) -> tuple[Array, int]:
    """
    ``w - w_zero_point`` as the weight of `conv_integer`, prepared once.

    In float32, and how many products with 8-bit integers add up exactly, of any filter
    and in any order: all of them where no filter is large.
    """
    wide = centred(np, w, w_zero_point, np.float32)
    sizes = np.abs(wide).reshape(w.shape[0], -1)
    largest = np.max(sizes.sum(axis=1, dtype=np.float64), initial=0)
    if largest * WIDEST <= EXACT_LIMIT:
        return wide, max(sizes.shape[1], 1)
    return wide, int(EXACT_LIMIT // (WIDEST * np.max(sizes)))


def conv_transpose(
    xp: Any,
    x: Array,
    w: Array,
    b: Array | None = None,
    auto_pad: str = "NOTSET",
    dilations: tuple[int, ...] | None = None,
    group: int = 1,
    kernel_shape: tuple[int, ...] | None = None,
    output_padding: tuple[int, ...] | None = None,
    output_shape: tuple[int, ...] | None = None,
    pads: tuple[int, ...] | None = None,
    strides: tuple[int, ...] | None = None,
) -> Array:
    """``y[n, m, i * stride + k * dilation - pad] += x[n, c, i] * w[c, m, k]``, + b."""
    kernel = conv_kernel(w, kernel_shape)
    ones = (1,) * len(kernel)
    strides, dilations = strides or ones, dilations or ones
    extra = tuple(output_padding or (0,) * len(kernel))
    sizes, n, maps = x.shape[2:], x.shape[0], group * w.shape[1]
    cuts = transposed_pads(
        sizes, kernel, strides, dilations, pads, extra, auto_pad, output_shape
    )
    spans = map(window_span, kernel, dilations)
    lengths = [(m - 1) * s + k for m, s, k in zip(sizes, strides, spans, strict=True)]
    image = widened(np, x).reshape(n, group, x.shape[1] // group, math.prod(sizes))
    weights = widened(np, w).reshape(group, w.shape[0] // group, -1).swapaxes(1, 2)
    parts = (weights @ image).reshape(n, maps, *kernel, *sizes)
    # A negative cut asks for zeros after the last product.
    room = [m + max(-last, 0) for m, (_, last) in zip(lengths, cuts, strict=True)]
    full = np.zeros((n, maps, *room), parts.dtype)
    for position in kernel_positions(kernel):
        place = window_slices(position, sizes, strides, dilations)
        full[(..., *place)] += parts[(slice(None), slice(None), *position)]
    ends = (m - last for m, (_, last) in zip(lengths, cuts, strict=True))
    kept = (slice(cut[0], end) for cut, end in zip(cuts, ends, strict=True))
    return add_channel_bias(full[(..., *kept)], b).astype(x.dtype, copy=False)


KERNELS: dict[str, Callable[..., Any]] = {
    "Conv": conv,
    "ConvInteger": conv_integer,
    "ConvTranspose": conv_transpose,
}
