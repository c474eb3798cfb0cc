"""What scales a tensor's channels by constants, and shifts them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from xdsl.ir import Operation, SSAValue

from ...dialects.onnx import OnnxOp, WeightStore
from ...dialects.onnx.types import Array
from ..facts import along, name_of, rank_of, setting, small_array
from ..fold_constants import constant_of
from ..patterns import Declined

AFFINE = frozenset(
    f"onnx.{name}" for name in ("Add", "BatchNormalization", "Div", "Mul", "Sub")
)
"""The operators that may do so."""


@dataclass(frozen=True)
class Affine:
    """``x * scale + shift`` along the channels of `data`; a size of 1 is for all."""

    data: SSAValue
    scale: Array
    shift: Array

    @property
    def scales(self) -> bool:
        """Whether the scale is not one everywhere."""
        return bool((self.scale != 1).any())

    @property
    def shifts(self) -> bool:
        """Whether the shift is not zero everywhere."""
        return bool((self.shift != 0).any())


def affine_of(
    op: Operation, store: WeightStore, axis: int | None = None
) -> Affine | Declined:
    """`op` as a scale and a shift; `axis` is where channels are, as `data`'s is."""
    if not isinstance(op, OnnxOp) or op.name not in AFFINE:
        return Declined("not a scale or a shift", near=False)
    if op.name == "onnx.BatchNormalization":
        return normalization_of(op, store)
    for place in (0, 1):
        data = op.operands[place]
        rank = rank_of(data)
        if constant_of(op.operands[1 - place], store) is None or rank is None:
            continue
        if op.name == "onnx.Div" and place == 1:
            return Declined("a constant is divided by it")
        channels = rank - 1 if _channels_last(data, axis) else 1
        vector = along(op.operands[1 - place], store, rank, channels)
        if vector is None or vector.dtype.kind not in "fV":
            return Declined("the constant varies along another axis than the channels")
        return _elementwise(op.name, data, vector.astype(np.float64), place)
    return Declined("the other operand is not constant")


def _channels_last(data: SSAValue, axis: int | None) -> bool:
    if axis is not None:
        return axis == -1
    return name_of(data) == "onnx.MatMul"


def _elementwise(
    name: str, data: SSAValue, vector: Array, place: int
) -> Affine | Declined:
    one, zero = np.ones(1), np.zeros(1)
    match name:
        case "onnx.Mul":
            found = Affine(data, vector, zero)
        case "onnx.Div":
            with np.errstate(divide="ignore"):
                found = Affine(data, 1 / vector, zero)
        case "onnx.Add":
            found = Affine(data, one, vector)
        case _:
            sign = -1 if place == 1 else 1
            found = Affine(data, one * sign, vector * -sign)
    if not (np.isfinite(found.scale).all() and np.isfinite(found.shift).all()):
        return Declined("the constant is not finite, or divides by zero")
    return found


def normalization_of(op: OnnxOp, store: WeightStore) -> Affine | Declined:
    """A BatchNormalization by constants as a scale and a shift."""
    data, *parameters = op.operands
    if setting(op, "training_mode"):
        return Declined("the normalization is in training mode")
    arrays = [small_array(value, store) for value in parameters]
    known = [array.astype(np.float64) for array in arrays if array is not None]
    if len(known) != len(arrays):
        return Declined("a parameter of the normalization is not constant")
    scale, offset, mean, variance = known
    factor = scale / np.sqrt(variance + setting(op, "epsilon"))
    shift = offset - mean * factor
    if not (np.isfinite(factor).all() and np.isfinite(shift).all()):
        return Declined("the normalization's parameters give no finite scale")
    return Affine(data, factor, shift)
