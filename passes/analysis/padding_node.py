"""What the rules of `padding` see of an op, and what several of them ask."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...dialects.onnx import Dim, OnnxOp, WeightStore
from ...dialects.onnx.integers import IntegerValues, flat
from ...dialects.onnx.types import Shape, is_none, shape_of
from ..facts import setting
from .padding_facts import Fact, Known
from .padding_state import Axis, Measure, PaddingRefused, Place, State, size_of


@dataclass(frozen=True)
class Node:
    """An op as the rules see it."""

    op: OnnxOp
    states: Sequence[State | None]
    measure: Measure
    integers: IntegerValues
    store: WeightStore
    ones: set[tuple[int, int]]
    """Where results rely on a first element of 1, rules say so here."""

    def state(self, index: int) -> State:
        """The state of an operand that must be there."""
        state = self.states[index] if index < len(self.states) else None
        if state is None:
            raise PaddingRefused(f"operand {index} is missing")
        return state

    def dims(self, index: int = 0) -> Shape:
        """The sizes of a result."""
        shape = shape_of(self.op.results[index].type)
        if shape is None:
            raise PaddingRefused("the rank of its result is not known")
        return shape

    def axes(self, index: int = 0) -> list[Axis]:
        """The axes of a result as its type tells them."""
        return [self.sure_axis(dim) for dim in self.dims(index)]

    def sure_axis(self, dim: Dim | None) -> Axis:
        """The axis of a size that must be known: it may be the padded one."""
        if dim is None:
            raise PaddingRefused("a size of its result is not known")
        return self.measure.plain_axis(dim)

    def numbers(self, index: int) -> list[Dim | None] | None:
        """The integers that an operand holds; None if they are not known."""
        operands = self.op.operands
        if index >= len(operands) or is_none(operands[index].type):
            return None
        items = self.integers.of(operands[index])
        return None if items is None else flat(items)

    def axis(self, rank: int, default: int | None = None) -> int:
        """The axis that the attribute says."""
        axis = setting(self.op, "axis")
        axis = default if axis is None else axis
        if axis is None or not -rank <= axis < rank:
            raise PaddingRefused(f"found axis {axis} of {rank}")
        return axis % rank

    def relies_on(self, fact: Fact) -> None:
        """Take down the inputs of which `fact` is true only if they begin with 1."""
        self.ones.update(fact.needs)

    def not_along(self, state: State, axes: Iterable[int]) -> None:
        """Refuse padded places along `axes`."""
        if self.measure.padded_axes(state) & set(axes):
            raise PaddingRefused(f"it works along {self.measure.name}")


def setting_of(node: Node, name: str) -> Any:
    """The attribute `name`, if the operator has one."""
    return setting(node.op, name) if name in node.op.schema().attributes else None


def broadcast_axes(measure: Measure, states: Sequence[State]) -> list[Axis]:
    """The axes that those of `states` broadcast to."""
    rank = max((len(state.axes) for state in states), default=0)
    axes: list[Axis] = [()] * rank
    for state in states:
        for place, axis in enumerate(state.axes, rank - len(state.axes)):
            other = axes[place]
            if axis and other and axis != other and measure.dim in (*axis, *other):
                found = f"{size_of(axis)} beside {size_of(other)}"
                raise PaddingRefused(f"found axes of {found}, wanted equal ones")
            # Sizes that padding does not change fit as they do without it.
            axes[place] = other or axis
    return axes


def along(state: State, place: Place, rank: int, name: str) -> Known:
    """What is known of an operand where the result is padded, or begins."""
    axis = place[0] - (rank - len(state.axes))
    if axis < 0 or not state.axes[axis]:
        return state.body
    facts: Mapping[Place, Fact] = getattr(state, name)
    found = facts.get((axis, place[1]))
    return state.body if found is None and name == "head" else found
