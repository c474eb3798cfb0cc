"""
What the patterns of a layout share: images with channels last, and their place.

An image ``[n, c, h, w]`` that is computed with channels last is a Transpose of that
value; the next op that can takes the value below the Transpose.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from xdsl.ir import Attribute, SSAValue

from ...dialects.nhwc import TO_NCHW, TO_NHWC
from ...dialects.onnx import OnnxBuilder, OnnxOp
from ...dialects.onnx.provenance import nodes_only
from ...dialects.onnx.types import Array, element_of, shape_of, tensor
from ..cleanup.simplify_transposes import order_of
from ..facts import constant_shape, derived, name_of, rank_of
from ..patterns import OnnxPattern

Found = TypeVar("Found")

RANK = 4
"""Of the images that have a layout."""


def below(value: SSAValue) -> SSAValue | None:
    """The image with channels last that `value` is a Transpose of; None without."""
    if order_of(value) != TO_NCHW:
        return None
    owner = value.owner
    assert isinstance(owner, OnnxOp), "it has an order"
    return owner.operands[0]


def last(value: SSAValue, builder: OnnxBuilder) -> SSAValue:
    """The image `value` with channels last."""
    found = below(value)
    if found is not None:
        return found
    return builder.value("onnx.Transpose", value, perm=TO_NHWC)


def type_last(kind: Attribute) -> Attribute:
    """The type of an image of type `kind` with channels last."""
    element, shape = element_of(kind), shape_of(kind)
    assert element is not None, "images are tensors"
    assert shape is not None, "images have four axes"
    return tensor(element, [shape[axis] for axis in TO_NHWC])


def axis_last(axis: int) -> int:
    """Where an axis of ``[n, c, h, w]`` stands with channels last."""
    return TO_NHWC.index(axis % RANK)


def is_constant(value: SSAValue) -> bool:
    """Whether `value` is a constant of the IR."""
    return name_of(value) == "onnx.Constant"


def constant_last(value: SSAValue, builder: OnnxBuilder) -> SSAValue:
    """A constant that images broadcast with, for images with channels last."""
    shape = constant_shape(value)
    if len(shape) == 0:
        return value
    whole = (*[1] * (RANK - len(shape)), *shape)

    def turned(array: Array) -> Array:
        return array.reshape(whole).transpose(TO_NHWC)

    return derived(value, "nhwc", [whole[axis] for axis in TO_NHWC], turned, builder)


@dataclass(frozen=True)
class ChannelsLast(OnnxPattern[Found]):
    """Computes an op with channels last, and transposes what it gives."""

    @abstractmethod
    def compute(
        self, op: OnnxOp, found: Found, builder: OnnxBuilder
    ) -> Sequence[SSAValue | None]:
        """The op's results; those that are images with channels last."""

    def rewrite(
        self, op: OnnxOp, found: Found, builder: OnnxBuilder
    ) -> Sequence[SSAValue | None]:
        whole = builder.location
        # Only what has the layout of the file's tensors bears their names.
        builder.location = nodes_only(whole)
        values = self.compute(op, found, builder)
        builder.location = whole
        return [
            builder.value("onnx.Transpose", value, perm=TO_NCHW)
            if value is not None and rank_of(old) == RANK
            else value
            for old, value in zip(op.results, values, strict=True)
        ]
