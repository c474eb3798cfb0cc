"""
Which values are held when, and the memory that takes, as a block runs op by op.

A value is live from the op that makes it to the last that uses it; an argument from the
start. Weights and constants are no activations and do not count. A view (Reshape and
its like) shares its operand's buffer, which lives as long as any of them. A fused
region works in the memory of its result.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from xdsl.dialects.func import FuncOp
from xdsl.ir import Block, Operation, SSAValue

from ...dialects.fusion import RegionOp
from ...dialects.onnx import Dim
from ...dialects.onnx.dims import Call, DimError, Monomial, Symbol
from ...dialects.onnx.types import is_none
from .storage import (
    ZERO,
    add_to,
    bytes_of,
    dim_of,
    evaluated,
    is_constant,
    is_view,
)


@dataclass(frozen=True)
class Interval:
    """When a value is live: from op `first` to op `last`, both included."""

    value: SSAValue
    first: int
    """The index of the op that makes it; 0 for an argument of the block."""
    last: int
    """The index of the last op that uses it, in a region too; `first` if none does."""
    size: Dim | None
    """Its bytes; None if they are not known."""
    buffer: SSAValue
    """The value whose memory it is: itself, unless it is a view."""


@dataclass(frozen=True)
class Peak:
    """The bytes that are held while op `index` runs."""

    index: int
    op: Operation
    bytes: Dim


MAX_PEAKS = 16
SAMPLE = 64
"""The size that symbols are given where amounts must be put in an order."""


@dataclass(frozen=True)
class Liveness:
    """The live values of a block, and the bytes they take."""

    ops: tuple[Operation, ...]
    """The ops of the block; an index is a place in here."""
    intervals: Mapping[SSAValue, Interval]
    """The interval of every value of the block but constants, in order."""
    buffers: Mapping[SSAValue, Interval]
    """The interval of every buffer: that of its value and of all its views."""
    footprint: tuple[Dim, ...]
    """
    The bytes that are live while each op runs: its operands, its results, and all that
    is needed later. Those of regions are in it; values of unknown size are not.
    """
    unknown: tuple[SSAValue, ...]
    """The values whose sizes are not known, those in regions too."""

    @staticmethod
    def of(code: FuncOp | Block) -> Liveness:
        """The liveness of a function's body, or of a block."""
        block = code.body.block if isinstance(code, FuncOp) else code
        ops = tuple(block.ops)
        intervals = _intervals(block, ops)
        buffers = _buffers(intervals)
        inner = {
            index: [Liveness.of(r.block) for r in op.regions if r.blocks]
            for index, op in enumerate(ops)
            if op.regions and not isinstance(op, RegionOp)
        }
        unknown = [b.value for b in buffers.values() if b.size is None]
        unknown += [v for bodies in inner.values() for b in bodies for v in b.unknown]
        footprint = _footprint(ops, buffers, inner)
        return Liveness(ops, intervals, buffers, footprint, tuple(unknown))

    def live(self, index: int) -> list[Interval]:
        """The buffers that are held while op `index` runs."""
        return [b for b in self.buffers.values() if b.first <= index <= b.last]

    def peak_at(self, sizes: Mapping[str, int]) -> tuple[int, int] | None:
        """
        The most bytes that are held, and the first op during which, for these `sizes`
        of the symbols; None if a symbol has none.
        """
        best = (0, 0)
        values = {amount: evaluated(amount, sizes) for amount in set(self.footprint)}
        for index, amount in enumerate(self.footprint):
            found = values[amount]
            if found is None:
                return None
            if found > best[0]:
                best = (found, index)
        return best

    @cached_property
    def peaks(self) -> tuple[Peak, ...]:
        """
        The footprints that may be the largest, each with the first op that has it.

        One if there are no symbols, or if it is the largest for all sizes from 1 on.
        Ordered by their values at a size of `SAMPLE`, the largest first; only the first
        `MAX_PEAKS` are there if there are more.
        """
        first: dict[Dim, int] = {}
        for index, amount in enumerate(self.footprint):
            first.setdefault(amount, index)
        names = {name for amount in first for name in amount.symbols}
        sample = dict.fromkeys(sorted(names), SAMPLE)
        ordered = sorted(first, key=lambda a: (-(evaluated(a, sample) or 0), first[a]))
        kept: list[Dim] = []
        for amount in ordered:
            if len(kept) == MAX_PEAKS:
                break
            if not any(_never_exceeds(amount, other) for other in kept):
                kept.append(amount)
        return tuple(Peak(first[a], self.ops[first[a]], a) for a in kept)


def _never_exceeds(small: Dim, large: Dim) -> bool:
    """Whether ``small <= large`` is known for all sizes from 1 on."""
    terms: dict[Monomial, int] = {}
    add_to(terms, large)
    add_to(terms, small, -1)
    rest = dim_of(_bounded_below(terms))
    if rest.constant is None:
        above = {name: Dim.of(name) + Dim.of(1) for name in rest.symbols}
        try:
            rest = rest.substitute(above)
        except DimError:
            return False
    bound = rest.lower_bound
    return bound is not None and bound >= 0


def _bounded_below(terms: Mapping[Monomial, int]) -> dict[Monomial, int]:
    """
    No more than the sum of `terms`: a minimum that is taken away is made larger.

    ``x - min(512, seq)  >=  x - seq``
    """
    found: dict[Monomial, int] = {}
    for monomial, value in terms.items():
        key = tuple(sorted(map(_larger_atom, monomial), key=str))
        key = key if value < 0 else monomial
        found[key] = found.get(key, 0) + value
    return found


def _larger_atom(atom: Symbol | Call) -> Symbol | Call:
    """The symbol that a minimum is of, which it never exceeds; others as they are."""
    if not isinstance(atom, Call) or atom.function != "min":
        return atom
    sides = (atom.left.symbol, atom.right.symbol)
    return next((Symbol(name) for name in sides if name is not None), atom)


def _intervals(block: Block, ops: tuple[Operation, ...]) -> dict[SSAValue, Interval]:
    first: dict[SSAValue, int] = dict.fromkeys(block.args, 0)
    buffers: dict[SSAValue, SSAValue] = {}
    for index, op in enumerate(ops):
        for result in op.results:
            if not is_none(result.type) and not is_constant(result):
                first[result] = index
        if op.results and is_view(op):
            source = op.operands[0]
            buffers[op.results[0]] = buffers.get(source, source)
    last = dict(first)
    for index, op in enumerate(ops):
        for inner in op.walk():
            for operand in inner.operands:
                if operand in last:
                    last[operand] = index
    return {
        value: Interval(
            value, start, last[value], bytes_of(value.type), buffers.get(value, value)
        )
        for value, start in first.items()
    }


def _buffers(intervals: Mapping[SSAValue, Interval]) -> dict[SSAValue, Interval]:
    ends: dict[SSAValue, int] = {}
    for one in intervals.values():
        ends[one.buffer] = max(ends.get(one.buffer, 0), one.last)
    # A view of a constant, or of a value around the block, is in no buffer of ours.
    return {
        value: Interval(value, one.first, ends[value], one.size, value)
        for value, one in intervals.items()
        if one.buffer is value
    }


def _footprint(
    ops: tuple[Operation, ...],
    buffers: Mapping[SSAValue, Interval],
    inner: Mapping[int, list[Liveness]],
) -> tuple[Dim, ...]:
    begins: dict[int, list[Dim]] = {}
    ends: dict[int, list[Dim]] = {}
    for one in buffers.values():
        if one.size is not None:
            begins.setdefault(one.first, []).append(one.size)
            ends.setdefault(one.last, []).append(one.size)
    held: dict[Monomial, int] = {}
    footprint: list[Dim] = []
    now = ZERO
    for index, op in enumerate(ops):
        for size in begins.get(index, ()):
            add_to(held, size)
        if index in begins:
            now = dim_of(held)
        footprint.append(
            _with_regions(now, op, buffers, inner[index]) if index in inner else now
        )
        for size in ends.get(index, ()):
            add_to(held, size, -1)
        if index in ends:
            now = dim_of(held)
    return tuple(footprint)


def _with_regions(
    held: Dim,
    op: Operation,
    buffers: Mapping[SSAValue, Interval],
    bodies: list[Liveness],
) -> Dim:
    """
    The bytes that are held while `op` runs its regions.

    The results of an If are what its branch yields; those of a loop grow beside what
    its body holds.
    """
    results = [buffers[r].size for r in op.results if r in buffers]
    terms: dict[Monomial, int] = {}
    add_to(terms, held)
    if op.name == "onnx.If":
        for size in results:
            add_to(terms, ZERO if size is None else size, -1)
    largest = held
    for body in bodies:
        for amount in dict.fromkeys(body.footprint):
            whole = dict(terms)
            add_to(whole, amount)
            largest = _larger(largest, dim_of(whole))
    return largest


def _larger(one: Dim, other: Dim) -> Dim:
    try:
        return one.maximum(other)
    except DimError:
        # Too many terms to compare; both stand in the expression.
        return Dim((((Call("max", one, other),), 1),))
