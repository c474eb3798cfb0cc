"""A program on the engines of a target: how long its ops take, cut into stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from xdsl.ir import Block, Operation, SSAValue

from ...dialects.fusion import RegionOp
from ...dialects.onnx import Dim
from ...dialects.onnx.integers import IntegerValues
from ...dialects.onnx.provenance import describe
from ...dialects.onnx.types import DTYPE_NAMES, element_of
from ..analysis.cost import op_cost
from ..analysis.liveness import Liveness
from ..analysis.storage import CONSTANTS, bytes_of, evaluated, total
from ..analysis.targets import Engine, Target
from .pipelining import PipelineOrder, Stages, balanced, pipeline_jobs
from .timeline import Job, Timeline, simulate


@dataclass(frozen=True)
class Schedule:
    """When a program's ops run on a target, by its roofline."""

    timeline: Timeline
    engines: tuple[str, ...]
    """The target's, one stage on each."""
    firsts: tuple[Operation | None, ...]
    """The op that each stage begins with; None for one that has none."""
    unknown: int
    """How many ops are left out, for their cost is not known."""


def scheduled(
    block: Block,
    target: Target,
    sizes: Mapping[str, int],
    integers: IntegerValues,
    microbatches: int,
    order: PipelineOrder = PipelineOrder.GPIPE,
    backward: float = 0.0,
) -> Schedule:
    """
    The ops of `block` on `target`, symbols at `sizes`.

    One engine runs op after op. Several run a stage each, cut so that the slowest takes
    least by the first engine's rates, through which `microbatches` of the whole input
    go one behind the other; what a stage hands on takes its link. With `backward` they
    come back through the stages, in so many times their time forward.
    """
    ops = [op for op in block.ops if op.name not in CONSTANTS and op.results]
    engines = tuple(engine.name for engine in target.engines)
    times = [_times(ops, engine, sizes, integers) for engine in target.engines]
    unknown = sum(time is None for time in times[0])
    if len(engines) == 1:
        timed = zip(ops, times[0], strict=True)
        jobs = [Job(describe(o), engines[0], t) for o, t in timed if t is not None]
        return Schedule(simulate(jobs), engines, (ops[0] if ops else None,), unknown)
    seconds = [[time or 0.0 for time in known] for known in times]
    links = [target.link(a, b) for a, b in pairwise(engines)]
    moved = _moved(block, ops, sizes)
    transfers = [0.0 if links[0] is None else links[0].seconds(n) for n in moved]
    starts = balanced(seconds[0], transfers, len(engines))
    ends = (*starts[1:], len(ops))
    parts = list(zip(starts, ends, strict=True))
    forward = [sum(s[a:b]) for s, (a, b) in zip(seconds, parts, strict=True)]
    hops = [
        0.0 if link is None or start == len(ops) else link.seconds(moved[start])
        for link, start in zip(links, starts[1:], strict=True)
    ]
    linked = any(link is not None for link in links)
    back = tuple(backward * time for time in forward) if backward else ()
    stages = Stages(engines, tuple(forward), back, tuple(hops) if linked else ())
    timeline = simulate(pipeline_jobs(stages, microbatches, order))
    firsts = tuple(ops[a] if a < b else None for a, b in parts)
    return Schedule(timeline, engines, firsts, unknown)


def _times(
    ops: Sequence[Operation],
    engine: Engine,
    sizes: Mapping[str, int],
    integers: IntegerValues,
) -> list[float | None]:
    """The seconds of each op on `engine`; None where they are not known."""
    found: list[float | None] = []
    for op in ops:
        known = [
            None if a is None else evaluated(a, sizes) for a in _work(op, integers)
        ]
        flops, read, written = known
        if flops is None or read is None or written is None:
            found.append(None)
            continue
        element = element_of(op.results[0].type)
        name = "float32" if element is None else DTYPE_NAMES.get(element, "float32")
        found.append(engine.seconds(flops, read + written, name))
    return found


def _work(op: Operation, integers: IntegerValues) -> tuple[Dim | None, ...]:
    """The FLOPs of `op` and the bytes that it reads and writes."""
    if not isinstance(op, RegionOp):
        cost = op_cost(op, integers)
        return cost.flops, cost.bytes_read, cost.bytes_written
    # What is between the ops of a fused region stays in the cache.
    flops = [op_cost(inner, integers).flops for inner in op.ops]
    read = [bytes_of(value.type) for value in dict.fromkeys(op.operands)]
    written = [bytes_of(kind) for kind in op.result_types]
    return _sum(flops), _sum(read), _sum(written)


def _sum(amounts: Sequence[Dim | None]) -> Dim | None:
    known = [amount for amount in amounts if amount is not None]
    return total(known) if len(known) == len(amounts) else None


def _moved(
    block: Block, ops: Sequence[Operation], sizes: Mapping[str, int]
) -> list[float]:
    """The bytes that a cut before each op sends on: what is made before, used after."""
    live = Liveness.of(block)
    place = {op: index for index, op in enumerate(live.ops)}
    arguments = {*block.args}
    moved: list[float] = []
    for op in ops:
        index = place[op]
        held: list[SSAValue] = []
        for one in live.buffers.values():
            if one.first < index <= one.last and one.value not in arguments:
                held.append(one.value)
        amounts = (live.buffers[value].size for value in held)
        known = (evaluated(size, sizes) for size in amounts if size is not None)
        moved.append(float(sum(size or 0 for size in known)))
    return moved
