"""
Fold batch normalization (in inference) into the convolution before it.

    %c = onnx.Conv(%x, %w, %b)                     ->   %y = onnx.Conv(%x, %w', %b')
    %y = onnx.BatchNormalization(%c, %s, %o, %m, %v)

    w' = w * s / sqrt(v + epsilon)  per output channel
    b' = (b - m) * s / sqrt(v + epsilon) + o
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, f32, f64
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass

from ..dialects.onnx import OnnxBuilder, OnnxOp, WeightAttr, WeightStore, ops, store_of
from ..dialects.onnx.attributes import python_value
from ..dialects.onnx.store import ArrayWeight, DerivedWeight
from ..dialects.onnx.types import (
    DTYPE_NAMES,
    Array,
    element_of,
    is_none,
    static_shape,
)
from .fold_constants import constant_of, is_derived, source_of
from .patterns import Declined, OnnxPattern, journal_of, rewrite_module


def blocked(norm: ops.BatchNormalizationOp, store: WeightStore) -> str | None:
    """Why `norm` cannot be folded into its producer, or None if it can."""
    conv = norm.X.owner
    if not isinstance(conv, ops.ConvOp):
        return "the producer is not a Conv"
    if not conv.Y.has_one_use():
        return "the convolution has other uses"
    if python_value(norm.training_mode):
        return "the normalization is in training mode"
    parameters = [norm.scale, norm.B, norm.input_mean, norm.input_var, conv.W]
    if not is_none(conv.B.type):
        parameters.append(conv.B)
    if any(constant_of(value, store) is None for value in parameters):
        return "a parameter is not constant"
    if len({element_of(value.type) for value in parameters}) != 1:
        return "the parameters have different element types"
    if element_of(conv.W.type) not in (f32, f64) and _overflows(conv, norm, store):
        return "a folded parameter overflows its element type"
    return None


def _overflows(
    conv: ops.ConvOp, norm: ops.BatchNormalizationOp, store: WeightStore
) -> bool:
    with np.errstate(all="ignore"):
        folded = (folded_weight(conv, norm, store)(), folded_bias(conv, norm, store)())
    return not all(np.isfinite(array.astype(np.float32)).all() for array in folded)


@dataclass(frozen=True)
class FoldIntoConv(OnnxPattern[ops.ConvOp]):
    """Rewrites a normalization that nothing blocks."""

    name = "batch-norm-into-conv"
    roots = frozenset(["onnx.BatchNormalization"])

    def decide(self, op: OnnxOp) -> ops.ConvOp | Declined:
        assert isinstance(op, ops.BatchNormalizationOp), "the only root"
        reason = blocked(op, self.store)
        conv = op.X.owner
        if reason is not None:
            return Declined(reason, near=isinstance(conv, ops.ConvOp))
        assert isinstance(conv, ops.ConvOp), "checked by `blocked`"
        return conv

    def covers(self, op: OnnxOp, found: ops.ConvOp) -> list[Operation]:
        return [found, op]

    def rewrite(
        self, op: OnnxOp, found: ops.ConvOp, builder: OnnxBuilder
    ) -> list[SSAValue | None]:
        assert isinstance(op, ops.BatchNormalizationOp), "the only root"
        weight = _derived(
            builder, found.W, folded_weight(found, op, self.store), "weight"
        )
        bias = _derived(builder, op.B, folded_bias(found, op, self.store), "bias")
        new = builder.create(
            found.name,
            [found.X, weight, bias],
            dict(found.properties),
            types=[op.Y.type],
        )
        return [new.results[0], *(None for _ in op.results[1:])]


def _scale(norm: ops.BatchNormalizationOp, store: WeightStore) -> Callable[[], Array]:
    scale, variance = source_of(norm.scale, store), source_of(norm.input_var, store)
    epsilon = python_value(norm.epsilon)

    def compute() -> Array:
        return scale().astype(np.float64) / np.sqrt(
            variance().astype(np.float64) + epsilon
        )

    return compute


def folded_weight(
    conv: ops.ConvOp, norm: ops.BatchNormalizationOp, store: WeightStore
) -> Callable[[], Array]:
    """How to compute ``w * s / sqrt(v + epsilon)``; in float64, rounded once."""
    weight, scale = source_of(conv.W, store), _scale(norm, store)

    def compute() -> Array:
        array, factor = weight(), scale()
        shaped = factor.reshape(-1, *[1] * (array.ndim - 1))
        return (array * shaped).astype(array.dtype)

    return compute


def folded_bias(
    conv: ops.ConvOp, norm: ops.BatchNormalizationOp, store: WeightStore
) -> Callable[[], Array]:
    """
    How to compute ``(b - m) * s / sqrt(v + epsilon) + o``; in float64, rounded once.
    """
    offset, mean = source_of(norm.B, store), source_of(norm.input_mean, store)
    scale = _scale(norm, store)
    bias = None if is_none(conv.B.type) else source_of(conv.B, store)

    def compute() -> Array:
        before = -mean().astype(np.float64)
        before = before if bias is None else before + bias()
        shift = offset()
        return (before * scale() + shift).astype(shift.dtype)

    return compute


def _derived(
    builder: OnnxBuilder, like: SSAValue, compute: Callable[[], Array], role: str
) -> SSAValue:
    """A constant of the type of `like`, computed when it is needed."""
    element, shape = element_of(like.type), static_shape(like.type)
    assert element is not None, "constants have an element type"
    assert shape is not None, "constants have static shapes"
    lazy = DerivedWeight(DTYPE_NAMES[element], shape, compute)
    # One step is computed when it is needed; a chain would be computed again and again.
    chained = is_derived(like, builder.store)
    weight = ArrayWeight(lazy.array()) if chained else lazy
    key = builder.store.add(f"{like.name_hint or role}.folded", weight)
    value = builder.held(WeightAttr(key), weight.type)
    value.name_hint = like.name_hint
    return value


@dataclass(frozen=True)
class FoldBatchNormPass(ModulePass):
    """Fold batch normalization into the convolution before it."""

    name = "fold-batch-norm"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        store = store_of(ctx)
        if store is not None:
            pattern = FoldIntoConv(store, journal_of(ctx))
            rewrite_module(op, pattern, recursively=False)

    @classmethod
    def schedule_space(
        cls, ctx: Context, module_op: ModuleOp
    ) -> tuple[FoldBatchNormPass, ...]:
        return (cls(),)
