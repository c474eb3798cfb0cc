"""Modules as files: ``x.mlir`` and, beside it, the weights that it names."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.parser import Parser
from xdsl.utils.exceptions import DiagnosticException, ParseError, VerifyException

from ..dialects.errors import SardonyxError
from ..dialects.onnx import OnnxOp, WeightAttr
from ..dialects.onnx.provenance import describe
from ..dialects.onnx.text import attr_text, text_attr
from .context import make_context
from .model import Model
from .weights import Progress, ignored, read_weights, write_beside, write_weights

WEIGHTS = "onnx.weights"
"""The module's attribute that names its weight file, relative to its own folder."""


class TextError(SardonyxError):
    """A text that is no module of ours."""


def used_weights(model: Model) -> list[str]:
    """The keys of the weights that the module names, in the order of its text."""
    keys: dict[str, None] = {}
    for op in model.module.walk():
        if isinstance(op, OnnxOp):
            for value in op.properties.values():
                if isinstance(value, WeightAttr):
                    keys[value.data] = None
    return list(keys)


def read_text(path: Path) -> Model:
    """The module in a text file, its weights mapped; TextError in one line."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TextError(f"{path}: cannot be read: {error}") from error
    return parse_text(text, path)


def parse_text(text: str, path: Path) -> Model:
    """The module in `text`; its weight file is looked for in the folder of `path`."""
    context = make_context()
    try:
        module = Parser(context, text, str(path)).parse_module()
    except ParseError as error:
        raise TextError(parse_error_text(error)) from error
    except (VerifyException, DiagnosticException) as error:
        raise TextError(f"{path}: {_joined(error)}") from error
    except RecursionError as error:
        raise TextError(f"{path}: nests too deeply") from error
    verify_text(module, path)
    model = Model(module, context)
    _check_main(model, path)
    load_weights(model, path)
    check_weights(model, path)
    return model


def parse_error_text(error: ParseError) -> str:
    """``file:line: what was expected``, for what xDSL reports with an excerpt."""
    source, start = error.span.input, error.span.start
    before = source.content[:start]
    before = before if isinstance(before, str) else before.decode(errors="replace")
    line = before.count("\n") + 1
    return f"{source.name}:{line + error.span.line_offset}: {error.msg}"


def verify_text(module: ModuleOp, path: Path) -> None:
    """Verify a module that was read from `path`; TextError names the op."""
    for op in module.walk():
        try:
            op.verify(verify_nested_ops=False)
        except DiagnosticException as error:
            where = describe(op) if isinstance(op, OnnxOp) else op.name
            raise TextError(f"{path}: {where}: {_joined(error)}") from error


def _joined(error: Exception) -> str:
    return " ".join(line.strip() for line in str(error).splitlines() if line.strip())


def _check_main(model: Model, path: Path) -> None:
    named = [
        op
        for op in model.module.ops
        if isinstance(op, FuncOp) and op.sym_name.data == "main"
    ]
    if not named:
        raise TextError(f"{path}: found no function @main, wanted one")
    blocks = list(named[0].body.blocks)
    if len(blocks) != 1 or not isinstance(blocks[0].last_op, ReturnOp):
        raise TextError(
            f"{path}: found {len(blocks)} blocks in @main, wanted one that returns"
        )


def check_weights(model: Model, path: Path) -> None:
    """Raise TextError unless every weight that the module names is in its store."""
    store = model.context.store
    missing = [key for key in used_weights(model) if key not in store]
    if missing:
        raise TextError(
            f"{path}: weight {missing[0]!r} is in no weight file "
            "(opt -o writes one beside the text)"
        )
    for op in model.module.walk():
        value = op.properties.get("value")
        if op.name != "onnx.Constant" or not isinstance(value, WeightAttr):
            continue
        found, wanted = store[value.data].type, op.results[0].type
        if found != wanted:
            raise TextError(
                f"{path}: weight {value.data!r}: found {found} in the weight file, "
                f"wanted {wanted}"
            )


def load_weights(model: Model, path: Path) -> None:
    """
    Map the weight file that the module of the text at `path` names, if it names one.
    """
    named = model.module.attributes.get(WEIGHTS)
    if isinstance(named, StringAttr):
        read_weights(_inside(path.parent, attr_text(named), path), model.context.store)


def _inside(folder: Path, name: str, user: Path) -> Path:
    goal = (folder / name).resolve()
    if Path(name).is_absolute() or not goal.is_relative_to(folder.resolve()):
        raise TextError(f"{user}: weight file {name!r} leaves the folder")
    return goal


def write_text(model: Model, path: Path, progress: Progress = ignored) -> None:
    """
    Write the module to `path` and its weights, if any, to ``.safetensors`` beside it.

    Raises TextError if a weight is missing, or the files cannot be written.
    """
    check_weights(model, path)
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        _write_text(model, path, progress)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise TextError(f"{path}: cannot be written: {reason}") from error


def _write_text(model: Model, path: Path, progress: Progress) -> None:
    keys = used_weights(model)
    weights = path.with_suffix(".safetensors")
    model.module.attributes.pop(WEIGHTS, None)
    if keys:
        model.module.attributes[WEIGHTS] = text_attr(weights.name)
        temporary = weights.with_name(f".{weights.name}.{os.getpid()}")
        try:
            write_weights(temporary, model.context.store, keys, progress)
            temporary.replace(weights)
        finally:
            temporary.unlink(missing_ok=True)
    write_beside(path, model.text())
