"""
Measurements of programs, kept as JSON lines: one program of a model on a backend each.

    {"format": "sardonyx-measurement-2", "model": …, "family": …, "backend": …,
     "pipeline": …, "seconds": …, "ops": [[seconds, facts…], …], "order": [0, 1, 0, …]}

What collects only ever adds to a file; a line that was cut short is left out.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from ...dialects.errors import SardonyxError
from ...passes.analysis.targets import Rates
from .facts import OpFacts, facts_from_json

FORMAT = "sardonyx-measurement-2"
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
        stream.write(line_of(found))


def line_of(one: Measurement) -> str:
    """What a file has of it, with the end of the line."""
    return json.dumps(one.as_json(), separators=(",", ":")) + "\n"


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
