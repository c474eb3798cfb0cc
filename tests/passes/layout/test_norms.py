"""Normalizations along an axis that is not the last, computed where they lie."""

from typing import Any

import onnx
import onnx.parser
import pytest
from sardonyx.compiler.driver import load
from sardonyx.compiler.pipelines import run_pipeline

SPEC = "assign-layout,dce"
PLAIN = ["ReduceMean", "Sub", "Mul", "ReduceMean", "Add", "Sqrt", "Reciprocal", "Mul"]


def text(body: str, given: str = "float[7] w0, float[7] w1") -> str:
    return f"t (float[n,7,5] x, {given}) => (float[n,m,k] y) {{ {body} }}"


@pytest.mark.parametrize(
    ("model", "left"),
    [
        (
            text(
                "t = Transpose<perm = [0, 2, 1]>(x)"
                "u = LayerNormalization<epsilon = 0.1>(t, w0, w1)"
                "y = Transpose<perm = [0, 2, 1]>(u)"
            ),
            [*PLAIN, "Mul", "Add"],
        ),
        (
            # Of the first axis, by a scale that is a row, without a bias.
            text(
                "t = Transpose<perm = [1, 2, 0]>(x)"
                "u = LayerNormalization<axis = 2>(t, w0)"
                "y = Transpose<perm = [2, 0, 1]>(u)",
                "float[1,2] w0",
            ),
            [*PLAIN, "Mul"],
        ),
        (
            text(
                "t = Transpose<perm = [0, 2, 1]>(x)"
                "u = LayerNormalization(t, w0, w1)"
                "y = Transpose<perm = [0, 2, 1]>(u)",
                "float[1] w0, float[1,1,7] w1",
            ),
            [*PLAIN, "Mul", "Add"],
        ),
    ],
)
def test_it_lies_where_it_did(model: str, left: list[str], lowered: Any) -> None:
    found, _ = lowered(model, SPEC)
    assert sorted(found) == sorted(left)


@pytest.mark.parametrize(
    ("body", "given", "reason"),
    [
        (
            "u = LayerNormalization(x, w0) y = Transpose<perm = [0, 2, 1]>(u)",
            "float[5] w0",
            "its tensor is not transposed before",
        ),
        (
            "t = Transpose<perm = [0, 2, 1]>(x) u = LayerNormalization(t, w0)"
            "y = Transpose<perm = [2, 0, 1]>(u)",
            "float[7] w0",
            "the second Transpose does not undo the first",
        ),
        (
            "t = Transpose<perm = [0, 2, 1]>(x)"
            "u = LayerNormalization<axis = 1>(t, w0)"
            "y = Transpose<perm = [0, 2, 1]>(u)",
            "float[5,7] w0",
            "it is along more than one axis",
        ),
        (
            "t = Transpose<perm = [0, 2, 1]>(x) u, m = LayerNormalization(t, w0)"
            "v = Add(u, m) y = Transpose<perm = [0, 2, 1]>(u)",
            "float[7] w0",
            "its mean or its deviation is wanted",
        ),
        (
            "t = Transpose<perm = [0, 2, 1]>(x) u = LayerNormalization(t, w0)"
            "v = Transpose<perm = [0, 2, 1]>(u) s = ReduceSum(u) y = Add(v, s)",
            "float[7] w0",
            "what it gives has other uses",
        ),
        (
            "t = Transpose<perm = [0, 2, 1]>(x) u = LayerNormalization(t, w0)"
            "y = Transpose<perm = [0, 2, 1]>(u)",
            "float[5,7] w0",
            "its scale or its bias is no constant vector",
        ),
    ],
)
def test_what_stays(body: str, given: str, reason: str, lowered: Any) -> None:
    found, reasons = lowered(text(body, given), SPEC)
    assert "LayerNormalization" in found
    assert reason in str(reasons)


def test_what_is_rounded_in_between_stays() -> None:
    proto = onnx.parser.parse_model(
        '<ir_version: 9, opset_import: ["": 18]>'
        "t (float16[2,7,5] x, float16[7] w) => (float16[2,7,5] y) {"
        "t = Transpose<perm = [0, 2, 1]>(x) u = LayerNormalization(t, w)"
        "y = Transpose<perm = [0, 2, 1]>(u) }"
    )
    model = load(proto)
    (run,) = run_pipeline(model, "assign-layout")
    assert "its elements are rounded in between" in str(run.journal.reasons())
