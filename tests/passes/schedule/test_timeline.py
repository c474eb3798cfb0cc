"""Timelines beside closed forms and bounds."""

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sardonyx.passes.schedule.pipelining import (
    PipelineOrder,
    Stages,
    balanced,
    bubble,
    microbatches_held,
    pipeline_jobs,
)
from sardonyx.passes.schedule.timeline import (
    Job,
    TimelineError,
    critical_path,
    simulate,
)

GPIPE, ONE_F_ONE_B = PipelineOrder.GPIPE, PipelineOrder.ONE_F_ONE_B
seconds = st.integers(0, 9).map(float)


@st.composite
def works(draw: st.DrawFn) -> list[Job]:
    """Jobs on three engines, each after some of those before it."""
    count = draw(st.integers(1, 15))
    return [
        Job(
            f"job {n}",
            draw(st.sampled_from("abc")),
            draw(seconds),
            tuple(draw(st.sets(st.integers(0, n - 1), max_size=3)) if n else ()),
        )
        for n in range(count)
    ]


@settings(max_examples=150)
@given(works())
def test_a_timeline_is_lawful_and_never_idle_without_reason(jobs: list[Job]) -> None:
    found = simulate(jobs)
    assert [span.job for span in found.spans] == jobs
    last: dict[str, float] = {}
    for job, span in zip(jobs, found.spans, strict=True):
        needed = [found.spans[other].end for other in job.after]
        # As soon as the engine is free and all is there, and not before.
        assert span.start == max([last.get(job.engine, 0.0), *needed])
        assert span.end == span.start + job.seconds
        last[job.engine] = span.end
    assert found.makespan >= critical_path(jobs)
    assert found.makespan >= max(map(found.busy, found.engines))


def test_a_chain_takes_its_sum() -> None:
    jobs = [Job(str(n), "ab"[n % 2], 2.0, (n - 1,) if n else ()) for n in range(5)]
    assert simulate(jobs).makespan == critical_path(jobs) == 10.0


def test_jobs_that_wait_for_each_other_are_named() -> None:
    jobs = [Job("first", "a", 1.0, (1,)), Job("second", "b", 1.0, (0,))]
    with pytest.raises(TimelineError, match="'first', 'second'"):
        simulate(jobs)
    with pytest.raises(TimelineError):
        critical_path(jobs)
    # In the order given, the engine comes to the second too late.
    with pytest.raises(TimelineError):
        simulate([Job("first", "a", 1.0, (1,)), Job("second", "a", 1.0)])


# --- pipelines ---


def equal(count: int, backward: float = 0.0) -> Stages:
    engines = tuple(f"engine {n}" for n in range(count))
    back = (backward,) * count if backward else ()
    return Stages(engines, (1.0,) * count, back)


CASES = list(product(range(1, 7), range(1, 9)))


@pytest.mark.parametrize("order", list(PipelineOrder))
@pytest.mark.parametrize("backward", [0.0, 1.0, 2.0])
def test_bubbles_are_the_closed_form(order: PipelineOrder, backward: float) -> None:
    for p, m in CASES:
        stages = equal(p, backward)
        found = simulate(pipeline_jobs(stages, m, order))
        assert found.makespan == (m + p - 1) * (1 + backward)
        assert found.bubble(stages.engines) == pytest.approx((p - 1) / (m + p - 1))
        assert bubble(p, m) == (p - 1) / (m + p - 1)


@pytest.mark.parametrize(("p", "m"), CASES)
def test_1f1b_holds_fewer_microbatches(p: int, m: int) -> None:
    stages = equal(p, 2.0)
    all_forward = simulate(pipeline_jobs(stages, m, GPIPE))
    one = simulate(pipeline_jobs(stages, m, ONE_F_ONE_B))
    held = [microbatches_held(all_forward, e) for e in stages.engines]
    assert held == [m] * p
    held = [microbatches_held(one, e) for e in stages.engines]
    assert held == [min(p - stage, m) for stage in range(p)]


@pytest.mark.parametrize("order", list(PipelineOrder))
def test_transfers_take_time_on_their_links(order: PipelineOrder) -> None:
    stages = Stages(("a", "b"), (2.0, 2.0), (2.0, 2.0), (1.0,))
    found = simulate(pipeline_jobs(stages, 1, order))
    # Over, and back again.
    assert found.makespan == 2 + 1 + 2 + 2 + 1 + 2
    assert set(found.engines) == {"a", "b", "a > b", "a < b"}
    slow = Stages(("a", "b"), (1.0, 1.0), (), (3.0,))
    # The link is the slowest stage: each microbatch waits for it.
    assert simulate(pipeline_jobs(slow, 4, order)).makespan == 1 + 4 * 3 + 1


@settings(max_examples=100)
@given(st.lists(seconds, max_size=8), st.integers(1, 4), st.data())
def test_stages_are_as_even_as_can_be(
    times: list[float], stages: int, data: st.DataObject
) -> None:
    moves = st.lists(seconds, min_size=len(times), max_size=len(times))
    transfers = data.draw(moves)

    def slowest(starts: tuple[int, ...]) -> float:
        ends = (*starts[1:], len(times))
        parts = [sum(times[a:b]) for a, b in zip(starts, ends, strict=True)]
        return max([*parts, *(transfers[a] for a in starts[1:] if a < len(times))])

    every = product(range(len(times) + 1), repeat=stages - 1)
    cuts = [(0, *cut) for cut in every if list(cut) == sorted(cut)]
    found = balanced(times, transfers, stages)
    assert found in cuts
    assert slowest(found) == min(map(slowest, cuts))
