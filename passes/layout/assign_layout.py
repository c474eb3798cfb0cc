"""
Compute convolutions, and what is around them, on images with channels last.

    Conv(x, w, b)        ->   Transpose(nhwc.Conv(Transpose(x), w', b))
    Conv(x, w) {group}   ->   a MatMul of matrices, one for each group (1x1 kernels)
    Relu(Transpose(x))   ->   Transpose(Relu(x))      and so on with what follows
    Gemm(x, w) {transB}  ->   Gemm(x, w')
    a norm in between    ->   its mean, its deviation and its quotient, as they lie

Every convolution of images is computed so, with its weight packed when the model is
compiled. What follows takes its operands as they are, so that transposes are left where
images come in and where they are no images any more: XLA would transpose around each.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from ...dialects.onnx import store_of
from ..cleanup.simplify_transposes import MergeTransposes
from ..patterns import journal_of, rewrite_module
from .followers import ElementwiseLast, NumbersLast, ReductionLast, ShuffleLast
from .grouped import GroupedProductLast
from .groups import MergeGroups, MergeRows
from .norms import NormInPlace
from .products import PackedGemm
from .windows import ConvLast, GlobalPoolLast, WindowLast


@dataclass(frozen=True)
class AssignLayoutPass(ModulePass):
    """Compute convolutions, and what is around them, on images with channels last."""

    name = "assign-layout"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        store = store_of(ctx)
        if store is None:
            return
        journal = journal_of(ctx)
        ctx.get_optional_dialect("nhwc")
        # In the program's order, each op once: what it takes has its layout by then.
        rewrite_module(
            op,
            GroupedProductLast(store, journal),
            ConvLast(store, journal),
            WindowLast(store, journal),
            GlobalPoolLast(store, journal),
            ElementwiseLast(store, journal),
            ReductionLast(store, journal),
            NumbersLast(store, journal),
            ShuffleLast(store, journal),
            PackedGemm(store, journal),
            NormInPlace(store, journal),
            MergeTransposes(store, journal),
            MergeGroups(store, journal),
            MergeRows(store, journal),
            recursively=False,
        )

    @classmethod
    def schedule_space(
        cls, ctx: Context, module_op: ModuleOp
    ) -> tuple[AssignLayoutPass, ...]:
        return (cls(),)
