"""
Make of a function with shardings the program that each device runs.

    func @main(%x sharded [{"x"}, {}])      func @main(%x) {
      %y = onnx.MatMul(%x, %w)        ->      sdy.manual_computation(%x, %w) ({
                                                %y = onnx.MatMul(%x, %w)   a part each
                                                sdy.return %y
                                              }) }

An op runs on the parts that its result's sharding asks for; where an operand lies
otherwise, collectives bring it there. A sum over divided dimensions is completed behind
it, by an `sdy.all_reduce` or, where the result is divided likewise, by an
`sdy.reduce_scatter`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute, Block, Operation, SSAValue
from xdsl.passes import ModulePass

from ...dialects.onnx import NoneOp, OnnxOp, WeightAttr, WeightStore, store_of
from ...dialects.onnx.provenance import describe
from ...dialects.onnx.types import is_none, static_shape
from ...dialects.sdy import (
    NOTE,
    ManualComputationOp,
    Mesh,
    ReturnOp,
    Sharding,
    is_per_device,
    local_type,
    sharding_of,
)
from ..analysis.buffers import stored_bytes
from .layouts import (
    Layout,
    ShardingError,
    dividing,
    factors_of,
    layout_of,
    main_of,
    mesh_in,
    name_of_value,
    returned,
)
from .local import localize
from .reshard import completion, reshard, sent, steps, taken
from .rules import Rule, rule_of


@dataclass(frozen=True)
class PartitionPass(ModulePass):
    """Write the per-device program of a module with a mesh; wants known sizes."""

    name = "partition"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        store, held = store_of(ctx), mesh_in(op)
        if store is None or held is None:
            return
        main = main_of(op)
        if is_per_device(main):
            raise ShardingError("found a per-device program, wanted a global one")
        _Partition(main, store, *held).run()

    @classmethod
    def schedule_space(
        cls, ctx: Context, module_op: ModuleOp
    ) -> tuple[PartitionPass, ...]:
        return (cls(),)


@dataclass
class _Partition:
    main: FuncOp
    store: WeightStore
    symbol: str
    mesh: Mesh
    body: Block = field(default_factory=Block)
    operands: list[SSAValue] = field(default_factory=list[SSAValue])
    shardings: list[Sharding] = field(default_factory=list[Sharding])
    parts: dict[SSAValue, tuple[SSAValue, Layout]] = field(
        default_factory=dict[SSAValue, tuple[SSAValue, Layout]]
    )
    """Each value's part on a device, and how the parts make it up."""
    moved: dict[tuple[SSAValue, Layout], SSAValue] = field(
        default_factory=dict[tuple[SSAValue, Layout], SSAValue]
    )

    def run(self) -> None:
        block = self.main.body.block
        old = [op for op in block.ops if op is not block.last_op]
        for argument in block.args:
            self._enter(argument)
        for op in old:
            self._add(op)
        self._finish(block, old)

    # --- values that come in ---

    def _enter(self, value: SSAValue) -> None:
        if is_none(value.type):
            return
        if static_shape(value.type) is None:
            raise ShardingError(
                f"{name_of_value(value)}: found {value.type}, wanted known sizes: "
                "--dim NAME=N"
            )
        layout = self._stated(value)
        sharding = Sharding.of(self.symbol, layout)
        kind = local_type(value.type, sharding, self.mesh)
        part = self.body.insert_arg(kind, len(self.body.args))
        part.name_hint = value.name_hint
        self.operands.append(value)
        self.shardings.append(sharding)
        self.parts[value] = (part, layout)

    def _stated(self, value: SSAValue) -> Layout:
        noted = sharding_of(value)
        rank = len(static_shape(value.type) or ())
        return noted.axes if noted is not None else ((),) * rank

    # --- ops ---

    def _add(self, op: Operation) -> None:
        if isinstance(op, OnnxOp) and op.name == "onnx.Constant":
            if isinstance(op.properties.get("value"), WeightAttr):
                self._enter(op.results[0])
                return
        elif isinstance(op, NoneOp):
            copy = op.clone()
            self.body.add_op(copy)
            self.parts[op.result] = (copy.result, ())
            return
        elif not isinstance(op, OnnxOp):
            raise ShardingError(f"{describe(op)}: found {op.name} in @main")
        self._run_on_parts(op)

    def _run_on_parts(self, op: OnnxOp) -> None:
        for value in op.results:
            if not is_none(value.type) and static_shape(value.type) is None:
                raise ShardingError(
                    f"{describe(op)}: found {value.type}, wanted known sizes: "
                    "--dim NAME=N"
                )
        rule = rule_of(op, self.store)
        axes = self._axes(op, rule)
        mapper = dict[SSAValue, SSAValue]()
        for value, dims in zip(op.operands, rule.operands, strict=True):
            part, _ = self.parts[value]
            if dims is not None:
                wanted = layout_of(axes, dims, rule, self.mesh)
                part = self._moved(value, wanted)
            mapper[value] = part
        self._gather_captured(op, mapper)
        copy = op.clone(value_mapper=mapper)
        copy.location = op.location
        copy.attributes.pop(NOTE, None)
        layouts = [
            None if dims is None else layout_of(axes, dims, rule, self.mesh)
            for dims in rule.results
        ]
        types = [
            self._local(v.type, m) for v, m in zip(op.results, layouts, strict=True)
        ]
        for made in localize(copy, types, op):
            self.body.add_op(made)
        summed = self._summed(axes, rule)
        for old, new, layout in zip(op.results, copy.results, layouts, strict=True):
            if layout is None:
                self.parts[old] = (new, ())
                continue
            stated = self._stated(old)
            path = completion(summed, layout, stated, self.mesh)
            part = taken(path, new, self.mesh, self.body.add_op)
            part.name_hint = old.name_hint
            self.parts[old] = (part, stated)

    def _moved(self, value: SSAValue, wanted: Layout) -> SSAValue:
        """The part of `value` in another layout, brought there once for all users."""
        part, held = self.parts[value]
        if (value, wanted) not in self.moved:
            self.moved[value, wanted] = reshard(
                part, held, wanted, self.mesh, self.body.add_op
            )
        return self.moved[value, wanted]

    def _local(self, kind: Attribute, layout: Layout | None) -> Attribute:
        if layout is None:
            return kind
        return local_type(kind, Sharding.of(self.symbol, layout), self.mesh)

    def _axes(self, op: OnnxOp, rule: Rule) -> dict[str, tuple[str, ...]]:
        """
        The axes of each factor: as the results ask, then as the operands lie.

        Where both want one axis, and operands are divided along what is summed over,
        they stay so if that sends less: each device then gets its part of the sum.
        """
        asked = [
            factors_of(self._stated(value), dims, rule, self.mesh)
            for value, dims in zip(op.results, rule.results, strict=True)
            if dims is not None
        ]
        held = [
            {factor: axes for factor, axes in mine.items() if factor in rule.reduction}
            for value, dims in zip(op.operands, rule.operands, strict=True)
            if dims is not None
            for mine in [factors_of(self.parts[value][1], dims, rule, self.mesh)]
        ]
        first, second = (
            dividing(_merged(wishes), rule, self.mesh)
            for wishes in ((*asked, *held), (*held, *asked))
        )
        if first == second or self._sent(op, rule, first) <= self._sent(
            op, rule, second
        ):
            return first
        return second

    def _summed(self, axes: dict[str, tuple[str, ...]], rule: Rule) -> list[str]:
        """Along which axes devices have terms of a sum."""
        return [
            axis
            for factor in sorted(rule.reduction)
            for axis in axes.get(factor, ())
            if self.mesh.sizes[axis] > 1
        ]

    def _sent(self, op: OnnxOp, rule: Rule, axes: dict[str, tuple[str, ...]]) -> float:
        """The bytes that each device sends for `op` when its factors lie so."""
        total = 0.0
        for value, dims in zip(op.operands, rule.operands, strict=True):
            if dims is not None:
                held = self.parts[value][1]
                wanted = layout_of(axes, dims, rule, self.mesh)
                path = list(steps(held, wanted, self.mesh))
                total += sent(path, self._bytes(value, held), self.mesh)
        summed = self._summed(axes, rule)
        for value, dims in zip(op.results, rule.results, strict=True):
            if dims is not None:
                given = layout_of(axes, dims, rule, self.mesh)
                path = completion(summed, given, self._stated(value), self.mesh)
                total += sent(path, self._bytes(value, given), self.mesh)
        return total

    def _bytes(self, value: SSAValue, layout: Layout) -> float:
        """Of each part of a tensor that lies so."""
        parts = self.mesh.size(axis for axes in layout for axis in axes)
        return (stored_bytes(value.type) or 0) / parts

    def _gather_captured(self, op: OnnxOp, mapper: dict[SSAValue, SSAValue]) -> None:
        """What the regions of `op` read from outside, they read whole."""
        for inner in op.walk():
            for value in inner.operands:
                if inner is op or value not in self.parts or value in mapper:
                    continue
                mapper[value] = self._moved(value, ((),) * len(self.parts[value][1]))

    # --- the end ---

    def _finish(self, block: Block, old: Sequence[Operation]) -> None:
        results = list(returned(self.main))
        for value in results:
            if is_none(value.type):
                raise ShardingError("found an output that is absent, wanted tensors")
        parts = [self.parts[value] for value in results]
        self.body.add_op(ReturnOp(*(part for part, _ in parts)))
        whole = ManualComputationOp(
            self.operands,
            self.shardings,
            [Sharding.of(self.symbol, layout) for _, layout in parts],
            self.body,
            [value.type for value in results],
        )
        last = block.last_op
        assert last is not None, "a function ends with a return"
        block.insert_op_before(whole, last)
        for place, result in enumerate(whole.results):
            result.name_hint = results[place].name_hint
        last.operands = list(whole.results)
        kept = {value.owner for value in self.operands}
        for op in reversed(old):
            op.attributes.pop(NOTE, None)
            if op not in kept:
                op.detach()
                op.erase()
        _forget_notes(self.main)


def _merged(wishes: Iterable[dict[str, tuple[str, ...]]]) -> dict[str, tuple[str, ...]]:
    """The axes of factors, without what uses an axis that an earlier wish uses."""
    axes: dict[str, tuple[str, ...]] = {}
    for found in wishes:
        for factor, mine in found.items():
            used = {axis for others in axes.values() for axis in others}
            if factor not in axes and not used & set(mine):
                axes[factor] = mine
    return axes


def _forget_notes(main: FuncOp) -> None:
    if main.arg_attrs is None:
        return
    entries = [
        DictionaryAttr({n: a for n, a in entry.data.items() if n != NOTE})
        for entry in main.arg_attrs.data
    ]
    main.arg_attrs = ArrayAttr(entries)
