"""ONNX's attributes as IR attributes and as Python values, by the operator's schema."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias, cast

import numpy as np
from onnx.defs import OpSchema
from xdsl.dialects.builtin import (
    ArrayAttr,
    DenseArrayBase,
    FloatAttr,
    IntegerAttr,
    StringAttr,
    f32,
    i64,
)
from xdsl.ir import Attribute
from xdsl.irdl import AttrConstraint, BaseAttr

from .text import attr_text, decode, text_attr
from .types import Array, DenseAttr

AttributeValue: TypeAlias = (
    Attribute
    | bool
    | int
    | float
    | str
    | bytes
    | Sequence[int]
    | Sequence[float]
    | Sequence[str]
    | Array
)
"""What an attribute may be given as: an IR attribute, or a Python value of its kind."""

_KINDS = OpSchema.AttrType


def attribute(schema: OpSchema, name: str, value: AttributeValue) -> Attribute:
    """
    `value` as the IR attribute of `schema` called `name`.

    Raises ValueError if the operator has no such attribute, or one of another kind.
    """
    if name not in schema.attributes:
        raise ValueError(f"{schema.name} has no attribute {name!r}")
    if isinstance(value, Attribute):
        return value
    kind = schema.attributes[name].type
    try:
        return _attribute_of_kind(kind, value)
    except (TypeError, AttributeError, ValueError) as error:
        wanted = str(kind).rpartition(".")[2]
        raise ValueError(
            f"{schema.name}: attribute {name!r} is {value!r}, wanted {wanted}"
        ) from error


def _attribute_of_kind(kind: OpSchema.AttrType, value: Any) -> Attribute:
    match kind:
        case _KINDS.INT:
            return IntegerAttr(int(value), i64)
        case _KINDS.FLOAT:
            return FloatAttr(float(value), f32)
        case _KINDS.STRING:
            return text_attr(decode(value) if isinstance(value, bytes) else str(value))
        case _KINDS.INTS:
            return DenseArrayBase.from_list(i64, [int(v) for v in value])
        case _KINDS.FLOATS:
            return DenseArrayBase.from_list(f32, [float(v) for v in value])
        case _KINDS.STRINGS:
            return ArrayAttr([_attribute_of_kind(_KINDS.STRING, v) for v in value])
        case _KINDS.TENSOR:
            return DenseAttr.of(np.asarray(value))
        case _:
            raise ValueError(value)


def python_value(value: Attribute) -> Any:
    """An attribute as int, float, str or a tuple of these; others as they are."""
    if isinstance(value, IntegerAttr):
        return cast(IntegerAttr[Any], value).value.data
    if isinstance(value, FloatAttr):
        return cast(FloatAttr[Any], value).value.data
    if isinstance(value, StringAttr):
        return attr_text(value)
    if isinstance(value, DenseArrayBase):
        return tuple(cast(DenseArrayBase[Any], value).get_values())
    if isinstance(value, ArrayAttr):
        return tuple(python_value(v) for v in cast(ArrayAttr[Attribute], value).data)
    return value


def default_attribute(schema: OpSchema, name: str) -> Attribute | None:
    """The value that an attribute has when it is absent, if the schema states one."""
    default = schema.attributes[name].default_value
    match default.type:
        case default.INT:
            return IntegerAttr(default.i, i64)
        case default.FLOAT:
            return FloatAttr(default.f, f32)
        case default.STRING:
            return text_attr(decode(default.s))
        case default.INTS:
            return DenseArrayBase.from_list(i64, list(default.ints))
        case default.FLOATS:
            return DenseArrayBase.from_list(f32, list(default.floats))
        case default.STRINGS:
            return ArrayAttr([text_attr(decode(s)) for s in default.strings])
        case _:
            return None


CONSTRAINTS: dict[OpSchema.AttrType, AttrConstraint] = {
    _KINDS.INT: BaseAttr(IntegerAttr),
    _KINDS.FLOAT: BaseAttr(FloatAttr),
    _KINDS.STRING: BaseAttr(StringAttr),
    _KINDS.INTS: DenseArrayBase.constr(i64),
    _KINDS.FLOATS: DenseArrayBase.constr(f32),
    _KINDS.STRINGS: BaseAttr(ArrayAttr),
}
"""What an attribute of each kind must be in the IR."""
