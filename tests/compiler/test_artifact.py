"""Artifacts: what is in one, that it runs without us, and what is refused."""

import hashlib
import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import helper
from sardonyx.compiler import compile_model, load_artifact
from sardonyx.compiler.artifact import FILES, ArtifactError
from sardonyx.compiler.pipelines import LOWERING, PIPELINES
from sardonyx.dialects.onnx.types import DTYPE_NAMES

BACKENDS = pytest.mark.parametrize("backend", ["numpy", "jax"])
HASHED = ("model.py", "weights.safetensors", "ir.mlir")
NEEDED = {
    "numpy": ("numpy", "ml_dtypes"),
    "jax": ("jax", "jaxlib", "numpy", "ml_dtypes", "scipy", "opt_einsum"),
}
"""The distributions that an artifact may use, by backend."""


def draw(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.fixture(scope="module", name="site")
def site_fixture(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """``site(backend)``: a folder with what an artifact may use, and nothing else."""

    def site(backend: str) -> Path:
        folder = tmp_path_factory.mktemp(f"site-{backend}")
        for name in NEEDED[backend]:
            found = metadata.distribution(name)
            for top in {file.parts[0] for file in found.files or ()} - {".."}:
                (folder / top).symlink_to(Path(str(found.locate_file(top))))
        return folder

    return site


def isolated(site: Path, program: str, where: Path) -> subprocess.CompletedProcess[str]:
    """Run `program` in `where` with nothing to import but `site` and Python's own."""
    guard = (
        "import sys\n"
        f"sys.path.insert(0, {str(site)!r})\n"
        "for name in ('sardonyx', 'onnx', 'xdsl', 'onnxruntime', 'pytest'):\n"
        "    try:\n        __import__(name)\n"
        "    except ModuleNotFoundError:\n        continue\n"
        "    raise SystemExit(f'{name} can be imported')\n"
    )
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", guard + program],
        capture_output=True,
        text=True,
        cwd=where,
        check=False,
    )


# --- what is in one ---


@BACKENDS
def test_the_files(mlp: Path, tmp_path: Path, backend: str) -> None:
    executable = compile_model(mlp, backend)
    folder = executable.save(tmp_path / "a" / "b")
    assert folder == tmp_path / "a" / "b"
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    assert (folder / "model.py").read_text() == executable.source
    assert "import sardonyx" not in executable.source
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]


@BACKENDS
def test_the_manifest(mlp: Path, tmp_path: Path, backend: str) -> None:
    folder = compile_model(mlp, backend).save(tmp_path / "out")
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["format"] == 1
    assert manifest["model"] == "mlp"
    assert manifest["backend"] == backend
    lowering = LOWERING.get(backend, ())
    assert manifest["pipeline"] == ",".join([*PIPELINES["O2"], *lowering])
    assert manifest["dims"] == ["batch"]
    shapes = {e["name"]: e["shape"] for e in manifest["inputs"] + manifest["outputs"]}
    assert shapes == {"x": ["batch", 8], "y": ["batch", 4], "hidden": ["batch", 6]}
    assert {e["dtype"] for e in manifest["inputs"] + manifest["outputs"]} == {"float32"}
    assert ("jax" in manifest["versions"]) == (backend == "jax")
    for name in ("python", "sardonyx", "onnx", "xdsl", "numpy", "ml_dtypes"):
        assert manifest["versions"][name]
    assert sorted(manifest["hash"]) == sorted(HASHED)
    for name, digest in manifest["hash"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest


def test_a_line_names_the_node_it_came_from(mlp: Path) -> None:
    source = compile_model(mlp, "numpy", "O0").source
    for node in ("first", "shift", "gate", "second", "soft"):
        assert sum(line.endswith(f" {node}") for line in source.splitlines()) == 1


# --- it gives what the executable gives ---


def bits(outputs: Any) -> list[tuple[str, tuple[int, ...], bytes]]:
    arrays = [np.asarray(value) for value in outputs]
    return [(str(a.dtype), a.shape, a.tobytes()) for a in arrays]


@BACKENDS
def test_loaded_it_gives_the_same_bits(mlp: Path, tmp_path: Path, backend: str) -> None:
    executable = compile_model(mlp, backend)
    artifact = load_artifact(executable.save(tmp_path / "out"))
    x = draw(3, 8)
    assert bits(artifact(x)) == bits(artifact(x=x)) == bits(executable(x))
    assert artifact.backend == backend
    assert list(artifact.inputs) == list(executable.inputs)
    assert list(artifact.outputs) == list(executable.outputs)
    ours, theirs = executable.random_inputs(seed=3), artifact.random_inputs(seed=3)
    assert bits(ours.values()) == bits(theirs.values())
    with pytest.raises(ValueError, match="'x': found shape"):
        artifact(draw(3, 9))


@BACKENDS
@pytest.mark.parametrize("pipeline", ["O0", "O2"])
def test_its_ir_gives_the_same_bits(
    mlp: Path, tmp_path: Path, backend: str, pipeline: str
) -> None:
    executable = compile_model(mlp, backend, pipeline)
    folder = executable.save(tmp_path / "out")
    again = compile_model(folder / "ir.mlir", backend, "")
    x = draw(3, 8)
    assert bits(again(x)) == bits(executable(x))


@BACKENDS
def test_it_runs_without_us(mlp: Path, tmp_path: Path, backend: str, site: Any) -> None:
    executable = compile_model(mlp, backend)
    folder = executable.save(tmp_path / "out")
    x = draw(3, 8)
    np.save(tmp_path / "x.npy", x)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    program = (
        "import runpy\n"
        f"runpy.run_path({str(folder / 'model.py')!r}, run_name='__main__')\n"
        f"sys.path.insert(0, {str(folder)!r})\n"
        "import numpy as np\n"
        "from model import run\n"
        f"for n, y in enumerate(run(np.load({str(tmp_path / 'x.npy')!r}))):\n"
        "    np.save(f'{n}.npy', np.asarray(y))\n"
    )
    ran = isolated(site(backend), program, elsewhere)
    assert ran.returncode == 0, ran.stderr + ran.stdout
    assert not ran.stderr
    lines = ran.stdout.splitlines()
    assert [line.split()[:2] for line in lines[:3]] == [
        ["input", "'x'"],
        ["output", "'y'"],
        ["output", "'hidden'"],
    ]
    assert lines[3].startswith("median of")
    found = [np.load(elsewhere / f"{n}.npy") for n in range(2)]
    assert bits(found) == bits(executable(x))


def test_the_isolation_is_one(tmp_path: Path, site: Any) -> None:
    assert isolated(site("numpy"), "import numpy", tmp_path).returncode == 0
    assert isolated(site("numpy"), "import jax", tmp_path).returncode != 0
    assert isolated(Path(onnx.__file__).parents[1], "", tmp_path).returncode != 0


# --- weights of every type ---

NUMBERS = sorted(set(DTYPE_NAMES.values()) - {"string"})


def every_type(
    model_of: Any, value_info: Any, arrays: dict[str, Any]
) -> onnx.ModelProto:
    """A model that hands on a weight of each type."""
    nodes, outputs, weights = [], [], []
    for name, array in arrays.items():
        proto = onnx.numpy_helper.from_array(array, f"w_{name}")
        nodes.append(helper.make_node("Identity", [f"w_{name}"], [name]))
        info = helper.make_tensor_value_info(name, proto.data_type, array.shape)
        outputs.append(info)
        weights.append(proto)
    nodes.append(helper.make_node("Abs", ["x"], ["y"]))
    outputs.append(value_info("y", [1]))
    return model_of(nodes, [value_info("x", [1])], outputs, weights, opset=25)


def drawn(name: str) -> Any:
    values = np.random.default_rng(2).standard_normal((5, 9)) * 2
    if name == "bool":
        return values > 0
    if name.startswith("uint"):
        values = np.abs(values)
    return values.astype(getattr(ml_dtypes, name, name))


@BACKENDS
def test_weights_of_every_type_survive(
    model_of: Any,
    value_info: Any,
    tmp_path: Path,
    backend: str,
    site: Any,
) -> None:
    arrays = {name: drawn(name) for name in NUMBERS if "float6" not in name}
    if backend == "jax":
        arrays.pop("float4_e2m1fn", None)
    proto = every_type(model_of, value_info, arrays)
    folder = compile_model(proto, backend, "O0").save(tmp_path / "out")
    names = [spec.name for spec in load_artifact(folder).outputs]
    assert names == [*arrays, "y"]
    found = dict(zip(names, load_artifact(folder)(draw(1)), strict=True))
    for name, array in arrays.items():
        one = np.asarray(found[name])
        assert one.dtype == array.dtype
        assert one.tobytes() == array.tobytes(), name
    program = (
        "import hashlib\n"
        f"sys.path.insert(0, {str(folder)!r})\n"
        "import numpy as np\nfrom model import run\n"
        "for y in run(np.ones(1, 'f')):\n"
        "    y = np.asarray(y)\n"
        "    print(y.dtype, hashlib.sha256(y.tobytes()).hexdigest())\n"
    )
    ran = isolated(site(backend), program, tmp_path)
    assert ran.returncode == 0, ran.stderr
    wanted = [
        f"{a.dtype} {hashlib.sha256(a.tobytes()).hexdigest()}" for a in arrays.values()
    ]
    assert ran.stdout.splitlines()[:-1] == wanted


# --- writing ---


def test_an_artifact_is_replaced(mlp: Path, pair: Path, tmp_path: Path) -> None:
    goal = tmp_path / "out"
    compile_model(mlp, "numpy").save(goal)
    load_artifact(goal)
    (goal / "__pycache__").mkdir(exist_ok=True)
    compile_model(pair, "numpy").save(goal)
    assert sorted(path.name for path in goal.iterdir()) == sorted(FILES)
    assert load_artifact(goal).manifest["model"] == "pair"
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_an_empty_folder_is_filled(mlp: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    load_artifact(compile_model(mlp, "numpy").save(tmp_path / "out"))


def test_a_link_to_a_folder_is_followed(mlp: Path, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    compile_model(mlp, "numpy").save(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    load_artifact(tmp_path / "real")


@pytest.mark.parametrize("name", ["notes.txt", "manifest.yaml", ".hidden"])
def test_a_folder_with_anything_else_is_refused(
    mlp: Path, tmp_path: Path, name: str
) -> None:
    goal = compile_model(mlp, "numpy").save(tmp_path / "out")
    (goal / name).write_text("mine")
    with pytest.raises(ArtifactError, match="holds other files"):
        compile_model(mlp, "numpy").save(goal)
    assert (goal / name).read_text() == "mine"


@pytest.mark.parametrize("fails", [1, 2])
def test_the_old_one_stays_if_the_new_one_cannot_be_put(
    mlp: Path, pair: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: int
) -> None:
    goal = compile_model(mlp, "numpy").save(tmp_path / "out")
    before = {name: (goal / name).read_bytes() for name in FILES}
    real, calls = Path.replace, []

    def replace(self: Path, target: Path) -> Path:
        calls.append(target)
        if len(calls) == fails:
            raise PermissionError(13, "Permission denied")
        return real(self, target)

    other = compile_model(pair, "numpy")
    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(ArtifactError, match="cannot be written: permission denied"):
        other.save(goal)
    assert {name: (goal / name).read_bytes() for name in FILES} == before
    assert sorted(os.listdir(tmp_path)) == sorted(["out", "mlp.onnx", "pair.onnx"])


# --- loading ---


@pytest.fixture(name="folder")
def folder_fixture(mlp: Path, tmp_path: Path) -> Path:
    return compile_model(mlp, "numpy").save(tmp_path / "out")


@pytest.mark.parametrize("name", HASHED)
def test_a_changed_file_is_refused(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    content[-2] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(ArtifactError, match=f"{name} was changed after it was written"):
        load_artifact(folder)


@pytest.mark.parametrize("name", ["manifest.json", "model.py"])
def test_without_its_files_it_is_none(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ArtifactError, match="not an artifact"):
        load_artifact(folder)


def test_a_missing_weight_file_is_refused(folder: Path) -> None:
    (folder / "weights.safetensors").unlink()
    with pytest.raises(ArtifactError, match=r"weights\.safetensors"):
        load_artifact(folder)


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"format": None},
        {"hash": {}},
        {"hash": []},
        {"hash": None},
        {"inputs": [{}]},
        {"outputs": 3},
    ],
    ids=str,
)
def test_a_manifest_that_does_not_fit_is_refused(
    folder: Path, change: dict[str, Any]
) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ArtifactError, match="the manifest cannot be used"):
        load_artifact(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "[" * 100_000, "{}"])
def test_a_manifest_that_is_none_is_refused(folder: Path, text: str) -> None:
    (folder / "manifest.json").write_text(text)
    with pytest.raises(ArtifactError, match="the manifest cannot be used"):
        load_artifact(folder)
