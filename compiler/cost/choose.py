"""
``-O3``: which of the passes that -O2 leaves out are worth it, by the cost model alone.

Nothing is measured, and on one machine the choice is always the same. `tune` looks at
more pipelines, and measures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..model import Model
from ..pipelines import SOMETIMES, spec_of
from .predict import predictor
from .search import Ranked, ranked, space_of

LEAST_GAIN = 0.02
"""A pass that is predicted to gain less than this part is left out."""


@dataclass(frozen=True)
class Considered:
    """A choice that was looked at."""

    told: str
    seconds: float
    """Those predicted for a call."""
    reason: str
    """Why the prediction is the roofline's; empty if it is the model's."""


@dataclass(frozen=True)
class Chosen:
    """The pipeline of -O3 for a model."""

    spec: str
    considered: tuple[Considered, ...]
    """-O2's first; none where nothing is to be chosen."""
    taken: int = 0
    """The place of what was chosen."""

    def as_json(self) -> dict[str, Any]:
        """What was considered, for JSON; empty where nothing was."""
        if not self.considered:
            return {}
        choices = [
            {"choice": c.told, "predicted_ms": 1e3 * c.seconds, "reason": c.reason}
            for c in self.considered
        ]
        return {"taken": self.taken, "choices": choices}


def choose(model: Model, backend: str) -> Chosen:
    """
    The pipeline of -O3 for `model`, which is left as it is.

    What the model cannot judge stays as -O2 has it. Raises SardonyxError for a model
    that does not compile.
    """
    space = space_of(model, backend)
    units = tuple(unit for unit in space.units if unit.name in SOMETIMES)
    if not units:
        return Chosen(spec_of("O2", backend), ())
    space = replace(space, units=units)
    predict = predictor(backend)
    found = [ranked(space, choice, predict) for choice in space.choices()]
    told = tuple(
        Considered(space.told(one.choice), one.seconds, one.prediction.reason)
        for one in found
    )
    taken = _best(found)
    return Chosen(found[taken].spec, told, taken)


def _best(found: Sequence[Ranked]) -> int:
    """The place of the preferred one of those that are judged, and the first."""
    judged = [
        place
        for place, one in enumerate(found)
        if not (place and one.prediction.reason)
    ]
    return judged[preferred([found[place].seconds for place in judged])]


def preferred(seconds: Sequence[float]) -> int:
    """The place of the least of `seconds`, if it gains enough on the first."""
    enough = (1 - LEAST_GAIN) * seconds[0]
    gaining = [(one, place) for place, one in enumerate(seconds) if one < enough]
    return min(gaining, default=(0.0, 0))[1]
