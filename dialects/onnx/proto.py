"""ONNX's protobufs of types, tensors, attributes and nodes, to the IR and back."""

from __future__ import annotations

import math
import re
from typing import Any, cast

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.defs import OpSchema
from xdsl.dialects.builtin import UnrankedTensorType
from xdsl.ir import Attribute

from .attributes import attribute, default_attribute, python_value
from .base import OnnxOp
from .packing import file_bytes
from .text import decode, encode
from .types import (
    DTYPE_NAMES,
    ELEMENT_TYPES,
    MAX_RANK,
    Array,
    DenseAttr,
    Dim,
    MapType,
    OptionalType,
    SequenceType,
    SparseTensorType,
    element_of,
    shape_of,
    tensor,
)

_PROTO_NAMES = {
    "float32": "FLOAT",
    "float64": "DOUBLE",
    "float8_e4m3fn": "FLOAT8E4M3FN",
    "float8_e4m3fnuz": "FLOAT8E4M3FNUZ",
    "float8_e5m2": "FLOAT8E5M2",
    "float8_e5m2fnuz": "FLOAT8E5M2FNUZ",
    "float8_e8m0fnu": "FLOAT8E8M0",
    "float6_e2m3fn": "FLOAT6E2M3",
    "float6_e3m2fn": "FLOAT6E3M2",
    "float4_e2m1fn": "FLOAT4E2M1",
}
TENSOR_TYPES: dict[str, int] = {
    name: onnx.TensorProto.DataType.Value(_PROTO_NAMES.get(name, name.upper()))
    for name in ELEMENT_TYPES
}
"""ONNX's number of every element type."""
ELEMENT_NAMES = {number: name for name, number in TENSOR_TYPES.items()}
"""The element type of each of ONNX's numbers."""


def element_name(number: int) -> str:
    """The element type that ONNX gives `number`; ValueError if there is none."""
    if number not in ELEMENT_NAMES:
        raise ValueError(f"element type {number} is not known")
    return ELEMENT_NAMES[number]


# --- types ---


def type_from_proto(proto: onnx.TypeProto) -> Attribute:
    """
    The IR type of `proto`; ValueError if it says none.

    A tensor without a shape is unranked; a dimension without a size or name is unknown.
    """
    match proto.WhichOneof("value"):
        case "tensor_type":
            return _tensor_from_proto(proto.tensor_type)
        case "sparse_tensor_type":
            return SparseTensorType(_tensor_from_proto(proto.sparse_tensor_type))
        case "sequence_type":
            return SequenceType(type_from_proto(proto.sequence_type.elem_type))
        case "optional_type":
            return OptionalType(type_from_proto(proto.optional_type.elem_type))
        case "map_type":
            key = ELEMENT_TYPES[element_name(proto.map_type.key_type)]
            return MapType(key, type_from_proto(proto.map_type.value_type))
        case kind:
            raise ValueError(f"type {kind} is not known")


def _tensor_from_proto(
    proto: onnx.TypeProto.Tensor | onnx.TypeProto.SparseTensor,
) -> Attribute:
    element = ELEMENT_TYPES[element_name(proto.elem_type)]
    if not proto.HasField("shape"):
        return tensor(element, None)
    return tensor(element, map(dim_from_proto, proto.shape.dim))


_DASHED = re.compile(r"[^\s(,/][-/][^\s/]")


def dim_from_proto(dim: onnx.TensorShapeProto.Dimension) -> Dim | None:
    """The dimension that `dim` says; None if it says nothing."""
    if dim.HasField("dim_value"):
        return Dim.of(dim.dim_value) if dim.dim_value >= 0 else None
    if not dim.dim_param:
        return None
    # A name that reads as a number, or has a dash in it, is a name all the same.
    named = Dim.parse(dim.dim_param)
    if named.constant is not None or _DASHED.search(dim.dim_param):
        return Dim.of(dim.dim_param)
    return named


def type_to_proto(kind: Attribute) -> onnx.TypeProto:
    """The TypeProto of an IR type."""
    proto = onnx.TypeProto()
    if isinstance(kind, SequenceType):
        proto.sequence_type.elem_type.CopyFrom(type_to_proto(kind.element))
    elif isinstance(kind, OptionalType):
        proto.optional_type.elem_type.CopyFrom(type_to_proto(kind.element))
    elif isinstance(kind, MapType):
        proto.map_type.key_type = TENSOR_TYPES[DTYPE_NAMES[kind.key]]
        proto.map_type.value_type.CopyFrom(type_to_proto(kind.value))
    elif isinstance(kind, SparseTensorType):
        _tensor_to_proto(kind.dense, proto.sparse_tensor_type)
    else:
        _tensor_to_proto(kind, proto.tensor_type)
    return proto


def _tensor_to_proto(
    kind: Attribute, proto: onnx.TypeProto.Tensor | onnx.TypeProto.SparseTensor
) -> None:
    element = element_of(kind)
    if element is None:
        raise ValueError(f"{kind} is not an ONNX type")
    proto.elem_type = TENSOR_TYPES[DTYPE_NAMES[element]]
    shape = shape_of(kind)
    if shape is None:
        return
    proto.shape.SetInParent()
    for dim in shape:
        entry = proto.shape.dim.add()
        if dim is None:
            continue
        if dim.constant is not None:
            entry.dim_value = dim.constant
        else:
            entry.dim_param = str(dim)


def refine(ours: Attribute, theirs: Attribute) -> Attribute:
    """
    The type that knows of each dimension what either knows; `theirs` decides a clash.

    Both must have one element type. Types that are no tensors are not merged.
    """
    a, b = shape_of(ours), shape_of(theirs)
    if isinstance(theirs, UnrankedTensorType):
        return ours
    if a is None or b is None or len(a) != len(b):
        return theirs
    element = element_of(theirs)
    assert element is not None, "a type with a shape is a tensor"
    return tensor(element, map(_refine_dim, a, b))


def _refine_dim(ours: Dim | None, theirs: Dim | None) -> Dim | None:
    if theirs is None:
        return ours
    if ours is not None and ours.constant is not None and theirs.constant is None:
        return ours
    return theirs


# --- tensors ---

MAX_ELEMENTS = 1 << 40


def tensor_shape(proto: onnx.TensorProto) -> tuple[int, ...]:
    """The shape of a tensor; ValueError if it cannot be one."""
    shape = tuple(proto.dims)
    # NumPy counts the other sizes of an empty array, too.
    count = math.prod(n for n in shape if n)
    large = len(shape) > MAX_RANK or count > MAX_ELEMENTS
    if large or any(n < 0 for n in shape):
        raise ValueError(f"shape {list(shape)} is not possible")
    return shape


def array_from_proto(proto: onnx.TensorProto) -> Array:
    """
    The tensor that `proto` holds (not one in external data), strings as objects.

    Raises ValueError where the content does not fill the shape.
    """
    shape = tensor_shape(proto)
    element = element_name(proto.data_type)
    if element == "string":
        texts = [decode(item) for item in proto.string_data]
        if len(texts) != math.prod(shape):
            raise ValueError(f"{len(texts)} strings do not fill {list(shape)}")
        return np.array(texts, object).reshape(shape)
    if proto.HasField("raw_data") and len(proto.raw_data) != file_bytes(element, shape):
        raise ValueError(
            f"{len(proto.raw_data)} bytes do not fill {element}{list(shape)}"
        )
    return numpy_helper.to_array(proto).reshape(shape)


def tensor_to_proto(array: Array, name: str = "") -> onnx.TensorProto:
    """A TensorProto that holds `array`."""
    if array.dtype == object:
        proto = onnx.TensorProto(name=name, data_type=onnx.TensorProto.STRING)
        proto.dims.extend(array.shape)
        proto.string_data.extend(encode(str(item)) for item in array.reshape(-1))
        return proto
    return numpy_helper.from_array(array, name)


# --- attributes ---

_KINDS = OpSchema.AttrType
_VALUES: dict[int, tuple[OpSchema.AttrType, str]] = {
    onnx.AttributeProto.INT: (_KINDS.INT, "i"),
    onnx.AttributeProto.FLOAT: (_KINDS.FLOAT, "f"),
    onnx.AttributeProto.STRING: (_KINDS.STRING, "s"),
    onnx.AttributeProto.INTS: (_KINDS.INTS, "ints"),
    onnx.AttributeProto.FLOATS: (_KINDS.FLOATS, "floats"),
    onnx.AttributeProto.STRINGS: (_KINDS.STRINGS, "strings"),
}


CONSTANT_DTYPES = {
    "value_float": "float32",
    "value_floats": "float32",
    "value_int": "int64",
    "value_ints": "int64",
    "value_string": "O",
    "value_strings": "O",
}
"""
The dtype of each attribute, besides `value`, that a Constant may state its value in.
"""


def attribute_from_proto(schema: OpSchema, proto: onnx.AttributeProto) -> Attribute:
    """
    The IR attribute of a scalar, list or type attribute; ValueError if it does not fit.
    """
    if proto.name not in schema.attributes:
        raise ValueError(f"{schema.name} has no attribute {proto.name!r}")
    wanted = schema.attributes[proto.name].type
    if proto.type == onnx.AttributeProto.TYPE_PROTO and wanted == _KINDS.TYPE_PROTO:
        return type_from_proto(proto.tp)
    kind, field = _VALUES.get(proto.type, (None, ""))
    if kind != wanted:
        found = onnx.AttributeProto.AttributeType.Name(proto.type)
        expected = str(wanted).rpartition(".")[2]
        raise ValueError(f"attribute {proto.name!r} is {found}, wanted {expected}")
    return attribute(schema, proto.name, getattr(proto, field))


def attribute_value(proto: onnx.AttributeProto) -> Any:
    """
    A scalar or list attribute as int, float, str or a list of these, or the protobuf.
    """
    if proto.type not in _VALUES:
        return onnx.helper.get_attribute_value(proto)
    value = getattr(proto, _VALUES[proto.type][1])
    if isinstance(value, bytes):
        return decode(value)
    if isinstance(value, int | float):
        return value
    return [decode(item) if isinstance(item, bytes) else item for item in value]


def is_default(schema: OpSchema, name: str, value: Attribute) -> bool:
    """Whether `value` is what the attribute has when it is absent."""
    return value == default_attribute(schema, name)


def attribute_to_proto(
    schema: OpSchema, name: str, value: Attribute
) -> onnx.AttributeProto:
    """The AttributeProto of an IR attribute that is no weight."""
    proto = onnx.AttributeProto(name=name)
    if isinstance(value, DenseAttr):
        proto.type = onnx.AttributeProto.TENSOR
        proto.t.CopyFrom(tensor_to_proto(value.array()))
        return proto
    wanted = schema.attributes[name].type
    if wanted == _KINDS.TYPE_PROTO:
        proto.type = onnx.AttributeProto.TYPE_PROTO
        proto.tp.CopyFrom(type_to_proto(value))
        return proto
    number = next(n for n, (kind, _) in _VALUES.items() if kind == wanted)
    proto.type = cast(Any, number)
    content = python_value(value)
    field = _VALUES[number][1]
    if wanted == _KINDS.STRINGS:
        proto.strings.extend(encode(item) for item in content)
    elif isinstance(content, tuple):
        getattr(proto, field).extend(content)
    else:
        setattr(proto, field, encode(content) if isinstance(content, str) else content)
    return proto


# --- nodes ---


def node_to_proto(op: OnnxOp, inputs: list[str], outputs: list[str]) -> onnx.NodeProto:
    """The node of `op` without its regions and weights, on the names given."""
    node = onnx.NodeProto(op_type=op.op_type(), domain=op.domain())
    node.input.extend(inputs)
    node.output.extend(outputs)
    schema = op.schema()
    for name, value in op.properties.items():
        node.attribute.append(attribute_to_proto(schema, name, value))
    return node
