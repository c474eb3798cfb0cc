"""
Quantizations and prunings that keep within a budget, as a decision that `tune` makes.

Each scheme leaves out, or widens, the most sensitive layers until the budget holds (see
`quantize.budget`); whether what is left is worth it, predictions and measurements say.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ...dialects.errors import SardonyxError
from ...passes.sparsity.encode_sparse import EncodeSparsePass
from ...passes.sparsity.prune import PrunePass
from ..bench.protocol import Report, quiet
from ..compression.plans import Applied, Measure, Plan, apply_plan
from ..model import Model
from ..pipelines import spec_text
from ..quantize.budget import BudgetError, Judge, layer_names, within_budget
from ..quantize.plans import SCHEMES
from ..sparsify.plans import plan_of as pruning_of
from .search import Unit, before_lowering

QUANTIZED = ("w8a8-dynamic", "w8a8-static", "w4a16")
SPARSITIES = (0.5, 0.75)


@dataclass(frozen=True)
class Scheme:
    """A way to compress a model, and what makes its programs use that."""

    label: str
    plan: Plan
    then: str = ""
    """The spec of what follows the plan."""


def schemes(backend: str, calibrates: bool) -> list[Scheme]:
    """What is tried; without data only what needs none."""
    found = [Scheme(name, SCHEMES[name]) for name in QUANTIZED]
    method = "wanda" if calibrates else "magnitude"
    encode = spec_text(EncodeSparsePass("time", backend=backend))
    for sparsity in SPARSITIES:
        prune = PrunePass(method, "group-shared", sparsity)
        label = f"{sparsity:.0%} group-shared by {method}"
        found.append(Scheme(label, pruning_of(prune, False), f"{encode},dce"))
    return [one for one in found if calibrates or not one.plan.calibrates]


def compressions(
    model: Model,
    backend: str,
    judge: Judge,
    max_drop: float,
    measure_for: Callable[[str], Measure] | None = None,
    report: Report = quiet,
) -> Unit:
    """
    A unit of the schemes by which `model` loses at most `max_drop` percent.

    `model` is as -O2 leaves it before lowering; `measure_for` calibrates for the scheme
    of a label, and without it only schemes that need no data are tried. A scheme of
    which not one layer fits the budget is no alternative.
    """
    specs: dict[str, str] = {}
    tried = schemes(backend, measure_for is not None)
    layers = layer_names(model)
    for place, scheme in enumerate(tried):
        report(f"within {max_drop:g} %: {scheme.label}", place, len(tried))
        measure = _none if measure_for is None else measure_for(scheme.label)
        compress = partial(_applied, scheme.plan, model, measure)
        widens = scheme.plan.wide is not None
        try:
            chosen = within_budget(layers, compress, judge, max_drop, widens)
        except BudgetError:
            continue
        if len(chosen.exclude) < len(layers):
            parts = [chosen.applied.spec, *([scheme.then] if scheme.then else [])]
            specs[f"{scheme.label} ({chosen.drop:.2g} % worse)"] = ",".join(parts)
    return before_lowering(backend, "compression", specs)


def _applied(
    plan: Plan,
    model: Model,
    measure: Measure,
    only: tuple[str, ...],
    exclude: tuple[str, ...],
    widen: tuple[str, ...],
) -> Applied:
    return apply_plan(plan, model, measure, only, exclude, widen)


def _none(model: Model, second: bool, place: int) -> Path:
    raise SardonyxError("calibration: found no data, wanted some")
