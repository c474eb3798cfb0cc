"""
``-O3``: which of the passes that -O2 leaves out are worth it, by the cost model alone.

Nothing is measured, and on one machine the choice is always the same. `tune` looks at
more pipelines, and measures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

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
    return Chosen(found[_best(found)].spec, told)


def _best(found: Sequence[Ranked]) -> int:
    """The place of the fastest that is judged, if it gains enough on the first."""
    judged = [
        (one.seconds, place)
        for place, one in enumerate(found)
        if not one.prediction.reason
    ]
    enough = (1 - LEAST_GAIN) * found[0].seconds
    return min((one for one in judged if one[0] < enough), default=(0.0, 0))[1]
