"""Activations that are spelt out become ONNX's operator for them."""

from typing import Any

import pytest

SPEC = "fuse-activations,dce"
X = "(float[batch,4] x) => (float[batch,4] y)"
SIX = "float one = {1}, float three = {3}, float zero = {0}, float six = {6}"
TWO = "float a = {2}, float b = {0.25}, float zero = {0}, float one = {1}"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (
            f"a {X} <{TWO}> {{ d = Mul(a, x) e = Add(d, b) y = Clip(e, zero, one) }}",
            ["HardSigmoid"],
        ),
        (
            f"a {X} <{TWO}> {{ d = Div(x, a) e = Add(d, b) y = Clip(e, zero, one) }}",
            ["HardSigmoid"],
        ),
        (
            f"a {X} <{SIX}> {{ d = Add(x, three) e = Clip(d, zero, six)"
            "y = Div(e, six) }",
            ["HardSigmoid"],
        ),
        (
            f"a {X} <{SIX}> {{ d = Add(three, x) e = Max(d, zero) f = Min(six, e)"
            "y = Div(f, six) }",
            ["HardSigmoid"],
        ),
        (
            f"a {X} <{TWO}> {{ e = Exp(x) f = Add(one, e) y = Log(f) }}",
            ["Softplus"],
        ),
        (f"a {X} <{SIX}> {{ d = Max(x, zero) y = Min(d, six) }}", ["Clip"]),
        (f"a {X} <{SIX}> {{ d = Relu(x) y = Clip(d, zero, six) }}", ["Clip"]),
        (f"a {X} <{SIX}> {{ d = Clip(x, three) y = Relu(d) }}", ["Clip"]),
        (
            f"a {X} <{SIX}> {{ d = Clip(x, three, six) y = Clip(d, zero, one) }}",
            ["Clip"],
        ),
        (f"a {X} <{SIX}> {{ d = Relu(x) y = Relu(d) }}", ["Relu"]),
    ],
)
def test_fuses(text: str, left: list[str], rewritten: Any) -> None:
    assert rewritten(text, SPEC).ops == left


@pytest.mark.parametrize(
    "text",
    [
        # Another number, a bound that is not constant, a bound that broadcasts.
        f"a {X} <{TWO}> {{ e = Exp(x) f = Add(a, e) y = Log(f) }}",
        f"a {X} <{TWO}> {{ d = Mul(x, a) e = Add(d, b) y = Clip(e, zero, a) }}",
        "a (float[batch,4] x, float c) => (float[batch,4] y) <float zero = {0}>"
        "{ d = Clip(x, c) y = Clip(d, zero) }",
        "a (float[1] x) => (float[4] y) <float[4] zeros = {0, 0, 0, 0}>"
        "{ d = Max(x, zeros) y = Relu(d) }",
    ],
)
def test_leaves(text: str, rewritten: Any) -> None:
    made = rewritten(text, SPEC)
    assert not made.runs[0].journal.rewrites


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            f"a {X} <{SIX}> {{ d = Relu(x) e = Clip(d, zero, six) y = Add(d, e) }}",
            "what is clipped once has other uses",
        ),
        (
            f"a {X} <{SIX}> {{ d = Clip(x, six, zero) y = Relu(d) }}",
            "a lower bound is above the upper one, or nan",
        ),
        (
            "a (int32[batch,4] x) => (int32[batch,4] y) <int32 z = {0}, int32 o = {1}>"
            "{ d = Max(x, z) y = Min(d, o) }",
            "merged bounds are for floats here",
        ),
    ],
)
def test_declines(text: str, reason: str, rewritten: Any) -> None:
    assert reason in rewritten(text, SPEC).reasons
