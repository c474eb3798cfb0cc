"""Static programs take no memory for tensors when they are called again."""

import gc
import tracemalloc
from typing import Any

import numpy as np
import pytest
from onnx import helper
from sardonyx.compiler.driver import compile_model

ROWS, WIDTH = 128, 256
TENSOR = 4 * ROWS * WIDTH
"""The bytes of each tensor of these programs: far more than what Python takes."""


def taken(executable: Any, inputs: dict[str, Any]) -> int:
    """The most that a third call takes at a time, less what it returns."""
    for _ in range(2):
        executable(**inputs)
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        results = executable(**inputs)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    return peak - before - sum(result.nbytes for result in results)


@pytest.fixture(name="layers")
def layers_fixture(model_of: Any, value_info: Any, tensor_proto: Any) -> Any:
    """``layers(rows)``: products, sums, curves and a norm, in tensors of one size."""

    def layers(rows: int | str = ROWS) -> Any:
        rng = np.random.default_rng(0)
        matrix = rng.standard_normal((WIDTH, WIDTH)).astype(np.float32) / 16
        ones = np.ones(WIDTH, np.float32)
        weights = [tensor_proto("w", matrix), tensor_proto("g", ones)]
        nodes = [
            helper.make_node("MatMul", ["x", "w"], ["a"], "first"),
            helper.make_node("Tanh", ["a"], ["b"], "curve"),
            helper.make_node("MatMul", ["b", "w"], ["c"], "second"),
            helper.make_node("Add", ["c", "b"], ["d"], "skip"),
            helper.make_node("LayerNormalization", ["d", "g"], ["e"], "norm"),
            helper.make_node("MatMul", ["e", "w"], ["f"], "third"),
            helper.make_node("Softmax", ["f"], ["s"], "soft"),
            helper.make_node("ReduceMax", ["s"], ["y"], "top"),
        ]
        ends = [value_info("x", [rows, WIDTH])], [value_info("y", None)]
        return model_of(nodes, *ends, weights)

    return layers


X = {"x": np.random.default_rng(1).standard_normal((ROWS, WIDTH)).astype(np.float32)}


def test_a_static_program_takes_none(layers: Any) -> None:
    assert taken(compile_model(layers(), "numpy"), X) < TENSOR // 2


def test_a_program_without_an_arena_takes_some(layers: Any) -> None:
    """What the test above measures is there to be measured."""
    assert taken(compile_model(layers("n"), "numpy"), X) > TENSOR
    assert taken(compile_model(layers(), "numpy", pipeline="O0"), X) > TENSOR
