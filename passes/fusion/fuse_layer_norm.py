"""
Name normalizations: LayerNormalization, RMSNormalization, InstanceNormalization.

    c = x - mean(x)
    c / sqrt(mean(c^2) + epsilon) * scale + bias    ->   LayerNormalization(x, s, b)
    x / sqrt(mean(x^2) + epsilon) * scale           ->   RMSNormalization(x, s)
    LayerNormalization(x, s) * t + b                ->   LayerNormalization(x, s * t, b)

The scale may stand anywhere in the product; the variance may be mean(x^2) - mean(x)^2,
and the bias may stand with the mean, as TensorFlow writes it: x * m + (b - mean * m).
Statistics over one axis that is not the last become a normalization between Transposes,
over all axes from the third an InstanceNormalization.

Ba et al. 2016 (arXiv:1607.06450); Zhang and Sennrich 2019 (arXiv:1910.07467).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import Float64Type, ModuleOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass

from ...dialects.onnx import OnnxBuilder, OnnxOp, WeightStore, store_of
from ...dialects.onnx.types import element_of, shape_of
from ..facts import is_float, rank_of
from ..patterns import Declined, OnnxPattern, journal_of, rewrite_module
from .group_norm import AffineIntoChannels, GroupsOfInstances
from .matching import (
    Factor,
    Product,
    either_way,
    mean_of,
    near,
    producer,
    product_of,
    reduction_of,
    static_of,
)
from .normalized import Parameter, absorbed, filled, parameter_of
from .scaled_norms import BiasIntoNorm, CastsIntoNorm, ScaleIntoNorm
from .statistics import Scaling, centred_of, scalings_in

__all__ = ["FuseLayerNormPass", "NameNorm", "NameShiftedNorm"]


@dataclass(frozen=True)
class Norm:
    """A normalization of `scaling.x`, its scale and its bias."""

    scaling: Scaling
    scale: Parameter
    bias: Parameter | None
    ops: tuple[Operation, ...]
    along: tuple[int, ...]
    """The axes that scale and bias have: the normalized ones, or that of channels."""

    @property
    def per_channel(self) -> bool:
        """Whether this is an InstanceNormalization."""
        return self.along != self.scaling.axes


def norm_of(op: OnnxOp, store: WeightStore) -> Norm | Declined:
    """The normalization that the product `op` ends, or why there is none."""
    product = product_of(op.results[0], store)
    reason = Declined("nothing is divided by a root mean square", near=False)
    for scaling, others in scalings_in(product, store):
        rest = _without_source(others, scaling, store)
        if rest is None:
            reason = Declined("what is divided is not what the mean square is of")
            continue
        return _scaled(rest, product, scaling, store)
    return reason


def _scaled(
    factors: Sequence[Factor], product: Product, scaling: Scaling, store: WeightStore
) -> Norm | Declined:
    reasons: list[Declined] = []
    for along in _choices(scaling):
        scale = _scale(factors, product.number, scaling.x, along, store)
        if isinstance(scale, Declined):
            reasons.append(scale)
            continue
        found = Norm(scaling, scale, None, product.ops[:-1], along)
        unfit = _unfit(found)
        if unfit is None:
            return found
        reasons.append(unfit)
    return reasons[0]


def _choices(scaling: Scaling) -> list[tuple[int, ...]]:
    """The axes that a scale may stand along, the likeliest first."""
    rank = rank_of(scaling.x) or 0
    spatial = rank > 2 and scaling.axes == tuple(range(2, rank))
    if not spatial or not scaling.centred:
        return [scaling.axes]
    return [(1,), scaling.axes] if rank > 3 else [scaling.axes, (1,)]


def _without_source(
    factors: Sequence[Factor], scaling: Scaling, store: WeightStore
) -> list[Factor] | None:
    """The factors besides that which is normalized; None if it is not among them."""
    for factor in factors:
        value: SSAValue | None = factor.value
        if scaling.centred:
            value = centred_of(factor.value, scaling.axes, store)
        if value == scaling.x and factor.power == 1:
            return [f for f in factors if f is not factor]
    return None


def _scale(
    factors: Sequence[Factor],
    number: float,
    x: SSAValue,
    along: tuple[int, ...],
    store: WeightStore,
) -> Parameter | Declined:
    if static_of(x, along) is None:
        return Declined("the sizes that it is scaled over are not known")
    if any(f.power != 1 for f in factors):
        return Declined("it is divided by more than its root mean square")
    scale = filled(x, along, number)
    for factor in factors:
        part = parameter_of(factor.value, x, along, store)
        if isinstance(part, str):
            return Declined(f"a factor of it is no scale: {part}")
        both = absorbed(scale, part, np.multiply)
        if both is None:
            return Declined("two of its scales are not constant")
        scale = both
    return scale


def _unfit(found: Norm) -> Declined | None:
    x, axes = found.scaling.x, found.scaling.axes
    rank = rank_of(x)
    if not is_float(x) or rank is None:
        return Declined("its elements are no floats, or its rank is not known")
    if found.per_channel:
        return None
    if isinstance(element_of(x.type), Float64Type):
        return Declined("the operator would round float64 to float32")
    last = axes == tuple(range(rank - len(axes), rank))
    if not last and len(axes) != 1:
        return Declined(f"it is normalized over axes {list(axes)} of {rank}")
    return None


@dataclass(frozen=True)
class NameNorm(OnnxPattern[Norm]):
    """Writes what is divided by its deviation or root mean square as the operator."""

    name = "quotient-into-norm"
    roots = frozenset(["onnx.Mul", "onnx.Div"])

    def decide(self, op: OnnxOp) -> Norm | Declined:
        return norm_of(op, self.store)

    def covers(self, op: OnnxOp, found: Norm) -> Sequence[Operation]:
        return [*found.ops, op]

    def rewrite(
        self, op: OnnxOp, found: Norm, builder: OnnxBuilder
    ) -> list[SSAValue | None]:
        return [written(found, builder)]


def written(found: Norm, builder: OnnxBuilder) -> SSAValue:
    """The ops of a normalization."""
    scaling, x = found.scaling, found.scaling.x
    if found.per_channel:
        bias = filled(x, found.along, 0).built(builder)
        scale = found.scale.built(builder)
        name = "onnx.InstanceNormalization"
        return builder.value(name, x, scale, bias, epsilon=scaling.epsilon)
    shape = shape_of(x.type)
    assert shape is not None, "checked by `_unfit`"
    rank, (first, *_) = len(shape), scaling.axes
    others = [axis for axis in range(rank) if axis not in scaling.axes]
    order = [*others, *scaling.axes]
    moved = order != list(range(rank))
    if moved:
        x = builder.value("onnx.Transpose", x, perm=order)
        first = rank - 1
    scale = found.scale.built(builder)
    axis, epsilon = first - rank, scaling.epsilon
    if scaling.centred:
        bias = None if found.bias is None else found.bias.built(builder)
        name = "onnx.LayerNormalization"
        y = builder.op(name, x, scale, bias, axis=axis, epsilon=epsilon).results[0]
    else:
        name = "onnx.RMSNormalization"
        y = builder.value(name, x, scale, axis=axis, epsilon=epsilon)
        if found.bias is not None:
            y = builder.value("onnx.Add", y, found.bias.built(builder))
    if moved:
        back = [order.index(axis) for axis in range(rank)]
        y = builder.value("onnx.Transpose", y, perm=back)
    return y


@dataclass(frozen=True)
class NameShiftedNorm(OnnxPattern[Norm]):
    """Writes ``x * m + (b - mean(x) * m)``, m = scale / deviation, as the operator."""

    name = "shifted-product-into-norm"
    roots = frozenset(["onnx.Add"])

    def decide(self, op: OnnxOp) -> Norm | Declined:
        for one, other in either_way(op):
            shift = producer(other, "Sub")
            if shift is not None:
                found = self._shifted(one, shift)
                if not isinstance(found, Declined) or found.near:
                    return found
        return Declined("no difference is added to a product", near=False)

    def _shifted(self, scaled: SSAValue, shift: OnnxOp) -> Norm | Declined:
        bias, taken = shift.operands
        product = product_of(scaled, self.store, shared=True)
        away = product_of(taken, self.store, shared=True)
        for scaling, others in scalings_in(product, self.store):
            plain = replace(scaling, centred=False)
            rest = _without_source(others, plain, self.store)
            if rest is None or not scaling.centred:
                continue
            if not self._takes_mean(product, away, scaling):
                return Declined("what is taken off is not the mean, scaled as it is")
            axes = scaling.axes
            scale = _scale(rest, product.number, scaling.x, axes, self.store)
            if isinstance(scale, Declined):
                return scale
            offset = parameter_of(bias, scaling.x, scaling.axes, self.store)
            if isinstance(offset, str):
                return Declined(f"what is added is no bias: {offset}")
            ops = (*product.ops, *away.ops, shift)
            found = Norm(scaling, scale, offset, tuple(dict.fromkeys(ops)), axes)
            return _unfit(found) or found
        return Declined("no product is scaled by a deviation", near=False)

    def _takes_mean(self, product: Product, away: Product, scaling: Scaling) -> bool:
        left = [f for f in product.factors if f.value != scaling.x]
        rest = [f for f in away.factors if f not in left]
        if len(rest) != 1 or len(left) + 1 != len(away.factors) or rest[0].power != 1:
            return False
        number, found = away.number, mean_of(rest[0].value, self.store)
        if found is None:
            # The product went through the number that makes a sum a mean.
            found = reduction_of(rest[0].value, "ReduceSum", self.store)
            sizes = None if found is None else static_of(found.source, found.axes)
            number *= math.prod(sizes or ())
        if found is None or not near(number, product.number, 1e-6):
            return False
        return found.source == scaling.x and found.axes == scaling.axes

    def covers(self, op: OnnxOp, found: Norm) -> Sequence[Operation]:
        return [*found.ops, op]

    def rewrite(
        self, op: OnnxOp, found: Norm, builder: OnnxBuilder
    ) -> list[SSAValue | None]:
        return [written(found, builder)]


@dataclass(frozen=True)
class FuseLayerNormPass(ModulePass):
    """Name normalizations, and give them the scales, biases and casts around them."""

    name = "fuse-layer-norm"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        store = store_of(ctx)
        if store is None:
            return
        journal = journal_of(ctx)
        rewrite_module(
            op,
            NameShiftedNorm(store, journal),
            NameNorm(store, journal),
            ScaleIntoNorm(store, journal),
            BiasIntoNorm(store, journal),
            CastsIntoNorm(store, journal),
            GroupsOfInstances(store, journal),
            AffineIntoChannels(store, journal),
        )

    @classmethod
    def schedule_space(
        cls, ctx: Context, module_op: ModuleOp
    ) -> tuple[FuseLayerNormPass, ...]:
        return (cls(),)
