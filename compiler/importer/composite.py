"""Operators with subgraphs that become others while they are imported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import onnx
from onnx.defs import OpSchema
from xdsl.ir import Attribute, Block, Region, SSAValue

from ...dialects.onnx import OnnxBuilder, YieldOp
from ...dialects.onnx.attributes import attribute
from ...dialects.onnx.infer import stacked
from ...dialects.onnx.ops import OPS
from ...dialects.onnx.proto import type_to_proto
from .regions import ScanTypes
from .subgraphs import Subgraphs


def body_with_subgraphs(
    schema: OpSchema, node: onnx.NodeProto, operands: Sequence[SSAValue | None]
) -> onnx.FunctionProto:
    """
    The function body that onnx gives for `node`, its subgraphs inlined.

    ValueError if the operator has none for operands of these types.
    """
    # onnx's stubs leave out what tells of functions.
    described = cast(Any, schema)
    content = b""
    if described.has_context_dependent_function:
        version = max(described.context_dependent_function_opset_versions)
        kinds = [type_to_proto(v.type) for v in operands if v is not None]
        content = described.get_context_dependent_function_with_opset_version(
            version,
            node.SerializeToString(),
            [kind.SerializeToString() for kind in kinds],
        )
    if not content:
        raise ValueError(f"{schema.name} has no function body for these operands")
    return onnx.FunctionProto.FromString(content)


def batched_scan(
    builder: OnnxBuilder,
    inner_builder: OnnxBuilder,
    block: Block,
    operands: Sequence[SSAValue | None],
    properties: Mapping[str, Attribute],
    subgraphs: Subgraphs,
    outputs: Sequence[bool],
) -> Sequence[SSAValue]:
    """
    ``Scan-8(lengths, states, xs) -> Scan(states, xs) { Scan }``: one scan per sample.

    Every input and output has a first axis that counts the samples; an outer scan over
    it sees, in `block` (of no arguments yet, written by `inner_builder`), the scan that
    the node describes. Refused are lengths of their own for the samples.
    """
    if operands[0] is not None:
        raise ValueError("samples with their own sequence_lens are not supported")
    given = [value for value in operands[1:] if value is not None]
    schema = OPS["onnx.Scan"].schema()
    whole = {"num_scan_inputs": attribute(schema, "num_scan_inputs", len(given))}
    samples = ScanTypes.of([value.type for value in given], whole)
    for kind in samples.elements:
        block.insert_arg(kind, len(block.args))
    inner = dict(properties)
    if "directions" in inner:
        inner["scan_input_directions"] = inner.pop("directions")
    regions, types = subgraphs.typed("onnx.Scan", samples.elements, inner)
    if len(types) != len(outputs):
        raise ValueError(f"found {len(outputs)} outputs, wanted {len(types)}")
    asked = (True,) * len(types)
    scan = inner_builder.create(
        "onnx.Scan", list(block.args), inner, asked, types, [regions["body"]]
    )
    block.add_op(YieldOp(*scan.results))
    stacks = [stacked(kind, 0, samples.length) for kind in types]
    made = builder.create(
        "onnx.Scan", list(given), whole, outputs, stacks, [Region(block)]
    )
    return made.results
