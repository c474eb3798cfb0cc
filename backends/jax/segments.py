"""
Which ops of a model JAX compiles together, and which NumPy runs between them.

JAX compiles for shapes. Where a value fixes a shape there are five cases: it follows
from shapes and constants (NumPy computes it while JAX traces); it is a small input (the
program is compiled once per value of it); an earlier segment computes it (the next one
is compiled once per value); it has a bound, as for NonZero of a tensor of known size
(`bounded`: JAX pads to that, and the padding is cut off behind the segment); or none
holds at all, as for strings and sequences: then the op runs on the host, on NumPy,
between two segments.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from xdsl.dialects.builtin import IntegerType
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, BlockArgument, Operation, OpResult, SSAValue

from ...dialects.onnx import NoneOp, OnnxOp, WeightAttr
from ...dialects.onnx.attributes import python_value
from ...dialects.onnx.provenance import argument_name, describe
from ...dialects.onnx.types import (
    StringType,
    element_of,
    is_none,
    shape_of,
    static_shape,
)
from ..kernels import STATIC
from ..program import yielded
from .bounded import SOURCES, Bounds

FROM_SHAPES = ("onnx.Shape", "onnx.Size")
"""Operators whose results JAX knows while it traces."""

DATA_DEPENDENT = (
    "microsoft.RemovePadding",
    "microsoft.Unique",
    "onnx.NonMaxSuppression",
    "onnx.NonZero",
    "onnx.Unique",
)
"""Operators whose results JAX cannot give, even of what it knows: NumPy does."""

_UNBOUNDED = (*DATA_DEPENDENT, "onnx.Compress", "onnx.ImageDecoder")
"""Operators the size of whose results is any up to that of an operand."""

MAX_HOST_ELEMENTS = 4096
"""The largest weight that may fix a shape; it becomes a literal in the program."""

MAX_FIXED_ELEMENTS = 16
"""The longest input of integers that is computed with while JAX traces."""


@dataclass(frozen=True)
class Segment:
    """Ops of a function's block that run together."""

    ops: tuple[OnnxOp, ...]
    hosted: bool
    """Whether they run on NumPy rather than compiled by JAX."""
    fixed: frozenset[SSAValue] = frozenset()
    """The values from outside for each value of which JAX compiles anew."""


@dataclass(frozen=True)
class Plan:
    """How a function runs: segments, one after another."""

    segments: tuple[Segment, ...]
    known: frozenset[SSAValue]
    """The values that NumPy computes while JAX traces."""
    reasons: dict[Operation, str]
    """Why each op of a segment on the host is there."""
    bounds: Bounds
    """What is padded to a bound, and which ops take it so."""


def plan(main: FuncOp) -> Plan:
    """The plan of a function."""
    planner = _Planner(main.body.block)
    ops = [op for op in main.body.block.ops if _runs(op)]
    for op in ops:
        planner.look_at(op)
        planner.place(op)
    segments = tuple(planner.segments(ops))
    return Plan(segments, frozenset(planner.known), planner.reasons, planner.bounds)


def _runs(op: Operation) -> bool:
    return isinstance(op, OnnxOp) and not is_constant(op)


@dataclass
class _Planner:
    """Looks at the ops of a block in order; then parts them into segments."""

    block: Block
    known: set[SSAValue] = field(default_factory=set[SSAValue])
    reasons: dict[Operation, str] = field(default_factory=dict[Operation, str])
    waits: dict[Operation, set[SSAValue]] = field(
        default_factory=dict[Operation, set[SSAValue]]
    )
    """The values that must be there before JAX can trace an op."""
    bounds: Bounds = field(default_factory=Bounds)
    stages: dict[Operation, int] = field(default_factory=dict[Operation, int])

    # --- one op ---

    def look_at(self, op: Operation) -> None:
        """Find what `op` needs to be traced, or why it cannot be."""
        if isinstance(op, OnnxOp) and self._depends_on_data(op):
            self.bounds.begin(op)
        waits: set[SSAValue] = set()
        known: set[SSAValue] = set()
        for inner in op.walk():
            if not isinstance(inner, OnnxOp):
                continue
            reason = self._look_within(inner, waits, known)
            if reason is not None:
                self.bounds.forget(op)
                self.reasons[op] = reason
                return
        self.waits[op] = waits
        self.known |= known

    def place(self, op: Operation) -> None:
        """Find the stage of `op`, which `look_at` has seen, and if it takes padding."""
        if op not in self.reasons:
            self.bounds.follow(op)
        self.stages[op] = self._stage(op)
        source = self.bounds.source_of(op)
        if source is not None and self.stages[source] < self.stages[op]:
            # It waits for something else: by then the padding is cut off.
            self.bounds.forget(op)
            self.stages[op] = self._stage(op)

    def _depends_on_data(self, op: OnnxOp) -> bool:
        """Whether `op` may have a bound, and is not computed while JAX traces."""
        return op.name in SOURCES and not all(
            self._follows_from_shapes(value) for value in fixing(op)
        )

    def _look_within(
        self, op: OnnxOp, waits: set[SSAValue], known: set[SSAValue]
    ) -> str | None:
        for value in (*op.operands, *op.results):
            if not is_numeric(value.type):
                return f"{value.type} flows through it"
        if op.name in FROM_SHAPES:
            known.add(op.results[0])
        for value in () if op in self.bounds.sources else fixing(op):
            if op.name in _UNBOUNDED and not self._follows_from_shapes(value):
                return "the size of its result depends on data"
            if reason := self._require(value, waits, known):
                return reason
        if op.name in DATA_DEPENDENT and op not in self.bounds.sources:
            known.update(op.results)
        return self._look_at_regions(op, waits, known)

    def _look_at_regions(
        self, op: OnnxOp, waits: set[SSAValue], known: set[SSAValue]
    ) -> str | None:
        match op.name:
            case "onnx.If":
                return self._look_at_if(op, waits, known)
            case "onnx.Loop":
                return self._look_at_loop(op, waits, known)
            case "onnx.Scan":
                count = len(op.regions[0].block.args) - _scanned_inputs(op)
                return changed_state(op.operands[:count], op.regions[0].block.args)
            case _:
                return f"{op.name} is not traced" if op.has_body else None

    def _look_at_if(
        self, op: OnnxOp, waits: set[SSAValue], known: set[SSAValue]
    ) -> str | None:
        condition = op.operands[0]
        chain, leaves, reason = self._chain(condition)
        if not leaves and reason is None:
            known |= chain
            return None
        branches = [yielded(region.block) for region in op.regions]
        if any(may_differ(a.type, b.type) for a, b in zip(*branches, strict=True)):
            return self._require(condition, waits, known)
        return None

    def _look_at_loop(
        self, op: OnnxOp, waits: set[SSAValue], known: set[SSAValue]
    ) -> str | None:
        limit, initial, block = op.operands[0], op.operands[2:], op.regions[0].block
        reason = changed_state(initial, block.args[2:])
        if reason is not None:
            return reason
        scanned = len(yielded(block)) - 1 > len(initial)
        if not is_none(limit.type) and is_endless(op):
            chain, leaves, reason = self._chain(limit)
            if not leaves and reason is None:
                known |= chain
                return None
            return self._require(limit, waits, known) if scanned else None
        return "the number of its turns depends on data" if scanned else None

    # --- one value ---

    def _follows_from_shapes(self, value: SSAValue) -> bool:
        """Whether `value` is known from shapes and constants alone."""
        chain, leaves, reason = self._chain(value)
        return not leaves and reason is None and not any(map(_is_large, chain))

    def _require(
        self, value: SSAValue, waits: set[SSAValue], known: set[SSAValue]
    ) -> str | None:
        """Have `value` known while JAX traces; or the reason why it cannot be."""
        chain, leaves, reason = self._chain(value)
        if reason is not None:
            return reason
        held = chain == {value} or not any(map(_is_large, chain))
        if held and (leaves <= {value} or all(map(self._is_small_input, leaves))):
            known |= chain
            waits |= leaves
        elif self._is_outer(value):
            waits.add(value)
        else:
            known |= chain
            waits |= leaves
        return None

    def _chain(
        self, value: SSAValue
    ) -> tuple[set[SSAValue], set[SSAValue], str | None]:
        """
        The values that make `value` known; those that must be given for it; and why it
        cannot be, if so.
        """
        chain: set[SSAValue] = set()
        leaves: set[SSAValue] = set()
        waiting = [value]
        while waiting:
            current = waiting.pop()
            if current in chain or current in leaves or is_none(current.type):
                continue
            operands = self._computed_from(current)
            if operands is not None:
                chain.add(current)
                waiting.extend(operands)
            elif self._is_outer(current):
                leaves.add(current)
            else:
                return set(), set(), f"a shape depends on {_named(current)}"
        return chain, leaves, None

    def _computed_from(self, value: SSAValue) -> Sequence[SSAValue] | None:
        """What NumPy needs to compute `value` while JAX traces; None if it cannot."""
        op = value.owner
        if not isinstance(op, OnnxOp) or op in self.reasons or value in self.bounds:
            return None
        if op.name in FROM_SHAPES or is_constant(op):
            return ()
        if op.has_body or len(op.results) != 1:
            return None
        return op.operands

    def _is_outer(self, value: SSAValue) -> bool:
        """Whether `value` is the block's own, not one of a region in it."""
        owner = value.owner
        return owner is self.block or (
            isinstance(owner, Operation) and owner.parent is self.block
        )

    def _is_small_input(self, value: SSAValue) -> bool:
        """Whether `value` is an input that holds sizes rather than data."""
        sizes = static_shape(value.type)
        if value.owner is not self.block or sizes is None:
            return False
        counts = isinstance(element_of(value.type), IntegerType)
        return not sizes or (
            counts and len(sizes) == 1 and sizes[0] <= MAX_FIXED_ELEMENTS
        )

    # --- segments ---

    def segments(self, ops: Sequence[Operation]) -> Iterator[Segment]:
        """
        The segments of `ops`, as few as can be: in each stage JAX's, then NumPy's.
        """
        for stage in sorted(set(self.stages.values())):
            here = [op for op in ops if self.stages[op] == stage]
            for hosted in (False, True):
                chosen = tuple(
                    op
                    for op in here
                    if (op in self.reasons) == hosted and isinstance(op, OnnxOp)
                )
                if chosen:
                    fixed = frozenset[SSAValue]() if hosted else self._fixed(chosen)
                    yield Segment(chosen, hosted, fixed)

    def _stage(self, op: Operation) -> int:
        hosted = op in self.reasons
        stage = 0
        for value in {*outer_operands([op]), *self.waits.get(op, ())}:
            producer = value.owner
            if producer not in self.stages:
                continue  # an input, or a constant
            assert isinstance(producer, Operation), "only operations have stages"
            later = not hosted and (
                producer in self.reasons
                or value in self.waits[op]
                or self.bounds.cuts(value, op)
            )
            stage = max(stage, self.stages[producer] + later)
        return stage

    def _fixed(self, ops: Sequence[OnnxOp]) -> frozenset[SSAValue]:
        """The values from outside that must be known while JAX traces `ops`."""
        inside = {result for op in ops for result in op.results}
        needed: set[SSAValue] = set()
        for op in ops:
            needed |= self.waits[op]
            for inner in op.walk():
                if not isinstance(inner, OnnxOp):
                    continue
                needed.update(v for v in (*fixing(inner), *_steering(inner)))
                if inner.name not in FROM_SHAPES and not self.known.isdisjoint(
                    inner.results
                ):
                    needed.update(inner.operands)
        knowable = self.known.union(*self.waits.values())
        return frozenset(
            value
            for value in needed
            if value in knowable
            and value not in inside
            and self._is_outer(value)
            and not is_constant(value.owner)
        )


def is_numeric(kind: Attribute) -> bool:
    """Whether values of type `kind` are arrays of numbers (or absent)."""
    if is_none(kind):
        return True
    return element_of(kind) is not None and not isinstance(element_of(kind), StringType)


def _is_large(value: SSAValue) -> bool:
    """Whether `value` is a constant that is no literal in a program."""
    if not is_constant(value.owner):
        return False
    return math.prod(static_shape(value.type) or ()) > MAX_HOST_ELEMENTS


def _steering(op: OnnxOp) -> Sequence[SSAValue]:
    """The operand that decides which branch runs, or how many turns."""
    return op.operands[:1] if op.name in ("onnx.If", "onnx.Loop") else ()


def _named(value: SSAValue) -> str:
    owner = value.owner
    if isinstance(owner, Operation):
        return f"the results of {describe(owner)}"
    assert isinstance(value, BlockArgument), "a value is a result or an argument"
    return f"the values of {argument_name(value)!r}"


def _scanned_inputs(op: OnnxOp) -> int:
    return python_value(op.properties["num_scan_inputs"])


def outer_operands(ops: Sequence[Operation]) -> list[SSAValue]:
    """The values from outside that `ops` and those in their regions use, in order."""
    walked = [inner for op in ops for inner in op.walk()]
    inside = {result for op in walked for result in op.results}
    inside |= {a for op in walked for r in op.regions for a in r.block.args}
    used = dict.fromkeys(v for op in walked for v in op.operands)
    return [value for value in used if value not in inside]


# --- what JAX can know of an op ---


def fixing(op: OnnxOp) -> list[SSAValue]:
    """The operands of `op` whose values fix the shapes of its results."""
    places = STATIC.get(op.name, ())
    return [op.operands[i] for i in places if i < len(op.operands)]


def is_constant(op: Operation | Block) -> bool:
    """Whether `op` holds a constant, or stands for an absent value."""
    return isinstance(op, NoneOp) or (
        isinstance(op, OnnxOp) and op.name == "onnx.Constant"
    )


def is_endless(op: OnnxOp) -> bool:
    """Whether the condition of a Loop can only be true."""
    condition, block = op.operands[1], op.regions[0].block
    return _always_true(yielded(block)[0], block) and (
        is_none(condition.type) or _always_true(condition, block)
    )


def _always_true(value: SSAValue, body: Block) -> bool:
    """Whether a loop's condition can only be true; `body` hands its own through."""
    while isinstance(value, OpResult) and value.op.name == "onnx.Identity":
        value = value.op.operands[0]
    if not isinstance(value, OpResult):
        return value.owner is body and value is body.args[1]
    held = value.op.properties.get("value")
    if not is_constant(value.op) or held is None or isinstance(held, WeightAttr):
        return False
    return bool(held.array().all())  # pyright: ignore


def may_differ(one: Attribute, other: Attribute) -> bool:
    """Whether two tensors' shapes are not known to be equal for all sizes."""
    if is_none(one) and is_none(other):
        return False
    a, b = shape_of(one), shape_of(other)
    return a is None or None in a or a != b


def changed_state(
    initial: Sequence[SSAValue], states: Sequence[SSAValue]
) -> str | None:
    """
    Why JAX cannot carry `states`, which begin as `initial`, through a loop.

    The types of a body hold for every turn: what they know less of than of the first,
    changes from turn to turn.
    """
    for value, state in zip(initial, states, strict=False):
        before, after = shape_of(value.type), shape_of(state.type)
        lost = before is not None and (
            after is None
            or any(
                d is None and e is not None for d, e in zip(after, before, strict=True)
            )
        )
        if lost:
            return f"a state is {value.type} at first and {state.type} in later turns"
    return None


def returned(block: Block) -> Sequence[SSAValue]:
    """The values that a function's block gives back."""
    last = block.last_op
    assert isinstance(last, ReturnOp), "a function ends with func.return"
    return last.arguments
