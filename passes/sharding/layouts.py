"""
How the values of a function lie on a mesh.

A layout has the axes for each dimension.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import BlockArgument, Operation, SSAValue

from ...dialects.errors import SardonyxError
from ...dialects.onnx.provenance import argument_name, describe
from ...dialects.onnx.text import attr_text
from ...dialects.onnx.types import static_shape
from ...dialects.sdy import Mesh, MeshOp, Sharding
from .rules import Dims, Rule

_NAME = "onnx.name"

MESH = "mesh"
"""The symbol of the mesh that our passes make."""

Layout: TypeAlias = tuple[tuple[str, ...], ...]


class ShardingError(SardonyxError):
    """A sharding that a model cannot have."""


def main_of(module: ModuleOp) -> FuncOp:
    """The function that the model is."""
    for op in module.ops:
        if isinstance(op, FuncOp) and op.sym_name.data == "main":
            return op
    raise ShardingError("the module has no function @main")


def mesh_in(module: ModuleOp) -> tuple[str, Mesh] | None:
    """The module's mesh and its symbol; ShardingError if it has several."""
    found = [op for op in module.ops if isinstance(op, MeshOp)]
    if len(found) > 1:
        raise ShardingError(f"found {len(found)} meshes, wanted one")
    return (found[0].sym_name.data, found[0].mesh.data) if found else None


def add_axis(module: ModuleOp, name: str, size: int) -> tuple[str, Mesh]:
    """The module's mesh with one more axis; ShardingError if it has that already."""
    held = mesh_in(module)
    symbol, mesh = held or (MESH, Mesh(()))
    if name in mesh.sizes:
        raise ShardingError(f"found a mesh that has an axis {name!r} already")
    made = MeshOp(symbol, Mesh((*mesh.axes, (name, size))))
    first = module.body.block.first_op
    if held is not None and isinstance(first, MeshOp):
        module.body.block.insert_op_before(made, first)
        module.body.block.erase_op(first)
    elif first is not None:
        module.body.block.insert_op_before(made, first)
    return symbol, made.mesh.data


def values_of(main: FuncOp) -> Iterator[SSAValue]:
    """The function's arguments, and all results of its ops."""
    yield from main.body.block.args
    for op in main.body.block.ops:
        yield from op.results


def returned(main: FuncOp) -> Sequence[SSAValue]:
    """The values that the function gives."""
    last = main.body.block.last_op
    assert isinstance(last, ReturnOp), "a function ends with a return"
    return last.arguments


def check(value: SSAValue, sharding: Sharding, symbol: str, mesh: Mesh) -> None:
    """Raise ShardingError, with the user's node, if `value` cannot be so sharded."""
    problem = None
    if sharding.mesh != symbol:
        problem = f"found mesh @{sharding.mesh}, wanted @{symbol}"
    shape = static_shape(value.type)
    problem = problem or sharding.problem(mesh, shape)
    if problem is not None:
        raise ShardingError(f"{name_of_value(value)}: {problem}")


def name_of_value(value: SSAValue) -> str:
    """What a message calls `value`."""
    if isinstance(value, BlockArgument):
        name = input_name(value)
        return f"input {name!r}" if name else f"argument {value.index}"
    return describe(value.owner) if isinstance(value.owner, Operation) else "a value"


def input_name(value: SSAValue) -> str:
    """What the model calls an input; empty for another value, or one without name."""
    function = value.block.parent_op() if isinstance(value, BlockArgument) else None
    if isinstance(value, BlockArgument) and isinstance(function, FuncOp):
        entries = function.arg_attrs
        name = None if entries is None else entries.data[value.index].data.get(_NAME)
        if isinstance(name, StringAttr):
            return attr_text(name)
    return argument_name(value)


# --- between dimensions and factors ---


def factors_of(
    layout: Layout, dims: Dims, rule: Rule, mesh: Mesh
) -> dict[str, tuple[str, ...]]:
    """
    The axes of each factor, for a tensor of `layout` whose dimensions are `dims`.

    Axes that do not fill the slower factors of a dimension evenly are left out.
    """
    found: dict[str, tuple[str, ...]] = {}
    for axes, factors in zip(layout, dims, strict=True):
        waiting = list(axes)
        for factor in factors:
            taken: tuple[str, ...] = ()
            size = rule.sizes[factor]
            while waiting and size % mesh.size((*taken, waiting[0])) == 0:
                taken = (*taken, waiting.pop(0))
            if taken:
                found[factor] = taken
            if mesh.size(taken) != size:
                break
    return found


def dividing(
    axes: Mapping[str, tuple[str, ...]], rule: Rule, mesh: Mesh
) -> dict[str, tuple[str, ...]]:
    """
    The factors of `axes` along which every tensor of the rule can be divided.

    Not those that a dimension has behind another factor which is not divided wholly:
    parts of such a dimension do not lie together.
    """
    kept = dict(axes)
    while True:
        behind = {
            name
            for dims in (*rule.operands, *rule.results)
            for names in dims or ()
            for place, name in enumerate(names)
            if name in kept
            and any(
                mesh.size(kept.get(other, ())) != rule.sizes[other]
                for other in names[:place]
            )
        }
        if not behind:
            return kept
        kept = {name: mine for name, mine in kept.items() if name not in behind}


def layout_of(
    factors: Mapping[str, Sequence[str]], dims: Dims, rule: Rule, mesh: Mesh
) -> Layout:
    """The layout of a tensor of dimensions `dims`, by the axes of their factors."""
    layout: list[tuple[str, ...]] = []
    for names in dims:
        axes: tuple[str, ...] = ()
        for name in names:
            mine = tuple(factors.get(name, ()))
            axes += mine
            if mesh.size(mine) != rule.sizes[name]:
                break
        layout.append(axes)
    return tuple(layout)
