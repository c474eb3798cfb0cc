"""What is told of an op and of a stage: types, costs, memory, lines of the program."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from xdsl.ir import Attribute, Operation

from ....backends.program import LoweringError, origin
from ....dialects.onnx import Dim
from ....dialects.onnx.integers import IntegerValues
from ....dialects.onnx.provenance import node_names
from ....dialects.onnx.types import shape_of
from ....passes.analysis.cost import op_cost
from ....passes.analysis.liveness import Liveness
from ....passes.analysis.storage import CONSTANTS, evaluated
from ...driver import lower
from ...inspect import AMOUNTS, value_json
from ...model import Model, Value

Sizes = Mapping[str, int]


def assumed_sizes(model: Model, given: Sizes) -> dict[str, int]:
    """
    A size for every free dimension of the inputs: `given`, else 1 for a first axis, 16.

    These are the sizes that random inputs have.
    """
    sizes = dict(given)
    for value in model.inputs:
        for place, dim in enumerate(shape_of(value.type) or ()):
            if dim is not None and dim.symbol is not None:
                sizes.setdefault(dim.symbol, 1 if place == 0 else 16)
    return sizes


def kind_text(kind: Attribute) -> str:
    """A type: ``float32[batch, 3]``."""
    entry = value_json(Value("", kind))
    if entry["shape"] is None:
        return str(entry["dtype"])
    dims = ("?" if dim is None else str(dim) for dim in entry["shape"])
    return f"{entry['dtype']}[{', '.join(dims)}]"


def amount_entry(amount: Dim | None, sizes: Sizes) -> list[int | str | None]:
    """A number at `sizes`, and the polynomial's text where it is one."""
    if amount is None:
        return [None]
    number = evaluated(amount, sizes)
    return [number] if amount.constant is not None else [number, str(amount)]


def cost_entry(op: Operation, integers: IntegerValues, sizes: Sizes) -> dict[str, Any]:
    """The amounts of `Cost` by name."""
    cost = op_cost(op, integers)
    found: dict[str, Any] = {
        name: amount_entry(getattr(cost, name), sizes) for name in AMOUNTS
    }
    return found | {"parameters": [cost.parameters]}


def memory_entry(model: Model, sizes: Sizes) -> dict[str, Any]:
    """
    The bytes that are held while each op runs, ops in the order of the schedule.

    Null where a size is not known; `unknown` counts the values left out.
    """
    live = Liveness.of(model.main)
    values = {amount: evaluated(amount, sizes) for amount in set(live.footprint)}
    pairs = zip(live.ops, live.footprint, strict=True)
    held = [values[a] for op, a in pairs if op.name not in CONSTANTS and op.results]
    return {"bytes": held, "unknown": len(live.unknown)}


# --- the program ---


@dataclass(frozen=True)
class SourceLines:
    """Which lines of the generated program each op is."""

    backend: str
    lines: Mapping[Operation, list[tuple[int, str]]]
    failure: str = ""
    """Why there is no program; empty if there is."""


_MARK = re.compile(r"(?:^|  )# ")


def source_lines(model: Model, ops: Iterable[Operation], backend: str) -> SourceLines:
    """
    The lines that `backend` writes for each of `ops`.

    An op that is expanded into others has the lines of those that say its nodes.
    """
    try:
        program = lower(model.clone(), backend)
    except LoweringError as error:
        return SourceLines(backend, {}, str(error))
    by_comment: dict[str, list[tuple[int, str]]] = defaultdict(list)
    by_nodes: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for number, line in enumerate(program.source.splitlines(), start=1):
        text = line.strip()
        for found in _MARK.finditer(text):
            comment = text[found.end() :]
            by_comment[comment].append((number, text))
            by_nodes[comment.partition(" ")[2]].append((number, text))
    listed = list(ops)
    counts = Counter(map(origin, listed))
    turn: Counter[str] = Counter()
    lines: dict[Operation, list[tuple[int, str]]] = {}
    for op in listed:
        said = origin(op)
        found = by_comment.get(said, [])
        if not found and node_names(op):
            lines[op] = by_nodes.get(said.partition(" ")[2], [])
        elif len(found) == counts[said]:
            lines[op] = [found[turn[said]]]
        else:
            lines[op] = found
        turn[said] += 1
    return SourceLines(backend, lines)
