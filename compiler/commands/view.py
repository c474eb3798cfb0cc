"""``sardonyx view``: a page that shows a model, its passes, and what it costs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from ...dialects.errors import SardonyxError
from ..arguments import Level, fraction, parse_dims, pipeline_of, positive
from ..artifact import ArtifactError, read_manifest
from ..sharding import parse_shards, sharded
from ..show import show, working
from .options import (
    Backend,
    BackendOption,
    DevicesOption,
    DimOption,
    LevelOption,
    MeshOption,
    ModelPath,
    Order,
    PassesOption,
    PluginOption,
    ShardOption,
)


def view(
    model: ModelPath,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE.html", help="The page.")
    ] = Path("report.html"),
    backend: BackendOption = Backend.numpy,
    level: LevelOption = Level.O2,
    passes: PassesOption = None,
    dim: DimOption = None,
    profile: Annotated[
        Path | None,
        typer.Option(metavar="FILE.json", help="What `sardonyx profile --json` wrote."),
    ] = None,
    artifact: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="What `compile` wrote of MODEL: show its passes, its backend, and "
            "what --refuse-slower measured.",
        ),
    ] = None,
    peak_gflops: Annotated[
        float | None,
        typer.Option(
            parser=fraction, metavar="N", help="The machine's GFLOP/s, not measured."
        ),
    ] = None,
    bandwidth: Annotated[
        float | None,
        typer.Option(parser=fraction, metavar="N", help="Its GB/s, with the former."),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE.toml",
            help="Show when the ops run on this hardware, as a Gantt chart.",
        ),
    ] = None,
    microbatches: Annotated[
        int,
        typer.Option(
            parser=positive, metavar="N", help="How many go through its engines."
        ),
    ] = 1,
    order: Annotated[
        Order, typer.Option(help="How engines choose among them, with --backward.")
    ] = Order.gpipe,
    backward: Annotated[
        float,
        typer.Option(
            parser=fraction,
            metavar="X",
            help="Let each come back through the engines, in X times its time forward: "
            "a training step's way back takes about 2.",
        ),
    ] = 0.0,
    shard: ShardOption = None,
    mesh: MeshOption = None,
    devices: DevicesOption = None,
    plugin: PluginOption = None,
) -> None:
    """
    Write a page about MODEL: graph, passes, memory, roofline, times.

    It is one file that needs no network; -b says whose program it shows lines of.
    """
    del plugin  # reading the option has loaded it
    from ...passes.analysis.targets import read_target
    from ...passes.schedule.pipelining import PipelineOrder
    from ..debug.instruments import TellLost
    from ..debug.profile import read_profile
    from ..debug.report import Peaks, build_report, write_report
    from ..debug.report.gantt import Wanted

    peaks = None
    if peak_gflops is not None or bandwidth is not None:
        if not peak_gflops or not bandwidth:
            wanted = "both --peak-gflops and --bandwidth, over 0"
            raise SardonyxError(f"view: found half of the peaks, wanted {wanted}")
        peaks = Peaks(1e9 * peak_gflops, 1e9 * bandwidth, "as the command line says")
    given = None if profile is None else read_profile(profile)
    pipeline, chosen = pipeline_of(level, passes), backend.value
    told: Mapping[str, Any] = {}
    if artifact is not None:
        pipeline, chosen, told = written(artifact)
    shards = parse_shards(shard, devices, mesh)
    if shards and artifact is not None:
        raise SardonyxError(f"{artifact}: an artifact is compiled: no --shard")
    pipeline = sharded(pipeline, shards)
    chart = (microbatches, PipelineOrder(order.value), backward)
    wanted = None if target is None else Wanted(read_target(target), *chart)
    with working(f"looking at {model}"):
        content = build_report(
            model,
            pipeline,
            parse_dims(dim),
            chosen,
            given,
            peaks,
            told.get("refused"),
            wanted,
            told.get("considered"),
            [TellLost()],
        )
        write_report(output, content)
    show(f"wrote {output}: {output.stat().st_size / 1e6:.2f} MB, open it in a browser")


def written(folder: Path) -> tuple[str, str, Mapping[str, Any]]:
    """
    The pipeline and the backend of an artifact, and its manifest.

    Raises ArtifactError for a folder that is none. Its program is not run.
    """
    manifest = read_manifest(folder)
    try:
        pipeline, backend = str(manifest["pipeline"]), Backend(manifest["backend"])
    except (KeyError, ValueError) as error:
        raise ArtifactError(
            f"{folder}: the manifest cannot be used: {error}"
        ) from error
    return pipeline, backend.value, manifest
