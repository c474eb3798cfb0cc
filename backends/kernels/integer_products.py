"""
Exact matrix products of 8-bit integers, at the speed of what the processor does fast.

NumPy multiplies integers one by one, floats by BLAS. A sum of products is exact in
float32 as long as no partial sum can pass 2**24, so NumPy's products are cut into
pieces of so many terms, added up in int32. Other namespaces multiply int8 by
themselves.
"""

from __future__ import annotations

import math
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

WIDEST = 255
"""The largest difference of two 8-bit integers of one type."""

LIMITS = {"int8": (-128, 127), "uint8": (0, 255)}
"""The least and the largest number of a type."""


def aligned(v: Array, x: Array, column: bool) -> Array:
    """A scale or zero point `v` shaped to broadcast against the matrix `x`."""
    if v.size == 1:
        return v.reshape(())
    if v.ndim == 1 and not column and x.ndim > 1:
        return v.reshape(-1, 1)
    return v


def is_prepared(weight: Array) -> bool:
    """Whether `weight` is prepared for products: its floats, and how they add up."""
    return isinstance(weight, tuple)


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
    On NumPy `b` may come prepared, its zero point subtracted: as `prepared_columns`
    gives it.
    """
    left = None if a_zero_point is None else aligned(a_zero_point, a, False)
    rows, columns = a.ndim == 1, not is_prepared(b) and b.ndim == 1
    a, b = a[None] if rows else a, b[:, None] if columns else b
    if is_prepared(b):
        y = stepped_product(a, left, *b)
    else:
        right = None if b_zero_point is None else aligned(b_zero_point, b, True)
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
    total = np.empty((*lead_of(a, b), a.shape[-2], width), np.int32)
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


def stepped_product(
    a: Array, left: Array | None, wide: Array, step: int, largest: float
) -> Array:
    """``(a - left) @ wide`` in int32, `wide` as `prepared_columns` gives it."""
    rows, (depth, width) = floats(a, left), wide.shape[-2:]
    if step < depth and largest * reach(a, left) <= EXACT_LIMIT:
        step = depth
    if step >= depth and rows.ndim == wide.ndim == 2:
        return np.matmul(rows, wide).astype(np.int32)
    lead = rows.shape[:-2] if wide.ndim == 2 else lead_of(rows, wide)
    total = np.empty((*lead, rows.shape[-2], width), np.int32)
    flat = total
    if wide.ndim == 2 < rows.ndim:
        # One product is faster than one for each matrix.
        count = math.prod(rows.shape[:-1])
        rows, flat = rows.reshape(count, depth), total.reshape(count, width)
    np.copyto(flat, rows[..., :step] @ wide[..., :step, :], casting="unsafe")
    for start in range(step, depth, step):
        piece = slice(start, start + step)
        y = np.matmul(rows[..., piece], wide[..., piece, :])
        flat += y.astype(np.int32)
    return total


def lead_of(a: Array, b: Array) -> tuple[int, ...]:
    """The sizes before the last two of ``a @ b``."""
    return np.broadcast_shapes(a.shape[:-2], b.shape[:-2])


def prepared_columns(
    xp: Any, b: Array, b_zero_point: Array | None = None, transB: int = 0
) -> tuple[Array, int, float]:
    """
    ``b - b_zero_point`` as the right side of `exact_product`, prepared once.

    In float32; then the length of the equal pieces into which its depth is cut, the
    longest in which no product with 8-bit integers passes 2**24; and the largest sum of
    absolute values of a column, by which a left side of small numbers needs no pieces.
    """
    right = None if b_zero_point is None else aligned(b_zero_point, b, True)
    wide = floats(b.T if transB else b, right)
    sizes, depth = np.abs(wide), wide.shape[-2]
    largest = float(np.max(sizes.sum(axis=-2, dtype=np.float64), initial=0))
    least = max(math.ceil(largest * WIDEST / EXACT_LIMIT), 1)
    for count in range(least, depth + 1):
        step = even_step(depth, -(-depth // count))
        sums = np.add.reduceat(sizes, range(0, depth, step), axis=-2)
        if np.max(sums, initial=0) * WIDEST <= EXACT_LIMIT:
            return wide, step, largest
    return wide, 1, largest


def exact_sum(
    products: Iterable[tuple[Array, Array]], terms: int, total: Array, rooms: Array
) -> None:
    """
    Into `total`, in int32: the sum of products of float32 matrices of integers.

    `terms` products of their elements add up exactly; sums beyond the range of int32
    wrap around. `rooms` are two float32 arrays like `total`, to compute in.
    """
    first, held, into, other = True, 0, rooms[0], rooms[1]
    for layer, seen in products:
        for start in range(0, max(layer.shape[-1], 1), terms):
            left = layer[..., start : start + terms]
            right = seen[..., start : start + terms, :]
            depth = left.shape[-1]
            if held and held + depth <= terms:
                into += np.matmul(left, right, out=other)
                held += depth
                continue
            if held:
                add_integers(into, total, first)
                first = False
            np.matmul(left, right, out=into)
            held = depth
    add_integers(into, total, first)


def add_integers(run: Array, total: Array, first: bool) -> None:
    """Into the int32 `total`: `run`, which holds integers, added unless the `first`."""
    if first:
        np.copyto(total, run, casting="unsafe")
    else:
        total += run.astype(np.int32)


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
