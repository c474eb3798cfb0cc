"""
Reduce in one step, and without axes that are removed afterwards.

    Squeeze(ReduceMax(x), axes)            ->   ReduceMax(x) {keepdims = 0}
    Flatten(GlobalAveragePool(x))          ->   ReduceMean(x, spatial) {keepdims = 0}
    Flatten(AveragePool(x) of one window)  ->   ReduceMean(x, spatial) {keepdims = 0}
    ReduceSum(ReduceSum(x, [2]), [1])      ->   ReduceSum(x, [1, 2])
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass

from ...dialects.onnx import OnnxBuilder, OnnxOp, WeightStore, store_of
from ...dialects.onnx.attributes import attribute
from ...dialects.onnx.ops import OPS
from ...dialects.onnx.types import shape_of
from ..facts import given, integers_of, rank_of, setting
from ..patterns import Declined, OnnxPattern, journal_of, rewrite_module
from .simplify_views import VIEWS

_ASSOCIATIVE = frozenset(f"onnx.Reduce{name}" for name in ("Max", "Min", "Prod", "Sum"))
_REDUCTIONS = _ASSOCIATIVE | frozenset(
    f"onnx.Reduce{name}"
    for name in ("L1", "L2", "LogSum", "LogSumExp", "Mean", "SumSquare")
)
_POOLS = {
    "onnx.AveragePool": "onnx.ReduceMean",
    "onnx.GlobalAveragePool": "onnx.ReduceMean",
    "onnx.GlobalMaxPool": "onnx.ReduceMax",
    "onnx.MaxPool": "onnx.ReduceMax",
}


@dataclass(frozen=True)
class Reduced:
    """A reduction of `data` along `axes`."""

    data: SSAValue
    name: str
    axes: tuple[int, ...]


def reduced_of(value: SSAValue, store: WeightStore) -> Reduced | None:
    """`value` as a reduction along known axes, global pooling among them."""
    op = value.owner
    if not isinstance(op, OnnxOp):
        return None
    rank = rank_of(op.operands[0]) if op.operands else None
    if rank is None:
        return None
    if op.name in _POOLS:
        if "Global" not in op.name and not _of_all(op):
            return None
        return Reduced(op.operands[0], _POOLS[op.name], tuple(range(2, rank)))
    if op.name not in _REDUCTIONS or not given(op.operands[1]):
        return None
    axes = integers_of(op.operands[1], store)
    if not axes:
        return None
    return Reduced(op.operands[0], op.name, tuple(sorted(axis % rank for axis in axes)))


def _of_all(op: OnnxOp) -> bool:
    """Whether the one window of a pooling is its whole operand."""
    shape = shape_of(op.operands[0].type) or ()
    sizes = tuple(None if dim is None else dim.constant for dim in shape[2:])
    dilated = any(step != 1 for step in setting(op, "dilations") or ())
    padded = any(setting(op, "pads") or ()) or setting(op, "auto_pad") != "NOTSET"
    unused = not any(result.uses for result in op.results[1:])
    return setting(op, "kernel_shape") == sizes and not (padded or dilated) and unused


def _keeps(op: Operation) -> bool:
    assert isinstance(op, OnnxOp), "reductions and pools are"
    return op.name in _POOLS or bool(setting(op, "keepdims"))


@dataclass(frozen=True)
class ReduceWithoutAxes(OnnxPattern[Reduced]):
    """Leaves out the axes of one element that a reduction keeps."""

    name = "reduce-without-axes"
    roots = VIEWS

    def decide(self, op: OnnxOp) -> Reduced | Declined:
        found = reduced_of(op.operands[0], self.store)
        if found is None:
            return Declined("it does not reshape a reduction", near=False)
        producer = op.operands[0].owner
        if not isinstance(producer, Operation) or not _keeps(producer):
            return Declined("the reduction keeps no axes", near=False)
        if not op.operands[0].has_one_use():
            return Declined("the reduction has other uses")
        shape, wanted = shape_of(found.data.type), shape_of(op.results[0].type)
        if shape is None or wanted is None:
            return Declined("a rank is not known")
        left = tuple(d for axis, d in enumerate(shape) if axis not in found.axes)
        if left != wanted or None in left:
            return Declined("other axes than the reduced ones are removed")
        return found

    def covers(self, op: OnnxOp, found: Reduced) -> list[Operation]:
        producer = op.operands[0].owner
        assert isinstance(producer, Operation), "checked by `decide`"
        return [producer, op]

    def rewrite(
        self, op: OnnxOp, found: Reduced, builder: OnnxBuilder
    ) -> list[SSAValue | None]:
        axes = builder.constant(np.array(found.axes, np.int64), "axes")
        schema = OPS[found.name].schema()
        properties = {"keepdims": attribute(schema, "keepdims", 0)}
        kinds = [op.results[0].type]
        operands = [found.data, axes]
        made = builder.create(found.name, operands, properties, types=kinds)
        return [made.results[0]]


@dataclass(frozen=True)
class MergeReductions(OnnxPattern[Reduced]):
    """Reduces along all axes at once."""

    name = "merge-reductions"
    roots = _ASSOCIATIVE

    def decide(self, op: OnnxOp) -> Reduced | Declined:
        producer = op.operands[0].owner
        if not isinstance(producer, OnnxOp) or producer.name != op.name:
            return Declined("it reduces no reduction of its kind", near=False)
        if not op.operands[0].has_one_use():
            return Declined("the first reduction has other uses")
        if _keeps(producer) != _keeps(op):
            return Declined("one reduction keeps its axes, the other does not")
        first = reduced_of(op.operands[0], self.store)
        second = reduced_of(op.results[0], self.store)
        if first is None or second is None:
            return Declined("the axes are not known")
        places = second.axes
        if not _keeps(op):
            rank = rank_of(first.data) or 0
            left = [axis for axis in range(rank) if axis not in first.axes]
            places = tuple(left[axis] for axis in second.axes)
        axes = tuple(sorted({*first.axes, *places}))
        return Reduced(first.data, op.name, axes)

    def covers(self, op: OnnxOp, found: Reduced) -> list[Operation]:
        producer = op.operands[0].owner
        assert isinstance(producer, Operation), "checked by `decide`"
        return [producer, op]

    def rewrite(
        self, op: OnnxOp, found: Reduced, builder: OnnxBuilder
    ) -> list[SSAValue | None]:
        axes = builder.constant(np.array(found.axes, np.int64), "axes")
        kinds = [op.results[0].type]
        operands = [found.data, axes]
        made = builder.create(op.name, operands, dict(op.properties), types=kinds)
        return [made.results[0]]


@dataclass(frozen=True)
class SimplifyReductionsPass(ModulePass):
    """Reduce in one step, and without axes that are removed afterwards."""

    name = "simplify-reductions"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        store = store_of(ctx)
        if store is None:
            return
        journal = journal_of(ctx)
        rewrite_module(
            op, ReduceWithoutAxes(store, journal), MergeReductions(store, journal)
        )

    @classmethod
    def schedule_space(
        cls, ctx: Context, module_op: ModuleOp
    ) -> tuple[SimplifyReductionsPass, ...]:
        return (cls(),)
