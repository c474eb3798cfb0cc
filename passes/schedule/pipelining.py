"""
Microbatches through the stages of a pipeline, in the orders of GPipe and of 1F1B.

GPipe (Huang et al., arXiv:1811.06965) runs all microbatches forward, then all backward;
1F1B (PipeDream-flush, Narayanan et al., arXiv:2006.09503) begins with the backward of a
microbatch as soon as it can, so that fewer are held. For inference, without backward,
both are one. With p equal stages and m microbatches engines stand still for

    (p - 1) / (m + p - 1)

of the time in both. `balanced` cuts a list of ops into stages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import accumulate

from .timeline import Job, Timeline


class PipelineOrder(Enum):
    """The order in which a stage takes its work."""

    GPIPE = "gpipe"
    ONE_F_ONE_B = "1f1b"


@dataclass(frozen=True)
class Stages:
    """The stages of a pipeline, each on an engine of its own."""

    engines: tuple[str, ...]
    forward: tuple[float, ...]
    """The seconds that a microbatch takes in each stage."""
    backward: tuple[float, ...] = ()
    """The same on the way back; empty where there is none."""
    transfer: tuple[float, ...] = ()
    """The seconds from each stage to the next, on a link; empty if they take none."""


def bubble(stages: int, microbatches: int) -> float:
    """The share of the time in which engines of equal stages stand still."""
    return (stages - 1) / (microbatches + stages - 1)


Work = tuple[str, int, int]
"""``F`` or ``B``, a stage and a microbatch; ``>`` and ``<`` are their transfers."""


def pipeline_jobs(stages: Stages, microbatches: int, order: PipelineOrder) -> list[Job]:
    """The jobs of one batch, each engine's in the order in which it takes them."""
    works: list[Work] = []
    for stage in range(len(stages.engines)):
        works += _of_stage(stages, stage, microbatches, order)
    if stages.transfer:
        works += _transfers(works, len(stages.engines))
    places = {work: place for place, work in enumerate(works)}
    return [_job(stages, work, places) for work in works]


def _of_stage(
    stages: Stages, stage: int, microbatches: int, order: PipelineOrder
) -> list[Work]:
    forward: list[Work] = [("F", stage, n) for n in range(microbatches)]
    if not stages.backward:
        return forward
    backward: list[Work] = [("B", stage, n) for n in range(microbatches)]
    if order is PipelineOrder.GPIPE:
        return forward + backward
    # As many forward as fill the stages behind, then one of each in turn.
    ahead = min(len(stages.engines) - stage, microbatches)
    works = forward[:ahead]
    for place, work in enumerate(backward):
        works += [work, *forward[ahead + place : ahead + place + 1]]
    return works


def _transfers(works: Sequence[Work], stages: int) -> list[Work]:
    """What goes over the links, each way in the order in which it is made."""
    forward: list[Work] = [
        (">", s, n) for k, s, n in works if k == "F" and s + 1 < stages
    ]
    return forward + [("<", s, n) for k, s, n in works if k == "B" and s > 0]


def _job(stages: Stages, work: Work, places: Mapping[Work, int]) -> Job:
    kind, stage, batch = work
    needs = [w for w in _needs(stages, work) if w in places]
    after = tuple(places[w] for w in needs)
    if kind == "F":
        seconds, engine = stages.forward[stage], stages.engines[stage]
    elif kind == "B":
        seconds, engine = stages.backward[stage], stages.engines[stage]
    else:
        first = stage if kind == ">" else stage - 1
        seconds = stages.transfer[first]
        engine = f"{stages.engines[first]} {kind} {stages.engines[first + 1]}"
    return Job(f"{kind}{batch} of stage {stage}", engine, seconds, after, batch)


def _needs(stages: Stages, work: Work) -> list[Work]:
    kind, stage, batch = work
    arrives = bool(stages.transfer)
    match kind:
        case "F":
            return [(">" if arrives else "F", stage - 1, batch)]
        case "B":
            return [("<" if arrives else "B", stage + 1, batch), ("F", stage, batch)]
        case ">":
            return [("F", stage, batch)]
        case _:
            return [("B", stage, batch)]


def microbatches_held(timeline: Timeline, engine: str) -> int:
    """
    The most microbatches whose activations `engine` holds at a time.

    From the start of a microbatch's forward to the end of its backward.
    """
    spans: dict[int, list[float]] = {}
    for span in timeline.spans:
        if span.job.engine == engine:
            spans.setdefault(span.job.group, []).extend((span.start, span.end))
    events = [(min(times), 1) for times in spans.values()]
    # What ends at a time is gone before something else begins.
    events += [(max(times), -1) for times in spans.values()]
    return max(accumulate(change for _, change in sorted(events)), default=0)


def balanced(
    seconds: Sequence[float], transfers: Sequence[float], stages: int
) -> tuple[int, ...]:
    """
    The first op of each of `stages`, so cut that the slowest takes the least time.

    A stage takes its ops' `seconds` one after another, or, if that is longer, the
    transfer behind it; ``transfers[i]`` is that of a cut before op i. Some of the
    stages are empty if there are fewer ops.
    """
    count = len(seconds)
    ends = [0.0, *accumulate(seconds)]
    best = [
        max(ends[last], transfers[last] if last < count else 0)
        for last in range(count + 1)
    ]
    cuts: list[list[int]] = [[0] * (count + 1)]
    for _ in range(stages - 1):
        found, chosen = [0.0] * (count + 1), [0] * (count + 1)
        for last in range(count + 1):
            behind = transfers[last] if last < count else 0.0
            costs = [
                max(best[cut], ends[last] - ends[cut], behind)
                for cut in range(last + 1)
            ]
            chosen[last] = min(range(last + 1), key=costs.__getitem__)
            found[last] = costs[chosen[last]]
        best = found
        cuts.append(chosen)
    starts: list[int] = []
    last = count
    for chosen in reversed(cuts):
        last = chosen[last]
        starts.append(last)
    return tuple(reversed(starts))
