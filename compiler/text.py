"""Modules as files: ``x.mlir`` and, beside it, the weights that it names."""

from __future__ import annotations

import os
from pathlib import Path

from xdsl.dialects.builtin import StringAttr
from xdsl.parser import Parser
from xdsl.utils.exceptions import DiagnosticException, ParseError, VerifyException

from ..dialects.errors import SardonyxError
from ..dialects.onnx import OnnxOp, WeightAttr
from ..dialects.onnx.text import attr_text, text_attr
from .context import make_context
from .model import Model
from .weights import read_weights, write_beside, write_weights

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
        module.verify()
    except ParseError as error:
        line = text.count("\n", 0, error.span.start) + 1
        raise TextError(f"{path}:{line}: {error.msg}") from error
    except (VerifyException, DiagnosticException) as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        raise TextError(f"{path}: {lines[-1].strip() if lines else error}") from error
    model = Model(module, context)
    load_weights(model, path)
    missing = [key for key in used_weights(model) if key not in context.store]
    if missing:
        raise TextError(f"{path}: weight {missing[0]!r} is in no weight file")
    return model


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


def write_text(model: Model, path: Path) -> None:
    """
    Write the module to `path` and its weights, if any, to ``.safetensors`` beside it.
    """
    keys = used_weights(model)
    weights = path.with_suffix(".safetensors")
    model.module.attributes.pop(WEIGHTS, None)
    if keys:
        model.module.attributes[WEIGHTS] = text_attr(weights.name)
        temporary = weights.with_name(f".{weights.name}.{os.getpid()}")
        try:
            write_weights(temporary, model.context.store, keys)
            temporary.replace(weights)
        finally:
            temporary.unlink(missing_ok=True)
    write_beside(path, model.text())
