"""Weights of products by columns and rows, and tokens between them."""

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from sardonyx.compiler.driver import Executable, load, lower
from sardonyx.compiler.pipelines import run_pipeline
from sardonyx.compiler.sharding import Shards, sharded
from sardonyx.passes.sharding.layouts import ShardingError
from sardonyx.passes.sharding.traffic import collectives

PLANS = ["tensor", "tensor-tokens"]


def beside(batch: int | str) -> onnx.ModelProto:
    """``relu(relu(x @ a) @ b + x @ c) @ d``: C is by columns, and its sum with B's."""
    rng = np.random.default_rng(0)
    node = helper.make_node
    nodes = [
        node("MatMul", ["x", "a"], ["p"], "A"),
        node("Relu", ["p"], ["q"]),
        node("MatMul", ["q", "b"], ["y"], "B"),
        node("MatMul", ["x", "c"], ["z"], "C"),
        node("Add", ["y", "z"], ["s"]),
        node("Relu", ["s"], ["t"]),
        node("MatMul", ["t", "d"], ["o"], "D"),
    ]
    weights = [
        numpy_helper.from_array(rng.standard_normal((8, 8)).astype(np.float32), name)
        for name in "abcd"
    ]
    shape = [batch, 4, 8]
    inputs, outputs = (
        [helper.make_tensor_value_info(name, 1, shape)] for name in ("x", "o")
    )
    graph = helper.make_graph(nodes, "graph", inputs, outputs, weights)
    imports = [helper.make_opsetid("", 21)]
    return helper.make_model(graph, opset_imports=imports, ir_version=10)


def declined(runs: Any) -> dict[str, int]:
    (run,) = (run for run in runs if run.name == "shard-tensor")
    return dict(run.journal.reasons())


@pytest.mark.parametrize("plan", PLANS)
def test_a_result_is_divided_once(plan: str) -> None:
    """What B gives is divided by columns already, so not along its tokens."""
    proto = beside(2)
    model = load(proto)
    runs = run_pipeline(model, sharded("cse", Shards(((plan, 2),))))
    x = np.random.default_rng(1).standard_normal((2, 4, 8)).astype(np.float32)
    (found,) = Executable(model, "numpy", "", lower(model, "numpy"))(x=x)
    (wanted,) = ReferenceEvaluator(proto).run(None, {"x": x})
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)
    kinds = [one.kind for one in collectives(model.module)]
    if plan == "tensor":
        assert kinds == ["reduce_scatter", "all_reduce"]
        assert declined(runs) == {}
    else:
        # Only what D gives, the output, is divided along them.
        assert kinds == ["reduce_scatter", "reduce_scatter"]
        assert declined(runs) == {"its result is divided already": 1}


@pytest.mark.parametrize("plan", PLANS)
def test_free_sizes_are_refused(plan: str) -> None:
    model = load(beside("batch"))
    words = r"input 'x': found tensor<\?x4x8xf32.*, wanted known sizes: --dim NAME=N"
    with pytest.raises(ShardingError, match=words):
        run_pipeline(model, sharded("cse", Shards(((plan, 2),))))
    runs = run_pipeline(load(beside("batch")), "shard-tensor{size=2 scatter=true}")
    assert declined(runs) == {"found unknown sizes, wanted fixed ones": 4}
