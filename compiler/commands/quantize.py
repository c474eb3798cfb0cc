"""``sardonyx quantize``: a model in fewer bits, and what that cost."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from ..arguments import Level, fraction, parse_dims, positive
from ..compression.plans import Applied, Plan, apply_plan
from ..inputs import input_specs
from ..model import Model
from ..quantize.budget import Chosen, Judge, layer_names, within_budget
from ..quantize.data import DataError, read_batches
from ..quantize.metrics import LABELS, METRICS
from ..quantize.plans import SCHEMES, plan_of
from ..quantize.report import Report, report_of
from ..show import out, print_json, printable, show, stepping, working
from .compressing import (
    Calibrations,
    DataOption,
    ExcludeOption,
    OutputOption,
    data_for,
    optimized,
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
EvaluateOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help=f"Data for --max-drop, as for --calibrate; may hold {LABELS!r}.",
    ),
]
MOST_REASONS = 8
"""So many layers that were left as they were are named."""
MetricOption = Annotated[
    str, typer.Option(metavar="|".join(METRICS), help="What --max-drop measures.")
]


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
    max_drop: Annotated[
        float | None,
        typer.Option(parser=fraction, metavar="PERCENT", help="The loss allowed."),
    ] = None,
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
    work = _Work(plan, before, calibrations)
    work.only, work.exclude = tuple(only or ()), tuple(exclude or ())
    if max_drop is None:
        with working(f"quantizing {model}"):
            chosen = Chosen(work.quantized((), (), ()), 0.0)
    else:
        chosen = work.budgeted(max_drop, evaluate, metric)
    applied = chosen.applied
    batch = calibrations.first_batch([value.name for value in before.inputs])
    found = report_of(before, applied.model, batch)
    write(applied.model, output, backend.value)
    spec = f"{passes},{applied.spec}" if passes else applied.spec
    if as_json:
        print_json(_json(found, chosen, spec, max_drop, metric))
        return
    _print_report(found, chosen, max_drop, metric)
    show(f"wrote {output}; the same again: sardonyx compile {model} -p '{spec}'")


@dataclass
class _Work:
    plan: Plan
    model: Model
    calibrations: Calibrations
    only: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def quantized(
        self, only: tuple[str, ...], exclude: tuple[str, ...], widen: tuple[str, ...]
    ) -> Applied:
        return apply_plan(
            self.plan,
            self.model,
            self.calibrations.measure,
            only or self.only,
            (*self.exclude, *exclude),
            widen,
        )

    def budgeted(self, max_drop: float, evaluate: Path | None, metric: str) -> Chosen:
        if evaluate is None:
            raise DataError("found --max-drop alone, wanted --evaluate FILE with it")
        batches = read_batches(evaluate, input_specs(self.model), [LABELS])
        judge = Judge.of(self.model, batches, metric)
        layers = [
            n for n in self.only or layer_names(self.model) if n not in self.exclude
        ]
        widens = self.plan.wide is not None
        with stepping("trying layers", len(layers)) as told:
            return within_budget(layers, self.quantized, judge, max_drop, widens, told)


def _json(
    found: Report, chosen: Chosen, spec: str, max_drop: float | None, metric: str
) -> dict[str, Any]:
    budget = {
        "metric": metric,
        "drop": chosen.drop,
        "excluded": list(chosen.exclude),
        "widened": list(chosen.widen),
        "sensitivity": dict(chosen.sensitivity),
    }
    declined = {"declined": list(chosen.applied.declined)}
    told = found.as_json() | declined | {"pipeline": spec}
    return told | ({} if max_drop is None else {"budget": budget})


def _print_report(
    found: Report, chosen: Chosen, max_drop: float | None, metric: str
) -> None:
    table = Table(box=None)
    table.add_column("layer", overflow="fold")
    for column in ("", "stored as", "bytes", "of", "SNR, dB"):
        table.add_column(column, justify="left" if column == "stored as" else "right")
    alone = dict(chosen.sensitivity)
    if alone:
        table.add_column("alone, %", justify="right")
    for layer in found.layers:
        noise = layer.decibels
        cells = [
            escape(printable(layer.node)),
            layer.operator,
            layer.scheme,
            f"{layer.bytes_after}",
            f"{layer.bytes_before}",
            "" if noise is None else f"{noise:.1f}",
        ]
        if alone:
            drop = alone.get(layer.node)
            cells.append("" if drop is None else f"{drop:.3g}")
        table.add_row(*cells)
    out.print(table)
    show(
        f"weights: {found.bytes_after} of {found.bytes_before} bytes; those of "
        f"products {found.bits_per_weight:.2f} bits each"
    )
    declined = chosen.applied.declined
    for reason in declined[:MOST_REASONS]:
        show(f"left as it was: {printable(reason)}")
    if len(declined) > MOST_REASONS:
        show(f"({len(declined) - MOST_REASONS} more; --json has them all)")
    if max_drop is not None:
        show(f"{metric}: {chosen.drop:.4g} % worse, allowed {max_drop:g} %")
        for word, names in (("kept", chosen.exclude), ("widened", chosen.widen)):
            if names:
                show(f"  {word}: {', '.join(map(printable, names))}")
