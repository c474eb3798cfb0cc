"""Sizes are read from arguments, and nothing is expanded further than is needed."""

from typing import Any

import pytest

SPEC = "simplify-shapes,dce"
ZERO = "int64 z = {0}, int64[1] axis = {0}"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (
            f"a (float[batch,seq] x) => (int64[1] y) <{ZERO}> {{ d = Relu(x)"
            "s = Shape(d) b = Gather(s, z) y = Unsqueeze(b, axis) }",
            ["Shape"],
        ),
        (
            f"a (float[batch,seq] x) => (int64 y) <{ZERO}> {{ d = Relu(x)"
            "s = Shape(d) y = Gather(s, z) }",
            ["Shape", "Squeeze"],
        ),
        (
            "a (float[batch,seq] x) => (int64[2] y) { d = Relu(x) y = Shape(d) }",
            ["Shape"],
        ),
        (
            "a (float[batch,1,seq] x) => (float[batch,2,seq] y) <int64[1] z = {0},"
            "int64[1] o = {1}, int64[1] two = {2}, int64[1] three = {3}> { s = Shape(x)"
            "b = Slice(s, z, o) c = Slice(s, two, three)"
            "f = Concat <axis = 0> (b, two, c) y = Expand(x, f) }",
            ["Expand"],
        ),
        (
            "a (float[1,seq] x, float[batch,seq] z) => (float[batch,seq] y)"
            "{ s = Shape(z) d = Expand(x, s) y = Add(z, d) }",
            ["Add"],
        ),
    ],
)
def test_simplifies(text: str, left: list[str], rewritten: Any) -> None:
    assert rewritten(text, SPEC).ops == left


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "a (float[batch,seq] x, float[batch] z) => (int64[2] y) { s = Shape(x)"
            "b = Shape(z) y = Concat <axis = 0> (b, b) }",
            "no argument has these sizes side by side",
        ),
        (
            "a (float[batch,1] x, int64[2] s) => (float[h,w] y) { y = Expand(x, s) }",
            "a size to expand to is not known",
        ),
        (
            "a (float[1,seq] x, float[batch,1] z) => (float[batch,seq] y)"
            "<int64[2] s = {1, 5}> { d = Expand(x, s) y = Add(z, d) }",
            "the other operands do not have the sizes",
        ),
        (
            "a (float[1,1] x, float[batch,1] z) => (float[batch,5] y)"
            "<int64[2] s = {1, 5}> { d = Expand(x, s) y = Add(z, d) }",
            "the other operands do not have the sizes",
        ),
    ],
)
def test_declines(text: str, reason: str, rewritten: Any) -> None:
    assert reason in rewritten(text, SPEC).reasons
