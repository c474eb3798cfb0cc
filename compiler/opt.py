"""
``sardonyx opt``: xDSL's own optimizer driver, with our context and ONNX files as input.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import IO, Any, NoReturn

from xdsl.dialects.builtin import ModuleOp
from xdsl.utils.exceptions import ParseError
from xdsl.xdsl_opt_main import xDSLOptMain

from ..dialects.errors import SardonyxError
from ..dialects.onnx import OnnxContext
from ..dialects.onnx.names import name_values
from ..passes import get_all_passes
from .arguments import Level, pipeline_of
from .context import make_context
from .debug.instruments import EVERY, DumpIR, PrintIR
from .debug.statistics import statistics, statistics_table, timing_table
from .debug.trusting import add_trusting_arguments, trusting_of
from .driver import BACKENDS, compile_model, lower
from .exporter import export_model
from .importer import import_model
from .model import Model
from .pipelines import XDSL_PASSES, Instrument, all_passes, passes_in, run_pipeline
from .plugins import load_plugins
from .show import err, progress, show_lost, tell_line
from .text import (
    load_weights,
    parse_error_text,
    used_weights,
    verify_text,
    write_text,
)
from .weights import write_beside

FORMS = ("mlir", "onnx", "python", "stablehlo")
"""What ``--emit`` writes."""


class OptMain(xDSLOptMain):
    """
    Reads ``.onnx`` and ``.mlir``, runs passes, writes MLIR text.

    With ``-o x.mlir`` the text has locations, and its weights go to ``x.safetensors``.
    The passes run as everywhere else, by `run_pipeline`.
    """

    spec: str
    """The pipeline that -O and -p say."""

    def __init__(self, args: Sequence[str]):
        self.explains = not {"-h", "--help"}.isdisjoint(args)
        super().__init__("sardonyx opt: run passes on a model and print the IR", args)

    def register_all_arguments(self, arg_parser: argparse.ArgumentParser) -> None:
        super().register_all_arguments(_Rest(arg_parser))
        arg_parser.prog = "sardonyx opt"
        arg_parser.error = _refuse
        arg_parser.formatter_class = argparse.RawDescriptionHelpFormatter
        if self.explains:
            # Saying what passes there are loads them all.
            arg_parser.epilog = passes_text()
        arg_parser.add_argument(
            "--emit",
            choices=FORMS,
            help="what to write: by default what -o FILE is named, else mlir",
        )
        arg_parser.add_argument(
            "-b",
            "--backend",
            choices=BACKENDS,
            help="whose program --emit python writes: jax unless given",
        )
        arg_parser.add_argument(
            "--external-data",
            action="store_true",
            help="write the weights of FILE.onnx to FILE.onnx.data beside it",
        )
        arg_parser.add_argument(
            "--plugin",
            action="append",
            metavar="FILE",
            help="add the passes of a .rules file, or of a .py file, which is executed",
        )
        add_pipeline_arguments(arg_parser)
        add_seeing_arguments(arg_parser)
        add_trusting_arguments(arg_parser)

    def setup_pipeline(self) -> None:
        self.spec = ""
        load_plugins(self.args.plugin)
        if self.args.passes is not None or self.args.level is not None:
            level = Level(self.args.level or "0")
            self.spec = pipeline_of(level, self.args.passes)
        named = {one.name for one in passes_in(self.spec)}
        for option in ("print_ir_before", "print_ir_after"):
            for name in split_names(getattr(self.args, option)) - named:
                said = f"--{option.replace('_', '-')}: found pass {name!r}"
                _refuse(f"{said}, wanted one of {', '.join(sorted(named)) or 'none'}")
        if self.args.json and not self._counts:
            _refuse("found --json alone, wanted --statistics or --timing with it")
        if self.args.dump_dir is not None and self.args.split_input_file:
            _refuse("found --dump-dir with --split-input-file, wanted one of them")

    @property
    def _counts(self) -> bool:
        return self.args.statistics or self.args.timing

    def _instruments(self) -> list[Instrument]:
        """What the options ask for; the IR goes to stderr, as mlir-opt's does."""
        args = self.args
        before = (
            EVERY if args.print_ir_before_all else split_names(args.print_ir_before)
        )
        after = EVERY if args.print_ir_after_all else split_names(args.print_ir_after)
        found: list[Instrument] = []
        if before or after or args.print_ir_after_change:
            change = args.print_ir_after_change
            found.append(PrintIR(sys.stderr, before, after, change))
        if args.dump_dir is not None:
            found.append(DumpIR(Path(args.dump_dir)))
        trusting = trusting_of(args)
        name = self.get_input_name()
        return [*found, *trusting.instruments(self.spec, name, tell_line)]

    def prepare_input(self) -> tuple[list[tuple[IO[bytes], int]], str]:
        name = self.args.input_file
        known = list(self.available_frontends)
        if name is not None and self.args.frontend is None:
            kind = Path(name).suffix.removeprefix(".")
            if kind not in known:
                raise SardonyxError(
                    f"{name}: found a file named .{kind}, wanted .{' or .'.join(known)}"
                )
        return super().prepare_input()

    def register_all_dialects(self) -> None:
        self.ctx = make_context()

    def register_all_frontends(self) -> None:
        super().register_all_frontends()
        read_mlir = self.available_frontends["mlir"]

        def parse_mlir(stream: IO[bytes]) -> ModuleOp:
            try:
                module = read_mlir(stream)
            except UnicodeDecodeError as error:
                name = self.get_input_name()
                raise SardonyxError(f"{name}: cannot be read: {error}") from error
            load_weights(Model(module, self._context()), Path(self.get_input_name()))
            return module

        def parse_onnx(stream: IO[bytes]) -> ModuleOp:
            stream.close()
            model = import_model(self.get_input_name())
            self._context().store = model.context.store
            return model.module

        self.available_frontends["mlir"] = parse_mlir
        self.available_frontends["onnx"] = parse_onnx

    def apply_passes(self, prog: ModuleOp) -> None:
        if not self.args.disable_verify and not self.args.verify_diagnostics:
            verify_text(prog, Path(self.get_input_name()))
        elif self.args.verify_diagnostics and not self.args.disable_verify:
            prog.verify()
        model, verify = Model(prog, self._context()), not self.args.disable_verify
        runs = run_pipeline(model, self.spec, self._instruments(), verify)
        if self._counts and self.args.json:
            sys.stderr.write(json.dumps(statistics(runs), indent=2) + "\n")
            return
        show_lost(runs)
        if self.args.statistics:
            err.print(statistics_table(runs))
        if self.args.timing:
            err.print(timing_table(runs))

    def _context(self) -> OnnxContext:
        assert isinstance(self.ctx, OnnxContext), "register_all_dialects made it"
        return self.ctx

    def prepare_output(self) -> IO[str]:
        # A file is written by its own writer, whole or not at all.
        return super().prepare_output() if self.args.output_file is None else StringIO()

    def output_resulting_program(self, prog: ModuleOp) -> str:
        name_values(prog)
        model, goal = Model(prog, self._context()), self.args.output_file
        match self._form():
            case "onnx":
                if goal is None:
                    _refuse("found --emit onnx without a file, wanted -o FILE.onnx")
                write_onnx(model, Path(goal), self.args.external_data)
                return ""
            case "python" | "stablehlo" as form:
                text = emitted(model, form, self.args.backend or "jax")
            case _ if goal is None or self.args.target != "mlir":
                text = super().output_resulting_program(prog)
            case _:
                write_mlir(model, Path(goal))
                return ""
        if goal is None:
            return text
        try:
            write_beside(Path(goal), text)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise SardonyxError(f"{goal}: cannot be written: {reason}") from error
        return ""

    def _form(self) -> str:
        goal, form = self.args.output_file, self.args.emit
        if form is None:
            form = "onnx" if goal is not None and goal.endswith(".onnx") else "mlir"
        if self.args.external_data and form != "onnx":
            _refuse(f"found --external-data with {form}, wanted -o FILE.onnx")
        if self.args.backend is not None and form != "python":
            _refuse(f"found -b with {form}, wanted --emit python")
        return form


class _Rest(argparse.ArgumentParser):
    """Takes what xDSL registers, and hands on what ours does not replace."""

    replaced = frozenset(["--passes", "--print-between-passes", "--time-passes"])

    def __init__(self, goal: argparse.ArgumentParser):
        super().__init__(add_help=False)
        self.goal = goal

    def add_argument(self, *names: Any, **options: Any) -> Any:
        if self.replaced.isdisjoint(names):
            self.goal.add_argument(*names, **options)


def add_pipeline_arguments(arg_parser: argparse.ArgumentParser) -> None:
    """What runs: -O and -p."""
    arg_parser.add_argument(
        "-O",
        dest="level",
        choices=[level.value for level in Level],
        help="the passes of a level; nothing runs without -O or -p",
    )
    arg_parser.add_argument(
        "-p",
        "--passes",
        metavar="SPEC|@FILE",
        help="a pipeline instead: 'a,b{x=1 y=2},c', levels (O1) among them, or a file "
        "with one such per line and # comments",
    )


def add_seeing_arguments(arg_parser: argparse.ArgumentParser) -> None:
    """What is shown of the passes."""
    seeing = arg_parser.add_argument_group(
        "seeing", "on stderr; constants are elided, locations shown"
    )
    for when in ("before", "after"):
        seeing.add_argument(
            f"--print-ir-{when}",
            metavar="NAME,NAME",
            default="",
            help=f"print the IR {when} these passes",
        )
        seeing.add_argument(
            f"--print-ir-{when}-all",
            action="store_true",
            help=f"print the IR {when} every pass",
        )
    seeing.add_argument(
        "--print-ir-after-change",
        action="store_true",
        help="print the IR after every pass that changed it",
    )
    seeing.add_argument(
        "--dump-dir",
        metavar="DIR",
        help="write the IR after every pass to DIR/0007-name.mlir, and an index",
    )
    seeing.add_argument(
        "--timing", action="store_true", help="print how long each pass took"
    )
    seeing.add_argument(
        "--statistics",
        action="store_true",
        help="print what each pass matched, rewrote and declined, and why",
    )
    seeing.add_argument(
        "--json", action="store_true", help="print --statistics and --timing as JSON"
    )
    # xDSL's own names for them.
    for old, new in (
        ("--time-passes", "timing"),
        ("--print-between-passes", "print_ir_after_all"),
    ):
        seeing.add_argument(old, dest=new, action="store_true", help=argparse.SUPPRESS)


def split_names(names: str) -> set[str]:
    """``a,b`` as a set."""
    return {name.strip() for name in names.split(",") if name.strip()}


def passes_text() -> str:
    """A line for every pass of ours, and those of xDSL's that we use."""
    ours = get_all_passes()
    lines = ["passes (sardonyx passes NAME explains one):"]
    for name in sorted({*ours, *XDSL_PASSES}):
        doc = (all_passes()[name]().__doc__ or "").strip() if name in ours else ""
        lines.append(f"  {name:20} {doc.splitlines()[0] if doc else 'of xDSL'}")
    return "\n".join([*lines, "xDSL's other passes work here too."])


def emitted(model: Model, form: str, backend: str) -> str:
    """The program of `model`: Python for a backend, or StableHLO's text (JAX's)."""
    if form == "python":
        return lower(model.clone(), backend).source
    executable = compile_model(model, "jax", "O0")
    return executable.exported().mlir_module()


def write_mlir(model: Model, path: Path) -> None:
    """Write `model` as text and weights, with a progress bar on a terminal."""
    with progress(f"writing {path}", weight_bytes(model)) as advance:
        write_text(model, path, advance)


def weight_bytes(model: Model) -> int:
    """How many bytes the weights that the module names have in a file."""
    store = model.context.store
    # Whoever writes refuses a weight that is in no file.
    return sum(store[key].file_bytes for key in used_weights(model) if key in store)


def write_onnx(model: Model, path: Path, external: bool) -> None:
    """Write `model` as ONNX, with a progress bar on a terminal."""
    with progress(f"writing {path}", weight_bytes(model)) as advance:
        export_model(model, path, True if external else None, advance)


def _refuse(message: str) -> NoReturn:
    raise SardonyxError(f"opt: {message}")


def run_opt(args: Sequence[str]) -> None:
    """Run the driver; SardonyxError in one line for what xDSL reports in many."""
    if sum(argument in ("-p", "--passes") for argument in args) > 1:
        # argparse would take the last and forget the others.
        _refuse("found several -p, wanted one pipeline: -p 'a,b'")
    try:
        OptMain(args).run()
    except ParseError as error:
        raise SardonyxError(parse_error_text(error)) from error
    except (ImportError, NotImplementedError) as error:
        raise SardonyxError(f"opt: xDSL cannot: {error}") from error
