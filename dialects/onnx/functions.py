"""Composite operators in terms of simpler ones: ONNX's own function bodies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import onnx
from xdsl.ir import Attribute, SSAValue

from .attributes import default_attribute
from .base import PREFIXES, OnnxOp
from .builder import OnnxBuilder
from .proto import (
    CONSTANT_DTYPES,
    array_from_proto,
    attribute_from_proto,
    attribute_to_proto,
    attribute_value,
    node_to_proto,
    type_to_proto,
)
from .schemas import get
from .types import DenseAttr, is_none


class NoFunctionBody(ValueError):
    """The operator is a primitive, or has no body for these operands and attributes."""


def function_body(op: OnnxOp) -> onnx.FunctionProto:
    """The body that ONNX gives for `op`; NoFunctionBody if there is none."""
    # onnx's stubs leave out what tells of functions.
    schema = cast(Any, op.schema())
    if schema.has_function:
        version = max(schema.function_opset_versions)
        return onnx.FunctionProto.FromString(
            schema.get_function_with_opset_version(version)
        )
    if not schema.has_context_dependent_function:
        raise NoFunctionBody(f"{schema.name} has no function body")
    version = max(schema.context_dependent_function_opset_versions)
    inputs = ["" if is_none(v.type) else f"i{i}" for i, v in enumerate(op.operands)]
    outputs = ["" if is_none(v.type) else f"o{i}" for i, v in enumerate(op.results)]
    while inputs and not inputs[-1]:
        inputs.pop()
    node = node_to_proto(op, inputs, outputs).SerializeToString()
    kinds = [type_to_proto(v.type) for v in op.operands if not is_none(v.type)]
    content = schema.get_context_dependent_function_with_opset_version(
        version, node, [kind.SerializeToString() for kind in kinds]
    )
    if not content:
        raise NoFunctionBody(f"{schema.name} has no function body for these operands")
    return onnx.FunctionProto.FromString(content)


def expand(op: OnnxOp, builder: OnnxBuilder) -> Sequence[SSAValue | None]:
    """
    Write the body of `op` with `builder`; the values of its results, None if unwanted.

    Raises NoFunctionBody if it has none that can be written.
    """
    body = function_body(op)
    values: dict[str, SSAValue] = {}
    for name, operand in zip(body.input, op.operands, strict=False):
        values[name] = operand
    for node in body.node:
        made = _node(node, op, values, builder)
        for name, value in zip(node.output, made, strict=False):
            if name:
                values[name] = value
    wanted = zip(body.output, op.results, strict=False)
    return [None if is_none(r.type) else values[name] for name, r in wanted]


def _node(
    node: onnx.NodeProto,
    op: OnnxOp,
    values: dict[str, SSAValue],
    builder: OnnxBuilder,
) -> Sequence[SSAValue]:
    schema = get(node.op_type, node.domain)
    attributes = [_resolved(a, op) for a in node.attribute]
    given = [a for a in attributes if a is not None]
    if node.op_type == "Constant":
        return [_constant(given[0], builder)]
    properties: dict[str, Attribute] = {}
    for proto in given:
        if proto.type == onnx.AttributeProto.GRAPH:
            raise NoFunctionBody(f"the body of {op.op_type()} has a subgraph")
        if proto.type == onnx.AttributeProto.TENSOR:
            properties[proto.name] = DenseAttr.of(array_from_proto(proto.t))
        else:
            properties[proto.name] = attribute_from_proto(schema, proto)
    operands = [values[name] if name else None for name in node.input]
    outputs = [bool(name) for name in node.output]
    name = f"{PREFIXES[node.domain]}.{node.op_type}"
    return builder.create(name, operands, properties, outputs).results


def _resolved(attribute: onnx.AttributeProto, op: OnnxOp) -> onnx.AttributeProto | None:
    """
    The attribute; one that refers to `op`'s has that one's value, None if it is unset.
    """
    if not attribute.ref_attr_name:
        return attribute
    name = attribute.ref_attr_name
    value = op.properties.get(name)
    value = default_attribute(op.schema(), name) if value is None else value
    if value is None:
        return None
    resolved = attribute_to_proto(op.schema(), name, value)
    resolved.name = attribute.name
    return resolved


def _constant(proto: onnx.AttributeProto, builder: OnnxBuilder) -> SSAValue:
    if proto.type == onnx.AttributeProto.TENSOR:
        return builder.constant(array_from_proto(proto.t))
    return builder.constant(
        np.array(attribute_value(proto), CONSTANT_DTYPES[proto.name])
    )
