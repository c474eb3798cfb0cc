"""
The schemas of every operator that has a dialect: onnx's own, and ONNX Runtime's.

Whoever asks for a schema asks here, so that an operator of `com.microsoft` is one like
the others. onnx's registry stays as it is.
"""

from __future__ import annotations

from functools import cache

from onnx import defs
from onnx.defs import OpSchema

from .contrib import contrib_schemas

_CONTRIB = {(s.domain, s.name): s for s in contrib_schemas()}
_AHEAD = frozenset(["LayerNormalization"])
"""Operators that ONNX Runtime writes into models of opsets before theirs."""


def find(op_type: str, domain: str, opset: int | None = None) -> OpSchema | None:
    """
    The schema that an opset of `domain` selects, by default the newest; None if there
    is none.
    """
    if opset is not None and defs.has(op_type, opset, domain):
        return defs.get_schema(op_type, opset, domain)
    ahead = not domain and op_type in _AHEAD
    if (opset is None or ahead) and defs.has(op_type, domain):
        return defs.get_schema(op_type, domain)
    return _CONTRIB.get((domain, op_type))


def get(op_type: str, domain: str, opset: int | None = None) -> OpSchema:
    """`find`; ValueError if there is none."""
    schema = find(op_type, domain, opset)
    if schema is None:
        shown = domain or "ai.onnx"
        raise ValueError(f"no operator {op_type!r} in domain {shown!r}")
    return schema


def is_contrib(schema: OpSchema) -> bool:
    """Whether a schema is from our table, not onnx's."""
    return (schema.domain, schema.name) in _CONTRIB


@cache
def newest_opset(domain: str) -> int:
    """The newest opset of a domain; ValueError if no operator is in it."""
    if not domain:
        return defs.onnx_opset_version()
    versions = [s.since_version for s in all_schemas() if s.domain == domain]
    if not versions:
        raise ValueError(f"found domain {domain!r}, wanted one with operators")
    return max(versions)


@cache
def all_schemas() -> tuple[OpSchema, ...]:
    """The newest schema of every operator, by domain and name."""
    known = {(s.domain, s.name): s for s in defs.get_all_schemas()}
    newest = {**_CONTRIB, **known}
    return tuple(newest[key] for key in sorted(newest))
