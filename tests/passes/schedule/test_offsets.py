"""Plans of memory: no overlap, no less than the bound, and as small as can be."""

from itertools import permutations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sardonyx.passes.schedule.offsets import Block, Plan, lower_bound, plan
from sardonyx.passes.schedule.search import Budget, fit

blocks = st.builds(
    lambda first, length, size: Block(first, first + length, size),
    st.integers(0, 12),
    st.integers(0, 6),
    st.integers(1, 20),
)


def checked(given: list[Block], found: Plan) -> None:
    """Overlap and size, by marking every unit that a block takes at every time."""
    taken: set[tuple[int, int]] = set()
    top = 0
    for block, offset in zip(given, found.offsets, strict=True):
        assert offset >= 0
        units = range(offset, offset + block.size)
        cells = set(product(range(block.first, block.last + 1), units))
        assert not cells & taken
        taken |= cells
        top = max(top, offset + block.size)
    assert found.size == top
    times = {time for time, _ in taken}
    held = [sum(b.size for b in given if b.first <= t <= b.last) for t in times]
    assert found.bound == max(held, default=0) <= found.size


@settings(max_examples=150)
@given(st.lists(blocks, max_size=25))
def test_blocks_do_not_overlap(given: list[Block]) -> None:
    checked(given, plan(given, steps=300))


def smallest(given: list[Block]) -> int:
    """The least of all plans: of every order, each block as low as it can lie."""
    best = sum(block.size for block in given)
    for order in permutations(given):
        placed: list[tuple[int, Block]] = []
        for block in order:
            near = [(o, b) for o, b in placed if b.meets(block)]
            ends = sorted({0, *(o + b.size for o, b in near)})
            place = next(
                e
                for e in ends
                if all(e + block.size <= o or o + b.size <= e for o, b in near)
            )
            placed.append((place, block))
        best = min(best, max(o + b.size for o, b in placed))
    return best


@settings(max_examples=80)
@given(st.lists(blocks, min_size=1, max_size=6))
def test_small_plans_are_the_smallest(given: list[Block]) -> None:
    found = plan(given)
    checked(given, found)
    assert found.size == smallest(given)


@settings(max_examples=60)
@given(st.lists(blocks, min_size=1, max_size=6))
def test_the_search_tells_what_fits(given: list[Block]) -> None:
    least = smallest(given)
    spans = [(b.first, b.last, b.size) for b in given]
    offsets = fit(spans, least, Budget(100_000))
    assert offsets is not None
    checked(given, Plan(offsets, least, lower_bound(given)))
    assert fit(spans, least - 1, Budget(100_000)) is None


# Greedy by size is above the bound here; only the search is at it.
FRAGMENTED = [
    *(Block(0, 0, 2), Block(0, 2, 3), Block(0, 4, 1), Block(1, 1, 2), Block(2, 4, 2)),
    *(Block(3, 3, 3), Block(4, 6, 3), Block(5, 6, 2), Block(5, 7, 1), Block(7, 8, 4)),
]


def test_a_spent_budget_gives_what_the_orders_gave() -> None:
    spans = [(b.first, b.last, b.size) for b in FRAGMENTED]
    bound = lower_bound(FRAGMENTED)
    assert fit(spans, bound, Budget(3)) is None
    checked(FRAGMENTED, plan(FRAGMENTED, steps=0))
    assert plan(FRAGMENTED).size == bound == 6


def test_nothing_to_plan() -> None:
    assert plan([]) == Plan((), 0, 0)


def test_an_overlap_is_found() -> None:
    two = [Block(0, 1, 2), Block(1, 2, 2)]
    with pytest.raises(AssertionError):
        checked(two, Plan((0, 1), 3, 4))
