"""
Divide weights over devices: tensor parallelism, by Redco's two rules.

    %h = onnx.MatMul(%x, %w1)   ->   %w1 sharded [{}, {"model"}]   by its columns
    %g = onnx.Gelu(%h)
    %y = onnx.MatMul(%g, %w2)   ->   %w2 sharded [{"model"}, {}]   by its rows

Columns and rows alternate, so that one all-reduce behind the second completes both.
Redco (Tan et al., 2023) reads the rules off the weights' names; here the graph says it:
a product whose operand comes divided takes its weight by rows, and another by columns
if the division reaches, through what passes it on (attention by heads, activations), a
product that takes it by rows.

With `scatter` what lies between is divided, too, along the tokens (Korthikanti et al.,
"Reducing Activation Recomputation in Large Transformer Models", 2022):

    %y sharded [{}, {"model"}, {}]   a reduce-scatter, and a gather before the next
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass

from ...dialects.onnx import OnnxOp, store_of
from ...dialects.onnx.types import static_shape
from ...dialects.sdy import Mesh
from ..fusion.matching import is_constant
from ..patterns import Declined, journal_of
from .layouts import Layout, add_axis, factors_of, layout_of, main_of
from .propagate_shardings import Propagation


@dataclass(frozen=True)
class ShardTensorPass(ModulePass):
    """
    Divide the weights of products by `size`, columns and rows in turns.

    With `scatter`, each device keeps its part of the tokens of what a product by rows
    gives: what is sent is the same if all products are divided, and between them each
    device computes its part.
    """

    name = "shard-tensor"

    size: int = 2
    axis: str = "model"
    scatter: bool = False

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        store = store_of(ctx)
        if store is None:
            return
        symbol, mesh = add_axis(op, self.axis, self.size)
        main, journal = main_of(op), journal_of(ctx)
        state, by_rows = Propagation(main, store, symbol, mesh), list[OnnxOp]()
        for inner in list(state.rules):
            if not _is_product(inner):
                continue
            weight = inner.operands[1]
            why = self._divide(inner, state, mesh)
            if isinstance(why, Declined):
                journal.declined(self.name, inner, why)
                continue
            state.say(weight, why)
            state.run()
            if why == ((self.axis,), ()):
                by_rows.append(inner)
        # Tokens come last: what weights divide, they do not.
        for inner in by_rows if self.scatter else ():
            reason = self._scatter(inner.results[0], state, mesh)
            if reason is not None:
                journal.declined(self.name, inner, Declined(reason))
        state.run()
        state.write()

    def _scatter(self, value: SSAValue, state: Propagation, mesh: Mesh) -> str | None:
        """Divide the tokens of a product's result, or say why they are not."""
        held = state.layouts[value]
        if len(held) < 2 or value in state.closed:
            return "its result has no tokens, or is said to lie otherwise"
        if any(self.axis in axes for axes in held):
            return "its result is divided already"
        layout = (*held[:-2], (*held[-2], self.axis), held[-1])
        count, parts = (static_shape(value.type) or (0, 0))[-2], mesh.size(layout[-2])
        if count % parts:
            return f"found {count} tokens of its result, wanted a multiple of {parts}"
        state.say(value, layout)
        return None

    def _divide(self, op: OnnxOp, state: Propagation, mesh: Mesh) -> Layout | Declined:
        """How the weight of a product is divided."""
        value, weight = op.operands
        if not {value, op.results[0]} <= state.layouts.keys():
            return Declined("found unknown sizes, wanted fixed ones")
        held = state.layouts.get(weight, ())
        used = {axis for axes in held for axis in axes}
        if weight in state.closed or self.axis in used:
            return held
        depth, width = static_shape(weight.type) or (0, 0)
        if self.axis in state.layouts[value][-1]:
            return ((self.axis,), ())
        if any(self.axis in axes for axes in state.layouts[value]):
            return Declined("its operand is divided along another dimension")
        for word, found in (("columns", width), ("rows", depth)):
            if found % self.size and word == "columns":
                reason = f"found {found} {word}, wanted a multiple of {self.size}"
                return Declined(reason)
        if not self._reaches(op, state, mesh):
            return Declined("its columns reach no product by way of what passes them")
        return ((), (self.axis,))

    def _reaches(self, op: OnnxOp, state: Propagation, mesh: Mesh) -> bool:
        """Whether all that a product divided by columns flows to can be divided too."""
        first = op.results[0]
        rank = len(static_shape(first.type) or ())
        waiting: list[tuple[SSAValue, Layout]] = [
            (first, (*((),) * (rank - 1), (self.axis,)))
        ]
        seen: set[SSAValue] = set()
        reached = False
        while waiting:
            value, layout = waiting.pop()
            if value in seen:
                continue
            seen.add(value)
            for user in users(value):
                if not isinstance(user, OnnxOp) or user not in state.rules:
                    # The function gives it: it would have to be brought together.
                    return False
                rule = state.rules[user]
                dims = rule.operands[[v is value for v in user.operands].index(True)]
                if dims is None:
                    return False
                axes = factors_of(layout, dims, rule, mesh)
                if not any(self.axis in found for found in axes.values()):
                    return False
                if any(self.axis in axes.get(name, ()) for name in rule.reduction):
                    reached = True
                    continue
                for result, mine in zip(user.results, rule.results, strict=True):
                    if mine is not None:
                        given = layout_of(axes, mine, rule, mesh)
                        waiting.append((result, given))
        return reached

    @classmethod
    def schedule_space(
        cls, ctx: Context, module_op: ModuleOp
    ) -> tuple[ShardTensorPass, ...]:
        return tuple(cls(size) for size in (2, 4, 8))


def _is_product(op: OnnxOp) -> bool:
    if op.name != "onnx.MatMul" or not is_constant(op.operands[1]):
        return False
    return len(static_shape(op.operands[1].type) or ()) == 2


def users(value: SSAValue) -> Iterator[Operation]:
    """The ops that use `value`."""
    for use in value.uses:
        yield use.operation
