"""
Which results of a block can lie in one arena, and which may share a buffer there.

A buffer is held from the op that makes its first value to the last use of all it holds:

- views (Reshape and its like) have their operand's buffer;
- strided views (Transpose, Slice …) point into it, so that it is held as long;
- an elementwise op writes over an operand that nobody reads any more, if it has the
  same element type and as many elements.

Outside stay constants, what leaves the block (the caller keeps it) and what leaving
values may point into, results whose size is not known, strings, sequences, and what ops
with regions give. Such a result may, unless its op is known to make new memory, point
into any operand: that is then held as long.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute, Block, Operation, SSAValue

from ...dialects.onnx.packing import dtype_of
from ...dialects.onnx.types import DTYPE_NAMES, element_of, is_none, static_shape
from .elementwise import ELEMENTWISE
from .liveness import Interval, Liveness
from .storage import CONSTANTS, is_view

STRIDED = frozenset(["onnx.Expand", "onnx.Slice", "onnx.Split", "onnx.Transpose"])
"""Operators whose results NumPy gives as views with other strides."""

_NEW = """
    ArgMax ArgMin AveragePool BatchNormalization Concat Conv ConvTranspose Gemm
    GlobalAveragePool GlobalMaxPool GroupNormalization InstanceNormalization LRN
    LayerNormalization LogSoftmax MatMul MaxPool RMSNormalization Softmax Where
"""
# Where is written in two steps, of which the first would destroy what the second
# reads; SwiGLU's operand has twice as many elements as its result.
_BY_ELEMENT = frozenset(ELEMENTWISE) - {"SwiGLU", "Where"}

IN_PLACE = frozenset(f"onnx.{n}" for n in (*_BY_ELEMENT, "Clip", "Gelu", "Max", "Min"))
"""Operators that read of a full operand only the element that they write."""

_FOLDED = frozenset(["onnx.Max", "onnx.Min"])
"""Operators that take one operand after another: the last ones are read late."""

FUSED = "fusion.region"
"""Ops that run as one kernel: what they hold within is no buffer of the block."""

_IMAGES = ("AveragePool", "BatchNormalization", "Conv", "LRN", "MaxPool")

FRESH = frozenset(
    [
        FUSED,
        *(f"onnx.{name}" for name in (*_BY_ELEMENT, "Gelu", *_NEW.split())),
        *(f"nhwc.{name}" for name in _IMAGES),
        "fourier.Conv",
        "sparse.BitmapMatMul",
        "sparse.MatMul",
    ]
)
"""
Operators whose results are new memory, never a view of an operand.

Clip without bounds is none, nor Max of one operand.
"""


@dataclass(frozen=True)
class Buffer:
    """Memory that values have one after another."""

    values: tuple[SSAValue, ...]
    """What is written there, in order; each but the first over the one before."""
    first: int
    """The index in the block of the op that makes the first value."""
    last: int
    """The index of the last op that reads what is in it."""
    bytes: int


@dataclass(frozen=True)
class Demand:
    """What a buffer must hold whatever the order of the ops."""

    value: SSAValue
    bytes: int
    readers: tuple[Operation, ...]
    """The ops of the block that read it, or what points into it."""
    over: tuple[Operation, ...]
    """Those that may write their result over it, if no other reads it later."""


def buffers_of(code: FuncOp | Block) -> tuple[Buffer, ...]:
    """The buffers that can lie in an arena, in the order in which they are made."""
    block = _block(code)
    draft = _drafted(block)
    for index, op in enumerate(block.ops):
        draft.write_over(index, op)
    return draft.buffers()


def demands_of(code: FuncOp | Block) -> tuple[Demand, ...]:
    """What `buffers_of` gives when no op writes over another's result."""
    block = _block(code)
    draft = _drafted(block)
    over: dict[SSAValue, list[Operation]] = {buffer: [] for buffer in draft.held}
    for op in block.ops:
        for target in dict.fromkeys(draft.targets(op)):
            over[target].append(op)
    found: list[Demand] = []
    for buffer, ops in over.items():
        uses = (use for value in draft.pointing[buffer] for use in value.uses)
        readers = dict.fromkeys(_within(block, use.operation) for use in uses)
        size = stored_bytes(buffer.type)
        assert size is not None, "what is stored has a size"
        found.append(Demand(buffer, size, tuple(readers), tuple(ops)))
    return tuple(found)


def _block(code: FuncOp | Block) -> Block:
    return code.body.block if isinstance(code, FuncOp) else code


def _within(block: Block, op: Operation) -> Operation:
    """The op of `block` that is `op`, or has it in a region."""
    found = block.find_ancestor_op_in_block(op)
    assert found is not None, "a value is used in its own block, or below it"
    return found


def _drafted(block: Block) -> _Draft:
    draft = _Draft(Liveness.of(block).intervals)
    end = block.last_op
    assert end is not None, "a block has a terminator"
    for op in block.ops:
        draft.place(op, end)
    draft.release(end)
    return draft


def _is_fresh(op: Operation) -> bool:
    """Whether the results of `op` are new memory, never a view of an operand."""
    if op.name == "onnx.Clip":
        return not all(is_none(bound.type) for bound in op.operands[1:])
    if op.name.startswith("onnx.Reduce"):
        # Along no axes, or axes of size 1, it may give its operand.
        after, before = (stored_bytes(v.type) for v in (op.results[0], op.operands[0]))
        return after is not None and before is not None and after < before
    return op.name in FRESH


def stored_bytes(kind: Attribute) -> int | None:
    """
    The bytes of an array of type `kind`, sub-byte elements a byte each.

    None where a size is not known, and for strings, sequences, optionals and maps.
    """
    element, shape = element_of(kind), static_shape(kind)
    name = None if element is None else DTYPE_NAMES.get(element)
    if name is None or name == "string" or shape is None:
        return None
    return math.prod(shape) * dtype_of(name).itemsize


@dataclass
class _Draft:
    """Buffers while they are found, each named by its first value."""

    intervals: Mapping[SSAValue, Interval]
    points_into: dict[SSAValue, frozenset[SSAValue]] = field(
        default_factory=dict[SSAValue, frozenset[SSAValue]]
    )
    """The buffers that a value may be, or be a part of."""
    whole: dict[SSAValue, SSAValue] = field(default_factory=dict[SSAValue, SSAValue])
    """The buffer of which a value is all, row by row."""
    strided: set[SSAValue] = field(default_factory=set[SSAValue])
    """Values whose elements may not stand row by row."""
    held: dict[SSAValue, list[SSAValue]] = field(
        default_factory=dict[SSAValue, list[SSAValue]]
    )
    """The values of every buffer."""
    pointing: dict[SSAValue, list[SSAValue]] = field(
        default_factory=dict[SSAValue, list[SSAValue]]
    )
    """The values that point into every buffer."""
    last: dict[SSAValue, int] = field(default_factory=dict[SSAValue, int])

    def place(self, op: Operation, end: Operation) -> None:
        """Give the results of `op` buffers; `end` is the block's last op."""
        if op.name in CONSTANTS:
            return
        for result in op.results:
            if result not in self.intervals:
                continue
            if self._is_view(op, result):
                source = op.operands[0]
                self.points_into[result] = self._pointed(source)
                if source in self.whole and op.name not in STRIDED:
                    self.whole[result] = self.whole[source]
                if op.name in STRIDED or source in self.strided:
                    self.strided.add(result)
            elif self._may_be_stored(op, result, end):
                self.held[result] = [result]
                self.whole[result] = result
                self.points_into[result] = frozenset([result])
            elif not _is_fresh(op):
                self.strided.add(result)
                self.points_into[result] = frozenset[SSAValue]().union(
                    *(self._pointed(v) for inner in op.walk() for v in inner.operands)
                )

    def _is_view(self, op: Operation, result: SSAValue) -> bool:
        if op.name in STRIDED:
            return True
        if not is_view(op) or result is not op.results[0]:
            return False
        # Of another shape, what does not stand row by row is copied.
        same_shape = op.operands[0].type == result.type
        return same_shape or op.operands[0] not in self.strided

    @staticmethod
    def _may_be_stored(op: Operation, result: SSAValue, end: Operation) -> bool:
        if (op.regions and op.name != FUSED) or not stored_bytes(result.type):
            return False
        return not any(use.operation is end for use in result.uses)

    def _pointed(self, value: SSAValue) -> frozenset[SSAValue]:
        return self.points_into.get(value, frozenset())

    def release(self, end: Operation) -> None:
        """Take out what leaves the block; say until when the others are held."""
        leaving = {buffer for v in end.operands for buffer in self._pointed(v)}
        for buffer in leaving:
            self.held.pop(buffer, None)
        for buffer in self.held:
            self.last[buffer] = self.intervals[buffer].first
            self.pointing[buffer] = []
        for value, buffers in self.points_into.items():
            for buffer in buffers & self.held.keys():
                self.pointing[buffer].append(value)
                last = self.intervals[value].last
                self.last[buffer] = max(self.last[buffer], last)

    def write_over(self, index: int, op: Operation) -> None:
        """Let `op` write over an operand that nobody reads any more."""
        free = (t for t in self.targets(op) if self.last[t] == index)
        target, result = next(free, None), op.results[0] if op.results else None
        if target is None or result is None:
            return
        self.held[target] += self.held.pop(result)
        self.last[target] = self.last.pop(result)
        moved = self.pointing.pop(result)
        self.pointing[target] += moved
        for value in moved:
            self.points_into[value] = self.points_into[value] - {result} | {target}
            if self.whole.get(value) is result:
                self.whole[value] = target

    def targets(self, op: Operation) -> Iterator[SSAValue]:
        """The buffers that `op` may write over if no later op reads them."""
        if op.name not in IN_PLACE or op.results[0] not in self.held:
            return
        if len(op.operands) > 2 and op.name in _FOLDED:
            return
        kind = op.results[0].type
        for operand in op.operands:
            target = self.whole.get(operand)
            if target is None or target not in self.held:
                continue
            if element_of(operand.type) != element_of(kind):
                continue
            if stored_bytes(operand.type) != stored_bytes(kind):
                continue
            # An operand that is a part, or turned, would be read after it is gone.
            others = (v for v in op.operands if target in self._pointed(v))
            if all(self.whole.get(v) is target for v in others):
                yield target

    def buffers(self) -> tuple[Buffer, ...]:
        return tuple(self._made())

    def _made(self) -> Iterator[Buffer]:
        for buffer, values in self.held.items():
            size = stored_bytes(buffer.type)
            assert size is not None, "what is stored has a size"
            first = self.intervals[buffer].first
            yield Buffer(tuple(values), first, self.last[buffer], size)
