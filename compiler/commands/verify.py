"""``sardonyx verify``: a compiled model beside an oracle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ...dialects.errors import SardonyxError
from ..arguments import Level, fraction, parse_dims, pipeline_of
from ..sharding import make_devices, parse_shards, sharded
from ..show import print_comparisons, print_json, printable, show, telling, working
from .options import (
    Backend,
    BackendOption,
    DevicesOption,
    DimOption,
    GuardOption,
    GuardWithOption,
    InputOption,
    JsonOption,
    LevelOption,
    MeshOption,
    ModelPath,
    NoReproducerOption,
    Oracle,
    PassesOption,
    PluginOption,
    Runner,
    SeedOption,
    ShardOption,
)


def verify(
    model: ModelPath,
    backend: BackendOption = Backend.jax,
    level: LevelOption = Level.O2,
    passes: PassesOption = None,
    plugin: PluginOption = None,
    against: Annotated[
        Oracle, typer.Option(help="Run the file by this, as it is.")
    ] = Oracle.onnxruntime,
    dim: DimOption = None,
    shard: ShardOption = None,
    mesh: MeshOption = None,
    devices: DevicesOption = None,
    per_op: Annotated[
        bool,
        typer.Option("--per-op", help="Compare every op's value, not only outputs."),
    ] = False,
    seed: SeedOption = 0,
    tolerance: Annotated[
        float | None,
        typer.Option(
            "--tol",
            parser=fraction,
            metavar="X",
            help="max|a-b|/max|b| that passes (float32: 1e-4).",
        ),
    ] = None,
    original: Annotated[
        Path | None,
        typer.Option(help="The ONNX file that the oracle runs; by default MODEL."),
    ] = None,
    inputs: InputOption = None,
    guard: GuardOption = None,
    guard_with: GuardWithOption = Runner.numpy,
    no_reproducer: NoReproducerOption = False,
    as_json: JsonOption = False,
) -> None:
    """Compare MODEL, compiled, with an oracle on random input; exit 1 on a mismatch."""
    from ..debug.instruments import TellLost
    from ..debug.trial import Inputs
    from ..debug.trusting import Trusting
    from ..driver import load
    from ..verify import verify as verify_model

    sizes, shards = parse_dims(dim), parse_shards(shard, devices, mesh)
    if shards and per_op:
        raise SardonyxError("--per-op: found --shard: an op's value is in parts there")
    make_devices(shards)
    pipeline = sharded(pipeline_of(level, passes), shards)
    given = Inputs(tuple(inputs or ()), seed, sizes)
    trusting = Trusting(given, guard, guard_with.value, not no_reproducer, True)
    with working(f"verifying {model}") as status:
        looking = trusting.instruments(pipeline, str(model), telling(status))
        found = verify_model(
            model,
            backend.value,
            pipeline,
            against.value,
            sizes,
            per_op,
            seed,
            tolerance,
            given.of(load(model)) if inputs else None,
            original,
            [TellLost(), *looking],
        )
    first = found.first_divergence
    if as_json:
        print_json(
            {
                "ok": found.ok,
                "backend": found.backend,
                "pipeline": found.pipeline,
                "against": found.oracle,
                "doubt": found.doubt,
                "first_divergence": None if first is None else first.as_json(),
                "values": [c.as_json() for c in found.comparisons],
            }
        )
    else:
        print_comparisons(found.comparisons, first)
        if first is not None:
            show(
                f"first divergence: {printable(first.name)} of {printable(first.node)}"
            )
        verdict = "agrees with" if found.ok else "differs from"
        show(f"{model} ({found.backend}) {verdict} {found.oracle}")
        if found.doubt:
            show(f"note: {printable(found.doubt)}")
    if not found.ok:
        raise typer.Exit(1)
