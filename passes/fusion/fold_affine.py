"""
Fold per-channel scales and shifts by constants into the linear operator beside them.

    Mul(Conv(x, w, b), s)               ->   Conv(x, w * s, b * s)
    Add(Conv(x, w, b), t)               ->   Conv(x, w, b + t)
    BatchNormalization(Gemm(x, w, b))   ->   Gemm(x, w', b')
    Add(Mul(BatchNormalization(x), s), t)   ->   BatchNormalization(x), scaled
    Conv(Mul(x, s), w, b)               ->   Conv(x, w * s, b)
    Conv(Add(x, t), w, b)               ->   Conv(x, w, b + sum(w * t)), without padding
    Conv(Conv(x, v, a), w, b)           ->   Conv(Conv(x, v), w, b + sum(w * a))

The linear operators are Conv, ConvTranspose, Gemm and MatMul (which takes no shift).
The new constants are computed in float64 and rounded once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.passes import ModulePass

from ...dialects.onnx import OnnxBuilder, OnnxOp, WeightStore, store_of
from ...dialects.onnx.types import Array, element_of, static_shape, tensor
from ..facts import (
    along,
    follows,
    given,
    is_wide_float,
    name_of,
    rank_of,
    setting,
    small_array,
)
from ..fold_constants import constant_of
from ..patterns import Declined, OnnxPattern, journal_of, rewrite_module

_AFFINE = frozenset(
    f"onnx.{name}" for name in ("Add", "BatchNormalization", "Div", "Mul", "Sub")
)
_LINEAR = frozenset(
    f"onnx.{name}"
    for name in ("BatchNormalization", "Conv", "ConvTranspose", "Gemm", "MatMul")
)


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
    if not isinstance(op, OnnxOp) or op.name not in _AFFINE:
        return Declined("not a scale or a shift", near=False)
    if op.name == "onnx.BatchNormalization":
        return _normalization(op, store)
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


def _normalization(op: OnnxOp, store: WeightStore) -> Affine | Declined:
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


@dataclass(frozen=True)
class Folding:
    """A linear operator and what is done to its result, or to its data."""

    linear: OnnxOp
    affine: Affine


@dataclass(frozen=True)
class AffineIntoLinear(OnnxPattern[Folding]):
    """Folds what is done to the result of a linear operator into its weights."""

    name = "affine-into-linear"
    roots = _AFFINE

    def decide(self, op: OnnxOp) -> Folding | Declined:
        producers = [value.owner for value in op.operands if name_of(value) in _LINEAR]
        if not producers:
            return Declined("it does not follow a linear operator", near=False)
        if any(result.uses for result in op.results[1:]):
            return Declined("another result is used")
        affine = affine_of(op, self.store)
        if isinstance(affine, Declined):
            return affine
        linear = affine.data.owner
        if not isinstance(linear, OnnxOp) or linear.name not in _LINEAR:
            return Declined("the constant is not applied to the linear operator")
        if linear.results[0].type != op.results[0].type:
            return Declined("it broadcasts the result, or its type says more")
        reason = _unfit(linear, affine, self.store)
        return Folding(linear, affine) if reason is None else Declined(reason)

    def covers(self, op: OnnxOp, found: Folding) -> list[Operation]:
        return [found.linear, op]

    def rewrite(
        self, op: OnnxOp, found: Folding, builder: OnnxBuilder
    ) -> list[SSAValue | None]:
        new = _WRITERS[found.linear.name](found.linear, found.affine, builder)
        return [new, *(None for _ in op.results[1:])]


def _unfit(linear: OnnxOp, affine: Affine, store: WeightStore) -> str | None:
    """Why `affine` does not fold into the `linear` operator before it, or None."""
    if not linear.results[0].has_one_use():
        return "the linear operator's result has other uses"
    if not is_wide_float(linear.results[0]):
        return "the element type is narrow: a folded weight may overflow"
    if linear.name == "onnx.BatchNormalization":
        normal = _normalization(linear, store)
        return normal.reason if isinstance(normal, Declined) else None
    if linear.name == "onnx.MatMul":
        return _unfit_matmul(linear, affine, store)
    if any(result.uses for result in linear.results[1:]):
        return "another result is used"
    bias = linear.operands[2]
    if given(bias) and constant_of(bias, store) is None:
        return "the bias is not constant"
    if given(bias) and element_of(bias.type) != element_of(linear.operands[1].type):
        return "weight and bias have different element types"
    if constant_of(linear.operands[1], store) is None:
        return "the weight is not constant"
    return None


def _unfit_matmul(linear: OnnxOp, affine: Affine, store: WeightStore) -> str | None:
    if constant_of(linear.operands[1], store) is None:
        return "the weight is not constant"
    if rank_of(linear.operands[1]) != 2 or (rank_of(linear.operands[0]) or 0) < 2:
        return "the weight is not a matrix"
    return "MatMul takes no shift" if affine.shifts else None


def _source(value: SSAValue, store: WeightStore) -> Callable[[], Array]:
    source = constant_of(value, store)
    assert source is not None, "checked before"
    return source


def _times(weight: Array, factor: Array) -> Array:
    """``weight * factor``, rounded once, without all of a float32's float64 at once."""
    if weight.dtype != np.float32:
        return weight * factor
    shape = np.broadcast_shapes(weight.shape, factor.shape)
    made = np.empty(shape, weight.dtype)
    return np.multiply(weight, factor, made, dtype=np.float64, casting="same_kind")


def _scaled(
    builder: OnnxBuilder, weight: SSAValue, factor: Array, what: str = "scaled"
) -> SSAValue:
    """The constant ``weight * factor``; `factor` broadcasts to its shape."""
    source = _source(weight, builder.store)
    key = f"{weight.name_hint or 'weight'}.{what}"
    made = follows(
        builder, weight.type, key, [weight], lambda: _times(source(), factor)
    )
    made.name_hint = weight.name_hint
    return made


def _bias(
    builder: OnnxBuilder, linear: OnnxOp, affine: Affine, channels: int
) -> SSAValue | None:
    """The bias ``b * scale + shift`` of Conv and ConvTranspose."""
    old, weight = linear.operands[2], linear.operands[1]
    if not given(old) and not affine.shifts:
        return None
    element = element_of(weight.type)
    assert element is not None, "weights have an element type"
    before = _source(old, builder.store)() if given(old) else np.zeros(1)
    kind = tensor(element, [channels])
    total = before.astype(np.float64) * affine.scale + affine.shift
    hint = old.name_hint or weight.name_hint or "bias"
    made = follows(builder, kind, f"{hint}.shifted", [], lambda: total)
    made.name_hint = old.name_hint
    return made


def _sizes(value: SSAValue) -> tuple[int, ...]:
    shape = static_shape(value.type)
    assert shape is not None, "constants have static shapes"
    return shape


def _again(
    linear: OnnxOp,
    operands: Sequence[SSAValue | None],
    builder: OnnxBuilder,
    without: tuple[str, ...] = (),
) -> SSAValue:
    properties: dict[str, Attribute] = {
        name: value for name, value in linear.properties.items() if name not in without
    }
    kinds = [linear.results[0].type]
    return builder.create(linear.name, operands, properties, types=kinds).results[0]


def _write_conv(linear: OnnxOp, affine: Affine, builder: OnnxBuilder) -> SSAValue:
    x, weight, _ = linear.operands
    shape = _sizes(weight)
    factor = affine.scale.reshape(-1, *[1] * (len(shape) - 1))
    scaled = _scaled(builder, weight, factor) if affine.scales else weight
    bias = _bias(builder, linear, affine, shape[0])
    return _again(linear, [x, scaled, bias], builder)


def _write_transposed(linear: OnnxOp, affine: Affine, builder: OnnxBuilder) -> SSAValue:
    x, weight, _ = linear.operands
    groups = setting(linear, "group")
    inner, outer, *kernel = _sizes(weight)
    # Channel c of the result is column c % outer of the group c // outer.
    scale = np.broadcast_to(affine.scale, groups * outer).reshape(groups, 1, outer)
    rows = np.broadcast_to(scale, (groups, inner // groups, outer))
    factor = rows.reshape(inner, outer, *[1] * len(kernel))
    scaled = _scaled(builder, weight, factor) if affine.scales else weight
    bias = _bias(builder, linear, affine, groups * outer)
    return _again(linear, [x, scaled, bias], builder)


def _write_gemm(linear: OnnxOp, affine: Affine, builder: OnnxBuilder) -> SSAValue:
    a, weight, bias = linear.operands
    transposed = setting(linear, "transB")
    factor = affine.scale.reshape(-1, 1) if transposed else affine.scale
    scaled = _scaled(builder, weight, factor) if affine.scales else weight
    if not given(bias) and not affine.shifts:
        return _again(linear, [a, scaled, None], builder)
    columns = _sizes(weight)[0 if transposed else 1]
    beta = setting(linear, "beta")
    before = _source(bias, builder.store)() if given(bias) else np.zeros(1)
    total = before.astype(np.float64) * beta * affine.scale + affine.shift
    shape = np.broadcast_shapes(total.shape, (columns,))
    element = element_of(weight.type)
    assert element is not None, "weights have an element type"
    key = f"{bias.name_hint or weight.name_hint or 'bias'}.shifted"
    new = follows(builder, tensor(element, shape), key, [], lambda: total)
    new.name_hint = bias.name_hint
    return _again(linear, [a, scaled, new], builder, without=("beta",))


def _write_matmul(linear: OnnxOp, affine: Affine, builder: OnnxBuilder) -> SSAValue:
    a, weight = linear.operands
    scaled = _scaled(builder, weight, affine.scale) if affine.scales else weight
    return _again(linear, [a, scaled], builder)


def _write_norm(linear: OnnxOp, affine: Affine, builder: OnnxBuilder) -> SSAValue:
    x, scale, offset, mean, variance = linear.operands
    new_scale = _scaled(builder, scale, affine.scale)
    old = _source(offset, builder.store)().astype(np.float64)
    total = old * affine.scale + affine.shift
    key = f"{offset.name_hint or 'offset'}.shifted"
    new_offset = follows(builder, offset.type, key, [], lambda: total)
    new_offset.name_hint = offset.name_hint
    operands = [x, new_scale, new_offset, mean, variance]
    kinds = [linear.results[0].type, *(kind for kind in linear.result_types[1:])]
    made = builder.create(linear.name, operands, dict(linear.properties), types=kinds)
    return made.results[0]


_WRITERS: dict[str, Callable[[OnnxOp, Affine, OnnxBuilder], SSAValue]] = {
    "onnx.BatchNormalization": _write_norm,
    "onnx.Conv": _write_conv,
    "onnx.ConvTranspose": _write_transposed,
    "onnx.Gemm": _write_gemm,
    "onnx.MatMul": _write_matmul,
}


@dataclass(frozen=True)
class AffineBeforeConv(OnnxPattern[Affine]):
    """Folds what is done to the data of a convolution into its weights."""

    name = "affine-before-conv"
    roots = frozenset(["onnx.Conv"])

    def decide(self, op: OnnxOp) -> Affine | Declined:
        data, weight, bias = op.operands
        producer = data.owner
        if not isinstance(producer, OnnxOp) or producer.name not in _AFFINE:
            return Declined("its data is not scaled or shifted", near=False)
        if not data.has_one_use():
            return Declined("the scaled or shifted data have other uses")
        affine = affine_of(producer, self.store, axis=1)
        if isinstance(affine, Declined):
            return affine
        if affine.data.type != data.type:
            return Declined("the data are broadcast")
        if not is_wide_float(data):
            return Declined("the element type is narrow: a folded weight may overflow")
        if constant_of(weight, self.store) is None:
            return Declined("the weight is not constant")
        if affine.shifts and _pads(op):
            return Declined("the convolution pads what is shifted")
        if affine.shifts and given(bias) and constant_of(bias, self.store) is None:
            return Declined("the bias is not constant")
        return affine

    def covers(self, op: OnnxOp, found: Affine) -> list[Operation]:
        producer = op.operands[0].owner
        assert isinstance(producer, Operation), "checked by `decide`"
        return [producer, op]

    def rewrite(
        self, op: OnnxOp, found: Affine, builder: OnnxBuilder
    ) -> list[SSAValue | None]:
        _, weight, bias = op.operands
        shape = _sizes(weight)
        factor = _input_scale(found.scale, shape, setting(op, "group"))
        new_bias: SSAValue | None = bias
        if found.shifts:
            new_bias = _bias_of_shifted(builder, op, found.shift)
        scaled = _scaled(builder, weight, factor) if found.scales else weight
        return [_again(op, [found.data, scaled, new_bias], builder)]


def _bias_of_shifted(builder: OnnxBuilder, op: OnnxOp, shift: Array) -> SSAValue | None:
    """The bias by which a convolution of data gives what it gives of shifted data."""
    weight = op.operands[1]
    shape = _sizes(weight)
    array = _source(weight, builder.store)().astype(np.float64)
    of_each = array * _input_scale(shift, shape, setting(op, "group"))
    moved = of_each.reshape(shape[0], -1).sum(1)
    return _bias(builder, op, Affine(op.operands[0], np.ones(1), moved), shape[0])


@dataclass(frozen=True)
class BiasThroughConv(OnnxPattern[OnnxOp]):
    """
    Adds the bias of a convolution together with that of the next one.

    A depthwise convolution and a pointwise one are so written without an activation
    between them, in ShuffleNet and Xception.
    """

    name = "bias-through-conv"
    roots = frozenset(["onnx.Conv"])

    def decide(self, op: OnnxOp) -> OnnxOp | Declined:
        data, weight, bias = op.operands
        first = data.owner
        if not isinstance(first, OnnxOp) or first.name != "onnx.Conv":
            return Declined("it does not follow a convolution", near=False)
        if not given(first.operands[2]):
            return Declined("the convolution before it has no bias", near=False)
        if not data.has_one_use():
            return Declined("the data have other uses")
        if not given(bias):
            return Declined("it has no bias: one would only take another's place")
        constants = (weight, bias, first.operands[2])
        if any(constant_of(value, self.store) is None for value in constants):
            return Declined("a weight or a bias is not constant")
        if not is_wide_float(data):
            return Declined("the element type is narrow: a folded bias may overflow")
        return Declined("it pads what has a bias") if _pads(op) else first

    def covers(self, op: OnnxOp, found: OnnxOp) -> list[Operation]:
        return [found, op]

    def rewrite(
        self, op: OnnxOp, found: OnnxOp, builder: OnnxBuilder
    ) -> list[SSAValue | None]:
        x, first_weight, first_bias = found.operands
        shift = _source(first_bias, builder.store)().astype(np.float64)
        bias = _bias_of_shifted(builder, op, shift)
        data = _again(found, [x, first_weight, None], builder)
        return [_again(op, [data, op.operands[1], bias], builder)]


def _input_scale(scale: Array, shape: tuple[int, ...], groups: int) -> Array:
    """The scale of the data's channels as it applies to weights of `shape`."""
    outer, inner, *kernel = shape
    whole = np.broadcast_to(scale, groups * inner).reshape(groups, 1, inner)
    rows = np.broadcast_to(whole, (groups, outer // groups, inner))
    return rows.reshape(outer, inner, *[1] * len(kernel))


def _pads(op: OnnxOp) -> bool:
    automatic = setting(op, "auto_pad").startswith("SAME")
    return automatic or any(setting(op, "pads") or ())


@dataclass(frozen=True)
class FoldAffinePass(ModulePass):
    """Fold scales and shifts by constants into the linear operators beside them."""

    name = "fold-affine"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        store = store_of(ctx)
        if store is None:
            return
        journal = journal_of(ctx)
        rewrite_module(
            op,
            AffineIntoLinear(store, journal),
            AffineBeforeConv(store, journal),
            BiasThroughConv(store, journal),
        )

    @classmethod
    def schedule_space(
        cls, ctx: Context, module_op: ModuleOp
    ) -> tuple[FoldAffinePass, ...]:
        return (cls(),)
