"""Products with sparse weights, in the forms that XLA on CPUs has fast code for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import jax.numpy as jnp

from ..kernels.sparsity import expanded, run_rows
from .linear import full_matmul

Array: TypeAlias = Any


def gather_batched_matmul(
    xp: Any, x: Array, w: Array, indices: Array, axis: int = -1, span: int = 1
) -> Array:
    """
    ``y[..., group] = x[..., indices[group]] @ w[group]``, groups side by side.

    Along axis -2 ``y[..., group, :] = w[group] @ x[..., indices[group], :]``. One
    product of all groups, each of whole rows that were gathered.
    """
    rows = run_rows(xp, indices, span)
    groups = w.shape[0]
    if axis == -2:
        picked = jnp.take(x, rows, axis=-2, mode="clip")
        y = full_matmul(w, picked)
        return y.reshape(*x.shape[:-2], -1, x.shape[-1])
    flat = x.reshape(-1, x.shape[-1])
    if groups == 1 or flat.shape[0] == 1:
        parts = jnp.take(flat, rows, axis=1, mode="clip").swapaxes(0, 1)
    else:
        turned = flat.T
        taken = [jnp.take(turned, row, axis=0, mode="clip").T for row in rows]
        parts = jnp.stack(taken)
    y = full_matmul(parts, w)
    return y.transpose(1, 0, 2).reshape(*x.shape[:-1], -1)


def bitmap_full_matmul(
    xp: Any, x: Array, v: Array, mask: Array, K: int, axis: int = -1
) -> Array:
    """``x @ w``, or ``w.T @ x`` along axis -2, of a weight `w` with `K` inputs."""
    turned = expanded(xp, v, mask, K)
    return full_matmul(turned, x) if axis == -2 else full_matmul(x, turned.T)


KERNELS: dict[str, Callable[..., Any]] = {
    "sparse.BitmapMatMul": bitmap_full_matmul,
    "sparse.MatMul": gather_batched_matmul,
}
