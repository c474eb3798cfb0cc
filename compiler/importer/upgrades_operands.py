"""Upgrade rules for attributes that became inputs, or other attributes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from xdsl.ir import SSAValue

from ...dialects.onnx.builder import OnnxBuilder
from ...dialects.onnx.types import Array
from .upgrades_form import OldNode, Values, dtype_of, emit, integers, same

# --- axes ---


def squeeze(builder: OnnxBuilder, node: OldNode) -> Values:
    """``Squeeze-1/11(x) {axes} -> Squeeze(x, axes)``; no axes: all of size 1."""
    return _with_axes(builder, node, node.attributes.get("axes"))


def unsqueeze(builder: OnnxBuilder, node: OldNode) -> Values:
    """``Unsqueeze-1/11(x) {axes} -> Unsqueeze(x, axes)``."""
    return _with_axes(builder, node, node.required("axes"))


def reduce(builder: OnnxBuilder, node: OldNode) -> Values:
    """``ReduceX-1/11/12/13(x) {axes} -> ReduceX(x, axes)``; without axes, all."""
    return _with_axes(builder, node, node.attributes.get("axes") or None)


def reduce_logarithm(builder: OnnxBuilder, node: OldNode) -> Values:
    """
    ``ReduceLogSum(Exp)-1/11/13 {axes} -> ReduceLogSum(Exp)(x, axes)``, on floats.

    Form 18 has the operand already.
    """
    require_float(node)
    return same(builder, node) if node.since >= 18 else reduce(builder, node)


def require_float(node: OldNode) -> None:
    """Raise if the first input is of integers, which newer forms do not take."""
    found = dtype_of(node.operand(0))
    if found.kind in "iu":
        raise ValueError(f"found an input of {found}, wanted one of floats")


def _with_axes(
    builder: OnnxBuilder, node: OldNode, axes: Sequence[int] | None
) -> Values:
    operand = None if axes is None else integers(builder, axes)
    name = f"onnx.{node.op_type}"
    operands = [node.operand(0), operand]
    return emit(builder, name, operands, node.without("axes"), node.outputs)


# --- movement ---


def pad(builder: OnnxBuilder, node: OldNode) -> Values:
    """``Pad-2(x) {pads, value} -> Pad(x, pads, value)``."""
    x = node.operand(0)
    pads = integers(builder, node.required("pads"))
    value = node.attributes.get("value", 0.0)
    fill = builder.constant(np.array(value, dtype_of(x))) if value else None
    attributes = node.without("pads", "value")
    return emit(builder, "onnx.Pad", [x, pads, fill], attributes)


def slice_attributes(builder: OnnxBuilder, node: OldNode) -> Values:
    """``Slice-1(x) {starts, ends, axes} -> Slice(x, starts, ends, axes)``."""
    starts, ends = node.required("starts"), node.required("ends")
    axes = node.attributes.get("axes") or range(len(starts))
    if not len(starts) == len(ends) == len(axes):
        raise ValueError(
            f"found {len(starts)} starts, {len(ends)} ends and {len(axes)} axes"
        )
    bounds = [integers(builder, list(values)) for values in (starts, ends, axes)]
    attributes = node.without("starts", "ends", "axes")
    return emit(builder, "onnx.Slice", [node.operand(0), *bounds], attributes)


def split(builder: OnnxBuilder, node: OldNode) -> Values:
    """
    ``Split-2/11(x) {split} -> Split(x, split)``; Split-13 has it as input already.

    Without sizes the parts are equal: ``Split(x) {num_outputs}``.
    """
    sizes = node.optional(1)
    if node.attributes.get("split"):
        sizes = integers(builder, node.attributes["split"])
    attributes = node.without("split")
    if sizes is None:
        attributes["num_outputs"] = len(node.outputs)
    return emit(
        builder, "onnx.Split", [node.operand(0), sizes], attributes, node.outputs
    )


def top_k(builder: OnnxBuilder, node: OldNode) -> Values:
    """``TopK-1(x) {k} -> TopK(x, k)``."""
    k = integers(builder, [node.required("k")])
    operands = [node.operand(0), k]
    return emit(builder, "onnx.TopK", operands, node.without("k"), node.outputs)


def dft(builder: OnnxBuilder, node: OldNode) -> Values:
    """``DFT-17(x, length) {axis = 1} -> DFT(x, length, axis)``."""
    axis = integers(builder, node.attributes.get("axis", 1))
    operands = [node.operand(0), node.optional(1), axis]
    return emit(builder, "onnx.DFT", operands, node.without("axis"))


# --- arithmetic ---

_FLOAT32_MAX = float(np.finfo(np.float32).max)


def clip(builder: OnnxBuilder, node: OldNode) -> Values:
    """
    ``Clip-6(x) {min, max} -> Clip(x, min, max)``.

    A bound that the element type cannot pass is left out.
    """
    x = node.operand(0)
    low = node.attributes.get("min", -_FLOAT32_MAX)
    high = node.attributes.get("max", _FLOAT32_MAX)
    info = np.finfo(dtype_of(x))
    least, largest = float(info.min), float(info.max)
    bounds = [
        None if low <= least else _scalar(builder, x, min(low, largest)),
        None if high >= largest else _scalar(builder, x, max(high, least)),
    ]
    return emit(builder, "onnx.Clip", [x, *bounds], node.without("min", "max"))


def _scalar(builder: OnnxBuilder, like: SSAValue, value: float) -> SSAValue:
    return builder.constant(np.array(value, dtype_of(like)))


def dropout(builder: OnnxBuilder, node: OldNode) -> Values:
    """
    ``Dropout-7/10(x) {ratio} -> Dropout(x)``: inference only, so no ratio.

    Everything is kept: the mask, which Dropout-7 gives in the type of x, is all ones.
    """
    x = node.operand(0)
    attributes = node.without("ratio")
    results = list(emit(builder, "onnx.Dropout", [x], attributes, node.outputs))
    if node.since < 10 and len(results) > 1 and results[1] is not None:
        results[1] = builder.value("onnx.CastLike", results[1], x)
    return results


# --- constants ---

_CONSTANT_DTYPES = {
    "value_float": np.float32,
    "value_floats": np.float32,
    "value_int": np.int64,
    "value_ints": np.int64,
    "value_string": object,
    "value_strings": object,
}


def constant(builder: OnnxBuilder, node: OldNode) -> Values:
    """``Constant {value_ints} -> Constant {value}``, and so for each such attribute."""
    if len(node.attributes) != 1:
        raise ValueError(f"found {len(node.attributes)} attributes, wanted one value")
    ((name, value),) = node.attributes.items()
    if name == "value":
        array: Array = value
        return [builder.constant(array)]
    if name not in _CONSTANT_DTYPES:
        raise ValueError(f"attribute {name!r} is not supported")
    return [builder.constant(np.array(value, _CONSTANT_DTYPES[name]))]


def label_encoder(builder: OnnxBuilder, node: OldNode) -> Values:
    """
    ``LabelEncoder-1 {classes_strings} -> LabelEncoder {keys_*, values_*}``.

    Strings become their places in the list, integers the string in that place.
    """
    x = node.operand(0)
    classes = list(node.required("classes_strings"))
    attributes = node.without("classes_strings", "default_string", "default_int64")
    places = list(range(len(classes)))
    if dtype_of(x).kind == "O":
        attributes |= {"keys_strings": classes, "values_int64s": places}
        attributes["default_int64"] = node.attributes.get("default_int64", -1)
    else:
        attributes |= {"keys_int64s": places, "values_strings": classes}
        attributes["default_string"] = node.attributes.get("default_string", "_Unused")
    return emit(builder, "onnx_ml.LabelEncoder", [x], attributes)
