"""
Where shardings of values stand: on ops and on functions' arguments, as Shardy has them.

    %y = onnx.Relu(%x) {sdy.sharding = #sdy.sharding_per_value<[<@mesh, [{"x"}]>]>}
"""

from __future__ import annotations

from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute, BlockArgument, Operation, SSAValue

from ..onnx.types import static_shape
from .shardings import Sharding, ShardingAttr, ShardingPerValueAttr

NOTE = "sdy.sharding"
"""Where a sharding stands: on an op for its results, on a function's argument."""


def sharding_of(value: SSAValue) -> Sharding | None:
    """The sharding that is noted of `value`."""
    owner = value.owner
    if isinstance(value, BlockArgument):
        function = value.block.parent_op()
        if not isinstance(function, FuncOp) or function.arg_attrs is None:
            return None
        note = function.arg_attrs.data[value.index].data.get(NOTE)
        return note.data if isinstance(note, ShardingAttr) else None
    note = owner.attributes.get(NOTE) if isinstance(owner, Operation) else None
    if not isinstance(owner, Operation) or not isinstance(note, ShardingPerValueAttr):
        return None
    place = [result is value for result in owner.results].index(True)
    return note.data[place] if place < len(note.data) else None


def annotate(value: SSAValue, sharding: Sharding) -> None:
    """Note the sharding of `value`."""
    if isinstance(value, BlockArgument):
        function = value.block.parent_op()
        assert isinstance(function, FuncOp), "only functions' arguments are sharded"
        held = function.arg_attrs
        count = len(function.body.block.args)
        entries = list(held.data) if held else [DictionaryAttr({})] * count
        noted: dict[str, Attribute] = {**entries[value.index].data}
        noted[NOTE] = ShardingAttr(sharding)
        entries[value.index] = DictionaryAttr(noted)
        function.arg_attrs = ArrayAttr(entries)
        return
    owner = value.owner
    assert isinstance(owner, Operation), "a result's owner is an op"
    shardings = [
        sharding if result is value else _noted(result, sharding.mesh)
        for result in owner.results
    ]
    owner.attributes[NOTE] = ShardingPerValueAttr(tuple(shardings))


def _noted(value: SSAValue, mesh: str) -> Sharding:
    rank = len(static_shape(value.type) or ())
    return sharding_of(value) or Sharding.of(mesh, [()] * rank)


def carry(old: SSAValue, new: SSAValue) -> None:
    """
    Note of `new`, which takes the place of `old`, what is noted of that.

    Where something else is noted of `new` already, that stays, and so does the note of
    `old`: it is lost with its op.
    """
    sharding = sharding_of(old)
    inner = isinstance(new, BlockArgument) and not isinstance(
        new.block.parent_op(), FuncOp
    )
    if sharding is None or inner:
        return
    if sharding_of(new) is None:
        annotate(new, sharding)
    owner = old.owner
    if not isinstance(owner, Operation) or len(owner.results) > 1:
        return
    if sharding_of(new) == sharding:
        del owner.attributes[NOTE]
