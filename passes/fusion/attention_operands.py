"""
The operands of Attention: heads that share keys, a cache before them, merged heads.

    Attention(q, Reshape(Expand(k)), Reshape(Expand(v)))   ->   Attention(q, k, v)
    Attention(q, Concat(past_k, k), Concat(past_v, v))     ->   Attention(…, past, past)
    Attention(Transpose(Reshape(q)), …)                    ->   Attention(q, …) {heads}
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from xdsl.ir import Operation, SSAValue

from ...dialects.onnx import OnnxBuilder, OnnxOp, WeightStore
from ...dialects.onnx.attributes import attribute
from ...dialects.onnx.dims import Dim
from ...dialects.onnx.types import shape_of
from ..facts import given, integers_of, rank_of, setting
from ..patterns import Declined, OnnxPattern
from .matching import (
    ONE,
    number_at,
    permutation,
    producer,
    same_shape,
    same_size,
    size_at,
    transposed,
    uses_of,
)

_HEADS_FIRST = (0, 2, 1, 3)


# --- heads that share keys and values ---


@dataclass(frozen=True)
class Repeated:
    """Heads that are each of `source` `count` times."""

    source: SSAValue
    count: int
    turned: bool
    """Whether `source` has its heads on the third axis, not the second."""
    ops: tuple[Operation, ...]


def repeated_heads(value: SSAValue, store: WeightStore) -> Repeated | None:
    """What the heads of `value`, ``[batch, heads, length, size]``, repeat."""
    inner = transposed(value, *_HEADS_FIRST)
    if inner is not None:
        found = _repeated(inner, 2, store)
        if found is None:
            return None
        ops = (*found.ops, _op(value))
        return Repeated(found.source, found.count, True, ops)
    return _repeated(value, 1, store)


def _op(value: SSAValue) -> Operation:
    assert isinstance(value.owner, Operation), "a value that an op gives"
    return value.owner


def _repeated(value: SSAValue, axis: int, store: WeightStore) -> Repeated | None:
    if gather := producer(value, "Gather"):
        return _gathered(gather, axis, store)
    merged = producer(value, "Reshape")
    stretched = None if merged is None else producer(merged.operands[0], "Expand")
    if merged is None or stretched is None:
        return None
    inner, wide = stretched.operands[0], shape_of(stretched.results[0].type)
    split = producer(inner, "Unsqueeze", "Reshape")
    narrow, whole = shape_of(inner.type), shape_of(value.type)
    if split is None or narrow is None or wide is None or whole is None:
        return None
    source = split.operands[0]
    own = shape_of(source.type)
    if own is None or len(own) != 4 or len(narrow) != 5 or len(wide) != 5:
        return None
    count, heads = wide[axis + 1], own[axis]
    if count is None or count.constant is None or heads is None:
        return None
    before, after = own[: axis + 1], own[axis + 1 :]
    fits = (
        same_shape(narrow, (*before, ONE, *after))
        and same_shape(wide, (*before, count, *after))
        and same_shape(whole, (*own[:axis], heads * count, *after))
    )
    if not fits:
        return None
    return Repeated(source, count.constant, False, (split, stretched, merged))


def _gathered(gather: OnnxOp, axis: int, store: WeightStore) -> Repeated | None:
    source, indices = gather.operands
    heads = number_at(source, axis)
    listed = integers_of(indices, store)
    if heads is None or not listed or rank_of(source) != 4 or rank_of(indices) != 1:
        return None
    count = len(listed) // heads
    if setting(gather, "axis") % 4 != axis or count * heads != len(listed):
        return None
    if listed != [i // count for i in range(len(listed))]:
        return None
    return Repeated(source, count, False, (gather,))


@dataclass(frozen=True)
class GroupedHeads(OnnxPattern[tuple[Repeated, Repeated]]):
    """Gives Attention keys and values before they are repeated for groups of heads."""

    name = "repeats-into-groups"
    roots = frozenset(["onnx.Attention"])

    def decide(self, op: OnnxOp) -> tuple[Repeated, Repeated] | Declined:
        key, value = (repeated_heads(v, self.store) for v in op.operands[1:3])
        if key is None or value is None:
            near = key is not value
            return Declined("only one of keys and values is repeated", near)
        if key.count != value.count:
            return Declined(
                f"keys are repeated {key.count} times, values {value.count} times"
            )
        if any(given(v) for v in op.operands[4:6]):
            return Declined("the cache holds repeated heads")
        if any(r.uses for r in op.results[1:]):
            return Declined("the repeated keys or values are results")
        return key, value

    def covers(
        self, op: OnnxOp, found: tuple[Repeated, Repeated]
    ) -> Sequence[Operation]:
        return [*found[0].ops, *found[1].ops, op]

    def rewrite(
        self, op: OnnxOp, found: tuple[Repeated, Repeated], builder: OnnxBuilder
    ) -> list[SSAValue | None]:
        operands = list(op.operands)
        for place, part in enumerate(found, start=1):
            operands[place] = part.source
            if part.turned:
                perm = list(_HEADS_FIRST)
                operands[place] = builder.value(
                    "onnx.Transpose", part.source, perm=perm
                )
        kinds = list(op.result_types)
        made = builder.create(op.name, operands, dict(op.properties), types=kinds)
        return list(made.results)


# --- keys and values of the past ---


@dataclass(frozen=True)
class Cached:
    """The Concats of past and present keys and values."""

    key: OnnxOp
    value: OnnxOp


@dataclass(frozen=True)
class KeyValueCache(OnnxPattern[Cached]):
    """Lets Attention put present keys and values behind those of the past."""

    name = "concat-into-cache"
    roots = frozenset(["onnx.Attention"])

    def decide(self, op: OnnxOp) -> Cached | Declined:
        key, value = (producer(v, "Concat") for v in op.operands[1:3])
        if key is None or value is None:
            near = key is not value
            return Declined("only one of keys and values has a past", near)
        if any(given(v) for v in op.operands[4:7]):
            return Declined("it has a cache")
        if setting(op, "is_causal"):
            return Declined("it is causal from the first key on")
        for concat in (key, value):
            if len(concat.operands) != 2 or rank_of(concat.operands[0]) != 4:
                return Declined("keys or values are not joined from two of rank 4")
            if setting(concat, "axis") % 4 != 2:
                return Declined("keys or values are joined along another axis")
            if not _only_behind(concat, op):
                return Declined("the joined keys or values are used before")
        return Cached(key, value)

    def covers(self, op: OnnxOp, found: Cached) -> Sequence[Operation]:
        return [found.key, found.value, op]

    def rewrite(
        self, op: OnnxOp, found: Cached, builder: OnnxBuilder
    ) -> list[SSAValue | None]:
        joined = [found.key.results[0], found.value.results[0]]
        operands = list(op.operands)
        for place, concat in enumerate((found.key, found.value)):
            operands[4 + place], operands[1 + place] = concat.operands
        # ONNX Runtime wants the present wherever there is a past.
        none = builder.none().type
        kinds = [op.result_types[0], *(value.type for value in joined), none]
        made = builder.create(op.name, operands, dict(op.properties), types=kinds)
        for old, new in zip(joined, made.results[1:3], strict=True):
            old.replace_uses_with_if(new, lambda use: use.operation is not op)
        return [made.results[0], *(None for _ in op.results[1:])]


def _only_behind(concat: OnnxOp, op: OnnxOp) -> bool:
    """Whether all uses of `concat` stand behind `op`, or are its operand."""
    for user in uses_of(concat.results[0]):
        if user is op:
            continue
        if user.parent is not op.parent or not op.is_before_in_block(user):
            return False
    return True


# --- heads of one hidden axis ---


def not_merged(value: SSAValue) -> str | None:
    """Why heads cannot be read from ``[batch, length, hidden]``; None if they can."""
    if rotary := producer(value, "RotaryEmbedding"):
        if not value.has_one_use():
            return "rotated heads have other uses"
        return not_merged(rotary.operands[0])
    if transposed(value, *_HEADS_FIRST) is None:
        return "heads are not split from a hidden axis"
    if number_at(value, 1) is None or number_at(value, 3) is None:
        return "the number or the size of the heads is not known"
    return None


def merged(value: SSAValue, builder: OnnxBuilder) -> SSAValue:
    """The ``[batch, length, hidden]`` that the heads of `value` are split from."""
    heads, size = number_at(value, 1), number_at(value, 3)
    assert heads is not None, "checked by `not_merged`"
    assert size is not None, "checked by `not_merged`"
    if rotary := producer(value, "RotaryEmbedding"):
        operands = [merged(rotary.operands[0], builder), *rotary.operands[1:]]
        properties = dict(rotary.properties)
        properties["num_heads"] = attribute(rotary.schema(), "num_heads", heads)
        return builder.create(rotary.name, operands, properties).results[0]
    split = transposed(value, *_HEADS_FIRST)
    assert split is not None, "checked by `not_merged`"
    reshape = producer(split, "Reshape")
    hidden = Dim.of(heads * size)
    if reshape is not None:
        whole = reshape.operands[0]
        wanted = (size_at(split, 0), size_at(split, 1), hidden)
        if same_shape(shape_of(whole.type), wanted):
            return whole
    shape = builder.constant(np.array([0, 0, heads * size], np.int64), "shape")
    return builder.value("onnx.Reshape", split, shape)


@dataclass(frozen=True)
class MergedHeads(OnnxPattern[int]):
    """Lets Attention split and merge the heads by itself."""

    name = "heads-into-attention"
    roots = frozenset(["onnx.Attention"])

    def decide(self, op: OnnxOp) -> int | Declined:
        query = op.operands[0]
        if rank_of(query) != 4:
            return Declined("its heads are merged", near=False)
        if any(r.uses for r in op.results[3:]):
            return Declined("the scores are a result")
        users = uses_of(op.results[0])
        if len(users) != 1 or not _merges(users[0]):
            return Declined("the heads of the result are not merged")
        for value in op.operands[:3]:
            reason = not_merged(value)
            if reason is not None:
                return Declined(reason)
        if not same_size(size_at(op.operands[1], 1), size_at(op.operands[2], 1)):
            return Declined("keys and values differ in heads")
        heads = number_at(query, 1)
        assert heads is not None, "checked by `not_merged`"
        return heads

    def rewrite(
        self, op: OnnxOp, found: int, builder: OnnxBuilder
    ) -> list[SSAValue | None]:
        size = number_at(op.operands[2], 3)
        operands = [merged(v, builder) for v in op.operands[:3]]
        properties = dict(op.properties)
        for name, place in (("q_num_heads", 0), ("kv_num_heads", 1)):
            heads = number_at(op.operands[place], 1)
            assert heads is not None, "checked by `not_merged`"
            properties[name] = attribute(op.schema(), name, heads)
        wanted = [bool(r.uses) for r in op.results]
        made = builder.create(
            op.name, [*operands, *op.operands[3:]], properties, wanted
        )
        shape = builder.constant(np.array([0, 0, found, size], np.int64), "shape")
        split = builder.value("onnx.Reshape", made.results[0], shape)
        perm = list(_HEADS_FIRST)
        y = builder.value("onnx.Transpose", split, perm=perm)
        others = zip(made.results[1:], wanted[1:], strict=True)
        return [y, *(result if used else None for result, used in others)]


def _merges(user: Operation) -> bool:
    if not isinstance(user, OnnxOp) or user.name != "onnx.Transpose":
        return False
    return permutation(user) == _HEADS_FIRST
