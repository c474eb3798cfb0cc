"""Maps as inputs and outputs: Python dicts, printed and compared in one line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from sardonyx.backends.runtime import summary
from sardonyx.compiler.verify import compare


@pytest.fixture(name="zipped")
def zipped_fixture(tmp_path: Path) -> Path:
    """The path of a model that gives a map for each of two rows."""
    node = helper.make_node(
        "ZipMap", ["x"], ["maps"], domain="ai.onnx.ml", classlabels_strings=["a\n", "b"]
    )
    graph = helper.make_graph(
        [node],
        "zipped",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 2])],
        [onnx.ValueInfoProto(name="maps")],
    )
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("ai.onnx.ml", 1)]
    path = tmp_path / "zipped.onnx"
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), path)
    return path


def test_run_prints_one_line(zipped: Path, sardonyx: Callable[..., Any], tmp_path: Any):
    said = sardonyx("run", zipped, "-b", "numpy", "-o", tmp_path / "out")
    assert said.code == 0
    (line,) = [line for line in said.out.splitlines() if line.startswith("output")]
    assert line.startswith("output maps  sequence of 2, the first a map of 2 {'a\\n': ")
    held = json.loads((tmp_path / "out" / "0-maps.json").read_text())
    assert [list(item["map"]) for item in held["sequence"]] == [["a\n", "b"]] * 2
    said = sardonyx("run", zipped, "-b", "numpy", "--json")
    assert len(json.loads(said.out)["outputs"]["maps"]["sequence"]) == 2


def test_verify_compares_maps(zipped: Path, sardonyx: Callable[..., Any]):
    said = sardonyx("verify", zipped, "-b", "numpy")
    assert (said.code, "agrees with onnxruntime" in said.out) == (0, True)


def test_artifact_runs_by_itself(zipped: Path, sardonyx: Callable[..., Any]):
    folder = zipped.parent / "made"
    assert sardonyx("compile", zipped, "-b", "numpy", "-o", folder).code == 0
    said = sardonyx("run", folder)
    assert (said.code, "sequence of 2" in said.out) == (0, True)


def test_jax_leaves_maps_to_numpy(zipped: Path, sardonyx: Callable[..., Any]):
    by_jax = sardonyx("run", zipped, "-b", "jax")
    by_numpy = sardonyx("run", zipped, "-b", "numpy")
    assert by_jax.code == 0
    assert by_jax.out.partition("median")[0] == by_numpy.out.partition("median")[0]


@pytest.mark.parametrize(
    "found", [{"a": np.float32(2)}, {"b": np.float32(1)}, {}, None, [1.0]]
)
def test_comparison_notices(found: Any):
    """Another value, another key, nothing, no map."""
    wanted = {"a": 1.0}
    assert not compare("y", "output", "", found, wanted).ok
    assert compare("y", "output", "", {"a": np.float32(1)}, wanted).ok


def test_summary_of_a_long_map():
    text = summary({key: np.float32(key) for key in range(20)})
    assert text.startswith("map of 20 {0: 0.0, 1: 1.0,")
    assert text.endswith("7: 7.0, ...}")
    assert summary({"k": "v\n"}) == "map of 1 {'k': v\\n}"
    assert summary([]) == "sequence of 0"
