"""
Gather a product and what is done to each element of it into one region.

    Relu(Add(Conv(x, w, b), y))   ->   fusion.region(x, w, b, y) { Conv, Add, Relu }
    Mul(x, Sigmoid(Add(x, b)))    ->   fusion.region(x, b) { Add, Sigmoid, Mul }

    Gemm(Flatten(x), w, b)        ->   fusion.region(x, w, b) { Flatten, Gemm }

A region has one result; a value that something else uses too ends it. A backend that
runs a region as one kernel does to the product, in place and while it is in the cache,
what separate ops would each write to memory anew.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import ReturnOp
from xdsl.ir import Attribute, Block, Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import Rewriter

from ...dialects.fusion import (
    ELEMENTWISE,
    LEAVES,
    PRODUCTS,
    VIEWS,
    RegionOp,
    YieldOp,
    blocks_outside_regions,
    gives_operand,
)
from ...dialects.onnx import DenseAttr, OnnxOp
from ...dialects.onnx import YieldOp as SubgraphYieldOp
from ...dialects.onnx.attributes import python_value
from ...dialects.onnx.journal import Declined, Journal
from ...dialects.onnx.provenance import fused
from ...dialects.onnx.types import (
    DTYPE_NAMES,
    element_of,
    is_none,
    shape_of,
    static_shape,
)
from ..patterns import journal_of

FLOATS = ("float32", "float64")
"""Element types; each op on 16-bit floats computes in others, which saves nothing."""

DEFAULT_MAX_OPS = 16

STRIDED = frozenset(["onnx.Expand", "onnx.Slice", "onnx.Split", "onnx.Transpose"])
"""Operators after which elements do not stand row by row: reshaping copies them."""

MAX_COPIED = 1 << 16
"""More elements are copied by an op of their own, into memory that is planned."""


@dataclass(frozen=True)
class Members:
    """The ops of a region to be, in their order; the last gives its result."""

    ops: tuple[OnnxOp, ...]


@dataclass(frozen=True)
class _Finder:
    """Finds regions among the ops of one block; decides, and changes nothing."""

    block: Block
    max_ops: int
    places: Mapping[Operation, int]

    def region_from(self, seed: OnnxOp) -> Members | Declined:
        """The largest region that begins at `seed`, or why there is none."""
        kind = seed.results[0].type
        if (reason := unfit(kind)) is not None:
            return Declined(reason)
        members, reason = self._grown(seed)
        self._absorb(members)
        self._absorb_views(members)
        if len(members) < 2:
            return Declined(reason, near=seed.name in PRODUCTS)
        return Members(tuple(sorted(members, key=self.places.__getitem__)))

    def _grown(self, seed: OnnxOp) -> tuple[dict[OnnxOp, None], str]:
        """What uses `seed`, and so on, as long as one result is enough; and an end."""
        members: dict[OnnxOp, None] = {seed: None}
        best = dict(members)
        while True:
            users = self._users(members)
            reasons = (self._unfit_user(user, seed) for user in users)
            reason = next((r for r in reasons if r is not None), None)
            if not users:
                return best, "nothing uses its result"
            if reason is not None:
                return best, reason
            if len(members) == self.max_ops:
                return best, f"a region has {self.max_ops} ops at most"
            first = min(users, key=self.places.__getitem__)
            assert isinstance(first, OnnxOp), "only such ops fit"
            members[first] = None
            if self._has_one_result(members):
                best = dict(members)

    def _users(self, members: Mapping[OnnxOp, None]) -> list[Operation]:
        found = (use.operation for op in members for use in op.results[0].uses)
        return [op for op in dict.fromkeys(found) if op not in members]

    def _has_one_result(self, members: Mapping[OnnxOp, None]) -> bool:
        """Whether only the last of `members` is used by others."""
        last = max(members, key=self.places.__getitem__)
        return all(
            op is last or all(use.operation in members for use in op.results[0].uses)
            for op in members
        )

    def _unfit_user(self, user: Operation, seed: OnnxOp) -> str | None:
        """Why `user` of a value of the region that `seed` began cannot join it."""
        if user.parent is not self.block:
            return "a subgraph uses its result"
        if isinstance(user, RegionOp):
            return "what uses its result is in a region already"
        if isinstance(user, ReturnOp | SubgraphYieldOp):
            return "its result is an output"
        kind = user.name.removeprefix("onnx.")
        if user.name not in ELEMENTWISE or not isinstance(user, OnnxOp):
            return f"{kind} uses its result, which is not elementwise"
        if (reason := unfit_form(user)) is not None:
            return reason
        if user.results[0].type != seed.results[0].type:
            return f"{kind}, which uses its result, gives another shape or type"
        return None

    def _absorb(self, members: dict[OnnxOp, None]) -> None:
        """Add to `members` the elementwise ops that only their elementwise ops use."""
        waiting = [op for op in members if op.name in ELEMENTWISE]
        kind = next(iter(members)).results[0].type
        while waiting:
            for operand in waiting.pop().operands:
                op = operand.owner
                if not isinstance(op, OnnxOp) or op in members:
                    continue
                joins = self._is_seed(op) and op.results[0].type == kind
                inside = all(use.operation in members for use in operand.uses)
                if joins and inside and len(members) < self.max_ops:
                    members[op] = None
                    waiting.append(op)

    def _absorb_views(self, members: dict[OnnxOp, None]) -> None:
        """Add to `members` what gives the product's operands their shape."""
        waiting = [v for op in members if op.name in PRODUCTS for v in op.operands]
        while waiting:
            operand = waiting.pop()
            op = operand.owner
            if not isinstance(op, OnnxOp) or op in members or op.name not in VIEWS:
                continue
            inside = all(use.operation in members for use in operand.uses)
            stands = op.parent is self.block and not _copies(op)
            if inside and stands and len(members) < self.max_ops:
                members[op] = None
                waiting.append(op.operands[0])

    def _is_seed(self, op: OnnxOp) -> bool:
        """Whether `op` is elementwise and stands in this block, not in a region."""
        fits = op.parent is self.block and op.name in ELEMENTWISE
        return fits and unfit_form(op) is None

    def regions(
        self, products: bool, chains: bool, journal: Journal
    ) -> Iterator[tuple[str, Members]]:
        """
        The regions of the block, those of products first, each as it can be gathered.

        `journal` hears why there is none where there might be.
        """
        ops = [op for op in self.block.ops if isinstance(op, OnnxOp)]
        found_in: list[tuple[str, Iterable[OnnxOp]]] = []
        if products:
            found_in.append(("product", (op for op in ops if op.name in PRODUCTS)))
        if chains:
            found_in.append(("elementwise", (op for op in ops if self._is_seed(op))))
        for name, seeds in found_in:
            for seed in seeds:
                found = self.region_from(seed)
                if isinstance(found, Members) and any(map(journal.spares, found.ops)):
                    found = Declined("its node is spared")
                if isinstance(found, Declined):
                    journal.declined(name, seed, found)
                elif journal.permits(seed):
                    yield name, found


def _copies(op: OnnxOp) -> bool:
    """Whether a change of shape makes a copy that had better be planned for."""
    source = op.operands[0].owner
    turned = isinstance(source, Operation) and source.name in STRIDED
    if op.name == "onnx.Transpose" or not turned:
        return False
    sizes = static_shape(op.results[0].type)
    return sizes is None or math.prod(sizes) > MAX_COPIED


def unfit(kind: Attribute) -> str | None:
    """Why a region gives no value of this type, or None if one may."""
    element, shape = element_of(kind), shape_of(kind)
    name = None if element is None else DTYPE_NAMES.get(element)
    if name not in FLOATS:
        return f"its result is {name or kind}, not {' or '.join(FLOATS)}"
    if shape is None or None in shape:
        return "the shape of its result is not known"
    return "its result is a scalar" if not shape else None


def unfit_form(op: OnnxOp) -> str | None:
    """Why an elementwise op is none as it stands here."""
    if any(not is_none(result.type) for result in op.results[1:]):
        return f"a second result of {op.op_type()} is wanted"
    if gives_operand(op):
        return f"{op.op_type()} gives its operand"
    if op.op_type() != "BatchNormalization":
        return None
    if len(shape_of(op.operands[0].type) or ()) < 2:
        return "what BatchNormalization normalizes has no axis of channels"
    mode = op.properties.get("training_mode")
    if mode is not None and python_value(mode):
        return "BatchNormalization computes its statistics"
    kinds = {element_of(value.type) for value in op.operands}
    return None if len(kinds) == 1 else "the statistics have another type"


def gather(members: Members) -> RegionOp:
    """Move the ops of `members` into a region where the last of them stands."""
    ops = dict.fromkeys(members.ops)
    root = members.ops[-1]
    after, result = root.next_op, root.results[0]
    assert after is not None, "a block ends with a terminator"
    block, outer = Block(), root.parent_block()
    assert outer is not None, "the op stands in a block"
    held: dict[SSAValue, SSAValue] = {}
    for op in ops:
        for place, operand in enumerate(op.operands):
            if operand.owner not in ops:
                op.operands[place] = _inner(operand, held, block)
    for op in ops:
        op.detach()
        block.add_op(op)
    end = YieldOp(result)
    block.add_op(end)
    operands = [value for value in held if not _is_small(value)]
    region = RegionOp(operands, block, fused(ops))
    region.outputs[0].name_hint = result.name_hint
    for use in list(result.uses):
        if use.operation is not end:
            use.operation.operands[use.index] = region.outputs[0]
    outer.insert_ops_before([region], after)
    for value in held:
        if _is_small(value) and not value.uses:
            assert isinstance(value.owner, Operation), "a constant is an op's result"
            Rewriter.erase_op(value.owner)
    return region


def _inner(value: SSAValue, held: dict[SSAValue, SSAValue], block: Block) -> SSAValue:
    """What `value` is within the body: an argument, or a small constant's copy."""
    if value not in held:
        if _is_small(value):
            assert isinstance(value.owner, Operation), "a constant is an op's result"
            copy = value.owner.clone()
            copy.location = value.owner.location
            block.add_op(copy)
            held[value] = copy.results[0]
        else:
            held[value] = block.insert_arg(value.type, len(block.args))
            held[value].name_hint = value.name_hint
    return held[value]


def _is_small(value: SSAValue) -> bool:
    """Whether `value` is absent, or one number that stands in the text."""
    op = value.owner
    if not isinstance(op, Operation) or op.name not in LEAVES:
        return False
    held = op.properties.get("value")
    return held is None or (isinstance(held, DenseAttr) and held.array().size == 1)


@dataclass(frozen=True)
class FuseRegionsPass(ModulePass):
    """
    Gather products and elementwise ops into regions that run as one kernel.

    `products` makes those around a product, `chains` those of elementwise ops alone;
    none has more than `max_ops`.
    """

    name = "fuse-regions"

    products: bool = True
    chains: bool = True
    max_ops: int = DEFAULT_MAX_OPS

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        journal = journal_of(ctx)
        for block in blocks_outside_regions(op):
            places = {inner: place for place, inner in enumerate(block.ops)}
            finder = _Finder(block, self.max_ops, places)
            for name, members in finder.regions(self.products, self.chains, journal):
                region = gather(members)
                journal.rewrote(name, members.ops[0], [region])

    @classmethod
    def schedule_space(
        cls, ctx: Context, module_op: ModuleOp
    ) -> tuple[FuseRegionsPass, ...]:
        return (cls(), cls(chains=False), cls(products=False))
