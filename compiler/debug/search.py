"""
The first wrong one in a row of candidates: by halving, as long as what is broken stays
broken.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from xdsl.passes import ModulePass
from xdsl.utils.exceptions import PassFailedException

from ...dialects.errors import SardonyxError
from ..model import Model
from ..pipelines import Instrument, PassError, PassRun, run_pipeline
from .trial import Verdict

Judge = Callable[[Model], Verdict]


def is_crash(error: Exception) -> bool:
    """Whether a pass failed by its own fault, not for what the user gave it."""
    # PassFailedException is how xDSL's passes decline a module.
    told = isinstance(error, SardonyxError | PassFailedException)
    return isinstance(error, PassError) or not told


def crash_text(error: BaseException) -> str:
    """What an exception says, in one line, with its type unless it is ours."""
    text = " ".join(str(error).split())
    if isinstance(error, SardonyxError):
        return text
    name = type(error).__name__
    return f"{name}: {text}" if text else name


@dataclass
class _Limit(Instrument):
    """Permits a pass only its first rewrites, and keeps its journal's length."""

    limit: int | None
    made: int = 0

    def before(self, model: Model, place: int, one: ModulePass) -> None:
        model.context.journal.limit = self.limit

    def after(self, model: Model, run: PassRun) -> None:
        self.made = len(run.journal.rewrites)


def applied(model: Model, spec: str, limit: int | None = None) -> Model:
    """
    What the pass `spec` makes of `model` with its first `limit` rewrites; a new model.

    Raises whatever the pass raises.
    """
    result = model.clone()
    run_pipeline(result, spec, [_Limit(limit)])
    return result


def after_rewrites(model: Model, spec: str, judge: Judge) -> Callable[[int], Verdict]:
    """How right `model` is after so many rewrites of pass `spec`; a crash is wrong."""

    def verdict(limit: int) -> Verdict:
        try:
            result = applied(model, spec, limit)
        except Exception as error:
            # A pass may raise anything: that it does is what is looked for.
            if not is_crash(error):
                raise
            return Verdict(False, None, f"it crashes: {crash_text(error)}")
        return judge(result)

    return verdict


@dataclass(frozen=True)
class Found:
    """The first wrong candidate, and the last right one before it."""

    good: int
    bad: int
    skipped: int
    """How many between them could not be judged."""


def first_bad(good: int, bad: int, verdict: Callable[[int], Verdict]) -> Found:
    """
    The first wrong candidate in ``good + 1 … bad``, `good` being right, `bad` wrong.

    Candidates that cannot be judged are stepped around. Assumes that all after a wrong
    one are wrong; even where that does not hold, the two that it gives were both
    judged.
    """
    skipped: set[int] = set()
    while True:
        open_ones = [i for i in range(good + 1, bad) if i not in skipped]
        if not open_ones:
            return Found(good, bad, bad - good - 1)
        middle = open_ones[len(open_ones) // 2]
        ok = verdict(middle).ok
        if ok is None:
            skipped.add(middle)
        elif ok:
            good = middle
        else:
            bad = middle
