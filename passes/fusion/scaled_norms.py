"""Give a normalization the scale, the bias and the casts that stand around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from xdsl.dialects.builtin import BFloat16Type, Float16Type, Float32Type
from xdsl.ir import Operation, SSAValue

from ...dialects.onnx import OnnxBuilder, OnnxOp, WeightStore
from ...dialects.onnx.types import element_of, is_none, shape_of
from ..facts import given, rank_of, setting
from ..patterns import Declined, OnnxPattern
from .matching import either_way, producer, same_shape
from .normalized import Parameter, absorbed, constant_parameter

_NORMS = ("LayerNormalization", "RMSNormalization")


@dataclass(frozen=True)
class Rescaled:
    """A normalization, and its new scale and bias."""

    norm: OnnxOp
    scale: Parameter
    bias: Parameter | None


def _norm_and_other(op: OnnxOp) -> tuple[OnnxOp, SSAValue] | None:
    for one, other in either_way(op):
        norm = producer(one, *_NORMS)
        if norm is not None:
            return norm, other
    return None


def _unfit(norm: OnnxOp, op: OnnxOp) -> Declined | None:
    y = norm.results[0]
    if not y.has_one_use() or any(r.uses for r in norm.results[1:]):
        return Declined("the normalization has other uses")
    if not same_shape(shape_of(y.type), shape_of(op.results[0].type)):
        return Declined("it stretches the normalization")
    return None


def _axes(norm: OnnxOp) -> range:
    rank = rank_of(norm.operands[0])
    assert rank is not None, "`_unfit` compared its shape"
    return range(setting(norm, "axis") % rank, rank)


def _bias_of(norm: OnnxOp, store: WeightStore) -> Parameter | str | None:
    if norm.name == "onnx.RMSNormalization" or not given(norm.operands[2]):
        return None
    return constant_parameter(norm.operands[2], norm.operands[0], _axes(norm), store)


@dataclass(frozen=True)
class ScaleIntoNorm(OnnxPattern[Rescaled]):
    """``LayerNormalization(x, s, b) * t -> LayerNormalization(x, s * t, b * t)``."""

    name = "scale-into-norm"
    roots = frozenset(["onnx.Mul"])

    def decide(self, op: OnnxOp) -> Rescaled | Declined:
        found = _norm_and_other(op)
        if found is None:
            return Declined("no factor is a normalization", near=False)
        norm, other = found
        unfit = _unfit(norm, op)
        if unfit is not None:
            return unfit
        x, axes = norm.operands[0], _axes(norm)
        own = constant_parameter(norm.operands[1], x, axes, self.store)
        new = constant_parameter(other, x, axes, self.store)
        bias = _bias_of(norm, self.store)
        for part in (own, new, bias):
            if isinstance(part, str):
                return Declined(f"the factor cannot be its scale: {part}")
        assert isinstance(own, Parameter), "checked above"
        assert isinstance(new, Parameter), "checked above"
        scale = absorbed(own, new, np.multiply)
        shift = bias
        if isinstance(bias, Parameter):
            shift = absorbed(bias, new, np.multiply)
        if scale is None or (bias is not None and not isinstance(shift, Parameter)):
            return Declined("two of its scales are not constant")
        return Rescaled(norm, scale, shift if isinstance(shift, Parameter) else None)

    def covers(self, op: OnnxOp, found: Rescaled) -> Sequence[Operation]:
        return [found.norm, op]

    def rewrite(
        self, op: OnnxOp, found: Rescaled, builder: OnnxBuilder
    ) -> list[SSAValue | None]:
        return [_rebuilt(found, builder)]


def _rebuilt(found: Rescaled, builder: OnnxBuilder) -> SSAValue:
    norm = found.norm
    operands = [norm.operands[0], found.scale.built(builder)]
    if norm.name == "onnx.LayerNormalization":
        bias = None if found.bias is None else found.bias.built(builder)
        operands.append(builder.none() if bias is None else bias)
    return builder.create(norm.name, operands, dict(norm.properties)).results[0]


@dataclass(frozen=True)
class BiasIntoNorm(OnnxPattern[Rescaled]):
    """``LayerNormalization(x, s, b) + c -> LayerNormalization(x, s, b + c)``."""

    name = "bias-into-norm"
    roots = frozenset(["onnx.Add"])

    def decide(self, op: OnnxOp) -> Rescaled | Declined:
        found = _norm_and_other(op)
        if found is None:
            return Declined("no term is a normalization", near=False)
        norm, other = found
        if norm.name == "onnx.RMSNormalization":
            return Declined("an RMSNormalization has no bias", near=False)
        unfit = _unfit(norm, op)
        if unfit is not None:
            return unfit
        x, axes = norm.operands[0], _axes(norm)
        new = constant_parameter(other, x, axes, self.store)
        if isinstance(new, str):
            # What is added to a normalized value is most often a residual.
            return Declined(f"the term cannot be its bias: {new}", near=False)
        bias = _bias_of(norm, self.store)
        if isinstance(bias, str):
            return Declined(f"its bias cannot be added to: {bias}")
        total = new if bias is None else absorbed(bias, new, np.add)
        if total is None:
            return Declined("two of its biases are not constant")
        scale = Parameter(norm.operands[1].type, norm.operands[1])
        return Rescaled(norm, scale, total)

    def covers(self, op: OnnxOp, found: Rescaled) -> Sequence[Operation]:
        return [found.norm, op]

    def rewrite(
        self, op: OnnxOp, found: Rescaled, builder: OnnxBuilder
    ) -> list[SSAValue | None]:
        return [_rebuilt(found, builder)]


@dataclass(frozen=True)
class CastsIntoNorm(OnnxPattern[OnnxOp]):
    """
    ``Cast(RMSNormalization(Cast(x), 1)) -> RMSNormalization(x, 1)`` of 16-bit floats.

    The operators compute their first stage in float32 by themselves.
    """

    name = "casts-into-norm"
    roots = frozenset(["onnx.Cast"])

    def decide(self, op: OnnxOp) -> OnnxOp | Declined:
        norm = producer(op.operands[0], *_NORMS)
        if norm is None:
            return Declined("what is cast is no normalization", near=False)
        before = producer(norm.operands[0], "Cast")
        if before is None:
            return Declined("what is normalized is not cast", near=False)
        narrow = element_of(before.operands[0].type)
        if narrow != element_of(op.results[0].type):
            return Declined("it is not cast back to the type that it had")
        if not isinstance(narrow, Float16Type | BFloat16Type) or not isinstance(
            element_of(norm.operands[0].type), Float32Type
        ):
            return Declined("the casts are not from 16 bits to 32 and back")
        if setting(norm, "stash_type") != 1 or not norm.results[0].has_one_use():
            return Declined("the normalization has other uses, or another stash_type")
        if any(r.uses for r in norm.results[1:]):
            return Declined("its mean or deviation is used")
        bias = norm.operands[2:]
        if any(not is_none(v.type) for v in bias):
            return Declined("a bias is added in 32 bits, before the cast")
        axes = _axes(norm)
        scale = constant_parameter(norm.operands[1], norm.operands[0], axes, self.store)
        if isinstance(scale, str) or not scale.neutral:
            return Declined("the scale is applied in 32 bits, before the cast")
        return norm

    def covers(self, op: OnnxOp, found: OnnxOp) -> Sequence[Operation]:
        return [found, op]

    def rewrite(
        self, op: OnnxOp, found: OnnxOp, builder: OnnxBuilder
    ) -> list[SSAValue | None]:
        before = found.operands[0].owner
        assert isinstance(before, OnnxOp), "checked by `decide`"
        x = before.operands[0]
        kind = element_of(x.type)
        scale = builder.value("onnx.Cast", found.operands[1], to=_number_of(kind))
        made = builder.create(found.name, [x, scale], dict(found.properties))
        return [made.results[0]]


def _number_of(element: object) -> int:
    """The number that ONNX gives a 16-bit float type."""
    return 10 if isinstance(element, Float16Type) else 16
