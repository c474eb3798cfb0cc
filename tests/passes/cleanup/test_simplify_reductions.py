"""Reductions take one step, without axes that are removed afterwards."""

from typing import Any

import pytest

SPEC = "simplify-reductions,dce"
X = "(float[batch,3,4,5] x) => (float[batch,3] y)"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f"a {X} {{ d = GlobalAveragePool(x) y = Flatten(d) }}", ["ReduceMean"]),
        (f"a {X} {{ d = GlobalMaxPool(x) y = Flatten(d) }}", ["ReduceMax"]),
        (
            f"a {X} {{ d = AveragePool <kernel_shape = [4, 5], strides = [2, 2]> (x)"
            "y = Flatten(d) }",
            ["ReduceMean"],
        ),
        (
            f"a {X} <int64[2] s = {{2, -1}}, int64[2] t = {{2, 3}}>"
            "{ d = ReduceMin(x, s) y = Squeeze(d, t) }",
            ["ReduceMin"],
        ),
        (
            f"a {X} <int64[1] s = {{2}}, int64[1] t = {{-1}}>"
            "{ d = ReduceSum <keepdims = 0> (x, s)"
            "y = ReduceSum <keepdims = 0> (d, t) }",
            ["ReduceSum"],
        ),
        (
            "a (float[batch,3,4,5] x) => (float[batch,3,1,1] y)"
            "<int64[1] s = {2}, int64[1] t = {-1}>"
            "{ d = ReduceMax(x, s) y = ReduceMax(d, t) }",
            ["ReduceMax"],
        ),
    ],
)
def test_simplifies(text: str, left: list[str], rewritten: Any) -> None:
    assert rewritten(text, SPEC).ops == left


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            f"a {X} {{ d = GlobalAveragePool(x) e = Flatten(d) f = Flatten(d)"
            "y = Add(e, f) }",
            "the reduction has other uses",
        ),
        (
            "a (float[2,3,4,5] x) => (float[6] y) <int64[1] s = {-1}>"
            "{ d = GlobalAveragePool(x) y = Reshape(d, s) }",
            "other axes than the reduced ones are removed",
        ),
        (
            f"a {X} {{ d = AveragePool <kernel_shape = [4, 4], strides = [2, 2]> (x)"
            "y = Flatten(d) }",
            "it does not reshape a reduction",
        ),
        (
            f"a {X} {{ d = AveragePool <kernel_shape = [4, 5], strides = [4, 5],"
            "pads = [0, 0, 1, 1]> (x) y = Flatten(d) }",
            "it does not reshape a reduction",
        ),
        (
            f"a {X} <int64[1] s = {{2}}, int64[2] t = {{2, 3}}>"
            "{ d = ReduceSum(x, s) y = ReduceSum <keepdims = 0> (d, t) }",
            "one reduction keeps its axes, the other does not",
        ),
        (
            f"a {X} <int64[1] s = {{3}}> {{ d = ReduceSum(x) "
            "y = ReduceSum(d, s) }".replace("[batch,3] y", "[a,b,c,d] y"),
            "the axes are not known",
        ),
    ],
)
def test_declines(text: str, reason: str, rewritten: Any) -> None:
    text = text.replace("[batch,3] y", "[a,b,c,d] y") if "(d, s)" in text else text
    made = rewritten(text, SPEC)
    assert reason in made.reasons
    assert len(made.ops) > 1
