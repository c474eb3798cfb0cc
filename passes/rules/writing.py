"""Writes the right side of a rule with a builder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
from xdsl.ir import Attribute, OpResult, SSAValue

from ...dialects.onnx import Dim, OnnxBuilder, OnnxOp
from ...dialects.onnx.attributes import attribute
from ...dialects.onnx.ops import OPS
from ...dialects.onnx.proto import TENSOR_TYPES
from ...dialects.onnx.schemas import OpSchema
from ...dialects.onnx.store import DerivedWeight
from ...dialects.onnx.types import (
    DTYPE_NAMES,
    Array,
    WeightAttr,
    element_of,
    numpy_dtype,
)
from ..fold_constants import LAZY_BYTES, is_derived
from .evaluation import evaluate
from .library import Scope
from .syntax import Absent, Argument, Call, Let, Literal, Rest, Rule
from .values import Constant, Declining, Value, shown

_OPTIONS = OpSchema.FormalParameterOption


class Writer:
    """
    Writes expressions as ops, given what their names stand for.

    Raises Declining for what has no value, InferenceError or ValueError where operands
    do not fit an operator.
    """

    def __init__(self, names: Mapping[str, Value], builder: OnnxBuilder, key: str):
        self.names = dict(names)
        self.builder = builder
        self.scope = Scope(builder.store)
        self.scope.integers = builder.integers
        self.key = key
        """What weights that are computed are called."""

    def results(self, rule: Rule) -> list[SSAValue | None]:
        """The values of the right side of `rule`."""
        for let in rule.lets:
            self.let(let)
        return [self.operand(result, None) for result in rule.results]

    def let(self, let: Let) -> None:
        """Bind names to what they stand for."""
        if isinstance(let.value, Call):
            op = self.call(let.value, len(let.names))
            self.names.update(zip(let.names, op.results, strict=False))
        else:
            (name,) = let.names
            self.names[name] = evaluate(let.value, self.names, self.scope)

    def call(self, call: Call, outputs: int = 1) -> OnnxOp:
        """Write an op."""
        schema = OPS[call.op].schema()
        given = [self.argument(operand) for operand in call.operands]
        values = [value for part in given for value in part]
        kinds = self.literal_kinds(schema, values)
        operands = [
            self.operand_value(value, kinds[place])
            for place, value in enumerate(values)
        ]
        properties = self.spread(call, schema)
        for name, expression in call.attributes:
            value = evaluate(expression, self.names, self.scope)
            properties.pop(name, None)
            if value is not None:
                properties[name] = attribute(schema, name, _plain(value, name))
        return self.builder.create(call.op, operands, properties, outputs)

    def spread(self, call: Call, schema: OpSchema) -> dict[str, Attribute]:
        """The attributes that `call` takes over from other ops."""
        properties: dict[str, Attribute] = {}
        for name in call.spread:
            value = self.names[name.name]
            assert isinstance(value, OpResult), "it names what an op gives"
            for key, held in value.op.properties.items():
                if key not in schema.attributes:
                    raise Declining(f"{schema.name} has no attribute {key!r}")
                properties[key] = held
        return properties

    # --- operands ---

    def argument(self, argument: Argument) -> list[Value]:
        """What an argument is: values of ops, constants, literals, or nothing."""
        match argument:
            case Absent():
                return [None]
            case Rest(name):
                return list(self.names[name])
            case Call():
                return [self.call(argument).results[0]]
            case Literal():
                return [argument]
            case _:
                return [evaluate(argument, self.names, self.scope)]

    def operand(self, argument: Argument, element: Attribute | None) -> SSAValue | None:
        """One operand or result."""
        (value,) = self.argument(argument)
        return self.operand_value(value, element)

    def operand_value(self, value: Value, element: Attribute | None) -> SSAValue | None:
        """A value as an operand: what is computed becomes a constant."""
        if value is None or isinstance(value, SSAValue):
            return cast(SSAValue | None, value)
        if isinstance(value, Constant):
            return self.constant(value)
        literal = value.value if isinstance(value, Literal) else value
        return self.builder.constant(_array(literal, element), self.key)

    def literal_kinds(
        self, schema: OpSchema, values: Sequence[Value]
    ) -> list[Attribute | None]:
        """The element type that each operand has by the schema and the others."""
        by_variable: dict[str, Attribute] = {}
        variables = [_variable(schema, place) for place in range(len(values))]
        for value, variable in zip(values, variables, strict=True):
            element = _element(value)
            if element is not None:
                by_variable.setdefault(variable, element)
        return [by_variable.get(v) or _only_type(schema, v) for v in variables]

    def constant(self, value: Constant) -> SSAValue:
        """
        A computed constant: at once if it is small, else when somebody asks for it.
        """
        if value.size * 4 < LAZY_BYTES or self.chained():
            return self.builder.constant(value.array(), self.key)
        name = DTYPE_NAMES[value.element]
        weight = DerivedWeight(name, value.shape, value.array)
        key = self.builder.store.add(self.key, weight)
        return self.builder.held(WeightAttr(key), weight.type)

    def chained(self) -> bool:
        """Whether a captured weight is itself computed each time it is asked for."""
        return any(
            is_derived(cast(SSAValue, value), self.builder.store)
            for value in self.names.values()
            if isinstance(value, SSAValue)
        )


def _element(value: Value) -> Attribute | None:
    if isinstance(value, Constant):
        return value.element
    if not isinstance(value, SSAValue):
        return None
    return element_of(cast(SSAValue, value).type)


def _variable(schema: OpSchema, place: int) -> str:
    parameter = schema.inputs[min(place, len(schema.inputs) - 1)]
    mixed = parameter.option == _OPTIONS.Variadic and not parameter.is_homogeneous
    return f"{parameter.type_str}{place}" if mixed else parameter.type_str


def _only_type(schema: OpSchema, variable: str) -> Attribute | None:
    """The element type of a parameter that allows one."""
    allowed = [variable]
    for constraint in schema.type_constraints:
        if constraint.type_param_str == variable:
            allowed = list(constraint.allowed_type_strs)
    if "tensor(int64)" in allowed and len(allowed) <= 2:
        return _BY_NAME["int64"]
    return _BY_NAME.get(allowed[0][7:-1]) if len(allowed) == 1 else None


_BY_NAME = {name: kind for kind, name in DTYPE_NAMES.items()}


def _array(value: Any, element: Attribute | None) -> Array:
    """A literal, or a computed list, as an array of a type."""
    flat = cast(tuple[Any, ...], value) if isinstance(value, tuple) else (value,)
    if any(isinstance(item, Dim) for item in flat):
        raise Declining(f"{shown(value)} has sizes that are not numbers")
    if element is None:
        array: Array = np.asarray(cast(Any, value))
        if array.dtype.kind != "i" or array.ndim == 0:
            raise Declining(
                f"nothing tells the dtype of {shown(value)} (write cast(…, dtype(x)))"
            )
        return array.astype(np.int64)
    kind = numpy_dtype(element)
    exact: Array = np.asarray(cast(Any, value))
    array = exact.astype(kind)
    if "int" in kind.name and not (array.astype(np.float64) == exact).all():
        raise Declining(f"{shown(value)} is no {kind.name}")
    return array


def _plain(value: Value, name: str) -> Any:
    """A value as an attribute's: an element type as its number."""
    if isinstance(value, Attribute):
        return TENSOR_TYPES[DTYPE_NAMES[value]]
    if isinstance(value, Constant):
        if value.size != 1:
            raise Declining(f"{name} would be {shown(value)}, wanted one number")
        return value.array().reshape(-1)[0].item()
    items = cast(tuple[Any, ...], value) if isinstance(value, tuple) else (value,)
    if any(isinstance(item, Dim) or item is None for item in items):
        raise Declining(f"{name} would be {shown(value)}, which is not a number")
    return cast(Any, value)
