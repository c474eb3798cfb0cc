"""``sardonyx compile``: a model into an artifact."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from ..arguments import Level, parse_buckets, parse_dims, pipeline_of
from ..artifact import weight_keys
from ..debug.statistics import statistics_table, timing_table
from ..driver import compile_model
from ..sharding import parse_shards, sharded
from ..show import (
    counting,
    out,
    printable,
    progress,
    shape_text,
    show,
    show_lost,
    show_traffic,
    telling,
    working,
)
from .options import (
    Backend,
    BackendOption,
    BucketOption,
    DevicesOption,
    DimOption,
    GuardOption,
    GuardWithOption,
    InputOption,
    LevelOption,
    MemoryLimitOption,
    MeshOption,
    ModelPath,
    NoReproducerOption,
    PassesOption,
    PluginOption,
    RefuseBudgetOption,
    RefuseOption,
    Runner,
    ShardOption,
    refuses,
)


def compile(
    model: ModelPath,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="The folder to write.")
    ],
    backend: BackendOption = Backend.jax,
    level: LevelOption = Level.O2,
    passes: PassesOption = None,
    plugin: PluginOption = None,
    dim: DimOption = None,
    bucket: BucketOption = None,
    shard: ShardOption = None,
    mesh: MeshOption = None,
    devices: DevicesOption = None,
    vmap: Annotated[
        bool, typer.Option("--vmap", help="Run on a batch: a new first axis (JAX).")
    ] = False,
    export_stablehlo: Annotated[
        bool,
        typer.Option("--export-stablehlo", help="Write model.stablehlo too (JAX)."),
    ] = False,
    statistics: Annotated[
        bool, typer.Option("--statistics", help="Print what each pass did.")
    ] = False,
    timing: Annotated[
        bool, typer.Option("--timing", help="Print how long each pass took.")
    ] = False,
    guard: GuardOption = None,
    guard_with: GuardWithOption = Runner.numpy,
    inputs: InputOption = None,
    no_reproducer: NoReproducerOption = False,
    refuse_slower: RefuseOption = None,
    refuse_budget: RefuseBudgetOption = 60.0,
    memory_limit: MemoryLimitOption = None,
) -> None:
    """
    Compile MODEL into a folder with a readable program that runs without sardonyx.
    """
    from ...passes.sharding.traffic import collectives
    from ..debug.considered_table import show_considered
    from ..debug.refuse_table import show_refusal
    from ..debug.reproducer import plugin_words
    from ..debug.trial import Inputs
    from ..debug.trusting import Trusting

    given, refusing = Inputs(tuple(inputs or ())), refuses(refuse_slower, level, passes)
    trusting = Trusting(given, guard, guard_with.value, not no_reproducer, refusing)
    sizes, padded = parse_dims(dim), parse_buckets(bucket)
    pipeline = sharded(pipeline_of(level, passes), parse_shards(shard, devices, mesh))
    refusal = None
    if refusing:
        from ..debug.refuse import refuse_slower as measured

        looking = trusting.instruments(pipeline, str(model))
        with counting(f"timing {model}") as report:
            refusal = measured(
                model,
                backend.value,
                pipeline,
                sizes,
                vmap,
                padded,
                given,
                refuse_budget,
                report=report,
                instruments=looking,
            )
        pipeline = refusal.pipeline
    with working(f"compiling {model}") as status:
        looking = trusting.instruments(pipeline, str(model), telling(status))
        executable = compile_model(
            model, backend.value, pipeline, sizes, vmap, looking, padded, memory_limit
        )
    if refusal is not None:
        executable.refused = refusal.as_json()
        executable.considered = refusal.considered
    store = executable.model.context.store
    total = sum(store[key].file_bytes for key in weight_keys(executable))
    with progress(f"writing {output}", total) as advance:
        folder = executable.save(output, export_stablehlo, advance)
    spent = ", ".join(f"{k} {v:.2f} s" for k, v in executable.seconds.items())
    show(f"wrote {folder} ({backend.value}; {spent})")
    for word, specs in (("input", executable.inputs), ("output", executable.outputs)):
        for spec in specs:
            kind = f"{spec.dtype}{shape_text(spec.shape)}"
            show(f"  {word:6} {printable(spec.name)}: {kind}")
    show_lost(executable.passes)
    show_traffic(list(collectives(executable.model.module)))
    show_considered(executable.considered, statistics)
    if statistics:
        out.print(statistics_table(executable.passes))
    if timing:
        out.print(timing_table(executable.passes))
    if refusal is not None:
        show_refusal(refusal, f"{model}, the passes:")
        words = ["sardonyx", "compile", str(model), "-o", str(output)]
        words += ["-b", backend.value, "-p", pipeline, *plugin_words(pipeline)]
        show(f"the same without measuring: {printable(shlex.join(words))}")
    show(f"run it: python {folder / 'model.py'}")
