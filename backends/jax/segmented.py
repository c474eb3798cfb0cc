"""Writes a JAX program by its plan: one function, or segments and the host's steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from xdsl.dialects.func import FuncOp
from xdsl.ir import Block, Operation, SSAValue

from ...dialects.onnx import NoneOp, OnnxOp, WeightAttr
from ..interpreted import PythonEmitter
from ..kernels import KERNELS as SHARED
from ..kernels import Kernel
from .bounded import NOT_PADDED
from .bounded_kernels import KERNELS as BOUNDED
from .bounded_kernels import masked
from .emitter import JaxEmitter, tuple_text
from .segment_calls import cut_off
from .segments import (
    Plan,
    Segment,
    is_constant,
    is_numeric,
    outer_operands,
    plan,
    returned,
)


@dataclass
class SegmentedEmitter(JaxEmitter):
    """
    Writes a function as JAX compiles it.

    Where it can be compiled as a whole, ``forward`` is a pure function. Otherwise
    ``forward`` calls ``jitted_1``, ``jitted_2`` … and NumPy kernels between them.
    """

    plan: Plan = field(init=False)
    counts: dict[Operation, str] = field(default_factory=dict[Operation, str])
    """Of an op whose results are padded, the variable of their true size."""
    compiling: list[str] = field(default_factory=list[str])
    """The lines that jit what `emit` has written."""

    def emit(self, main: FuncOp, inputs: Sequence[str]) -> str:
        self.plan = plan(main)
        self.hosted = {inner for op in self.plan.reasons for inner in op.walk()}
        if self.in_segments(main):
            return self._emit_segments(main, inputs)
        for segment in self.plan.segments:
            self._trace(segment)
        text = super().emit(main, inputs)
        if any(value in self.host for value in main.body.block.args):
            self.compiling = [self._jitted("jitted", "forward", main.body.block.args)]
        else:
            self.compiling = ["jitted = jax.jit(forward)"]
        return text

    def in_segments(self, main: FuncOp) -> bool:
        """Whether JAX cannot compile `main` as one function of arrays."""
        results = returned(main.body.block)
        ends = (*main.body.block.args, *results)
        whole = len(self.plan.segments) < 2 and not self.plan.reasons
        whole = whole and not any(value in self.plan.bounds for value in results)
        return not (whole and all(is_numeric(value.type) for value in ends))

    def fixed_inputs(self, main: FuncOp) -> list[int]:
        """The inputs for each value of which JAX compiles anew."""
        fixed = {value for segment in self.plan.segments for value in segment.fixed}
        return [n for n, value in enumerate(main.body.block.args) if value in fixed]

    def _trace(self, segment: Segment) -> None:
        """Have NumPy compute what must be known while JAX traces `segment`."""
        inside = {r for op in segment.ops for inner in op.walk() for r in inner.results}
        self.host = set(segment.fixed) | {
            value
            for value in self.plan.known
            if value in inside or is_constant(value.owner)
        }

    def _jitted(self, name: str, function: str, parameters: Sequence[SSAValue]) -> str:
        """The line that jits `function`, for each value of what must be known."""
        places = [str(n) for n, value in enumerate(parameters) if value in self.host]
        return f"{name} = partial(by_value, {function}, {tuple_text(places)}, {{}})"

    # --- results that are padded to a bound ---

    def kernel(self, op: OnnxOp) -> Kernel:
        padded = op in self.plan.bounds.sources
        return BOUNDED[op.name] if padded else super().kernel(op)

    def _paste_kernels(self, main: FuncOp) -> None:
        super()._paste_kernels(main)
        bounds = self.plan.bounds
        if any(taken.masks for taken in bounds.taken.values()):
            self.pasted.add(masked)
        if bounds.sources:
            self.pasted.add(cut_off)
        self.reserve(*self.pasted.names)

    def targets(self, op: OnnxOp) -> str:
        targets = super().targets(op)
        if op not in self.plan.bounds.sources:
            return targets
        self.counts[op] = self.fresh(f"{self.name(op.results[0])}_count")
        return f"{targets}, {self.counts[op]}"

    def call(self, op: OnnxOp) -> str:
        bounds = self.plan.bounds
        masks = bounds.taken.get(op, NOT_PADDED).masks
        plain = {v: self.name(v) for v in (op.operands[place] for place in masks)}
        for place, filler in masks.items():
            value = op.operands[place]
            bound = bounds.values[value]
            given = f"{plain[value]}, {bound.axis}, {self.counts[bound.source]}"
            name = self.define(value, f"{plain[value]}_masked")
            self.line(f"{name} = {masked.__name__}({given}, {filler!r})")
        call = super().call(op)
        self.names.update(plain)
        return call

    # --- in segments ---

    def _emit_segments(self, main: FuncOp, inputs: Sequence[str]) -> str:
        block = main.body.block
        self.reserve("w", "forward", "np", "jnp", "jax", "lax", "ml_dtypes")
        for number in range(1, len(self.plan.segments) + 1):
            self.reserve(f"segment_{number}", f"jitted_{number}")
        hosting = HostEmitter(SHARED, self.store, self.pasted, weights=self.weights)
        hosting.share_names(self)
        hosting.prepare(main)
        self.host = set(self.plan.known)
        self._paste_kernels(main)
        parameters = [
            self.define(argument, name)
            for argument, name in zip(block.args, inputs, strict=True)
        ]
        texts: list[str] = []
        for number, segment in enumerate(self.plan.segments, 1):
            if segment.hosted:
                hosting.run(segment, self.names, self.plan.reasons)
            else:
                texts.append(self._segment(number, segment, hosting.lines))
        self._write_constants(returned(block))
        results = tuple_text(self.name(value) for value in returned(block))
        head = f"def forward({', '.join(['w', *parameters])}):"
        note = '    """Segments that JAX compiles; NumPy runs what is between them."""'
        lines = [head, note, *hosting.lines, f"    return {results}"]
        self.compiling += ["jitted = forward", "call = call_segments"]
        return "\n\n\n".join([*texts, "\n".join(lines)])

    def _segment(self, number: int, segment: Segment, steps: list[str]) -> str:
        """The function of a segment; `steps` gets the line that calls it."""
        self._trace(segment)
        used = outer_operands(segment.ops)
        self._write_constants(used)
        parameters = [value for value in used if not is_constant(value.owner)]
        results = [r for op in segment.ops for r in op.results if _leaves(r, segment)]
        self.lines.clear()
        for op in segment.ops:
            self._emit_op(op)
        targets = tuple_text([*map(self.name, results), *self._sizes(results)])
        self.line(f"return {targets}")
        given = ", ".join(["w", *(self.name(v) for v in parameters)])
        steps.append(f"    {targets} = jitted_{number}({given})")
        steps += [self._cut(v) for v in results if v in self.plan.bounds]
        function = f"segment_{number}"
        self.compiling.append(self._jitted(f"jitted_{number}", function, parameters))
        return "\n".join([f"def {function}({given}):", *self.lines])

    def _sizes(self, results: Sequence[SSAValue]) -> list[str]:
        """The variables of the true sizes of what is padded in `results`."""
        bounds = self.plan.bounds.values
        sources = [bounds[value].source for value in results if value in bounds]
        return [self.counts[source] for source in dict.fromkeys(sources)]

    def _cut(self, value: SSAValue) -> str:
        """The line that cuts off the padding of a segment's result."""
        bound = self.plan.bounds.values[value]
        given = f"{self.name(value)}, {bound.axis}, {self.counts[bound.source]}"
        return f"    {self.name(value)} = {cut_off.__name__}({given})"

    def _write_constants(self, values: Sequence[SSAValue]) -> None:
        """Give the constants among `values` the expressions that they have here."""
        for value in values:
            if isinstance(value.owner, NoneOp):
                self.names[value] = "None"
            elif isinstance(value.owner, OnnxOp) and is_constant(value.owner):
                self._emit_op(value.owner)


@dataclass
class HostEmitter(PythonEmitter):
    """Writes what runs on NumPy between the segments that JAX compiles."""

    def share_names(self, other: JaxEmitter) -> None:
        """Have the Python names of both be different."""
        self._taken = other._taken

    def run(
        self,
        segment: Segment,
        names: dict[SSAValue, str],
        reasons: dict[Operation, str],
    ) -> None:
        """Write the ops of `segment`; `names` are those that values have for JAX."""
        for op in segment.ops:
            self.line(f"# on the host: {ascii(reasons[op])[1:-1]}")
            for value in outer_operands([op]):
                self._fetch(value, names)
            self._emit_op(op)
            names.update({r: self.names[r] for r in op.results if r in self.names})

    def _fetch(self, value: SSAValue, names: dict[SSAValue, str]) -> None:
        """Have `value` as NumPy takes it."""
        owner = value.owner
        if isinstance(owner, NoneOp):
            self.names[value] = "None"
        elif isinstance(owner, OnnxOp) and is_constant(owner):
            self._emit_op(owner)
        elif value not in self.names and is_numeric(value.type):
            fetched = self.define(value, f"{names[value]}_host")
            self.line(f"{fetched} = np.asarray({names[value]})")
        elif value not in self.names:
            self.names[value] = names[value]

    def weight(self, op: OnnxOp, key: str) -> str:
        return f"np.asarray({super().weight(op, key)})"

    def literal(self, value: Any) -> str:
        text = super().literal(value)
        return f"np.asarray({text})" if isinstance(value, WeightAttr) else text


def _leaves(value: SSAValue, segment: Segment) -> bool:
    """Whether an op of another segment, or the caller, uses `value`."""
    block = segment.ops[0].parent
    return any(_within(use.operation, block) not in segment.ops for use in value.uses)


def _within(op: Operation, block: Block | None) -> Operation:
    """The op of `block` that is `op`, or has it in a region."""
    while op.parent is not block:
        outer = op.parent_op()
        assert outer is not None, "whoever uses a value of a block is within it"
        op = outer
    return op
