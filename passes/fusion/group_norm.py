"""
Name group normalizations, and give the norms of channels what stands behind them.

    Reshape(x, [n, groups, -1])
    InstanceNormalization(…, 1, 0)      ->   GroupNormalization(x, 1, 0) {num_groups}
    Reshape(…, shape of x)

    GroupNormalization(x, s, b) * t + c   ->   GroupNormalization(x, s * t, b * t + c)

Wu and He 2018 (arXiv:1803.08494); Ulyanov et al. 2016 (arXiv:1607.08022).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from xdsl.dialects.builtin import Float64Type
from xdsl.ir import Operation, SSAValue

from ...dialects.onnx import OnnxBuilder, OnnxOp
from ...dialects.onnx.types import element_of, shape_of
from ..facts import given, is_float, rank_of, setting, uniform
from ..patterns import Declined, OnnxPattern
from .matching import either_way, number_at, producer, same_shape, same_size, size_at
from .normalized import (
    Parameter,
    absorbed,
    channel_parameter,
    constant_parameter,
    filled,
)


@dataclass(frozen=True)
class Groups:
    """The groups of channels of `x` that `norm` normalizes."""

    norm: OnnxOp
    x: SSAValue
    count: int


@dataclass(frozen=True)
class GroupsOfInstances(OnnxPattern[Groups]):
    """Writes a normalization of channels grouped by a Reshape as one of groups."""

    name = "reshaped-norm-into-group-norm"
    roots = frozenset(["onnx.Reshape"])

    def decide(self, op: OnnxOp) -> Groups | Declined:
        norm = producer(op.operands[0], "InstanceNormalization", "LayerNormalization")
        before = None if norm is None else producer(norm.operands[0], "Reshape")
        if norm is None or before is None:
            return Declined("no reshaped normalization is reshaped", near=False)
        x = before.operands[0]
        if not same_shape(shape_of(x.type), shape_of(op.results[0].type)):
            return Declined("it is not reshaped back to the shape it had", near=False)
        count, channels = number_at(norm.operands[0], 1), number_at(x, 1)
        reason = _misshapen(norm, x, count, channels)
        if reason is not None:
            return Declined(reason)
        assert count is not None, "checked by `_misshapen`"
        if not self._is_plain(norm):
            return Declined("its scale is not 1, or its bias not 0")
        return Groups(norm, x, count)

    def _is_plain(self, norm: OnnxOp) -> bool:
        if uniform(norm.operands[1], self.store) != 1:
            return False
        bias = norm.operands[2]
        return not given(bias) or uniform(bias, self.store) == 0

    def covers(self, op: OnnxOp, found: Groups) -> Sequence[Operation]:
        before = found.norm.operands[0].owner
        assert isinstance(before, Operation), "checked by `decide`"
        return [before, found.norm, op]

    def rewrite(
        self, op: OnnxOp, found: Groups, builder: OnnxBuilder
    ) -> list[SSAValue | None]:
        scale = filled(found.x, (1,), 1).built(builder)
        bias = filled(found.x, (1,), 0).built(builder)
        value = builder.value(
            "onnx.GroupNormalization",
            found.x,
            scale,
            bias,
            num_groups=found.count,
            epsilon=setting(found.norm, "epsilon"),
        )
        return [value]


def _misshapen(
    norm: OnnxOp, x: SSAValue, count: int | None, channels: int | None
) -> str | None:
    if rank_of(norm.operands[0]) != 3 or not same_size(
        size_at(norm.operands[0], 0), size_at(x, 0)
    ):
        return "it is not normalized as [n, groups, rest]"
    if not count or not channels or channels % count or not is_float(x):
        return "its channels do not form groups of a known size"
    if isinstance(element_of(x.type), Float64Type):
        return "the operator would round float64 to float32"
    if not norm.results[0].has_one_use() or any(r.uses for r in norm.results[1:]):
        return "the normalization has other uses"
    if norm.name == "onnx.LayerNormalization" and setting(norm, "axis") % 3 != 2:
        return "it is normalized over more than the last axis"
    return None


@dataclass(frozen=True)
class Affine:
    """A normalization of channels, and its new scale and bias."""

    norm: OnnxOp
    scale: Parameter
    bias: Parameter


@dataclass(frozen=True)
class AffineIntoChannels(OnnxPattern[Affine]):
    """Gives a normalization of channels the factor or term of each that follows."""

    name = "affine-into-channel-norm"
    roots = frozenset(["onnx.Add", "onnx.Mul"])

    def decide(self, op: OnnxOp) -> Affine | Declined:
        for one, other in either_way(op):
            norm = producer(one, "InstanceNormalization", "GroupNormalization")
            if norm is not None:
                return self._absorbed(op, norm, other)
        return Declined("no operand is a normalization of channels", near=False)

    def _absorbed(self, op: OnnxOp, norm: OnnxOp, other: SSAValue) -> Affine | Declined:
        y, x = norm.results[0], norm.operands[0]
        if not y.has_one_use():
            return Declined("the normalization has other uses")
        if not same_shape(shape_of(y.type), shape_of(op.results[0].type)):
            return Declined("it stretches the normalization")
        parts = [
            constant_parameter(other, x, (1,), self.store),
            *(channel_parameter(v, self.store) for v in norm.operands[1:3]),
        ]
        for part in parts:
            if isinstance(part, str):
                return Declined(f"a parameter is not one of channels: {part}")
        new, scale, bias = (p for p in parts if isinstance(p, Parameter))
        if op.name == "onnx.Add":
            total, factor = absorbed(bias, new, np.add), scale
        else:
            total = absorbed(bias, new, np.multiply)
            factor = absorbed(scale, new, np.multiply)
        if total is None or factor is None:
            return Declined("a parameter is not constant")
        return Affine(norm, factor, total)

    def covers(self, op: OnnxOp, found: Affine) -> Sequence[Operation]:
        return [found.norm, op]

    def rewrite(
        self, op: OnnxOp, found: Affine, builder: OnnxBuilder
    ) -> list[SSAValue | None]:
        parts = [found.scale.built(builder), found.bias.built(builder)]
        operands = [found.norm.operands[0], *parts]
        made = builder.create(found.norm.name, operands, dict(found.norm.properties))
        return [made.results[0]]
