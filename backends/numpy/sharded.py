"""
Writes per-device programs for one process: every value is a list, a part per device.

    linear = [matmul(np, mul, val) for mul, val in zip(mul, val)]  # MatMul q
    add = all_reduce(linear, [[0, 1], [2, 3]])

What the JAX program must give, without its compiler, its threads and its collectives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from xdsl.ir import Operation, SSAValue

from ...dialects.onnx import OnnxOp
from ...dialects.onnx.provenance import describe
from ...dialects.sdy import (
    AllGatherOp,
    AllReduceOp,
    AllSliceOp,
    AllToAllOp,
    CollectiveOp,
    ManualComputationOp,
    Mesh,
    ReturnOp,
)
from ...dialects.sdy.shardings import part
from ..interpreted import PythonEmitter
from ..kernels.collectives import (
    all_gather,
    all_reduce,
    all_slice,
    all_to_all,
    divided,
    united,
)
from ..program import LoweringError, origin


@dataclass
class ShardedEmitter(PythonEmitter):
    """Writes functions that are one `sdy.manual_computation`."""

    listed: set[SSAValue] = field(default_factory=set[SSAValue])
    """The values that are lists with a part per device."""

    mesh: Mesh = field(default_factory=lambda: Mesh(()))

    def emit_other(self, op: Operation) -> None:
        if isinstance(op, ManualComputationOp):
            self._computation(op)
        elif isinstance(op, CollectiveOp):
            call = self._collective(op)
            target = self.define(op.result, op.result.name_hint)
            self.line(f"{target} = {call}  # {origin(op)}")
            self.listed.add(op.result)
        elif not isinstance(op, ReturnOp):
            super().emit_other(op)

    def _computation(self, op: ManualComputationOp) -> None:
        self.mesh, block = op.mesh, op.body.block
        cut, join = self.pasted.add(divided), self.pasted.add(united)
        for value, whole, sharding in zip(
            block.args, op.tensors, op.in_shardings.data, strict=True
        ):
            source = self.name(whole)
            target = self.define(value, value.name_hint)
            self.line(f"{target} = {cut}({source}, {self._parts(sharding.axes)})")
            self.listed.add(value)
        self.emit_block(block)
        last = block.last_op
        assert isinstance(last, ReturnOp), "the body ends with sdy.return"
        for result, value, sharding in zip(
            op.results, last.arguments, op.out_shardings.data, strict=True
        ):
            source = self.name(value)
            target = self.define(result, result.name_hint)
            self.line(f"{target} = {join}({source}, {self._parts(sharding.axes)})")

    def _parts(self, layout: Sequence[Sequence[str]]) -> str:
        """In how many parts each dimension is, and which of them each device has."""
        mesh = self.mesh
        counts = tuple(mesh.size(axes) for axes in layout)
        places = [
            tuple(part(place, axes, mesh.sizes) for axes in layout)
            for place in mesh.places()
        ]
        return f"{counts!r}, {places!r}"

    def emit_call(self, op: OnnxOp) -> None:
        names = dict.fromkeys(self.name(v) for v in op.operands if v in self.listed)
        if not names:
            super().emit_call(op)
            return
        call, targets = self.call(op), self.targets(op)
        each = f"({', '.join(names)},)" if len(names) == 1 else ", ".join(names)
        computed = f"[{call} for {each} in zip({', '.join(names)})]"
        if "," in targets:
            computed = f"zip(*{computed})"
        self.line(f"{targets} = {computed}  # {origin(op)}")
        self.listed.update(op.results)

    def emit_region_op(self, op: OnnxOp) -> None:
        raise LoweringError(f"{describe(op)}: not supported on devices")

    def _collective(self, op: CollectiveOp) -> str:
        value, mesh = self.name(op.operand), self.mesh
        if op.operand not in self.listed:
            # A constant of the program: every device has it.
            value = f"[{value}] * {mesh.devices}"
        groups = f"{mesh.groups(op.axes)}"
        match op:
            case AllReduceOp():
                return f"{self.pasted.add(all_reduce)}({value}, {groups})"
            case AllGatherOp():
                for dim, axes in enumerate(op.lists.data):
                    if axes:
                        name, groups = self.pasted.add(all_gather), mesh.groups(axes)
                        value = f"{name}({value}, {groups}, {dim})"
                return value
            case AllToAllOp():
                source, target = op.dims
                name = self.pasted.add(all_to_all)
                return f"{name}({value}, {groups}, {source}, {target})"
            case AllSliceOp():
                parts = self._parts(op.lists.data)
                return f"{self.pasted.add(all_slice)}({value}, {parts})"
            case _:
                summed = f"{self.pasted.add(all_reduce)}({value}, {groups})"
                parts = self._parts(op.lists.data)
                return f"{self.pasted.add(all_slice)}({summed}, {parts})"
