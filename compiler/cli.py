"""The `sardonyx` command."""

from __future__ import annotations

import io
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from enum import StrEnum
from inspect import cleandoc
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table
from xdsl.utils.exceptions import DiagnosticException

from ..backends.runtime import summary
from ..dialects.errors import SardonyxError
from .arguments import (
    Level,
    check_dims,
    fraction,
    natural,
    parse_dims,
    pipeline_of,
    positive,
    random_for,
    read_inputs,
    write_outputs,
)
from .artifact import load_artifact
from .driver import call_by_name, compile_model
from .pipelines import PIPELINES, all_passes, spec_of
from .show import (
    describe_array,
    err,
    out,
    print_comparisons,
    print_json,
    printable,
    shape_text,
    show,
    text_of,
    working,
)

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
        "  sardonyx opt model.onnx -p cse -o out.mlir   open the IR\n"
        "  sardonyx passes                              what the passes are\n\n"
        "An error is one line; --debug, anywhere, shows where it came from."
    ),
)


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


@app.command()
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


@app.command()
def run(
    model: Annotated[Path, typer.Argument(help="A model, or an artifact's folder.")],
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "-i", "--input", metavar="NAME=FILE.npy", help="An input's array."
        ),
    ] = None,
    backend: Annotated[
        Backend | None, typer.Option("--backend", "-b", help="jax unless given.")
    ] = None,
    level: Annotated[
        Level | None, typer.Option("-O", help="How much to optimize: 2 unless given.")
    ] = None,
    passes: PassesOption = None,
    dim: DimOption = None,
    seed: SeedOption = 0,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="A folder for the outputs.")
    ] = None,
    repeat: Annotated[
        int, typer.Option(parser=positive, metavar="N", help="How many calls to time.")
    ] = 5,
    as_json: JsonOption = False,
) -> None:
    """Run MODEL (or an artifact): inputs that are not given are random."""
    dims = parse_dims(dim)
    if model.is_dir():
        if backend is not None or level is not None or passes is not None:
            raise SardonyxError(f"{model}: an artifact is compiled: no -b, -O or -p")
        executable: Any = load_artifact(model)
        check_dims(dims, executable)
    else:
        with working(f"compiling {model}"):
            pipeline = pipeline_of(level or Level.O2, passes)
            executable = compile_model(
                model, (backend or Backend.jax).value, pipeline, dims
            )
    given = read_inputs(inputs or [], executable.inputs)
    arrays = random_for(executable, dims, seed, given)
    with working("running"):
        results = call_by_name(executable, arrays)
        seconds: list[float] = []
        for _ in range(repeat):
            start = time.perf_counter()
            executable(**arrays)
            seconds.append(time.perf_counter() - start)
    median = sorted(seconds)[len(seconds) // 2]
    names = [spec.name for spec in executable.outputs]
    if output is not None:
        write_outputs(output, names, results)
    if as_json:
        print_json(
            {
                "inputs": {n: describe_array(a) for n, a in arrays.items()},
                "outputs": {
                    n: describe_array(a) for n, a in zip(names, results, strict=True)
                },
                "median_seconds": median,
                "calls": repeat,
            }
        )
        return
    for name, value in arrays.items():
        show(f"input  {printable(name)}  {summary(value)}")
    for name, value in zip(names, results, strict=True):
        show(f"output {printable(name)}  {text_of(value)}")
    show(f"median of {repeat} calls: {1e3 * median:.3f} ms")


@app.command()
def verify(
    model: ModelPath,
    backend: BackendOption = Backend.jax,
    level: LevelOption = Level.O2,
    passes: PassesOption = None,
    against: Annotated[
        Oracle, typer.Option(help="Run the file by this, as it is.")
    ] = Oracle.onnxruntime,
    dim: DimOption = None,
    per_op: Annotated[
        bool,
        typer.Option("--per-op", help="Compare every op's value, not only outputs."),
    ] = False,
    seed: SeedOption = 0,
    tolerance: Annotated[
        float | None,
        typer.Option(
            "--tol",
            parser=fraction,
            metavar="X",
            help="max|a-b|/max|b| that passes (float32: 1e-4).",
        ),
    ] = None,
    original: Annotated[
        Path | None,
        typer.Option(help="The ONNX file that the oracle runs; by default MODEL."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare MODEL, compiled, with an oracle on random input; exit 1 on a mismatch."""
    from .verify import verify as verify_model

    with working(f"verifying {model}"):
        found = verify_model(
            model,
            backend.value,
            pipeline_of(level, passes),
            against.value,
            parse_dims(dim),
            per_op,
            seed,
            tolerance,
            original=original,
        )
    first = found.first_divergence
    if as_json:
        print_json(
            {
                "ok": found.ok,
                "backend": found.backend,
                "pipeline": found.pipeline,
                "against": found.oracle,
                "first_divergence": None if first is None else first.as_json(),
                "values": [c.as_json() for c in found.comparisons],
            }
        )
    else:
        print_comparisons(found.comparisons, first)
        if first is not None:
            show(
                f"first divergence: {printable(first.name)} of {printable(first.node)}"
            )
        verdict = "agrees with" if found.ok else "differs from"
        show(f"{model} ({found.backend}) {verdict} {found.oracle}")
    if not found.ok:
        raise typer.Exit(1)


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    add_help_option=False,
)
def opt(context: typer.Context) -> None:
    """
    Run passes on FILE.onnx or FILE.mlir and print the IR: -p SPEC, -o FILE, --help.
    """
    from .opt import run_opt

    run_opt(context.args)


@app.command()
def passes(
    name: Annotated[str | None, typer.Argument(help="Show this pass alone.")] = None,
) -> None:
    """List the passes and what -O0 to -O3 run; with NAME, explain one."""
    from xdsl.passes import get_pass_option_infos

    from ..passes import get_all_passes

    if name is not None:
        known = all_passes()
        if name not in known:
            raise SardonyxError(f"found pass {name!r}, wanted one of sardonyx passes")
        chosen = known[name]()
        show(name)
        doc = chosen.__doc__
        if name in get_all_passes():
            doc = sys.modules[chosen.__module__].__doc__
        show(cleandoc(doc or "a pass of xDSL's"))
        for option in get_pass_option_infos(chosen):
            default = (
                "" if option.default_value is None else f" = {option.default_value}"
            )
            show(f"  {option.name.replace('_', '-')}: {option.expected_type}{default}")
        return
    table = Table("pass", "what it does", box=None)
    ours = get_all_passes()
    for each in sorted({*ours, "cse", "dce", "canonicalize"}):
        chosen = all_passes()[each]()
        doc = (chosen.__doc__ or "").strip() if each in ours else "xDSL's own"
        table.add_row(each, escape(doc.splitlines()[0]))
    out.print(table)
    for level, specs in PIPELINES.items():
        show(f"-{level}  {spec_of(level) if specs else '(nothing)'}")


@app.command()
def demo(
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Where to write.")
    ] = None,
) -> None:
    """Compile resnet50 for both backends and check it against ONNX's reference."""
    from .demo import run_demo

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


# --- errors ---


def main(arguments: Sequence[str] | None = None) -> None:
    """
    The command: exit 2 with one line on stderr for what the user can mend.

    ``--debug``, anywhere, shows the traceback instead.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    given = [argument for argument in given if argument != "--debug"] or ["--help"]
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
        sys.exit(2)
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
