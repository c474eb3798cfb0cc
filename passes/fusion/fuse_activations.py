"""
Write bounds, and activations made of them, with the operator that ONNX has for them.

    Clip(a * x + b, 0, 1), Clip(x + 3, 0, 6) / 6     ->   HardSigmoid(x)
    Log(1 + Exp(x))                                  ->   Softplus(x)
    Min(Max(x, a), b), Clip(Clip(x)), Relu(Clip(x))  ->   Clip(x)

Where Exp overflows, Softplus gives the limit instead.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass

from ...dialects.onnx import OnnxBuilder, OnnxOp, WeightStore, store_of
from ...dialects.onnx.types import element_of, numpy_dtype
from ..facts import given, is_float, name_of, uniform
from ..patterns import Declined, OnnxPattern, journal_of, rewrite_module


def near(a: float, b: float) -> bool:
    """Whether two constants are the same number up to float16's rounding."""
    return math.isclose(a, b, rel_tol=5e-4)


def by_number(
    value: SSAValue, name: str, store: WeightStore
) -> tuple[SSAValue, float] | None:
    """``x`` and ``c`` of ``x * c`` (``name`` Mul), ``x + c`` (Add) or ``x / c``."""
    op = value.owner
    if not isinstance(op, OnnxOp) or op.name != name:
        return None
    places = (1,) if name == "onnx.Div" else (1, 0)
    for place in places:
        number = uniform(op.operands[place], store)
        kept = op.operands[1 - place]
        if number is not None and kept.type == value.type:
            return kept, float(number)
    return None


def scaled(value: SSAValue, store: WeightStore) -> tuple[SSAValue, float]:
    """``x`` and ``c`` where `value` is ``x * c`` or ``x / c``; itself and 1 if not."""
    found = by_number(value, "onnx.Mul", store)
    if found is not None:
        return found
    found = by_number(value, "onnx.Div", store)
    return (found[0], 1 / found[1]) if found is not None and found[1] else (value, 1.0)


def bounds(op: Operation, store: WeightStore) -> tuple[SSAValue, float, float] | None:
    """What `op` clips, and the bounds: of Clip, Relu, and Max or Min with a number."""
    if op.name == "onnx.Relu":
        return op.operands[0], 0.0, math.inf
    if op.name == "onnx.Clip":
        limits = [-math.inf, math.inf]
        for place in (1, 2):
            if given(op.operands[place]):
                number = uniform(op.operands[place], store)
                if number is None:
                    return None
                limits[place - 1] = float(number)
        return op.operands[0], limits[0], limits[1]
    if op.name not in ("onnx.Max", "onnx.Min") or len(op.operands) != 2:
        return None
    for place in (0, 1):
        number = uniform(op.operands[place], store)
        kept = op.operands[1 - place]
        if number is not None and kept.type == op.results[0].type:
            low = op.name == "onnx.Max"
            both = (float(number), math.inf) if low else (-math.inf, float(number))
            return kept, *both
    return None


@dataclass(frozen=True)
class Written:
    """The operator to write on `operand`, with its attributes."""

    operand: SSAValue
    name: str
    attributes: dict[str, Any]


@dataclass(frozen=True)
class Activation(OnnxPattern[Written]):
    """Writes one operator for an activation that is spelt out."""

    name = "activation"
    roots = frozenset(["onnx.Clip", "onnx.Div", "onnx.Log", "onnx.Mul"])

    def decide(self, op: OnnxOp) -> Written | Declined:
        if not is_float(op.results[0]):
            return Declined("activations are for floats", near=False)
        found = _SPELLINGS[op.name](op, self.store)
        if found is None:
            return Declined("not the last step of an activation", near=False)
        if found.operand.type != op.results[0].type:
            return Declined("the type of the result says more than the operand's")
        return found

    def rewrite(
        self, op: OnnxOp, found: Written, builder: OnnxBuilder
    ) -> list[SSAValue | None]:
        return [builder.value(found.name, found.operand, **found.attributes)]


def _sixth(op: OnnxOp, store: WeightStore) -> Written | None:
    """``Clip(x + 3, 0, 6) / 6``."""
    value, factor = scaled(op.results[0], store)
    if value is op.results[0] or not near(factor, 1 / 6):
        return None
    x = _clipped_by_six(value, store)
    if x is not None:
        return Written(x, "onnx.HardSigmoid", {"alpha": 1 / 6, "beta": 0.5})
    return None


def _clipped_by_six(value: SSAValue, store: WeightStore) -> SSAValue | None:
    """``x`` of ``Clip(x + 3, 0, 6)``."""
    clip = value.owner
    found = bounds(clip, store) if isinstance(clip, OnnxOp) else None
    if found is None or found[1:] != (0.0, 6.0):
        return None
    shifted = by_number(found[0], "onnx.Add", store)
    return shifted[0] if shifted is not None and shifted[1] == 3 else None


def _hard_sigmoid(op: OnnxOp, store: WeightStore) -> Written | None:
    found = bounds(op, store)
    if found is None or found[1:] != (0.0, 1.0):
        return None
    shifted = by_number(found[0], "onnx.Add", store)
    if shifted is None:
        return None
    x, slope = scaled(shifted[0], store)
    if x is shifted[0]:
        return None
    return Written(x, "onnx.HardSigmoid", {"alpha": slope, "beta": shifted[1]})


def _logarithm(op: OnnxOp, store: WeightStore) -> Written | None:
    plus = by_number(op.operands[0], "onnx.Add", store)
    if plus is None or plus[1] != 1 or name_of(plus[0]) != "onnx.Exp":
        return None
    exponential = plus[0].owner
    assert isinstance(exponential, Operation), "named above"
    return Written(exponential.operands[0], "onnx.Softplus", {})


_SPELLINGS: dict[str, Callable[[OnnxOp, WeightStore], Written | None]] = {
    "onnx.Clip": _hard_sigmoid,
    "onnx.Div": _sixth,
    "onnx.Log": _logarithm,
    "onnx.Mul": _sixth,
}


@dataclass(frozen=True)
class MergeClips(OnnxPattern[tuple[SSAValue, float, float]]):
    """Clips once."""

    name = "merge-clips"
    roots = frozenset(["onnx.Clip", "onnx.Max", "onnx.Min", "onnx.Relu"])

    def decide(self, op: OnnxOp) -> tuple[SSAValue, float, float] | Declined:
        outer = bounds(op, self.store)
        if outer is None:
            return Declined("a bound is not one number", near=False)
        value, low, high = outer
        producer = value.owner
        inner = bounds(producer, self.store) if isinstance(producer, OnnxOp) else None
        if inner is None:
            return Declined("its operand is not clipped", near=False)
        if not value.has_one_use():
            return Declined("what is clipped once has other uses")
        source, first, last = inner
        if not (low <= high and first <= last):
            return Declined("a lower bound is above the upper one, or nan")
        if not is_float(source):
            return Declined("merged bounds are for floats here")
        if source.type != op.results[0].type:
            return Declined("the bounds broadcast")
        return source, min(max(first, low), high), min(max(last, low), high)

    def covers(
        self, op: OnnxOp, found: tuple[SSAValue, float, float]
    ) -> list[Operation]:
        inner = {value.owner for value in op.operands if bounds_of(value, self.store)}
        return [*(one for one in inner if isinstance(one, Operation)), op]

    def rewrite(
        self, op: OnnxOp, found: tuple[SSAValue, float, float], builder: OnnxBuilder
    ) -> list[SSAValue | None]:
        source, low, high = found
        if (low, high) == (0, math.inf):
            return [builder.value("onnx.Relu", source)]
        element = element_of(source.type)
        assert element is not None, "floats have an element type"
        dtype = numpy_dtype(element)
        limits = [
            None if limit == endless else builder.constant(np.array(limit, dtype))
            for limit, endless in ((low, -math.inf), (high, math.inf))
        ]
        return [builder.value("onnx.Clip", source, *limits)]


def bounds_of(value: SSAValue, store: WeightStore) -> bool:
    """Whether `value` is a clipped one."""
    return isinstance(value.owner, OnnxOp) and bounds(value.owner, store) is not None


@dataclass(frozen=True)
class FuseActivationsPass(ModulePass):
    """Write activations that are spelt out with ONNX's operator for them."""

    name = "fuse-activations"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        store = store_of(ctx)
        if store is None:
            return
        journal = journal_of(ctx)
        rewrite_module(op, Activation(store, journal), MergeClips(store, journal))

    @classmethod
    def schedule_space(
        cls, ctx: Context, module_op: ModuleOp
    ) -> tuple[FuseActivationsPass, ...]:
        return (cls(),)
