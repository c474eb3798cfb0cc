"""
How well the cost model does on families of models that it was not trained on.

Its scores are of whole models (within a fifth, the median error) and of the choice
among a model's pipelines (Kendall's tau, regret).
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from cost_subjects import DRAWN
from sardonyx.compiler.cost.choose import preferred
from sardonyx.compiler.cost.measurements import Measurement
from sardonyx.compiler.cost.roofline import program_roofline
from sardonyx.compiler.cost.sequence import train_sequences
from sardonyx.compiler.cost.training import train
from sardonyx.compiler.cost.turns import settled

SEEDS, FOLDS = 5, 5
NOISE = 0.03
"""
Programs whose times are closer are not ordered: measuring again may swap them.
"""
SURE = 0.05
"""
Nor are those of which it may be chance that one was the faster in most of the rounds in
which they took turns: a sign test gives more than this, of both sides.
"""
BOTH = "both, as shipped"

Predicted = Callable[[Measurement], float]


@dataclass(frozen=True)
class Score:
    """How well one way of predicting did on the models held out."""

    within: float
    """The part of models whose -O2 program was predicted to 20 %."""
    error: float
    """The median of |predicted / measured - 1|."""
    tau: float
    """Kendall's, over the pipelines of each model; the mean."""
    regret: float
    """What the pipeline chosen takes over the fastest, less 1; the mean."""
    fair: float
    """The same over the one that half of the rounds call the fastest, by the others."""


def is_real(measurement: Measurement) -> bool:
    """Whether it is of a model that was not drawn."""
    return not measurement.family.startswith(DRAWN)


def by_model(measurements: Iterable[Measurement]) -> dict[str, list[Measurement]]:
    """The programs of each model, -O2's first."""
    found: dict[str, list[Measurement]] = defaultdict(list)
    for one in measurements:
        found[one.model].append(one)
    return found


def score(measurements: Sequence[Measurement], predicted: Predicted) -> Score:
    errors: list[float] = []
    taus: list[float] = []
    regrets: list[float] = []
    fair: list[float] = []
    for programs in by_model(measurements).values():
        taken = [one.seconds for one in programs]
        said = [predicted(one) for one in programs]
        errors.append(abs(said[0] / taken[0] - 1))
        regrets.append(taken[preferred(said)] / min(taken) - 1)
        fair.append(fair_regret(programs, preferred(said)))
        tau = kendall(programs, said)
        if tau is not None:
            taus.append(tau)
    return Score(
        statistics.mean(error <= 0.2 for error in errors),
        statistics.median(errors),
        statistics.mean(taus) if taus else math.nan,
        statistics.mean(regrets),
        statistics.mean(fair),
    )


def fair_regret(programs: Sequence[Measurement], chosen: int) -> float:
    """
    What the program `chosen` takes over the fastest, less 1, without a winner's luck.

    The least of many noisy times is less than any program takes. So one half of the
    rounds says which is the fastest, and the other half how fast it is; and vice versa.
    """
    halves = [settled([one.rounds[n::2] for one in programs]) for n in range(2)]
    ratios = [
        there[chosen] / there[here.index(min(here))]
        for here, there in itertools.permutations(halves)
    ]
    return statistics.mean(ratios) - 1


def kendall(programs: Sequence[Measurement], said: Sequence[float]) -> float | None:
    """
    Kendall's tau over the pairs whose order is certain, see `NOISE`; None if none.
    """
    agreed = total = 0
    for one, other in itertools.combinations(zip(programs, said, strict=True), 2):
        if order := ordered(one[0], other[0]):
            total += 1
            agreed += order * int(np.sign(one[1] - other[1]))
    return agreed / total if total else None


def ordered(one: Measurement, other: Measurement) -> int:
    """-1 if `one` is certainly the faster, 1 if the slower; 0 if neither is certain."""
    if abs(math.log(one.seconds / other.seconds)) <= math.log1p(NOISE):
        return 0
    order = int(np.sign(one.seconds - other.seconds))
    turns = list(zip(one.rounds, other.rounds, strict=True))
    agreeing = sum(np.sign(a - b) == order for a, b in turns)
    return order if agreeing >= certain(len(turns)) else 0


@cache
def certain(rounds: int) -> int:
    """In how many of so many rounds one must be the faster; `SURE` tells why."""
    chance = 0.0
    for count in range(rounds, 0, -1):
        chance += math.comb(rounds, count) / 2**rounds
        if 2 * chance > SURE:
            return count + 1
    return 1


@dataclass(frozen=True)
class Held:
    """What each way said of a program that it was not trained on."""

    said: dict[str, dict[str, float]]
    """By the way, and the program's key."""
    covered: float


def held_out(measurements: Sequence[Measurement], seed: int, network: bool) -> Held:
    """Predictions of every real program by models that did not see its family."""
    real = list(filter(is_real, measurements))
    drawn = [one for one in measurements if not is_real(one)]
    families = sorted({one.family for one in real})
    order = np.random.default_rng(seed).permutation(len(families))
    folds = {families[int(n)]: place % FOLDS for place, n in enumerate(order)}
    said: dict[str, dict[str, float]] = defaultdict(dict)
    inside = 0
    for fold in range(FOLDS):
        given = [*drawn, *(one for one in real if folds[one.family] != fold)]
        asked = by_model(one for one in real if folds[one.family] == fold)
        model = train(given, seed)
        tokens = train_sequences(given, seed) if network else None
        for first, one in (
            (group[0], one) for group in asked.values() for one in group
        ):
            plain = () if one is first else first.ops
            found = model.predict(one.ops, one.rates, plain)
            inside += found.low <= one.seconds <= found.high
            said[BOTH][one.key] = found.seconds
            said["processes"][one.key] = model.by_program(one.ops, one.rates)
            said["trees"][one.key] = model.by_ops(one.ops, one.rates)
            if tokens is not None:
                said["network"][one.key] = tokens.seconds(one)
    return Held(said, inside / len(real))


def rows_of(
    measurements: Sequence[Measurement],
    network_seeds: int,
    advance: Callable[[int], object],
    firsts: dict[str, Held],
) -> Iterator[str]:
    """The rows of the table for one backend; `firsts` gets what seed 0 says."""
    real = list(filter(is_real, measurements))
    scores: dict[str, list[Score]] = defaultdict(list)
    covered: list[float] = []
    for seed in range(SEEDS):
        held = held_out(measurements, seed, seed < network_seeds)
        firsts.setdefault(real[0].backend, held)
        for way, said in held.said.items():
            scores[way].append(score(real, lambda one, said=said: said[one.key]))
        covered.append(held.covered)
        advance(1)
    line = score(real, lambda one: program_roofline(one.ops, one.rates))
    scores["roofline"].append(line)
    for name in ("roofline", "trees", "processes", BOTH, "network"):
        if name in scores:
            yield _row(real[0].backend, name, scores[name])
    share = format(statistics.mean(covered), ".0%")
    yield f"| {real[0].backend} | their 90 % interval covers {share} | | | | | |"


def _row(backend: str, name: str, scores: Sequence[Score]) -> str:
    def told(values: Sequence[float], kind: str) -> str:
        mean = format(statistics.mean(values), kind)
        if len(values) == 1:
            return mean
        return f"{mean} ({format(min(values), kind)} to {format(max(values), kind)})"

    cells = (
        told([one.within for one in scores], ".0%"),
        told([one.error for one in scores], ".1%"),
        told([one.tau for one in scores], ".2f"),
        told([one.regret for one in scores], ".1%"),
        told([one.fair for one in scores], ".1%"),
    )
    return f"| {backend} | {name} | {' | '.join(cells)} |"
