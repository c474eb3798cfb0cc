"""``sardonyx bisect``: the pass that breaks a model, and in it the rewrite."""

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sardonyx.compiler.debug.bisect import Culprit, Script, bisect, states_of
from sardonyx.compiler.debug.search import applied, first_bad
from sardonyx.compiler.debug.trial import Inputs, Trial, Verdict
from sardonyx.compiler.driver import load
from sardonyx.compiler.model import Model
from sardonyx.dialects.errors import SardonyxError

CLEAN = "fold-constants,remove-identities,cse,dce"
WRONG = CLEAN + ',test-swap{node="join2"},fold-batch-norm'
MENDED = 'test-silent{node="join1"},test-silent{node="join1"}'


def found_by(path: Path, pipeline: str) -> Culprit | None:
    def judge(first: Model, last: Model) -> Trial:
        return Trial.of(first, Inputs().of(first, last))

    return bisect(load(path), pipeline, judge)


# --- the search ---


@given(st.integers(1, 200), st.data())
def test_the_first_bad_one_is_found(count: int, data: Any) -> None:
    first = data.draw(st.integers(1, count))
    asked: list[int] = []

    def verdict(index: int) -> Verdict:
        asked.append(index)
        return Verdict(index < first)

    found = first_bad(0, count, verdict)
    assert (found.good, found.bad, found.skipped) == (first - 1, first, 0)
    assert len(asked) <= count.bit_length()


@given(st.integers(1, 60), st.data())
def test_what_cannot_be_judged_is_stepped_around(count: int, data: Any) -> None:
    first = data.draw(st.integers(1, count))
    skips = data.draw(st.sets(st.integers(1, max(count - 1, 1))))

    def verdict(index: int) -> Verdict:
        return Verdict(None if index in skips else index < first)

    found = first_bad(0, count, verdict)
    judged = [i for i in range(count + 1) if i not in skips or i in (0, count)]
    assert found.good == max(i for i in judged if i < first)
    assert found.bad == min(i for i in judged if i >= first)
    assert found.skipped == found.bad - found.good - 1


# --- passes and rewrites ---


@pytest.mark.usefixtures("planted")
def test_the_pass_and_the_rewrite(joined: Path) -> None:
    culprit = found_by(joined, WRONG)
    assert culprit is not None
    assert culprit.spec == 'test-swap{node="join2"}'
    assert ",".join(culprit.passes_before) == CLEAN
    (rewrite,) = culprit.rewrites
    assert str(rewrite) == "node 'join2' (Concat): swap-operands: gave Concat"
    assert (culprit.place, culprit.number, culprit.total) == (4, 3, 4)
    assert culprit.right.error is not None
    assert culprit.wrong.error is not None
    assert culprit.right.error < 1e-5 < culprit.wrong.error
    assert not culprit.notes


@pytest.mark.usefixtures("planted")
def test_a_rewrite_less_is_right(joined: Path) -> None:
    """What it blames is to blame: all the rewrites before it keep the result."""
    culprit = found_by(joined, WRONG)
    assert culprit is not None
    start = load(joined)
    trial = Trial.of(start, Inputs().of(start))
    less = applied(culprit.before, culprit.spec, culprit.number - 1)
    more = applied(culprit.before, culprit.spec, culprit.number)
    assert (trial(less).ok, trial(more).ok) == (True, False)


@pytest.mark.usefixtures("planted")
def test_in_a_round_of_a_fixpoint(joined: Path) -> None:
    culprit = found_by(joined, 'fixpoint{passes="cse,test-swap{node=\\"join1\\"}"}')
    assert culprit is not None
    assert (culprit.place, culprit.spec) == (1, 'test-swap{node="join1"}')


@pytest.mark.usefixtures("planted")
def test_without_a_journal_the_pass_is_named(joined: Path) -> None:
    culprit = found_by(joined, 'cse,test-silent{node="join1"}')
    assert culprit is not None
    assert (culprit.place, culprit.rewrites, culprit.total) == (1, (), 0)


@pytest.mark.usefixtures("planted")
def test_what_is_mended_later(joined: Path) -> None:
    culprit = found_by(joined, f"{MENDED},cse")
    assert culprit is not None
    assert culprit.place == 0
    (note,) = culprit.notes
    assert "the end of the pipeline is not wrong" in note


@pytest.mark.usefixtures("planted")
def test_a_crash_is_wrong(joined: Path) -> None:
    culprit = found_by(joined, "cse,remove-identities,test-crash")
    assert culprit is not None
    assert culprit.crashed
    assert (culprit.place, culprit.spec) == (2, "test-crash")
    assert str(culprit.wrong) == "it crashes: IndexError: a Concat takes a Tanh"


@pytest.mark.usefixtures("planted")
def test_a_wrong_pass_before_the_crash_comes_first(joined: Path) -> None:
    culprit = found_by(joined, 'test-silent{node="join1"},test-crash')
    assert culprit is not None
    assert (culprit.place, culprit.crashed) == (0, False)


@pytest.mark.usefixtures("planted")
def test_nothing_is_wrong(joined: Path) -> None:
    assert found_by(joined, CLEAN + ',test-swap{node="none"}') is None


@pytest.mark.usefixtures("planted")
def test_states_are_those_that_a_pass_changed(joined: Path) -> None:
    states, specs = states_of(load(joined), "cse,remove-identities,dce")
    assert [state.place for state in states] == [-1, 1]
    assert specs == ["cse", "remove-identities", "dce"]


def test_wrong_before_any_pass(joined: Path) -> None:
    def judge(first: Model, last: Model) -> Any:
        return lambda model: Verdict(False, None, "never right")

    with pytest.raises(SardonyxError, match="wrong before any pass: never right"):
        bisect(load(joined), "remove-identities", judge)


# --- the command ---


@pytest.mark.usefixtures("planted")
def test_the_command(joined: Path, sardonyx: Any) -> None:
    said = sardonyx("bisect", joined, "-p", WRONG)
    assert said.code == 1
    lines = said.out.splitlines()
    assert lines[0] == 'pass     test-swap{node="join2"}, place 4'
    assert lines[1] == (
        "rewrite  3 of 4: node 'join2' (Concat): swap-operands: gave Concat"
    )
    assert "differs by" in lines[3]
    # What it says to run shows the same.
    replay = shlex.split(lines[4].removeprefix("replay"))
    assert replay[0] == "sardonyx"
    again = sardonyx(*replay[1:])
    assert again.code == 1
    assert "rewrite 3 of 4: node 'join2' (Concat)" in again.err


@pytest.mark.usefixtures("planted")
def test_json_and_inputs(joined: Path, sardonyx: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.ones((2, 3, 4), np.float32))
    given = ["-i", f"x={tmp_path / 'x.npy'}", "--with", "onnxruntime", "--json"]
    said = sardonyx("bisect", joined, "-p", WRONG, *given)
    found = json.loads(said.out)
    assert (said.code, found["ok"], found["culprit"]["rewrite"]) == (1, False, 3)
    assert "--guard-with onnxruntime -i x=" in found["culprit"]["replay"]
    said = sardonyx("bisect", joined, "-O", "2", "--json")
    assert (said.code, json.loads(said.out)) == (0, {"ok": True, "culprit": None})


@pytest.mark.usefixtures("planted")
def test_dims_are_replayed(joined: Path, sardonyx: Any) -> None:
    said = sardonyx("bisect", joined, "-p", WRONG, "--dim", "n=2")
    replay = shlex.split(said.out.splitlines()[-1].removeprefix("replay"))
    assert 'specialize-dims{dims="n=2"},fold-constants' in replay[4]
    assert sardonyx(*replay[1:]).code == 1


# --- scripts ---

# Judges by the order of the operands of join2, and counts how often it ran.
JUDGE = """
import sys, onnx
graph = onnx.load(sys.argv[1]).graph
node = next(node for node in graph.node if node.name == "join2")
made = {output: n.op_type for n in graph.node for output in n.output}
sys.exit(0 if made[node.input[0]] == "Tanh" else 3)
"""


@pytest.fixture(name="judge")
def judge_fixture(tmp_path: Path) -> str:
    path = tmp_path / "judge.py"
    path.write_text(JUDGE)
    return shlex.join([sys.executable, str(path), "{}"])


@pytest.mark.usefixtures("planted")
def test_a_script_judges(joined: Path, sardonyx: Any, judge: str) -> None:
    said = sardonyx("bisect", joined, "-p", WRONG, "--script", judge)
    assert said.code == 1
    assert "rewrite  3 of 4: node 'join2' (Concat)" in said.out
    assert "after    the script exits with 3" in said.out
    assert "-o judged.onnx && " in said.out


def test_a_script_is_given_a_file(joined: Path, tmp_path: Path) -> None:
    for form in ("onnx", "mlir"):
        goal = tmp_path / f"seen.{form}"
        assert Script(f"cp {{}} {shlex.quote(str(goal))}", form)(load(joined)).ok
        assert len(load(goal).outputs) == 1


@pytest.mark.parametrize(("status", "ok"), [(0, True), (1, False), (125, None)])
def test_what_a_script_says(joined: Path, status: int, ok: bool | None) -> None:
    script = Script(f"{sys.executable} -c 'import sys; sys.exit({status})'")
    assert script(load(joined)).ok is ok


def test_wrong_scripts(joined: Path, sardonyx: Any) -> None:
    said = sardonyx("bisect", joined, "--script", "/no/such/command")
    assert said.code == 2
    assert "/no/such/command: no such file" in said.err
    said = sardonyx("bisect", joined, "--script", " ")
    assert said.code == 2
    assert "found nothing, wanted a command" in said.err
    said = sardonyx("bisect", joined, "--script", "true", "--form", "txt")
    assert said.code == 2
    assert "found 'txt', wanted onnx or mlir" in said.err
