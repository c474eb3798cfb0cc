"""Kernels that read, write and find elements by index."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = Any


def axis_grids(shape: tuple[int, ...]) -> list[Array]:
    """Per axis of `shape`, the index on it, of size one on the other axes."""
    grids: Any = np.indices(shape, sparse=True)
    return list(grids)


# --- reading ---


def gather(xp: Any, x: Array, indices: Array, axis: int = 0) -> Array:
    """``x[..., indices, ...]`` on `axis`."""
    return xp.take(x, indices, axis=axis)


def gather_elements(xp: Any, x: Array, indices: Array, axis: int = 0) -> Array:
    """``y[i, j] = x[indices[i, j], j]`` for `axis` 0, and so on."""
    axis = axis + len(x.shape) if axis < 0 else axis
    # On other axes indices may be shorter than x.
    sizes = zip(x.shape, indices.shape, strict=True)
    part = tuple(
        slice(0, size if i == axis else count) for i, (size, count) in enumerate(sizes)
    )
    return xp.take_along_axis(x[part], indices, axis=axis)


def gather_nd(xp: Any, x: Array, indices: Array, batch_dims: int = 0) -> Array:
    """``x[b][indices[b, i]]``: the last axis of `indices` holds coordinates."""
    batch = axis_grids(x.shape[:batch_dims])
    inner = (1,) * (len(indices.shape) - 1 - batch_dims)
    prefix: list[Array] = [np.reshape(place, place.shape + inner) for place in batch]
    coordinates = [indices[..., i] for i in range(indices.shape[-1])]
    return xp.asarray(x)[(*prefix, *coordinates)]


def one_hot(
    xp: Any, indices: Array, depth: Array, values: Array, axis: int = -1
) -> Array:
    """``values[1]`` where the new axis is at the index, else ``values[0]``."""
    count = int(np.asarray(depth).reshape(-1)[0])
    if np.dtype(indices.dtype).kind not in "iu":
        indices = indices.astype("int64")
    rank = len(indices.shape)
    axis = axis + rank + 1 if axis < 0 else axis
    places = np.arange(count).reshape((-1,) + (1,) * (rank - axis))
    indices = xp.expand_dims(indices, axis)
    hot = (indices == places) | (indices == places - count)
    return xp.where(hot, values[1], values[0])


# --- writing: in NumPy, as JAX has scatters of its own ---


def scatter_elements(
    xp: Any,
    x: Array,
    indices: Array,
    updates: Array,
    axis: int = 0,
    reduction: str = "none",
) -> Array:
    """`x` with ``y[indices[i, j], j] = updates[i, j]`` for `axis` 0, and so on."""
    index = axis_grids(indices.shape)
    index[axis] = indices
    return scatter_at(x, tuple(index), updates, reduction)


def scatter_nd(
    xp: Any, x: Array, indices: Array, updates: Array, reduction: str = "none"
) -> Array:
    """`x` with ``y[indices[i]] = updates[i]``: coordinates lie on the last axis."""
    index = tuple(indices[..., i] for i in range(indices.shape[-1]))
    return scatter_at(x, index, updates, reduction)


def scatter_at(
    x: Array, index: tuple[Array, ...], updates: Array, reduction: str
) -> Array:
    """A copy of `x` with `updates` at `index`; equal indices reduce in order."""
    y = np.array(x)
    if reduction == "none":
        y[index] = updates
    elif reduction == "add":
        np.add.at(y, index, updates)
    elif reduction == "mul":
        np.multiply.at(y, index, updates)
    elif reduction == "max":
        np.maximum.at(y, index, updates)
    elif reduction == "min":
        np.minimum.at(y, index, updates)
    else:
        raise ValueError(f"reduction is {reduction!r}, not none, add, mul, max or min")
    return y


def tensor_scatter(
    xp: Any,
    x: Array,
    update: Array,
    write_indices: Array | None = None,
    axis: int = -2,
    mode: str = "linear",
) -> Array:
    """`x` with `update` written on `axis` from ``write_indices[batch]`` on."""
    if mode not in ("linear", "circular"):
        raise ValueError(f"mode is {mode!r}, not linear or circular")
    rank, count = len(x.shape), update.shape[axis]
    if count == 0:
        return x
    axis = axis + rank if axis < 0 else axis
    places = xp.arange(x.shape[axis]).reshape((-1,) + (1,) * (rank - axis - 1))
    # Each place asks which step of `update` it takes, if any: no write is needed.
    steps = places
    if write_indices is not None:
        steps = places - xp.reshape(write_indices, (-1,) + (1,) * (rank - 1))
    if mode == "circular":
        steps = steps % x.shape[axis]
    taken = xp.take_along_axis(
        update,
        xp.reshape(
            xp.clip(steps, 0, count - 1), (1,) * (rank - steps.ndim) + steps.shape
        ),
        axis=axis,
    )
    return xp.where((steps >= 0) & (steps < count), taken, x)


# --- finding ---


def top_k(
    xp: Any,
    x: Array,
    k: Array,
    axis: int = -1,
    largest: int = 1,
    sorted: int = 1,
    outputs: tuple[bool, ...] = (True, True),
) -> tuple[Array | None, ...]:
    """The `k` largest (or smallest) elements on `axis`, in order, and their indices."""
    axis = axis + len(x.shape) if axis < 0 else axis
    count, size = int(np.asarray(k).reshape(-1)[0]), x.shape[axis]
    if count > size:
        raise ValueError(f"cannot take the top {count} of {size}")
    before = (slice(None),) * axis
    if largest:
        # Ascending on the reversed axis, read backwards: of equal ones the first leads.
        order = xp.argsort(xp.flip(x, axis), axis=axis, stable=True)
        order = size - 1 - xp.flip(order, axis)[(*before, slice(count))]
    else:
        order = xp.argsort(x, axis=axis, stable=True)[(*before, slice(count))]
    values = xp.take_along_axis(x, order, axis=axis) if outputs[0] else None
    return values, order.astype("int64") if outputs[1] else None


def compress(xp: Any, x: Array, condition: Array, axis: int | None = None) -> Array:
    """The slices of `x` on `axis` (or elements of `x`) where `condition` holds."""
    return xp.compress(condition, x, axis=axis)


def nonzero(xp: Any, x: Array) -> Array:
    """The coordinates of all elements that are not zero, one column each."""
    if len(x.shape) == 0:
        return np.zeros((0, int(bool(x))), np.int64)
    return np.array(np.nonzero(x), np.int64)


def unique(
    xp: Any,
    x: Array,
    axis: int | None = None,
    sorted: int = 1,
    outputs: tuple[bool, ...] = (True, True, True, True),
) -> tuple[Array | None, ...]:
    """Distinct elements, where each first occurs, which each element is, how often."""
    _, first, inverse, counts = np.unique(
        sortable(x),
        return_index=True,
        return_inverse=True,
        return_counts=True,
        axis=axis,
    )
    inverse = inverse.reshape(-1)
    if not sorted:
        order = np.argsort(first)
        first, counts = first[order], counts[order]
        inverse = np.argsort(order)[inverse]
    values = np.take(x, first, axis=axis)
    places = (a.astype(np.int64) for a in (first, inverse, counts))
    found = zip((values, *places), outputs, strict=False)
    return tuple(array if wanted else None for array, wanted in found)


def sortable(x: Array) -> Array:
    """`x` in a type whose rows NumPy can sort."""
    return x.astype(np.float32) if x.dtype.kind == "V" else x


# --- boxes ---


def non_max_suppression(
    xp: Any,
    boxes: Array,
    scores: Array,
    max_output_boxes_per_class: Array | None = None,
    iou_threshold: Array | None = None,
    score_threshold: Array | None = None,
    center_point_box: int = 0,
) -> Array:
    """Rows (batch, class, box): boxes that overlap no better one of their class."""
    limit = first_number(max_output_boxes_per_class, 0)
    overlap = first_number(iou_threshold, 0.0)
    corners = box_corners(np, boxes, center_point_box)
    rows: list[tuple[int, int, int]] = []
    for batch, kind in np.ndindex(scores.shape[:2]):
        rating = scores[batch, kind]
        order = np.argsort(-rating, kind="stable")
        if score_threshold is not None:
            order = order[rating[order] > first_number(score_threshold, 0.0)]
        for box in best_boxes(xp, corners[batch], order, int(limit), overlap):
            rows.append((batch, kind, box))
    return np.array(rows, np.int64).reshape(-1, 3)


def first_number(operand: Array | None, default: float) -> float:
    """The one element of an optional operand."""
    return default if operand is None else np.asarray(operand).reshape(-1)[0]


def box_corners(xp: Any, boxes: Array, center_point_box: int) -> Array:
    """Boxes as (low, low, high, high), from two corners or from centre and size."""
    first, second = boxes[..., :2], boxes[..., 2:]
    if center_point_box:
        half = second / 2
        return xp.concatenate((first - half, first + half), axis=-1)
    low, high = xp.minimum(first, second), xp.maximum(first, second)
    return xp.concatenate((low, high), axis=-1)


def best_boxes(
    xp: Any, corners: Array, order: Array, limit: int, overlap: float
) -> list[int]:
    """At most `limit` boxes of `order`, none above `overlap` with one before it."""
    kept: list[int] = []
    while len(order) and len(kept) < limit:
        best, order = order[0], order[1:]
        kept.append(int(best))
        order = order[box_overlaps(xp, corners[best], corners[order]) <= overlap]
    return kept


def box_overlaps(xp: Any, box: Array, others: Array) -> Array:
    """Intersection over union of `box` with each of `others`; 0 where empty."""
    low = xp.maximum(box[..., :2], others[..., :2])
    high = xp.minimum(box[..., 2:], others[..., 2:])
    common = xp.prod(xp.maximum(high - low, 0), axis=-1)
    area = xp.prod(box[..., 2:] - box[..., :2], axis=-1)
    union = area + xp.prod(others[..., 2:] - others[..., :2], axis=-1) - common
    return xp.where(union > 0, common / xp.where(union > 0, union, 1), 0)


KERNELS: dict[str, Callable[..., Any]] = {
    "Compress": compress,
    "Gather": gather,
    "GatherElements": gather_elements,
    "GatherND": gather_nd,
    "NonMaxSuppression": non_max_suppression,
    "NonZero": nonzero,
    "OneHot": one_hot,
    "ScatterElements": scatter_elements,
    "ScatterND": scatter_nd,
    "TensorScatter": tensor_scatter,
    "TopK": top_k,
    "Unique": unique,
}

STATIC: dict[str, tuple[int, ...]] = {
    "Compress": (1,),
    "NonMaxSuppression": (0, 1, 2, 3, 4),
    "NonZero": (0,),
    "OneHot": (1,),
    "TopK": (1,),
    "Unique": (0,),
}
