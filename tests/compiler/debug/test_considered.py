"""What -O3 was chosen among, where it is told: in the terminal, files and the page."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from sardonyx.compiler.cost import choose as choosing
from sardonyx.compiler.cost.choose import Chosen, Considered
from sardonyx.compiler.cost.roofline import Prediction
from sardonyx.compiler.debug.considered_table import considered_table, told
from sardonyx.compiler.debug.report import build_report


@pytest.fixture(name="net")
def net_fixture(tmp_path: Path) -> Path:
    """Two products of one input, which may be merged."""
    rng = np.random.default_rng(0)
    nodes = [
        helper.make_node("MatMul", ["x", "p"], ["a"], "a"),
        helper.make_node("MatMul", ["x", "q"], ["b"], "b"),
        helper.make_node("Concat", ["a", "b"], ["y"], "y", axis=1),
    ]
    ends = [
        helper.make_tensor_value_info(n, 1, [8, k]) for n, k in (("x", 9), ("y", 8))
    ]
    weights = [
        numpy_helper.from_array(rng.standard_normal((9, 4)).astype(np.float32), name)
        for name in "pq"
    ]
    graph = helper.make_graph(nodes, "net", ends[:1], ends[1:], weights)
    opsets = [helper.make_opsetid("", 21)]
    onnx.save(
        helper.make_model(graph, opset_imports=opsets, ir_version=10),
        tmp_path / "net.onnx",
    )
    return tmp_path / "net.onnx"


@pytest.fixture(name="merging_pays", autouse=True)
def merging_pays_fixture(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cost model says that a program with merged products takes half the time."""

    def predict(program: Any) -> Prediction:
        seconds = 0.001 if "merge-products" in program.pipeline else 0.002
        return Prediction(seconds, seconds, seconds, seconds, "")

    monkeypatch.setattr(choosing, "predictor", lambda backend: predict)


FOUND = {
    "taken": 1,
    "choices": [
        {"choice": "as -O2", "predicted_ms": 2.0, "reason": ""},
        {"choice": "with merge-products", "predicted_ms": 1.0, "reason": ""},
    ],
}


@pytest.mark.parametrize("refuse", ["--no-refuse-slower", "--refuse-slower"])
def test_compile_tells_it_and_the_manifest_and_the_page_have_it(
    net: Path, tmp_path: Path, sardonyx: Any, refuse: str
) -> None:
    out, page = tmp_path / "out", tmp_path / "net.html"
    options = ("-b", "numpy", "-O3", refuse, "--refuse-budget", "0")
    done = sardonyx("compile", net, "-o", out, *options)
    assert done.code == 0, done.err
    line = "-O3, of 2 pipelines: with merge-products, 1 ms predicted (as -O2 2 ms)"
    assert line in done.out.replace("\n", " ")
    assert "of -O2" not in done.out, "the table is for --statistics"
    manifest = json.loads((out / "manifest.json").read_text("utf-8"))
    assert manifest["considered"] == FOUND
    # What is measured then may undo it.
    measured = refuse == "--refuse-slower"
    assert measured or "merge-products" in manifest["pipeline"]
    done = sardonyx("view", net, "-o", page, "--artifact", out)
    assert done.code == 0, done.err
    assert (
        f'"considered":{json.dumps(FOUND, separators=(",", ":"))}' in page.read_text()
    )


def test_with_statistics_it_is_a_table(
    net: Path, tmp_path: Path, sardonyx: Any
) -> None:
    options = ("-b", "numpy", "-O3", "--no-refuse-slower", "--statistics")
    done = sardonyx("compile", net, "-o", tmp_path / "out", *options)
    rows = [line.split() for line in done.out.splitlines()]
    assert ["with", "merge-products", "1", "0.50"] in rows
    assert ["as", "-O2", "2", "1.00"] in rows


def test_a_level_that_chooses_nothing_tells_nothing(
    net: Path, tmp_path: Path, sardonyx: Any
) -> None:
    done = sardonyx(
        "compile", net, "-o", tmp_path / "out", "-b", "numpy", "--statistics"
    )
    assert "predicted" not in done.out
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text("utf-8"))
    assert "considered" not in manifest


def test_the_report_of_o3_has_the_passes_that_compile_runs(net: Path) -> None:
    content = build_report(net, "O3", backend="numpy")
    assert content["considered"] == FOUND
    assert "merge-products" in content["model"]["pipeline"]
    assert "simplify-algebra" not in content["model"]["pipeline"]
    assert build_report(net, "O2", backend="numpy")["considered"] is None


def test_of_many_the_fastest_are_shown_and_the_first_and_the_chosen() -> None:
    unlike = "unlike what was measured"
    many = [Considered("as -O2", 2e-3, "")]
    many += [Considered(f"with {n}", n * 1e-4, unlike) for n in range(1, 30)]
    chosen = Chosen("spec", tuple(many), 0)
    assert told(chosen.as_json()) == "-O3, of 30 pipelines: as -O2, 2 ms predicted"
    table = considered_table(chosen.as_json())
    names = [*table.columns[0].cells]
    assert names == [*(f"with {n}" for n in range(1, 9)), "as -O2", "and 21 more"]
    assert [*table.columns[3].cells] == [unlike] * 8 + ["", ""]
