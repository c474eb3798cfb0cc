"""Two programs of one model timed beside each other, by the protocol of `bench`."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ...dialects.errors import SardonyxError
from ..bench.comparison import Entry, Measured, measure
from ..bench.contenders import artifact
from ..bench.protocol import Block, Plan, Report, paired_ratio, quiet, summarize
from ..driver import Executable

MARGIN = 0.02
"""What is slower by less than this part is not worth undoing."""
ERRORS = 3.0
"""How many standard errors a difference must be off 0."""
MIN_ROUNDS = 4
"""Fewer rounds say nothing."""


class CannotRun(SardonyxError):
    """A program that gave no result: which of the two, and why."""

    def __init__(self, said: str, kept: bool):
        super().__init__(said)
        self.kept = kept
        """Whether it is the program that has the pass."""


@dataclass(frozen=True)
class Pair:
    """The kept calls of the program with a pass, and of the one without it."""

    kept: Sequence[Block]
    without: Sequence[Block]

    @property
    def seconds(self) -> tuple[float, float]:
        """The medians of all calls, with the pass and without."""
        medians = [summarize(blocks).median_seconds for blocks in self._both]
        return medians[0], medians[1]

    @property
    def ratios(self) -> tuple[float, float, float]:
        """
        The time with the pass over that without: the median of the rounds, and ends.
        """
        ratio = paired_ratio(self.kept, self.without)
        assert ratio is not None, "both take part in every round"
        return ratio.median, ratio.low, ratio.high

    @property
    def is_slower(self) -> bool:
        """
        Whether the pass makes it slower, by more than `MARGIN` and than noise does.

        The median of the rounds' ratios (as logarithms) must be `ERRORS` standard
        errors above 0, which their median absolute deviation gives (1.253 * 1.483 *
        MAD / sqrt(n)), and all rounds but one must agree: another program may spoil
        one. Of equal programs eight rounds say so once in about a hundred times;
        whoever undoes something on that asks twice.
        """
        logs = np.log(self._by_round())
        if len(logs) < MIN_ROUNDS:
            return False
        median = float(np.median(logs))
        deviation = float(np.median(np.abs(logs - median)))
        error = 1.253 * 1.483 * deviation / math.sqrt(len(logs))
        agreeing = int(np.sum(logs > 0))
        if agreeing < len(logs) / 2 + math.sqrt(len(logs)):
            return False
        return median > max(math.log1p(MARGIN), ERRORS * error)

    def _by_round(self) -> list[float]:
        others = {block.round: np.median(block.seconds) for block in self.without}
        return [
            float(np.median(block.seconds) / others[block.round])
            for block in self.kept
            if block.round in others
        ]

    @property
    def _both(self) -> tuple[Sequence[Block], Sequence[Block]]:
        return self.kept, self.without


class Stopwatch(Protocol):
    """Times two programs beside each other."""

    def __call__(
        self, kept: Executable, without: Executable, seconds: float, report: Report
    ) -> Pair:
        """The calls of both, in about `seconds`. Raises CannotRun."""
        ...


@dataclass(frozen=True)
class ArtifactStopwatch:
    """Times what `compile` would write, each program in a new process of its own."""

    arrays: Mapping[str, Any]
    """The inputs by name."""
    threads: int
    plan: Plan = field(default_factory=lambda: Plan(rounds=8, block_seconds=0.05))

    def __call__(
        self,
        kept: Executable,
        without: Executable,
        seconds: float,
        report: Report = quiet,
    ) -> Pair:
        """The calls of both, in about `seconds` beside what starting takes."""
        plan = replace(self.plan, budget_seconds=seconds)
        with tempfile.TemporaryDirectory(prefix="sardonyx-refuse-") as name:
            entries = [
                Entry(word, artifact(program.save(Path(name) / word)))
                for word, program in (("with", kept), ("without", without))
            ]
            found = measure(entries, self.arrays, self.threads, plan, report)
        for measured, is_kept in zip(found, (True, False), strict=True):
            _check(measured, is_kept)
        return Pair(*(measured.timing.blocks for measured in found))


def _check(measured: Measured, kept: bool) -> None:
    if measured.timing.failure is not None:
        raise CannotRun(measured.timing.failure, kept)
