"""
Read what stands between two products of matrices as the softmax of attention scores.

    softmax(cap * tanh(q @ k.T * scale / cap) + masks)

Scale and masks may stand in any order that means this, the scale also on either operand
of the product; a mask may be added, or chosen by Where; NaNs may be taken out, where a
row is masked wholly.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from xdsl.dialects.builtin import Float32Type
from xdsl.ir import Operation, SSAValue

from ...dialects.onnx import OnnxOp, WeightStore
from ...dialects.onnx.dims import Dim
from ...dialects.onnx.types import element_of, shape_of
from ..facts import rank_of, setting, uniform
from ..patterns import Declined
from .matching import (
    number_at,
    permutation,
    producer,
    product_of,
    same_shape,
    same_size,
    size_at,
    terms_of,
)

FORGOTTEN = -1e8
"""A score this low has no weight beside any other, and takes all others to itself."""


@dataclass(frozen=True)
class Choice:
    """A mask by Where: scores stay where `condition` is true (if `turned`, false)."""

    condition: SSAValue
    turned: bool
    fill: float


@dataclass(frozen=True)
class Scores:
    """The parts of ``softmax(cap(q @ k.T * scale) + masks)``."""

    query: SSAValue
    key: SSAValue
    """With its last two axes as the query has them, if `key_turned` is None."""
    key_turned: tuple[int, ...] | None
    """The order of axes that makes the key of it."""
    scale: float
    softcap: float
    masks: tuple[SSAValue | Choice, ...]
    wide_softmax: bool
    """Whether the softmax is of float32 and all else of fewer bits."""
    ops: tuple[Operation, ...]


def scores_of(weights: SSAValue, store: WeightStore) -> Scores | Declined:
    """What the attention weights `weights` are computed from, or why they are none."""
    ops: list[Operation] = []
    inner = _without_nans(weights, ops)
    narrow = element_of(inner.type)
    if cast := producer(inner, "Cast"):
        ops.append(cast)
        inner = cast.operands[0]
    softmax = producer(inner, "Softmax")
    if softmax is None:
        return Declined("the first factor is no Softmax", near=False)
    ops.append(softmax)
    rank = rank_of(inner)
    axis = setting(softmax, "axis")
    if rank is None or axis % rank != rank - 1:
        return Declined(f"the Softmax is over axis {axis}, not the last")
    scores = softmax.operands[0]
    wide = element_of(scores.type) != narrow
    if wide and not isinstance(element_of(scores.type), Float32Type):
        return Declined("the Softmax is of another type than the product")
    if wide:
        cast = producer(scores, "Cast")
        if cast is None or element_of(cast.operands[0].type) != narrow:
            return Declined("what is added to the scores is of another type")
        ops.append(cast)
        scores = cast.operands[0]
    masks: list[SSAValue | Choice] = []
    found = _unmasked(scores, masks, ops, store)
    if isinstance(found, Declined):
        return found
    read = _product(found, ops, store)
    if isinstance(read, Declined):
        return read
    return replace(read, masks=tuple(masks), wide_softmax=wide, ops=tuple(ops))


def _without_nans(weights: SSAValue, ops: list[Operation]) -> SSAValue:
    """The weights before NaNs in them, of rows that are masked wholly, become 0."""
    choice = producer(weights, "Where")
    if choice is None:
        return weights
    condition, chosen, kept = choice.operands
    test = producer(condition, "IsNaN")
    if test is None or test.operands[0] != kept:
        return weights
    constant = chosen.owner
    held = constant.properties.get("value") if isinstance(constant, OnnxOp) else None
    array = getattr(held, "array", None)
    if array is None or np.any(array()):
        return weights
    ops += [choice, test]
    return kept


def _unmasked(
    scores: SSAValue,
    masks: list[SSAValue | Choice],
    ops: list[Operation],
    store: WeightStore,
) -> SSAValue | Declined:
    """The product that masks are put on; `masks` and `ops` grow by what is passed."""
    while True:
        if choice := producer(scores, "Where"):
            read = _choice(choice, store)
            if isinstance(read, Declined):
                return read
            mask, scores = read
            masks.append(mask)
            ops.append(choice)
        elif producer(scores, "Add"):
            terms = terms_of(scores)
            products = [t for t in terms if _is_score(t, store)]
            if len(products) != 1:
                reason = "is no product" if not products else "are products"
                return Declined(f"{len(terms)} terms are added, which {reason}", False)
            masks += [t for t in terms if t != products[0]]
            ops += _additions(scores)
            scores = products[0]
        else:
            return scores


def _additions(value: SSAValue) -> list[Operation]:
    op = producer(value, "Add")
    if op is None:
        return []
    inner = [v for v in op.operands if v.has_one_use()]
    return [op, *(o for v in inner for o in _additions(v))]


def _is_score(value: SSAValue, store: WeightStore) -> bool:
    """Whether `value` leads to a product of matrices, not to a mask."""
    for _ in range(8):
        if producer(value, "MatMul", "Einsum"):
            return True
        if choice := producer(value, "Where"):
            read = _choice(choice, store)
            if isinstance(read, Declined):
                return False
            value = read[1]
        elif op := producer(value, "Mul", "Div", "Tanh", "Cast"):
            numbers = [uniform(v, store) is not None for v in op.operands]
            value = op.operands[1 if numbers[0] and len(numbers) > 1 else 0]
        else:
            return False
    return False


def _choice(choice: OnnxOp, store: WeightStore) -> tuple[Choice, SSAValue] | Declined:
    condition, yes, no = choice.operands
    for turned, kept, filled in ((False, yes, no), (True, no, yes)):
        fill = uniform(filled, store)
        if fill is None:
            continue
        if fill > FORGOTTEN:
            return Declined(
                f"masked scores become {fill}, which does not make others forget them"
            )
        if not same_shape(shape_of(kept.type), shape_of(choice.results[0].type)):
            return Declined("the mask stretches the scores")
        return Choice(condition, turned, float(fill)), kept
    return Declined("a Where chooses between scores and no number")


def _product(
    scores: SSAValue, ops: list[Operation], store: WeightStore
) -> Scores | Declined:
    cap = 0.0
    capped = product_of(scores, store)
    only = capped.only()
    tanh = None if only is None else producer(only, "Tanh")
    if tanh is not None:
        ops += [*capped.ops, tanh]
        cap, scores = capped.number, tanh.operands[0]
    product = product_of(scores, store)
    only = product.only()
    matmul = None if only is None else producer(only, "MatMul")
    if matmul is None:
        return Declined("the scores are no scaled product of matrices", near=False)
    ops += [*product.ops, matmul]
    scale = product.number * (cap or 1)
    sides: list[SSAValue] = []
    for side in matmul.operands:
        part = product_of(side, store)
        inner = part.only()
        if inner is None or not same_shape(shape_of(inner.type), shape_of(side.type)):
            sides.append(side)
            continue
        scale *= part.number
        ops += part.ops
        sides.append(inner)
    query, other = sides
    return _with_key(query, other, scale, cap, ops, store)


def _with_key(
    query: SSAValue,
    other: SSAValue,
    scale: float,
    cap: float,
    ops: list[Operation],
    store: WeightStore,
) -> Scores | Declined:
    rank = rank_of(query)
    if rank not in (3, 4) or rank_of(other) != rank:
        return Declined(f"queries of rank {rank} and keys of rank {rank_of(other)}")
    turned: tuple[int, ...] | None = (*range(rank - 2), rank - 1, rank - 2)
    key = other
    transpose = producer(other, "Transpose")
    if transpose is not None:
        perm = permutation(transpose)
        assert perm is not None, "its rank is known"
        assert turned is not None, "as it was made"
        order = tuple(perm[axis] for axis in turned)
        key = transpose.operands[0]
        turned = None if order == tuple(range(rank)) else order
        ops.append(transpose)
        if turned is None:
            inner = product_of(key, store)
            only = inner.only()
            if only and same_shape(shape_of(only.type), shape_of(key.type)):
                key, scale = only, scale * inner.number
                ops += inner.ops
    return Scores(query, key, turned, scale, cap, (), False, ())


def default_scale(query: SSAValue) -> float | None:
    """The scale that Attention has by itself; None if the head's size is unknown."""
    size = number_at(query, -1)
    return None if not size else size**-0.5


def mask_misfit(mask: SSAValue, query: SSAValue, keys: Dim | None) -> str | None:
    """Why `mask` cannot be the mask of an Attention over `keys` keys, or None."""
    shape = shape_of(mask.type)
    if shape is None:
        return "the mask's rank is not known"
    whole = shape_of(query.type) or ()
    if not 2 <= len(shape) <= len(whole):
        return f"the mask's rank is {len(shape)}, not 2 to {len(whole)}"
    leading = zip(reversed(shape[:-2]), reversed(whole[:-2]), strict=False)
    if not all(n == Dim.of(1) or same_size(n, size) for n, size in leading):
        sizes = ", ".join(map(str, shape))
        return f"the mask's shape ({sizes}) stretches the scores"
    if not same_size(shape[-1], keys):
        return f"the mask's last size is {shape[-1]}, that of the keys {keys}"
    queries = size_at(query, -2)
    if shape[-2] != Dim.of(1) and not same_size(shape[-2], queries):
        return f"the mask's shape has {shape[-2]} rows, the queries {queries}"
    return None
