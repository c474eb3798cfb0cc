"""Linear operators, written again with their weights scaled and their bias shifted."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from xdsl.ir import Attribute, SSAValue

from ...dialects.onnx import OnnxBuilder, OnnxOp
from ...dialects.onnx.types import Array, element_of, tensor
from ..facts import constant_shape, derived, follows, given, setting
from ..fold_constants import source_of
from .affine import Affine


def _times(weight: Array, factor: Array) -> Array:
    """``weight * factor``, rounded once, without all of a float32's float64 at once."""
    if weight.dtype != np.float32:
        return weight * factor
    shape = np.broadcast_shapes(weight.shape, factor.shape)
    made = np.empty(shape, weight.dtype)
    return np.multiply(weight, factor, made, dtype=np.float64, casting="same_kind")


def scaled(
    builder: OnnxBuilder, weight: SSAValue, factor: Array, what: str = "scaled"
) -> SSAValue:
    """The constant ``weight * factor``; `factor` broadcasts to its shape."""
    shape = constant_shape(weight)
    made = derived(weight, what, shape, lambda array: _times(array, factor), builder)
    made.name_hint = weight.name_hint
    return made


def bias_of(
    builder: OnnxBuilder, linear: OnnxOp, affine: Affine, channels: int
) -> SSAValue | None:
    """The bias ``b * scale + shift`` of Conv and ConvTranspose."""
    old, weight = linear.operands[2], linear.operands[1]
    if not given(old) and not affine.shifts:
        return None
    element = element_of(weight.type)
    assert element is not None, "weights have an element type"
    before = source_of(old, builder.store)() if given(old) else np.zeros(1)
    kind = tensor(element, [channels])
    total = before.astype(np.float64) * affine.scale + affine.shift
    hint = old.name_hint or weight.name_hint or "bias"
    made = follows(builder, kind, f"{hint}.shifted", [], lambda: total)
    made.name_hint = old.name_hint
    return made


def again(
    linear: OnnxOp,
    operands: Sequence[SSAValue | None],
    builder: OnnxBuilder,
    without: tuple[str, ...] = (),
) -> SSAValue:
    """`linear` of other operands, with its attributes but those in `without`."""
    properties: dict[str, Attribute] = {
        name: value for name, value in linear.properties.items() if name not in without
    }
    kinds = [linear.results[0].type]
    return builder.create(linear.name, operands, properties, types=kinds).results[0]


def _write_conv(linear: OnnxOp, affine: Affine, builder: OnnxBuilder) -> SSAValue:
    x, weight, _ = linear.operands
    shape = constant_shape(weight)
    factor = affine.scale.reshape(-1, *[1] * (len(shape) - 1))
    weights = scaled(builder, weight, factor) if affine.scales else weight
    bias = bias_of(builder, linear, affine, shape[0])
    return again(linear, [x, weights, bias], builder)


def _write_transposed(linear: OnnxOp, affine: Affine, builder: OnnxBuilder) -> SSAValue:
    x, weight, _ = linear.operands
    groups = setting(linear, "group")
    inner, outer, *kernel = constant_shape(weight)
    # Channel c of the result is column c % outer of the group c // outer.
    scale = np.broadcast_to(affine.scale, groups * outer).reshape(groups, 1, outer)
    rows = np.broadcast_to(scale, (groups, inner // groups, outer))
    factor = rows.reshape(inner, outer, *[1] * len(kernel))
    weights = scaled(builder, weight, factor) if affine.scales else weight
    bias = bias_of(builder, linear, affine, groups * outer)
    return again(linear, [x, weights, bias], builder)


def _write_gemm(linear: OnnxOp, affine: Affine, builder: OnnxBuilder) -> SSAValue:
    a, weight, bias = linear.operands
    transposed = setting(linear, "transB")
    factor = affine.scale.reshape(-1, 1) if transposed else affine.scale
    weights = scaled(builder, weight, factor) if affine.scales else weight
    if not given(bias) and not affine.shifts:
        return again(linear, [a, weights, None], builder)
    columns = constant_shape(weight)[0 if transposed else 1]
    beta = setting(linear, "beta")
    before = source_of(bias, builder.store)() if given(bias) else np.zeros(1)
    total = before.astype(np.float64) * beta * affine.scale + affine.shift
    shape = np.broadcast_shapes(total.shape, (columns,))
    element = element_of(weight.type)
    assert element is not None, "weights have an element type"
    key = f"{bias.name_hint or weight.name_hint or 'bias'}.shifted"
    new = follows(builder, tensor(element, shape), key, [], lambda: total)
    new.name_hint = bias.name_hint
    return again(linear, [a, weights, new], builder, without=("beta",))


def _write_matmul(linear: OnnxOp, affine: Affine, builder: OnnxBuilder) -> SSAValue:
    a, weight = linear.operands
    weights = scaled(builder, weight, affine.scale) if affine.scales else weight
    return again(linear, [a, weights], builder)


def _write_norm(linear: OnnxOp, affine: Affine, builder: OnnxBuilder) -> SSAValue:
    x, scale, offset, mean, variance = linear.operands
    new_scale = scaled(builder, scale, affine.scale)
    old = source_of(offset, builder.store)().astype(np.float64)
    total = old * affine.scale + affine.shift
    key = f"{offset.name_hint or 'offset'}.shifted"
    new_offset = follows(builder, offset.type, key, [], lambda: total)
    new_offset.name_hint = offset.name_hint
    operands = [x, new_scale, new_offset, mean, variance]
    kinds = [linear.results[0].type, *(kind for kind in linear.result_types[1:])]
    made = builder.create(linear.name, operands, dict(linear.properties), types=kinds)
    return made.results[0]


WRITERS: dict[str, Callable[[OnnxOp, Affine, OnnxBuilder], SSAValue]] = {
    "onnx.BatchNormalization": _write_norm,
    "onnx.Conv": _write_conv,
    "onnx.ConvTranspose": _write_transposed,
    "onnx.Gemm": _write_gemm,
    "onnx.MatMul": _write_matmul,
}
"""By the operator: it, with what is done to its result in its constants."""
