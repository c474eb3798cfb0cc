"""``sardonyx calibrate``: what this machine does, as a target."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from ...dialects.errors import SardonyxError
from ..arguments import write_whole
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
    write_whole(path, target_text(target))
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
