"""
Measurements of programs, kept as JSON lines: one program of a model on a backend each.

    {"format": "sardonyx-measurement-1", "model": …, "family": …, "backend": …,
     "pipeline": …, "seconds": …, "ops": [[seconds, facts…], …], "order": [0, 1, 0, …]}

Seconds are those of a machine that is as fast as when its rates were measured: a
`Reference` is timed between programs. A file is only ever added to. What it has already
is not measured again, so that collecting may be stopped at any time; a line that was
cut short is left out.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import math
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from ...dialects.errors import SardonyxError
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
from .facts import OpFacts, facts_from_json, facts_of
from .reference import Reference
from .search import space_of

FORMAT = "sardonyx-measurement-1"
MAX_LINE = 1 << 24
"""Longer lines are none that we wrote."""


class DatasetError(SardonyxError):
    """A file of measurements that cannot be read or written."""


@dataclass(frozen=True)
class Measurement:
    """What one program took."""

    key: str
    """Of the model's file, the backend, the pipeline and the sizes."""
    model: str
    family: str
    """Models of one family are never on both sides of a split."""
    backend: str
    pipeline: str
    machine: str
    rates: Rates
    seconds: float
    """A call of the whole program, of all `rounds`: see `settled`."""
    ops: tuple[OpFacts, ...]
    """In the program's order."""
    op_seconds: tuple[float | None, ...]
    """What each took; None where it cannot be told."""
    rounds: tuple[float, ...] = ()
    """
    The median call in each round, in which all programs of the model took turns.
    """
    reference: float = 0.0
    """What the reference took when the rates were measured; 0 if it was not timed."""

    def as_json(self) -> dict[str, Any]:
        """For a line: equal ops stand once, with their mean time."""
        unique: dict[OpFacts, list[float | None]] = {}
        for facts, seconds in zip(self.ops, self.op_seconds, strict=True):
            unique.setdefault(facts, []).append(seconds)
        places = {facts: place for place, facts in enumerate(unique)}
        return {
            "format": FORMAT,
            "key": self.key,
            "model": self.model,
            "family": self.family,
            "backend": self.backend,
            "pipeline": self.pipeline,
            "machine": self.machine,
            "rates": {name: _short(rate) for name, rate in asdict(self.rates).items()},
            "seconds": _short(self.seconds),
            "ops": [
                [_mean(times), *facts.as_json()] for facts, times in unique.items()
            ],
            "order": [places[facts] for facts in self.ops],
            "rounds": [_short(one) for one in self.rounds],
            "reference": _short(self.reference),
        }


def _short(value: float) -> float:
    return value if isinstance(value, bool) else float(f"{value:.4g}")


def _mean(times: Sequence[float | None]) -> float | None:
    known = [seconds for seconds in times if seconds is not None]
    return _short(sum(known) / len(known)) if known else None


def measurement_from_json(content: Any) -> Measurement:
    """
    What `Measurement.as_json` gave.

    Raises KeyError, TypeError or ValueError for something else.
    """
    if content["format"] != FORMAT:
        raise ValueError(f"found format {content['format']!r}, wanted {FORMAT!r}")
    entries = cast(list[list[Any]], content["ops"])
    unique = [facts_from_json(entry[1:]) for entry in entries]
    times = [None if entry[0] is None else float(entry[0]) for entry in entries]
    order = [int(place) for place in content["order"]]
    rates = {str(n): _number(rate) for n, rate in content["rates"].items()}
    words = ("key", "model", "family", "backend", "pipeline", "machine")
    key, model, family, backend, pipeline, machine = (str(content[w]) for w in words)
    return Measurement(
        key,
        model,
        family,
        backend,
        pipeline,
        machine,
        Rates(**cast(Any, rates)),
        float(content["seconds"]),
        tuple(unique[place] for place in order),
        tuple(times[place] for place in order),
        tuple(float(one) for one in content.get("rounds", ())),
        float(content.get("reference", 0.0)),
    )


def _number(value: Any) -> float:
    return value if isinstance(value, bool) else float(value)


# --- files ---


def read_measurements(path: Path) -> list[Measurement]:
    """
    The measurements of a file of JSON lines, compressed if it ends with ``.gz``.

    A last line that was cut short is left out. Raises DatasetError for other damage.
    """
    return list(_read(path))


def _read(path: Path) -> Iterator[Measurement]:
    number = 0
    try:
        with _opened(path) as stream:
            while line := stream.readline(MAX_LINE):
                number += 1
                if not line.endswith("\n"):
                    return
                yield measurement_from_json(json.loads(line))
    except (OSError, EOFError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise DatasetError(f"{path}: cannot be read: {reason}") from error
    except (ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
        told = f"{type(error).__name__}: {error}"
        raise DatasetError(f"{path}:{number}: found no measurement ({told})") from error


def _opened(path: Path) -> Any:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8")
    return path.open(encoding="utf-8")


def append(path: Path, found: Measurement) -> None:
    """Add a line to the file, made if it is missing."""
    _mend(path)
    with path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(found.as_json(), separators=(",", ":")) + "\n")


def _mend(path: Path) -> None:
    """End a last line that was cut short, for the next to be one of its own."""
    if not path.exists() or not path.stat().st_size:
        return
    with path.open("rb+") as stream:
        stream.seek(-1, 2)
        if stream.read(1) != b"\n":
            stream.seek(0)
            whole = stream.read().rfind(b"\n") + 1
            stream.truncate(whole)


# --- measuring ---

ROUNDS = 24
"""
A program is measured so often, in turn with the others of its model.

Each round has an order of its own: with one order for all, the same program followed
the same other every time, and was up to 0.8 of what it is elsewhere.
"""
TRIMMED = 4
"""Of more rounds than these, the ends are left out."""
REFERENCES = 50
"""So often the reference is timed before the rates are measured, and after."""
PROFILED = 0.2
"""Of the time for a program: the part in which its ops are measured."""


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
) -> Iterator[Subject]:
    """The programs that `Space.candidates` gives of a model."""
    digest = model_digest(model)
    for made in space_of(model, backend).candidates(most, report):
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
    subjects: Sequence[Subject], machine: Machine, seconds: float
) -> list[Measurement]:
    """
    Programs measured beside each other, each for about `seconds`.

    They take turns, `ROUNDS` times, with the reference before and after each.
    """
    if not subjects:
        return []
    profilers = [profiler_of(one.executable) for one in subjects]
    profiles = [one.profile(PROFILED * seconds) for one in profilers]
    reference, each = Reference(), (1 - PROFILED) * seconds / ROUNDS
    generator = np.random.default_rng(0)
    rounds: list[list[float]] = []
    for _ in range(ROUNDS):
        order = generator.permutation(len(profilers))
        rounds.append(_round(profilers, order, reference, machine, each))
    turns = list(zip(*rounds, strict=True))
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
) -> Iterator[Measurement]:
    """
    Measure what `path` does not have yet, a group at a time, and add it there.
    """
    there = read_measurements(path) if path.exists() else []
    known = {one.key for one in there}
    for group in groups:
        subjects = [one for one in group if one.key not in known]
        known |= {one.key for one in subjects}
        for found in measured(subjects, machine, seconds):
            append(path, found)
            yield found
