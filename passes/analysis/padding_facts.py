"""
What is known of the numbers in a tensor, and what follows for those computed from them.

Bounds are those of exact arithmetic. Where a number is merely *ordinary* (a product of
weights and activations, a normalized value), it is taken to be finite and small beside
a mask: that is what padding by hand relies on, too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...backends.kernels.apply import apply
from ...dialects.onnx import OnnxOp
from ...dialects.onnx.types import element_of, numpy_dtype

MASKING = -1e4
"""What is at most this, added to a score, gives it no weight in a softmax."""

ORDINARY = 1e3
"""Ordinary numbers are taken to stay below this."""


@dataclass(frozen=True)
class Fact:
    """Numbers lie in ``[low, high]``."""

    low: float
    high: float
    needs: frozenset[tuple[int, int]] = frozenset()
    """The inputs and axes along which the first element must be 1 for this to hold."""

    @property
    def number(self) -> float | None:
        """The one number that all are."""
        return self.low if self.low == self.high else None

    @property
    def masks(self) -> bool:
        """Whether a softmax gives these no weight, beside any ordinary number."""
        return self.high <= MASKING

    @property
    def ordinary(self) -> bool:
        """Whether these are no masks, and small enough to be called ordinary."""
        return self.low >= -ORDINARY and self.high <= ORDINARY


SMALL = Fact(-ORDINARY, ORDINARY)
"""Ordinary numbers."""

Known = Fact | None
"""None where nothing is known."""


def exactly(number: float) -> Fact:
    """All are `number`."""
    return Fact(float(number), float(number))


def hull(facts: Sequence[Known]) -> Known:
    """What holds of numbers of which each is as one of `facts` says."""
    known = [fact for fact in facts if fact is not None]
    if len(known) < len(facts) or not known:
        return None
    needs = _needs(known)
    return Fact(min(f.low for f in known), max(f.high for f in known), needs)


def of_array(array: Any) -> Known:
    """What holds of a constant's elements; None of strings and of nothing."""
    if array.size == 0 or array.dtype.kind not in "iufb":
        return None
    low, high = float(array.min()), float(array.max())
    return None if math.isnan(low) or math.isnan(high) else Fact(low, high)


def of_elementwise(op: OnnxOp, facts: Sequence[Known]) -> Known:
    """What holds of the elements that `op` computes from such as `facts` say."""
    known = [fact for fact in facts if fact is not None]
    rule = _RULES.get(op.op_type())
    if rule is not None:
        found = rule(op, facts)
        if found is not None:
            return replace(found, needs=_needs(known))
    if len(known) < len(facts) or not known:
        return None
    if all(fact.number is not None for fact in known):
        return _computed(op, known)
    if op.op_type() in _UNBOUNDED or not all(fact.ordinary for fact in known):
        return None
    return replace(SMALL, needs=_needs(known))


_UNBOUNDED = ("Exp", "Log", "Reciprocal", "Div", "Pow", "Tan", "Sinh", "Cosh", "Mod")
"""Operators that may make of ordinary numbers any."""


def _needs(facts: Sequence[Fact]) -> frozenset[tuple[int, int]]:
    return frozenset[tuple[int, int]]().union(*(fact.needs for fact in facts))


def _computed(op: OnnxOp, facts: Sequence[Fact]) -> Known:
    """The number that a kernel gives for one number each."""
    operands: list[Any] = []
    for fact, operand in zip(facts, op.operands, strict=True):
        element = element_of(operand.type)
        if element is None:
            return None
        operands.append(np.array(fact.low).astype(numpy_dtype(element)))
    result = apply(op, operands)[0]
    if result is None or result.size != 1 or result.dtype.kind not in "iufb":
        return None
    number = float(result.reshape(()))
    return None if math.isnan(number) else replace(exactly(number), needs=_needs(facts))


# --- rules ---


def _add(op: OnnxOp, facts: Sequence[Known]) -> Known:
    del op
    total = exactly(0)
    for fact in facts:
        if fact is None:
            return None
        total = _sum(total, fact)
    return total


def _sum(a: Fact, b: Fact) -> Fact:
    for mask, other in ((a, b), (b, a)):
        if mask.masks and (other.masks or other.ordinary):
            return Fact(-math.inf, MASKING)
    if a.ordinary and b.ordinary and (a.number is None or b.number is None):
        return SMALL if a.number != 0 and b.number != 0 else b if a.number == 0 else a
    return Fact(a.low + b.low, a.high + b.high)


def _negated(fact: Fact) -> Fact:
    return Fact(-fact.high, -fact.low)


def _subtract(op: OnnxOp, facts: Sequence[Known]) -> Known:
    left, right = facts
    return _add(op, [left, None if right is None else _negated(right)])


def _multiply(op: OnnxOp, facts: Sequence[Known]) -> Known:
    del op
    if any(fact is not None and fact.number == 0 for fact in facts):
        return exactly(0)
    left, right = facts
    if left is None or right is None:
        return None
    if left.ordinary and right.ordinary and None in (left.number, right.number):
        return SMALL
    ends = [a * b for a in (left.low, left.high) for b in (right.low, right.high)]
    return None if any(map(math.isnan, ends)) else Fact(min(ends), max(ends))


def _divide(op: OnnxOp, facts: Sequence[Known]) -> Known:
    left, right = facts
    if left is None or right is None or not right.number:
        return None
    if not element_is_float(op):
        return None
    return _multiply(op, [left, exactly(1 / right.number)])


def element_is_float(op: OnnxOp) -> bool:
    """Whether the first operand of `op` has floats."""
    element = element_of(op.operands[0].type)
    return element is not None and numpy_dtype(element).kind == "f"


def _where(op: OnnxOp, facts: Sequence[Known]) -> Known:
    del op
    condition, yes, no = facts
    if condition is not None and condition.number is not None:
        return yes if condition.number else no
    return hull([yes, no])


def _and(op: OnnxOp, facts: Sequence[Known]) -> Known:
    del op
    if any(fact is not None and fact.number == 0 for fact in facts):
        return exactly(0)
    every = all(fact is not None and fact.number == 1 for fact in facts)
    return exactly(1) if every else None


def _or(op: OnnxOp, facts: Sequence[Known]) -> Known:
    del op
    if any(fact is not None and fact.number == 1 for fact in facts):
        return exactly(1)
    none = all(fact is not None and fact.number == 0 for fact in facts)
    return exactly(0) if none else None


def _cast(op: OnnxOp, facts: Sequence[Known]) -> Known:
    (fact,) = facts
    if fact is None or fact.number is not None:
        return None
    element = element_of(op.results[0].type)
    kind = "V" if element is None else numpy_dtype(element).kind
    if kind == "b":
        return exactly(1) if fact.low > 0 or fact.high < 0 else None
    return fact if kind in "iuf" else None


def _less(op: OnnxOp, facts: Sequence[Known]) -> Known:
    return _ordered(facts, op.op_type().endswith("OrEqual"))


def _greater(op: OnnxOp, facts: Sequence[Known]) -> Known:
    return _ordered(facts[::-1], op.op_type().endswith("OrEqual"))


def _ordered(facts: Sequence[Known], or_equal: bool) -> Known:
    left, right = facts
    if left is None or right is None:
        return None
    if left.high < right.low or (or_equal and left.high == right.low):
        return exactly(1)
    if left.low > right.high or (not or_equal and left.low == right.high):
        return exactly(0)
    return None


def _as_it_is(op: OnnxOp, facts: Sequence[Known]) -> Known:
    del op
    return facts[0]


_RULES: Mapping[str, Callable[[OnnxOp, Sequence[Known]], Known]] = {
    "Add": _add,
    "And": _and,
    "Cast": _cast,
    "Div": _divide,
    "Greater": _greater,
    "GreaterOrEqual": _greater,
    "Identity": _as_it_is,
    "Less": _less,
    "LessOrEqual": _less,
    "Mul": _multiply,
    "Or": _or,
    "Sub": _subtract,
    "Sum": _add,
    "Where": _where,
}
