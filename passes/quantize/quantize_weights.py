"""
Weights in a few bits per group, rounded to the nearest; activations stay float32.

    MatMul(x, w)  ->  microsoft.MatMulNBits(x, codes, scales, zero points)
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue
from xdsl.passes import ModulePass

from ...dialects.onnx import OnnxBuilder, OnnxOp, store_of
from ...dialects.quant import Scheme
from ...dialects.quant.numbers import fit, quantized
from ..patterns import Declined, OnnxPattern, journal_of, rewrite_module
from .nbits import group_scheme, is_matrix, product_of_nbits
from .products import ROOTS, Product, Selection, chosen
from .speed import Speed


@dataclass(frozen=True)
class ProductOfNbits(OnnxPattern[Product]):
    """Rounds a weight group by group."""

    selection: Selection
    scheme: Scheme
    least_error: bool

    name = "product-of-few-bits"
    roots = ROOTS

    def decide(self, op: OnnxOp) -> Product | Declined:
        product = chosen(op, self.store, self.selection)
        if isinstance(product, Declined):
            return product
        return is_matrix(product) or product

    def rewrite(
        self, op: OnnxOp, found: Product, builder: OnnxBuilder
    ) -> list[SSAValue | None]:
        source, scheme = found.source, self.scheme
        fitted = fit(source(), scheme, self.least_error)
        codes = lambda: quantized(source(), fitted, scheme)  # noqa: E731
        return [product_of_nbits(found, scheme, fitted, codes, builder)]


@dataclass(frozen=True)
class QuantizeWeightsPass(ModulePass):
    """
    Store weights of matrix products in `bits` bits, `group` rows to a scale (W4A16).

    Symmetric groups have no zero points. With `least_error` a group's range is shrunk
    to where its squared error is least. `only` and `exclude` name ONNX nodes.

    Products whose form is estimated slower than float32 on the backend `only_faster`,
    if it names one, stay as they are; `target` says of what hardware.
    """

    name = "quantize-weights"

    bits: int = 4
    group: int = 32
    symmetric: bool = False
    least_error: bool = False
    only: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    only_faster: str = ""
    target: str = "host-cpu"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        scheme = group_scheme(self.name, self.bits, self.group, self.symmetric)
        store = store_of(ctx)
        if store is None:
            return
        speed = Speed.of("few bits", self.only_faster, self.target)
        selection = Selection(self.only, self.exclude, speed)
        pattern = ProductOfNbits(
            store, journal_of(ctx), selection, scheme, self.least_error
        )
        rewrite_module(op, pattern, recursively=False)

    @classmethod
    def schedule_space(
        cls, ctx: Context, module_op: ModuleOp
    ) -> tuple[QuantizeWeightsPass, ...]:
        return tuple(cls(bits=b, group=g) for b in (4, 8) for g in (32, 128))
