"""
Pipelines that a model may be compiled by, and the search among them on predictions.

A unit is a pass that may run otherwise than -O2 has it: not at all, with another of the
options in its `schedule_space`, or sparing the ops of one shape (a layout or lowering
chosen for each convolution). A choice takes one alternative for every unit.
"""

from __future__ import annotations

import ast
import hashlib
import itertools
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from xdsl.passes import ModulePass

from ...dialects.errors import SardonyxError
from ..bench.protocol import Report, quiet
from ..debug.refuse import Noted, classes_of
from ..debug.refuse_specs import (
    may_be_undone,
    names_in,
    replaced,
    sparing,
    text_of,
    without,
)
from ..driver import Executable, compile_model
from ..model import Model
from ..pipelines import (
    LOWERING,
    SOMETIMES,
    parse_pipeline,
    passes_in,
    spec_of,
    spec_text,
)
from .roofline import Prediction

Pipeline: TypeAlias = tuple[ModulePass, ...]
Change: TypeAlias = Callable[[Pipeline], Pipeline]

MOST = 64
"""As many pipelines are tried at most where all are."""
MOST_SHAPES = 4
"""Of how many shapes of a pass's rewrites it may be told to spare them."""
SPARING = ("assign-layout", "fuse-regions", "merge-products")
"""Passes that may treat the ops of one shape otherwise than the others."""


@dataclass(frozen=True)
class Unit:
    """A decision: its name, and what each alternative beyond the first changes."""

    name: str
    labels: tuple[str, ...]
    """The alternatives; the first is as -O2 has it."""
    changes: tuple[Change, ...]


@dataclass(frozen=True)
class Candidate:
    """A pipeline, what it makes of the model, and how it differs from -O2."""

    choice: tuple[int, ...]
    """The alternative of each unit."""
    spec: str
    code: str
    """Of the program's syntax: programs of one syntax run alike."""
    executable: Executable = field(repr=False, compare=False)


@dataclass
class Space:
    """The pipelines of a model on a backend."""

    model: Model
    backend: str
    base: Pipeline
    """That of -O3, of which the first alternatives of all units make -O2."""
    units: tuple[Unit, ...]

    def spec(self, choice: Sequence[int]) -> str:
        """The spec of the pipeline that `choice` stands for."""
        passes = self.base
        for unit, place in zip(self.units, choice, strict=True):
            passes = unit.changes[place](passes)
        return text_of(passes)

    def build(self, choice: Sequence[int]) -> Candidate:
        """What `choice` gives. Raises SardonyxError if it does not compile."""
        spec = self.spec(choice)
        made = compile_model(self.model, self.backend, spec)
        # A program of one line for each op: its syntax, for the text has other names.
        code = ast.dump(ast.parse(made.source))
        digest = hashlib.sha256(code.encode()).hexdigest()
        return Candidate(tuple(choice), spec, digest, made)

    def candidates(
        self, choices: Sequence[tuple[int, ...]], report: Report = quiet
    ) -> Iterator[Candidate]:
        """
        What `choices` give, programs of one syntax once.

        Raises SardonyxError if the default is among them and does not compile.
        """
        seen = set[str]()
        for place, choice in enumerate(choices):
            report(self.told(choice), place, len(choices))
            try:
                made = self.build(choice)
            except SardonyxError:
                if not any(choice):
                    raise
                # A pass may need another that is left out: that is no choice.
                continue
            if made.code not in seen:
                seen.add(made.code)
                yield made

    def choices(self, most: int = MOST) -> Iterator[tuple[int, ...]]:
        """
        Every combination of as many units as give `most` or fewer, the default first.
        """
        sizes, count = list[int](), 1
        for unit in self.units:
            size = len(unit.labels)
            fits = count * size <= most
            sizes.append(size if fits else 1)
            count *= sizes[-1]
        yield from itertools.product(*map(range, sizes))

    def shuffled(self, seed: int) -> list[tuple[int, ...]]:
        """`choices` in an order that is drawn by `seed`, the default first."""
        default, *others = self.choices()
        random.Random(seed).shuffle(others)
        return [default, *others]

    def told(self, choice: Sequence[int]) -> str:
        """How `choice` differs from -O2, in words."""
        parts = [
            unit.labels[place]
            for unit, place in zip(self.units, choice, strict=True)
            if place
        ]
        return ", ".join(parts) or "as -O2"


def space_of(
    model: Model, backend: str, in_part: bool = False, more: Sequence[Unit] = ()
) -> Space:
    """
    The space of `model`: units for the passes that do something to it, and `more`.

    With `in_part` also those that spare the ops of one shape.
    """
    noted = Noted()
    full = parse_pipeline(spec_of("O3", backend))
    compile_model(model, backend, text_of(full), instruments=[noted])
    names = names_in(full, may_be_undone)
    active = [n for n in names if noted.sites.get(n) or n in noted.silent]
    counts = {name: len(noted.sites.get(name, ())) for name in active}
    # What -O2 leaves out is the first question; then whatever changes most.
    active.sort(key=lambda n: (n not in SOMETIMES, -counts[n]))
    units = [*more]
    units += [_sometimes(name) for name in active if name in SOMETIMES]
    for name in active:
        if name not in SOMETIMES:
            units.append(_in_or_out(model, full, name))
    if in_part:
        units += _parts(noted, [name for name in active if name in SPARING])
    base = full
    for name in SOMETIMES:
        if name not in active:
            base = without(base, name)
    return Space(model, backend, base, tuple(units))


def before_lowering(backend: str, name: str, specs: Mapping[str, str]) -> Unit:
    """
    A unit whose alternatives are none, or a spec that runs before a backend's lowering.

    `specs` are by the labels of the alternatives: a quantization of some layers, say.
    """
    lowering = {one.name for one in parse_pipeline(",".join(LOWERING[backend]))}

    def put(added: Pipeline) -> Change:
        def change(passes: Pipeline) -> Pipeline:
            # Lowering ends the pipeline; cse may be anywhere.
            place = len(passes)
            while place and passes[place - 1].name in lowering:
                place -= 1
            return (*passes[:place], *added, *passes[place:])

        return change

    changes = (_same, *(put(parse_pipeline(spec)) for spec in specs.values()))
    return Unit(name, ("", *specs), changes)


def _same(passes: Pipeline) -> Pipeline:
    return passes


def _sometimes(name: str) -> Unit:
    """A pass that -O3 has and -O2 leaves out."""
    labels = "", f"with {name}"
    return Unit(name, labels, (lambda passes: without(passes, name), _same))


def _in_or_out(model: Model, full: Pipeline, name: str) -> Unit:
    """A pass of -O2: left out, or with other options from its schedule space."""
    labels, changes = ["", f"without {name}"], list[Change]([_same])
    changes.append(lambda passes: without(passes, name))
    ours = next(one for one in passes_in(text_of(full)) if one.name == name)
    for other in type(ours).schedule_space(model.context, model.module):
        # A pass that estimates for a backend does so for the one of the pipeline.
        meant = getattr(other, "backend", None) == getattr(ours, "backend", None)
        if other != ours and meant:
            labels.append(spec_text(other))
            changes.append(lambda passes, new=other: replaced(passes, name, new))
    return Unit(name, tuple(labels), tuple(changes))


def _parts(noted: Noted, names: Sequence[str]) -> list[Unit]:
    """Units that spare the ops of one shape, the most frequent of every pass."""
    found: list[Unit] = []
    for name in names:
        classes = classes_of(noted.sites.get(name, []))
        for shape, sites in classes[:MOST_SHAPES] if len(classes) > 1 else ():
            nodes = frozenset[str]().union(*(site.nodes for site in sites))

            def spared(
                passes: Pipeline, name: str = name, nodes: frozenset[str] = nodes
            ) -> Pipeline:
                return sparing(passes, name, nodes)

            labels = ("", f"{name} spares {shape}")
            found.append(Unit(f"{name}: {shape}", labels, (_same, spared)))
    return found


# --- the search ---

Predict: TypeAlias = Callable[[Executable], Prediction]
"""What a call of a program is expected to take."""


@dataclass(frozen=True)
class Ranked:
    """A pipeline and what is predicted for it."""

    choice: tuple[int, ...]
    spec: str
    code: str
    prediction: Prediction

    @property
    def seconds(self) -> float:
        """Those predicted."""
        return self.prediction.seconds


def search(
    space: Space,
    predict: Predict,
    deadline: float,
    clock: Callable[[], float] = time.perf_counter,
    report: Report = quiet,
    least: int = 1,
) -> list[Ranked]:
    """
    The pipelines that were looked at until `deadline`, the fastest predicted first.

    At `least` so many are looked at, if there are, however long it takes. From -O2 on,
    the alternative of one unit that gains most is taken, as long as one gains:
    coordinate descent. Programs of one syntax stand once. Raises SardonyxError if the
    model does not compile at -O2.
    """
    best = ranked(space, (0,) * len(space.units), predict)
    seen, tried = {best.code: best}, {best.choice}

    def goes_on() -> bool:
        return len(tried) < least or clock() < deadline

    while goes_on():
        before = best
        for choice in _neighbours(space, before.choice):
            if not goes_on():
                break
            if choice in tried:
                continue
            tried.add(choice)
            report(space.told(choice), len(tried), 0)
            try:
                made = ranked(space, choice, predict)
            except SardonyxError:
                # A pass may need another that is left out: that is no choice.
                continue
            seen.setdefault(made.code, made)
            if made.seconds < best.seconds:
                best = made
        if best is before:
            break
    return sorted(seen.values(), key=lambda one: one.seconds)


def ranked(space: Space, choice: tuple[int, ...], predict: Predict) -> Ranked:
    """What `choice` gives, and what is predicted for it. Raises SardonyxError."""
    made = space.build(choice)
    return Ranked(choice, made.spec, made.code, predict(made.executable))


def _neighbours(space: Space, choice: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    for place, unit in enumerate(space.units):
        for other in range(len(unit.labels)):
            if other != choice[place]:
                yield (*choice[:place], other, *choice[place + 1 :])
