"""``sardonyx quantize``: a model in fewer bits, and what that cost."""

from __future__ import annotations

from typing import Annotated

import typer

from ..arguments import Level, parse_dims, positive
from ..compression.layers import Report
from ..quantize.budget import Chosen, layer_names
from ..quantize.plans import SCHEMES, plan_of
from ..quantize.report import report_of
from ..show import print_json, printable, show
from .compressing import (
    Calibrations,
    DataOption,
    EvaluateOption,
    ExcludeOption,
    MaxDropOption,
    MetricOption,
    OutputOption,
    Work,
    budget_json,
    data_for,
    optimized,
    show_budget,
    show_layers,
    write,
)
from .options import (
    Backend,
    BackendOption,
    DimOption,
    JsonOption,
    LevelOption,
    ModelPath,
)

SchemeOption = Annotated[
    str, typer.Option("--scheme", metavar="|".join(SCHEMES), help="How to quantize.")
]
MOST_REASONS = 8
"""So many layers that were left as they were are named."""


def quantize(
    model: ModelPath,
    output: OutputOption,
    scheme: SchemeOption,
    calibrate: DataOption = None,
    level: LevelOption = Level.O2,
    backend: BackendOption = Backend.jax,
    bits: Annotated[
        int | None, typer.Option(parser=positive, metavar="N", help="Of a weight.")
    ] = None,
    group: Annotated[
        int | None, typer.Option(parser=positive, metavar="N", help="Rows to a scale.")
    ] = None,
    method: Annotated[
        str | None, typer.Option(help="Of ranges: min-max, percentile or mse.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(metavar="NODE", help="Quantize these alone.")
    ] = None,
    exclude: ExcludeOption = None,
    only_faster: Annotated[
        bool,
        typer.Option(
            "--only-faster",
            help="Leave a layer float32 where fewer bits are estimated to be slower "
            "on the backend (-b).",
        ),
    ] = False,
    max_drop: MaxDropOption = None,
    evaluate: EvaluateOption = None,
    metric: MetricOption = "error",
    dim: DimOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Quantize MODEL and write it as ONNX, or as an artifact; tell what each layer lost.
    """
    given = {"bits": bits, "group": group, "method": method}
    options = {name: value for name, value in given.items() if value is not None}
    if only_faster:
        options["only_faster"] = backend.value
    plan = plan_of(scheme, options)
    passes = level.name
    before = optimized(model, passes, parse_dims(dim))
    data = data_for(plan, calibrate, before, "scheme")
    calibrations = Calibrations(data, output)
    work = Work(plan, before, calibrations, layer_names(before))
    work.only, work.exclude = tuple(only or ()), tuple(exclude or ())
    chosen = work.chosen(f"quantizing {model}", max_drop, evaluate, metric)
    applied = chosen.applied
    batch = calibrations.first_batch([value.name for value in before.inputs])
    found = report_of(before, applied.model, batch)
    write(applied.model, output, backend.value)
    spec = f"{passes},{applied.spec}" if passes else applied.spec
    if as_json:
        told = {"declined": list(chosen.applied.declined), "pipeline": spec}
        budget = budget_json(chosen, max_drop, metric)
        print_json(found.as_json() | told | budget)
        return
    _print_report(found, chosen, max_drop, metric)
    show(f"wrote {output}; the same again: sardonyx compile {model} -p '{spec}'")


def _print_report(
    found: Report, chosen: Chosen, max_drop: float | None, metric: str
) -> None:
    show_layers(found, chosen)
    show(
        f"weights: {found.bytes_after} of {found.bytes_before} bytes; those of "
        f"products {found.bits_per_weight:.2f} bits each"
    )
    declined = chosen.applied.declined
    for reason in declined[:MOST_REASONS]:
        show(f"left as it was: {printable(reason)}")
    if len(declined) > MOST_REASONS:
        show(f"({len(declined) - MOST_REASONS} more; --json has them all)")
    show_budget(chosen, max_drop, metric, "widened")
