"""
Do arithmetic with two constants in one step, and hold equal constants once.

    (x + a) + b, (x - a) + b …   ->   x + (a + b)
    (x * a) * b                  ->   x * (a * b)
    (x / a) * b                  ->   x * (b / a)      of floats

Two weights of equal type and bytes become one, so that `cse` sees what is equal.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.passes import ModulePass

from ...dialects.onnx import OnnxBuilder, OnnxOp, WeightAttr, WeightStore, store_of
from ...dialects.onnx.store import DerivedWeight
from ...dialects.onnx.types import Array, element_of, static_shape, tensor
from ..facts import follows, is_float, is_wide_float, rank_of
from ..fold_constants import constant_of
from ..patterns import Declined, OnnxPattern, journal_of, rewrite_module

_ADDING = {"onnx.Add": 1, "onnx.Sub": -1}
_SCALING = {"onnx.Mul": 1, "onnx.Div": -1}
MAX_ELEMENTS = 1 << 16
"""Constants of more elements are not combined."""


@dataclass(frozen=True)
class Step:
    """``x + sign * constant``, or ``x * constant ** sign``."""

    data: SSAValue
    constant: SSAValue
    sign: int


def step_of(op: Operation, store: WeightStore) -> Step | None:
    """`op` as one step with a constant; None if it is not that."""
    sign = _ADDING.get(op.name) or _SCALING.get(op.name)
    if sign is None or not isinstance(op, OnnxOp):
        return None
    for place in (1, 0) if sign == 1 else (1,):
        value = op.operands[place]
        shape = static_shape(value.type)
        if shape is None or np.prod(shape, dtype=np.int64) > MAX_ELEMENTS:
            continue
        if constant_of(value, store) is not None:
            return Step(op.operands[1 - place], value, sign)
    return None


@dataclass(frozen=True)
class TwoSteps(OnnxPattern[tuple[Step, Step]]):
    """Takes two steps with constants at once."""

    name = "two-constants"
    roots = frozenset([*_ADDING, *_SCALING])

    def decide(self, op: OnnxOp) -> tuple[Step, Step] | Declined:
        outer = step_of(op, self.store)
        if outer is None:
            return Declined("no operand is a small constant", near=False)
        producer = outer.data.owner
        family = _ADDING if op.name in _ADDING else _SCALING
        if not isinstance(producer, OnnxOp) or producer.name not in family:
            return Declined("it follows no step of its kind", near=False)
        inner = step_of(producer, self.store)
        if inner is None:
            return Declined("the first step is not with a small constant")
        if not outer.data.has_one_use():
            return Declined("the first step's result has other uses")
        divides = family is _SCALING and -1 in (inner.sign, outer.sign)
        if divides and not is_wide_float(outer.data):
            return Declined("quotients of integers and narrow floats are rounded")
        if constant_of(inner.data, self.store) is not None:
            return Declined("the first step is constant itself")
        if _rank(inner.data) < max(_rank(inner.constant), _rank(outer.constant)):
            return Declined("a constant has a higher rank than what it is applied to")
        if is_float(outer.data) and not self._finite(inner, outer, family):
            return Declined("the constants give no finite number together")
        return inner, outer

    def _finite(self, inner: Step, outer: Step, family: dict[str, int]) -> bool:
        with np.errstate(all="ignore"):
            together = combined(inner, outer, family is _ADDING, self.store)()
            array = np.asarray(together, np.float64)
        largest = np.abs(array).max(initial=0)
        smallest = np.abs(array[array != 0]).min(initial=1)
        return bool(np.isfinite(array).all() and largest < 1e30 and smallest > 1e-30)

    def covers(self, op: OnnxOp, found: tuple[Step, Step]) -> list[Operation]:
        producer = found[1].data.owner
        assert isinstance(producer, Operation), "checked by `decide`"
        return [producer, op]

    def rewrite(
        self, op: OnnxOp, found: tuple[Step, Step], builder: OnnxBuilder
    ) -> list[SSAValue | None]:
        inner, outer = found
        adds = op.name in _ADDING
        shapes = [static_shape(step.constant.type) or () for step in found]
        element = element_of(outer.constant.type)
        assert element is not None, "constants have an element type"
        kind = tensor(element, np.broadcast_shapes(*shapes))
        sources = [inner.constant, outer.constant]
        compute = combined(inner, outer, adds, self.store)
        hint = inner.constant.name_hint or outer.constant.name_hint or "constant"
        constant = follows(builder, kind, f"{hint}.merged", sources, compute)
        name = "onnx.Add" if adds else "onnx.Mul"
        properties: dict[str, Attribute] = {}
        kinds = [op.results[0].type]
        made = builder.create(name, [inner.data, constant], properties, types=kinds)
        return [made.results[0]]


def _rank(value: SSAValue) -> int:
    rank = rank_of(value)
    return -1 if rank is None else rank


def combined(
    inner: Step, outer: Step, adds: bool, store: WeightStore
) -> Callable[[], Array]:
    """How to compute the constant of both steps; floats in float64."""
    first, second = (constant_of(step.constant, store) for step in (inner, outer))
    assert first is not None, "checked by `decide`"
    assert second is not None, "checked by `decide`"

    def compute() -> Array:
        a, b = _wide(first()), _wide(second())
        if adds:
            return (a if inner.sign == 1 else -a) + (b if outer.sign == 1 else -b)
        return (a if inner.sign == 1 else 1 / a) * (b if outer.sign == 1 else 1 / b)

    return compute


def _wide(array: Array) -> Array:
    return array if array.dtype.kind in "iub" else array.astype(np.float64)


# --- equal constants ---


def equal_weights(module: ModuleOp, store: WeightStore) -> dict[str, str]:
    """The keys of weights that hold what an earlier one does, and the key of that."""
    kept: dict[tuple[str, tuple[int, ...], bytes], list[str]] = defaultdict(list)
    same: dict[str, str] = {}
    seen: set[str] = set()
    for op in module.walk():
        held = op.properties.get("value") if op.name == "onnx.Constant" else None
        if not isinstance(held, WeightAttr) or held.data in seen:
            continue
        seen.add(held.data)
        if held.data not in store or isinstance(store[held.data], DerivedWeight):
            continue
        weight = store[held.data]
        # Few bytes tell most apart; only what agrees in them is compared whole.
        glance = bytes(weight.raw()[:64])
        others = kept[weight.element, weight.shape, glance]
        for other in others:
            if store[other].raw() == weight.raw():
                same[held.data] = other
                break
        else:
            others.append(held.data)
    return same


@dataclass(frozen=True)
class MergeConstantsPass(ModulePass):
    """Merge steps with constants, and constants that are equal."""

    name = "merge-constants"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        store = store_of(ctx)
        if store is None:
            return
        journal = journal_of(ctx)
        rewrite_module(op, TwoSteps(store, journal))
        same = equal_weights(op, store)
        for inner in op.walk():
            held = inner.properties.get("value")
            if inner.name != "onnx.Constant" or not isinstance(held, WeightAttr):
                continue
            if held.data in same and journal.permits(inner):
                journal.rewrote("equal-weights", inner)
                inner.properties["value"] = WeightAttr(same[held.data])

    @classmethod
    def schedule_space(
        cls, ctx: Context, module_op: ModuleOp
    ) -> tuple[MergeConstantsPass, ...]:
        return (cls(),)
