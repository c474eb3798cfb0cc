"""
How fast this machine is at the moment: work of a fixed size, timed among programs.

What shares a machine with others is now faster and now slower, by half and more, for a
second or for an hour. What a program takes beside the reference stays.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

SMALL, SIDE, LARGE = 1 << 12, 64, 1 << 21
"""Elements that a cache holds, a side of matrices, and elements that none holds."""
REPEATED = 16
"""Times that the small works are done at a time."""
TURNS = 5


class Reference:
    """Curves in the cache, small products on one core, and a sum out of memory."""

    def __init__(self) -> None:
        generator = np.random.default_rng(0)
        small = generator.random(SMALL, np.float32)
        matrix = generator.random((SIDE, SIDE), np.float32)
        large = generator.random(LARGE, np.float32)
        self._works: tuple[Callable[[], Any], ...] = (
            partial(_repeated, partial(np.exp, small, out=np.empty_like(small))),
            partial(_repeated, partial(np.dot, matrix, matrix, np.empty_like(matrix))),
            partial(np.add, large, large, out=np.empty_like(large)),
        )

    def seconds(self) -> float:
        """The geometric mean of what its works take, each the median of `TURNS`."""
        taken = [
            statistics.median(_seconds(work) for _ in range(TURNS))
            for work in self._works
        ]
        return math.prod(taken) ** (1 / len(taken))


def _repeated(work: Callable[[], Any]) -> None:
    for _ in range(REPEATED):
        work()


def _seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
