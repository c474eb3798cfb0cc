"""
``sardonyx bisect``: the first pass that breaks a model, and in it the first rewrite.

Searches the places of the pipeline by halving, then the rewrites that the journal of
the pass at fault permits.
"""

from __future__ import annotations

import shlex
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xdsl.passes import ModulePass

from ...dialects.errors import SardonyxError
from ...dialects.onnx.journal import Journal, Rewrite
from ..exporter import export_model
from ..model import Model
from ..pipelines import Instrument, PassRun, run_pipeline, spec_text
from ..text import write_text
from .guard import ignored
from .search import Judge, after_rewrites, crash_text, first_bad, is_crash
from .trial import Verdict

SKIP = 125
"""The exit status by which a script says that it cannot judge a candidate."""
FORMS = ("onnx", "mlir")
"""What a script is given: the exported model, or the IR with its weights beside it."""


@dataclass(frozen=True)
class State:
    """The model after some passes, where a pass changed it."""

    model: Model | None
    """None where the pass crashed."""
    place: int
    """Of the pass; -1 for the model as it was."""
    spec: str
    journal: Journal = field(repr=False)
    trouble: str = ""
    """How the pass crashed."""


@dataclass(frozen=True)
class Culprit:
    """The pass that breaks the result and, where its journal tells, the rewrite."""

    place: int
    spec: str
    passes_before: tuple[str, ...]
    """The specs of the passes that ran before it."""
    before: Model
    """The model before the pass."""
    right: Verdict
    """Before the pass or, if it is known, the rewrite."""
    wrong: Verdict
    """After it."""
    crashed: bool
    rewrites: tuple[Rewrite, ...] = ()
    """The rewrite to blame; several if those between could not be judged."""
    number: int = 0
    """Which rewrite of the pass the last of `rewrites` is, from 1 on."""
    total: int = 0
    """How many rewrites the pass made."""
    notes: tuple[str, ...] = ()
    """Where what the search assumes does not hold."""


@dataclass
class _States(Instrument):
    """Keeps the model after every pass that changed it."""

    states: list[State] = field(default_factory=list[State])
    specs: list[str] = field(default_factory=list[str])
    _text: str = ""
    _journal: Journal = field(default_factory=Journal)

    def begin(self, model: Model) -> None:
        self._text = str(model.module)
        self.states.append(State(model.clone(), -1, "", Journal()))

    def before(self, model: Model, place: int, one: ModulePass) -> None:
        self._journal = model.context.journal

    def after(self, model: Model, run: PassRun) -> None:
        self.specs.append(run.spec)
        text = str(model.module)
        if text != self._text:
            self._text = text
            state = State(model.clone(), run.place, run.spec, run.journal)
            self.states.append(state)

    def failed(self, place: int, one: ModulePass, error: Exception) -> None:
        if is_crash(error):
            said = f"it crashes: {crash_text(error)}"
            state = State(None, place, spec_text(one), self._journal, said)
            self.states.append(state)


def states_of(model: Model, pipeline: str) -> tuple[list[State], list[str]]:
    """
    The model after every pass of `pipeline` that changed it, and the specs that ran.

    The first is the model as it is, which stays so; a pass that crashed is the last.
    """
    kept = _States()
    try:
        run_pipeline(model.clone(), pipeline, [kept])
    except Exception as error:
        # A pass may raise anything; `failed` has kept what it was.
        if not is_crash(error):
            raise
    return kept.states, kept.specs


def bisect(
    model: Model,
    pipeline: str,
    judge: Callable[[Model, Model], Judge],
    tell: Callable[[str], object] = ignored,
) -> Culprit | None:
    """
    The first pass of `pipeline` that breaks `model`, and in it the first rewrite.

    `judge` makes the judge of candidates from the model as it is and as the passes
    leave it. None if nothing is broken: then every place was judged. Raises
    SardonyxError if the model is wrong as it is, or what judges cannot judge it.
    """
    tell("running the pipeline")
    states, specs = states_of(model, pipeline)
    last = next(state.model for state in reversed(states) if state.model is not None)
    assert states[0].model is not None, "the first state is before any pass"
    search = _Search(states, specs, judge(states[0].model, last), tell)
    return search.culprit()


@dataclass
class _Search:
    states: list[State]
    specs: list[str]
    judge: Judge
    tell: Callable[[str], object]
    notes: list[str] = field(default_factory=list[str])
    _known: dict[int, Verdict] = field(default_factory=dict[int, Verdict])
    _judged: dict[str, Verdict] = field(default_factory=dict[str, Verdict])

    def culprit(self) -> Culprit | None:
        start = self._verdict(0)
        if not start.ok:
            found = start if start.ok is False else "it cannot be judged"
            raise SardonyxError(
                f"bisect: found the model wrong before any pass: {found}; wanted it "
                "right, so that a pass can break it"
            )
        end = self._last_judged()
        if end is None:
            return None
        found = first_bad(0, end, self._verdict)
        if found.skipped:
            self.notes.append(
                f"{found.skipped} places before it could not be judged: the pass may "
                "be any of those"
            )
        return self._within(found.good, self.states[found.bad])

    def _last_judged(self) -> int | None:
        """A wrong state to search up to: the last, or the first that is wrong."""
        last = len(self.states) - 1
        if last and self._verdict(last).ok is False:
            return last
        for index in range(1, last):
            if self._verdict(index).ok is False:
                self.notes.append(
                    "the end of the pipeline is not wrong, though this place is: what "
                    "is broken here is mended, or hidden, later"
                )
                return index
        return None

    def _verdict(self, index: int) -> Verdict:
        if index not in self._known:
            state = self.states[index]
            done = f"after {state.spec} (pass {state.place})" if index else "as it is"
            self.tell(f"judging the model {done}")
            if state.model is None:
                self._known[index] = Verdict(False, None, state.trouble)
            else:
                self._known[index] = self._judge(state.model)
        return self._known[index]

    def _judge(self, model: Model) -> Verdict:
        """The verdict on a model, each text judged once."""
        text = str(model.module)
        if text not in self._judged:
            self._judged[text] = self.judge(model)
        return self._judged[text]

    def _within(self, good: int, bad: State) -> Culprit:
        """The rewrite of the pass of state `bad` that breaks what it began with."""
        before = self._model_before(good, bad)
        total = len(bad.journal.rewrites)
        right, wrong = self._known[good], self._known[self.states.index(bad)]
        verdicts: dict[int, Verdict] = {0: right, total: wrong}
        apply = after_rewrites(before, bad.spec, self._judge)

        def verdict(limit: int) -> Verdict:
            self.tell(f"judging {bad.spec} after {limit} of {total} rewrites")
            if limit not in verdicts:
                verdicts[limit] = apply(limit)
            return verdicts[limit]

        rewrites: tuple[Rewrite, ...] = ()
        number = 0
        if total:
            # What the pass does beside its rewrites is no rewrite's fault.
            verdicts[0] = apply(0)
            if verdicts[0].ok is not False:
                found = first_bad(0, total, verdict)
                number = found.bad
                rewrites = tuple(bad.journal.rewrites[found.good : found.bad])
                right, wrong = verdicts[found.good], verdicts[found.bad]
            else:
                self.notes.append("the pass breaks it before any rewrite of its own")
        return Culprit(
            bad.place,
            bad.spec,
            tuple(self.specs[: bad.place]),
            before,
            right,
            wrong,
            bad.model is None,
            rewrites,
            number,
            total,
            tuple(self.notes),
        )

    def _model_before(self, good: int, bad: State) -> Model:
        index = self.states.index(bad) - 1
        model = self.states[index].model
        assert model is not None, "only the last pass can have crashed"
        if index != good:
            self.tell("taking the last place that could be judged")
        return model


# --- judging by a script ---


@dataclass(frozen=True)
class Script:
    """
    A command that judges a model: ``{}`` in it is the path of a file.

    Exit status 0 says right, 125 that it cannot tell, any other wrong. The file is the
    candidate as the exporter writes it, or (`form` ``mlir``) its IR.
    """

    command: str
    form: str = "onnx"

    def __call__(self, model: Model) -> Verdict:
        """Run the command on `model`."""
        with tempfile.TemporaryDirectory(prefix="sardonyx-") as folder:
            path = Path(folder) / f"candidate.{self.form}"
            try:
                write = export_model if self.form == "onnx" else write_text
                write(model.clone(), path)
            except SardonyxError as error:
                return Verdict(None, None, f"it cannot be written: {error}")
            done = subprocess.run(self.arguments(path), stdin=subprocess.DEVNULL)
        if done.returncode == SKIP:
            return Verdict(None, None, "the script skips it")
        said = f"the script exits with {done.returncode}"
        return Verdict(done.returncode == 0, None, said)

    def arguments(self, path: Path) -> list[str]:
        """The command's words, the path in the place of ``{}`` or at the end."""
        words = shlex.split(self.command)
        if not words:
            raise SardonyxError("--script: found nothing, wanted a command")
        if not any("{}" in word for word in words):
            words.append("{}")
        return [word.replace("{}", str(path)) for word in words]


def as_json(culprit: Culprit) -> dict[str, Any]:
    """What bisect found, for JSON."""
    return {
        "place": culprit.place,
        "pass": culprit.spec,
        "passes_before": list(culprit.passes_before),
        "crashed": culprit.crashed,
        "rewrite": culprit.number or None,
        "rewrites": culprit.total,
        "blamed": [str(rewrite) for rewrite in culprit.rewrites],
        "before": str(culprit.right),
        "after": str(culprit.wrong),
        "notes": list(culprit.notes),
    }
