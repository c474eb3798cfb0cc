"""
Whether blocks of memory fit into a capacity: an exact search, within a budget.

After MiniMalloc (Moffitt, ASPLOS 2024): only canonical plans are looked at, those in
which blocks are put one on another from below, each as low as those before it let it;
times at which the rest cannot fit any more end a branch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

Span = tuple[int, int, int]
"""The first and the last time at which a block is held, and its size."""


@dataclass
class Budget:
    """How many more blocks may be put somewhere."""

    steps: int


def fit(spans: Sequence[Span], capacity: int, budget: Budget) -> tuple[int, ...] | None:
    """
    Offsets at which `spans` take at most `capacity`.

    None if there are none, or if the budget is spent before some are found. Blocks
    that are never held at a time with others' are searched apart.
    """
    offsets = [0] * len(spans)
    for part in _parts(spans):
        found = _Search([spans[i] for i in part], capacity, budget).run()
        if found is None:
            return None
        for index, offset in zip(part, found, strict=True):
            offsets[index] = offset
    return tuple(offsets)


def _parts(spans: Sequence[Span]) -> list[list[int]]:
    """The blocks, parted where none is held over from one part to the next."""
    parts: list[list[int]] = []
    end = -1
    for index in sorted(range(len(spans)), key=lambda i: spans[i][:2]):
        first, last, _ = spans[index]
        if first > end:
            parts.append([])
        parts[-1].append(index)
        end = max(end, last)
    return parts


@dataclass
class _Search:
    """A depth-first search over the order in which blocks are put down."""

    spans: Sequence[Span]
    capacity: int
    budget: Budget
    floor: list[int] = field(init=False)
    """How low every block may lie, by those that are put down."""
    waiting: set[int] = field(init=False)
    sections: list[list[int]] = field(init=False)
    """Of every time at which a block begins, those that are held."""
    crossed: list[list[int]] = field(init=False)
    """The sections that every block is in."""
    meets: list[list[int]] = field(init=False)

    def __post_init__(self) -> None:
        self.floor = [0] * len(self.spans)
        self.waiting = set(range(len(self.spans)))
        self.crossed = [[] for _ in self.spans]
        held: dict[frozenset[int], None] = {}
        for time in sorted({first for first, _, _ in self.spans}):
            now = [i for i, (f, last, _) in enumerate(self.spans) if f <= time <= last]
            held[frozenset(now)] = None
        # What is held within what is held at another time says nothing new.
        kept = [s for s in held if not any(s < other for other in held)]
        self.sections = [sorted(section) for section in kept]
        for number, section in enumerate(self.sections):
            for index in section:
                self.crossed[index].append(number)
        self.meets = [
            sorted({j for s in self.crossed[i] for j in self.sections[s]} - {i})
            for i in range(len(self.spans))
        ]

    def run(self) -> tuple[int, ...] | None:
        """The offsets; None if there are none or the budget is spent."""
        if not self._all_fit(range(len(self.sections)), 0):
            return None
        choices = [iter(self._choices(0, -1))]
        placed: list[tuple[int, list[tuple[int, int]]]] = []
        while self.waiting:
            index = next(choices[-1], None)
            if index is None:
                choices.pop()
                if not placed:
                    return None
                self._take_back(*placed.pop())
                continue
            if self.budget.steps <= 0:
                return None
            self.budget.steps -= 1
            raised = self._put(index)
            if self._may_fit(index, raised):
                placed.append((index, raised))
                choices.append(iter(self._choices(self.floor[index], index)))
            else:
                self._take_back(index, raised)
        return tuple(self.floor)

    def _choices(self, height: int, last: int) -> list[int]:
        """
        What may come after block `last` at `height`, the lowest first.

        Nothing that leaves room for a whole block below itself: with that block down
        there the rest fits as well.
        """
        free = [i for i in self.waiting if (self.floor[i], i) > (height, last)]
        room = min((self.floor[i] + self.spans[i][2] for i in free), default=0)
        free = [i for i in free if self.floor[i] < room]
        return sorted(free, key=lambda i: (self.floor[i], -self.spans[i][2], i))

    def _put(self, index: int) -> list[tuple[int, int]]:
        """Put a block on its floor; the floors that this raised, as they were."""
        self.waiting.remove(index)
        top = self.floor[index] + self.spans[index][2]
        raised: list[tuple[int, int]] = []
        for other in self.meets[index]:
            if other in self.waiting and self.floor[other] < top:
                raised.append((other, self.floor[other]))
                self.floor[other] = top
        return raised

    def _take_back(self, index: int, raised: Iterable[tuple[int, int]]) -> None:
        for other, floor in raised:
            self.floor[other] = floor
        self.waiting.add(index)

    def _may_fit(self, index: int, raised: Iterable[tuple[int, int]]) -> bool:
        """Whether what waits may still fit, at the times that a step changed."""
        touched = [index]
        for other, _ in raised:
            if self.floor[other] + self.spans[other][2] > self.capacity:
                return False
            touched.append(other)
        numbers = dict.fromkeys(n for i in touched for n in self.crossed[i])
        return self._all_fit(numbers, self.floor[index])

    def _all_fit(self, numbers: Iterable[int], height: int) -> bool:
        """
        Whether in every section what waits fits above the lowest floor in it.

        Nothing will be put below `height` any more.
        """
        for number in numbers:
            waits = [i for i in self.sections[number] if i in self.waiting]
            if waits:
                lowest = max(min(self.floor[i] for i in waits), height)
                total = sum(self.spans[i][2] for i in waits)
                if lowest + total > self.capacity:
                    return False
        return True
