"""
Convolutions of groups of channels with 1x1 kernels, as the products that they are.

    Conv(x, w, b) {group}   ->   Reshape, Transpose, MatMul(x', w'), Transpose, Reshape
                                 and Add(…, b), x' and w' with a matrix for each group

The weight's matrices are packed when the model is compiled, one after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from xdsl.ir import SSAValue

from ...dialects.onnx import OnnxBuilder, OnnxOp, WeightStore
from ...dialects.onnx.types import Array, shape_of, static_shape
from ..facts import constant_shape, derived, given, is_float, rank_of, setting
from ..fold_constants import constant_of
from ..patterns import Declined
from .images import RANK, ChannelsLast, last


def product_of_groups(op: OnnxOp, store: WeightStore) -> tuple[int, int] | Declined:
    """Height and width of the image that a product for each group gives, if `op` is."""
    image, weight, _ = op.operands
    shape, sizes = static_shape(weight.type), shape_of(image.type)
    if setting(op, "group") == 1:
        return Declined("it has one group", near=False)
    if shape is None or constant_of(weight, store) is None:
        return Declined("its weight is not constant")
    if rank_of(image) != RANK or sizes is None or shape[2:] != (1, 1):
        return Declined("its kernel is not 1x1", near=False)
    if shape[1] == 1:
        return Declined("its channels are each by themselves", near=False)
    if any(setting(op, "pads") or ()) or set(setting(op, "strides") or (1,)) != {1}:
        return Declined("it has pads or strides")
    if not is_float(image) or 0 in shape:
        return Declined("its elements are not floating point numbers, or none")
    height, width = sizes[2:]
    if height is None or width is None:
        return Declined("its image's size is not known")
    if not height.constant or not width.constant:
        return Declined("its image's size is not known")
    return height.constant, width.constant


@dataclass(frozen=True)
class GroupedProductLast(ChannelsLast[tuple[int, int]]):
    """A convolution with a 1x1 kernel and several groups; its image's height, width."""

    name = "grouped-product-with-channels-last"
    roots = frozenset(["onnx.Conv"])

    def decide(self, op: OnnxOp) -> tuple[int, int] | Declined:
        return product_of_groups(op, self.store)

    def compute(
        self, op: OnnxOp, found: tuple[int, int], builder: OnnxBuilder
    ) -> Sequence[SSAValue | None]:
        image, weight, bias = op.operands
        group = setting(op, "group")
        shape = static_shape(weight.type)
        assert shape is not None, "checked by `decide`"
        apart = np.array([-1, group, shape[1]], np.int64)
        rows = builder.value(
            "onnx.Reshape", last(image, builder), builder.constant(apart, "groups")
        )
        stacked = builder.value("onnx.Transpose", rows, perm=(1, 0, 2))
        packed = self._packed(weight, group, builder)
        products = builder.value("onnx.MatMul", stacked, packed)
        turned = builder.value("onnx.Transpose", products, perm=(1, 0, 2))
        whole = builder.constant(np.array([-1, *found, shape[0]], np.int64), "image")
        y = builder.value("onnx.Reshape", turned, whole)
        return [builder.value("onnx.Add", y, bias) if given(bias) else y]

    def _packed(self, weight: SSAValue, group: int, builder: OnnxBuilder) -> SSAValue:
        filters, channels = constant_shape(weight)[:2]
        stacked = (group, filters // group, channels)

        def grouped(array: Array) -> Array:
            return array.reshape(stacked).transpose(0, 2, 1)

        shape = (group, channels, filters // group)
        return derived(weight, "grouped", shape, grouped, builder)
