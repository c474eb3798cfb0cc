"""
Fused regions as functions: a product, and what follows in place on its result.

    def conv_sum_relu(x, w, b, other, out=None, **attributes):
        y = conv(np, x, w, b, out=out, **attributes)
        y = sum_of(np, y, other, out=y)
        return relu(np, y, out=y)

An elementwise kernel that takes ``out`` may be given its first operand as that. Going
over the result part by part instead, all functions on a part that stays in the cache,
was measured and is no faster: what the last function wrote is in the cache anyway, and
those with many temporaries go part by part themselves.
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation, SSAValue

from ...dialects.fusion import (
    EITHER_IN_PLACE,
    ELEMENTWISE,
    LEAVES,
    PRODUCTS,
    VIEWS,
    RegionOp,
    gives_operand,
)
from ...dialects.onnx import DenseAttr, OnnxOp
from ...dialects.onnx.types import is_none
from ..interpreted import PythonEmitter
from ..kernels import Kernel
from ..kernels.apply import kernel_attributes, wanted_outputs
from ..program import origin
from .depth_first import function_by_rows, runs_by_rows
from .region_names import RegionNames, constant_number

LONGEST_FORMULA = 74


@dataclass(frozen=True)
class RegionFunction:
    """The function that a region became in the program."""

    name: str
    attributes: Mapping[str, Any]
    """What a call gives by name: the attributes of the product."""
    parameters: Collection[str]


@dataclass
class RegionEmitter(PythonEmitter):
    """Writes NumPy programs in which a fused region is a call of one function."""

    functions: dict[Operation, RegionFunction] = field(
        default_factory=dict[Operation, RegionFunction]
    )

    def prepare(self, main: FuncOp) -> None:
        super().prepare(main)
        known: dict[str, str] = {}
        for op in main.walk():
            if not isinstance(op, RegionOp):
                continue
            if runs_by_rows(op, self.table):
                given = (op, self.table, self.pasted, self.literal, known)
                self.functions[op] = RegionFunction(
                    function_by_rows(*given), {}, ["out"]
                )
            elif is_one_kernel(op, self.table):
                writer = _Writer(op, self.table, self.pasted, self.literal)
                self.functions[op] = writer.function(known)

    def is_function(self, op: Operation | None) -> bool:
        return op in self.functions

    def parameters_of(self, op: OnnxOp | RegionOp) -> Collection[str]:
        """The names of the parameters of what the line of `op` calls."""
        if isinstance(op, RegionOp):
            return self.functions[op].parameters
        return _parameters(self.kernel(op))

    def emit_fused(self, op: RegionOp) -> None:
        function = self.functions.get(op)
        if function is None:
            super().emit_fused(op)
            return
        arguments = [self.name(value) for value in op.inputs]
        given = function.attributes.items()
        arguments += [f"{name}={self.literal(value)}" for name, value in given]
        result = self.define(op.outputs[0], op.outputs[0].name_hint)
        call = self.placed(op, f"{function.name}({', '.join(arguments)})")
        self.line(f"{result} = {call}  # {origin(op)}")


def is_one_kernel(region: RegionOp, table: Mapping[str, Kernel]) -> bool:
    """
    Whether NumPy runs `region` as one function: a product, then elementwise ops.

    A pass or an expansion may have put other ops there.
    """
    ops = region.ops
    known = ELEMENTWISE | PRODUCTS | VIEWS
    products = [op for op in ops if op.name in PRODUCTS]
    ready = all(_is_given(v, ops) for op in products for v in op.operands)
    constants = [op for op in region.block.ops if op.name == "onnx.Constant"]
    in_text = all(isinstance(op.properties.get("value"), DenseAttr) for op in constants)
    if len(products) > 1 or not ready or not in_text or len(region.outputs) != 1:
        return False
    uses = [use for op in ops if op.name in VIEWS for use in op.results[0].uses]
    if any(use.operation.name not in PRODUCTS | VIEWS for use in uses):
        return False
    return all(op.name in known and _has_kernel(op, table) for op in ops)


def _is_given(value: SSAValue, ops: Collection[OnnxOp]) -> bool:
    """Whether `value` is there before any of `ops` computes, perhaps reshaped."""
    op = value.owner
    if not isinstance(op, OnnxOp) or op not in ops:
        return True
    return op.name in VIEWS and _is_given(op.operands[0], ops)


def _has_kernel(op: OnnxOp, table: Mapping[str, Kernel]) -> bool:
    kernel = table.get(op.name)
    if kernel is None or gives_operand(op):
        # Nobody may write over an operand that the function did not make.
        return False
    return kernel_attributes(op).keys() <= _parameters(kernel).keys()


class _Writer(RegionNames):
    """Writes the function of one region."""

    def function(self, known: dict[str, str]) -> RegionFunction:
        """The function; `known` has the names by text of those that are pasted."""
        ops = self.region.ops
        self.taken.update(self.pasted.add(self.table[op.name]) for op in ops)
        # What only the epilogue reads may stand before the product.
        ordered = sorted(ops, key=_stage)
        parameters = self.parameters(ordered)
        product = next((op for op in ops if op.name in PRODUCTS), None)
        attributes = {} if product is None else kernel_attributes(product)
        lines = _Lines(self, ordered)
        parameters += ["out=None"] * lines.takes_out
        parameters += ["**attributes"] * lines.takes_attributes
        said = self._said()
        text = "\n    ".join([f"({', '.join(parameters)}):", *said, *lines.texts])
        if text not in known:
            wanted = "_".join(op.op_type().lower() for op in ops)
            known[text] = self.pasted.write(wanted, text)
        taken = ["out"] if lines.takes_out else []
        return RegionFunction(known[text], attributes, taken)

    def _said(self) -> list[str]:
        """The docstring, if the formula fits a line."""
        formula = self._formula(self.region.yielded[0])
        return [f'"""``{formula}``."""'] if len(formula) <= LONGEST_FORMULA else []

    def _formula(self, value: SSAValue) -> str:
        op = value.owner
        if not isinstance(op, OnnxOp) or op.name in LEAVES:
            number = constant_number(value)
            return self.text(value) if number is None else str(number)
        given = [self._formula(v) for v in op.operands if not is_none(v.type)]
        # Shared values stand there more than once; what is too long is not shown.
        return f"{op.op_type()}({', '.join(given)})"[: LONGEST_FORMULA + 1]


class _Lines:
    """
    The lines of a function, each op written over an operand where that may be.

    Values have the names of the buffers that they are in; ``y`` is the first's.
    """

    def __init__(self, writer: _Writer, ops: Sequence[OnnxOp]):
        self.writer = writer
        self.ops = ops
        self.first = next(op for op in ops if op.name not in VIEWS)
        self.reserved = frozenset(writer.taken)
        self.takes_out = True
        self.texts: list[str] = []
        if not self._written_to("out"):
            # The result is elsewhere, whatever memory the first is given.
            self.takes_out = False
            self._written_to("")
        self.takes_attributes = any("**attributes" in text for text in self.texts)

    def _written_to(self, out: str) -> bool:
        """Write the lines; whether the result is where the first was told to write."""
        self.texts = []
        self.writer.taken = set(self.reserved)
        self.names = dict(self.writer.names)
        self.reads = Counter(v for op in self.ops for v in op.operands)
        home = bool(out) and self._takes_out(self.first)
        for op in self.ops:
            first, last = op is self.first, op is self.ops[-1]
            for operand in op.operands:
                self.reads[operand] -= 1
            target = out if first else self._target(op, last and home)
            target = target if self._takes_out(op) else ""
            buffer = target if target not in ("", "out") else self._buffer(op)
            home = home and not (last and buffer != "y")
            call = self._call(op, target)
            self.texts.append(f"return {call}" if last else f"{buffer} = {call}")
            self.names[op.results[0]] = buffer
        return home

    def _takes_out(self, op: OnnxOp) -> bool:
        # A view is of an operand's memory.
        takes = "out" in _parameters(self.writer.table[op.name])
        return takes and op.name not in VIEWS

    def _buffer(self, op: OnnxOp) -> str:
        """A name for new memory, or for a view."""
        if op is self.first:
            return "y"
        return self.writer.fresh("seen" if op.name in VIEWS else "z")

    def _target(self, op: OnnxOp, at_home: bool) -> str:
        """The buffer to write over, which nothing reads later; empty for a new one."""
        either = op.name in EITHER_IN_PLACE and len(op.operands) == 2
        mine = [op.results[0] for op in self.ops if op.name not in VIEWS]
        over = [
            self.names[value]
            for value in (op.operands if either else op.operands[:1])
            if value in mine and not self.reads[value]
        ]
        used = [self.names.get(value) for value in op.operands]
        if at_home and "y" not in used:
            return "y"
        return "y" if "y" in over else over[0] if over else ""

    def _call(self, op: OnnxOp, target: str) -> str:
        writer, kernel = self.writer, self.writer.table[op.name]
        given = ["np", *(self.names.get(v) or writer.text(v) for v in op.operands)]
        while given[-1] == "None":
            given.pop()
        if op.name in PRODUCTS:
            given += ["**attributes"] * bool(op.schema().attributes)
        else:
            stated = kernel_attributes(op).items()
            given += [f"{name}={writer.literal(value)}" for name, value in stated]
        given += [f"out={target}"] * bool(target)
        if "outputs" not in _parameters(kernel):
            return f"{writer.pasted.add(kernel)}({', '.join(given)})"
        given.append(f"outputs={wanted_outputs(op)!r}")
        return f"{writer.pasted.add(kernel)}({', '.join(given)})[0]"


def _stage(op: OnnxOp) -> int:
    """When an op runs: what shapes the product's operands, the product, the rest."""
    return 0 if op.name in VIEWS else 1 if op.name in PRODUCTS else 2


def _parameters(kernel: Kernel) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(kernel).parameters
