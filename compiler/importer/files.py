"""
Opens model files: the graph is parsed, the weights are mapped.

Models come from strangers: external data must lie in the model's folder (symlinks
resolved), and every size is checked against the file before it is mapped.
"""

from __future__ import annotations

import errno
import math
import mmap
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

from ...dialects.errors import SardonyxError
from ...dialects.onnx.proto import array_from_proto, element_name, tensor_shape
from ...dialects.onnx.store import ArrayWeight, MappedWeight, Weight
from ...dialects.onnx.types import Array
from .scan import skeleton

MAX_DENSE_ELEMENTS = 1 << 28
"""The largest sparse tensor that is written out with its zeros."""


MAX_NAME = 1 << 16
"""How many characters a name may have; texts that name nothing may have more."""


class ModelError(SardonyxError):
    """A model that cannot be imported."""


@dataclass
class ModelFile:
    """A parsed model and where its tensors lie."""

    proto: onnx.ModelProto
    folder: Path | None
    """The folder of the file; None for a model in memory."""
    mapped: dict[int, memoryview] = field(default_factory=dict[int, memoryview])
    """The bytes of initializers that were left in the file, by their number."""
    _external: dict[Path, memoryview] = field(default_factory=dict[Path, memoryview])

    @cached_property
    def nodes(self) -> int:
        """How many nodes the file has, those of functions and subgraphs included."""
        bodies = [self.proto.graph, *self.proto.functions]
        return sum(_nodes(body) for body in bodies)

    def weight(self, tensor: onnx.TensorProto, number: int | None = None) -> Weight:
        """
        The tensor as a weight; `number` if it is an initializer of the main graph.

        Raises ModelError if the bytes are missing, too few or too many, or out of
        bounds.
        """
        try:
            if tensor.data_location == onnx.TensorProto.EXTERNAL:
                return self._mapped(tensor, self._external_bytes(tensor))
            if number is not None and number in self.mapped:
                return self._mapped(tensor, self.mapped[number])
            return ArrayWeight(array_from_proto(tensor))
        except (ValueError, OSError) as error:
            raise ModelError(f"tensor {tensor.name!r}: {error}") from error

    def array(self, tensor: onnx.TensorProto) -> Array:
        """A tensor of any element type, strings included, as an array."""
        if tensor.data_type == onnx.TensorProto.STRING:
            try:
                return array_from_proto(tensor)
            except ValueError as error:
                raise ModelError(f"tensor {tensor.name!r}: {error}") from error
        return self.weight(tensor).array()

    def dense(self, sparse: onnx.SparseTensorProto) -> Array:
        """A sparse tensor with its zeros."""
        values, indices = self.array(sparse.values), self.array(sparse.indices)
        shape = tuple(sparse.dims)
        size = math.prod(shape)
        if any(n < 0 for n in shape) or size > MAX_DENSE_ELEMENTS:
            raise ModelError(
                f"sparse tensor {sparse.values.name!r}: shape {list(shape)}"
            )
        full = np.zeros(size, values.dtype)
        try:
            flat = indices
            if indices.ndim == 2:
                flat = np.ravel_multi_index(tuple(indices.T), shape)
            if flat.size and flat.min() < 0:
                raise IndexError("an index is negative")
            if flat.shape != values.shape:
                raise ValueError(f"{flat.size} indices for {values.size} values")
            full[flat] = values
        except (ValueError, IndexError) as error:
            raise ModelError(
                f"sparse tensor {sparse.values.name!r}: {error}"
            ) from error
        return full.reshape(shape)

    def _mapped(self, tensor: onnx.TensorProto, content: memoryview) -> Weight:
        element = element_name(tensor.data_type)
        if element == "string":
            raise ValueError("strings cannot be raw data")
        return MappedWeight(element, tensor_shape(tensor), content)

    def _external_bytes(self, tensor: onnx.TensorProto) -> memoryview:
        entries = {entry.key: entry.value for entry in tensor.external_data}
        file = self._open_external(entries.get("location", ""))
        offset = _natural(entries.get("offset", "0"))
        length = _natural(entries.get("length", str(max(len(file) - offset, 0))))
        if offset + length > len(file):
            raise ValueError(
                f"bytes {offset} to {offset + length} of {entries['location']!r}, "
                f"which has {len(file)}"
            )
        return file[offset : offset + length]

    def _open_external(self, location: str) -> memoryview:
        if self.folder is None:
            raise ValueError("external data of a model in memory")
        if not location or "\0" in location:
            raise ValueError(f"external data location {location!r} is no file name")
        folder = self.folder.resolve()
        try:
            path = (folder / location).resolve()
        except RuntimeError as error:
            raise ValueError(
                f"external data {location!r} is a loop of links"
            ) from error
        if Path(location).is_absolute() or not path.is_relative_to(folder):
            raise ValueError(f"external data {location!r} leaves the model's folder")
        if path not in self._external:
            if not path.is_file():
                raise ValueError(f"external data file {location!r} is missing")
            self._external[path] = map_file(path)
        return self._external[path]


def _nodes(body: onnx.GraphProto | onnx.FunctionProto) -> int:
    inner = [a.g for node in body.node for a in node.attribute if a.HasField("g")]
    return len(body.node) + sum(map(_nodes, inner))


def _natural(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise ValueError(f"{text!r} is no offset or length")
    return int(text)


def map_file(path: Path) -> memoryview:
    """The content of a file, mapped read-only; OSError if it cannot be read."""
    if path.exists() and not path.is_file() and not path.is_dir():
        raise OSError(errno.EINVAL, "Not a regular file", str(path))
    with path.open("rb") as file:
        if not path.stat().st_size:
            return memoryview(b"")
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def open_model(source: str | Path | onnx.ModelProto) -> ModelFile:
    """Open the model at a path, or one in memory; ModelError if it is none."""
    if isinstance(source, onnx.ModelProto):
        _check_text(source, "")
        return ModelFile(source, None)
    path = Path(source)
    try:
        file = map_file(path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ModelError(f"{path}: cannot be read: {reason.lower()}") from error
    try:
        split = skeleton(file)
        proto = onnx.ModelProto.FromString(split.content)
    except (ValueError, DecodeError) as error:
        raise ModelError(f"{path}: not an ONNX model, or truncated: {error}") from error
    if not proto.HasField("graph") or not proto.opset_import:
        raise ModelError(f"{path}: not an ONNX model: found no graph or no opset")
    _check_text(proto, f"{path}: ")
    mapped = {number: file[place] for number, place in split.weights.items()}
    return ModelFile(proto, path.parent, mapped)


def _check_text(message: Message, where: str) -> None:
    """Raise ModelError if a name is not UTF-8: protobuf hands it out as bytes."""
    for entry, value in message.ListFields():
        if entry.type == FieldDescriptor.TYPE_MESSAGE:
            for inner in [value] if isinstance(value, Message) else value:
                _check_text(inner, where)
        elif entry.type == FieldDescriptor.TYPE_STRING:
            for text in [value] if isinstance(value, str | bytes) else value:
                if isinstance(text, bytes):
                    raise ModelError(f"{where}{entry.name} {text!r} is not UTF-8")
                if len(text) > MAX_NAME and entry.name not in _TEXTS:
                    raise ModelError(
                        f"{where}found {entry.name} of {len(text)} characters, "
                        f"wanted at most {MAX_NAME}: {text[:40]!r} …"
                    )


_TEXTS = ("doc_string", "value")
"""The text fields that may be long: `value` is that of metadata."""
