"""
Say of some values how they are divided.

    shard-values{mesh="x=2,y=2" values="ids=x,_"}   ->   %ids sharded [{"x"}, {}]
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass

from ...dialects.onnx.provenance import node_names
from ...dialects.sdy import Mesh, Sharding, annotate
from .layouts import (
    ShardingError,
    add_axis,
    check,
    input_name,
    main_of,
    mesh_in,
    values_of,
)


@dataclass(frozen=True)
class ShardValuesPass(ModulePass):
    """
    Annotate values: an input by its name, another by its node's.

    `mesh` adds axes (``x=2,y=2``); an entry of `values` is ``NAME=`` and for each
    dimension its axes joined by ``+``, or ``_``. Raises ShardingError in one line.
    """

    name = "shard-values"

    values: tuple[str, ...] = ()
    mesh: str = ""

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for entry in filter(None, self.mesh.split(",")):
            name, _, size = entry.partition("=")
            if not name or not size.isascii() or not size.isdigit():
                raise ShardingError(f"found mesh axis {entry!r}, wanted NAME=SIZE")
            add_axis(op, name, int(size))
        held = mesh_in(op)
        if held is None:
            raise ShardingError('found no mesh, wanted mesh="NAME=SIZE,…"')
        named = _named(main_of(op))
        for entry in self.values:
            self._annotate(entry, named, *held)

    def _annotate(
        self, entry: str, named: dict[str, SSAValue], symbol: str, mesh: Mesh
    ) -> None:
        name, _, dims = entry.rpartition("=")
        if name not in named:
            raise ShardingError(f"found value {name!r}, wanted an input's or a node's")
        axes = [
            () if dim == "_" else tuple(dim.split("+"))
            for dim in dims.split(",")
            if dim
        ]
        sharding = Sharding.of(symbol, axes)
        check(named[name], sharding, symbol, mesh)
        annotate(named[name], sharding)

    @classmethod
    def schedule_space(
        cls, ctx: Context, module_op: ModuleOp
    ) -> tuple[ShardValuesPass, ...]:
        return ()


def _named(main: FuncOp) -> dict[str, SSAValue]:
    found: dict[str, SSAValue] = {}
    for value in values_of(main):
        owner = value.owner
        names = (
            node_names(owner) if isinstance(owner, Operation) else (input_name(value),)
        )
        for name in names:
            if name:
                found.setdefault(name, value)
    return found
