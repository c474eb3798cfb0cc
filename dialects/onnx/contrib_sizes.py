"""Arithmetic of sizes that may be unknown, for the rules of contrib operators."""

from __future__ import annotations

from .dims import Dim
from .facts import Facts
from .types import Shape


def number(facts: Facts, name: str) -> Dim | None:
    """The attribute `name`, unknown where it is 0 or absent."""
    value = facts.attribute(name)
    return Dim.of(value) if value else None


def size_of(shape: Shape | None, axis: int) -> Dim | None:
    """A size of a shape, unknown if the shape is."""
    return shape[axis] if shape else None


def times(a: Dim | None, b: Dim | None) -> Dim | None:
    """``a * b``."""
    return None if a is None or b is None else a * b


def part(a: Dim | None, b: Dim | None) -> Dim | None:
    """``a // b``."""
    return None if a is None or b is None else a // b


def plus(a: Dim | None, b: Dim | None) -> Dim | None:
    """``a + b``."""
    return None if a is None or b is None else a + b
