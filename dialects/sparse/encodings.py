"""
How a weight ``[K, N]`` with zeros is stored: plain frozen values with exact densities.

`K` inputs are summed over and `N` outputs are given. Where zeros lie is shared by
groups of outputs, which then are one smaller product of the inputs that they keep, or
it is free.
"""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from fractions import Fraction

INDEX_BYTES = 4
"""Of an index of what a group keeps: int32."""


class EncodingError(ValueError):
    """An encoding that there is not, or that a weight cannot have."""


class Encoding(ABC):
    """Which elements of a weight ``[K, N]`` are stored, and how they are found."""

    @abstractmethod
    def check(self, shape: tuple[int, int]) -> None:
        """Raise EncodingError unless a weight of `shape` can be encoded so."""

    @abstractmethod
    def stored(self, shape: tuple[int, int]) -> int:
        """How many elements of a weight of `shape` are stored."""

    @abstractmethod
    def index_bytes(self, shape: tuple[int, int]) -> int:
        """How many bytes tell where these lie."""

    def density(self, shape: tuple[int, int]) -> Fraction:
        """The exact part of the elements that is stored."""
        return Fraction(self.stored(shape), math.prod(shape))

    def bytes(self, shape: tuple[int, int], itemsize: int = 4) -> int:
        """What a weight with elements of `itemsize` bytes takes, all in all."""
        return self.stored(shape) * itemsize + self.index_bytes(shape)


def _positive(name: str, **numbers: int) -> None:
    for what, number in numbers.items():
        if number < 1:
            raise EncodingError(f"found {name} with {what} {number}, wanted 1 or more")


@dataclass(frozen=True)
class NM(Encoding):
    """
    Of every `m` inputs one after another at most `n` are kept: ``nm 2 4``.

    Each output keeps its own; `shared`, all outputs keep the same.
    """

    n: int
    m: int
    shared: bool = False

    def __post_init__(self) -> None:
        _positive("nm", n=self.n, m=self.m)
        if self.n > self.m:
            raise EncodingError(f"found nm {self.n} of {self.m}, wanted at most all")

    def check(self, shape: tuple[int, int]) -> None:
        if shape[0] % self.m:
            raise EncodingError(
                f"found {shape[0]} inputs, wanted a multiple of {self.m}"
            )

    def stored(self, shape: tuple[int, int]) -> int:
        return shape[0] // self.m * self.n * shape[1]

    def index_bytes(self, shape: tuple[int, int]) -> int:
        if self.shared:
            return shape[0] // self.m * self.n * INDEX_BYTES
        return mask_bytes(shape)

    def __str__(self) -> str:
        return f"nm {self.n} {self.m}" + (" shared" if self.shared else "")


@dataclass(frozen=True)
class GroupShared(Encoding):
    """
    `group` outputs one after another keep the same `kept` inputs: ``group_shared 128
    512``.
    """

    group: int
    kept: int

    def __post_init__(self) -> None:
        _positive("group_shared", group=self.group, kept=self.kept)

    def check(self, shape: tuple[int, int]) -> None:
        depth, width = shape
        if width % self.group:
            raise EncodingError(f"found {width} outputs in groups of {self.group}")
        if self.kept > depth:
            raise EncodingError(f"found {self.kept} kept of {depth} inputs")

    def stored(self, shape: tuple[int, int]) -> int:
        return self.kept * shape[1]

    def index_bytes(self, shape: tuple[int, int]) -> int:
        return shape[1] // self.group * self.kept * INDEX_BYTES

    def __str__(self) -> str:
        return f"group_shared {self.group} {self.kept}"


@dataclass(frozen=True)
class Block(Encoding):
    """
    Blocks of `inputs` by `outputs`; every column of blocks keeps `kept`: ``block 16 64
    8``.
    """

    inputs: int
    outputs: int
    kept: int

    def __post_init__(self) -> None:
        _positive("block", inputs=self.inputs, outputs=self.outputs, kept=self.kept)

    def check(self, shape: tuple[int, int]) -> None:
        depth, width = shape
        if depth % self.inputs or width % self.outputs:
            found = f"{depth}x{width} in blocks of {self.inputs}x{self.outputs}"
            raise EncodingError(f"found {found}")
        if self.kept > depth // self.inputs:
            raise EncodingError(f"found {self.kept} kept of {depth // self.inputs}")

    def stored(self, shape: tuple[int, int]) -> int:
        return self.kept * self.inputs * shape[1]

    def index_bytes(self, shape: tuple[int, int]) -> int:
        return shape[1] // self.outputs * self.kept * INDEX_BYTES

    def __str__(self) -> str:
        return f"block {self.inputs} {self.outputs} {self.kept}"


@dataclass(frozen=True)
class Bitmap(Encoding):
    """A bit for every element, and the `nonzero` elements alone: ``bitmap 524288``."""

    nonzero: int

    def __post_init__(self) -> None:
        if self.nonzero < 0:
            raise EncodingError(f"found bitmap of {self.nonzero} elements")

    def check(self, shape: tuple[int, int]) -> None:
        if self.nonzero > math.prod(shape):
            raise EncodingError(f"found {self.nonzero} of {math.prod(shape)} elements")

    def stored(self, shape: tuple[int, int]) -> int:
        return self.nonzero

    def index_bytes(self, shape: tuple[int, int]) -> int:
        return mask_bytes(shape)

    def __str__(self) -> str:
        return f"bitmap {self.nonzero}"


def mask_bytes(shape: tuple[int, int]) -> int:
    """The bytes of a bit for every element, each output's rounded up."""
    depth, width = shape
    return width * -(-depth // 8)


_FORMS = {
    "nm": re.compile(r"nm (\d+) (\d+)( shared)?"),
    "group_shared": re.compile(r"group_shared (\d+) (\d+)"),
    "block": re.compile(r"block (\d+) (\d+) (\d+)"),
    "bitmap": re.compile(r"bitmap (\d+)"),
}
KINDS = tuple(_FORMS)
"""The names of the encodings."""


def parse_encoding(text: str) -> Encoding:
    """The encoding that `str` gave as `text`; EncodingError for anything else."""
    kind = text.partition(" ")[0]
    if kind not in _FORMS:
        raise EncodingError(f"found encoding {kind!r}, wanted {', '.join(KINDS)}")
    match = _FORMS[kind].fullmatch(text)
    if match is None:
        raise EncodingError(f"found {text!r}, wanted {_FORMS[kind].pattern!r}")
    if kind == "nm":
        return NM(int(match[1]), int(match[2]), match[3] is not None)
    if kind == "group_shared":
        return GroupShared(int(match[1]), int(match[2]))
    if kind == "block":
        return Block(int(match[1]), int(match[2]), int(match[3]))
    return Bitmap(int(match[1]))
