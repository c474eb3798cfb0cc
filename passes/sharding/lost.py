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

from ...dialects.onnx.provenance import node_names
from ...dialects.sdy import NOTE, MeshOp, Sharding, is_per_device, sharding_of
from ...dialects.sdy.shardings import print_dims
from ..facts import name_of
from .layouts import main_of, name_of_value, values_of


@dataclass(frozen=True)
class Noted:
    """A sharding that is noted of a result which is used."""

    op: Operation
    called: str
    sharding: Sharding

    @property
    def names(self) -> frozenset[str]:
        """The nodes that the op came from; of a constant what it is called."""
        called = f"%{self.op.results[0].name_hint}"
        return frozenset(node_names(self.op)) or frozenset([called])

    @property
    def gone(self) -> bool:
        """Whether its op is no more, and nothing took its note over."""
        return self.op.parent is None and NOTE in self.op.attributes

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
    found: list[Noted] = []
    for value in values_of(main):
        owner, sharding = value.owner, sharding_of(value)
        if isinstance(owner, Operation) and sharding is not None and value.uses:
            found.append(Noted(owner, _called(value), sharding))
    return found


def lost(before: Sequence[Noted], module: ModuleOp) -> list[Noted]:
    """What of `before`, noted in `module` once, no value that came of it has now."""
    gone = [noted for noted in before if noted.gone]
    after = noted_in(module) if gone else None
    if after is None:
        return []
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
