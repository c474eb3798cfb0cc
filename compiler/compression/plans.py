"""
Plans: which passes a compression is, as a spec that replays it.

A plan is stages; one that calibrates is measured on the model as the stages before it
left it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from xdsl.passes import ModulePass

from ..model import Model
from ..pipelines import run_pipeline, spec_text

Measure = Callable[[Model, bool, int], Path]
"""
Calibrates a model, with second moments or without, for the stage of that number; gives
the file that the spec is to name.
"""


@dataclass(frozen=True)
class Stage:
    """A pass with its options, all but its calibration."""

    one: ModulePass
    second: bool = False
    """Whether it needs second moments."""

    @property
    def calibrates(self) -> bool:
        """Whether it needs a calibration."""
        known = any(field.name == "calibration" for field in fields(self.one))
        return known and getattr(self.one, "needs_calibration", True)


@dataclass(frozen=True)
class Plan:
    """The stages of a scheme; the last one is what compresses the products."""

    stages: tuple[Stage, ...]
    wide: ModulePass | None = None
    """
    What compresses products less, where the scheme loses too much; it looks at the
    calibration of the last stage.
    """

    @property
    def calibrates(self) -> bool:
        """Whether a stage needs a calibration."""
        return any(stage.calibrates for stage in self.stages)


CLEANUP = ("cse", "dce")
"""What follows: equal roundings of one activation are made once."""


@dataclass(frozen=True)
class Applied:
    """What a plan did: the model, and the spec that does it again."""

    model: Model
    spec: str
    declined: tuple[str, ...] = ()
    """What the last stage left as it was, and why: a line for each product."""


def apply_plan(
    plan: Plan,
    model: Model,
    measure: Measure,
    only: tuple[str, ...] = (),
    exclude: tuple[str, ...] = (),
    widen: tuple[str, ...] = (),
) -> Applied:
    """
    Compress a copy of `model`; the nodes in `exclude` stay, those in `widen` are
    compressed less.

    What the stages before the last do is the same for all choices of nodes.
    """
    copy, specs, declined = model.clone(), list[str](), tuple[str, ...]()
    measured: dict[str, Any] = {}
    for place, stage in enumerate(plan.stages):
        measured = {}
        if stage.calibrates:
            measured["calibration"] = str(measure(copy, stage.second, place))
        options = dict(measured)
        if place == len(plan.stages) - 1:
            options |= {"only": only, "exclude": (*exclude, *widen)}
        spec, declined = _run(copy, replace(stage.one, **options))
        specs.append(spec)
    if widen and plan.wide is not None:
        known = measured if Stage(plan.wide).calibrates else {}
        specs.append(_run(copy, replace(plan.wide, only=widen, **known))[0])
    run_pipeline(copy, ",".join(CLEANUP))
    return Applied(copy, ",".join([*specs, *CLEANUP]), declined)


def _run(model: Model, one: ModulePass) -> tuple[str, tuple[str, ...]]:
    """Run a pass; its spec, and what it declined."""
    spec = spec_text(one)
    runs = run_pipeline(model, spec)
    return spec, tuple(str(miss) for run in runs for miss in run.journal.misses)
