"""
Give every result of a known size a place in one arena.

    %a = onnx.MatMul(%x, %w)   ->   %a = onnx.MatMul(%x, %w) {sched.offsets = [0]}
    %b = onnx.Relu(%a)         ->   %b = onnx.Relu(%a) {sched.offsets = [0]}

and on the function ``sched.arena``, the bytes of the whole. Nothing else changes. A
result with an offset must be written there; one without (`sched.OUTSIDE`: what leaves
the function, views, what has no known size) may point into its operands' memory. The
plan holds for the order of the ops and their sizes as they are: it comes last.

What may share memory is decided in `analysis.buffers`, where it lies in `offsets`.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute, Operation
from xdsl.passes import ModulePass

from ...dialects.onnx import OnnxOp
from ...dialects.onnx.journal import Journal
from ...dialects.onnx.types import is_none
from ...dialects.sched import (
    ALIGNMENT,
    OUTSIDE,
    arena_of,
    clear_plan,
    set_arena,
    set_offsets,
)
from ..analysis.buffers import Buffer, buffers_of, stored_bytes
from ..analysis.storage import CONSTANTS
from ..patterns import Declined, journal_of
from .offsets import Block, Plan, plan

MAX_ARENA = 1 << 40
"""The largest arena that is planned, in bytes; hostile models ask for more."""


@dataclass(frozen=True)
class PlanMemoryPass(ModulePass):
    """Give every result of a known size a place in one arena."""

    name = "plan-memory"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        journal = journal_of(ctx)
        for function in op.ops:
            if isinstance(function, FuncOp) and function.body.blocks:
                clear_plan(function)
                _plan(function, journal)

    @classmethod
    def schedule_space(
        cls, ctx: Context, module_op: ModuleOp
    ) -> tuple[PlanMemoryPass, ...]:
        return (cls(),)


def plan_again(function: FuncOp) -> None:
    """Make the plan of `function` anew if it has one: ops may have changed since."""
    if arena_of(function) is not None:
        clear_plan(function)
        _plan(function, Journal())


def planned(function: FuncOp) -> tuple[tuple[Buffer, ...], Plan]:
    """The buffers of `function`, and a plan for them in units of `ALIGNMENT`."""
    buffers = buffers_of(function)
    return buffers, plan([_block(buffer) for buffer in buffers])


def _block(buffer: Buffer) -> Block:
    return Block(buffer.first, buffer.last, -(-buffer.bytes // ALIGNMENT))


def _plan(function: FuncOp, journal: Journal) -> None:
    for op in function.body.block.ops:
        reason = _unplaced(op)
        if reason is not None:
            journal.declined(PlanMemoryPass.name, op, reason)
    if not journal.permits(function):
        return
    buffers, found = planned(function)
    if not buffers:
        return
    if found.size * ALIGNMENT > MAX_ARENA:
        why = Declined(f"found {found.size * ALIGNMENT} bytes, wanted at most 2 ** 40")
        journal.declined(PlanMemoryPass.name, function, why)
        return
    places = {
        value: offset * ALIGNMENT
        for buffer, offset in zip(buffers, found.offsets, strict=True)
        for value in buffer.values
    }
    journal.rewrote(PlanMemoryPass.name, function)
    for op in function.body.block.ops:
        set_offsets(op, [places.get(result, OUTSIDE) for result in op.results])
    set_arena(function, found.size * ALIGNMENT)


def _unplaced(op: Operation) -> Declined | None:
    """Why some result of `op` can have no place, if it is for what it is."""
    if op.name in CONSTANTS or not isinstance(op, OnnxOp):
        return None
    results = [result for result in op.results if not is_none(result.type)]
    if op.has_body:
        return Declined("its body runs in memory of its own")
    for result in results:
        if stored_bytes(result.type) is None:
            return Declined(_unsized(result.type))
    return None


def _unsized(kind: Attribute) -> str:
    return f"found {kind}, wanted a static shape and elements of a fixed size"
