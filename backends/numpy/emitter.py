"""Writes NumPy programs: results with a place in the arena are written there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from xdsl.dialects.func import FuncOp
from xdsl.ir import SSAValue

from ...dialects.fusion import RegionOp
from ...dialects.onnx import OnnxOp
from ...dialects.onnx.types import DTYPE_NAMES, element_of, static_shape
from ...dialects.sched import OUTSIDE, arena_of, offsets_of
from .memory import each_settled, rooms, settled
from .regions import RegionEmitter

Place = tuple[int, str, tuple[int, ...]]
"""Where an array begins in the arena, in bytes; its element type and shape."""


@dataclass
class NumpyEmitter(RegionEmitter):
    """Writes the programs of this backend."""

    arena: int | None = None
    """The bytes of the arena that the function's ops have places in."""
    room_of: dict[str, Place] = field(default_factory=dict[str, Place])
    """Of every result that is written to the arena."""

    def prepare(self, main: FuncOp) -> None:
        super().prepare(main)
        self.arena = arena_of(main)
        if self.arena is not None:
            self.reserve("ARENA", "PLACES", "room")
            self.line(f"room = {self.pasted.add(rooms)}(ARENA, PLACES)")

    def emit(self, main: FuncOp, inputs: Sequence[str]) -> str:
        forward = super().emit(main, inputs)
        if self.arena is None:
            return forward
        rows = [f"    {name!a}: {place!a},\n" for name, place in self.room_of.items()]
        table = "".join(rows)
        head = f"ARENA = {self.arena}  # bytes\n\nPLACES = {{\n{table}}}"
        return f"{head}\n\n\n{forward}"

    def placed(self, op: OnnxOp | RegionOp, call: str) -> str:
        offsets = offsets_of(op)
        if self.arena is None or all(offset == OUTSIDE for offset in offsets):
            return call
        rooms_of = [
            None if offset == OUTSIDE else self._room(result, offset)
            for result, offset in zip(op.results, offsets, strict=True)
        ]
        parameters = self.parameters_of(op)
        if "out" in parameters and rooms_of[0] is not None:
            assert call.endswith(")"), "a call ends with its arguments"
            return f"{call[:-1]}, out={rooms_of[0]})"
        if "outputs" not in parameters:
            return f"{self.pasted.add(settled)}({call}, {rooms_of[0]})"
        targets = ", ".join(map(str, rooms_of))
        return f"{self.pasted.add(each_settled)}({call}, ({targets},))"

    def _room(self, result: SSAValue, offset: int) -> str:
        """The expression for the place of `result`, which the program's table has."""
        element, shape = element_of(result.type), static_shape(result.type)
        assert element is not None, "what has a place has an element type"
        assert shape is not None, "what has a place has a shape"
        name = self.name(result)
        self.room_of[name] = (offset, DTYPE_NAMES[element], tuple(shape))
        return f"room[{name!a}]"
