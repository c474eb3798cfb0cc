"""Every real model, at every level and on both backends, against ONNX Runtime."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from sardonyx.compiler.driver import compile_model
from sardonyx.compiler.importer import import_model
from sardonyx.compiler.model import Model
from sardonyx.compiler.pipelines import run_pipeline
from sardonyx.compiler.text import read_text, write_text
from sardonyx.compiler.verify import verify

BACKENDS = ("numpy", "jax")
LEVELS = ("O0", "O2")
SIZES = [(1, 8), (3, 8), (1, 21), (3, 21)]


def symbols(model: Model) -> list[str]:
    """The free dimensions of a model's inputs, the batch first."""
    names: dict[str, None] = {}
    for value in model.inputs:
        dims = getattr(getattr(value.type, "encoding", None), "data", ())
        names.update(dict.fromkeys(d for d in dims if isinstance(d, str)))
    return list(names)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_agrees_with_onnxruntime(model: str, backend: str, level: str, path_of: Any):
    """At sizes of 1 where a dimension is free; other sizes follow below."""
    path = path_of(model)
    dims = {name: 1 if i == 0 else 16 for i, name in enumerate(symbols_of(path))}
    found = verify(path, backend, level, dims=dims)
    assert found.ok, found.comparisons
    assert found.comparisons[0].kind == "output"


def symbols_of(path: Path) -> list[str]:
    return symbols(import_model(path))


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_free_dimensions(model: str, backend: str, level: str, path_of: Any):
    """One program for all sizes, and one specialized to each, agree with the file."""
    path = path_of(model)
    names = symbols_of(path)
    executable = compile_model(path, backend, level) if names else None
    session = onnxruntime.InferenceSession(path) if names else None
    for sizes in SIZES:
        dims = dict(zip(names, sizes, strict=False))
        if not dims or executable is None or session is None:
            break
        x = executable.random_inputs(dims, seed=sum(sizes))
        wanted = session.run(None, x)
        for a, b in zip(executable(**x), wanted, strict=True):
            a = np.asarray(a)
            assert a.shape == b.shape
            assert np.abs(a - b).max() <= 1e-4 * np.abs(b).max()
        if len(names) > 1:
            assert verify(path, backend, level, dims=dims).ok


def test_text_is_the_model(model: str, path_of: Any, tmp_path: Path):
    """Text, parsed, gives the same text; what was parsed runs bit for bit the same."""
    imported = import_model(path_of(model))
    for level in LEVELS:
        optimized = imported.clone()
        run_pipeline(optimized, level)
        write_text(optimized, tmp_path / "model.mlir")
        parsed = read_text(tmp_path / "model.mlir")
        assert parsed.text() == (tmp_path / "model.mlir").read_text()
        before = compile_model(optimized, "numpy", "O0")
        after = compile_model(parsed, "numpy", "O0")
        x = before.random_inputs()
        for a, b in zip(before(**x), after(**x), strict=True):
            assert a.tobytes() == b.tobytes()


@pytest.mark.parametrize("backend", BACKENDS)
def test_artifact_runs_alone(
    model: str, backend: str, path_of: Any, run_alone: Any, tmp_path: Path
):
    """With the backend's packages alone, from another folder, to the same bits."""
    executable = compile_model(path_of(model), backend)
    folder = executable.save(tmp_path / "artifact")
    x = executable.random_inputs()
    np.savez(tmp_path / "inputs.npz", **{str(i): a for i, a in enumerate(x.values())})
    run_alone(
        backend,
        folder,
        f"""
import importlib.util, os, numpy as np
assert not any(importlib.util.find_spec(n) for n in ("sardonyx", "onnx", "xdsl"))
from model import run
folder = {str(tmp_path)!r}
inputs = np.load(os.path.join(folder, "inputs.npz"))
outputs = run(*(inputs[str(i)] for i in range(len(inputs.files))))
np.savez(os.path.join(folder, "outputs.npz"),
         **{{str(i): np.asarray(y) for i, y in enumerate(outputs)}})
""",
    )
    found = np.load(tmp_path / "outputs.npz")
    for place, wanted in enumerate(executable(**x)):
        assert found[str(place)].tobytes() == np.asarray(wanted).tobytes()


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_changed_weight_is_noticed(backend: str, path_of: Any):
    """One weight, off by 1 %, and verify fails; it passes as the file is."""
    path = path_of("squeezenet")
    changed = onnx.load(path)
    weight = next(t for t in changed.graph.initializer if len(t.dims) == 4)
    array = onnx.numpy_helper.to_array(weight) * np.float32(1.01)
    weight.CopyFrom(onnx.numpy_helper.from_array(array, weight.name))
    assert verify(path, backend, original=path).ok
    found = verify(changed, backend, original=path)
    assert not found.ok
    logits = next(c for c in found.comparisons if c.kind == "logits")
    assert logits.relative > 2 * logits.tolerance
