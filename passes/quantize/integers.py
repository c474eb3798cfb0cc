"""
Products of integers, written out: exact sums in int32, then one scale per column.

    Cast(MatMulInteger(xq, wq, zx)) * (sx * sw) + b
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from xdsl.ir import Attribute, SSAValue

from ...dialects.onnx import OnnxBuilder
from ...dialects.onnx.types import ELEMENT_TYPES, Array, tensor
from ...dialects.quant import Format, Granularity, Scheme
from ...dialects.quant.numbers import Fitted, fit, quantized
from ..facts import follows
from .products import Product, with_bias

FLOAT = 1
"""ONNX's number of float32."""


@dataclass(frozen=True)
class Activation:
    """A quantized activation: its codes, its scale and its zero point (None for 0)."""

    codes: SSAValue
    scale: SSAValue
    zero: SSAValue | None
    by_rows: bool = False
    """Whether every row has a scale of its own."""


def weight_scheme(product: Product, form: Format, per_channel: bool) -> Scheme:
    """The scheme of a weight of one scale per output channel, or of one in all."""
    axis = product.out_axis if per_channel else None
    return Scheme(form, Granularity(axis))


def weight_codes(
    product: Product, scheme: Scheme, fitted: Fitted, builder: OnnxBuilder
) -> SSAValue:
    """The codes of the weight, computed when they are needed if they are many."""
    source = product.source
    kind = tensor(ELEMENT_TYPES[scheme.form.element], product.shape)
    hint = product.weight.name_hint or "weight"
    made = follows(
        builder,
        kind,
        f"{hint}.{scheme.form.element}",
        [product.weight],
        lambda: quantized(source(), fitted, scheme),
    )
    made.name_hint = product.weight.name_hint
    return made


def fitted_weight(
    product: Product, scheme: Scheme, least_error: bool = False
) -> Fitted:
    """The scales of the weight, which is read for it."""
    return fit(product.source(), scheme, least_error)


def integer_product(
    product: Product,
    x: Activation,
    codes: SSAValue,
    scale: Array,
    builder: OnnxBuilder,
) -> SSAValue:
    """
    `product` of quantized operands, the weight's zero point 0, in float32.

    `scale` holds one number for the whole weight, or one per output channel.
    """
    if product.is_conv:
        properties: dict[str, Attribute] = dict(product.op.properties)
        operands = [x.codes, codes, x.zero, None]
        made = builder.create("onnx.ConvInteger", operands, properties)
        total = made.results[0]
        scale = (
            scale.reshape(-1, *[1] * (len(product.shape) - 2)) if scale.ndim else scale
        )
    else:
        total = builder.value("onnx.MatMulInteger", x.codes, codes, x.zero, None)
    real = builder.value("onnx.Cast", total, to=FLOAT)
    step = builder.constant(scale.astype(np.float32), "scale")
    if x.by_rows:
        # ONNX Runtime makes MatMulIntegerToFloat, which takes one scale for all rows,
        # of a product of both scales (1.31.1): so they are applied one by one.
        real = builder.value("onnx.Mul", builder.value("onnx.Mul", real, step), x.scale)
    else:
        both = builder.value("onnx.Mul", x.scale, step)
        real = builder.value("onnx.Mul", real, both)
    return with_bias(product, real, builder)
