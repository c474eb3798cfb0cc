"""The tutorial: its code runs, and its two passes give the same IR."""

import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper
from sardonyx.compiler import import_model
from sardonyx.compiler.pipelines import run_pipeline
from sardonyx.compiler.plugins import LOADED, plugins

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "writing-passes.md").read_text(encoding="utf-8")
SHARED = ROOT.parent / "shared" / "models" / "bert_tiny_dynamic.onnx"

BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    lines = [
        line for kind, text in BLOCKS if kind == "sh" for line in text.splitlines()
    ]
    return [line for line in lines if line.startswith("sardonyx ")]


@pytest.fixture(name="folder")
def folder_fixture(
    tmp_path: Path, attention: onnx.ModelProto, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """The page's files in a folder, and a model to run them on."""
    for _, text in BLOCKS:
        named = re.match(r"# file: (\S+)\n", text)
        if named is not None:
            (tmp_path / named[1]).write_text(text[named.end() :], encoding="utf-8")
    onnx.save(attention, tmp_path / "model.onnx")
    monkeypatch.chdir(tmp_path)
    with plugins([]):
        yield tmp_path


@pytest.fixture(name="attention")
def attention_fixture(
    model_of: Callable[..., Any], value_info: Any, tensor_proto: Any
) -> onnx.ModelProto:
    """The scores of an attention, with sizes that are not known."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["q"], name="query"),
        helper.make_node("Transpose", ["x"], ["k"], name="key", perm=[0, 2, 1]),
        helper.make_node("MatMul", ["q", "k"], ["scores"], name="product"),
        helper.make_node("Mul", ["c", "scores"], ["scaled"], name="scale"),
        helper.make_node("Softmax", ["scaled"], ["y"], name="soft"),
    ]
    weights = [
        tensor_proto("w", np.eye(6, dtype=np.float32)),
        tensor_proto("c", np.float32(0.41)),
    ]
    inputs = [value_info("x", ["batch", "seq", 6])]
    outputs = [value_info("y", ["batch", "seq", "seq"])]
    return model_of(nodes, inputs, outputs, weights)


def models(folder: Path) -> list[Path]:
    """The model of the test, and a real one where it is there."""
    return [folder / "model.onnx", *([SHARED] if SHARED.exists() else [])]


def rewritten(path: Path, plugin: Path) -> tuple[str, int]:
    model = import_model(path)
    with plugins([plugin]):
        *_, run = run_pipeline(model, "fold-constants,scale-query")
    return model.text(), len(run.journal.rewrites)


def test_both_passes_give_the_same_ir(folder: Path) -> None:
    for path in models(folder):
        by_rule, count = rewritten(path, folder / "scale_query.rules")
        by_python, same = rewritten(path, folder / "scale_query.py")
        assert count == same > 0
        assert by_rule == by_python
        assert by_rule != import_model(path).text()


@pytest.mark.parametrize("command", commands())
def test_commands_run(command: str, folder: Path, sardonyx: Callable[..., Any]) -> None:
    said = sardonyx(*shlex.split(command)[1:])
    assert said.err == ""
    assert said.code in (0, None)
    if " check " in command:
        shown = re.search(r"scale-query: holds on 40 inputs", said.out)
        assert shown is not None
        assert shown[0] in PAGE


def test_there_are_commands_and_files(folder: Path) -> None:
    assert len(commands()) >= 4
    assert {path.name for path in folder.iterdir()} == {
        "model.onnx",
        "scale_both.rules",
        "scale_query.py",
        "scale_query.rules",
    }


def test_the_wrong_rule_is_caught(folder: Path, sardonyx: Callable[..., Any]) -> None:
    said = sardonyx("rules", "check", "scale_both.rules")
    assert said.code == 1
    assert "scale-both: wrong: the sides differ: left is" in said.out
    for word in ("q:", "k:", "c:", "left:", "right:", "reference, left:"):
        assert f"\n  {word} " in said.out
    assert "0 of 1 rules hold" in said.out


def test_plugins_are_forgotten(folder: Path) -> None:
    with plugins([folder / "scale_query.rules"]) as names:
        assert names == ["scale-query"]
        assert "scale-query" in LOADED
    assert "scale-query" not in LOADED
