"""
The tensors that the IR names but does not hold, and the context that carries them.

`#onnx.weight<"key">` is resolved in a `WeightStore`. A weight knows its dtype and shape
without being read; its bytes are read, or computed, when somebody asks.
"""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import TensorType
from xdsl.ir import Attribute

from .journal import Journal
from .packing import file_bytes, pack, unpack
from .types import ELEMENT_TYPES, Array, element_type, numpy_dtype

ALIGNMENT = 64
"""Bytes: a cache line, and what JAX wants of an array that it does not copy."""


class Weight(ABC):
    """A tensor that is read when it is asked for."""

    element: str
    """Its element type, by a name of `ELEMENT_TYPES`."""
    shape: tuple[int, ...]

    @abstractmethod
    def array(self) -> Array:
        """The tensor; sub-byte elements take a byte each. Never to be written to."""

    @abstractmethod
    def raw(self) -> memoryview:
        """Its bytes as a file has them: row-major, little-endian, sub-byte packed."""

    @property
    def type(self) -> TensorType[Attribute]:
        """The type of a constant that holds this weight."""
        return TensorType(ELEMENT_TYPES[self.element], self.shape)

    @property
    def kind(self) -> tuple[tuple[int, ...], np.dtype[Any]]:
        """The shape and dtype of `array`."""
        return self.shape, numpy_dtype(ELEMENT_TYPES[self.element])

    @property
    def size(self) -> int:
        """The number of its elements."""
        return math.prod(self.shape)

    @property
    def file_bytes(self) -> int:
        """The length of `raw`."""
        return file_bytes(self.element, self.shape)

    @cached_property
    def hash(self) -> str:
        """SHA-256 over element type, shape and bytes."""
        digest = hashlib.sha256(f"{self.element}{self.shape}".encode())
        digest.update(self.raw())
        return digest.hexdigest()


class ArrayWeight(Weight):
    """A weight in memory."""

    def __init__(self, array: Array):
        self.element = _element_name(array)
        self.shape = array.shape
        self._array = array

    def array(self) -> Array:
        return self._array

    def raw(self) -> memoryview:
        return pack(self._array, self.element)


class MappedWeight(Weight):
    """A weight in a mapped file: `buffer` is its slice, little-endian and packed."""

    def __init__(self, element: str, shape: tuple[int, ...], buffer: memoryview):
        wanted = file_bytes(element, shape)
        if len(buffer) != wanted:
            raise ValueError(
                f"{len(buffer)} bytes for {element}{list(shape)}: {wanted}"
            )
        self.element = element
        self.shape = shape
        self._buffer = buffer

    def array(self) -> Array:
        return unpack(self._buffer, self.element, self.shape)

    def raw(self) -> memoryview:
        return self._buffer


class DerivedWeight(Weight):
    """
    A weight that is computed from others: each time it is asked for, or once if `kept`.
    """

    def __init__(
        self,
        element: str,
        shape: tuple[int, ...],
        compute: Callable[[], Array],
        kept: bool = False,
    ):
        self.element = element
        self.shape = shape
        self._compute = cache(compute) if kept else compute

    def array(self) -> Array:
        array = self._compute()
        assert array.shape == self.shape, "a derived weight has the shape it promised"
        return array

    def raw(self) -> memoryview:
        return pack(self.array(), self.element)


@dataclass
class WeightStore:
    """Named weights. Keys are stable: a key that was given out keeps its tensor."""

    _weights: dict[str, Weight] = field(default_factory=dict[str, Weight])
    fold_budget: int | None = None
    """How many elements folding may still write; None until it begins."""

    def add(self, key: str, weight: Weight | Array) -> str:
        """
        Store `weight` under `key`, or `key.1` … if that is taken; returns the key.
        """
        unique, count = key, 0
        # safetensors keeps notes under a key of its own.
        while unique in self._weights or unique == "__metadata__":
            count += 1
            unique = f"{key}.{count}"
        weight = ArrayWeight(weight) if isinstance(weight, np.ndarray) else weight
        self._weights[unique] = weight
        return unique

    def __getitem__(self, key: str) -> Weight:
        return self._weights[key]

    def __contains__(self, key: str) -> bool:
        return key in self._weights

    def __iter__(self) -> Iterator[str]:
        return iter(self._weights)

    def __len__(self) -> int:
        return len(self._weights)

    def keys(self) -> frozenset[str]:
        """The keys that have been given out."""
        return frozenset(self._weights)

    def keep(self, keys: frozenset[str]) -> None:
        """Forget every weight whose key is not in `keys`."""
        self._weights = {k: w for k, w in self._weights.items() if k in keys}

    def copy(self) -> WeightStore:
        """A store with the same weights, to which more can be added apart."""
        return WeightStore(dict(self._weights), self.fold_budget)


@dataclass
class OnnxContext(Context):
    """xDSL's context with the weights of the module at hand, and the pass's journal."""

    store: WeightStore = field(default_factory=WeightStore)
    journal: Journal = field(default_factory=Journal)
    """What the pass at hand did and declined."""

    def clone(self) -> OnnxContext:
        copy = super().clone()
        fields = {name: getattr(copy, name) for name in copy.__dataclass_fields__}
        clone = OnnxContext(fields.pop("allow_unregistered"))
        for name, value in fields.items():
            setattr(clone, name, value)
        clone.store = self.store.copy()
        return clone


def aligned_empty(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """
    An array to be written, at an address that is a multiple of `ALIGNMENT`.

    JAX reads such an array where it lies, any other it copies first.
    """
    count = math.prod(shape) * dtype.itemsize
    if dtype.hasobject or not count:
        return np.empty(shape, dtype)
    room = np.empty(count + ALIGNMENT, np.uint8)
    start = -room.ctypes.data % ALIGNMENT
    return room[start : start + count].view(dtype).reshape(shape)


def store_of(ctx: Context) -> WeightStore | None:
    """The store that `ctx` carries; None for a context that is not ours."""
    return ctx.store if isinstance(ctx, OnnxContext) else None


def _element_name(array: Array) -> str:
    kind = element_type(array.dtype)
    name = next(n for n, k in ELEMENT_TYPES.items() if k == kind)
    if name == "string" or numpy_dtype(kind) != array.dtype:
        raise ValueError(f"a weight cannot hold {array.dtype}")
    return name
