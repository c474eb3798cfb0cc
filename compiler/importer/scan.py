"""
Finds the weights in a model file without reading them.

A serialized ModelProto is nested fields of known length (protobuf's wire format), so
the raw bytes of an initializer can be skipped over and mapped later. What is left, the
graph alone, is small and is parsed by onnx.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

# Field numbers of onnx.proto.
_MODEL_GRAPH = 7
_GRAPH_INITIALIZER = 5
_TENSOR_RAW_DATA = 9

_BYTES = 2  # the wire type of strings, bytes and messages

MIN_BYTES = 1024
"""Smaller tensors are parsed with the graph."""


@dataclass(frozen=True)
class Skeleton:
    """A model without its large initializers' bytes."""

    content: bytes
    """The serialized ModelProto that is left."""
    weights: dict[int, slice]
    """Where in the file the bytes of the n-th initializer lie."""


@dataclass(frozen=True)
class _Field:
    number: int
    wire_type: int
    start: int
    """Where the field begins, tag included."""
    value: int
    """Where its content begins."""
    end: int


def skeleton(file: memoryview) -> Skeleton:
    """Split the ModelProto in `file`; ValueError if its fields do not add up."""
    graphs = [f for f in _fields(file, 0, len(file)) if f.number == _MODEL_GRAPH]
    if len(graphs) != 1 or graphs[0].wire_type != _BYTES:
        # Protobuf would merge several graphs: nobody writes that, onnx may judge it.
        return Skeleton(bytes(file), {})
    graph = graphs[0]
    weights: dict[int, slice] = {}
    parts: list[memoryview | bytes] = []
    count = 0
    for field in _fields(file, graph.value, graph.end):
        if field.number != _GRAPH_INITIALIZER or field.wire_type != _BYTES:
            parts.append(file[field.start : field.end])
            continue
        raw = _raw_data(file, field)
        if raw is None:
            parts.append(file[field.start : field.end])
        else:
            weights[count] = slice(raw.value, raw.end)
            rest = (file[field.value : raw.start], file[raw.end : field.end])
            parts.append(length_delimited(_GRAPH_INITIALIZER, b"".join(rest)))
        count += 1
    inner = length_delimited(_MODEL_GRAPH, b"".join(parts))
    content = b"".join((file[: graph.start], inner, file[graph.end :]))
    return Skeleton(content, weights)


def _raw_data(file: memoryview, tensor: _Field) -> _Field | None:
    """The field of a tensor's bytes if it is worth leaving out."""
    fields = [
        f
        for f in _fields(file, tensor.value, tensor.end)
        if f.number == _TENSOR_RAW_DATA
    ]
    if len(fields) != 1 or fields[0].wire_type != _BYTES:
        return None
    return fields[0] if fields[0].end - fields[0].value >= MIN_BYTES else None


def _fields(file: memoryview, start: int, end: int) -> Iterator[_Field]:
    position = start
    while position < end:
        tag, value = _varint(file, position, end)
        wire_type = tag & 7
        after = _content_end(file, wire_type, value, end)
        if wire_type == _BYTES:
            length, value = _varint(file, value, end)
            after = value + length
        if after > end:
            raise ValueError("a field ends beyond its message")
        yield _Field(tag >> 3, wire_type, position, value, after)
        position = after


def _content_end(file: memoryview, wire_type: int, value: int, end: int) -> int:
    match wire_type:
        case 0:
            return _varint(file, value, end)[1]
        case 1:
            return value + 8
        case 5:
            return value + 4
        case 2:
            return value
        case _:
            raise ValueError(f"wire type {wire_type} is not known")


def _varint(file: memoryview, position: int, end: int) -> tuple[int, int]:
    """The integer at `position`, and where it ends."""
    number = 0
    for place in range(10):
        if position >= end:
            raise ValueError("the file ends in the middle of a field")
        byte = file[position]
        position += 1
        number |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return number, position
    raise ValueError("an integer is too long")


def length_delimited(number: int, content: bytes) -> bytes:
    """The field called `number` that holds `content` (protobuf's wire format)."""
    return field_header(number, len(content)) + content


def field_header(number: int, size: int) -> bytes:
    """What stands before the content of a field of `size` bytes."""
    return _to_varint(number << 3 | _BYTES) + _to_varint(size)


def _to_varint(number: int) -> bytes:
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
