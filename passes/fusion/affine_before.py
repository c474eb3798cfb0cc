"""
What is done to the data of a convolution, folded into its constants.

    Conv(Mul(x, s), w, b)      ->   Conv(x, w * s, b)
    Conv(Add(x, t), w, b)      ->   Conv(x, w, b + sum(w * t)), without padding
    Conv(Conv(x, v, a), w, b)  ->   Conv(Conv(x, v), w, b + sum(w * a))
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from xdsl.ir import Operation, SSAValue

from ...dialects.onnx import OnnxBuilder, OnnxOp
from ...dialects.onnx.types import Array
from ..facts import constant_shape, given, is_wide_float, setting
from ..fold_constants import constant_of, source_of
from ..patterns import Declined, OnnxPattern
from .affine import AFFINE, Affine, affine_of
from .affine_linear import again, bias_of, scaled


@dataclass(frozen=True)
class AffineBeforeConv(OnnxPattern[Affine]):
    """Folds what is done to the data of a convolution into its weights."""

    name = "affine-before-conv"
    roots = frozenset(["onnx.Conv"])

    def decide(self, op: OnnxOp) -> Affine | Declined:
        data, weight, bias = op.operands
        producer = data.owner
        if not isinstance(producer, OnnxOp) or producer.name not in AFFINE:
            return Declined("its data is not scaled or shifted", near=False)
        if not data.has_one_use():
            return Declined("the scaled or shifted data have other uses")
        affine = affine_of(producer, self.store, axis=1)
        if isinstance(affine, Declined):
            return affine
        if affine.data.type != data.type:
            return Declined("the data are broadcast")
        if not is_wide_float(data):
            return Declined("the element type is narrow: a folded weight may overflow")
        if constant_of(weight, self.store) is None:
            return Declined("the weight is not constant")
        if affine.shifts and _pads(op):
            return Declined("the convolution pads what is shifted")
        if affine.shifts and given(bias) and constant_of(bias, self.store) is None:
            return Declined("the bias is not constant")
        return affine

    def covers(self, op: OnnxOp, found: Affine) -> list[Operation]:
        producer = op.operands[0].owner
        assert isinstance(producer, Operation), "checked by `decide`"
        return [producer, op]

    def rewrite(
        self, op: OnnxOp, found: Affine, builder: OnnxBuilder
    ) -> list[SSAValue | None]:
        _, weight, bias = op.operands
        shape = constant_shape(weight)
        factor = _input_scale(found.scale, shape, setting(op, "group"))
        new_bias: SSAValue | None = bias
        if found.shifts:
            new_bias = _bias_of_shifted(builder, op, found.shift)
        weights = scaled(builder, weight, factor) if found.scales else weight
        return [again(op, [found.data, weights, new_bias], builder)]


def _bias_of_shifted(builder: OnnxBuilder, op: OnnxOp, shift: Array) -> SSAValue | None:
    """The bias by which a convolution of data gives what it gives of shifted data."""
    weight = op.operands[1]
    shape = constant_shape(weight)
    array = source_of(weight, builder.store)().astype(np.float64)
    of_each = array * _input_scale(shift, shape, setting(op, "group"))
    moved = of_each.reshape(shape[0], -1).sum(1)
    return bias_of(builder, op, Affine(op.operands[0], np.ones(1), moved), shape[0])


@dataclass(frozen=True)
class BiasThroughConv(OnnxPattern[OnnxOp]):
    """
    Adds the bias of a convolution together with that of the next one.

    A depthwise convolution and a pointwise one are so written without an activation
    between them, in ShuffleNet and Xception.
    """

    name = "bias-through-conv"
    roots = frozenset(["onnx.Conv"])

    def decide(self, op: OnnxOp) -> OnnxOp | Declined:
        data, weight, bias = op.operands
        first = data.owner
        if not isinstance(first, OnnxOp) or first.name != "onnx.Conv":
            return Declined("it does not follow a convolution", near=False)
        if not given(first.operands[2]):
            return Declined("the convolution before it has no bias", near=False)
        if not data.has_one_use():
            return Declined("the data have other uses")
        if not given(bias):
            return Declined("it has no bias: one would only take another's place")
        constants = (weight, bias, first.operands[2])
        if any(constant_of(value, self.store) is None for value in constants):
            return Declined("a weight or a bias is not constant")
        if not is_wide_float(data):
            return Declined("the element type is narrow: a folded bias may overflow")
        return Declined("it pads what has a bias") if _pads(op) else first

    def covers(self, op: OnnxOp, found: OnnxOp) -> list[Operation]:
        return [found, op]

    def rewrite(
        self, op: OnnxOp, found: OnnxOp, builder: OnnxBuilder
    ) -> list[SSAValue | None]:
        x, first_weight, first_bias = found.operands
        shift = source_of(first_bias, builder.store)().astype(np.float64)
        bias = _bias_of_shifted(builder, op, shift)
        data = again(found, [x, first_weight, None], builder)
        return [again(op, [data, op.operands[1], bias], builder)]


def _input_scale(scale: Array, shape: tuple[int, ...], groups: int) -> Array:
    """The scale of the data's channels as it applies to weights of `shape`."""
    outer, inner, *kernel = shape
    whole = np.broadcast_to(scale, groups * inner).reshape(groups, 1, inner)
    rows = np.broadcast_to(whole, (groups, outer // groups, inner))
    return rows.reshape(outer, inner, *[1] * len(kernel))


def _pads(op: OnnxOp) -> bool:
    automatic = setting(op, "auto_pad").startswith("SAME")
    return automatic or any(setting(op, "pads") or ())
