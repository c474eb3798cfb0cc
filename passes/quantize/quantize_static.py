"""
Products whose activations have scales that calibration found, as QDQ.

    MatMul(x, w)  ->  MatMul(DequantizeLinear(QuantizeLinear(x)), DequantizeLinear(wq))

and Gemm and Conv likewise, their bias as it is. Any runtime reads this form; `fuse-qdq`
makes products of integers of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue
from xdsl.passes import ModulePass

from ...dialects.errors import SardonyxError
from ...dialects.onnx import OnnxBuilder, OnnxOp, store_of
from ...dialects.quant import Format, Scheme
from ...dialects.quant.numbers import Fitted, parameters
from ..patterns import Declined, OnnxPattern, journal_of, rewrite_module
from .calibration import Calibration, required
from .integers import fitted_weight, weight_codes, weight_scheme
from .names import value_names
from .products import ROOTS, Product, Selection, chosen, float_form
from .speed import Speed
from .statistics import METHODS, Statistics


@dataclass(frozen=True)
class Measured:
    """A product and what calibration measured of its activation."""

    product: Product
    statistics: Statistics


@dataclass(frozen=True)
class ProductOfQdq(OnnxPattern[Measured]):
    """Rounds both operands of a product."""

    names: Mapping[SSAValue, str]
    calibration: Calibration
    options: QuantizeStaticPass
    selection: Selection

    name = "product-of-qdq"
    roots = ROOTS

    def decide(self, op: OnnxOp) -> Measured | Declined:
        product = chosen(op, self.store, self.selection)
        if isinstance(product, Declined):
            return product
        known = self.calibration.values.get(self.names.get(product.x, ""))
        if known is None:
            return Declined("calibration did not measure its activation")
        return Measured(product, known)

    def rewrite(
        self, op: OnnxOp, found: Measured, builder: OnnxBuilder
    ) -> list[SSAValue | None]:
        options, product = self.options, found.product
        form = options.activation_format()
        limits = found.statistics.range(options.method, form, options.percent)
        low, high = map(np.asarray, limits)
        x = qdq(product.x, parameters(low, high, form), form, builder)
        scheme = weight_scheme(product, options.weight_format(), options.per_channel)
        weight = dequantized_weight(product, scheme, builder)
        return [*float_form(product, x, weight, builder)]


def qdq(x: SSAValue, fitted: Fitted, form: Format, builder: OnnxBuilder) -> SSAValue:
    """`x` rounded to `form` and back, one scale for all."""
    scale = builder.constant(fitted.scale, "scale")
    zero = builder.constant(fitted.zero, "zero_point")
    codes = builder.value("onnx.QuantizeLinear", x, scale, zero)
    return builder.value("onnx.DequantizeLinear", codes, scale, zero)


def dequantized_weight(
    product: Product, scheme: Scheme, builder: OnnxBuilder
) -> SSAValue:
    """The weight as its codes and a DequantizeLinear."""
    fitted = fitted_weight(product, scheme)
    codes = weight_codes(product, scheme, fitted, builder)
    scale = builder.constant(fitted.scale, "scale")
    zero = None if scheme.form.signed else builder.constant(fitted.zero, "zero_point")
    axis = scheme.per.axis
    attributes = {} if axis is None else {"axis": axis}
    return builder.value("onnx.DequantizeLinear", codes, scale, zero, **attributes)


@dataclass(frozen=True)
class QuantizeStaticPass(ModulePass):
    """
    Round activations and weights of products with scales from a calibration (W8A8).

    `calibration` is a file that ``sardonyx quantize`` wrote of the model as it is here;
    `method` says how a range follows from it: ``min-max``, ``percentile`` (`percent` of
    the values) or ``mse``. `activations` and `weights` are formats (``uint8``,
    ``int8``, ``int4``, ``e4m3``), unsigned activations affine.

    Products whose form is estimated slower than float32 on the backend `only_faster`,
    if it names one, stay as they are; `target` says of what hardware.
    """

    name = "quantize-static"

    calibration: str = ""
    method: str = "mse"
    percent: float = 99.99
    activations: str = "uint8"
    weights: str = "int8"
    per_channel: bool = True
    only: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    only_faster: str = ""
    target: str = "host-cpu"

    def activation_format(self) -> Format:
        """What activations are rounded to."""
        return _onnx_format(self.activations, not self.activations.startswith("u"))

    def weight_format(self) -> Format:
        """What weights are rounded to."""
        return _onnx_format(self.weights, True)

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        if self.method not in METHODS:
            wanted = ", ".join(METHODS)
            raise SardonyxError(
                f"quantize-static: found method {self.method!r}, wanted {wanted}"
            )
        for check in (self.activation_format, self.weight_format):
            check()
        store = store_of(ctx)
        if store is None:
            return
        table = required(self.calibration, self.name)
        speed = Speed.of("rounded", self.only_faster, self.target)
        selection = Selection(self.only, self.exclude, speed)
        names, journal = value_names(op), journal_of(ctx)
        pattern = ProductOfQdq(store, journal, names, table, self, selection)
        rewrite_module(op, pattern, recursively=False)

    @classmethod
    def schedule_space(
        cls, ctx: Context, module_op: ModuleOp
    ) -> tuple[QuantizeStaticPass, ...]:
        # Without a calibration there is nothing to choose.
        return ()


def _onnx_format(name: str, symmetric: bool) -> Format:
    try:
        form = Format(name, symmetric)
    except ValueError as error:
        raise SardonyxError(f"quantize-static: {error}") from error
    if not form.is_float and form.element != name:
        raise SardonyxError(
            f"quantize-static: found format {name!r}, wanted one that ONNX has"
        )
    return form
