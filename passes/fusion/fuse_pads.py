"""
Have convolution and pooling pad their operand themselves.

    Conv(Pad(x, p))                  ->   Conv(x) {pads += p}          zeros around
    AveragePool(Pad(x, p))           ->   AveragePool(x) {pads = p, count_include_pad}
    MaxPool(Pad(x, p, -inf))         ->   MaxPool(x) {pads += p}
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass

from ...dialects.onnx import OnnxBuilder, OnnxOp, WeightStore, store_of
from ...dialects.onnx.attributes import attribute
from ...dialects.onnx.types import is_none
from ..facts import given, integers_of, rank_of, setting, uniform
from ..patterns import Declined, OnnxPattern, journal_of, rewrite_module


@dataclass(frozen=True)
class PadIntoWindow(OnnxPattern[tuple[int, ...]]):
    """Adds the amounts of a Pad to an operator's own."""

    name = "pad-into-window"
    roots = frozenset(["onnx.AveragePool", "onnx.Conv", "onnx.MaxPool"])

    def decide(self, op: OnnxOp) -> tuple[int, ...] | Declined:
        pad = op.operands[0].owner
        if not isinstance(pad, OnnxOp) or pad.name != "onnx.Pad":
            return Declined("its data are not padded", near=False)
        if not op.operands[0].has_one_use():
            return Declined("the padded data have other uses")
        amounts = _spatial(pad, self.store)
        if isinstance(amounts, str):
            return Declined(amounts)
        filled = uniform(pad.operands[2], self.store) if given(pad.operands[2]) else 0
        wanted = -math.inf if op.name == "onnx.MaxPool" else 0
        if filled is None or filled != wanted:
            return Declined(f"it is padded with another number than {wanted}")
        reason = _unfit(op, amounts)
        if reason is not None:
            return Declined(reason)
        own = setting(op, "pads") or (0,) * len(amounts)
        return tuple(a + b for a, b in zip(own, amounts, strict=True))

    def covers(self, op: OnnxOp, found: tuple[int, ...]) -> list[Operation]:
        pad = op.operands[0].owner
        assert isinstance(pad, Operation), "checked by `decide`"
        return [pad, op]

    def rewrite(
        self, op: OnnxOp, found: tuple[int, ...], builder: OnnxBuilder
    ) -> list[SSAValue | None]:
        pad = op.operands[0].owner
        assert isinstance(pad, Operation), "checked by `decide`"
        properties = dict(op.properties)
        properties.pop("auto_pad", None)
        properties["pads"] = attribute(op.schema(), "pads", found)
        if op.name == "onnx.AveragePool":
            included = attribute(op.schema(), "count_include_pad", 1)
            properties["count_include_pad"] = included
        operands = [pad.operands[0], *op.operands[1:]]
        made = builder.create(op.name, operands, properties, types=op.result_types)
        return [None if is_none(r.type) else r for r in made.results]


def _spatial(pad: OnnxOp, store: WeightStore) -> list[int] | str:
    """How much `pad` adds before and after each spatial axis, or why it is not that."""
    rank, amounts = rank_of(pad.operands[0]), integers_of(pad.operands[1], store)
    if setting(pad, "mode") != "constant":
        return "it is not padded with a constant"
    if rank is None or amounts is None:
        return "the amounts are not known"
    axes = (
        integers_of(pad.operands[3], store) if given(pad.operands[3]) else range(rank)
    )
    if axes is None:
        return "the axes are not known"
    before, after = [0] * rank, [0] * rank
    for place, axis in enumerate(axes):
        before[axis % rank] = amounts[place]
        after[axis % rank] = amounts[place + len(amounts) // 2]
    if any([*before[:2], *after[:2]]):
        return "batch or channels are padded"
    spatial = [*before[2:], *after[2:]]
    return "a negative amount crops" if min(spatial, default=0) < 0 else spatial


def _unfit(op: OnnxOp, amounts: list[int]) -> str | None:
    if setting(op, "auto_pad").startswith("SAME"):
        return "it pads to a size of its own"
    if op.name == "onnx.Conv":
        return None
    own = setting(op, "pads") or (0,) * len(amounts)
    if setting(op, "ceil_mode"):
        return "it counts windows that are not full"
    if (
        op.name == "onnx.AveragePool"
        and any(own)
        and not setting(op, "count_include_pad")
    ):
        return "it does not count its own padding"
    if op.name == "onnx.MaxPool" and not is_none(op.result_types[1]):
        return "the places of the largest elements are wanted"
    sizes = setting(op, "kernel_shape") * 2
    wide = any(a + b >= k for a, b, k in zip(own, amounts, sizes, strict=True))
    return "it would pad by a whole window" if wide else None


@dataclass(frozen=True)
class FusePadsPass(ModulePass):
    """Have convolution and pooling pad their operand themselves."""

    name = "fuse-pads"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        store = store_of(ctx)
        if store is not None:
            rewrite_module(op, PadIntoWindow(store, journal_of(ctx)))

    @classmethod
    def schedule_space(
        cls, ctx: Context, module_op: ModuleOp
    ) -> tuple[FusePadsPass, ...]:
        return (cls(),)
