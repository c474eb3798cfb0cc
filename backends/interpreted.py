"""Writes ops as calls of NumPy kernels, and control flow as Python statements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from xdsl.dialects.func import FuncOp
from xdsl.ir import Block, SSAValue

from ..dialects.onnx import OnnxOp
from ..dialects.onnx.attributes import python_value
from ..dialects.onnx.types import DTYPE_NAMES, element_of, is_none, shape_of
from .control import scan_slice, stack_turns
from .program import Emitter, LoweringError, origin, yielded


@dataclass
class PythonEmitter(Emitter):
    """
    Writes NumPy programs: one line per op, control flow as Python's.

    The NumPy backend's whole program is so written, and what JAX leaves to the host.
    """

    xp: ClassVar[str] = "np"

    def prepare(self, main: FuncOp) -> None:
        # Before any value is named, so that none takes their names.
        if any(isinstance(op, OnnxOp) and op.has_body for op in main.walk()):
            self.pasted.add(scan_slice)
            self.pasted.add(stack_turns)

    def namespace(self, op: OnnxOp) -> str:
        return self.xp

    def emit_region_op(self, op: OnnxOp) -> None:
        match op.name:
            case "onnx.If":
                self._if(op)
            case "onnx.Loop":
                self._loop(op)
            case "onnx.Scan":
                self._scan(op)
            case _:
                self._sequence_map(op)

    def _if(self, op: OnnxOp) -> None:
        results = [self.define(r, r.name_hint) for r in op.results]
        then_branch, else_branch = _branches(op)
        self.line(f"if bool({self.name(op.operands[0])}):  # {origin(op)}")
        self._branch(then_branch, results)
        self.line("else:")
        self._branch(else_branch, results)

    def _branch(self, block: Block, results: Sequence[str]) -> None:
        self.level += 1
        self.emit_block(block)
        values = [self.name(v) for v in yielded(block)]
        for result, value in zip(results, values, strict=True):
            self.line(f"{result} = {value}")
        if not results:
            self.line("pass")
        self.level -= 1

    def _loop(self, op: OnnxOp) -> None:
        limit, condition, *initial = op.operands
        block = op.regions[0].block
        turn, keep, *states = (self.define(a, a.name_hint) for a in block.args)
        count, go = self.fresh("turn"), self.fresh("go")
        scanned = yielded(block)[1 + len(states) :]
        turns = [self.fresh("turns") for _ in scanned]
        for state, value in zip(states, initial, strict=True):
            self.line(f"{state} = {self.name(value)}  # {origin(op)}")
        for name in turns:
            self.line(f"{name} = []")
        given = "True" if is_none(condition.type) else f"bool({self.name(condition)})"
        self.line(f"{count}, {go} = 0, {given}")
        bounded = not is_none(limit.type)
        within = f" and {count} < {self.name(limit)}.item()" if bounded else ""
        self.line(f"while {go}{within}:  # {origin(op)}")
        self.level += 1
        self.line(f"{turn}, {keep} = np.asarray({count}, 'int64'), np.asarray({go})")
        self.emit_block(block)
        after, *values = [self.name(v) for v in yielded(block)]
        for name, value in zip(turns, values[len(states) :], strict=True):
            self.line(f"{name}.append({value})")
        # The condition may be an old state: all are assigned at once.
        self._assign(
            [count, go, *states],
            [f"{count} + 1", f"bool({after})", *values[: len(states)]],
        )
        self.level -= 1
        for result, state in zip(op.results, states, strict=False):
            self.line(f"{self.define(result, result.name_hint)} = {state}")
        self._stack(op, turns, scanned, len(states), (), ())

    def _scan(self, op: OnnxOp) -> None:
        attributes = {n: python_value(a) for n, a in op.properties.items()}
        count = attributes["num_scan_inputs"]
        block = op.regions[0].block
        parameters = [self.define(a, a.name_hint) for a in block.args]
        states, slices = parameters[:-count], parameters[-count:]
        operands = [self.name(v) for v in op.operands]
        sources = operands[-count:]
        axes = attributes.get("scan_input_axes") or (0,) * count
        backwards = attributes.get("scan_input_directions") or (0,) * count
        scanned = yielded(block)[len(states) :]
        turns = [self.fresh("turns") for _ in scanned]
        for state, value in zip(states, operands, strict=False):
            self.line(f"{state} = {value}  # {origin(op)}")
        for name in turns:
            self.line(f"{name} = []")
        turn, slicer = self.fresh("turn"), self.pasted.add(scan_slice)
        self.line(
            f"for {turn} in range({sources[0]}.shape[{axes[0]}]):  # {origin(op)}"
        )
        self.level += 1
        for name, source, axis, back in zip(
            slices, sources, axes, backwards, strict=True
        ):
            self.line(f"{name} = {slicer}(np, {source}, {axis}, {turn}, {bool(back)})")
        self.emit_block(block)
        values = [self.name(v) for v in yielded(block)]
        for name, value in zip(turns, values[len(states) :], strict=True):
            self.line(f"{name}.append({value})")
        self._assign(states, values[: len(states)])
        self.level -= 1
        for result, state in zip(op.results, states, strict=False):
            self.line(f"{self.define(result, result.name_hint)} = {state}")
        output_axes = attributes.get("scan_output_axes") or ()
        directions = attributes.get("scan_output_directions") or ()
        self._stack(op, turns, scanned, len(states), output_axes, directions)

    def _stack(
        self,
        op: OnnxOp,
        turns: Sequence[str],
        scanned: Sequence[SSAValue],
        first: int,
        axes: Sequence[int],
        backwards: Sequence[int],
    ) -> None:
        """Write the scan outputs, the results of `op` from number `first` on."""
        stacker = self.pasted.add(stack_turns) if turns else ""
        for place, (name, value) in enumerate(zip(turns, scanned, strict=True)):
            element = element_of(value.type)
            if element is None:
                raise LoweringError(f"{origin(op)}: a scan output is {value.type}")
            result = op.results[first + place]
            dims = shape_of(value.type) or ()
            shape = tuple((d.constant or 0) if d is not None else 0 for d in dims)
            arguments = [name, ascii(DTYPE_NAMES[element]), repr(shape)]
            if axes or backwards:
                arguments.append(str(axes[place] if axes else 0))
                arguments.append(str(bool(backwards[place]) if backwards else False))
            target = self.define(result, result.name_hint)
            self.line(f"{target} = {stacker}(np, {', '.join(arguments)})")

    def _sequence_map(self, op: OnnxOp) -> None:
        block = op.regions[0].block
        parameters = [self.define(a, a.name_hint) for a in block.args]
        lists = [self.define(r, r.name_hint) for r in op.results]
        for name in lists:
            self.line(f"{name} = []")
        turn = self.fresh("turn")
        operands = [self.name(v) for v in op.operands]
        self.line(f"for {turn} in range(len({operands[0]})):  # {origin(op)}")
        self.level += 1
        for name, source, value in zip(parameters, operands, op.operands, strict=True):
            is_sequence = element_of(value.type) is None
            self.line(
                f"{name} = {source}[{turn}]" if is_sequence else f"{name} = {source}"
            )
        self.emit_block(block)
        for name, value in zip(lists, yielded(block), strict=True):
            self.line(f"{name}.append({self.name(value)})")
        self.level -= 1

    def _assign(self, targets: Sequence[str], values: Sequence[str]) -> None:
        """All at once: a new state may be another's old one."""
        if targets:
            self.line(f"{', '.join(targets)} = {', '.join(values)}")


def _branches(op: OnnxOp) -> tuple[Block, Block]:
    names = [name for name, _ in op.get_irdl_definition().regions]
    regions = dict(zip(names, op.regions, strict=True))
    return regions["then_branch"].block, regions["else_branch"].block
