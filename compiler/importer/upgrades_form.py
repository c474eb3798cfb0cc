"""What an upgrade rule reads, and how it writes ops of the newest opset."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import numpy as np
from onnx.defs import OpSchema
from xdsl.ir import Attribute, SSAValue

from ...dialects.onnx.attributes import attribute
from ...dialects.onnx.base import PREFIXES
from ...dialects.onnx.builder import INLINE_ELEMENTS, OnnxBuilder
from ...dialects.onnx.ops import OPS
from ...dialects.onnx.proto import is_default
from ...dialects.onnx.types import (
    Array,
    DenseAttr,
    WeightAttr,
    element_of,
    numpy_dtype,
)


@dataclass(frozen=True)
class OldNode:
    """A node in an older form: what a rule reads."""

    op_type: str
    since: int
    """The version of the schema that the model's opset selects."""
    operands: tuple[SSAValue | None, ...]
    """The inputs; None where absent."""
    attributes: Mapping[str, Any]
    """int, float, str or a list of these; tensors as arrays; types as IR types."""
    outputs: tuple[bool, ...]
    """Which outputs the node names; may be shorter than the schema's."""
    domain: str = ""

    def optional(self, index: int) -> SSAValue | None:
        """An input, or None if it is absent."""
        return self.operands[index] if index < len(self.operands) else None

    def operand(self, index: int) -> SSAValue:
        """An input that must be there."""
        value = self.optional(index)
        if value is None:
            raise ValueError(f"input {index} is missing")
        return value

    def required(self, name: str) -> Any:
        """An attribute that must be there."""
        if name not in self.attributes:
            raise ValueError(f"attribute {name!r} is missing")
        return self.attributes[name]

    def without(self, *names: str) -> dict[str, Any]:
        """The attributes except `names`."""
        return {key: v for key, v in self.attributes.items() if key not in names}


Values: TypeAlias = Sequence[SSAValue | None]
Rule: TypeAlias = Callable[[OnnxBuilder, OldNode], Values]
"""Writes what a node means; returns one value per entry of its `outputs`."""


def emit(
    builder: OnnxBuilder,
    name: str,
    operands: Values,
    attributes: Mapping[str, Any],
    outputs: Sequence[bool] = (True,),
) -> Values:
    """
    Insert op `name` (``onnx.Conv``); attributes that say the default are left out.

    Raises ValueError for an attribute that the op lacks, or one that is missing.
    """
    schema = OPS[name].schema()
    given = {k: _attribute(builder, schema, k, v) for k, v in attributes.items()}
    for key, declared in schema.attributes.items():
        if declared.required and key not in given:
            raise ValueError(f"attribute {key!r} is missing")
    properties = {k: v for k, v in given.items() if not is_default(schema, k, v)}
    made = builder.create(name, operands, properties, outputs)
    pairs = zip(made.results, outputs, strict=False)
    return [result if wanted else None for result, wanted in pairs]


def _attribute(
    builder: OnnxBuilder, schema: OpSchema, name: str, value: Any
) -> Attribute:
    if not isinstance(value, np.ndarray):
        return attribute(schema, name, value)
    array = cast(Array, value)
    if array.size <= INLINE_ELEMENTS or array.dtype == object:
        return attribute(schema, name, DenseAttr.of(array))
    return attribute(schema, name, WeightAttr(builder.store.add(name, array)))


def same(builder: OnnxBuilder, node: OldNode) -> Values:
    """``Op-old(...) -> Op(...)``: the form did not change."""
    name = f"{PREFIXES[node.domain]}.{node.op_type}"
    return emit(builder, name, node.operands, node.attributes, node.outputs)


def integers(builder: OnnxBuilder, values: Sequence[int] | int) -> SSAValue:
    """A constant int64 tensor."""
    return builder.constant(np.array(values, np.int64))


def dtype_of(value: SSAValue) -> np.dtype[Any]:
    """The NumPy dtype of a tensor; ValueError for anything else."""
    element = element_of(value.type)
    if element is None:
        raise ValueError(f"found {value.type}, wanted a tensor")
    return numpy_dtype(element)
