"""Tensors are cut and joined in fewer steps."""

from typing import Any

import pytest

SPEC = "simplify-slices,dce"
X = "(float[batch,6] x) => (float[batch,k] y)"
N = (
    "int64[1] a0 = {0}, int64[1] a1 = {1}, int64[1] a2 = {2}, int64[1] a4 = {4},"
    "int64[1] end = {9223372036854775807}, int64[1] m2 = {-2}"
)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (
            f"a {X} <{N}> {{ p = Slice(x, a0, a2, a1) q = Slice(x, a2, end, a1)"
            "y = Concat <axis = 1> (q, p) }",
            ["Split", "Concat"],
        ),
        # In another order, from the end, with steps.
        (
            f"a {X} <{N}> {{ q = Slice(x, m2, end, a1, a1) p = Slice(x, a0, a2, a1)"
            "r = Slice(x, a2, a4, a1) y = Concat <axis = 1> (q, p, r) }",
            ["Split", "Concat"],
        ),
        (
            f"a {X} <{N}> {{ p = Slice(x, a0, a2, a1) y = Slice(p, a1, a2, a0) }}",
            ["Slice"],
        ),
        (
            f"a {X} <{N}> {{ p = Concat <axis = -1> (x, x)"
            "y = Concat <axis = 1> (p, x) }",
            ["Concat"],
        ),
        (
            f"a {X} {{ p, q = Split <axis = 1, num_outputs = 2> (x)"
            "r = Concat <axis = -1> (p, q) y = Abs(r) }",
            ["Abs"],
        ),
    ],
)
def test_simplifies(text: str, left: list[str], rewritten: Any) -> None:
    assert rewritten(text, SPEC).ops == left


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            f"a {X} <{N}> {{ p = Slice(x, a0, a2, a1) q = Slice(x, a4, end, a1)"
            "y = Concat <axis = 1> (q, p) }",
            "the slices do not cover the axis once",
        ),
        (
            f"a {X} <{N}> {{ p = Slice(x, a0, a4, a1) q = Slice(x, a2, end, a1)"
            "y = Concat <axis = 1> (q, p) }",
            "the slices do not cover the axis once",
        ),
        (
            f"a (float[batch,seq] x) => (float[batch,k] y) <{N}>"
            "{ p = Slice(x, a0, a2, a1) q = Slice(x, a2, end, a1)"
            "y = Concat <axis = 1> (q, p) }",
            "the size of the axis is not known",
        ),
        (
            f"a {X} <{N}> {{ p = Slice(x, a0, a4, a1) y = Slice(p, a1, a2, a1) }}",
            "both slices cut one axis",
        ),
        (
            f"a {X} <{N}> {{ p = Slice(x, a0, a2, a1) q = Slice(p, a1, a2, a0)"
            "y = Concat <axis = 0> (p, q) }",
            "the first slice has other uses",
        ),
        (
            f"a {X} <{N}> {{ p = Slice(x, a0, a2, a1) y = Slice(p, m2, a2, a0) }}",
            "a bound is not known",
        ),
    ],
)
def test_declines(text: str, reason: str, rewritten: Any) -> None:
    made = rewritten(text, SPEC)
    assert reason in made.reasons
    assert not made.runs[0].journal.rewrites
