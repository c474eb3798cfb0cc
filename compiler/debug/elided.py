"""
The text of a module for people: with provenance, and with nothing that is long.

Weights are names in the text already. What may still be long is what no weight file
holds (strings, the arrays in attributes) and documentation; it is elided here with its
type or length. Where nothing is, the text parses back.
"""

from __future__ import annotations

from io import StringIO
from typing import Any, cast

from xdsl.dialects.builtin import ArrayAttr, DenseArrayBase, StringAttr
from xdsl.ir import Attribute, Operation
from xdsl.printer import Printer

from ...dialects.onnx import DenseAttr
from ...dialects.onnx.names import name_values
from ..collection import collection_paused
from ..model import Model

MAX_ELEMENTS = 64
"""How many elements an array in an attribute has at most where it is shown."""
MAX_CONSTANT = 16
"""The same of a constant: the importer gives larger numbers to the store."""
MAX_CHARACTERS = 256


def elided(value: Attribute) -> str | None:
    """What stands for an attribute that is too long to show; None for a short one."""
    if isinstance(value, DenseAttr) and _length(value) > MAX_CONSTANT:
        return f"dense<elided> : {value.type}"
    if isinstance(value, DenseArrayBase):
        array = cast(DenseArrayBase[Any], value)
        if len(array) > MAX_ELEMENTS:
            return f"array<{array.elt_type}: elided, {len(array)} elements>"
    if isinstance(value, ArrayAttr):
        entries = cast(ArrayAttr[Attribute], value).data
        if len(entries) > MAX_ELEMENTS:
            return f"[elided, {len(entries)} entries]"
    if isinstance(value, StringAttr) and len(value.data) > MAX_CHARACTERS:
        return f"<elided, string of {len(value.data)} characters>"
    return None


def _length(value: DenseAttr) -> int:
    length = 1
    for size in value.type.get_shape():
        length *= size
    return length


class ElidingPrinter(Printer):
    """xDSL's printer, but for what `elided` says."""

    def print_attribute(self, attribute: Attribute) -> None:
        short = elided(attribute)
        if short is None:
            super().print_attribute(attribute)
        else:
            self.print_string(short)

    def print_op(self, op: Operation) -> None:
        value = op.properties.get("value")
        short = None if value is None else elided(value)
        if op.name != "onnx.Constant" or short is None:
            super().print_op(op)
            return
        # A constant prints its elements itself.
        self._print_results(op)
        self.print_string(f"onnx.Constant {short}")
        if self.print_debuginfo:
            self.print_string(" ")
            self.print_attribute(op.location)


@collection_paused()
def shown_text(model: Model, generic: bool = False) -> str:
    """
    The module as text with locations; looking leaves it as it is.

    `generic` is MLIR's generic form, which any module has, however broken.
    """
    module = model.module
    if not generic:
        # Passes name weights after values: what they see must not depend on printing.
        module = module.clone()
        name_values(module)
    stream = StringIO()
    printer = ElidingPrinter(stream, print_generic_format=generic, print_debuginfo=True)
    printer.print_op(module)
    return stream.getvalue() + "\n"
