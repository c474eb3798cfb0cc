"""``sardonyx compile``: a model into an artifact."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..arguments import Level, parse_dims, pipeline_of
from ..driver import compile_model
from ..show import printable, shape_text, show, working
from .options import (
    Backend,
    BackendOption,
    DimOption,
    LevelOption,
    ModelPath,
    PassesOption,
)


def compile(
    model: ModelPath,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="The folder to write.")
    ],
    backend: BackendOption = Backend.jax,
    level: LevelOption = Level.O2,
    passes: PassesOption = None,
    dim: DimOption = None,
) -> None:
    """
    Compile MODEL into a folder with a readable program that runs without sardonyx.
    """
    with working(f"compiling {model}"):
        executable = compile_model(
            model, backend.value, pipeline_of(level, passes), parse_dims(dim)
        )
        folder = executable.save(output)
    spent = ", ".join(f"{k} {v:.2f} s" for k, v in executable.seconds.items())
    show(f"wrote {folder} ({backend.value}; {spent})")
    for word, specs in (("input", executable.inputs), ("output", executable.outputs)):
        for spec in specs:
            kind = f"{spec.dtype}{shape_text(spec.shape)}"
            show(f"  {word:6} {printable(spec.name)}: {kind}")
    show(f"run it: python {folder / 'model.py'}")
