"""``sardonyx profile``: how long each op of a model takes, and each ONNX node."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from ..arguments import Level, fraction, natural, parse_dims, pipeline_of
from ..debug.measure import profile_model
from ..debug.profile import NodeTime, OpTime, Profile
from ..show import out, printable, show, working
from ..weights import write_beside
from .inspect import scaled
from .options import (
    Backend,
    BackendOption,
    DimOption,
    LevelOption,
    ModelPath,
    PassesOption,
    PluginOption,
    SeedOption,
)


def profile(
    model: ModelPath,
    backend: BackendOption = Backend.numpy,
    level: LevelOption = Level.O2,
    passes: PassesOption = None,
    dim: DimOption = None,
    seed: SeedOption = 0,
    seconds: Annotated[
        float, typer.Option(parser=fraction, metavar="N", help="How long to measure.")
    ] = 2.0,
    top: Annotated[
        int, typer.Option(parser=natural, metavar="N", help="How many rows to print.")
    ] = 20,
    by_op: Annotated[
        bool, typer.Option("--ops", help="A row per op, not per ONNX node.")
    ] = False,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Write all of it as JSON."),
    ] = None,
    trace: Annotated[
        Path | None,
        typer.Option("--trace", metavar="FILE", help="Write one run for Chrome."),
    ] = None,
    plugin: PluginOption = None,
) -> None:
    """
    Time each op of MODEL on random input: seconds, FLOP/s, bytes/s.

    NumPy is measured op by op, JAX by XLA's profiler, kernel by kernel.
    """
    del plugin  # reading the option has loaded it
    with working(f"profiling {model}"):
        found = profile_model(
            model,
            backend.value,
            pipeline_of(level, passes),
            parse_dims(dim),
            seed,
            budget_seconds=seconds,
        )
    if json_file is not None:
        _write(json_file, found.as_json())
    if trace is not None:
        _write(trace, found.chrome_trace())
    print_profile(found, top, by_op)


def _write(path: Path, content: object) -> None:
    write_beside(path, json.dumps(content, indent=1) + "\n")


def print_profile(found: Profile, top: int, by_op: bool) -> None:
    """The slowest rows, and how they were measured."""
    sizes = ", ".join(f"{printable(name)}={n}" for name, n in found.dims.items())
    show(f"{printable(found.model) or 'model'} on {found.backend}, {sizes or 'as is'}")
    table = Table(box=None)
    for column in ("operator", "node"):
        table.add_column(column, overflow="fold")
    for column in ("time", "share", "FLOP/s", "B/s"):
        table.add_column(column, justify="right", no_wrap=True)
    rows: Sequence[OpTime | NodeTime] = found.nodes()
    if by_op:
        rows = sorted(found.ops, key=lambda op: -(op.seconds or 0.0))
    for row in rows[:top]:
        table.add_row(*map(escape, _cells(row, found)))
    out.print(table)
    if len(rows) > top:
        show(f"({len(rows)} rows, the {top} slowest shown; --json FILE has all)")
    show(f"all ops {time_text(found.seconds)}; {_whole(found)}")
    show(found.method)


def _whole(found: Profile) -> str:
    told = f"the whole program, not looked into: {time_text(found.whole_seconds)}"
    if found.backend == "jax":
        told += ", in which kernels may run at the same time"
        told += f"; kernels that hold no op: {time_text(found.unattributed_seconds)}"
    return told


def _cells(row: OpTime | NodeTime, found: Profile) -> list[str]:
    entry: dict[str, Any] = row.as_json()
    seconds: float | None = row.seconds
    names = row.nodes or (row.tensors if isinstance(row, OpTime) else ())
    estimate = "~" if isinstance(row, OpTime) and row.shared else ""
    if isinstance(row, NodeTime):
        estimate = "~" if _is_shared(row, found) else ""
    share = 100 * (seconds or 0.0) / found.seconds if found.seconds else 0.0
    labels = row.ops if isinstance(row, NodeTime) else (row.op,)
    return [
        printable(", ".join(dict.fromkeys(labels))),
        printable(", ".join(names)),
        "" if seconds is None else estimate + time_text(seconds),
        "" if seconds is None else f"{share:.1f} %",
        _rate(entry["flops_per_second"]),
        _rate(entry["bytes_per_second"]),
    ]


def _is_shared(row: NodeTime, found: Profile) -> bool:
    return any(op.shared for op in found.ops if (op.nodes or op.tensors) == row.nodes)


def _rate(amount: float | None) -> str:
    return scaled(round(amount)) if amount else ""


def time_text(seconds: float) -> str:
    """Seconds in a unit that fits: ``12.3 us``."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"
