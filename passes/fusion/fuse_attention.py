"""
Name scaled dot-product attention, however it is spelled.

    s = MatMul(q, Transpose(k)) * scale + mask
    MatMul(Softmax(s), v)                           ->   Attention(q, k, v, mask)

and then give the operator what stands around it:

    Attention(q, Expand(k), Expand(v))              ->   Attention(q, k, v)   of groups
    Attention(q, Concat(past, k), Concat(past, v))  ->   with past_key and past_value
    Attention(q, k, v, upper triangle of -inf)      ->   {is_causal}
    Transpose(Attention(heads of q, k and v))       ->   Attention(q, k, v) {heads}

Vaswani et al. 2017 (arXiv:1706.03762); groups: Ainslie et al. 2023 (arXiv:2305.13245).

Two things follow what ONNX Runtime 1.31 runs rather than what ONNX allows: a mask has a
row per query, and nothing needs an opset beyond 24. A row that is masked wholly by -inf
becomes 0, where the softmax would be NaN.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import (
    BFloat16Type,
    Float16Type,
    Float64Type,
    ModuleOp,
)
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass

from ...dialects.onnx import OnnxBuilder, OnnxOp, store_of
from ...dialects.onnx.types import element_of, numpy_dtype
from ..facts import is_float, rank_of
from ..patterns import Declined, OnnxPattern, journal_of, rewrite_module
from .attention_masks import CausalMask, NeutralMask, with_rows
from .attention_operands import GroupedHeads, KeyValueCache, MergedHeads
from .matching import ONE, producer, same_size, size_at
from .scores import Choice, Scores, default_scale, mask_misfit, scores_of

__all__ = ["FuseAttentionPass", "NameAttention"]


@dataclass(frozen=True)
class Found:
    """The scores, and the values that they weigh."""

    scores: Scores
    value: SSAValue


@dataclass(frozen=True)
class NameAttention(OnnxPattern[Found]):
    """Writes a product with a softmax of scores as Attention."""

    name = "softmax-into-attention"
    roots = frozenset(["onnx.MatMul"])

    def decide(self, op: OnnxOp) -> Found | Declined:
        weights, value = op.operands
        scores = scores_of(weights, self.store)
        if isinstance(scores, Declined):
            return scores
        reason = _unfit(scores, value)
        return Found(scores, value) if reason is None else Declined(reason)

    def covers(self, op: OnnxOp, found: Found) -> Sequence[Operation]:
        return [*reversed(found.scores.ops), op]

    def rewrite(
        self, op: OnnxOp, found: Found, builder: OnnxBuilder
    ) -> list[SSAValue | None]:
        scores, flat = found.scores, rank_of(found.value) == 3
        key = scores.key
        if scores.key_turned is not None:
            key = builder.value("onnx.Transpose", key, perm=list(scores.key_turned))
        mask = _mask(scores, flat, builder)
        value = builder.value(
            "onnx.Attention",
            scores.query,
            key,
            found.value,
            mask,
            scale=None if _is_default(scores) else scores.scale,
            softcap=scores.softcap or None,
            softmax_precision=1 if scores.wide_softmax else None,
            q_num_heads=1 if flat else None,
            kv_num_heads=1 if flat else None,
        )
        return [value]


def _unfit(scores: Scores, value: SSAValue) -> str | None:
    query, rank = scores.query, rank_of(scores.query)
    kinds = {element_of(v.type) for v in (query, scores.key, value)}
    if not is_float(query) or len(kinds) != 1:
        return "queries, keys and values are not of one type of floats"
    if rank_of(value) != rank or rank is None:
        return f"queries have rank {rank}, values {rank_of(value)}"
    order = scores.key_turned or tuple(range(rank))
    for axis in range(rank - 2):
        sizes = [size_at(v, a) for v, a in _along(scores, value, order, axis)]
        shared = axis == 1 and sizes[1:] == [ONE, ONE]
        if not shared and not all(same_size(sizes[0], other) for other in sizes[1:]):
            told = ", ".join(map(str, sizes))
            return f"queries, keys and values differ along axis {axis}: {told}"
    keys = size_at(scores.key, order[-2])
    if not same_size(keys, size_at(value, -2)):
        return f"there are {keys} keys and {size_at(value, -2)} values"
    for mask in scores.masks:
        tested = mask.condition if isinstance(mask, Choice) else mask
        reason = mask_misfit(tested, query, keys)
        if reason is not None:
            return reason
        if not isinstance(mask, Choice) and element_of(mask.type) not in kinds:
            return "the mask is of another type than the queries"
    return _beyond(scores)


def _along(
    scores: Scores, value: SSAValue, order: Sequence[int], axis: int
) -> list[tuple[SSAValue, int]]:
    return [(scores.query, axis), (scores.key, order[axis]), (value, axis)]


def _beyond(scores: Scores) -> str | None:
    """Why the numbers of `scores` are not Attention's, or None."""
    element = element_of(scores.query.type)
    finite = any(isinstance(m, Choice) and math.isfinite(m.fill) for m in scores.masks)
    narrow = isinstance(element, Float16Type | BFloat16Type)
    if narrow and finite and len(scores.masks) > 1:
        return "two masks would overflow 16 bits"
    wide = isinstance(element, Float64Type)
    if wide and finite:
        return "in float64 the scores of a row that is masked wholly are kept"
    if wide and not _is_default(scores) and np.float32(scores.scale) != scores.scale:
        return "the scale would be rounded to float32"
    if not math.isfinite(scores.scale) or scores.scale == 0:
        return f"the scale is {scores.scale}"
    if scores.softcap < 0:
        return "the cap is negative"
    return None


def _is_default(scores: Scores) -> bool:
    """Whether the scale is the operator's own, up to the rounding of its type."""
    own = default_scale(scores.query)
    wide = isinstance(element_of(scores.query.type), Float64Type)
    tolerance = 1e-14 if wide else 1e-6
    return own is not None and math.isclose(own, scores.scale, rel_tol=tolerance)


def _mask(scores: Scores, flat: bool, builder: OnnxBuilder) -> SSAValue | None:
    """The one mask of the scores: boolean if all are, and masked scores are -inf."""
    if not scores.masks:
        return None
    choices = [m for m in scores.masks if isinstance(m, Choice)]
    infinite = all(math.isinf(c.fill) for c in choices)
    if len(choices) == len(scores.masks) and infinite:
        allowed = [_allowed(choice, builder) for choice in choices]
        whole = allowed[0]
        for other in allowed[1:]:
            whole = builder.value("onnx.And", whole, other)
    else:
        added = [
            _added(mask, scores.query, builder) if isinstance(mask, Choice) else mask
            for mask in scores.masks
        ]
        whole = added[0]
        for other in added[1:]:
            whole = builder.value("onnx.Add", whole, other)
    if flat and rank_of(whole) == 3:
        # The batch is the first axis, and there is one head.
        axes = builder.constant(np.array([1], np.int64), "axes")
        whole = builder.value("onnx.Unsqueeze", whole, axes)
    return with_rows(whole, scores.query, builder)


def _allowed(choice: Choice, builder: OnnxBuilder) -> SSAValue:
    if not choice.turned:
        return choice.condition
    inner = producer(choice.condition, "Not")
    if inner is not None:
        return inner.operands[0]
    return builder.value("onnx.Not", choice.condition)


def _added(choice: Choice, query: SSAValue, builder: OnnxBuilder) -> SSAValue:
    element = element_of(query.type)
    assert element is not None, "checked by `_unfit`"
    kind = numpy_dtype(element)
    zero = builder.constant(np.zeros((), kind), "zero")
    fill = builder.constant(np.array(choice.fill).astype(kind), "masked")
    order = (fill, zero) if choice.turned else (zero, fill)
    return builder.value("onnx.Where", choice.condition, *order)


@dataclass(frozen=True)
class FuseAttentionPass(ModulePass):
    """Name scaled dot-product attention, with its masks, groups, heads and cache."""

    name = "fuse-attention"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        store = store_of(ctx)
        if store is None:
            return
        journal = journal_of(ctx)
        rewrite_module(
            op,
            NameAttention(store, journal),
            NeutralMask(store, journal),
            GroupedHeads(store, journal),
            KeyValueCache(store, journal),
            CausalMask(store, journal),
        )
        rewrite_module(op, MergedHeads(store, journal))

    @classmethod
    def schedule_space(
        cls, ctx: Context, module_op: ModuleOp
    ) -> tuple[FuseAttentionPass, ...]:
        return (cls(),)
