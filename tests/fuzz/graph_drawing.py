"""
Draws well-typed graphs: 3 to 30 nodes over odd shapes, dtypes and special values.

What every value can be compared by is tracked: runtimes agree on some to the bit, on
others up to rounding, and an operator that jumps (a comparison, a rounding, a division
near 0) is given only what they agree on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np
import onnx
from hypothesis import strategies as st
from onnx import helper, numpy_helper

OPSET = 21
IR_VERSION = 10
"""Newest ones that ONNX Runtime and the evaluator both know every operator of."""
SIZES = (0, 1, 1, 2, 3, 4, 5)
MAX_RANK = 4
MAX_ELEMENTS = 400
FLOATS = ("float32", "float64", "float16")
SIGNED = ("int32", "int64", "int8")
INTEGERS = (*SIGNED, "uint8")
NUMBERS = (*FLOATS, *INTEGERS)
EVERY = (*NUMBERS, "bool")
# The kinds that ONNX Runtime has most kernels for, the first simplest to look at.
DTYPES = ("float32", "int64", "bool", "int32", "float64", "float16", "uint8", "int8")


class Agreement(IntEnum):
    """On how much of a value all runtimes agree."""

    bits = 0
    values = 1
    """But for the sign of a zero."""
    nearly = 2
    """Up to rounding."""


@dataclass(frozen=True)
class Value:
    """A tensor of the graph."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    agreement: Agreement = Agreement.bits

    @property
    def rank(self) -> int:
        return len(self.shape)


@dataclass
class Case:
    """A graph while it is drawn, and its inputs."""

    draw: Callable[[Any], Any]
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    values: list[Value] = field(default_factory=list)
    feeds: dict[str, Any] = field(default_factory=dict)
    weights: dict[str, Any] = field(default_factory=dict)

    # --- drawing ---

    def one_of(self, items: Sequence[Any]) -> Any:
        return self.draw(st.sampled_from(items))

    def number(self, low: int, high: int) -> int:
        return self.draw(st.integers(low, high))

    def flag(self) -> bool:
        return self.draw(st.booleans())

    def shape(self, rank: int | None = None) -> tuple[int, ...]:
        if rank is None:
            rank = self.one_of((1, 2, 0, 3, 4))
        sizes = self.draw(
            st.lists(st.sampled_from(SIZES), min_size=rank, max_size=rank)
        )
        return tuple(sizes)

    def array(self, dtype: str, shape: Sequence[int]) -> Any:
        """Numbers that are exact in every type, and special ones among them."""
        rng = np.random.default_rng(self.number(0, 999))
        return numbers(rng, dtype, tuple(shape), self.flag())

    # --- values ---

    def input(self, dtype: str, shape: Sequence[int]) -> Value:
        """A new input, or a constant."""
        held = self.feeds if self.flag() else self.weights
        value = Value(f"x{len(self.feeds) + len(self.weights)}", dtype, tuple(shape))
        held[value.name] = self.array(dtype, shape)
        self.values.append(value)
        return value

    def constant(self, array: Any) -> str:
        name = f"c{len(self.weights)}_{len(self.feeds)}"
        self.weights[name] = np.asarray(array)
        return name

    def pick(
        self,
        dtypes: Sequence[str] = EVERY,
        least: int = 0,
        most: int = MAX_RANK,
        agreement: Agreement = Agreement.nearly,
        nonempty: bool = False,
    ) -> Value:
        """A value that is there, or a new input, of a type and rank."""
        fitting = [
            value
            for value in self.values
            if value.dtype in dtypes
            and least <= value.rank <= most
            and value.agreement <= agreement
            and not (nonempty and 0 in value.shape)
        ]
        if fitting and self.number(0, 5):
            return self.one_of(fitting[::-1])
        dtype = self.one_of([d for d in DTYPES if d in dtypes])
        shape = self.shape(self.number(least, most))
        if nonempty:
            shape = tuple(max(1, size) for size in shape)
        return self.input(dtype, shape)

    def partner(self, value: Value, agreement: Agreement = Agreement.nearly) -> Value:
        """A value of the same type that broadcasts with `value`."""
        fitting = [
            other
            for other in self.values
            if other.dtype == value.dtype
            and other.agreement <= agreement
            and broadcast(value.shape, other.shape) is not None
        ]
        if fitting and self.number(0, 2):
            return self.one_of(fitting[::-1])
        shape = [size if self.number(0, 2) else 1 for size in value.shape]
        return self.input(value.dtype, shape[self.number(0, len(shape)) :])

    def node(
        self,
        op_type: str,
        operands: Sequence[Value | str],
        *results: tuple[str, Sequence[int], Agreement],
        **attributes: Any,
    ) -> list[Value]:
        """A new node with results of a type, shape and agreement each."""
        made = [
            Value(f"v{len(self.nodes)}_{n}", dtype, tuple(map(int, shape)), agreement)
            for n, (dtype, shape, agreement) in enumerate(results)
        ]
        names = [o if isinstance(o, str) else o.name for o in operands]
        outputs = [value.name for value in made]
        self.nodes.append(helper.make_node(op_type, names, outputs, **attributes))
        self.values.extend(made)
        return made

    # --- the model ---

    def model(self) -> onnx.ModelProto:
        """The graph, its unused values the outputs; sizes by name for some inputs."""
        used = {name for node in self.nodes for name in node.input}
        made = {name for node in self.nodes for name in node.output}
        ends = [v for v in self.values if v.name in made and v.name not in used]
        symbolic = self.flag()
        infos = [
            helper.make_tensor_value_info(
                name,
                helper.np_dtype_to_tensor_dtype(array.dtype),
                [f"n{n}" if symbolic and n > 1 else n for n in array.shape],
            )
            for name, array in self.feeds.items()
        ]
        outputs = [
            helper.make_tensor_value_info(
                v.name, helper.np_dtype_to_tensor_dtype(np.dtype(v.dtype)), None
            )
            for v in ends
        ]
        weights = [numpy_helper.from_array(a, n) for n, a in self.weights.items()]
        graph = helper.make_graph(self.nodes, "drawn", infos, outputs, weights)
        opsets = [helper.make_opsetid("", OPSET)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)


def numbers(rng: Any, dtype: str, shape: tuple[int, ...], special: bool) -> Any:
    """An array; with `special` it holds nan, infinities, -0.0 or the type's limits."""
    if dtype == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    kind = np.dtype(dtype)
    if kind.kind in "iu":
        low = 0 if kind.kind == "u" else -9
        array = rng.integers(low, 10, shape).astype(kind)
        specials: list[Any] = [np.iinfo(kind).min, np.iinfo(kind).max]
    else:
        array = (rng.integers(-16, 17, shape) / 4).astype(kind)
        specials = [np.nan, np.inf, -np.inf, -0.0, 0.0]
    if special:
        chosen = rng.random(shape) < 0.25
        array = np.where(chosen, rng.choice(np.array(specials, kind), shape), array)
    return np.asarray(array, kind)


def broadcast(*shapes: tuple[int, ...]) -> tuple[int, ...] | None:
    """The shape that `shapes` broadcast to; None if they do not, or to too much."""
    try:
        found = np.broadcast_shapes(*shapes)
    except ValueError:
        return None
    small = np.prod(found, dtype=np.int64) <= MAX_ELEMENTS
    return tuple(found) if len(found) <= MAX_RANK and small else None


TYPES = {name: helper.np_dtype_to_tensor_dtype(np.dtype(name)) for name in EVERY}


@dataclass(frozen=True)
class Drawn:
    """A model and the arrays that it is given."""

    model: onnx.ModelProto
    feeds: dict[str, Any]
    agreements: dict[str, Agreement]

    def __repr__(self) -> str:
        feeds = {n: f"{a.dtype}{a.tolist()}" for n, a in self.feeds.items()}
        return f"{onnx.printer.to_text(self.model)}\n{feeds}"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        del cycle
        printer.text(repr(self))


def drawn_graphs(
    templates: Sequence[Callable[[Case], None]], least: int = 3, most: int = 30
) -> st.SearchStrategy[Drawn]:
    """Graphs of `least` to `most` steps, each step one of `templates`."""

    @st.composite
    def graphs(draw: Callable[[Any], Any]) -> Drawn:
        case = Case(draw)
        case.input(case.one_of(DTYPES), case.shape())
        for _ in range(case.number(least, most)):
            case.one_of(templates)(case)
        agreements = {value.name: value.agreement for value in case.values}
        return Drawn(case.model(), case.feeds, agreements)

    return graphs()
