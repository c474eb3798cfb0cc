"""Products of matrices with what is done to them become one Gemm."""

from typing import Any

import pytest

SPEC = "fuse-gemm,dce"
W = "float[2,3] w = {1, 2, 3, 4, 5, 6}"
B = "float[3] b = {1, -2, 3}"
IN = "(float[batch,2] x) => (float[batch,3] y)"
ROWS = "int64[2] rows = {-1, 2}, int64[3] stack = {-1, 5, 3}"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f"a {IN} <{W}, {B}> {{ c = MatMul(x, w) y = Add(c, b) }}", ["Gemm"]),
        (f"a {IN} <{W}, {B}> {{ c = MatMul(x, w) y = Add(b, c) }}", ["Gemm"]),
        (f"a {IN} <{W}, {B}> {{ c = Gemm(x, w) y = Add(c, b) }}", ["Gemm"]),
        (
            f"a {IN} <{W}, float[1,3] b = {{1, 2, 3}}>"
            "{ c = MatMul(x, w) y = Add(c, b) }",
            ["Gemm"],
        ),
        (
            f"a (float[2,batch] x) => (float[batch,3] y) <{W}, {B}>"
            "{ t = Transpose(x) y = Gemm(t, w, b) }",
            ["Gemm"],
        ),
        (
            "a (float[2,n] x, float[3,n] v) => (float[2,3] y) "
            "{ t = Transpose(v) y = Gemm(x, t) }",
            ["Gemm"],
        ),
        (
            f"a {IN} <{W}, {B}, float s = {{0.5}}>"
            "{ c = Gemm <alpha = 2.> (x, w, b) y = Mul(s, c) }",
            ["Gemm"],
        ),
        (
            f"a (float[n,5,2] x) => (float[n,5,3] y) <{W}, {B}, {ROWS}>"
            "{ r = Reshape(x, rows) c = Gemm(r, w, b) y = Reshape(c, stack) }",
            ["MatMul", "Add"],
        ),
        (
            f"a (float[n,5,2] x) => (float[n,5,3] y) <{ROWS},"
            "float[3,2] w = {1, 2, 3, 4, 5, 6}>"
            "{ r = Reshape(x, rows) c = Gemm <transB = 1> (r, w)"
            "y = Reshape(c, stack) }",
            ["MatMul"],
        ),
    ],
)
def test_fuses(text: str, left: list[str], rewritten: Any) -> None:
    assert rewritten(text, SPEC).ops == left


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            f"a {IN} <{W}, {B}> {{ c = MatMul(x, w) d = Add(c, b) y = Add(d, c) }}",
            "the product has other uses",
        ),
        (
            f"a (float[n,5,2] x) => (float[n,5,3] y) <{W}, {B}>"
            "{ c = MatMul(x, w) y = Add(c, b) }",
            "the operands are not matrices",
        ),
        (
            f"a {IN} <{W}, {B}> {{ c = Gemm(x, w, b) y = Add(c, b) }}",
            "the Gemm has a bias",
        ),
        (
            f"a (float[1,2] x) => (float[2,3] y) <{W}, float[2,1] b = {{1, 2}}>"
            "{ c = MatMul(x, w) y = Add(c, b) }",
            "the addition broadcasts the product, or its type says more",
        ),
        (
            f"a (float[batch,2] x, float[k,3] b) => (float[batch,3] y) <{W}>"
            "{ c = MatMul(x, w) y = Add(c, b) }",
            "the bias may not broadcast to the product",
        ),
        (
            f"a {IN} <{W}, {B}, float[3] s = {{1, 2, 3}}>"
            "{ c = Gemm(x, w, b) y = Mul(c, s) }",
            "the scale is not one number",
        ),
        (
            "a (double[batch,2] x) => (double[batch,3] y) <double s = {0.1},"
            "double[2,3] w = {1, 2, 3, 4, 5, 6}> { c = Gemm(x, w) y = Mul(c, s) }",
            "alpha and beta are float32, which the scale is not",
        ),
        (
            f"a (float[n,5,2] x) => (float[5,n,3] y) <{W}, {B}, "
            "int64[2] rows = {-1, 2}, int64[3] stack = {5, -1, 3}>"
            "{ r = Reshape(x, rows) c = Gemm(r, w, b) y = Reshape(c, stack) }",
            "more than the rows is split",
        ),
        (
            f"a (float[2,5,2] x) => (float[2,5,3] y) <{W}, {ROWS},"
            "float[10,1] b = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}>"
            "{ r = Reshape(x, rows) c = Gemm(r, w, b) y = Reshape(c, stack) }",
            "the bias may differ from row to row",
        ),
        (
            f"a (float[n,5,2] x) => (float[n,5,3] y) <{W}, {B}, {ROWS}>"
            "{ r = Reshape(x, rows) c = Gemm <alpha = 2.> (r, w, b)"
            "y = Reshape(c, stack) }",
            "the Gemm scales or transposes its rows",
        ),
    ],
)
def test_declines(text: str, reason: str, rewritten: Any) -> None:
    made = rewritten(text, SPEC)
    assert reason in made.reasons
    assert len(made.ops) >= 2
