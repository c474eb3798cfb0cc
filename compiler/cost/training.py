"""
Trains the learned cost model (`learned`) on what was measured.

Trees are boosted on ops (`boosting`), processes fitted to programs (`processes`). How
far families were off that were held out meanwhile says how much each of the two counts,
and how wide the interval is (split conformal prediction: Lei et al. 2018).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from ...passes.analysis.targets import Rates
from .boosting import Sums, boost, weights_of
from .facts import OpFacts
from .features import op_vector
from .learned import CHECKED, KIND, BackendModel
from .measurements import Measurement
from .processes import Kernels, Programs
from .roofline import roofline_seconds
from .trees import Settings, TrainingError, averaged

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

COVERED = 0.9
"""The part of held-out programs that the interval holds."""
LEAST = 0.02
"""An op that took less than this part of its roofline took as good as nothing."""
SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
"""
How much the process of whole programs may count: as much as tells families best that
were held out in training. Where a profiler tells what ops take, trees need it less.
"""
FOLDS = 2
BAGS = 2
"""A model is the mean of so many, trained with other seeds."""
OPS = Settings(trees=100, depth=6, rate=0.15, part=0.4, features=0.4, leaf=5)


def train(
    measurements: Sequence[Measurement], seed: int = 0, bags: int = BAGS
) -> BackendModel:
    """
    A model of what was measured, all on one backend: the mean of `bags` trainings.

    Raises TrainingError for fewer than two families, and where scikit-learn is missing.
    """
    families = sorted({one.family for one in measurements})
    if len(families) < 2:
        raise TrainingError(f"found families {families}, wanted two or more")
    sums, known = _sums(measurements), Programs.of(measurements)
    kernels = known.kernels()
    by_ops, by_program = _held_out(sums, known, kernels, seed)

    def off(share: float) -> Array:
        return np.abs((1 - share) * by_ops + share * by_program)

    weights = weights_of(sums.model)
    share = min(SHARES, key=lambda one: float(weights @ off(one)))
    over = known.over
    scale = float(np.median(over))
    checked = sums.rows[:, CHECKED]
    trained = [boost(sums, seed * bags + bag, OPS) for bag in range(bags)]
    return BackendModel(
        averaged([trees for trees, _ in trained]),
        known.processes(kernels),
        float(np.mean([extra for _, extra in trained])),
        share,
        checked.min(axis=0),
        checked.max(axis=0),
        frozenset(map(int, sums.rows[:, KIND])),
        scale,
        _quantile(off(share)),
        _quantile(np.abs(over - scale)),
    )


def _held_out(
    sums: Sums, known: Programs, kernels: Kernels, seed: int
) -> tuple[Array, Array]:
    """
    How far each program is off, as log2, by models that did not see its family.

    By the trees, and by the process. What is said of programs that it was trained on is
    better than of any else, so neither the interval nor how much each of the two counts
    may be learned from that.
    """
    families = sorted(set(known.families))
    order = np.random.default_rng(seed).permutation(len(families))
    folds = {families[int(n)]: place % FOLDS for place, n in enumerate(order)}
    fold = np.array([folds[family] for family in known.families])
    by_ops, by_program = np.zeros(len(fold)), np.zeros(len(fold))
    for place in range(FOLDS):
        outside = fold == place
        if outside.any() and not outside.all():
            trees, extra = boost(sums.of(~outside), seed, OPS)
            asked = sums.of(outside)
            said = asked.predicted(trees.predict(asked.rows), extra)
            by_ops[outside] = np.log2(asked.seconds / said)
            over = known.kept(~outside).processes(kernels).of(known.vectors[outside])
            by_program[outside] = known.over[outside] - over
    return by_ops, by_program


def _quantile(off: Array) -> float:
    """The conformal quantile: of n values the ceil((n + 1) `COVERED`)-th."""
    place = min(math.ceil((len(off) + 1) * COVERED), len(off)) - 1
    return float(np.sort(off)[place])


def _sums(measurements: Sequence[Measurement]) -> Sums:
    """The ops, each that differs once, with the mean of its times."""
    places: dict[tuple[OpFacts, Rates], int] = {}
    times: list[list[float]] = []
    shares: list[float] = []
    uses: list[tuple[int, int]] = []
    for program, one in enumerate(measurements):
        known = sum(seconds or 0.0 for seconds in one.op_seconds)
        # What a profiler adds or misses is spread over all.
        factor = one.seconds / known if known else 1.0
        for facts, seconds in zip(one.ops, one.op_seconds, strict=True):
            place = places.setdefault((facts, one.rates), len(places))
            if place == len(times):
                times.append([])
                shares.append(0.0)
            uses.append((program, place))
            times[place].append((seconds or 0.0) * factor)
            # Of kernels that run beside each other a profiler tells no op's time.
            if known and not one.rates.fuses:
                shares[place] = max(shares[place], (seconds or 0.0) / known)
    lines = np.array([roofline_seconds(*key) for key in places])
    means = np.array([np.mean(found) for found in times])
    program, op = np.array(uses).T
    models = [one.model for one in measurements]
    return Sums(
        np.array([op_vector(*key) for key in places], np.float32),
        lines,
        np.log2(np.maximum(means / lines, LEAST)),
        np.array(shares),
        program,
        op,
        np.array([one.seconds for one in measurements]),
        np.array([one.rates.call_seconds for one in measurements]),
        np.unique(models, return_inverse=True)[1],
    )
