"""A model of one sample, run on a batch of them: against the samples one by one."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper
from onnx.reference import ReferenceEvaluator
from sardonyx.backends.program import LoweringError
from sardonyx.compiler import compile_model, load_artifact


def draw(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.fixture(name="single")
def single_fixture(model_of: Any, value_info: Any, tensor_proto: Any) -> Any:
    """
    A convolution of one image, a choice by its sum, and a table looked up by 64-bit
    ids; the second output does not depend on the inputs.
    """
    branches = [
        helper.make_graph(
            [helper.make_node(kind, ["features"], [f"{kind}_out"])],
            kind,
            [],
            [value_info(f"{kind}_out", [1, 3, 4, 4])],
        )
        for kind in ("Relu", "Neg")
    ]
    nodes = [
        helper.make_node("Conv", ["image", "filter"], ["features"]),
        helper.make_node("ReduceSum", ["features"], ["total"], keepdims=0),
        helper.make_node("Greater", ["total", "zero"], ["positive"]),
        helper.make_node(
            "If",
            ["positive"],
            ["chosen"],
            then_branch=branches[0],
            else_branch=branches[1],
        ),
        helper.make_node("Neg", ["zero"], ["same"]),
        helper.make_node("Gather", ["table", "ids"], ["rows"]),
    ]
    inputs = [value_info("image", [1, 2, 6, 6]), value_info("ids", [5], "INT64")]
    outputs = [
        value_info("chosen", [1, 3, 4, 4]),
        value_info("same", []),
        value_info("rows", [5], "INT64"),
    ]
    weights = [
        tensor_proto("filter", draw(3, 2, 3, 3)),
        tensor_proto("zero", np.float32(0)),
        tensor_proto("table", np.arange(7) * 2**40),
    ]
    return model_of(nodes, inputs, outputs, weights, name="single")


def one_by_one(proto: onnx.ModelProto, images: Any, ids: Any) -> list[Any]:
    """ONNX's reference evaluator on every sample; the results stacked."""
    evaluator = ReferenceEvaluator(proto)
    each = [
        evaluator.run(None, {"image": image, "ids": rows})
        for image, rows in zip(images, ids, strict=True)
    ]
    return [np.stack(results) for results in zip(*each, strict=True)]


def test_a_batch_is_its_samples(
    single: onnx.ModelProto, tmp_path: Path, assert_close: Any
) -> None:
    executable = compile_model(single, "jax", vmap=True)
    assert [str(spec) for spec in (*executable.inputs, *executable.outputs)] == [
        "image: float32[batch, 1, 2, 6, 6]",
        "ids: int64[batch, 5]",
        "chosen: float32[batch, 1, 3, 4, 4]",
        "same: float32[batch]",
        "rows: int64[batch, 5]",
    ]
    artifact = load_artifact(executable.save(tmp_path / "out"))
    images = draw(3, 1, 2, 6, 6)
    images = np.concatenate([images, -images])
    ids = np.random.default_rng(1).integers(0, 7, (6, 5))
    wanted = one_by_one(single, images, ids)
    rectified = [bool((result >= 0).all()) for result in wanted[0]]
    assert rectified.count(True) == 3, "both branches are taken"
    for run in (executable, artifact):
        for count in (6, 1):
            found = run(images[:count], ids=ids[:count])
            for one, other in zip(found, wanted, strict=True):
                assert_close(one, other[:count], 4)
        with pytest.raises(ValueError, match=r"\[batch, 5\] with batch=6"):
            run(images, ids[:5])
    drawn = artifact.random_inputs({"batch": 3})
    assert [array.shape for array in drawn.values()] == [(3, 1, 2, 6, 6), (3, 5)]
    assert drawn["ids"].max() < 7


def test_the_pure_function_is_the_mapped_one(single: onnx.ModelProto) -> None:
    executable = compile_model(single, "jax", vmap=True)
    images, ids = draw(2, 1, 2, 6, 6), np.zeros((2, 5), np.int32)
    chosen, *_ = executable.function(executable.params, images, ids)
    assert chosen.shape == (2, 1, 3, 4, 4)
    assert "forward = jax.vmap(forward, in_axes=(None, 0, 0))" in executable.source


def test_a_free_batch_keeps_its_name(mlp: Path, mlp_proto: onnx.ModelProto) -> None:
    executable = compile_model(mlp, "jax", vmap=True)
    assert str(executable.inputs[0]) == "x: float32[batch_1, batch, 8]"
    x = draw(3, 2, 8)
    found = executable(x)
    for row, sample in enumerate(x):
        wanted = ReferenceEvaluator(mlp_proto).run(None, {"x": sample})
        np.testing.assert_allclose(found[0][row], wanted[0], rtol=1e-5)


def test_the_command(mlp: Path, tmp_path: Path, sardonyx: Any) -> None:
    fixed = ("compile", mlp, "--dim", "batch=1", "-o", tmp_path / "out", "--vmap")
    said = sardonyx(*fixed, "--export-stablehlo")
    assert said.code == 0, said.err
    assert "x: float32[batch, 1, 8]" in said.out
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["dims"] == ["batch"]
    x = draw(4, 1, 8)
    (y, _) = load_artifact(tmp_path / "out")(x)
    (wanted, _) = compile_model(mlp, "jax")(x[:, 0])
    np.testing.assert_allclose(np.asarray(y)[:, 0], wanted, rtol=1e-5)


# --- refusals ---


def test_other_backends_are_refused(mlp: Path, tmp_path: Path, sardonyx: Any) -> None:
    with pytest.raises(LoweringError, match="vmap: found backend 'numpy'"):
        compile_model(mlp, "numpy", vmap=True)
    said = sardonyx("compile", mlp, "-b", "numpy", "--vmap", "-o", tmp_path / "out")
    assert said.code == 2
    assert said.err.count("\n") == 1


def test_without_an_input_there_is_nothing_to_map(
    model_of: Any, value_info: Any, tensor_proto: Any
) -> None:
    node = helper.make_node("Neg", ["one"], ["y"])
    weights = [tensor_proto("one", np.float32(1))]
    model = model_of([node], [], [value_info("y", [])], weights)
    with pytest.raises(LoweringError, match="found no inputs, wanted one"):
        compile_model(model, "jax", vmap=True)


def test_an_input_of_unknown_rank_is_refused(model_of: Any, value_info: Any) -> None:
    node = helper.make_node("Neg", ["x"], ["y"])
    model = model_of([node], [value_info("x", None)], [value_info("y", None)])
    with pytest.raises(LoweringError, match="input 'x': found no rank"):
        compile_model(model, "jax", vmap=True)
    with pytest.raises(LoweringError, match="input 'x' has no known rank"):
        compile_model(model, "jax").exported()
