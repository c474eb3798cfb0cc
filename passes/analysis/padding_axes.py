"""What padding does to operators that work along axes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from ...dialects.onnx.types import is_none
from ..facts import is_float, setting
from .padding_facts import SMALL, Fact, exactly
from .padding_node import Node, broadcast_axes, setting_of
from .padding_state import Axis, PaddingRefused, Place, State

# --- over axes ---


def softmax(node: Node) -> State:
    state = node.state(0)
    axis = node.axis(len(state.axes))
    found = State(state.axes, SMALL, *_ordinary_places(node, state))
    for place in node.measure.places(state):
        if place[0] != axis:
            continue
        tail, head = state.tail.get(place), state.head.get(place) or state.body
        if tail is None or not tail.masks:
            raise PaddingRefused("nothing masks the padded places that it looks at")
        if head is None or not head.ordinary:
            raise PaddingRefused("a mask may leave a row nothing but padded places")
        node.relies_on(tail)
        node.relies_on(head)
        # exp(mask - largest) is 0, to the bit.
        zero = {**found.tail, place: exactly(0)}
        if node.op.op_type() != "Softmax":
            zero.pop(place)
        found = replace(found, tail=zero)
    return found


def _ordinary_places(
    node: Node, state: State
) -> tuple[dict[Place, Fact], dict[Place, Fact]]:
    places = dict.fromkeys(node.measure.places(state), SMALL)
    return places, dict(places)


def normalization(node: Node) -> list[State]:
    state = node.state(0)
    axis = node.axis(len(state.axes))
    node.not_along(state, range(axis, len(state.axes)))
    _only(node, 0)
    found = State(state.axes, SMALL, *_ordinary_places(node, state))
    states = [found]
    for index in range(1, len(node.op.results)):
        absent = is_none(node.op.results[index].type)
        states.append(State(() if absent else tuple(node.axes(index))))
    return states


def _only(node: Node, *places: int) -> None:
    """Refuse padding in other operands than those at `places`."""
    for index, state in enumerate(node.states):
        if index not in places and state is not None and node.measure.places(state):
            raise PaddingRefused(f"its operand {index} is padded")


_NEUTRAL: Mapping[str, int] = {
    "ReduceL1": 0,
    "ReduceL2": 0,
    "ReduceProd": 1,
    "ReduceSum": 0,
    "ReduceSumSquare": 0,
}
"""The number at padded places that does not change a reduction."""


def reduce(node: Node) -> State:
    state = node.state(0)
    rank = len(state.axes)
    axes = _reduced_axes(node, rank)
    over = [place for place in node.measure.places(state) if place[0] in axes]
    neutral = _NEUTRAL.get(node.op.op_type())
    if len(over) > 1:
        # Nothing is known of what is padded twice.
        raise PaddingRefused(f"it works along {node.measure.name} twice")
    for place in over:
        fact = state.tail.get(place)
        if neutral is None or fact is None or fact.number != neutral:
            raise PaddingRefused(f"it works along {node.measure.name}")
        node.relies_on(fact)
    keep = setting(node.op, "keepdims")
    kept = [n for n in range(rank) if keep or n not in axes]
    result = [() if n in axes else state.axes[n] for n in kept]
    places = {
        (old, p): (new, p)
        for new, old in enumerate(kept)
        if old not in axes
        for p in range(len(state.axes[old]))
    }
    moved = node.measure.moved(state, result, places)
    extreme = node.op.op_type() in ("ReduceMax", "ReduceMin")
    return moved if extreme and not over else _forgotten(node, moved)


def _forgotten(node: Node, state: State) -> State:
    """`state` of new numbers: ordinary if they are floats that came of such."""
    ordinary = state.body is not None and state.body.ordinary
    if not (ordinary and is_float(node.op.results[0])):
        return State(state.axes)
    return State(state.axes, SMALL, *_ordinary_places(node, state))


def _reduced_axes(node: Node, rank: int) -> set[int]:
    given = setting(node.op, "axes") if "axes" in node.op.properties else None
    if given is None and len(node.op.operands) > 1:
        items = node.numbers(1)
        present = not is_none(node.op.operands[1].type)
        if present and (items is None or any(i is None for i in items)):
            raise PaddingRefused("its axes are not known")
        given = [i.constant for i in items or () if i is not None]
    axes = {int(axis) % rank for axis in given or () if axis is not None}
    noop = setting_of(node, "noop_with_empty_axes")
    return axes if axes or noop else set(range(rank))


def place_of_extreme(node: Node) -> State:
    state = node.state(0)
    axis = node.axis(len(state.axes), 0)
    node.not_along(state, [axis])
    return State(reduce_axis(state, axis, bool(setting(node.op, "keepdims"))))


def reduce_axis(state: State, axis: int, keep: bool) -> tuple[Axis, ...]:
    """The axes of `state`, one of them reduced."""
    return (*state.axes[:axis], *([()] if keep else []), *state.axes[axis + 1 :])


def cumulative(node: Node) -> State:
    """A sum of what came before; padded places come after all that is real."""
    state = node.state(0)
    if setting(node.op, "reverse"):
        items = node.numbers(1) or [None]
        axis = None if items[0] is None else items[0].constant
        every = range(len(state.axes))
        node.not_along(state, every if axis is None else [axis % len(state.axes)])
    return State(state.axes)


# --- products ---


def matmul(node: Node) -> State:
    left, right = node.state(0), node.state(1)
    a = left.axes if len(left.axes) > 1 else ((), *left.axes)
    b = right.axes if len(right.axes) > 1 else (*right.axes, ())
    places = (
        [(len(left.axes) - 1, p) for p in range(len(a[-1]))],
        [(max(len(right.axes) - 2, 0), p) for p in range(len(b[-2]))],
    )
    _contracted(node, (left, a[-1], places[0]), (right, b[-2], places[1]))
    batch = broadcast_axes(node.measure, [State(a[:-2]), State(b[:-2])])
    axes = [*batch, *([a[-2]] if len(left.axes) > 1 else [])]
    axes += [b[-1]] if len(right.axes) > 1 else []
    return _product(node, axes)


def _product(node: Node, axes: Sequence[Axis]) -> State:
    return node.measure.uniform(axes, SMALL if is_float(node.op.results[0]) else None)


def _contracted(
    node: Node,
    left: tuple[State, Axis, Sequence[Place]],
    right: tuple[State, Axis, Sequence[Place]],
) -> None:
    """Refuse a sum over padded places, unless one factor is 0 there."""
    if node.measure.dim not in (*left[1], *right[1]):
        return
    if left[1] != right[1] or left[1].count(node.measure.dim) > 1:
        raise PaddingRefused(f"it sums over {node.measure.name} in several ways")
    for factor, one, other in zip(left[1], left[2], right[2], strict=True):
        if factor != node.measure.dim:
            continue
        facts = [left[0].tail.get(one), right[0].tail.get(other)]
        zero = [fact for fact in facts if fact is not None and fact.number == 0]
        if not zero:
            raise PaddingRefused(f"it sums over {node.measure.name}")
        node.relies_on(zero[0])


def gemm(node: Node) -> State:
    left, right = node.state(0), node.state(1)
    flip, turn = setting(node.op, "transA"), setting(node.op, "transB")
    row, deep = (1, 0) if flip else (0, 1)
    depth, column = (1, 0) if turn else (0, 1)
    places = (
        [(deep, p) for p in range(len(left.axes[deep]))],
        [(depth, p) for p in range(len(right.axes[depth]))],
    )
    _contracted(
        node, (left, left.axes[deep], places[0]), (right, right.axes[depth], places[1])
    )
    axes = [left.axes[row], right.axes[column]]
    if len(node.states) > 2 and node.states[2] is not None:
        axes = broadcast_axes(node.measure, [State(tuple(axes)), node.states[2]])
    return _product(node, axes)


# --- row by row ---


def by_row(axis: int) -> Callable[[Node], list[State]]:
    """The rule of operators that work on each index of `axis` of operand 0 apart."""

    def rule(node: Node) -> list[State]:
        state = node.state(0)
        _only(node, 0)
        padded = node.measure.padded_axes(state)
        if (padded and padded != {axis}) or setting_of(node, "training_mode"):
            raise PaddingRefused(f"it works along {node.measure.name}")
        return [
            State(() if is_none(result.type) else tuple(node.axes(index)))
            for index, result in enumerate(node.op.results)
        ]

    return rule
