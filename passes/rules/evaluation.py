"""Evaluates the expressions of rules: conditions, attributes, computed constants."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
from xdsl.ir import OpResult, SSAValue

from ...backends.kernels.apply import ELEMENT_TYPE_ATTRIBUTES
from ...dialects.onnx import Dim, OnnxOp
from ...dialects.onnx.attributes import default_attribute, python_value
from ...dialects.onnx.proto import ELEMENT_NAMES
from ...dialects.onnx.types import DTYPE_NAMES, ELEMENT_TYPES, Array, element_type
from .library import LIBRARY, Kind, Scope
from .syntax import (
    Binary,
    Condition,
    Expression,
    Field,
    Function,
    Index,
    Listing,
    Literal,
    Name,
    Slice,
    Unary,
)
from .values import (
    DTYPES,
    Constant,
    Declining,
    Unknown,
    Value,
    equal,
    less,
    mapped,
    shown,
    size_value,
)

_TELLING = ("==", "!=", "<", "<=", ">", ">=", "in", "not in")
"""Operators whose left side is worth telling where they do not hold."""

Environment = Mapping[str, Value]
"""What names stand for."""


def attribute_value(op: OnnxOp, name: str) -> Value:
    """An attribute of `op` or its default; an element type's number as that type."""
    held = op.properties.get(name)
    if held is None:
        held = default_attribute(op.schema(), name)
    value = None if held is None else python_value(held)
    if name in ELEMENT_TYPE_ATTRIBUTES and value in ELEMENT_NAMES:
        return ELEMENT_TYPES[ELEMENT_NAMES[value]]
    return value


def broken(condition: Condition, names: Environment, scope: Scope) -> str | None:
    """Why a condition does not hold, in the rule's words; None if it holds."""
    holds = condition.holds
    try:
        if truth(evaluate(holds, names, scope)):
            return None
        if isinstance(holds, Binary) and holds.operator in _TELLING:
            found = shown(evaluate(holds.left, names, scope))
            return f"wanted {condition.text}, found {found}"
    except Declining as error:
        return f"wanted {condition.text}, but {error}"
    return f"wanted {condition.text}"


def truth(value: Value) -> bool:
    """A condition's value; Declining for a constant of several elements."""
    if isinstance(value, Constant):
        if value.size != 1:
            raise Declining("it says something of each element: all(…) or any(…)")
        return bool(value.array().reshape(-1)[0])
    return bool(value)


def evaluate(expression: Expression, names: Environment, scope: Scope) -> Value:
    """The value of `expression`; Declining (or Unknown) where it has none."""
    match expression:
        case Literal(value):
            return value
        case Name(name):
            return names[name] if name in names else DTYPES[name]
        case Listing(items):
            return tuple(evaluate(item, names, scope) for item in items)
        case Function():
            return _function(expression, names, scope)
        case Field():
            return _field(expression, names)
        case Unary():
            return _unary(expression, names, scope)
        case Binary():
            return _binary(expression, names, scope)
        case Index() | Slice():
            return _picked(expression, names, scope)
        case _:
            raise Declining("an operator has no value before the program runs")


# --- names and functions ---


def _words(expression: Expression) -> str:
    return expression.name if isinstance(expression, Name) else "it"


def as_constant(value: Value, scope: Scope, what: str) -> Constant:
    """`value` as a constant; raises Unknown with `what` it is."""
    if isinstance(value, Constant):
        return value
    if value is None:
        raise Declining(f"{what} is absent")
    found = None
    if isinstance(value, SSAValue):
        found = scope.constant(cast(SSAValue, value))
    if found is None:
        raise Unknown(f"{what} is not constant")
    return found


def _function(expression: Function, names: Environment, scope: Scope) -> Value:
    function = LIBRARY[expression.name]
    given = [evaluate(argument, names, scope) for argument in expression.arguments]
    last = len(function.takes) - 1
    for place, (value, argument) in enumerate(
        zip(given, expression.arguments, strict=True)
    ):
        wanted = function.takes[min(place, last)]
        either = wanted == Kind.ANY and isinstance(value, SSAValue)
        if wanted == Kind.CONSTANT or either:
            given[place] = as_constant(value, scope, _words(argument))
        elif value is None and expression.name not in _OF_ABSENT:
            raise Declining(f"{_words(argument)} is absent")
    try:
        return _normal(function.apply(scope, *given))
    except Unknown as error:
        text = str(error).replace("its", f"{_words(expression.arguments[0])}'s", 1)
        raise Unknown(text) from error
    except (ArithmeticError, ValueError, TypeError, IndexError) as error:
        raise Declining(f"{expression.name}(…) has no value: {error}") from error


_OF_ABSENT = ("constant", "given")


def _normal(value: Value) -> Value:
    return value.constant if isinstance(value, Dim) and not value.symbols else value


def _field(expression: Field, names: Environment) -> Value:
    assert isinstance(expression.of, Name), "checked when the file was read"
    value = names[expression.of.name]
    assert isinstance(value, OpResult), "it names what an op gives"
    assert isinstance(value.op, OnnxOp), "patterns match operators"
    return attribute_value(value.op, expression.name)


# --- operators ---


def _unary(expression: Unary, names: Environment, scope: Scope) -> Value:
    value = _computable(expression.of, names, scope)
    if expression.operator == "not":
        if isinstance(value, Constant):
            boolean = element_type(np.dtype(bool))
            return mapped(value, np.logical_not, element=boolean)
        return not truth(value)
    if isinstance(value, Constant):
        return mapped(value, np.negative)
    return -value


def _computable(expression: Expression, names: Environment, scope: Scope) -> Value:
    value = evaluate(expression, names, scope)
    if isinstance(value, SSAValue):
        return as_constant(value, scope, _words(expression))
    return value


def _binary(expression: Binary, names: Environment, scope: Scope) -> Value:
    match expression.operator:
        case "or":
            return _either(expression, names, scope)
        case "and":
            left = truth(evaluate(expression.left, names, scope))
            return left and truth(evaluate(expression.right, names, scope))
        case _:
            left = _computable(expression.left, names, scope)
            right = _computable(expression.right, names, scope)
            return combined(expression.operator, left, right)


def _either(expression: Binary, names: Environment, scope: Scope) -> Value:
    """The left side unless it is absent or does not hold, else the right."""
    try:
        left = evaluate(expression.left, names, scope)
    except Unknown:
        # One side that holds is enough.
        if truth(evaluate(expression.right, names, scope)):
            return True
        raise
    if left is None or left is False:
        return evaluate(expression.right, names, scope)
    return left


_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "==": np.equal,
    "!=": np.not_equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}


def combined(sign: str, left: Value, right: Value) -> Value:
    """Two values under an operator."""
    if isinstance(left, Constant) or isinstance(right, Constant):
        return _elementwise(sign, left, right)
    match sign:
        case "==":
            return equal(left, right)
        case "!=":
            return not equal(left, right)
        case "in" | "not in":
            found = any(equal(left, item) for item in right)
            return found == (sign == "in")
        case "<" | "<=" | ">" | ">=":
            if left is None or right is None:
                raise Declining("something compared is absent")
            if sign in ("<", ">="):
                return less(left, right) == (sign == "<")
            return less(right, left) == (sign == ">")
        case _:
            return _arithmetic(sign, left, right)


def _arithmetic(sign: str, left: Value, right: Value) -> Value:
    if left is None or right is None:
        raise Declining("something computed with is absent")
    if isinstance(left, Dim) or isinstance(right, Dim):
        if sign not in ("+", "-", "*", "//", "%"):
            raise Unknown("a size is not known")
        left, right = Dim.of(left), Dim.of(right)
    try:
        return _normal(_PLAIN[sign](left, right))
    except (ArithmeticError, TypeError, ValueError) as error:
        raise Declining(f"{shown(left)} {sign} {shown(right)}: {error}") from error


_OPERATOR: Any = operator
_PLAIN: dict[str, Callable[[Any, Any], Any]] = {
    "+": _OPERATOR.add,
    "-": _OPERATOR.sub,
    "*": _OPERATOR.mul,
    "/": _OPERATOR.truediv,
    "//": _OPERATOR.floordiv,
    "%": _OPERATOR.mod,
    "**": _OPERATOR.pow,
}

_WIDE: dict[str, Callable[[Any, Any], Any]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "//": np.floor_divide,
    "%": np.mod,
    "**": np.power,
}


def _elementwise(sign: str, left: Value, right: Value) -> Constant:
    """An operator on each element, by NumPy's (and ONNX's) broadcasting."""
    sides = (left, right)
    elements = {side.element for side in sides if isinstance(side, Constant)}
    if len(elements) != 1:
        raise Declining(f"the constants' dtypes differ: {shown(tuple(elements))}")
    (element,) = elements
    of_numbers = [s for s in sides if not isinstance(s, Constant | int | float)]
    if of_numbers or (sign not in _WIDE and sign not in _COMPARISONS):
        raise Declining(f"a constant {sign} {shown(of_numbers[0])} has no value")
    if "int" in DTYPE_NAMES[element] and sign in ("/", "**"):
        raise Declining(f"integers under {sign} have no exact value")
    shapes = [side.shape for side in sides if isinstance(side, Constant)]
    try:
        shape = np.broadcast_shapes(*shapes)
    except ValueError as error:
        raise Declining(f"the constants do not broadcast: {error}") from error
    function = _WIDE.get(sign) or _COMPARISONS[sign]
    gives = element if sign in _WIDE else element_type(np.dtype(bool))

    def compute() -> Array:
        arrays = [s.compute() if isinstance(s, Constant) else s for s in sides]
        with np.errstate(all="ignore"):
            return np.asarray(function(*arrays))

    return Constant(gives, shape, compute)


# --- lists ---


def _picked(expression: Index | Slice, names: Environment, scope: Scope) -> Value:
    of = evaluate(expression.of, names, scope)
    if of is None:
        raise Declining(f"{_words(expression.of)} is absent")
    items = cast(tuple[Value, ...], of)
    if isinstance(expression, Slice):
        ends = (expression.start, expression.stop)
        start, stop = (None if e is None else evaluate(e, names, scope) for e in ends)
        if isinstance(start, Dim) or isinstance(stop, Dim):
            raise Unknown("a size is not known")
        return items[start:stop]
    index = evaluate(expression.index, names, scope)
    if isinstance(index, tuple):
        return tuple(_item(items, i) for i in cast(tuple[Value, ...], index))
    return _item(items, index)


def _item(items: tuple[Value, ...], index: Value) -> Value:
    if not isinstance(index, int):
        raise Unknown("an index is not known")
    if not -len(items) <= index < len(items):
        raise Declining(f"there is no item {index} in {len(items)}")
    item = items[index]
    if item is None:
        raise Unknown(f"size {index} is not known")
    return size_value(item, "") if isinstance(item, Dim) else item
