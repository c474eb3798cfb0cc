"""Pipelines: specs, levels, files, fixpoints, and that ``opt`` runs them as all do."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import helper
from sardonyx.compiler.driver import load
from sardonyx.compiler.pipelines import (
    PIPELINES,
    Instrument,
    PassError,
    PassRun,
    PipelineError,
    parse_pipeline,
    passes_in,
    read_pipeline,
    run_pipeline,
    spec_of,
    spec_text,
    split_spec,
)
from xdsl.dialects.func import ReturnOp
from xdsl.passes import ModulePass

NESTED = r'fixpoint{passes="expand-functions{ops=\"Mish\"},cse"}'


@pytest.fixture(name="mish")
def mish_fixture(tmp_path: Path, model_of: Any, value_info: Any) -> Path:
    """``y = mish(x) - mish(x)``."""
    nodes = [
        helper.make_node("Mish", ["x"], ["a"], name="one"),
        helper.make_node("Mish", ["x"], ["b"], name="two"),
        helper.make_node("Sub", ["a", "b"], ["y"], name="less"),
    ]
    inputs, outputs = [value_info("x", ["n"])], [value_info("y", ["n"])]
    onnx.save(model_of(nodes, inputs, outputs), tmp_path / "mish.onnx")
    return tmp_path / "mish.onnx"


# --- specs ---


def test_levels_stand_among_passes() -> None:
    assert spec_of("O1,fold-batch-norm") == ",".join(
        (*PIPELINES["O1"], "fold-batch-norm")
    )
    assert spec_of("cse,O0") == "cse"
    assert passes_in("O1") == passes_in(",".join(PIPELINES["O1"]))
    assert [one.name for one in passes_in(f"{NESTED},dce")] == [
        "expand-functions",
        "cse",
        "dce",
    ]


@pytest.mark.parametrize(
    ("spec", "parts"),
    [
        ("a,b{x=1,2 y=3},c", ["a", "b{x=1,2 y=3}", "c"]),
        (f"a,{NESTED}", ["a", NESTED]),
        ('a{x="},{"},b', ['a{x="},{"}', "b"]),
        ("a{x=?}", None),
    ],
)
def test_specs_are_split(spec: str, parts: list[str] | None) -> None:
    assert split_spec(spec) == parts


@dataclass(frozen=True)
class Everything(ModulePass):
    """Has an option of every kind."""

    name = "everything"

    text: str = ""
    number: float = 1.0
    many: tuple[float, ...] = ()
    count: int | None = 3
    flag: bool = False

    def apply(self, ctx: Any, op: Any) -> None:
        raise NotImplementedError


@pytest.mark.parametrize(
    "one",
    [
        Everything(),
        Everything(text='a"b\\c,{d}\n\t e'),
        Everything(text='x{y="z{w=\\"v\\"}"}'),
        Everything(number=1e-5, many=(2.5e300, -1e-7, 0.1)),
        Everything(count=None, flag=True),
    ],
    ids=str,
)
def test_a_spec_is_parsed_to_the_pass_that_it_is_of(
    one: Everything, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sardonyx.compiler import pipelines

    known = {"everything": lambda: Everything}
    monkeypatch.setattr(pipelines, "all_passes", lambda: known)
    assert parse_pipeline(spec_text(one)) == (one,)


def test_quotes_nest(sardonyx: Any, mish: Path) -> None:
    (one,) = parse_pipeline(NESTED)
    assert spec_text(one) == NESTED
    twice = spec_text(type(one)(passes=f"{NESTED},dce"))
    assert parse_pipeline(twice)[0].passes == f"{NESTED},dce"
    said = sardonyx("opt", mish, "-p", twice)
    assert said.code == 0
    assert "Mish" not in said.out
    assert said.out.count("onnx.Softplus") == 1


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ('fixpoint{passes="nope"}', "found pass 'nope'"),
        ('fixpoint{passes="cse,,"}', "pipeline 'cse,,'"),
        (r'fixpoint{passes="a\fb"}', "escape"),
        ("fold-constant", r"did you mean fold-constants\?"),
    ],
)
def test_refused_before_anything_runs(mish: Path, spec: str, message: str) -> None:
    model = load(mish)
    before = model.text()
    with pytest.raises(PipelineError, match=message):
        run_pipeline(model, f'expand-functions{{ops="Mish"}},{spec}')
    assert model.text() == before


# --- files ---

FILE = r"""
# what runs
O1            # a level

cse,dce,
expand-functions{ops="#Mish"}   # a hash in quotes is text
fixpoint{passes="expand-functions{ops=\"Mish\"},cse"}
"""


def test_a_file_has_a_spec_per_line(tmp_path: Path) -> None:
    path = tmp_path / "p.txt"
    path.write_text(FILE)
    assert read_pipeline(path) == (
        rf'O1,cse,dce,expand-functions{{ops="#Mish"}},{NESTED}'
    )
    path.write_text("\n# nothing\n")
    assert read_pipeline(path) == ""


@pytest.mark.parametrize("command", ["opt", "run", "inspect"])
def test_commands_take_a_file(
    sardonyx: Any, mish: Path, command: str, tmp_path: Path
) -> None:
    path = tmp_path / "p.txt"
    path.write_text('expand-functions{ops="Mish"} # all\ncse\n')
    options = ["-b", "numpy"] if command == "run" else []
    said = sardonyx(command, mish, "-p", f"@{path}", *options)
    assert said.code == 0, said.err
    if command != "run":
        assert "Softplus" in said.out
        assert "Mish" not in said.out.replace("mish", "").partition("after")[0]


def test_compile_writes_down_what_the_file_said(
    sardonyx: Any, mish: Path, tmp_path: Path
) -> None:
    path = tmp_path / "p.txt"
    path.write_text("O1\ndce\n")
    goal = tmp_path / "out"
    said = sardonyx(
        "compile", mish, "-b", "numpy", "-p", f"@{path}", "-o", goal, "--statistics"
    )
    assert said.code == 0
    manifest = json.loads((goal / "manifest.json").read_text())
    assert manifest["pipeline"] == spec_of("O1,dce")
    assert "rewritten" in said.out


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("cse\ndce}\n", ":2: 'dce}'"),
        ("a b", ":1: 'a b'"),
        (b"\xff", "cannot be read"),
        (None, "cannot be read: no such file"),
        ("cse\nnope", "found pass 'nope'"),
    ],
)
def test_a_file_that_is_none_is_refused(
    sardonyx: Any, mish: Path, tmp_path: Path, content: Any, message: str
) -> None:
    path = tmp_path / "p.txt"
    if content is not None:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    said = sardonyx("opt", mish, "-p", f"@{path}")
    assert said.code == 2
    assert message in said.err
    assert len(said.err.splitlines()) == 1


# --- opt ---


@pytest.mark.parametrize("level", ["0", "1", "2", "3"])
def test_opt_takes_levels(sardonyx: Any, mlp: Path, level: str) -> None:
    model = load(mlp)
    run_pipeline(model, f"O{level}")
    said = sardonyx("opt", mlp, f"-O{level}", "--print-debuginfo")
    assert said.out.rstrip() == model.text().rstrip()
    assert sardonyx("opt", mlp, "-O", level, "--print-debuginfo").out == said.out


def test_passes_win_over_the_level_in_opt_too(sardonyx: Any, mish: Path) -> None:
    said = sardonyx("opt", mish, "-O2", "-p", "dce", "--statistics", "--json")
    assert [entry["spec"] for entry in json.loads(said.err)] == ["dce"]


def test_opt_runs_modules_without_a_main(sardonyx: Any, tmp_path: Path) -> None:
    path = tmp_path / "m.mlir"
    path.write_text('func.func @f() {\n  %a = "test.op"() : () -> i32\n  return\n}\n')
    said = sardonyx("opt", path, "-p", "canonicalize", "--allow-unregistered-dialect")
    assert (said.code, said.err) == (0, "")
    assert "@f" in said.out


def test_help_lists_our_passes_and_no_others(sardonyx: Any) -> None:
    said = sardonyx("opt", "--help")
    assert "fold-constants" in said.out
    assert "canonicalize" in said.out
    assert "xDSL's other passes work here too" in said.out
    assert "convert-" not in said.out
    assert len(said.out.splitlines()) < 200


@dataclass(frozen=True)
class Spoils(ModulePass):
    """Leaves a function that returns another type than it says."""

    name = "spoils"

    def apply(self, ctx: Any, op: Any) -> None:
        (last,) = [o for o in op.walk() if isinstance(o, ReturnOp)]
        last.operands = [last.parent.args[0], *last.operands[1:]]


class Watch(Instrument):
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def begin(self, model: Any) -> None:
        self.told.append("begin")

    def before(self, model: Any, place: int, one: ModulePass) -> None:
        self.told.append(f"before {place} {one.name}")

    def after(self, model: Any, run: PassRun) -> None:
        self.told.append(f"after {run.place} {run.name}")

    def failed(self, place: int, one: ModulePass, error: Exception) -> None:
        self.told.append(f"failed {place} {one.name} {type(error).__name__}")

    def end(self, model: Any, runs: Any) -> None:
        self.told.append(f"end {len(runs)}")


@pytest.fixture(name="spoils")
def spoils_fixture(monkeypatch: pytest.MonkeyPatch) -> None:
    from sardonyx.compiler import pipelines

    known = {**pipelines.all_passes(), "spoils": lambda: Spoils}
    monkeypatch.setattr(pipelines, "all_passes", lambda: known)


@pytest.mark.usefixtures("spoils")
def test_every_module_is_verified(sardonyx: Any, mlp: Path) -> None:
    watch = Watch()
    with pytest.raises(PassError, match=r"pass spoils left .* op func.return"):
        run_pipeline(load(mlp), "cse,spoils,dce", [watch])
    assert watch.told == [
        "begin",
        "before 0 cse",
        "after 0 cse",
        "before 1 spoils",
        "failed 1 spoils PassError",
    ]
    said = sardonyx("opt", mlp, "-p", "cse,spoils,dce")
    assert said.code == 2
    assert "pass spoils left a module that does not verify" in said.err
    run_pipeline(load(mlp), "spoils", verify=False)


def test_instruments_see_the_rounds_of_a_fixpoint(mlp: Path) -> None:
    watch = Watch()
    run_pipeline(load(mlp), 'dce,fixpoint{passes="cse,dce"}', [watch])
    names = [line.split()[-1] for line in watch.told if line.startswith("after")]
    assert names == ["dce", "cse", "dce"]
    assert watch.told[-1] == "end 3"


# --- same input, same bytes ---

SCRIPT = """
import sys
from sardonyx.compiler.cli import main
for arguments in {runs!r}:
    try:
        main(arguments)
    except SystemExit as ended:
        assert not ended.code, arguments
"""


def test_other_hash_seeds_give_the_same_bytes(
    tmp_path: Path, mlp: Path, mish: Path
) -> None:
    written = []
    for seed in ("1", "77"):
        goal = tmp_path / seed
        goal.mkdir()
        runs = [
            run
            for path in (mlp, mish)
            for run in (
                ["opt", str(path), "-O2", "-o", str(goal / f"{path.stem}.mlir")],
                ["opt", str(path), "-p", "O2", "--dump-dir", str(goal / path.stem)],
                [
                    *["compile", str(path), "-O2", "-b", "numpy"],
                    *["-o", str(goal / f"{path.stem}.d")],
                ],
            )
        ]
        program = SCRIPT.format(runs=runs)
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", program],
            env=environment,
            capture_output=True,
            check=True,
        )
        files = {p.relative_to(goal): p.read_bytes() for p in goal.rglob("*.*")
                 if p.is_file() and not p.name.startswith("index")}  # fmt: skip
        written.append((files, done.stdout.replace(seed.encode(), b"")))
    assert len(written[0][0]) > 10
    assert written[0][0] == written[1][0]
