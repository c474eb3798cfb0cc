"""Scales and shifts by constants fold into the linear operator beside them."""

from typing import Any

import pytest

SPEC = "fold-affine,dce"
S3 = "float[3,1,1] s = {2, -1, 0.5}"
T3 = "float[3,1,1] t = {1, 0, -3}"
W = "float[3,2,1,1] w = {1, 2, 3, 4, 5, 6}"
N3 = (
    "float[3] g = {2, 1, 3}, float[3] o = {0, 1, -1}, float[3] m = {1, 0, 2}, "
    "float[3] v = {1, 4, 0.25}"
)
X = "(float[batch,2,4,5] x) => (float[batch,3,h,k] y)"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f"a {X} <{W}, {S3}> {{ c = Conv(x, w) y = Mul(c, s) }}", "Conv"),
        (f"a {X} <{W}, {S3}> {{ c = Conv(x, w) y = Mul(s, c) }}", "Conv"),
        (f"a {X} <{W}, {S3}> {{ c = Conv(x, w) y = Div(c, s) }}", "Conv"),
        (f"a {X} <{W}, {T3}> {{ c = Conv(x, w) y = Add(c, t) }}", "Conv"),
        (f"a {X} <{W}, {T3}> {{ c = Conv(x, w) y = Sub(t, c) }}", "Conv"),
        (f"a {X} <{W}, {T3}> {{ c = Conv(x, w) y = Sub(c, t) }}", "Conv"),
        (
            f"a {X} <{W}, {S3}, {T3}, float[3] b = {{1, 2, 3}}>"
            "{ c = Conv(x, w, b) d = Mul(c, s) y = Add(d, t) }",
            "Conv",
        ),
        (
            f"a {X} <{W}, {N3}, {S3}>"
            "{ c = Conv(x, w) d = BatchNormalization(c, g, o, m, v) y = Mul(d, s) }",
            "Conv",
        ),
        # Two groups of two: the channels of the result run through the groups.
        (
            "a (float[batch,4,3] x) => (float[batch,4,k] y) <float[4,2,2] w = {1, 2, 3,"
            "4, 5, 6, 7, 8, -1, -2, -3, -4, 9, 8, 7, 6}, float[4,1] s = {1, 2, 3, 4}>"
            "{ c = ConvTranspose <group = 2> (x, w) y = Mul(c, s) }",
            "ConvTranspose",
        ),
        (
            f"a (float[batch,2,4] x) => (float[batch,3,k] y) <{N3},"
            "float[2,3,2] w = {1, 2, 3, 4, 5, 6, 7, 8, 9, -1, -2, -3}>"
            "{ c = ConvTranspose(x, w) y = BatchNormalization(c, g, o, m, v) }",
            "ConvTranspose",
        ),
        (
            f"a (float[batch,2] x) => (float[batch,3] y) <{N3},"
            "float[1,3] c = {1, 2, 3},"
            "float[3,2] w = {1, 2, 3, 4, 5, 6}>"
            "{ d = Gemm <transB = 1, alpha = 2., beta = 0.5> (x, w, c)"
            "y = BatchNormalization(d, g, o, m, v) }",
            "Gemm",
        ),
        (
            "a (float[batch,2] x) => (float[batch,3] y) <float[3] s = {1, 2, 3},"
            "float[2,3] w = {1, 2, 3, 4, 5, 6}> { d = Gemm(x, w) y = Mul(d, s) }",
            "Gemm",
        ),
        (
            "a (float[batch,5,2] x) => (float[batch,5,3] y) <float[3] s = {1, 2, 3},"
            "float[2,3] w = {1, 2, 3, 4, 5, 6}> { d = MatMul(x, w) y = Mul(d, s) }",
            "MatMul",
        ),
        (
            f"a (float[batch,3,4,5] x) => (float[batch,3,4,5] y) <{N3}, {S3}, {T3}> {{"
            "d = BatchNormalization(x, g, o, m, v) e = Mul(d, s) y = Add(e, t) }",
            "BatchNormalization",
        ),
        # Before a convolution: a scale even where it pads, a shift where it does not.
        (
            f"a {X} <{W}, float[2,1,1] s = {{2, 3}}>"
            "{ d = Mul(x, s) y = Conv <pads = [1,1,1,1]> (d, w) }",
            "Conv",
        ),
        (
            f"a {X} <{W}, float[2,1,1] s = {{2, 3}}, float[3] b = {{1, 2, 3}}>"
            "{ d = Add(x, s) y = Conv(d, w, b) }",
            "Conv",
        ),
        (
            "a (float[batch,4,3] x) => (float[batch,4,k] y) <float[4,2,2] w = {1, 2, 3,"
            "4, 5, 6, 7, 8, -1, -2, -3, -4, 9, 8, 7, 6}, float[4,1] s = {1, 2, 3, 4}>"
            "{ c = Mul(x, s) y = Conv <group = 2> (c, w) }",
            "Conv",
        ),
        (
            "a (float[batch,4,4,5] x) => (float[batch,2,4,5] y)"
            "<float[2,2,1,1] w = {1, 2, 3, 4}, float[4,1,1] s = {2, 3, 5, 7}>"
            "{ d = Add(x, s) y = Conv <group = 2> (d, w) }",
            "Conv",
        ),
    ],
)
def test_folds(text: str, left: str, rewritten: Any) -> None:
    assert rewritten(text, SPEC, 8).ops == [left]


CHAIN = (
    "a (float[batch,4,6,5] x) => (float[batch,2,h,k] y)"
    f"<float[4,1,3,3] v = {{{', '.join(str(n % 7 - 2) for n in range(36))}}},"
    "float[4] a = {1, -2, 3, 0.5}, float[2,2,1,1] w = {1, 2, -3, 4},"
    "float[2] b = {0.25, 5}>"
)


def test_a_bias_goes_through_the_next_convolution(rewritten: Any) -> None:
    text = f"{CHAIN} {{ c = Conv <group = 4, pads = [1,1,1,1]> (x, v, a)"
    found = rewritten(f"{text} y = Conv <group = 2> (c, w, b) }}", SPEC)
    ops = found.model.main.body.block.ops
    first, second = (op for op in ops if op.name == "onnx.Conv")
    assert first.operands[2].owner.name == "onnx.none"
    assert second.operands[2].owner.name == "onnx.Constant"


@pytest.mark.parametrize(
    ("rest", "reason"),
    [
        ("d = Relu(c) y = Conv <group = 2> (d, w, b) }", ""),
        ("y = Conv <group = 2> (c, w) }", "it has no bias"),
        ("d = Conv <group = 2> (c, w, b) e = ReduceSum<keepdims=1>(c) y = Add(d, e) }",
         "the data have other uses"),
        ("y = Conv <group = 2, pads = [1,0,0,0]> (c, w, b) }", "it pads"),
    ],
)  # fmt: skip
def test_a_bias_stays(rest: str, reason: str, rewritten: Any) -> None:
    text = f"{CHAIN} {{ c = Conv <group = 4, pads = [1,1,1,1]> (x, v, a) {rest}"
    found = rewritten(text, SPEC)
    ops = found.model.main.body.block.ops
    first = next(op for op in ops if op.name == "onnx.Conv")
    assert first.operands[2].owner.name == "onnx.Constant"
    assert any(reason in one for one in found.reasons)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            f"a {X} <{W}, {S3}> {{ c = Conv(x, w) d = Mul(c, s) y = Add(d, c) }}",
            "the linear operator's result has other uses",
        ),
        (
            f"a (float[batch,2,4,5] x, float[3,1,1] s) => (float[batch,3,h,k] y) <{W}>"
            "{ c = Conv(x, w) y = Mul(c, s) }",
            "the other operand is not constant",
        ),
        (
            "a (float[batch,2,4,5] x, float[3,2,1,1] w) => (float[batch,3,h,k] y) "
            f"<{S3}> {{ c = Conv(x, w) y = Mul(c, s) }}",
            "the weight is not constant",
        ),
        (
            f"a (float[batch,2,4,5] x, float[3] b) => (float[batch,3,h,k] y)"
            f"<{W}, {S3}>"
            "{ c = Conv(x, w, b) y = Mul(c, s) }",
            "the bias is not constant",
        ),
        (
            f"a {X} <{W}, float[5] s = {{1, 2, 3, 4, 5}}>"
            "{ c = Conv(x, w) y = Mul(c, s) }",
            "the constant varies along another axis than the channels",
        ),
        (
            f"a {X} <{W}, float s = {{0}}> {{ c = Conv(x, w) y = Div(c, s) }}",
            "the constant is not finite, or divides by zero",
        ),
        (
            f"a {X} <{W}, float s = {{1}}> {{ c = Conv(x, w) y = Div(s, c) }}",
            "a constant is divided by it",
        ),
        (
            "a (float[batch,5,2] x) => (float[batch,5,3] y) <float[3] s = {1, 2, 3},"
            "float[2,3] w = {1, 2, 3, 4, 5, 6}> { d = MatMul(x, w) y = Add(d, s) }",
            "MatMul takes no shift",
        ),
        (
            "a (float[1,2,4,5] x) => (float[2,3,h,k] y) "
            "<float[3,2,1,1] w = {1, 2, 3, 4, 5, 6},"
            "float[2,1,1,1] s = {1, 2}> { c = Conv(x, w) y = Mul(c, s) }",
            "the constant varies along another axis than the channels",
        ),
        (
            f"a {X} <{W}, float[2,1,1] s = {{2, 3}}>"
            "{ d = Add(x, s) y = Conv <pads = [1,1,1,1]> (d, w) }",
            "the convolution pads what is shifted",
        ),
        (
            f"a (float[batch,2,4,5] x) => (float[batch,3,h,k] y, float[batch,2,4,5] d) "
            f"<{W}, float[2,1,1] s = {{2, 3}}> {{ d = Mul(x, s) y = Conv(d, w) }}",
            "the scaled or shifted data have other uses",
        ),
    ],
)
def test_declines(text: str, reason: str, rewritten: Any) -> None:
    made = rewritten(text, SPEC, 8)
    assert reason in made.reasons
    assert len(made.ops) >= 2
