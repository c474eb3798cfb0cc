"""
Programs of models, measured beside each other for the cost model to learn from.

Seconds are those of a machine that is as fast as when its rates were measured: a
`Reference` is timed meanwhile, as a whole. What a file of measurements has already is
not measured again, so that collecting may be stopped at any time.
"""

from __future__ import annotations

import hashlib
import itertools
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from ...dialects.onnx.integers import IntegerValues
from ...passes.analysis.targets import Rates
from ..arguments import random_for
from ..bench.machine import describe_machine
from ..bench.protocol import Report, quiet
from ..debug.measure import counted_ops, profile_executable, sizes_of
from ..driver import Executable, call_by_name
from ..model import Model
from .calibrate import calibrate
from .facts import OpFacts, facts_of
from .measurements import Measurement, append, read_measurements
from .reference import Reference
from .search import space_of
from .turns import Calls, calls_of, in_turns, settled

ROUNDS = 24
"""A program is timed so often unless more is asked for, see `in_turns`."""
REFERENCES = 50
"""So often the reference is timed before the rates are measured, and after."""
PROBE_SECONDS = 2.0
"""For each probe of the rates, which all that is learned is beside."""
PROFILED = 0.2
"""Of the time for a program: the part in which its ops are measured."""
BESIDE, BESIDE_BYTES = 48, 2 << 30
"""Models are measured beside each other until they have so many programs or weights."""
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
    if sampled:
        choices = space.shuffled(int(digest, 16))[: TRIED * most]
    else:
        choices = list(space.choices(most))
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
    found = calibrate(backends, PROBE_SECONDS, report).backends
    times += [reference.seconds() for _ in range(REFERENCES)]
    return Machine(name, found, statistics.median(times))


def measured(
    groups: Sequence[Sequence[Subject]],
    machine: Machine,
    seconds: float,
    rounds: int = ROUNDS,
    report: Report = quiet,
) -> list[Measurement]:
    """
    Programs measured beside each other, each for about `seconds`; a group is a model's.
    """
    groups = list(filter(None, groups))
    if not groups:
        return []
    made = [[_prepared(one, machine, seconds) for one in group] for group in groups]
    programs = [[calls for calls, _, _ in group] for group in made]

    def advance(turn: int) -> None:
        report("rounds", turn, rounds)

    found = in_turns(programs, (1 - PROFILED) * seconds / rounds, rounds, advance)
    # What they would take on a machine as fast as when it was calibrated.
    pace = machine.reference / found.reference
    return [
        _measurement(subject, ops, op_seconds, whole, of_rounds, machine, pace)
        for group, prepared, turns in zip(groups, made, found.seconds, strict=True)
        for subject, (_, ops, op_seconds), whole, of_rounds in zip(
            group, prepared, settled(turns), turns, strict=True
        )
    ]


Prepared: TypeAlias = tuple[Calls, tuple[OpFacts, ...], tuple[float | None, ...]]
"""A program that was called, its ops, and what each takes if a profiler can tell."""


def _prepared(subject: Subject, machine: Machine, seconds: float) -> Prepared:
    program = subject.executable
    arrays = random_for(program, {}, 0, {})
    ops = program_facts(program, sizes_of(program, arrays, {}))
    if machine.rates[program.backend].fuses:
        # Of kernels that run beside each other a profiler tells no op's time.
        call_by_name(program, arrays)
        return calls_of(program, arrays), ops, (None,) * len(ops)
    profile = profile_executable(program, budget_seconds=PROFILED * seconds)
    taken = tuple(op.seconds for op in profile.ops)
    return calls_of(program, arrays), ops, taken


def _measurement(
    subject: Subject,
    ops: tuple[OpFacts, ...],
    op_seconds: tuple[float | None, ...],
    seconds: float,
    rounds: Sequence[float],
    machine: Machine,
    pace: float,
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
        pace * seconds,
        ops,
        op_seconds,
        tuple(pace * one for one in rounds),
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
    report: Report = quiet,
) -> Iterator[Measurement]:
    """
    Measure what `path` does not have yet, some groups at a time, and add it there.
    """
    there = read_measurements(path) if path.exists() else []
    known = {one.key for one in there}
    for batch in _batches(groups, known):
        for found in measured(batch, machine, seconds, rounds, report):
            append(path, found)
            yield found


def _batches(
    groups: Iterable[Iterable[Subject]], known: set[str]
) -> Iterator[list[list[Subject]]]:
    """What is not `known`, groups together until they are enough."""
    batch: list[list[Subject]] = []
    count = size = 0
    for group in groups:
        subjects = [one for one in group if one.key not in known]
        known |= {one.key for one in subjects}
        batch.append(subjects)
        count += len(subjects)
        size += sum(map(_weight_bytes, subjects))
        if count >= BESIDE or size >= BESIDE_BYTES:
            yield batch
            batch, count, size = [], 0, 0
    yield batch


def _weight_bytes(subject: Subject) -> int:
    program = subject.executable
    store = program.model.context.store
    return sum(store[key].file_bytes for key in program.program.weights)
