"""Which form of an operator a model selects, and whether a node has that form."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import onnx
from onnx import defs

from ...dialects.onnx.base import PREFIXES

OLDEST_OPSET = 7


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

    Raises ValueError if the installed onnx does not know the operator or the opset.
    """
    shown = domain or "ai.onnx"
    if domain not in opsets:
        raise ValueError(f"the model imports no opset of domain {shown!r}")
    opset = opsets[domain]
    oldest, newest = (OLDEST_OPSET if not domain else 1), newest_opset(domain)
    if domain not in PREFIXES or not defs.has(op_type, domain):
        raise ValueError(f"no operator {op_type!r} in domain {shown!r}")
    if not oldest <= opset <= newest:
        raise ValueError(
            f"found opset {opset} of domain {shown!r}, wanted {oldest} to {newest}"
        )
    if not defs.has(op_type, opset, domain):
        raise ValueError(f"{op_type!r} is not in opset {opset} of domain {shown!r}")
    old = defs.get_schema(op_type, opset, domain)
    return old.since_version, defs.get_schema(op_type, domain).since_version


def newest_opset(domain: str) -> int:
    """The newest opset of a domain that the installed onnx knows."""
    return _NEWEST.get(domain, defs.onnx_opset_version())


_NEWEST: dict[str, int] = {
    domain: max(s.since_version for s in defs.get_all_schemas() if s.domain == domain)
    for domain in PREFIXES
    if domain
}
