"""What padding does to each operator: the rules of `padding`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from ...dialects.onnx import DenseAttr, Dim
from ..facts import setting
from . import padding_axes as axes_of
from . import padding_places as places_of
from .elementwise import ELEMENTWISE
from .padding_facts import Fact, exactly, hull, of_array, of_elementwise
from .padding_node import Node, along, broadcast_axes
from .padding_state import Axis, PaddingRefused, Place, State

Rule = Callable[[Node], State | Sequence[State]]

# --- element by element ---


def elementwise(node: Node) -> State:
    """Each element of the result follows from those at its place."""
    states = [state for state in node.states if state is not None]
    axes = broadcast_axes(node.measure, states)
    steps = _steps(node, states, axes)
    if any(state.sized for state in states):
        if steps is None or len(states) > 2:
            raise PaddingRefused(f"it computes with {node.measure.name} itself")
        return State(tuple(axes), sized=True, steps=steps)
    body = of_elementwise(node.op, [state.body for state in states])
    result = State(tuple(axes), body, steps=steps)
    tail: dict[Place, Fact] = {}
    head: dict[Place, Fact] = {}
    compared = _compared(node, states, axes)
    for place in node.measure.places(result):
        for facts, name in ((tail, "tail"), (head, "head")):
            seen = [along(state, place, len(axes), name) for state in states]
            fact = of_elementwise(node.op, seen)
            fact = compared.get((name, place), fact)
            if fact is not None:
                facts[place] = fact
    return replace(result, tail=tail, head=head)


def _steps(
    node: Node, states: Sequence[State], axes: Sequence[Axis]
) -> tuple[Dim, ...] | None:
    """The steps of a sum of indices, or of indices times a size."""
    kind, rank = node.op.op_type(), len(axes)
    nothing = Dim.of(0)
    if kind in ("Identity", "Cast") and states[0].steps is not None:
        return states[0].steps
    if kind == "Add" and len(states) == 2:
        left, right = (state.steps for state in states)
        if left is None or right is None:
            return None
        left, right = ((*[nothing] * (rank - len(s)), *s) for s in (left, right))
        return tuple(a + b for a, b in zip(left, right, strict=True))
    if kind == "Mul" and len(states) == 2:
        for n, state in enumerate(states):
            factor = node.numbers(1 - n)
            if state.steps is None or factor is None or len(factor) != 1:
                continue
            if factor[0] is not None:
                steps = tuple(step * factor[0] for step in state.steps)
                return (*[nothing] * (rank - len(steps)), *steps)
    return None


def _compared(
    node: Node, states: Sequence[State], axes: Sequence[Axis]
) -> dict[tuple[str, Place], Fact]:
    """What comparing positions along one axis with those along another gives."""
    kind = node.op.op_type()
    if kind not in ("Less", "LessOrEqual", "Greater", "GreaterOrEqual"):
        return {}
    places: list[Place] = []
    for state in states:
        steps = state.steps or ()
        counted = [n for n, step in enumerate(steps) if step != Dim.of(0)]
        if len(counted) != 1 or steps[counted[0]] != Dim.of(1):
            return {}
        places.append((counted[0] + len(axes) - len(steps), 0))
    left, right = places
    if left == right or any(axes[axis] != (node.measure.dim,) for axis, _ in places):
        return {}
    less, equal = kind.startswith("Less"), kind.endswith("OrEqual")
    # Padded places come after all real ones, the first before them or among them.
    found = {
        ("tail", left): exactly(not less),
        ("tail", right): exactly(less),
    }
    if equal:
        found["head", left if less else right] = exactly(1)
    return found


# --- made of sizes ---


def counting(node: Node) -> State:
    """``0, 1, 2, …``: the same at real places, whatever the size."""
    start, step = node.numbers(0), node.numbers(2)
    axes = node.axes()
    whole = [
        None if n is None or n[0] is None else n[0].constant for n in (start, step)
    ]
    if whole != [0, 1]:
        first = node.states[0]
        zero = first is not None and first.body == exactly(0)
        last = node.states[2] if len(node.states) > 2 else None
        if not zero or last is None or last.body != exactly(1):
            raise PaddingRefused("found another Range than 0, 1, 2, …")
    found = node.measure.uniform(axes, Fact(0, float("inf")))
    head = dict.fromkeys(node.measure.places(found), exactly(0))
    last = dict.fromkeys(node.measure.places(found), Fact(0, node.measure.largest - 1))
    return replace(found, steps=(Dim.of(1),), head=head, tail=last)


def constant_of_shape(node: Node) -> State:
    value = node.op.properties.get("value")
    fact = of_array(value.array()) if isinstance(value, DenseAttr) else None
    fact = exactly(0) if value is None else fact
    return node.measure.uniform(node.axes(), fact)


def triangle(node: Node) -> State:
    state = node.state(0)
    items = node.numbers(1) or ([Dim.of(0)] if len(node.op.operands) < 2 else [None])
    k = None if items[0] is None else items[0].constant
    square = (node.measure.dim,)
    upper = bool(setting(node.op, "upper"))
    if k is None or state.axes[-2:] != (square, square) or state.body is None:
        node.not_along(state, range(len(state.axes) - 2, len(state.axes)))
        return State(state.axes)
    rows, columns = (len(state.axes) - 2, 0), (len(state.axes) - 1, 0)
    found = State(state.axes, hull([state.body, exactly(0)]))
    tail = {p: f for p, f in state.tail.items() if p not in (rows, columns)}
    head = {p: f for p, f in state.head.items() if p not in (rows, columns)}
    tail = {p: hull([f, exactly(0)]) or f for p, f in tail.items()}
    head = {p: hull([f, exactly(0)]) or f for p, f in head.items()}
    # A padded column lies right of every real row's diagonal.
    above = state.tail.get(columns, None)
    if upper and k <= 1 and above is not None:
        tail[columns] = above
    elif not upper and k <= 0:
        tail[columns] = exactly(0)
    if upper and k >= 1:
        head[columns] = exactly(0)
    elif not upper and k >= 0 and columns in state.head:
        head[columns] = state.head[columns]
    return replace(found, tail=tail, head=head)


# --- the table ---

_IMAGES = """
    AveragePool BatchNormalization Conv ConvTranspose DepthToSpace GlobalAveragePool
    GlobalLpPool GlobalMaxPool GroupNormalization InstanceNormalization LRN LpPool
    MaxPool SpaceToDepth
"""
_ELEMENTWISE = """
    BiasGelu Cast Clip FastGelu Gelu HardSigmoid Identity Max Mean Min QuickGelu Sum
    BitwiseNot
"""
_REDUCTIONS = """
    ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin
    ReduceProd ReduceSum ReduceSumSquare
"""
_BY_ELEMENT = [name for name in ELEMENTWISE if name != "SwiGLU"]

RULES: Mapping[str, Rule] = {
    **dict.fromkeys((*_BY_ELEMENT, *_ELEMENTWISE.split()), elementwise),
    **dict.fromkeys(("Flatten", "Reshape", "Squeeze", "Unsqueeze"), places_of.reshape),
    **dict.fromkeys(("LogSoftmax", "Softmax"), axes_of.softmax),
    **dict.fromkeys(("LayerNormalization", "RMSNormalization"), axes_of.normalization),
    **dict.fromkeys(_REDUCTIONS.split(), axes_of.reduce),
    **dict.fromkeys(("ArgMax", "ArgMin"), axes_of.place_of_extreme),
    **dict.fromkeys(_IMAGES.split(), axes_of.by_row(0)),
    **dict.fromkeys(("GRU", "LSTM", "RNN"), axes_of.by_row(1)),
    "Concat": places_of.concat,
    "ConstantOfShape": constant_of_shape,
    "CumSum": axes_of.cumulative,
    "Expand": places_of.expand,
    "Gather": places_of.gather,
    "GatherElements": places_of.gather_elements,
    "Gemm": axes_of.gemm,
    "MatMul": axes_of.matmul,
    "Range": counting,
    "Slice": places_of.slices,
    "Split": places_of.split,
    "Transpose": places_of.transpose,
    "Trilu": triangle,
}
"""The rule of each operator that has one."""
