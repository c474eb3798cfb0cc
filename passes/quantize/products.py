"""
Products with a constant weight: what there is to quantize.

MatMul and Gemm have their weight as ``[K, N]`` here, Conv as ONNX has it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue

from ...dialects.onnx import OnnxBuilder, OnnxOp, WeightStore
from ...dialects.onnx.provenance import node_names
from ...dialects.onnx.types import DTYPE_NAMES, Array, element_of, static_shape
from ..facts import given, rank_of, setting
from ..fold_constants import constant_of
from ..patterns import Declined
from .speed import Speed

ROOTS = frozenset(["onnx.Conv", "onnx.Gemm", "onnx.MatMul"])
MATRICES = frozenset(["onnx.Gemm", "onnx.MatMul"])


@dataclass(frozen=True)
class Product:
    """A product of `x` and a constant weight, and a bias that is added, if any."""

    op: OnnxOp
    x: SSAValue
    weight: SSAValue
    bias: SSAValue | None
    shape: tuple[int, ...]
    """Of the weight, a Gemm's as ``[K, N]``."""
    source: Callable[[], Array]
    """Gives the weight in that shape."""

    @property
    def is_conv(self) -> bool:
        """Whether it is a convolution."""
        return self.op.name == "onnx.Conv"

    @property
    def out_axis(self) -> int:
        """The axis of the weight that the outputs' channels lie on."""
        return 0 if self.is_conv else 1

    @property
    def channel_axis(self) -> int:
        """The axis of `x` that its channels lie on."""
        return 1 if self.is_conv else -1


@dataclass(frozen=True)
class Selection:
    """Which products a pass is asked to rewrite, by the names of their ONNX nodes."""

    only: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    faster: Speed | None = None
    """What to ask whether the form is faster; None if that is not what it is for."""

    def reason(self, op: OnnxOp) -> str | None:
        """Why `op` is not asked for, or None if it is."""
        names = node_names(op)
        if self.only and not any(name in self.only for name in names):
            return "the option `only` does not name it"
        if any(name in self.exclude for name in names):
            return "the option `exclude` names it"
        return None


ALL = Selection()
"""Whatever can be quantized."""


def product_of(op: OnnxOp, store: WeightStore) -> Product | Declined:
    """The product that `op` is, or why it cannot be quantized."""
    if op.name not in ROOTS:
        return Declined("it is no product", near=False)
    x, weight = op.operands[:2]
    bias = op.operands[2] if len(op.operands) > 2 and given(op.operands[2]) else None
    shape, source = static_shape(weight.type), constant_of(weight, store)
    if shape is None or source is None:
        return Declined("its weight is not constant", near=op.name != "onnx.MatMul")
    element = element_of(weight.type)
    if element is None or DTYPE_NAMES.get(element) not in ("float32", "float64"):
        return Declined("its weight is not of float32")
    if op.name == "onnx.Conv":
        return Product(op, x, weight, bias, shape, source)
    if len(shape) != 2 or rank_of(x) in (None, 0, 1):
        return Declined("it is no product of matrices with a weight")
    if op.name == "onnx.Gemm":
        if [setting(op, n) for n in ("transA", "alpha", "beta")] != [0, 1, 1]:
            return Declined("the Gemm scales or transposes its rows")
        if setting(op, "transB"):
            return Product(op, x, weight, bias, shape[::-1], lambda: source().T)
    return Product(op, x, weight, bias, shape, source)


def products_in(
    module: ModuleOp, store: WeightStore, selection: Selection = ALL
) -> list[Product]:
    """The products in `module` that can be quantized, in their order."""
    found: list[Product] = []
    for op in module.walk():
        if isinstance(op, OnnxOp) and op.name in ROOTS:
            product = product_of(op, store)
            if isinstance(product, Product) and selection.reason(op) is None:
                found.append(product)
    return found


def chosen(op: OnnxOp, store: WeightStore, selection: Selection) -> Product | Declined:
    """The float32 product that `op` is, if it is asked for; or why not."""
    product = product_of(op, store)
    if isinstance(product, Declined):
        return product
    reason = selection.reason(op)
    if reason is not None:
        return Declined(reason)
    element = element_of(product.weight.type)
    if element is None or DTYPE_NAMES.get(element) != "float32":
        return Declined("its weight is not of float32")
    slower = selection.faster and selection.faster.reason(op, store)
    return product if slower is None else Declined(slower)


def with_bias(product: Product, y: SSAValue, builder: OnnxBuilder) -> SSAValue:
    """`y` and the bias of `product`, which an operator without a bias has left out."""
    if product.bias is None:
        return y
    bias = product.bias
    if product.is_conv:
        axes = builder.constant(
            np.arange(1, len(product.shape) - 1, dtype=np.int64), "axes"
        )
        bias = builder.value("onnx.Unsqueeze", bias, axes)
    return builder.value("onnx.Add", y, bias)


def float_form(
    product: Product,
    x: SSAValue,
    weight: SSAValue,
    builder: OnnxBuilder,
) -> Sequence[SSAValue]:
    """`product` again, of another `x` and a weight in the shape of `product.shape`."""
    op, properties = product.op, dict(product.op.properties)
    properties.pop("transB", None)
    operands = [x, weight, *op.operands[2:]]
    kinds = [op.results[0].type]
    return [builder.create(op.name, operands, properties, types=kinds).results[0]]
