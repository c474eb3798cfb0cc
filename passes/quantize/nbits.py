"""
Weights of a few bits in groups, as ONNX Runtime's MatMulNBits has them.

    MatMul(x, w)  ->  microsoft.MatMulNBits(x, codes, scales, zero points)
"""

from __future__ import annotations

from collections.abc import Callable

from xdsl.dialects.builtin import IntegerType, Signedness
from xdsl.ir import SSAValue

from ...dialects.errors import SardonyxError
from ...dialects.onnx import OnnxBuilder
from ...dialects.onnx.types import Array, tensor
from ...dialects.quant import Format, Granularity, Scheme
from ...dialects.quant.numbers import Fitted
from ...dialects.quant.packing import WIDTHS, packed_codes, packed_rows
from ..facts import follows
from ..patterns import Declined
from .products import Product

UINT8 = IntegerType(8, Signedness.UNSIGNED)


def group_scheme(who: str, bits: int, group: int, symmetric: bool) -> Scheme:
    """
    Unsigned codes of `bits` bits in groups of `group` rows of a weight ``[K, N]``.

    Raises SardonyxError, in the name of pass `who`, for what the operator lacks.
    """
    if bits not in WIDTHS:
        raise SardonyxError(f"{who}: found bits={bits}, wanted 2, 4 or 8")
    if group < 16 or group & (group - 1):
        raise SardonyxError(f"{who}: found group={group}, wanted a power of 2 from 16")
    return Scheme(Format(f"uint{bits}", symmetric), Granularity(0, group))


def is_matrix(product: Product) -> Declined | None:
    """Why `product` cannot be a MatMulNBits, or None if it can."""
    if product.is_conv:
        return Declined("MatMulNBits is no convolution")
    return None


def product_of_nbits(
    product: Product,
    scheme: Scheme,
    fitted: Fitted,
    codes: Callable[[], Array],
    builder: OnnxBuilder,
) -> SSAValue:
    """
    `product` of a weight whose codes ``[K, N]`` are given, scales ``[groups, N]``.

    `codes` is called when the packed weight is needed.
    """
    bits, group = scheme.form.bits, scheme.per.size
    depth, width = product.shape
    blocks = -(-depth // group)
    kind = tensor(UINT8, (width, blocks, group * bits // 8))
    hint = product.weight.name_hint or "weight"

    def packed() -> Array:
        return packed_codes(codes().astype("uint8").T, bits, group)

    weight = follows(builder, kind, f"{hint}.int{bits}", [product.weight], packed)
    weight.name_hint = product.weight.name_hint
    scale = builder.constant(fitted.scale.T.copy(), f"{hint}.scale")
    zero = None
    if not scheme.form.symmetric:
        rows = packed_rows(fitted.zero.astype("uint8").T, bits)
        zero = builder.constant(rows, f"{hint}.zero_point")
    y = builder.value(
        "microsoft.MatMulNBits",
        product.x,
        weight,
        scale,
        zero,
        K=depth,
        N=width,
        bits=bits,
        block_size=group,
    )
    if product.bias is None:
        return y
    return builder.value("onnx.Add", y, product.bias)
