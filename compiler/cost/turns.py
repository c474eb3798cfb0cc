"""
Programs timed in turns, for as long as one of them would take many times over.

What shares a machine with others is slow for a tenth of a second or for minutes. So a
program is not timed at a stretch: in every round each has its turn, and the rounds of
many programs are a long time. How fast the machine was meanwhile a `Reference` says,
which is timed as often; as a whole, for from one turn to the next it tells nothing of
what a program takes (divided by it, times spread up to 1.5 times as far).
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeAlias, cast

import numpy as np

from ...dialects.onnx.store import aligned_empty
from ..driver import Executable
from .reference import Reference

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
Calls: TypeAlias = Callable[[float], float]
"""What a call takes, as the median of those in so many seconds."""

MOST_CALLS = 200
TRIMMED = 4
"""Of more rounds than these, the ends are left out."""


@dataclass(frozen=True)
class Turns:
    """What was timed."""

    seconds: Sequence[Sequence[tuple[float, ...]]]
    """``seconds[group][program][round]``, each the median of a few calls in a row."""
    reference: float
    """The median of what the reference took."""


def in_turns(
    groups: Sequence[Sequence[Calls]],
    each: float,
    rounds: int,
    advance: Callable[[int], object] = lambda _: None,
) -> Turns:
    """
    Time the programs of `groups`, `each` for so many seconds in each of `rounds`.

    Those of a group are beside each other: their differences are asked for. Each round
    has an order of its own: with one order for all, the same program followed the same
    other every time, and was up to 0.8 of what it is elsewhere.
    """
    reference, generator = Reference(), np.random.default_rng(0)
    found: list[list[list[float]]] = [[[] for _ in group] for group in groups]
    references = [reference.seconds()]
    for turn in range(rounds):
        for place in map(int, generator.permutation(len(groups))):
            for program in map(int, generator.permutation(len(groups[place]))):
                found[place][program].append(groups[place][program](each))
            references.append(reference.seconds())
        advance(turn + 1)
    seconds = [[tuple(one) for one in group] for group in found]
    return Turns(seconds, statistics.median(references))


def settled(rounds: Sequence[Sequence[float]]) -> list[float]:
    """
    What each of several programs took, of ``rounds[program][round]``.

    A round that is slow for all of them is the machine's: what a round has in common
    goes into all alike, as its mean. Of what is left of a program the mean counts,
    without the least and the greatest. (Tukey's median polish, once.)
    """
    logs = np.log(np.array(rounds, np.float64))
    common = np.median(logs - np.median(logs, axis=1, keepdims=True), axis=0)
    left = np.sort(logs - common, axis=1)
    if left.shape[1] > TRIMMED:
        left = left[:, 1:-1]
    return [float(one) for one in np.exp(left.mean(axis=1) + common.mean())]


def calls_of(executable: Executable, arrays: Mapping[str, Any]) -> Calls:
    """Calls of a program that was called before, so that it is compiled."""
    return partial(_calls, executable, arrays)


def _calls(executable: Executable, given: Mapping[str, Any], seconds: float) -> float:
    arrays = given
    if executable.backend == "numpy":
        # Where its arrays lie is another chance each time.
        executable = moved(executable)
        arrays = {name: _copied(array) for name, array in given.items()}
    clock, found = time.perf_counter, list[float]()
    executable(**arrays)
    stop = clock() + seconds
    while not found or (clock() < stop and len(found) < MOST_CALLS):
        start = clock()
        executable(**arrays)
        found.append(clock() - start)
    return statistics.median(found)


def moved(executable: Executable) -> Executable:
    """
    The same NumPy program, its weights copied and its memory its own.

    Programs that differ little differ less than one does with where its arrays lie: two
    copies of one of MiniLM's programs differ by up to 2 %, and of its 66 pairs 29 were
    in a certain order in one process that read the same arrays in all rounds, 1 in
    another.
    """
    made = replace(executable)
    made.params = {name: _copied(array) for name, array in executable.params.items()}
    return made


def _copied(array: Any) -> Any:
    """A copy that is aligned and laid out as `array`; what is none stays."""
    if not isinstance(array, np.ndarray):
        return array
    held = cast(Array, array)
    if not held.flags.c_contiguous:
        return _copied(held.T).T if held.flags.f_contiguous else held
    made = aligned_empty(held.shape, held.dtype)
    made[...] = held
    made.flags.writeable = held.flags.writeable
    return made
