"""
Programs of models, measured beside each other for the cost model to learn from.

Seconds are those of a machine that is as fast as when its rates were measured: a
`Reference` is timed between programs. What a file of measurements has already is not
measured again, so that collecting may be stopped at any time.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...dialects.onnx.integers import IntegerValues
from ...passes.analysis.targets import Rates
from ..arguments import random_for
from ..bench.machine import describe_machine
from ..bench.protocol import Report, quiet
from ..debug.measure import Profiler, counted_ops, profiler_of, sizes_of
from ..debug.profile import Profile
from ..driver import Executable
from ..model import Model
from .calibrate import calibrate
from .facts import OpFacts, facts_of
from .measurements import Measurement, append, read_measurements
from .reference import Reference
from .search import space_of

ROUNDS = 24
"""
A program is measured so often unless more is asked for, in turn with the others of its
model.

Each round has an order of its own: with one order for all, the same program followed
the same other every time, and was up to 0.8 of what it is elsewhere. On NumPy it has
arrays of its own, too: two copies of one of MiniLM's programs differ by up to 2 %, and
of its 66 pairs 29 were in a certain order in one process that read the same arrays in
all rounds, 1 in another.
"""
TRIMMED = 4
"""Of more rounds than these, the ends are left out."""
REFERENCES = 50
"""So often the reference is timed before the rates are measured, and after."""
PROFILED = 0.2
"""Of the time for a program: the part in which its ops are measured."""
TRIED = 2
"""Pipelines are drawn so often for each program that is wanted: some give the same."""


@dataclass(frozen=True)
class Subject:
    """A program to be measured, and how it is called in the dataset."""

    model: str
    family: str
    digest: str
    """Of the model's graph."""
    executable: Executable

    @property
    def key(self) -> str:
        """See `Measurement.key`."""
        program = self.executable
        parts = (self.digest, program.backend, program.pipeline)
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def subjects_of(
    model: Model,
    name: str,
    family: str,
    backend: str,
    most: int,
    report: Report = quiet,
    sampled: bool = False,
) -> Iterator[Subject]:
    """
    Programs of a model, -O2's first: all of a space of `most` pipelines or fewer.

    With `sampled` they are so many at random of a larger space, the same every time:
    what few passes change is learned of many models.
    """
    digest, space = model_digest(model), space_of(model, backend)
    choices = list(space.choices(most))
    if sampled:
        choices = space.shuffled(int(digest, 16))[: TRIED * most]
    for made in itertools.islice(space.candidates(choices, report), most):
        yield Subject(name, family, digest, made.executable)


def model_digest(model: Model) -> str:
    """A hash of the graph as it was imported; weights do not change what takes time."""
    return hashlib.sha256(model.text().encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Machine:
    """What programs are measured on."""

    name: str
    rates: Mapping[str, Rates]
    """By backend."""
    reference: float
    """Seconds of the reference when the rates were measured."""


def this_machine(
    backends: Sequence[str], known: Iterable[Measurement] = (), report: Report = quiet
) -> Machine:
    """
    This machine, calibrated; or as it was for those of `known` that were measured here.

    What is added to a dataset is to be measured by the same rates.
    """
    described = describe_machine()
    name = f"{described.processor}, {described.cores} cores"
    here = [one for one in known if one.machine == name and one.reference]
    rates = {one.backend: one.rates for one in here}
    if here and set(backends) <= set(rates):
        return Machine(name, rates, here[0].reference)
    reference = Reference()
    times = [reference.seconds() for _ in range(REFERENCES)]
    found = calibrate(backends, report=report).backends
    times += [reference.seconds() for _ in range(REFERENCES)]
    return Machine(name, found, statistics.median(times))


def measured(
    subjects: Sequence[Subject],
    machine: Machine,
    seconds: float,
    rounds: int = ROUNDS,
) -> list[Measurement]:
    """
    Programs measured beside each other, each for about `seconds`.

    They take turns, `rounds` times, with the reference before and after each.
    """
    if not subjects:
        return []
    profilers = [profiler_of(one.executable) for one in subjects]
    profiles = [one.profile(PROFILED * seconds) for one in profilers]
    reference, each = Reference(), (1 - PROFILED) * seconds / rounds
    generator = np.random.default_rng(0)
    found: list[list[float]] = []
    for _ in range(rounds):
        order = generator.permutation(len(profilers))
        found.append(_round(profilers, order, reference, machine, each))
    turns = list(zip(*found, strict=True))
    return [
        _measurement(subject, profile, whole, of_rounds, machine)
        for subject, profile, whole, of_rounds in zip(
            subjects, profiles, settled(turns), turns, strict=True
        )
    ]


def settled(rounds: Sequence[Sequence[float]]) -> list[float]:
    """
    What each of several programs took, of ``rounds[program][round]``.

    A round that is slow for all of them is the machine's: what a round has in common
    goes into all alike, as its mean. Of what is left of a program the mean counts,
    without the least and the greatest. (Tukey's median polish, once.)
    """
    logs = np.log(np.array(rounds, np.float64))
    common = np.median(logs - np.median(logs, axis=1, keepdims=True), axis=0)
    left = np.sort(logs - common, axis=1)
    if left.shape[1] > TRIMMED:
        left = left[:, 1:-1]
    return [float(one) for one in np.exp(left.mean(axis=1) + common.mean())]


def _round(
    profilers: Sequence[Profiler],
    order: Iterable[int],
    reference: Reference,
    machine: Machine,
    each: float,
) -> list[float]:
    """The median call of each, on a machine as fast as when it was calibrated."""
    found = [math.nan] * len(profilers)
    before = reference.seconds()
    for place in order:
        taken = statistics.median(profilers[place].whole(each))
        after = reference.seconds()
        found[place] = taken * machine.reference / math.sqrt(before * after)
        before = after
    return found


def _measurement(
    subject: Subject,
    profile: Profile,
    seconds: float,
    rounds: Sequence[float],
    machine: Machine,
) -> Measurement:
    program = subject.executable
    return Measurement(
        subject.key,
        subject.model,
        subject.family,
        program.backend,
        program.pipeline,
        machine.name,
        machine.rates[program.backend],
        seconds,
        program_facts(program, profile.dims),
        tuple(op.seconds for op in profile.ops),
        tuple(rounds),
        machine.reference,
    )


def program_facts(
    program: Executable, sizes: Mapping[str, int] | None = None
) -> tuple[OpFacts, ...]:
    """
    The facts of a program's ops, in their order; free sizes as random inputs have them.
    """
    if sizes is None:
        sizes = sizes_of(program, random_for(program, {}, 0, {}), {})
    integers = IntegerValues(program.model.context.store)
    return facts_of(counted_ops(program), integers, sizes)


def collect(
    path: Path,
    groups: Iterable[Iterable[Subject]],
    machine: Machine,
    seconds: float,
    rounds: int = ROUNDS,
) -> Iterator[Measurement]:
    """
    Measure what `path` does not have yet, a group at a time, and add it there.
    """
    there = read_measurements(path) if path.exists() else []
    known = {one.key for one in there}
    for group in groups:
        subjects = [one for one in group if one.key not in known]
        known |= {one.key for one in subjects}
        for found in measured(subjects, machine, seconds, rounds):
            append(path, found)
            yield found
