"""
When jobs run on engines that work at the same time: a simulation.

Every engine runs its jobs one after another in the order in which they are given; a job
begins when its engine is free and all that it needs is done.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from ...dialects.errors import SardonyxError


class TimelineError(SardonyxError):
    """Jobs that wait for each other."""


@dataclass(frozen=True)
class Job:
    """Work on one engine."""

    name: str
    engine: str
    seconds: float
    after: tuple[int, ...] = ()
    """The places, in the list of jobs, of those that must be done before."""
    group: int = 0
    """Which of several like it: a microbatch."""


@dataclass(frozen=True)
class Span:
    """When a job ran, in seconds from the start."""

    job: Job
    start: float
    end: float


@dataclass(frozen=True)
class Timeline:
    """When each job ran, in the order of the jobs."""

    spans: tuple[Span, ...]

    @cached_property
    def engines(self) -> tuple[str, ...]:
        """The engines, in the order in which jobs name them."""
        return tuple(dict.fromkeys(span.job.engine for span in self.spans))

    @property
    def makespan(self) -> float:
        """How long all of it takes."""
        return max((span.end for span in self.spans), default=0.0)

    def busy(self, engine: str) -> float:
        """How long `engine` works."""
        return sum(s.end - s.start for s in self.spans if s.job.engine == engine)

    def bubble(self, engines: Sequence[str]) -> float:
        """The share of the time in which `engines` stand still, all together."""
        whole = self.makespan * len(engines)
        return 1 - sum(map(self.busy, engines)) / whole if whole else 0.0


def simulate(jobs: Sequence[Job]) -> Timeline:
    """When each of `jobs` runs; TimelineError if some wait for each other."""
    waiting: dict[str, deque[int]] = {}
    for number, job in enumerate(jobs):
        waiting.setdefault(job.engine, deque()).append(number)
    spans: dict[int, Span] = {}
    free = dict.fromkeys(waiting, 0.0)
    moved = True
    while moved:
        moved = False
        for engine, queue in waiting.items():
            while queue and all(other in spans for other in jobs[queue[0]].after):
                job = jobs[queue[0]]
                start = max([free[engine], *(spans[other].end for other in job.after)])
                free[engine] = start + job.seconds
                spans[queue.popleft()] = Span(job, start, free[engine])
                moved = True
    stuck = [queue[0] for queue in waiting.values() if queue]
    if stuck:
        names = ", ".join(repr(jobs[number].name) for number in stuck)
        raise TimelineError(f"found jobs that wait for each other: {names}")
    return Timeline(tuple(spans[number] for number in range(len(jobs))))


def critical_path(jobs: Sequence[Job]) -> float:
    """The longest chain of jobs that need each other: no engines are faster."""
    ends: dict[int, float] = {}
    left = dict(enumerate(jobs))
    while left:
        ready = [n for n, job in left.items() if all(o in ends for o in job.after)]
        if not ready:
            raise TimelineError("found jobs that wait for each other")
        for number in ready:
            job = left.pop(number)
            start = max((ends[other] for other in job.after), default=0.0)
            ends[number] = start + job.seconds
    return max(ends.values(), default=0.0)
