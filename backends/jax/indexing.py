"""JAX kernels for scatters and top-k."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import jax.numpy as jnp
import numpy as np
from jax import lax

from ..kernels.indexing import axis_grids, scatter_at, top_k

Array: TypeAlias = Any


def scatter_elements_functional(
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
    return scatter_functional(xp, x, tuple(index), updates, reduction)


def scatter_nd_functional(
    xp: Any, x: Array, indices: Array, updates: Array, reduction: str = "none"
) -> Array:
    """`x` with ``y[indices[i]] = updates[i]``: coordinates lie on the last axis."""
    index = tuple(indices[..., i] for i in range(indices.shape[-1]))
    return scatter_functional(xp, x, index, updates, reduction)


def scatter_functional(
    xp: Any, x: Array, index: tuple[Array, ...], updates: Array, reduction: str
) -> Array:
    """A new `x` with `updates` at `index`; shapes known while tracing stay in NumPy."""
    if xp is np:
        return scatter_at(x, index, updates, reduction)
    place = xp.asarray(x).at[index]
    if reduction == "none":
        return place.set(updates)
    if reduction == "add":
        return place.add(updates)
    if reduction == "mul":
        return place.multiply(updates)
    if reduction == "max":
        return place.max(updates)
    if reduction == "min":
        return place.min(updates)
    raise ValueError(f"reduction is {reduction!r}, not none, add, mul, max or min")


def top_k_functional(
    xp: Any,
    x: Array,
    k: Array,
    axis: int = -1,
    largest: int = 1,
    sorted: int = 1,
    outputs: tuple[bool, ...] = (True, True),
) -> tuple[Array | None, ...]:
    """The `k` largest (or smallest) elements on `axis`, in order, and their indices."""
    if xp is np:
        return top_k(xp, x, k, axis, largest, sorted, outputs)
    count = int(np.asarray(k).reshape(-1)[0])
    rows = jnp.moveaxis(x, axis, -1)
    kind = np.dtype(x.dtype).kind
    if largest:
        values, order = lax.top_k(rows, count)
    elif kind in "iu":
        # ~x reverses the order of every integer, where -x overflows.
        values, order = lax.top_k(~rows, count)
        values = ~values
    else:
        order = jnp.argsort(rows, axis=-1, stable=True)[..., :count]
        values = jnp.take_along_axis(rows, order, axis=-1)
    values = jnp.moveaxis(values, -1, axis) if outputs[0] else None
    order = jnp.moveaxis(order, -1, axis).astype("int64") if outputs[1] else None
    return values, order


KERNELS: dict[str, Callable[..., Any]] = {
    "ScatterElements": scatter_elements_functional,
    "ScatterND": scatter_nd_functional,
    "TopK": top_k_functional,
}
