"""
The functions of the rule language, as a table.

Each says the kinds of its arguments and of what it gives, so that a file can be checked
before anything is matched. A function raises Unknown for what is not known before the
program runs and Declining for what has no value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast

import numpy as np
from xdsl.ir import Attribute, Operation, SSAValue

from ...dialects.onnx import Dim, WeightStore
from ...dialects.onnx.dims import broadcast, product
from ...dialects.onnx.integers import IntegerValues, flat
from ...dialects.onnx.types import (
    DTYPE_NAMES,
    Array,
    element_of,
    integer_range,
    numpy_dtype,
    shape_of,
    static_shape,
)
from ..fold_constants import constant_of
from .values import (
    Constant,
    Declining,
    Unknown,
    Value,
    constant,
    equal,
    float_info,
    mapped,
    size_value,
    wide_dtype,
)


class Kind(StrEnum):
    """What a value of an expression is."""

    VALUE = "a value"
    VALUES = "several values"
    CONSTANT = "a constant"
    NUMBER = "a number"
    LIST = "a list"
    TEXT = "a text"
    DTYPE = "a dtype"
    TRUTH = "a condition"
    ANY = "anything"


@dataclass
class Scope:
    """What expressions are evaluated in: the weights, and what is known of integers."""

    store: WeightStore

    def __post_init__(self) -> None:
        self.integers = IntegerValues(self.store)

    @property
    def replaces(self) -> bool:
        """Whether a rewrite takes the place of what it found; else both stay."""
        return True

    def used_once(self, op: Operation) -> bool:
        """Whether one op uses what `op` gives, and once."""
        return sum(1 for result in op.results for _ in result.uses) == 1

    def givers(self, value: SSAValue) -> Iterable[SSAValue]:
        """The results that `value` is known to be: where equals are kept, several."""
        return (value,)

    def same(self, value: SSAValue) -> SSAValue:
        """The value that stands for `value` and all that are known to equal it."""
        return value

    def constant(self, value: SSAValue) -> Constant | None:
        """The constant that `value` is; None if it is none."""
        source, element = constant_of(value, self.store), element_of(value.type)
        shape = static_shape(value.type)
        if source is None or element is None or shape is None:
            return None
        return constant(element, source, shape)


@dataclass(frozen=True)
class LibraryFunction:
    """A function: what it takes (the last repeats, if `variadic`) and gives."""

    takes: tuple[Kind, ...]
    gives: Kind
    apply: Callable[..., Value]
    doc: str
    variadic: bool = False
    optional: int = 0
    """How many of the last arguments may be left out."""


# --- values ---


def _shape(scope: Scope, value: Value) -> tuple[Dim | None, ...]:
    if isinstance(value, Constant):
        return tuple(map(Dim.of, value.shape))
    if value is None:
        raise Declining("an absent value has no shape")
    shape = shape_of(value.type)
    if shape is None:
        raise Unknown("its rank is not known")
    return shape


def _rank(scope: Scope, value: Value) -> int:
    return len(_shape(scope, value))


def _size(scope: Scope, value: Value) -> int | Dim:
    dims = [d for d in _shape(scope, value) if d is not None]
    known = len(dims) == _rank(scope, value)
    return size_value(product(dims) if known else None, "its size")


def _dtype(scope: Scope, value: Value) -> Attribute:
    if isinstance(value, Constant):
        return value.element
    element = None if value is None else element_of(value.type)
    if element is None:
        raise Declining("an absent value has no dtype")
    return element


def _is_constant(scope: Scope, *values: Value) -> bool:
    return all(
        v is None or isinstance(v, Constant) or scope.constant(v) is not None
        for v in values
    )


def _given(scope: Scope, value: Value) -> bool:
    return value is not None


def _uses(scope: Scope, value: Value) -> int:
    return 0 if value is None else sum(1 for _ in value.uses)


def _same_shape(scope: Scope, *values: Value) -> bool:
    first, *others = (_whole_shape(scope, v) for v in values)
    return all(equal(first, other) for other in others)


def _whole_shape(scope: Scope, value: Value) -> tuple[int | Dim, ...]:
    shape = _shape(scope, value)
    return tuple(size_value(d, f"size {i}") for i, d in enumerate(shape))


def _broadcasts_to(scope: Scope, value: Value, goal: Value) -> bool:
    # Sizes of which nothing is known are equal to themselves only, and broadcast so.
    narrow, wide = _shape(scope, value), _shape(scope, goal)
    if len(narrow) > len(wide):
        return False
    pairs = zip(narrow[::-1], wide[::-1], strict=False)
    for a, b in pairs:
        if a is not None and a.constant == 1:
            continue
        if a is None or b is None:
            raise Unknown("a size is not known")
        if not equal(size_value(a, ""), size_value(b, "")):
            return False
    return True


def _broadcast(scope: Scope, *values: Value) -> tuple[int | Dim, ...]:
    shape = broadcast([_shape(scope, value) for value in values])
    return tuple(size_value(d, "a size") for d in shape)


def _values(scope: Scope, value: Value) -> tuple[int | Dim, ...]:
    if value is None:
        raise Declining("an absent value has no elements")
    items = scope.integers.of(value)
    if items is None:
        raise Unknown("its elements are not known")
    return tuple(size_value(d, "an element") for d in flat(items))


# --- constants, as a whole ---


def _uniform(scope: Scope, value: Constant) -> bool:
    array = value.compute().reshape(-1)
    return array.size > 0 and bool((array == array[0]).all())


def _item(scope: Scope, value: Constant) -> Value:
    array = value.array().reshape(-1)
    if array.size == 0 or not bool((array == array[0]).all()):
        raise Declining("its elements differ")
    return value.compute().reshape(-1)[0].item()


def _all(scope: Scope, value: Constant) -> bool:
    return bool(value.compute().all())


def _any(scope: Scope, value: Constant) -> bool:
    return bool(value.compute().any())


def _finite(scope: Scope, value: Constant) -> bool:
    return bool(np.isfinite(value.array().astype(wide_dtype(value.element))).all())


def _exact_inverse(scope: Scope, value: Constant) -> bool:
    """Whether every element is a power of two whose inverse is no subnormal."""
    wide = value.compute()
    if wide.dtype != np.float64 or not np.isfinite(wide).all() or not wide.all():
        return False
    mantissa: Array = np.frexp(wide)[0]
    with np.errstate(all="ignore"):
        inverse = np.abs(1 / wide)
    least = float(float_info(numpy_dtype(value.element)).smallest_normal)
    most = float(float_info(numpy_dtype(value.element)).max)
    exact = np.abs(mantissa) == 0.5
    return bool((exact & (inverse >= least) & (inverse <= most)).all())


# --- constants, element by element ---


def _sqrt(scope: Scope, value: Constant) -> Constant:
    return mapped(value, np.sqrt)


def _exp(scope: Scope, value: Constant) -> Constant:
    return mapped(value, np.exp)


def _log(scope: Scope, value: Constant) -> Constant:
    return mapped(value, np.log)


def _absolute(scope: Scope, value: Constant) -> Constant:
    return mapped(value, np.abs)


def _numbers(values: Value, what: str) -> tuple[int, ...]:
    if any(not isinstance(n, int) for n in values):
        raise Unknown(f"{what} has sizes that are not numbers")
    return tuple(values)


def _reshape(scope: Scope, value: Constant, shape: Value) -> Constant:
    goal = list(_numbers(shape, "the shape"))
    if goal.count(-1) == 1:
        rest = math.prod(n for n in goal if n != -1)
        goal[goal.index(-1)] = value.size // rest if rest else 0
    if math.prod(goal) != value.size or min(goal, default=0) < 0:
        raise Declining(f"{list(value.shape)} cannot be reshaped to {list(shape)}")
    return mapped(value, lambda array: array.reshape(goal), goal)


def _transpose(scope: Scope, value: Constant, perm: Value = None) -> Constant:
    order = tuple(range(len(value.shape)))[::-1] if perm is None else perm
    if sorted(order) != list(range(len(value.shape))):
        raise Declining(f"{list(order)} is no order of {len(value.shape)} axes")
    shape = [value.shape[axis] for axis in order]
    return mapped(value, lambda array: array.transpose(order), shape)


def _concat(scope: Scope, axis: int, *parts: Constant) -> Constant:
    ranks = {len(part.shape) for part in parts}
    if len(ranks) != 1 or len({part.element for part in parts}) != 1:
        raise Declining("the constants differ in rank or dtype")
    (rank,) = ranks
    if not -rank <= axis < rank:
        raise Declining(f"found axis {axis}, wanted one of {rank}")
    place = axis % rank
    others = {part.shape[:place] + part.shape[place + 1 :] for part in parts}
    if len(others) != 1:
        raise Declining("the constants differ in other axes than that of the concat")
    shape = list(parts[0].shape)
    shape[place] = sum(part.shape[place] for part in parts)

    def compute() -> Array:
        return np.concatenate([part.compute() for part in parts], place)

    return Constant(parts[0].element, tuple(shape), compute)


def _sum(scope: Scope, value: Constant, axis: int) -> Constant:
    if not -len(value.shape) <= axis < len(value.shape):
        raise Declining(f"found axis {axis}, wanted one of {len(value.shape)}")
    shape = list(value.shape)
    del shape[axis]
    return mapped(value, lambda array: array.sum(axis), shape)


def _cast(scope: Scope, value: Value, element: Attribute) -> Constant:
    if isinstance(value, Constant):
        once = value.array()
        return constant(element, lambda: once.astype(numpy_dtype(element)), value.shape)
    kind = numpy_dtype(element)
    return constant(element, lambda: np.asarray(value).astype(kind), ())


def _full(scope: Scope, shape: Value, value: Value, element: Attribute) -> Constant:
    goal, kind = _numbers(shape, "the shape"), numpy_dtype(element)
    return constant(element, lambda: np.full(goal, value).astype(kind), goal)


# --- lists and numbers ---


def _length(scope: Scope, values: Value) -> int:
    return len(values)


def _range(scope: Scope, *bounds: int) -> tuple[int, ...]:
    return tuple(range(*bounds))


def _reverse(scope: Scope, values: Value) -> Value:
    return tuple(values)[::-1]


def _sorted(scope: Scope, values: Value) -> Value:
    return tuple(sorted(_numbers(values, "the list")))


def _inverse(scope: Scope, perm: Value) -> Value:
    order = _numbers(perm, "the order")
    if sorted(order) != list(range(len(order))):
        raise Declining(f"{list(order)} is no order of {len(order)} axes")
    return tuple(order.index(axis) for axis in range(len(order)))


def _wrap(scope: Scope, axes: Value, rank: int) -> Value:
    several = isinstance(axes, tuple)
    numbers = cast(tuple[Value, ...], axes) if several else (axes,)
    if any(not isinstance(n, int) or not -rank <= n < rank for n in numbers):
        raise Declining(f"found axes {list(numbers)}, wanted some of {rank}")
    wrapped = tuple(int(n) % rank for n in numbers)
    return wrapped if several else wrapped[0]


def _product(scope: Scope, values: Value) -> Value:
    return size_value(product(map(Dim.of, values)), "the product")


def _smallest(scope: Scope, *values: Value) -> Value:
    return min(values)


def _largest(scope: Scope, *values: Value) -> Value:
    return max(values)


# --- dtypes ---


def _bits(scope: Scope, element: Attribute) -> int:
    name = DTYPE_NAMES[element]
    digits = "".join(c for c in name.partition("_")[0] if c.isdigit())
    return int(digits) if digits else 8


def _holds(scope: Scope, wide: Attribute, narrow: Attribute) -> bool:
    """Whether every value of `narrow` is one of `wide`."""
    if wide == narrow:
        return True
    a, b = DTYPE_NAMES[wide], DTYPE_NAMES[narrow]
    if "string" in (a, b) or "complex" in a + b or a == "bool":
        return False
    if b == "bool":
        return True
    if "int" in a and "int" in b:
        low, high = integer_range(numpy_dtype(narrow))
        least, most = integer_range(numpy_dtype(wide))
        return least <= low and high <= most
    if "int" in a:
        return False
    big = float_info(numpy_dtype(wide))
    if "int" in b:
        # All integers of so many bits, and their least, which is a power of two.
        most = integer_range(numpy_dtype(narrow))[1]
        return bool(most.bit_length() <= big.nmant + 1 and most <= float(big.max))
    return (a, b) in _WIDER


_WIDER = frozenset(
    [
        ("float64", "float32"),
        ("float64", "float16"),
        ("float64", "bfloat16"),
        ("float32", "float16"),
        ("float32", "bfloat16"),
    ]
)
"""Floats that hold all values of other floats, subnormals, infinities and nan too."""


_V, _C, _N, _L = Kind.VALUE, Kind.CONSTANT, Kind.NUMBER, Kind.LIST


def _function(
    takes: Sequence[Kind], gives: Kind, apply: Callable[..., Any], doc: str, **rest: Any
) -> LibraryFunction:
    return LibraryFunction(tuple(takes), gives, apply, doc, **rest)


LIBRARY: dict[str, LibraryFunction] = {
    "constant": _function(
        [_V], Kind.TRUTH, _is_constant, "all are constants, or absent", variadic=True
    ),
    "given": _function([_V], Kind.TRUTH, _given, "an optional value is there"),
    "rank": _function([_V], _N, _rank, "how many dimensions a value has"),
    "shape": _function([_V], _L, _shape, "its sizes"),
    "size": _function([_V], _N, _size, "how many elements it has"),
    "dtype": _function([_V], Kind.DTYPE, _dtype, "its element type"),
    "uses": _function([_V], _N, _uses, "how often it is used"),
    "values": _function([_V], _L, _values, "its integers, if they are known, flat"),
    "same_shape": _function(
        [_V, _V], Kind.TRUTH, _same_shape, "all have one shape", variadic=True
    ),
    "broadcasts_to": _function(
        [_V, _V],
        Kind.TRUTH,
        _broadcasts_to,
        "the first stretches to the second's shape",
    ),
    "broadcast": _function(
        [_V, _V], _L, _broadcast, "the shape that values broadcast to", variadic=True
    ),
    "uniform": _function([_C], Kind.TRUTH, _uniform, "all elements are equal"),
    "item": _function([_C], _N, _item, "the one value that all elements have"),
    "all": _function([_C], Kind.TRUTH, _all, "all elements are true"),
    "any": _function([_C], Kind.TRUTH, _any, "an element is true"),
    "finite": _function([_C], Kind.TRUTH, _finite, "no nan or infinity, once rounded"),
    "exact_inverse": _function(
        [_C], Kind.TRUTH, _exact_inverse, "all are powers of two with exact inverses"
    ),
    "sqrt": _function([_C], _C, _sqrt, "the square roots"),
    "exp": _function([_C], _C, _exp, "e to the elements"),
    "log": _function([_C], _C, _log, "the natural logarithms"),
    "abs": _function([_C], _C, _absolute, "the absolute values"),
    "sum": _function([_C, _N], _C, _sum, "the sum over an axis"),
    "reshape": _function([_C, _L], _C, _reshape, "the elements in another shape"),
    "transpose": _function(
        [_C, _L], _C, _transpose, "the axes in another order", optional=1
    ),
    "concat": _function(
        [_N, _C], _C, _concat, "constants behind each other, by axis", variadic=True
    ),
    "cast": _function(
        [Kind.ANY, Kind.DTYPE], _C, _cast, "a constant or number as another dtype"
    ),
    "full": _function(
        [_L, Kind.ANY, Kind.DTYPE], _C, _full, "a constant of a shape, value and dtype"
    ),
    "len": _function([_L], _N, _length, "how many items"),
    "range": _function([_N], _L, _range, "0, 1, … up to a number", variadic=True),
    "reverse": _function([_L], _L, _reverse, "the items from the last on"),
    "sorted": _function([_L], _L, _sorted, "the numbers in order"),
    "inverse": _function([_L], _L, _inverse, "the order that undoes an order of axes"),
    "wrap": _function(
        [Kind.ANY, _N], Kind.ANY, _wrap, "axes from the end as axes from the start"
    ),
    "product": _function([_L], _N, _product, "the product of numbers"),
    "min": _function([_N, _N], _N, _smallest, "the smallest", variadic=True),
    "max": _function([_N, _N], _N, _largest, "the largest", variadic=True),
    "bits": _function([Kind.DTYPE], _N, _bits, "how many bits an element has"),
    "holds": _function(
        [Kind.DTYPE, Kind.DTYPE],
        Kind.TRUTH,
        _holds,
        "the first dtype has all values of the second",
    ),
}
"""Every function by name."""
