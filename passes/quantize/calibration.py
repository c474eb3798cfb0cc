"""
The table that calibration gives to passes: statistics by the name of a value.

It is a file, so that the spec of a pass can name it and a pipeline can be replayed: an
``.npz`` of plain arrays.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from ...dialects.errors import SardonyxError
from .statistics import BINS, Statistics

FORMAT = 1
"""The number of the file's form."""


class CalibrationError(SardonyxError):
    """A calibration that cannot be read, or that lacks what a pass needs."""


@dataclass(frozen=True)
class Calibration:
    """What was measured, by the name that `value_names` gives."""

    values: Mapping[str, Statistics] = field(
        default_factory=lambda: MappingProxyType({})
    )

    def save(self, path: Path) -> None:
        """Write the table; the same table gives the same bytes."""
        found = list(self.values.values())
        arrays: dict[str, Any] = {
            "format": np.int64(FORMAT),
            "names": np.array([name.encode() for name in self.values], np.bytes_),
            "ranges": np.array(
                [(s.low, s.high, s.reach) for s in found], np.float64
            ).reshape(-1, 3),
        }
        for place, statistics in enumerate(found):
            arrays[f"bins/{place}"] = statistics.bins
            arrays[f"channels/{place}"] = statistics.channels
            if statistics.second is not None:
                arrays[f"second/{place}"] = statistics.second
        with path.open("wb") as file:
            np.savez_compressed(file, **arrays)

    @classmethod
    def load(cls, path: str | Path) -> Calibration:
        """The table in a file; CalibrationError if it holds none."""
        try:
            with open(path, "rb") as raw, np.load(raw, allow_pickle=False) as file:
                if int(file["format"]) != FORMAT:
                    raise ValueError(f"found form {int(file['format'])}")
                return cls(MappingProxyType(_values(file)))
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise CalibrationError(f"{path}: cannot be read: {reason}") from error
        except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            said = " ".join(str(error).split())
            raise CalibrationError(f"{path}: not a calibration: {said}") from error


def _values(file: Mapping[str, Any]) -> dict[str, Statistics]:
    names, ranges = file["names"], file["ranges"]
    present = set(file)
    if ranges.shape != (len(names), 3):
        raise ValueError(f"found ranges of shape {ranges.shape} for {len(names)} names")
    values: dict[str, Statistics] = {}
    for place, name in enumerate(names):
        low, high, reach = map(float, ranges[place])
        bins = file[f"bins/{place}"]
        if bins.shape != (BINS,) or not low <= high <= reach:
            raise ValueError(f"found no histogram of {name.decode()!r}")
        second = file[f"second/{place}"] if f"second/{place}" in present else None
        channels = file[f"channels/{place}"]
        known = Statistics(low, high, channels, bins, reach, second)
        values[name.decode()] = known
    return values


def required(path: str, who: str) -> Calibration:
    """The calibration that the spec of pass `who` names; CalibrationError if none."""
    if not path:
        raise CalibrationError(
            f'{who}: found no calibration, wanted {who}{{calibration="FILE"}}'
        )
    return Calibration.load(path)
