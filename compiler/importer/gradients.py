"""
``ai.onnx.preview.training.Gradient`` as the ops that compute it, in reverse mode.

The operator names tensors of the graph around it: ``y``, and ``xs`` that it is
differentiated by. Every operator between them has a rule here, which says what the
gradient of its result is worth for each operand; for others the import is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np
from xdsl.ir import Block, SSAValue

from ...dialects.onnx import OnnxBuilder, OnnxOp
from ...dialects.onnx.provenance import describe
from ...dialects.onnx.types import static_shape
from .upgrades_form import dtype_of, integers

Values: TypeAlias = Sequence[SSAValue | None]
GradientRule: TypeAlias = Callable[[OnnxBuilder, OnnxOp, SSAValue], Values]
"""For an op and the gradient of its result, the gradient of each operand."""


def gradients(
    builder: OnnxBuilder, block: Block, y: SSAValue, xs: Sequence[SSAValue]
) -> list[SSAValue]:
    """
    ``dy/dx`` for each of `xs`, as tensors like them, of the sum of y's elements.

    Raises ValueError, naming the node, for an operator without a rule.
    """
    depending = _depending(block, xs)
    found: dict[SSAValue, SSAValue] = {y: _filled(builder, y, 1)}
    for op in reversed([op for op in block.ops if isinstance(op, OnnxOp)]):
        results = [r for r in op.results if r in found and r in depending]
        if not results or results[0] in xs:
            continue
        if op.name not in RULES:
            raise ValueError(f"no gradient goes through {describe(op)}")
        parts = RULES[op.name](builder, op, found[results[0]])
        for operand, part in zip(op.operands, parts, strict=True):
            if part is None or (operand not in depending and operand not in xs):
                continue
            part = _summed_to(builder, part, operand, op)
            old = found.get(operand)
            found[operand] = (
                part if old is None else builder.value("onnx.Add", old, part)
            )
    return [found[x] if x in found else _filled(builder, x, 0) for x in xs]


def _depending(block: Block, xs: Sequence[SSAValue]) -> set[SSAValue]:
    """The values that are computed from `xs`, `xs` themselves among them."""
    depending = set(xs)
    for op in block.ops:
        if any(operand in depending for operand in op.operands):
            depending.update(op.results)
    return depending


def _filled(builder: OnnxBuilder, like: SSAValue, number: float) -> SSAValue:
    """A tensor of the shape and type of `like`, all elements `number`."""
    one = builder.constant(np.array(number, dtype_of(like)))
    return builder.value("onnx.Expand", one, builder.value("onnx.Shape", like))


def _summed_to(
    builder: OnnxBuilder, part: SSAValue, operand: SSAValue, op: OnnxOp
) -> SSAValue:
    """`part` added up over the axes along which `operand` was broadcast."""
    shape, wide = static_shape(operand.type), static_shape(part.type)
    if shape is None or wide is None:
        if operand.type == part.type:
            return part
        raise ValueError(f"no gradient goes through {describe(op)}: its sizes are free")
    if shape == wide:
        return part
    added = len(wide) - len(shape)
    axes = [
        axis
        for axis in range(len(wide))
        if axis < added or (shape[axis - added] == 1 and wide[axis] != 1)
    ]
    total = builder.value("onnx.ReduceSum", part, integers(builder, axes))
    return builder.value("onnx.Reshape", total, integers(builder, list(shape)))


# --- rules ---


def _add(builder: OnnxBuilder, op: OnnxOp, slope: SSAValue) -> Values:
    return slope, slope


def _sub(builder: OnnxBuilder, op: OnnxOp, slope: SSAValue) -> Values:
    return slope, builder.value("onnx.Neg", slope)


def _mul(builder: OnnxBuilder, op: OnnxOp, slope: SSAValue) -> Values:
    a, b = op.operands
    return builder.value("onnx.Mul", slope, b), builder.value("onnx.Mul", slope, a)


def _div(builder: OnnxBuilder, op: OnnxOp, slope: SSAValue) -> Values:
    """``a / b -> 1 / b, -(a / b) / b``."""
    b = op.operands[1]
    above = builder.value("onnx.Div", slope, b)
    below = builder.value("onnx.Mul", above, op.results[0])
    return above, builder.value("onnx.Neg", below)


def _neg(builder: OnnxBuilder, op: OnnxOp, slope: SSAValue) -> Values:
    return (builder.value("onnx.Neg", slope),)


def _identity(builder: OnnxBuilder, op: OnnxOp, slope: SSAValue) -> Values:
    return (slope,)


def _exp(builder: OnnxBuilder, op: OnnxOp, slope: SSAValue) -> Values:
    return (builder.value("onnx.Mul", slope, op.results[0]),)


def _log(builder: OnnxBuilder, op: OnnxOp, slope: SSAValue) -> Values:
    return (builder.value("onnx.Div", slope, op.operands[0]),)


def _tanh(builder: OnnxBuilder, op: OnnxOp, slope: SSAValue) -> Values:
    """``tanh(x) -> 1 - tanh(x) ** 2``."""
    y = op.results[0]
    lost = builder.value("onnx.Mul", builder.value("onnx.Mul", slope, y), y)
    return (builder.value("onnx.Sub", slope, lost),)


def _sigmoid(builder: OnnxBuilder, op: OnnxOp, slope: SSAValue) -> Values:
    """``s(x) -> s(x) - s(x) ** 2``."""
    y = op.results[0]
    kept = builder.value("onnx.Mul", slope, y)
    lost = builder.value("onnx.Mul", kept, y)
    return (builder.value("onnx.Sub", kept, lost),)


def _relu(builder: OnnxBuilder, op: OnnxOp, slope: SSAValue) -> Values:
    """``relu(x) -> 1 where x > 0``."""
    side = builder.value("onnx.Sign", op.results[0])
    return (builder.value("onnx.Mul", slope, side),)


def _matmul(builder: OnnxBuilder, op: OnnxOp, slope: SSAValue) -> Values:
    """``a @ b -> slope @ b.T, a.T @ slope``, for matrices."""
    a, b = op.operands
    if any(len(static_shape(x.type) or ()) != 2 for x in (a, b)):
        raise ValueError(f"no gradient goes through {describe(op)}: not of matrices")
    turned = [builder.value("onnx.Transpose", x) for x in (a, b)]
    return (
        builder.value("onnx.MatMul", slope, turned[1]),
        builder.value("onnx.MatMul", turned[0], slope),
    )


RULES: Mapping[str, GradientRule] = {
    "onnx.Add": _add,
    "onnx.Div": _div,
    "onnx.Exp": _exp,
    "onnx.Identity": _identity,
    "onnx.Log": _log,
    "onnx.MatMul": _matmul,
    "onnx.Mul": _mul,
    "onnx.Neg": _neg,
    "onnx.Relu": _relu,
    "onnx.Sigmoid": _sigmoid,
    "onnx.Sub": _sub,
    "onnx.Tanh": _tanh,
}
