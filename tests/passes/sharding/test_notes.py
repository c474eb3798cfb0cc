"""What is noted of values goes on to what takes their place, or it is told as lost."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from sardonyx.compiler.driver import compile_model, load
from sardonyx.compiler.model import Model
from sardonyx.compiler.pipelines import run_pipeline
from sardonyx.dialects.sdy import sharding_of
from sardonyx.passes.sharding.lost import noted_in

SHAPE = [8, 16]


def proto(nodes: list[Any], weights: dict[str, Any]) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", 1, SHAPE)],
        [helper.make_tensor_value_info("y", 1, SHAPE)],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    imports = [helper.make_opsetid("", 21)]
    return helper.make_model(graph, opset_imports=imports, ir_version=10)


def of(name: str) -> onnx.ModelProto:
    """A model in which something is replaced; what stands for it gives ``z``."""
    rng = np.random.default_rng(0)
    square = rng.standard_normal((16, 16)).astype(np.float32)
    node = helper.make_node
    last = node("Relu", ["z"], ["y"], "last")
    match name:
        case "fused":
            # x * sigmoid(x) is Swish.
            return proto(
                [
                    node("Sigmoid", ["x"], ["s"], "inner"),
                    node("Mul", ["x", "s"], ["z"], "noted"),
                    last,
                ],
                {},
            )
        case "identity":
            return proto(
                [
                    node("MatMul", ["x", "w"], ["h"], "product"),
                    node("Identity", ["h"], ["z"], "noted"),
                    last,
                ],
                {"w": square},
            )
        case "identity of an input":
            return proto([node("Identity", ["x"], ["z"], "noted"), last], {})
        case "folded":
            return proto(
                [
                    node("MatMul", ["w", "v"], ["c"], "noted"),
                    node("MatMul", ["x", "c"], ["z"], "product"),
                    last,
                ],
                {"w": square, "v": square + 1},
            )
        case _:
            # Products of one input with weights beside each other.
            return proto(
                [
                    node("MatMul", ["x", "w"], ["a"], "first"),
                    node("MatMul", ["x", "v"], ["z"], "noted"),
                    node("Tanh", ["z"], ["t"], "tanh"),
                    node("Add", ["a", "t"], ["y"], "sum"),
                ],
                {"w": square, "v": square + 1},
            )


def held(model: Model) -> list[Any]:
    main = model.main.body.block
    values = [*main.args, *(r for op in main.ops for r in op.results)]
    shardings = [sharding_of(value) for value in values]
    return [s.axes for s in shardings if s is not None and s.used]


@pytest.mark.parametrize(
    "name", ["fused", "identity", "identity of an input", "folded", "beside"]
)
def test_a_note_goes_to_what_takes_the_place(name: str) -> None:
    model = load(of(name))
    # The folded constant is a weight, divided by its columns.
    dims = "_,x" if name == "folded" else "x,_"
    note = f'shard-values{{mesh="x=2" values="noted={dims}"}}'
    passes = "O2,merge-products" if name == "beside" else "O2"
    before = sum(op.name == "onnx.MatMul" for op in model.module.walk())
    runs = run_pipeline(model, f"{note},{passes}")
    after = sum(op.name == "onnx.MatMul" for op in model.module.walk())
    if name in ("folded", "beside"):
        assert after < before
    axes = tuple(() if dim == "_" else ("x",) for dim in dims.split(","))
    assert held(model) == [axes]
    assert [run.lost for run in runs if run.lost] == []
    # What it says is right.
    run_pipeline(model, "propagate-shardings,partition,dce")
    x = np.random.default_rng(1).standard_normal(SHAPE).astype(np.float32)
    (found,) = compile_model(model, "numpy", "O0")(x=x)
    (wanted,) = compile_model(of(name), "numpy", "O0")(x=x)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


def test_what_is_within_a_fusion_is_told() -> None:
    model = load(of("fused"))
    run_pipeline(model, 'shard-values{mesh="x=2" values="inner=x,_"}')
    runs = run_pipeline(model, "O2")
    told = [(run.name, line) for run in runs for line in run.lost]
    assert [line for _, line in told] == [
        "node 'inner' (Sigmoid): its sharding [{\"x\"}, {}]"
    ]
    assert held(model) == []


def test_without_a_mesh_nothing_is_looked_at() -> None:
    model = load(of("fused"))
    assert noted_in(model.module) is None
    assert all(run.lost == () for run in run_pipeline(model, "O2"))


def test_the_commands_tell(sardonyx: Any, tmp_path: Path) -> None:
    onnx.save(of("fused"), tmp_path / "model.onnx")
    spec = 'shard-values{mesh="x=2" values="inner=x,_"},O2'
    told = sardonyx("opt", tmp_path / "model.onnx", "-p", spec)
    assert told.code == 0
    (line,) = told.err.splitlines()
    assert line.endswith(
        "lost shardings: node 'inner' (Sigmoid): its sharding [{\"x\"}, {}]"
    )
    spec += ",propagate-shardings,partition,dce"
    goal = tmp_path / "out"
    words = ["compile", tmp_path / "model.onnx", "-o", goal, "-b", "numpy"]
    assert line in sardonyx(*words, "-p", spec).err
