"""
Spread the shardings of some values to the others.

    %a sharded [{"x"}, {}]     %y = onnx.MatMul(%a, %w)   ->   %y sharded [{"x"}, {}]

Each operator's rule says which dimensions go together. What passes through unchanged
goes first, then products and reductions, each until nothing changes; where two
shardings disagree, the one that was there first stays (Shardy's "basic" propagation).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import SSAValue
from xdsl.passes import ModulePass

from ...dialects.onnx import OnnxOp, WeightStore, store_of
from ...dialects.onnx.types import static_shape
from ...dialects.sdy import Mesh, Sharding, annotate, sharding_of
from .layouts import (
    Layout,
    check,
    dividing,
    factors_of,
    layout_of,
    main_of,
    mesh_in,
    values_of,
)
from .rules import Rule, rule_of


@dataclass(frozen=True)
class PropagateShardingsPass(ModulePass):
    """Give every value of a module with a mesh a sharding."""

    name = "propagate-shardings"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        store, held = store_of(ctx), mesh_in(op)
        if store is None or held is None:
            return
        symbol, mesh = held
        found = Propagation(main_of(op), store, symbol, mesh)
        found.run()
        found.write()

    @classmethod
    def schedule_space(
        cls, ctx: Context, module_op: ModuleOp
    ) -> tuple[PropagateShardingsPass, ...]:
        return (cls(),)


@dataclass
class Propagation:
    """The layouts of a function's values, as they spread."""

    main: FuncOp
    store: WeightStore
    symbol: str
    mesh: Mesh
    layouts: dict[SSAValue, Layout] = field(default_factory=dict[SSAValue, Layout])
    closed: set[SSAValue] = field(default_factory=set[SSAValue])
    """Values that are as somebody said."""
    rules: dict[OnnxOp, Rule] = field(default_factory=dict[OnnxOp, Rule])

    def __post_init__(self) -> None:
        for value in values_of(self.main):
            noted, shape = sharding_of(value), static_shape(value.type)
            if noted is not None and shape is not None:
                check(value, noted, self.symbol, self.mesh)
                self.layouts[value] = noted.axes
                if not any(dim.open for dim in noted.dims):
                    self.closed.add(value)
            elif shape is not None:
                self.layouts[value] = ((),) * len(shape)
        for op in self.main.body.block.ops:
            if isinstance(op, OnnxOp) and op.name != "onnx.Constant":
                self.rules[op] = rule_of(op, self.store)

    def say(self, value: SSAValue, layout: Layout) -> None:
        """State the layout of a value."""
        sharding = Sharding.of(self.symbol, layout)
        check(value, sharding, self.symbol, self.mesh)
        self.layouts[value] = layout
        self.closed.add(value)

    def run(self) -> None:
        """Spread what is stated until nothing changes."""
        passing = [op for op, rule in self.rules.items() if not rule.reduction]
        for ops in (passing, list(self.rules)):
            while self._sweep(ops) | self._sweep(reversed(ops)):
                pass

    def _sweep(self, ops: Iterable[OnnxOp]) -> bool:
        changed = False
        for op in ops:
            changed |= self._spread(op, self.rules[op])
        return changed

    def _spread(self, op: OnnxOp, rule: Rule) -> bool:
        # Results first: where an axis is wanted by what a product sums over and by what
        # it gives, only the latter goes on to its weight.
        values = (*op.results, *op.operands)
        sides = (*rule.results, *rule.operands)
        tensors = [
            (value, dims)
            for value, dims in zip(values, sides, strict=True)
            if dims is not None and value in self.layouts
        ]
        axes: dict[str, tuple[str, ...]] = {}
        for value, dims in tensors:
            mine = factors_of(self.layouts[value], dims, rule, self.mesh)
            for factor, found in mine.items():
                held = axes.get(factor, ())
                others = {a for f, x in axes.items() if f != factor for a in x}
                longer = len(found) > len(held) and found[: len(held)] == held
                if longer and not others & set(found):
                    axes[factor] = found
        axes = dividing(axes, rule, self.mesh)
        if not axes:
            return False
        changed = False
        for value, dims in tensors:
            if value not in self.closed:
                wanted = layout_of(axes, dims, rule, self.mesh)
                changed |= self._extend(value, wanted)
        return changed

    def _extend(self, value: SSAValue, wanted: Layout) -> bool:
        held = self.layouts[value]
        used = [axis for axes in held for axis in axes]
        made = list(held)
        for place, (old, new) in enumerate(zip(held, wanted, strict=True)):
            added = new[len(old) :]
            if new[: len(old)] == old and added and not set(added) & set(used):
                made[place] = new
                used += added
        self.layouts[value] = tuple(made)
        return tuple(made) != held

    def write(self) -> None:
        """Note every value's sharding."""
        for value, layout in self.layouts.items():
            annotate(value, Sharding.of(self.symbol, layout))
