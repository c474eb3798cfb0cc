"""
``--guard``: runs the IR before and after each pass and stops at the first that changes
a result.

    run_pipeline(model, "O2", [Guard(Inputs())])
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ...dialects.onnx.journal import Rewrite
from ..inputs import input_specs
from ..model import Model
from ..pipelines import Instrument, PassRun
from .search import after_rewrites, first_bad
from .trial import Divergence, Inputs, Trial, Values, Verdict, values_of

CHEAP_SECONDS = 60.0
"""How long the search for the one rewrite among a pass's may take, as estimated."""
MAX_NAMED = 5
"""How many rewrites are named where the one to blame is not known."""


def ignored(text: str) -> object:
    """Hears what is being done, and does nothing."""
    return text


@dataclass
class Guard(Instrument):
    """
    Raises Divergence at the first pass after which an output is over its tolerance.

    It names the pass, the output, the error, and the rewrite to blame: pattern and
    node. Passes that leave the text as it is are not run again.
    """

    inputs: Inputs
    tolerance: float | None = None
    """``max|a-b| / max|b|`` of floats; by default `verify`'s for each dtype."""
    runner: str = "numpy"
    tell: Callable[[str], object] = ignored
    """Hears which pass is being checked."""
    _before: Model | None = field(default=None, init=False, repr=False)
    _text: str = field(default="", init=False, repr=False)
    _arrays: dict[str, Any] = field(
        default_factory=dict[str, Any], init=False, repr=False
    )
    _values: Values | None = field(default=None, init=False, repr=False)

    def begin(self, model: Model) -> None:
        """Keep the model as it is, and refuse at once what cannot be guarded."""
        self._before, self._text = model.clone(), str(model.module)
        self._arrays, self._values = self.inputs.of(model), None

    def after(self, model: Model, run: PassRun) -> None:
        """Compare with what stood before the pass; raises Divergence."""
        text = str(model.module)
        if text == self._text:
            return
        assert self._before is not None, "a pipeline begins"
        self.tell(f"guard: running the model after {run.name} (pass {run.place})")
        start = time.perf_counter()
        if not fits(model, self._arrays):
            self._arrays, self._values = self.inputs.of(self._before, model), None
        if self._values is None:
            self._values = values_of(self._before, self._arrays, self.runner)
        trial = Trial(self._arrays, self._values, self.tolerance, self.runner)
        verdict, found = trial.run(model)
        if not verdict.ok:
            spent = time.perf_counter() - start
            raise self._divergence(self._before, run, trial, verdict, spent)
        self._before, self._text, self._values = model.clone(), text, found

    def _divergence(
        self, before: Model, run: PassRun, trial: Trial, verdict: Verdict, spent: float
    ) -> Divergence:
        rewrites = run.journal.rewrites
        to_blame, number = rewrites, 0
        checks = max(len(rewrites) - 1, 0).bit_length()
        if len(rewrites) > 1 and checks * spent <= CHEAP_SECONDS:
            self.tell(f"guard: looking for the rewrite of {run.name} to blame")
            judge = after_rewrites(before, run.spec, trial)
            found = first_bad(0, len(rewrites), judge)
            to_blame, number = rewrites[found.good : found.bad], found.bad
        blamed = blame(to_blame, number or len(to_blame), len(rewrites))
        said = f"pass {run.spec} (place {run.place}): {verdict}; {blamed}"
        return Divergence(f"guard: {said}")


def fits(model: Model, arrays: dict[str, Any]) -> bool:
    """Whether `model` takes inputs of these sizes."""
    for spec in input_specs(model):
        found = getattr(arrays[spec.name], "shape", None)
        if found is None or spec.shape is None:
            continue
        for size, wanted in zip(found, spec.shape, strict=False):
            if isinstance(wanted, int) and size != wanted:
                return False
    return True


def blame(rewrites: list[Rewrite], number: int, total: int) -> str:
    """Which rewrites are to blame, in the words of the user's nodes."""
    if not rewrites:
        return "it keeps no journal of its rewrites"
    named = "; ".join(map(str, rewrites[:MAX_NAMED]))
    if len(rewrites) == 1:
        return f"rewrite {number} of {total}: {named}"
    more = len(rewrites) - MAX_NAMED
    rest = f"; and {more} more" if more > 0 else ""
    return f"one of {len(rewrites)} rewrites: {named}{rest}"
