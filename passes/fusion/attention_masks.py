"""
The masks of Attention: those that mask nothing, and those that mask the future.

    Attention(q, k, v, zeros)                        ->   Attention(q, k, v)
    Attention(q, k, v, -inf above the diagonal)      ->   Attention(q, k, v) {is_causal}
    Attention(q, k, v, And(j <= i, mask))            ->   Attention(…, mask) {is_causal}

What is above the diagonal may be a constant, a Trilu, or a comparison of positions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from xdsl.dialects.builtin import i1
from xdsl.ir import Operation, SSAValue

from ...dialects.onnx import OnnxBuilder, OnnxOp, WeightStore
from ...dialects.onnx.attributes import attribute
from ...dialects.onnx.dims import Dim
from ...dialects.onnx.integers import IntegerValues, flat
from ...dialects.onnx.types import Array, element_of, shape_of, static_shape
from ..facts import given, rank_of, setting, uniform
from ..fold_constants import constant_of
from ..patterns import Declined, OnnxPattern
from .matching import ONE, bare, either_way, producer, same_size, size_at

MAX_MASK = 1 << 22
"""Constant masks of more elements are not read."""

HIDDEN = -1e4
"""A score this much lower than that on the diagonal has no weight."""


def with_rows(mask: SSAValue, query: SSAValue, builder: OnnxBuilder) -> SSAValue:
    """`mask` with a row per query: ONNX Runtime does not stretch a single one."""
    rows = size_at(query, -2)
    if size_at(mask, -2) != ONE or rows == ONE:
        return mask
    count = None if rows is None else rows.constant
    if count is not None:
        shape = builder.constant(np.array([count, 1], np.int64), "rows")
        return builder.value("onnx.Expand", mask, shape)
    rank = rank_of(query)
    assert rank is not None, "its scores are masked"
    length = builder.value("onnx.Shape", query, start=rank - 2, end=rank - 1)
    one = builder.constant(np.array([1], np.int64), "one")
    shape = builder.value("onnx.Concat", length, one, axis=0)
    return builder.value("onnx.Expand", mask, shape)


def mask_array(mask: SSAValue, store: WeightStore) -> Array | None:
    """The elements of a constant mask that is not too large to be read."""
    shape = static_shape(mask.type)
    if shape is None or math.prod(shape) > MAX_MASK:
        return None
    source = constant_of(mask, store)
    return None if source is None else source()


def _mask_of(op: OnnxOp) -> SSAValue | None:
    mask = op.operands[3]
    return mask if given(mask) else None


def _with_mask(
    op: OnnxOp, mask: SSAValue | None, builder: OnnxBuilder, causal: bool
) -> list[SSAValue | None]:
    operands = list(op.operands)
    operands[3] = builder.none() if mask is None else mask
    properties = dict(op.properties)
    if causal:
        properties["is_causal"] = attribute(op.schema(), "is_causal", 1)
    kinds = list(op.result_types)
    made = builder.create(op.name, operands, properties, types=kinds)
    return list(made.results)


@dataclass(frozen=True)
class NeutralMask(OnnxPattern[SSAValue]):
    """Drops a constant mask that masks nothing."""

    name = "no-mask"
    roots = frozenset(["onnx.Attention"])

    def decide(self, op: OnnxOp) -> SSAValue | Declined:
        mask = _mask_of(op)
        if mask is None:
            return Declined("it has no mask", near=False)
        array = mask_array(mask, self.store)
        if array is None:
            return Declined("the mask is no constant", near=False)
        open_ = array.all() if array.dtype == bool else not array.any()
        return mask if open_ else Declined("the mask masks something", near=False)

    def rewrite(
        self, op: OnnxOp, found: SSAValue, builder: OnnxBuilder
    ) -> list[SSAValue | None]:
        return _with_mask(op, None, builder, causal=False)


@dataclass(frozen=True)
class Causal:
    """A mask of the future, and what else was in the mask."""

    rest: SSAValue | None
    ops: tuple[Operation, ...] = ()


@dataclass(frozen=True)
class CausalMask(OnnxPattern[Causal]):
    """Makes a mask of the future the attribute is_causal."""

    name = "mask-into-causal"
    roots = frozenset(["onnx.Attention"])

    def decide(self, op: OnnxOp) -> Causal | Declined:
        mask = _mask_of(op)
        if mask is None or setting(op, "is_causal"):
            return Declined("it has no mask, or is causal", near=False)
        past = op.operands[4]
        offset = size_at(past, -2) if given(past) else Dim.of(0)
        if given(op.operands[6]) or offset is None:
            return Declined("the number of past keys is not known")
        # An Expand to a row per query, which `with_rows` may have written.
        reader = _Reader(self.store, offset)
        if reader.hides_future(mask, op):
            return Causal(None)
        joined = producer(mask, "And", "Add")
        if joined is None:
            return Declined("the mask is not that of the future", near=False)
        for one, other in either_way(joined):
            if not reader.hides_future(one, op):
                continue
            if joined.name == "onnx.Add" and not reader.never:
                return Declined(
                    "beside a second mask one of the future must be of -inf: together "
                    "they may hide all"
                )
            reason = _too_narrow(other, op)
            return Causal(other, (joined,)) if reason is None else Declined(reason)
        return Declined("no part of the mask is that of the future", near=False)

    def rewrite(
        self, op: OnnxOp, found: Causal, builder: OnnxBuilder
    ) -> list[SSAValue | None]:
        rest = found.rest
        if rest is not None and (rank_of(op.operands[0]) == 4):
            rest = with_rows(rest, op.operands[0], builder)
        return _with_mask(op, rest, builder, causal=True)


def _too_narrow(mask: SSAValue, op: OnnxOp) -> str | None:
    shape, rank = shape_of(mask.type), rank_of(op.operands[0])
    keys = size_at(_mask_of(op) or mask, -1)
    if rank != 4 or shape is None or len(shape) < 2 or not same_size(shape[-1], keys):
        return "what is left of the mask has not a column per key"
    return None


class _Reader:
    """
    Tells masks of the future. After `hides_future`, `never` is whether it is of -inf.
    """

    def __init__(self, store: WeightStore, offset: Dim):
        self.store = store
        self.offset = offset
        self.integers = IntegerValues(store)
        self.never = True

    def hides_future(self, mask: SSAValue, op: OnnxOp) -> bool:
        """Whether `mask` leaves key j to query i exactly if ``j <= i + offset``."""
        self.never = True
        mask = _unstretched(mask)
        if element_of(mask.type) == i1:
            return self.allows_past(mask)
        array = mask_array(mask, self.store)
        if array is not None:
            return self._array_hides(array)
        if choice := producer(mask, "Where"):
            return self._choice_hides(choice)
        if band := producer(mask, "Trilu"):
            return self._band_hides(band)
        return False

    def _hides(self, fill: float | None) -> bool:
        if fill is None or not fill <= HIDDEN:
            return False
        self.never = math.isinf(fill)
        return True

    def _choice_hides(self, choice: OnnxOp) -> bool:
        condition, yes, no = choice.operands
        zero, fill = uniform(yes, self.store), uniform(no, self.store)
        if zero == 0 and self._hides(fill):
            return self.allows_past(condition)
        if fill == 0 and self._hides(zero):
            return self.allows_future(condition)
        return False

    def _band_hides(self, band: OnnxOp) -> bool:
        fill = self._filled(band.operands[0])
        return self._hides(fill) and self._is_future(band)

    def _is_future(self, band: OnnxOp) -> bool:
        """Whether a Trilu keeps just what is above the diagonal, or past the offset."""
        return bool(setting(band, "upper")) and self._diagonal(band) == (
            self.offset + Dim.of(1)
        )

    def _diagonal(self, band: OnnxOp) -> Dim | None:
        if not given(band.operands[1]):
            return Dim.of(0)
        items = self.integers.of(band.operands[1])
        return None if items is None else flat(items)[0]

    def _filled(self, value: SSAValue) -> float | None:
        """The number that every element of `value` is."""
        op = producer(value, "Expand", "Cast")
        while op is not None:
            value = op.operands[0]
            op = producer(value, "Expand", "Cast")
        if made := producer(value, "ConstantOfShape"):
            held = getattr(made.properties.get("value"), "array", None)
            return 0.0 if held is None else float(held().reshape(-1)[0])
        array = mask_array(value, self.store)
        if array is None or not array.size or not (array == array.flat[0]).all():
            return None
        return float(array.flat[0])

    def _array_hides(self, array: Array) -> bool:
        steps = self.offset.constant
        if steps is None or array.ndim < 2 or not array.size:
            return False
        rows, columns = array.shape[-2:]
        past = np.tri(rows, columns, steps, dtype=bool)
        if array.dtype == bool:
            return bool((array == past).all())
        hidden = array[..., ~past]
        least = float(hidden.max(initial=-np.inf))
        if not hidden.size or (array[..., past] != 0).any() or not least <= HIDDEN:
            return False
        self.never = bool(np.isneginf(hidden).all())
        return True

    # --- boolean masks ---

    def allows_past(self, value: SSAValue) -> bool:
        """Whether `value` is true exactly where ``j <= i + offset``."""
        value = _unstretched(value)
        if inner := producer(value, "Not"):
            return self.allows_future(inner.operands[0])
        array = mask_array(value, self.store)
        if array is not None:
            return array.dtype == bool and self._array_hides(array)
        if band := producer(_uncast(value), "Trilu"):
            full = bool(self._filled(band.operands[0]))
            return (
                full
                and not setting(band, "upper")
                and (self._diagonal(band) == self.offset)
            )
        return self._compares(value, {"LessOrEqual": (0, 1), "GreaterOrEqual": (1, 0)})

    def allows_future(self, value: SSAValue) -> bool:
        """Whether `value` is true exactly where ``j > i + offset``."""
        value = _unstretched(value)
        if inner := producer(value, "Not"):
            return self.allows_past(inner.operands[0])
        array = mask_array(value, self.store)
        if array is not None:
            return array.dtype == bool and self._array_hides(~array)
        if band := producer(_uncast(value), "Trilu"):
            return bool(self._filled(band.operands[0])) and self._is_future(band)
        return self._compares(value, {"Greater": (0, 1), "Less": (1, 0)})

    def _compares(self, value: SSAValue, names: dict[str, tuple[int, int]]) -> bool:
        op = producer(value, *names)
        if op is None:
            return False
        keys, queries = (
            op.operands[place] for place in names[op.name.removeprefix("onnx.")]
        )
        # Keys count along the last axis, queries along the one before.
        first_key, first_query = self._first(keys, -1), self._first(queries, -2)
        if first_key is None or first_query is None:
            return False
        return first_query - first_key == self.offset

    def _first(self, value: SSAValue, axis: int) -> Dim | None:
        """Where `value` begins, if it counts up by 1 along `axis` only."""
        shape = shape_of(value.type)
        if shape is None or len(shape) < -axis:
            return None
        place = len(shape) + axis
        if any(size != ONE for i, size in enumerate(shape) if i != place):
            return None
        source = bare(_uncast(bare(value)))
        moved = Dim.of(0)
        if shift := producer(source, "Add"):
            for one, other in either_way(shift):
                items = self.integers.of(other)
                if items is not None and items.size == 1:
                    found = flat(items)[0]
                    if found is not None:
                        moved, source = found, bare(one)
        start = self._counted(source)
        return None if start is None else start + moved

    def _counted(self, source: SSAValue) -> Dim | None:
        if counting := producer(source, "Range"):
            items = [self.integers.of(v) for v in counting.operands]
            start, _, step = (None if i is None else flat(i)[0] for i in items)
            if start is None:
                first = uniform(counting.operands[0], self.store)
                start = Dim.of(0) if first == 0 else None
            unit = uniform(counting.operands[2], self.store) == 1
            return start if unit or step == ONE else None
        array = mask_array(source, self.store)
        if array is None or not array.size or array.dtype.kind not in "iuf":
            return None
        line = array.reshape(-1)
        counts = (line == np.arange(line.size) + line[0]).all()
        return Dim.of(int(line[0])) if counts and line[0] == int(line[0]) else None


def _unstretched(mask: SSAValue) -> SSAValue:
    """`mask` before views and Expands that leave its last two axes alone."""
    while op := producer(mask, "Unsqueeze", "Expand", "Reshape", "Identity"):
        before, after = shape_of(op.operands[0].type), shape_of(op.results[0].type)
        if before is None or after is None or len(before) < 2 or len(after) < 2:
            break
        if not all(map(same_size, before[-2:], after[-2:])):
            break
        if op.name != "onnx.Expand" and any(n != ONE for n in (*before[:-2],)):
            break
        mask = op.operands[0]
    return mask


def _uncast(value: SSAValue) -> SSAValue:
    while op := producer(value, "Cast"):
        value = op.operands[0]
    return value
