"""The `sardonyx` command: its subcommands, and how errors are told."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence

import typer
from xdsl.utils.exceptions import DiagnosticException

from ..dialects.errors import SardonyxError
from .commands.bench import bench
from .commands.bisect import bisect
from .commands.calibrate import calibrate
from .commands.compile import compile
from .commands.dataset import dataset
from .commands.demo import demo
from .commands.diff import diff
from .commands.inspect import inspect
from .commands.opt import opt
from .commands.passes import passes
from .commands.profile import profile
from .commands.quantize import quantize
from .commands.reduce import reduce
from .commands.rules import rules
from .commands.run import run
from .commands.sparsify import sparsify
from .commands.tune import tune
from .commands.verify import verify
from .commands.view import view
from .commands.why import why
from .show import err, printable

app = typer.Typer(
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help=(
        "A graph compiler for ONNX models.\n\n"
        "  sardonyx demo                                a real network in one command\n"
        "  sardonyx compile model.onnx -o out           "
        "write a program: python out/model.py\n"
        "  sardonyx run model.onnx --dim batch=2        run on random input\n"
        "  sardonyx verify model.onnx                   compare with ONNX Runtime\n"
        "  sardonyx bench model.onnx                    time it beside others\n"
        "  sardonyx inspect model.onnx                  FLOPs, bytes, peak memory\n"
        "  sardonyx profile model.onnx                  what each op takes\n"
        "  sardonyx tune model.onnx --budget 60s        the fastest pipeline here\n"
        "  sardonyx view model.onnx -o report.html      all of it as one page\n"
        "  sardonyx opt model.onnx -p cse -o out.mlir   open the IR\n"
        "  sardonyx passes                              what the passes are\n"
        "  sardonyx rules check my.rules                are my rewrites right\n"
        "  sardonyx why model.onnx fold-constants       why a pass left ops alone\n"
        "  sardonyx diff a.onnx b.onnx                  what differs; exit 1 if any\n"
        "  sardonyx bisect model.onnx -p SPEC           the pass that breaks it\n"
        "  sardonyx reduce model.onnx -p SPEC -o DIR    the least that shows it\n\n"
        "An error is one line; --debug, anywhere, shows where it came from."
    ),
)

app.command()(compile)
app.command()(run)
app.command()(verify)
app.command()(bench)
app.command()(inspect)
app.command()(profile)
app.command()(tune)
app.command()(calibrate)
app.command()(dataset)
app.command()(view)
app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    add_help_option=False,
)(opt)
app.command()(passes)
app.command()(quantize)
app.command()(sparsify)
app.add_typer(rules, name="rules")
app.command()(why)
app.command()(diff)
app.command()(bisect)
app.command()(reduce)
app.command()(demo)


def main(arguments: Sequence[str] | None = None) -> None:
    """
    The command: exit 2 with one line on stderr for what the user can mend.

    ``--debug``, anywhere, shows the traceback instead.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    given = [argument for argument in given if argument != "--debug"] or ["--help"]
    # Its number is optional, and the argument after it none of its business.
    given = ["--guard=auto" if one == "--guard" else one for one in given]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that cannot show a character gets its number.
            stream.reconfigure(errors="backslashreplace")
    try:
        code = app(given, prog_name="sardonyx", standalone_mode=False)
        sys.stdout.flush()
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # Whoever read the output has seen enough (``| head``).
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
        sys.exit(1)
    except (SardonyxError, DiagnosticException, OSError, typer.TyperException) as error:
        if debug:
            raise
        err.print(f"sardonyx: {one_line(error)}", markup=False, soft_wrap=True)
        sys.exit(getattr(error, "exit_code", 2))
    sys.exit(code if isinstance(code, int) else 0)


def one_line(error: Exception) -> str:
    """What an error says, in one line that a terminal can show."""
    if isinstance(error, typer.TyperException):
        text = error.format_message()
    elif isinstance(error, OSError) and error.filename is not None:
        text = f"{error.filename}: {(error.strerror or str(error)).lower()}"
    else:
        text = str(error)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return printable(" ".join(lines) or type(error).__name__)
