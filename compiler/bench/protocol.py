"""
Which blocks of calls are timed, in which order, and what statistics they have.

Speed is a ratio beside a peer. Single calls that alternate find the other's threads
asleep and the caches cold, so what alternates are blocks of back-to-back calls, of
which the first few are dropped; whoever is not being timed is stopped.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from ...dialects.errors import SardonyxError

MOST_CALLS = 512
"""A block's length at most, however fast a call is."""


class ContenderError(SardonyxError):
    """A contender that crashed, hung or refused: why, in one line."""


@dataclass(frozen=True)
class Started:
    """What a contender that has given its first result says of itself."""

    load_seconds: float
    """From the request to a program that can be called: libraries, model, compiling."""
    first_seconds: float
    """The first call; on JAX it compiles."""
    call_seconds: float
    """A warm call, the quickest of a few."""
    affinity: int | None = None
    """The cores that the process may use; None where the system does not say."""
    os_threads: int | None = None
    """The threads that the process has."""
    pool: int | None = None
    """The size of its thread pool, if its library says."""


class Contender(Protocol):
    """Something that can be timed, and stopped while others are."""

    name: str

    def start(self, limit_seconds: float) -> Started:
        """Load and call it for the first time. Raises ContenderError."""
        ...

    def block(self, calls: int, limit_seconds: float) -> list[float]:
        """The seconds of each of `calls` back-to-back calls. Raises ContenderError."""
        ...

    def pause(self) -> None:
        """Stop all its threads until `resume`."""
        ...

    def resume(self) -> None:
        """Go on after `pause`."""
        ...

    def close(self) -> None:
        """End it; nothing happens if it has ended."""
        ...


@dataclass(frozen=True)
class BlockPlan:
    """How often one contender is called."""

    rounds: int
    calls: int
    dropped: int


@dataclass(frozen=True)
class Plan:
    """
    How much is timed.

    A block is ``calls`` calls, or as many as take ``block_seconds`` if they are more.
    What does not fit in ``budget_seconds`` (all blocks of all contenders) is cut: all
    make fewer rounds, but ``least_rounds``; then the slow contenders make fewer calls,
    then fewer rounds.
    """

    rounds: int = 5
    calls: int = 16
    dropped: int = 4
    block_seconds: float = 0.1
    budget_seconds: float = 60.0
    limit_seconds: float = 300.0
    """Whoever takes longer for its first result, or overdue by this, has hung."""
    least_rounds: int | None = None
    """As many as ``rounds``, if not said."""

    def full_calls(self, call_seconds: float) -> int:
        """The calls of a block where time is no matter."""
        wanted = math.ceil(self.block_seconds / max(call_seconds, 1e-9))
        return max(self.calls, min(wanted, MOST_CALLS))

    def allot(self, call_seconds: Sequence[float]) -> list[BlockPlan]:
        """What each contender does, given how long a call of each takes."""
        blocks = [self.full_calls(s) * s for s in call_seconds]
        fitting = int(self.budget_seconds / max(sum(blocks), 1e-9))
        least = self.rounds if self.least_rounds is None else self.least_rounds
        everyone = min(self.rounds, max(least, fitting))
        costs = [everyone * block for block in blocks]
        shares = fair_shares(costs, self.budget_seconds)
        plans: list[BlockPlan] = []
        for seconds, cost, share in zip(call_seconds, costs, shares, strict=True):
            calls, rounds = self.full_calls(seconds), everyone
            if share < cost:
                calls = max(1, min(calls, int(share / (rounds * seconds))))
                rounds = max(1, min(rounds, int(share / (calls * seconds))))
            dropped = self.dropped if calls >= self.calls else calls // 4
            plans.append(BlockPlan(rounds, calls, min(self.dropped, dropped)))
        return plans

    def is_cut(self, plan: BlockPlan) -> bool:
        """Whether `plan` is less than what this plan wants."""
        least = self.rounds if self.least_rounds is None else self.least_rounds
        return plan.calls < self.calls or plan.rounds < least


def fair_shares(costs: Sequence[float], budget: float) -> list[float]:
    """
    The costs if the budget holds them; else the largest are cut to one equal share.
    """
    shares = [0.0] * len(costs)
    left = budget
    order = sorted(range(len(costs)), key=lambda i: costs[i])
    for place, index in enumerate(order):
        shares[index] = min(costs[index], left / (len(costs) - place))
        left -= shares[index]
    return shares


@dataclass(frozen=True)
class Block:
    """The kept calls of one block."""

    round: int
    seconds: tuple[float, ...]


@dataclass
class Timing:
    """What was measured of one contender."""

    name: str
    started: Started | None = None
    plan: BlockPlan | None = None
    blocks: list[Block] = field(default_factory=list[Block])
    failure: str | None = None
    """Why it did not get to the end."""


Report = Callable[[str, int, int], Any]
"""Called before every step: what it is, how many are done, of how many."""


def quiet(what: str, done: int, total: int) -> None:
    """Report nothing."""


def time_fairly(
    contenders: Sequence[Contender], plan: Plan, report: Report = quiet
) -> list[Timing]:
    """
    Start the contenders one by one, then time blocks of calls in turns.

    While one runs the others are paused, and all are when this returns. One that fails
    has its reason in its timing and is closed; the others go on.
    """
    timings = [Timing(c.name) for c in contenders]
    steps = len(contenders) * (1 + plan.rounds)
    for index, (contender, timing) in enumerate(zip(contenders, timings, strict=True)):
        report(f"{contender.name}: first result", index, steps)
        with _turn(contender, timing):
            timing.started = contender.start(plan.limit_seconds)
    started = [t for t in timings if t.started is not None]
    allotted = plan.allot([t.started.call_seconds for t in started if t.started])
    for timing, part in zip(started, allotted, strict=True):
        timing.plan = part
    for turn in range(plan.rounds):
        for place in range(len(contenders)):
            # Whoever is first follows the start of the round: that rotates.
            index = (place + turn) % len(contenders)
            done = len(contenders) * (1 + turn) + place
            report(f"{contenders[index].name}: round {turn + 1}", done, steps)
            _time_block(contenders[index], timings[index], turn, plan.limit_seconds)
    report("done", steps, steps)
    return timings


def _time_block(
    contender: Contender, timing: Timing, turn: int, overdue_seconds: float
) -> None:
    part, started = timing.plan, timing.started
    if timing.failure or part is None or started is None or turn >= part.rounds:
        return
    # Several times what is expected: other programs may be busy.
    limit = overdue_seconds + 4 * part.calls * started.call_seconds
    with _turn(contender, timing):
        seconds = contender.block(part.calls, limit)
        timing.blocks.append(Block(turn, tuple(seconds[part.dropped :])))


@contextmanager
def _turn(contender: Contender, timing: Timing) -> Generator[None]:
    """Let the contender run; a failure ends it and goes into its timing."""
    try:
        contender.resume()
        yield
        contender.pause()
    except ContenderError as error:
        timing.failure = str(error)
        contender.close()


# --- statistics ---


@dataclass(frozen=True)
class Summary:
    """The calls of all blocks."""

    median_seconds: float
    p10_seconds: float
    p90_seconds: float


@dataclass(frozen=True)
class Ratio:
    """A contender's time over a peer's: of the rounds' ratios the median, and ends."""

    median: float
    low: float
    high: float


def summarize(blocks: Sequence[Block]) -> Summary:
    """The median of all calls, and where the middle 80 % lie; seconds."""
    calls = [s for block in blocks for s in block.seconds]
    p10, median, p90 = (float(q) for q in np.quantile(calls, (0.1, 0.5, 0.9)))
    return Summary(median, p10, p90)


def paired_ratio(blocks: Sequence[Block], peer: Sequence[Block]) -> Ratio | None:
    """
    The ratio of medians, round by round; None without a round that both took part in.

    Within a round the machine is about equally busy for both; over all it drifts.
    """
    theirs = {block.round: float(np.median(block.seconds)) for block in peer}
    ratios = [
        float(np.median(block.seconds)) / theirs[block.round]
        for block in blocks
        if block.round in theirs
    ]
    if not ratios:
        return None
    return Ratio(float(np.median(ratios)), min(ratios), max(ratios))


def geometric_mean(ratios: Sequence[float]) -> float:
    """``exp(mean(log(r)))`` of at least one ratio."""
    return math.exp(sum(map(math.log, ratios)) / len(ratios))
