"""Every real model, exported: a valid file that means the same to all who read it."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from sardonyx.backends import runtime
from sardonyx.compiler.exporter import export_model
from sardonyx.compiler.importer import import_model
from sardonyx.compiler.inputs import input_specs
from sardonyx.compiler.model import Model
from sardonyx.compiler.pipelines import run_pipeline
from sardonyx.compiler.verify import compare, softmax_logits

LEVELS = ("O0", "O2")
LARGE = 200_000_000
"""Files of more bytes are exported at one level: they differ in size alone."""


def random_inputs(model: Model) -> dict[str, Any]:
    """An array for every input, at sizes that are not 1 where they are free."""
    specs = [spec.entry() for spec in input_specs(model)]
    symbols = dict.fromkeys(
        dim
        for value in model.inputs
        for dim in getattr(getattr(value.type, "encoding", None), "data", ())
        if isinstance(dim, str)
    )
    dims = {name: 2 + 3 * place for place, name in enumerate(symbols)}
    return runtime.random_inputs(specs, dims, seed=0)


def judged_tensors(model: Model) -> list[str]:
    """The outputs, of a softmax its logits: it saturates, and hides what is wrong."""
    logits = softmax_logits(model)
    return [logits.get(value.name, value.name) for value in model.outputs]


def outputs_of(path: Path, x: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """
    What ONNX Runtime gives for the tensors `names` of the file, which it changes.

    It reads the file itself: a large one is not held in memory several times.
    """
    known = {value.name for value in import_model(path).outputs}
    more = onnx.ModelProto()
    more.graph.output.extend(onnx.ValueInfoProto(name=n) for n in {*names} - known)
    with path.open("ab") as file:
        # A protobuf with another behind it is both, merged.
        file.write(more.SerializeToString())
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.graph_optimization_level = level
    session = onnxruntime.InferenceSession(path, options)
    return dict(zip(names, session.run(names, x), strict=True))


def assert_agree(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    for name, array in wanted.items():
        compared = compare(name, "output", "", found[name], array)
        assert compared.ok, compared


def test_export_is_the_model(model: str, path_of: Any, flow_of: Any, tmp_path: Path):
    """Valid to onnx, equal in ONNX Runtime, and the same IR when it is imported."""
    path = path_of(model)
    imported = import_model(path)
    names, x = judged_tensors(imported), random_inputs(imported)
    goal = tmp_path / "model.onnx"
    shutil.copyfile(path, goal)
    wanted = outputs_of(goal, x, names)
    for level in LEVELS[path.stat().st_size > LARGE :]:
        lowered = imported.clone()
        run_pipeline(lowered, level)
        export_model(lowered, goal)
        onnx.checker.check_model(goal, full_check=True)
        assert flow_of(import_model(goal)) == flow_of(lowered)
        assert_agree(outputs_of(goal, x, names), wanted)
    goal.unlink()


@pytest.mark.parametrize("level", LEVELS)
def test_a_changed_weight_is_noticed(
    level: str, path_of: Any, flow_of: Any, tmp_path: Path
):
    """One weight, off by 1 %, and neither the values nor the IR are the same."""
    path = path_of("squeezenet")
    imported = import_model(path)
    names, x = judged_tensors(imported), random_inputs(imported)
    goal = tmp_path / "model.onnx"
    shutil.copyfile(path, goal)
    wanted = outputs_of(goal, x, names)
    run_pipeline(imported, level)
    proto = onnx.load(export_model(imported, goal))
    weight = next(t for t in proto.graph.initializer if len(t.dims) == 4)
    array = onnx.numpy_helper.to_array(weight) * np.float32(1.01)
    weight.CopyFrom(onnx.numpy_helper.from_array(array, weight.name))
    assert flow_of(import_model(proto)) != flow_of(imported)
    onnx.save(proto, goal)
    found = outputs_of(goal, x, names)
    with pytest.raises(AssertionError):
        assert_agree(found, wanted)
