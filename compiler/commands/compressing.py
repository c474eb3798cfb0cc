"""What `quantize` and `sparsify` share: their options, their data, what they write."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from ...passes.quantize.calibration import Calibration
from ..arguments import fraction
from ..compression.layers import Report
from ..compression.plans import Applied, Plan, apply_plan
from ..driver import compile_model, load, specialize
from ..inputs import input_specs
from ..model import Model
from ..opt import write_onnx
from ..pipelines import LOWERING, run_pipeline, spec_of
from ..quantize.budget import Chosen, Judge, within_budget
from ..quantize.calibrate import kept_calibration, write_calibration
from ..quantize.data import Batches, DataError, read_batches
from ..quantize.metrics import LABELS, METRICS
from ..show import out, printable, show, stepping, working

OutputOption = Annotated[
    Path, typer.Option("-o", "--output", help="A .onnx file, or a folder.")
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
ExcludeOption = Annotated[
    list[str] | None, typer.Option(metavar="NODE", help="Leave these as they are.")
]
MaxDropOption = Annotated[
    float | None,
    typer.Option(parser=fraction, metavar="PERCENT", help="The loss allowed."),
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


@dataclass
class Calibrations:
    """Measures a model before each stage of a plan, once, and keeps the files."""

    data: Batches | None
    output: Path
    measured: dict[int, Path] = field(default_factory=dict[int, Path])
    """Of each stage: the stages before it always do the same."""

    def measure(self, model: Model, second: bool, place: int) -> Path:
        """The calibration of `model` for the stage of number `place`, as a file."""
        if place not in self.measured:
            assert self.data is not None, "`data_for` read it for such a plan"
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

    def first_batch(self, names: Sequence[str]) -> dict[str, Any] | None:
        """The inputs called so in the first batch; None without data."""
        if self.data is None:
            return None
        batch = next(iter(self.data))
        return {name: batch[name] for name in names}


@dataclass
class Work:
    """A plan for a model, of which some layers may be left out or compressed less."""

    plan: Plan
    model: Model
    calibrations: Calibrations
    layers: Sequence[str]
    """The nodes of all that the plan may compress."""
    only: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def chosen(
        self, what: str, max_drop: float | None, evaluate: Path | None, metric: str
    ) -> Chosen:
        """The compressed model, within the budget if there is one; `what` is told."""
        if max_drop is not None:
            return self._budgeted(max_drop, evaluate, metric)
        if evaluate is not None:
            raise DataError("found --evaluate alone, wanted --max-drop PERCENT with it")
        with working(what):
            return Chosen(self._applied((), (), ()), 0.0)

    def _applied(
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

    def _budgeted(self, max_drop: float, evaluate: Path | None, metric: str) -> Chosen:
        if evaluate is None:
            raise DataError("found --max-drop alone, wanted --evaluate FILE with it")
        batches = read_batches(evaluate, input_specs(self.model), [LABELS])
        judge = Judge.of(self.model, batches, metric)
        layers = [n for n in self.only or self.layers if n not in self.exclude]
        widens = self.plan.wide is not None
        with stepping("trying layers", len(layers)) as told:
            return within_budget(layers, self._applied, judge, max_drop, widens, told)


def budget_json(chosen: Chosen, max_drop: float | None, metric: str) -> dict[str, Any]:
    """What a budget took, for JSON; nothing without one."""
    if max_drop is None:
        return {}
    budget = {
        "metric": metric,
        "drop": chosen.drop,
        "excluded": list(chosen.exclude),
        "widened": list(chosen.widen),
        "sensitivity": dict(chosen.sensitivity),
    }
    return {"budget": budget}


def show_budget(chosen: Chosen, max_drop: float | None, metric: str, less: str) -> None:
    """What a budget took; `less` says what was done to layers compressed less."""
    if max_drop is None:
        return
    show(f"{metric}: {chosen.drop:.4g} % worse, allowed {max_drop:g} %")
    for word, names in (("kept", chosen.exclude), (less, chosen.widen)):
        if names:
            show(f"  {word}: {', '.join(map(printable, names))}")


def show_layers(found: Report, chosen: Chosen) -> None:
    """A table of what became of the layers, with densities where some are under 1."""
    alone = dict(chosen.sensitivity)
    sparse = any((layer.density or 1) < 1 for layer in found.layers)
    table = Table(box=None)
    table.add_column("layer", overflow="fold")
    columns = ["", "stored as", *["density"] * sparse, "bytes", "of", "SNR, dB"]
    for column in [*columns, *["alone, %"] * bool(alone)]:
        table.add_column(column, justify="left" if column == "stored as" else "right")
    for layer in found.layers:
        noise, drop = layer.decibels, alone.get(layer.node)
        cells = [escape(printable(layer.node)), layer.operator, layer.stored]
        cells += [f"{layer.density or 1:.3f}"] * sparse
        cells += [f"{layer.bytes_after}", f"{layer.bytes_before}"]
        cells.append("" if noise is None else f"{noise:.1f}")
        cells += ["" if drop is None else f"{drop:.3g}"] * bool(alone)
        table.add_row(*cells)
    out.print(table)


def optimized(path: Path, level: str, sizes: dict[str, int]) -> Model:
    """The model at `path` after the passes of a level, with `sizes` of dimensions."""
    model = load(path)
    if sizes:
        specialize(model, sizes)
    run_pipeline(model, spec_of(level))
    return model


def data_for(plan: Plan, path: Path | None, model: Model, what: str) -> Batches | None:
    """The data at `path`; DataError where `plan` needs some and there is none."""
    if path is not None:
        return read_batches(path, input_specs(model))
    if plan.calibrates:
        raise DataError(f"found no data for this {what}, wanted --calibrate FILE")
    return None


def write(model: Model, goal: Path, backend: str) -> None:
    """Write `model` as ONNX or, where `goal` is no such file, as an artifact."""
    if goal.suffix == ".onnx":
        write_onnx(model, goal, False)
        return
    lowering = ",".join(LOWERING.get(backend, ()))
    compile_model(model, backend, lowering).save(goal)
