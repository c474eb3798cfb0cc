"""``sardonyx quantize``: what it writes, tells, chooses and refuses."""

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
from sardonyx.compiler.quantize.metrics import METRICS, MetricError
from sardonyx.compiler.quantize.plans import SCHEMES
from sardonyx.dialects.quant.numbers import signal_to_noise

ROWS = np.random.default_rng(4).standard_normal((32, 8)).astype(np.float32)


@pytest.fixture(name="data")
def data_fixture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "data.npz"
    np.savez(path, x=ROWS, labels=np.arange(32) % 4)
    return path


def _on_onnxruntime(path: Path, precise: bool) -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    if precise:
        # Without VNNI its products of uint8 by int8 saturate in 16 bits, unless asked.
        options.add_session_config_entry("session.x64quantprecision", "1")
    session = onnxruntime.InferenceSession(str(path), options)
    return session.run(["y"], {"x": ROWS})[0]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_it_writes_onnx_that_runs_the_same(
    scheme: str, sardonyx: Any, mlp: Path, data: Path, tmp_path: Path
) -> None:
    goal = tmp_path / "small.onnx"
    told = sardonyx(
        *(
            "quantize",
            mlp,
            "--scheme",
            scheme,
            "--calibrate",
            data,
            "-o",
            goal,
            "--json",
        )
    )
    assert told.code == 0, told.err
    found = json.loads(told.out)
    codes = [layer["stored"] for layer in found["layers"]]
    # Nobody counted what is 0.
    assert not any("density" in entry for entry in (found, *found["layers"]))
    assert "float32" not in codes
    assert {layer["node"] for layer in found["layers"]} == {"first", "second"}
    onnx.checker.check_model(onnx.load(str(goal)))
    (wanted,) = compile_model(mlp, "numpy", "O0")(x=ROWS)[:1]
    (ours,) = compile_model(goal, "numpy", "O0")(x=ROWS)[:1]
    # It refuses what it makes of QDQ pairs then.
    theirs = _on_onnxruntime(goal, precise=scheme == "w8a8-dynamic")
    assert np.abs(ours - theirs).max() < 0.01
    assert signal_to_noise(ours, wanted) > 10
    assert not np.array_equal(ours, wanted)
    # The spec that it tells gives the same again.
    model = load(mlp)
    run_pipeline(model, found["pipeline"])
    (again,) = compile_model(model, "numpy", "O0")(x=ROWS)[:1]
    np.testing.assert_array_equal(again, ours)


def test_it_writes_an_artifact(
    sardonyx: Any, mlp: Path, data: Path, tmp_path: Path
) -> None:
    goal = tmp_path / "out"
    told = sardonyx(
        *("quantize", mlp, "--scheme", "w8a8-static", "--calibrate", data),
        *("-o", goal, "-b", "numpy"),
    )
    assert told.code == 0, told.err
    assert "int8, axis 1" in told.out
    assert "sardonyx compile" in told.out
    (wanted,) = compile_model(mlp, "numpy", "O0")(x=ROWS)[:1]
    assert signal_to_noise(load_artifact(goal)(x=ROWS)[0], wanted) > 25
    assert (tmp_path / "out.calibration.npz").exists()


def test_a_budget_widens_or_leaves_out(
    sardonyx: Any, mlp: Path, data: Path, tmp_path: Path
) -> None:
    drops = {}
    for scheme, limit in (("w4a16", 1000), ("w4a16", 1), ("w8a8-dynamic", 0.3)):
        told = sardonyx(
            *("quantize", mlp, "--scheme", scheme, "-o", tmp_path / "x.onnx", "--json"),
            *("--max-drop", limit, "--evaluate", data),
        )
        assert told.code == 0, told.err
        budget = json.loads(told.out)["budget"]
        assert budget["drop"] <= limit
        drops[scheme, limit] = budget
    assert drops["w4a16", 1000]["sensitivity"] == {}
    assert drops["w4a16", 1]["widened"]
    assert drops["w4a16", 1]["excluded"] == []
    assert drops["w8a8-dynamic", 0.3]["excluded"]
    ranked = list(drops["w4a16", 1]["sensitivity"].values())
    assert ranked == sorted(ranked, reverse=True)
    assert len(ranked) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--scheme", "w3"], "found scheme 'w3', wanted w8a8-static"),
        (["--scheme", "w8a8-static"], "found no data for this scheme, wanted --cal"),
        (["--scheme", "w8a8-dynamic", "--bits", "4"], "found option 'bits'"),
        (["--scheme", "w4a16", "--bits", "3"], "found bits=3, wanted 2, 4 or 8"),
        (["--scheme", "w4a16", "--max-drop", "1"], "wanted --evaluate FILE"),
        (
            ["--scheme", "w4a16", "--evaluate", "data.npz"],
            "found --evaluate alone, wanted --max-drop PERCENT",
        ),
        (
            [
                *("--scheme", "w4a16", "--max-drop", "1"),
                *("--evaluate", "data.npz", "--metric", "x"),
            ],
            "found metric 'x', wanted error, agreement, accuracy, perplexity",
        ),
    ],
)
def test_refusals(
    arguments: list[str], message: str, sardonyx: Any, mlp: Path, data: Path
) -> None:
    told = sardonyx("quantize", mlp, "-o", "x.onnx", *arguments)
    assert told.code == 2
    assert message in told.err
    assert len(told.err.splitlines()) == 1
    assert not Path("x.onnx").exists()


# --- metrics ---


def test_metrics_are_what_they_say() -> None:
    wanted = (np.float32([[1, 2, 0], [5, 0, 0]]),)
    same = [METRICS[name](wanted, wanted, np.array([1, 0])) for name in METRICS]
    assert same == [0, 0, 0, 0]
    found = (np.float32([[3, 2, 0], [5, 0, 0]]),)
    assert METRICS["agreement"](found, wanted, None) == 50
    assert METRICS["accuracy"](found, wanted, np.array([1, 0])) == 50
    assert METRICS["accuracy"](found, wanted, np.array([0, 0])) == -50
    assert METRICS["error"](found, wanted, None) == pytest.approx(100 * 2 / 30**0.5)
    logits = wanted[0].astype(np.float64)
    chances = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    before = np.exp(-np.log(chances[[0, 1], [1, 0]]).mean())
    logits = found[0].astype(np.float64)
    chances = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    after = np.exp(-np.log(chances[[0, 1], [1, 0]]).mean())
    grown = METRICS["perplexity"](found, wanted, np.array([1, 0]))
    assert grown == pytest.approx(100 * (after / before - 1))


@pytest.mark.parametrize("labels", [None, np.zeros(3, int), np.zeros(2)])
def test_labels_must_fit(labels: Any) -> None:
    scores = (np.zeros((2, 3), np.float32),)
    with pytest.raises(MetricError, match="labels"):
        METRICS["accuracy"](scores, scores, labels)
