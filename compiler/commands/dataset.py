"""``sardonyx dataset``: programs of models measured, for the cost model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from ..arguments import parse_dims, positive
from ..show import counting, show
from .options import Backend, DimOption


def dataset(
    models: Annotated[list[Path], typer.Argument(help="Model files.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="A .jsonl file, which is added to.")
    ],
    backend: Annotated[
        list[Backend] | None, typer.Option("--backend", "-b", help="Both by default.")
    ] = None,
    most: Annotated[
        int,
        typer.Option(
            parser=positive, metavar="N", help="Pipelines of a model at most."
        ),
    ] = 16,
    family: Annotated[
        str | None,
        typer.Option(help="What the models have in common; each file's name if not."),
    ] = None,
    seconds: Annotated[
        float, typer.Option(help="About how long a program is measured.")
    ] = 1.0,
    dim: DimOption = None,
) -> None:
    """
    Measure the programs that pipelines make of MODELS, op by op, as JSON lines.

    What OUTPUT has already is not measured again: the command may be stopped and
    started anew.
    """
    from ..cost.dataset import Subject, collect, subjects_of, this_machine
    from ..cost.measurements import read_measurements
    from ..driver import load, specialize

    backends = [one.value for one in backend or list(Backend)]
    count = 0
    with counting("measuring this machine") as report:
        there = read_measurements(output) if output.exists() else []
        machine = this_machine(backends, there, report)
    with counting("measuring") as report:

        def groups() -> Iterator[Iterator[Subject]]:
            for path in models:
                model = load(path)
                specialize(model, parse_dims(dim))
                kind = family or path.stem
                for name in backends:
                    yield subjects_of(model, path.stem, kind, name, most, report)

        for _ in collect(output, groups(), machine, seconds, report=report):
            count += 1
    show(f"measured {count} programs; wrote {output}")
