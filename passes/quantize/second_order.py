"""
Rounding that makes up for its errors: the second-order solver behind GPTQ.

Rows of a weight ``[K, N]`` are rounded one after another, and what a row's error does
to the outputs is taken back by the rows to come (Frantar et al., "GPTQ", 2022,
arXiv:2210.17323, after "Optimal Brain Compression", arXiv:2208.11580).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ...dialects.onnx.types import Array
from ...dialects.quant import Granularity, Scheme
from ...dialects.quant.numbers import Fitted, fit, quantized, restored

BLOCK = 128
"""So many rows are updated one by one before the rest hears of their errors."""


@dataclass(frozen=True)
class Solver:
    """
    How to round: `scheme` groups along axis 0, `damping` is part of the mean diagonal.

    In the order of activations, rows whose inputs are largest come first; the groups'
    scales are then those of the weight as it was.
    """

    scheme: Scheme
    damping: float = 0.01
    activation_order: bool = True
    least_error: bool = True

    def solve(self, weight: Array, second: Array) -> tuple[Array, Fitted]:
        """
        The codes ``[K, N]`` of `weight` and their scales ``[groups, N]``.

        `second` is the mean of ``x x^T`` over the inputs. A column whose loss rounding
        to the nearest would make less is rounded so: no column gets worse. Raises
        ValueError unless `second` is square and of the weight's depth.
        """
        depth = weight.shape[0]
        if second.shape != (depth, depth):
            raise ValueError(f"found {second.shape}, wanted {(depth, depth)}")
        wanted = weight.astype(np.float64)
        hessian = damped(second.astype(np.float64), self.damping)
        nearest = fit(weight, self.scheme, self.least_error)
        codes, fitted = self._rounded(wanted, hessian, nearest)
        plain = quantized(weight, nearest, self.scheme)
        solved = loss(restored(codes, fitted, self.scheme) - wanted, hessian)
        rounded = loss(restored(plain, nearest, self.scheme) - wanted, hessian)
        keep = solved <= rounded
        return np.where(keep, codes, plain), Fitted(
            np.where(keep, fitted.scale, nearest.scale),
            np.where(keep, fitted.zero, nearest.zero),
        )

    def _rounded(
        self, wanted: Array, hessian: Array, static: Fitted
    ) -> tuple[Array, Fitted]:
        depth = wanted.shape[0]
        first = -np.diagonal(hessian) if self.activation_order else np.zeros(depth)
        order: Array = np.argsort(first, kind="stable")
        upper = inverse_root(hessian[np.ix_(order, order)])
        work = _Work(self, wanted[order].copy(), order, static)
        for start in range(0, depth, BLOCK):
            work.block(upper, start, min(start + BLOCK, depth))
        codes = np.empty_like(work.codes)
        codes[order] = work.codes
        return codes, Fitted(work.scale, work.zero)


class _Work:
    """The weight as rounding goes on, its rows in the order that they are rounded."""

    def __init__(self, solver: Solver, rows: Array, order: Array, static: Fitted):
        self.solver, self.rows, self.order = solver, rows, order
        self.scale, self.zero = static.scale.copy(), static.zero.copy()
        self.codes = np.empty(rows.shape, static.zero.dtype)
        self.size = solver.scheme.per.size or rows.shape[0]

    def block(self, upper: Array, start: int, stop: int) -> None:
        """Round rows ``start`` to ``stop``, and tell the rest of their errors."""
        errors = np.empty((stop - start, self.rows.shape[1]))
        for row in range(start, stop):
            self._refit(row)
            error = (self.rows[row] - self._round(row)) / upper[row, row]
            errors[row - start] = error
            self.rows[row:stop] -= np.outer(upper[row, row:stop], error)
        self.rows[stop:] -= upper[start:stop, stop:].T @ errors

    def _refit(self, row: int) -> None:
        """At the start of a group, its scales are those of the weight by now."""
        if self.solver.activation_order or row % self.size:
            return
        whole = self.rows[row : row + self.size].astype(np.float32)
        scheme = replace(self.solver.scheme, per=Granularity(1))
        fitted = fit(whole, scheme, self.solver.least_error)
        group = row // self.size
        self.scale[group], self.zero[group] = fitted.scale, fitted.zero

    def _round(self, row: int) -> Array:
        group = int(self.order[row]) // self.size
        fitted = Fitted(self.scale[group], self.zero[group])
        scheme = replace(self.solver.scheme, per=Granularity(0))
        codes = quantized(self.rows[row], fitted, scheme)
        self.codes[row] = codes
        return restored(codes, fitted, scheme).astype(np.float64)


def loss(error: Array, hessian: Array) -> Array:
    """``sum over inputs of (x . e)^2`` for every column `e` of `error`."""
    return np.einsum("kn,kn->n", error, hessian @ error)


def damped(second: Array, damping: float) -> Array:
    """`second` made positive definite: inputs that are always 0 weigh 1."""
    diagonal = np.diagonal(second).copy()
    # A row that is never used is rounded alone.
    dead = np.where(diagonal == 0, 1.0, 0.0)
    return second + np.diag(dead + damping * float(diagonal.mean()))


def inverse_root(hessian: Array) -> Array:
    """The upper triangle `u` with ``u^T u = hessian^-1``."""
    return np.linalg.cholesky(np.linalg.inv(hessian)).T
