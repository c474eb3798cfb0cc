"""
Cut and join tensors in fewer steps.

    Slice(x, 0:4), Slice(x, 4:8) that cover an axis   ->   Split(x)
    Slice(Slice(x))            ->   Slice(x)      along different axes, or one after one
    Concat(a, Concat(b, c))    ->   Concat(a, b, c)
    Concat(Split(x) …)         ->   x             in its order, along its axis
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Attribute, Operation, SSAValue, Use
from xdsl.passes import ModulePass
from xdsl.rewriter import Rewriter

from ...dialects.onnx import OnnxBuilder, OnnxOp, WeightStore, store_of
from ...dialects.onnx.types import shape_of
from ...dialects.sdy import carry
from ..facts import given, integers_of, rank_of, setting
from ..patterns import Declined, OnnxPattern, journal_of, rewrite_module

_END = 1 << 62


@dataclass(frozen=True)
class Cut:
    """A slice with steps of one: where it begins and ends along each axis."""

    source: SSAValue
    axes: tuple[int, ...]
    starts: tuple[int, ...]
    ends: tuple[int, ...]


def cut_of(op: Operation, store: WeightStore) -> Cut | None:
    """`op` as a cut with constant bounds that are not negative; None if it is none."""
    if not isinstance(op, OnnxOp) or op.name != "onnx.Slice":
        return None
    rank = rank_of(op.operands[0])
    starts, ends = (integers_of(value, store) for value in op.operands[1:3])
    if rank is None or starts is None or ends is None:
        return None
    axes = integers_of(op.operands[3], store) if given(op.operands[3]) else None
    if axes is None and given(op.operands[3]):
        return None
    axes = list(range(len(starts))) if axes is None else [axis % rank for axis in axes]
    steps = integers_of(op.operands[4], store) if given(op.operands[4]) else []
    if steps is None or any(step != 1 for step in steps) or len(set(axes)) != len(axes):
        return None
    shape = shape_of(op.operands[0].type) or ()
    sizes = [None if (d := shape[axis]) is None else d.constant for axis in axes]
    placed = [
        (_position(start, size), _position(end, size))
        for start, end, size in zip(starts, ends, sizes, strict=True)
    ]
    bounds = [(s, e) for s, e in placed if s is not None and e is not None]
    if len(bounds) != len(placed):
        return None
    return Cut(
        op.operands[0],
        tuple(axes),
        tuple(start for start, _ in bounds),
        tuple(end for _, end in bounds),
    )


def _position(bound: int, size: int | None) -> int | None:
    """`bound` counted from the first element; None if that is not known."""
    if size is None:
        return min(bound, _END) if bound >= 0 else None
    return min(max(bound + size if bound < 0 else bound, 0), size)


@dataclass(frozen=True)
class Parts:
    """Slices of one value that cover its axis, in their order."""

    slices: tuple[OnnxOp, ...]
    axis: int
    sizes: tuple[int, ...]


@dataclass(frozen=True)
class SlicesToSplit(OnnxPattern[Parts]):
    """Cuts a tensor once along an axis; begins at the slice that is first in order."""

    name = "slices-to-split"
    roots = frozenset(["onnx.Slice"])

    def decide(self, op: OnnxOp) -> Parts | Declined:
        mine = cut_of(op, self.store)
        if mine is None or len(mine.axes) != 1:
            return Declined("its bounds along one axis are not known", near=False)
        (axis,) = mine.axes
        shape = shape_of(mine.source.type) or ()
        dim = shape[axis]
        size = None if dim is None else dim.constant
        if size is None:
            return Declined("the size of the axis is not known", near=False)
        others = [
            (found.starts[0], found.ends[0], other)
            for other in _users(op, mine.source)
            if (found := cut_of(other, self.store)) is not None
            and found.axes == (axis,)
        ]
        others.sort(key=lambda part: part[:2])
        if len(others) < 2:
            return Declined("no other slice is beside it", near=False)
        ends = [0, *(end for _, end, _ in others)]
        if [start for start, _, _ in others] != ends[:-1] or ends[-1] != size:
            return Declined("the slices do not cover the axis once")
        slices = tuple(other for _, _, other in others)
        if any(other.is_before_in_block(op) for other in slices if other is not op):
            return Declined("an earlier slice begins the split", near=False)
        sizes = tuple(end - start for start, end, _ in others)
        return Parts(slices, axis, sizes)

    def covers(self, op: OnnxOp, found: Parts) -> Sequence[Operation]:
        return found.slices

    def rewrite(
        self, op: OnnxOp, found: Parts, builder: OnnxBuilder
    ) -> list[SSAValue | None]:
        sizes = builder.constant(np.array(found.sizes, np.int64), "split")
        split = builder.op(
            "onnx.Split",
            op.operands[0],
            sizes,
            outputs=len(found.sizes),
            axis=found.axis,
        )
        for part, other in zip(split.results, found.slices, strict=True):
            if other is not op:
                old = other.results[0]
                new = retyped(part, old.type)
                carry(old, new)
                old.replace_all_uses_with(new)
        return [split.results[found.slices.index(op)]]


def retyped(value: SSAValue, kind: Attribute) -> SSAValue:
    """`value` with the type that was declared or inferred of what it replaces."""
    if value.type == kind:
        return value
    return Rewriter.replace_value_with_new_type(value, kind)


def _users(op: OnnxOp, source: SSAValue) -> list[OnnxOp]:
    """The slices of `source` in the block of `op`."""
    uses: list[Use] = list(source.uses)
    found = [use.operation for use in uses if use.index == 0]
    return [
        other
        for other in found
        if isinstance(other, OnnxOp)
        and other.name == op.name
        and other.parent is op.parent
        and (other is op or other.results[0].uses)
    ]


@dataclass(frozen=True)
class MergeSlices(OnnxPattern[Cut]):
    """Cuts along all axes in one step."""

    name = "merge-slices"
    roots = frozenset(["onnx.Slice"])

    def decide(self, op: OnnxOp) -> Cut | Declined:
        producer = op.operands[0].owner
        if not isinstance(producer, OnnxOp) or producer.name != "onnx.Slice":
            return Declined("its operand is no slice", near=False)
        if not op.operands[0].has_one_use():
            return Declined("the first slice has other uses")
        first, second = cut_of(producer, self.store), cut_of(op, self.store)
        if first is None or second is None:
            return Declined("a bound is not known")
        if set(first.axes) & set(second.axes):
            return Declined("both slices cut one axis")
        return Cut(
            first.source,
            first.axes + second.axes,
            first.starts + second.starts,
            first.ends + second.ends,
        )

    def covers(self, op: OnnxOp, found: Cut) -> list[Operation]:
        producer = op.operands[0].owner
        assert isinstance(producer, Operation), "checked by `decide`"
        return [producer, op]

    def rewrite(
        self, op: OnnxOp, found: Cut, builder: OnnxBuilder
    ) -> list[SSAValue | None]:
        numbers = [
            builder.constant(np.array(values, np.int64), "bounds")
            for values in (found.starts, found.ends, found.axes)
        ]
        kinds = [op.results[0].type]
        made = builder.create(op.name, [found.source, *numbers], {}, types=kinds)
        return [made.results[0]]


@dataclass(frozen=True)
class MergeConcats(OnnxPattern[list[SSAValue]]):
    """Joins all parts in one step, or leaves whole what was only split."""

    name = "merge-concats"
    roots = frozenset(["onnx.Concat"])

    def decide(self, op: OnnxOp) -> list[SSAValue] | Declined:
        rank = rank_of(op.results[0])
        if rank is None:
            return Declined("the rank is not known", near=False)
        axis = setting(op, "axis") % rank
        whole = _rejoined(op, axis)
        if whole is not None:
            return [whole]
        parts: list[SSAValue] = []
        for value in op.operands:
            inner = value.owner
            if isinstance(inner, OnnxOp) and _joins(inner, axis, rank, value):
                parts += inner.operands
            else:
                parts.append(value)
        if len(parts) == len(op.operands):
            return Declined("no part is joined along the axis alone", near=False)
        return parts

    def rewrite(
        self, op: OnnxOp, found: list[SSAValue], builder: OnnxBuilder
    ) -> list[SSAValue | None]:
        if len(found) == 1:
            return [found[0]]
        kinds = [op.results[0].type]
        made = builder.create(op.name, found, dict(op.properties), types=kinds)
        return [made.results[0]]


def _joins(op: OnnxOp, axis: int, rank: int, value: SSAValue) -> bool:
    """Whether `op` gives `value` by joining along `axis`, for one user alone."""
    if op.name != "onnx.Concat" or not value.has_one_use():
        return False
    return setting(op, "axis") % rank == axis


def _rejoined(op: OnnxOp, axis: int) -> SSAValue | None:
    """What a Split cuts along `axis` and `op` joins again; None if it does not."""
    split = op.operands[0].owner
    if not isinstance(split, OnnxOp) or split.name != "onnx.Split":
        return None
    source = split.operands[0]
    if setting(split, "axis") % len(shape_of(source.type) or (0,)) != axis:
        return None
    same = list(op.operands) == list(split.results)
    return source if same and source.type == op.results[0].type else None


@dataclass(frozen=True)
class SimplifySlicesPass(ModulePass):
    """Cut and join tensors in fewer steps."""

    name = "simplify-slices"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        store = store_of(ctx)
        if store is None:
            return
        journal = journal_of(ctx)
        rewrite_module(
            op,
            MergeSlices(store, journal),
            SlicesToSplit(store, journal),
            MergeConcats(store, journal),
        )

    @classmethod
    def schedule_space(
        cls, ctx: Context, module_op: ModuleOp
    ) -> tuple[SimplifySlicesPass, ...]:
        return (cls(),)
