"""
Offsets for blocks of memory that are each held for a while, in as few bytes as found.

Plain arithmetic on sizes and times. Greedy by size (Pisarchyk and Lee,
arXiv:2001.03288) and in other orders, then orders that are mended where they are bad;
where that is above the live-set lower bound, `search` looks for a plan at the bound.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from .search import Budget, fit


@dataclass(frozen=True)
class Block:
    """Memory that is held from `first` to `last`, both included."""

    first: int
    last: int
    size: int
    """In any unit; offsets are multiples of it."""

    def meets(self, other: Block) -> bool:
        """Whether both are held at some time."""
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True)
class Plan:
    """Where blocks begin, and how much they take together."""

    offsets: tuple[int, ...]
    size: int
    bound: int
    """What is held at the worst time: no plan is smaller."""


MENDINGS = 200
"""How often an order is mended before it is left as it is."""
STEPS = 60_000
"""How many blocks `search` may put somewhere before it gives up."""


def plan(blocks: Sequence[Block], steps: int = STEPS) -> Plan:
    """
    A plan for `blocks`: the smallest that was found.

    Without a clock in it, so that the same blocks give the same plan everywhere.
    """
    bound = lower_bound(blocks)
    neighbours = _neighbours(blocks)
    best: tuple[int, ...] = (0,) * len(blocks)
    size: int | None = None
    for key in _ORDERS:
        order = sorted(range(len(blocks)), key=lambda i: (key(blocks[i]), i))
        found, taken = _mended(blocks, neighbours, order, bound)
        if size is None or taken < size:
            best, size = found, taken
        if size == bound:
            break
    size = size or 0
    budget = Budget(steps)
    while size > bound:
        exact = _at_most(blocks, bound, size, budget)
        if exact is None:
            break
        best, size = exact, _taken(blocks, exact)
    return Plan(best, size, bound)


def lower_bound(blocks: Sequence[Block]) -> int:
    """The most that is held at one time."""
    if not blocks:
        return 0
    change = [0] * (max(block.last for block in blocks) + 2)
    for block in blocks:
        change[block.first] += block.size
        change[block.last + 1] -= block.size
    return max(accumulate(change))


_ORDERS: tuple[Callable[[Block], tuple[int, ...]], ...] = (
    lambda b: (-b.size, b.first - b.last),
    lambda b: (-b.size * (b.last - b.first + 1), -b.size),
    lambda b: (b.first - b.last, -b.size),
    lambda b: (b.first, -b.size),
    lambda b: (-b.last, -b.size),
)
"""Larger first; by area; longer first; as they are made; as they are released."""


def _neighbours(blocks: Sequence[Block]) -> list[list[int]]:
    """For every block those that it meets."""
    order = sorted(range(len(blocks)), key=lambda i: blocks[i].first)
    found: list[list[int]] = [[] for _ in blocks]
    held: list[int] = []
    for index in order:
        held = [i for i in held if blocks[i].last >= blocks[index].first]
        for other in held:
            found[other].append(index)
            found[index].append(other)
        held.append(index)
    return found


def _placed(
    blocks: Sequence[Block], neighbours: Sequence[Sequence[int]], order: Sequence[int]
) -> tuple[int, ...]:
    """Every block of `order` in the smallest gap that it fits into, else on top."""
    offsets = [-1] * len(blocks)
    for index in order:
        size = blocks[index].size
        below = sorted(
            (offsets[i], blocks[i].size) for i in neighbours[index] if offsets[i] >= 0
        )
        end, best, chosen = 0, None, 0
        for offset, other in below:
            gap = offset - end
            if gap >= size and (best is None or gap < best):
                best, chosen = gap, end
            end = max(end, offset + other)
        offsets[index] = end if best is None else chosen
    return tuple(offsets)


def _mended(
    blocks: Sequence[Block],
    neighbours: Sequence[Sequence[int]],
    order: list[int],
    bound: int,
) -> tuple[tuple[int, ...], int]:
    """The best of `order` and what it becomes as its topmost block comes sooner."""
    best = _placed(blocks, neighbours, order)
    size = _taken(blocks, best)
    offsets, taken = best, size
    for _ in range(MENDINGS):
        if size == bound:
            break
        ends = [o + b.size for o, b in zip(offsets, blocks, strict=True)]
        place = next(p for p, i in enumerate(order) if ends[i] == taken)
        if place == 0:
            break
        order.insert(place // 2, order.pop(place))
        offsets = _placed(blocks, neighbours, order)
        taken = _taken(blocks, offsets)
        if taken < size:
            best, size = offsets, taken
    return best, size


def _taken(blocks: Sequence[Block], offsets: Sequence[int]) -> int:
    return max((o + b.size for o, b in zip(offsets, blocks, strict=True)), default=0)


def _at_most(
    blocks: Sequence[Block], bound: int, size: int, budget: Budget
) -> tuple[int, ...] | None:
    """A plan below `size`, at `bound` if there is one; None if none was found."""
    spans = [(b.first, b.last, b.size) for b in blocks]
    for goal in dict.fromkeys((bound, (bound + size) // 2, size - 1)):
        found = fit(spans, goal, budget)
        if found is not None:
            return found
    return None
