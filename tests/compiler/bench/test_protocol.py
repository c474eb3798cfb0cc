"""Which blocks are timed in which order, and the statistics, by hand."""

import math
from typing import Any

import pytest
from sardonyx.compiler.bench.protocol import (
    MOST_CALLS,
    Block,
    BlockPlan,
    ContenderError,
    Plan,
    Started,
    Summary,
    fair_shares,
    geometric_mean,
    paired_ratio,
    summarize,
    time_fairly,
)


class Fake:
    """Takes a known time per call, and notes in `diary` what happens to it."""

    def __init__(
        self, name: str, seconds: float, diary: list[tuple[str, str]], fails: str = ""
    ):
        self.name, self.seconds, self.diary, self.fails = name, seconds, diary, fails

    def note(self, what: str) -> None:
        self.diary.append((self.name, what))
        if what == self.fails:
            raise ContenderError(f"fails at {what}")

    def start(self, limit_seconds: float) -> Started:
        self.note("start")
        return Started(0.0, 0.0, self.seconds)

    def block(self, calls: int, limit_seconds: float) -> list[float]:
        self.note("block")
        assert limit_seconds > calls * self.seconds
        # The first four are slow, as they are where threads have slept.
        return [9.0] * min(4, calls) + [self.seconds] * (calls - 4)

    def pause(self) -> None:
        self.note("pause")

    def resume(self) -> None:
        self.note("resume")

    def close(self) -> None:
        self.note("close")


# --- order ---


def test_one_runs_at_a_time_and_rounds_alternate() -> None:
    diary: list[tuple[str, str]] = []
    fakes = [Fake(name, 0.01, diary) for name in "abc"]
    time_fairly(fakes, Plan(rounds=4))
    running: set[str] = set()
    for name, what in diary:
        if what == "resume":
            assert not running
            running.add(name)
        elif what == "pause":
            running.remove(name)
        else:
            assert running == {name}
    assert not running
    order = "".join(name for name, what in diary if what == "block")
    assert order == "abcbcacababc"


def test_the_first_calls_of_a_block_are_dropped() -> None:
    (timing,) = time_fairly([Fake("a", 0.01, [])], Plan(rounds=4))
    assert [block.round for block in timing.blocks] == [0, 1, 2, 3]
    for block in timing.blocks:
        assert block.seconds == (0.01,) * 12


@pytest.mark.parametrize("at", ["start", "block"])
def test_one_that_fails_is_closed_and_the_others_go_on(at: str) -> None:
    diary: list[tuple[str, str]] = []
    fakes = [Fake("bad", 0.01, diary, fails=at), Fake("good", 0.01, diary)]
    bad, good = time_fairly(fakes, Plan(rounds=4))
    assert bad.failure == f"fails at {at}"
    assert bad.blocks == []
    assert good.failure is None
    assert len(good.blocks) == 4
    assert diary.count(("bad", "close")) == 1
    assert [what for name, what in diary if name == "bad"][-1] == "close"


def test_steps_are_reported() -> None:
    steps: list[Any] = []
    fakes = [Fake(name, 0.01, []) for name in "ab"]
    time_fairly(fakes, Plan(rounds=4), lambda *step: steps.append(step))
    assert [done for _, done, _ in steps] == list(range(11))
    assert {total for *_, total in steps} == {10}
    assert steps[0][0] == "a: first result"
    assert steps[4][0] == "b: round 2"


# --- how much ---


@pytest.mark.parametrize(
    ("costs", "budget", "shares"),
    [
        ([1, 2, 3], 10, [1, 2, 3]),
        ([40, 2, 30, 1], 20, [8.5, 2, 8.5, 1]),
        ([9, 9], 6, [3, 3]),
        ([], 6, []),
    ],
)
def test_the_budget_is_shared_fairly(
    costs: list[float], budget: float, shares: list[float]
) -> None:
    assert fair_shares(costs, budget) == shares


def test_fast_calls_fill_a_block() -> None:
    plan = Plan(rounds=5, block_seconds=0.1)
    assert plan.allot([0.004]) == [BlockPlan(5, 25, 4)]
    assert plan.allot([0.5]) == [BlockPlan(5, 16, 4)]
    assert plan.allot([1e-6]) == [BlockPlan(5, MOST_CALLS, 4)]


def test_slow_calls_are_cut_first_in_blocks_then_in_rounds() -> None:
    plan = Plan(rounds=5, budget_seconds=60)
    # 5 rounds of 16 calls of a second would take 80 s; 12 calls fit, 3 are dropped.
    assert plan.allot([1.0]) == [BlockPlan(5, 12, 3)]
    assert plan.allot([25.0]) == [BlockPlan(2, 1, 0)]
    assert plan.allot([1000.0]) == [BlockPlan(1, 1, 0)]
    # Whoever fits is not cut because another does not.
    assert plan.allot([1.0, 0.1]) == [BlockPlan(5, 10, 2), BlockPlan(5, 16, 4)]


def test_rounds_are_cut_first_where_fewer_will_do() -> None:
    plan = Plan(rounds=100, least_rounds=8, calls=4, dropped=1, budget_seconds=60)
    # A round of both is 4 * (0.5 + 0.25) = 3 s.
    assert plan.allot([0.5, 0.25]) == [BlockPlan(20, 4, 1)] * 2
    assert not plan.is_cut(BlockPlan(20, 4, 1))
    assert plan.allot([5.0]) == [BlockPlan(8, 1, 0)]
    assert plan.is_cut(BlockPlan(8, 1, 0))
    assert plan.allot([1e-3]) == [BlockPlan(100, 100, 1)]


def test_what_was_cut_is_said() -> None:
    plan = Plan(rounds=5)
    assert not plan.is_cut(BlockPlan(5, 16, 4))
    assert plan.is_cut(BlockPlan(5, 15, 3))
    assert plan.is_cut(BlockPlan(4, 16, 4))


# --- statistics ---


def test_summary_by_hand() -> None:
    blocks = [Block(0, (1.0, 2.0, 3.0, 4.0, 5.0)), Block(1, (11, 10, 9, 8, 7, 6))]
    assert summarize(blocks) == Summary(6.0, 2.0, 10.0)


def test_ratio_is_taken_within_rounds() -> None:
    # The machine is ten times as slow in the second round, for both.
    ours = [Block(0, (2.0, 2.0, 9.0)), Block(1, (20.0,)), Block(2, (3.0,))]
    peer = [Block(0, (1.0,)), Block(1, (10.0,)), Block(2, (2.0, 2.0))]
    found = paired_ratio(ours, peer)
    assert found is not None
    assert (found.median, found.low, found.high) == (2.0, 1.5, 2.0)


def test_ratio_of_rounds_in_common() -> None:
    ours, peer = [Block(0, (3.0,))], [Block(0, (2.0,)), Block(1, (100.0,))]
    found = paired_ratio(ours, peer)
    assert found is not None
    assert found.median == 1.5
    assert paired_ratio(ours, [Block(1, (2.0,))]) is None
    assert paired_ratio([], peer) is None


def test_geometric_mean_by_hand() -> None:
    assert geometric_mean([0.5, 2.0]) == pytest.approx(1.0)
    assert geometric_mean([1.0, 2.0, 4.0]) == pytest.approx(2.0)
    assert math.isclose(geometric_mean([3.0]), 3.0)
