"""What a model takes and gives, as its program states it."""

from __future__ import annotations

from xdsl.ir import SSAValue

from ..backends.program import InputSpec, input_spec
from ..dialects.onnx import OnnxOp
from ..dialects.onnx.attributes import python_value
from ..dialects.onnx.types import DTYPE_NAMES, element_of, static_shape
from .model import Model

_HANDS_ON = (
    "Cast",
    "Concat",
    "Expand",
    "Flatten",
    "Gather",
    "Identity",
    "Reshape",
    "Slice",
    "Squeeze",
    "Tile",
    "Transpose",
    "Unsqueeze",
)
"""Operators whose result has no other integers than their first operand."""

_FOLLOWED = 256
"""How many uses are looked at before an input counts as unbounded."""


def input_specs(model: Model) -> tuple[InputSpec, ...]:
    """The inputs; an integer one with the bound that its use sets."""
    return tuple(
        input_spec(value.name, value.type, _bound(argument))
        for value, argument in zip(
            model.inputs, model.main.body.block.args, strict=True
        )
    )


def output_specs(model: Model) -> tuple[InputSpec, ...]:
    """The outputs."""
    return tuple(input_spec(value.name, value.type) for value in model.outputs)


def _bound(argument: SSAValue) -> int | None:
    """
    The least size of an axis that the integers of `argument` index; None if none is.
    """
    element = element_of(argument.type)
    if element is None or not DTYPE_NAMES.get(element, "").startswith(("int", "uint")):
        return None
    bounds: list[int] = []
    waiting, seen = [argument], {argument}
    while waiting and len(seen) < _FOLLOWED:
        for use in waiting.pop().uses:
            op = use.operation
            if not isinstance(op, OnnxOp):
                continue
            indexed = _indexed_axis(op, use.index)
            if indexed is not None:
                bounds.append(indexed)
            elif _casts_to_bool(op):
                bounds.append(2)
            elif op.op_type() in _HANDS_ON and use.index == 0:
                fresh = [result for result in op.results if result not in seen]
                waiting.extend(fresh)
                seen.update(fresh)
    return max(1, min(bounds)) if bounds else None


def _indexed_axis(op: OnnxOp, operand: int) -> int | None:
    if op.op_type() not in ("Gather", "GatherElements") or operand != 1:
        return None
    shape = static_shape(op.operands[0].type)
    axis = op.properties.get("axis")
    place = 0 if axis is None else python_value(axis)
    return None if shape is None or not shape else shape[place]


def _casts_to_bool(op: OnnxOp) -> bool:
    element = element_of(op.results[0].type) if op.results else None
    return (
        op.op_type() == "Cast"
        and element is not None
        and (DTYPE_NAMES.get(element) == "bool")
    )
