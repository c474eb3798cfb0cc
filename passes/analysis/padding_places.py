"""What padding does to operators that move or pick elements."""

from __future__ import annotations

from dataclasses import replace

from ...dialects.onnx import Dim
from ..facts import setting
from .padding_facts import Fact, hull
from .padding_node import Node, along, broadcast_axes
from .padding_state import Axis, PaddingRefused, Place, State, size_of

# --- places ---


def reshape(node: Node) -> State:
    state = node.state(0)
    found = node.measure.regrouped(state, node.dims())
    if state.steps is not None:
        found = replace(found, steps=_moved_steps(state, found))
    elif state.sized:
        raise PaddingRefused(f"it computes with {node.measure.name} itself")
    return found


def _moved_steps(old: State, new: State) -> tuple[Dim, ...]:
    """The steps where only axes of size 1 came or went."""
    kept = [step for step, axis in zip(old.steps or (), old.axes, strict=True) if axis]
    if [axis for axis in new.axes if axis] != [axis for axis in old.axes if axis]:
        raise PaddingRefused("it reshapes positions")
    waiting = iter(kept)
    return tuple(next(waiting) if axis else Dim.of(0) for axis in new.axes)


def transpose(node: Node) -> State:
    state = node.state(0)
    rank = len(state.axes)
    order = setting(node.op, "perm") or tuple(reversed(range(rank)))
    places = {
        (old, p): (new, p)
        for new, old in enumerate(order)
        for p in range(len(state.axes[old]))
    }
    found = node.measure.moved(state, [state.axes[n] for n in order], places)
    return replace(found, steps=state.steps and tuple(state.steps[n] for n in order))


def expand(node: Node) -> State:
    state = node.state(0)
    target = State(tuple(node.axes()))
    axes = broadcast_axes(node.measure, [state, target])
    found = State(tuple(axes), state.body, sized=state.sized)
    facts: dict[str, dict[Place, Fact]] = {"tail": {}, "head": {}}
    for name, held in facts.items():
        for place in node.measure.places(found):
            fact = along(state, place, len(axes), name)
            if fact is not None:
                held[place] = fact
    return replace(found, **facts)


def concat(node: Node) -> State:
    states = [state for state in node.states if state is not None]
    rank = len(states[0].axes)
    axis = node.axis(rank)
    for state in states:
        node.not_along(state, [axis])
    others = [
        replace(s, axes=(*s.axes[:axis], (), *s.axes[axis + 1 :])) for s in states
    ]
    axes = broadcast_axes(node.measure, others)
    axes[axis] = node.axes()[axis]
    result = State(tuple(axes), hull([state.body for state in states]))
    facts: dict[str, dict[Place, Fact]] = {"tail": {}, "head": {}}
    for name, held in facts.items():
        for place in node.measure.places(result):
            fact = hull([along(state, place, rank, name) for state in states])
            if fact is not None:
                held[place] = fact
    return replace(result, **facts)


def split(node: Node) -> list[State]:
    state = node.state(0)
    axis = node.axis(len(state.axes))
    node.not_along(state, [axis])
    parts: list[State] = []
    for index in range(len(node.op.results)):
        size = node.axes(index)[axis]
        axes = (*state.axes[:axis], size, *state.axes[axis + 1 :])
        parts.append(replace(state, axes=axes, steps=None))
    return parts


def slices(node: Node) -> State:
    state = node.state(0)
    rank, axes = len(state.axes), list(state.axes)
    starts, ends = node.numbers(1), node.numbers(2)
    chosen = node.numbers(3) or [Dim.of(n) for n in range(rank)]
    steps = node.numbers(4)
    if starts is None or ends is None:
        raise PaddingRefused("where it begins or ends is not known")
    for place, item in enumerate(chosen):
        number = None if item is None else item.constant
        if number is None:
            raise PaddingRefused("its axes are not known")
        axis = number % rank
        given = len(node.states) > 4 and node.states[4] is not None
        one = not given or (steps is not None and steps[place] == Dim.of(1))
        span = starts[place], ends[place]
        axes[axis] = _sliced(node, axis, state.axes[axis], span, one)
    found = State(tuple(axes), state.body)
    tail = {p: f for p, f in state.tail.items() if axes[p[0]] == state.axes[p[0]]}
    head = {p: f for p, f in state.head.items() if axes[p[0]] == state.axes[p[0]]}
    for place in node.measure.places(found):
        if axes[place[0]] != state.axes[place[0]] and state.body is not None:
            # Padded places hold what follows in the tensor.
            tail[place] = head[place] = state.body
    return replace(found, tail=tail, head=head)


def _sliced(
    node: Node, axis: int, old: Axis, span: tuple[Dim | None, Dim | None], one: bool
) -> Axis:
    """What of an axis a slice with a step, `one` or another, leaves."""
    measure = node.measure
    dims = node.dims()
    start, end = span
    first = None if start is None else start.constant
    if measure.dim in old:
        last = None if end is None else end.constant
        whole = end == measure.dim or (last is not None and last >= measure.largest)
        if old != (measure.dim,) or first != 0 or not whole or not one:
            raise PaddingRefused(f"it takes a part of {measure.name}")
        return old
    if first is None and start is not None and measure.depends(start):
        raise PaddingRefused(f"it begins where {measure.name} says")
    new = node.sure_axis(dims[axis])
    if measure.dim in new and not (first is not None and first >= 0 and one):
        raise PaddingRefused(f"it begins where {measure.name} says")
    return new


# --- picking ---


def gather(node: Node) -> State:
    data, index = node.state(0), node.state(1)
    axis = node.axis(len(data.axes), 0)
    before, after = data.axes[:axis], data.axes[axis + 1 :]
    if axis in node.measure.padded_axes(data):
        return _gather_rows(node, data, index, axis)
    if index.sized or data.sized:
        raise PaddingRefused(f"it computes with {node.measure.name} itself")
    _check_places(node, data.axes[axis], index)
    axes = (*before, *index.axes, *after)
    shift = len(index.axes) - 1
    moved = {
        (a, p): (a if a < axis else a + shift, p)
        for a, factors in enumerate(data.axes)
        for p in range(len(factors))
    }
    found = replace(node.measure.moved(data, axes, moved), sized=False)
    if found.body is None:
        return found
    # Whatever place is picked, what holds of all elements holds there.
    fresh = {(a + axis, p): found.body for a, p in node.measure.places(index)}
    return replace(found, tail={**found.tail, **fresh}, head={**found.head, **fresh})


def _check_places(node: Node, axis: Axis, index: State) -> None:
    """Refuse indices that at padded places may lie outside of an axis."""
    size = size_of(axis).constant or 0
    for place in node.measure.places(index):
        fact = index.tail.get(place)
        if fact is None:
            raise PaddingRefused("its indices at padded places are not known")
        if fact.low < -size or fact.high >= size:
            found = f"an index up to {fact.high:g} at padded places"
            raise PaddingRefused(f"found {found}, wanted one below {size}")


def _gather_rows(node: Node, data: State, index: State, axis: int) -> State:
    """Places along a padded axis: the first ones, or all, by their place in a row."""
    measure = node.measure
    if data.sized:
        raise PaddingRefused(f"it computes with {measure.name} itself")
    if index.steps is None:
        return _gather_first(node, data, index, axis)
    places = _rows_places(node, data, index, axis)
    shift = len(index.axes) - 1
    axes = (*data.axes[:axis], *index.axes, *data.axes[axis + 1 :])
    for a, factors in enumerate(data.axes):
        if a != axis:
            for p in range(len(factors)):
                places[a, p] = (a if a < axis else a + shift, p)
    return measure.moved(data, axes, places)


def _rows_places(
    node: Node, data: State, index: State, axis: int
) -> dict[Place, Place]:
    """Where the factors of `axis` go if indices count its places row by row."""
    # sum(step * index) is the place in a flat axis if the steps are its strides.
    strides, stride = list[Dim](), Dim.of(1)
    for factor in reversed(data.axes[axis]):
        strides.insert(0, stride)
        stride = stride * factor
    wanted = dict(zip(strides, enumerate(data.axes[axis]), strict=True))
    places: dict[Place, Place] = {}
    for n, (step, factors) in enumerate(
        zip(index.steps or (), index.axes, strict=True)
    ):
        if step == Dim.of(0) and not factors:
            continue
        place, factor = wanted.pop(step, (0, None))
        if factor is None or factors != node.measure.axis([factor]):
            raise PaddingRefused("its indices are no places of the padded axis")
        places[axis, place] = (axis + n, 0)
    if wanted:
        raise PaddingRefused("its indices are no places of the padded axis")
    return places


def _gather_first(node: Node, data: State, index: State, axis: int) -> State:
    fact = index.body
    if data.axes[axis] != (node.measure.dim,) or node.measure.places(index):
        raise PaddingRefused("its indices are no places of the padded axis")
    if index.sized or fact is None or fact.low < 0:
        raise PaddingRefused(
            f"its indices may count from the end of {node.measure.name}"
        )
    shift = len(index.axes) - 1
    places = {
        (a, p): (a if a < axis else a + shift, p)
        for a, factors in enumerate(data.axes)
        for p in range(len(factors))
        if a != axis
    }
    axes = (*data.axes[:axis], *index.axes, *data.axes[axis + 1 :])
    return node.measure.moved(data, axes, places)


def gather_elements(node: Node) -> State:
    data, index = node.state(0), node.state(1)
    axis = node.axis(len(data.axes), 0)
    node.not_along(data, [axis])
    for n, (a, b) in enumerate(zip(data.axes, index.axes, strict=True)):
        if n != axis and a != b and not (a == () and b == ()):
            raise PaddingRefused("it takes a part of another axis")
    _check_places(node, data.axes[axis], index)
    return node.measure.uniform(index.axes, data.body)
