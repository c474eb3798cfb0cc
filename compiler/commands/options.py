"""The options that several commands share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ..arguments import Level, fraction, natural, parse_bytes, positive


class Backend(StrEnum):
    """What programs are written for."""

    numpy = "numpy"
    jax = "jax"


class Oracle(StrEnum):
    """Whom results are compared with."""

    onnxruntime = "onnxruntime"
    reference = "reference"


class Runner(StrEnum):
    """Who runs models as they stand between passes, to compare them."""

    numpy = "numpy"
    onnxruntime = "onnxruntime"


class Order(StrEnum):
    """In which order the engines of a pipeline take microbatches."""

    gpipe = "gpipe"
    one_f_one_b = "1f1b"


ModelPath = Annotated[
    Path, typer.Argument(help="An .onnx file (or .mlir that opt wrote).")
]
BackendOption = Annotated[
    Backend, typer.Option("--backend", "-b", help="Write a NumPy or a JAX program.")
]
LevelOption = Annotated[Level, typer.Option("-O", help="How much to optimize.")]
PassesOption = Annotated[
    str | None,
    typer.Option(
        "-p",
        "--passes",
        metavar="SPEC|@FILE",
        help="A pipeline instead of -O: 'a,b{x=1},c', or a file of them.",
    ),
]
DimOption = Annotated[
    list[str] | None,
    typer.Option("--dim", metavar="NAME=N", help="The size of a symbolic dimension."),
]
BucketOption = Annotated[
    list[str] | None,
    typer.Option(
        "--bucket",
        metavar="NAME=N,N,...",
        help="Sizes to which a dimension is padded, so that only they are compiled "
        "(JAX).",
    ),
]
ShardOption = Annotated[
    list[str] | None,
    typer.Option(
        "--shard",
        metavar="PLAN=N",
        help="Divide the model over N devices: data (the batch), tensor (weights), "
        "tensor-tokens (and tokens between), sequence (Ulysses). Several make a grid. "
        "Or 'NAME=[{\"x\"},{}]': divide an input's or a node's first dimension along "
        "axis x of --mesh; or 'model': as the ONNX file says.",
    ),
]
MeshOption = Annotated[
    str | None,
    typer.Option(metavar="X=N,Y=N", help="The axes that --shard NAME=[…] names."),
]
DevicesOption = Annotated[
    int | None,
    typer.Option(
        parser=positive, metavar="N", help="How many devices --shard PLAN is for."
    ),
]
SeedOption = Annotated[
    int, typer.Option(parser=natural, metavar="N", help="Seeds the random inputs.")
]
InputOption = Annotated[
    list[str] | None,
    typer.Option("-i", "--input", metavar="NAME=FILE.npy", help="An input's array."),
]
RunnerOption = Annotated[
    Runner, typer.Option("--with", help="Who runs what is compared.")
]
GuardOption = Annotated[
    str | None,
    typer.Option(
        "--guard",
        metavar="[=TOL]",
        help="Run the model before and after each pass; stop at the first that changes "
        "an output by more than TOL (given by dtype).",
    ),
]
GuardWithOption = Annotated[
    Runner, typer.Option("--guard-with", help="Who runs the model for --guard.")
]
NoReproducerOption = Annotated[
    bool,
    typer.Option("--no-reproducer", help="Write no folder when a pass crashes."),
]


RefuseOption = Annotated[
    bool | None,
    typer.Option(
        "--refuse-slower/--no-refuse-slower",
        help="Time the program with and without each pass, and undo what is slower; "
        "-O3 does unless told not to.",
    ),
]
RefuseBudgetOption = Annotated[
    float,
    typer.Option(
        parser=fraction, metavar="SECONDS", help="About how long --refuse-slower takes."
    ),
]


MemoryLimitOption = Annotated[
    int | None,
    typer.Option(
        parser=parse_bytes,
        metavar="SIZE",
        help="NumPy: hold at most this much of the weights in memory (80MB), and read "
        "the rest ahead from the file as it is needed.",
    ),
]


def refuses(given: bool | None, level: Level, passes: str | None) -> bool:
    """Whether slower passes are undone: as it says, else for -O3 without -p."""
    return given if given is not None else level is Level.O3 and passes is None


def _loaded(paths: list[Path] | None) -> list[Path] | None:
    from ..plugins import load_plugins

    load_plugins(paths)
    return paths


PluginOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--plugin",
        metavar="FILE",
        callback=_loaded,
        is_eager=True,
        help="Add the passes of a .rules file, or of a .py file, which is executed.",
    ),
]
"""Loads plugins while the command line is read, so that every pipeline may use them."""
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
