"""How values are stored: their bytes, and which of them share a buffer."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from xdsl.ir import Attribute, Operation, SSAValue

from ...dialects.onnx import DenseAttr, Dim, OnnxOp
from ...dialects.onnx.dims import DimError, Monomial, product
from ...dialects.onnx.packing import BITS, dtype_of
from ...dialects.onnx.types import (
    DTYPE_NAMES,
    element_of,
    is_none,
    shape_of,
    static_shape,
)

ZERO = Dim(())


def bytes_of(kind: Attribute) -> Dim | None:
    """
    The bytes of a tensor, row-major, elements of less than 8 bits packed as in files.

    None where a size is not known, and for strings, sequences, optionals and maps.
    """
    if is_none(kind):
        return ZERO
    element = element_of(kind)
    name = None if element is None else DTYPE_NAMES.get(element)
    count = elements_of(kind)
    if name is None or name == "string" or count is None:
        return None
    bits = BITS.get(name, 8 * dtype_of(name).itemsize)
    if count.constant is not None:
        return Dim.of((count.constant * bits + 7) // 8)
    try:
        whole = (count * Dim.of(bits)).divided_by(Dim.of(8))
        return (
            (count * Dim.of(bits) + Dim.of(7)) // Dim.of(8) if whole is None else whole
        )
    except DimError:
        return None


def elements_of(kind: Attribute) -> Dim | None:
    """How many elements a tensor has; None where a size is not known."""
    sizes = static_shape(kind)
    if sizes is not None:
        return Dim.of(math.prod(sizes))
    shape = shape_of(kind)
    known = [dim for dim in shape or () if dim is not None]
    if shape is None or len(known) != len(shape):
        return None
    try:
        return product(known)
    except DimError:
        return None


def is_view(op: Operation) -> bool:
    """Whether the first result of `op` is its first operand under another shape."""
    if op.name == "onnx.Dropout":
        return not _trains(op)
    return op.name in VIEWS


VIEWS = frozenset(
    f"onnx.{name}"
    for name in ("BitCast", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze")
)
"""Operators that leave a row-major buffer as it is."""


def _trains(op: Operation) -> bool:
    """Whether a Dropout may be in training mode."""
    mode = op.operands[2]
    return not is_none(mode.type) and flag(mode) is not False


def is_constant(value: SSAValue) -> bool:
    """Whether `value` is a weight or a constant, or absent."""
    owner = value.owner
    return isinstance(owner, Operation) and owner.name in CONSTANTS


CONSTANTS = frozenset(["onnx.Constant", "onnx.none"])


def flag(value: SSAValue) -> bool | None:
    """The boolean that `value` is, if it is a constant of one element."""
    op = value.owner
    if not isinstance(op, OnnxOp) or op.name != "onnx.Constant":
        return None
    held = op.properties.get("value")
    if not isinstance(held, DenseAttr):
        return None
    array = held.array()
    return bool(array.reshape(-1)[0]) if array.size == 1 else None


def total(amounts: Iterable[Dim]) -> Dim:
    """
    The sum; unlike ``+`` it takes as many terms as there are, for it adds each once.
    """
    return dim_of(gathered(amounts))


def gathered(amounts: Iterable[Dim]) -> dict[Monomial, int]:
    """The coefficients of the sum, by monomial."""
    terms: dict[Monomial, int] = {}
    for amount in amounts:
        add_to(terms, amount)
    return terms


def add_to(terms: dict[Monomial, int], amount: Dim, times: int = 1) -> None:
    """Add `times` (1 or -1) `amount` to the coefficients in `terms`."""
    for monomial, value in amount.terms:
        terms[monomial] = terms.get(monomial, 0) + times * value


def dim_of(terms: Mapping[Monomial, int]) -> Dim:
    """The dimension with these coefficients, in canonical form."""
    kept = [(monomial, value) for monomial, value in terms.items() if value]
    if len(kept) > 1:
        kept.sort(key=lambda term: (not term[0], "*".join(map(str, term[0]))))
    return Dim(tuple(kept))


def evaluated(amount: Dim, sizes: Mapping[str, int]) -> int | None:
    """
    What `amount` is at `sizes`; None if they leave a symbol or a division by 0.

    At least 0: n elements reduced to m are n - m operations, and n may be 0.
    """
    values = (Dim((term,)).substitute(sizes).constant for term in amount.terms)
    known = [value for value in values if value is not None]
    return max(sum(known), 0) if len(known) == len(amount.terms) else None
