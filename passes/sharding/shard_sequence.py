"""
Divide the sequence over devices, and within attention the heads: DeepSpeed-Ulysses.

    %y = onnx.Attention(%q, %k, %v)   ->   %q, %k, %v sharded [{}, {"seq"}, {}]
                                           %y sharded [{}, {}, {"seq"}]

An all-to-all before attention and one behind it (Jacobs et al., "DeepSpeed Ulysses",
2023): what each device sends stays the same as sequence and devices grow together.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue
from xdsl.passes import ModulePass

from ...dialects.onnx import OnnxOp
from ...dialects.onnx.types import static_shape
from ...dialects.sdy import Sharding, annotate, sharding_of
from ..facts import setting
from ..patterns import Declined, journal_of
from .layouts import add_axis, main_of


@dataclass(frozen=True)
class ShardSequencePass(ModulePass):
    """
    Divide sequences by `size`, and around attention its heads instead.

    An input is divided along its second dimension if its first two are the batch and
    the sequence of an attention.
    """

    name = "shard-sequence"

    size: int = 2
    axis: str = "seq"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        symbol, _ = add_axis(op, self.axis, self.size)
        main, journal = main_of(op), journal_of(ctx)
        found: set[tuple[int, int]] = set()
        for inner in main.body.block.ops:
            if not isinstance(inner, OnnxOp) or inner.name != "onnx.Attention":
                continue
            reason = self._problem(inner)
            if reason is not None:
                journal.declined(self.name, inner, Declined(reason))
                continue
            batch = (static_shape(inner.operands[0].type) or (0,))[0]
            found.add((batch, _sequence(inner.operands[0])))
            for value in inner.operands[:3]:
                self._annotate(value, symbol, _sequence_dim(value))
            result = inner.results[0]
            self._annotate(result, symbol, 2 if _rank(result) == 3 else 1)
        for argument in main.body.block.args:
            shape = static_shape(argument.type) or ()
            if shape[:2] in found:
                self._annotate(argument, symbol, 1)

    def _annotate(self, value: SSAValue, symbol: str, place: int) -> None:
        if static_shape(value.type) is None:
            return
        held = sharding_of(value)
        axes: list[tuple[str, ...]] = [()] * _rank(value)
        axes[:] = held.axes if held else axes
        if self.axis not in {axis for dim in axes for axis in dim}:
            axes[place] = (*axes[place], self.axis)
            annotate(value, Sharding.of(symbol, axes))

    def _problem(self, op: OnnxOp) -> str | None:
        shapes = [static_shape(value.type) for value in op.operands[:3]]
        if any(shape is None for shape in shapes):
            return "found unknown sizes, wanted fixed ones"
        packed = _rank(op.operands[0]) == 3
        heads = [
            setting(op, name) if packed else (shapes[place] or (0, 0))[1]
            for name, place in (("q_num_heads", 0), ("kv_num_heads", 1))
        ]
        for word, found in (
            ("query heads", heads[0]),
            ("key heads", heads[1]),
            ("queries", _sequence(op.operands[0])),
            ("keys", _sequence(op.operands[1])),
        ):
            if found % self.size:
                return f"found {found} {word}, wanted a multiple of {self.size}"
        return None

    @classmethod
    def schedule_space(
        cls, ctx: Context, module_op: ModuleOp
    ) -> tuple[ShardSequencePass, ...]:
        return tuple(cls(size) for size in (2, 4, 8))


def _rank(value: SSAValue) -> int:
    return len(static_shape(value.type) or ())


def _sequence_dim(value: SSAValue) -> int:
    return 1 if _rank(value) == 3 else 2


def _sequence(value: SSAValue) -> int:
    return (static_shape(value.type) or ())[_sequence_dim(value)]
