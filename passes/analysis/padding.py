"""
Whether a model may run on a dimension that is longer than its input's.

The inputs are padded at the end, the outputs cut: they must be what they would have
been. `padding` follows the padded places through the graph (`padding_state`) and what
is known of the numbers there (`padding_facts`) by a rule for each operator
(`padding_rules`), and refuses at the first node that may mix padded places into real
ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Operation, SSAValue

from ...backends.kernels import STATIC
from ...dialects.onnx import Dim, NoneOp, OnnxOp, WeightStore
from ...dialects.onnx.integers import IntegerValues, flat
from ...dialects.onnx.provenance import argument_name, describe
from ...dialects.onnx.types import element_of, is_none, numpy_dtype, shape_of
from ..facts import is_float, small_array
from .padding_facts import SMALL, Fact, exactly, of_array
from .padding_node import Node
from .padding_rules import RULES
from .padding_state import Measure, PaddingRefused, State

_T = TypeVar("_T")


@dataclass(frozen=True)
class Padding:
    """How a dimension is padded: every input at the end, with zeros."""

    name: str
    ones: tuple[tuple[int, int], ...]
    """
    The inputs, and axes of theirs, along which the first element must be 1: masks, of
    which each row must leave something.
    """


def padding(main: FuncOp, store: WeightStore, name: str, largest: int) -> Padding:
    """
    How the dimension `name` of `main` is padded, up to the size `largest`.

    Raises PaddingRefused, naming the node, if results may change.
    """
    analysis = _Analysis(Measure(name, largest), store)
    block = main.body.block
    found = False
    for number, argument in enumerate(block.args):
        shown = f"input {argument_name(argument)!r}"
        analysis.states[argument] = _named(
            shown, name, analysis.input, argument, number
        )
        found = found or bool(analysis.measure.places(analysis.states[argument]))
    if not found:
        raise PaddingRefused(f"bucket {name}: no input has a dimension of that name")
    for op in block.ops:
        if isinstance(op, ReturnOp):
            for place, value in enumerate(op.arguments):
                _named(f"output {place}", name, analysis.output, value)
        elif not isinstance(op, NoneOp):
            _named(describe(op), name, analysis.look_at, op)
    return Padding(name, tuple(sorted(analysis.ones)))


def _named(
    what: str,
    name: str,
    function: Callable[..., _T],
    *arguments: SSAValue | int | Operation,
) -> _T:
    """What `function` gives; its refusal says of `what`."""
    try:
        return function(*arguments)
    except PaddingRefused as error:
        raise PaddingRefused(f"bucket {name}: {what}: {error}") from error


@dataclass
class _Analysis:
    """What is known of each value."""

    measure: Measure
    store: WeightStore
    states: dict[SSAValue, State] = field(default_factory=dict[SSAValue, State])
    ones: set[tuple[int, int]] = field(default_factory=set[tuple[int, int]])

    def __post_init__(self) -> None:
        self.integers = IntegerValues(self.store)

    # --- ends ---

    def input(self, argument: SSAValue, number: int) -> State:
        shape = shape_of(argument.type)
        if shape is None:
            raise PaddingRefused("found no shape, wanted a known rank")
        axes = [self.measure.plain_axis(dim, n) for n, dim in enumerate(shape)]
        state = State(tuple(axes))
        places = self.measure.places(state)
        element = element_of(argument.type)
        if places and (element is None or numpy_dtype(element).kind not in "iufb"):
            raise PaddingRefused("found no numbers to pad with zeros")
        head = {
            place: replace(exactly(1), needs=frozenset([(number, place[0])]))
            for place in places
        }
        return replace(state, tail=dict.fromkeys(places, exactly(0)), head=head)

    def output(self, value: SSAValue) -> None:
        state = self.states[value]
        if state.sized:
            raise PaddingRefused("it tells the size")
        dims = shape_of(value.type) or ()
        for axis, _ in self.measure.places(state):
            # Whoever cuts it off goes by the name.
            if axis >= len(dims) or dims[axis] != self.measure.dim:
                raise PaddingRefused(f"an axis is not {self.measure.name} alone")

    # --- ops ---

    def look_at(self, op: Operation) -> None:
        if not isinstance(op, OnnxOp):
            raise PaddingRefused("it is no ONNX operator")
        if op.name == "onnx.Constant":
            self.states[op.results[0]] = self._constant(op)
            return
        states = [self._state(value) for value in op.operands]
        for result, state in zip(op.results, self._results(op, states), strict=True):
            self.states[result] = state

    def _state(self, value: SSAValue) -> State | None:
        return None if is_none(value.type) else self.states[value]

    def _constant(self, op: OnnxOp) -> State:
        result = op.results[0]
        axes = [self.measure.plain_axis(d, 0) for d in shape_of(result.type) or ()]
        array = small_array(result, self.store)
        if array is not None:
            return State(tuple(axes), of_array(array))
        # Weights are ordinary numbers.
        return State(tuple(axes), SMALL if is_float(result) else None)

    def _results(self, op: OnnxOp, states: Sequence[State | None]) -> list[State]:
        sizes = self._size(op)
        if sizes is not None:
            return [sizes]
        given = [state for state in states if state is not None]
        touched = [s for s in given if s.sized or self.measure.places(s)]
        rule = RULES.get(op.op_type())
        regions = op.has_body and self._within(op)
        if not touched and not regions and (rule is None or op.has_body):
            return [self._untouched(result) for result in op.results]
        self._refuse_sizes(op, states)
        if rule is None:
            raise PaddingRefused("no rule says what padding does to it")
        node = Node(op, states, self.measure, self.integers, self.store, self.ones)
        found = rule(node)
        return [found] if isinstance(found, State) else list(found)

    def _size(self, op: OnnxOp) -> State | None:
        """The state of integers that are known from sizes; None of anything else."""
        if len(op.results) != 1 or op.has_body:
            return None
        items = self.integers.of(op.results[0])
        known = [] if items is None else flat(items)
        if items is None or not known or any(item is None for item in known):
            return None
        dims = [item for item in known if item is not None]
        axes = [self.measure.plain_axis(Dim.of(n)) for n in items.shape]
        if any(self.measure.depends(dim) for dim in dims):
            return State(tuple(axes), sized=True)
        numbers = [dim.constant for dim in dims]
        if any(number is None for number in numbers):
            return State(tuple(axes))
        found = np.array(numbers, np.float64)
        return State(tuple(axes), Fact(float(found.min()), float(found.max())))

    def _untouched(self, result: SSAValue) -> State:
        shape = shape_of(result.type)
        axes = [self.measure.plain_axis(dim, n) for n, dim in enumerate(shape or ())]
        state = State(tuple(axes), SMALL if is_float(result) else None)
        if self.measure.places(state):
            raise PaddingRefused("its result has the size, none of its operands has")
        return state

    def _within(self, op: OnnxOp) -> bool:
        """Whether a region of `op` uses a value that is padded, or a size."""
        used = {v for inner in op.walk() for v in inner.operands if v in self.states}
        return any(
            self.states[v].sized or self.measure.places(self.states[v]) for v in used
        )

    def _refuse_sizes(self, op: OnnxOp, states: Sequence[State | None]) -> None:
        fixing = STATIC.get(op.name, ())
        for place, state in enumerate(states):
            if state is None or not state.sized or place in fixing:
                continue
            # Sums of indices times sizes: positions in a flat tensor.
            if op.op_type() not in _OF_POSITIONS:
                raise PaddingRefused(f"it computes with {self.measure.name} itself")


_OF_POSITIONS = (
    "Add", "Mul", "Gather", "Unsqueeze", "Squeeze", "Reshape", "Flatten", "Cast",
    "Range", "Expand", "ConstantOfShape",
)  # fmt: skip
"""Operators whose rules take care of what follows from the size."""
