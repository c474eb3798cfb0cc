"""
Finds the pipeline that makes a model fastest here: predicted widely, measured narrowly.

    tune("model.onnx", "jax", budget_seconds=60).spec

Of the pipelines in `search.space_of` many are predicted, and a few measured beside
-O2: the fastest predicted, and those of which the model says that it cannot judge.
The fastest of them is measured once more, alone beside -O2: of several the fastest is
so by luck, too. What is not faster than -O2 beyond noise is not taken.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...dialects.errors import SardonyxError
from ..arguments import random_for, read_inputs
from ..bench.comparison import Entry, Measured, measure
from ..bench.contenders import artifact
from ..bench.machine import describe_machine
from ..bench.protocol import Block, Plan, Report, paired_ratio, quiet, summarize
from ..debug.refuse_timing import Pair
from ..debug.trial import Inputs
from ..driver import Executable, compile_model, load, specialize
from ..model import Model
from .predict import predictor
from .search import Ranked, Space, Unit, search, space_of

BUDGET_SECONDS = 60.0
SEARCHED = 0.4
"""The part of the budget in which programs are predicted."""
FINALISTS = 3
"""Of the fastest predicted so many are measured, beside -O2."""
UNJUDGED = 2
"""And so many of those that the model cannot judge."""
LEAST_PREDICTED = 4
"""Programs that are predicted at least, however short the budget is."""
MOST_ROUNDS, LEAST_ROUNDS = 3000, 24
"""
Of timed blocks each time, if the budget has room: of equal programs on a machine that
others use the medians of 48 rounds differ by up to 3 %.
"""
FIRST = 0.5
"""The part of the measuring in which all are beside each other."""
CALLS, DROPPED = 6, 2
"""Of a block at least: the shorter, the closer beside each other programs are timed."""
INSTANCES, INSTANCE_SECONDS = 3, 20.0
"""
Every program runs in so many processes if there is as much time for each: where its
arrays lie is another chance in each, see `turns.moved`.
"""
LEAST_SECONDS = 4.0
"""For the timed calls of all finalists."""


class TuneError(SardonyxError):
    """A model that cannot be tuned."""


@dataclass(frozen=True)
class Trial:
    """A pipeline that was measured, or was to be."""

    told: str
    """How it differs from -O2."""
    spec: str
    predicted_seconds: float
    reason: str
    """Why the prediction is the roofline's; empty if it is the model's."""
    seconds: float | None
    """The median call; None where it did not run."""
    ratio: tuple[float, float, float] | None
    """Its time over -O2's, round by round: the median, the least, the greatest."""
    failure: str = ""
    again: tuple[float, float, float] | None = None
    """The same once more, of the fastest; None of others."""

    def as_json(self) -> dict[str, Any]:
        """The fields, times in ms."""
        return {
            "differs": self.told,
            "pipeline": self.spec,
            "predicted_ms": 1e3 * self.predicted_seconds,
            "reason": self.reason,
            "measured_ms": None if self.seconds is None else 1e3 * self.seconds,
            "ratio": self.ratio and list(self.ratio),
            "again": self.again and list(self.again),
            "failure": self.failure,
        }


@dataclass(frozen=True)
class Tuned:
    """What `tune` found."""

    spec: str
    """The pipeline that was fastest; -O2's if none was faster."""
    chosen: int
    """Its place in `trials`."""
    trials: tuple[Trial, ...]
    """What was measured; -O2 stands first."""
    predicted: int
    """How many programs were predicted."""
    seconds: float
    """How long all of it took."""

    def as_json(self) -> dict[str, Any]:
        """The fields, for JSON."""
        return {
            "pipeline": self.spec,
            "chosen": self.chosen,
            "predicted": self.predicted,
            "seconds": self.seconds,
            "trials": [trial.as_json() for trial in self.trials],
        }


def tune(
    source: str | Path | Model,
    backend: str = "jax",
    dims: Mapping[str, int] | None = None,
    budget_seconds: float = BUDGET_SECONDS,
    inputs: Inputs | None = None,
    threads: int | None = None,
    more: Sequence[Unit] = (),
    report: Report = quiet,
) -> Tuned:
    """
    Search the pipelines of a model for about `budget_seconds`.

    The arrays are random unless `inputs` has files; `more` are further decisions, such
    as which layers to quantize. Raises SardonyxError for a model that does not compile
    or run at -O2.
    """
    start = time.perf_counter()
    model = load(source)
    if dims:
        specialize(model, dims)
    space = space_of(model, backend, in_part=True, more=more)
    given = inputs or Inputs()
    first = space.build((0,) * len(space.units)).executable
    held = read_inputs(given.files, first.inputs)
    arrays = random_for(first, dict(given.sizes), given.seed, held)
    predict = predictor(backend, dict(given.sizes) or None)
    deadline = start + SEARCHED * budget_seconds
    ranked = search(space, predict, deadline, report=report, least=LEAST_PREDICTED)
    finalists = _finalists(space, ranked)
    left = max(budget_seconds - (time.perf_counter() - start), LEAST_SECONDS)
    everyone = threads or describe_machine().cores
    made = [compile_model(model, backend, one.spec) for one in finalists]
    found = _measured(made, arrays, everyone, FIRST * left, report)
    trials = [
        _trial(space, one, timing, found[0])
        for one, timing in zip(finalists, found, strict=True)
    ]
    chosen, best = 0, _fastest(trials)
    if best:
        pair = [made[0], made[best]]
        default, other = _measured(pair, arrays, everyone, (1 - FIRST) * left, report)
        trials[best] = replace(trials[best], again=_ratio(other, default))
        if Pair(default.timing.blocks, other.timing.blocks).is_slower:
            chosen = best
    spent = time.perf_counter() - start
    return Tuned(trials[chosen].spec, chosen, tuple(trials), len(ranked), spent)


def _finalists(space: Space, ranked: Sequence[Ranked]) -> list[Ranked]:
    """-O2, the fastest predicted, and the fastest of those that were not judged."""
    (default,) = (one for one in ranked if not any(one.choice))
    judged = [one for one in ranked if not one.prediction.reason and one != default]
    others = [one for one in ranked if one.prediction.reason and one != default]
    return [default, *judged[:FINALISTS], *others[:UNJUDGED]]


def _measured(
    programs: Sequence[Executable],
    arrays: Mapping[str, Any],
    threads: int,
    seconds: float,
    report: Report,
) -> list[Measured]:
    """The artifacts of all timed beside each other, each in processes of its own."""
    instances = max(1, min(INSTANCES, int(seconds / INSTANCE_SECONDS)))
    plan = Plan(
        rounds=MOST_ROUNDS // instances,
        least_rounds=LEAST_ROUNDS // instances,
        calls=CALLS,
        dropped=DROPPED,
        block_seconds=0.05,
        budget_seconds=seconds,
    )
    with tempfile.TemporaryDirectory(prefix="sardonyx-tune-") as name:
        entries: list[Entry] = []
        for instance in range(instances):
            for place, program in enumerate(programs):
                called = f"{place}.{instance}"
                folder = program.save(Path(name) / called)
                entries.append(Entry(called, artifact(folder)))
        each = measure(entries, arrays, threads, plan, report)
    count = len(programs)
    found = [_together(each[place::count]) for place in range(count)]
    if found[0].timing.failure is not None:
        raise TuneError(f"tune: -O2 cannot run: {found[0].timing.failure}")
    return found


def _together(instances: Sequence[Measured]) -> Measured:
    """What the processes of one program took, in rounds of their own."""
    first, count = instances[0], len(instances)
    failures = [one.timing.failure for one in instances if one.timing.failure]
    blocks = [
        Block(block.round * count + place, block.seconds)
        for place, one in enumerate(instances)
        for block in one.timing.blocks
    ]
    failure = failures[0] if failures else None
    return replace(first, timing=replace(first.timing, blocks=blocks, failure=failure))


def _ratio(one: Measured, default: Measured) -> tuple[float, float, float] | None:
    """The median, the least and the greatest of the rounds; None where it failed."""
    if one.timing.failure is not None:
        return None
    paired = paired_ratio(one.timing.blocks, default.timing.blocks)
    return paired and (paired.median, paired.low, paired.high)


def _trial(space: Space, one: Ranked, found: Measured, default: Measured) -> Trial:
    failure, prediction = found.timing.failure, one.prediction
    seconds = None
    if failure is None:
        seconds = summarize(found.timing.blocks).median_seconds
    return Trial(
        space.told(one.choice),
        one.spec,
        prediction.seconds,
        prediction.reason,
        seconds,
        _ratio(found, default),
        failure or "",
    )


def _fastest(trials: Sequence[Trial]) -> int:
    """The place of the one that took the least time; -O2's among equals."""
    ratios = [math.inf if one.ratio is None else one.ratio[0] for one in trials]
    return ratios.index(min(ratios))
