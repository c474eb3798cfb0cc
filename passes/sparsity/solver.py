"""
Pruning that makes up for what it leaves out: SparseGPT's solver.

Inputs are left out one after another, and what that does to the outputs is taken back
by the weights to come (Frantar and Alistarh, "SparseGPT", 2023, arXiv:2301.00774). What
groups of outputs leave out together has one problem of least squares for all of them,
which is solved exactly; inputs are chosen by the same criterion, the loss that leaving
them out costs when the others make up for it (the "optimal brain surgeon").
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...dialects.onnx.types import Array
from ..quantize.second_order import BLOCK, damped, inverse_root, loss
from .patterns import Pattern, group_sums, highest, mask_of

STEPS = 8
"""At each step this part of the inputs that are still to go goes, or one run."""


@dataclass(frozen=True)
class Solver:
    """Prunes to `pattern`; `damping` is part of the mean diagonal."""

    pattern: Pattern
    damping: float = 0.01

    def solve(self, weight: Array, second: Array) -> Array:
        """
        `weight` ``[K, N]`` with zeros, and the rest adjusted; of its element type.

        `second` is the mean of ``x x^T`` over the inputs. No output's loss, or no
        group's, is larger than with Wanda's mask. Raises ValueError unless `second` is
        square and of the weight's depth.
        """
        depth = weight.shape[0]
        if second.shape != (depth, depth):
            raise ValueError(f"found {second.shape}, wanted {(depth, depth)}")
        wanted = weight.astype(np.float64)
        hessian = damped(second.astype(np.float64), self.damping)
        if self.pattern.shared:
            return self._by_groups(wanted, hessian).astype(weight.dtype)
        found = _Sequence(self.pattern, wanted, inverse_root(hessian)).solve()
        simple = wanted * self._simple_mask(wanted, hessian)
        better = loss(found - wanted, hessian) <= loss(simple - wanted, hessian)
        return np.where(better, found, simple).astype(weight.dtype)

    def _simple_mask(self, wanted: Array, hessian: Array) -> Array:
        importance = np.square(wanted) * np.diagonal(hessian)[:, None]
        return mask_of(importance, self.pattern, by_output=True)

    def _by_groups(self, wanted: Array, hessian: Array) -> Array:
        inverse = np.linalg.inv(hessian)
        width = self.pattern.width(wanted.shape[1])
        found = np.empty_like(wanted)
        for start in range(0, wanted.shape[1], width):
            group = wanted[:, start : start + width]
            masks = [
                self._simple_mask_of(group, hessian),
                _Elimination(self.pattern, group, inverse).solve(),
            ]
            fits = [least_squares(group, hessian, mask) for mask in masks]
            losses = [float(loss(fit - group, hessian).sum()) for fit in fits]
            found[:, start : start + width] = fits[int(np.argmin(losses))]
        return found

    def _simple_mask_of(self, group: Array, hessian: Array) -> Array:
        """Which inputs Wanda keeps for a group, bool ``[K]``."""
        importance = np.square(group) * np.diagonal(hessian)[:, None]
        sums = group_sums(importance, _of_width(self.pattern, group.shape[1]))
        if self.pattern.m:
            kept = highest(sums.reshape(-1, self.pattern.m), self.pattern.n)
            return kept.reshape(-1)
        runs = highest(sums, self.pattern.runs(len(group)))
        return np.repeat(runs[0], self.pattern.run)


def _of_width(pattern: Pattern, width: int) -> Pattern:
    """`pattern` as one group of `width` outputs has it."""
    return Pattern(
        pattern.kind, pattern.sparsity, width, pattern.run, pattern.n, pattern.m
    )


def least_squares(wanted: Array, hessian: Array, keep: Array) -> Array:
    """The weights of inputs in `keep` alone that do most of what `wanted` does."""
    found = np.zeros_like(wanted)
    inner = hessian[np.ix_(keep, keep)]
    found[keep] = np.linalg.solve(inner, hessian[keep] @ wanted)
    return found


class _Elimination:
    """Leaves out inputs of one group of outputs, those that cost least first."""

    def __init__(self, pattern: Pattern, group: Array, inverse: Array):
        self.pattern, self.rows, self.inverse = pattern, group.copy(), inverse.copy()
        self.kept = np.ones(len(group) // pattern.run, bool)

    def solve(self) -> Array:
        """Which inputs stay, bool ``[K]``."""
        runs = len(self.kept)
        stay = runs * self.pattern.n // self.pattern.m if self.pattern.m else 0
        stay = stay or self.pattern.runs(len(self.rows))
        while (left := int(self.kept.sum()) - stay) > 0:
            costs = np.where(self._may_go(), self._costs(), np.inf)
            count = max(left // STEPS, 1)
            gone = np.argsort(costs, kind="stable")[:count]
            gone = self._within_quota(gone[np.isfinite(costs[gone])])
            self._leave_out(gone)
        return np.repeat(self.kept, self.pattern.run)

    def _may_go(self) -> Array:
        """Which runs may still be left out."""
        if not self.pattern.m:
            return self.kept
        parts = self.kept.reshape(-1, self.pattern.m)
        full = parts.sum(1, keepdims=True) > self.pattern.n
        return (parts & full).reshape(-1)

    def _within_quota(self, gone: Array) -> Array:
        """The first of `gone` that no N:M forbids together."""
        if not self.pattern.m:
            return gone
        spare = self.kept.reshape(-1, self.pattern.m).sum(1) - self.pattern.n
        chosen: list[int] = []
        for run in gone.tolist():
            if spare[run // self.pattern.m] > 0:
                spare[run // self.pattern.m] -= 1
                chosen.append(run)
        return np.array(chosen, int)

    def _costs(self) -> Array:
        """The loss that leaving out each run adds when the others make up for it."""
        size = self.pattern.run
        blocks = len(self.kept)
        rows = self.rows.reshape(blocks, size, -1)
        if size == 1:
            variance = np.diagonal(self.inverse)
            energy = np.square(rows[:, 0]).sum(1)
            # What is left out already has neither, and does not count.
            return energy / np.where(self.kept, variance, 1)
        inner = self.inverse.reshape(blocks, size, blocks, size)
        own = inner[np.arange(blocks), :, np.arange(blocks)].copy()
        own[~self.kept] = np.eye(size)
        return (rows * np.linalg.solve(own, rows)).sum((1, 2))

    def _leave_out(self, gone: Array) -> None:
        size = self.pattern.run
        rows = (gone[:, None] * size + np.arange(size)).reshape(-1)
        own = self.inverse[np.ix_(rows, rows)]
        across = np.linalg.solve(own, self.inverse[rows]).T
        self.rows -= across @ self.rows[rows]
        self.inverse -= across @ self.inverse[rows]
        self.rows[rows] = 0
        self.kept[gone] = False


class _Sequence:
    """The weight as pruning goes down its inputs."""

    def __init__(self, pattern: Pattern, wanted: Array, upper: Array):
        self.pattern, self.rows, self.upper = pattern, wanted.copy(), upper
        self.keep = np.ones(wanted.shape, bool)

    def solve(self) -> Array:
        depth = len(self.rows)
        step = BLOCK - BLOCK % (self.pattern.m or 1) or self.pattern.m
        for start in range(0, depth, step):
            self._block(start, min(start + step, depth))
        return self.rows

    def _block(self, start: int, stop: int) -> None:
        """Prune inputs ``start`` to ``stop``, and tell the rest of their errors."""
        if not self.pattern.m:
            self._choose(start, stop)
        upper = self.upper
        errors = np.empty((stop - start, self.rows.shape[1]))
        for row in range(start, stop):
            if self.pattern.m and row % self.pattern.m == 0:
                self._choose(row, row + self.pattern.m)
            gone = np.where(self.keep[row], 0, self.rows[row])
            error = gone / upper[row, row]
            errors[row - start] = error
            self.rows[row:stop] -= np.outer(upper[row, row:stop], error)
            self.rows[row][~self.keep[row]] = 0
        self.rows[stop:] -= upper[start:stop, stop:].T @ errors

    def _choose(self, start: int, stop: int) -> None:
        """Which of inputs ``start`` to ``stop`` are kept, as the weights are by now."""
        scale = np.diagonal(self.upper)[start:stop, None]
        importance = np.square(self.rows[start:stop] / scale)
        # Each output has its own share: a threshold for all of a block takes too much
        # of outputs with small weights.
        self.keep[start:stop] = mask_of(importance, self.pattern, by_output=True)
