"""Kernels: products with weights that are stored without their zeros."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = Any

BITS = np.unpackbits(
    np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little"
).astype(np.int32)
"""The bits of every byte, the lowest first."""

BEFORE = np.cumsum(BITS, axis=1, dtype=np.int32) - BITS
"""How many bits are set before each bit of a byte."""


def run_rows(xp: Any, indices: Array, span: int) -> Array:
    """The inputs that runs of `span` are: ``[groups, kept]``."""
    if span == 1:
        return indices
    rows = indices[:, :, None] * span + xp.arange(span, dtype=indices.dtype)
    return rows.reshape(indices.shape[0], -1)


def gather_matmul(
    xp: Any, x: Array, w: Array, indices: Array, axis: int = -1, span: int = 1
) -> Array:
    """
    ``y[..., group] = x[..., indices[group]] @ w[group]``, groups side by side.

    Along axis -2 ``y[..., group, :] = w[group] @ x[..., indices[group], :]``.
    """
    rows = run_rows(xp, indices, span)
    if axis == -2:
        parts = [
            xp.matmul(w[group], xp.take(x, rows[group], axis=-2))
            for group in range(w.shape[0])
        ]
    else:
        parts = [
            xp.matmul(xp.take(x, rows[group], axis=-1), w[group])
            for group in range(w.shape[0])
        ]
    return xp.concatenate(parts, axis=axis)


def expanded(xp: Any, v: Array, mask: Array, depth: int) -> Array:
    """The weight ``[N, depth]`` that `v` are the elements of, where `mask` has bits."""
    bits = xp.take(xp.asarray(BITS), mask, axis=0)
    counts = bits.sum(-1).reshape(-1)
    starts = (xp.cumsum(counts) - counts).reshape(*mask.shape, 1)
    places = starts + xp.take(xp.asarray(BEFORE), mask, axis=0)
    dense = xp.take(v, xp.minimum(places, v.shape[0] - 1)) * bits.astype(v.dtype)
    return dense.reshape(mask.shape[0], -1)[:, :depth]


def bitmap_matmul(
    xp: Any, x: Array, v: Array, mask: Array, K: int, axis: int = -1
) -> Array:
    """``x @ w``, or ``w.T @ x`` along axis -2, of a weight `w` with `K` inputs."""
    turned = expanded(xp, v, mask, K)
    return xp.matmul(turned, x) if axis == -2 else xp.matmul(x, turned.T)


KERNELS: dict[str, Callable[..., Any]] = {
    "sparse.BitmapMatMul": bitmap_matmul,
    "sparse.MatMul": gather_matmul,
}

STATIC: dict[str, tuple[int, ...]] = {}
