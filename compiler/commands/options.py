"""The options that several commands share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ..arguments import Level, natural


class Backend(StrEnum):
    """What programs are written for."""

    numpy = "numpy"
    jax = "jax"


class Oracle(StrEnum):
    """Whom results are compared with."""

    onnxruntime = "onnxruntime"
    reference = "reference"


ModelPath = Annotated[
    Path, typer.Argument(help="An .onnx file (or .mlir that opt wrote).")
]
BackendOption = Annotated[
    Backend, typer.Option("--backend", "-b", help="Write a NumPy or a JAX program.")
]
LevelOption = Annotated[Level, typer.Option("-O", help="How much to optimize.")]
PassesOption = Annotated[
    str | None,
    typer.Option("-p", "--passes", help="A pipeline instead of -O: 'a,b{x=1},c'."),
]
DimOption = Annotated[
    list[str] | None,
    typer.Option("--dim", metavar="NAME=N", help="The size of a symbolic dimension."),
]
SeedOption = Annotated[
    int, typer.Option(parser=natural, metavar="N", help="Seeds the random inputs.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
