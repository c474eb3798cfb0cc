"""
Which op of one module is which of another.

By provenance first: an op is the one that has its nodes' names. Where names tell
nothing, by the cone of dataflow that it ends, then by the operands that it takes or is.
Cones are numbered so that equal ones have one number (hash consing), in both modules.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from xdsl.ir import Attribute, Block, BlockArgument, Operation, OpResult, SSAValue

from ...dialects.fusion import RegionOp
from ...dialects.onnx import DenseAttr, OnnxOp, WeightAttr
from ...dialects.onnx.proto import is_default
from ...dialects.onnx.provenance import node_names, tensor_names
from ...dialects.onnx.types import is_none
from ...passes.analysis.storage import CONSTANTS
from ..model import Model

TERMINATORS = frozenset(["func.return", "fusion.yield", "onnx.yield"])


def stated(op: Operation) -> dict[str, Attribute]:
    """The attributes that say something else than when they are absent."""
    if not isinstance(op, OnnxOp):
        return {**op.properties, **op.attributes}
    schema = op.schema()
    known = {n: v for n, v in op.properties.items() if not is_default(schema, n, v)}
    return {**known, **op.attributes}


def tensor_of(value: SSAValue) -> str | None:
    """The name that a value had in ONNX; None if it is not known."""
    if not isinstance(value, OpResult):
        return None
    results = [result for result in value.op.results if not is_none(result.type)]
    names = tensor_names(value.op)
    if len(names) != len(results) or value not in results:
        return None
    return names[results.index(value)] or None


def through(value: SSAValue) -> SSAValue:
    """What `value` is if fused regions are seen through: what ops take or give."""
    if isinstance(value, BlockArgument):
        region = value.owner.parent_op()
        if isinstance(region, RegionOp):
            return through(region.inputs[value.index])
    elif isinstance(value, OpResult) and isinstance(value.op, RegionOp):
        return through(value.op.yielded[value.index])
    return value


def block_of(op: Operation) -> Block | None:
    """The block in which `op` stands if fused regions are seen through."""
    around = op.parent_op()
    return block_of(around) if isinstance(around, RegionOp) else op.parent


def is_constant_value(value: SSAValue) -> bool:
    """Whether `value` is a constant or absent."""
    return isinstance(value, OpResult) and value.op.name in CONSTANTS


class Cones:
    """Gives every value the number of its cone; see the module's docstring."""

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}

    def of(self, model: Model) -> dict[SSAValue, int]:
        """The number of each value of the function."""
        found: dict[SSAValue, int] = {}
        self._block(model.main.body.block, ("input",), found)
        return found

    def _number(self, key: Hashable) -> int:
        return self._numbers.setdefault(key, len(self._numbers))

    def _block(
        self, block: Block, where: tuple[Hashable, ...], found: dict[SSAValue, int]
    ) -> tuple[int, ...]:
        for argument in block.args:
            found[argument] = self._number((*where, argument.index))
        return self._ops(block, found)

    def _ops(self, block: Block, found: dict[SSAValue, int]) -> tuple[int, ...]:
        for op in block.ops:
            if op.name in TERMINATORS:
                return tuple(found[value] for value in op.operands)
            if isinstance(op, RegionOp):
                for argument, value in zip(op.block.args, op.inputs, strict=True):
                    found[argument] = found[value]
                within = self._ops(op.block, found)
                found.update(zip(op.outputs, within, strict=True))
                continue
            key = self._number(self._key(op, found))
            for place, result in enumerate(op.results):
                found[result] = self._number(("result", key, place))
        return ()

    def _key(self, op: Operation, found: dict[SSAValue, int]) -> Hashable:
        operands = tuple(found[value] for value in op.operands)
        bodies = tuple(
            self._block(region.block, ("body", op.name, place), found)
            for place, region in enumerate(op.regions)
            if region.blocks
        )
        # What a weight holds is looked at last, and only where all else is equal.
        attributes = tuple(
            (name, op.results[0].type if isinstance(value, WeightAttr) else value)
            for name, value in sorted(stated(op).items())
        )
        return (op.name, attributes, operands, bodies)


@dataclass
class Side:
    """One of the two models."""

    model: Model
    cones: dict[SSAValue, int]

    @cached_property
    def ops(self) -> tuple[Operation, ...]:
        """The ops that are compared, in order, those of bodies after theirs."""
        return tuple(
            op
            for op in self.model.main.body.walk()
            if op.name not in CONSTANTS and op.name not in TERMINATORS
        )

    def cone(self, op: Operation) -> tuple[int, ...]:
        """The numbers of an op's results."""
        return tuple(self.cones[result] for result in op.results)


def sides(a: Model, b: Model) -> tuple[Side, Side]:
    """Both models, their cones numbered alike."""
    cones = Cones()
    return Side(a, cones.of(a)), Side(b, cones.of(b))


@dataclass
class Matching:
    """Pairs of ops, and when two values are the same."""

    a: Side
    b: Side
    pairs: dict[Operation, Operation] = field(
        default_factory=dict[Operation, Operation], init=False
    )
    """From the ops of `a` to those of `b`."""
    _taken: set[Operation] = field(default_factory=set[Operation], init=False)
    _constants: dict[tuple[SSAValue, SSAValue], bool] = field(
        default_factory=dict[tuple[SSAValue, SSAValue], bool], init=False
    )

    def __post_init__(self) -> None:
        self._by(lambda side, op: _named(op, side.cone(op)))
        self._by(lambda side, op: _named(op))
        self._by(
            lambda side, op: (op.name, tensor_names(op)) if tensor_names(op) else None
        )
        self._by_any_name()
        self._by(lambda side, op: (op.name, side.cone(op)))
        self._by_operands()
        self._by_uses()
        self._by_operands()

    def _left(self) -> tuple[list[Operation], list[Operation]]:
        return (
            [op for op in self.a.ops if op not in self.pairs],
            [op for op in self.b.ops if op not in self._taken],
        )

    def _pair(self, one: Operation, other: Operation) -> None:
        self.pairs[one] = other
        self._taken.add(other)

    def _by(self, key: Callable[[Side, Operation], Hashable | None]) -> None:
        """Pair the ops of one key: those with the same constants, then in order."""
        theirs: dict[Hashable, list[Operation]] = {}
        mine, others = self._left()
        for op in others:
            theirs.setdefault(key(self.b, op), []).append(op)
        theirs.pop(None, None)
        groups: dict[Hashable, list[Operation]] = {}
        for op in mine:
            groups.setdefault(key(self.a, op), []).append(op)
        for found, group in groups.items():
            candidates = theirs.get(found, [])
            if len(candidates) > 1 or len(group) > 1:
                self._pair_equals(group, candidates)
            free = [op for op in candidates if op not in self._taken]
            rest = [op for op in group if op not in self.pairs]
            for one, other in zip(rest, free, strict=False):
                self._pair(one, other)

    def _pair_equals(
        self, group: Sequence[Operation], candidates: Sequence[Operation]
    ) -> None:
        for one in group:
            for other in candidates:
                if other not in self._taken and self._same_constants(one, other):
                    self._pair(one, other)
                    break

    def _same_constants(self, one: Operation, other: Operation) -> bool:
        if len(one.operands) != len(other.operands):
            return False
        return all(
            self.same_constant(x, y)
            for x, y in zip(
                map(through, one.operands), map(through, other.operands), strict=True
            )
            if is_constant_value(x) and is_constant_value(y)
        )

    def _by_any_name(self) -> None:
        """Pair ops of one operator that share a node: one is a fusion of more."""
        mine, others = self._left()
        theirs: dict[tuple[str, str], list[Operation]] = {}
        for op in others:
            for name in node_names(op):
                theirs.setdefault((op.name, name), []).append(op)
        for op in mine:
            near = (o for n in node_names(op) for o in theirs.get((op.name, n), ()))
            other = next((o for o in near if o not in self._taken), None)
            if other is not None:
                self._pair(op, other)

    def _by_operands(self) -> None:
        """Pair ops of one operator that take the same values, from the inputs on."""
        mine, others = self._left()
        theirs: dict[Hashable, list[Operation]] = {}
        for op in others:
            taken = map(_identity, map(through, op.operands))
            theirs.setdefault((op.name, *taken), []).append(op)
        for op in mine:
            taken = [through(value) for value in op.operands]
            key = (op.name, *(_identity(self._image(v)) for v in taken))
            if all(is_constant_value(value) for value in taken):
                continue
            free = [o for o in theirs.get(key, ()) if o not in self._taken]
            if free:
                self._pair(op, free[0])

    def _by_uses(self) -> None:
        """Pair ops of one operator whose results paired ops take, from the end on."""
        ends = [side.model.main.body.block.last_op for side in (self.a, self.b)]
        if ends[0] is not None and ends[1] is not None:
            self._pair_operands(ends[0], ends[1])
        for op in reversed(self.a.ops):
            if op in self.pairs:
                self._pair_operands(op, self.pairs[op])

    def _pair_operands(self, one: Operation, other: Operation) -> None:
        for place in range(min(len(one.operands), len(other.operands))):
            x, y = through(one.operands[place]), through(other.operands[place])
            if not isinstance(x, OpResult) or not isinstance(y, OpResult):
                continue
            free = x.op not in self.pairs and y.op not in self._taken
            same = x.op.name == y.op.name and x.index == y.index
            if free and same and x.op.name not in CONSTANTS:
                self._pair(x.op, y.op)

    def _image(self, value: SSAValue) -> SSAValue | None:
        """The value of `b` that a value of `a` is; None if there is none."""
        if isinstance(value, OpResult):
            if value.op.name in CONSTANTS:
                return value
            other = self.pairs.get(value.op)
            fits = other is not None and len(other.results) > value.index
            return other.results[value.index] if other and fits else None
        assert isinstance(value, BlockArgument), "a value is one or the other"
        block = self._image_block(value.block)
        fits = block is not None and len(block.args) > value.index
        return block.args[value.index] if block and fits else None

    def _image_block(self, block: Block) -> Block | None:
        if block is self.a.model.main.body.block:
            return self.b.model.main.body.block
        region, owner = block.parent, block.parent_op()
        other = None if owner is None else self.pairs.get(owner)
        if region is None or owner is None or other is None:
            return None
        place = owner.regions.index(region)
        if place >= len(other.regions) or not other.regions[place].blocks:
            return None
        return other.regions[place].block

    def same_place(self, one: Operation, other: Operation) -> bool:
        """Whether two ops stand in blocks that are each other's."""
        block = block_of(one)
        return block is not None and self._image_block(block) is block_of(other)

    def same(self, one: SSAValue, other: SSAValue) -> bool:
        """
        Whether two values are the same: of a pair of ops, or one tensor of the file.

        The latter where an op of one model gives it that the other has not.
        """
        one, other = through(one), through(other)
        if is_constant_value(one) or is_constant_value(other):
            both = is_constant_value(one) and is_constant_value(other)
            return both and self.same_constant(one, other)
        if self._image(one) is other:
            return True
        if one.owner in self.pairs and other.owner in self._taken:
            return False
        tensor = tensor_of(one)
        return tensor is not None and tensor == tensor_of(other)

    def same_constant(self, one: SSAValue, other: SSAValue) -> bool:
        """Whether two constants hold the same; bytes are read if all else is equal."""
        key = (one, other)
        if key not in self._constants:
            self._constants[key] = self._equal(one, other)
        return self._constants[key]

    def _equal(self, one: SSAValue, other: SSAValue) -> bool:
        if one.type != other.type:
            return False
        mine, theirs = held(one), held(other)
        if mine is None or theirs is None:
            return mine is theirs
        if not isinstance(mine, WeightAttr) and not isinstance(theirs, WeightAttr):
            return mine == theirs
        x, y = self.a.model.context.store, self.b.model.context.store
        if isinstance(mine, WeightAttr) and isinstance(theirs, WeightAttr):
            first, second = x[mine.data], y[theirs.data]
            return first is second or first.hash == second.hash
        return array_of(one, x).tobytes() == array_of(other, y).tobytes()

    def moved(self) -> list[tuple[Operation, Operation]]:
        """
        The pairs that stand elsewhere: in another block, or in another order.

        Of those in another order as few as possible, so that the rest is in order.
        """
        found: list[tuple[Operation, Operation]] = []
        places = {op: place for place, op in enumerate(self.b.ops)}
        blocks: dict[Block, list[Operation]] = {}
        for one in self.a.ops:
            other = self.pairs.get(one)
            block = block_of(one)
            if other is None or block is None:
                continue
            if self.same_place(one, other):
                blocks.setdefault(block, []).append(one)
            else:
                found.append((one, other))
        for ops in blocks.values():
            order = [places[self.pairs[op]] for op in ops]
            kept = set(_increasing(order))
            found += [
                (op, self.pairs[op])
                for op, place in zip(ops, order, strict=True)
                if place not in kept
            ]
        return found


def _named(op: Operation, *more: Hashable) -> Hashable | None:
    names = node_names(op)
    return (names, op.name, *more) if names else None


def _identity(value: SSAValue | None) -> Hashable:
    """What tells values apart in one module; constants are all alike."""
    if value is None:
        return object()
    return "constant" if is_constant_value(value) else value


def held(value: SSAValue) -> Attribute | None:
    """What a constant holds; None for an absent value."""
    assert isinstance(value, OpResult), "constants are results"
    return value.op.properties.get("value") if value.op.properties else None


def array_of(value: SSAValue, store: Any) -> Any:
    """The array that a constant is."""
    content = held(value)
    if isinstance(content, WeightAttr):
        return store[content.data].array()
    assert isinstance(content, DenseAttr), "a constant holds one or the other"
    return content.array()


def _increasing(order: Sequence[int]) -> Iterator[int]:
    """A longest increasing subsequence of different numbers."""
    ends: list[int] = []
    tails: list[int] = []
    before: dict[int, int | None] = {}
    for number in order:
        place = bisect_left(ends, number)
        before[number] = tails[place - 1] if place else None
        if place == len(ends):
            ends.append(number)
            tails.append(number)
        else:
            ends[place] = tails[place] = number
    last = tails[-1] if tails else None
    while last is not None:
        yield last
        last = before[last]
