"""
What a program needs to run by itself: weights, inputs, and a main.

The emitters paste these functions into every artifact, so they use only NumPy,
ml_dtypes and the standard library. The compiler calls the same ones.
"""

from __future__ import annotations

import json
import mmap
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from ..dialects.onnx.packing import BITS, dtype_of, unpack

Array: TypeAlias = Any
Spec: TypeAlias = Sequence[tuple[str, str, Sequence[int | str] | None, int | None]]
# Per input: its name, element type, shape (a name for a size that is free, None for any
# rank), and the number below which random integers make sense.


# --- weights ---


def read_weights(path: str) -> dict[str, Array]:
    """
    The tensors of a safetensors file, mapped; sub-byte elements a byte each.

    The element types that safetensors does not name stand in its metadata. Raises
    ValueError if the header and the file do not fit.
    """
    with open(path, "rb") as file:
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    size = int.from_bytes(content[:8], "little")
    if 8 + size > len(content):
        raise ValueError(f"{path}: the header ends beyond the file")
    header = json.loads(content[8 : 8 + size])
    logical = json.loads(header.pop("__metadata__", {}).get("logical", "{}"))
    data = memoryview(content)[8 + size :]
    arrays: dict[str, Array] = {}
    for key, entry in header.items():
        start, end = entry["data_offsets"]
        if not 0 <= start <= end <= len(data):
            raise ValueError(f"{path}: {key!r} lies beyond the file")
        kind, shape = logical.get(
            key, (FILE_DTYPES.get(entry["dtype"]), entry["shape"])
        )
        if kind is None:
            raise ValueError(f"{path}: {key!r} has unknown dtype {entry['dtype']!r}")
        arrays[key] = unpack(data[start:end], kind, tuple(shape))
    return arrays


FILE_DTYPES = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "U16": "uint16",
    "I16": "int16",
    "U32": "uint32",
    "I32": "int32",
    "U64": "uint64",
    "I64": "int64",
    "F16": "float16",
    "BF16": "bfloat16",
    "F32": "float32",
    "F64": "float64",
}


# --- inputs ---


def bind(spec: Spec, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any]:
    """
    The inputs in the model's order, given by position or by name, as checked arrays.

    Raises TypeError or ValueError in one line that names the input, what was found and
    what was wanted.
    """
    names = [entry[0] for entry in spec]
    if len(args) > len(names):
        raise TypeError(f"found {len(args)} inputs, wanted {len(names)}: {names}")
    given = dict(zip(names, args, strict=False))
    for name, value in kwargs.items():
        if name not in names:
            raise TypeError(f"found input {name!r}, wanted one of {names}")
        if name in given:
            raise TypeError(f"input {name!r} is given twice")
        given[name] = value
    missing = [name for name in names if name not in given]
    if missing:
        raise TypeError(f"input {missing[0]!r} is missing, wanted {names}")
    sizes: dict[str, int] = {}
    return [check_input(given[entry[0]], entry, sizes) for entry in spec]


def check_input(value: Any, entry: Any, sizes: dict[str, int]) -> Any:
    """
    `value` as an array of the dtype and shape that `entry` states.

    A name in the shape stands for one size wherever it appears; `sizes` collects them.
    """
    name, kind, shape, _ = entry
    if kind == "" or kind.startswith("map("):
        return checked_map(value, name, kind) if kind else value
    array = value if hasattr(value, "dtype") else np.asarray(value)
    wanted = dtype_of(kind)
    if kind == "string" and array.dtype.kind in "US":
        array = array.astype(object)
    if array.dtype != wanted:
        raise TypeError(f"input {name!r}: found dtype {array.dtype}, wanted {wanted}")
    if shape is None:
        return array
    found = tuple(array.shape)
    fits = len(found) == len(shape)
    for size, dim in zip(found, shape, strict=False):
        fits = fits and size == (
            dim if isinstance(dim, int) else sizes.setdefault(dim, size)
        )
    if not fits:
        known = ", ".join(f"{dim}={size}" for dim, size in sizes.items())
        where = f" with {known}" if known else ""
        shown = "[" + ", ".join(map(str, shape)) + "]"
        raise ValueError(
            f"input {name!r}: found shape {list(found)}, wanted {shown}{where}"
        )
    return array


def checked_map(value: Any, name: str, kind: str) -> dict[Any, Any]:
    """
    The dict `value` with keys and values of the types that `kind` states.

    Keys are Python's own strings or integers, numbers are NumPy's scalars.
    """
    if not isinstance(value, dict):
        found = type(value).__name__
        raise TypeError(f"input {name!r}: found {found}, wanted a dict for {kind}")
    items: dict[Any, Any] = value  # pyright: ignore[reportUnknownVariableType]
    types = kind[len("map(") : -1].split(", ")
    make_key = str if types[0] == "string" else int
    make_value = str if types[1] == "string" else dtype_of(types[1]).type
    try:
        return {make_key(key): make_value(item) for key, item in items.items()}
    except (TypeError, ValueError) as error:
        raise TypeError(f"input {name!r}: {error}, wanted {kind}") from error


def random_inputs(
    spec: Spec, dims: Mapping[str, int], seed: int = 0
) -> dict[str, Array]:
    """
    A random array for every input; free sizes are taken from `dims`, else 1 or 16.

    Floats are standard normal. An integer input is uniform below the bound that its use
    sets (the rows of the table that it indexes), or below 256. Raises ValueError that
    names an input of which there is no random value.
    """
    rng = np.random.default_rng(seed)
    arrays: dict[str, Array] = {}
    for name, kind, shape, bound in spec:
        if kind in ("", "string") or kind.startswith("map("):
            found = f"no random value of type {kind or 'sequence'}"
            raise ValueError(f"input {name!r}: found {found}, wanted it given")
        sizes = [
            dim if isinstance(dim, int) else dims.get(dim, 1 if place == 0 else 16)
            for place, dim in enumerate(shape or ())
        ]
        arrays[name] = random_array(rng, kind, sizes, bound)
    return arrays


def random_array(
    rng: np.random.Generator, kind: str, shape: Sequence[int], bound: int | None
) -> Array:
    """A random array of a numeric element type."""
    dtype = dtype_of(kind)
    if kind == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    if kind.startswith(("int", "uint")):
        limit = 1 << (BITS.get(kind, 8) - (not kind.startswith("u")))
        high = 256 if dtype.itemsize > 1 else limit
        return rng.integers(0, bound or high, shape).astype(dtype)
    return rng.standard_normal(shape).astype(dtype)


# --- main ---


def summary(array: Any) -> str:
    """Type, shape and statistics of an output, in one line."""
    if array is None or isinstance(array, list | dict):
        return "nothing" if array is None else collection_summary(array)
    array = np.asarray(array)
    text = f"{array.dtype}{list(array.shape)}"
    if array.dtype.kind in "OUS" or not array.size:
        return text
    wide = np.abs(array) if array.dtype.kind == "c" else array
    wide = wide.astype(np.float64)
    statistics = (("min", wide.min()), ("mean", wide.mean()), ("max", wide.max()))
    return text + "".join(f"  {name} {value:.6g}" for name, value in statistics)


def collection_summary(items: Any) -> str:
    """A sequence by its length and, of maps, its first; a map by its first entries."""
    if isinstance(items, list):
        text = f"sequence of {len(items)}"  # pyright: ignore[reportUnknownArgumentType]
        is_of_maps = bool(items) and isinstance(items[0], dict)  # pyright: ignore[reportUnknownArgumentType]
        return f"{text}, the first a {summary(items[0])}" if is_of_maps else text
    entries: list[str] = []
    for key, item in list(items.items())[:8]:
        entries.append(f"{key!a}: {ascii(str(item))[1:-1]}")
    more = ", ..." if len(items) > len(entries) else ""
    return f"map of {len(items)} {{{', '.join(entries)}{more}}}"


def main(
    run: Callable[..., Sequence[Any]], inputs: Spec, outputs: Sequence[str]
) -> None:
    """Run the model on random input and print what comes out, and the median time."""
    arrays = random_inputs(inputs, {})
    for name, array in arrays.items():
        print("input ", ascii(name), summary(array))
    results = run(**arrays)
    for name, result in zip(outputs, results, strict=True):
        print("output", ascii(name), summary(result))
    seconds: list[float] = []
    while len(seconds) < 10 and (len(seconds) < 3 or sum(seconds) < 2):
        start = time.perf_counter()
        run(**arrays)
        seconds.append(time.perf_counter() - start)
    median = sorted(seconds)[len(seconds) // 2]
    print(f"median of {len(seconds)} runs: {1e3 * median:.3f} ms")
