"""
Convolution, and what has windows or statistics of channels, with channels last.

    Conv(x, w, b)                  ->   nhwc.Conv(x', w', b)
    MaxPool(x), AveragePool(x)     ->   nhwc.MaxPool(x'), nhwc.AveragePool(x')
    BatchNormalization(x, …)       ->   nhwc.BatchNormalization(x', …)
    LRN(x)                         ->   nhwc.LRN(x')
    GlobalAveragePool(x)           ->   ReduceMean(x', h and w)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from xdsl.ir import SSAValue

from ...dialects.nhwc import OPS, TO_HWIO
from ...dialects.onnx import OnnxBuilder, OnnxOp
from ...dialects.onnx.types import is_none, static_shape
from ..facts import constant_shape, derived, is_float, rank_of, setting
from ..fold_constants import constant_of
from ..patterns import Declined
from .images import RANK, ChannelsLast, below, last, type_last


def _of_the_dialect(
    op: OnnxOp, operands: Sequence[SSAValue], builder: OnnxBuilder
) -> list[SSAValue | None]:
    """`op` on `operands`, as an op of the dialect `nhwc`; only its first result."""
    made = OPS[f"nhwc.{op.op_type()}"]
    known = made.get_irdl_definition().properties
    new = made.create(
        operands=operands,
        result_types=[type_last(op.result_types[0])],
        properties={n: a for n, a in op.properties.items() if n in known},
        location=builder.location,
    )
    builder.insert(new)
    return [new.results[0], *(None for _ in op.results[1:])]


@dataclass(frozen=True)
class ConvLast(ChannelsLast[None]):
    """A convolution of images; its weight is packed for it."""

    name = "conv-with-channels-last"
    roots = frozenset(["onnx.Conv"])

    def decide(self, op: OnnxOp) -> Declined | None:
        image, weight, _ = op.operands
        rank, shape = rank_of(image), static_shape(weight.type)
        if rank_of(op.results[0]) != RANK or rank != RANK:
            found = "unknown" if rank is None else str(rank - 2)
            return Declined(f"its spatial axes are {found}, wanted 2")
        if shape is None or constant_of(weight, self.store) is None:
            return Declined("its weight is not constant")
        if not is_float(image):
            return Declined("its elements are not floating point numbers")
        return None

    def compute(
        self, op: OnnxOp, found: None, builder: OnnxBuilder
    ) -> Sequence[SSAValue | None]:
        image, weight, bias = op.operands
        packed = self._packed(weight, builder)
        return _of_the_dialect(op, [last(image, builder), packed, bias], builder)

    def _packed(self, weight: SSAValue, builder: OnnxBuilder) -> SSAValue:
        shape = constant_shape(weight)
        turned = [shape[axis] for axis in TO_HWIO]
        return derived(weight, "hwio", turned, lambda a: a.transpose(TO_HWIO), builder)


@dataclass(frozen=True)
class WindowLast(ChannelsLast[None]):
    """Pooling or normalization of an image that has its channels last."""

    name = "window-with-channels-last"
    roots = frozenset(
        ["onnx.AveragePool", "onnx.BatchNormalization", "onnx.LRN", "onnx.MaxPool"]
    )

    def decide(self, op: OnnxOp) -> Declined | None:
        if below(op.operands[0]) is None:
            return Declined("its image has channels second", near=False)
        if not is_float(op.operands[0]):
            return Declined("its elements are not floating point numbers")
        if any(not is_none(kind) for kind in op.result_types[1:]):
            return Declined("more than its first result is wanted")
        if op.name == "onnx.BatchNormalization" and setting(op, "training_mode"):
            return Declined("it is in training mode")
        return None

    def compute(
        self, op: OnnxOp, found: None, builder: OnnxBuilder
    ) -> Sequence[SSAValue | None]:
        image, *others = op.operands
        return _of_the_dialect(op, [last(image, builder), *others], builder)


_REDUCTIONS = {
    "onnx.GlobalAveragePool": "onnx.ReduceMean",
    "onnx.GlobalMaxPool": "onnx.ReduceMax",
}


@dataclass(frozen=True)
class GlobalPoolLast(ChannelsLast[None]):
    """Pooling of whole images as the reduction that it is."""

    name = "global-pool-with-channels-last"
    roots = frozenset(_REDUCTIONS)

    def decide(self, op: OnnxOp) -> Declined | None:
        if below(op.operands[0]) is None:
            return Declined("its image has channels second", near=False)
        return None

    def compute(
        self, op: OnnxOp, found: None, builder: OnnxBuilder
    ) -> Sequence[SSAValue | None]:
        axes = builder.constant(np.array([1, 2], np.int64), "axes")
        operands = [last(op.operands[0], builder), axes]
        kinds = [type_last(op.result_types[0])]
        name = _REDUCTIONS[op.name]
        return builder.create(name, operands, {}, types=kinds).results
