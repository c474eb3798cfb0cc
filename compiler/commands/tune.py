"""``sardonyx tune``: the pipeline that makes a model fastest on this machine."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from ..arguments import fraction, parse_dims, write_whole
from ..bench.protocol import Report
from ..compression.plans import Measure
from ..cost.search import Unit
from ..cost.tune import BUDGET_SECONDS, Trial, Tuned
from ..inputs import input_specs
from ..quantize.budget import Judge
from ..quantize.data import Batches, DataError, read_batches
from ..quantize.metrics import LABELS
from ..show import counting, out, print_json, printable, show
from .compressing import (
    Calibrations,
    DataOption,
    EvaluateOption,
    MetricOption,
    optimized,
)
from .options import (
    Backend,
    BackendOption,
    DimOption,
    InputOption,
    JsonOption,
    ModelPath,
)


def tune(
    model: ModelPath,
    backend: BackendOption = Backend.jax,
    budget: Annotated[
        str, typer.Option(metavar="SECONDS", help="About how long it takes: 60, 60s.")
    ] = f"{BUDGET_SECONDS:.0f}s",
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="A pipeline file for compile -p @FILE."),
    ] = None,
    dim: DimOption = None,
    inputs: InputOption = None,
    max_drop: Annotated[
        float | None,
        typer.Option(
            parser=fraction,
            metavar="PERCENT",
            help="Quantize or prune, too, if the model loses no more; see --evaluate.",
        ),
    ] = None,
    evaluate: EvaluateOption = None,
    calibrate: DataOption = None,
    metric: MetricOption = "error",
    as_json: JsonOption = False,
) -> None:
    """
    Search pipelines for MODEL: many are predicted, the best measured beside -O2.
    """
    from ..cost.tune import tune as tuned
    from ..debug.trial import Inputs

    seconds = fraction(budget.removesuffix("s"))
    given, sizes = Inputs(tuple(inputs or ())), parse_dims(dim)
    more = []
    if max_drop is not None:
        data = _Data(evaluate, calibrate, metric, output or Path(f"{model.stem}.tuned"))
        with counting("compressing") as report:
            more = [data.unit(model, backend.value, sizes, max_drop, report)]
    with counting(f"tuning {model}") as report:
        found = tuned(
            model, backend.value, sizes, seconds, given, more=more, report=report
        )
    if output is not None:
        write_whole(output, f"{found.spec}\n")
    if as_json:
        print_json(found.as_json())
        return
    _print(found)
    spec = f"@{output}" if output is not None else found.spec
    words = ["sardonyx", "compile", str(model), "-o", "out", "-b", backend.value]
    show(f"compile it so: {printable(shlex.join([*words, '-p', spec]))}")


@dataclass(frozen=True)
class _Data:
    """What `--max-drop` looks at."""

    evaluate: Path | None
    calibrate: Path | None
    metric: str
    output: Path
    """What calibrations are kept beside: the pipeline names them."""

    def unit(
        self,
        path: Path,
        backend: str,
        sizes: dict[str, int],
        max_drop: float,
        report: Report,
    ) -> Unit:
        """The compressions within the budget, as a decision."""
        from ..cost.compressions import compressions

        if self.evaluate is None:
            raise DataError("found --max-drop alone, wanted --evaluate FILE with it")
        before = optimized(path, "O2", sizes)
        specs = input_specs(before)
        judge = Judge.of(
            before, read_batches(self.evaluate, specs, [LABELS]), self.metric
        )
        measure_for = None
        if self.calibrate is not None:
            measure_for = partial(self._measure, read_batches(self.calibrate, specs))
        return compressions(before, backend, judge, max_drop, measure_for, report)

    def _measure(self, data: Batches, label: str) -> Measure:
        name = "".join(c if c.isalnum() else "-" for c in label)
        stem = self.output.with_suffix("")
        return Calibrations(data, stem.with_name(f"{stem.name}.{name}")).measure


def _print(found: Tuned) -> None:
    table = Table(box=None)
    table.add_column("pipeline", overflow="fold")
    for column in ("predicted", "measured", "of -O2", "once more", ""):
        table.add_column(column, justify="right", no_wrap=True)
    for place, trial in enumerate(found.trials):
        table.add_row(*_cells(trial), "chosen" if place == found.chosen else "")
    out.print(table)
    for trial in found.trials:
        if trial.reason:
            show(f"{trial.told}: predicted by the roofline: {trial.reason}")
    show(f"predicted {found.predicted} programs in all; {found.seconds:.0f} s")


def _cells(trial: Trial) -> tuple[str, str, str, str, str]:
    predicted = f"{1e3 * trial.predicted_seconds:.3g} ms"
    told = escape(printable(trial.told))
    if trial.seconds is None:
        return told, predicted, "failed", trial.failure, ""
    measured = f"{1e3 * trial.seconds:.3g} ms"
    return told, predicted, measured, _shown(trial.ratio), _shown(trial.again)


def _shown(ratio: tuple[float, float, float] | None) -> str:
    if ratio is None:
        return ""
    median, low, high = ratio
    return f"{median:.3f} ({low:.3f} to {high:.3f})"
