"""
Make products of one value with several weights one product, and split it.

    MatMul(x, a), MatMul(x, b)   ->   Split(MatMul(x, Concat(a, b)))

What queries, keys and values, or a gate and its value, are projected by.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass

from ...dialects.onnx import OnnxBuilder, OnnxOp, WeightStore, store_of
from ...dialects.onnx.types import Array, element_of, static_shape, tensor
from ...dialects.sdy import carry
from ..facts import follows
from ..fold_constants import constant_of
from ..patterns import Declined, OnnxPattern, journal_of, rewrite_module
from .matching import is_constant, uses_of


@dataclass(frozen=True)
class Products:
    """Products of one value, in their order; the widths of their weights."""

    ops: tuple[OnnxOp, ...]
    widths: tuple[int, ...]


@dataclass(frozen=True)
class MergeProducts(OnnxPattern[Products]):
    """Merges the products of a value, at the first of them."""

    name = "products-into-one"
    roots = frozenset(["onnx.MatMul"])

    def decide(self, op: OnnxOp) -> Products | Declined:
        weight = static_shape(op.operands[1].type)
        if weight is None or len(weight) != 2 or not is_constant(op.operands[1]):
            return Declined("it is no product with a constant matrix", near=False)
        others = [u for u in uses_of(op.operands[0]) if _is_alike(u, op)]
        ops = [u for u in others if isinstance(u, OnnxOp)]
        ops.sort(key=_place)
        if len(ops) < 2:
            return Declined("its value is in no other product", near=False)
        if ops[0] is not op:
            return Declined("an earlier product takes it in", near=False)
        shapes = [static_shape(u.operands[1].type) or (0, 0) for u in ops]
        return Products(tuple(ops), tuple(shape[1] for shape in shapes))

    def covers(self, op: OnnxOp, found: Products) -> Sequence[Operation]:
        return found.ops

    def rewrite(
        self, op: OnnxOp, found: Products, builder: OnnxBuilder
    ) -> list[SSAValue | None]:
        weights = [u.operands[1] for u in found.ops]
        whole = joined(weights, sum(found.widths), builder, self.store)
        product = builder.value("onnx.MatMul", op.operands[0], whole)
        sizes = builder.constant(np.array(found.widths, np.int64), "widths")
        split = builder.op(
            "onnx.Split", product, sizes, outputs=len(found.ops), axis=-1
        )
        for old, new in zip(found.ops[1:], split.results[1:], strict=True):
            carry(old.results[0], new)
            old.results[0].replace_all_uses_with(new)
        return [split.results[0]]


def _place(op: OnnxOp) -> int:
    assert op.parent is not None, "an op that is used stands in a block"
    return op.parent.get_operation_index(op)


def _is_alike(user: Operation, op: OnnxOp) -> bool:
    """Whether `user`, not dead, multiplies what `op` does by a constant matrix."""
    if not any(result.uses for result in user.results):
        # What was merged stands there until dce.
        return False
    if user.parent is not op.parent or user.name != "onnx.MatMul":
        return False
    value, weight = user.operands
    fits = value == op.operands[0] and is_constant(weight)
    whole = static_shape(weight.type)
    return fits and whole is not None and len(whole) == 2


def joined(
    weights: Sequence[SSAValue], width: int, builder: OnnxBuilder, store: WeightStore
) -> SSAValue:
    """The matrices `weights` beside each other, as one constant."""
    sources: list[Callable[[], Array]] = []
    for weight in weights:
        source = constant_of(weight, store)
        assert source is not None, "checked by `decide`"
        sources.append(source)
    shape, element = static_shape(weights[0].type), element_of(weights[0].type)
    assert shape is not None, "checked by `decide`"
    assert element is not None, "a weight is a tensor"

    def compute() -> Array:
        return np.concatenate([source() for source in sources], axis=1)

    kind = tensor(element, (shape[0], width))
    return follows(builder, kind, "merged", weights, compute)


@dataclass(frozen=True)
class MergeProductsPass(ModulePass):
    """
    Make products of one value with several constant matrices one, and split it.

    In no pipeline by itself: whether the one product is faster depends on its sizes.
    """

    name = "merge-products"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        store = store_of(ctx)
        if store is not None:
            rewrite_module(op, MergeProducts(store, journal_of(ctx)))

    @classmethod
    def schedule_space(
        cls, ctx: Context, module_op: ModuleOp
    ) -> tuple[MergeProductsPass, ...]:
        return (cls(),)
