"""Two steps with constants become one, and equal weights one weight."""

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from sardonyx.compiler.driver import load
from sardonyx.compiler.pipelines import run_pipeline

SPEC = "merge-constants,dce"
X = "(float[batch,4] x) => (float[batch,4] y)"
C = "float[4] a = {1, 2, 3, 4}, float b = {0.5}, float[1,4] c = {4, 3, 2, 1}"


@pytest.mark.parametrize(
    ("steps", "left"),
    [
        ("d = Add(x, a) y = Add(b, d)", ["Add"]),
        ("d = Sub(x, a) y = Add(d, c)", ["Add"]),
        ("d = Sub(x, a) y = Sub(d, b)", ["Add"]),
        ("d = Mul(a, x) y = Mul(d, c)", ["Mul"]),
        ("d = Div(x, a) y = Mul(d, b)", ["Mul"]),
        ("d = Div(x, a) y = Div(d, b)", ["Mul"]),
        ("d = Mul(x, a) e = Mul(d, b) y = Mul(e, c)", ["Mul"]),
    ],
)
def test_merges(steps: str, left: list[str], rewritten: Any) -> None:
    assert rewritten(f"g {X} <{C}> {{ {steps} }}", SPEC).ops == left


def test_integers_merge_exactly(rewritten: Any) -> None:
    text = (
        "g (int32[batch,4] x) => (int32[batch,4] y) <int32 a = {2147483647},"
        "int32 b = {2147483647}> { d = Add(x, a) y = Add(d, b) }"
    )
    assert rewritten(text, SPEC).ops == ["Add"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            f"g {X} <{C}> {{ d = Add(x, a) e = Add(d, b) y = Add(d, e) }}",
            "the first step's result has other uses",
        ),
        (
            "g (int32[batch,4] x) => (int32[batch,4] y) <int32 a = {3}, int32 b = {2}>"
            "{ d = Div(x, b) y = Mul(d, a) }",
            "quotients of integers and narrow floats are rounded",
        ),
        (
            "g (float[4] x) => (float[1,4] y) <float[1,4] a = {1, 2, 3, 4},"
            "float b = {2}>"
            "{ d = Add(x, a) y = Add(d, b) }",
            "a constant has a higher rank than what it is applied to",
        ),
        (
            f"g {X} <float a = {{1e20}}, float b = {{1e15}}>"
            "{ d = Mul(x, a) y = Mul(d, b) }",
            "the constants give no finite number together",
        ),
        (
            f"g {X} <{C}> {{ d = Add(x, x) y = Add(d, b) }}",
            "the first step is not with a small constant",
        ),
        (
            f"g {X} <{C}> {{ d = Add(x, a) y = Mul(d, b) }}",
            "it follows no step of its kind",
        ),
    ],
)
def test_declines(text: str, reason: str, rewritten: Any) -> None:
    made = rewritten(text, SPEC)
    assert reason in made.reasons
    assert len(made.ops) >= 2


def test_equal_weights_become_one() -> None:
    array = np.arange(32, dtype=np.float32).reshape(4, 8)
    other = array.copy()
    other[-1, -1] = 0
    weights = {"a": array, "b": array.copy(), "c": other, "d": array.view(np.int32)}
    tensors = [numpy_helper.from_array(v, name) for name, v in weights.items()]
    nodes = [helper.make_node("Add", ["x", name], [name + "y"]) for name in "abc"]
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        [*nodes, helper.make_node("Cast", ["d"], ["dy"], to=TensorProto.FLOAT)],
        "equal",
        [info("x", TensorProto.FLOAT, [4, 8])],
        [info(name + "y", TensorProto.FLOAT, [4, 8]) for name in "abcd"],
        tensors,
    )
    model = load(
        helper.make_model(graph, opset_imports=[onnx.OperatorSetIdProto(version=18)])
    )
    (run, _, _) = run_pipeline(model, "merge-constants,cse,dce")
    assert [one.pattern for one in run.journal.rewrites] == ["equal-weights"]
    held = {
        op.properties["value"].data
        for op in model.module.walk()
        if op.name == "onnx.Constant"
    }
    assert held == {"a", "c", "d"}
    assert [op.name for op in model.module.walk()].count("onnx.Add") == 2
