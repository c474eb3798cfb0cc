"""Kernels that combine the elements along axes: reductions and running ones."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from .elementwise import widen

Array: TypeAlias = Any


def reduced_axes(axes: Array, noop_with_empty_axes: int) -> tuple[int, ...] | None:
    """The axes to reduce; none given means all (None), or with the flag none."""
    if axes is None or axes.size == 0:
        return () if noop_with_empty_axes else None
    return tuple(axes.tolist())


def reduce_sum(
    xp: Any,
    x: Array,
    axes: Array = None,
    keepdims: int = 1,
    noop_with_empty_axes: int = 0,
) -> Array:
    """The sum along `axes`."""
    along = reduced_axes(axes, noop_with_empty_axes)
    wide = widen(x)
    total = xp.sum(wide, axis=along, keepdims=bool(keepdims), dtype=wide.dtype)
    return total.astype(x.dtype, copy=False)


def reduce_mean(
    xp: Any,
    x: Array,
    axes: Array = None,
    keepdims: int = 1,
    noop_with_empty_axes: int = 0,
) -> Array:
    """The mean along `axes`; of integers, rounded toward zero."""
    along = reduced_axes(axes, noop_with_empty_axes)
    with np.errstate(all="ignore"):
        if x.dtype.kind not in "iu":
            wide = widen(x)
            total = xp.sum(wide, axis=along, keepdims=bool(keepdims))
            count = _count(x.shape, along)
            # A NumPy number, as the mean of no floats is nan and not an error.
            mean = total / wide.dtype.type(count)
            return mean.astype(x.dtype, copy=False)
        total = xp.sum(x, axis=along, keepdims=bool(keepdims))
        count = max(_count(x.shape, along), 1)
        mean = xp.sign(total) * (xp.abs(total) // count)
        return mean.astype(x.dtype)


def _count(shape: tuple[int, ...], axes: tuple[int, ...] | None) -> int:
    """The number of elements that a reduction of `axes` combines."""
    return math.prod(shape if axes is None else [shape[axis] for axis in axes])


def reduce_max(
    xp: Any,
    x: Array,
    axes: Array = None,
    keepdims: int = 1,
    noop_with_empty_axes: int = 0,
) -> Array:
    """The largest element along `axes`; of none, the type's lowest."""
    along = reduced_axes(axes, noop_with_empty_axes)
    with np.errstate(invalid="ignore"):
        if x.size:
            return xp.max(x, axis=along, keepdims=bool(keepdims))
        start: Any = -np.inf
        if x.dtype.kind == "b":
            start = False
        elif x.dtype.kind in "iu":
            start = np.iinfo(x.dtype).min
        result = xp.max(x, axis=along, keepdims=bool(keepdims), initial=start)
        return result.astype(x.dtype, copy=False)


def reduce_min(
    xp: Any,
    x: Array,
    axes: Array = None,
    keepdims: int = 1,
    noop_with_empty_axes: int = 0,
) -> Array:
    """The smallest element along `axes`; of none, the type's highest."""
    along = reduced_axes(axes, noop_with_empty_axes)
    with np.errstate(invalid="ignore"):
        if x.size:
            return xp.min(x, axis=along, keepdims=bool(keepdims))
        start: Any = np.inf
        if x.dtype.kind == "b":
            start = True
        elif x.dtype.kind in "iu":
            start = np.iinfo(x.dtype).max
        result = xp.min(x, axis=along, keepdims=bool(keepdims), initial=start)
        return result.astype(x.dtype, copy=False)


def reduce_prod(
    xp: Any,
    x: Array,
    axes: Array = None,
    keepdims: int = 1,
    noop_with_empty_axes: int = 0,
) -> Array:
    """The product along `axes`."""
    along = reduced_axes(axes, noop_with_empty_axes)
    wide = widen(x)
    with np.errstate(over="ignore", invalid="ignore"):
        result = xp.prod(wide, axis=along, keepdims=bool(keepdims), dtype=wide.dtype)
        return result.astype(x.dtype, copy=False)


def reduce_l1(
    xp: Any,
    x: Array,
    axes: Array = None,
    keepdims: int = 1,
    noop_with_empty_axes: int = 0,
) -> Array:
    """``sum(|x|)`` along `axes`."""
    return reduce_sum(xp, xp.abs(x), axes, keepdims, noop_with_empty_axes)


def reduce_l2(
    xp: Any,
    x: Array,
    axes: Array = None,
    keepdims: int = 1,
    noop_with_empty_axes: int = 0,
) -> Array:
    """``sqrt(sum(x^2))`` along `axes`; of integers, truncated."""
    wide = x.astype(np.float64) if x.dtype.kind in "iu" else widen(x)
    total = reduce_sum(xp, xp.square(wide), axes, keepdims, noop_with_empty_axes)
    return xp.sqrt(total).astype(x.dtype, copy=False)


def reduce_sum_square(
    xp: Any,
    x: Array,
    axes: Array = None,
    keepdims: int = 1,
    noop_with_empty_axes: int = 0,
) -> Array:
    """``sum(x^2)`` along `axes`."""
    square = xp.square(widen(x))
    total = reduce_sum(xp, square, axes, keepdims, noop_with_empty_axes)
    return total.astype(x.dtype, copy=False)


def reduce_log_sum(
    xp: Any,
    x: Array,
    axes: Array = None,
    keepdims: int = 1,
    noop_with_empty_axes: int = 0,
) -> Array:
    """``log(sum(x))`` along `axes`."""
    total = reduce_sum(xp, widen(x), axes, keepdims, noop_with_empty_axes)
    with np.errstate(divide="ignore", invalid="ignore"):
        return xp.log(total).astype(x.dtype, copy=False)


def reduce_log_sum_exp(
    xp: Any,
    x: Array,
    axes: Array = None,
    keepdims: int = 1,
    noop_with_empty_axes: int = 0,
) -> Array:
    """``log(sum(exp(x)))`` along `axes`, over the largest element lest exp overflow."""
    along = reduced_axes(axes, noop_with_empty_axes)
    wide = widen(x)
    with np.errstate(divide="ignore", invalid="ignore", under="ignore"):
        peak = xp.max(wide, axis=along, keepdims=True, initial=-np.inf)
        peak = xp.where(xp.isfinite(peak), peak, 0).astype(wide.dtype)
        total = xp.sum(xp.exp(wide - peak), axis=along, keepdims=True)
        result = (xp.log(total) + peak).astype(x.dtype, copy=False)
    return result if keepdims else xp.squeeze(result, axis=along)


# --- positions ---


def arg_max(
    xp: Any, x: Array, axis: int = 0, keepdims: int = 1, select_last_index: int = 0
) -> Array:
    """The place of the first (or last) largest element along `axis`."""
    if select_last_index:
        index = x.shape[axis] - 1 - xp.argmax(xp.flip(x, axis), axis=axis)
    else:
        index = xp.argmax(x, axis=axis)
    index = index.astype(np.int64)
    return xp.expand_dims(index, axis) if keepdims else index


def arg_min(
    xp: Any, x: Array, axis: int = 0, keepdims: int = 1, select_last_index: int = 0
) -> Array:
    """The place of the first (or last) smallest element along `axis`."""
    if select_last_index:
        index = x.shape[axis] - 1 - xp.argmin(xp.flip(x, axis), axis=axis)
    else:
        index = xp.argmin(x, axis=axis)
    index = index.astype(np.int64)
    return xp.expand_dims(index, axis) if keepdims else index


# --- running sums and products ---


def cumulative_sum(
    xp: Any, x: Array, axis: Array, exclusive: int = 0, reverse: int = 0
) -> Array:
    """The sum of the elements up to each (with `exclusive` before each)."""
    along = int(axis.item())
    wide = widen(x)
    wide = xp.flip(wide, along) if reverse else wide
    if exclusive:
        wide = _delayed(xp, wide, along, 0)
    sums = xp.cumsum(wide, axis=along, dtype=wide.dtype)
    sums = xp.flip(sums, along) if reverse else sums
    return sums.astype(x.dtype, copy=False)


def cumulative_product(
    xp: Any, x: Array, axis: Array, exclusive: int = 0, reverse: int = 0
) -> Array:
    """The product of the elements up to each (with `exclusive` before each)."""
    along = int(axis.item())
    wide = widen(x)
    wide = xp.flip(wide, along) if reverse else wide
    if exclusive:
        wide = _delayed(xp, wide, along, 1)
    with np.errstate(over="ignore", invalid="ignore"):
        products = xp.cumprod(wide, axis=along, dtype=wide.dtype)
        products = xp.flip(products, along) if reverse else products
        return products.astype(x.dtype, copy=False)


def _delayed(xp: Any, x: Array, axis: int, start: int) -> Array:
    """`x` moved one place on along `axis`, after `start`; the last element is lost."""
    size = x.shape[axis]
    if size == 0:
        return x
    first = xp.take(x, np.arange(1), axis=axis)
    rest = xp.take(x, np.arange(size - 1), axis=axis)
    return xp.concatenate([xp.full_like(first, start), rest], axis=axis)


def determinant(xp: Any, x: Array) -> Array:
    """The determinants of the last two axes' matrices."""
    return xp.linalg.det(widen(x)).astype(x.dtype, copy=False)


KERNELS: dict[str, Callable[..., Any]] = {
    "ArgMax": arg_max,
    "ArgMin": arg_min,
    "CumProd": cumulative_product,
    "CumSum": cumulative_sum,
    "Det": determinant,
    "ReduceL1": reduce_l1,
    "ReduceL2": reduce_l2,
    "ReduceLogSum": reduce_log_sum,
    "ReduceLogSumExp": reduce_log_sum_exp,
    "ReduceMax": reduce_max,
    "ReduceMean": reduce_mean,
    "ReduceMin": reduce_min,
    "ReduceProd": reduce_prod,
    "ReduceSum": reduce_sum,
    "ReduceSumSquare": reduce_sum_square,
}

STATIC: dict[str, tuple[int, ...]] = {
    "CumProd": (1,),
    "CumSum": (1,),
    "ReduceL1": (1,),
    "ReduceL2": (1,),
    "ReduceLogSum": (1,),
    "ReduceLogSumExp": (1,),
    "ReduceMax": (1,),
    "ReduceMean": (1,),
    "ReduceMin": (1,),
    "ReduceProd": (1,),
    "ReduceSum": (1,),
    "ReduceSumSquare": (1,),
}
