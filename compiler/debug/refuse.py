"""
``--refuse-slower``: undoes the passes that make a model slower on this machine.

    refuse_slower("model.onnx", "jax", "O3").pipeline

Each pass that may be undone is left out in turn, from the one that
rewrites most; where the program without it is faster, beyond noise and twice, it stays
out. Of such a pass the rewrites of each shape are then spared in turn: if that makes
up for it, the pass stays but for these. The passes that -O3 has beyond -O2 come first,
and without time to measure them they go.
"""

from __future__ import annotations

import ast
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from xdsl.ir import Operation
from xdsl.passes import ModulePass

from ...dialects.errors import SardonyxError
from ...dialects.onnx.journal import Journal
from ...dialects.onnx.provenance import node_names
from ..arguments import random_for, read_inputs
from ..bench.machine import describe_machine
from ..bench.protocol import Report, quiet
from ..driver import Executable, choice_of, compile_model, load, specialize
from ..model import Model
from ..pipelines import (
    SOMETIMES,
    Instrument,
    PassRun,
    parse_pipeline,
)
from .refuse_specs import (
    Pipeline,
    may_be_undone,
    names_in,
    sparing,
    text_of,
    without,
)
from .refuse_timing import ArtifactStopwatch, CannotRun, Pair, Stopwatch
from .trial import Inputs

BUDGET_SECONDS = 60.0
MAX_CLASSES = 8
"""How many shapes of a pass's rewrites are tried apart, from the most frequent."""
MOST_SECONDS, LEAST_SECONDS = 10.0, 2.0
"""How long the calls of one comparison take at most, and at least."""


class RefuseError(SardonyxError):
    """A model of which no program can be timed."""


class Outcome(StrEnum):
    """What became of a pass, or of its rewrites of one shape."""

    kept = "kept"
    undone = "undone"
    partly = "undone in part"
    same = "same program"
    needed = "needed"
    unmeasured = "not measured"


@dataclass(frozen=True)
class Decision:
    """One row of the table: a pass, or its rewrites of one shape."""

    name: str
    """The pass."""
    shape: str
    """The pattern and the types of the ops that it rewrites; empty for all."""
    rewrites: int
    outcome: Outcome
    with_seconds: float | None = None
    """The median call of the program with these rewrites."""
    without_seconds: float | None = None
    ratios: tuple[float, float, float] | None = None
    """With over without, round by round: the median, the least, the greatest."""
    reason: str = ""
    """Why there are no numbers."""

    def as_json(self) -> dict[str, Any]:
        """The fields for JSON, times in ms."""
        return {
            "pass": self.name,
            "shape": self.shape,
            "rewrites": self.rewrites,
            "outcome": self.outcome.value,
            "with_ms": _ms(self.with_seconds),
            "without_ms": _ms(self.without_seconds),
            "ratios": self.ratios and list(self.ratios),
            "reason": self.reason,
        }


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else 1e3 * seconds


@dataclass(frozen=True)
class Refusal:
    """What was measured, and the pipeline that is left."""

    pipeline: str
    """A spec that gives the same program without measuring."""
    decisions: tuple[Decision, ...]
    inputs: tuple[tuple[str, str, tuple[int, ...]], ...]
    """Name, dtype and shape of what the programs ran on."""
    threads: int
    seconds: float
    """How long all of it took."""
    considered: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What the cost model chose the first pipeline among: see `cost.choose`."""

    def as_json(self) -> dict[str, Any]:
        """The fields, for JSON."""
        return {
            "inputs": [
                {"name": name, "dtype": dtype, "shape": list(shape)}
                for name, dtype, shape in self.inputs
            ],
            "threads": self.threads,
            "seconds": self.seconds,
            "passes": [decision.as_json() for decision in self.decisions],
        }


# --- what a pipeline makes of the model ---


@dataclass(frozen=True)
class Site:
    """Where a rewrite began: what decides how fast it is, and the nodes there."""

    shape: str
    nodes: tuple[str, ...]


@dataclass
class _Noting(Journal):
    """A journal that notes where rewrites begin."""

    sites: list[Site] = field(default_factory=list[Site])

    def rewrote(
        self, pattern: str, op: Operation, gave: Sequence[Operation] = ()
    ) -> None:
        super().rewrote(pattern, op, gave)
        types = ", ".join(str(value.type) for value in op.operands)
        shape = f"{pattern}: {op.name.partition('.')[2]}({types})"
        self.sites.append(Site(shape, node_names(op)))


@dataclass
class Noted(Instrument):
    """The rewrites of each pass, by its name."""

    sites: dict[str, list[Site]] = field(default_factory=dict[str, list[Site]])
    silent: set[str] = field(default_factory=set[str])
    """The passes that keep no journal."""

    def before(self, model: Model, place: int, one: ModulePass) -> None:
        sites = self.sites.setdefault(one.name, [])
        model.context.journal = _Noting(sites=sites)

    def after(self, model: Model, run: PassRun) -> None:
        if not run.journal.kept:
            self.silent.add(run.name)


@dataclass(frozen=True)
class Built:
    """A pipeline, and the program that it gives."""

    passes: Pipeline
    executable: Executable
    noted: Noted
    code: str
    """The program's syntax: programs of one syntax run alike."""


Build = Callable[[Pipeline], Built]


# --- the search ---


@dataclass
class Search:
    """Leaves passes out in turn; `current` is the fastest so far."""

    build: Build
    stopwatch: Stopwatch
    current: Built
    deadline: float
    """When to stop, by `clock`."""
    clock: Callable[[], float] = time.perf_counter
    report: Report = quiet
    decisions: list[Decision] = field(default_factory=list[Decision])
    _open: int = 1
    """How many passes are still to be measured: they share the time that is left."""

    def run(self) -> None:
        """Decide on every pass that may be undone."""
        units = self._units()
        for place, name in enumerate(units):
            self._open = len(units) - place
            self.report(name, place, len(units))
            self._decide(name)
        self.report("done", len(units), len(units))

    def _units(self) -> list[str]:
        """The passes to measure: those of `SOMETIMES`, then those that rewrite most."""
        noted = self.current.noted
        names = names_in(self.current.passes, may_be_undone)
        active = [n for n in names if noted.sites.get(n) or n in noted.silent]
        counts = {name: len(noted.sites.get(name, ())) for name in active}
        return sorted(active, key=lambda n: (n not in SOMETIMES, -counts[n]))

    def _decide(self, name: str) -> None:
        sites = self.current.noted.sites.get(name, [])
        row = Decision(name, "", len(sites), Outcome.kept)
        if name in SOMETIMES and self._is_late():
            self.current = self.build(without(self.current.passes, name))
            late = "not measured: the budget is spent"
            row = replace(row, outcome=Outcome.undone, reason=late)
            self.decisions.append(row)
            return
        before = self.current
        candidate, row = self._left_out(row, without(before.passes, name))
        self.decisions.append(row)
        if candidate is None or row.outcome is not Outcome.undone:
            return
        self.current = candidate
        place = len(self.decisions) - 1
        rest = self._in_part(name, before, candidate)
        if rest is not None:
            self.current = rest
            self.decisions[place] = replace(row, outcome=Outcome.partly)

    def _in_part(self, name: str, whole: Built, none: Built) -> Built | None:
        """
        The program in which pass `name` spares the shapes that it makes slower.

        None if those do not make up for it.
        """
        classes = classes_of(whole.noted.sites.get(name, []))
        spared: set[str] = set()
        best = whole
        for shape, sites in classes if len(classes) > 1 else ():
            nodes = spared.union(*(site.nodes for site in sites))
            row = Decision(name, shape, len(sites), Outcome.kept)
            passes = sparing(whole.passes, name, nodes)
            candidate, row = self._left_out(row, passes, best)
            self.decisions.append(row)
            if candidate is None or row.outcome is not Outcome.undone:
                continue
            spared, best = nodes, candidate
            if best.code == none.code:
                return None
            pair = self._timed(best, none)
            if isinstance(pair, Pair) and not pair.is_slower:
                return best
        return None

    def _left_out(
        self, row: Decision, passes: Pipeline, beside: Built | None = None
    ) -> tuple[Built | None, Decision]:
        """The program of `passes`, which leave something out, and what that shows."""
        whole = beside or self.current
        if self._is_late():
            late = "the budget is spent"
            return None, replace(row, outcome=Outcome.unmeasured, reason=late)
        try:
            candidate = self.build(passes)
        except SardonyxError as error:
            return None, replace(row, outcome=Outcome.needed, reason=_line(error))
        if candidate.code == whole.code:
            return None, replace(row, outcome=Outcome.same)
        pair = self._timed(whole, candidate)
        if isinstance(pair, Pair) and pair.is_slower:
            # Once in a while noise says so: new processes must say the same.
            pair = self._timed(whole, candidate)
        if not isinstance(pair, Pair):
            return None, replace(row, outcome=Outcome.needed, reason=pair)
        kept, left = pair.seconds
        outcome = Outcome.undone if pair.is_slower else Outcome.kept
        row = replace(
            row,
            outcome=outcome,
            with_seconds=kept,
            without_seconds=left,
            ratios=pair.ratios,
        )
        return candidate, row

    def _is_late(self) -> bool:
        return self.clock() >= self.deadline

    def _timed(self, kept: Built, without: Built) -> Pair | str:
        """Both timed; or why the program without a pass cannot run."""
        share = (self.deadline - self.clock()) / (2 * self._open)
        seconds = min(MOST_SECONDS, max(LEAST_SECONDS, share))
        try:
            return self.stopwatch(
                kept.executable, without.executable, seconds, self.report
            )
        except CannotRun as error:
            if error.kept:
                raise RefuseError(f"refuse-slower: it cannot run: {error}") from error
            return _line(error)


def classes_of(sites: Sequence[Site]) -> list[tuple[str, list[Site]]]:
    """
    The sites by shape, the most frequent first; those of which the nodes are known.
    """
    found: dict[str, list[Site]] = defaultdict(list)
    for site in sites:
        if site.nodes:
            found[site.shape].append(site)
    ordered = sorted(found.items(), key=lambda entry: -len(entry[1]))
    return ordered[:MAX_CLASSES]


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


# --- the whole of it ---


def refuse_slower(
    source: str | Path | Model,
    backend: str = "jax",
    pipeline: str = "O3",
    dims: Mapping[str, int] | None = None,
    vmap: bool = False,
    buckets: Mapping[str, Sequence[int]] | None = None,
    inputs: Inputs | None = None,
    budget_seconds: float = BUDGET_SECONDS,
    threads: int | None = None,
    report: Report = quiet,
    instruments: Sequence[Instrument] = (),
) -> Refusal:
    """
    Measure which passes of `pipeline` make a model slower, and leave those out.

    Takes about `budget_seconds`, what the last comparison takes beyond them; passes
    that it does not get to are kept. The arrays are random unless `inputs` has files,
    free sizes 1 for the first and else 16 unless it says; `threads` are all cores by
    default. `instruments` look on as all the passes run; the other arguments are
    `compile_model`'s. Raises SardonyxError for a model that does not compile or run.
    """
    start = time.perf_counter()
    model = load(source)
    if dims:
        specialize(model, dims)

    def build(passes: Pipeline, others: Sequence[Instrument] = ()) -> Built:
        spec, noted = text_of(passes), Noted()
        looking = [noted, *others]
        made = compile_model(model, backend, spec, None, vmap, looking, buckets)
        return Built(passes, made, noted, ast.dump(ast.parse(made.source)))

    spec, considered = choice_of(model, backend, pipeline)
    first = build(parse_pipeline(spec), instruments)
    given = inputs or Inputs()
    held = read_inputs(given.files, first.executable.inputs)
    arrays = random_for(first.executable, dict(given.sizes), given.seed, held)
    everyone = threads or describe_machine().cores
    stopwatch = ArtifactStopwatch(arrays, everyone)
    search = Search(build, stopwatch, first, start + budget_seconds, report=report)
    search.run()
    return Refusal(
        text_of(search.current.passes),
        tuple(search.decisions),
        tuple((n, str(a.dtype), tuple(a.shape)) for n, a in arrays.items()),
        everyone,
        time.perf_counter() - start,
        considered,
    )
