"""
Read sizes from the function's arguments, and broadcast without being told to.

    Unsqueeze(Gather(Shape(y), 0))       ->   Shape(x) {start = 0, end = 1}
    Gather(Shape(y), 0)                  ->   Squeeze(Shape(x) {start = 0, end = 1})
    Expand(x, computed)                  ->   Expand(x, [1, 8, 1])
    Add(Expand(x), y)                    ->   Add(x, y)      if y has the sizes anyway

`x` is an argument that has the size; what computed it elsewhere may then be dead.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, i64
from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass

from ...dialects.onnx import OnnxBuilder, OnnxOp, store_of
from ...dialects.onnx.dims import Dim, DimError, broadcast
from ...dialects.onnx.integers import IntegerValues, flat
from ...dialects.onnx.types import Shape, element_of, shape_of, static_shape
from ..facts import integers_of, name_of
from ..patterns import Declined, OnnxPattern, journal_of, rewrite_module

_ON_SIZES = frozenset(
    f"onnx.{name}"
    for name in (
        "Add",
        "Concat",
        "Div",
        "Gather",
        "Mul",
        "Reshape",
        "Shape",
        "Slice",
        "Squeeze",
        "Sub",
        "Unsqueeze",
        "Where",
    )
)
_BROADCASTING = frozenset(
    f"onnx.{name}"
    for name in (
        *("Add", "And", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "Div", "Equal"),
        *("Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Max", "Mean", "Min"),
        *("Mod", "Mul", "Or", "Pow", "Sub", "Sum", "Where", "Xor"),
    )
)


@dataclass(frozen=True)
class Sizes:
    """Neighbouring sizes of an argument, and whether they are wanted as a scalar."""

    argument: SSAValue
    start: int
    end: int
    scalar: bool


@dataclass(frozen=True)
class SizesOfArguments(OnnxPattern[Sizes]):
    """Reads from an argument what is computed of other values' shapes."""

    integers: IntegerValues

    name = "sizes-of-arguments"
    roots = _ON_SIZES

    def decide(self, op: OnnxOp) -> Sizes | Declined:
        result = op.results[0]
        shape = static_shape(result.type)
        if shape is None or len(shape) > 1 or element_of(result.type) != i64:
            return Declined("not a few sizes", near=False)
        items = self.integers.of(result)
        dims = [] if items is None else flat(items)
        known = [dim for dim in dims if dim is not None]
        if not dims or len(known) != len(dims):
            return Declined("its sizes are not known", near=False)
        if all(dim.constant is not None for dim in known):
            return Declined("its sizes are constant", near=False)
        if is_direct(op):
            return Declined("it reads an argument's sizes", near=False)
        found = _among_arguments(op, known, scalar=not shape)
        return found or Declined("no argument has these sizes side by side")

    def rewrite(
        self, op: OnnxOp, found: Sizes, builder: OnnxBuilder
    ) -> list[SSAValue | None]:
        rank = len(shape_of(found.argument.type) or ())
        sizes = builder.value(
            "onnx.Shape",
            found.argument,
            start=found.start or None,
            end=found.end if found.end < rank else None,
        )
        return [builder.value("onnx.Squeeze", sizes) if found.scalar else sizes]


def is_direct(op: Operation) -> bool:
    """Whether `op` reads sizes of an argument as this pass would write it."""
    if op.name == "onnx.Squeeze" and name_of(op.operands[0]) == "onnx.Shape":
        inner = op.operands[0].owner
        return isinstance(inner, Operation) and is_direct(inner)
    return op.name == "onnx.Shape" and _is_argument(op.operands[0])


def _is_argument(value: SSAValue) -> bool:
    block = value.owner
    return not isinstance(block, Operation) and isinstance(block.parent_op(), FuncOp)


def _among_arguments(op: Operation, wanted: list[Dim], scalar: bool) -> Sizes | None:
    """The first argument that has the sizes `wanted` side by side."""
    function: Operation | None = op
    while function is not None and not isinstance(function, FuncOp):
        function = function.parent_op()
    if function is None:
        return None
    for argument in function.body.block.args:
        shape = shape_of(argument.type) or ()
        for start in range(len(shape) - len(wanted) + 1):
            end = start + len(wanted)
            if list(shape[start:end]) == wanted:
                return Sizes(argument, start, end, scalar)
    return None


@dataclass(frozen=True)
class ConstantExpand(OnnxPattern[tuple[int, ...]]):
    """Expands to numbers, where a size that stays is a 1."""

    name = "constant-expand"
    roots = frozenset(["onnx.Expand"])

    def decide(self, op: OnnxOp) -> tuple[int, ...] | Declined:
        if integers_of(op.operands[1], self.store) is not None:
            return Declined("the target is constant", near=False)
        before, after = shape_of(op.operands[0].type), shape_of(op.results[0].type)
        if before is None or after is None:
            return Declined("a rank is not known")
        target: list[int] = []
        offset = len(after) - len(before)
        for place, dim in enumerate(after):
            stays = (
                place >= offset and dim is not None and before[place - offset] == dim
            )
            size = 1 if stays else dim.constant if dim is not None else None
            if size is None:
                return Declined("a size to expand to is not known")
            target.append(size)
        return tuple(target)

    def rewrite(
        self, op: OnnxOp, found: tuple[int, ...], builder: OnnxBuilder
    ) -> list[SSAValue | None]:
        numbers = builder.constant(np.array(found, np.int64), "shape")
        kinds = [op.results[0].type]
        made = builder.create(op.name, [op.operands[0], numbers], {}, types=kinds)
        return [made.results[0]]


@dataclass(frozen=True)
class ExpandBeforeBroadcast(OnnxPattern[int]):
    """Leaves to the operator the broadcast that it makes anyway."""

    name = "expand-before-broadcast"
    roots = _BROADCASTING

    def decide(self, op: OnnxOp) -> int | Declined:
        names = [name_of(value) for value in op.operands]
        if "onnx.Expand" not in names:
            return Declined("no operand is expanded", near=False)
        wanted = shape_of(op.results[0].type)
        if wanted is None or None in wanted:
            return Declined("a size of the result is not known")
        for place, name in enumerate(names):
            if name == "onnx.Expand" and _without(op, place) == wanted:
                return place
        return Declined("the other operands do not have the sizes")

    def rewrite(
        self, op: OnnxOp, found: int, builder: OnnxBuilder
    ) -> list[SSAValue | None]:
        operands = list(op.operands)
        operands[found] = _expanded(operands[found])
        kinds = [op.results[0].type]
        made = builder.create(op.name, operands, dict(op.properties), types=kinds)
        return [made.results[0]]


def _expanded(value: SSAValue) -> SSAValue:
    expand = value.owner
    assert isinstance(expand, Operation), "the result of an Expand"
    return expand.operands[0]


def _without(op: OnnxOp, place: int) -> Shape | None:
    """The shape of the result if the operand at `place` were not expanded."""
    values = list(op.operands)
    values[place] = _expanded(values[place])
    shapes = [shape_of(value.type) for value in values]
    known = [shape for shape in shapes if shape is not None]
    if len(known) != len(shapes):
        return None
    try:
        return broadcast(known)
    except DimError:
        return None


@dataclass(frozen=True)
class SimplifyShapesPass(ModulePass):
    """Read sizes from arguments, and expand no further than is needed."""

    name = "simplify-shapes"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        store = store_of(ctx)
        if store is None:
            return
        integers, journal = IntegerValues(store), journal_of(ctx)
        rewrite_module(
            op,
            SizesOfArguments(store, journal, integers),
            ConstantExpand(store, journal),
            ExpandBeforeBroadcast(store, journal),
        )

    @classmethod
    def schedule_space(
        cls, ctx: Context, module_op: ModuleOp
    ) -> tuple[SimplifyShapesPass, ...]:
        return (cls(),)
