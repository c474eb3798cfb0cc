"""
The operators of ONNX Runtime's domains (`com.microsoft` …), from the table beside it.

onnx has no schemas of these. `contrib.txt` states them in a few lines each; here they
become `OpSchema` objects, which stay out of onnx's own registry: that one belongs
to the user's process.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from onnx.defs import OpSchema

TABLE = Path(__file__).with_name("contrib.txt")

_KINDS = OpSchema.AttrType
_ATTRIBUTE_KINDS = {
    "int": _KINDS.INT,
    "ints": _KINDS.INTS,
    "float": _KINDS.FLOAT,
    "floats": _KINDS.FLOATS,
    "string": _KINDS.STRING,
    "strings": _KINDS.STRINGS,
}
_OPTIONS = {
    "": OpSchema.FormalParameterOption.Single,
    "?": OpSchema.FormalParameterOption.Optional,
    "*": OpSchema.FormalParameterOption.Variadic,
    "**": OpSchema.FormalParameterOption.Variadic,
}
_PARAMETER = re.compile(r"(\w+)([?*]*):(\w+)")
_ATTRIBUTE = re.compile(r"(\w+)=(.+)")


def contrib_schemas() -> list[OpSchema]:
    """The schemas of the table, in its order; all of them since version 1."""
    return list(parse(TABLE.read_text(encoding="utf-8")))


def parse(text: str) -> Iterator[OpSchema]:
    """The schemas that `text` states; ValueError for a line that states none."""
    words: dict[str, str] = {}
    domain = ""
    for paragraph in re.split(r"\n\s*\n", text):
        lines = [line for line in paragraph.splitlines() if not line.startswith("#")]
        if not lines:
            continue
        if lines[0].startswith("["):
            domain = lines[0].strip("[]").replace("ai.onnx", "")
        elif ":=" in lines[0]:
            for line in lines:
                word, types = line.split(" := ")
                words[word] = types
        else:
            yield _schema(lines, domain, words)


def _schema(lines: list[str], domain: str, words: Mapping[str, str]) -> OpSchema:
    name, _, doc = lines[0].partition(": ")
    parts = " ".join(line.strip() for line in lines[1:]).split("|")
    if not doc or len(parts) != 3:
        raise ValueError(f"{lines[0]!r} starts no entry of three parts")
    inputs, _, outputs = parts[0].partition("->")
    types = dict(entry.split("=") for entry in parts[2].split())
    return OpSchema(
        name,
        domain,
        1,
        doc,
        inputs=[_parameter(word, types) for word in inputs.split()],
        outputs=[_parameter(word, types) for word in outputs.split()],
        type_constraints=[
            (variable, [_type(t) for t in _types(allowed.split(","), words)], "")
            for variable, allowed in types.items()
        ],
        attributes=[_attribute(word) for word in parts[1].split()],
    )


def _types(names: Iterable[str], words: Mapping[str, str]) -> Iterator[str]:
    for name in names:
        yield from words.get(name, name).split(",")


def _type(name: str) -> str:
    return name if "(" in name else f"tensor({name})"


def _parameter(word: str, variables: Mapping[str, str]) -> OpSchema.FormalParameter:
    found = _PARAMETER.fullmatch(word)
    if found is None:
        raise ValueError(f"found {word!r}, wanted name:type")
    name, option, kind = found.groups()
    return OpSchema.FormalParameter(
        name,
        kind if kind in variables else _type(kind),
        param_option=_OPTIONS[option],
        is_homogeneous=option != "**",
    )


def _attribute(word: str) -> OpSchema.Attribute:
    found = _ATTRIBUTE.fullmatch(word)
    if found is None:
        raise ValueError(f"found {word!r}, wanted name=default or name=kind")
    name, value = found.groups()
    kind = _ATTRIBUTE_KINDS.get(value.removesuffix("!"))
    if kind is not None:
        return OpSchema.Attribute(name, kind, required=value.endswith("!"))
    return OpSchema.Attribute(name, _proto(name, ast.literal_eval(value)))


def _proto(name: str, value: Any) -> Any:
    # A default is an AttributeProto: that is what the schema hands out again.
    from onnx.helper import make_attribute

    return make_attribute(name, value)
