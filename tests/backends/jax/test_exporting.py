"""``jax.export``: StableHLO that runs where neither we nor ONNX are installed."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import onnx
import pytest
from jax import export
from onnx import helper
from onnx.reference import ReferenceEvaluator
from sardonyx.backends.program import LoweringError
from sardonyx.compiler import compile_model, load_artifact
from sardonyx.compiler.artifact import FILES, ArtifactError

# What a user with JAX and the manifest does; of us, nothing can be imported.
READER = """
import json, sys
sys.modules.update(dict.fromkeys(("sardonyx", "onnx", "xdsl")))
from pathlib import Path
import jax, numpy as np
from jax import export
from safetensors.numpy import load_file
folder = Path(sys.argv[1])
said = json.loads((folder / "manifest.json").read_text())["stablehlo"]
held = load_file(folder / "weights.safetensors")
weights = {key: held[key] for key in said["weights"]}
program = export.deserialize(bytearray((folder / "model.stablehlo").read_bytes()))
assert program.calling_convention_version == said["calling_convention_version"]
inputs = np.load(folder.parent / "inputs.npz")
with jax.enable_x64(True):
    results = program.call(weights, *(inputs[name] for name in inputs.files))
np.savez(folder.parent / "results.npz", *map(np.asarray, results))
"""


def elsewhere(folder: Path, inputs: dict[str, Any]) -> list[Any]:
    """What the exported program in `folder` gives in a process without us."""
    np.savez(folder.parent / "inputs.npz", **inputs)
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", READER, str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    results = np.load(folder.parent / "results.npz")
    return [results[name] for name in results.files]


def attention(value_info: Any, model_of: Any) -> onnx.ModelProto:
    """``scores = q @ k.T`` on a past of free length, and 64-bit ids shifted."""
    nodes = [
        helper.make_node("Concat", ["past", "new"], ["keys"], axis=1),
        helper.make_node("Transpose", ["keys"], ["turned"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["new", "turned"], ["scores"]),
        helper.make_node("Add", ["scores", "mask"], ["masked"]),
        helper.make_node("Mul", ["ids", "ids"], ["squares"]),
    ]
    inputs = [
        value_info("past", ["batch size", "past", 4]),
        value_info("new", ["batch size", "seq", 4]),
        value_info("mask", ["seq", "past + seq"]),
        value_info("ids", ["batch size"], "INT64"),
    ]
    outputs = [
        value_info("masked", ["batch size", "seq", "past + seq"]),
        value_info("squares", ["batch size"], "INT64"),
    ]
    return model_of(nodes, inputs, outputs, name="attention")


def drawn(batch: int, past: int, seq: int) -> dict[str, Any]:
    rng = np.random.default_rng(batch)
    shapes = {"past": (batch, past, 4), "new": (batch, seq, 4)}
    shapes["mask"] = (seq, past + seq)
    arrays = {n: rng.standard_normal(s).astype(np.float32) for n, s in shapes.items()}
    return {**arrays, "ids": np.arange(batch) + 2**31}


def test_it_runs_without_us_at_every_size(
    model_of: Any, value_info: Any, assert_close: Any
) -> None:
    proto = attention(value_info, model_of)
    executable = compile_model(proto, "jax")
    # Twice through bytes, as in a file.
    program = export.deserialize(executable.exported().serialize())
    assert program.platforms == ("cpu", "cuda", "tpu")
    assert [str(aval.shape) for aval in program.in_avals] == [
        "(size_0, past, 4)",
        "(size_0, seq, 4)",
        "(seq, seq + past)",
        "(size_0,)",
    ]
    for sizes in ((2, 3, 1), (1, 5, 4)):
        arrays = drawn(*sizes)
        wanted = ReferenceEvaluator(proto).run(None, arrays)
        with jax.enable_x64(True):
            found = program.call({}, *arrays.values())
        for one, other in zip(found, wanted, strict=True):
            assert_close(one, other)
        assert np.asarray(found[1]).dtype == np.int64
        assert int(found[1][0]) == 2**62
    # JAX narrows silently what it computes; it does not call a wider program so.
    with pytest.raises(ValueError, match="expected int64 and called with int32"):
        program.call({}, *drawn(2, 3, 1).values())


def test_the_artifact_has_it(mlp: Path, tmp_path: Path, sardonyx: Any) -> None:
    folder = tmp_path / "out"
    said = sardonyx("compile", mlp, "-o", folder, "--export-stablehlo")
    assert said.code == 0, said.err
    assert sorted(os.listdir(folder)) == sorted([*FILES, "model.stablehlo"])
    manifest = json.loads((folder / "manifest.json").read_text())
    program = compile_model(mlp, "jax").exported()
    assert manifest["stablehlo"] == {
        "calling_convention_version": program.calling_convention_version,
        "platforms": ["cpu", "cuda", "tpu"],
        "weights": sorted(compile_model(mlp, "jax").program.weights),
    }
    assert program.calling_convention_version >= 9
    artifact = load_artifact(folder)
    x = np.random.default_rng(0).standard_normal((3, 8)).astype(np.float32)
    for one, other in zip(elsewhere(folder, {"x": x}), artifact(x), strict=True):
        assert one.tobytes() == np.asarray(other).tobytes()
    # It is one of the artifact's files: replaced with it, and not to be edited.
    with (folder / "model.stablehlo").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(ArtifactError, match=r"model\.stablehlo was changed"):
        load_artifact(folder)
    assert sardonyx("compile", mlp, "-o", folder).code == 0
    assert "model.stablehlo" not in os.listdir(folder)
    assert "stablehlo" not in load_artifact(folder).manifest


# --- what cannot be exported ---


def grid(value_info: Any, model_of: Any, tensor_proto: Any) -> onnx.ModelProto:
    """Rows of four, of as many numbers as come: not every number of them fits."""
    node = helper.make_node("Reshape", ["x", "shape"], ["y"], name="rows")
    shape = tensor_proto("shape", np.array([-1, 4]))
    infos = [value_info("x", ["n"])], [value_info("y", ["rows", 4])]
    return model_of([node], *infos, [shape])


def test_sizes_that_jax_cannot_leave_free_are_refused(
    model_of: Any, value_info: Any, tensor_proto: Any, tmp_path: Path, sardonyx: Any
) -> None:
    proto = grid(value_info, model_of, tensor_proto)
    with pytest.raises(LoweringError, match="--dim n=N") as refused:
        compile_model(proto, "jax").exported()
    assert "\n" not in str(refused.value)
    path = tmp_path / "grid.onnx"
    onnx.save(proto, path)
    command = ("compile", path, "-o", tmp_path / "out", "--export-stablehlo")
    said = sardonyx(*command)
    assert said.code == 2
    assert "--dim n=N" in said.err
    assert not (tmp_path / "out").exists()
    assert sardonyx(*command, "--dim", "n=8").code == 0
    x = np.arange(8, dtype=np.float32)
    (found,) = elsewhere(tmp_path / "out", {"x": x})
    assert np.array_equal(found, x.reshape(2, 4))


def test_other_backends_and_platforms_are_refused(mlp: Path, tmp_path: Path) -> None:
    with pytest.raises(LoweringError, match="found backend 'numpy', wanted 'jax'"):
        compile_model(mlp, "numpy").exported()
    with pytest.raises(LoweringError, match="wanted 'jax'"):
        compile_model(mlp, "numpy").save(tmp_path / "out", stablehlo=True)
    assert not (tmp_path / "out").exists()
    with pytest.raises(LoweringError, match="found platform 'abacus', wanted cpu"):
        compile_model(mlp, "jax").exported(["abacus"])
