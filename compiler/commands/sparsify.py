"""``sardonyx sparsify``: a model with zeros in its weights, and what that cost."""

from __future__ import annotations

from typing import Annotated

import typer

from ...dialects.errors import SardonyxError
from ...passes.sparsity.encode_sparse import EncodeSparsePass
from ...passes.sparsity.importance import METHODS
from ...passes.sparsity.patterns import PATTERNS
from ...passes.sparsity.prune import PrunePass
from ..arguments import Level, fraction, parse_dims, positive
from ..pipelines import run_pipeline, spec_text
from ..show import print_json, show
from ..sparsify.plans import GOALS, plan_of
from ..sparsify.report import layer_names, report_of
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
    max_drop: MaxDropOption = None,
    evaluate: EvaluateOption = None,
    metric: MetricOption = "error",
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
    plan = plan_of(prune, regroup, milder=max_drop is not None)
    before = optimized(model, level.name, parse_dims(dim))
    data = data_for(plan, calibrate, before, "method")
    calibrations = Calibrations(data, output)
    work = Work(plan, before, calibrations, layer_names(before))
    work.only, work.exclude = tuple(only or ()), tuple(exclude or ())
    chosen = work.chosen(f"pruning {model}", max_drop, evaluate, metric)
    applied = chosen.applied
    specs = [level.name, applied.spec]
    if goal != "none":
        specs.append(f"{spec_text(EncodeSparsePass(goal, backend=backend.value))},dce")
        run_pipeline(applied.model, specs[-1])
    batch = calibrations.first_batch([value.name for value in before.inputs])
    found = report_of(before, applied.model, batch)
    write(applied.model, output, backend.value)
    spec = ",".join(specs)
    if as_json:
        budget = budget_json(chosen, max_drop, metric)
        print_json(found.as_json() | {"pipeline": spec} | budget)
        return
    show_layers(found, chosen)
    part = found.density
    kept = "" if part is None else f"; of those of products {part:.1%} are kept"
    show(f"weights: {found.bytes_after} of {found.bytes_before} bytes{kept}")
    show_budget(chosen, max_drop, metric, "pruned by half as much")
    show(f"wrote {output}; the same again: sardonyx compile {model} -p '{spec}'")
