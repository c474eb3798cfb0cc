"""``sardonyx calibrate``: what this machine does, as a target."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from ...dialects.errors import SardonyxError
from ..show import counting, out, print_json, show
from .options import JsonOption


def calibrate(
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="A .toml file instead of the user's own."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """
    Measure this machine (about ten seconds), for predictions and `tune`.
    """
    from ..cost.calibrate import calibrate as measured
    from ..cost.calibrate import calibrated_path, target_text

    path = output or calibrated_path()
    if path is None:
        raise SardonyxError("calibrate: found no cache to keep it in, wanted -o FILE")
    with counting("measuring this machine") as report:
        target = measured(report=report)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(target_text(target), encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    found = {name: asdict(rates) for name, rates in target.backends.items()}
    if as_json:
        print_json({"path": str(path), "backends": found})
        return
    table = Table(box=None)
    table.add_column("")
    for name in found:
        table.add_column(name, justify="right")
    for rate in next(iter(found.values())):
        table.add_row(rate, *(f"{rates[rate]:.3g}" for rates in found.values()))
    out.print(table)
    show(f"wrote {path}")
