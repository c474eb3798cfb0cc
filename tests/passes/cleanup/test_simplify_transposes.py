"""Transposes merge, and sink until they meet their inverse."""

from typing import Any

import pytest

SPEC = "simplify-transposes,dce"
X = "(float[batch,3,seq] x) => (float[a,b,c] y)"
THERE, BACK = "Transpose <perm = [1, 2, 0]>", "Transpose <perm = [2, 0, 1]>"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f"g {X} {{ d = {THERE} (x) y = {THERE} (d) }}", ["Transpose"]),
        (f"g {X} {{ d = {THERE} (x) e = {BACK} (d) y = Abs(e) }}", ["Abs"]),
        (f"g {X} {{ d = Transpose(x) e = Transpose(d) y = Abs(e) }}", ["Abs"]),
        (
            f"g {X} {{ d = {THERE} (x) e = Relu(d) f = Exp(e) y = {BACK} (f) }}",
            ["Relu", "Exp"],
        ),
        (
            f"g (float[batch,3,seq] x, float[batch,3,seq] z) => (float[a,b,c] y) "
            f"{{ d = {THERE} (x) e = {THERE} (z) f = Add(d, e) y = {BACK} (f) }}",
            ["Add"],
        ),
        (
            f"g {X} <float[3,1,1] k = {{1, 2, 3}}, float s = {{2}}>"
            f"{{ d = {THERE} (x) e = Mul(k, d) f = Sub(e, s) y = {BACK} (f) }}",
            ["Mul", "Sub"],
        ),
        # A constant of lower rank stands along the last axes.
        (
            f"g (float[2,3,5] x) => (float[a,b,c] y) <float[2] k = {{1, 2}}>"
            f"{{ d = {THERE} (x) e = Mul(d, k) y = {BACK} (e) }}",
            ["Mul"],
        ),
        (
            "g (float[batch,3,seq] x) => (float[c] y) <int64[2] axes = {-1, 0}>"
            f"{{ d = {THERE} (x) e = Relu(d) y = ReduceSum <keepdims = 0> (e, axes) }}",
            ["Relu", "ReduceSum"],
        ),
    ],
)
def test_simplifies(text: str, left: list[str], rewritten: Any) -> None:
    assert rewritten(text, SPEC).ops == left


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"g {X} {{ d = {THERE} (x) y = Relu(d) }}", "no transpose below undoes it"),
        (
            f"g {X} {{ d = {THERE} (x) e = Relu(d) f = {BACK} (e) g = Exp(e)"
            "h = Shape(f) y = Expand(g, h) }".replace("y = Expand(g, h)", "y = Abs(g)"),
            "no transpose below undoes it",
        ),
        (
            "g (float[2,3,5] x, float[3,5,2] z) => (float[a,b,c] y)"
            f"{{ d = {THERE} (x) e = Add(d, z) y = {BACK} (e) }}",
            "an operand is neither transposed nor constant",
        ),
        (
            "g (float[2,2,2] x) => (float[a,b,c] y)"
            f"{{ d = {THERE} (x) e = {BACK} (x) f = Add(d, e) y = {BACK} (f) }}",
            "its operands are not transposed alike",
        ),
        (
            "g (float[batch,3,seq] x) => (float[b,c] y) <int64[1] axes = {1}>"
            f"{{ d = {THERE} (x) y = ReduceSum <keepdims = 0> (d, axes) }}",
            "the axes that are left change their order",
        ),
        (
            "g (float[batch,3,seq] x) => (float[a,b,c] y)"
            f"{{ d = {THERE} (x) y = ReduceSum(d) }}",
            "the axes are not known",
        ),
    ],
)
def test_declines(text: str, reason: str, rewritten: Any) -> None:
    made = rewritten(text, SPEC)
    assert reason in made.reasons
    assert "Transpose" in made.ops
