"""
Make a product whose result is split along its columns one product for each part.

    Split(MatMul(x, w))          ->   MatMul(x, w1), MatMul(x, w2), MatMul(x, w3)
    Split(Add(MatMul(x, w), b))  ->   Add(MatMul(x, w1), b1), …

Queries, keys and values that one weight makes are divided over devices by heads only
when each has a weight of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass

from ...dialects.onnx import OnnxBuilder, OnnxOp, store_of
from ...dialects.onnx.types import Array, element_of, is_none, static_shape, tensor
from ..facts import follows, setting
from ..fold_constants import constant_of
from ..fusion.matching import is_constant
from ..patterns import Declined, OnnxPattern, journal_of, rewrite_module


@dataclass(frozen=True)
class Parts:
    """The product, the Add of its bias if there is one, and the widths."""

    product: OnnxOp
    add: OnnxOp | None
    bias: SSAValue | None
    widths: tuple[int, ...]


@dataclass(frozen=True)
class SplitProducts(OnnxPattern[Parts]):
    """Splits the weight instead of the product."""

    name = "product-into-parts"
    roots = frozenset(["onnx.Split"])

    def decide(self, op: OnnxOp) -> Parts | Declined:
        shape = static_shape(op.operands[0].type)
        if shape is None or setting(op, "axis") not in (-1, len(shape) - 1):
            return Declined("it does not split the columns", near=False)
        widths = [static_shape(result.type) for result in op.results]
        if any(width is None for width in widths):
            return Declined("found parts of unknown size")
        product, add, bias = op.operands[0].owner, None, None
        if isinstance(product, OnnxOp) and product.name == "onnx.Add":
            add = product
            places = [n for n, v in enumerate(add.operands) if _is_bias(v, shape[-1])]
            if not places:
                return Declined("what is split is no product", near=False)
            bias = add.operands[places[0]]
            product = add.operands[1 - places[0]].owner
        if not isinstance(product, OnnxOp) or product.name != "onnx.MatMul":
            return Declined("what is split is no product", near=False)
        weight = product.operands[1]
        if len(static_shape(weight.type) or ()) != 2 or not is_constant(weight):
            return Declined("the product is with no constant matrix")
        if any(len(list(v.uses)) > 1 for v in (product.results[0], op.operands[0])):
            return Declined("the whole product is used too")
        found = tuple(width[-1] for width in widths if width is not None)
        return Parts(product, add, bias, found)

    def covers(self, op: OnnxOp, found: Parts) -> Sequence[Operation]:
        return [o for o in (found.product, found.add, op) if o is not None]

    def rewrite(
        self, op: OnnxOp, found: Parts, builder: OnnxBuilder
    ) -> list[SSAValue | None]:
        value, weight = found.product.operands
        results: list[SSAValue | None] = []
        first = 0
        for width in found.widths:
            ends = first, first + width
            made = builder.value(
                "onnx.MatMul", value, self._columns(weight, ends, builder)
            )
            if found.bias is not None:
                bias = self._columns(found.bias, ends, builder)
                made = builder.value("onnx.Add", made, bias)
            results.append(made)
            first += width
        return results

    def _columns(
        self, value: SSAValue, ends: tuple[int, int], builder: OnnxBuilder
    ) -> SSAValue:
        source = constant_of(value, self.store)
        shape, element = static_shape(value.type), element_of(value.type)
        assert source is not None, "checked by `decide`"
        assert shape is not None, "checked by `decide`"
        assert element is not None, "a weight is a tensor"
        taken = source

        def compute() -> Array:
            return taken()[..., ends[0] : ends[1]]

        kind = tensor(element, (*shape[:-1], ends[1] - ends[0]))
        return follows(builder, kind, f"columns{ends[0]}", [value], compute)


def _is_bias(value: SSAValue, width: int) -> bool:
    shape = static_shape(value.type)
    if is_none(value.type) or not is_constant(value) or not shape:
        return False
    return shape[-1] == width and all(size == 1 for size in shape[:-1])


@dataclass(frozen=True)
class SplitProductsPass(ModulePass):
    """Make products that are split by columns several products."""

    name = "split-products"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        store = store_of(ctx)
        if store is not None:
            rewrite_module(op, SplitProducts(store, journal_of(ctx)))

    @classmethod
    def schedule_space(
        cls, ctx: Context, module_op: ModuleOp
    ) -> tuple[SplitProductsPass, ...]:
        return (cls(),)
