"""
Images as a stack of their groups of channels: ``[g, n, h, w, c / g]``.

A product for each group of channels takes and gives its images so. One that is computed
so is, as an image with channels last, a Transpose and a Reshape of that value; what is
element by element takes the value below, and so does the next product.

    Transpose(Reshape(groups as channels last))   ->   the groups

A stack is, as the product gives it, rows: ``[g, n * h * w, c / g]``. What is element by
element takes these, so that it stands right behind the product: XLA's libraries compute
the two as one only where no Reshape is between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from xdsl.ir import SSAValue

from ...dialects.onnx import OnnxBuilder, OnnxOp
from ...dialects.onnx.types import Dim, shape_of
from ..cleanup.simplify_transposes import order_of
from ..facts import name_of
from ..patterns import Declined, OnnxPattern
from .images import RANK

TO_GROUPS = (3, 0, 1, 2, 4)
"""The order that a Transpose gives ``[n, h, w, g, e]`` to put groups first."""
FROM_GROUPS = (1, 2, 3, 0, 4)
"""The order that undoes it."""


def groups_below(value: SSAValue) -> SSAValue | None:
    """The stack of groups that an image with channels last is made of, if it is."""
    if name_of(value) != "onnx.Reshape" or len(shape_of(value.type) or ()) != RANK:
        return None
    turned = _operand(value)
    return _operand(turned) if order_of(turned) == FROM_GROUPS else None


def group_count(stack: SSAValue) -> int | None:
    """How many groups there are in a stack; None if that is not known."""
    shape = shape_of(stack.type)
    size = None if shape is None else shape[0]
    return None if size is None else size.constant


def groups_first(value: SSAValue, group: int, builder: OnnxBuilder) -> SSAValue:
    """An image with channels last as a stack of `group` groups."""
    found = groups_below(value)
    if found is not None and group_count(found) == group:
        return found
    # A 0 copies the size of the operand's axis.
    shape = np.array([0, 0, 0, group, -1], np.int64)
    apart = builder.value("onnx.Reshape", value, builder.constant(shape, "groups"))
    return builder.value("onnx.Transpose", apart, perm=TO_GROUPS)


def groups_last(stack: SSAValue, builder: OnnxBuilder) -> SSAValue:
    """The image with channels last that a stack of groups is."""
    turned = builder.value("onnx.Transpose", stack, perm=FROM_GROUPS)
    sizes = shape_of(turned.type)
    assert sizes is not None, "a stack has five axes"
    group, each = sizes[3:]
    assert group is not None, "groups are counted"
    assert each is not None, "groups have known channels"
    channels = (group.constant or 0) * (each.constant or 0)
    shape = builder.constant(np.array([0, 0, 0, channels], np.int64), "channels")
    return builder.value("onnx.Reshape", turned, shape)


def rows_below(stack: SSAValue) -> SSAValue | None:
    """
    The rows ``[g, r, e]`` that a stack of groups is made of, if it is.

    All sizes of the stack but ``n`` are known then.
    """
    if name_of(stack) != "onnx.Reshape":
        return None
    rows = _operand(stack)
    held, shape = shape_of(rows.type), shape_of(stack.type)
    if held is None or shape is None or len(held) != 3 or len(shape) != 5:
        return None
    fixed = [shape[0], *shape[2:]]
    if any(size is None or size.constant is None for size in fixed):
        return None
    return rows if (held[0], held[2]) == (shape[0], shape[4]) else None


def rows_of(stack: SSAValue, builder: OnnxBuilder) -> SSAValue:
    """A stack of groups as rows; a constant of one element as it is."""
    found = rows_below(stack)
    if found is not None:
        return found
    shape = shape_of(stack.type)
    if shape is None or len(shape) != 5:
        return stack
    sizes = builder.constant(np.array([0, -1, _number(shape[4])], np.int64), "sizes")
    return builder.value("onnx.Reshape", stack, sizes)


def stack_of(rows: SSAValue, like: SSAValue, builder: OnnxBuilder) -> SSAValue:
    """Rows as the stack of groups that `like` is."""
    shape = shape_of(like.type)
    assert shape is not None, "a stack has five axes"
    sizes = [-1 if axis == 1 else _number(size) for axis, size in enumerate(shape)]
    shape_value = builder.constant(np.array(sizes, np.int64), "sizes")
    return builder.value("onnx.Reshape", rows, shape_value)


def _number(size: Dim | None) -> int:
    assert size is not None, "images of products of groups have known sizes"
    assert size.constant is not None, "images of products of groups have known sizes"
    return size.constant


def _operand(value: SSAValue) -> SSAValue:
    owner = value.owner
    assert isinstance(owner, OnnxOp), "an op of a known name gives it"
    return owner.operands[0]


@dataclass(frozen=True)
class MergeGroups(OnnxPattern[SSAValue]):
    """Takes the groups where an image of groups is taken apart into as many."""

    name = "merge-groups"
    roots = frozenset(["onnx.Transpose"])

    def decide(self, op: OnnxOp) -> SSAValue | Declined:
        apart = op.operands[0]
        if order_of(op.results[0]) != TO_GROUPS or name_of(apart) != "onnx.Reshape":
            return Declined("it puts no groups first", near=False)
        stack = groups_below(_operand(apart))
        if stack is None:
            return Declined("its image is not made of groups", near=False)
        if stack.type != op.results[0].type:
            return Declined("its image is made of other groups")
        return stack

    def rewrite(
        self, op: OnnxOp, found: SSAValue, builder: OnnxBuilder
    ) -> Sequence[SSAValue | None]:
        return [found]


@dataclass(frozen=True)
class MergeRows(OnnxPattern[SSAValue]):
    """Takes the rows that a stack of groups is made of, where rows are wanted."""

    name = "merge-rows"
    roots = frozenset(["onnx.Reshape"])

    def decide(self, op: OnnxOp) -> SSAValue | Declined:
        rows = rows_below(op.operands[0])
        if rows is None:
            return Declined("its operand is no stack of rows", near=False)
        if rows.type != op.results[0].type:
            return Declined("it makes other rows", near=False)
        return rows

    def rewrite(
        self, op: OnnxOp, found: SSAValue, builder: OnnxBuilder
    ) -> Sequence[SSAValue | None]:
        return [found]
