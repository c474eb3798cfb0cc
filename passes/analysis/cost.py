"""
What an op costs: arithmetic, bytes read and written, parameters.

Amounts are polynomials in the symbolic dimensions; one that is not known is None.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce

from xdsl.dialects.builtin import DenseArrayBase
from xdsl.ir import Block, Operation, SSAValue

from ...dialects.fusion import RegionOp
from ...dialects.onnx import DenseAttr, Dim, OnnxOp, WeightAttr, YieldOp
from ...dialects.onnx.attributes import python_value
from ...dialects.onnx.integers import IntegerValues
from ...dialects.onnx.types import DTYPE_NAMES, element_of, is_none, shape_of
from .flops import work_of
from .storage import (
    CONSTANTS,
    ZERO,
    bytes_of,
    elements_of,
    flag,
    is_view,
    total,
)


@dataclass(frozen=True)
class Cost:
    """What running an op once takes; None is an amount that is not known."""

    flops: Dim | None
    """Arithmetic operations; a multiply-add is 2."""
    transcendentals: Dim | None
    """Evaluations of exp, log, sqrt, pow, erf, tanh … which are no flops."""
    bytes_read: Dim | None
    """
    The bytes of the operands, each once, weights included.

    An op that picks elements (Gather, Slice) reads what it picks; one that only gives a
    buffer another shape, or asks for one, reads nothing.
    """
    bytes_written: Dim | None
    """The bytes of the results."""
    parameters: int | None
    """The elements of the weights that the op uses; see `weights_of`."""

    @property
    def amounts(self) -> tuple[Dim | None, ...]:
        """The amounts that are polynomials, in their order."""
        return self.flops, self.transcendentals, self.bytes_read, self.bytes_written


FREE = Cost(ZERO, ZERO, ZERO, ZERO, 0)


def op_cost(op: Operation, integers: IntegerValues | None = None) -> Cost:
    """
    The cost of `op`. Constants and terminators cost nothing.

    A fused region costs what its ops do, but reads and writes only its operands and
    results. An If costs what its larger branch does, amount by amount; a Loop or Scan
    its body times its trips, and what cannot be known before running is None.
    `integers` (of the module's store) tells trip counts and the like that are computed
    in the graph.
    """
    if op.name in CONSTANTS or not op.results:
        return FREE
    integers = IntegerValues(None) if integers is None else integers
    if isinstance(op, RegionOp):
        return _fused_cost(op, integers)
    if not isinstance(op, OnnxOp):
        return Cost(None, None, None, None, None)
    if op.has_body:
        return _region_cost(op, integers)
    work = work_of(op, integers)
    return Cost(
        None if work is None else work.flops,
        None if work is None else work.transcendentals,
        bytes_read(op),
        bytes_written(op),
        parameters_of(op),
    )


def _fused_cost(op: RegionOp, integers: IntegerValues) -> Cost:
    """The work of all in a fused region; what its ops hand on stays in the cache."""
    within = block_cost(op.block, integers)
    read = _sum([bytes_of(value.type) for value in dict.fromkeys(op.operands)])
    written = _sum([bytes_of(kind) for kind in op.result_types])
    return Cost(within.flops, within.transcendentals, read, written, parameters_of(op))


# --- bytes ---

PICKED = {
    "onnx.Gather": (1,),
    "onnx.GatherElements": (1,),
    "onnx.GatherND": (1,),
    "onnx.Shape": None,
    "onnx.Size": None,
    "onnx.Slice": (1, 2, 3, 4),
}
"""
Operators that read as much as they write, and the operands that say what; None for
those that look at no element.
"""


def bytes_read(op: OnnxOp) -> Dim | None:
    """See `Cost.bytes_read`."""
    if is_view(op):
        return ZERO
    read = list(dict.fromkeys(op.operands))
    if op.name in PICKED:
        which = PICKED[op.name]
        if which is None:
            return ZERO
        read = [op.results[0], *(op.operands[i] for i in which if i < len(op.operands))]
    return _sum([bytes_of(value.type) for value in read])


def bytes_written(op: OnnxOp) -> Dim | None:
    """See `Cost.bytes_written`."""
    if is_view(op):
        return ZERO
    return _sum([bytes_of(kind) for kind in op.result_types])


def _sum(amounts: Sequence[Dim | None]) -> Dim | None:
    known = [amount for amount in amounts if amount is not None]
    return total(known) if len(known) == len(amounts) else None


# --- parameters ---

NO_PARAMETERS = ("int64", "bool", "string")
"""Element types of shapes, indices, masks and texts."""

WeightKey = str | SSAValue
"""A weight's key in the store, or the constant that holds it in the text."""


def weights_of(op: Operation) -> dict[WeightKey, int]:
    """
    How many elements each weight has that `op`, or an op in its regions, uses.

    A weight is a constant operand of rank 1 or more whose elements are neither int64,
    bool nor string: those are shapes, indices and masks; scalars are settings.
    """
    found: dict[WeightKey, int] = {}
    for inner in op.walk():
        for operand in inner.operands:
            owner = operand.owner
            if isinstance(owner, OnnxOp) and owner.name == "onnx.Constant":
                count = _parameters(operand)
                if count:
                    held = owner.properties.get("value")
                    key = held.data if isinstance(held, WeightAttr) else operand
                    found[key] = count
    return found


def parameters_of(op: Operation) -> int | None:
    """The elements of `op`'s weights; None if it has some in its attributes."""
    if any(_in_attributes(inner) for inner in op.walk()):
        return None
    return sum(weights_of(op).values())


def _parameters(value: SSAValue) -> int:
    element = element_of(value.type)
    count = elements_of(value.type)
    name = None if element is None else DTYPE_NAMES.get(element)
    if count is None or name is None or name in NO_PARAMETERS:
        return 0
    return (count.constant or 0) if shape_of(value.type) else 0


def _in_attributes(op: Operation) -> bool:
    """Whether the attributes may hold parameters, as those of onnx_ml's trees do."""
    if not isinstance(op, OnnxOp) or op.name.startswith("onnx."):
        return False
    kinds = (DenseArrayBase, DenseAttr, WeightAttr)
    return any(isinstance(value, kinds) for value in op.properties.values())


# --- regions ---


def _region_cost(op: OnnxOp, integers: IntegerValues) -> Cost:
    bodies = [
        block_cost(region.block, integers) for region in op.regions if region.blocks
    ]
    weights = parameters_of(op)
    try:
        if op.name == "onnx.If":
            return _combined(bodies, Dim.maximum, weights)
        trips = trips_of(op, integers)
        if trips is None:
            return Cost(None, None, None, None, weights)
        count = Cost(trips, trips, trips, trips, None)
        return _combined([*bodies, count], Dim.__mul__, weights)
    except (IndexError, ValueError):
        # As in `work_of`.
        return Cost(None, None, None, None, weights)


def block_cost(block: Block, integers: IntegerValues) -> Cost:
    """
    The cost of all ops of a block; an amount is None if it is None for one of them.
    """
    costs = [op_cost(op, integers) for op in block.ops]
    columns = zip(*(cost.amounts for cost in [FREE, *costs]), strict=True)
    weights: dict[WeightKey, int] = {}
    for op in block.ops:
        weights |= weights_of(op)
    known = all(cost.parameters is not None for cost in costs)
    flops, curves, read, written = map(_sum, columns)
    return Cost(flops, curves, read, written, sum(weights.values()) if known else None)


def _combined(
    costs: Sequence[Cost], combine: Callable[[Dim, Dim], Dim], parameters: int | None
) -> Cost:
    def one(amounts: Sequence[Dim | None]) -> Dim | None:
        known = [amount for amount in amounts if amount is not None]
        return reduce(combine, known) if len(known) == len(amounts) else None

    columns = zip(*(cost.amounts for cost in costs), strict=True)
    flops, curves, read, written = map(one, columns)
    return Cost(flops, curves, read, written, parameters)


MAX_TRIPS = 1 << 31
"""Exporters write the largest integers where a loop has no bound but its condition."""


def trips_of(op: OnnxOp, integers: IntegerValues) -> Dim | None:
    """How often the body of a Loop or Scan runs; None if that is not known."""
    if op.name == "onnx.Scan":
        return _slices(op)
    if op.name != "onnx.Loop" or not _always(op):
        return None
    if is_none(op.operands[0].type):
        return None
    items = integers.of(op.operands[0])
    count = None if items is None or items.size != 1 else items.reshape(-1)[0]
    if count is None or (count.constant or 0) >= MAX_TRIPS:
        return None
    return count.maximum(ZERO)


def _slices(op: OnnxOp) -> Dim | None:
    scanned: int = python_value(op.properties["num_scan_inputs"])
    given = op.properties.get("scan_input_axes")
    axes: tuple[int, ...] = (0,) * scanned if given is None else python_value(given)
    for operand, axis in zip(op.operands[-scanned:], axes, strict=True):
        shape = shape_of(operand.type)
        length = None if shape is None else shape[axis]
        if length is not None:
            return length
    return None


def _always(op: OnnxOp) -> bool:
    """Whether a Loop runs as often as its trip count says: no condition ends it."""
    block = op.regions[0].block
    last = block.last_op
    assert isinstance(last, YieldOp), "a region ends with onnx.yield"
    goes_on, starts = _source(last.operands[0]), op.operands[1]
    begun = is_none(starts.type) or flag(_source(starts)) is True
    return begun and (goes_on is block.args[1] or flag(goes_on) is True)


def _source(value: SSAValue) -> SSAValue:
    """What `value` is a copy of."""
    while isinstance(value.owner, OnnxOp) and value.owner.name == "onnx.Identity":
        value = value.owner.operands[0]
    return value
