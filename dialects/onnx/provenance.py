"""
Which ONNX nodes an op came from, as MLIR locations.

An op carries the name of its node, and below it the names of the tensors that its
results were: ``loc("conv1"("conv1_out"))``, for several results ``loc("lstm"(fused["y",
"y_h"]))``. An op that stands for several nodes has their locations fused.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any, cast

from xdsl.dialects.builtin import (
    UNKNOWN_LOC,
    ArrayAttr,
    FusedLoc,
    LocationAttr,
    NameLoc,
    NoneAttr,
)
from xdsl.ir import Attribute, BlockArgument, Operation, SSAValue

from .text import attr_text, text_attr


def location(node: str, tensors: Sequence[str] = ()) -> LocationAttr:
    """The location of an op that came from `node` and whose results were `tensors`."""
    names = [NameLoc(text_attr(name), NoneAttr()) for name in tensors]
    if not names:
        return NameLoc(text_attr(node), NoneAttr())
    below = names[0] if len(names) == 1 else FusedLoc(tuple(names), NoneAttr())
    return NameLoc(text_attr(node), below)


def nodes_only(where: Attribute) -> LocationAttr:
    """
    A location with its nodes' names and without those of their tensors.

    For the ops that a node becomes besides those which give its outputs.
    """
    names = [part.desc for part in _parts(where) if isinstance(part, NameLoc)]
    parts: list[LocationAttr] = [NameLoc(name, NoneAttr()) for name in names]
    if not parts:
        return UNKNOWN_LOC
    return parts[0] if len(parts) == 1 else FusedLoc(tuple(parts), NoneAttr())


def fused(ops: Iterable[Operation]) -> LocationAttr:
    """The location of an op that replaces `ops`: all of theirs, each once."""
    parts: dict[LocationAttr, None] = {}
    for op in ops:
        for part in _parts(op.location):
            parts[part] = None
    if not parts:
        return UNKNOWN_LOC
    return next(iter(parts)) if len(parts) == 1 else FusedLoc(tuple(parts), NoneAttr())


def node_names(op: Operation) -> tuple[str, ...]:
    """The names of the ONNX nodes that `op` came from, in their order."""
    return nodes_at(op.location)


def nodes_at(where: Attribute) -> tuple[str, ...]:
    """The names of the ONNX nodes that a location names, in their order."""
    names = (_text(part) for part in _parts(where))
    return tuple(dict.fromkeys(name for name in names if name is not None))


def tensor_names(op: Operation) -> tuple[str, ...]:
    """
    The names that the results of `op` had in ONNX; of a fusion, those of its last.
    """
    parts = _parts(op.location)
    if not parts or not isinstance(parts[-1], NameLoc):
        return ()
    below = parts[-1].location
    names = (_text(part) for part in _parts(below))
    return tuple(name for name in names if name is not None)


def argument_name(argument: SSAValue) -> str:
    """The name that an input of a graph had in ONNX; empty if it is not known."""
    where = argument.location if isinstance(argument, BlockArgument) else UNKNOWN_LOC
    return attr_text(where.desc) if isinstance(where, NameLoc) else ""


def describe(op: Operation) -> str:
    """`op` in the user's words, for messages: ``node 'conv1' (Conv)``."""
    return described(op.name, op.location)


def described(op_name: str, where: Attribute) -> str:
    """The op called `op_name` at `where` in the user's words, for messages."""
    nodes = ", ".join(repr(name) for name in nodes_at(where))
    kind = op_name.partition(".")[2]
    return f"node {nodes} ({kind})" if nodes else f"op {op_name}"


PROVENANCE = "sardonyx.provenance"
"""
The key in a node's metadata under which an ONNX file keeps the location of an op.
"""


def provenance_text(where: Attribute) -> str:
    """A location as JSON: ``[[node, [tensor, ...]], ...]``."""
    parts: list[tuple[str | None, list[str | None]]] = []
    for part in _parts(where):
        below = part.location if isinstance(part, NameLoc) else UNKNOWN_LOC
        parts.append((_text(part), [_text(name) for name in _parts(below)]))
    return json.dumps(parts, separators=(",", ":"))


def read_provenance(text: str) -> LocationAttr | None:
    """The location that `provenance_text` wrote; None if it wrote no such text."""
    try:
        entries: Any = json.loads(text)
        # JSON can say surrogates, which no name in a file can hold.
        json.dumps(entries, ensure_ascii=False).encode()
        parts = [location(node, tensors) for node, tensors in entries]
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None
    if len(parts) < 2:
        return parts[0] if parts else UNKNOWN_LOC
    return FusedLoc(tuple(parts), NoneAttr())


def _parts(where: Attribute) -> list[LocationAttr]:
    if isinstance(where, FusedLoc):
        return list(cast(ArrayAttr[LocationAttr], where.locations).data)
    return [where] if isinstance(where, NameLoc) else []


def _text(where: LocationAttr) -> str | None:
    return attr_text(where.desc) if isinstance(where, NameLoc) else None
