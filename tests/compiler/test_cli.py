"""What every command of ``sardonyx`` does when nothing is wrong."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper
from onnx.reference import ReferenceEvaluator
from sardonyx.compiler.artifact import FILES
from sardonyx.compiler.driver import compile_model
from sardonyx.compiler.pipelines import PIPELINES, spec_of
from sardonyx.compiler.text import read_text
from sardonyx.passes import get_all_passes

COMMANDS = ("compile", "run", "verify", "bench", "opt", "passes", "why", "diff", "demo")


def command(*arguments: Any) -> subprocess.CompletedProcess[str]:
    """The command as a process of its own."""
    program = [sys.executable, "-c", "from sardonyx.compiler.cli import main; main()"]
    given = [str(argument) for argument in arguments]
    return subprocess.run(
        [*program, *given], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_help_explains_the_command(sardonyx: Any, name: str) -> None:
    said = sardonyx(name, "--help")
    assert said.code == 0
    assert not said.err
    assert "usage" in said.out.lower()
    assert f"sardonyx {name}" in said.out


def test_help_lists_every_command(sardonyx: Any) -> None:
    said = sardonyx("--help")
    assert said.code == 0
    for name in COMMANDS:
        assert name in said.out


def test_without_arguments_the_help_is_shown(sardonyx: Any) -> None:
    said = sardonyx()
    assert "Usage: sardonyx" in said.out
    assert "Traceback" not in said.err


# --- passes ---


def test_passes_lists_passes_and_levels(sardonyx: Any) -> None:
    said = sardonyx("passes")
    assert said.code == 0
    for name in (*get_all_passes(), "cse", "dce", "canonicalize"):
        assert name in said.out
    for level in PIPELINES:
        assert f"-{level}" in said.out


@pytest.mark.parametrize("name", [*get_all_passes(), "cse"])
def test_passes_explains_one(sardonyx: Any, name: str) -> None:
    said = sardonyx("passes", name)
    assert said.code == 0
    assert said.out.startswith(name)
    assert len(said.out.splitlines()) > 1


def test_passes_names_a_pass_s_options(sardonyx: Any) -> None:
    assert "max-growth" in sardonyx("passes", "fold-constants").out


# --- opt ---


def test_opt_prints_a_model(sardonyx: Any, mlp: Path) -> None:
    said = sardonyx("opt", mlp)
    assert said.code == 0
    assert not said.err
    assert 'onnx.Constant #onnx.weight<"w">' in said.out
    assert "onnx.Softmax" in said.out


def test_opt_runs_passes(sardonyx: Any, pair: Path) -> None:
    before = sardonyx("opt", pair).out
    spec = 'specialize-dims{dims="n=2"},dce'
    after = sardonyx("opt", pair, "-p", spec).out
    assert "?x3xf32" in before
    assert "tensor<2x3xf32>" in after
    assert "?x3xf32" not in after


def test_opt_writes_text_with_its_weights_beside(sardonyx: Any, mlp: Path) -> None:
    goal = mlp.parent / "ir" / "x.mlir"
    goal.parent.mkdir()
    said = sardonyx("opt", mlp, "-o", goal)
    assert (said.code, said.out, said.err) == (0, "", "")
    assert sorted(p.name for p in goal.parent.iterdir()) == ["x.mlir", "x.safetensors"]
    text = goal.read_text()
    assert 'onnx.weights = "x.safetensors"' in text
    assert str(mlp.parent) not in text


def test_opt_reads_back_what_it_wrote(sardonyx: Any, mlp: Path) -> None:
    first, second = mlp.parent / "a.mlir", mlp.parent / "b.mlir"
    sardonyx("opt", mlp, "-o", first)
    sardonyx("opt", first, "-o", second)
    assert first.read_text() == second.read_text().replace("b.safe", "a.safe")
    weights = [p.with_suffix(".safetensors").read_bytes() for p in (first, second)]
    assert weights[0] == weights[1]
    x = np.random.default_rng(0).standard_normal((3, 8)).astype(np.float32)
    direct = compile_model(mlp, "numpy")(x)
    for path in (first, second):
        for a, b in zip(compile_model(path, "numpy")(x), direct, strict=True):
            assert a.tobytes() == b.tobytes()


def test_a_written_module_may_move_with_its_weights(sardonyx: Any, mlp: Path) -> None:
    sardonyx("opt", mlp, "-o", mlp.parent / "x.mlir")
    goal = mlp.parent / "elsewhere"
    goal.mkdir()
    for name in ("x.mlir", "x.safetensors"):
        (mlp.parent / name).rename(goal / name)
    said = sardonyx("run", goal / "x.mlir", "-b", "numpy", "--repeat", 1)
    assert said.code == 0


def test_opt_without_weights_writes_the_text_alone(
    sardonyx: Any, pair: Path, tmp_path: Path
) -> None:
    sardonyx("opt", pair, "-o", tmp_path / "p.mlir")
    assert not (tmp_path / "p.safetensors").exists()
    assert "onnx.weights" not in (tmp_path / "p.mlir").read_text()


def test_opt_may_overwrite_what_it_reads(sardonyx: Any, mlp: Path) -> None:
    path = mlp.parent / "x.mlir"
    sardonyx("opt", mlp, "-o", path)
    before = path.read_text(), path.with_suffix(".safetensors").read_bytes()
    assert sardonyx("opt", path, "-o", path).code == 0
    assert before == (path.read_text(), path.with_suffix(".safetensors").read_bytes())
    read_text(path)


# --- compile ---


@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_compile_writes_an_artifact(sardonyx: Any, mlp: Path, backend: str) -> None:
    goal = mlp.parent / "deep" / "out"
    said = sardonyx("compile", mlp, "-o", goal, "--backend", backend)
    assert said.code == 0
    assert not said.err
    assert sorted(p.name for p in goal.iterdir()) == sorted(FILES)
    assert f"wrote {goal}" in said.out
    assert "float32[batch, 8]" in said.out
    assert json.loads((goal / "manifest.json").read_text())["backend"] == backend


@pytest.mark.parametrize("level", ["0", "1", "2", "3"])
def test_compile_takes_every_level(sardonyx: Any, mlp: Path, level: str) -> None:
    goal = mlp.parent / "out"
    given = ("-b", "numpy", "-O", level, "--no-refuse-slower")
    assert sardonyx("compile", mlp, "-o", goal, *given).code == 0
    manifest = json.loads((goal / "manifest.json").read_text())
    # -O3 chooses among more passes, of which none does anything here.
    wanted = "O2" if level == "3" else f"O{level}"
    assert manifest["pipeline"] == spec_of(wanted, "numpy")


def test_passes_win_over_the_level(sardonyx: Any, mlp: Path) -> None:
    goal = mlp.parent / "out"
    sardonyx("compile", mlp, "-o", goal, "-b", "numpy", "-O3", "-p", "dce")
    assert json.loads((goal / "manifest.json").read_text())["pipeline"] == "dce"


def test_compile_fixes_dimensions(sardonyx: Any, mlp: Path) -> None:
    goal = mlp.parent / "out"
    sardonyx("compile", mlp, "-o", goal, "-b", "numpy", "--dim", "batch=5")
    manifest = json.loads((goal / "manifest.json").read_text())
    assert manifest["inputs"][0]["shape"] == [5, 8]
    assert manifest["dims"] == []


@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_the_same_model_gives_the_same_bytes(
    sardonyx: Any, mlp: Path, backend: str
) -> None:
    contents = []
    for name in ("one", "two"):
        goal = mlp.parent / name
        sardonyx("compile", mlp, "-o", goal, "-b", backend)
        contents.append({file: (goal / file).read_bytes() for file in FILES})
    assert contents[0] == contents[1]


def test_another_process_gives_the_same_bytes(
    sardonyx: Any, mlp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sardonyx("compile", mlp, "-o", mlp.parent / "here", "-b", "numpy")
    monkeypatch.setenv("PYTHONHASHSEED", "12345")
    ran = command("compile", mlp, "-o", mlp.parent / "there", "-b", "numpy")
    assert ran.returncode == 0, ran.stderr
    for file in FILES:
        here, there = mlp.parent / "here" / file, mlp.parent / "there" / file
        assert here.read_bytes() == there.read_bytes(), file


# --- run ---


def reference(path: Path, **arrays: Any) -> list[Any]:
    return ReferenceEvaluator(onnx.load(path)).run(None, arrays)


@pytest.mark.parametrize("backend", ["numpy", "jax"])
@pytest.mark.parametrize("compiled", [False, True], ids=["model", "artifact"])
def test_run_computes_what_the_reference_does(
    sardonyx: Any,
    assert_close: Any,
    pair: Path,
    backend: str,
    compiled: bool,
) -> None:
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((2, 4, 3)).astype(np.float32)
    folder = pair.parent
    np.save(folder / "a=b.npy", a)
    np.save(folder / "b.npy", b)
    target, options = pair, ["-b", backend]
    if compiled:
        sardonyx("compile", pair, "-o", folder / "art", *options)
        target, options = folder / "art", []
    given = ["-i", f"b={folder}/b.npy", "-i", f"a={folder}/a.npy"]
    (folder / "a=b.npy").rename(folder / "a.npy")
    said = sardonyx("run", target, *given, "-o", folder / "o", *options)
    assert said.code == 0, said.err
    found = [np.load(folder / "o" / name) for name in ("0-d.npy", "1-s.npy")]
    assert len(list((folder / "o").iterdir())) == 2
    for one, wanted in zip(found, reference(pair, a=a, b=b), strict=True):
        assert_close(one, wanted)
    assert "median of 5 calls" in said.out


def test_run_draws_by_seed_and_dim(sardonyx: Any, mlp: Path) -> None:
    def run(*options: Any) -> dict[str, Any]:
        said = sardonyx("run", mlp, "-b", "numpy", "--repeat", 1, "--json", *options)
        assert said.code == 0
        found = json.loads(said.out)
        found.pop("median_seconds")
        return found

    first = run("--dim", "batch=3", "--seed", 4)
    assert first["inputs"]["x"]["shape"] == [3, 8]
    assert first["outputs"]["y"]["shape"] == [3, 4]
    assert first["calls"] == 1
    assert first == run("--dim", "batch=3", "--seed", 4)
    assert first != run("--dim", "batch=3", "--seed", 5)


def test_run_draws_what_the_api_draws(
    sardonyx: Any, mlp: Path, assert_close: Any
) -> None:
    executable = compile_model(mlp, "numpy")
    wanted = executable(**executable.random_inputs({"batch": 2}, seed=3))
    folder = mlp.parent / "o"
    options = ["-b", "numpy", "--seed", 3, "--dim", "batch=2"]
    sardonyx("run", mlp, *options, "-o", folder)
    assert_close(np.load(folder / "0-y.npy"), wanted[0])


def test_a_given_input_sets_the_size_of_the_random_ones(
    sardonyx: Any, pair: Path
) -> None:
    np.save(pair.parent / "b.npy", np.ones((7, 3), np.float32))
    given = f"b={pair.parent}/b.npy"
    said = sardonyx("run", pair, "-i", given, "-b", "numpy", "--json")
    assert json.loads(said.out)["inputs"]["a"]["shape"] == [7, 3]


def test_run_an_artifact_with_dim(sardonyx: Any, mlp: Path) -> None:
    sardonyx("compile", mlp, "-o", mlp.parent / "out", "-b", "numpy")
    said = sardonyx("run", mlp.parent / "out", "--dim", "batch=6", "--json")
    assert json.loads(said.out)["outputs"]["y"]["shape"] == [6, 4]


def test_run_repeats(sardonyx: Any, mlp: Path) -> None:
    said = sardonyx("run", mlp, "-b", "numpy", "--repeat", 3)
    assert "median of 3 calls" in said.out


def test_strings_sequences_and_narrow_floats_are_written_and_read(
    sardonyx: Any, tmp_path: Path, model_of: Any, value_info: Any
) -> None:
    nodes = [
        helper.make_node("Identity", ["s"], ["t"]),
        helper.make_node("Cast", ["h"], ["wide"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Identity", ["h"], ["narrow"]),
        helper.make_node("SplitToSequence", ["h"], ["parts"], axis=0),
    ]
    parts = helper.make_tensor_sequence_value_info(
        "parts", onnx.TensorProto.BFLOAT16, None
    )
    outputs = [
        value_info("t", [2], "STRING"),
        value_info("wide", [2]),
        value_info("narrow", [2], "BFLOAT16"),
        parts,
    ]
    inputs = [value_info("s", [2], "STRING"), value_info("h", [2], "BFLOAT16")]
    onnx.save(model_of(nodes, inputs, outputs), tmp_path / "m.onnx")
    np.save(tmp_path / "s.npy", np.array(["é", "two"]))
    strings = f"s={tmp_path}/s.npy"
    first, second = tmp_path / "o1", tmp_path / "o2"
    model = [tmp_path / "m.onnx", "-b", "numpy", "-i", strings]
    said = sardonyx("run", *model, "-o", first)
    assert said.code == 0, said.err
    narrow = f"h={first}/2-narrow.npy"
    assert sardonyx("run", *model, "-i", narrow, "-o", second).code == 0
    assert np.load(second / "0-t.npy").tolist() == ["é", "two"]
    for name in ("1-wide.npy", "2-narrow.npy", "3-parts-0.npy", "3-parts-1.npy"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


# --- verify ---


@pytest.mark.parametrize("against", ["onnxruntime", "reference"])
@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_verify_agrees(sardonyx: Any, mlp: Path, against: str, backend: str) -> None:
    said = sardonyx("verify", mlp, "-b", backend, "--against", against, "--per-op")
    assert said.code == 0, said.out
    assert f"agrees with {against}" in said.out
    for name in ("y", "hidden", "logits", "sum"):
        assert name in said.out


def test_verify_as_json(sardonyx: Any, mlp: Path) -> None:
    said = sardonyx("verify", mlp, "-b", "numpy", "--per-op", "--json", "-O", "0")
    found = json.loads(said.out)
    assert found["ok"] is True
    assert found["pipeline"] == ""
    kinds = {entry["kind"] for entry in found["values"]}
    assert kinds == {"output", "logits", "op"}


def test_verify_exits_1_on_a_mismatch(
    sardonyx: Any, mlp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sardonyx.backends.numpy import TABLE

    monkeypatch.setitem(TABLE, "onnx.Relu", TABLE["onnx.Abs"])
    options = ["-b", "numpy", "--per-op"]
    said = sardonyx("verify", mlp, *options)
    assert said.code == 1
    assert not said.err
    assert "first divergence: hidden of gate" in said.out
    assert "differs from onnxruntime" in said.out
    found = json.loads(sardonyx("verify", mlp, *options, "--json").out)
    assert found["ok"] is False
    assert found["first_divergence"]["node"] == "gate"


def test_verify_with_a_tolerance_of_nothing_fails(sardonyx: Any, mlp: Path) -> None:
    options = ["-b", "numpy", "--dim", "batch=64", "--tol", "1e-12"]
    assert sardonyx("verify", mlp, *options).code == 1


def test_long_names_leave_the_numbers_readable(
    sardonyx: Any, tmp_path: Path, model_of: Any, value_info: Any
) -> None:
    long = "layer/" * 60
    nodes = [helper.make_node("Abs", ["x"], [long], name=long)]
    inputs, outputs = [value_info("x", [2])], [value_info(long, [2])]
    onnx.save(model_of(nodes, inputs, outputs), tmp_path / "m.onnx")
    said = sardonyx("verify", tmp_path / "m.onnx", "-b", "numpy")
    assert said.code == 0
    assert "float32[2]" in said.out
    assert "max rel" in said.out


# --- processes ---


def test_the_command_is_installed(mlp: Path) -> None:
    script = Path(sys.executable).with_name("sardonyx")
    ran = subprocess.run(
        [script, "run", mlp, "-b", "numpy", "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(ran.stdout)["outputs"]["y"]["shape"] == [1, 4]
    assert not ran.stderr


def test_a_reader_that_has_seen_enough_is_no_error(mlp: Path) -> None:
    program = "from sardonyx.compiler.cli import main; main()"
    for arguments in (["opt", mlp], ["run", mlp, "-b", "numpy", "--json"]):
        with subprocess.Popen(
            [sys.executable, "-c", program, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as ran:
            assert ran.stdout is not None
            assert ran.stderr is not None
            ran.stdout.close()
            assert ran.stderr.read() == b""
        assert ran.returncode == 1


def test_a_terminal_without_unicode_gets_escapes(
    tmp_path: Path, model_of: Any, value_info: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    nodes = [helper.make_node("Abs", ["é"], ["ü"])]
    inputs, outputs = [value_info("é", [2])], [value_info("ü", [2])]
    onnx.save(model_of(nodes, inputs, outputs), tmp_path / "m.onnx")
    ran = command("run", tmp_path / "m.onnx", "-b", "numpy")
    assert ran.returncode == 0, ran.stderr
    assert r"\xe9" in ran.stdout
