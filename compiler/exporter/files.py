"""
Writes model files without holding their weights in memory.

A protobuf is fields one after another, so the bytes of an initializer can be written
behind its name and shape straight from where they are mapped (the importer's `scan`
reads them the same way). Above `MAX_INLINE` they go to a file beside the model, as
ONNX's external data: a protobuf ends at 2 GB.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import onnx

from ...dialects.onnx.store import Weight
from ..importer.scan import field_header, length_delimited
from ..weights import Progress

MAX_INLINE = 1 << 30
"""How many bytes of weights a model file holds itself, unless told otherwise."""
MIN_EXTERNAL = 1024
"""Smaller tensors stay in the model: shapes and such must be read with the graph."""
_ALIGNMENT = 4096
"""Runtimes map external data by pages."""
PIECE = 1 << 24
"""Bytes are copied in pieces of this size, so that a mapped file never fills memory."""

_MODEL_GRAPH = 7
_GRAPH_INITIALIZER = 5
_TENSOR_RAW_DATA = 9


def write_model(
    path: Path,
    proto: onnx.ModelProto,
    weights: Mapping[str, Weight],
    external: bool,
    progress: Progress,
) -> None:
    """
    Write `proto` to `path`, the initializers in `weights` with their bytes.

    With `external` the bytes go to ``NAME.data`` beside it. Both files are written
    under other names and renamed when they are whole.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    data = path.with_name(f"{path.name}.data")
    beside = data.with_name(f".{data.name}.{os.getpid()}")
    outside = {n: w for n, w in weights.items() if w.file_bytes >= MIN_EXTERNAL}
    external = external and bool(outside)
    try:
        if external:
            with beside.open("wb") as file:
                _write_external(file, data.name, proto, outside, progress)
            weights = {n: w for n, w in weights.items() if n not in outside}
        with temporary.open("wb") as file:
            _write_inline(file, proto, weights, progress)
        if external:
            beside.replace(data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
        beside.unlink(missing_ok=True)


def _write_external(
    file: BinaryIO,
    name: str,
    proto: onnx.ModelProto,
    weights: Mapping[str, Weight],
    progress: Progress,
) -> None:
    for tensor in proto.graph.initializer:
        if tensor.name not in weights:
            continue
        content = weights[tensor.name].raw()
        file.write(b"\0" * (-file.tell() % _ALIGNMENT))
        places = {"location": name, "offset": file.tell(), "length": len(content)}
        tensor.data_location = onnx.TensorProto.EXTERNAL
        for key, value in places.items():
            tensor.external_data.add(key=key, value=str(value))
        _copy(file, content, progress)


def _write_inline(
    file: BinaryIO,
    proto: onnx.ModelProto,
    weights: Mapping[str, Weight],
    progress: Progress,
) -> None:
    graph = onnx.GraphProto()
    graph.CopyFrom(proto.graph)
    tensors = list(graph.initializer)
    heads = [_head(tensor, weights.get(tensor.name)) for tensor in tensors]
    del graph.initializer[:]
    rest = graph.SerializeToString()
    outer = onnx.ModelProto()
    outer.CopyFrom(proto)
    outer.ClearField("graph")
    sizes = [
        len(head) + (weights[t.name].file_bytes if t.name in weights else 0)
        for head, t in zip(heads, tensors, strict=True)
    ]
    file.write(outer.SerializeToString())
    file.write(field_header(_MODEL_GRAPH, sum(sizes) + len(rest)))
    for head, tensor in zip(heads, tensors, strict=True):
        file.write(head)
        if tensor.name in weights:
            _copy(file, weights[tensor.name].raw(), progress)
    file.write(rest)


def _head(tensor: onnx.TensorProto, weight: Weight | None) -> bytes:
    """The field of an initializer as far as the bytes of `weight`."""
    content = tensor.SerializeToString()
    if weight is None:
        return length_delimited(_GRAPH_INITIALIZER, content)
    content += field_header(_TENSOR_RAW_DATA, weight.file_bytes)
    size = len(content) + weight.file_bytes
    return field_header(_GRAPH_INITIALIZER, size) + content


def _copy(file: BinaryIO, content: memoryview, progress: Progress) -> None:
    for start in range(0, len(content), PIECE):
        progress(file.write(content[start : start + PIECE]))
