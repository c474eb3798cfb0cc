"""
Fold per-channel scales and shifts by constants into the linear operator beside them.

    Mul(Conv(x, w, b), s)               ->   Conv(x, w * s, b * s)
    Add(Conv(x, w, b), t)               ->   Conv(x, w, b + t)
    BatchNormalization(Gemm(x, w, b))   ->   Gemm(x, w', b')
    Add(Mul(BatchNormalization(x), s), t)   ->   BatchNormalization(x), scaled
    Conv(Mul(x, s), w, b)               ->   Conv(x, w * s, b)
    Conv(Add(x, t), w, b)               ->   Conv(x, w, b + sum(w * t)), without padding
    Conv(Conv(x, v, a), w, b)           ->   Conv(Conv(x, v), w, b + sum(w * a))

The linear operators are Conv, ConvTranspose, Gemm and MatMul (which takes no shift).
The new constants are computed in float64 and rounded once.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass

from ...dialects.onnx import OnnxBuilder, OnnxOp, WeightStore, store_of
from ...dialects.onnx.types import element_of
from ..facts import given, is_wide_float, name_of, rank_of
from ..fold_constants import constant_of
from ..patterns import Declined, OnnxPattern, journal_of, rewrite_module
from .affine import AFFINE, Affine, affine_of, normalization_of
from .affine_before import AffineBeforeConv, BiasThroughConv
from .affine_linear import WRITERS

_LINEAR = frozenset(
    f"onnx.{name}"
    for name in ("BatchNormalization", "Conv", "ConvTranspose", "Gemm", "MatMul")
)


@dataclass(frozen=True)
class Folding:
    """A linear operator and what is done to its result, or to its data."""

    linear: OnnxOp
    affine: Affine


@dataclass(frozen=True)
class AffineIntoLinear(OnnxPattern[Folding]):
    """Folds what is done to the result of a linear operator into its weights."""

    name = "affine-into-linear"
    roots = AFFINE

    def decide(self, op: OnnxOp) -> Folding | Declined:
        producers = [value.owner for value in op.operands if name_of(value) in _LINEAR]
        if not producers:
            return Declined("it does not follow a linear operator", near=False)
        if any(result.uses for result in op.results[1:]):
            return Declined("another result is used")
        affine = affine_of(op, self.store)
        if isinstance(affine, Declined):
            return affine
        linear = affine.data.owner
        if not isinstance(linear, OnnxOp) or linear.name not in _LINEAR:
            return Declined("the constant is not applied to the linear operator")
        if linear.results[0].type != op.results[0].type:
            return Declined("it broadcasts the result, or its type says more")
        reason = _unfit(linear, affine, self.store)
        return Folding(linear, affine) if reason is None else Declined(reason)

    def covers(self, op: OnnxOp, found: Folding) -> list[Operation]:
        return [found.linear, op]

    def rewrite(
        self, op: OnnxOp, found: Folding, builder: OnnxBuilder
    ) -> list[SSAValue | None]:
        new = WRITERS[found.linear.name](found.linear, found.affine, builder)
        return [new, *(None for _ in op.results[1:])]


def _unfit(linear: OnnxOp, affine: Affine, store: WeightStore) -> str | None:
    """Why `affine` does not fold into the `linear` operator before it, or None."""
    if not linear.results[0].has_one_use():
        return "the linear operator's result has other uses"
    if not is_wide_float(linear.results[0]):
        return "the element type is narrow: a folded weight may overflow"
    if linear.name == "onnx.BatchNormalization":
        normal = normalization_of(linear, store)
        return normal.reason if isinstance(normal, Declined) else None
    if linear.name == "onnx.MatMul":
        return _unfit_matmul(linear, affine, store)
    if any(result.uses for result in linear.results[1:]):
        return "another result is used"
    bias = linear.operands[2]
    if given(bias) and constant_of(bias, store) is None:
        return "the bias is not constant"
    if given(bias) and element_of(bias.type) != element_of(linear.operands[1].type):
        return "weight and bias have different element types"
    if constant_of(linear.operands[1], store) is None:
        return "the weight is not constant"
    return None


def _unfit_matmul(linear: OnnxOp, affine: Affine, store: WeightStore) -> str | None:
    if constant_of(linear.operands[1], store) is None:
        return "the weight is not constant"
    if rank_of(linear.operands[1]) != 2 or (rank_of(linear.operands[0]) or 0) < 2:
        return "the weight is not a matrix"
    return "MatMul takes no shift" if affine.shifts else None


@dataclass(frozen=True)
class FoldAffinePass(ModulePass):
    """Fold scales and shifts by constants into the linear operators beside them."""

    name = "fold-affine"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        store = store_of(ctx)
        if store is None:
            return
        journal = journal_of(ctx)
        rewrite_module(
            op,
            AffineIntoLinear(store, journal),
            AffineBeforeConv(store, journal),
            BiasThroughConv(store, journal),
        )

    @classmethod
    def schedule_space(
        cls, ctx: Context, module_op: ModuleOp
    ) -> tuple[FoldAffinePass, ...]:
        return (cls(),)
