"""
Name the softmax that exponentials and their sum spell.

    e = Exp(Sub(x, ReduceMax(x)))
    Div(e, ReduceSum(e))                ->   Softmax(x)
    Sub(x, ReduceLogSumExp(x))          ->   LogSoftmax(x)
    Log(Softmax(x)), Exp(LogSoftmax(x)) ->   LogSoftmax(x), Softmax(x)

The maximum may be left out, or kept above a number; the sum may lose the axis and get
it back by a view; a quotient may be a product with a Reciprocal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass

from ...dialects.onnx import OnnxBuilder, OnnxOp, WeightStore, store_of
from ..facts import is_float, rank_of, uniform
from ..patterns import Declined, OnnxPattern, journal_of, rewrite_module
from .matching import (
    bare,
    either_way,
    keeps,
    near,
    producer,
    product_of,
    reduction_of,
)


@dataclass(frozen=True)
class Softmax:
    """The softmax of `x` along `axis`, and the ops that spell it."""

    x: SSAValue
    axis: int
    ops: tuple[Operation, ...]
    name: str = "onnx.Softmax"


@dataclass(frozen=True)
class NameSoftmax(OnnxPattern[Softmax]):
    """Writes exponentials that are divided by their sum as a Softmax."""

    name = "exponentials-into-softmax"
    roots = frozenset(["onnx.Div", "onnx.Mul"])

    def decide(self, op: OnnxOp) -> Softmax | Declined:
        product = product_of(op.results[0], self.store)
        powers = [f.value for f in product.factors if f.power == 1]
        sums = [f.value for f in product.factors if f.power == -1]
        if len(product.factors) != 2 or len(powers) != 1 or len(sums) != 1:
            return Declined("no quotient of two values", near=False)
        exp = producer(powers[0], "Exp")
        total = reduction_of(sums[0], "ReduceSum", self.store)
        if exp is None or total is None or total.source != powers[0]:
            return Declined("no exponential is divided by its sum", near=False)
        if not near(product.number, 1):
            return Declined("the quotient is scaled")
        if len(total.axes) != 1:
            return Declined(f"the sum is over {len(total.axes)} axes")
        if not is_float(powers[0]) or not keeps(sums[0], powers[0], total.axes):
            return Declined("the sum does not stand along the axis that it is over")
        x = less_maximum(exp.operands[0], total.axes, self.store)
        return Softmax(x, total.axes[0], (exp, *product.ops[:-1]))

    def covers(self, op: OnnxOp, found: Softmax) -> Sequence[Operation]:
        return [*found.ops, op]

    def rewrite(
        self, op: OnnxOp, found: Softmax, builder: OnnxBuilder
    ) -> list[SSAValue | None]:
        last = rank_of(found.x) == found.axis + 1
        axis = -1 if last else found.axis
        return [builder.value("onnx.Softmax", found.x, axis=axis)]


def less_maximum(
    value: SSAValue, axes: tuple[int, ...], store: WeightStore
) -> SSAValue:
    """What `value` is, less its maximum over `axes`: softmax takes that itself."""
    op = producer(value, "Sub")
    if op is None:
        return value
    x, peak = op.operands
    if not keeps(peak, x, axes):
        return value
    most = bare(peak)
    if bounded := producer(most, "Max"):
        for one, other in either_way(bounded):
            # A floor of -inf or of the smallest number keeps the sum from nan.
            floor = uniform(one, store)
            if floor is not None and floor < -1e30 and len(bounded.operands) == 2:
                most = other
    if clean := producer(most, "Where"):
        if uniform(clean.operands[2], store) == 0:
            # jax keeps the maximum 0 where it is infinite.
            most = clean.operands[1]
        elif uniform(clean.operands[1], store) == 0:
            most = clean.operands[2]
    found = reduction_of(most, "ReduceMax", store)
    fits = found is not None and found.source == x and found.axes == axes
    return x if fits else value


@dataclass(frozen=True)
class NameLogSoftmax(OnnxPattern[Softmax]):
    """Writes a logarithm of a softmax, or an exponential of its logarithm, as one."""

    name = "logarithm-into-log-softmax"
    roots = frozenset(["onnx.Exp", "onnx.Log", "onnx.Sub"])

    def decide(self, op: OnnxOp) -> Softmax | Declined:
        if op.name == "onnx.Sub":
            return self._of_sub(op)
        wanted = "LogSoftmax" if op.name == "onnx.Exp" else "Softmax"
        inner = producer(op.operands[0], wanted)
        if inner is None:
            return Declined(f"its operand is no {wanted}", near=False)
        axis = inner.python_attributes().get("axis", -1)
        name = "onnx.Softmax" if op.name == "onnx.Exp" else "onnx.LogSoftmax"
        return Softmax(inner.operands[0], axis, (inner,), name)

    def _of_sub(self, op: OnnxOp) -> Softmax | Declined:
        x, total = op.operands
        kind = "ReduceLogSumExp"
        found = reduction_of(total, kind, self.store)
        if found is None or found.source != x:
            return Declined("no ReduceLogSumExp is taken off", near=False)
        if len(found.axes) != 1 or not keeps(total, x, found.axes):
            return Declined("the sum is not along one axis")
        return Softmax(x, found.axes[0], (), "onnx.LogSoftmax")

    def covers(self, op: OnnxOp, found: Softmax) -> Sequence[Operation]:
        return [*found.ops, op]

    def rewrite(
        self, op: OnnxOp, found: Softmax, builder: OnnxBuilder
    ) -> list[SSAValue | None]:
        return [builder.value(found.name, found.x, axis=found.axis)]


@dataclass(frozen=True)
class FuseSoftmaxPass(ModulePass):
    """Name the softmax that exponentials and their sum spell."""

    name = "fuse-softmax"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        store = store_of(ctx)
        if store is not None:
            journal = journal_of(ctx)
            patterns = NameSoftmax(store, journal), NameLogSoftmax(store, journal)
            rewrite_module(op, *patterns)

    @classmethod
    def schedule_space(
        cls, ctx: Context, module_op: ModuleOp
    ) -> tuple[FuseSoftmaxPass, ...]:
        return (cls(),)
