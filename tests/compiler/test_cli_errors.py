"""Bad input: exit code 2, one line on stderr, no output, nothing half-written."""

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper
from sardonyx.compiler import artifact
from sardonyx.compiler.cli import main


@pytest.fixture(name="refused")
def refused_fixture(sardonyx: Any) -> Any:
    """``refused(*wanted)(arguments…)``: the line on stderr, which holds `wanted`."""

    def refused(*arguments: Any) -> str:
        said = sardonyx(*arguments)
        assert said.code == 2, said
        assert said.out == ""
        lines = said.err.splitlines()
        assert len(lines) == 1, said.err
        assert lines[0].startswith("sardonyx: ")
        assert len(lines[0]) > len("sardonyx: ") + 5
        assert lines[0].isprintable()
        return lines[0]

    return refused


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def has(line: str, *wanted: object) -> None:
    for one in wanted:
        assert str(one) in line, line


# --- model files ---


def test_truncated_file(refused: Any, mlp: Path) -> None:
    content = mlp.read_bytes()
    short = mlp.parent / "short.onnx"
    before = tree(mlp.parent)
    for size in [*range(0, 64), *range(64, len(content), 23), len(content) - 1]:
        short.write_bytes(content[:size])
        line = refused("compile", short, "-o", mlp.parent / "out")
        has(line, short)
        short.unlink()
    assert tree(mlp.parent) == before


@pytest.mark.parametrize("command", ["compile", "run", "verify", "opt"])
def test_truncated_file_by_every_command(refused: Any, mlp: Path, command: str) -> None:
    mlp.write_bytes(mlp.read_bytes()[:-40])
    more = ["-o", mlp.parent / "out"] if command == "compile" else []
    has(refused(command, mlp, *more), mlp, "truncated")


@pytest.mark.parametrize(
    ("content", "found"),
    [(b"", "no graph"), (b"hello\n", "not an ONNX model"), (b"\x00" * 99, "not an")],
)
@pytest.mark.parametrize("command", ["run", "verify", "opt"])
def test_a_file_that_is_no_model(
    refused: Any, tmp_path: Path, command: str, content: bytes, found: str
) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    has(refused(command, path), path, found)


@pytest.mark.parametrize("command", ["run", "verify", "opt"])
def test_missing_file(refused: Any, tmp_path: Path, command: str) -> None:
    path = tmp_path / "none.onnx"
    has(refused(command, path), path, "no such file")


@pytest.mark.parametrize("command", ["verify", "opt"])
def test_a_folder_is_no_model(refused: Any, tmp_path: Path, command: str) -> None:
    folder = tmp_path / "d.onnx"
    folder.mkdir()
    has(refused(command, folder), folder, "is a directory")


def test_a_folder_is_no_artifact(refused: Any, tmp_path: Path) -> None:
    has(refused("run", tmp_path), tmp_path, "not an artifact", "manifest.json")


def test_opt_reads_only_what_it_knows(refused: Any, tmp_path: Path) -> None:
    path = tmp_path / "m.txt"
    path.write_text("hello")
    has(refused("opt", path), path, ".txt", ".onnx", ".mlir")


def test_missing_external_data(refused: Any, mlp: Path) -> None:
    model = onnx.load(mlp)
    path = mlp.parent / "big.onnx"
    onnx.save(
        model, path, save_as_external_data=True, location="w.bin", size_threshold=0
    )
    (mlp.parent / "w.bin").unlink()
    line = refused("compile", path, "-o", mlp.parent / "out")
    has(line, path, "'w'", "w.bin", "missing")
    assert not (mlp.parent / "out").exists()


def test_short_external_data(refused: Any, mlp: Path) -> None:
    path = mlp.parent / "big.onnx"
    onnx.save(
        onnx.load(mlp),
        path,
        save_as_external_data=True,
        location="w.bin",
        size_threshold=0,
    )
    data = mlp.parent / "w.bin"
    data.write_bytes(data.read_bytes()[:100])
    has(refused("run", path), path, "w.bin", "100")


def test_unknown_operator(
    refused: Any, tmp_path: Path, model_of: Any, value_info: Any
) -> None:
    node = helper.make_node("Frobnicate", ["x"], ["y"], name="my node")
    model = model_of([node], [value_info("x", [2])], [value_info("y", [2])])
    path = tmp_path / "m.onnx"
    onnx.save(model, path)
    line = refused("compile", path, "-o", tmp_path / "out")
    has(line, path, "'my node'", "Frobnicate")
    assert not (tmp_path / "out").exists()


def test_unsupported_on_the_backend_names_the_node(
    refused: Any, tmp_path: Path, model_of: Any, value_info: Any
) -> None:
    domain = "com.microsoft"
    orders = {"order_input": 1, "order_output": 1}
    node = helper.make_node(
        "QuantizeWithOrder", ["x", "s"], ["y"], name="rows", domain=domain, **orders
    )
    given = [value_info("x", [1, 2, 2]), value_info("s", [])]
    model = model_of([node], given, [value_info("y", [1, 2, 2], "INT8")])
    model.opset_import.add(domain=domain, version=1)
    onnx.save(model, tmp_path / "m.onnx")
    line = refused("run", tmp_path / "m.onnx", "-b", "jax")
    has(line, "jax", "rows", "QuantizeWithOrder")


# --- inputs ---


def npy(folder: Path, array: Any) -> str:
    np.save(folder / "in.npy", array)
    return str(folder / "in.npy")


@pytest.mark.parametrize("compiled", [False, True], ids=["model", "artifact"])
@pytest.mark.parametrize(
    ("array", "wanted"),
    [
        (np.zeros((2, 8)), ["'x'", "found dtype float64", "wanted float32"]),
        (np.zeros(8, "f"), ["'x'", "found shape [8]", "wanted [batch, 8]"]),
        (np.zeros((2, 9), "f"), ["'x'", "found shape [2, 9]", "wanted [batch, 8]"]),
        (np.zeros((), "f"), ["'x'", "found shape []", "wanted [batch, 8]"]),
    ],
    ids=["dtype", "rank", "dimension", "scalar"],
)
def test_an_input_that_does_not_fit(
    refused: Any,
    sardonyx: Any,
    mlp: Path,
    array: Any,
    wanted: list[str],
    compiled: bool,
) -> None:
    target: Path = mlp
    if compiled:
        target = mlp.parent / "art"
        sardonyx("compile", mlp, "-o", target, "-b", "numpy")
    options = [] if compiled else ["-b", "numpy"]
    has(refused("run", target, "-i", f"x={npy(mlp.parent, array)}", *options), *wanted)


def test_inputs_that_do_not_fit_each_other(refused: Any, pair: Path) -> None:
    np.save(pair.parent / "a.npy", np.zeros((2, 3), "f"))
    np.save(pair.parent / "b.npy", np.zeros((4, 3), "f"))
    given = [f"-i{name}={pair.parent}/{name}.npy" for name in "ab"]
    line = refused("run", pair, *given, "-b", "numpy")
    has(line, "'b'", "found shape [4, 3]", "n=2")


def test_a_shape_that_only_running_shows_to_be_wrong(
    refused: Any, tmp_path: Path, model_of: Any, value_info: Any
) -> None:
    node = helper.make_node("Add", ["a", "b"], ["y"], name="sum")
    inputs = [value_info("a", [None]), value_info("b", [None])]
    onnx.save(model_of([node], inputs, [value_info("y", [None])]), tmp_path / "m.onnx")
    for name, size in (("a", 2), ("b", 3)):
        np.save(tmp_path / f"{name}.npy", np.zeros(size, "f"))
    given = [f"-i{name}={tmp_path}/{name}.npy" for name in "ab"]
    for backend in ("numpy", "jax"):
        line = refused("run", tmp_path / "m.onnx", *given, "-b", backend)
        has(line, "2", "3")


def test_unknown_input(refused: Any, mlp: Path) -> None:
    given = f"nope={npy(mlp.parent, np.zeros(3))}"
    has(refused("run", mlp, "-i", given), "'nope'", "wanted one of", "'x'")


def test_an_input_without_random_values(
    refused: Any, tmp_path: Path, model_of: Any, value_info: Any
) -> None:
    node = helper.make_node("Identity", ["words"], ["y"])
    inputs, outputs = (
        [value_info("words", [2], "STRING")],
        [value_info("y", [2], "STRING")],
    )
    onnx.save(model_of([node], inputs, outputs), tmp_path / "m.onnx")
    has(refused("run", tmp_path / "m.onnx", "-b", "numpy"), "'words'", "string")
    given = ["verify", tmp_path / "m.onnx", "-b", "numpy"]
    has(refused(*given), "'words'", "string")


@pytest.mark.parametrize("entry", ["x", "=f.npy", "x.npy"])
def test_malformed_input_option(refused: Any, mlp: Path, entry: str) -> None:
    has(refused("run", mlp, "-i", entry), "-i", repr(entry), "NAME=FILE.npy")


class Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def test_pickled_objects_are_refused(refused: Any, mlp: Path) -> None:
    canary = mlp.parent / "canary"
    array = np.array([Trap(canary)], dtype=object)
    np.save(mlp.parent / "in.npy", array, allow_pickle=True)
    given = f"x={mlp.parent}/in.npy"
    has(refused("run", mlp, "-i", given), "-i x", "in.npy", "Object arrays")
    (mlp.parent / "in.npy").write_bytes(array.dumps())
    has(refused("run", mlp, "-i", given), "-i x", "in.npy", "no plain .npy array")
    assert not canary.exists()
    np.load(mlp.parent / "in.npy", allow_pickle=True)
    assert canary.exists(), "the trap works"


@pytest.mark.parametrize("content", [b"", b"hi", b"PK\x03\x04", b"\x93NUMPY\x01\x00v"])
def test_a_file_that_is_no_npy(refused: Any, mlp: Path, content: bytes) -> None:
    path = mlp.parent / "in.npy"
    path.write_bytes(content)
    has(refused("run", mlp, "-i", f"x={path}"), "-i x", path, "no plain .npy array")


def test_truncated_npy(refused: Any, mlp: Path) -> None:
    path = Path(npy(mlp.parent, np.zeros((2, 8), "f")))
    content = path.read_bytes()
    for size in range(0, len(content), 7):
        path.write_bytes(content[:size])
        has(refused("run", mlp, "-b", "numpy", "-O0", "-i", f"x={path}"), path)


def test_a_npy_that_claims_more_than_it_has(refused: Any, mlp: Path) -> None:
    path = Path(npy(mlp.parent, np.zeros((2, 8), "f")))
    content = path.read_bytes()
    for shape in (b"(9, 9)", b"(2, -1", b"(2,1e9", b"2<<99,"):
        path.write_bytes(content.replace(b"(2, 8)", shape))
        has(refused("run", mlp, "-i", f"x={path}"), path)


def test_missing_npy(refused: Any, mlp: Path) -> None:
    given = f"x={mlp.parent}/none.npy"
    has(refused("run", mlp, "-i", given), "-i x", "none.npy", "no such file")


# --- dimensions, pipelines, levels ---


@pytest.mark.parametrize("entry", ["batch", "=3", "batch=", "batch=-1", "batch=x"])
@pytest.mark.parametrize("command", ["compile", "run", "verify"])
def test_malformed_dim(refused: Any, mlp: Path, entry: str, command: str) -> None:
    more = ["-o", mlp.parent / "out"] if command == "compile" else []
    line = refused(command, mlp, *more, "--dim", entry)
    has(line, "--dim", repr(entry), "NAME=N")


def test_unknown_dim(refused: Any, sardonyx: Any, mlp: Path) -> None:
    goal = mlp.parent / "out"
    line = refused("compile", mlp, "-o", goal, "--dim", "bacth=2")
    has(line, "'bacth'", "wanted batch")
    sardonyx("compile", mlp, "-o", goal, "-b", "numpy")
    has(refused("run", goal, "--dim", "bacth=2"), "'bacth'", "wanted batch")
    sardonyx("compile", mlp, "-o", goal, "-b", "numpy", "--dim", "batch=2")
    has(refused("run", goal, "--dim", "batch=2"), "every size is fixed")


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        ("nope", ["'nope'", "sardonyx passes"]),
        ("dce,nope{a=1}", ["'nope'", "sardonyx passes"]),
        ("cse{x=1}", ["cse", '"x"']),
        ("fold-constants{max-growth=foo}", ["'foo'", "int"]),
        ("fold-constants{", ["fold-constants{", "argument name"]),
        ("dce}", ["dce}"]),
        ("a b", ["a b"]),
        ('specialize-dims{dims="batch"}', ["'batch'", "NAME=SIZE"]),
        ('specialize-dims{dims="batch=²"}', ["NAME=SIZE"]),
        ('specialize-dims{dims="what=2"}', ["'what'", "batch"]),
    ],
)
@pytest.mark.parametrize("command", ["run", "opt"])
def test_bad_pipeline(
    refused: Any, mlp: Path, spec: str, wanted: list[str], command: str
) -> None:
    line = refused(command, mlp, "-p", spec)
    for one in wanted:
        assert one in line or ascii(one)[1:-1] in line, line


def test_unknown_pass_of_passes(refused: Any) -> None:
    has(refused("passes", "nope"), "'nope'", "sardonyx passes")


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (["-O", "9"], ["-O", "'9'", "'3'"]),
        (["-O", "fast"], ["-O", "'fast'", "'3'"]),
        (["--backend", "tpu"], ["--backend", "'tpu'", "'numpy'", "'jax'"]),
        (["--seed", "-1"], ["--seed", "-1"]),
        (["--seed", "x"], ["--seed", "'x'", "whole number"]),
        (["--repeat", "0"], ["--repeat", "'0'", "from 1 on"]),
        (["--repeat", "1.5"], ["--repeat", "'1.5'", "whole number"]),
        (["--nope"], ["--nope"]),
        (["extra"], ["extra"]),
        (["--dim"], ["--dim"]),
    ],
)
def test_bad_option(
    refused: Any, mlp: Path, options: list[str], wanted: list[str]
) -> None:
    has(refused("run", mlp, *options), *wanted)


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (["--tol", "nan"], ["--tol", "'nan'"]),
        (["--tol", "-1"], ["--tol", "-1"]),
        (["--against", "torch"], ["--against", "'torch'", "'reference'"]),
    ],
)
def test_bad_option_of_verify(
    refused: Any, mlp: Path, options: list[str], wanted: list[str]
) -> None:
    has(refused("verify", mlp, *options), *wanted)


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["nope"], "nope"),
        (["compile"], "model"),
        (["run"], "model"),
        (["compile", "m.onnx"], "--output"),
        (["demo", "--nope"], "--nope"),
        (["opt", "m.onnx", "--nope"], "--nope"),
        (["opt", "m.onnx", "-t", "nope"], "nope"),
        (["opt", "m.onnx", "-p"], "-p"),
    ],
)
def test_usage(refused: Any, arguments: list[str], wanted: str) -> None:
    has(refused(*arguments), wanted)


# --- folders ---


def test_a_folder_with_other_files_is_left_alone(refused: Any, mlp: Path) -> None:
    goal = mlp.parent / "mine"
    goal.mkdir()
    (goal / "thesis.txt").write_text("years")
    before = tree(mlp.parent)
    line = refused("compile", mlp, "-o", goal, "-b", "numpy")
    has(line, goal, "holds other files")
    line = refused("compile", mlp, "-o", mlp, "-b", "numpy")
    has(line, mlp, "holds other files")
    assert tree(mlp.parent) == before


@pytest.mark.parametrize("where", ["file/out", "n" * 300])
@pytest.mark.parametrize("command", ["compile", "run", "opt"])
def test_unwritable_folder(refused: Any, mlp: Path, where: str, command: str) -> None:
    (mlp.parent / "file").write_text("in the way")
    before = tree(mlp.parent)
    goal = mlp.parent / where
    if command == "opt":
        line = refused("opt", mlp, "-o", goal.with_name(goal.name + ".mlir"))
    else:
        line = refused(command, mlp, "-o", goal, "-b", "numpy")
    has(line, where, "cannot be written")
    assert tree(mlp.parent) == before


def test_a_full_disk_leaves_nothing(
    refused: Any, sardonyx: Any, mlp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    goal = mlp.parent / "out"
    sardonyx("compile", mlp, "-o", goal, "-b", "numpy")
    before = tree(mlp.parent)

    def full(path: Path, *_: Any) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(artifact, "write_weights", full)
    line = refused("compile", mlp, "-o", goal, "-b", "jax")
    has(line, goal, "no space left")
    assert tree(mlp.parent) == before
    monkeypatch.setattr("sardonyx.compiler.text.write_weights", full)
    has(refused("opt", mlp, "-o", mlp.parent / "x.mlir"), "x.mlir", "no space left")
    assert tree(mlp.parent) == before


def test_opt_onto_a_folder_leaves_nothing(refused: Any, mlp: Path) -> None:
    (mlp.parent / "x.mlir").mkdir()
    before = tree(mlp.parent)
    has(refused("opt", mlp, "-o", mlp.parent / "x.mlir"), "x.mlir", "is a directory")
    assert tree(mlp.parent) == before


# --- text ---


@pytest.fixture(name="written")
def written_fixture(sardonyx: Any, mlp: Path) -> Path:
    """The model as text, with its weight file beside it, in a folder of its own."""
    folder = mlp.parent / "text"
    folder.mkdir()
    sardonyx("opt", mlp, "-o", folder / "x.mlir")
    return folder / "x.mlir"


BOTH = pytest.mark.parametrize("command", ["run", "opt"])


@BOTH
def test_syntax_error(refused: Any, written: Path, command: str) -> None:
    lines = written.read_text().splitlines()
    number = next(n for n, text in enumerate(lines, 1) if "onnx.MatMul" in text)
    lines[number - 1] = lines[number - 1].replace("(", "[", 1)
    written.write_text("\n".join(lines))
    has(refused(command, written), f"{written}:{number}: ")


@BOTH
def test_every_truncated_text_is_refused(
    refused: Any, written: Path, command: str
) -> None:
    text = written.read_text()
    for size in range(1, len(text) - 200, 211):
        written.write_text(text[:size])
        has(refused(command, written), written)


@BOTH
def test_text_that_is_no_text(refused: Any, written: Path, command: str) -> None:
    written.write_bytes(b"\xff\xfe\x00")
    has(refused(command, written), written, "utf-8")


@BOTH
def test_text_that_does_not_verify_names_the_op(
    refused: Any, written: Path, command: str
) -> None:
    text = written.read_text()
    changed = text.replace("onnx.Relu", "onnx.Not")
    assert changed != text
    written.write_text(changed)
    has(refused(command, written), written, "gate")


@BOTH
def test_missing_weight_file(refused: Any, written: Path, command: str) -> None:
    written.with_suffix(".safetensors").unlink()
    has(refused(command, written), "x.safetensors", "no such file")


@BOTH
@pytest.mark.parametrize("how", ["..", "absolute", "symlink"])
def test_weight_file_outside(
    refused: Any, written: Path, command: str, how: str
) -> None:
    weights = written.with_suffix(".safetensors")
    outside = written.parent.parent / "x.safetensors"
    shutil.move(weights, outside)
    if how == "symlink":
        weights.symlink_to(outside)
    else:
        name = "../x.safetensors" if how == ".." else str(outside)
        text = written.read_text().replace('"x.safetensors"', f'"{name}"')
        written.write_text(text)
    has(refused(command, written), written, "leaves the folder")


@BOTH
def test_corrupt_weight_file(refused: Any, written: Path, command: str) -> None:
    weights = written.with_suffix(".safetensors")
    content = weights.read_bytes()
    for size in range(0, len(content), 29):
        weights.write_bytes(content[:size])
        has(refused(command, written), "x.safetensors", "not a weight file")


def test_a_weight_of_another_shape(refused: Any, written: Path) -> None:
    weights = written.with_suffix(".safetensors")
    content = weights.read_bytes().replace(b"[8,6]", b"[6,8]")
    weights.write_bytes(content)
    has(refused("run", written), "'w'", "6x8", "8x6")


def test_a_weight_that_is_in_no_file(refused: Any, written: Path) -> None:
    text = written.read_text().replace('#onnx.weight<"w">', '#onnx.weight<"ww">')
    written.write_text(text)
    has(refused("run", written), written, "'ww'")
    goal = written.with_name("y.mlir")
    has(refused("opt", written, "-o", goal), "'ww'")
    assert not goal.exists()


@pytest.mark.parametrize(
    "text",
    [
        "builtin.module {}",
        "builtin.module { func.func private @main() }",
        "builtin.module { func.func @other() { func.return } }",
    ],
)
def test_text_without_a_model(refused: Any, tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.mlir"
    path.write_text(text)
    has(refused("run", path), path, "@main")


def test_verify_needs_a_file_that_an_oracle_reads(refused: Any, written: Path) -> None:
    has(refused("verify", written), written, "IR", ".onnx")


# --- artifacts ---


def test_tampered_artifact(refused: Any, sardonyx: Any, mlp: Path) -> None:
    goal = mlp.parent / "out"
    sardonyx("compile", mlp, "-o", goal, "-b", "numpy")
    canary = mlp.parent / "canary"
    with (goal / "model.py").open("a") as file:
        file.write(f"\nopen({str(canary)!r}, 'w')\n")
    has(refused("run", goal), goal, "model.py", "was changed after it was written")
    assert not canary.exists()


def test_several_pipelines(refused: Any, mlp: Path) -> None:
    has(refused("opt", mlp, "-p", "cse", "-p", "dce"), "several -p", "-p 'a,b'")


# --- --debug ---


@pytest.mark.parametrize("place", [0, 1, 2])
def test_debug_shows_the_traceback(tmp_path: Path, place: int) -> None:
    arguments = ["run", str(tmp_path / "none.onnx")]
    arguments.insert(place, "--debug")
    with pytest.raises(Exception, match="no such file"):
        main(arguments)


def test_an_error_of_ours_is_not_called_the_user_s(
    mlp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise TypeError("a bug")

    monkeypatch.setattr("sardonyx.compiler.driver.lower", broken)
    with pytest.raises(TypeError, match="a bug"):
        main(["run", str(mlp), "-b", "numpy"])


def test_an_interrupt_is_quiet(
    sardonyx: Any, mlp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sardonyx.compiler.driver.lower", interrupted)
    said = sardonyx("run", mlp, "-b", "numpy")
    assert (said.code, said.out, said.err) == (130, "", "")
