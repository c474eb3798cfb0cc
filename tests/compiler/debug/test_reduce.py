"""``sardonyx reduce``: the smallest model that still shows a fault, in a folder."""

import json
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper
from sardonyx.compiler.debug.reduce import Crash, Reducer, WrongResult, minimized
from sardonyx.compiler.debug.shrink import bypassed, resized, sizes_of
from sardonyx.compiler.debug.subgraph import Case, Graph, body_ops, captured
from sardonyx.compiler.debug.trial import Inputs, values_of
from sardonyx.compiler.driver import load
from sardonyx.dialects.errors import SardonyxError
from sardonyx.dialects.onnx.provenance import node_names

WRONG = 'test-swap{node="join2"}'


def nodes_of(case: Case) -> list[str]:
    return [node_names(op)[0] for op in body_ops(case.model)]


# --- delta debugging ---


@given(st.sets(st.integers(0, 40), min_size=1, max_size=4), st.integers(41, 60))
def test_what_is_needed_is_found(needed: set[int], count: int) -> None:
    def shows(some: Sequence[int]) -> bool:
        return needed <= set(some)

    assert minimized(range(count), shows) == sorted(needed)


@given(st.integers(1, 30), st.data())
def test_no_chunk_is_left_that_is_not_needed(count: int, data: Any) -> None:
    least = data.draw(st.integers(1, count))

    def shows(some: Sequence[int]) -> bool:
        return len(some) >= least

    assert len(minimized(range(count), shows)) == least


# --- cutting ---


@settings(max_examples=30)
@given(st.sets(st.sampled_from(range(11)), min_size=1))
def test_a_cut_computes_what_the_model_did(keep: set[int]) -> None:
    model = load(chain())
    values = captured(model, Inputs().of(model))
    graph = Graph(model, values)
    kept = [graph.ops[place] for place in keep]
    case = graph.cut(kept)
    case.model.module.verify()
    found = values_of(case.model, case.inputs).outputs
    wanted = [values[value] for value in graph.outputs(kept)]
    assert len(found) == len(wanted) > 0
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one, other)


def chain() -> onnx.ModelProto:
    """Eleven ops, each taking the results of the two before it."""
    names = ["x", "t0"]
    nodes = [helper.make_node("Tanh", ["x"], ["t0"], name="n0")]
    for place in range(1, 11):
        kind = ("Add", "Mul", "Sub")[place % 3]
        made = f"t{place}"
        nodes.append(helper.make_node(kind, names[-2:], [made], name=f"n{place}"))
        names.append(made)
    infos = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [2, 3])
        for name in ("x", "t10")
    ]
    graph = helper.make_graph(nodes, "chain", infos[:1], infos[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])


def test_sequences_are_not_cut(value_info: Any, model_of: Any) -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["r"], name="relu"),
        helper.make_node("SequenceConstruct", ["r", "x"], ["s"], name="pack"),
        helper.make_node("ConcatFromSequence", ["s"], ["y"], name="join", axis=0),
    ]
    model = load(model_of(nodes, [value_info("x", [2])], [value_info("y", [4])]))
    graph = Graph(model, captured(model, Inputs().of(model)))
    assert nodes_of(graph.cut(graph.ops[2:])) == ["pack", "join"]


def test_regions_keep_what_they_take(value_info: Any, model_of: Any) -> None:
    branch = helper.make_graph(
        [helper.make_node("Neg", ["r"], ["b"], name="inner")],
        "branch",
        [],
        [value_info("b", [2])],
    )
    nodes = [
        helper.make_node("Relu", ["x"], ["r"], name="relu"),
        helper.make_node(
            "If", ["c"], ["y"], name="choose", then_branch=branch, else_branch=branch
        ),
    ]
    inputs = [value_info("x", [2]), value_info("c", [], "BOOL")]
    model = load(model_of(nodes, inputs, [value_info("y", [2])]))
    given = {"x": np.array([1, -2], np.float32), "c": np.array(True)}
    graph = Graph(model, captured(model, given))
    case = graph.cut(graph.ops[1:])
    assert sorted(case.inputs or ()) == ["c", "r"]
    (found,) = values_of(case.model, case.inputs).outputs
    np.testing.assert_array_equal(found, [-1, 0])


def test_ops_are_bypassed(joined: Path) -> None:
    case = Case(load(joined), None)
    gone = {"relu", "same", "sigmoid", "sum1", "tanh", "sum2", "exp", "sum3", "neg"}
    found = [set(nodes_of(case)) - set(nodes_of(one)) for one in bypassed(case)]
    assert set().union(*found) == gone
    assert all(len(names) == 1 for names in found)


def test_sizes_follow_from_those_of_inputs(
    value_info: Any, tensor_proto: Any, model_of: Any
) -> None:
    nodes = [
        helper.make_node("Reshape", ["x", "s"], ["r"], name="view"),
        helper.make_node("MatMul", ["r", "w"], ["y"], name="dot"),
    ]
    weights = [
        tensor_proto("s", np.array([6, 20], np.int64)),
        tensor_proto("w", np.ones((20, 5), np.float32)),
    ]
    inputs, outputs = [value_info("x", [2, 3, 20])], [value_info("y", [6, 5])]
    case = Case(load(model_of(nodes, inputs, outputs, weights)), None)
    assert sizes_of(case) == [20, 5, 3, 2]
    assert resized(case, 20, 2, also_values=False) is None
    small = resized(case, 20, 2, also_values=True)
    assert small is not None
    assert "-> tensor<6x5xf32>" in str(small.model.text())
    assert "tensor<2x3x2xf32>" in str(small.model.text())
    assert sizes_of(case) == [20, 5, 3, 2]


# --- the reducer ---


@pytest.mark.usefixtures("planted")
def test_a_wrong_rewrite_comes_to_one_op(joined: Path) -> None:
    model = load(joined)
    start = Case(model, Inputs(sizes={"n": 5}).of(model))
    case = Reducer(WrongResult(WRONG)).reduce(start)
    assert nodes_of(case) == ["join2"]
    assert WrongResult(WRONG)(case)
    # Sizes are down to what a Concat in another order needs, values to 0 and 1.
    assert {str(value.type) for value in case.model.inputs} == {"tensor<1x1x1xf32>"}
    assert case.inputs is not None
    values = [array.item() for array in case.inputs.values()]
    assert sorted(values) == [0.0, 1.0]


@pytest.mark.usefixtures("planted")
def test_a_crash_keeps_what_it_needs(joined: Path) -> None:
    reducer = Reducer(Crash("test-crash", "IndexError"))
    case = reducer.reduce(Case(load(joined), None))
    assert nodes_of(case) == ["tanh", "join2"]


@pytest.mark.usefixtures("planted")
def test_another_crash_is_not_the_crash(joined: Path) -> None:
    with pytest.raises(SardonyxError, match="found no fault in the model"):
        Reducer(Crash("test-crash", "KeyError")).reduce(Case(load(joined), None))


@pytest.mark.usefixtures("planted")
def test_what_is_right_is_not_reduced(joined: Path) -> None:
    model = load(joined)
    with pytest.raises(SardonyxError, match="found no fault in the model"):
        Reducer(WrongResult("cse")).reduce(Case(model, Inputs().of(model)))


# --- the command ---


@pytest.mark.usefixtures("planted")
def test_the_folder(joined: Path, sardonyx: Any, tmp_path: Path) -> None:
    goal = tmp_path / "small"
    said = sardonyx(
        "reduce", joined, "-p", f"remove-identities,{WRONG},dce", "-o", goal
    )
    assert said.code == 0, said.err
    assert "1 of 10 ops are left" in said.out
    found = sorted(str(p.relative_to(goal)) for p in goal.rglob("*") if p.is_file())
    assert found == [
        "README.md",
        "expected/0-d.npy",
        "found/0-d.npy",
        "inputs/0-t.npy",
        "inputs/1-b.npy",
        "model.onnx",
        "pipeline.txt",
        "replay.sh",
        "versions.json",
    ]
    assert (goal / "pipeline.txt").read_text() == f"{WRONG}\n"
    assert json.loads((goal / "versions.json").read_text())["onnx"] == onnx.__version__
    readme = (goal / "README.md").read_text()
    assert f"    pass {WRONG}: output 'd' differs by 1 of" in readme
    assert "rewrite 3 of 4 in the whole model: node 'join2' (Concat)" in readme
    assert "      expected float32[1, 2, 1]: 0, 1\n" in readme
    assert "      found    float32[1, 2, 1]: 1, 0\n" in readme


@pytest.mark.usefixtures("planted")
def test_the_folder_is_replayed(
    joined: Path, sardonyx: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    goal = tmp_path / "small"
    sardonyx("reduce", joined, "-p", WRONG, "--tol", "1e-3", "-o", goal)
    _, change, command = (goal / "replay.sh").read_text().splitlines()
    assert change == 'cd "$(dirname "$0")" || exit'
    monkeypatch.chdir(goal)
    words = shlex.split(command)
    assert words[0] == "sardonyx"
    said = sardonyx(*words[1:])
    assert said.code == 1
    assert "differs by 1 of its largest element (tolerance 0.001)" in said.err
    assert "rewrite 1 of 1: node 'join2' (Concat)" in said.err


def test_the_model_stands_alone(
    joined: Path, sardonyx: Any, tmp_path: Path, planted: None, oracle: Any
) -> None:
    """What the folder expects is what ONNX Runtime computes of the folder's files."""
    goal = tmp_path / "small"
    sardonyx("reduce", joined, "-p", WRONG, "-o", goal)
    inputs = {
        path.stem.partition("-")[2]: np.load(path)
        for path in (goal / "inputs").iterdir()
    }
    (wanted,) = oracle(onnx.load(goal / "model.onnx"), inputs)
    np.testing.assert_array_equal(np.load(goal / "expected" / "0-d.npy"), wanted)
    assert (np.load(goal / "found" / "0-d.npy") != wanted).any()


@pytest.mark.usefixtures("planted")
def test_a_crash_is_reduced(
    joined: Path, sardonyx: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    goal = tmp_path / "small"
    said = sardonyx("reduce", joined, "-p", "cse,test-crash", "--crash", "-o", goal)
    assert said.code == 0, said.err
    assert "pass test-crash: IndexError: a Concat takes a Tanh" in said.out
    assert "IndexError: a Concat takes a Tanh" in (goal / "traceback.txt").read_text()
    kinds = [node.op_type for node in onnx.load(goal / "model.onnx").graph.node]
    assert kinds == ["Tanh", "Concat"]
    monkeypatch.chdir(goal)
    words = shlex.split((goal / "replay.sh").read_text().splitlines()[-1])
    said = sardonyx(*words[1:])
    assert said.code == 2
    assert "pass test-crash (place 0) crashed: IndexError" in said.err


def test_a_script_judges_the_model(joined: Path, sardonyx: Any, tmp_path: Path) -> None:
    """Without a pipeline: a model that some other tool cannot take, say."""
    script = tmp_path / "judge.sh"
    script.write_text('! { grep -q onnx.Exp "$1" && grep -q onnx.Sigmoid "$1"; }\n')
    options = ["--script", f"sh {shlex.quote(str(script))} {{}}", "--form", "mlir"]
    goal = tmp_path / "small"
    said = sardonyx("reduce", joined, *options, "-o", goal)
    assert said.code == 0, said.err
    kinds = [op.name for op in body_ops(load(goal / "model.mlir"))]
    assert kinds == ["onnx.Sigmoid", "onnx.Exp"]
    assert "sh replay.sh" in (goal / "README.md").read_text()
    judged = subprocess.run(["sh", script, goal / "model.mlir"])
    assert judged.returncode == 1


@pytest.mark.usefixtures("planted")
@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["-p", "cse"], "found no pass of cse that breaks it, wanted a wrong result"),
        (["-p", WRONG, "--crash"], "breaks it, wanted a crash"),
        (["--crash", "--script", "true"], "found --crash and --script"),
    ],
)
def test_nothing_to_reduce(
    joined: Path, sardonyx: Any, tmp_path: Path, options: list[str], reason: str
) -> None:
    said = sardonyx("reduce", joined, *options, "-o", tmp_path / "small")
    assert said.code == 2
    assert reason in said.err
    assert not (tmp_path / "small").exists()


def test_nothing_is_overwritten(joined: Path, sardonyx: Any, tmp_path: Path) -> None:
    said = sardonyx("reduce", joined, "-o", tmp_path)
    assert said.code == 2
    assert "found it there, wanted a new folder" in said.err
