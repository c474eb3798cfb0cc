"""
Why a pass left an op alone: its near misses, in the words of the user's nodes.

    explain("model.onnx", "fold-batch-norm").misses[0].reason
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from xdsl.ir import Operation
from xdsl.passes import ModulePass

from ...dialects.errors import SardonyxError
from ...dialects.onnx.journal import Declined, Journal
from ...dialects.onnx.provenance import node_names, nodes_at
from ..driver import load
from ..model import Model
from ..pipelines import (
    LOWERING,
    PIPELINES,
    Instrument,
    count_ops,
    parse_pipeline,
    passes_in,
    run_pipeline,
    spec_of,
    spec_text,
)

DEFAULT_LEVEL = "O2"
"""The level whose passes before the one in question run first, unless others do."""


@dataclass(frozen=True)
class Applied:
    """A rewrite: the nodes that it stands for, and the operators that it wrote."""

    pattern: str
    op: str
    nodes: tuple[str, ...]
    gave: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The fields, for JSON."""
        return {
            "pattern": self.pattern,
            "op": self.op,
            "nodes": list(self.nodes),
            "gave": list(self.gave),
        }


@dataclass(frozen=True)
class Missed:
    """An op that a pattern left alone, and the first constraint that failed."""

    pattern: str
    op: str
    nodes: tuple[str, ...]
    reason: str
    near: bool
    """Whether the pattern's shape was there at all."""

    def as_json(self) -> dict[str, Any]:
        """The fields, for JSON."""
        return {
            "pattern": self.pattern,
            "op": self.op,
            "nodes": list(self.nodes),
            "reason": self.reason,
            "near": self.near,
        }


@dataclass
class FullJournal(Journal):
    """
    A journal that keeps where the shape was not there too, and all nodes.

    Of an op that a pattern met several times, what it said last counts.
    """

    applied: list[Applied] = field(default_factory=list[Applied])
    missed: dict[tuple[str, Operation], Missed] = field(
        default_factory=dict[tuple[str, Operation], Missed]
    )

    def rewrote(
        self, pattern: str, op: Operation, gave: Sequence[Operation] = ()
    ) -> None:
        super().rewrote(pattern, op, gave)
        # What a rewrite writes carries the names of all that it replaces.
        names = (name for one in (*gave, op) for name in node_names(one))
        made = tuple(one.name for one in gave)
        nodes = tuple(dict.fromkeys(names))
        self.applied.append(Applied(pattern, op.name, nodes, made))
        self.missed.pop((pattern, op), None)

    def declined(self, pattern: str, op: Operation, why: Declined) -> None:
        super().declined(pattern, op, why)
        nodes = nodes_at(op.location)
        miss = Missed(pattern, op.name, nodes, why.reason, why.near)
        self.missed[pattern, op] = miss


@dataclass
class KeepAll(Instrument):
    """Gives every run a `FullJournal`; those of a fixpoint's rounds go on in one."""

    applied: list[Applied] = field(default_factory=list[Applied])
    missed: dict[tuple[str, Operation], Missed] = field(
        default_factory=dict[tuple[str, Operation], Missed]
    )

    def before(self, model: Model, place: int, one: ModulePass) -> None:
        model.context.journal = FullJournal(applied=self.applied, missed=self.missed)


@dataclass(frozen=True)
class Explanation:
    """What a pass did with a model, and what it left alone."""

    model: str
    spec: str
    """The pass, with its options."""
    before: str
    """The spec of the passes that ran before it; empty for none."""
    has_journal: bool
    """Whether the pass says what it does; without that nothing is known."""
    ops_before: int
    ops_after: int
    applied: tuple[Applied, ...]
    misses: tuple[Missed, ...]
    """The near misses; with ops asked for, those ops' far ones too."""
    others: Mapping[str, int] = field(default_factory=dict[str, int])
    """How many ops there were where the pattern's shape was not there, by reason."""
    ops: tuple[str, ...] = ()
    """The nodes that were asked for; empty for all."""
    gone: tuple[str, ...] = ()
    """Those of them that were there in the file, but not any more for the pass."""

    @property
    def unseen(self) -> tuple[str, ...]:
        """The nodes asked for which no pattern of the pass begins at."""
        told = {name for one in (*self.applied, *self.misses) for name in one.nodes}
        return tuple(n for n in self.ops if n not in told and n not in self.gone)

    def reasons(self) -> Counter[tuple[str, str]]:
        """How many ops each (pattern, reason) kept from being rewritten."""
        return Counter((miss.pattern, miss.reason) for miss in self.misses)

    def as_json(self) -> dict[str, Any]:
        """The fields, for JSON."""
        return {
            "model": self.model,
            "pass": self.spec,
            "before": self.before,
            "has_journal": self.has_journal,
            "ops_before": self.ops_before,
            "ops_after": self.ops_after,
            "applied": [one.as_json() for one in self.applied],
            "misses": [one.as_json() for one in self.misses],
            "others": dict(self.others),
            "ops": list(self.ops),
            "gone": list(self.gone),
            "unseen": list(self.unseen),
        }


def explain(
    source: str | Path | Model,
    spec: str,
    before: str | None = None,
    ops: Sequence[str] = (),
) -> Explanation:
    """
    Run the pass `spec` (``fold-constants{max-growth=9}``) on a model and tell what of.

    `before` is a level or spec that runs first: by default the passes that stand before
    this one in -O2. `ops` are names of nodes to which the answer is confined; one that
    the model does not have raises SardonyxError with near names.
    """
    passes = parse_pipeline(spec)
    if len(passes) != 1:
        raise SardonyxError(f"found {spec!r}, wanted one pass")
    model = load(source)
    imported = _nodes(model)
    earlier = standing_before(passes[0].name) if before is None else before
    run_pipeline(model, earlier)
    there = _nodes(model)
    for name in ops:
        if name not in imported and name not in there:
            raise SardonyxError(unknown_node(name, [*imported]))
    keep, ops_before = KeepAll(), count_ops(model)
    runs = run_pipeline(model, spec_text(passes[0]), [keep])
    wanted = frozenset(ops)
    return Explanation(
        model.name,
        spec_text(passes[0]),
        spec_of(earlier),
        any(run.journal.kept for run in runs),
        ops_before,
        count_ops(model),
        tuple(one for one in keep.applied if not wanted or wanted & {*one.nodes}),
        tuple(
            miss
            for miss in keep.missed.values()
            if (wanted & {*miss.nodes} if wanted else miss.near)
        ),
        Counter(miss.reason for miss in keep.missed.values() if not miss.near),
        tuple(ops),
        tuple(name for name in ops if name not in there),
    )


def standing_before(name: str) -> str:
    """
    The passes of -O2 before the first of this name; nothing if it is not there.

    Before one that lowers for a backend all of them run.

    Those of the same fixpoint are run once.
    """
    before: list[str] = []
    for spec in PIPELINES[DEFAULT_LEVEL]:
        group = [spec_text(one) for one in passes_in(spec)]
        names = [one.partition("{")[0] for one in group]
        if name in names:
            return ",".join([*before, *group[: names.index(name)]])
        before.append(spec)
    for lowering in LOWERING.values():
        if name in lowering:
            return ",".join([*before, *lowering[: lowering.index(name)]])
    return ""


def unknown_node(name: str, known: Sequence[str]) -> str:
    """What to say of a node that the model does not have."""
    close = get_close_matches(name, known, 3, 0.5)
    within = [one for one in known if name and name.lower() in one.lower()]
    near = list(dict.fromkeys([*within[:3], *close]))[:3]
    meant = f": did you mean {', '.join(map(repr, near))}?" if near else ""
    return f"found node {name!r}, wanted one that the model has{meant}"


def _nodes(model: Model) -> dict[str, None]:
    """The names of the nodes that the model's ops came from, in order."""
    ops = model.main.body.walk()
    return dict.fromkeys(name for op in ops for name in node_names(op))
