"""``sardonyx opt`` writes more than text: ONNX, Python and StableHLO."""

import ast
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from sardonyx.compiler import import_model
from sardonyx.compiler.oracle import run_oracle
from sardonyx.compiler.text import read_text, used_weights
from sardonyx.compiler.weights import write_weights

X = np.random.default_rng(0).standard_normal((3, 8)).astype(np.float32)
Y = ["y", "hidden"]


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


# --- ONNX ---


@pytest.mark.parametrize("options", [["-o", "x.onnx"], ["-o", "x", "--emit", "onnx"]])
def test_onnx(
    options: list[str],
    sardonyx: Any,
    mlp: Path,
    assert_close: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(mlp.parent)
    said = sardonyx("opt", mlp, "-p", "fold-constants,cse", *options)
    assert (said.code, said.out, said.err) == (0, "", "")
    assert files(mlp.parent) == {"mlp.onnx", options[1]}
    onnx.checker.check_model(options[1], full_check=True)
    found = run_oracle("onnxruntime", options[1], {"x": X}, Y)
    wanted = run_oracle("onnxruntime", mlp, {"x": X}, Y)
    for name in Y:
        assert_close(found[name], wanted[name])


def test_onnx_is_the_optimized_model(sardonyx: Any, pair: Path, flow_of: Any) -> None:
    """What a pass changed is what is written; the text would say the same."""
    spec = 'specialize-dims{dims="n=5"}'
    for name in ("x.onnx", "x.mlir"):
        assert sardonyx("opt", pair, "-p", spec, "-o", pair.parent / name).code == 0
    found = import_model(pair.parent / "x.onnx")
    assert flow_of(found) == flow_of(read_text(pair.parent / "x.mlir"))
    assert flow_of(found) != flow_of(import_model(pair))


def test_onnx_from_text(sardonyx: Any, mlp: Path, flow_of: Any) -> None:
    text, back = mlp.parent / "m.mlir", mlp.parent / "back.onnx"
    sardonyx("opt", mlp, "-o", text)
    assert sardonyx("opt", text, "-o", back).code == 0
    assert flow_of(import_model(back)) == flow_of(import_model(mlp))


def test_onnx_over_the_file_that_is_read(sardonyx: Any, mlp: Path) -> None:
    wanted = run_oracle("onnxruntime", mlp, {"x": X}, Y)
    assert sardonyx("opt", mlp, "-o", mlp, "--external-data").code == 0
    found = run_oracle("onnxruntime", mlp, {"x": X}, Y)
    assert all(found[name].tobytes() == wanted[name].tobytes() for name in Y)


def test_external_data(
    sardonyx: Any, model_of: Any, value_info: Any, tensor_proto: Any, tmp_path: Path
) -> None:
    node = onnx.helper.make_node("Add", ["x", "w"], ["y"])
    infos = [value_info(name, [999]) for name in ("x", "y")]
    weight = tensor_proto("w", np.arange(999, dtype=np.float32))
    onnx.save(model_of([node], infos[:1], infos[1:], [weight]), tmp_path / "m.onnx")
    goal = tmp_path / "x.onnx"
    assert sardonyx("opt", tmp_path / "m.onnx", "-o", goal).code == 0
    assert files(tmp_path) == {"m.onnx", "x.onnx"}
    options = ["-o", goal, "--external-data"]
    assert sardonyx("opt", tmp_path / "m.onnx", *options).code == 0
    assert files(tmp_path) == {"m.onnx", "x.onnx", "x.onnx.data"}
    found = run_oracle("onnxruntime", goal, {"x": np.ones(999, np.float32)}, ["y"])
    assert found["y"].tolist() == list(range(1, 1000))


# --- programs ---


@pytest.mark.parametrize("backend", ["numpy", "jax"])
@pytest.mark.parametrize("to_file", [False, True])
def test_python(
    backend: str, to_file: bool, sardonyx: Any, mlp: Path, assert_close: Any
) -> None:
    """The text is a program; with the weights beside, it runs."""
    program = mlp.parent / "program.py"
    options = ["--emit", "python", "-b", backend]
    options += ["-o", str(program)] if to_file else []
    said = sardonyx("opt", mlp, "-p", "fold-constants", *options)
    assert (said.code, said.err) == (0, "")
    assert bool(said.out) == (not to_file)
    if not to_file:
        program.write_text(said.out)
    imports = [n for n in ast.walk(ast.parse(program.read_text())) if is_import(n)]
    assert any(backend in ast.unparse(node) for node in imports)
    model = import_model(mlp)
    store, keys = model.context.store, used_weights(model)
    write_weights(mlp.parent / "weights.safetensors", store, keys)
    found = loaded(program).run(X)
    wanted = run_oracle("onnxruntime", mlp, {"x": X}, Y)
    for array, name in zip(found, Y, strict=True):
        assert_close(np.asarray(array), wanted[name])


def is_import(node: ast.AST) -> bool:
    return isinstance(node, ast.Import | ast.ImportFrom)


def loaded(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_python_is_jax_unless_told(sardonyx: Any, pair: Path) -> None:
    plain = sardonyx("opt", pair, "--emit", "python").out
    assert plain == sardonyx("opt", pair, "--emit", "python", "-b", "jax").out
    assert plain != sardonyx("opt", pair, "--emit", "python", "-b", "numpy").out


def test_stablehlo(sardonyx: Any, mlp: Path) -> None:
    goal = mlp.parent / "x.mlir"
    said = sardonyx("opt", mlp, "--emit", "stablehlo")
    assert (said.code, said.err) == (0, "")
    assert "func.func public @main" in said.out
    assert "stablehlo.dot_general" in said.out
    assert sardonyx("opt", mlp, "--emit", "stablehlo", "-o", goal).out == ""
    assert "stablehlo.dot_general" in goal.read_text()
    assert files(mlp.parent) == {"mlp.onnx", "x.mlir"}


def test_mlir_is_what_is_written_else(sardonyx: Any, pair: Path) -> None:
    assert sardonyx("opt", pair, "--emit", "mlir").out == sardonyx("opt", pair).out


# --- refusals ---


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (["--emit", "onnx"], "found --emit onnx without a file, wanted -o FILE.onnx"),
        (["--emit", "html"], "invalid choice: 'html'"),
        (["--emit", "python", "-b", "cuda"], "invalid choice: 'cuda'"),
        (["-b", "numpy"], "found -b with mlir, wanted --emit python"),
        (["-b", "numpy", "-o", "x.onnx"], "found -b with onnx, wanted --emit python"),
        (["--emit", "stablehlo", "-b", "jax"], "found -b with stablehlo"),
        (["--external-data"], "found --external-data with mlir, wanted -o FILE.onnx"),
        (["--external-data", "-o", "x.mlir"], "found --external-data with mlir"),
        (["--external-data", "--emit", "python"], "found --external-data with python"),
        (["-o", "none/x.onnx"], "none/x.onnx: cannot be written: no such file"),
        (["-o", "none/x.py", "--emit", "python"], "none/x.py: cannot be written: no"),
        (["-o", "folder.onnx"], "folder.onnx: cannot be written: is a directory"),
        (["-o", "folder.onnx", "--emit", "python"], "folder.onnx: cannot be written"),
    ],
)
def test_refusals(
    options: list[str],
    wanted: str,
    sardonyx: Any,
    pair: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One line, exit code 2, and no file."""
    monkeypatch.chdir(pair.parent)
    (pair.parent / "folder.onnx").mkdir()
    said = sardonyx("opt", pair, *options)
    assert (said.code, said.out) == (2, "")
    (line,) = said.err.splitlines()
    assert line.startswith("sardonyx: ")
    assert wanted in line
    assert files(pair.parent) == {"pair.onnx", "folder.onnx"}
    assert not files(pair.parent / "folder.onnx")


def test_what_onnx_cannot_say_is_refused(sardonyx: Any, tmp_path: Path) -> None:
    text = """func.func @main(%x: tensor<2xf32>) -> tensor<2xf32> {
      %y = "arith.negf"(%x) : (tensor<2xf32>) -> tensor<2xf32> loc("mine")
      func.return %y : tensor<2xf32>
    }"""
    (tmp_path / "m.mlir").write_text(text)
    said = sardonyx("opt", tmp_path / "m.mlir", "-o", tmp_path / "x.onnx")
    assert (said.code, said.out) == (2, "")
    (line,) = said.err.splitlines()
    assert "node 'mine' (negf): ONNX has no such op" in line
    assert files(tmp_path) == {"m.mlir"}
