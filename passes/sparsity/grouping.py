"""
The search for groups of outputs that can share what they keep with least loss.

Balanced clustering by exchange: what each group keeps follows from its outputs, and
outputs change places between two groups where that keeps more. Both steps keep at least
as much as before, so the search ends: k-means whose clusters are of one size.
"""

from __future__ import annotations

import numpy as np

from ...dialects.onnx.types import Array
from .patterns import Pattern, group_sums, highest

ROUNDS = 30
"""No search takes more; most end after a few."""

STARTS = 3
"""So many random orders are begun from, besides those that are likely."""


def retained(importance: Array, pattern: Pattern) -> float:
    """The part of `importance` ``[K, N]`` that the pattern keeps."""
    depth = importance.shape[0]
    sums = group_sums(importance, pattern)
    kept = sums[highest(sums, pattern.runs(depth))].sum()
    return float(kept / max(float(importance.sum()), np.finfo(np.float64).tiny))


def grouped(importance: Array, pattern: Pattern) -> Array:
    """
    The order of outputs, int64 ``[N]``, whose groups keep most of `importance`.

    Never less than the order as it is. Within a group outputs keep their order.
    """
    depth, width = importance.shape
    runs = importance.reshape(depth // pattern.run, pattern.run, width).sum(1)
    size = pattern.width(width)
    search = _Search(runs, size, pattern.runs(depth))
    rng = np.random.default_rng(0)
    starts: list[Array] = [np.arange(width), _along_largest(runs)]
    starts += [rng.permutation(width) for _ in range(STARTS)]
    ends = [search.improved(start) for start in starts]
    best = max(ends, key=search.kept)
    parts = np.sort(best.reshape(-1, size), axis=1)
    return parts.reshape(-1).astype(np.int64)


def _along_largest(runs: Array) -> Array:
    """Outputs in the order of the direction in which what they use differs most."""
    share = runs / np.maximum(runs.sum(0), np.finfo(np.float64).tiny)
    centred = share - share.mean(1, keepdims=True)
    _, _, right = np.linalg.svd(centred, full_matrices=False)
    return np.argsort(right[0], kind="stable")


class _Search:
    def __init__(self, runs: Array, group: int, count: int):
        self.runs, self.group, self.count = runs, group, count

    def kept(self, order: Array) -> float:
        """What the groups of `order` keep, in all."""
        sums = self._sums(order)
        return float(sums[highest(sums, self.count)].sum())

    def improved(self, order: Array) -> Array:
        """`order` after exchanges, until none keeps more."""
        order, best = order.copy(), self.kept(order)
        for _ in range(ROUNDS):
            keep = highest(self._sums(order), self.count)
            # What each output would keep in each group.
            gains = keep.astype(np.float64) @ self.runs
            changed = self._exchanged(order, gains)
            now = self.kept(changed)
            if now <= best * (1 + 1e-12):
                return order
            order, best = changed, now
        return order

    def _sums(self, order: Array) -> Array:
        rows = self.runs[:, order].reshape(len(self.runs), -1, self.group)
        return rows.sum(2).T

    def _exchanged(self, order: Array, gains: Array) -> Array:
        parts = order.reshape(-1, self.group).copy()
        for one in range(len(parts)):
            for other in range(one + 1, len(parts)):
                _exchange(parts, one, other, gains)
        return parts.reshape(-1)


def _exchange(parts: Array, one: int, other: int, gains: Array) -> None:
    """Outputs change places between two groups as long as both together gain."""
    forth = gains[other, parts[one]] - gains[one, parts[one]]
    back = gains[one, parts[other]] - gains[other, parts[other]]
    first = np.argsort(-forth, kind="stable")
    second = np.argsort(-back, kind="stable")
    worth = forth[first] + back[second] > 0
    first, second = first[worth], second[worth]
    moved = parts[one, first].copy()
    parts[one, first] = parts[other, second]
    parts[other, second] = moved
