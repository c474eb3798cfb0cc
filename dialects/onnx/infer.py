"""
The types of an op's results: ONNX's own inference, refined by what we know of integers.

ONNX infers per node and does not follow values; `integers` does. Ours refines and never
contradicts: where both know a dimension, ONNX's stands.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from xdsl.dialects.builtin import NoneType
from xdsl.ir import Attribute, SSAValue

from .base import SCHEMAS
from .contrib_types import contrib_types
from .dims import Dim, DimError, broadcast, product
from .facts import Facts, InferenceError, inferred_by_onnx
from .infer_ml import ml_types
from .integers import IntegerValues
from .proto import refine
from .schemas import is_contrib
from .types import (
    DenseAttr,
    OptionalType,
    SequenceType,
    Shape,
    element_of,
    shape_of,
    tensor,
)


def result_types(
    name: str,
    operands: Sequence[SSAValue],
    properties: Mapping[str, Attribute],
    outputs: Sequence[bool],
    integers: IntegerValues,
) -> list[Attribute]:
    """
    The types of the results of op `name`, ``none`` where `outputs` says unwanted.

    Ops with regions get theirs from `merge_types` and `stacked`. Raises InferenceError.
    """
    held = properties.get("value")
    if name == "onnx.Constant" and isinstance(held, DenseAttr):
        return [held.type]
    schema = SCHEMAS[name]
    facts = Facts(name, operands, properties, integers)
    infer = contrib_types if is_contrib(schema) else inferred_by_onnx
    infer = ml_types if schema.domain == "ai.onnx.ml" else infer
    inferred = infer(schema, facts, outputs)
    rule = _SHAPES.get(name.partition(".")[2]) if name.startswith("onnx.") else None
    if rule is not None and outputs[0]:
        refined = _refined(rule, facts)
        element = _first_element(inferred[0], facts)
        if refined is not None and element is not None:
            ours = tensor(element, map(_possible, refined))
            inferred[0] = ours if inferred[0] is None else refine(ours, inferred[0])
    for index, (wanted, kind) in enumerate(zip(outputs, inferred, strict=True)):
        if wanted and kind is None:
            raise InferenceError(f"nothing tells the type of result {index}")
    return [NoneType() if kind is None else kind for kind in inferred]


def _refined(rule: Callable[[Facts], Shape | None], facts: Facts) -> Shape | None:
    try:
        return rule(facts)
    except DimError:
        return None


def _possible(dim: Dim | None) -> Dim | None:
    # A negative size can only come from a graph that cannot run; ONNX reports those.
    if dim is None or (dim.constant is not None and dim.constant < 0):
        return None
    return dim


def _first_element(inferred: Attribute | None, facts: Facts) -> Attribute | None:
    if inferred is not None:
        return element_of(inferred)
    return element_of(facts.operands[0].type) if facts.operands else None


# --- regions ---


def merge_types(a: Attribute, b: Attribute) -> Attribute:
    """
    The most precise type that holds the values of both; InferenceError if none does.
    """
    if a == b:
        return a
    for container in (SequenceType, OptionalType):
        if isinstance(a, container) and isinstance(b, container):
            return container(merge_types(a.element, b.element))
    if isinstance(a, OptionalType) or isinstance(b, OptionalType):
        inner = [k.element if isinstance(k, OptionalType) else k for k in (a, b)]
        return OptionalType(merge_types(*inner))
    if element_of(a) is None or element_of(a) != element_of(b):
        raise InferenceError(f"one branch gives {a}, another {b}")
    element = element_of(a)
    assert element is not None, "checked above"
    shape_a, shape_b = shape_of(a), shape_of(b)
    if shape_a is None or shape_b is None or len(shape_a) != len(shape_b):
        return tensor(element, None)
    pairs = zip(shape_a, shape_b, strict=True)
    return tensor(element, [x if x == y else None for x, y in pairs])


def stacked(kind: Attribute, axis: int = 0, size: Dim | None = None) -> Attribute:
    """The type of the stack of a loop's results of type `kind` along a new `axis`."""
    element, shape = element_of(kind), shape_of(kind)
    if element is None:
        raise InferenceError(f"a scan output is {kind}, wanted a tensor")
    if shape is None:
        return tensor(element, None)
    axis = axis + len(shape) + 1 if axis < 0 else axis
    return tensor(element, [*shape[:axis], size, *shape[axis:]])


# --- shapes that follow from integer values ---


def _reshape(facts: Facts) -> Shape | None:
    data, target = facts.shape(0), facts.values(1)
    if target is None:
        return None
    keeps_zero = facts.attribute("allowzero", 0)
    dims: list[Dim | None] = []
    for index, dim in enumerate(target):
        if dim is not None and dim.constant == 0 and not keeps_zero:
            dim = data[index] if data is not None and index < len(data) else None
        dims.append(dim)
    if Dim.of(-1) in dims:
        place = dims.index(Dim.of(-1))
        dims[place] = _remaining(data, dims[:place] + dims[place + 1 :])
    return tuple(map(_size, dims))


def _remaining(data: Shape | None, others: list[Dim | None]) -> Dim | None:
    if data is None:
        return None
    known = [dim for dim in data if dim is not None]
    taken = [dim for dim in others if dim is not None]
    if len(known) != len(data) or len(taken) != len(others):
        return None
    total, rest = product(known), product(taken)
    return total // rest if rest.terms else None


def _size(dim: Dim | None) -> Dim | None:
    """`dim` if it cannot be negative; a target of unknown sign may be a -1."""
    if dim is None or dim.lower_bound is None or dim.lower_bound < 0:
        return None
    return dim


def _broadcasting(facts: Facts) -> Shape | None:
    shapes = [facts.shape(index) for index in range(len(facts.operands))]
    known = [shape for shape in shapes if shape is not None]
    return broadcast(known) if len(known) == len(shapes) else None


def _expand(facts: Facts) -> Shape | None:
    data, target = facts.shape(0), facts.values(1)
    if data is None or target is None:
        return None
    return broadcast([data, tuple(map(_size, target))])


def _matmul(facts: Facts) -> Shape | None:
    a, b = facts.shape(0), facts.shape(1)
    if a is None or b is None or len(a) < 2 or len(b) < 2:
        return None
    return (*broadcast([a[:-2], b[:-2]]), a[-2], b[-1])


def _constant_of_shape(facts: Facts) -> Shape | None:
    values = facts.values(0)
    return None if values is None else tuple(map(_size, values))


def _range(facts: Facts) -> Shape | None:
    bounds = [facts.values(index) for index in range(3)]
    if any(bound is None or bound[0] is None for bound in bounds):
        return (None,)
    start, limit, delta = (bound[0] for bound in bounds if bound is not None)
    if start is None or limit is None or delta is None or delta.constant != 1:
        return (None,)
    return ((limit - start).maximum(Dim.of(0)),)


def _concat(facts: Facts) -> Shape | None:
    shapes = [facts.shape(index) for index in range(len(facts.operands))]
    known = [shape for shape in shapes if shape is not None]
    if len(known) != len(shapes) or len({len(shape) for shape in known}) != 1:
        return None
    axis: int = facts.attribute("axis") % len(known[0])
    columns = list(zip(*known, strict=True))
    dims = [next((d for d in column if d is not None), None) for column in columns]
    parts = [dim for dim in columns[axis] if dim is not None]
    dims[axis] = sum(parts, Dim(())) if len(parts) == len(known) else None
    return tuple(dims)


def _flatten(facts: Facts) -> Shape | None:
    data = facts.shape(0)
    if data is None or any(dim is None for dim in data):
        return None
    known = [dim for dim in data if dim is not None]
    axis = facts.attribute("axis", 1)
    axis = axis + len(known) if axis < 0 else axis
    return product(known[:axis]), product(known[axis:])


def _tile(facts: Facts) -> Shape | None:
    data, repeats = facts.shape(0), facts.values(1)
    if data is None or repeats is None or len(data) != len(repeats):
        return None
    pairs = zip(data, repeats, strict=True)
    return tuple(None if d is None or r is None else d * r for d, r in pairs)


def _pad(facts: Facts) -> Shape | None:
    data, pads = facts.shape(0), facts.values(1)
    if data is None or pads is None:
        return None
    axes = _axes(facts, 3, len(data))
    if axes is None or len(pads) != 2 * len(axes):
        return None
    dims = list(data)
    for place, axis in enumerate(axes):
        dim, before, after = dims[axis], pads[place], pads[place + len(axes)]
        if dim is None or before is None or after is None:
            dims[axis] = None
        else:
            dims[axis] = dim + before + after
    return tuple(dims)


def _axes(facts: Facts, index: int, rank: int) -> list[int] | None:
    """
    The axes operand at `index`, all axes if it is absent; None if it is not known.
    """
    if not facts.present(index):
        return list(range(rank))
    values = facts.values(index)
    numbers = [None if v is None else v.constant for v in values or []]
    known = [n % rank for n in numbers if n is not None and -rank <= n < rank]
    return known if values is not None and len(known) == len(numbers) else None


_END = 1 << 30
"""Exporters write the largest integers where they mean the end of an axis."""


def _slice(facts: Facts) -> Shape | None:
    data = facts.shape(0)
    if data is None:
        return None
    axes, starts, ends = _axes(facts, 3, len(data)), facts.values(1), facts.values(2)
    if axes is None or (starts is None and not facts.present(3)):
        return (None,) * len(data)
    steps = facts.values(4) if facts.present(4) else [Dim.of(1)] * len(axes)
    if starts is not None and not facts.present(3):
        axes = axes[: len(starts)]
    dims = list(data)
    for place, axis in enumerate(axes):
        bounds = [v[place] if v and place < len(v) else None for v in (starts, ends)]
        step = steps[place] if steps and place < len(steps) else None
        dims[axis] = _slice_length(dims[axis], bounds[0], bounds[1], step)
    return tuple(dims)


def _slice_length(
    dim: Dim | None, start: Dim | None, end: Dim | None, step: Dim | None
) -> Dim | None:
    if dim is None or start is None or end is None or step is None:
        return None
    if step.constant is None or step.constant < 1:
        return None
    first, last = _position(start, dim), _position(end, dim)
    if first is None or last is None:
        return None
    length = (last - first).maximum(Dim.of(0))
    return (length + step - Dim.of(1)) // step


def _position(bound: Dim, dim: Dim) -> Dim | None:
    """Where a slice's bound lies in an axis of size `dim`."""
    if bound.constant is not None and bound.constant >= _END:
        return dim
    if bound.lower_bound is not None and bound.lower_bound >= 0:
        return bound.minimum(dim)
    if bound.constant is not None:
        return (dim + bound).maximum(Dim.of(0))
    return None


def _same_as_input(facts: Facts) -> Shape | None:
    return facts.shape(0)


_BROADCASTING = (
    "Add And BitwiseAnd BitwiseOr BitwiseXor Div Equal Greater GreaterOrEqual Less "
    "LessOrEqual Max Mean Min Mod Mul Or PRelu Pow Sub Sum Where Xor"
)

_SHAPES: dict[str, Callable[[Facts], Shape | None]] = {
    **dict.fromkeys(_BROADCASTING.split(), _broadcasting),
    "Concat": _concat,
    "ConstantOfShape": _constant_of_shape,
    "Expand": _expand,
    "Flatten": _flatten,
    "GroupNormalization": _same_as_input,
    "MatMul": _matmul,
    "MeanVarianceNormalization": _same_as_input,
    "Pad": _pad,
    "Range": _range,
    "Reshape": _reshape,
    "Slice": _slice,
    "Tile": _tile,
}
