"""``sardonyx demo``: a real network in one command."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from ..show import out, show, working


def demo(
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Where to write.")
    ] = None,
) -> None:
    """Compile resnet50 for both backends and check it against ONNX's reference."""
    from ..demo import run_demo

    folder = output or Path(tempfile.mkdtemp(prefix="sardonyx-demo-"))
    with working("preparing") as status:
        rows = run_demo(folder, status.update if status is not None else _ignore)
    table = Table("backend", "compile", "latency", "max error", "", box=None)
    for row in rows:
        table.add_row(
            row.backend,
            f"{row.compile_seconds:.2f} s",
            f"{1e3 * row.call_seconds:.1f} ms",
            f"{row.error:.1e}",
            "ok" if row.ok else f"over {row.tolerance:.0e}",
        )
    show("resnet50, 1x3x224x224 float32; max error = max|a-b|/max|b| of the logits,")
    show("against onnx.reference; compile = from the file to the first result")
    out.print(table)
    for row in rows:
        show(f"the {row.backend} artifact: {row.folder}")
    python = Path(sys.executable)
    show(f"run it without sardonyx: {shown(python)} {rows[0].folder / 'model.py'}")
    show(
        f"run it with sardonyx:    {shown(python.parent)}/sardonyx run {rows[0].folder}"
    )
    if not all(row.ok for row in rows):
        raise typer.Exit(1)


def shown(path: Path) -> str:
    """A path as one would type it from here."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _ignore(_: str) -> None:
    return None
