"""
Upgrade rules for opsets 1 to 6: before broadcasting was NumPy's.

Two things run through these forms. `consumed_inputs` told an old runtime which buffers
it may overwrite; it says nothing about values. `broadcast` and `axis` placed the second
operand within the first's axes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from xdsl.ir import SSAValue

from ...dialects.onnx.builder import OnnxBuilder
from ...dialects.onnx.dims import Dim
from ...dialects.onnx.types import shape_of
from .upgrades_form import OldNode, Rule, Values, emit, integers
from .upgrades_operands import clip

# --- elementwise ---

_CONSUMED = "consumed_inputs"


def elementwise(builder: OnnxBuilder, node: OldNode) -> Values:
    """``Op-1(...) {consumed_inputs} -> Op(...)``."""
    name = f"onnx.{node.op_type}"
    return emit(builder, name, node.operands, node.without(_CONSUMED), node.outputs)


def selu(builder: OnnxBuilder, node: OldNode) -> Values:
    """``Selu-1 -> Selu``: its defaults had four digits."""
    attributes = {"alpha": 1.6732, "gamma": 1.0507, **node.without(_CONSUMED)}
    return emit(builder, "onnx.Selu", node.operands, attributes)


def clip_consuming(builder: OnnxBuilder, node: OldNode) -> Values:
    """``Clip-1 {consumed_inputs} -> Clip-6``."""
    return clip(builder, _with(node, node.without(_CONSUMED)))


def binary(builder: OnnxBuilder, node: OldNode) -> Values:
    """
    ``Add-1/6(a, b) {broadcast, axis} -> Add(a, b)``, b's axes moved below a's.

    With ``broadcast = 1``, b has one element, or its shape is a contiguous part of a's:
    that which starts at `axis`, by default the end.
    """
    a, b = node.operand(0), node.operand(1)
    if unknown := node.without("broadcast", "axis", _CONSUMED):
        raise ValueError(f"attribute {min(unknown)!r} is not supported")
    if node.attributes.get("broadcast", 0):
        b = _placed(builder, a, b, node.attributes.get("axis"))
    else:
        _check_same(a, b)
    return emit(builder, f"onnx.{node.op_type}", [a, b], {})


def _check_same(a: SSAValue, b: SSAValue) -> None:
    """Raise if the shapes are known to differ: no broadcast was asked for."""
    shapes = [shape_of(x.type) for x in (a, b)]
    known = [s for s in shapes if s is not None]
    differ = len(known) == 2 and (
        len(known[0]) != len(known[1])
        or any(
            x is not None and y is not None and x.equals(y) is False
            for x, y in zip(*known, strict=True)
        )
    )
    if differ:
        raise ValueError(f"found {a.type} and {b.type} without broadcast = 1")


def _placed(
    builder: OnnxBuilder, a: SSAValue, b: SSAValue, axis: int | None
) -> SSAValue:
    """`b` with axes of size 1 behind its own, so that those begin at `axis` of `a`."""
    if axis is None:
        return _squeezed(builder, a, b)
    shapes = [shape_of(x.type) for x in (a, b)]
    if shapes[0] is None or shapes[1] is None:
        raise ValueError("the ranks are not known, which axis = ... needs")
    rank, inner = len(shapes[0]), len(shapes[1])
    axis = axis + rank if axis < 0 else axis
    if _one_element(b):
        return _squeezed(builder, a, b)
    behind = rank - axis - inner
    if behind < 0 or axis < 0:
        raise ValueError(f"axis {axis} places {b.type} outside of {a.type}")
    if not behind:
        return b
    axes = integers(builder, list(range(inner, inner + behind)))
    return builder.value("onnx.Unsqueeze", b, axes)


def _squeezed(builder: OnnxBuilder, a: SSAValue, b: SSAValue) -> SSAValue:
    """`b`; a single element of more axes than `a` has as a scalar."""
    outer, inner = shape_of(a.type), shape_of(b.type)
    more = outer is not None and inner is not None and len(inner) > len(outer)
    if not more or not _one_element(b):
        return b
    return builder.value(
        "onnx.Reshape", b, integers(builder, np.zeros(0, int).tolist())
    )


def _one_element(x: SSAValue) -> bool:
    shape = shape_of(x.type)
    return shape is not None and all(dim == Dim.of(1) for dim in shape)


def p_relu(builder: OnnxBuilder, node: OldNode) -> Values:
    """``PRelu-1/6(x, slope) -> PRelu``: a slope per channel lies on axis 1 of x."""
    x, slope = node.operand(0), node.operand(1)
    shape, given = shape_of(x.type), shape_of(slope.type)
    if shape is None or given is None:
        raise ValueError("the ranks of X and slope are not known")
    if len(given) == 1 and len(shape) > 2 and not _one_element(slope):
        axes = integers(builder, list(range(1, len(shape) - 1)))
        slope = builder.value("onnx.Unsqueeze", slope, axes)
    return emit(builder, "onnx.PRelu", [x, slope], {})


def gemm(builder: OnnxBuilder, node: OldNode) -> Values:
    """``Gemm-1/6 {broadcast} -> Gemm``, which always broadcasts C."""
    attributes = node.without("broadcast")
    return emit(builder, "onnx.Gemm", node.operands, attributes)


def cast(builder: OnnxBuilder, node: OldNode) -> Values:
    """``Cast-1 {to = "FLOAT"} -> Cast {to = 1}``."""
    name = str(node.required("to")).upper()
    number = dict(onnx.TensorProto.DataType.items()).get(name)
    if not number:
        raise ValueError(f"found to = {name!r}, wanted an element type")
    return emit(builder, "onnx.Cast", [node.operand(0)], {"to": number})


# --- inference and training ---


def batch_normalization(builder: OnnxBuilder, node: OldNode) -> Values:
    """
    ``BatchNormalization-1/6 {is_test} -> BatchNormalization {training_mode}``.

    `is_test` is 0 by default: the statistics are then those of the batch.
    """
    if node.attributes.get("spatial", 1) != 1:
        raise ValueError("statistics per activation (spatial = 0) are not supported")
    if any(node.outputs[3:]):
        raise ValueError("the outputs saved_mean and saved_var are not supported")
    attributes = node.without(_CONSUMED, "is_test", "spatial")
    testing = node.attributes.get("is_test", 0)
    if testing and any(node.outputs[1:]):
        raise ValueError("found outputs of training with is_test = 1")
    if not testing:
        attributes["training_mode"] = 1
    asked = (True,) if testing else (True, True, True)
    name = "onnx.BatchNormalization"
    made = emit(builder, name, node.operands, attributes, asked)
    results = [*made, None, None, None, None]
    pairs = zip(results, node.outputs, strict=False)
    return [result if wanted else None for result, wanted in pairs]


def dropout(builder: OnnxBuilder, node: OldNode) -> Values:
    """``Dropout-1/6 {is_test = 1, ratio} -> Identity``; refused where it draws."""
    if not node.attributes.get("is_test", 0):
        raise ValueError("random dropout (is_test = 0) is not supported")
    if any(node.outputs[1:]):
        raise ValueError("found a mask with is_test = 1, which draws none")
    results = emit(builder, "onnx.Dropout", [node.operand(0)], {})
    return [*results, *(None for _ in node.outputs[1:])]


# --- windows and recurrence ---


def lp_pool(builder: OnnxBuilder, node: OldNode) -> Values:
    """``LpPool-1/GlobalLpPool-1 {p = 2.0} -> {p = 2}``."""
    power = float(node.attributes.get("p", 2.0))
    if not math.isfinite(power) or power != int(power):
        raise ValueError(f"found p = {power}, wanted a whole number")
    attributes = {**node.attributes, "p": int(power)}
    return emit(builder, f"onnx.{node.op_type}", node.operands, attributes)


def recurrent(builder: OnnxBuilder, node: OldNode) -> Values:
    """``LSTM-1 {output_sequence} -> LSTM``: Y is made where it is named."""
    attributes = node.without("output_sequence")
    if attributes.get("direction") == "foward":
        attributes["direction"] = "forward"  # as the schema of GRU-1 spells its default
    name = f"onnx.{node.op_type}"
    return emit(builder, name, node.operands, attributes, node.outputs)


def upsample(builder: OnnxBuilder, node: OldNode) -> Values:
    """``Upsample-1 {height_scale, width_scale} -> Resize {asymmetric, floor}``."""
    scales = [float(node.required(f"{side}_scale")) for side in ("height", "width")]
    mode = node.attributes.get("mode", "nearest")
    if min(scales) < 1 or mode not in ("nearest", "bilinear"):
        raise ValueError(
            f"found mode {mode!r} and scales {scales}, wanted 'nearest' or 'bilinear' "
            "and none below 1"
        )
    attributes: dict[str, Any] = {"coordinate_transformation_mode": "asymmetric"}
    if mode == "nearest":
        attributes["nearest_mode"] = "floor"
    else:
        attributes["mode"] = "linear"
    factors = builder.constant(np.array([1, 1, *scales], np.float32))
    operands = [node.operand(0), None, factors]
    return emit(builder, "onnx.Resize", operands, attributes)


# --- movement ---


def concat(builder: OnnxBuilder, node: OldNode) -> Values:
    """``Concat-1 {axis = 1} -> Concat {axis}``."""
    return emit(builder, "onnx.Concat", node.operands, {"axis": 1, **node.attributes})


def reshape(builder: OnnxBuilder, node: OldNode) -> Values:
    """``Reshape-1(x) {shape} -> Reshape(x, shape)``."""
    shape = integers(builder, list(node.required("shape")))
    return emit(builder, "onnx.Reshape", [node.operand(0), shape], {})


def split(builder: OnnxBuilder, node: OldNode) -> Values:
    """``Split-1(x, sizes) {axis, split} -> Split(x, split) {axis}``."""
    axis = node.required("axis")
    sizes: Sequence[int] | None = node.attributes.get("split") or None
    if node.optional(1) is not None:
        sizes = _constant(builder, node.operand(1), "the sizes of the parts")
    attributes: dict[str, Any] = {"axis": axis}
    if sizes is None:
        attributes["num_outputs"] = len(node.outputs)
    operand = None if sizes is None else integers(builder, list(sizes))
    return emit(
        builder, "onnx.Split", [node.operand(0), operand], attributes, node.outputs
    )


def tile(builder: OnnxBuilder, node: OldNode) -> Values:
    """``Tile-1(x, tiles, axis) -> Tile(x, repeats)``, for constant tiles and axis."""
    x, shape = node.operand(0), shape_of(node.operand(0).type)
    (times,) = _constant(builder, node.operand(1), "the number of tiles")
    (axis,) = _constant(builder, node.operand(2), "the axis")
    if shape is None or not -len(shape) <= axis < len(shape):
        raise ValueError(f"axis {axis} is not in {x.type}")
    repeats = [1] * len(shape)
    repeats[axis] = times
    return emit(builder, "onnx.Tile", [x, integers(builder, repeats)], {})


def _constant(builder: OnnxBuilder, value: SSAValue, what: str) -> list[int]:
    known = builder.integers.constant(value)
    if known is None:
        raise ValueError(f"{what} is no constant, which is not supported")
    items: list[int] = known.reshape(-1).astype(np.int64).tolist()
    return items


def _with(node: OldNode, attributes: Mapping[str, Any]) -> OldNode:
    return OldNode(node.op_type, 6, node.operands, attributes, node.outputs)


# --- which rule raises which form ---

_CONSUMING = (
    "Abs Ceil Elu Exp Floor HardSigmoid InstanceNormalization LeakyRelu Log Max Mean "
    "Min Neg Reciprocal Relu Sigmoid Sqrt Sum Tanh"
)

OLD_RULES: Mapping[tuple[str, int], Rule] = {
    **{(name, 1): elementwise for name in _CONSUMING.split()},
    **{
        (name, since): binary
        for name in ("Add", "Div", "Mul", "Sub")
        for since in (1, 6)
    },
    **{
        (name, 1): binary
        for name in ("And", "Equal", "Greater", "Less", "Or", "Pow", "Xor")
    },
    **{(name, since): p_relu for name in ("PRelu",) for since in (1, 6)},
    ("BatchNormalization", 1): batch_normalization,
    ("BatchNormalization", 6): batch_normalization,
    ("Cast", 1): cast,
    ("Clip", 1): clip_consuming,
    ("Concat", 1): concat,
    ("Dropout", 1): dropout,
    ("Dropout", 6): dropout,
    ("GRU", 1): recurrent,
    ("GRU", 3): recurrent,
    ("Gemm", 1): gemm,
    ("Gemm", 6): gemm,
    ("GlobalLpPool", 1): lp_pool,
    ("LSTM", 1): recurrent,
    ("LpPool", 1): lp_pool,
    ("RNN", 1): recurrent,
    ("Reshape", 1): reshape,
    ("Selu", 1): selu,
    ("Split", 1): split,
    ("Tile", 1): tile,
    ("Upsample", 1): upsample,
}
"""The rule of every form that only a model of opset 1 to 6 selects."""

OLD_REFUSED: Mapping[tuple[str, int], str] = {
    ("Pad", 1): "its specification gives two orders for paddings",
}
