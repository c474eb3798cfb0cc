"""Products with sparse weights: BLAS on what is gathered or expanded, part by part."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from .memory import scratch

Array: TypeAlias = Any

PADDING = 16
"""
So many elements stand between rows that are read by columns: rows whose distance is a
power of two would all lie in the same few lines of the cache, which is six times as
slow.
"""

TILE = 1 << 18
"""About so many elements of a weight are expanded at a time: the cache holds them."""


def gather_rows_matmul(
    xp: Any,
    x: Array,
    w: Array,
    indices: Array,
    axis: int = -1,
    span: int = 1,
    out: Array = None,
) -> Array:
    """
    ``y[..., group] = x[..., indices[group]] @ w[group]``, groups side by side.

    Along axis -2 ``y[..., group, :] = w[group] @ x[..., indices[group], :]``.
    """
    width = w.shape[0] * w.shape[2 if axis == -1 else 1]
    shape = list(x.shape)
    shape[axis] = width
    y = np.empty(shape, x.dtype) if out is None else out
    if axis == -2:
        matrices = x.reshape(math.prod(shape[:-2]), *x.shape[-2:])
        results = y.reshape(matrices.shape[0], *y.shape[-2:])
        for matrix, result in zip(matrices, results, strict=True):
            columns_of_groups(matrix, w, indices, span, result)
        return y
    rows, result = x.reshape(-1, x.shape[-1]), y.reshape(-1, width)
    # Elements are gathered at eight times, transposed at five times what rows cost.
    if len(rows) > 1 and 3 * w.shape[0] * w.shape[1] > 2 * x.shape[-1]:
        turned_groups(rows, w, indices, span, result)
    else:
        rows_of_groups(rows, w, indices, span, result)
    return y


def columns_of_groups(x: Array, w: Array, indices: Array, span: int, y: Array) -> None:
    """``y[group] = w[group] @ x[indices[group]]``; whole rows are copied."""
    groups, width, kept = w.shape
    part = scratch((kept, x.shape[1]), x.dtype)
    runs = np.ascontiguousarray(x).reshape(-1, span * x.shape[1])
    for group in range(groups):
        # The mode that checks nothing; `out` is copied to once more with any other.
        np.take(runs, indices[group], 0, part.reshape(-1, runs.shape[1]), "clip")
        place = y[group * width : (group + 1) * width]
        np.matmul(w[group], part, out=place)


def turned_groups(x: Array, w: Array, indices: Array, span: int, y: Array) -> None:
    """``y[:, group] = x[:, indices[group]] @ w[group]``, `x` transposed before."""
    count, depth = x.shape
    groups, kept, width = w.shape
    padded = count * (depth + PADDING)
    whole = scratch((padded + (depth + kept) * count,), x.dtype)
    apart = whole[:padded].reshape(count, -1)[:, :depth]
    turned = whole[padded : padded + depth * count].reshape(depth, count)
    part = whole[padded + depth * count :].reshape(kept, count)
    np.copyto(apart, x)
    np.copyto(turned, apart.T)
    runs = turned.reshape(-1, span * count)
    for group in range(groups):
        np.take(runs, indices[group], 0, part.reshape(-1, span * count), "clip")
        place = y[:, group * width : (group + 1) * width]
        np.matmul(part.T, w[group], out=place)


def rows_of_groups(x: Array, w: Array, indices: Array, span: int, y: Array) -> None:
    """``y[:, group] = x[:, indices[group]] @ w[group]``, element by element."""
    groups, kept, width = w.shape
    part = scratch((len(x), kept), x.dtype)
    runs = np.ascontiguousarray(x).reshape(len(x), -1, span)
    picked = part.reshape(len(x), -1, span)
    for group in range(groups):
        np.take(runs, indices[group], 1, picked, "clip")
        np.matmul(part, w[group], out=y[:, group * width : (group + 1) * width])


def bitmap_tiles_matmul(
    xp: Any,
    x: Array,
    v: Array,
    mask: Array,
    K: int,
    axis: int = -1,
    out: Array = None,
) -> Array:
    """``x @ w``, or ``w.T @ x`` along axis -2; some outputs' weights at a time."""
    width = mask.shape[0]
    shape = list(x.shape)
    shape[axis] = width
    y = np.empty(shape, x.dtype) if out is None else out
    rows = x if axis == -2 else x.reshape(-1, K)
    result = y if axis == -2 else y.reshape(-1, width)
    step = max(TILE // K, 1)
    start = 0
    for first in range(0, width, step):
        tile, stored = expanded_tile(v, start, mask[first : first + step], K)
        start += stored
        if axis == -2:
            np.matmul(tile, rows, out=result[..., first : first + step, :])
        else:
            np.matmul(rows, tile.T, out=result[:, first : first + step])
    return y


def expanded_tile(v: Array, start: int, mask: Array, depth: int) -> tuple[Array, int]:
    """The weights ``[outputs, depth]`` that `v` has from `start` on, and how many."""
    bits = np.unpackbits(mask, axis=1, count=depth, bitorder="little")
    places = scratch((bits.size,), np.int32)
    np.cumsum(bits, out=places)
    stored = int(places[-1])
    places += start - 1
    tile = scratch(bits.shape, v.dtype, bits.size)
    # Each place has the last element up to it, or the first, and those not kept are 0
    # then: half the time that assigning through a mask takes.
    np.take(v, places, None, tile.reshape(-1), "clip")
    return np.multiply(tile, bits, out=tile), stored


KERNELS: dict[str, Callable[..., Any]] = {
    "sparse.BitmapMatMul": bitmap_tiles_matmul,
    "sparse.MatMul": gather_rows_matmul,
}
