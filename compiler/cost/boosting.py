"""
Boosted trees for ops of which only the sums are known: what whole programs take.

    seconds(program) = 2 ** extra * call + sum over its ops of line(op) * 2 ** trees(op)

A profiler tells what an op takes where one op runs after the other. Where a backend
runs kernels beside each other, or merges ops, it does not: there programs alone tell,
and the error of a program is divided among its ops by their shares in it. As the trees
are for choosing among the programs of one model, how these differ from each other
counts more than how far off all of them are.

Gradient boosting (Friedman 2001) with the second derivative as weight (Chen and
Guestrin, "XGBoost", 2016): of log2(seconds) by the residual of an op it is at most the
op's share, as shares sum up to 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from .trees import Settings, Trees, grown, joined

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

AMONG = 1.0
"""How much differences among a model's programs count, beside each one's own error."""
OP = 0.5
"""How much an op that was measured alone counts, beside a program."""
LEAST_WEIGHT = 0.02
"""Ops of which programs tell less than this are held at what they have."""


@dataclass(frozen=True)
class Sums:
    """Ops, each that differs once, and the programs that are sums of them."""

    rows: Array
    """``[ops, features]``."""
    lines: Array
    """The roofline of each op, in seconds."""
    wanted: Array
    """log2 of what each op took over its roofline, by a profiler."""
    shares: Array
    """Of each op, the most that it took of a program; 0 if no profiler is trusted."""
    program: Array
    op: Array
    """``[uses]``: that a program has an op; as often as it has it."""
    seconds: Array
    calls: Array
    """What each program took, and what a call takes that does nothing."""
    model: Array
    """Of each program, a number."""

    def of(self, wanted: Array) -> Sums:
        """Those of the programs that are `wanted`, a mask."""
        uses = wanted[self.program]
        ops, op = np.unique(self.op[uses], return_inverse=True)
        return Sums(
            self.rows[ops],
            self.lines[ops],
            self.wanted[ops],
            self.shares[ops],
            (np.cumsum(wanted) - 1)[self.program[uses]],
            op,
            self.seconds[wanted],
            self.calls[wanted],
            np.unique(self.model[wanted], return_inverse=True)[1],
        )

    def predicted(self, residuals: Array, extra: float = 0.0) -> Array:
        """The seconds of each program, of the ops' `residuals` and the call's."""
        times = (self.lines * 2**residuals)[self.op]
        summed = np.bincount(self.program, times, len(self.seconds))
        return summed + self.calls * 2**extra


def boost(sums: Sums, seed: int, settings: Settings) -> tuple[Trees, float]:
    """
    Trees that give what each op takes over its roofline, as log2, and what a call does.

    Raises TrainingError where scikit-learn is not installed.
    """
    generator = np.random.default_rng(seed)
    weights = weights_of(sums.model)
    alone = OP * np.sqrt(sums.shares) * (sums.shares > 0)
    told = np.log2(sums.seconds)
    base = float(np.median(told - np.log2(sums.predicted(np.zeros(len(sums.rows))))))
    residuals, extra = np.full(len(sums.rows), base), 0.0
    trees: list[Any] = []
    for _ in range(settings.trees):
        seconds = sums.predicted(residuals, extra)
        pulled = _pulled(sums, told - np.log2(seconds), weights)
        of_call = sums.calls * 2**extra / seconds
        bend = (1 + AMONG) * float(weights @ of_call**2) + LEAST_WEIGHT
        shares = (sums.lines * 2**residuals)[sums.op] / seconds[sums.program]
        slopes, bends = (
            np.bincount(sums.op, per[sums.program] * shares, len(residuals))
            for per in (pulled, (1 + AMONG) * weights)
        )
        slopes += alone * (sums.wanted - residuals)
        bends += alone + LEAST_WEIGHT
        drawn = generator.random(len(bends)) < settings.part
        tree = grown(
            sums.rows[drawn],
            (slopes / bends)[drawn],
            bends[drawn],
            int(generator.integers(1 << 30)),
            settings,
        )
        residuals += settings.rate * tree.predict(sums.rows)
        extra += settings.rate * float(pulled @ of_call) / bend
        trees.append(tree)
    return joined(base, trees, settings.rate), extra


def weights_of(model: Array) -> Array:
    """Of each program: the more a model has, the less one counts."""
    found = 1 / np.sqrt(np.bincount(model)[model])
    return found / found.mean()


def _pulled(sums: Sums, error: Array, weights: Array) -> Array:
    """How each program's prediction is to change: its error, and that among others."""
    mean = np.bincount(sums.model, weights * error) / np.bincount(sums.model, weights)
    return weights * (error + AMONG * (error - mean[sums.model]))
