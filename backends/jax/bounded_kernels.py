"""JAX kernels whose results are padded to a bound, and return how much is none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import jax.numpy as jnp
import numpy as np

from ..kernels.indexing import axis_grids

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
    "onnx.NonZero": nonzero_bounded,
    "onnx.Unique": unique_bounded,
}
"""By operator, the kernel whose last result is how many of the others count."""
