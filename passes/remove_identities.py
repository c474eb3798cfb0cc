"""
Remove ops that give back an operand.

    %y = onnx.Identity(%x)              ->   %x
    %y = onnx.Dropout(%x)               ->   %x     (inference)
    %y = onnx.Cast(%x : f32) {to = f32} ->   %x
    %y = onnx.Concat(%x), Sum(%x) …     ->   %x     (one operand)
    %y = onnx.Transpose(%x), perm = [0, 1, …]  ->   %x
    %y = onnx.Slice(%x) of all, Pad by nothing, ReduceMax over one element …  ->   %x
    %y = onnx.Relu(%x), %x = onnx.Relu(%w)     ->   %x     (and Abs, Floor …)
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass

from ..dialects.onnx import DenseAttr, OnnxBuilder, OnnxOp, WeightStore, store_of
from ..dialects.onnx.attributes import python_value
from ..dialects.onnx.types import Array, is_none, shape_of
from .patterns import Declined, OnnxPattern, journal_of, rewrite_module

_OF_ONE = ("onnx.Concat", "onnx.Max", "onnx.Mean", "onnx.Min", "onnx.Sum")
_OF_SHAPE = frozenset(
    f"onnx.{name}"
    for name in (
        "Cast",
        "Expand",
        "Flatten",
        "ReduceMax",
        "ReduceMean",
        "ReduceMin",
        "ReduceProd",
        "ReduceSum",
        "Reshape",
        "Squeeze",
        "Tile",
        "Unsqueeze",
    )
)
"""
What gives back its operand if it keeps its type: these reductions of one element do,
and the axis that is reduced, if there is one, has no more.
"""
_IDEMPOTENT = frozenset(
    f"onnx.{name}" for name in ("Abs", "Ceil", "Floor", "Relu", "Round", "Sign")
)


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
        case name if name in _OF_SHAPE and _keeps_type(op):
            return op.operands[0]
        case "onnx.Pad" | "onnx.Slice" if _keeps_type(op) and _in_order(op):
            return op.operands[0]
        case name if name in _IDEMPOTENT and _made_by(op.operands[0], name):
            return op.operands[0]
        case "onnx.Transpose" if _keeps_order(op):
            return op.operands[0]
        case name if name in _OF_ONE and len(op.operands) == 1:
            return op.operands[0]
        case _:
            return "it changes its operand"


def _made_by(value: SSAValue, name: str) -> bool:
    return isinstance(value.owner, Operation) and value.owner.name == name


def _keeps_type(op: OnnxOp) -> bool:
    """Whether the type stays, and with it every dimension (by number or expression)."""
    kind = op.operands[0].type
    shape = shape_of(kind)
    return kind == op.results[0].type and shape is not None and None not in shape


def _in_order(op: OnnxOp) -> bool:
    """
    Whether a Slice takes steps of one, or a Pad adds and takes nothing.

    One that then keeps every size has begun at the first element.
    """
    if op.name == "onnx.Slice":
        steps = op.operands[4] if len(op.operands) > 4 else None
        if steps is None or is_none(steps.type):
            return True
        held = _inline(steps)
        return held is not None and bool((held == 1).all())
    held = _inline(op.operands[1])
    return held is not None and not held.any()


def _inline(value: SSAValue) -> Array | None:
    owner = value.owner
    held = owner.properties.get("value") if isinstance(owner, OnnxOp) else None
    return held.array() if isinstance(held, DenseAttr) else None


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
    held = _inline(mode)
    return held is None or bool(held.any())


@dataclass(frozen=True)
class RemoveIdentity(OnnxPattern[SSAValue]):
    """Replace the first result by the operand that it equals."""

    name = "identity"
    roots = frozenset(
        [
            "onnx.Dropout",
            "onnx.Identity",
            "onnx.Pad",
            "onnx.Slice",
            "onnx.Transpose",
            *_IDEMPOTENT,
            *_OF_ONE,
            *_OF_SHAPE,
        ]
    )

    def decide(self, op: OnnxOp) -> SSAValue | Declined:
        value = same_as(op)
        if isinstance(value, str):
            return Declined(value, near=False)
        if value.type != op.results[0].type:
            # What is declared of an output's dimensions stands on the identity alone.
            return Declined(f"its type says more than {value.type}")
        return value

    def rewrite(
        self, op: OnnxOp, found: SSAValue, builder: OnnxBuilder
    ) -> list[SSAValue | None]:
        return [found, *(None for _ in op.results[1:])]


@dataclass(frozen=True)
class RemoveIdentitiesPass(ModulePass):
    """Remove ops that give back an operand."""

    name = "remove-identities"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        store = store_of(ctx) or WeightStore()
        pattern = RemoveIdentity(store, journal_of(ctx))
        rewrite_module(op, pattern, recursively=False)

    @classmethod
    def schedule_space(
        cls, ctx: Context, module_op: ModuleOp
    ) -> tuple[RemoveIdentitiesPass, ...]:
        return (cls(),)
