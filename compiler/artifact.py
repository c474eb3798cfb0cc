"""
Artifacts: folders with a program, its weights, a manifest and the IR.

``model.py`` runs without us. Running an artifact executes its ``model.py``: load none
that you would not run.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import platform
import shutil
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ..backends import runtime
from ..backends.program import InputSpec, Program
from ..dialects.errors import SardonyxError
from ..dialects.onnx.text import text_attr
from .driver import Executable
from .text import WEIGHTS, used_weights
from .weights import Progress, ignored, write_weights

FORMAT = 1
FILES = ("model.py", "weights.safetensors", "manifest.json", "ir.mlir")
STABLEHLO = "model.stablehlo"
"""The program as ``jax.export`` serializes it, if it was asked for."""

HASHED = ("model.py", "weights.safetensors", "ir.mlir")


class ArtifactError(SardonyxError):
    """A folder that is no artifact, or that one cannot be written to."""


def write_artifact(
    executable: Executable,
    folder: Path,
    stablehlo: bool = False,
    progress: Progress = ignored,
) -> Path:
    """
    Write `folder` whole or not at all; an artifact that is there is replaced.

    With `stablehlo` it holds ``model.stablehlo``, what `Executable.exported` gives.
    Raises ArtifactError if the folder holds anything else, or cannot be written.
    """
    folder = Path(os.path.realpath(folder))
    temporary = folder.with_name(f".{folder.name[:99]}.{os.getpid()}")
    try:
        if folder.exists() and not _replaceable(folder):
            raise ArtifactError(
                f"{folder}: holds other files, wanted an artifact or nothing"
            )
        folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        _write_files(executable, temporary, stablehlo, progress)
        _put(temporary, folder)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ArtifactError(f"{folder}: cannot be written: {reason}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def _put(new: Path, folder: Path) -> None:
    """Rename `new` to `folder`; what stood there goes only once that is done."""
    old = new.with_name(f"{new.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.replace(old)
    try:
        new.replace(folder)
    except OSError:
        if old.exists():
            old.replace(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _replaceable(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    names = {entry.name for entry in folder.iterdir()} - {"__pycache__"}
    ours = {*FILES, STABLEHLO}
    return not names or ("manifest.json" in names and names <= ours)


def _write_files(
    executable: Executable, folder: Path, stablehlo: bool, progress: Progress
) -> None:
    model = executable.model
    path = folder / "weights.safetensors"
    write_weights(path, model.context.store, weight_keys(executable), progress)
    (folder / "model.py").write_text(executable.source, encoding="utf-8")
    model.module.attributes[WEIGHTS] = text_attr("weights.safetensors")
    (folder / "ir.mlir").write_text(model.text(), encoding="utf-8")
    manifest = _manifest(executable, folder)
    if stablehlo:
        manifest["stablehlo"] = _write_stablehlo(executable, folder / STABLEHLO)
        manifest["hash"][STABLEHLO] = _hash(folder / STABLEHLO)
    text = json.dumps(manifest, indent=2) + "\n"
    (folder / "manifest.json").write_text(text, encoding="utf-8")


def weight_keys(executable: Executable) -> list[str]:
    """The weights that an artifact holds: the program's, and those of its IR."""
    used = used_weights(executable.model)
    return list(dict.fromkeys([*used, *executable.program.weights]))


def _write_stablehlo(executable: Executable, path: Path) -> dict[str, Any]:
    """Write the exported program; what its reader must know."""
    exported = executable.exported()
    path.write_bytes(exported.serialize())
    return {
        "calling_convention_version": exported.calling_convention_version,
        "platforms": list(exported.platforms),
        "weights": sorted(executable.program.weights),
    }


def _manifest(executable: Executable, folder: Path) -> dict[str, Any]:
    dims = {
        dim
        for spec in executable.inputs
        for dim in spec.shape or ()
        if isinstance(dim, str)
    }
    program = executable.program
    return {
        "format": FORMAT,
        "model": executable.model.name,
        "backend": executable.backend,
        "pipeline": executable.pipeline,
        "inputs": [_value(spec) for spec in executable.inputs],
        "outputs": [_value(spec) for spec in executable.outputs],
        "dims": sorted(dims),
        # Only on JAX, and only where it cannot compile the model as one function.
        **({"host": list(program.host)} if program.host else {}),
        **({"fixed": list(program.fixed)} if program.fixed else {}),
        **({"buckets": _buckets(program)} if program.buckets else {}),
        **{
            name: dict(told)
            for name in ("refused", "considered")
            if (told := getattr(executable, name))
        },
        "versions": _versions(executable.backend),
        "hash": {name: _hash(folder / name) for name in HASHED},
    }


def _buckets(program: Program) -> dict[str, list[int]]:
    held = program.buckets
    return {} if held is None else {n: list(s) for n, s in held.sizes.items()}


def _value(spec: InputSpec) -> dict[str, Any]:
    return {
        "name": spec.name,
        "dtype": spec.dtype,
        "shape": None if spec.shape is None else list(spec.shape),
        "bound": spec.bound,
    }


def _versions(backend: str) -> dict[str, str]:
    names = ["sardonyx", "onnx", "xdsl", "numpy", "ml_dtypes"]
    names += ["jax"] if backend == "jax" else []
    found = {"python": platform.python_version()}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed as a package"
    return found


def _hash(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 24):
            digest.update(piece)
    return digest.hexdigest()


class Artifact:
    """A loaded artifact: called like the executable that wrote it."""

    def __init__(self, folder: Path, manifest: Mapping[str, Any], module: Any):
        self.folder = folder
        self.manifest = manifest
        self.module = module

    @property
    def backend(self) -> str:
        """The backend that the program is for."""
        return self.manifest["backend"]

    @property
    def inputs(self) -> Sequence[InputSpec]:
        """The inputs in the model's order."""
        return [_spec(entry) for entry in self.manifest["inputs"]]

    @property
    def outputs(self) -> Sequence[InputSpec]:
        """The outputs in the model's order."""
        return [_spec(entry) for entry in self.manifest["outputs"]]

    def __call__(self, /, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """Run; TypeError or ValueError says which input was found and which wanted."""
        return self.module.run(*args, **kwargs)

    def random_inputs(
        self, dims: Mapping[str, int] | None = None, seed: int = 0
    ) -> dict[str, Any]:
        """
        A random array for every input, free sizes from `dims` (1 for the first, else
        16).
        """
        entries = [spec.entry() for spec in self.inputs]
        return runtime.random_inputs(entries, dims or {}, seed)


def _spec(entry: Mapping[str, Any]) -> InputSpec:
    shape = entry["shape"]
    return InputSpec(
        entry["name"],
        entry["dtype"],
        None if shape is None else tuple(shape),
        entry["bound"],
    )


def is_artifact(folder: Path) -> bool:
    """Whether `folder` looks like an artifact."""
    return (folder / "manifest.json").is_file() and (folder / "model.py").is_file()


def read_manifest(folder: Path) -> dict[str, Any]:
    """
    The manifest of an artifact whose files are as it says; its program is not run.

    Raises ArtifactError if the folder is none, or its manifest does not fit.
    """
    if not is_artifact(folder):
        raise ArtifactError(f"{folder}: not an artifact: no manifest.json and model.py")
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        if manifest["format"] != FORMAT:
            raise ValueError(f"found format {manifest['format']}, wanted {FORMAT}")
        hashes: dict[str, str] = manifest["hash"]
        there = [STABLEHLO] if STABLEHLO in hashes else []
        changed = [n for n in (*HASHED, *there) if _hash(folder / n) != hashes[n]]
        for entry in (*manifest["inputs"], *manifest["outputs"]):
            _spec(entry)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ArtifactError(
            f"{folder}: the manifest cannot be used: {error}"
        ) from error
    if changed:
        raise ArtifactError(
            f"{folder}: {changed[0]} was changed after it was written; run it yourself "
            "(python model.py), or compile again"
        )
    return manifest


def load_artifact(folder: str | Path) -> Artifact:
    """
    Load an artifact to call it. This executes its ``model.py``.

    Raises ArtifactError if the folder is none, or its manifest does not fit.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    where = (folder / "model.py").resolve()
    spec = importlib.util.spec_from_file_location(f"sardonyx_{folder.name}", where)
    assert spec is not None, "a .py file has a loader"
    assert spec.loader is not None, "a .py file has a loader"
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return Artifact(folder, manifest, module)
