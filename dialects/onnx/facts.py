"""
What the inference of result types may look at, and what onnx's own makes of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import onnx
from onnx import checker, shape_inference
from onnx.defs import OpSchema
from xdsl.ir import Attribute, Block, SSAValue

from .attributes import python_value
from .base import SCHEMAS
from .dims import Dim
from .integers import IntegerValues, flat
from .proto import attribute_to_proto, tensor_to_proto, type_from_proto, type_to_proto
from .types import Shape, WeightAttr, element_of, is_none, shape_of, tensor


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

    def element(self, index: int) -> Attribute | None:
        """The element type of an operand; None if it is absent."""
        return element_of(self.operands[index].type) if self.present(index) else None

    def with_shape(
        self, index: int, shape: Shape | None, element: Attribute | None = None
    ) -> Facts:
        """These facts with another shape of an operand, and another element type."""
        element = element or self.element(index)
        assert element is not None, "only what is there is shaped anew"
        stand_in = Block(arg_types=[tensor(element, shape)]).args[0]
        operands = [*self.operands]
        operands[index] = stand_in
        return Facts(self.name, operands, self.properties, self.integers)

    def without(self, attribute: str) -> Facts:
        """These facts without an attribute."""
        rest = {k: v for k, v in self.properties.items() if k != attribute}
        return Facts(self.name, self.operands, rest, self.integers)


def like(facts: Facts, name: str, places: Iterable[int]) -> Facts:
    """`facts` as they are of op `name`: the operands at `places`, its attributes."""
    schema = SCHEMAS[name]
    properties = {k: v for k, v in facts.properties.items() if k in schema.attributes}
    operands = [facts.operands[place] for place in places]
    return Facts(name, operands, properties, facts.integers)


def inferred_by_onnx(
    schema: OpSchema, facts: Facts, outputs: Sequence[bool]
) -> list[Attribute | None]:
    """
    The types that onnx gives to the results of an operator of `schema`, None where it
    knows none. Raises InferenceError if it takes the node for wrong.
    """
    if not schema.has_type_and_shape_inference_function:
        return [None] * len(outputs)
    _check_parts(facts, outputs)
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


def _check_parts(facts: Facts, outputs: Sequence[bool]) -> None:
    # onnx makes room for the parts of a Split before it looks at how many there are.
    parts = facts.attribute("num_outputs", 0)
    if parts > MAX_OUTPUTS:
        raise InferenceError(f"found num_outputs {parts}, wanted {len(outputs)}")


MAX_OUTPUTS = 1 << 16
"""How many outputs a node may have."""

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
