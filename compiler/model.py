"""A model in the IR: the module, and the context that holds its weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO

from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, SSAValue
from xdsl.printer import Printer

from ..dialects.onnx import OnnxContext
from ..dialects.onnx.names import name_values
from ..dialects.onnx.text import attr_text, text_attr
from .collection import collection_paused


@dataclass(frozen=True)
class Value:
    """An input or output of a model: its name in ONNX and its type."""

    name: str
    type: Attribute


@dataclass
class Model:
    """A module with one function ``@main`` and the store of its weights."""

    module: ModuleOp
    context: OnnxContext

    @property
    def main(self) -> FuncOp:
        """The function that the model is."""
        for op in self.module.ops:
            if isinstance(op, FuncOp) and op.sym_name.data == "main":
                return op
        raise ValueError("the module has no function @main")

    @property
    def inputs(self) -> tuple[Value, ...]:
        """The inputs in the model's order."""
        types = self.main.function_type.inputs.data
        return _values(self.main.arg_attrs, types, "input")

    @property
    def outputs(self) -> tuple[Value, ...]:
        """The outputs in the model's order."""
        types = self.main.function_type.outputs.data
        return _values(self.main.res_attrs, types, "output")

    @property
    def results(self) -> Sequence[SSAValue]:
        """The values that ``@main`` returns."""
        last = self.main.body.block.last_op
        assert isinstance(last, ReturnOp), "a function ends with a return"
        return last.arguments

    @property
    def name(self) -> str:
        """The graph's name in ONNX; empty if it has none."""
        name = self.module.attributes.get("onnx.graph_name")
        return attr_text(name) if isinstance(name, StringAttr) else ""

    @collection_paused()
    def text(self) -> str:
        """The module as MLIR text with locations; it parses back to itself."""
        name_values(self.module)
        stream = StringIO()
        Printer(stream, print_debuginfo=True).print_op(self.module)
        return stream.getvalue() + "\n"

    @collection_paused()
    def clone(self) -> Model:
        """A copy that can be rewritten apart; the weights' bytes are shared."""
        return Model(self.module.clone(), self.context.clone())


def _values(
    attributes: ArrayAttr[DictionaryAttr] | None,
    types: Sequence[Attribute],
    word: str,
) -> tuple[Value, ...]:
    values: list[Value] = []
    # A module that was written by hand may have none, or an empty list.
    held = () if attributes is None else attributes.data
    for index, kind in enumerate(types):
        entries = held[index].data if index < len(held) else None
        name = None if entries is None else entries.get("onnx.name")
        text = attr_text(name) if isinstance(name, StringAttr) else f"{word}{index}"
        values.append(Value(text, kind))
    return tuple(values)


def name_entry(name: str) -> DictionaryAttr:
    """The argument or result attributes that keep an ONNX name."""
    return DictionaryAttr({"onnx.name": text_attr(name)})
