"""
Write out control flow that is known beforehand.

    If(true) {then} {else}                    ->   the ops of `then`
    Loop(3, true, v) {body}                   ->   body, body, body
    %a, %b = If(c) {…} of which %b is unused  ->   %a = If(c) {…}

A loop is written out if it makes few rounds, does not end early, and gives no more than
`max_ops` ops.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Block, Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter

from ...dialects.onnx import OnnxBuilder, OnnxOp, WeightStore, YieldOp, ops, store_of
from ...dialects.onnx.journal import Declined, Journal
from ...dialects.onnx.types import shape_of
from ...dialects.sdy import carry
from ..facts import given, name_of, small_array
from ..patterns import journal_of


def branch_of(op: ops.IfOp, store: WeightStore) -> Block | Declined:
    """The branch that `op` takes, if that is known."""
    condition = small_array(op.cond, store)
    if condition is None:
        return Declined("the condition is not constant")
    taken = bool(condition.reshape(-1)[0])
    return (op.then_branch if taken else op.else_branch).block


def rounds_of(op: ops.LoopOp, store: WeightStore, max_ops: int) -> int | Declined:
    """How many rounds `op` makes, if it may be written out."""
    trips = small_array(op.M, store) if given(op.M) else None
    if trips is None:
        return Declined("the number of rounds is not constant")
    rounds = max(int(trips.reshape(-1)[0]), 0)
    body = op.body.block
    if given(op.cond) and not _is_true(op.cond, store):
        return Declined("the loop may not begin")
    goes_on = _yielded(body)[0]
    if name_of(goes_on) == "onnx.Identity":
        goes_on = _source(goes_on)
    if goes_on is not body.args[1] and not _is_true(goes_on, store):
        return Declined("the loop may end early")
    carried = len(body.args) - 2
    if rounds == 0 and len(op.results) > carried:
        return Declined("what no round gives has no size")
    size = sum(1 for _ in op.body.walk()) * rounds
    if size > max_ops:
        return Declined(f"it would become {size} ops")
    return rounds


def _source(value: SSAValue) -> SSAValue:
    assert isinstance(value.owner, Operation), "the result of an Identity"
    return value.owner.operands[0]


def _is_true(value: SSAValue, store: WeightStore) -> bool:
    array = small_array(value, store)
    return array is not None and bool(array.all())


def _yielded(block: Block) -> Sequence[SSAValue]:
    last = block.last_op
    assert isinstance(last, YieldOp), "a subgraph ends with a yield"
    return last.operands


def _write_out(op: OnnxOp, body: Block, operands: Sequence[SSAValue]) -> list[SSAValue]:
    """Copy the ops of `body` before `op`; what the yield says of the copies."""
    values: dict[SSAValue, SSAValue] = dict(zip(body.args, operands, strict=True))
    for inner in body.ops:
        if isinstance(inner, YieldOp):
            break
        copy = inner.clone(value_mapper=values)
        copy.location = inner.location
        Rewriter.insert_op(copy, InsertPoint.before(op))
    return [values.get(value, value) for value in _yielded(body)]


def _replace(op: OnnxOp, results: Sequence[SSAValue]) -> None:
    for old, new in zip(op.results, results, strict=True):
        # The type may say more, or less, than that of the branch: both hold.
        if new.type != old.type and shape_of(old.type) is not None:
            new = _with_type(new, old)
        carry(old, new)
        old.replace_all_uses_with(new)
    Rewriter.erase_op(op)


def _with_type(new: SSAValue, old: SSAValue) -> SSAValue:
    made = ops.IdentityOp(new, result_types=[old.type])
    where = old.owner
    assert isinstance(where, Operation), "the result of control flow"
    made.location = where.location
    Rewriter.insert_op(made, InsertPoint.before(where))
    return made.output


def _inline_if(op: ops.IfOp, branch: Block) -> None:
    _replace(op, _write_out(op, branch, []))


def _unroll(op: ops.LoopOp, rounds: int, store: WeightStore) -> None:
    made: list[Operation] = []
    builder = OnnxBuilder(made.append, store, location=op.location)
    body = op.body.block
    carried: list[SSAValue] = list(op.v_initial)
    scanned: list[list[SSAValue]] = [[] for _ in op.results[len(carried) :]]
    for number in range(rounds):
        index = builder.constant(np.array(number, np.int64))
        goes_on = builder.constant(np.array(True))
        _insert(made, op)
        values = _write_out(op, body, [index, goes_on, *carried])[1:]
        carried = values[: len(carried)]
        for parts, value in zip(scanned, values[len(carried) :], strict=True):
            axis = builder.constant(np.array([0], np.int64))
            parts.append(builder.value("onnx.Unsqueeze", value, axis))
            _insert(made, op)
    stacks = [builder.value("onnx.Concat", *parts, axis=0) for parts in scanned]
    _insert(made, op)
    _replace(op, [*carried, *stacks])


def _insert(made: list[Operation], before: Operation) -> None:
    Rewriter.insert_op(list(made), InsertPoint.before(before))
    made.clear()


def _drop_dead_outputs(op: OnnxOp) -> None:
    """Make `op`, an If, anew without the results that nothing uses."""
    used = [bool(result.uses) for result in op.results]
    regions = [op.detach_region(region) for region in list(op.regions)]
    for region in regions:
        kept = [v for v, use in zip(_yielded(region.block), used, strict=True) if use]
        last = region.block.last_op
        assert last is not None, "a subgraph ends with a yield"
        Rewriter.replace_op(last, YieldOp(*kept), new_results=[])
    made = type(op).create(
        operands=list(op.operands),
        result_types=[r.type for r, use in zip(op.results, used, strict=True) if use],
        properties=dict(op.properties),
        regions=regions,
        location=op.location,
    )
    Rewriter.insert_op(made, InsertPoint.before(op))
    old = [result for result, use in zip(op.results, used, strict=True) if use]
    for before, after in zip(old, made.results, strict=True):
        after.name_hint = before.name_hint
        carry(before, after)
        before.replace_all_uses_with(after)
    Rewriter.erase_op(op)


@dataclass(frozen=True)
class InlineControlFlowPass(ModulePass):
    """
    Write out an If whose condition is known and short loops.

    `max_ops` is how many ops a loop may become.
    """

    name = "inline-control-flow"

    max_ops: int = 64

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        store = store_of(ctx)
        if store is None:
            return
        journal = journal_of(ctx)
        # From within: what is written out has no control flow that is known left.
        for inner in reversed(list(op.walk())):
            if inner.parent is not None:
                self._visit(inner, store, journal)

    def _visit(self, op: Operation, store: WeightStore, journal: Journal) -> None:
        if isinstance(op, ops.IfOp):
            branch = branch_of(op, store)
            dead = any(not result.uses for result in op.results)
            if isinstance(branch, Declined):
                journal.declined("inline-if", op, branch)
                if dead and any(r.uses for r in op.results) and journal.permits(op):
                    journal.rewrote("dead-outputs", op)
                    _drop_dead_outputs(op)
            elif journal.permits(op):
                journal.rewrote("inline-if", op, list(branch.ops))
                _inline_if(op, branch)
        elif isinstance(op, ops.LoopOp):
            rounds = rounds_of(op, store, self.max_ops)
            if isinstance(rounds, Declined):
                journal.declined("unroll-loop", op, rounds)
            elif journal.permits(op):
                journal.rewrote("unroll-loop", op, list(op.body.block.ops))
                _unroll(op, rounds, store)

    @classmethod
    def schedule_space(
        cls, ctx: Context, module_op: ModuleOp
    ) -> tuple[InlineControlFlowPass, ...]:
        return tuple(cls(max_ops=limit) for limit in (0, 64, 512))
