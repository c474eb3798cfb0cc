"""The benchmarks' page: limits, gaps, and a run that goes on where it stopped."""

import json
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import onnx
import pytest
from onnx import helper


@pytest.fixture(name="scripts")
def scripts_fixture(monkeypatch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    """The two scripts, which import each other by their plain names."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    for name in ("benchmarks", "benchmarks_page"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import benchmarks
    import benchmarks_page

    return {"run": benchmarks, "page": benchmarks_page}


def row(name: str, ms: float, ratio: float | None = None, **given: Any) -> Any:
    return {
        "contender": name,
        "failure": None,
        "median_ms": ms,
        "p10_ms": 0.9 * ms,
        "p90_ms": 1.1 * ms,
        "ratio": ratio,
        "ratio_low": ratio,
        "ratio_high": ratio,
        "agrees": True,
        "cut_by_budget": False,
        "first_result_seconds": 1.5,
        **given,
    }


def model(group: str, peer_ms: float, jax: float, numpy: float, faster: float) -> Any:
    rows = [
        row("onnxruntime", peer_ms, 1.0),
        row("jax", jax * peer_ms, jax),
        row("numpy", numpy * peer_ms, numpy),
    ]
    slow = numpy * peer_ms * faster
    beside = [row("reference", slow, 1.0), row("numpy", slow / faster, 1 / faster)]
    reference = {"ratio_to": "reference", "rows": beside}
    return {
        "group": group,
        "ratio_to": "onnxruntime",
        "rows": rows,
        "reference": reference,
    }


def content(**models: Any) -> dict[str, Any]:
    machine = {
        "processor": "A | B",
        "cores": 2,
        "flags": ["avx2"],
        "memory_bytes": 1 << 34,
        "system": "Linux",
        "python": "3.11",
    }
    versions = {"numpy": "2.0", "openvino": None}
    setting = {"machine": machine, "versions": versions, "threads": 2}
    cold = {"resnet50": {"seconds": [3.0, 3.4], "limit": 4.0}}
    return {"setting": setting, "models": models, "cold": cold, "seconds": 9.0}


def by_name(scripts: Any, found: dict[str, Any]) -> dict[str, Any]:
    return {limit.what: limit for limit in scripts["page"].limits(found)}


def test_limits_are_of_the_models_that_they_name(scripts: Any) -> None:
    found = content(
        a=model("classifier", 10, 1.0, 2.0, 4),
        b=model("classifier", 10, 2.25, 4.5, 9),
        large=model("transformer", 50, 1.1, 1.0, 6),
        small=model("transformer", 1.9, 9.0, 9.0, 1),
        other=model("other", 50, 9.0, 9.0, 1),
    )
    limits = by_name(scripts, found)
    classifiers = limits["JAX / ONNX Runtime, classifiers: geometric mean"]
    assert classifiers.found == pytest.approx(1.5)
    assert (classifiers.models, classifiers.met) == (2, "**no**")
    greatest = limits["JAX / ONNX Runtime, classifiers: the greatest"]
    assert (greatest.found, greatest.met) == (2.25, "**no**")
    speech = "JAX / ONNX Runtime, transformers and speech of 2 ms or more"
    assert limits[f"{speech}: geometric mean"].found == pytest.approx(1.1)
    assert limits[f"{speech}: geometric mean"].met == "yes"
    numpy = "NumPy / ONNX Runtime, the same models"
    assert limits[f"{numpy}: geometric mean"].found == pytest.approx(9 ** (1 / 3))
    assert limits[f"{numpy}: the greatest"].found == 4.5
    faster = limits["onnx.reference / NumPy, geometric mean"]
    assert faster.found == pytest.approx((4 * 9 * 6) ** (1 / 3))
    assert (faster.models, faster.met) == (3, "yes")
    cold = limits["first result of resnet50 with JAX, cold"]
    assert (cold.found, cold.met) == (pytest.approx(3.2), "yes")


def test_goals_are_named_where_they_are_met(scripts: Any) -> None:
    found = content(a=model("classifier", 10, 1.1, 2.0, 5))
    limit = by_name(scripts, found)["JAX / ONNX Runtime, classifiers: geometric mean"]
    assert limit.met == "yes, and the goal"


def test_what_failed_or_is_wrong_counts_in_no_mean(scripts: Any) -> None:
    wrong = model("classifier", 10, 1.0, 1.0, 5)
    wrong["rows"][1]["agrees"] = False
    failed = model("classifier", 10, 1.0, 1.0, 5)
    failed["rows"][1].update(failure="crashed: a | b", ratio=None, median_ms=None)
    gone = {"group": "classifier", "failure": "not there: x.onnx", "rows": []}
    found = content(wrong=wrong, failed=failed, gone=gone)
    limits = by_name(scripts, found)
    jax = limits["JAX / ONNX Runtime, classifiers: geometric mean"]
    assert (jax.found, jax.met) == (None, "not measured")
    page = scripts["page"].benchmarks_page(found, ["wrong", "failed", "gone", "later"])
    assert "1.00 (1.00 - 1.00) WRONG" in page
    assert "- failed, jax: crashed: a \\| b" in page
    assert "- gone: not there: x.onnx" in page
    assert "- not run: later" in page
    assert "A | B, 2 cores, avx2, 16 GiB of memory, Linux" in page
    assert "python 3.11, numpy 2.0\n" in page


@pytest.fixture(name="tiny")
def tiny_fixture(scripts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The script with one small case, and one whose file is not there."""
    run = scripts["run"]
    kind = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "tiny",
        [helper.make_tensor_value_info("x", kind, ["n", 4])],
        [helper.make_tensor_value_info("y", kind, ["n", 4])],
    )
    opsets = [helper.make_opsetid("", 17)]
    proto = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    onnx.save(proto, tmp_path / "tiny.onnx")
    cases = (
        run.Case("tiny 1", "tiny.onnx", "large", "other", {"n": 3}),
        run.Case("gone", "gone.onnx", "large", "other"),
    )
    monkeypatch.setattr(run, "CASES", cases)
    monkeypatch.setattr(run, "COLD", {})
    monkeypatch.setattr(run, "PEERS", ("onnxruntime",))
    monkeypatch.setattr(run, "LEAST_SECONDS", 0.2)
    monkeypatch.setenv("SARDONYX_CACHE", os.environ.get("SARDONYX_CACHE", ""))
    return run


def test_a_run_is_kept_and_goes_on(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, page = tmp_path / "state" / "b.json", tmp_path / "b.md"
    given = ["--large", str(tmp_path), "--light", str(tmp_path), "--budget", "5"]
    given += ["--state", str(state), "-o", str(page), "--threads", "1"]
    tiny.main(given)
    found = json.loads(state.read_text())
    rows = {one["contender"]: one for one in found["models"]["tiny 1"]["rows"]}
    assert list(rows) == ["onnxruntime", "numpy", "jax"]
    assert all(one["agrees"] in (True, None) for one in rows.values())
    assert found["models"]["tiny 1"]["reference"]["ratio_to"] == "reference"
    assert found["models"]["gone"]["failure"].startswith("not there: make_large.py")
    assert "| tiny 1 |" in page.read_text()
    # What is there is not measured again.
    monkeypatch.setattr(tiny, "measured", lambda *_: pytest.fail("measured again"))
    tiny.main([*given, "--resume"])
    with pytest.raises(tiny.SardonyxError, match="found other measurements"):
        tiny.main([*given[:-1], "2", "--resume"])


def test_without_time_nothing_runs(tiny: Any, tmp_path: Path) -> None:
    state = tmp_path / "b.json"
    given = ["--large", str(tmp_path), "--budget", "0", "--state", str(state)]
    tiny.main([*given, "-o", str(tmp_path / "b.md"), "--light", str(tmp_path)])
    found = json.loads(state.read_text())["models"]["tiny 1"]
    assert found["failure"] == "not measured: the budget is spent"


def test_what_is_refused(tiny: Any, tmp_path: Path) -> None:
    with pytest.raises(tiny.SardonyxError, match="found 'nobody', wanted one of: tiny"):
        tiny.main(["--only", "nobody"])
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    with pytest.raises(tiny.SardonyxError, match="cannot be resumed"):
        tiny.main(["--resume", "--state", str(broken)])
