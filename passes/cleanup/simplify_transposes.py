"""
Transpose less: merge transposes, and let them sink until they meet their inverse.

    Transpose(Transpose(x))               ->   Transpose(x), or x
    Relu(Transpose(x))                    ->   Transpose(Relu(x))
    Add(Transpose(x), Transpose(y))       ->   Transpose(Add(x, y))    of one order
    Add(Transpose(x), c)                  ->   Transpose(Add(x, c'))   of a constant
    ReduceMean(Transpose(x), axes)        ->   ReduceMean(x, axes')    in one order

A transpose sinks only where another one below, or a reduction, can take it up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass

from ...dialects.onnx import DenseAttr, OnnxBuilder, OnnxOp, store_of
from ...dialects.onnx.types import Array, static_shape
from ..facts import (
    constant_shape,
    derived,
    given,
    integers_of,
    name_of,
    rank_of,
    setting,
)
from ..fold_constants import constant_of
from ..patterns import Declined, OnnxPattern, journal_of, rewrite_module

Order = tuple[int, ...]

_UNARY = frozenset(
    f"onnx.{name}"
    for name in (
        *("Abs", "Cast", "Ceil", "Clip", "Cos", "Elu", "Erf", "Exp", "Floor", "Gelu"),
        *("HardSigmoid", "HardSwish", "LeakyRelu", "Log", "Mish", "Neg", "Not"),
        *("Reciprocal", "Relu", "Round", "Selu", "Sigmoid", "Sign", "Sin", "Softplus"),
        *("Softsign", "Sqrt", "Swish", "Tanh"),
    )
)
_BINARY = frozenset(
    f"onnx.{name}"
    for name in (
        *("Add", "And", "Div", "Equal", "Max", "Min", "Mul", "Or", "Pow", "Sub"),
        "Where",
    )
)
_REDUCTIONS = frozenset(
    f"onnx.Reduce{name}" for name in ("L1", "L2", "Max", "Mean", "Min", "Prod", "Sum")
)
MAX_STEPS = 12
"""How far below a transpose is looked for one that undoes it."""


def order_of(value: SSAValue) -> Order | None:
    """The order of the Transpose that gives `value`; None if none does."""
    op = value.owner
    if not isinstance(op, OnnxOp) or op.name != "onnx.Transpose":
        return None
    order = setting(op, "perm")
    if order is not None:
        return tuple(order)
    rank = rank_of(op.operands[0])
    return None if rank is None else tuple(reversed(range(rank)))


def _inverse(order: Order) -> Order:
    return tuple(int(place) for place in np.argsort(order))


@dataclass(frozen=True)
class MergeTransposes(OnnxPattern[Order]):
    """Transposes once, or not at all."""

    name = "merge-transposes"
    roots = frozenset(["onnx.Transpose"])

    def decide(self, op: OnnxOp) -> Order | Declined:
        first, second = order_of(op.operands[0]), order_of(op.results[0])
        if first is None or second is None:
            return Declined("its operand is not transposed", near=False)
        return tuple(first[place] for place in second)

    def covers(self, op: OnnxOp, found: Order) -> list[Operation]:
        return [_owner(op.operands[0]), op]

    def rewrite(
        self, op: OnnxOp, found: Order, builder: OnnxBuilder
    ) -> list[SSAValue | None]:
        source = _owner(op.operands[0]).operands[0]
        unchanged = found == tuple(range(len(found)))
        if unchanged and source.type == op.results[0].type:
            return [source]
        return [builder.value("onnx.Transpose", source, perm=found)]


def _owner(value: SSAValue) -> Operation:
    owner = value.owner
    assert isinstance(owner, Operation), "checked by `decide`"
    return owner


def _meets_its_inverse(op: Operation, order: Order, steps: int = MAX_STEPS) -> bool:
    """Whether a transpose that sinks through `op` comes to one that undoes it."""
    while steps:
        steps -= 1
        result = op.results[0]
        if not result.has_one_use():
            # Several transposes may undo it, but all must.
            users = [use.operation for use in result.uses]
            return all(_undoes(user, order) for user in users)
        user = next(iter(result.uses)).operation
        if _undoes(user, order):
            return True
        if user.name not in _UNARY and user.name not in _BINARY:
            return False
        if not _sinkable(user, order, result):
            return False
        op = user
    return False


def _undoes(user: Operation, order: Order) -> bool:
    if user.name in _REDUCTIONS:
        return _takes_up(user, order)
    found = order_of(user.results[0]) if user.results else None
    return found == _inverse(order)


def _takes_up(op: Operation, order: Order) -> bool:
    """Whether the axes that a reduction leaves have the order they had before."""
    if not isinstance(op, OnnxOp) or setting(op, "keepdims"):
        return False
    axes = op.operands[1].owner
    held = axes.properties.get("value") if isinstance(axes, OnnxOp) else None
    if not isinstance(held, DenseAttr):
        return False
    reduced = {int(axis) % len(order) for axis in held.array().reshape(-1)}
    left = [place for index, place in enumerate(order) if index not in reduced]
    return left == sorted(left) and bool(reduced)


def _sinkable(op: Operation, order: Order, arriving: SSAValue) -> bool:
    """Whether all operands of `op` beside `arriving` can be taken back."""
    return all(value is arriving or _taken_back(value, order) for value in _arrays(op))


def _arrays(op: Operation) -> Sequence[SSAValue]:
    """The operands that are broadcast; the bounds of a Clip are scalars."""
    return op.operands[:1] if op.name in _UNARY else op.operands


def _taken_back(value: SSAValue, order: Order) -> bool:
    if order_of(value) == order:
        return True
    shape = static_shape(value.type)
    constant = name_of(value) == "onnx.Constant"
    return constant and shape is not None and len(shape) <= len(order)


@dataclass(frozen=True)
class SinkTranspose(OnnxPattern[Order]):
    """Exchanges an elementwise operator and the transposes of its operands."""

    name = "sink-transpose"
    roots = _UNARY | _BINARY

    def decide(self, op: OnnxOp) -> Order | Declined:
        orders = {order for value in _arrays(op) if (order := order_of(value))}
        if len(orders) != 1:
            return Declined("its operands are not transposed alike", near=False)
        (order,) = orders
        for value in _arrays(op):
            constant = constant_of(value, self.store) is not None
            if order_of(value) is None and not (constant and _taken_back(value, order)):
                return Declined("an operand is neither transposed nor constant")
        if not _meets_its_inverse(op, order):
            return Declined("no transpose below undoes it")
        return order

    def rewrite(
        self, op: OnnxOp, found: Order, builder: OnnxBuilder
    ) -> list[SSAValue | None]:
        back = _inverse(found)
        arrays = [_taken(value, back, builder) for value in _arrays(op)]
        operands = [*arrays, *op.operands[len(arrays) :]]
        made = builder.create(op.name, operands, dict(op.properties))
        return [builder.value("onnx.Transpose", made.results[0], perm=found)]


def _taken(value: SSAValue, back: Order, builder: OnnxBuilder) -> SSAValue:
    """`value` before the transpose, or a constant as it was before."""
    if order_of(value) is not None:
        return _owner(value).operands[0]
    shape = constant_shape(value)
    if len(shape) == 0:
        return value
    whole = (*[1] * (len(back) - len(shape)), *shape)

    def turned(array: Array) -> Array:
        return array.reshape(whole).transpose(back)

    sizes = [whole[place] for place in back]
    return derived(value, "transposed", sizes, turned, builder)


@dataclass(frozen=True)
class TransposeIntoReduction(OnnxPattern[tuple[int, ...]]):
    """Reduces the axes where they were before the transpose."""

    name = "transpose-into-reduction"
    roots = _REDUCTIONS

    def decide(self, op: OnnxOp) -> tuple[int, ...] | Declined:
        order = order_of(op.operands[0])
        if order is None:
            return Declined("its operand is not transposed", near=False)
        axes = (
            integers_of(op.operands[1], self.store) if given(op.operands[1]) else None
        )
        if not axes:
            return Declined("the axes are not known")
        if not _takes_up(op, order):
            return Declined("the axes that are left change their order")
        return tuple(sorted(order[axis % len(order)] for axis in axes))

    def covers(self, op: OnnxOp, found: tuple[int, ...]) -> list[Operation]:
        return [_owner(op.operands[0]), op]

    def rewrite(
        self, op: OnnxOp, found: tuple[int, ...], builder: OnnxBuilder
    ) -> list[SSAValue | None]:
        source = _owner(op.operands[0]).operands[0]
        axes = builder.constant(np.array(found, np.int64), "axes")
        kinds = [op.results[0].type]
        properties = dict(op.properties)
        made = builder.create(op.name, [source, axes], properties, types=kinds)
        return [made.results[0]]


@dataclass(frozen=True)
class SimplifyTransposesPass(ModulePass):
    """Merge transposes, and let them sink until they meet their inverse."""

    name = "simplify-transposes"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        store = store_of(ctx)
        if store is None:
            return
        journal = journal_of(ctx)
        rewrite_module(
            op,
            MergeTransposes(store, journal),
            TransposeIntoReduction(store, journal),
            SinkTranspose(store, journal),
        )

    @classmethod
    def schedule_space(
        cls, ctx: Context, module_op: ModuleOp
    ) -> tuple[SimplifyTransposesPass, ...]:
        return (cls(),)
