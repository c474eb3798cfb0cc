"""
Replace composite operators by ONNX's own function bodies.

    %y = onnx.Mish(%x)      ->   %s = onnx.Softplus(%x)
                                 %t = onnx.Tanh(%s)
                                 %y = onnx.Mul(%x, %t)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter

from ..backends.kernels import KERNELS
from ..dialects.onnx import OnnxBuilder, OnnxOp, store_of
from ..dialects.onnx.functions import NoFunctionBody, expand
from ..dialects.onnx.proto import refine
from ..dialects.onnx.provenance import nodes_only
from ..dialects.onnx.store import WeightStore


@dataclass(frozen=True)
class ExpandFunctionsPass(ModulePass):
    """Expand the operators named in `ops`; by default those that have no kernel."""

    name = "expand-functions"

    ops: tuple[str, ...] = ()

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        store = store_of(ctx)
        if store is not None:
            expand_where(op, store, self._wanted)

    def _wanted(self, op: OnnxOp) -> bool:
        if self.ops:
            return op.op_type() in self.ops
        return op.name not in KERNELS and op.name != "onnx.Constant"

    @classmethod
    def schedule_space(
        cls, ctx: Context, module_op: ModuleOp
    ) -> tuple[ExpandFunctionsPass, ...]:
        return (cls(),)


def expand_where(
    module: ModuleOp, store: WeightStore, wanted: Callable[[OnnxOp], bool]
) -> None:
    """
    Expand the ops that are `wanted`, and those in their bodies, where there is a body.
    """
    waiting = [op for op in module.walk() if isinstance(op, OnnxOp)]
    while waiting:
        op = waiting.pop()
        if op.has_body or not wanted(op):
            continue
        made: list[Operation] = []
        builder = OnnxBuilder(made.append, store, location=nodes_only(op.location))
        try:
            values = expand(op, builder)
        except NoFunctionBody:
            # A primitive: the backend says so if it has no kernel for it either.
            for unused in reversed(made):
                unused.erase()
            continue
        Rewriter.insert_op(made, InsertPoint.before(op))
        if made and set(made[-1].results) == set(values):
            made[-1].location = op.location
        for old, new in zip(op.results, values, strict=False):
            if new is None:
                continue
            new.name_hint = new.name_hint or old.name_hint
            if new.type != old.type:
                kind = refine(old.type, new.type)
                new = Rewriter.replace_value_with_new_type(new, kind)
            old.replace_all_uses_with(new)
        Rewriter.erase_op(op)
        waiting.extend(inner for inner in made if isinstance(inner, OnnxOp))
