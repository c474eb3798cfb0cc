"""Values as polynomials of one of them, however they are factored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from xdsl.ir import SSAValue

from ...dialects.onnx import OnnxOp, WeightStore
from ..facts import uniform
from .matching import near, producer

Polynomial: TypeAlias = dict[int, float]
"""Coefficients by power, none of them 0."""

MAX_DEGREE = 3


def polynomial(
    value: SSAValue, variable: SSAValue, store: WeightStore, depth: int = 8
) -> Polynomial | None:
    """
    The coefficients of `value` as a polynomial of `variable`; None if it is none.

    Looks through Add, Sub, Mul, Neg, Pow and Div with numbers, `depth` of them deep.
    """
    if value == variable:
        return {1: 1.0}
    number = uniform(value, store)
    if number is not None:
        return {0: float(number)} if number else {}
    op = producer(value, "Add", "Sub", "Mul", "Div", "Neg", "Pow")
    if op is None or depth == 0:
        return None
    parts = [polynomial(v, variable, store, depth - 1) for v in op.operands]
    known = [part for part in parts if part is not None]
    return _combined(op, known) if len(known) == len(parts) else None


def _combined(op: OnnxOp, parts: list[Polynomial]) -> Polynomial | None:
    first, second = parts[0], parts[-1]
    constant = second.get(0, 0.0) if set(second) <= {0} else None
    match op.name.removeprefix("onnx."):
        case "Add":
            return _sum(first, second, 1)
        case "Sub":
            return _sum(first, second, -1)
        case "Mul":
            return _multiplied(first, second)
        case "Neg":
            return _sum({}, first, -1)
        case "Div" if constant:
            return {power: c / constant for power, c in first.items()}
        case "Pow" if constant in (1, 2, 3):
            power = first
            for _ in range(int(constant) - 1):
                product = _multiplied(power, first)
                if product is None:
                    return None
                power = product
            return power
        case _:
            pass
    return None


def _sum(a: Polynomial, b: Polynomial, sign: int) -> Polynomial:
    total = {n: a.get(n, 0.0) + sign * b.get(n, 0.0) for n in {*a, *b}}
    return {power: c for power, c in sorted(total.items()) if c}


def _multiplied(a: Polynomial, b: Polynomial) -> Polynomial | None:
    total: Polynomial = {}
    for i, x in a.items():
        for j, y in b.items():
            total[i + j] = total.get(i + j, 0.0) + x * y
    return total if max(total, default=0) <= MAX_DEGREE else None


def is_about(
    found: Mapping[int, float] | None,
    wanted: Mapping[int, float],
    tolerance: float = 1e-5,
) -> bool:
    """Whether a polynomial is another, each coefficient up to `tolerance` of it."""
    if found is None or found.keys() != wanted.keys():
        return False
    return all(near(c, wanted[power], tolerance) for power, c in found.items())
