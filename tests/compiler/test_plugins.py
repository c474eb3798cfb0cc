"""Passes of the user's: files of rules, files of Python, entry points."""

import json
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from sardonyx.compiler import import_model, universe
from sardonyx.compiler.pipelines import all_passes, parse_pipeline, run_pipeline
from sardonyx.compiler.plugins import (
    PluginError,
    load_plugins,
    other_passes,
    plugins,
)
from sardonyx.dialects.errors import SardonyxError
from sardonyx.passes.rules import RuleError

RULES = """# Mine.
rule relu-relu
  "Once is enough."
  Relu(Relu(x)) => Relu(x)
rule shift
  "Wrong, as the tests need it."
  Relu(Add(x, b) once) where constant(b) => Relu(Sub(x, 2 * b))
"""

PYTHON = """
from dataclasses import dataclass
from xdsl.passes import ModulePass
from sardonyx.passes.fixpoint import FixpointPass

@dataclass(frozen=True)
class CountPass(ModulePass):
    "Count ops."
    name = "count-ops"
    least: int = 3

    def apply(self, ctx, op):
        assert sum(1 for _ in op.walk()) >= self.least

class Base(ModulePass):
    "Has no name."
"""


@pytest.fixture(autouse=True)
def forgotten_fixture() -> Any:
    with plugins([]):
        yield


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_of_rules_is_a_pass(tmp_path: Path, mlp: Path) -> None:
    path = write(tmp_path / "my_rules.rules", RULES)
    assert load_plugins([path]) == ["my-rules"]
    (made,) = parse_pipeline("my-rules")
    assert made.name == "my-rules"
    assert type(made).__doc__ == "Mine."
    assert str(made.pipeline_pass_spec()) == "my-rules"
    model = import_model(mlp)
    (run,) = run_pipeline(model, 'my-rules{only="shift"}')
    assert [rewrite.pattern for rewrite in run.journal.rewrites] == ["shift"]


def test_rules_are_chosen(tmp_path: Path) -> None:
    load_plugins([write(tmp_path / "mine.rules", RULES)])
    for spec in (
        'only="relu-relu"',
        'only="relu-relu,shift"',
        'only="shift","relu-relu"',
    ):
        (made,) = parse_pipeline(f"mine{{{spec}}}")
        assert str(made.pipeline_pass_spec()) == f"mine{{{spec}}}"
    (made,) = parse_pipeline('mine{only="relu-relu"}')
    assert [rule.name for rule in made.chosen()] == ["relu-relu"]


def test_a_rule_that_is_not_there(tmp_path: Path, mlp: Path) -> None:
    load_plugins([write(tmp_path / "mine.rules", RULES)])
    message = "mine: found rule 'relu', wanted one of: relu-relu, shift"
    with pytest.raises(SardonyxError, match=message):
        run_pipeline(import_model(mlp), 'mine{only="relu"}')


def test_a_file_of_python_is_passes(tmp_path: Path, mlp: Path) -> None:
    path = write(tmp_path / "mine.py", PYTHON)
    assert load_plugins([path]) == ["count-ops"]
    (made,) = parse_pipeline("count-ops{least=4}")
    assert str(made.pipeline_pass_spec()) == "count-ops{least=4}"
    run_pipeline(import_model(mlp), 'fixpoint{passes="count-ops"},count-ops')


def test_plugins_do_not_leak(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.rules", RULES)
    before = set(all_passes())
    with plugins([path]):
        assert set(all_passes()) == before | {"mine"}
        assert other_passes()["mine"] == str(path)
    assert set(all_passes()) == before
    assert "mine" not in other_passes()


def test_a_file_that_is_loaded_again_is_read_again(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.rules", RULES)
    load_plugins([path, path])
    write(path, "rule other Neg(Neg(x)) => x")
    load_plugins([path])
    (made,) = parse_pipeline("mine")
    assert [rule.name for rule in made.chosen()] == ["other"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("cse.rules", RULES, "found pass 'cse', which is already"),
        ("fold_constants.rules", RULES, "found pass 'fold-constants', which is"),
        ("mine.txt", "", "found a file named '.txt', wanted .py or .rules"),
        ("mine.py", "x = 1", "found no ModulePass with a name, wanted one"),
        ("mine.py", "\n1 / 0", ":2: cannot be loaded: ZeroDivisionError: division"),
        ("mine.py", "\nif", ":2: cannot be loaded: SyntaxError: "),
        ("mine.py", "import not_there_at_all", "cannot be loaded: ModuleNotFoundError"),
    ],
)
def test_refused_files(tmp_path: Path, name: str, text: str, message: str) -> None:
    path = write(tmp_path / name, text)
    with pytest.raises(PluginError) as caught:
        load_plugins([path])
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)


def test_other_refusals(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="cannot be read: no such file"):
        load_plugins([tmp_path / "none.py"])
    with pytest.raises(RuleError, match=r"mine\.rules:1:8: found the end, wanted"):
        load_plugins([write(tmp_path / "mine.rules", "rule a R")])
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
        write(folder / "mine.rules", RULES)
    with pytest.raises(PluginError, match=r"found pass 'mine', which is in .*a/mine"):
        load_plugins([folder / "mine.rules" for folder in folders])


def test_entry_points(monkeypatch: pytest.MonkeyPatch) -> None:
    value = "sardonyx.passes.fixpoint:FixpointPass"
    point = EntryPoint("settle", value, universe.GROUP)
    monkeypatch.setattr(universe, "INSTALLED", {"settle": point})
    assert universe.with_installed()["settle"]().name == "fixpoint"
    wrong = EntryPoint("wrong", "os:getcwd", universe.GROUP)
    monkeypatch.setattr(universe, "INSTALLED", {"wrong": wrong})
    with pytest.raises(SardonyxError, match="found os:getcwd, wanted a ModulePass"):
        universe.with_installed()["wrong"]()
    taken = EntryPoint("fold-constants", value, universe.GROUP)
    monkeypatch.setattr(universe, "INSTALLED", {"fold-constants": taken})
    with pytest.raises(SardonyxError, match="found the name of a pass of ours"):
        universe.with_installed()


# --- the command ---


@pytest.mark.parametrize("command", ["opt", "compile", "verify"])
def test_commands_take_plugins(
    command: str, tmp_path: Path, mlp: Path, sardonyx: Callable[..., Any]
) -> None:
    path = write(tmp_path / "mine.rules", RULES)
    rest = {
        "opt": ["-o", tmp_path / "out.mlir"],
        "compile": ["-o", tmp_path / "out", "-b", "numpy"],
        "verify": ["-b", "numpy"],
    }[command]
    spec = 'mine{only="relu-relu"}'
    said = sardonyx(command, mlp, "--plugin", path, "-p", spec, *rest)
    assert (said.code, said.err) == (0, "")
    said = sardonyx(command, mlp, "--plugin", tmp_path / "none.rules", *rest)
    assert said.code == 2
    assert "none.rules: cannot be read: no such file" in said.err


def test_passes_tells_of_plugins(tmp_path: Path, sardonyx: Callable[..., Any]) -> None:
    path = write(tmp_path / "mine.rules", RULES)
    said = sardonyx("passes", "--plugin", path)
    assert f"Mine. ({path})" in said.out
    said = sardonyx("passes", "mine", "--plugin", path)
    assert "relu-relu: Once is enough." in said.out
    said = sardonyx("passes", "simplify-algebra")
    assert "add-zero: x + 0 is x." in said.out


def test_rules_check(tmp_path: Path, sardonyx: Callable[..., Any]) -> None:
    path = write(tmp_path / "mine.rules", RULES)
    said = sardonyx("rules", "check", path, "--samples", 4)
    assert said.code == 1
    assert "relu-relu: holds on 4 inputs (" in said.out
    assert "shift: wrong: the sides differ: left is " in said.out
    assert f"{path}: 1 of 2 rules hold" in said.out
    said = sardonyx("rules", "check", path, "--only", "relu-relu", "--samples", 4)
    assert said.code == 0
    assert "1 of 1 rules hold" in said.out
    said = sardonyx("rules", "check", path, "--only", "relu")
    assert said.code == 2
    assert "found rule 'relu', wanted one of: relu-relu, shift" in said.err


def test_rules_check_as_json(tmp_path: Path, sardonyx: Callable[..., Any]) -> None:
    path = write(tmp_path / "mine.rules", RULES)
    said = sardonyx("rules", "check", path, "--samples", 3, "--json")
    right, wrong = json.loads(said.out)
    assert (right["rule"], right["ok"], right["held"]) == ("relu-relu", True, 3)
    assert (wrong["rule"], wrong["ok"]) == ("shift", False)
    assert wrong["wrong"].startswith("the sides differ: left is ")


def test_rules_check_shows_every_fault(
    tmp_path: Path, sardonyx: Callable[..., Any]
) -> None:
    path = write(tmp_path / "mine.rules", "rule a Neg(x, y) => x\nrule b Negg(x) => x")
    said = sardonyx("rules", "check", path)
    assert said.code == 2
    assert f"{path}:1:8: found 2 operands of Neg, wanted 1" in said.err
    assert "rule a Neg(x, y) => x\n       ^\n" in said.err
    assert f"sardonyx: {path}:2:8: found operator 'Negg'" in said.err
