"""JAX kernels whose results are padded to a bound, and return how much is none."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import jax.numpy as jnp
import numpy as np
from jax import lax

from ..kernels.indexing import axis_grids, box_corners, box_overlaps

Array: TypeAlias = Any


def nonzero_bounded(xp: Any, x: Array) -> tuple[Array, Array]:
    """The coordinates of all elements that are not zero, then zeros; their number."""
    found = xp.asarray(x) != 0
    places = xp.nonzero(found, size=found.size, fill_value=0)
    return xp.stack(places).astype("int64"), xp.sum(found)


def compress_bounded(
    xp: Any, x: Array, condition: Array, axis: int | None = None
) -> tuple[Array, Array]:
    """The slices of `x` where `condition` holds, then the first; their number."""
    flat = xp.reshape(x, -1) if axis is None else xp.asarray(x)
    along = axis or 0
    kept = xp.asarray(condition)[: flat.shape[along]]
    size = flat.shape[along]
    (places,) = xp.nonzero(kept, size=size, fill_value=0)
    return xp.take(flat, places, axis=along), xp.sum(kept)


def unique_bounded(
    xp: Any,
    x: Array,
    axis: int | None = None,
    sorted: int = 1,
    outputs: tuple[bool, ...] = (True, True, True, True),
) -> tuple[Array | None, ...]:
    """Distinct elements as Unique gives them, then one of them again; their number."""
    assert axis is None, "only whole tensors have a bound"
    flat = xp.reshape(x, -1)
    _, first, inverse, counts = xp.unique(
        flat,
        return_index=True,
        return_inverse=True,
        return_counts=True,
        size=flat.size,
    )
    inverse = xp.reshape(inverse, -1)
    found = xp.sum(counts > 0)
    if not sorted:
        order = xp.argsort(xp.where(counts > 0, first, flat.size))
        first, counts = first[order], counts[order]
        inverse = xp.argsort(order)[inverse]
    places = (a.astype("int64") for a in (first, inverse, counts))
    results = zip((flat[first], *places), outputs, strict=True)
    return (*(array if wanted else None for array, wanted in results), found)


def non_max_suppression_bounded(
    xp: Any,
    boxes: Array,
    scores: Array,
    max_output_boxes_per_class: Array,
    iou_threshold: Array | None = None,
    score_threshold: Array | None = None,
    center_point_box: int = 0,
) -> tuple[Array, Array]:
    """Rows (batch, class, box) as NonMaxSuppression gives, then zeros; how many."""
    wanted = int(np.asarray(max_output_boxes_per_class).reshape(-1)[0])
    limit = min(wanted, scores.shape[2])
    overlap = 0.0 if iou_threshold is None else iou_threshold.reshape(())
    # Best first: then the best that is left is the first.
    order = xp.argsort(-scores, axis=-1, stable=True)
    corners = box_corners(xp, boxes, center_point_box)[:, None]
    corners = xp.take_along_axis(corners, order[..., None], axis=2)
    left = xp.ones(scores.shape, bool)
    if score_threshold is not None:
        left = xp.take_along_axis(scores, order, axis=-1) > score_threshold.reshape(())
    turn = partial(keep_best, xp, corners, overlap)
    _, best = lax.scan(turn, left, None, length=limit)
    best = xp.moveaxis(best, 0, -1)
    found = (best >= 0).reshape(-1)
    kept = xp.take_along_axis(order, xp.maximum(best, 0), axis=-1)
    rows = (*axis_grids(best.shape)[:2], kept)
    rows = (xp.broadcast_to(a, best.shape).reshape(-1).astype("int64") for a in rows)
    table, count = xp.stack(tuple(rows), axis=1), xp.sum(found)
    (places,) = xp.nonzero(found, size=found.size, fill_value=0)
    there = xp.arange(found.size)[:, None] < count
    return xp.where(there, table[places], 0), count


def keep_best(
    xp: Any, corners: Array, overlap: Any, left: Array, _: None
) -> tuple[Array, Array]:
    """
    What is `left` ``[batch, class, box]`` once the first is kept; its place, or -1.

    Those that overlap it go too.
    """
    first = xp.argmax(left, axis=-1)
    box = xp.take_along_axis(corners, first[..., None, None], axis=2)
    apart = box_overlaps(xp, box, corners) <= overlap
    others = xp.arange(left.shape[-1]) != first[..., None]
    place = xp.where(xp.any(left, axis=-1), first, -1)
    return left & apart & others, place


# --- what takes padded operands ---


def masked(x: Array, axis: int, count: Array, filler: str) -> Array:
    """
    `x` with its elements from `count` on along `axis` replaced.

    By ``zero`` or ``one``, the ``lowest`` or ``highest`` number of its type (infinity,
    if there is one), or an index ``outside`` of any tensor.
    """
    place = axis_grids(x.shape)[axis]
    return jnp.where(place < count, x, filling(x.dtype, filler))


def filling(dtype: Any, filler: str) -> Any:
    """The number of `dtype` that `filler` stands for."""
    if filler in ("zero", "one"):
        return np.asarray(filler == "one", dtype)
    if filler == "outside":
        return np.asarray(np.iinfo(np.int32).max, dtype)
    if dtype == np.bool_:
        return np.asarray(filler == "highest")
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return np.asarray(limits.min if filler == "lowest" else limits.max, dtype)
    return np.asarray(-np.inf if filler == "lowest" else np.inf, dtype)


KERNELS: dict[str, Callable[..., Any]] = {
    "onnx.Compress": compress_bounded,
    "onnx.NonMaxSuppression": non_max_suppression_bounded,
    "onnx.NonZero": nonzero_bounded,
    "onnx.Unique": unique_bounded,
}
"""By operator, the kernel whose last result is how many of the others count."""
