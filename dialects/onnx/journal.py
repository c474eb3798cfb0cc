"""
What a pass did: every rewrite, and every pattern that nearly applied with the reason.

The journal rides on the context as the weights do. A pattern asks it before it rewrites
(`permits`), so that a run can be stopped after any single rewrite: that is how a wrong
one is found.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from xdsl.ir import Attribute, Operation

from .provenance import described, node_names


@dataclass(frozen=True)
class Declined:
    """Why a pattern leaves an op alone: the first constraint that failed."""

    reason: str
    near: bool = True
    """Whether the pattern's shape was there at all, so that a user may wonder."""


@dataclass(frozen=True)
class Miss:
    """A pattern that did not apply to an op."""

    pattern: str
    op: str
    """The op's name in the IR."""
    location: Attribute
    reason: str

    def __str__(self) -> str:
        return f"{described(self.op, self.location)}: {self.pattern}: {self.reason}"


@dataclass(frozen=True)
class Rewrite:
    """One rewrite: the pattern, the op where it began, and the ops that it wrote."""

    pattern: str
    op: str
    location: Attribute
    gave: tuple[str, ...]

    def __str__(self) -> str:
        made = ", ".join(name.partition(".")[2] for name in self.gave) or "nothing"
        return f"{described(self.op, self.location)}: {self.pattern}: gave {made}"


@dataclass
class Journal:
    """The rewrites of one pass in their order, and what it declined."""

    limit: int | None = None
    """How many rewrites are permitted; None for all."""
    rewrites: list[Rewrite] = field(default_factory=list[Rewrite])
    misses: Counter[Miss] = field(default_factory=Counter[Miss])
    """The near misses, and how often each was met."""
    far: Counter[str] = field(default_factory=Counter[str])
    """How often a reason was met where the pattern's shape was not there."""
    kept: bool = False
    """Whether the pass at hand writes it; without that, nothing in it says nothing."""
    spared: frozenset[str] = frozenset()
    """The names of the nodes at whose ops no rewrite may begin."""

    def permits(self, op: Operation | None = None) -> bool:
        """Whether one more rewrite may be made, and begin at `op` if there is one."""
        if self.limit is not None and len(self.rewrites) >= self.limit:
            return False
        return op is None or not self.spares(op)

    def spares(self, op: Operation) -> bool:
        """Whether `op` is of a node that is left alone."""
        return bool(self.spared) and not self.spared.isdisjoint(node_names(op))

    def rewrote(
        self, pattern: str, op: Operation, gave: Sequence[Operation] = ()
    ) -> None:
        """Note a rewrite of `op`, just before it is made."""
        names = tuple(made.name for made in gave)
        self.rewrites.append(Rewrite(pattern, op.name, op.location, names))

    def declined(self, pattern: str, op: Operation, why: Declined) -> None:
        """Note that `pattern` leaves `op` alone."""
        if why.near:
            self.misses[Miss(pattern, op.name, op.location, why.reason)] += 1
        else:
            self.far[why.reason] += 1

    def reasons(self) -> Counter[str]:
        """How many ops each reason kept from being rewritten; near misses only."""
        found: Counter[str] = Counter()
        for miss in self.misses:
            found[miss.reason] += 1
        return found
