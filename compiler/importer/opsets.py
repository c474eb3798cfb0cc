"""Which form of an operator a model selects, and whether a node has that form."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import onnx
from onnx import defs

from ...dialects.onnx.base import PREFIXES
from ...dialects.onnx.schemas import find, newest_opset

OLDEST_OPSET = 1


def check_form(
    schema: defs.OpSchema,
    node: onnx.NodeProto,
    attributes: Sequence[onnx.AttributeProto],
) -> None:
    """
    Raise ValueError unless `node` has the inputs, outputs and attributes of `schema`.
    """
    counts = (
        ("inputs", len(node.input), schema.min_input, schema.max_input),
        ("outputs", len(node.output), schema.min_output, schema.max_output),
    )
    for word, count, low, high in counts:
        if not low <= count <= high:
            wanted = low if low == high else f"{low} to {high}"
            wanted = f"at least {low}" if count < low < high else wanted
            raise ValueError(f"found {count} {word}, wanted {wanted}")
    declared = schema.attributes
    for proto in attributes:
        if proto.name not in declared:
            raise ValueError(f"{schema.name} has no attribute {proto.name!r}")
        found = onnx.AttributeProto.AttributeType.Name(proto.type)
        expected = str(declared[proto.name].type).rpartition(".")[2]
        if found != expected:
            raise ValueError(f"attribute {proto.name!r} is {found}, wanted {expected}")
    given = {proto.name for proto in attributes}
    for name, entry in declared.items():
        if entry.required and name not in given:
            raise ValueError(f"attribute {name!r} is missing")


def opset_versions(entries: Iterable[onnx.OperatorSetIdProto]) -> dict[str, int]:
    """The opset of every domain; ``ai.onnx`` is another name of the default one."""
    return {"" if e.domain == "ai.onnx" else e.domain: e.version for e in entries}


def schema_versions(
    op_type: str, domain: str, opsets: Mapping[str, int]
) -> tuple[int, int]:
    """
    The since-versions of an operator in the model's opset and in the newest.

    Raises ValueError if nobody knows the operator or the opset.
    """
    shown = domain or "ai.onnx"
    if domain not in opsets:
        raise ValueError(f"the model imports no opset of domain {shown!r}")
    opset = opsets[domain]
    latest = find(op_type, domain) if domain in PREFIXES else None
    if latest is None:
        raise ValueError(f"no operator {op_type!r} in domain {shown!r}")
    oldest, newest = (OLDEST_OPSET if not domain else 1), newest_opset(domain)
    if not oldest <= opset <= newest:
        raise ValueError(
            f"found opset {opset} of domain {shown!r}, wanted {oldest} to {newest}"
        )
    old = find(op_type, domain, opset)
    if old is None:
        raise ValueError(f"{op_type!r} is not in opset {opset} of domain {shown!r}")
    return old.since_version, latest.since_version
