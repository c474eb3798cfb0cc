"""
A fault as a folder: model, inputs, pipeline, plugins, versions, one command to replay.

`reduce` writes one, and so does the command line when a pass crashes. A folder is there
whole or not at all, and none is ever overwritten.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shlex
import shutil
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from xdsl.passes import ModulePass

from ...dialects.errors import SardonyxError
from ..arguments import write_outputs
from ..exporter import export_model
from ..model import Model
from ..pipelines import (
    Instrument,
    PassRun,
    parse_pipeline,
    passes_in,
    run_pipeline,
    spec_of,
    spec_text,
)
from ..plugins import LOADED
from ..show import printable
from ..text import WEIGHTS, used_weights, write_text
from ..weights import write_beside
from .search import crash_text, is_crash
from .subgraph import body_ops

MAX_WEIGHTS = 1 << 30
"""Weights of more bytes are not copied; a note says how to make the file."""
PACKAGES = ("sardonyx", "xdsl", "onnx", "numpy", "ml_dtypes", "jax", "onnxruntime")
FOLDER = "SARDONYX_CRASH_DIR"
"""The environment variable that says where crashes are written; else here."""
SHOWN = 8
"""How many elements of an expected and a found output the README shows."""


class ReproducerError(SardonyxError):
    """A reproducer that cannot be written."""


class PassCrash(SardonyxError):
    """A pass that crashed, and where its reproducer is."""


@dataclass(frozen=True)
class Reproducer:
    """What shows a fault."""

    title: str
    """What is wrong, in a line."""
    model: Model
    pipeline: str
    """The spec of the passes that show it."""
    form: str = "mlir"
    """``onnx`` or ``mlir``: how the model is written."""
    inputs: Mapping[str, Any] | None = None
    compared: tuple[Sequence[Any], Sequence[Any]] | None = None
    """The outputs that were expected, and those that were found."""
    guard: str = ""
    """The options that make `opt` compare: ``--guard=1e-4``; empty for a crash."""
    script: str = ""
    """The command that judges the model, its path for ``{}``."""
    origin: str = ""
    """How the model came to be, as a command; for weights that are not copied."""
    trace: str = ""
    """The traceback of a crash."""
    details: tuple[str, ...] = ()
    """Lines for the README."""

    def write(self, goal: Path) -> Path:
        """Write the folder; ReproducerError if it is there or cannot be written."""
        if goal.exists():
            raise ReproducerError(f"{goal}: found it there, wanted a new folder")
        temporary = goal.with_name(f".{goal.name}.{os.getpid()}")
        try:
            goal.parent.mkdir(parents=True, exist_ok=True)
            temporary.mkdir()
            self._fill(temporary)
            temporary.rename(goal)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise ReproducerError(f"{goal}: cannot be written: {reason}") from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return goal

    def _fill(self, folder: Path) -> None:
        copied = self._write_model(folder)
        specs = "\n".join(map(spec_text, parse_pipeline(self.pipeline)))
        (folder / "pipeline.txt").write_text(specs + "\n", encoding="utf-8")
        versions = json.dumps(installed(), indent=2) + "\n"
        (folder / "versions.json").write_text(versions)
        if self.inputs is not None:
            names = list(self.inputs)
            write_outputs(folder / "inputs", names, list(self.inputs.values()))
        if self.compared is not None:
            names = [value.name for value in self.model.outputs]
            for word, arrays in zip(("expected", "found"), self.compared, strict=True):
                write_outputs(folder / word, names, arrays)
        for number, plugin in enumerate(plugin_files(self.pipeline)):
            # Under its own name, which a .rules file's pass has too.
            goal = folder / "plugins" / str(number) / plugin.name
            goal.parent.mkdir(parents=True)
            shutil.copyfile(plugin, goal)
        if self.trace:
            (folder / "traceback.txt").write_text(self.trace, encoding="utf-8")
        command = self._command(folder)
        script = f'#!/bin/sh\ncd "$(dirname "$0")" || exit\n{command}\n'
        (folder / "replay.sh").write_text(script, encoding="utf-8")
        (folder / "replay.sh").chmod(0o755)
        readme = self._readme(command, copied)
        (folder / "README.md").write_text(readme, encoding="utf-8")

    def _write_model(self, folder: Path) -> bool:
        """Write the model; whether its weights are there too."""
        path = folder / f"model.{self.form}"
        store = self.model.context.store
        keys = used_weights(self.model)
        if sum(store[key].file_bytes for key in keys) > MAX_WEIGHTS:
            named = self.model.clone()
            named.module.attributes.update(_weights_attribute())
            write_beside(folder / "model.mlir", named.text())
            return False
        # A copy, as writing notes the weights' file in the module.
        if self.form == "onnx":
            export_model(self.model.clone(), path)
        else:
            write_text(self.model.clone(), path)
        return True

    def _command(self, folder: Path) -> str:
        """The command to replay it, to be run in the folder."""
        model = next(path.name for path in folder.glob("model.*[xr]"))
        words = ["sardonyx", "opt", model, "-p", "@pipeline.txt"]
        for number, plugin in enumerate(plugin_files(self.pipeline)):
            words += ["--plugin", f"plugins/{number}/{plugin.name}"]
        if self.script:
            judged = f"judged.{self.form}"
            command = self.script.replace("{}", judged)
            return f"{shlex.join([*words, '-o', judged])} &&\n{command}"
        if not self.guard:
            return shlex.join([*words, "--no-reproducer"])
        words += shlex.split(self.guard)
        files = sorted((folder / "inputs").glob("*.npy"))
        numbers = {int(file.name.partition("-")[0]): file.name for file in files}
        for number, name in enumerate(self.inputs or ()):
            if number in numbers:
                words += ["-i", f"{name}=inputs/{numbers[number]}"]
        return shlex.join(words)

    def _readme(self, command: str, copied: bool) -> str:
        """What was found and how to see it; what comes from the model as code."""
        count = len(body_ops(self.model))
        ops = f"{count} op{'' if count == 1 else 's'}"
        lines = ["# A fault to replay", "", *code([self.title]), ""]
        lines += [f"The model has {ops}; `sh replay.sh`, which shows it, runs", ""]
        lines += [*code(command.splitlines()), ""]
        if self.compared is not None:
            lines += ["The outputs, whole in `expected/` and `found/`, begin with", ""]
            lines += [*code(self._shown()), ""]
        if self.details:
            lines += ["Where it was found:", "", *code(self.details), ""]
        if not copied:
            size = f"more than {MAX_WEIGHTS >> 30} GiB"
            lines += [f"The weights have {size} and are not here. Make them with", ""]
            lines += [*code([self.origin]), ""]
        if plugin_files(self.pipeline):
            lines += ["The plugins are code: read them before you run them.", ""]
        return "\n".join([*lines, "`versions.json` says with what it was seen.", ""])

    def _shown(self) -> list[str]:
        lines: list[str] = []
        names = [value.name for value in self.model.outputs]
        for name, wanted, found in zip(names, *self.compared or (), strict=True):
            lines += [name, f"  expected {_few(wanted)}", f"  found    {_few(found)}"]
        return lines


def code(lines: Sequence[str]) -> list[str]:
    """Lines of Markdown in which nothing has a meaning, with control characters out."""
    return [f"    {printable(line)}" for line in lines]


def _weights_attribute() -> dict[str, Any]:
    from ...dialects.onnx.text import text_attr

    return {WEIGHTS: text_attr("model.safetensors")}


def _few(value: Any) -> str:
    """The first elements of an output."""
    if not hasattr(value, "dtype"):
        return str(value)[:80]
    array = np.asarray(value)
    flat = array.reshape(-1)[:SHOWN]
    items = ", ".join(
        f"{item:.6g}" if array.dtype.kind in "fV" else str(item)
        for item in flat.tolist()
    )
    more = ", …" if array.size > SHOWN else ""
    return f"{array.dtype}{list(array.shape)}: {items}{more}"


def plugin_files(pipeline: str) -> list[Path]:
    """The files of the plugins that the passes of `pipeline` come from."""
    names = [one.name for one in passes_in(pipeline)]
    return list(dict.fromkeys(LOADED[name] for name in names if name in LOADED))


def plugin_words(pipeline: str) -> list[str]:
    """The options that load the plugins of `pipeline`."""
    files = plugin_files(pipeline)
    return [word for file in files for word in ("--plugin", str(file))]


def installed() -> dict[str, str]:
    """The versions that matter, by package; those not installed are left out."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


# --- a pass that crashes ---


@dataclass
class CrashReporter(Instrument):
    """
    Turns the crash of a pass into a PassCrash, with a reproducer that it writes.

    The folder is ``sardonyx-crash-<hash>`` in ``$SARDONYX_CRASH_DIR`` or here; the same
    crash has the same hash, and what is there stays.
    """

    pipeline: str
    source: str = ""
    """The file that the model came from."""
    wanted: bool = True
    """Whether to write; else the error is told in one line all the same."""
    _start: Model | None = field(default=None, init=False, repr=False)

    def begin(self, model: Model) -> None:
        """Keep the model as it is: the passes are run again on it if one crashes."""
        self._start = model.clone() if self.wanted else None

    def failed(self, place: int, one: ModulePass, error: Exception) -> None:
        """Write the reproducer of a crash and raise PassCrash with its path."""
        if not is_crash(error):
            return
        spec = spec_text(one)
        said = crash_text(error)
        if spec.partition("{")[0] not in said:
            said = f"pass {spec} (place {place}) crashed: {said}"
        if self._start is None:
            raise PassCrash(f"{said} (--debug shows where)") from error
        try:
            folder = self._write(self._start, place, spec, said, error)
        except SardonyxError as failure:
            raise PassCrash(f"{said}; no reproducer: {failure}") from error
        raise PassCrash(f"{said}; to replay: sh {folder}/replay.sh") from error

    def _write(
        self, start: Model, place: int, spec: str, said: str, error: Exception
    ) -> Path:
        model, ran = model_before(start, self.pipeline, place)
        before = ["sardonyx", "opt", self.source or "MODEL"]
        before += ["-p", ",".join(ran), *plugin_words(self.pipeline)]
        before += ["-o", "model.mlir"]
        reproducer = Reproducer(
            said,
            model,
            remaining(self.pipeline, place, spec),
            origin=shlex.join(before),
            trace="".join(traceback.format_exception(error)),
            details=(f"the whole pipeline: {spec_of(self.pipeline)}",),
        )
        text = f"{model.module}\n{reproducer.pipeline}\n{said}"
        name = hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()[:12]
        goal = Path(os.environ.get(FOLDER) or ".") / f"sardonyx-crash-{name}"
        return goal if goal.exists() else reproducer.write(goal)


class _ReachedError(Exception):
    """The place of the pass that is looked for."""


@dataclass
class _Until(Instrument):
    place: int
    model: Model | None = None

    def before(self, model: Model, place: int, one: ModulePass) -> None:
        if place == self.place:
            self.model = model
            raise _ReachedError


def model_before(start: Model, pipeline: str, place: int) -> tuple[Model, list[str]]:
    """
    `start` after the first `place` passes of `pipeline`, and the specs of those.

    Raises ReproducerError if they do not lead there again.
    """
    until, ran = _Until(place), _Specs()
    try:
        run_pipeline(start.clone(), pipeline, [ran, until])
    except _ReachedError:
        assert until.model is not None, "it was kept before it was reached"
        return until.model, ran.specs
    except Exception as error:
        # Whatever a pass raises that did not raise it the first time.
        said = crash_text(error)
        raise ReproducerError(
            f"the passes before it fail when run again: {said}"
        ) from (error)
    raise ReproducerError(f"the passes end before place {place} when run again")


@dataclass
class _Specs(Instrument):
    specs: list[str] = field(default_factory=list[str])

    def after(self, model: Model, run: PassRun) -> None:
        self.specs.append(run.spec)


def remaining(pipeline: str, place: int, spec: str) -> str:
    """
    The passes of `pipeline` from `place` on, the first of which is `spec`.

    Where rounds of a fixpoint move the places, `spec` alone.
    """
    specs = [spec_text(one) for one in parse_pipeline(spec_of(pipeline))]
    fixed = any(one.partition("{")[0] == "fixpoint" for one in specs[: place + 1])
    if fixed or place >= len(specs) or specs[place] != spec:
        return spec
    return ",".join(specs[place:])
