"""``--guard``: the pass that changes a result is named, and no other."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper
from sardonyx.compiler.debug.guard import Guard
from sardonyx.compiler.debug.trial import Divergence, Inputs, Trial, values_of
from sardonyx.compiler.driver import load
from sardonyx.compiler.pipelines import run_pipeline

CLEAN = "fold-constants,remove-identities,cse,dce"
WRONG = CLEAN + ',test-swap{node="join2"},fold-batch-norm'


@pytest.mark.parametrize("runner", ["numpy", "onnxruntime"])
@pytest.mark.usefixtures("planted")
def test_the_pass_and_the_rewrite_are_named(joined: Path, runner: str) -> None:
    with pytest.raises(Divergence) as told:
        run_pipeline(load(joined), WRONG, [Guard(Inputs(), runner=runner)])
    text = str(told.value)
    assert 'pass test-swap{node="join2"} (place 4): output' in text
    assert "'y' differs by" in text
    # Three sums are swapped too; they are right, and not named.
    assert "rewrite 3 of 4: node 'join2' (Concat): swap-operands: gave Concat" in text


@pytest.mark.usefixtures("planted")
def test_what_is_right_passes(joined: Path) -> None:
    told: list[str] = []
    model = load(joined)
    right = CLEAN + ',test-swap{node="none"},cse'
    run_pipeline(model, right, [Guard(Inputs(), tell=told.append)])
    # The passes that change nothing are not run again.
    assert [line.partition("after ")[2] for line in told] == [
        "remove-identities (pass 1)",
        "test-swap (pass 4)",
    ]


@pytest.mark.usefixtures("planted")
def test_a_pass_without_journal_is_named(joined: Path) -> None:
    with pytest.raises(Divergence, match="it keeps no journal"):
        run_pipeline(load(joined), 'test-silent{node="join1"}', [Guard(Inputs())])


@pytest.mark.usefixtures("planted")
def test_the_tolerance_is_the_users(joined: Path) -> None:
    run_pipeline(load(joined), WRONG, [Guard(Inputs(), tolerance=10.0)])


@pytest.mark.usefixtures("planted")
def test_inputs_fit_what_passes_fix(joined: Path) -> None:
    pipeline = 'cse,specialize-dims{dims="n=2"},test-swap{node="join1"}'
    guard = Guard(Inputs())
    with pytest.raises(Divergence, match="node 'join1'"):
        run_pipeline(load(joined), pipeline, [guard])


def test_a_softmax_is_judged_by_its_logits(
    tmp_path: Path, model_of: Any, value_info: Any
) -> None:
    nodes = [
        helper.make_node("Neg", ["x"], ["l"], name="neg"),
        helper.make_node("Softmax", ["l"], ["y"], name="soft"),
    ]
    proto = model_of(nodes, [value_info("x", [1, 2])], [value_info("y", [1, 2])])
    model = load(proto)
    x = np.array([[-1000.0, 0.0]], np.float32)
    trial = Trial.of(model, {"x": x})
    # The output is saturated, so it alone would not tell; the logits do.
    wrong = Trial({"x": x * np.float32(1.001)}, trial.wanted)(model)
    assert wrong.worst is not None
    assert (wrong.ok, wrong.worst.kind, wrong.worst.name) == (False, "logits", "l")
    assert Trial({"x": x}, trial.wanted)(model).ok


@pytest.mark.parametrize("runner", ["numpy", "onnxruntime"])
def test_values_are_the_references(
    joined: Path, runner: str, assert_close: Any
) -> None:
    from onnx.reference import ReferenceEvaluator

    model = load(joined)
    inputs = Inputs(sizes={"n": 2}).of(model)
    wanted = ReferenceEvaluator(onnx.load(joined)).run(None, inputs)
    before = str(model.module)
    assert_close(values_of(model, inputs, runner).outputs[0], wanted[0])
    assert str(model.module) == before


# --- the command ---


@pytest.mark.usefixtures("planted")
def test_opt_stops_with_1(joined: Path, sardonyx: Any, tmp_path: Path) -> None:
    said = sardonyx("opt", joined, "-p", WRONG, "-o", tmp_path / "o.mlir", "--guard")
    assert said.code == 1
    assert said.out == ""
    assert said.err.startswith("sardonyx: guard: pass test-swap{")
    assert len(said.err.splitlines()) == 1
    assert not (tmp_path / "o.mlir").exists()


@pytest.mark.usefixtures("planted")
def test_opt_takes_inputs(joined: Path, sardonyx: Any, tmp_path: Path) -> None:
    # Of zeros, sums and Concats are the same in any order: one half or none.
    np.save(tmp_path / "x.npy", np.zeros((1, 3, 4), np.float32))
    pipeline = 'test-silent{node="join1"}'
    options = ["-p", pipeline, "-i", f"x={tmp_path / 'x.npy'}"]
    assert sardonyx("opt", joined, *options, "--guard").code == 1
    assert sardonyx("opt", joined, *options, "--guard=1e9").code == 0
    said = sardonyx("opt", joined, "-p", pipeline, "-i", "z=x.npy", "--guard")
    assert said.code == 2
    assert "found input 'z', wanted one of ['x']" in said.err


@pytest.mark.usefixtures("planted")
def test_compile_and_verify(joined: Path, sardonyx: Any, tmp_path: Path) -> None:
    options = ["-b", "numpy", "-p", WRONG, "--guard"]
    said = sardonyx("compile", joined, "-o", tmp_path / "art", *options)
    assert said.code == 1
    assert "node 'join2' (Concat)" in said.err
    assert not (tmp_path / "art").exists()
    said = sardonyx("verify", joined, *options, "--guard-with", "onnxruntime")
    assert said.code == 1
    assert "node 'join2' (Concat)" in said.err
    said = sardonyx("verify", joined, "-b", "numpy", "--guard", "--dim", "n=2")
    assert said.code == 0
    np.save(tmp_path / "x.npy", np.ones((2, 3, 4), np.float32))
    given = ["-i", f"x={tmp_path / 'x.npy'}", "--json"]
    found = json.loads(sardonyx("verify", joined, "-b", "numpy", *given).out)
    assert [value["shape"] for value in found["values"]] == [[2, 12, 4]]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--guard=much"], "found 'much', wanted a number from 0 on"),
        (["-i", "x=x.npy"], "-i: found an input without --guard"),
        (["--guard", "--seed", "x"], "--seed: found 'x', wanted a whole number"),
    ],
)
def test_wrong_options(
    joined: Path, sardonyx: Any, options: list[str], reason: str
) -> None:
    said = sardonyx("opt", joined, "-p", "cse", *options)
    assert said.code == 2
    assert reason in said.err
