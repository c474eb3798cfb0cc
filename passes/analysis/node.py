"""What the rules of the cost analysis see of an op: sizes and attributes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from xdsl.ir import Attribute

from ...dialects.onnx import Dim, OnnxOp
from ...dialects.onnx.attributes import default_attribute, python_value
from ...dialects.onnx.dims import product
from ...dialects.onnx.integers import IntegerValues, flat
from ...dialects.onnx.types import is_none, shape_of
from .storage import total

Sizes = tuple[Dim, ...]


class UnknownSize(Exception):
    """A size that a formula needs is not known; the amount is not known then."""


@dataclass(frozen=True)
class Work:
    """
    Arithmetic operations, and evaluations of transcendental functions apart.

    A multiply-add is 2 `flops`. Like XLA, exp, log, sqrt, pow, erf, tanh, sin and their
    like are counted as `transcendentals` and not as flops. Operations on integers count
    as those on floats do.
    """

    flops: Dim
    transcendentals: Dim = Dim(())  # noqa: RUF009 -- a Dim is a value

    def __add__(self, other: Work) -> Work:
        return Work(
            self.flops + other.flops, self.transcendentals + other.transcendentals
        )


def times(*factors: int | Dim) -> Dim:
    """The product of sizes and numbers."""
    number, rest = 1, list[Dim]()
    for factor in factors:
        known = factor if isinstance(factor, int) else factor.constant
        if known is not None:
            number *= known
        elif isinstance(factor, Dim):
            rest.append(factor)
    return product([*rest, Dim.of(number)]) if rest else Dim.of(number)


def plus(*terms: int | Dim) -> Dim:
    """The sum of sizes and numbers."""
    return total(map(Dim.of, terms))


@dataclass(frozen=True)
class Node:
    """An op, as the rules ask about it; UnknownSize where there is no answer."""

    op: OnnxOp
    integers: IntegerValues

    def shape(self, index: int) -> Sizes:
        """The sizes of an operand."""
        return _sizes(self.op.operands[index].type)

    def result(self, index: int = 0) -> Sizes:
        """The sizes of a result."""
        return _sizes(self.op.results[index].type)

    def size(self, index: int) -> Dim:
        """How many elements an operand has."""
        return times(*self.shape(index))

    def result_size(self, index: int = 0) -> Dim:
        """How many elements a result has."""
        return times(*self.result(index))

    def present(self, index: int) -> bool:
        """Whether an optional operand is there."""
        operands = self.op.operands
        return index < len(operands) and not is_none(operands[index].type)

    def integer(self, index: int) -> Dim:
        """The one integer that an operand holds."""
        items = self.integers.of(self.op.operands[index])
        found = [] if items is None else flat(items)
        if len(found) != 1 or found[0] is None:
            raise UnknownSize
        return found[0]

    def attribute(self, name: str) -> Any:
        """An attribute's Python value, the schema's default, or None."""
        value = self.op.properties.get(name)
        if value is None:
            value = default_attribute(self.op.schema(), name)
        return None if value is None else python_value(value)

    def count(self, name: str) -> int:
        """An attribute that is a number from 1 on and must be there."""
        value = self.attribute(name)
        if not isinstance(value, int) or value < 1:
            raise UnknownSize
        return value


def _sizes(kind: Attribute) -> Sizes:
    shape = shape_of(kind)
    if shape is None:
        raise UnknownSize
    known = tuple(dim for dim in shape if dim is not None)
    if len(known) != len(shape):
        raise UnknownSize
    return known


def constant(size: Dim) -> int:
    """The number that `size` is, for formulas that are no polynomials."""
    if size.constant is None:
        raise UnknownSize
    return size.constant


def without(shape: Sizes, axis: int) -> Dim:
    """The product of the sizes beside `axis`."""
    if not -len(shape) <= axis < len(shape):
        raise UnknownSize
    axis %= len(shape)
    return times(*shape[:axis], *shape[axis + 1 :])
