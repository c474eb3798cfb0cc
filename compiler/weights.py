"""
Weight files: safetensors, written in pieces and mapped.

safetensors names fewer element types than ONNX. A tensor of another type is stored as
bytes, and its element type and shape stand in the header's metadata under ``logical``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from ..backends.runtime import FILE_DTYPES
from ..dialects.errors import SardonyxError
from ..dialects.onnx import WeightStore
from ..dialects.onnx.store import MappedWeight, Weight
from ..dialects.onnx.types import ELEMENT_TYPES
from .importer.files import map_file

_NAMES = {element: name for name, element in FILE_DTYPES.items()}
_PIECE = 1 << 24
"""
Bytes are written in pieces of this size, so that a mapped file never fills memory.
"""
_ALIGNMENT = 64
MAX_HEADER = 1 << 28


class WeightsError(SardonyxError):
    """A weight file that cannot be read."""


Progress = Callable[[int], object]
"""Told how many bytes were written since it was told last."""


def ignored(count: int) -> None:
    """Progress that nobody looks at."""


def write_weights(
    path: Path, store: WeightStore, keys: Iterable[str], progress: Progress = ignored
) -> None:
    """
    Write the weights called `keys` as a safetensors file at `path`.

    Tensors whose size is a multiple of 64 bytes come first, so that they are aligned to
    64 and can be used where they lie; then larger elements before smaller ones, so that
    every tensor is aligned to its own element size.
    """
    ordered = sorted(keys, key=lambda key: (*_place(store[key]), key))
    header: dict[str, object] = {}
    logical: dict[str, tuple[str, tuple[int, ...]]] = {}
    offset = 0
    for key in ordered:
        weight = store[key]
        end = offset + weight.file_bytes
        name, shape = _NAMES.get(weight.element), list(weight.shape)
        if name is None:
            logical[key] = (weight.element, weight.shape)
            name, shape = "U8", [weight.file_bytes]
        header[key] = {"dtype": name, "shape": shape, "data_offsets": [offset, end]}
        offset = end
    if logical:
        header["__metadata__"] = {"logical": json.dumps(logical)}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(len(text) + 8) % _ALIGNMENT)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for key in ordered:
            content = store[key].raw()
            for start in range(0, len(content), _PIECE):
                progress(file.write(content[start : start + _PIECE]))


def _place(weight: Weight) -> tuple[bool, int]:
    """What sorts a weight to where it is aligned."""
    width = weight.file_bytes // weight.size if weight.size else 0
    return weight.file_bytes % _ALIGNMENT != 0, -width


def read_weights(path: Path, store: WeightStore) -> None:
    """
    Add the tensors of a safetensors file to `store`, mapped; WeightsError if it is bad.
    """
    try:
        content = map_file(path)
        size = int.from_bytes(content[:8], "little")
        if len(content) < 8 or size > min(MAX_HEADER, len(content) - 8):
            raise ValueError("the header ends beyond the file")
        header = json.loads(bytes(content[8 : 8 + size]))
        logical = json.loads(header.pop("__metadata__", {}).get("logical", "{}"))
        data = content[8 + size :]
        for key, entry in header.items():
            _add(store, key, entry, logical, data)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise WeightsError(f"{path}: cannot be read: {reason}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise WeightsError(f"{path}: not a weight file: {error}") from error


def _add(
    store: WeightStore,
    key: str,
    entry: dict[str, object],
    logical: dict[str, tuple[str, list[int]]],
    data: memoryview,
) -> None:
    start, end = entry["data_offsets"]  # pyright: ignore
    if not 0 <= start <= end <= len(data):
        raise ValueError(f"{key!r} lies beyond the file")
    element, shape = logical.get(
        key, (FILE_DTYPES.get(str(entry["dtype"]), ""), entry["shape"])
    )
    if element not in ELEMENT_TYPES:
        raise ValueError(f"{key!r} has unknown dtype {entry['dtype']!r}")
    if not all(type(n) is int for n in shape):  # pyright: ignore
        raise ValueError(f"{key!r} has shape {shape}")
    sizes = tuple(int(n) for n in shape)  # pyright: ignore
    if any(n < 0 for n in sizes) or key in store:
        raise ValueError(f"{key!r} has shape {list(sizes)}, or stands twice")
    store.add(key, MappedWeight(element, sizes, data[start:end]))


def write_beside(path: Path, content: str) -> None:
    """Write a text file whole or not at all: beside its goal, then renamed."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(content, encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
