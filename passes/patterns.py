"""
What our patterns share: deciding apart from rewriting, and a journal of both.

A pattern's `decide` is a pure function that gives what `rewrite` needs, or the reason
why it declines; `rewrite` is straight-line. The journal hears of every rewrite and of
every near miss, and may forbid a rewrite.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue
from xdsl.pattern_rewriter import (
    GreedyRewritePatternApplier,
    PatternRewriter,
    PatternRewriteWalker,
    RewritePattern,
)
from xdsl.rewriter import Rewriter
from xdsl.traits import is_side_effect_free

from ..dialects.onnx import OnnxBuilder, OnnxContext, OnnxOp, WeightStore
from ..dialects.onnx.journal import Declined, Journal
from ..dialects.onnx.provenance import fused
from ..dialects.sdy import carry

__all__ = ["Declined", "OnnxPattern", "erase_dead", "journal_of", "rewrite_module"]

Found = TypeVar("Found")


@dataclass(frozen=True)
class OnnxPattern(RewritePattern, ABC, Generic[Found]):
    """A pattern that begins at an op of one of the names in `roots`."""

    store: WeightStore
    journal: Journal

    name: ClassVar[str]
    """What the journal calls it: ``conv-of-batch-norm``."""
    roots: ClassVar[frozenset[str]]
    """The names of the ops where it may begin; for most, its last."""

    @abstractmethod
    def decide(self, op: OnnxOp) -> Found | Declined:
        """What the rewrite of `op` needs to know, or why there is none."""

    @abstractmethod
    def rewrite(
        self, op: OnnxOp, found: Found, builder: OnnxBuilder
    ) -> Sequence[SSAValue | None]:
        """
        Write what replaces `op`; one value per result, None for one of type ``none``.

        The ops stand before `op`. What only the replaced ops used is erased.
        """

    def covers(self, op: OnnxOp, found: Found) -> Sequence[Operation]:
        """The ops that the rewrite replaces, in their order: its provenance."""
        return [op]

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter) -> None:
        if op.name not in self.roots or not isinstance(op, OnnxOp):
            return
        found = self.decide(op)
        if isinstance(found, Declined):
            self.journal.declined(self.name, op, found)
        elif self.journal.spares(op):
            self.journal.declined(self.name, op, Declined("its node is spared"))
        elif self.journal.permits(op):
            self._apply(op, found, rewriter)

    def _apply(self, op: OnnxOp, found: Found, rewriter: PatternRewriter) -> None:
        made: list[Operation] = []
        where = fused(self.covers(op, found))
        builder = OnnxBuilder(made.append, self.store, location=where)
        values = self.rewrite(op, found, builder)
        self.journal.rewrote(self.name, op, made)
        rewriter.insert(made)
        for old, new in zip(op.results, values, strict=True):
            if new is None:
                continue
            if new.type != old.type and new.owner in made:
                # What is declared or was inferred of the old value still holds.
                new = Rewriter.replace_value_with_new_type(new, old.type)
            new.name_hint = new.name_hint or old.name_hint
            carry(old, new)
            rewriter.replace_all_uses_with(old, new)
        erase_dead(op, rewriter)


def erase_dead(op: Operation, rewriter: PatternRewriter) -> None:
    """
    Erase `op` if nothing uses it, and then the operands that only it used.

    `op` has been replaced: it goes even if, as Dropout, it is no pure function.
    """
    waiting = [op]
    while waiting:
        current = waiting.pop()
        if any(result.uses for result in current.results):
            continue
        if current.parent is None:
            continue
        if current is not op and not is_side_effect_free(current):
            continue
        owners = [value.owner for value in current.operands]
        rewriter.erase(current)
        waiting.extend(
            owner for owner in dict.fromkeys(owners) if isinstance(owner, Operation)
        )


def rewrite_module(
    module: ModuleOp, *patterns: OnnxPattern[Any], recursively: bool = True
) -> None:
    """Apply `patterns` greedily, the first that fits, until none does any more."""
    applier = GreedyRewritePatternApplier(list(patterns))
    walker = PatternRewriteWalker(applier, apply_recursively=recursively)
    walker.rewrite_module(module)


def journal_of(ctx: Context) -> Journal:
    """The journal that `ctx` carries; a new one for a context that is not ours."""
    journal = ctx.journal if isinstance(ctx, OnnxContext) else Journal()
    journal.kept = True
    return journal
