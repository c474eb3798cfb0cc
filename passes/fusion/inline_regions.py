"""
Put the ops of regions where the regions stand.

    fusion.region(x, w, b) { Conv, Relu }   ->   Relu(Conv(x, w, b))
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from ...dialects.fusion import inline_regions


@dataclass(frozen=True)
class InlineRegionsPass(ModulePass):
    """Undo `fuse-regions`: every op stands for itself again."""

    name = "inline-regions"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        inline_regions(op)

    @classmethod
    def schedule_space(
        cls, ctx: Context, module_op: ModuleOp
    ) -> tuple[InlineRegionsPass, ...]:
        return ()
