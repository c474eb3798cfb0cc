"""
Products with a constant weight as this family sees them: the weight is ``[K, N]``.

    MatMul(x, w), Gemm(x, w)   inputs on the last axis of x
    MatMul(w, x)               inputs on the axis before; w is [N, K]
    Conv(x, w)                 inputs are channels and places of the kernel together
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from xdsl.ir import Attribute, SSAValue

from ...dialects.onnx import OnnxBuilder, OnnxOp, WeightStore
from ...dialects.onnx.types import DTYPE_NAMES, Array, element_of, static_shape, tensor
from ..facts import follows, rank_of
from ..fold_constants import constant_of
from ..patterns import Declined
from ..quantize.products import ROOTS, Product, Selection, float_form, product_of

__all__ = ["ROOTS", "Weighted", "weighted"]


@dataclass(frozen=True)
class Weighted:
    """A product of `x` with a constant weight."""

    op: OnnxOp
    x: SSAValue
    weight: SSAValue
    shape: tuple[int, int]
    """``(K, N)``: how many inputs, how many outputs."""
    source: Callable[[], Array]
    """Gives the weight in that shape."""
    product: Product | None
    """What it is where the weight is the right operand."""

    @property
    def left(self) -> bool:
        """Whether the weight is the left operand of a MatMul."""
        return self.product is None

    @property
    def is_conv(self) -> bool:
        """Whether it is a convolution."""
        return self.product is not None and self.product.is_conv

    @property
    def axis(self) -> int:
        """The axis of `x` that inputs lie on, of a product of matrices."""
        return -2 if self.left else -1

    @property
    def itemsize(self) -> int:
        """The bytes of an element."""
        return 8 if DTYPE_NAMES[_element(self.weight)] == "float64" else 4

    def again(
        self, matrix: Callable[[], Array], eager: bool, builder: OnnxBuilder
    ) -> SSAValue:
        """
        The product with another weight, which `matrix` gives as ``[K, N]``.

        One that is not `eager` is computed when it is asked for.
        """
        shape = static_shape(self.weight.type)
        assert shape is not None, "constants have static shapes"
        if self.product is not None and not self.is_conv:
            shape = self.shape
        flipped = self.left or self.is_conv

        def stored() -> Array:
            found = matrix()
            return (found.T if flipped else found).reshape(shape)

        hint = self.weight.name_hint or "weight"
        key, kind = f"{hint}.pruned", tensor(_element(self.weight), shape)
        if eager:
            value = builder.constant(stored().copy(), key)
        else:
            value = follows(builder, kind, key, [self.weight], stored)
        value.name_hint = self.weight.name_hint
        if self.product is not None:
            return float_form(self.product, self.x, value, builder)[0]
        op = self.op
        operands = [value, self.x]
        kinds = [op.results[0].type]
        made = builder.create(op.name, operands, dict(op.properties), types=kinds)
        return made.results[0]


def weighted(
    op: OnnxOp, store: WeightStore, selection: Selection
) -> Weighted | Declined:
    """The product with a constant weight that `op` is, if it is asked for."""
    if op.name == "onnx.MatMul" and constant_of(op.operands[1], store) is None:
        found = _left(op, store)
    else:
        product = product_of(op, store)
        found = product if isinstance(product, Declined) else _right(product)
    if isinstance(found, Declined):
        return found
    reason = selection.reason(op)
    return found if reason is None else Declined(reason)


def _right(product: Product) -> Weighted | Declined:
    shape, source = product.shape, product.source
    if not product.is_conv:
        sizes = shape[0], shape[1]
        return Weighted(product.op, product.x, product.weight, sizes, source, product)
    sizes = 1, shape[0]
    for size in shape[1:]:
        sizes = sizes[0] * size, shape[0]

    def matrix() -> Array:
        return source().reshape(shape[0], -1).T

    return Weighted(product.op, product.x, product.weight, sizes, matrix, product)


def _left(op: OnnxOp, store: WeightStore) -> Weighted | Declined:
    weight, x = op.operands
    shape, source = static_shape(weight.type), constant_of(weight, store)
    if shape is None or source is None:
        return Declined("its weight is not constant", near=False)
    if len(shape) != 2 or rank_of(x) in (None, 0, 1):
        return Declined("it is no product of matrices with a weight")
    if DTYPE_NAMES.get(_element(weight)) not in ("float32", "float64"):
        return Declined("its weight is not of float32")
    sizes = shape[1], shape[0]
    return Weighted(op, x, weight, sizes, lambda: source().T, None)


def _element(value: SSAValue) -> Attribute:
    element = element_of(value.type)
    assert element is not None, "weights are tensors"
    return element
