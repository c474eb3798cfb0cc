"""
Applies rules to an e-graph until nothing new comes, or a limit is met.

Each round first finds every match of every rule, then writes all right sides and unites
them with what they equal. A rule that matches too often rests for some rounds, longer
each time (egg's backoff scheduler), so that no associative law takes all the nodes.
"""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import cast

from xdsl.dialects.builtin import AnyFloat
from xdsl.ir import Attribute, Operation, Region, SSAValue

from ...dialects.onnx import OnnxBuilder, OnnxOp
from ...dialects.onnx.facts import InferenceError
from ...dialects.onnx.journal import Declined, Journal
from ...dialects.onnx.provenance import fused
from ...dialects.onnx.types import element_of, shape_of
from ..analysis.storage import CONSTANTS
from ..rules import Rule
from ..rules.fitting import misfit
from ..rules.matching import Match, attempts
from ..rules.syntax import Node as Pattern
from ..rules.syntax import Part, nodes_of
from ..rules.values import Declining
from ..rules.writing import Writer
from .graph import EGraph, GraphScope

MATCHES = 500
"""How many matches a rule may have in a round before it rests the first time."""
REST = 3
"""For how many rounds it rests then; each time twice as many matches and rounds."""
MAX_ROUNDS = 64


@dataclass
class _Turn:
    """A rule, and when it is tried again."""

    rule: Rule
    depth: int
    """How many operators lie above each other on its left side."""
    rests: int = 0
    """How often it had too many matches."""
    until: int = 0
    """The round in which it is tried again."""
    all: bool = True
    """Whether every node is tried, not only those that changed."""


@dataclass
class Saturation:
    """Rules at work on an e-graph."""

    graph: EGraph
    rules: Sequence[Rule]
    journal: Journal
    nodes: int
    """The most nodes that the graph may have."""
    deadline: float
    """When to stop, as a time of `time.monotonic`."""
    rounds: int = 0
    united: list[tuple[SSAValue, str]] = field(
        default_factory=list[tuple[SSAValue, str]]
    )
    """A value of each class that became another's too, and the rule that said so."""
    types: dict[Hashable, tuple[Attribute, ...]] = field(
        default_factory=dict[Hashable, tuple[Attribute, ...]]
    )
    """The result types that inference gave, by what it was given."""
    done: set[Hashable] = field(default_factory=set[Hashable])
    """What was written, or cannot be."""

    def run(self) -> str | None:
        """Saturate; the limit that ended it, or None."""
        turns = [_Turn(rule, _depth(rule.root)) for rule in self.rules]
        limit = None
        while limit is None:
            self.rounds += 1
            before = len(self.done)
            limit = self.round(turns) or self.spent()
            self.graph.rebuild()
            if len(self.done) == before and not self.graph.fresh:
                resting = [turn for turn in turns if turn.all]
                if not resting:
                    return limit
                for turn in resting:
                    turn.until = 0
        return limit

    def spent(self) -> str | None:
        """The limit that is met by now."""
        if time.monotonic() > self.deadline:
            return "its seconds were spent"
        if len(self.graph) >= self.nodes:
            return f"it had {self.nodes} nodes"
        return f"it had {MAX_ROUNDS} rounds" if self.rounds >= MAX_ROUNDS else None

    def round(self, turns: Sequence[_Turn]) -> str | None:
        """Find what fits, then write it; the limit that is met, or None."""
        scope = GraphScope(self.graph.store, self.graph)
        fresh, self.graph.fresh = self.graph.fresh, {}
        found: list[tuple[Rule, Match, OnnxOp]] = []
        for turn in turns:
            if turn.until > self.rounds:
                turn.all = True
                continue
            roots = self.roots(turn, fresh)
            matches = self.matches(turn, roots, scope)
            if matches is None:
                turn.all = True
                continue
            found += matches
            turn.all = False
        for rule, match, root in found:
            limit = self.spent()
            if limit is not None and self.rounds < MAX_ROUNDS:
                return limit
            self.write(rule, match, root, scope)
        return None

    # --- finding ---

    def roots(self, turn: _Turn, fresh: Iterable[OnnxOp]) -> list[OnnxOp]:
        """The nodes at which a rule may have come to fit."""
        named = self.graph.by_name.get(turn.rule.root.op, {})
        if turn.all:
            return list(named)
        reached: dict[Operation, None] = dict.fromkeys(fresh)
        last = list(reached)
        for _ in range(turn.depth - 1):
            above = (op for below in last for op in self.above(below))
            last = [op for op in dict.fromkeys(above) if op not in reached]
            reached |= dict.fromkeys(last)
        return [op for op in named if op in reached]

    def above(self, op: Operation) -> Iterator[Operation]:
        """The nodes that take what `op` gives."""
        for result in op.results:
            for use in self.graph.find(result).uses:
                yield self.graph.within(use.operation)

    def matches(
        self, turn: _Turn, roots: Iterable[OnnxOp], scope: GraphScope
    ) -> list[tuple[Rule, Match, OnnxOp]] | None:
        """New matches of a rule; None where it has too many, and rests."""
        found: list[tuple[Rule, Match, OnnxOp]] = []
        most = MATCHES << turn.rests
        for op in roots:
            if self.journal.spares(op):
                continue
            if time.monotonic() > self.deadline:
                break
            for match in self.at(turn.rule, op, scope):
                found.append((turn.rule, match, op))
            if len(found) > most:
                turn.until = self.rounds + 1 + (REST << turn.rests)
                turn.rests += 1
                return None
        return found

    def at(self, rule: Rule, op: OnnxOp, scope: GraphScope) -> Iterator[Match]:
        """The ways in which a rule ends at `op` that are new."""
        reason: Declined | None = None
        fits = False
        for found in attempts(rule, op, scope):
            if isinstance(found, Declined):
                reason = reason or found
                continue
            fits = True
            key = self.key(rule, found)
            if key not in self.done:
                yield found
        if not fits and reason is not None and self.rounds == 1:
            # Later ones are of what no file has.
            self.journal.declined(rule.name, op, reason)

    def key(self, rule: Rule, match: Match) -> Hashable:
        """What a match is known by again, as long as its classes stay."""
        values = (self.same(value) for value in match.names.values())
        ops = tuple(match.ops.values())
        return rule.name, ops, tuple(values)

    def same(self, value: Hashable) -> Hashable:
        if isinstance(value, SSAValue):
            return self.graph.find(cast(SSAValue, value))
        return value

    # --- writing ---

    def write(self, rule: Rule, match: Match, root: OnnxOp, scope: GraphScope) -> None:
        """Write the right side of a rule, and unite it with what it equals."""
        key = self.key(rule, match)
        if key in self.done:
            return
        self.done.add(key)
        values = self.made(rule, match, root, scope)
        if isinstance(values, str):
            if self.rounds == 1:
                self.journal.declined(rule.name, root, Declined(values))
            return
        for old, new in zip(root.results, values, strict=False):
            if new is not None and self.graph.union(old, new):
                self.united.append((old, rule.name))

    def made(
        self, rule: Rule, match: Match, root: OnnxOp, scope: GraphScope
    ) -> list[SSAValue | None] | str:
        """What the right side gives, its ops made nodes; or why it cannot stand."""
        ops: list[Operation] = []
        where = fused(match.ops[node] for node in nodes_of(rule.root))
        builder = _Builder(ops.append, self.graph.store, scope.integers, where)
        builder.types = self.types
        key = f"{root.results[0].name_hint or 'weight'}.{rule.name}"
        try:
            values = Writer(match.names, builder, key).results(rule)
            reason = None
        except (Declining, InferenceError, ValueError) as error:
            values, reason = list[SSAValue | None](), str(error)
        if reason is None and not _alike(root, values):
            reason = misfit(rule, match, root, scope)
        if reason is not None:
            for op in ops:
                op.drop_all_references()
            return reason
        stands: dict[SSAValue, SSAValue] = {}
        for op in ops:
            for index, operand in enumerate(op.operands):
                if operand in stands:
                    op.operands[index] = stands[operand]
            came = self.graph.add(op)
            stands.update(zip(op.results, came, strict=True))
            if op in self.graph.places:
                self.graph.rules[op] = rule.name
        return [None if v is None else stands.get(v, v) for v in values]


def _alike(root: OnnxOp, values: Sequence[SSAValue | None]) -> bool:
    """Whether the types are the same and say all, so that nothing else is asked."""
    for old, new in zip(root.results, values, strict=False):
        shape = shape_of(old.type)
        if new is None or shape is None or None in shape or new.type != old.type:
            return False
    return True


class _Builder(OnnxBuilder):
    """A builder that asks inference once for operands of the same types."""

    types: dict[Hashable, tuple[Attribute, ...]]

    def create(
        self,
        name: str,
        operands: Sequence[SSAValue | None],
        properties: dict[str, Attribute],
        outputs: int | Sequence[bool] = 1,
        types: Sequence[Attribute] | None = None,
        regions: Sequence[Region] = (),
    ) -> OnnxOp:
        if types is not None or not all(map(_by_type, operands)):
            return super().create(name, operands, properties, outputs, types, regions)
        kinds = tuple(None if value is None else value.type for value in operands)
        wanted = outputs if isinstance(outputs, int) else tuple(outputs)
        key = (name, kinds, frozenset(properties.items()), wanted)
        found = self.types.get(key)
        op = super().create(name, operands, properties, outputs, found, regions)
        self.types[key] = tuple(op.result_types)
        return op


def _by_type(value: SSAValue | None) -> bool:
    """Whether inference sees no more of an operand than its type."""
    if value is None:
        return True
    constant = isinstance(value.owner, Operation) and value.owner.name in CONSTANTS
    return not constant and isinstance(element_of(value.type), AnyFloat)


def _depth(node: Pattern) -> int:
    inner = (_depth(o.node) for o in node.operands if isinstance(o, Part))
    return 1 + max(inner, default=0)
