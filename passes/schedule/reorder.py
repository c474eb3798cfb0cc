"""
Run ops in the order that holds the least memory at its worst moment.

    %a = Big(%x)           %c = Small(%x)
    %c = Small(%x)    ->   %a = Big(%x)
    %b = Sum(%a)           %b = Sum(%a)

Only the order changes, and only if another holds less: what is held is what
`plan-memory` puts into its arena. Constants stand where they are needed first; ops with
effects keep their order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import Block, Operation
from xdsl.passes import ModulePass
from xdsl.traits import is_side_effect_free

from ...dialects.onnx.types import is_none
from ...dialects.sched import ALIGNMENT
from ..analysis.buffers import demands_of, stored_bytes
from ..analysis.storage import CONSTANTS
from ..patterns import Declined, journal_of
from .orders import STATES, Graph, Memory, Order, best_order


@dataclass(frozen=True)
class ReorderPass(ModulePass):
    """
    Run ops in the order that holds the least memory at its worst moment.

    Exact wherever at most `states` sets of ops that have run are met on the way. Where
    more than `largest` ops stand between two that all others come before or after, they
    stay as they are; 0 is no such limit.
    """

    name = "reorder"

    states: int = STATES
    largest: int = 0

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        journal = journal_of(ctx)
        for function in op.ops:
            if not isinstance(function, FuncOp) or not function.body.blocks:
                continue
            found = decided(function.body.block, self.states, self.largest)
            if isinstance(found, Declined):
                journal.declined(self.name, function, found)
            elif journal.permits(function):
                journal.rewrote(self.name, function)
                _sort(function.body.block, found)

    @classmethod
    def schedule_space(
        cls, ctx: Context, module_op: ModuleOp
    ) -> tuple[ReorderPass, ...]:
        return (cls(),)


def decided(
    block: Block, states: int = STATES, largest: int = 0
) -> list[Operation] | Declined:
    """The ops of `block` but constants in a better order, or why they stay."""
    tasks = tasks_of(block)
    for op in tasks:
        for result in op.results:
            if not is_none(result.type) and stored_bytes(result.type) is None:
                return Declined(f"found {result.type}, wanted a static shape")
    graph = graph_of(block, tasks)
    found = best_order(graph, states, largest)
    if found.tasks == tuple(range(len(tasks))):
        return Declined(_unchanged(found))
    return [tasks[number] for number in found.tasks]


def _unchanged(found: Order) -> str:
    held = found.peak * ALIGNMENT
    if found.exact:
        return f"no order holds less than the {held} bytes of this one"
    return f"found no order that holds less than the {held} bytes of this one"


def tasks_of(block: Block) -> list[Operation]:
    """The ops of `block` that compute, in their order."""
    return [
        op for op in block.ops if op.name not in CONSTANTS and op is not block.last_op
    ]


def graph_of(block: Block, tasks: list[Operation]) -> Graph:
    """What must run before what, and what is held in between, in `ALIGNMENT` bytes."""
    number = {op: place for place, op in enumerate(tasks)}
    before = [frozenset(number[o] for o in _owners(op) if o in number) for op in tasks]
    effects = [number[op] for op in tasks if not is_side_effect_free(op)]
    for one, other in pairwise(effects):
        before[other] |= {one}
    memory = tuple(
        Memory(
            number[owner],
            -(-demand.bytes // ALIGNMENT),
            frozenset(number[op] for op in demand.readers),
            frozenset(number[op] for op in demand.over),
        )
        for demand in demands_of(block)
        if isinstance(owner := demand.value.owner, Operation)
    )
    return Graph(tuple(before), memory)


def _owners(op: Operation) -> Iterator[Operation]:
    """The ops that give what `op`, or an op in its regions, takes."""
    for inner in op.walk():
        for operand in inner.operands:
            if isinstance(operand.owner, Operation):
                yield operand.owner


def _sort(block: Block, order: list[Operation]) -> None:
    """Bring the ops of `block` into `order`, constants before what needs them first."""
    constants = dict.fromkeys(op for op in block.ops if op.name in CONSTANTS)
    last = block.last_op
    assert last is not None, "a block has a terminator"
    for op in (*order, last):
        needed = dict.fromkeys(o for o in _owners(op) if o in constants)
        for moved in (*needed, op):
            if moved in needed:
                del constants[moved]
            moved.detach()
            block.add_op(moved)
