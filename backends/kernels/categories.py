"""
Kernels of ai.onnx.ml that look categories up, and those on maps (Python dicts).

Strings and maps are NumPy's and Python's alone: a kernel on them cannot be traced.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = Any


# --- tensors ---


def found_at(xp: Any, x: Array, keys: Array) -> tuple[Array, Array]:
    """
    Where each element of `x` is in `keys`, and whether it is; nan equals nan.

    Of equal keys the last one counts.
    """
    if keys.dtype == object:
        table = {key: place for place, key in enumerate(keys.tolist())}
        flat = [table.get(item, -1) for item in np.asarray(x).reshape(-1).tolist()]
        places = np.array(flat, np.int64).reshape(x.shape)
        return np.maximum(places, 0), places >= 0
    if not len(keys):
        return xp.zeros(x.shape, np.int64), xp.zeros(x.shape, bool)
    # NumPy and JAX sort nan behind everything, and find it there.
    order = np.argsort(keys, kind="stable")
    ordered = xp.asarray(keys[order])
    right = xp.searchsorted(ordered, x, side="right") - 1
    nearest = xp.take(ordered, xp.maximum(right, 0))
    equal = nearest == x
    if keys.dtype.kind == "f":
        equal = equal | (xp.isnan(nearest) & xp.isnan(x))
    return xp.take(xp.asarray(order), xp.maximum(right, 0)), equal & (right >= 0)


def label_encoder(
    xp: Any,
    x: Array,
    default_float: float = -0.0,
    default_int64: int = -1,
    default_string: str = "_Unused",
    default_tensor: Array | None = None,
    keys_floats: tuple[float, ...] | None = None,
    keys_int64s: tuple[int, ...] | None = None,
    keys_strings: tuple[str, ...] | None = None,
    keys_tensor: Array | None = None,
    values_floats: tuple[float, ...] | None = None,
    values_int64s: tuple[int, ...] | None = None,
    values_strings: tuple[str, ...] | None = None,
    values_tensor: Array | None = None,
) -> Array:
    """The value of each key in `x`, or the default of the values' type."""
    keys = listed(keys_floats, keys_int64s, keys_strings, keys_tensor, "keys")
    values = listed(
        values_floats, values_int64s, values_strings, values_tensor, "values"
    )
    if len(keys) != len(values):
        raise ValueError(f"found {len(keys)} keys and {len(values)} values")
    if (keys.dtype == object) != (x.dtype == object):
        raise ValueError(f"found an input of {x.dtype}, wanted that of the keys")
    if default_tensor is not None:
        default = np.asarray(default_tensor).reshape(-1)[0]
    elif values.dtype == object:
        default = default_string
    else:
        default = default_float if values.dtype.kind == "f" else default_int64
    return mapped(xp, x, keys, values, default)


def mapped(xp: Any, x: Array, keys: Array, values: Array, default: Any) -> Array:
    """`values` at the places of `keys` where `x` has them, elsewhere `default`."""
    if not len(keys):
        keys, values = np.zeros(0, keys.dtype), np.array([default], values.dtype)
    places, found = found_at(xp, x, keys)
    if values.dtype == object:
        texts = values[np.asarray(places)]
        return np.where(np.asarray(found), texts, np.array(default, object))
    other = xp.asarray(np.array(default, values.dtype))
    return xp.where(found, xp.take(xp.asarray(values), places), other)


def listed(
    floats: tuple[float, ...] | None,
    integers: tuple[int, ...] | None,
    strings: tuple[str, ...] | None,
    tensor: Array | None,
    name: str,
) -> Array:
    """The one list among attributes of several types; ValueError unless it is one."""
    given: list[Array] = []
    if floats is not None:
        given.append(np.array(floats, np.float32))
    if integers is not None:
        given.append(np.array(integers, np.int64))
    if strings is not None:
        given.append(np.array(strings, object))
    if tensor is not None:
        array = np.asarray(tensor).reshape(-1)
        given.append(array.astype(object) if array.dtype.kind in "US" else array)
    if len(given) != 1:
        raise ValueError(f"found {len(given)} lists of {name}, wanted one")
    return given[0]


def one_hot_encoder(
    xp: Any,
    x: Array,
    cats_int64s: tuple[int, ...] | None = None,
    cats_strings: tuple[str, ...] | None = None,
    zeros: int = 1,
) -> Array:
    """
    1 on a new last axis at the place of each element's category, float32.

    An element of no category is all zeros; NumPy refuses it unless `zeros`.
    """
    if bool(cats_int64s) == bool(cats_strings):
        raise ValueError("found no categories or two lists of them, wanted one")
    keys = np.array(cats_strings, object) if cats_strings else np.array(cats_int64s)
    items = x if cats_strings else x.astype(np.int64)
    places, found = found_at(xp, items, keys)
    if not zeros and isinstance(found, np.ndarray) and not found.all():
        unknown = np.asarray(x)[~found].tolist()[0]
        raise ValueError(f"found {unknown!r}, which is no category, and zeros is 0")
    each = xp.asarray(np.arange(len(keys)))
    return ((places[..., None] == each) & found[..., None]).astype(np.float32)


def category_mapper(
    xp: Any,
    x: Array,
    cats_int64s: tuple[int, ...] | None = None,
    cats_strings: tuple[str, ...] | None = None,
    default_int64: int = -1,
    default_string: str = "_Unused",
) -> Array:
    """The integer of each string in `x`, or the string of each integer."""
    numbers = np.array(cats_int64s or (), np.int64)
    texts = np.array(cats_strings or (), object)
    if len(numbers) != len(texts):
        raise ValueError(f"found {len(numbers)} integers and {len(texts)} strings")
    if x.dtype == object:
        return mapped(xp, x, texts, numbers, default_int64)
    return mapped(xp, x, numbers, texts, default_string)


# --- maps ---


def dict_vectorizer(
    xp: Any,
    x: Mapping[Any, Any],
    int64_vocabulary: tuple[int, ...] | None = None,
    string_vocabulary: tuple[str, ...] | None = None,
) -> Array:
    """The values [1, C] of the map `x` in the vocabulary's order, 0 for the others."""
    if bool(int64_vocabulary) == bool(string_vocabulary):
        raise ValueError("found no vocabulary or two of them, wanted one")
    vocabulary = int64_vocabulary or string_vocabulary or ()
    known = set(vocabulary)
    for key in x:
        if key not in known:
            raise ValueError(f"found key {key!r}, which is not in the vocabulary")
    dtype = values_dtype(x)
    empty = "" if dtype.kind == "O" else 0
    return np.array([[x.get(key, empty) for key in vocabulary]], dtype)


def values_dtype(x: Mapping[Any, Any]) -> np.dtype[Any]:
    """The dtype of a map's values; a Python float counts as float32."""
    for value in x.values():
        if isinstance(value, str):
            return np.dtype(object)
        if hasattr(value, "dtype"):
            return np.dtype(value.dtype)
        return np.dtype(np.float32 if isinstance(value, float) else np.int64)
    return np.dtype(np.float32)


def cast_map(
    xp: Any,
    x: Mapping[int, Any],
    cast_to: str = "TO_FLOAT",
    map_form: str = "DENSE",
    max_map: int = 1,
) -> Array:
    """
    The values [1, C] of the map `x` in the order of its keys, as `cast_to` says.

    SPARSE puts each at its key, below `max_map`, between zeros or empty strings.
    """
    dtypes = {"TO_FLOAT": np.float32, "TO_STRING": object, "TO_INT64": np.int64}
    if cast_to not in dtypes:
        raise ValueError(f"cast_to is {cast_to!r}, wanted one of {', '.join(dtypes)}")
    if map_form not in ("DENSE", "SPARSE"):
        raise ValueError(f"map_form is {map_form!r}, wanted DENSE or SPARSE")
    if map_form == "DENSE":
        items = [cast_item(x[key], cast_to) for key in sorted(x)]
        return np.array([items], dtypes[cast_to]).reshape((1, len(items)))
    row = np.full((1, max_map), "" if cast_to == "TO_STRING" else 0, dtypes[cast_to])
    for key, value in x.items():
        if not 0 <= key < max_map:
            raise ValueError(f"found key {key}, wanted one below max_map, {max_map}")
        row[0, key] = cast_item(value, cast_to)
    return row


def cast_item(value: Any, cast_to: str) -> Any:
    """A value of a map as a float, string or integer."""
    if cast_to == "TO_STRING":
        return value if isinstance(value, str) else f"{float(value):f}"
    return float(value) if cast_to == "TO_FLOAT" else int(float(value))


def zip_map(
    xp: Any,
    x: Array,
    classlabels_int64s: tuple[int, ...] | None = None,
    classlabels_strings: tuple[str, ...] | None = None,
) -> list[dict[Any, Any]]:
    """A map from class label to score for each row of `x` [N, C]; a vector is one."""
    if bool(classlabels_int64s) == bool(classlabels_strings):
        raise ValueError("found no class labels or two lists of them, wanted one")
    labels: tuple[Any, ...] = classlabels_int64s or classlabels_strings or ()
    rows = np.asarray(x).reshape((-1, x.shape[-1]))
    if rows.shape[1] != len(labels):
        raise ValueError(f"found {rows.shape[1]} scores, wanted {len(labels)}")
    return [dict(zip(labels, row, strict=True)) for row in rows]


KERNELS: dict[str, Callable[..., Any]] = {
    "onnx_ml.CastMap": cast_map,
    "onnx_ml.CategoryMapper": category_mapper,
    "onnx_ml.DictVectorizer": dict_vectorizer,
    "onnx_ml.LabelEncoder": label_encoder,
    "onnx_ml.OneHotEncoder": one_hot_encoder,
    "onnx_ml.ZipMap": zip_map,
}

STATIC: dict[str, tuple[int, ...]] = {}
