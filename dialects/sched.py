"""
Schedules in the IR: where the results of ops lie in one block of memory, the arena.

They are notes on ops of other dialects, so that whoever does not know them may ignore
them: ``{sched.offsets = array<i64: 128>}``, on the function ``{sched.arena = 4096}``.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import DenseArrayBase, IntegerAttr, i64
from xdsl.dialects.func import FuncOp
from xdsl.ir import Dialect, Operation

OFFSETS = "sched.offsets"
"""On an op: for every result where it begins in the arena, in bytes."""
ARENA = "sched.arena"
"""On a function: the bytes of the arena that its ops' offsets are in."""
ALIGNMENT = 64
"""Every offset is a multiple of this many bytes: a cache line, and AVX-512's width."""
OUTSIDE = -1
"""The offset of a result that is not in the arena."""


def offsets_of(op: Operation) -> tuple[int, ...]:
    """Where the results of `op` begin in the arena; `OUTSIDE` where it is not told."""
    found = op.attributes.get(OFFSETS)
    if not isinstance(found, DenseArrayBase):
        return (OUTSIDE,) * len(op.results)
    offsets = tuple(int(offset) for offset in found.get_values())
    return offsets if len(offsets) == len(op.results) else (OUTSIDE,) * len(op.results)


def set_offsets(op: Operation, offsets: Sequence[int]) -> None:
    """Note where the results of `op` begin; nothing if none is in the arena."""
    if any(offset != OUTSIDE for offset in offsets):
        op.attributes[OFFSETS] = DenseArrayBase.from_list(i64, offsets)
    else:
        op.attributes.pop(OFFSETS, None)


def arena_of(function: FuncOp) -> int | None:
    """The bytes of the arena of `function`; None if it has no plan."""
    found = function.attributes.get(ARENA)
    return found.value.data if isinstance(found, IntegerAttr) else None


def set_arena(function: FuncOp, size: int) -> None:
    """Note the bytes of the arena of `function`."""
    function.attributes[ARENA] = IntegerAttr(size, i64)


def clear_plan(function: FuncOp) -> None:
    """Take away what `set_arena` and `set_offsets` noted."""
    function.attributes.pop(ARENA, None)
    for op in function.walk():
        op.attributes.pop(OFFSETS, None)


Sched = Dialect("sched", [], [])
