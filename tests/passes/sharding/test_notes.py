"""What is noted of values goes on to what takes their place, or it is told as lost."""

import json
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
from sardonyx.passes.sharding.lost import lost, noted_in

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


def dead_chain() -> Model:
    """A model whose nodes 'first' and 'second', noted both, give nothing."""
    node = helper.make_node
    model = load(
        proto(
            [
                node("Sigmoid", ["x"], ["s"], "first"),
                node("Tanh", ["s"], ["t"], "second"),
                node("Relu", ["x"], ["y"], "last"),
            ],
            {},
        )
    )
    notes = 'mesh="x=2" values="first=x,_","second=x,_","last=x,_"'
    run_pipeline(model, f"shard-values{{{notes}}}")
    return model


def test_what_nothing_depends_on_is_not_lost() -> None:
    model = dead_chain()
    assert [str(one) for one in noted_in(model.module) or ()] == [
        "node 'last' (Relu): its sharding [{\"x\"}, {}]"
    ]
    (run,) = run_pipeline(model, "dce")
    assert run.ops_after < run.ops_before
    assert run.lost == ()


def test_what_a_pass_leaves_dead_is_lost_there() -> None:
    model = dead_chain()
    ops = {op.name: op for op in model.main.body.block.ops}
    ops["onnx.Relu"].operands[0] = ops["onnx.Tanh"].results[0]
    before = noted_in(model.module)
    assert before is not None
    assert [one.called for one in before] == [
        "node 'first' (Sigmoid)",
        "node 'second' (Tanh)",
        "node 'last' (Relu)",
    ]
    ops["onnx.Relu"].operands[0] = model.main.body.block.args[0]
    assert [one.op for one in lost(before, model.module)] == [
        ops["onnx.Sigmoid"],
        ops["onnx.Tanh"],
    ]
    (run,) = run_pipeline(model, "dce")
    assert run.lost == ()


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


def test_verify_and_view_tell(sardonyx: Any, tmp_path: Path) -> None:
    noted = tmp_path / "noted.onnx"
    onnx.save(of("fused"), tmp_path / "model.onnx")
    spec = 'shard-values{mesh="x=2" values="inner=x,_"}'
    words = ["opt", tmp_path / "model.onnx", "-p", spec, "-o", noted]
    assert sardonyx(*words).code == 0
    rest = [noted, "-b", "numpy", "--shard", "model"]
    line = "lost shardings: node 'inner' (Sigmoid): its sharding [{\"x\"}, {}]"
    done = sardonyx("verify", *rest, "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["ok"]
    assert done.err.count(line) == len(done.err.splitlines()) == 1
    rates = ["--peak-gflops", 1, "--bandwidth", 1]
    done = sardonyx("view", *rest, "-o", tmp_path / "page.html", *rates)
    assert done.code == 0, done.err
    assert done.err.count(line) == len(done.err.splitlines()) == 1


def test_statistics_have_them(sardonyx: Any, tmp_path: Path) -> None:
    onnx.save(of("fused"), tmp_path / "model.onnx")
    spec = 'shard-values{mesh="x=2" values="inner=x,_"},O2'
    words = ["opt", tmp_path / "model.onnx", "-p", spec, "--statistics", "--json"]
    entries = json.loads(sardonyx(*words).err)
    told = [line for entry in entries for line in entry["lost"]]
    assert told == ["node 'inner' (Sigmoid): its sharding [{\"x\"}, {}]"]
