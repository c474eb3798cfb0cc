"""The schemes of `sardonyx quantize`: which passes each is."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from ...dialects.errors import SardonyxError
from ...passes.quantize.gptq import GptqPass
from ...passes.quantize.llm_int8 import LlmInt8Pass
from ...passes.quantize.quantize_dynamic import QuantizeDynamicPass
from ...passes.quantize.quantize_static import QuantizeStaticPass
from ...passes.quantize.quantize_weights import QuantizeWeightsPass
from ...passes.quantize.smooth_quant import SmoothQuantPass
from ...passes.quantize.split_quant import SplitQuantPass
from ..compression.plans import Plan, Stage, apply_plan

__all__ = ["SCHEMES", "Plan", "Stage", "apply_plan", "plan_of"]


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
