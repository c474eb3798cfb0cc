"""
Matrices in the order in which a product reads them.

    Gemm(x, w, c) {transB = 1}   ->   Gemm(x, transposed w, c)      of a constant
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.ir import SSAValue

from ...dialects.onnx import OnnxBuilder, OnnxOp
from ..facts import constant_shape, derived, setting
from ..fold_constants import constant_of
from ..patterns import Declined, OnnxPattern


@dataclass(frozen=True)
class PackedGemm(OnnxPattern[None]):
    """A Gemm whose constant matrix is transposed when the model is compiled."""

    name = "gemm-with-packed-matrix"
    roots = frozenset(["onnx.Gemm"])

    def decide(self, op: OnnxOp) -> Declined | None:
        if not setting(op, "transB"):
            return Declined("its matrix is not transposed", near=False)
        if constant_of(op.operands[1], self.store) is None:
            return Declined("its matrix is not constant")
        return None

    def rewrite(
        self, op: OnnxOp, found: None, builder: OnnxBuilder
    ) -> Sequence[SSAValue | None]:
        a, b, c = op.operands
        shape = constant_shape(b)[::-1]
        packed = derived(b, "transposed", shape, lambda a: a.T, builder)
        properties = {n: a for n, a in op.properties.items() if n != "transB"}
        made = builder.create(
            op.name, [a, packed, c], properties, types=op.result_types
        )
        return made.results
