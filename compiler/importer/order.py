"""Why a tensor is not there where it is used: a cycle, a wrong order, a wrong name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import onnx

SHOWN = 5
"""How many tensors of a cycle are named."""


def why_undefined(name: str, bodies: Iterable[Sequence[onnx.NodeProto]]) -> str:
    """
    Why no node before has given `name`; `bodies` are the graphs around, innermost
    first.
    """
    for nodes in bodies:
        givers = {tensor: node for node in nodes for tensor in node.output if tensor}
        if name not in givers:
            continue
        cycle = _cycle(name, givers)
        if cycle is None:
            return "the node that gives it comes later"
        shown = " <- ".join(map(repr, cycle[:SHOWN]))
        rest = " <- …" if len(cycle) > SHOWN else ""
        return f"it depends on itself: {shown}{rest}"
    return "nothing gives it"


def _cycle(name: str, givers: dict[str, onnx.NodeProto]) -> list[str] | None:
    """A chain of tensors from `name` to itself, each computed from the next."""
    came_from: dict[str, str] = {}
    waiting = [name]
    while waiting:
        tensor = waiting.pop()
        for given in givers[tensor].input:
            if given == name:
                return _chain(name, tensor, came_from)
            if given in givers and given not in came_from:
                came_from[given] = tensor
                waiting.append(given)
    return None


def _chain(name: str, last: str, came_from: dict[str, str]) -> list[str]:
    chain = [last]
    while chain[-1] != name:
        chain.append(came_from[chain[-1]])
    return [*reversed(chain), name]
