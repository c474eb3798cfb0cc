"""``sardonyx sparsify``: what it writes, tells and refuses."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from sardonyx.compiler import load_artifact
from sardonyx.compiler.driver import compile_model, load
from sardonyx.compiler.pipelines import run_pipeline

ROWS = np.random.default_rng(4).standard_normal((32, 8)).astype(np.float32)


@pytest.fixture(name="data")
def data_fixture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "data.npz"
    np.savez(path, x=ROWS)
    return path


def _on_onnxruntime(path: Path) -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(path), options)
    return session.run(["y"], {"x": ROWS})[0]


def _on_numpy(model: Any) -> Any:
    return compile_model(model, "numpy", "O0")(x=ROWS)[0]


@pytest.mark.parametrize(
    ("method", "pattern", "encode"),
    [
        ("magnitude", "unstructured", "none"),
        ("wanda", "1:2", "bytes"),
        ("sparsegpt", "group-shared", "bytes"),
    ],
)
def test_it_writes_onnx_that_runs_the_same(
    method: str,
    pattern: str,
    encode: str,
    sardonyx: Any,
    mlp: Path,
    data: Path,
    tmp_path: Path,
) -> None:
    goal = tmp_path / "small.onnx"
    told = sardonyx(
        *("sparsify", mlp, "--method", method, "--pattern", pattern, "--group", 4),
        *("--calibrate", data, "--encode", encode, "-o", goal, "--json"),
    )
    assert told.code == 0, told.err
    found = json.loads(told.out)
    assert {layer["node"] for layer in found["layers"]} == {"first", "second"}
    assert found["density"] == pytest.approx(0.5)
    assert all(layer["decibels"] is not None for layer in found["layers"])
    ways = {layer["stored"].partition(" ")[0] for layer in found["layers"]}
    smaller = [
        layer["bytes_after"] < layer["bytes_before"] for layer in found["layers"]
    ]
    assert ways == {"dense"} if encode == "none" else "dense" not in ways
    assert all(smaller) == (encode != "none")
    onnx.checker.check_model(onnx.load(str(goal)))
    ours = _on_numpy(goal)
    np.testing.assert_allclose(ours, _on_onnxruntime(goal), rtol=1e-4, atol=1e-5)
    assert not np.allclose(ours, _on_numpy(mlp))
    # The spec that it tells gives the same again.
    model = load(mlp)
    run_pipeline(model, found["pipeline"])
    np.testing.assert_allclose(_on_numpy(model), ours, rtol=1e-4, atol=1e-5)


def test_it_writes_an_artifact(
    sardonyx: Any, mlp: Path, data: Path, tmp_path: Path
) -> None:
    goal = tmp_path / "out"
    told = sardonyx(
        *("sparsify", mlp, "--sparsity", 0.5, "--pattern", "unstructured"),
        *("--calibrate", data, "-o", goal, "-b", "numpy"),
    )
    assert told.code == 0, told.err
    assert "0.500" in told.out
    assert "of products 50.0% are kept" in told.out
    assert "sardonyx compile" in told.out
    (wanted,) = compile_model(mlp, "numpy", "O0")(x=ROWS)[:1]
    error = np.abs(load_artifact(goal)(x=ROWS)[0] - wanted).max()
    assert 0 < error < np.abs(wanted).max()
    assert (tmp_path / "out.calibration.npz").exists()


@pytest.mark.parametrize(
    ("method", "pattern", "less"),
    [
        ("magnitude", "unstructured", True),
        ("wanda", "group-shared", True),
        ("magnitude", "1:4", False),
    ],
)
def test_a_budget_prunes_less_or_leaves_out(
    method: str, pattern: str, less: bool, sardonyx: Any, mlp: Path, data: Path
) -> None:
    words = ["sparsify", mlp, "--method", method, "--pattern", pattern, "--group", 4]
    words += ["--calibrate", data, "-o", "x.onnx", "--json", "--sparsity", 0.75]
    whole = json.loads(sardonyx(*words, "--max-drop", 1000, "--evaluate", data).out)
    worst = whole["budget"]["drop"]
    assert whole["budget"]["sensitivity"] == {}
    halves = ROWS[:16], ROWS[16:]
    kept: list[float] = []
    for part in (0.7, 0.01):
        told = sardonyx(*words, "--max-drop", part * worst, "--evaluate", data)
        assert told.code == 0, told.err
        found = json.loads(told.out)
        budget = found["budget"]
        # It is what the file that was written gives.
        drop = 100 * float(np.mean([relative(Path("x.onnx"), mlp, x) for x in halves]))
        assert drop == pytest.approx(budget["drop"], rel=1e-3, abs=1e-4)
        assert drop <= part * worst
        assert bool(budget["widened"]) == (less and part == 0.7)
        assert set(budget["sensitivity"]) == {"first", "second"}
        kept.append(found["density"])
        model = load(mlp)
        run_pipeline(model, found["pipeline"])
        np.testing.assert_allclose(
            _on_numpy(model), _on_numpy(Path("x.onnx")), rtol=1e-4, atol=1e-5
        )
    assert whole["density"] < kept[0] <= kept[1] == 1
    assert not less or kept[0] < 1


def relative(found: Path, wanted: Path, x: Any) -> float:
    """``|found - wanted| / |wanted|`` over all outputs."""
    ours, right = (compile_model(path, "numpy", "O0")(x=x) for path in (found, wanted))
    error, size = (
        np.concatenate([array.reshape(-1) for array in arrays])
        for arrays in ([a - b for a, b in zip(ours, right, strict=True)], right)
    )
    return float(np.linalg.norm(error) / np.linalg.norm(size))


def test_a_budget_is_told(sardonyx: Any, mlp: Path, data: Path) -> None:
    told = sardonyx(
        *("sparsify", mlp, "--method", "magnitude", "--pattern", "unstructured"),
        *("--max-drop", 0.01, "--evaluate", data, "-o", "x.onnx"),
    )
    assert told.code == 0, told.err
    assert "error: 0 % worse, allowed 0.01 %" in told.out
    assert "kept: " in told.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--method", "best"], "found method 'best', wanted magnitude, wanda"),
        ([], "found no data for this method, wanted --calibrate FILE"),
        (["--pattern", "csr"], "found pattern 'csr', wanted unstructured, N:M"),
        (["--sparsity", "1"], "found sparsity 1, wanted 0 up to 1"),
        (
            ["--method", "magnitude", "--max-drop", "1"],
            "found --max-drop alone, wanted --evaluate FILE",
        ),
        (
            ["--method", "magnitude", "--evaluate", "data.npz"],
            "found --evaluate alone, wanted --max-drop PERCENT",
        ),
        (["--encode", "x"], "found --encode 'x', wanted none, time, bytes"),
    ],
)
def test_refusals(
    arguments: list[str], message: str, sardonyx: Any, mlp: Path, data: Path
) -> None:
    told = sardonyx("sparsify", mlp, "-o", "x.onnx", *arguments)
    assert told.code == 2
    assert message in told.err
    assert len(told.err.splitlines()) == 1
    assert not Path("x.onnx").exists()
