"""
Writes `ops.pyi`, so that type checkers and editors know the ops' fields.

``python -m sardonyx.dialects.onnx.stub`` writes it; a test says when it is stale.
"""

from __future__ import annotations

import re
from pathlib import Path

from onnx.defs import OpSchema

from .attributes import default_attribute
from .classes import class_name, field_names
from .ops import DIALECTS, OPS

_HEAD = '''\
"""Every operator of onnx and ONNX Runtime; written by sardonyx.dialects.onnx.stub."""

from collections.abc import Sequence
from typing import Any

from xdsl.dialects.builtin import (
    ArrayAttr,
    DenseArrayBase,
    FloatAttr,
    IntegerAttr,
    StringAttr,
)
from xdsl.ir import Attribute, Dialect, OpResult, Region, SSAValue

from .base import OnnxOp

'''

_KINDS = OpSchema.AttrType
_ATTRIBUTES = {
    _KINDS.INT: "IntegerAttr[Any]",
    _KINDS.FLOAT: "FloatAttr[Any]",
    _KINDS.STRING: "StringAttr",
    _KINDS.INTS: "DenseArrayBase[Any]",
    _KINDS.FLOATS: "DenseArrayBase[Any]",
    _KINDS.STRINGS: "ArrayAttr[StringAttr]",
    _KINDS.GRAPH: "Region",
}
_Variadic = OpSchema.FormalParameterOption.Variadic


def stub() -> str:
    """The text of `ops.pyi` for the installed onnx."""
    classes = [_class_stub(made.schema()) for made in OPS.values()]
    dialects = [_dialect_name(dialect.name) for dialect in DIALECTS]
    foot = "".join(f"{name}: Dialect\n" for name in dialects)
    foot += "OPS: dict[str, type[OnnxOp]]\nDIALECTS: tuple[Dialect, ...]\n"
    return _HEAD + "\n".join(classes) + "\n" + foot


def _dialect_name(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def _class_stub(schema: OpSchema) -> str:
    names = field_names(schema)
    fields = [
        f"    {names['input', p.name]}: {_several(p, 'SSAValue')}"
        for p in schema.inputs
    ]
    for name, declared in schema.attributes.items():
        kind = _ATTRIBUTES.get(declared.type, "Attribute")
        fixed = declared.required or default_attribute(schema, name) is not None
        optional = "" if fixed or declared.type == _KINDS.GRAPH else " | None"
        fields.append(f"    {names['attribute', name]}: {kind}{optional}")
    fields += [
        f"    {names['output', p.name]}: {_several(p, 'OpResult')}"
        for p in schema.outputs
    ]
    head = f'class {class_name(schema)}(OnnxOp):\n    """{_summary(schema)}"""\n'
    return head + "\n".join(fields) + "\n"


def _several(parameter: OpSchema.FormalParameter, kind: str) -> str:
    return f"Sequence[{kind}]" if parameter.option == _Variadic else kind


def _summary(schema: OpSchema) -> str:
    """The first sentence of ONNX's documentation, in one line of plain text."""
    text = " ".join((schema.doc or schema.name).split())
    sentence = re.split(r"(?<=\.)\s", text, maxsplit=1)[0][:160]
    return ascii(sentence)[1:-1].replace('"', "'").replace("\\", "")


if __name__ == "__main__":
    Path(__file__).with_name("ops.pyi").write_text(stub(), encoding="utf-8")
