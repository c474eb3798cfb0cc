"""``sardonyx opt``: passes on a model, and the IR."""

from __future__ import annotations

import typer


def opt(context: typer.Context) -> None:
    """
    Run passes on FILE.onnx or FILE.mlir and print the IR: -p SPEC, -o FILE, --help.
    """
    from ..opt import run_opt

    run_opt(context.args)
