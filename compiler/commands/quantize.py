"""``sardonyx quantize``: a model in fewer bits, and what that cost."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from ...passes.quantize.calibration import Calibration
from ..arguments import Level, fraction, parse_dims, positive
from ..driver import compile_model, load, specialize
from ..inputs import input_specs
from ..model import Model
from ..opt import write_onnx
from ..pipelines import LOWERING, run_pipeline, spec_of
from ..quantize.budget import Chosen, Judge, layer_names, within_budget
from ..quantize.calibrate import kept_calibration, write_calibration
from ..quantize.data import Batches, DataError, read_batches
from ..quantize.metrics import LABELS, METRICS
from ..quantize.plans import SCHEMES, Applied, Plan, apply_plan, plan_of
from ..quantize.report import Report, report_of
from ..show import out, print_json, printable, show, stepping, working
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
DataOption = Annotated[
    Path | None,
    typer.Option(
        "--calibrate",
        metavar="FILE",
        help="Data: an .npz, a folder of them, or a .py file with batches(), which is "
        "executed.",
    ),
]
EvaluateOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help=f"Data for --max-drop, as for --calibrate; may hold {LABELS!r}.",
    ),
]
MetricOption = Annotated[
    str, typer.Option(metavar="|".join(METRICS), help="What --max-drop measures.")
]


def quantize(
    model: ModelPath,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="A .onnx file, or a folder.")
    ],
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
    exclude: Annotated[
        list[str] | None, typer.Option(metavar="NODE", help="Leave these as they are.")
    ] = None,
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
    plan = plan_of(scheme, options)
    before, passes = _optimized(model, level, parse_dims(dim))
    work = _Work(plan, before, _data(plan, calibrate, before), output)
    work.only, work.exclude = tuple(only or ()), tuple(exclude or ())
    if max_drop is None:
        with working(f"quantizing {model}"):
            chosen = Chosen(work.quantized((), (), ()), 0.0)
    else:
        chosen = work.budgeted(max_drop, evaluate, metric)
    applied = chosen.applied
    found = report_of(before, applied.model, work.first_batch)
    _write(applied.model, output, backend.value)
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
    data: Batches | None
    output: Path
    only: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    measured: dict[int, Path] = field(default_factory=dict[int, Path])
    """Of each stage: the stages before it always do the same."""

    def quantized(
        self, only: tuple[str, ...], exclude: tuple[str, ...], widen: tuple[str, ...]
    ) -> Applied:
        return apply_plan(
            self.plan,
            self.model,
            self._calibration,
            only or self.only,
            (*self.exclude, *exclude),
            widen,
        )

    def _calibration(self, model: Model, second: bool, place: int) -> Path:
        if place not in self.measured:
            assert self.data is not None, "`_data` read it for a plan that calibrates"
            with stepping("calibrating", len(self.data)) as told:
                found = kept_calibration(model, self.data, second, told)
            self.measured[place] = self._keep(found, place)
        return self.measured[place]

    def _keep(self, calibration: Calibration, place: int) -> Path:
        stem = self.output.with_suffix("") if self.output.suffix else self.output
        number = f"-{place}" if place else ""
        path = stem.with_name(f"{stem.name}.calibration{number}.npz")
        write_calibration(calibration, path)
        return Path(os.path.relpath(path))

    @property
    def first_batch(self) -> dict[str, Any] | None:
        if self.data is None:
            return None
        names = [value.name for value in self.model.inputs]
        batch = next(iter(self.data))
        return {name: batch[name] for name in names}

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


def _optimized(path: Path, level: Level, sizes: dict[str, int]) -> tuple[Model, str]:
    model = load(path)
    if sizes:
        specialize(model, sizes)
    run_pipeline(model, spec_of(level.name))
    return model, level.name


def _data(plan: Plan, path: Path | None, model: Model) -> Batches | None:
    if path is not None:
        return read_batches(path, input_specs(model))
    if plan.calibrates:
        raise DataError("found no data for this scheme, wanted --calibrate FILE")
    return None


def _write(model: Model, goal: Path, backend: str) -> None:
    if goal.suffix == ".onnx":
        write_onnx(model, goal, False)
        return
    lowering = ",".join(LOWERING.get(backend, ()))
    compile_model(model, backend, lowering).save(goal)


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
    told = found.as_json() | {"pipeline": spec}
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
    if max_drop is not None:
        show(f"{metric}: {chosen.drop:.4g} % worse, allowed {max_drop:g} %")
        for word, names in (("kept", chosen.exclude), ("widened", chosen.widen)):
            if names:
                show(f"  {word}: {', '.join(map(printable, names))}")
