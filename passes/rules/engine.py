"""
Rules as patterns, and files of rules as passes.

Each rule is an `OnnxPattern`: what it rewrote and nearly rewrote is in the journal. A
pass tries at each op the rules that end at such an op, in the order of the file.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.pattern_rewriter import (
    GreedyRewritePatternApplier,
    PatternRewriter,
    PatternRewriteWalker,
    RewritePattern,
)

from ...dialects.errors import SardonyxError
from ...dialects.onnx import OnnxBuilder, OnnxOp, WeightStore, store_of
from ...dialects.onnx.journal import Declined, Journal
from ..patterns import OnnxPattern, journal_of
from .fitting import misfit
from .library import Scope
from .matching import Match, find
from .syntax import Rule, RuleSet, nodes_of
from .writing import Writer


@dataclass(frozen=True)
class RulePattern(OnnxPattern[Match]):
    """One rule, applied greedily."""

    rule: Rule

    @property
    def name(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The rule's name."""
        return self.rule.name

    @property
    def roots(self) -> frozenset[str]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The op at which its left side ends."""
        return frozenset([self.rule.root.op])

    def decide(self, op: OnnxOp) -> Match | Declined:
        scope = Scope(self.store)
        match = find(self.rule, op, scope)
        if isinstance(match, Declined):
            return match
        reason = misfit(self.rule, match, op, scope)
        return match if reason is None else Declined(reason)

    def covers(self, op: OnnxOp, found: Match) -> Sequence[Operation]:
        return [found.ops[node] for node in nodes_of(self.rule.root)]

    def rewrite(
        self, op: OnnxOp, found: Match, builder: OnnxBuilder
    ) -> Sequence[SSAValue | None]:
        writer = Writer(found.names, builder, self.key(op))
        values = writer.results(self.rule)
        return [*values, *(None for _ in op.results[len(values) :])]

    def key(self, op: OnnxOp) -> str:
        """What the weights that the rewrite of `op` computes are called."""
        return f"{op.results[0].name_hint or 'weight'}.{self.rule.name}"


class RulePatterns(RewritePattern):
    """
    Rules by the op at which they end; the first that fits is applied.

    Raises SardonyxError where rules undo each other, and would never come to rest.
    """

    def __init__(self, rules: Sequence[Rule], store: WeightStore, journal: Journal):
        self.journal = journal
        self.by_root: dict[str, list[RulePattern]] = {}
        for rule in rules:
            pattern = RulePattern(store, journal, rule)
            self.by_root.setdefault(rule.root.op, []).append(pattern)
        self.left = 0

    def rewrite_module(self, module: ModuleOp) -> None:
        """Apply the rules until none fits any more."""
        self.left = ROUNDS * (sum(1 for _ in module.walk()) + ROUNDS)
        # As `rewrite_module` does: what is dead goes.
        applier = GreedyRewritePatternApplier([self])
        PatternRewriteWalker(applier).rewrite_module(module)
        if self.left < 0:
            raise self.unsettled()

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter) -> None:
        for pattern in self.by_root.get(op.name, ()) if self.left >= 0 else ():
            pattern.match_and_rewrite(op, rewriter)
            if rewriter.has_done_action:
                self.left -= 1
                return

    def unsettled(self) -> SardonyxError:
        """The error for rules that undo each other."""
        last = sorted({r.pattern for r in self.journal.rewrites[-ROUNDS:]})
        return SardonyxError(
            f"rules: found {', '.join(last)} rewriting without end, "
            "wanted rules that come to rest"
        )


ROUNDS = 16
"""How often each op may be rewritten, on average."""


@dataclass(frozen=True)
class RulesPass(ModulePass, ABC):
    """
    Apply the rules of a file, all of them or `only` those named.

    `only` is a list of names, or one text with commas between them.
    """

    only: tuple[str, ...] = ()

    @classmethod
    @abstractmethod
    def rules(cls) -> RuleSet:
        """The rules of the file."""

    def chosen(self) -> list[Rule]:
        """The rules that this applies; SardonyxError for a name that is none."""
        names = [n.strip() for text in self.only for n in text.split(",")]
        rules = self.rules().rules
        known = {rule.name: rule for rule in rules}
        for name in names:
            if name not in known:
                wanted = ", ".join(known)
                raise SardonyxError(
                    f"{self.name}: found rule {name!r}, wanted one of: {wanted}"
                )
        return [rule for rule in rules if not names or rule.name in names]

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        rules = self.chosen()
        store = store_of(ctx)
        store = WeightStore() if store is None else store
        RulePatterns(rules, store, journal_of(ctx)).rewrite_module(op)

    @classmethod
    def schedule_space(cls, ctx: Context, module_op: ModuleOp) -> tuple[Self, ...]:
        return (cls(),)


def rules_pass(ruleset: RuleSet) -> type[RulesPass]:
    """The pass of a file of rules, called as it is."""

    @dataclass(frozen=True)
    class FilePass(RulesPass):
        name = ruleset.name

        @classmethod
        def rules(cls) -> RuleSet:
            return ruleset

    FilePass.__doc__ = ruleset.doc or f"The rules of {ruleset.name}."
    return FilePass
