"""
Make products of values that were rounded to 8 bits products of their codes.

    MatMul(DequantizeLinear(xq, sx, zx), DequantizeLinear(wq, sw))
        ->  Cast(MatMulInteger(xq, wq, zx)) * (sx * sw)

and Gemm and Conv likewise. The sums are exact, so only the order of roundings differs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import IntegerType, ModuleOp, Signedness, f32
from xdsl.ir import SSAValue
from xdsl.passes import ModulePass

from ...dialects.onnx import OnnxBuilder, OnnxOp, store_of
from ...dialects.onnx.types import Array, element_of, static_shape, tensor
from ..facts import follows, given, name_of, rank_of, setting, small_array
from ..fold_constants import constant_of
from ..patterns import Declined, OnnxPattern, journal_of, rewrite_module
from .integers import Activation, integer_product
from .products import ROOTS, Product

BYTES = (IntegerType(8), IntegerType(8, Signedness.UNSIGNED))


@dataclass(frozen=True)
class Coded:
    """A product of codes: what its operands were dequantized from."""

    product: Product
    """Its weight is the constant of the codes."""
    x: Activation
    scale: Array


@dataclass(frozen=True)
class ProductOfCodes(OnnxPattern[Coded]):
    """Multiplies before it dequantizes."""

    name = "product-of-codes"
    roots = ROOTS

    def decide(self, op: OnnxOp) -> Coded | Declined:
        left, right = (value.owner for value in op.operands[:2])
        made = [name_of(value) == "onnx.DequantizeLinear" for value in op.operands[:2]]
        if not all(made):
            return Declined("an operand is not dequantized", near=any(made))
        assert isinstance(left, OnnxOp), "it dequantizes"
        assert isinstance(right, OnnxOp), "it dequantizes"
        if any(
            element_of(side.operands[0].type) not in BYTES for side in (left, right)
        ):
            return Declined("an operand's codes are not of 8 bits")
        if any(element_of(side.operands[1].type) != f32 for side in (left, right)):
            return Declined("a scale is not of float32")
        x = _activation(left)
        if x is None:
            return Declined("its activation has more than one scale")
        if op.name == "onnx.Gemm" and [
            setting(op, n) for n in ("transA", "alpha", "beta")
        ] != [0, 1, 1]:
            return Declined("the Gemm scales or transposes its rows")
        return self._with_weight(op, x, right)

    def _with_weight(
        self, op: OnnxOp, x: Activation, right: OnnxOp
    ) -> Coded | Declined:
        codes, scale, zero = right.operands
        source, shape = constant_of(codes, self.store), static_shape(codes.type)
        step = small_array(scale, self.store)
        if source is None or shape is None or step is None:
            return Declined("its weight is not constant")
        if given(zero) and not _is_zero(zero, self):
            return Declined("its weight has zero points")
        if op.name != "onnx.Conv" and len(shape) != 2:
            return Declined("it is no product of matrices with a weight")
        turned = bool(op.name == "onnx.Gemm" and setting(op, "transB"))
        wanted = 0 if op.name == "onnx.Conv" or turned else 1
        if setting(right, "block_size"):
            return Declined("its weight has scales of blocks")
        if step.size > 1 and setting(right, "axis") % len(shape) != wanted:
            return Declined("its weight's scales are not those of its columns")
        bias = op.operands[2] if len(op.operands) > 2 else None
        bias = bias if bias is not None and given(bias) else None
        shape = shape[::-1] if turned else shape
        flat = step.reshape(()) if step.size == 1 else step.reshape(-1)
        return Coded(Product(op, x.codes, codes, bias, shape, source), x, flat)

    def rewrite(
        self, op: OnnxOp, found: Coded, builder: OnnxBuilder
    ) -> list[SSAValue | None]:
        product = found.product
        codes = product.weight
        if op.name == "onnx.Gemm" and setting(op, "transB"):
            codes = _turned(product, builder)
        return [integer_product(product, found.x, codes, found.scale, builder)]


def _activation(op: OnnxOp) -> Activation | None:
    codes, scale, zero = op.operands
    if rank_of(scale) != 0 and static_shape(scale.type) != (1,):
        return None
    if given(zero) and rank_of(zero) != 0 and static_shape(zero.type) != (1,):
        return None
    return Activation(codes, scale, zero if given(zero) else None)


def _is_zero(value: SSAValue, pattern: ProductOfCodes) -> bool:
    array = small_array(value, pattern.store)
    return array is not None and not np.any(array)


def _turned(product: Product, builder: OnnxBuilder) -> SSAValue:
    element = element_of(product.weight.type)
    assert element is not None, "codes are constants"
    source: Callable[[], Array] = product.source
    hint = product.weight.name_hint or "weight"
    kind = tensor(element, product.shape)
    return follows(
        builder, kind, f"{hint}.transposed", [product.weight], lambda: source().T
    )


@dataclass(frozen=True)
class FuseQdqPass(ModulePass):
    """Make products of dequantized 8-bit values products of integers."""

    name = "fuse-qdq"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        store = store_of(ctx)
        if store is not None:
            pattern = ProductOfCodes(store, journal_of(ctx))
            rewrite_module(op, pattern, recursively=False)

    @classmethod
    def schedule_space(
        cls, ctx: Context, module_op: ModuleOp
    ) -> tuple[FuseQdqPass, ...]:
        return (cls(),)
