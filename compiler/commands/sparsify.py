"""``sardonyx sparsify``: a model with zeros in its weights, and what that cost."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from ...dialects.errors import SardonyxError
from ...passes.sparsity.encode_sparse import EncodeSparsePass
from ...passes.sparsity.importance import METHODS
from ...passes.sparsity.patterns import PATTERNS
from ...passes.sparsity.prune import PrunePass
from ..arguments import Level, fraction, parse_dims, positive
from ..compression.plans import apply_plan
from ..pipelines import run_pipeline, spec_text
from ..show import out, print_json, printable, show, working
from ..sparsify.plans import GOALS, plan_of
from ..sparsify.report import Report, report_of
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


def sparsify(
    model: ModelPath,
    output: OutputOption,
    method: Annotated[
        str, typer.Option(metavar="|".join(METHODS), help="What is left out.")
    ] = "wanda",
    pattern: Annotated[
        str, typer.Option(metavar="|".join(PATTERNS), help="Where zeros may lie.")
    ] = "group-shared",
    sparsity: Annotated[
        float, typer.Option(parser=fraction, metavar="PART", help="How much is 0.")
    ] = 0.5,
    calibrate: DataOption = None,
    level: LevelOption = Level.O2,
    backend: BackendOption = Backend.jax,
    group: Annotated[
        int, typer.Option(parser=positive, metavar="N", help="Outputs that share.")
    ] = 128,
    run: Annotated[
        int, typer.Option(parser=positive, metavar="N", help="Inputs of a block.")
    ] = 16,
    regroup: Annotated[
        bool, typer.Option(help="Reorder outputs so that groups lose less.")
    ] = True,
    encode: Annotated[
        str | None,
        typer.Option(
            metavar="|".join(GOALS),
            help="Store weights without zeros: where faster, where smaller, or not; "
            "time for an artifact, none for ONNX unless given.",
        ),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(metavar="NODE", help="Prune these alone.")
    ] = None,
    exclude: ExcludeOption = None,
    dim: DimOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Prune MODEL and write it as ONNX, or as an artifact; tell what each layer lost.
    """
    goal = encode or ("none" if output.suffix == ".onnx" else "time")
    if goal not in GOALS:
        raise SardonyxError(f"found --encode {goal!r}, wanted {', '.join(GOALS)}")
    prune = PrunePass(method, pattern, sparsity, group, run)
    plan = plan_of(prune, regroup)
    before = optimized(model, level.name, parse_dims(dim))
    data = data_for(plan, calibrate, before, "method")
    calibrations = Calibrations(data, output)
    with working(f"pruning {model}"):
        applied = apply_plan(
            plan, before, calibrations.measure, tuple(only or ()), tuple(exclude or ())
        )
    specs = [level.name, applied.spec]
    if goal != "none":
        specs.append(f"{spec_text(EncodeSparsePass(goal, backend=backend.value))},dce")
        run_pipeline(applied.model, specs[-1])
    batch = calibrations.first_batch([value.name for value in before.inputs])
    found = report_of(before, applied.model, batch)
    write(applied.model, output, backend.value)
    spec = ",".join(specs)
    if as_json:
        print_json(found.as_json() | {"pipeline": spec})
        return
    _print_report(found)
    show(f"wrote {output}; the same again: sardonyx compile {model} -p '{spec}'")


def _print_report(found: Report) -> None:
    table = Table(box=None)
    table.add_column("layer", overflow="fold")
    for column in ("", "stored as", "density", "bytes", "of", "SNR, dB"):
        table.add_column(column, justify="left" if column == "stored as" else "right")
    for layer in found.layers:
        noise = layer.decibels
        table.add_row(
            escape(printable(layer.node)),
            layer.operator,
            layer.stored,
            f"{layer.density:.3f}",
            f"{layer.bytes_after}",
            f"{layer.bytes_before}",
            "" if noise is None else f"{noise:.1f}",
        )
    out.print(table)
    show(
        f"weights: {found.bytes_after} of {found.bytes_before} bytes; of those of "
        f"products {found.density:.1%} are kept"
    )
