"""
Remove arithmetic with a constant that changes nothing.

    x + 0, x - 0, x * 1, x / 1, x ** 1, x or false, x and true   ->   x

As any sum with +0 does, ``x + 0`` makes a -0 a 0; without it the zero keeps its sign.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue
from xdsl.passes import ModulePass

from ...dialects.onnx import OnnxBuilder, OnnxOp, WeightStore, store_of
from ..facts import small_array
from ..fold_constants import constant_of
from ..patterns import Declined, OnnxPattern, journal_of, rewrite_module

_NEUTRAL = {
    "onnx.Add": (0, True),
    "onnx.And": (1, True),
    "onnx.Div": (1, False),
    "onnx.Mul": (1, True),
    "onnx.Or": (0, True),
    "onnx.Pow": (1, False),
    "onnx.Sub": (0, False),
}
"""The operand that changes nothing, and whether it may also stand first."""


@dataclass(frozen=True)
class RemoveNeutral(OnnxPattern[SSAValue]):
    """Replaces the result by the operand that is not neutral."""

    name = "neutral"
    roots = frozenset(_NEUTRAL)

    def decide(self, op: OnnxOp) -> SSAValue | Declined:
        neutral, either = _NEUTRAL[op.name]
        for place in (1, 0) if either else (1,):
            if not _is_all(op.operands[place], neutral, self.store):
                continue
            kept = op.operands[1 - place]
            if kept.type != op.results[0].type:
                return Declined("the neutral operand broadcasts the other")
            return kept
        return Declined("no operand is neutral", near=False)

    def rewrite(
        self, op: OnnxOp, found: SSAValue, builder: OnnxBuilder
    ) -> list[SSAValue | None]:
        return [found]


def _is_all(value: SSAValue, number: int, store: WeightStore) -> bool:
    if constant_of(value, store) is None:
        return False
    array = small_array(value, store)
    return array is not None and bool((array == number).all())


@dataclass(frozen=True)
class RemoveNeutralPass(ModulePass):
    """Remove arithmetic with a constant that changes nothing."""

    name = "remove-neutral"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        store = store_of(ctx)
        if store is not None:
            pattern = RemoveNeutral(store, journal_of(ctx))
            rewrite_module(op, pattern, recursively=False)

    @classmethod
    def schedule_space(
        cls, ctx: Context, module_op: ModuleOp
    ) -> tuple[RemoveNeutralPass, ...]:
        return (cls(),)
