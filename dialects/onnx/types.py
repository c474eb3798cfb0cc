"""
Types and attributes of the onnx dialects, and how they name ONNX's element types.

A tensor is xDSL's builtin tensor type. Dimensions whose size is not known are dynamic;
what is known of them symbolically rides in the encoding: ``tensor<?x?x384xf32,
#onnx.dims<"batch", "seq", 384>>``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias, cast

import ml_dtypes
import numpy as np
from xdsl.dialects import builtin
from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    ComplexType,
    IntegerType,
    NoneAttr,
    NoneType,
    Signedness,
    StringAttr,
    TensorType,
    UnrankedTensorType,
)
from xdsl.ir import Attribute, Data, ParametrizedAttribute, TypeAttribute
from xdsl.irdl import irdl_attr_definition, param_def
from xdsl.parser import AttrParser
from xdsl.printer import Printer
from xdsl.utils.exceptions import VerifyException

from .dims import Dim
from .packing import dtype_of
from .text import attr_text, text_attr

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
Shape: TypeAlias = tuple[Dim | None, ...]
"""The dimensions of a tensor; None is a size of which nothing is known."""
Element: TypeAlias = bool | str | int | float
"""An element of a tensor as its text says it."""


# --- types that builtin lacks ---


@irdl_attr_definition
class StringType(ParametrizedAttribute, TypeAttribute):
    """The element type of ``tensor(string)``."""

    name = "onnx.string"


@irdl_attr_definition
class SequenceType(ParametrizedAttribute, TypeAttribute):
    """ONNX's ``seq(T)``: a list of values of one type."""

    name = "onnx.seq"
    element: Attribute = param_def()


@irdl_attr_definition
class OptionalType(ParametrizedAttribute, TypeAttribute):
    """ONNX's ``optional(T)``: a value or nothing."""

    name = "onnx.optional"
    element: Attribute = param_def()


@irdl_attr_definition
class MapType(ParametrizedAttribute, TypeAttribute):
    """ONNX's ``map(K, V)``."""

    name = "onnx.map"
    key: Attribute = param_def()
    value: Attribute = param_def()


@irdl_attr_definition
class SparseTensorType(ParametrizedAttribute, TypeAttribute):
    """ONNX's ``sparse_tensor(E)``, with the dense tensor's type as parameter."""

    name = "onnx.sparse_tensor"
    dense: Attribute = param_def()


# --- attributes ---


@irdl_attr_definition
class DimsAttr(Data[tuple[int | str, ...]]):
    """
    The dimensions of a tensor type, one entry each.

    An entry is a size, the text of a symbolic expression, or ``"?"`` where nothing is
    known.
    """

    name = "onnx.dims"

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> tuple[int | str, ...]:
        def entry() -> int | str:
            size = parser.parse_optional_integer(allow_boolean=False)
            if size is not None:
                return size
            return attr_text(StringAttr(parser.parse_str_literal()))

        entries = parser.parse_comma_separated_list(parser.Delimiter.ANGLE, entry)
        return tuple(entries)

    def print_parameter(self, printer: Printer) -> None:
        def entry(value: int | str) -> None:
            if isinstance(value, int):
                printer.print_int(value)
            else:
                printer.print_string_literal(text_attr(value).data)

        with printer.in_angle_brackets():
            printer.print_list(self.data, entry)


@irdl_attr_definition
class WeightAttr(Data[str]):
    """A tensor in the store, by its key: ``#onnx.weight<"conv1.weight">``."""

    name = "onnx.weight"

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> str:
        with parser.in_angle_brackets():
            return attr_text(StringAttr(parser.parse_str_literal()))

    def print_parameter(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            printer.print_string_literal(text_attr(self.data).data)


@irdl_attr_definition
class DenseAttr(Data[tuple[TensorType[Attribute], bytes | tuple[str, ...]]]):
    """
    A small tensor in the text: ``#onnx.dense<[1, -2] : tensor<2xi64>>``.

    The elements stand in row-major order whatever the shape. A float that no decimal
    text gives back (nan, inf) is written as its bits. Builtin ``dense`` does not
    round-trip these, nor booleans and sub-byte integers; and it has no strings. Numbers
    are kept as their bytes in NumPy's layout (sub-byte types one element a byte),
    strings as text.
    """

    name = "onnx.dense"

    @staticmethod
    def of(array: Array) -> DenseAttr:
        """The attribute that holds `array` (numbers, or strings in an object array)."""
        flat = array.reshape(-1)
        if array.dtype == object or array.dtype.kind in "US":
            texts = tuple(str(item) for item in cast(Sequence[Any], flat.tolist()))
            return DenseAttr((TensorType(StringType(), array.shape), texts))
        kind = TensorType(element_type(array.dtype), array.shape)
        return DenseAttr((kind, np.ascontiguousarray(flat).tobytes()))

    @property
    def type(self) -> TensorType[Attribute]:
        """The type of the tensor."""
        return self.data[0]

    def array(self) -> Array:
        """The tensor as a NumPy array."""
        kind, content = self.data
        if isinstance(content, bytes):
            dtype = numpy_dtype(kind.element_type)
            return np.frombuffer(content, dtype).reshape(kind.get_shape())
        return np.array(content, object).reshape(kind.get_shape())

    @classmethod
    def parse_parameter(
        cls, parser: AttrParser
    ) -> tuple[TensorType[Attribute], bytes | tuple[str, ...]]:
        with parser.in_angle_brackets():
            return cls.parse_typed(parser, cls.parse_items(parser)).data

    @staticmethod
    def parse_items(parser: AttrParser) -> list[Element]:
        """Parse ``[1, -2]``."""
        return parser.parse_comma_separated_list(
            parser.Delimiter.SQUARE, lambda: _parse_element(parser)
        )

    @staticmethod
    def parse_typed(parser: AttrParser, items: list[Element]) -> DenseAttr:
        """Parse ``: tensor<2xi64>``, the type of the parsed `items`."""
        start = parser.pos
        parser.parse_punctuation(":")
        kind = parser.parse_type()
        if not isinstance(kind, TensorType):
            parser.raise_error(f"expected a tensor type, got {kind}", start)
        kind = cast(TensorType[Attribute], kind)
        if len(items) != math.prod(kind.get_shape()):
            parser.raise_error(f"{len(items)} elements do not fill {kind}", start)
        if isinstance(kind.element_type, StringType):
            if not all(isinstance(item, str) for item in items):
                parser.raise_error("expected string literals", start)
            return DenseAttr((kind, tuple(str(item) for item in items)))
        try:
            dtype = numpy_dtype(kind.element_type)
            return DenseAttr((kind, b"".join(_element_bytes(i, dtype) for i in items)))
        except (ValueError, OverflowError, TypeError) as error:
            parser.raise_error(f"not an element of {kind}: {error}", start)

    def print_parameter(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            self.print_items(printer)
            printer.print_string(" : ")
            printer.print_attribute(self.type)

    def print_items(self, printer: Printer) -> None:
        """Print ``[1, -2]``."""
        content = self.data[1]
        with printer.in_square_brackets():
            if isinstance(content, bytes):
                items = self.array().reshape(-1)
                printer.print_string(", ".join(map(_element_text, items)))
            else:
                printer.print_list(
                    content, lambda s: printer.print_string_literal(text_attr(s).data)
                )

    def verify(self) -> None:
        kind, content = self.data
        if isinstance(content, bytes):
            size = numpy_dtype(kind.element_type).itemsize * math.prod(kind.get_shape())
            if size != len(content):
                raise VerifyException(f"{len(content)} bytes do not fill {kind}")


# --- element types ---

_FLOATS: dict[str, Attribute] = {
    "float16": builtin.Float16Type(),
    "bfloat16": builtin.BFloat16Type(),
    "float32": builtin.Float32Type(),
    "float64": builtin.Float64Type(),
    "float8_e4m3fn": builtin.Float8E4M3FNType(),
    "float8_e4m3fnuz": builtin.Float8E4M3FNUZType(),
    "float8_e5m2": builtin.Float8E5M2Type(),
    "float8_e5m2fnuz": builtin.Float8E5M2FNUZType(),
    "float8_e8m0fnu": builtin.Float8E8M0FNUType(),
    "float6_e2m3fn": builtin.Float6E2M3FNType(),
    "float6_e3m2fn": builtin.Float6E3M2FNType(),
    "float4_e2m1fn": builtin.Float4E2M1FNType(),
}
ELEMENT_TYPES: dict[str, Attribute] = {
    "bool": IntegerType(1),
    **{f"int{n}": IntegerType(n) for n in (2, 4, 8, 16, 32, 64)},
    **{f"uint{n}": IntegerType(n, Signedness.UNSIGNED) for n in (2, 4, 8, 16, 32, 64)},
    **_FLOATS,
    "complex64": ComplexType(builtin.f32),
    "complex128": ComplexType(builtin.f64),
    "string": StringType(),
}
"""
The MLIR element type of every ONNX tensor element type, by NumPy's or ml_dtypes' name.
"""

DTYPE_NAMES: dict[Attribute, str] = {kind: name for name, kind in ELEMENT_TYPES.items()}


def numpy_dtype(element: Attribute) -> np.dtype[Any]:
    """The NumPy dtype of an element type; ValueError if it has none."""
    if element not in DTYPE_NAMES:
        raise ValueError(f"{element} is not an ONNX element type")
    return dtype_of(DTYPE_NAMES[element])


def element_type(numpy: np.dtype[Any]) -> Attribute:
    """The MLIR element type of a NumPy dtype; ValueError if ONNX has none."""
    if numpy.kind in "OUS":
        return StringType()
    if numpy.name not in ELEMENT_TYPES:
        raise ValueError(f"ONNX has no element type {numpy.name}")
    return ELEMENT_TYPES[numpy.name]


# --- tensor types ---

MAX_RANK = 64
"""How many dimensions a tensor may have: as many as a NumPy array."""

TensorLike: TypeAlias = TensorType[Attribute] | UnrankedTensorType[Attribute]


def tensor(
    element: Attribute, shape: Iterable[int | str | Dim | None] | None
) -> TensorLike:
    """
    The tensor type with `shape`: sizes, expressions or their text, None for unknown.

    Raises ValueError for a negative size, or more than `MAX_RANK` of them.
    """
    if shape is None:
        return UnrankedTensorType(element)
    sizes: list[int] = []
    entries: list[int | str] = []
    for item in shape:
        dim = Dim.parse(item) if isinstance(item, str) else item
        dim = Dim.of(dim) if dim is not None else None
        size = None if dim is None else dim.constant
        if size is not None and size < 0:
            raise ValueError(f"a dimension cannot be {size}")
        sizes.append(DYNAMIC_INDEX if size is None else size)
        entries.append(size if size is not None else "?" if dim is None else str(dim))
    if len(sizes) > MAX_RANK:
        raise ValueError(f"found rank {len(sizes)}, wanted at most {MAX_RANK}")
    symbolic = any(isinstance(entry, str) and entry != "?" for entry in entries)
    encoding = DimsAttr(tuple(entries)) if symbolic else NoneAttr()
    return TensorType(element, sizes, encoding)


def shape_of(kind: Attribute) -> Shape | None:
    """The dimensions of a tensor type; None if it is unranked or no tensor."""
    if not isinstance(kind, TensorType):
        return None
    kind = cast(TensorType[Attribute], kind)
    if isinstance(kind.encoding, DimsAttr):
        return tuple(
            None if e == "?" else Dim.of(e) if isinstance(e, int) else Dim.parse(e)
            for e in kind.encoding.data
        )
    return tuple(None if n == DYNAMIC_INDEX else Dim.of(n) for n in kind.get_shape())


def static_shape(kind: Attribute) -> tuple[int, ...] | None:
    """The sizes of a tensor type; None unless every one is known."""
    if not isinstance(kind, TensorType):
        return None
    sizes = cast(TensorType[Attribute], kind).get_shape()
    return None if DYNAMIC_INDEX in sizes else sizes


def element_of(kind: Attribute) -> Attribute | None:
    """The element type of a tensor; None for anything else."""
    if isinstance(kind, TensorType | UnrankedTensorType):
        return cast(TensorLike, kind).element_type
    return None


def is_none(kind: Attribute) -> bool:
    """Whether this is the type of an absent optional input or output."""
    return isinstance(kind, NoneType)


def verify_tensor(kind: TensorType[Attribute]) -> None:
    """Raise unless the encoding of `kind`, if it is ours, says what its sizes say."""
    if not isinstance(kind.encoding, DimsAttr):
        return
    entries = kind.encoding.data
    sizes = tuple(e if isinstance(e, int) else DYNAMIC_INDEX for e in entries)
    if sizes != kind.get_shape():
        raise VerifyException(f"dims {list(entries)} do not fit the shape of {kind}")


# --- elements in text ---


def _element_text(value: Any) -> str:
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    kind = value.dtype
    if kind.kind in "iu" or kind.name in _SMALL_INTEGERS:
        return str(int(value))
    if kind.kind != "c" and math.isfinite(float(value)):
        text = str(float(value)) if kind.itemsize < 4 else str(value)
        mantissa, e, exponent = text.partition("e")
        mantissa = mantissa if "." in mantissa else mantissa + ".0"
        return mantissa + e + exponent
    bits = value.tobytes()[::-1].hex()
    return f"0x{bits}"


_SMALL_INTEGERS = ("int2", "int4", "uint2", "uint4")


def _parse_element(parser: AttrParser) -> Element:
    if (text := parser.parse_optional_str_literal()) is not None:
        return attr_text(StringAttr(text))
    if parser.parse_optional_keyword("true"):
        return True
    if parser.parse_optional_keyword("false"):
        return False
    return parser.parse_number(allow_boolean=False)


def _element_bytes(item: Element, kind: np.dtype[Any]) -> bytes:
    if isinstance(item, str) or isinstance(item, bool) != (kind == np.bool_):
        raise ValueError(f"{item!r}")
    if isinstance(item, int) and (kind.kind in "fcV" and not _is_integer(kind)):
        return item.to_bytes(kind.itemsize, "little")
    if isinstance(item, float) and _is_integer(kind):
        raise ValueError(f"{item!r}")
    if isinstance(item, int) and not isinstance(item, bool):
        low, high = integer_range(kind)
        if not low <= item <= high:
            raise ValueError(f"{item} is not in [{low}, {high}]")
    return np.array(item).astype(kind).tobytes()


def _is_integer(kind: np.dtype[Any]) -> bool:
    return kind.kind in "iu" or kind.name in _SMALL_INTEGERS


def integer_range(kind: np.dtype[Any]) -> tuple[int, int]:
    """The least and the largest value of an integer dtype."""
    info = ml_dtypes.iinfo(kind)
    return int(info.min), int(info.max)
