"""The `sardonyx` command."""

from __future__ import annotations

import io
import json
import math
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, cast

import numpy as np
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from xdsl.utils.exceptions import DiagnosticException

from ..backends.program import InputSpec
from ..backends.runtime import dtype_of, summary
from ..dialects.errors import SardonyxError
from .artifact import load_artifact
from .driver import call_by_name, compile_model, random_by_name
from .pipelines import PIPELINES, all_passes, spec_of

app = typer.Typer(
    no_args_is_help=True,
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
        "  sardonyx opt model.onnx -p cse -o out.mlir   open the IR"
    ),
)
out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


class Backend(StrEnum):
    """What programs are written for."""

    numpy = "numpy"
    jax = "jax"


class Oracle(StrEnum):
    """Whom results are compared with."""

    onnxruntime = "onnxruntime"
    reference = "reference"


class Level(StrEnum):
    """How much is optimized."""

    O0 = "0"
    O1 = "1"
    O2 = "2"
    O3 = "3"


def natural(given: object, least: int = 0) -> int:
    """A whole number from `least` on."""
    text = str(given)
    digits = text.isascii() and text.isdigit() and len(text) <= 18
    if not digits or int(text) < least:
        wanted = f"a whole number from {least} on"
        raise typer.BadParameter(f"found {text!r}, wanted {wanted}")
    return int(text)


def positive(given: object) -> int:
    """A whole number from 1 on."""
    return natural(given, 1)


def fraction(given: object) -> float:
    """A finite number from 0 on."""
    text = str(given)
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise typer.BadParameter(f"found {text!r}, wanted a number from 0 on")
    return number


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
    backend: BackendOption = Backend.jax,
    level: LevelOption = Level.O2,
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
        executable: Any = load_artifact(model)
        check_dims(dims, executable)
    else:
        with working(f"compiling {model}"):
            executable = compile_model(
                model, backend.value, pipeline_of(level, passes), dims
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
        print_comparisons(found.comparisons)
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
        doc = sys.modules[chosen.__module__].__doc__ or chosen.__doc__
        show((doc or "xDSL's own").strip())
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
    show(f"run it without sardonyx: python {rows[0].folder / 'model.py'}")
    show(f"run it with sardonyx:    sardonyx run {rows[0].folder}")
    if not all(row.ok for row in rows):
        raise typer.Exit(1)


# --- arguments ---


def pipeline_of(level: Level, passes: str | None) -> str:
    """The pipeline that -O and -p say; -p wins."""
    return level.name if passes is None else passes


def parse_dims(entries: Sequence[str] | None) -> dict[str, int]:
    """``NAME=N`` options as sizes by name."""
    sizes: dict[str, int] = {}
    for entry in entries or ():
        name, _, size = entry.rpartition("=")
        if not name or not size.isascii() or not size.isdigit() or len(size) > 12:
            raise SardonyxError(f"--dim: found {entry!r}, wanted NAME=N")
        sizes[name] = int(size)
    return sizes


def check_dims(sizes: dict[str, int], executable: Any) -> None:
    """Raise SardonyxError unless every size is that of a free dimension."""
    known = {d for spec in executable.inputs for d in spec.shape or ()}
    free = sorted(d for d in known if isinstance(d, str))
    for name in sizes:
        if name not in free:
            wanted = ", ".join(free) or "none: every size is fixed"
            raise SardonyxError(f"--dim: found dimension {name!r}, wanted {wanted}")


def read_inputs(entries: Sequence[str], specs: Sequence[InputSpec]) -> dict[str, Any]:
    """``NAME=FILE.npy`` options as arrays by name."""
    dtypes = {spec.name: spec.dtype for spec in specs}
    names = list(dtypes)
    arrays: dict[str, Any] = {}
    for entry in entries:
        name, _, path = entry.rpartition("=")
        if not name:
            raise SardonyxError(f"-i: found {entry!r}, wanted NAME=FILE.npy")
        if name not in names:
            raise SardonyxError(f"-i: found input {name!r}, wanted one of {names}")
        array = read_npy(name, path)
        if array.dtype.kind == "V" and dtypes[name]:
            # The format has no name for bfloat16 and its like: they come as bytes.
            wanted = dtype_of(dtypes[name])
            if wanted.itemsize == array.dtype.itemsize and wanted.kind != "O":
                array = array.view(wanted)
        arrays[name] = array
    return arrays


def read_npy(name: str, path: str) -> Any:
    """The array in a .npy file, for the input `name`."""
    try:
        with open(path, "rb") as file:
            return np.lib.format.read_array(file, allow_pickle=False)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
    except Exception as error:
        # NumPy parses the header as Python and raises whatever that raises.
        reason = f"found no plain .npy array: {first_line(error)}"
    raise SardonyxError(f"-i {name}: {path}: cannot be read: {reason}")


def random_for(
    executable: Any, dims: dict[str, int], seed: int, given: dict[str, Any]
) -> dict[str, Any]:
    """The inputs `given`, and random ones whose free sizes fit them."""
    sizes = dict(dims)
    for spec in executable.inputs:
        if spec.name in given and spec.shape is not None:
            for dim, size in zip(spec.shape, np.shape(given[spec.name]), strict=False):
                if isinstance(dim, str):
                    sizes.setdefault(dim, size)
    return random_by_name(executable, sizes, seed, given)


def write_outputs(folder: Path, names: Sequence[str], results: Sequence[Any]) -> None:
    """Write the outputs as ``0-name.npy`` …, a sequence's items one by one."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for place, (name, value) in enumerate(zip(names, results, strict=True)):
            stem = f"{place}-" + "".join(c if c.isalnum() else "_" for c in name)[:60]
            if isinstance(value, list):
                for number, item in enumerate(cast(list[Any], value)):
                    write_npy(folder / f"{stem}-{number}.npy", item)
            elif value is not None:
                write_npy(folder / f"{stem}.npy", value)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise SardonyxError(f"{folder}: cannot be written: {reason}") from error


def write_npy(path: Path, value: Any) -> None:
    """Write an array whole or not at all; strings as NumPy's own."""
    array = np.asarray(value)
    if array.dtype == object:
        array = array.astype(str)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            np.lib.format.write_array(file, array, allow_pickle=False)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


# --- output ---


def show(text: str) -> None:
    """Print a line as it is: names are data, not markup."""
    out.print(text, markup=False, soft_wrap=True)


def printable(name: str) -> str:
    """A name from a model with what could disturb a terminal escaped."""
    return name if name.isprintable() else ascii(name)[1:-1]


def shape_text(shape: Sequence[int | str] | None) -> str:
    """``[batch, 3]``; nothing for an unknown rank."""
    return (
        "" if shape is None else "[" + ", ".join(printable(str(d)) for d in shape) + "]"
    )


def text_of(value: Any) -> str:
    """An output in one line, a sequence by its length."""
    if isinstance(value, list):
        return f"sequence of {len(cast(list[Any], value))}"
    return summary(value)


def first_line(error: BaseException) -> str:
    """The first line of what an error says."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def describe_array(value: Any) -> dict[str, Any]:
    """An array for JSON."""
    if isinstance(value, list) or value is None:
        items = cast(list[Any], value or [])
        return {"sequence": [describe_array(item) for item in items]}
    array = np.asarray(value)
    found: dict[str, Any] = {"dtype": str(array.dtype), "shape": list(array.shape)}
    if array.size and array.dtype.kind not in "OUScV":
        wide = array.astype(np.float64)
        for key, number in (
            ("min", wide.min()),
            ("mean", wide.mean()),
            ("max", wide.max()),
        ):
            found[key] = float(number) if np.isfinite(number) else str(number)
    return found


def print_json(content: object) -> None:
    """Print JSON and nothing else."""
    sys.stdout.write(json.dumps(content, indent=2) + "\n")


MAX_ROWS = 24


def print_comparisons(comparisons: Sequence[Any]) -> None:
    """A table of the outputs, and of the worst ops."""
    table = Table("value", "type", "max abs", "max rel", "max ulp", "", box=None)
    ops = [c for c in comparisons if c.kind == "op"]
    worst = sorted(ops, key=lambda c: -c.relative)[:MAX_ROWS]
    for c in [*(c for c in comparisons if c.kind != "op"), *worst]:
        label = c.name if c.kind == "output" else f"{c.name} ({c.kind})"
        table.add_row(
            escape(printable(label)),
            escape(f"{c.dtype}{list(c.shape)}"),
            f"{c.absolute:.2g}",
            f"{c.relative:.2g}",
            f"{c.ulp:.3g}",
            "ok" if c.ok else f"over {c.tolerance:.1g}",
        )
    out.print(table)
    if len(ops) > MAX_ROWS:
        show(f"({len(ops)} ops compared, the {MAX_ROWS} with the largest error shown)")


def working(what: str) -> AbstractContextManager[Any]:
    """A spinner on a terminal; elsewhere nothing."""
    return err.status(escape(what))


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
    given = [argument for argument in given if argument != "--debug"]
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
