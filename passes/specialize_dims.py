"""
Give symbolic dimensions their sizes.

    tensor<?x?xf32, #onnx.dims<"batch", "seq">>
        ->  tensor<1x?xf32, #onnx.dims<1, "seq">>
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import FunctionType, ModuleOp
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import Rewriter

from ..dialects.errors import SardonyxError
from ..dialects.fusion import RegionOp
from ..dialects.fusion import YieldOp as RegionYieldOp
from ..dialects.onnx import OnnxOp, store_of
from ..dialects.onnx.extension import ExtensionOp
from ..dialects.onnx.infer import InferenceError, result_types
from ..dialects.onnx.integers import IntegerValues
from ..dialects.onnx.proto import refine
from ..dialects.onnx.provenance import describe
from ..dialects.onnx.types import element_of, is_none, shape_of, tensor


def symbols(module: ModuleOp) -> set[str]:
    """The names of the dimensions that the functions of `module` take."""
    names: set[str] = set()
    for op in module.ops:
        if isinstance(op, FuncOp):
            for kind in op.function_type.inputs:
                for dim in shape_of(kind) or ():
                    names |= dim.symbols if dim is not None else frozenset()
    return names


def specialized(kind: Attribute, sizes: Mapping[str, int]) -> Attribute:
    """`kind` with the symbols in `sizes` replaced."""
    shape, element = shape_of(kind), element_of(kind)
    if shape is None or element is None:
        return kind
    dims = [None if dim is None else dim.substitute(sizes) for dim in shape]
    return tensor(element, dims)


def parse_sizes(entries: tuple[str, ...]) -> dict[str, int]:
    """``("batch=1",)`` as a dictionary; SardonyxError for an entry that is none."""
    sizes: dict[str, int] = {}
    for entry in entries:
        name, _, size = entry.rpartition("=")
        if not name or not size.isascii() or not size.isdigit() or len(size) > 18:
            raise SardonyxError(f"found dimension {entry!r}, wanted NAME=SIZE")
        sizes[name] = int(size)
    return sizes


@dataclass(frozen=True)
class SpecializeDimsPass(ModulePass):
    """Replace symbolic dimensions by the sizes in `dims`, and infer what follows."""

    name = "specialize-dims"

    dims: tuple[str, ...] = ()

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        sizes = parse_sizes(self.dims)
        known = symbols(op)
        for name in sizes:
            if name not in known:
                wanted = ", ".join(sorted(known)) or "none: every size is fixed"
                raise SardonyxError(f"found dimension {name!r}, wanted {wanted}")
        integers = IntegerValues(store_of(ctx))
        for inner in op.walk():
            try:
                _specialize(inner, sizes)
            except ValueError as error:
                shown = ", ".join(f"{n}={size}" for n, size in sizes.items())
                raise SardonyxError(
                    f"{describe(inner)} with {shown}: {error}"
                ) from error
            infer_again(inner, integers)
        for inner in op.ops:
            if isinstance(inner, FuncOp):
                update_function_type(inner)

    @classmethod
    def schedule_space(
        cls, ctx: Context, module_op: ModuleOp
    ) -> tuple[SpecializeDimsPass, ...]:
        return ()


def _specialize(op: Operation, sizes: Mapping[str, int]) -> None:
    for region in op.regions:
        for block in region.blocks:
            for argument in block.args:
                _retype(argument, specialized(argument.type, sizes))
    for result in op.results:
        _retype(result, specialized(result.type, sizes))


def _retype(value: SSAValue, kind: Attribute) -> None:
    if value.type != kind:
        Rewriter.replace_value_with_new_type(value, kind)


def infer_again(op: Operation, integers: IntegerValues) -> None:
    """
    Give the results of `op` the types that its operands have by now.

    What is within a fused region comes after it.
    """
    if isinstance(op, RegionOp):
        for argument, value in zip(op.block.args, op.inputs, strict=True):
            _retype(argument, value.type)
    if isinstance(op, RegionYieldOp):
        _leave(op)
    if not isinstance(op, OnnxOp) or op.has_body or op.name == "onnx.Constant":
        return
    if isinstance(op, ExtensionOp):
        for result, kind in zip(op.results, op.inferred(), strict=False):
            _retype(result, refine(result.type, kind))
        return
    wanted = [not is_none(kind) for kind in op.result_types]
    try:
        found = result_types(op.name, op.operands, op.properties, wanted, integers)
    except (InferenceError, ValueError) as error:
        names = [str(kind) for kind in op.operand_types]
        where = f"{describe(op)} on {', '.join(names)}"
        raise SardonyxError(f"{where}: {error}") from error
    for result, kind in zip(op.results, found, strict=True):
        if not is_none(result.type):
            _retype(result, refine(result.type, kind))


def _leave(op: RegionYieldOp) -> None:
    """Give the results of a region the types that its end has by now."""
    region = op.parent_op()
    assert isinstance(region, RegionOp), "fusion.yield ends a region"
    for result, value in zip(region.outputs, op.operands, strict=True):
        _retype(result, value.type)


def update_function_type(function: FuncOp) -> None:
    """Make a function's type say what its body takes and returns."""
    block = function.body.block
    last = block.last_op
    assert isinstance(last, ReturnOp), "a function ends with a return"
    outputs = [value.type for value in last.arguments]
    function.function_type = FunctionType.from_lists(block.arg_types, outputs)
