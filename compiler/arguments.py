"""What the command line's arguments say: numbers, sizes, arrays in files."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, cast

import numpy as np
import typer

from ..backends.program import InputSpec
from ..backends.runtime import dtype_of
from ..dialects.errors import SardonyxError
from .driver import random_by_name
from .pipelines import read_pipeline
from .show import describe_array, first_line


class Level(StrEnum):
    """How much is optimized."""

    O0 = "0"
    O1 = "1"
    O2 = "2"
    O3 = "3"


def natural(given: object, least: int = 0) -> int:
    """A whole number from `least` on."""
    text = str(given)
    digits = text.isascii() and text.isdigit() and len(text) <= 18
    if not digits or int(text) < least:
        wanted = f"a whole number from {least} on"
        raise typer.BadParameter(f"found {text!r}, wanted {wanted}")
    return int(text)


def positive(given: object) -> int:
    """A whole number from 1 on."""
    return natural(given, 1)


def fraction(given: object) -> float:
    """A finite number from 0 on."""
    text = str(given)
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise typer.BadParameter(f"found {text!r}, wanted a number from 0 on")
    return number


_DECIMAL = {"": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9}
_UNITS = {**_DECIMAL, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}
_BYTES = re.compile(r"(\d{1,15}(?:\.\d{1,6})?)\s*([a-z]*)", re.ASCII | re.IGNORECASE)


def parse_bytes(given: object) -> int:
    """A size in bytes from 1 on: ``80MB``, ``1.5 GiB``, ``4096``."""
    found = _BYTES.fullmatch(str(given).strip())
    unit = None if found is None else _UNITS.get(found[2].lower())
    size = 0 if found is None or unit is None else int(float(found[1]) * unit)
    if size < 1:
        raise typer.BadParameter(f"found {str(given)!r}, wanted a size: 80MB, 1.5GiB")
    return size


def pipeline_of(level: Level, passes: str | None) -> str:
    """The pipeline that -O and -p say; -p wins, and of ``@FILE`` what FILE says."""
    if passes is None:
        return level.name
    named = passes.startswith("@")
    return read_pipeline(Path(passes[1:])) if named else passes


def parse_dims(entries: Sequence[str] | None) -> dict[str, int]:
    """``NAME=N`` options as sizes by name."""
    sizes: dict[str, int] = {}
    for entry in entries or ():
        name, _, size = entry.rpartition("=")
        if not name or not size.isascii() or not size.isdigit() or len(size) > 12:
            raise SardonyxError(f"--dim: found {entry!r}, wanted NAME=N")
        if int(size) < 1 or name in sizes:
            # ONNX reads a 0 in a Reshape's shape as "copy", so no size of 0 is safe.
            wanted = "a size from 1 on, each name once"
            raise SardonyxError(f"--dim: found {entry!r}, wanted {wanted}")
        sizes[name] = int(size)
    return sizes


def parse_buckets(entries: Sequence[str] | None) -> dict[str, tuple[int, ...]]:
    """``NAME=N,N,…`` options as sizes by name."""
    buckets: dict[str, tuple[int, ...]] = {}
    for entry in entries or ():
        name, _, given = entry.rpartition("=")
        sizes = given.split(",")
        plain = all(s.isascii() and s.isdigit() and len(s) <= 12 for s in sizes)
        if not name or not plain or name in buckets:
            wanted = "NAME=N,N,..., each name once"
            raise SardonyxError(f"--bucket: found {entry!r}, wanted {wanted}")
        buckets[name] = tuple(map(int, sizes))
    return buckets


def check_dims(sizes: dict[str, int], executable: Any) -> None:
    """Raise SardonyxError unless every size is that of a free dimension."""
    known = {d for spec in executable.inputs for d in spec.shape or ()}
    free = sorted(d for d in known if isinstance(d, str))
    for name in sizes:
        if name not in free:
            wanted = ", ".join(free) or "none: every size is fixed"
            raise SardonyxError(f"--dim: found dimension {name!r}, wanted {wanted}")


def read_inputs(entries: Sequence[str], specs: Sequence[InputSpec]) -> dict[str, Any]:
    """``NAME=FILE.npy`` options as arrays by name."""
    dtypes = {spec.name: spec.dtype for spec in specs}
    names = list(dtypes)
    arrays: dict[str, Any] = {}
    for entry in entries:
        name, _, path = entry.rpartition("=")
        if not name:
            raise SardonyxError(f"-i: found {entry!r}, wanted NAME=FILE.npy")
        if name not in names:
            raise SardonyxError(f"-i: found input {name!r}, wanted one of {names}")
        array = read_npy(name, path)
        if array.dtype.kind == "V" and dtypes[name]:
            # The format has no name for bfloat16 and its like: they come as bytes.
            wanted = dtype_of(dtypes[name])
            if wanted.itemsize == array.dtype.itemsize and wanted.kind != "O":
                array = array.view(wanted)
        arrays[name] = array
    return arrays


def read_npy(name: str, path: str) -> Any:
    """The array in a .npy file, for the input `name`."""
    try:
        with open(path, "rb") as file:
            return np.lib.format.read_array(file, allow_pickle=False)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
    except Exception as error:
        # NumPy parses the header as Python and raises whatever that raises.
        reason = f"found no plain .npy array: {first_line(error)}"
    raise SardonyxError(f"-i {name}: {path}: cannot be read: {reason}")


def random_for(
    executable: Any, dims: dict[str, int], seed: int, given: dict[str, Any]
) -> dict[str, Any]:
    """The inputs `given`, and random ones whose free sizes fit them."""
    sizes = dict(dims)
    for spec in executable.inputs:
        if spec.name in given and spec.shape is not None:
            for dim, size in zip(spec.shape, np.shape(given[spec.name]), strict=False):
                if isinstance(dim, str):
                    sizes.setdefault(dim, size)
    return random_by_name(executable, sizes, seed, given)


def write_outputs(folder: Path, names: Sequence[str], results: Sequence[Any]) -> None:
    """
    Write the outputs as ``0-name.npy`` …, a sequence's items one by one.

    Maps, and sequences of them, are written as ``0-name.json``.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for place, (name, value) in enumerate(zip(names, results, strict=True)):
            stem = f"{place}-" + "".join(c if c.isalnum() else "_" for c in name)[:60]
            if is_of_maps(value):
                maps = describe_array(value)
                (folder / f"{stem}.json").write_text(json.dumps(maps) + "\n")
            elif isinstance(value, list):
                for number, item in enumerate(cast(list[Any], value)):
                    write_npy(folder / f"{stem}-{number}.npy", item)
            elif value is not None:
                write_npy(folder / f"{stem}.npy", value)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise SardonyxError(f"{folder}: cannot be written: {reason}") from error


def is_of_maps(value: Any) -> bool:
    """Whether an output is a map or a sequence of them."""
    items = cast(list[Any], value) if isinstance(value, list) else [value]
    return bool(items) and isinstance(items[0], dict)


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all; text as UTF-8."""
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_npy(path: Path, value: Any) -> None:
    """Write an array whole or not at all; strings as NumPy's own."""
    array = np.asarray(value)
    if array.dtype == object:
        array = array.astype(str)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            np.lib.format.write_array(file, array, allow_pickle=False)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
