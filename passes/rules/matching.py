"""
Finds the left side of a rule at an op: the greedy matcher.

First the shape of the pattern (which ops give which operands, and literals), then
attributes, uses and conditions in the order of the rule. The first constraint that
fails is the reason why the rule leaves the op alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import permutations
from typing import Any

import numpy as np
from xdsl.ir import OpResult, SSAValue

from ...dialects.onnx import OnnxOp
from ...dialects.onnx.attributes import attribute, default_attribute, python_value
from ...dialects.onnx.journal import Declined
from ...dialects.onnx.types import Array, is_none, numpy_dtype
from .evaluation import attribute_value, broken
from .library import Scope
from .syntax import (
    Absent,
    AttributeTest,
    Capture,
    Literal,
    Node,
    Operand,
    Part,
    Rest,
    Rule,
    nodes_of,
)
from .values import Constant, Value, float_info, shown

COMMUTATIVE = frozenset(
    f"onnx.{name}"
    for name in [
        *("Add", "And", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "Equal", "Max"),
        *("Mean", "Min", "Mul", "Or", "Sum", "Xor"),
    ]
)
"""Operators whose operands may stand in any order."""

MAX_PERMUTED = 4
"""How many operands of a commutative operator are tried in every order."""


@dataclass(frozen=True)
class Match:
    """A left side found: what its names stand for, and the ops that its nodes are."""

    names: Mapping[str, Value]
    ops: Mapping[Node, OnnxOp]
    """In the order of `nodes_of`: those that give operands first."""


@dataclass(frozen=True)
class _State:
    """What is bound so far."""

    names: dict[str, Value] = field(default_factory=dict[str, Value])
    ops: dict[Node, OnnxOp] = field(default_factory=dict[Node, OnnxOp])

    def with_name(self, name: str, value: Value) -> _State | None:
        """This, with a name bound; None if it stands for something else already."""
        if name in self.names:
            return self if self.names[name] == value else None
        return _State({**self.names, name: value}, self.ops)


@dataclass
class _Search:
    """One rule at one op; `far` is the reason of the attempt that came furthest."""

    scope: Scope
    far: str = "the operator is another"
    steps: int = -1

    def failed(self, state: _State, reason: str) -> None:
        steps = len(state.names) + len(state.ops)
        if steps > self.steps:
            self.steps, self.far = steps, reason

    def node(self, node: Node, op: OnnxOp, state: _State) -> Iterator[_State]:
        """Every way in which `op` can be `node`."""
        if node in state.ops:
            if state.ops[node] is op:
                yield state
            return
        begun: _State | None = _State(state.names, {**state.ops, node: op})
        for name, result in zip(node.results, op.results, strict=False):
            begun = None if begun is None else begun.with_name(name, result)
        if begun is None:
            return
        operands = list(op.operands)
        # A trailing optional operand that the rule does not mention is absent.
        wanted = list(node.operands)
        if not any(isinstance(w, Rest) for w in wanted):
            if len(wanted) > len(operands):
                self.failed(begun, f"{node.op_type} has {len(operands)} operands")
                return
            wanted += [Absent()] * (len(operands) - len(wanted))
        for order in _orders(node, operands):
            yield from self.operands(node, wanted, order, begun)

    def operands(
        self, node: Node, wanted: list[Operand], given: list[SSAValue], state: _State
    ) -> Iterator[_State]:
        if not wanted:
            if not given:
                yield state
            else:
                self.failed(state, f"{node.op_type} has {len(given)} more operands")
            return
        first, *others = wanted
        if isinstance(first, Rest):
            least = sum(not isinstance(w, Rest) for w in others)
            for count in range(len(given) - least, -1, -1):
                bound = state.with_name(first.name, tuple(given[:count]))
                if bound is not None:
                    yield from self.operands(node, others, given[count:], bound)
            return
        if not given:
            self.failed(state, f"{node.op_type} has fewer operands")
            return
        for found in self.operand(node, first, given[0], state):
            yield from self.operands(node, others, given[1:], found)

    def operand(
        self, node: Node, wanted: Operand, value: SSAValue, state: _State
    ) -> Iterator[_State]:
        match wanted:
            case Absent():
                if is_none(value.type):
                    yield state
                else:
                    self.failed(state, f"{node.op_type} has an operand more")
            case Capture(name, optional):
                yield from self.capture(node, name, optional, value, state)
            case Literal():
                reason = self.differs(wanted, value)
                if reason is None:
                    yield state
                else:
                    self.failed(state, f"an operand of {node.op_type} {reason}")
            case Part(inner, place):
                yield from self.part(node, inner, place, value, state)
            case Rest():
                raise AssertionError("`operands` takes these")

    def capture(
        self, node: Node, name: str, optional: bool, value: SSAValue, state: _State
    ) -> Iterator[_State]:
        absent = is_none(value.type)
        if absent and not optional:
            self.failed(state, f"{node.op_type} has no {name}")
            return
        bound = state.with_name(name, None if absent else value)
        if bound is None:
            self.failed(state, f"{name} is two different values")
            return
        yield bound

    def part(
        self, node: Node, inner: Node, place: int, value: SSAValue, state: _State
    ) -> Iterator[_State]:
        found, fits = "none" if is_none(value.type) else "an input", False
        for giver in self.scope.givers(value):
            if not isinstance(giver, OpResult) or not isinstance(giver.op, OnnxOp):
                continue
            found = giver.op.op_type()
            if giver.op.name == inner.op and giver.index == place:
                fits = True
                yield from self.node(inner, giver.op, state)
        if fits:
            return
        self.failed(
            state,
            f"an operand of {node.op_type} is given by {found}, wanted {inner.op_type}",
        )

    def differs(self, wanted: Literal, value: SSAValue) -> str | None:
        """How `value` is not the literal; None if it is."""
        found = self.scope.constant(value)
        if found is None:
            return f"is not constant, wanted {shown(wanted.value)}"
        if equals_literal(found, wanted):
            return None
        return f"is {shown(found)}, wanted {shown(wanted.value)}"


def equals_literal(found: Constant, wanted: Literal) -> bool:
    """
    Whether all elements are the number, or the constant is the list.

    A literal is rounded to the dtype; ``~`` forgives 1e-4 of it, or two units in its
    last place.
    """
    if isinstance(wanted.value, tuple):
        shape = np.shape(wanted.value)
        if found.shape != shape:
            return False
    kind = numpy_dtype(found.element)
    items: Array = found.array()
    if items.size == 0 and not isinstance(wanted.value, tuple):
        return False
    if isinstance(wanted.value, str) or kind.kind == "O":
        return bool((items == np.asarray(wanted.value, object)).all())
    try:
        with np.errstate(all="ignore"):
            goal = np.asarray(wanted.value).astype(kind)
    except (OverflowError, ValueError):
        return False
    if wanted.near:
        loose = max(1e-4, 2 * float(float_info(kind).eps)) if _floats(kind) else 0
        a, b = items.astype(np.float64), goal.astype(np.float64)
        return bool((np.abs(a - b) <= loose * np.abs(b)).all())
    exact = np.asarray(wanted.value)
    if not _floats(kind) and not bool((goal.astype(np.float64) == exact).all()):
        # 0.5 is no integer, and 300 no byte.
        return False
    return bool((items == goal).all())


def _floats(kind: Any) -> bool:
    return kind.kind == "f" or (kind.kind == "V" and "float" in kind.name)


def _orders(node: Node, operands: list[SSAValue]) -> Iterator[list[SSAValue]]:
    yield operands
    count = len(operands)
    mixed = node.op in COMMUTATIVE and not node.ordered and count <= MAX_PERMUTED
    if not mixed or any(isinstance(w, Rest) for w in node.operands):
        return
    others = permutations(operands)
    next(others)
    yield from map(list, others)


def find(rule: Rule, op: OnnxOp, scope: Scope) -> Match | Declined:
    """
    Where the left side of `rule` ends at `op`, or the first constraint that failed.
    """
    reason: Declined | None = None
    for found in attempts(rule, op, scope):
        if isinstance(found, Match):
            return found
        reason = reason or found
    assert reason is not None, "the last attempt tells why there was none"
    return reason


def attempts(rule: Rule, op: OnnxOp, scope: Scope) -> Iterator[Match | Declined]:
    """
    Every way in which the left side of `rule` can end at `op`, and what failed.

    Where the operators are others, the one thing given is how far it went.
    """
    search = _Search(scope)
    nodes = nodes_of(rule.root)
    state: _State | None = None
    for state in search.node(rule.root, op, _State()):
        yield _constrained(rule, nodes, state, scope)
    if state is None:
        yield Declined(search.far, near=False)


def _constrained(
    rule: Rule, nodes: list[Node], state: _State, scope: Scope
) -> Match | Declined:
    names = dict(state.names)
    for node in nodes:
        op = state.ops[node]
        reason = _attributes(node, op, names)
        if reason is not None:
            return Declined(reason, near=len(nodes) > 1)
        if node.once and node is not rule.root and not scope.used_once(op):
            return Declined(f"{node.op_type} has other uses")
    results = rule.root.results or ("",)
    others = state.ops[rule.root].results[len(results) :]
    if scope.replaces and any(result.uses for result in others):
        return Declined(f"another result of {rule.root.op_type} is used")
    for condition in rule.conditions:
        reason = broken(condition, names, scope)
        if reason is not None:
            return Declined(reason)
    return Match(names, {node: state.ops[node] for node in nodes})


def _attributes(node: Node, op: OnnxOp, names: dict[str, Value]) -> str | None:
    """Binds the attributes that `node` captures; why one is not as it must be."""
    for test in node.tests:
        reason = _attribute(node, op, test, names)
        if reason is not None:
            return reason
    if node.open:
        return None
    mentioned = {test.name for test in node.tests}
    for name, value in op.properties.items():
        default = default_attribute(op.schema(), name)
        if name not in mentioned and value != default:
            found = shown(python_value(value))
            return f"{name} of {node.op_type} is {found}, wanted its default"
    return None


def _attribute(
    node: Node, op: OnnxOp, test: AttributeTest, names: dict[str, Value]
) -> str | None:
    value = attribute_value(op, test.name)
    if isinstance(test.wanted, str):
        if test.wanted in names and names[test.wanted] != value:
            before = shown(names[test.wanted])
            return f"{test.name} of {node.op_type} is {shown(value)}, wanted {before}"
        names[test.wanted] = value
        return None
    held = op.properties.get(test.name)
    held = default_attribute(op.schema(), test.name) if held is None else held
    # As the schema stores it: a float is rounded to float32.
    if held == attribute(op.schema(), test.name, _plain(test.wanted)):
        return None
    goal = shown(test.wanted.value)
    return f"{test.name} of {node.op_type} is {shown(value)}, wanted {goal}"


def _plain(literal: Literal) -> Any:
    return literal.value
