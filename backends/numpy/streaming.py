"""
Programs that hold only a window of their weights in memory.

The weights stay mapped from their file. Before each op that reads some, the program
says which step it is at (`reach`): what only earlier steps read is given back, and a
thread reads ahead what comes next, as long as all that is held stays under the limit.
The order of the steps is that of the ops, so that it is known when the program is
written.

    dense(x, w['a'])        ->        reach(0)
                                      dense(x, w['a'])
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation, SSAValue

from ...dialects.fusion import RegionOp
from ...dialects.onnx import OnnxOp
from ...dialects.onnx.provenance import describe
from ..program import LoweringError
from .emitter import NumpyEmitter
from .prepared import weight_key
from .window import reach

LEAST = 1 << 16
"""Weights of fewer bytes stay where they are: their pages hold others too."""


@dataclass
class StreamingEmitter(NumpyEmitter):
    """Writes programs that hold at most `limit` bytes of their weights."""

    limit: int = 0
    steps: list[tuple[str, ...]] = field(default_factory=list[tuple[str, ...]])
    """The weights that are read at each step, from first byte to last."""
    looked_up: dict[str, None] = field(default_factory=dict[str, None])
    """Weights of which only some rows are read: they are not read ahead."""
    _step_of: dict[Operation, int] = field(default_factory=dict[Operation, int])

    def prepare(self, main: FuncOp) -> None:
        self.reserve("LIMIT", "STEPS", "LOOKED_UP")
        super().prepare(main)
        self.pasted.add(reach)
        small = 0
        seen: set[str] = set()
        for op in main.walk():
            parent = op.parent_op()
            if op.name == "onnx.Constant" or isinstance(parent, RegionOp):
                continue
            keys = dict.fromkeys(
                k for v in _read(op) if (k := weight_key(v)) is not None
            )
            large = tuple(k for k in keys if self._bytes(k) >= LEAST)
            small += sum(self._bytes(k) for k in keys if k not in {*large, *seen})
            seen.update(keys)
            if large:
                self._add(op, large)
        self._check(main, small)

    def _add(self, op: Operation, keys: tuple[str, ...]) -> None:
        self._step_of[op] = len(self.steps)
        self.steps.append(keys)
        if op.name == "onnx.Gather":
            key = weight_key(op.operands[0])
            if key in keys and "axis" not in op.properties:
                self.looked_up[key] = None

    def _check(self, main: FuncOp, small: int) -> None:
        """LoweringError if a step reads more than there may be."""
        room = self.limit - small
        for op, number in self._step_of.items():
            whole = [k for k in self.steps[number] if k not in self.looked_up]
            total = sum(self._bytes(key) for key in whole)
            if total > room:
                raise LoweringError(
                    f"{describe(op)}: found {total} bytes of weights, beside {small} "
                    f"that always stay, wanted at most {self.limit}, the memory limit"
                )

    def _bytes(self, key: str) -> int:
        return self.store[key].file_bytes

    def emit(self, main: FuncOp, inputs: Sequence[str]) -> str:
        forward = super().emit(main, inputs)
        rows = "".join(f"    {keys!a},\n" for keys in self.steps)
        head = f"LIMIT = {self.limit}  # bytes of weights in memory\n\n"
        head += f"STEPS = (\n{rows})\n\nLOOKED_UP = {tuple(self.looked_up)!a}"
        return f"{head}\n\n\n{forward}"

    def _emit_op(self, op: OnnxOp | RegionOp) -> None:
        step = self._step_of.get(op)
        if step is not None:
            self.line(f"{self.pasted.add(reach)}({step})")
        super()._emit_op(op)


def _read(op: Operation) -> Sequence[SSAValue]:
    """What `op` reads; for a fused region, what its ops do."""
    if isinstance(op, RegionOp):
        return [value for inner in op.walk() for value in inner.operands]
    return op.operands
