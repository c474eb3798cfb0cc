"""
What a cost model is told of an op: its work, its sizes and what stands around it.

Facts are numbers and names, so that they can be stored with what was measured; a model
that is trained later looks at them in its own way.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from functools import cache
from typing import Any, cast

from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute, Operation, SSAValue

from ...dialects.fusion import PRODUCTS, RegionOp
from ...dialects.onnx import Dim, OnnxOp
from ...dialects.onnx.attributes import python_value
from ...dialects.onnx.integers import IntegerValues
from ...dialects.onnx.types import DTYPE_NAMES, element_of, is_none, shape_of
from ...dialects.sched import arena_of
from ...passes.analysis.cost import Cost, op_cost
from ...passes.analysis.storage import bytes_of, evaluated, is_constant

SCALAR_TYPES = {"float32": "f32", "float64": "f64", "float16": "f16", "int64": "i64"}
"""How the text of an op writes the most frequent element types; others as they are."""


@dataclass(frozen=True)
class OpFacts:
    """One op; amounts are of one call, and 0 where they are not known."""

    text: str
    """
    ``nhwc.Conv(1x56x56x64xf32, 1x1x64x64xf32) -> 1x56x56x64xf32``: the op as the IR
    writes it, without names.
    """
    op: str
    """The operator; of a region the one that takes most of its work."""
    fused: int
    """How many other ops run within it."""
    dtype: str
    flops: int
    transcendentals: int
    bytes_read: int
    bytes_written: int
    weight_bytes: int
    """Of what is read, how much is constant."""
    group: int
    window: int
    """The positions of a window, 9 for 3x3; 1 for what has none."""
    stride: int
    producer: str
    """The operator that gives the first operand; empty for an input."""
    consumer: str
    """The operator that uses the result first; empty for an output."""
    users: int
    is_only_user: bool
    """Whether nothing else uses what the producer gives."""
    is_known: bool
    """Whether all amounts were known."""
    is_planned: bool
    """Whether the results of its program have places in one arena."""

    def as_json(self) -> list[Any]:
        """The fields in their order."""
        return list(astuple(self))

    @property
    def shapes(self) -> tuple[tuple[tuple[int, ...], ...], tuple[int, ...]]:
        """The operands' shapes and the first result's, read off the text."""
        return _shapes(self.text)


def facts_from_json(content: Sequence[Any]) -> OpFacts:
    """What `OpFacts.as_json` wrote; TypeError or ValueError for something else."""
    kinds = {"str": str, "int": int, "bool": bool}
    wanted = [kinds[str(field.type)] for field in fields(OpFacts)]
    if len(content) != len(wanted):
        raise ValueError(f"found {len(content)} facts, wanted {len(wanted)}")
    made = cast(Any, OpFacts)
    return made(*(kind(item) for kind, item in zip(wanted, content, strict=True)))


_TENSOR = re.compile(r"((?:\d+x)*)([a-z]\w*)")


@cache
def _shapes(text: str) -> tuple[tuple[tuple[int, ...], ...], tuple[int, ...]]:
    given, _, gave = text.partition("(")[2].partition(") -> ")
    return tuple(map(_sizes, given.split(", "))), _sizes(gave.partition(", ")[0])


def _sizes(text: str) -> tuple[int, ...]:
    found = _TENSOR.fullmatch(text)
    sizes = found[1].split("x")[:-1] if found else []
    return tuple(map(int, sizes))


# --- from the IR ---


def facts_of(
    ops: Sequence[OnnxOp | RegionOp], integers: IntegerValues, sizes: Mapping[str, int]
) -> tuple[OpFacts, ...]:
    """The facts of `ops`, their symbolic dimensions of `sizes`."""
    return tuple(_facts(op, integers, sizes) for op in ops)


def _facts(
    op: OnnxOp | RegionOp, integers: IntegerValues, sizes: Mapping[str, int]
) -> OpFacts:
    cost = op_cost(op, integers)
    amounts = [_at(amount, sizes) for amount in cost.amounts]
    main = _main(op, integers, sizes)
    inside = len(op.ops) - 1 if isinstance(op, RegionOp) else 0
    constants = [v for v in dict.fromkeys(op.operands) if is_constant(v)]
    element = element_of(op.results[0].type)
    return OpFacts(
        text=_text(op, sizes),
        op=main.name.removeprefix("onnx."),
        fused=inside,
        dtype=DTYPE_NAMES.get(element, "other") if element else "other",
        flops=amounts[0] or 0,
        transcendentals=amounts[1] or 0,
        bytes_read=amounts[2] or 0,
        bytes_written=amounts[3] or 0,
        weight_bytes=sum(_bytes(v.type, sizes) for v in constants),
        group=_group(main),
        window=_window(main, sizes),
        stride=math.prod(_integers(main, "strides")),
        producer=_producer(op),
        consumer=_consumer(op),
        users=_users(op.results[0]),
        is_only_user=bool(op.operands) and _users(op.operands[0]) == 1,
        is_known=None not in amounts,
        is_planned=_is_planned(op),
    )


def _is_planned(op: Operation) -> bool:
    """See `OpFacts.is_planned`."""
    around: Operation | None = op
    while around is not None and not isinstance(around, FuncOp):
        around = around.parent_op()
    return around is not None and arena_of(around) is not None


def _producer(op: Operation) -> str:
    """See `OpFacts.producer`."""
    owner = op.operands[0].owner if op.operands else None
    if not isinstance(owner, OnnxOp | RegionOp) or is_constant(op.operands[0]):
        return ""
    return owner.name.removeprefix("onnx.")


def _consumer(op: Operation) -> str:
    """See `OpFacts.consumer`."""
    use = next(iter(op.results[0].uses), None)
    if use is None or not isinstance(use.operation, OnnxOp | RegionOp):
        return ""
    return use.operation.name.removeprefix("onnx.")


def _users(value: SSAValue) -> int:
    return len({use.operation for use in value.uses})


def _main(
    op: OnnxOp | RegionOp, integers: IntegerValues, sizes: Mapping[str, int]
) -> OnnxOp:
    """The op itself; of a region its product, else the op with the most work."""
    if isinstance(op, OnnxOp):
        return op

    def work(inner: OnnxOp) -> tuple[bool, int]:
        cost: Cost = op_cost(inner, integers)
        return inner.name in PRODUCTS, _at(cost.flops, sizes) or 0

    return max(cast(Sequence[OnnxOp], op.ops), key=work)


def _group(op: OnnxOp) -> int:
    held = op.properties.get("group")
    return 1 if held is None else int(python_value(held))


def _integers(op: OnnxOp, name: str) -> tuple[int, ...]:
    held = op.properties.get(name)
    found = () if held is None else python_value(held)
    return tuple(map(int, found)) if isinstance(found, tuple | list) else ()  # pyright: ignore[reportUnknownArgumentType]


def _window(op: OnnxOp, sizes: Mapping[str, int]) -> int:
    """The positions of the window of a convolution or pooling."""
    if named := _integers(op, "kernel_shape"):
        return math.prod(named)
    if not op.name.endswith("Conv") or len(op.operands) < 2:
        return 1
    weight = _shape(op.operands[1].type, sizes)
    inner = weight[:-2] if op.name.startswith("nhwc.") else weight[2:]
    return math.prod(inner)


# --- amounts and texts ---


def _at(amount: Dim | None, sizes: Mapping[str, int]) -> int | None:
    return None if amount is None else evaluated(amount, sizes)


def _shape(kind: Attribute, sizes: Mapping[str, int]) -> tuple[int, ...]:
    """The shape at `sizes`; what is not known counts as 1."""
    return tuple(_at(size, sizes) or 0 if size else 1 for size in shape_of(kind) or ())


def _bytes(kind: Attribute, sizes: Mapping[str, int]) -> int:
    return _at(bytes_of(kind), sizes) or 0


def _text(op: Operation, sizes: Mapping[str, int]) -> str:
    name = op.label if isinstance(op, RegionOp) else op.name.removeprefix("onnx.")
    given = ", ".join(_type_text(value.type, sizes) for value in op.operands)
    gave = ", ".join(_type_text(value.type, sizes) for value in op.results)
    return f"{name}({given}) -> {gave}"


def _type_text(kind: Attribute, sizes: Mapping[str, int]) -> str:
    if is_none(kind):
        return "none"
    element = element_of(kind)
    if element is None:
        return "other"
    name = DTYPE_NAMES.get(element, "other")
    shape = "".join(f"{size}x" for size in _shape(kind, sizes))
    return shape + SCALAR_TYPES.get(name, name)
