"""
Reorder outputs of products, so that groups of them lose little when they are pruned.

    y = MatMul(x, w)             ->   y' = MatMul(x, w P)
    z = MatMul(Gelu(y + b), v)   ->   z = MatMul(Gelu(y' + b P), P^-1 v)

The order goes through elementwise operators into the products that take the outputs.
Where something else does, a Gather puts the outputs back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter

from ...dialects.errors import SardonyxError
from ...dialects.fusion import ELEMENTWISE
from ...dialects.onnx import OnnxBuilder, OnnxOp, WeightStore, store_of
from ...dialects.onnx.types import static_shape
from ..facts import given
from ..fold_constants import constant_of
from ..patterns import Declined, journal_of
from ..quantize.maps import Permutation, mapped_constant, take_in, undo
from ..quantize.products import MATRICES, Product, Selection, product_of
from .grouping import grouped, retained
from .importance import POWER, Judged, check_power, importance
from .patterns import Pattern, pattern_of
from .weights import Weighted, weighted

NAME = "regrouped-outputs"

LEAST_GAIN = 0.01
"""Groups that lose less than this part fewer are left as they are."""


@dataclass
class Journey:
    """Where the order of a product's outputs goes."""

    ops: list[OnnxOp] = field(default_factory=list[OnnxOp])
    """The elementwise operators that it goes through."""
    products: list[Product] = field(default_factory=list[Product])
    """The products that take it in."""


@dataclass(frozen=True)
class RegroupOutputsPass(ModulePass):
    """
    Reorder outputs of products for the pattern ``group-shared`` or ``block``.

    `method`, `sparsity`, `group`, `run`, `calibration` and `power` are those of the
    `prune` that is to follow; calibrate again before it. Without `written`, only
    outputs are reordered that nothing but products takes. `only` and `exclude` name
    ONNX nodes.
    """

    name = "regroup-outputs"

    method: str = "magnitude"
    pattern: str = "group-shared"
    sparsity: float = 0.5
    group: int = 128
    run: int = 16
    calibration: str = ""
    power: float = POWER
    written: bool = True
    only: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    @property
    def needs_calibration(self) -> bool:
        """Whether the method looks at what calibration measured."""
        return self.method != "magnitude"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        wanted = pattern_of(
            self.name, self.pattern, self.sparsity, self.group, self.run
        )
        if wanted.kind not in ("block", "group-shared"):
            raise SardonyxError(
                f"{self.name}: found pattern {self.pattern!r}, wanted block or "
                "group-shared"
            )
        check_power(self.name, self.power)
        judged = Judged.of(self.name, self.method, self.calibration, op)
        store, journal = store_of(ctx), journal_of(ctx)
        if store is None:
            return
        selection = Selection(self.only, self.exclude)
        # All is decided first: calibration is of the channels as they are here.
        decided = [
            self._decided(one, store, selection, judged, wanted)
            for one in _matrices(op)
        ]
        for place, found in enumerate(decided):
            # A product that was reordered, or took an order in, is another op by now.
            product = _matrices(op)[place]
            if isinstance(found, Declined):
                journal.declined(NAME, product, found)
            elif journal.permits(product):
                journal.rewrote(NAME, product, ())
                reorder(product, found, store)

    def _decided(
        self,
        op: OnnxOp,
        store: WeightStore,
        selection: Selection,
        judged: Judged,
        pattern: Pattern,
    ) -> Permutation | Declined:
        product = weighted(op, store, selection)
        if isinstance(product, Declined):
            return product
        reason = pattern.reason(product.shape) or _fixed(product, store)
        if reason is not None:
            return Declined(reason)
        second = judged.moments(product)
        if isinstance(second, Declined):
            return second
        journey = journey_of(op.results[0], product.shape[1], store)
        if isinstance(journey, Declined) and not self.written:
            return journey
        # SparseGPT's choice is by the error of the layer's result: power 1.
        power = self.power if self.method == "wanda" else 1.0
        matters = importance(product.source(), second, power)
        order = grouped(matters, pattern)
        before, after = (retained(m, pattern) for m in (matters, matters[:, order]))
        if after - before < LEAST_GAIN * (1 - before):
            return Declined(f"groups keep {before:.1%} as it is, at best {after:.1%}")
        return Permutation(order)

    @classmethod
    def schedule_space(
        cls, ctx: Context, module_op: ModuleOp
    ) -> tuple[RegroupOutputsPass, ...]:
        return tuple(cls(sparsity=part) for part in (0.3, 0.5, 0.75))


def _matrices(module: ModuleOp) -> list[OnnxOp]:
    return [
        op for op in module.walk() if isinstance(op, OnnxOp) and op.name in MATRICES
    ]


def _fixed(product: Weighted, store: WeightStore) -> str | None:
    """Why the outputs of a product stay in their order, or None if they need not."""
    if product.product is None:
        return "its weight is the left operand"
    bias = product.product.bias
    if bias is not None and constant_of(bias, store) is None:
        return "its bias is not constant"
    return None


def reorder(op: OnnxOp, by: Permutation, store: WeightStore) -> None:
    """Reorder the outputs of the product `op`, and undo it behind them."""
    by.check()
    journey = journey_of(op.results[0], by.size, store)
    y = take_in(op.results[0], by, store)
    if isinstance(journey, Declined):
        _put_back(y, by, store)
        return
    for passed in journey.ops:
        _pass_through(passed, by, store)
    for product in journey.products:
        # One whose operand was the product's own result takes the new one.
        undo(product, product.op.operands[0], by, store)


def _pass_through(op: OnnxOp, by: Permutation, store: WeightStore) -> None:
    """Give an elementwise operator its constants of channels in the new order."""
    made: list[Operation] = []
    builder = OnnxBuilder(made.append, store, location=op.location)
    for place, value in enumerate(op.operands):
        shape = static_shape(value.type)
        held = given(value) and constant_of(value, store) is not None
        if held and shape and shape[-1] == by.size:
            op.operands[place] = mapped_constant(value, by, builder)
    Rewriter.insert_op(made, InsertPoint.before(op))


def _put_back(y: SSAValue, by: Permutation, store: WeightStore) -> None:
    owner = y.owner
    assert isinstance(owner, OnnxOp), "`take_in` gives an op's result"
    made: list[Operation] = []
    builder = OnnxBuilder(made.append, store, location=owner.location)
    uses = list(y.uses)
    back = Permutation(np.argsort(by.order)).written(y, builder)
    back.name_hint = y.name_hint
    Rewriter.insert_op(made, InsertPoint.after(owner))
    for use in uses:
        use.operation.operands[use.index] = back


def journey_of(value: SSAValue, width: int, store: WeightStore) -> Journey | Declined:
    """Where an order of the `width` channels of `value` can go, or why it cannot."""
    journey, waiting = Journey(), [value]
    while waiting:
        current = waiting.pop()
        for use in current.uses:
            op = use.operation
            if op in journey.ops or any(op is p.op for p in journey.products):
                continue
            reason = _goes_on(op, use.index, width, store, journey)
            if reason is not None:
                return Declined(reason)
            if op in journey.ops:
                waiting.append(op.results[0])
    if not journey.products:
        return Declined("nothing takes its outputs")
    return journey


def _goes_on(
    op: Operation, place: int, width: int, store: WeightStore, journey: Journey
) -> str | None:
    """Add `op` to `journey`, or tell why the order cannot go there."""
    if isinstance(op, OnnxOp) and op.name in MATRICES and place == 0:
        product = product_of(op, store)
        if isinstance(product, Product) and product.shape[0] == width:
            journey.products.append(product)
            return None
    if not isinstance(op, OnnxOp) or op.name not in ELEMENTWISE - _BY_CHANNEL:
        return f"{op.name} takes its outputs, in their order"
    others = [v for n, v in enumerate(op.operands) if n != place and given(v)]
    if not _constants(others, width, store):
        return f"{op.name} takes its outputs with others"
    journey.ops.append(op)
    return None


_BY_CHANNEL = frozenset(["nhwc.BatchNormalization", "onnx.BatchNormalization"])
"""What has channels on another axis."""


def _constants(values: Sequence[SSAValue], width: int, store: WeightStore) -> bool:
    """Whether all are constants, of one number or of one for each channel."""
    for value in values:
        shape = static_shape(value.type)
        if shape is None or constant_of(value, store) is None:
            return False
        if shape and shape[-1] not in (1, width):
            return False
    return True
