"""
``sardonyx opt``: xDSL's own optimizer driver, with our context and ONNX files as input.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import IO, NoReturn

from xdsl.dialects.builtin import ModuleOp
from xdsl.utils.exceptions import ParseError
from xdsl.xdsl_opt_main import xDSLOptMain

from ..dialects.errors import SardonyxError
from ..dialects.onnx import OnnxContext
from ..dialects.onnx.names import name_values
from .context import make_context
from .importer import import_model
from .model import Model
from .pipelines import parse_pipeline
from .text import load_weights, parse_error_text, verify_text, write_text


class OptMain(xDSLOptMain):
    """
    Reads ``.onnx`` and ``.mlir``, runs passes, writes MLIR text.

    With ``-o x.mlir`` the text has locations, and its weights go to ``x.safetensors``.
    """

    def __init__(self, args: Sequence[str]):
        super().__init__("sardonyx opt: run passes on a model and print the IR", args)

    def register_all_arguments(self, arg_parser: argparse.ArgumentParser) -> None:
        super().register_all_arguments(arg_parser)
        arg_parser.prog = "sardonyx opt"
        arg_parser.error = _refuse

    def setup_pipeline(self) -> None:
        # An unknown pass or option is a bare Exception to xDSL; this names it.
        parse_pipeline(self.args.passes)
        super().setup_pipeline()

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
        super().apply_passes(prog)

    def _context(self) -> OnnxContext:
        assert isinstance(self.ctx, OnnxContext), "register_all_dialects made it"
        return self.ctx

    def prepare_output(self) -> IO[str]:
        # A file is written by `write_text`, whole or not at all.
        return super().prepare_output() if self.args.output_file is None else StringIO()

    def output_resulting_program(self, prog: ModuleOp) -> str:
        name_values(prog)
        target = self.args.output_file
        if target is None or self.args.target != "mlir":
            return super().output_resulting_program(prog)
        write_text(Model(prog, self._context()), Path(target))
        return ""


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
