"""
An e-graph over operators: classes of values that are known to be equal.

Its nodes are ops as they stand in the IR, in a block of their own, whose operands are
the representatives of classes; a class's nodes are the results that its representative
stands for. So the matcher, the conditions and the type inference of rules see the
values that they see in a function, and an op's uses are its class's parents. Nodes are
unique by operator, attributes and classes of operands (hash-consing); where a union
makes two nodes one, their classes unite too (congruence closure by rebuilding: Willsey
et al., egg, POPL 2021).

xDSL's `equivalence` and `ematch` dialects hold e-graphs as well. They do not serve
here: their rules are PDL, which has neither variadic operands nor our conditions, so
that each rule would be written twice; their costs are of ops with one result, and
count a shared one twice; and their matcher is interpreted: of a sum of seven under the
laws of commutativity and associativity (1,932 nodes) it had made 2,689, equal ones
among them, after 22 s and was not done, where this one is after 2.7 s.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from xdsl.ir import Attribute, Block, BlockArgument, Operation, SSAValue
from xdsl.traits import Pure

from ...dialects.onnx import NoneOp, OnnxBuilder, OnnxOp, WeightAttr, WeightStore
from ...dialects.onnx.integers import Dims, IntegerValues
from ...dialects.onnx.store import Weight
from ...dialects.onnx.types import is_none, shape_of
from ..fold_constants import blocked, fold
from ..rules.library import Scope

FOLDED_ELEMENTS = 1 << 16
"""How many elements a constant may have that nodes on constants become."""

FOLD_BUDGET = 1 << 22
"""How many elements all of these may have together."""


class EGraph:
    """Values, which of them are equal, and the ops that give them."""

    def __init__(self, store: WeightStore):
        self.store = store.copy()
        """The weights, and those that new nodes name."""
        self.block = Block()
        self.places: dict[Operation, int] = {}
        """Every op that is a node or a leaf, and its number in the order of coming."""
        self.by_name: dict[str, dict[OnnxOp, None]] = {}
        self.fresh: dict[OnnxOp, None] = {}
        """Nodes that are new, or whose operands stand for more than before."""
        self.instead: dict[Operation, Operation] = {}
        """The node that each op became which turned out to be one with it."""
        self.wanted: list[SSAValue] = []
        """What is used from outside the graph."""
        self.rules: dict[Operation, str] = {}
        """The rule that wrote a node."""
        self._next: dict[SSAValue, SSAValue] = {}
        self._members: dict[SSAValue, dict[SSAValue, None]] = {}
        self._nodes: dict[Hashable, Operation] = {}
        self._keys: dict[Operation, Hashable] = {}
        self._changed: dict[Operation, None] = {}
        self._came = 0
        self._budget = FOLD_BUDGET

    def __len__(self) -> int:
        """The number of nodes, constants and leaves included."""
        return len(self.places)

    # --- classes ---

    def find(self, value: SSAValue) -> SSAValue:
        """The representative of the class of `value`."""
        root = value
        while root in self._next:
            root = self._next[root]
        while value is not root:
            self._next[value], value = root, self._next[value]
        return root

    def members(self, value: SSAValue) -> Iterable[SSAValue]:
        """The values of the class of `value`; what gives them are its nodes."""
        root = self.find(value)
        return self._members.get(root, (root,))

    def union(self, a: SSAValue, b: SSAValue) -> bool:
        """Make the classes of two values one; False if they are already."""
        kept, gone = self.find(a), self.find(b)
        if kept is gone:
            return False
        if self._worth(gone) > self._worth(kept):
            kept, gone = gone, kept
        self._point(gone, kept)
        for use in kept.uses:
            self._touch(use.operation)
        return True

    def _worth(self, value: SSAValue) -> tuple[bool, int]:
        """
        What a representative is chosen by: that it is constant, how much its type says.
        """
        shape = shape_of(value.type)
        known = -1 if shape is None else sum(d is not None for d in shape)
        return self._is_constant(value), known

    def _is_constant(self, value: SSAValue) -> bool:
        owner = self.find(value).owner
        return isinstance(owner, OnnxOp) and owner.name == "onnx.Constant"

    def _point(self, gone: SSAValue, kept: SSAValue) -> None:
        """Let `kept` stand for all that `gone` stood for."""
        theirs = self._members.pop(gone, {gone: None})
        self._members.setdefault(kept, {kept: None}).update(theirs)
        self._next.pop(kept, None)
        self._next[gone] = kept
        for use in list(gone.uses):
            use.operation.operands[use.index] = kept
            self._touch(use.operation)

    def _touch(self, op: Operation) -> None:
        """An op of this graph, or one in its region, has operands that changed."""
        # What is being written is not yet a node.
        self._changed[self.within(op)] = None

    def within(self, op: Operation) -> Operation:
        """The op of this graph that `op` is, or in whose region it stands."""
        above = op if op in self.places else op.parent_op()
        while above is not None and above not in self.places:
            above = above.parent_op()
        return op if above is None else above

    # --- nodes ---

    def argument(self, kind: Attribute) -> BlockArgument:
        """A value of which nothing is known but its type."""
        return self.block.insert_arg(kind, len(self.block.args))

    def add(self, op: Operation) -> Sequence[SSAValue]:
        """
        Make `op`, which stands nowhere, a node; the representatives of its results.

        If there is such a node, `op` goes. What is no pure operator, or has a region,
        is a leaf: it equals nothing but itself.
        """
        for inner in op.walk() if op.regions else (op,):
            for index, operand in enumerate(inner.operands):
                root = self.find(operand)
                if root is not operand:
                    inner.operands[index] = root
        key = _key(op)
        held = None if key is None else self._nodes.get(key)
        if held is not None:
            self.instead[op] = held
            op.drop_all_references()
            return [self.find(result) for result in held.results]
        self._came += 1
        self.places[op] = self._came
        self.block.add_op(op)
        if key is not None:
            self._nodes[key] = op
            self._keys[op] = key
        if isinstance(op, OnnxOp):
            self.by_name.setdefault(op.name, {})[op] = None
            self.fresh[op] = None
            self._fold(op)
        return [self.find(result) for result in op.results]

    def rebuild(self) -> None:
        """Unite what unions made equal, until nothing more is."""
        while self._changed:
            op = next(iter(self._changed))
            del self._changed[op]
            if op in self.places:
                self._renew(op)

    def _renew(self, op: Operation) -> None:
        if isinstance(op, OnnxOp):
            self.fresh[op] = None
        before = self._keys.get(op)
        if before is None:
            return
        if self._nodes.get(before) is op:
            del self._nodes[before]
        key = _key(op)
        assert key is not None, "a node stays one"
        held = self._nodes.get(key)
        if held is None or held is op:
            self._nodes[key], self._keys[op] = op, key
            self._fold(op)
            return
        # What came first stays, so that the ops of the function are kept.
        if self.places[op] < self.places[held]:
            self._nodes[key], self._keys[op] = op, key
            op, held = held, op
        self._retire(op, held)

    def _retire(self, op: Operation, held: Operation) -> None:
        """Let `held` be what `op`, the same operator on the same operands, was."""
        self.instead[op] = held
        del self.places[op], self._keys[op]
        if isinstance(op, OnnxOp):
            del self.by_name[op.name][op]
            self.fresh.pop(op, None)
        for ours, theirs in zip(held.results, op.results, strict=True):
            self.union(ours, theirs)
            if self.find(theirs) is theirs:
                self._point(theirs, ours)
            del self._members[self.find(theirs)][theirs]
        op.detach()
        op.drop_all_references()

    def node(self, op: Operation) -> Operation:
        """The node that `op` is by now."""
        while op in self.instead:
            op = self.instead[op]
        return op

    def givers(self, value: SSAValue) -> Iterator[Operation]:
        """The ops that give the class of `value`."""
        for member in self.members(value):
            if isinstance(member.owner, Operation):
                yield member.owner

    def needs(self, op: Operation) -> list[SSAValue]:
        """The classes that `op` needs: of operands, and of what its regions take."""
        return [self.find(value) for value in needed(op)]

    # --- constants ---

    def _fold(self, op: Operation) -> None:
        """Unite a node on constants with the constants that it gives."""
        if not isinstance(op, OnnxOp) or any(
            self._worth(self.find(result))[0] for result in op.results
        ):
            return
        if blocked(op, self.store, FOLDED_ELEMENTS) is not None:
            return
        size = sum(_elements(result) for result in op.results)
        if size > self._budget:
            return
        found = fold(op, self.store)
        if isinstance(found, str):
            return
        self._budget -= size
        for result, array in zip(op.results, found, strict=True):
            if array is None or is_none(result.type):
                continue
            made: list[Operation] = []
            builder = OnnxBuilder(made.append, self.store, location=op.location)
            key = result.name_hint or "folded"
            if isinstance(array, Weight):
                held = WeightAttr(self.store.add(key, array))
                builder.held(held, array.type)
            else:
                builder.constant(array, key)
            (constant,) = self.add(made[0])
            self.union(constant, result)


def _elements(value: SSAValue) -> int:
    size = 1
    for dim in shape_of(value.type) or ():
        size *= (dim.constant or 1) if dim is not None else 1
    return size


def is_node(op: Operation) -> bool:
    """Whether ops equal to `op` on equal operands give equal results."""
    if isinstance(op, NoneOp):
        return True
    return isinstance(op, OnnxOp) and op.has_trait(Pure) and not op.has_body


def _key(op: Operation) -> Hashable:
    """What two nodes share that are one; None for a leaf."""
    if not is_node(op):
        return None
    # A constant's type is in no operand.
    kinds = op.result_types if not op.operands else map(is_none, op.result_types)
    properties = frozenset(op.properties.items())
    return op.name, tuple(op.operands), properties, tuple(kinds)


def needed(op: Operation) -> Iterable[SSAValue]:
    """The operands of `op`, and the values from around it that its regions use."""
    if not op.regions:
        return op.operands
    inside: set[SSAValue] = set()
    for inner in op.walk():
        inside.update(inner.results)
        for region in inner.regions:
            for block in region.blocks:
                inside.update(block.args)
    taken = (value for inner in op.walk() for value in inner.operands)
    return dict.fromkeys(value for value in taken if value not in inside)


class GraphIntegers(IntegerValues):
    """Integer values of a graph in which a value may be computed from itself."""

    def __init__(self, store: WeightStore):
        super().__init__(store)
        self._open: set[SSAValue] = set()

    def of(self, value: SSAValue) -> Dims | None:
        if value in self._open:
            return None
        self._open.add(value)
        found = super().of(value)
        self._open.remove(value)
        return found


@dataclass
class GraphScope(Scope):
    """Where the rules of an e-graph are evaluated; `graph.store` is its store."""

    graph: EGraph

    def __post_init__(self) -> None:
        self.integers = GraphIntegers(self.store)

    @property
    def replaces(self) -> bool:
        return False

    def used_once(self, op: Operation) -> bool:
        """Whether one class needs what `op` gives: its nodes are one use."""
        graph, users = self.graph, set[SSAValue | None]()
        for root in {graph.find(result) for result in op.results}:
            if any(graph.find(value) is root for value in graph.wanted):
                users.add(None)
            for use in root.uses:
                user = graph.within(use.operation)
                users.update(graph.find(result) for result in user.results)
        return len(users) <= 1

    def givers(self, value: SSAValue) -> Iterable[SSAValue]:
        return self.graph.members(value)

    def same(self, value: SSAValue) -> SSAValue:
        return self.graph.find(value)
