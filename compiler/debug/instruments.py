"""
What looks on as a pipeline runs: the IR printed, the IR dumped, passes counted.

    run_pipeline(model, "O2", [PrintIR(after=EVERY, stream=sys.stderr)])
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from xdsl.passes import ModulePass

from ...dialects.errors import SardonyxError
from ..model import Model
from ..pipelines import Instrument, PassRun, count_ops, spec_text
from ..show import show_lost
from .elided import shown_text


class Every(frozenset[str]):
    """The names of all passes."""

    def __contains__(self, name: object) -> bool:
        return True

    def __bool__(self) -> bool:
        return True


EVERY = Every()


@dataclass
class PrintIR(Instrument):
    """Prints the IR before or after passes, each time below a line that says where."""

    stream: IO[str]
    before_passes: Collection[str] = ()
    """The names of the passes before which it is printed, or `EVERY`."""
    after_passes: Collection[str] = ()
    changed_only: bool = False
    """Print after any pass that changed the text, and then only."""
    _text: str = field(default="", init=False, repr=False)

    def begin(self, model: Model) -> None:
        if self.changed_only:
            self._text = shown_text(model)

    def before(self, model: Model, place: int, one: ModulePass) -> None:
        if one.name in self.before_passes:
            self._print("before", place, spec_text(one), shown_text(model))

    def after(self, model: Model, run: PassRun) -> None:
        wanted = run.name in self.after_passes
        if not wanted and not self.changed_only:
            return
        text = shown_text(model)
        changed = self.changed_only and text != self._text
        if self.changed_only:
            self._text = text
        if wanted or changed:
            self._print("after", run.place, run.spec, text)

    def _print(self, when: str, place: int, spec: str, text: str) -> None:
        self.stream.write(f"// -----// IR {when} pass {place + 1}: {spec} //----- //\n")
        self.stream.write(text)


class TellLost(Instrument):
    """Says on stderr, when all passes have run, which shardings they have lost."""

    def end(self, model: Model, runs: Sequence[PassRun]) -> None:
        show_lost(runs)


INDEX = ("index.md", "index.json")
_OURS = re.compile(r"\d{4,}-[^/]*\.mlir|index\.md|index\.json")


class DumpError(SardonyxError):
    """A folder that a dump cannot be written to."""


@dataclass
class Stage:
    """The IR after a pass, and where it is written."""

    place: int
    """0 for the IR as it was imported, n for after the n-th pass."""
    name: str
    spec: str
    file: str
    """The file that holds it: an earlier one if the pass changed nothing."""
    changed: bool
    seconds: float
    ops_before: int
    ops_after: int
    error: str = ""
    """What a pass raised that failed; its IR may not verify."""

    def as_json(self) -> dict[str, Any]:
        """The fields, for JSON."""
        found: dict[str, Any] = {
            "place": self.place,
            "pass": self.name,
            "spec": self.spec,
            "file": self.file,
            "changed": self.changed,
            "seconds": self.seconds,
            "ops_before": self.ops_before,
            "ops_after": self.ops_after,
        }
        return found | ({"error": self.error} if self.error else {})


@dataclass
class DumpIR(Instrument):
    """
    Writes the IR after every pass into a folder, ``0007-fuse-attention.mlir``.

    ``0000-import.mlir`` is what the first pass found; ``index.md`` and ``index.json``
    list the stages. One that a pass left as it was is not written again. The folder
    must hold nothing, or an older dump, which is replaced; else DumpError.
    """

    folder: Path
    stages: list[Stage] = field(default_factory=list[Stage], init=False)
    _model: Model | None = field(default=None, init=False, repr=False)
    _text: str = field(default="", init=False, repr=False)

    def begin(self, model: Model) -> None:
        self._model = model
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            old = sorted(self.folder.iterdir())
            if any(not _OURS.fullmatch(path.name) for path in old):
                wanted = "nothing in it, or a dump"
                raise DumpError(f"{self.folder}: holds other files, wanted {wanted}")
            for path in old:
                path.unlink()
        except OSError as error:
            raise self._cannot(error) from error
        ops = count_ops(model)
        self._add(Stage(0, "import", "", "", True, 0.0, ops, ops), shown_text(model))

    def after(self, model: Model, run: PassRun) -> None:
        text = shown_text(model)
        stage = Stage(
            run.place + 1,
            run.name,
            run.spec,
            self.stages[-1].file,
            text != self._text,
            run.seconds,
            run.ops_before,
            run.ops_after,
        )
        self._add(stage, text)

    def failed(self, place: int, one: ModulePass, error: Exception) -> None:
        assert self._model is not None, "a pipeline begins before a pass fails"
        last, ops = self.stages[-1], count_ops(self._model)
        stage = Stage(
            place + 1,
            one.name,
            spec_text(one),
            "",
            True,
            0.0,
            last.ops_after,
            ops,
            " ".join(str(error).split()) or type(error).__name__,
        )
        self._add(stage, shown_text(self._model, generic=True))

    def _add(self, stage: Stage, text: str) -> None:
        if stage.changed:
            name = re.sub(r"[^A-Za-z0-9._-]", "_", stage.name)
            failed = ".failed" if stage.error else ""
            stage.file = f"{stage.place:04d}-{name}{failed}.mlir"
            self._write(stage.file, text)
        self._text = text
        self.stages.append(stage)
        content = {"stages": [one.as_json() for one in self.stages]}
        self._write("index.json", json.dumps(content, indent=2) + "\n")
        self._write("index.md", index_text(self.stages))

    def _write(self, name: str, text: str) -> None:
        try:
            (self.folder / name).write_text(text, encoding="utf-8")
        except OSError as error:
            raise self._cannot(error) from error

    def _cannot(self, error: OSError) -> DumpError:
        reason = (error.strerror or str(error)).lower()
        return DumpError(f"{self.folder}: cannot be written: {reason}")


def index_text(stages: Sequence[Stage]) -> str:
    """The table of a dump's stages, in Markdown."""
    lines = [
        "| # | pass | seconds | ops | changed | IR |",
        "|---:|---|---:|---:|---|---|",
    ]
    for stage in stages:
        ops = f"{stage.ops_before}"
        if stage.ops_after != stage.ops_before:
            ops += f" -> {stage.ops_after}"
        said = "failed" if stage.error else "yes" if stage.changed else "no"
        title = (stage.spec or stage.name).replace("|", "\\|").replace("`", "'")
        lines.append(
            f"| {stage.place} | `{title}` | {stage.seconds:.4f} | {ops} | {said} "
            f"| [{stage.file}]({stage.file}) |"
        )
    return "\n".join(lines) + "\n"
