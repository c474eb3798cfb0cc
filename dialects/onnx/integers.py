"""
What is known of integer values before the program runs, as symbolic expressions.

Exporters compute shapes in the graph: ``Shape -> Gather -> Concat -> Reshape``. This
analysis follows such chains with the operators' own arithmetic on arrays of dimensions,
so that ``Reshape`` gets its result type although no input size is a number. An element
of which nothing is known is None. The analysis only looks.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any, TypeAlias, cast

import numpy as np
from xdsl.ir import Attribute, OpResult, SSAValue

from .base import OnnxOp
from .dims import Dim, DimError
from .store import WeightStore
from .types import (
    DenseAttr,
    WeightAttr,
    element_of,
    integer_range,
    is_none,
    numpy_dtype,
    shape_of,
    static_shape,
)

Dims: TypeAlias = np.ndarray[Any, Any]
"""An integer tensor whose elements are `Dim`, or None where nothing is known."""

MAX_ELEMENTS = 256
"""Larger tensors are data, not shapes."""

MAX_DEPTH = 64
"""How far a chain is followed through values that were not looked at before."""


class IntegerValues:
    """The integer values of a graph, each looked at once."""

    def __init__(self, store: WeightStore | None):
        self.store = store
        self._known: dict[SSAValue, Dims | None] = {}
        self._depth = 0

    def of(self, value: SSAValue) -> Dims | None:
        """The elements of `value` in its shape; None if nothing is known of it."""
        if value in self._known:
            return self._known[value]
        if not isinstance(value, OpResult) or self._depth >= MAX_DEPTH:
            return None
        self._depth += 1
        found = self._of_result(value)
        self._depth -= 1
        self._known[value] = found
        return found

    def constant(self, value: SSAValue) -> np.ndarray[Any, Any] | None:
        """The constant that `value` is, if it is small; of any element type."""
        op = value.owner
        if not isinstance(op, OnnxOp) or op.name != "onnx.Constant":
            return None
        held = op.properties.get("value")
        if isinstance(held, DenseAttr):
            return held.array() if held.array().size <= MAX_ELEMENTS else None
        if not isinstance(held, WeightAttr) or self.store is None:
            return None
        if held.data not in self.store:
            return None
        weight = self.store[held.data]
        return weight.array() if weight.size <= MAX_ELEMENTS else None

    def constants(self, value: SSAValue) -> np.ndarray[Any, Any] | None:
        """The integers that `value` is if every element is a number, as its dtype."""
        items = self.of(value)
        if items is None:
            return None
        numbers = _numbers(items)
        if numbers is None:
            return None
        element = element_of(value.type)
        kind = numpy_dtype(cast(Attribute, element))
        return np.array(numbers, object).astype(kind).reshape(items.shape)

    def _of_result(self, value: OpResult) -> Dims | None:
        op = value.op
        if not isinstance(op, OnnxOp) or len(op.results) != 1:
            return None
        if op.name == "onnx.Constant":
            return _from_array(self.constant(value))
        shape = static_shape(value.type)
        if shape is not None and math.prod(shape) > MAX_ELEMENTS:
            return None
        if op.name in ("onnx.Shape", "onnx.Size"):
            return _of_shape(op)
        rule = _RULES.get(op.op_type())
        if rule is None or not op.name.startswith("onnx."):
            return None
        arguments = [self.of(operand) for operand in op.operands]
        if not arguments or arguments[0] is None:
            return None
        try:
            found = rule(op, *arguments)
        except DimError:
            return None
        return None if found is None else _representable(found, value.type)


def _representable(items: Dims, kind: Attribute) -> Dims | None:
    """
    `items` without those that the element type cannot hold, which would wrap around.

    A symbol is taken to fit 32 bits, as sizes do; not fewer.
    """
    element = element_of(kind)
    if element is None:
        return None
    dtype = numpy_dtype(element)
    if dtype.kind == "f":
        low, high = -(1 << 24), 1 << 24
        wide = dtype.itemsize >= 4
    elif dtype == np.bool_:
        low, high, wide = 0, 1, False
    else:
        (low, high), wide = integer_range(dtype), dtype.itemsize >= 4

    def kept(item: Dim | None) -> Dim | None:
        if item is None or item.constant is None:
            return item if wide else None
        return item if low <= item.constant <= high else None

    return array_of([kept(item) for item in flat(items)], items.shape)


def array_of(items: list[Dim | None], shape: tuple[int, ...]) -> Dims:
    """An array of dimensions; NumPy alone would look into them."""
    array = np.empty(len(items), object)
    array[:] = items
    return array.reshape(shape)


def _from_array(array: np.ndarray[Any, Any] | None) -> Dims | None:
    if array is None or array.dtype.kind not in "iubf":
        return None
    items: list[Dim | None] = []
    for number in array.reshape(-1).tolist():
        whole = np.isfinite(number) and int(number) == number
        items.append(Dim.of(int(number)) if whole else None)
    return array_of(items, array.shape)


def _of_shape(op: OnnxOp) -> Dims | None:
    shape = shape_of(op.operands[0].type)
    if shape is None:
        return None
    if op.name == "onnx.Size":
        return array_of([_reduced(operator.mul, list(shape), Dim.of(1))], ())
    attributes = op.python_attributes()
    part = shape[attributes.get("start", 0) : attributes.get("end")]
    return array_of(list(part), (len(part),))


def _reduced(
    combine: Callable[[Dim, Dim], Dim], items: list[Dim | None], start: Dim
) -> Dim | None:
    known = [item for item in items if item is not None]
    return reduce(combine, known, start) if len(known) == len(items) else None


def _elementwise(combine: Callable[..., Dim | None]) -> Callable[..., Dims | None]:
    def each(*items: Dim | None) -> Dim | None:
        known = [item for item in items if item is not None]
        return combine(*known) if len(known) == len(items) else None

    def rule(op: OnnxOp, *arguments: Dims | None) -> Dims | None:
        return _each(each, arguments)

    return rule


def _each(
    function: Callable[..., Dim | None], arguments: Sequence[Dims | None]
) -> Dims | None:
    """`function` of the elements of `arguments`, broadcast; None if one is unknown."""
    known = [argument for argument in arguments if argument is not None]
    if len(known) != len(arguments):
        return None
    result: Any = np.frompyfunc(function, len(known), 1)(*known)
    if isinstance(result, np.ndarray):
        return cast(Dims, result)
    return array_of([result], ())


def _is_integer(op: OnnxOp) -> bool:
    element = element_of(op.operands[0].type)
    return element is not None and numpy_dtype(element).kind in "iub"


def _divide(a: Dim, b: Dim) -> Dim | None:
    exact = a.divided_by(b) if b.terms else None
    if exact is not None:
        return exact
    # ONNX truncates; that is flooring only where nothing is negative.
    low, divisor = a.lower_bound, b.lower_bound
    if low is None or divisor is None or low < 0 or divisor <= 0:
        return None
    return a // b


def _division(op: OnnxOp, *arguments: Dims | None) -> Dims | None:
    return _elementwise(_divide)(op, *arguments) if _is_integer(op) else None


def _modulo(op: OnnxOp, *arguments: Dims | None) -> Dims | None:
    def modulo(a: Dim, b: Dim) -> Dim | None:
        low, divisor = a.lower_bound, b.lower_bound
        if low is None or divisor is None or low < 0 or divisor <= 0:
            return None
        return a % b

    return _elementwise(modulo)(op, *arguments) if _is_integer(op) else None


def _truth(answer: bool | None) -> Dim | None:
    return None if answer is None else Dim.of(int(answer))


def _equal(a: Dim, b: Dim) -> Dim | None:
    return _truth(a.equals(b))


def _greater(a: Dim, b: Dim) -> Dim | None:
    return _less(b, a)


def _largest(*items: Dim) -> Dim:
    return reduce(Dim.maximum, items)


def _smallest(*items: Dim) -> Dim:
    return reduce(Dim.minimum, items)


def _less(a: Dim, b: Dim) -> Dim | None:
    if ((b - a).lower_bound or 0) > 0:
        return Dim.of(1)
    behind = (a - b).lower_bound
    return Dim.of(0) if behind is not None and behind >= 0 else None


def _select(op: OnnxOp, *arguments: Dims | None) -> Dims | None:
    def choose(condition: Dim | None, a: Dim | None, b: Dim | None) -> Dim | None:
        if condition is None or condition.constant is None:
            return a if a is not None and a == b else None
        return a if condition.constant else b

    return _each(choose, arguments)


def _numbers(items: Dims | None) -> list[int] | None:
    if items is None:
        return None
    numbers = [None if item is None else item.constant for item in flat(items)]
    known = [n for n in numbers if n is not None]
    return known if len(known) == len(numbers) else None


def flat(items: Dims) -> list[Dim | None]:
    """The elements of `items`, row by row."""
    # `flat` and `tolist` of NumPy end at 32 dimensions; reshaping does not.
    return list(items.reshape(-1))


def _same_items(op: OnnxOp, data: Dims, *_: Dims | None) -> Dims | None:
    shape = static_shape(op.results[0].type)
    if shape is None or math.prod(shape) != data.size:
        return None
    return data.reshape(shape)


def _cast(op: OnnxOp, data: Dims) -> Dims | None:
    element = element_of(op.results[0].type)
    kind = None if element is None else numpy_dtype(element)
    return (
        data if kind is not None and kind.kind in "if" and kind.itemsize > 2 else None
    )


def _gather(op: OnnxOp, data: Dims, indices: Dims | None) -> Dims | None:
    chosen = _numbers(indices)
    axis = op.python_attributes().get("axis", 0)
    if chosen is None or indices is None or not -data.ndim <= axis < data.ndim:
        return None
    size = data.shape[axis]
    if any(not -size <= index < size for index in chosen):
        return None
    # Of no index NumPy does not know that it is an integer.
    places = np.array(chosen, np.int64).reshape(indices.shape)
    return np.asarray(np.take(data, places, axis), object)


def _slice(op: OnnxOp, data: Dims, *rest: Dims | None) -> Dims | None:
    starts, ends = _numbers(rest[0]), _numbers(rest[1])
    given = [not is_none(operand.type) for operand in op.operands]
    axes = _numbers(rest[2]) if len(given) > 3 and given[3] else [0]
    steps = _numbers(rest[3]) if len(given) > 4 and given[4] else [1]
    if starts is None or ends is None or steps is None or axes not in ([0], [-1]):
        return None
    if data.ndim != 1 or len(starts) != 1:
        return None
    step = steps[0]
    end = None if step < 0 and ends[0] < -data.size else ends[0]
    return data[starts[0] : end : step] if step else None


def _concat(op: OnnxOp, *parts: Dims | None) -> Dims | None:
    known = [part for part in parts if part is not None]
    if len(known) != len(parts):
        return None
    return np.concatenate(known, op.python_attributes()["axis"])


def _constant_of_shape(op: OnnxOp, shape: Dims) -> Dims | None:
    sizes = _numbers(shape)
    value = op.properties.get("value")
    fill = value.array().reshape(-1) if isinstance(value, DenseAttr) else np.zeros(1)
    filler = _from_array(fill)
    if sizes is None or math.prod(sizes) > MAX_ELEMENTS or filler is None:
        return None
    return array_of([filler[0]] * int(math.prod(sizes)), tuple(sizes))


def _expand(op: OnnxOp, data: Dims, shape: Dims | None) -> Dims | None:
    sizes = _numbers(shape)
    if sizes is None or math.prod(sizes) > MAX_ELEMENTS:
        return None
    try:
        return np.broadcast_to(data, np.broadcast_shapes(data.shape, tuple(sizes)))
    except ValueError:
        return None


def _range(op: OnnxOp, *bounds: Dims | None) -> Dims | None:
    numbers = [_numbers(bound) for bound in bounds]
    if any(n is None for n in numbers):
        return None
    start, limit, delta = (cast(list[int], n)[0] for n in numbers)
    if not delta or (limit - start) // delta > MAX_ELEMENTS:
        return None
    return _from_array(np.arange(start, limit, delta))


def _reduction(
    combine: Callable[[Dim, Dim], Dim], start: int
) -> Callable[..., Dims | None]:
    def rule(op: OnnxOp, data: Dims, *_: Dims | None) -> Dims | None:
        shape = static_shape(op.results[0].type)
        if shape is None or math.prod(shape) != 1:
            return None
        total = _reduced(combine, flat(data), Dim.of(start))
        return array_of([total], shape)

    return rule


_RULES: dict[str, Callable[..., Dims | None]] = {
    "Add": _elementwise(operator.add),
    "Cast": _cast,
    "Ceil": _same_items,
    "Concat": _concat,
    "ConstantOfShape": _constant_of_shape,
    "Div": _division,
    "Equal": _elementwise(_equal),
    "Expand": _expand,
    "Flatten": _same_items,
    "Floor": _same_items,
    "Gather": _gather,
    "Greater": _elementwise(_greater),
    "Identity": _same_items,
    "Less": _elementwise(_less),
    "Max": _elementwise(_largest),
    "Min": _elementwise(_smallest),
    "Mod": _modulo,
    "Mul": _elementwise(operator.mul),
    "Neg": _elementwise(Dim.__neg__),
    "Range": _range,
    "ReduceProd": _reduction(operator.mul, 1),
    "ReduceSum": _reduction(operator.add, 0),
    "Reshape": _same_items,
    "Slice": _slice,
    "Squeeze": _same_items,
    "Sub": _elementwise(operator.sub),
    "Unsqueeze": _same_items,
    "Where": _select,
}
