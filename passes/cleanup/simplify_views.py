"""
Give a value another shape in one step: Reshape, Squeeze, Unsqueeze and Flatten.

    Reshape(Unsqueeze(x)), Squeeze(Flatten(x)) …   ->   Reshape(x)
    Unsqueeze(Unsqueeze(x)), Squeeze(Squeeze(x))   ->   one of them
    Squeeze(Unsqueeze(x))                          ->   x     if the shapes are equal
    Reshape(x, computed)                           ->   Reshape(x, [0, 0, 8, -1])

A target may say 0 where a size is the operand's at that place, and -1 once. As a -1 is
found by division, no other size may be 0 for it, unless the target already had one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass

from ...dialects.onnx import OnnxBuilder, OnnxOp, WeightStore, store_of
from ...dialects.onnx.dims import Dim
from ...dialects.onnx.integers import IntegerValues, flat
from ...dialects.onnx.types import Shape, is_none, shape_of, static_shape
from ..facts import integers_of
from ..patterns import Declined, OnnxPattern, journal_of, rewrite_module

VIEWS = frozenset(
    f"onnx.{name}" for name in ("Flatten", "Reshape", "Squeeze", "Unsqueeze")
)


def target_of(
    before: Shape, after: Shape, divided: Sequence[Dim] | None = None
) -> list[int] | str:
    """
    The constant that reshapes `before` to `after`, or why there is none.

    `divided` are the sizes beside a -1 that the program already has, by which it
    already fails if one of them is 0.
    """
    target: list[int] = []
    others: list[Dim] = []
    for place, dim in enumerate(after):
        known = dim.constant if dim is not None else None
        copied = place < len(before) and dim is not None and before[place] == dim
        if known is not None and known > 0:
            target.append(known)
        elif copied:
            target.append(0)
        elif known == 0 or -1 in target:
            return "a size is 0" if known == 0 else "more than one size is not known"
        else:
            target.append(-1)
            continue
        if dim is not None:
            others.append(dim)
    if -1 not in target:
        return target
    risky = [dim for dim in others if (dim.lower_bound or 0) < 1]
    if any(dim not in (divided or ()) for dim in risky):
        return "a size beside the one that is not known may be 0"
    return target


def divided_of(op: OnnxOp, integers: IntegerValues) -> list[Dim] | None:
    """The sizes beside the -1 of a Reshape; None if it surely has no -1."""
    if op.name != "onnx.Reshape":
        return None
    target, after = integers.of(op.operands[1]), shape_of(op.results[0].type)
    if target is None or after is None:
        return None
    items = flat(target)
    if Dim.of(-1) not in items or len(items) != len(after):
        return None
    place = items.index(Dim.of(-1))
    rest = [*after[:place], *after[place + 1 :]]
    return [dim for dim in rest if dim is not None]


@dataclass(frozen=True)
class View:
    """What reshapes `source`: nothing, axes to insert or remove, or a target."""

    source: SSAValue
    name: str = ""
    numbers: tuple[int, ...] = ()


@dataclass(frozen=True)
class MergeViews(OnnxPattern[View]):
    """Makes one view of two, one after another."""

    integers: IntegerValues

    name = "merge-views"
    roots = VIEWS

    def decide(self, op: OnnxOp) -> View | Declined:
        inner = op.operands[0].owner
        if not isinstance(inner, OnnxOp) or inner.name not in VIEWS:
            return Declined("its operand is no view", near=False)
        source = inner.operands[0]
        if source.type == op.results[0].type and known(source):
            return View(source)
        axes = _merged_axes(inner, op, self.store)
        if axes is not None:
            return View(source, op.name, axes)
        before, after = shape_of(source.type), shape_of(op.results[0].type)
        if before is None or after is None:
            return Declined("a rank is not known")
        divided = divided_of(op, self.integers) or divided_of(inner, self.integers)
        target = target_of(before, after, divided)
        if isinstance(target, str):
            return Declined(target)
        return View(source, "onnx.Reshape", tuple(target))

    def covers(self, op: OnnxOp, found: View) -> list[Operation]:
        inner = op.operands[0].owner
        assert isinstance(inner, Operation), "checked by `decide`"
        return [inner, op]

    def rewrite(
        self, op: OnnxOp, found: View, builder: OnnxBuilder
    ) -> list[SSAValue | None]:
        if not found.name:
            return [found.source]
        numbers = builder.constant(np.array(found.numbers, np.int64), "shape")
        kinds = [op.results[0].type]
        operands = [found.source, numbers]
        return [builder.create(found.name, operands, {}, types=kinds).results[0]]


def known(value: SSAValue) -> bool:
    """Whether every size is known, by number or expression."""
    shape = shape_of(value.type)
    return shape is not None and None not in shape


def _merged_axes(
    inner: OnnxOp, outer: OnnxOp, store: WeightStore
) -> tuple[int, ...] | None:
    """The axes of two Unsqueeze or two Squeeze as one; None if they are not that."""
    if inner.name != outer.name or inner.name not in ("onnx.Squeeze", "onnx.Unsqueeze"):
        return None
    first, second = _axes(inner, store), _axes(outer, store)
    if first is None or second is None:
        return None
    if inner.name == "onnx.Unsqueeze":
        rank = len(shape_of(outer.results[0].type) or ())
        kept = [axis for axis in range(rank) if axis not in second]
        return tuple(sorted([*second, *(kept[axis] for axis in first)]))
    rank = len(shape_of(inner.operands[0].type) or ())
    kept = [axis for axis in range(rank) if axis not in first]
    return tuple(sorted([*first, *(kept[axis] for axis in second)]))


def _axes(op: OnnxOp, store: WeightStore) -> list[int] | None:
    if is_none(op.operands[1].type):
        return None
    wide = op.results[0] if op.name == "onnx.Unsqueeze" else op.operands[0]
    shape, axes = shape_of(wide.type), integers_of(op.operands[1], store)
    if shape is None or axes is None:
        return None
    return [axis % len(shape) for axis in axes]


@dataclass(frozen=True)
class ConstantTarget(OnnxPattern[tuple[int, ...]]):
    """Gives a Reshape to a computed shape a constant target."""

    integers: IntegerValues

    name = "constant-target"
    roots = frozenset(["onnx.Reshape"])

    def decide(self, op: OnnxOp) -> tuple[int, ...] | Declined:
        if integers_of(op.operands[1], self.store) is not None:
            return Declined("the target is constant", near=False)
        before, after = shape_of(op.operands[0].type), shape_of(op.results[0].type)
        if before is None or after is None:
            return Declined("a rank is not known")
        if static_shape(op.operands[1].type) is None:
            return Declined("the length of the target is not known")
        target = target_of(before, after, divided_of(op, self.integers))
        return Declined(target) if isinstance(target, str) else tuple(target)

    def rewrite(
        self, op: OnnxOp, found: tuple[int, ...], builder: OnnxBuilder
    ) -> list[SSAValue | None]:
        numbers = builder.constant(np.array(found, np.int64), "shape")
        kinds = [op.results[0].type]
        made = builder.create(op.name, [op.operands[0], numbers], {}, types=kinds)
        return [made.results[0]]


@dataclass(frozen=True)
class SimplifyViewsPass(ModulePass):
    """Give values another shape in one step, by constants where they suffice."""

    name = "simplify-views"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        store = store_of(ctx)
        if store is None:
            return
        integers, journal = IntegerValues(store), journal_of(ctx)
        rewrite_module(
            op,
            MergeViews(store, journal, integers),
            ConstantTarget(store, journal, integers),
        )

    @classmethod
    def schedule_space(
        cls, ctx: Context, module_op: ModuleOp
    ) -> tuple[SimplifyViewsPass, ...]:
        return (cls(),)
