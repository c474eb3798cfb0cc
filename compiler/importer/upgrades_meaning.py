"""Upgrade rules for operators whose meaning, modes or shapes of inputs changed."""

from __future__ import annotations

import numpy as np
from xdsl.ir import SSAValue

from ...dialects.onnx.builder import OnnxBuilder
from ...dialects.onnx.dims import Dim
from ...dialects.onnx.types import shape_of, static_shape
from .upgrades_form import OldNode, Values, dtype_of, emit, integers, same
from .upgrades_operands import require_float

# --- softmax ---


def softmax(builder: OnnxBuilder, node: OldNode) -> Values:
    """
    ``Softmax-1/11 {axis} -> Flatten {axis}, Softmax, Reshape``; also Log-, Hardmax.

    The axes from `axis` (1 if absent) on counted as one. Nothing is to be reshaped if
    those after `axis` have size 1.
    """
    x, axis = node.operand(0), node.attributes.get("axis", 1)
    name = f"onnx.{node.op_type}"
    shape = shape_of(x.type)
    if shape is not None:
        if not -len(shape) <= axis < len(shape):
            raise ValueError(f"axis {axis} is not in rank {len(shape)}")
        if all(dim == Dim.of(1) for dim in shape[axis % len(shape) + 1 :]):
            return emit(builder, name, [x], {"axis": axis})
    rows = builder.value("onnx.Flatten", x, axis=axis)
    (flat,) = emit(builder, name, [rows], {})
    sizes = static_shape(x.type)
    if sizes is not None and 0 not in sizes:
        return emit(builder, "onnx.Reshape", [flat, integers(builder, sizes)], {})
    target = builder.value("onnx.Shape", x)
    return emit(builder, "onnx.Reshape", [flat, target], {"allowzero": 1})


# --- normalization ---


def batch_normalization(builder: OnnxBuilder, node: OldNode) -> Values:
    """``BatchNormalization-7/9 -> BatchNormalization``: as in inference, one output."""
    if node.attributes.get("spatial", 1) != 1:
        raise ValueError("statistics per activation (spatial = 0) are not supported")
    if any(node.outputs[1:]):
        raise ValueError("the training outputs (mean, var, ...) are not supported")
    attributes = node.without("spatial")
    results = emit(builder, "onnx.BatchNormalization", node.operands, attributes)
    return [*results, *(None for _ in node.outputs[1:])]


def group_normalization(builder: OnnxBuilder, node: OldNode) -> Values:
    """
    ``GroupNormalization-18(x, scale, bias) -> GroupNormalization``.

    Scale and bias, one per group, are repeated for the channels of the group.
    """
    x = node.operand(0)
    groups = node.required("num_groups")
    shape = shape_of(x.type)
    channels = shape[1] if shape is not None and len(shape) > 1 else None
    if channels is None or channels.constant is None:
        raise ValueError("the number of channels is not known")
    if groups < 1 or channels.constant % groups:
        raise ValueError(f"{channels.constant} channels are not {groups} groups")
    per_group = channels.constant // groups
    affine = [_repeat(builder, node.operand(i), per_group) for i in (1, 2)]
    attributes = dict(node.attributes)
    if dtype_of(x) == np.float64:
        # Stage one is in float32 today unless told otherwise (11 is double).
        attributes["stash_type"] = 11
    return emit(builder, "onnx.GroupNormalization", [x, *affine], attributes)


def _repeat(builder: OnnxBuilder, vector: SSAValue, times: int) -> SSAValue:
    """``[a, b] -> [a, a, b, b]``."""
    column = builder.value("onnx.Unsqueeze", vector, integers(builder, [1]))
    table = builder.value("onnx.Expand", column, integers(builder, [1, times]))
    return builder.value("onnx.Reshape", table, integers(builder, [-1]))


# --- resize ---


def upsample(builder: OnnxBuilder, node: OldNode) -> Values:
    """``Upsample-7 {scales}, -9/10(x, scales) -> Resize {asymmetric, floor}``."""
    if node.since < 9:
        scales = builder.constant(np.array(node.required("scales"), np.float32))
    else:
        scales = node.operand(1)
    known = builder.integers.constant(scales)
    if known is not None and (known < 1).any():
        raise ValueError(f"found scales {known.tolist()}, wanted none below 1")
    mode = _upsample_mode(node)
    return [_asymmetric(builder, node.operand(0), scales, mode, "floor")]


def resize_scales(builder: OnnxBuilder, node: OldNode) -> Values:
    """
    ``Resize-10(x, scales) -> Resize {asymmetric}``.

    The nearest element is the floor of the coordinate on axes that grow, the ceiling on
    axes that shrink; if there are both, or the scales are not known, one Resize each.
    """
    x, scales, mode = node.operand(0), node.operand(1), _upsample_mode(node)
    known = builder.integers.constant(scales)
    if mode == "linear" or (known is not None and (known >= 1).all()):
        return [_asymmetric(builder, x, scales, mode, "floor")]
    if known is not None and (known <= 1).all():
        return [_asymmetric(builder, x, scales, mode, "ceil")]
    one = builder.constant(np.array(1, np.float32))
    grown = builder.value("onnx.Max", scales, one)
    shrunk = builder.value("onnx.Min", scales, one)
    large = _asymmetric(builder, x, grown, mode, "floor")
    return [_asymmetric(builder, large, shrunk, mode, "ceil")]


def _upsample_mode(node: OldNode) -> str:
    if unknown := node.without("mode", "scales"):
        raise ValueError(f"{node.op_type} has no attribute {min(unknown)!r}")
    mode = node.attributes.get("mode", "nearest")
    if mode not in ("nearest", "linear"):
        raise ValueError(f"found mode {mode!r}, wanted 'nearest' or 'linear'")
    return mode


def _asymmetric(
    builder: OnnxBuilder, x: SSAValue, scales: SSAValue, mode: str, nearest: str
) -> SSAValue:
    return builder.value(
        "onnx.Resize",
        x,
        None,
        scales,
        mode=None if mode == "nearest" else mode,
        nearest_mode=nearest if mode == "nearest" else None,
        coordinate_transformation_mode="asymmetric",
    )


_HALF_PIXEL_NEAREST = {"floor": "round_prefer_ceil", "round_prefer_floor": "ceil"}
"""How to round half_pixel coordinates to what rounding 0.5 above them gives."""


def resize(builder: OnnxBuilder, node: OldNode) -> Values:
    """``Resize-11/13/18(x, roi, scales, sizes) -> Resize``, empty tensors as absent."""
    roi, scales, sizes = (_unless_empty(node.optional(i)) for i in (1, 2, 3))
    if (scales is None) == (sizes is None):
        raise ValueError("wanted either scales or sizes")
    attributes = dict(node.attributes)
    mode = attributes.get("coordinate_transformation_mode", "half_pixel")
    if mode == "tf_half_pixel_for_nn":
        # (x + 0.5) / scale is the half_pixel coordinate + 0.5.
        rounding = attributes.get("nearest_mode", "round_prefer_floor")
        nearest = attributes.get("mode", "nearest") == "nearest"
        if not nearest or rounding not in _HALF_PIXEL_NEAREST:
            raise ValueError(f"mode {mode!r} with {rounding!r} is not supported")
        attributes["coordinate_transformation_mode"] = "half_pixel"
        attributes["nearest_mode"] = _HALF_PIXEL_NEAREST[rounding]
    roi = roi if mode == "tf_crop_and_resize" else None
    operands = [node.operand(0), roi, scales, sizes]
    return emit(builder, "onnx.Resize", operands, attributes)


def _unless_empty(value: SSAValue | None) -> SSAValue | None:
    return None if value is None or static_shape(value.type) == (0,) else value


# --- sampling ---

_GRID_MODES = {"bilinear": "linear", "nearest": "nearest", "bicubic": "cubic"}


def grid_sample(builder: OnnxBuilder, node: OldNode) -> Values:
    """``GridSample-16 {bilinear, bicubic} -> GridSample {linear, cubic}``."""
    mode = node.attributes.get("mode", "bilinear")
    if mode not in _GRID_MODES:
        raise ValueError(f"found mode {mode!r}, wanted one of {sorted(_GRID_MODES)}")
    attributes = {**node.attributes, "mode": _GRID_MODES[mode]}
    return emit(builder, "onnx.GridSample", node.operands, attributes)


def roi_align(builder: OnnxBuilder, node: OldNode) -> Values:
    """``RoiAlign-10 -> RoiAlign {output_half_pixel}``."""
    attributes = {
        **node.attributes,
        "coordinate_transformation_mode": "output_half_pixel",
    }
    return emit(builder, "onnx.RoiAlign", node.operands, attributes)


# --- others ---


def scatter(builder: OnnxBuilder, node: OldNode) -> Values:
    """``Scatter-9/11 -> ScatterElements``."""
    return emit(builder, "onnx.ScatterElements", node.operands, node.attributes)


def erf(builder: OnnxBuilder, node: OldNode) -> Values:
    """``Erf-9 -> Erf``, on floats."""
    require_float(node)
    return same(builder, node)


def convolution_transpose(builder: OnnxBuilder, node: OldNode) -> Values:
    """
    ``ConvTranspose-1 -> ConvTranspose``.

    Refused where `output_shape` alone leaves an odd padding: version 1 put the larger
    half at the end, later ones put it at the beginning.
    """
    explicit = node.attributes.get("auto_pad", "NOTSET") == "NOTSET"
    sizes = node.attributes.get("output_shape")
    if sizes and explicit and not _evenly_padded(node, sizes):
        raise ValueError("output_shape leaves a padding that is odd or not known")
    return same(builder, node)


def _evenly_padded(node: OldNode, sizes: list[int]) -> bool:
    """Whether the padding that `sizes` imply is even on every axis of ConvTranspose."""
    data, weight = (static_shape(node.operand(i).type) for i in (0, 1))
    if data is None or weight is None:
        return False
    axes = len(data) - 2
    ones = [1] * axes
    strides = node.attributes.get("strides") or ones
    dilations = node.attributes.get("dilations") or ones
    extra = node.attributes.get("output_padding") or [0] * axes
    return all(
        (s * (n - 1) + e + (k - 1) * d + 1 - out) % 2 == 0
        for n, k, s, d, e, out in zip(
            data[2:], weight[2:], strides, dilations, extra, sizes[-axes:], strict=True
        )
    )


def attention(builder: OnnxBuilder, node: OldNode) -> Values:
    """
    ``Attention-23/24 -> Attention``: the shapes of 4-D Q and K state the heads.

    Attention-23 broadcast a mask of one column; today the others would count as masked.
    """
    mask = node.optional(3)
    if node.since < 24 and mask is not None and _columns(mask) == Dim.of(1):
        raise ValueError("an attn_mask of one column is not supported")
    attributes = dict(node.attributes)
    for name, index in (("q_num_heads", 0), ("kv_num_heads", 1)):
        shape = shape_of(node.operand(index).type)
        if shape is None:
            raise ValueError("the rank of Q and K is not known")
        if len(shape) == 4 and name in attributes:
            heads = attributes.pop(name)
            if shape[1] not in (None, Dim.of(heads)):
                raise ValueError(f"{name} is {heads}, but the input has {shape[1]}")
    return emit(builder, "onnx.Attention", node.operands, attributes, node.outputs)


def _columns(mask: SSAValue) -> Dim | None:
    shape = shape_of(mask.type)
    return shape[-1] if shape else None
