"""
Operators that compute an image with channels last as well as any other.

    Relu(x), Add(x, y), Sum, Where …   ->   the same of x', y'; constants transposed
    Concat(x, y), Split(x)             ->   the same along another axis
    ReduceMean(x, axes)                ->   ReduceMean(x', axes')
    Pad(x, pads), Resize(x, sizes)     ->   the same, their numbers in another order
    Slice(x, …, axes)                  ->   Slice(x', …, axes')
    a shuffle of channels              ->   Reshape, Transpose, Reshape of the last
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from xdsl.ir import Attribute, Operation, SSAValue

from ...dialects.nhwc import TO_NHWC
from ...dialects.onnx import OnnxBuilder, OnnxOp
from ...dialects.onnx.attributes import attribute
from ...dialects.onnx.types import shape_of, static_shape
from ..cleanup.simplify_transposes import order_of
from ..facts import given, integers_of, name_of, rank_of, setting, small_array
from ..patterns import Declined
from .groups import (
    group_count,
    groups_below,
    groups_first,
    groups_last,
    rows_below,
    rows_of,
    stack_of,
)
from .images import (
    RANK,
    ChannelsLast,
    axis_last,
    below,
    constant_last,
    is_constant,
    last,
    type_last,
)

_OF_ONE = frozenset(
    [
        "onnx.Abs",
        "onnx.Cast",
        "onnx.Ceil",
        "onnx.Celu",
        "onnx.Clip",
        "onnx.Cos",
        "onnx.Elu",
        "onnx.Erf",
        "onnx.Exp",
        "onnx.Floor",
        "onnx.Gelu",
        "onnx.HardSigmoid",
        "onnx.HardSwish",
        "onnx.Identity",
        "onnx.LeakyRelu",
        "onnx.Log",
        "onnx.Mish",
        "onnx.Neg",
        "onnx.Not",
        "onnx.Reciprocal",
        "onnx.Relu",
        "onnx.Round",
        "onnx.Selu",
        "onnx.Shrink",
        "onnx.Sigmoid",
        "onnx.Sign",
        "onnx.Sin",
        "onnx.Softplus",
        "onnx.Softsign",
        "onnx.Sqrt",
        "onnx.Swish",
        "onnx.Tanh",
        "onnx.ThresholdedRelu",
    ]
)
_OF_SEVERAL = frozenset(
    [
        "onnx.Add",
        "onnx.And",
        "onnx.Div",
        "onnx.Equal",
        "onnx.Greater",
        "onnx.Less",
        "onnx.Max",
        "onnx.Mean",
        "onnx.Min",
        "onnx.Mul",
        "onnx.Or",
        "onnx.PRelu",
        "onnx.Pow",
        "onnx.Sub",
        "onnx.Sum",
        "onnx.Where",
    ]
)
_ALONG = frozenset(["onnx.Concat", "onnx.Split"])
_REDUCTIONS = frozenset(
    f"onnx.Reduce{name}" for name in ("L1", "L2", "Max", "Mean", "Min", "Prod", "Sum")
)


def _images(op: OnnxOp) -> Sequence[SSAValue]:
    """The operands of an elementwise or joining op that are arrays, not settings."""
    several = op.name in _OF_SEVERAL or op.name == "onnx.Concat"
    return op.operands if several else op.operands[:1]


def _common_groups(arrays: Sequence[SSAValue]) -> int | None:
    """As how many groups one of some arrays is held; None if none is, or one cannot."""
    computed = [value for value in arrays if not is_constant(value)]
    stacks = [groups_below(value) for value in computed]
    counts = [group_count(stack) for stack in stacks if stack is not None]
    whole = all(value.type == computed[0].type for value in computed)
    single = all(
        set(static_shape(value.type) or ()) <= {1}
        for value in arrays
        if is_constant(value)
    )
    return counts[0] if counts and whole and single else None


def _in_groups(value: SSAValue, group: int, builder: OnnxBuilder) -> SSAValue:
    """One of such arrays as a stack of groups; constants are of one element."""
    return value if is_constant(value) else groups_first(value, group, builder)


def _results(op: OnnxOp) -> list[Attribute]:
    """The types of the results, those of images with channels last."""
    return [
        type_last(result.type) if rank_of(result) == RANK else result.type
        for result in op.results
    ]


@dataclass(frozen=True)
class ElementwiseLast(ChannelsLast[None]):
    """Elementwise operators, Concat and Split."""

    name = "elementwise-with-channels-last"
    roots = _OF_ONE | _OF_SEVERAL | _ALONG

    def decide(self, op: OnnxOp) -> Declined | None:
        computed = [value for value in _images(op) if not is_constant(value)]
        held = sum(below(value) is not None for value in computed)
        if not held:
            return Declined("no operand has its channels last", near=False)
        if any(rank_of(value) != RANK for value in computed):
            return Declined("an operand is no image")
        if 2 * held < len(computed):
            return Declined("more operands have their channels second than last")
        for value in _images(op):
            rank = rank_of(value)
            if is_constant(value) and (rank is None or rank > RANK):
                return Declined("a constant has more axes than an image")
        return None

    def compute(
        self, op: OnnxOp, found: None, builder: OnnxBuilder
    ) -> Sequence[SSAValue | None]:
        arrays = [
            constant_last(value, builder)
            if is_constant(value)
            else last(value, builder)
            for value in _images(op)
        ]
        operands = [*arrays, *op.operands[len(arrays) :]]
        properties = dict(op.properties)
        group = None if op.name in _ALONG else _common_groups(arrays)
        if group is not None:
            stacks = [_in_groups(value, group, builder) for value in arrays]
            rows = next((s for s in stacks if rows_below(s) is not None), None)
            given_as = stacks if rows is None else [rows_of(s, builder) for s in stacks]
            operands[: len(arrays)] = given_as
            y = builder.create(op.name, operands, properties).results[0]
            return [
                groups_last(y if rows is None else stack_of(y, rows, builder), builder)
            ]
        if op.name in _ALONG:
            axis = axis_last(setting(op, "axis"))
            properties["axis"] = attribute(op.schema(), "axis", axis)
        wanted = [True] * len(op.results)
        made = builder.create(op.name, operands, properties, wanted, _results(op))
        return made.results


@dataclass(frozen=True)
class ReductionLast(ChannelsLast[list[int]]):
    """A reduction over axes that are known."""

    name = "reduction-with-channels-last"
    roots = _REDUCTIONS

    def decide(self, op: OnnxOp) -> list[int] | Declined:
        if below(op.operands[0]) is None:
            return Declined("its image has channels second", near=False)
        axes = (
            integers_of(op.operands[1], self.store) if given(op.operands[1]) else None
        )
        if not axes:
            return Declined("its axes are not known")
        reduced = {axis % RANK for axis in axes}
        left = [axis for axis in TO_NHWC if axis not in reduced]
        if not setting(op, "keepdims") and left != sorted(left):
            return Declined("the axes that are left would change their order")
        return sorted(axis_last(axis) for axis in reduced)

    def compute(
        self, op: OnnxOp, found: list[int], builder: OnnxBuilder
    ) -> Sequence[SSAValue | None]:
        axes = builder.constant(np.array(found, np.int64), "axes")
        operands = [last(op.operands[0], builder), axes]
        properties = dict(op.properties)
        return builder.create(op.name, operands, properties, types=_results(op)).results


@dataclass(frozen=True)
class NumbersLast(ChannelsLast[dict[int, Any]]):
    """Operators with an operand that has numbers for each axis, or names axes."""

    name = "numbers-with-channels-last"
    roots = frozenset(["onnx.Pad", "onnx.Resize", "onnx.Slice"])

    def decide(self, op: OnnxOp) -> dict[int, Any] | Declined:
        if below(op.operands[0]) is None:
            return Declined("its image has channels second", near=False)
        match op.name:
            case "onnx.Pad":
                return self._pads(op)
            case "onnx.Slice":
                return self._axes(op)
            case _:
                return self._sizes(op)

    def _pads(self, op: OnnxOp) -> dict[int, Any] | Declined:
        amounts = integers_of(op.operands[1], self.store)
        axes = self._named_axes(op, 3, range(RANK))
        if amounts is None or axes is None:
            return Declined("its amounts are not known")
        whole = np.zeros((2, RANK), np.int64)
        for place, axis in enumerate(axes):
            whole[:, axis_last(axis)] = amounts[place], amounts[place + len(axes)]
        return {1: whole.reshape(-1), 3: None}

    def _axes(self, op: OnnxOp) -> dict[int, Any] | Declined:
        starts = integers_of(op.operands[1], self.store)
        axes = self._named_axes(op, 3, range(len(starts or ())))
        if starts is None or axes is None:
            return Declined("its axes are not known")
        return {3: np.array([axis_last(axis) for axis in axes], np.int64)}

    def _sizes(self, op: OnnxOp) -> dict[int, Any] | Declined:
        if given(op.operands[1]) or setting(op, "axes") is not None:
            return Declined("it has a region of interest, or axes")
        place = 2 if given(op.operands[2]) else 3
        numbers = small_array(op.operands[place], self.store)
        if numbers is None or numbers.size != RANK:
            return Declined("its sizes are not known")
        return {place: numbers.reshape(-1)[list(TO_NHWC)]}

    def _named_axes(
        self, op: OnnxOp, place: int, otherwise: Sequence[int]
    ) -> Sequence[int] | None:
        if not given(op.operands[place]):
            return otherwise
        return integers_of(op.operands[place], self.store)

    def compute(
        self, op: OnnxOp, found: dict[int, Any], builder: OnnxBuilder
    ) -> Sequence[SSAValue | None]:
        operands: list[SSAValue | None] = [
            last(op.operands[0], builder),
            *op.operands[1:],
        ]
        for place, numbers in found.items():
            absent = numbers is None
            operands[place] = None if absent else builder.constant(numbers, "numbers")
        properties = dict(op.properties)
        return builder.create(op.name, operands, properties, types=_results(op)).results


@dataclass(frozen=True)
class ShuffleLast(ChannelsLast[tuple[int, int]]):
    """
    A shuffle: channels as ``[groups, each]``, transposed, and channels again.

    ``Reshape(Transpose(Reshape(x, [n, g, e, h, w]), (0, 2, 1, 3, 4)), [n, c, h, w])``
    """

    name = "shuffle-with-channels-last"
    roots = frozenset(["onnx.Reshape"])

    def decide(self, op: OnnxOp) -> tuple[int, int] | Declined:
        found = shuffle_of(op)
        if isinstance(found, Declined):
            return found
        _, image = _shuffled(op)
        if image is None or below(image) is None:
            return Declined("its image has channels second", near=False)
        return found

    def covers(self, op: OnnxOp, found: tuple[int, int]) -> list[Operation]:
        owners = [_shuffled(op)[0].owner, op.operands[0].owner, op]
        return [owner for owner in owners if isinstance(owner, Operation)]

    def compute(
        self, op: OnnxOp, found: tuple[int, int], builder: OnnxBuilder
    ) -> Sequence[SSAValue | None]:
        _, image = _shuffled(op)
        assert image is not None, "checked by `decide`"
        source = last(image, builder)
        # A 0 copies the size of the operand's axis.
        apart = builder.constant(np.array([0, 0, 0, *found], np.int64), "parts")
        split = builder.value("onnx.Reshape", source, apart)
        turned = builder.value("onnx.Transpose", split, perm=(0, 1, 2, 4, 3))
        together = np.array([0, 0, 0, found[0] * found[1]], np.int64)
        shape = builder.constant(together, "channels")
        return [builder.value("onnx.Reshape", turned, shape)]


def shuffle_of(op: OnnxOp) -> tuple[int, int] | Declined:
    """How many groups of channels `op` ends to take in turns, and their channels."""
    if order_of(op.operands[0]) != (0, 2, 1, 3, 4):
        return Declined("it does not shuffle channels", near=False)
    split, image = _shuffled(op)
    if name_of(split) != "onnx.Reshape" or image is None:
        return Declined("it does not shuffle channels", near=False)
    before, parts = shape_of(image.type), shape_of(split.type)
    after = shape_of(op.results[0].type)
    if before is None or parts is None or before != after:
        return Declined("the image changes its shape")
    if (parts[0], *parts[3:]) != (before[0], *before[2:]):
        return Declined("more than channels is shuffled")
    groups, each = parts[1:3]
    if groups is None or each is None or before[0] is None:
        return Declined("its sizes are not known")
    if groups.constant is None or each.constant is None:
        return Declined("its sizes are not known")
    return groups.constant, each.constant


def _shuffled(op: OnnxOp) -> tuple[SSAValue, SSAValue | None]:
    """What the Transpose before a Reshape takes, and what is behind a Reshape there."""
    turned = op.operands[0].owner
    assert isinstance(turned, OnnxOp), "it has an order"
    split = turned.operands[0]
    owner = split.owner
    return split, owner.operands[0] if isinstance(owner, OnnxOp) else None
