"""
What the expressions of rules compute with.

Captured values are SSA values; sizes are `Dim` (or int where known); dtypes are element
types; attributes are numbers, texts and tuples; computed constants are `Constant`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import ml_dtypes
import numpy as np
from xdsl.dialects.builtin import ComplexType
from xdsl.ir import Attribute, SSAValue

from ...dialects.onnx import Dim
from ...dialects.onnx.types import (
    DTYPE_NAMES,
    ELEMENT_TYPES,
    Array,
    element_type,
    numpy_dtype,
)


class Declining(Exception):
    """Raised within an expression: why the rule leaves an op alone."""


class Unknown(Declining):
    """Something that is not known before the program runs, or has no value at all."""


@dataclass(frozen=True, eq=False)
class Constant:
    """
    A tensor that is known, or can be computed, before the program runs.

    `compute` gives it wide: floats as float64, integers as 64 bits (wrapping), so that
    a chain of arithmetic is rounded once, by `array`.
    """

    element: Attribute
    shape: tuple[int, ...]
    compute: Callable[[], Array]

    @property
    def size(self) -> int:
        """The number of its elements."""
        return math.prod(self.shape)

    def array(self) -> Array:
        """The tensor in its own dtype."""
        wide = self.compute()
        kind = numpy_dtype(self.element)
        with np.errstate(all="ignore"):
            rounded = np.asarray(wide).astype(kind)
        assert rounded.shape == self.shape, "a constant has the shape it promised"
        return rounded


Value: TypeAlias = Any
"""
A value of an expression: SSAValue, Constant, Dim, int, float, bool, str, an element
type, a tuple of these, or None for what is absent.
"""

DTYPES: dict[str, Value] = {
    **ELEMENT_TYPES,
    "floats": tuple(
        ELEMENT_TYPES[n] for n in ("float32", "float64", "float16", "bfloat16")
    ),
    "integers": tuple(
        kind
        for name, kind in ELEMENT_TYPES.items()
        if name in {f"{u}int{b}" for u in ("", "u") for b in (8, 16, 32, 64)}
    ),
    "signed": tuple(ELEMENT_TYPES[f"int{b}"] for b in (8, 16, 32, 64)),
    "unsigned": tuple(ELEMENT_TYPES[f"uint{b}"] for b in (8, 16, 32, 64)),
}
"""Names that stand for an element type, or for several."""


def float_info(kind: np.dtype[Any]) -> Any:
    """The limits of a float dtype, of NumPy's or ml_dtypes'."""
    return cast(Any, ml_dtypes).finfo(kind)


def wide_dtype(element: Attribute) -> Any:
    """What arithmetic on elements of this type is done in."""
    if isinstance(element, ComplexType):
        return np.complex128
    kind = numpy_dtype(element)
    name = DTYPE_NAMES[element]
    if name == "uint64":
        return np.uint64
    if "int" in name:
        return np.int64
    return kind if kind.kind in "bO" else np.float64


def constant(
    element: Attribute, source: Callable[[], Array], shape: Sequence[int]
) -> Constant:
    """The constant whose elements `source` gives."""
    wide = wide_dtype(element)
    return Constant(element, tuple(shape), lambda: source().astype(wide))


def of_array(array: Array) -> Constant:
    """The constant that is `array`."""
    return constant(element_type(array.dtype), lambda: array, array.shape)


def mapped(
    of: Constant,
    function: Callable[[Array], Array],
    shape: Sequence[int] | None = None,
    element: Attribute | None = None,
) -> Constant:
    """`function` of the elements of a constant."""

    def compute() -> Array:
        with np.errstate(all="ignore"):
            return np.asarray(function(of.compute()))

    goal = of.shape if shape is None else tuple(shape)
    return Constant(of.element if element is None else element, goal, compute)


# --- sizes ---


def size_value(dim: Dim | None, what: str) -> int | Dim:
    """A size as an expression sees it; raises Unknown."""
    if dim is None:
        raise Unknown(f"{what} is not known")
    return dim if dim.constant is None else dim.constant


def equal(a: Value, b: Value) -> bool:
    """Whether two values are equal; raises Unknown where that depends on sizes."""
    if isinstance(a, tuple) and isinstance(b, tuple):
        return _all_equal(cast(tuple[Value, ...], a), cast(tuple[Value, ...], b))
    if isinstance(a, Dim) or isinstance(b, Dim):
        if not isinstance(a, Dim | int) or not isinstance(b, Dim | int):
            return False
        answer = Dim.of(a).equals(Dim.of(b))
        if answer is None:
            raise Unknown(f"whether {a} is {b} depends on the sizes")
        return answer
    return bool(a == b)


def _all_equal(left: tuple[Value, ...], right: tuple[Value, ...]) -> bool:
    if len(left) != len(right):
        return False
    unknown: Unknown | None = None
    for a, b in zip(left, right, strict=True):
        try:
            if a is None or b is None:
                raise Unknown("a size is not known")
            if not equal(a, b):
                return False
        except Unknown as error:
            unknown = error
    if unknown is not None:
        raise unknown
    return True


def less(a: Value, b: Value) -> bool:
    """Whether ``a < b``; raises Unknown where that depends on sizes."""
    if not isinstance(a, Dim) and not isinstance(b, Dim):
        return bool(a < b)
    low = (Dim.of(b) - Dim.of(a)).lower_bound
    if low is not None and low > 0:
        return True
    high = (Dim.of(a) - Dim.of(b)).lower_bound
    if high is not None and high >= 0:
        return False
    raise Unknown(f"whether {a} < {b} depends on the sizes")


# --- text ---


def shown(value: Value) -> str:
    """A value in an explanation."""
    if value is None:
        return "none"
    if isinstance(value, tuple):
        return f"[{', '.join(map(shown, cast(tuple[Value, ...], value)))}]"
    if isinstance(value, Attribute) and value in DTYPE_NAMES:
        return DTYPE_NAMES[value]
    if isinstance(value, Constant):
        return constant_text(value)
    if isinstance(value, SSAValue):
        return f"a value of {cast(SSAValue, value).type}"
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def constant_text(value: Constant) -> str:
    """A constant in an explanation: a small one by its elements."""
    name = DTYPE_NAMES[value.element]
    if value.size > 8:
        return f"a constant of {name}{list(value.shape)}"
    return str(value.array().tolist())


def array_text(array: Array) -> str:
    """An array in a counterexample: ``float32[2, 3] = [[1.0, …]]``."""
    kind = "string" if array.dtype == object else array.dtype.name
    shape = list(array.shape)
    if array.size > 64:
        return f"{kind}{shape}"
    items = cast(Any, array).astype(object) if array.dtype.kind == "V" else array
    return f"{kind}{shape} = {items.tolist()}"
