"""
Products of 8-bit integers whose activations get their scale as the model runs.

    MatMul(x, w)  ->  Cast(MatMulInteger(xq, wq, zx)) * (sx * sw)
                      xq, sx, zx = DynamicQuantizeLinear(x)
    Conv(x, w, b) ->  Cast(ConvInteger(xq, wq, zx)) * (sx * sw) + b

The weight's scales `sw` are one per output channel. With ``per="row"`` every row of `x`
has a scale of its own (arXiv:2208.07339 calls it vector-wise):

    sx = max |x| / 127 over the last axis,  xq = int8(round(x / sx))
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue
from xdsl.passes import ModulePass

from ...dialects.errors import SardonyxError
from ...dialects.onnx import OnnxBuilder, OnnxOp, store_of
from ...dialects.quant import Format
from ..patterns import Declined, OnnxPattern, journal_of, rewrite_module
from .integers import (
    Activation,
    fitted_weight,
    integer_product,
    weight_codes,
    weight_scheme,
)
from .products import ROOTS, Product, Selection, chosen
from .speed import Speed

INT8 = 3
"""ONNX's number of int8."""
LEAST = 127 * float(np.finfo(np.float32).tiny)
"""What the largest magnitude in a row counts as at least."""


@dataclass(frozen=True)
class ProductOfIntegers(OnnxPattern[Product]):
    """Quantizes the weight now, the activation as it comes."""

    selection: Selection
    rows: bool
    per_channel: bool

    name = "product-of-integers"
    roots = ROOTS

    def decide(self, op: OnnxOp) -> Product | Declined:
        product = chosen(op, self.store, self.selection)
        if isinstance(product, Product) and product.is_conv and self.rows:
            return Declined("a convolution has no rows with scales of their own")
        return product

    def rewrite(
        self, op: OnnxOp, found: Product, builder: OnnxBuilder
    ) -> list[SSAValue | None]:
        scheme = weight_scheme(found, Format("int8"), self.per_channel)
        fitted = fitted_weight(found, scheme)
        codes = weight_codes(found, scheme, fitted, builder)
        x = by_rows(found.x, builder) if self.rows else dynamic(found.x, builder)
        return [integer_product(found, x, codes, fitted.scale, builder)]


def dynamic(x: SSAValue, builder: OnnxBuilder) -> Activation:
    """`x` in uint8 with one scale and zero point, found as the model runs."""
    made = builder.op("onnx.DynamicQuantizeLinear", x, outputs=3)
    codes, scale, zero = made.results
    return Activation(codes, scale, zero)


def by_rows(x: SSAValue, builder: OnnxBuilder) -> Activation:
    """`x` in int8 with a scale for each row, found as the model runs."""
    axes = builder.constant(np.array([-1], np.int64), "axes")
    peak = builder.value("onnx.ReduceMax", builder.value("onnx.Abs", x), axes)
    # A row of zeros is zeros whatever its scale.
    least = builder.constant(np.array(LEAST, np.float32), "least")
    safe = builder.value("onnx.Max", peak, least)
    reach = builder.constant(np.array(127, np.float32), "reach")
    scale = builder.value("onnx.Div", safe, reach)
    ratio = builder.value("onnx.Round", builder.value("onnx.Div", x, scale))
    codes = builder.value("onnx.Cast", ratio, to=INT8)
    return Activation(codes, scale, None, by_rows=True)


@dataclass(frozen=True)
class QuantizeDynamicPass(ModulePass):
    """
    Make products with constant weights products of 8-bit integers (W8A8, dynamic).

    `per` says what shares an activation's scale: the ``tensor`` or a ``row``; `only`
    and `exclude` name ONNX nodes.

    Products whose form is estimated slower than float32 on the backend `only_faster`,
    if it names one, stay as they are; `target` says of what hardware.
    """

    name = "quantize-dynamic"

    per: str = "tensor"
    per_channel: bool = True
    only: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    only_faster: str = ""
    target: str = "host-cpu"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        if self.per not in ("tensor", "row"):
            raise SardonyxError(
                f"quantize-dynamic: found per={self.per!r}, wanted 'tensor' or 'row'"
            )
        store = store_of(ctx)
        if store is None:
            return
        speed = Speed.of("integers", self.only_faster, self.target)
        selection = Selection(self.only, self.exclude, speed)
        pattern = ProductOfIntegers(
            store, journal_of(ctx), selection, self.per == "row", self.per_channel
        )
        rewrite_module(op, pattern, recursively=False)

    @classmethod
    def schedule_space(
        cls, ctx: Context, module_op: ModuleOp
    ) -> tuple[QuantizeDynamicPass, ...]:
        return (cls(), cls(per="row"))
