"""
Exact matrix products of 8-bit integers, at the speed of what the processor does fast.

NumPy multiplies integers one by one, floats by BLAS. A sum of products is exact in
float32 as long as no partial sum can pass 2**24, so NumPy's products are cut into
pieces of so many terms, added up in int32. Other namespaces multiply int8 by
themselves.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = Any

EXACT_LIMIT = 2**24
"""float32 holds every integer up to this one."""

DEEPEST_PIECE, LARGEST_PIECE = 1024, 2**19
"""Rows and elements of the right side at a time: as floats they stay in the cache."""

LANES = 16
"""Pieces are of whole vectors of so many floats."""

LIMITS = {"int8": (-128, 127), "uint8": (0, 255)}
"""The least and the largest number of a type."""


def aligned(v: Array, x: Array, column: bool) -> Array:
    """A scale or zero point `v` shaped to broadcast against the matrix `x`."""
    if v.size == 1:
        return v.reshape(())
    if v.ndim == 1 and not column and x.ndim > 1:
        return v.reshape(-1, 1)
    return v


def exact_product(
    xp: Any,
    a: Array,
    b: Array,
    a_zero_point: Array | None = None,
    b_zero_point: Array | None = None,
) -> Array:
    """
    ``(a - a_zero_point) @ (b - b_zero_point)`` of 8-bit integers, in int32.

    The result is that of int32 arithmetic for any depth, beyond its range modulo
    ``2**32``. A vector of zero points goes by row on the left, by column on the right.
    """
    left = None if a_zero_point is None else aligned(a_zero_point, a, False)
    right = None if b_zero_point is None else aligned(b_zero_point, b, True)
    rows, columns = a.ndim == 1, b.ndim == 1
    a, b = a[None] if rows else a, b[:, None] if columns else b
    product = split_product if xp is np else narrow_product
    y = product(xp, a, b, left, right)
    y = y[..., 0] if columns else y
    if rows:
        return y[..., 0] if columns else y[..., 0, :]
    return y


# --- by floats ---


def reach(x: Array, zero: Array | None) -> int:
    """The largest ``|x - zero|`` that the type of `x` allows."""
    low, high = LIMITS[x.dtype.name]
    if zero is None or zero.size == 0:
        return max(-low, high)
    if zero.size == 1:
        return max(high - zero.item(), zero.item() - low)
    return max(high - int(np.min(zero)), int(np.max(zero)) - low)


def exact_terms(a: Array, b: Array, left: Array | None, right: Array | None) -> int:
    """How many products of ``a - left`` and ``b - right`` float32 adds up exactly."""
    return EXACT_LIMIT // max(reach(a, left) * reach(b, right), 1)


def floats(x: Array, zero: Array | None, room: Array | None = None) -> Array:
    """``x - zero`` in float32, written into `room` if there is one."""
    y = np.empty(x.shape, np.float32) if room is None else room
    np.copyto(y, x)
    if zero is None or (zero.size == 1 and zero.item() == 0):
        return y
    y -= zero.astype(np.float32)
    return y


def even_step(size: int, limit: int) -> int:
    """
    The length of the fewest pieces of `size` that are at most `limit` long, all about
    equally long.
    """
    count = -(-size // max(limit, 1))
    step = -(-size // max(count, 1))
    return max(min(-(-step // LANES) * LANES, limit), 1)


def split_product(
    xp: Any, a: Array, b: Array, left: Array | None, right: Array | None
) -> Array:
    """The product of matrices, piece by piece."""
    depth, width = b.shape[-2:]
    limit = min(exact_terms(a, b, left, right), DEEPEST_PIECE)
    wide = floats(a, left)
    if depth <= limit and depth * width <= LARGEST_PIECE:
        return np.matmul(wide, floats(b, right)).astype(np.int32)
    deep = even_step(depth, limit)
    broad = even_step(width, max(LARGEST_PIECE // deep, LANES))
    lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    total = np.empty((*lead, a.shape[-2], width), np.int32)
    room = np.empty((*b.shape[:-2], deep * min(width, broad)), np.float32)
    for begin in range(0, width, broad):
        columns = slice(begin, begin + broad)
        offset = right if right is None or right.ndim == 0 else right[..., columns]
        part = total[..., columns]
        for start in range(0, depth, deep):
            piece = b[..., start : start + deep, columns]
            size = piece.shape[-2] * piece.shape[-1]
            seen = floats(piece, offset, room[..., :size].reshape(piece.shape))
            y = np.matmul(wide[..., start : start + deep], seen)
            if start:
                part += y.astype(np.int32)
            else:
                np.copyto(part, y, casting="unsafe")
    return total


def exact_sum(products: Iterable[tuple[Array, Array]], terms: int) -> Array:
    """
    The sum of products of float32 matrices that hold integers, in int32.

    `terms` products of their elements add up exactly.
    """
    total: Any = None
    run: Any = None
    held = 0
    for layer, seen in products:
        for start in range(0, max(layer.shape[-1], 1), terms):
            left = layer[..., start : start + terms]
            piece = np.matmul(left, seen[..., start : start + terms, :])
            if run is not None and held + left.shape[-1] <= terms:
                run += piece
                held += left.shape[-1]
                continue
            total = total if run is None else added(total, run)
            run, held = piece, left.shape[-1]
    return added(total, run)


def added(total: Array | None, run: Array) -> Array:
    """``total + run`` in int32, where the sum wraps around as integers do."""
    whole = run.astype(np.int32)
    if total is None:
        return whole
    total += whole
    return total


# --- by int8 ---


def narrowed(xp: Any, x: Array, zero: Array | None) -> tuple[Array, Array | None]:
    """
    `x` in int8 and its zero point there in int32: uint8 moves down by 128.

    Both move, so their difference stays.
    """
    wide = None if zero is None else zero.astype(xp.int32)
    if x.dtype == xp.int8:
        return x, wide
    moved = (x.astype(xp.int16) - 128).astype(xp.int8)
    return moved, xp.asarray(-128, xp.int32) if wide is None else wide - 128


def narrow_product(
    xp: Any, a: Array, b: Array, left: Array | None, right: Array | None
) -> Array:
    """The product of matrices as one of int8, to which the zero points are brought."""
    a, left = narrowed(xp, a, left)
    b, right = narrowed(xp, b, right)
    total = xp.matmul(a, b, preferred_element_type=xp.int32)
    if left is not None:
        columns = xp.sum(b, axis=-2, keepdims=True, dtype=xp.int32)
        total = total - left * columns
    if right is not None:
        rows = xp.sum(a, axis=-1, keepdims=True, dtype=xp.int32)
        total = total - rows * right
    if left is not None and right is not None:
        total = total + a.shape[-1] * left * right
    return total
