"""``sardonyx run``: a model or an artifact on given or random inputs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from ...backends.runtime import summary
from ...dialects.errors import SardonyxError
from ..arguments import (
    Level,
    check_dims,
    parse_buckets,
    parse_dims,
    pipeline_of,
    positive,
    random_for,
    read_inputs,
    write_outputs,
)
from ..artifact import load_artifact
from ..driver import call_by_name, compile_model
from ..sharding import make_devices, parse_shards, sharded
from ..show import (
    describe_array,
    print_json,
    printable,
    show,
    show_lost,
    text_of,
    working,
)
from .options import (
    Backend,
    BucketOption,
    DevicesOption,
    DimOption,
    JsonOption,
    MeshOption,
    NoReproducerOption,
    PassesOption,
    SeedOption,
    ShardOption,
)


def run(
    model: Annotated[Path, typer.Argument(help="A model, or an artifact's folder.")],
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "-i", "--input", metavar="NAME=FILE.npy", help="An input's array."
        ),
    ] = None,
    backend: Annotated[
        Backend | None, typer.Option("--backend", "-b", help="jax unless given.")
    ] = None,
    level: Annotated[
        Level | None, typer.Option("-O", help="How much to optimize: 2 unless given.")
    ] = None,
    passes: PassesOption = None,
    dim: DimOption = None,
    bucket: BucketOption = None,
    shard: ShardOption = None,
    mesh: MeshOption = None,
    devices: DevicesOption = None,
    seed: SeedOption = 0,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="A folder for the outputs.")
    ] = None,
    repeat: Annotated[
        int, typer.Option(parser=positive, metavar="N", help="How many calls to time.")
    ] = 5,
    no_reproducer: NoReproducerOption = False,
    as_json: JsonOption = False,
) -> None:
    """Run MODEL (or an artifact): inputs that are not given are random."""
    from ..debug.reproducer import CrashReporter

    dims, shards = parse_dims(dim), parse_shards(shard, devices, mesh)
    make_devices(shards)
    if model.is_dir():
        if backend is not None or level is not None or passes is not None:
            raise SardonyxError(f"{model}: an artifact is compiled: no -b, -O or -p")
        if bucket:
            raise SardonyxError(f"{model}: an artifact is compiled: no --bucket")
        if shards:
            raise SardonyxError(f"{model}: an artifact is compiled: no --shard")
        executable: Any = load_artifact(model)
        check_dims(dims, executable)
    else:
        with working(f"compiling {model}"):
            pipeline = sharded(pipeline_of(level or Level.O2, passes), shards)
            crash = CrashReporter(pipeline, str(model), not no_reproducer)
            executable = compile_model(
                model,
                (backend or Backend.jax).value,
                pipeline,
                dims,
                instruments=[crash],
                buckets=parse_buckets(bucket),
            )
        show_lost(executable.passes)
    given = read_inputs(inputs or [], executable.inputs)
    arrays = random_for(executable, dims, seed, given)
    with working("running"):
        results = call_by_name(executable, arrays)
        seconds: list[float] = []
        for _ in range(repeat):
            start = time.perf_counter()
            executable(**arrays)
            seconds.append(time.perf_counter() - start)
    median = sorted(seconds)[len(seconds) // 2]
    names = [spec.name for spec in executable.outputs]
    if output is not None:
        write_outputs(output, names, results)
    if as_json:
        print_json(
            {
                "inputs": {n: describe_array(a) for n, a in arrays.items()},
                "outputs": {
                    n: describe_array(a) for n, a in zip(names, results, strict=True)
                },
                "median_seconds": median,
                "calls": repeat,
            }
        )
        return
    for name, value in arrays.items():
        show(f"input  {printable(name)}  {summary(value)}")
    for name, value in zip(names, results, strict=True):
        show(f"output {printable(name)}  {text_of(value)}")
    show(f"median of {repeat} calls: {1e3 * median:.3f} ms")
