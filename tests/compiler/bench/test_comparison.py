"""One model in several contenders: who took part, who was right, at what threads."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from sardonyx.compiler.bench import contenders
from sardonyx.compiler.bench.comparison import (
    Contest,
    Entry,
    ModelResult,
    Row,
    bench_model,
    mean_ratios,
    measure,
)
from sardonyx.compiler.bench.contenders import PEERS, absence, artifact, peer
from sardonyx.compiler.bench.judge import Judge
from sardonyx.compiler.bench.machine import distinct_cores
from sardonyx.compiler.bench.protocol import Plan, Ratio
from sardonyx.compiler.driver import compile_model
from sardonyx.compiler.importer import import_model
from sardonyx.compiler.verify import softmax_logits
from sardonyx.dialects.errors import SardonyxError

QUICK = Plan(rounds=2, calls=6, dropped=2, block_seconds=0)
THERE = [name for name in PEERS if absence(name) is None]


def scaled(proto: onnx.ModelProto, weight: str, factor: float) -> onnx.ModelProto:
    """A copy of `proto` whose `weight` is multiplied."""
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    for held in copy.graph.initializer:
        if held.name == weight:
            array = numpy_helper.to_array(held) * np.float32(factor)
            held.CopyFrom(numpy_helper.from_array(array, weight))
    return copy


def quick(**given: Any) -> Contest:
    return Contest(**{"plan": QUICK, "backends": ("numpy",), "peers": (), **given})


# --- everyone ---


def test_everyone_who_is_there_agrees_at_the_threads_asked_for(mlp: Path) -> None:
    contest = quick(
        backends=("numpy", "jax"), peers=PEERS, dims={"batch": 3}, threads=1
    )
    found = bench_model(mlp, contest)
    rows = {row.contender: row for row in found.rows}
    assert list(rows) == [*THERE, "numpy", "jax"]
    assert found.ok
    assert found.inputs == (("x", "float32", (3, 8)),)
    assert (found.peer, found.judge) == (THERE[0], THERE[0])
    for name, row in rows.items():
        assert row.failure is None, name
        assert row.summary is not None
        assert 0 < row.summary.p10_seconds <= row.summary.median_seconds
        assert row.ratio is not None
        assert (row.rounds, row.calls, row.dropped, row.cut) == (2, 6, 2, False)
        assert row.peak_bytes is not None
        assert row.peak_bytes > 2**20
        if name != found.judge:
            assert row.agrees
            assert row.error is not None
            assert row.error <= 1e-4
        assert row.started is not None
        assert row.started.affinity == 1
        assert row.started.pool in (1, None)
    assert rows["numpy"].started.os_threads == 1
    assert rows["jax"].started.pool == 1
    assert rows["onnxruntime"].started.pool == 1


def test_more_threads_are_given(mlp: Path) -> None:
    cores = min(2, len(distinct_cores()))
    contest = quick(peers=("onnxruntime",), backends=("numpy",), threads=cores)
    theirs, ours = (row.started for row in bench_model(mlp, contest).rows)
    assert theirs.affinity == ours.affinity == cores
    assert theirs.pool == cores
    assert ours.os_threads == cores


# --- who is missing, who fails ---


def test_a_missing_peer_is_said(mlp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(contenders.PACKAGES, "openvino", "no_such_package")
    contest = quick(peers=("openvino", "reference"))
    line = "openvino: not installed: pip install no_such_package"
    assert contest.absent == [line]
    found = bench_model(mlp, contest)
    assert [row.contender for row in found.rows] == ["reference", "numpy"]
    assert found.peer == "reference"


def test_whoever_fails_has_its_reason(
    mlp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # jaxlib reads it when it is imported; NumPy has no use for it.
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", "none")
    contest = quick(backends=("jax", "numpy"), peers=("reference",))
    found = bench_model(mlp, contest)
    rows = {row.contender: row for row in found.rows}
    assert rows["numpy"].failure is None
    assert rows["numpy"].agrees
    assert rows["jax"].failure is not None
    assert rows["jax"].summary is None
    assert not found.ok


def test_a_peer_that_fails_has_its_reason(mlp: Path) -> None:
    entries = [
        Entry("onnxruntime", peer("onnxruntime", mlp.with_name("gone.onnx"), {})),
        Entry("reference", peer("reference", mlp, {})),
    ]
    arrays = {"x": np.zeros((1, 8), np.float32)}
    bad, good = measure(entries, arrays, plan=QUICK)
    assert bad.timing.failure is not None
    assert "gone.onnx" in bad.timing.failure
    assert good.outputs is not None


def test_a_model_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"none")
    with pytest.raises(SardonyxError):
        bench_model(tmp_path / "m.onnx", quick())


# --- who is right ---


def test_a_fast_wrong_answer_is_noticed(
    tmp_path: Path, mlp: Path, mlp_proto: onnx.ModelProto
) -> None:
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    compile_model(mlp_proto, "numpy").save(right)
    compile_model(scaled(mlp_proto, "w", 1.01), "numpy").save(wrong)
    contest = quick(backends=(), peers=("reference",), artifacts=(right, wrong))
    found = bench_model(mlp, contest)
    rows = {row.contender: row for row in found.rows}
    assert rows[f"{right}/"].agrees
    assert rows[f"{wrong}/"].agrees is False
    assert rows[f"{wrong}/"].error > rows[f"{wrong}/"].tolerance
    assert not found.ok


def test_two_artifacts_stand_beside_each_other(
    tmp_path: Path, mlp_proto: onnx.ModelProto
) -> None:
    """What a tuner needs: two variants of a model, and nothing else."""
    for level in ("O0", "O2"):
        compile_model(mlp_proto, "numpy", level).save(tmp_path / level)
    entries = [Entry(name, artifact(tmp_path / name)) for name in ("O0", "O2")]
    x = np.random.default_rng(0).standard_normal((4, 8)).astype(np.float32)
    found = measure(entries, {"x": x}, plan=QUICK)
    assert [m.timing.name for m in found] == ["O0", "O2"]
    for one in found:
        assert one.timing.failure is None
        assert len(one.timing.blocks) == 2
        wanted = compile_model(mlp_proto, "numpy")(x)
        for a, b in zip(one.outputs or (), wanted, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


Judging = Callable[[float], Judge]


@pytest.fixture(name="judging")
def judging_fixture(tmp_path: Path, mlp_proto: onnx.ModelProto) -> Judging:
    """``judging(factor)``: the judge of the small network, its logits multiplied."""

    def judging(factor: float) -> Judge:
        path = tmp_path / "scaled.onnx"
        onnx.save(scaled(mlp_proto, "v", factor), path)
        logits = softmax_logits(import_model(path))
        assert logits == {"y": "logits"}
        x = np.ones((1, 8), np.float32)
        return Judge(path, {"x": x}, ["y", "hidden"], logits, 60)

    return judging


@pytest.mark.parametrize(("factor", "agrees"), [(1.0, False), (100.0, True)])
def test_a_saturated_softmax_is_judged_by_its_logits(
    judging: Judging, factor: float, agrees: bool
) -> None:
    """1e-2 of a softmax is a mismatch, unless its logits are in the hundreds."""
    y, hidden = np.float32([[0.25, 0.75]]), np.float32([[3.0]])
    found = judging(factor).worst([y * np.float32(1.01), hidden], [y, hidden])
    assert found.ok is agrees
    assert found.relative == pytest.approx(0.01, rel=1e-3)
    # What is no softmax stays under the usual tolerance.
    assert not judging(factor).worst([y, hidden * 1.01], [y, hidden]).ok


def test_another_number_of_outputs_is_wrong(judging: Judging) -> None:
    y = np.float32([1])
    assert not judging(1.0).worst([y], [y, y]).ok


# --- means ---


def result_of(peer: str, **ratios: float) -> ModelResult:
    rows = (
        Row(name, ratio=Ratio(r, r, r), agrees=r != 9) for name, r in ratios.items()
    )
    return ModelResult("m", tuple(rows), peer=peer)


def test_means_are_of_right_results_beside_one_peer() -> None:
    results = [
        result_of("onnxruntime", numpy=2.0, jax=4.0),
        result_of("onnxruntime", numpy=8.0, jax=9),
        result_of("openvino", numpy=100.0),
        ModelResult("m", failure="no"),
    ]
    found = mean_ratios(results)
    assert found["numpy"] == (pytest.approx(4.0), 2)
    assert found["jax"] == (pytest.approx(4.0), 1)


# --- the importer that may not be there ---

IMPORTER = """
import jax.numpy as jnp

def call_onnx_model(model, inputs):
    weights = {held.name: None for held in model.graph.initializer}
    names = [value.name for value in model.graph.input]
    if names != list(inputs):
        import pdb; pdb.set_trace()
    def function(weights, inputs):
        return [jnp.tanh(inputs["x"]) + len(model.graph.node)]
    return function, {}
"""


def test_jaxonnxruntime_is_called_as_it_wants(
    mlp: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "packages" / "jaxonnxruntime"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "call_onnx.py").write_text(IMPORTER)
    monkeypatch.setenv("PYTHONPATH", str(package.parent))
    nodes = len(onnx.load(mlp).graph.node)
    x = np.linspace(-1, 1, 8, dtype=np.float32)[None]
    entry = Entry("jaxonnxruntime", peer("jaxonnxruntime", mlp, {}))
    (found,) = measure([entry], {"x": x}, 1, QUICK)
    assert found.timing.failure is None
    assert found.outputs is not None
    np.testing.assert_allclose(found.outputs[0], np.tanh(x) + nodes, rtol=1e-6)
    # It asks in a debugger about what it does not know: that is a failure, no wait.
    (asking,) = measure([entry], {"other": x}, 1, QUICK)
    assert asking.timing.failure is not None
    assert asking.timing.failure.startswith("BdbQuit")
