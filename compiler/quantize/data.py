"""
Data to calibrate or to evaluate with: an ``.npz``, a folder of them, or a loader.

An ``.npz`` has an array for every input. A folder's are taken in the order of their
names. A loader is a Python file, which is *executed*: its ``batches()`` gives a
dictionary of arrays per batch.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from ...backends.program import InputSpec
from ...dialects.errors import SardonyxError
from ..plugins import executed

ROWS = 16
"""So many samples run at a time where a model leaves that open."""


class DataError(SardonyxError):
    """Data that cannot be read, or that are none of the model's inputs."""


@dataclass(frozen=True)
class Batches:
    """Arrays by name, batch after batch, as a model takes them."""

    arrays: tuple[Mapping[str, Any], ...]

    def __len__(self) -> int:
        return len(self.arrays)

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return iter(self.arrays)

    @property
    def hash(self) -> str:
        """SHA-256 over names, types, shapes and contents."""
        digest = hashlib.sha256()
        for batch in self.arrays:
            for name, array in sorted(batch.items()):
                digest.update(f"{name!r}{array.dtype.str}{array.shape}".encode())
                digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


def read_batches(
    path: Path, specs: Sequence[InputSpec], beside: Sequence[str] = ()
) -> Batches:
    """
    The batches at `path` for a model that takes `specs`, cut to its batch size.

    Arrays with one first size all are cut along it: to the size that the model states,
    else to `ROWS`. Those called as in `beside` are kept too, where they are there.
    Raises DataError, in one line.
    """
    batches: list[Mapping[str, Any]] = []
    for place, whole in enumerate(_wholes(path)):
        where = f"{path}: batch {place}"
        missing = [spec.name for spec in specs if spec.name not in whole]
        if missing:
            raise DataError(f"{where}: found no {missing[0]!r}, wanted every input")
        names = [spec.name for spec in specs] + [n for n in beside if n in whole]
        known = {name: np.asarray(whole[name]) for name in names}
        batches += _cut(known, specs, where)
    if not batches:
        raise DataError(f"{path}: found no data")
    return Batches(tuple(batches))


def _cut(
    whole: dict[str, Any], specs: Sequence[InputSpec], where: str
) -> Iterator[dict[str, Any]]:
    """`whole` in pieces of the size that the first dimension of every input has."""
    counts = {array.shape[0] if array.ndim else None for array in whole.values()}
    firsts = {spec.shape[0] if spec.shape else None for spec in specs}
    if len(counts) != 1 or len(firsts) != 1 or None in counts | firsts:
        yield whole
        return
    count, first = counts.pop() or 0, firsts.pop()
    rows = first if isinstance(first, int) else ROWS
    if isinstance(first, int) and (rows == 0 or count % rows):
        raise DataError(f"{where}: found {count} samples, wanted a multiple of {rows}")
    for start in range(0, count, rows):
        yield {name: array[start : start + rows] for name, array in whole.items()}


def _wholes(path: Path) -> Iterator[Mapping[str, Any]]:
    if path.suffix == ".py":
        yield from _loaded(path)
    elif path.is_dir():
        for one in sorted(path.glob("*.npz")):
            yield _archive(one)
    else:
        yield _archive(path)


def _archive(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise DataError(f"{path}: cannot be read: {reason}") from error
    except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        said = " ".join(str(error).split())
        raise DataError(f"{path}: found no .npz of plain arrays: {said}") from error


def _loaded(path: Path) -> Iterator[Mapping[str, Any]]:
    """What the user's loader gives; it runs the user's code."""
    batches = getattr(executed(path), "batches", None)
    if not callable(batches):
        raise DataError(f"{path}: found no function batches()")
    given: Any = batches()
    if not isinstance(given, Iterable):
        raise DataError(
            f"{path}: batches() gave {type(given).__name__}, wanted batches"
        )
    for batch in cast(Iterable[Any], given):
        if not isinstance(batch, Mapping):
            found = type(batch).__name__
            raise DataError(f"{path}: found a batch of {found}, wanted a dictionary")
        yield cast(Mapping[str, Any], batch)
