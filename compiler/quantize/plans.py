"""
The schemes of `sardonyx quantize`: which passes each is, as a spec that replays it.

A plan is stages; one that calibrates is measured on the model as the stages before it
left it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from xdsl.passes import ModulePass

from ...dialects.errors import SardonyxError
from ...passes.quantize.gptq import GptqPass
from ...passes.quantize.llm_int8 import LlmInt8Pass
from ...passes.quantize.quantize_dynamic import QuantizeDynamicPass
from ...passes.quantize.quantize_static import QuantizeStaticPass
from ...passes.quantize.quantize_weights import QuantizeWeightsPass
from ...passes.quantize.smooth_quant import SmoothQuantPass
from ...passes.quantize.split_quant import SplitQuantPass
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
        return any(field.name == "calibration" for field in fields(self.one))


@dataclass(frozen=True)
class Plan:
    """The stages of a scheme; the last one is what quantizes the products."""

    stages: tuple[Stage, ...]
    wide: ModulePass | None = None
    """What quantizes products to more bits, where the scheme loses too much."""

    @property
    def calibrates(self) -> bool:
        """Whether a stage needs a calibration."""
        return any(stage.calibrates for stage in self.stages)


def plan_of(scheme: str, options: dict[str, Any]) -> Plan:
    """
    The plan of `scheme` with `options` of its last pass.

    Raises SardonyxError for an unknown scheme, or an option that its pass lacks.
    """
    if scheme not in SCHEMES:
        raise SardonyxError(f"found scheme {scheme!r}, wanted {', '.join(SCHEMES)}")
    plan = SCHEMES[scheme]
    last = plan.stages[-1]
    known = {field.name for field in fields(last.one)}
    for name in options:
        if name not in known:
            raise SardonyxError(f"scheme {scheme}: found option {name!r}, wanted none")
    chosen = replace(last, one=replace(last.one, **options))
    return replace(plan, stages=(*plan.stages[:-1], chosen))


_WIDE = QuantizeWeightsPass(bits=8)

SCHEMES: dict[str, Plan] = {
    "w8a8-static": Plan((Stage(QuantizeStaticPass()),)),
    "w8a8-dynamic": Plan((Stage(QuantizeDynamicPass()),)),
    "w4a16": Plan((Stage(QuantizeWeightsPass()),), _WIDE),
    "gptq": Plan((Stage(GptqPass(), second=True),), _WIDE),
    "smoothquant": Plan((Stage(SmoothQuantPass()), Stage(QuantizeStaticPass()))),
    "llm-int8": Plan((Stage(LlmInt8Pass()),)),
    "splitquant": Plan((Stage(SplitQuantPass()),), _WIDE),
}
"""The plans by the name of their scheme."""

CLEANUP = ("cse", "dce")
"""What follows: equal roundings of one activation are made once."""


@dataclass(frozen=True)
class Applied:
    """What a plan did: the model, and the spec that does it again."""

    model: Model
    spec: str


def apply_plan(
    plan: Plan,
    model: Model,
    measure: Measure,
    only: tuple[str, ...] = (),
    exclude: tuple[str, ...] = (),
    widen: tuple[str, ...] = (),
) -> Applied:
    """
    Quantize a copy of `model`; the nodes in `exclude` stay, those in `widen` get more
    bits.

    What the stages before the last do is the same for all choices of nodes.
    """
    copy, specs = model.clone(), list[str]()
    for place, stage in enumerate(plan.stages):
        options: dict[str, Any] = {}
        if stage.calibrates:
            options["calibration"] = str(measure(copy, stage.second, place))
        if place == len(plan.stages) - 1:
            options |= {"only": only, "exclude": (*exclude, *widen)}
        specs.append(_run(copy, replace(stage.one, **options)))
    if widen and plan.wide is not None:
        specs.append(_run(copy, replace(plan.wide, only=widen)))
    run_pipeline(copy, ",".join(CLEANUP))
    return Applied(copy, ",".join([*specs, *CLEANUP]))


def _run(model: Model, one: ModulePass) -> str:
    spec = spec_text(one)
    run_pipeline(model, spec)
    return spec
