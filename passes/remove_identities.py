"""
Remove ops that give back an operand.

    %y = onnx.Identity(%x)              ->   %x
    %y = onnx.Dropout(%x)               ->   %x     (inference)
    %y = onnx.Cast(%x : f32) {to = f32} ->   %x
    %y = onnx.Concat(%x), Sum(%x) …     ->   %x     (one operand)
    %y = onnx.Transpose(%x), perm = [0, 1, …]  ->   %x
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.pattern_rewriter import (
    PatternRewriter,
    PatternRewriteWalker,
    RewritePattern,
)

from ..dialects.onnx import DenseAttr, OnnxOp
from ..dialects.onnx.attributes import python_value
from ..dialects.onnx.types import is_none, shape_of

_OF_ONE = ("onnx.Concat", "onnx.Max", "onnx.Mean", "onnx.Min", "onnx.Sum")


def same_as(op: Operation) -> SSAValue | str:
    """The operand that the first result of `op` equals, or why it is none of them."""
    if not isinstance(op, OnnxOp) or not op.operands or not op.results:
        return "not an operator on values"
    if any(result.uses for result in op.results[1:]):
        return "another result is used"
    match op.name:
        case "onnx.Identity":
            return op.operands[0]
        case "onnx.Dropout":
            trained = _in_training(op)
            return op.operands[0] if not trained else "dropout in training mode"
        case "onnx.Cast" | "onnx.Reshape" | "onnx.Expand" if _keeps_type(op):
            return op.operands[0]
        case "onnx.Transpose" if _keeps_order(op):
            return op.operands[0]
        case name if name in _OF_ONE and len(op.operands) == 1:
            return op.operands[0]
        case _:
            return "it changes its operand"


def _keeps_type(op: OnnxOp) -> bool:
    """Whether the type stays, and with it every dimension (by number or expression)."""
    kind = op.operands[0].type
    shape = shape_of(kind)
    return kind == op.results[0].type and shape is not None and None not in shape


def _keeps_order(op: OnnxOp) -> bool:
    perm = op.properties.get("perm")
    if perm is None:
        return False
    order = python_value(perm)
    return order == tuple(range(len(order)))


def _in_training(op: OnnxOp) -> bool:
    mode = op.operands[2]
    if is_none(mode.type):
        return False
    held = (
        mode.owner.properties.get("value") if isinstance(mode.owner, OnnxOp) else None
    )
    return not isinstance(held, DenseAttr) or bool(held.array().any())


@dataclass(frozen=True)
class RemoveIdentity(RewritePattern):
    """Replace the first result by the operand that it equals."""

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter) -> None:
        value = same_as(op)
        if isinstance(value, str):
            return
        if value.type != op.results[0].type:
            # What is declared of an output's dimensions stands on the identity alone.
            return
        rewriter.replace_all_uses_with(op.results[0], value)
        rewriter.erase(op)


@dataclass(frozen=True)
class RemoveIdentitiesPass(ModulePass):
    """Remove ops that give back an operand."""

    name = "remove-identities"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        PatternRewriteWalker(RemoveIdentity(), apply_recursively=False).rewrite_module(
            op
        )

    @classmethod
    def schedule_space(
        cls, ctx: Context, module_op: ModuleOp
    ) -> tuple[RemoveIdentitiesPass, ...]:
        return (cls(),)
