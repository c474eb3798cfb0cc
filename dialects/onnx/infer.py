"""
The types of an op's results: ONNX's own inference, refined by what we know of integers.

ONNX infers per node and does not follow values; `integers` does. Ours refines and never
contradicts: where both know a dimension, ONNX's stands.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from itertools import zip_longest
from typing import Any

import onnx
from onnx import checker, shape_inference
from onnx.defs import OpSchema
from xdsl.dialects.builtin import NoneType
from xdsl.ir import Attribute, SSAValue

from .attributes import python_value
from .base import SCHEMAS
from .dims import Dim, DimError, product
from .integers import IntegerValues, flat
from .proto import (
    attribute_to_proto,
    refine,
    tensor_to_proto,
    type_from_proto,
    type_to_proto,
)
from .types import (
    DenseAttr,
    OptionalType,
    SequenceType,
    Shape,
    WeightAttr,
    element_of,
    is_none,
    shape_of,
    tensor,
)


class InferenceError(ValueError):
    """The operands do not fit the operator, or nothing tells the type of a result."""


class Facts:
    """
    What inference may look at: an op's operands and attributes, and integer values.
    """

    def __init__(
        self,
        name: str,
        operands: Sequence[SSAValue],
        properties: Mapping[str, Attribute],
        integers: IntegerValues,
    ):
        self.name = name
        self.operands = operands
        self.properties = properties
        self.integers = integers

    def shape(self, index: int) -> Shape | None:
        """The shape of an operand; None if it is unranked or absent."""
        return shape_of(self.operands[index].type)

    def present(self, index: int) -> bool:
        """Whether an operand is there."""
        return len(self.operands) > index and not is_none(self.operands[index].type)

    def values(self, index: int) -> list[Dim | None] | None:
        """The elements of an integer operand, flat."""
        if not self.present(index):
            return None
        items = self.integers.of(self.operands[index])
        return None if items is None else flat(items)

    def attribute(self, name: str, default: Any = None) -> Any:
        """An attribute's Python value."""
        value = self.properties.get(name)
        return default if value is None else python_value(value)


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
    inferred = _inferred_by_onnx(schema, facts, outputs)
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


def _inferred_by_onnx(
    schema: OpSchema, facts: Facts, outputs: Sequence[bool]
) -> list[Attribute | None]:
    if not schema.has_type_and_shape_inference_function:
        return [None] * len(outputs)
    node = onnx.NodeProto(op_type=schema.name, domain=schema.domain)
    types: dict[str, onnx.TypeProto] = {}
    data: dict[str, onnx.TensorProto] = {}
    for index, operand in enumerate(facts.operands):
        if is_none(operand.type):
            node.input.append("")
            continue
        name = f"i{index}"
        node.input.append(name)
        types[name] = type_to_proto(operand.type)
        constant = _small_constant(operand, facts.integers)
        if constant is not None:
            data[name] = tensor_to_proto(constant, name)
    while node.input and not node.input[-1]:
        node.input.pop()
    names = [f"o{i}" if wanted else "" for i, wanted in enumerate(outputs)]
    while names and not names[-1]:
        names.pop()
    node.output.extend(names)
    for attribute, value in facts.properties.items():
        if not isinstance(value, WeightAttr):
            node.attribute.append(attribute_to_proto(schema, attribute, value))
    try:
        found = shape_inference.infer_node_outputs(schema, node, types, data)
    except _REFUSALS as error:
        raise InferenceError(_last_words(error)) from error
    return [_usable(found.get(f"o{i}")) for i in range(len(outputs))]


_REFUSALS = (
    shape_inference.InferenceError,
    checker.ValidationError,
    RuntimeError,
    TypeError,
)
"""What onnx's inference raises for a node that it takes for wrong."""


def _usable(proto: onnx.TypeProto | None) -> Attribute | None:
    if proto is None or proto.WhichOneof("value") is None:
        return None
    try:
        return type_from_proto(proto)
    except ValueError:
        return None


def _small_constant(value: SSAValue, integers: IntegerValues) -> Any:
    constant = integers.constant(value)
    return integers.constants(value) if constant is None else constant


def _last_words(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return text[-1].strip() if text else type(error).__name__


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


def broadcast(shapes: Sequence[Shape]) -> Shape:
    """The shape that `shapes` broadcast to, by ONNX's (NumPy's) rule."""
    columns = zip_longest(*(reversed(shape) for shape in shapes), fillvalue=Dim.of(1))
    return tuple(reduce(_broadcast_dim, column) for column in columns)[::-1]


def _broadcast_dim(a: Dim | None, b: Dim | None) -> Dim | None:
    for one, other in ((a, b), (b, a)):
        if one is not None and one.constant == 1:
            return other
        if one is not None and one.constant is not None:
            return one
    if a is None or b is None:
        return None
    return b if _covers(b, a) else a if _covers(a, b) else None


def _covers(wide: Dim, narrow: Dim) -> bool:
    """Whether both, where they broadcast, always give `wide`."""
    # A size that never exceeds the other is equal to it, or is the 1 that is stretched,
    # or is 0 beside a 1, and then the result is 0.
    if not narrow.at_most(wide):
        return False
    if (narrow.lower_bound or 0) >= 1 or wide.divided_by(narrow) is not None:
        return True
    rest = narrow.minimum_with(wide)
    return rest is not None and (rest.lower_bound or 0) >= 1


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
