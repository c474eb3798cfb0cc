"""A pass that crashes leaves a folder that shows it; so do the other faults."""

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper
from sardonyx.compiler.debug import reproducer
from sardonyx.compiler.debug.reproducer import (
    CrashReporter,
    PassCrash,
    Reproducer,
    ReproducerError,
    model_before,
    remaining,
)
from sardonyx.compiler.debug.subgraph import body_ops
from sardonyx.compiler.driver import load
from sardonyx.compiler.pipelines import run_pipeline

CRASHING = "remove-identities,test-crash,cse"


@pytest.fixture(name="crashes")
def crashes_fixture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where crashes are written."""
    folder = tmp_path / "crashes"
    monkeypatch.setenv("SARDONYX_CRASH_DIR", str(folder))
    return folder


@pytest.fixture(name="weighty")
def weighty_fixture(
    tmp_path: Path, model_of: Any, value_info: Any, tensor_proto: Any
) -> Path:
    """A Concat that takes a Tanh, of a product with a weight that is not inline."""
    nodes = [
        helper.make_node("Mul", ["x", "w"], ["m"], name="scale"),
        helper.make_node("Tanh", ["m"], ["t"], name="tanh"),
        helper.make_node("Concat", ["t", "x"], ["y"], name="join", axis=0),
    ]
    weights = [tensor_proto("w", np.arange(20, dtype=np.float32))]
    infos = [value_info("x", [20]), value_info("y", [40])]
    path = tmp_path / "weighty.onnx"
    onnx.save(model_of(nodes, infos[:1], infos[1:], weights), path)
    return path


# --- crashes ---


@pytest.mark.usefixtures("planted")
@pytest.mark.parametrize("command", ["opt", "compile", "run", "verify"])
def test_a_crash_leaves_a_folder(
    weighty: Path, sardonyx: Any, crashes: Path, tmp_path: Path, command: str
) -> None:
    goal = ["-o", tmp_path / "out"] if command == "compile" else []
    said = sardonyx(command, weighty, "-p", CRASHING, *goal)
    assert said.code == 2
    (folder,) = crashes.iterdir()
    assert said.err == (
        "sardonyx: pass test-crash (place 1) crashed: IndexError: a Concat takes a "
        f"Tanh; to replay: sh {folder}/replay.sh\n"
    )
    assert folder.name.startswith("sardonyx-crash-")
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md",
        "model.mlir",
        "model.safetensors",
        "pipeline.txt",
        "replay.sh",
        "traceback.txt",
        "versions.json",
    ]
    assert (folder / "pipeline.txt").read_text() == "test-crash\ncse\n"
    assert "a Concat takes a Tanh" in (folder / "traceback.txt").read_text()
    assert "numpy" in json.loads((folder / "versions.json").read_text())


@pytest.mark.usefixtures("planted")
def test_the_folder_shows_the_crash(
    joined: Path, sardonyx: Any, crashes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sardonyx("opt", joined, "-p", CRASHING)
    (folder,) = crashes.iterdir()
    # The model as it was before the pass: the Identity is gone.
    assert len(body_ops(load(folder / "model.mlir"))) == 10
    monkeypatch.chdir(folder)
    words = shlex.split((folder / "replay.sh").read_text().splitlines()[-1])
    said = sardonyx(*words[1:])
    assert said.code == 2
    assert "pass test-crash (place 0) crashed: IndexError: a Concat" in said.err
    assert len(list(crashes.iterdir())) == 1


@pytest.mark.usefixtures("planted")
def test_a_module_that_does_not_verify(
    joined: Path, sardonyx: Any, crashes: Path
) -> None:
    said = sardonyx("opt", joined, "-p", "cse,test-broken")
    assert said.code == 2
    assert "test-broken" in said.err
    (folder,) = crashes.iterdir()
    # What is written verifies: it is the module before the pass.
    assert len(body_ops(load(folder / "model.mlir"))) == 11


@pytest.mark.usefixtures("planted")
def test_the_users_errors_leave_none(
    joined: Path, sardonyx: Any, crashes: Path
) -> None:
    for pipeline in ('specialize-dims{dims="z=1"}', "no-such-pass"):
        assert sardonyx("opt", joined, "-p", pipeline).code == 2
    assert not crashes.exists()


@pytest.mark.usefixtures("planted")
def test_none_if_none_is_wanted(joined: Path, sardonyx: Any, crashes: Path) -> None:
    said = sardonyx("opt", joined, "-p", CRASHING, "--no-reproducer")
    assert said.code == 2
    assert "pass test-crash (place 1) crashed: IndexError" in said.err
    assert len(said.err.splitlines()) == 1
    assert not crashes.exists()


@pytest.mark.usefixtures("planted")
def test_the_same_crash_is_written_once(
    joined: Path, sardonyx: Any, crashes: Path
) -> None:
    sardonyx("opt", joined, "-p", CRASHING)
    (folder,) = crashes.iterdir()
    (folder / "README.md").write_text("noted by the user")
    said = sardonyx("opt", joined, "-p", CRASHING)
    assert str(folder) in said.err
    assert list(crashes.iterdir()) == [folder]
    assert (folder / "README.md").read_text() == "noted by the user"


@pytest.mark.usefixtures("planted")
def test_a_folder_is_there_whole_or_not(
    joined: Path, sardonyx: Any, crashes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(reproducer, "installed", full)
    said = sardonyx("opt", joined, "-p", CRASHING)
    assert said.code == 2
    assert "crashed: IndexError: a Concat takes a Tanh; no reproducer: " in said.err
    assert said.err.endswith("cannot be written: no space left on device\n")
    assert list(crashes.iterdir()) == []


@pytest.mark.usefixtures("planted")
def test_a_folder_that_cannot_be_written(
    joined: Path, sardonyx: Any, crashes: Path
) -> None:
    crashes.write_text("a file")
    said = sardonyx("opt", joined, "-p", CRASHING)
    assert said.code == 2
    assert "crashed: IndexError: a Concat takes a Tanh; no reproducer: " in said.err


@pytest.mark.usefixtures("planted")
def test_large_weights_are_not_copied(
    weighty: Path,
    sardonyx: Any,
    crashes: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reproducer, "MAX_WEIGHTS", 79)
    sardonyx("opt", weighty, "-p", CRASHING)
    (folder,) = crashes.iterdir()
    assert not (folder / "model.safetensors").exists()
    readme = (folder / "README.md").read_text().splitlines()
    place = next(i for i, line in enumerate(readme) if line.startswith("The weights"))
    monkeypatch.chdir(folder)
    # The command that it gives makes the whole of it.
    said = sardonyx(*shlex.split(readme[place + 2])[1:])
    assert said.code == 0, said.err
    words = shlex.split((folder / "replay.sh").read_text().splitlines()[-1])
    assert "pass test-crash (place 0) crashed" in sardonyx(*words[1:]).err


@pytest.mark.usefixtures("planted")
def test_in_the_api_the_cause_is_kept(joined: Path, crashes: Path) -> None:
    with pytest.raises(PassCrash) as told:
        run_pipeline(load(joined), CRASHING, [CrashReporter(CRASHING)])
    assert isinstance(told.value.__cause__, IndexError)
    with pytest.raises(IndexError):
        run_pipeline(load(joined), CRASHING)


# --- places ---


@pytest.mark.parametrize(
    ("pipeline", "place", "spec", "rest"),
    [
        ("cse,dce,cse", 1, "dce", "dce,cse"),
        ("cse", 0, "cse", "cse"),
        ('cse,fixpoint{passes="dce"}', 0, "cse", 'cse,fixpoint{passes="dce"}'),
        ('fixpoint{passes="cse,dce"},cse', 3, "dce", "dce"),
        ("O0,cse,dce", 1, "dce", "dce"),
    ],
)
def test_what_remains(pipeline: str, place: int, spec: str, rest: str) -> None:
    found = remaining(pipeline, place, spec)
    assert found.replace(" max_rounds=16", "") == rest


def test_the_model_before_a_place(joined: Path) -> None:
    model, ran = model_before(load(joined), "cse,remove-identities,dce", 2)
    assert ran == ["cse", "remove-identities"]
    assert len(body_ops(model)) == 10
    with pytest.raises(ReproducerError, match="end before place 5"):
        model_before(load(joined), "cse", 5)


# --- what the folder says ---

HOSTILE = "a'b $(touch oops) `c` <i>\n| d"


def test_names_are_data(tmp_path: Path, model_of: Any, value_info: Any) -> None:
    node = helper.make_node("Neg", [HOSTILE], ["y"], name=HOSTILE)
    model = load(model_of([node], [value_info(HOSTILE, [1])], [value_info("y", [1])]))
    inputs = {HOSTILE: np.ones(1, np.float32)}
    outputs = ([-np.ones(1, np.float32)], [np.ones(1, np.float32)])
    found = Reproducer(
        f"wrong: {HOSTILE}", model, "cse", "onnx", inputs, outputs, "--guard=0.1"
    )
    folder = found.write(tmp_path / "folder")
    script = (folder / "replay.sh").read_text()
    command = script.partition("|| exit\n")[2]
    words = shlex.split(command)
    assert words[:5] == ["sardonyx", "opt", "model.onnx", "-p", "@pipeline.txt"]
    assert words[5:7] == ["--guard=0.1", "-i"]
    name, _, file = words[7].rpartition("=")
    assert name == HOSTILE
    assert (folder / file).exists()
    # In the README they stand in code alone, where nothing has a meaning.
    for line in (folder / "README.md").read_text().splitlines():
        assert "<i>" not in line or line.startswith("    ")


def test_nothing_is_overwritten(joined: Path, tmp_path: Path) -> None:
    with pytest.raises(ReproducerError, match="found it there, wanted a new folder"):
        Reproducer("wrong", load(joined), "cse").write(tmp_path)
