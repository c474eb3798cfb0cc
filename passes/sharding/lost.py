"""
Which shardings of values a pass has lost: a value, no pass.

A rewrite hands on what is noted of the values that it replaces. What is noted of a
value within a fusion has no value to stand on afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO

from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue
from xdsl.printer import Printer
from xdsl.transforms.dead_code_elimination import would_be_trivially_dead

from ...dialects.onnx.provenance import node_names
from ...dialects.sdy import NOTE, MeshOp, Sharding, is_per_device, sharding_of
from ...dialects.sdy.shardings import print_dims
from ..facts import name_of
from .layouts import main_of, name_of_value


@dataclass(frozen=True)
class Noted:
    """A sharding that is noted of a result on which an output or an effect depends."""

    op: Operation
    called: str
    sharding: Sharding

    @property
    def names(self) -> frozenset[str]:
        """The nodes that the op came from; of a constant what it is called."""
        called = f"%{self.op.results[0].name_hint}"
        return frozenset(node_names(self.op)) or frozenset([called])

    def __str__(self) -> str:
        text = StringIO()
        print_dims(Printer(text), self.sharding.dims)
        return f"{self.called}: its sharding {text.getvalue()}"


def noted_in(module: ModuleOp) -> list[Noted] | None:
    """What is noted in a global program with a mesh; None of any other module."""
    if not any(isinstance(op, MeshOp) for op in module.ops):
        return None
    main = main_of(module)
    if is_per_device(main):
        return None
    block, live, found = main.body.block, set[Operation](), list[Noted]()
    # Backwards: what uses a value, or has a body that does, stands behind its op.
    for op in reversed(block.ops):
        used = [
            value
            for value in op.results
            if any(
                block.find_ancestor_op_in_block(use.operation) in live
                for use in value.uses
            )
        ]
        if used or not would_be_trivially_dead(op):
            live.add(op)
        for value in reversed(used):
            sharding = sharding_of(value)
            if sharding is not None:
                found.append(Noted(op, _called(value), sharding))
    return found[::-1]


def lost(before: Sequence[Noted], module: ModuleOp) -> list[Noted]:
    """What of `before`, noted in `module` once, no value that came of it has now."""
    after = noted_in(module)
    if after is None:
        return []
    # Of a dead op it is lost now: whoever erases it has nothing to do with that.
    used, places = {noted.op for noted in after}, (None, main_of(module).body.block)
    gone = [
        noted
        for noted in before
        if NOTE in noted.op.attributes
        and noted.op.parent in places
        and noted.op not in used
    ]
    # Ops are written anew, too, by passes that know nothing of shardings.
    kept = {(name, noted.sharding) for noted in after for name in noted.names}
    return [
        noted
        for noted in gone
        if not any((name, noted.sharding) in kept for name in noted.names)
    ]


def _called(value: SSAValue) -> str:
    if name_of(value) == "onnx.Constant":
        return f"constant {value.name_hint!r}"
    return name_of_value(value)
