"""
What a quantized number may be, and how many of them share a scale: plain frozen values.

    real = scale * (stored - zero point)
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_INTEGER = re.compile(r"(u?)int([2-8])")
_FLOATS = {"e4m3": "float8_e4m3fn", "e5m2": "float8_e5m2"}
_LARGEST = {"e4m3": 448.0, "e5m2": 57344.0}
_WIDTHS = (2, 4, 8)
"""The widths in bits of ONNX's integers that a code of fewer bits is stored in."""


@dataclass(frozen=True)
class Format:
    """
    The values that a stored element takes: ``int2`` … ``int8``, ``uint2`` …, fp8.

    Symmetric, the zero point is the middle of the range and the range reaches equally
    far on both sides; affine, it is fitted. `e4m3` and `e5m2` are OCP's 8-bit floats
    (arXiv:2209.05433), which have no zero point.
    """

    name: str
    symmetric: bool = True

    def __post_init__(self) -> None:
        if self.name not in _FLOATS and _INTEGER.fullmatch(self.name) is None:
            wanted = "int2 ... int8, uint2 ... uint8, e4m3 or e5m2"
            raise ValueError(f"found format {self.name!r}, wanted {wanted}")
        if self.is_float and not self.symmetric:
            raise ValueError(f"found {self.name} affine, wanted symmetric")

    @property
    def is_float(self) -> bool:
        """Whether stored elements are floats of 8 bits."""
        return self.name in _FLOATS

    @property
    def signed(self) -> bool:
        """Whether an element may be negative."""
        return not self.name.startswith("u")

    @property
    def bits(self) -> int:
        """The width of an element."""
        return 8 if self.is_float else int(self.name[-1])

    @property
    def element(self) -> str:
        """The ONNX element type that holds it, by a name of `ELEMENT_TYPES`."""
        if self.is_float:
            return _FLOATS[self.name]
        width = next(width for width in _WIDTHS if width >= self.bits)
        return f"{'' if self.signed else 'u'}int{width}"

    @property
    def low(self) -> float:
        """The least element that is used; symmetric, as far from the middle as high."""
        if self.is_float:
            return -_LARGEST[self.name]
        if self.symmetric:
            return self.middle - self.reach
        return -(2 ** (self.bits - 1)) if self.signed else 0

    @property
    def high(self) -> float:
        """The largest element."""
        if self.is_float:
            return _LARGEST[self.name]
        return 2 ** (self.bits - 1) - 1 if self.signed else 2**self.bits - 1

    @property
    def middle(self) -> int:
        """What a real 0 is stored as where the range is symmetric."""
        return 0 if self.is_float or self.signed else 2 ** (self.bits - 1)

    @property
    def reach(self) -> float:
        """How far elements go from the middle in a symmetric range."""
        return self.high - self.middle

    def __str__(self) -> str:
        return self.name if self.symmetric else f"{self.name} affine"


@dataclass(frozen=True)
class Granularity:
    """
    Which elements share a scale: all, those at one index of `axis`, or a group.

    A group is `size` neighbours along `axis`; the last one may be smaller. Without an
    axis one scale holds for the whole tensor.
    """

    axis: int | None = None
    size: int = 0

    def __post_init__(self) -> None:
        if self.size < 0 or (self.axis is None and self.size):
            raise ValueError(f"found groups of {self.size}, wanted an axis and a size")

    @property
    def kind(self) -> str:
        """``tensor``, ``axis`` or ``group``."""
        if self.axis is None:
            return "tensor"
        return "group" if self.size else "axis"

    def scales(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the scales of a tensor of `shape`, as ONNX has it."""
        if self.axis is None:
            return ()
        axis = self.axis % len(shape)
        if not self.size:
            return (shape[axis],)
        return (*shape[:axis], -(-shape[axis] // self.size), *shape[axis + 1 :])

    def __str__(self) -> str:
        size = f" {self.size}" if self.size else ""
        return self.kind + ("" if self.axis is None else f" {self.axis}{size}")


@dataclass(frozen=True)
class Scheme:
    """How a tensor is quantized."""

    form: Format
    per: Granularity = Granularity()

    def bits_per_element(self, shape: tuple[int, ...], scale_bits: int = 32) -> float:
        """What an element takes on disk, its part of scales and zero points too."""
        count, scales = _product(shape), _product(self.per.scales(shape))
        zero = 0 if self.form.symmetric else self.form.bits
        return self.form.bits + scales * (scale_bits + zero) / max(count, 1)

    def __str__(self) -> str:
        return f"{self.form}, {self.per}"


def _product(sizes: tuple[int, ...]) -> int:
    total = 1
    for size in sizes:
        total *= size
    return total
