"""Kernels of ai.onnx.ml that prepare features: tensors in, tensors out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from .scores import float_of, matrix_of

Array: TypeAlias = Any


def scaler(
    xp: Any,
    x: Array,
    offset: tuple[float, ...] | None = None,
    scale: tuple[float, ...] | None = None,
) -> Array:
    """``(x - offset) * scale`` along the last axis, as float32."""
    x = float_of(x)
    moved = x - xp.asarray(per_feature(x, offset or (0.0,), "offset"))
    scaled = moved * xp.asarray(per_feature(x, scale or (1.0,), "scale"))
    return scaled.astype(np.float32)


def per_feature(x: Array, values: tuple[Any, ...], name: str) -> Array:
    """A list attribute as an array of one value, or one per feature of `x`."""
    if len(values) not in (1, x.shape[-1]):
        found = f"{name} has {len(values)} values"
        raise ValueError(f"{found}, wanted 1 or {x.shape[-1]}")
    return np.array(values, x.dtype)


def normalizer(xp: Any, x: Array, norm: str = "MAX") -> Array:
    """`x` over the norm of each row, as float32; a row of norm 0 stays as it is."""
    x = float_of(x)
    if norm == "MAX":
        size = xp.max(x, axis=-1, keepdims=True)
    elif norm == "L1":
        size = xp.sum(xp.abs(x), axis=-1, keepdims=True)
    elif norm == "L2":
        size = xp.sqrt(xp.sum(x * x, axis=-1, keepdims=True))
    else:
        raise ValueError(f"norm is {norm!r}, wanted MAX, L1 or L2")
    return (x / xp.where(size == 0, xp.ones_like(size), size)).astype(np.float32)


def imputer(
    xp: Any,
    x: Array,
    imputed_value_floats: tuple[float, ...] | None = None,
    imputed_value_int64s: tuple[int, ...] | None = None,
    replaced_value_float: float = 0.0,
    replaced_value_int64: int = 0,
) -> Array:
    """`x` with one value (nan among them) replaced, per feature on the last axis."""
    floats = x.dtype.kind == "f"
    values = imputed_value_floats if floats else imputed_value_int64s
    replaced = replaced_value_float if floats else replaced_value_int64
    if not values:
        name = "imputed_value_floats" if floats else "imputed_value_int64s"
        raise ValueError(f"{name} is missing for an input of {x.dtype}")
    found = xp.isnan(x) if floats and np.isnan(replaced) else x == replaced
    return xp.where(found, xp.asarray(per_feature(x, values, "imputed_value")), x)


def binarizer(xp: Any, x: Array, threshold: float = 0.0) -> Array:
    """1 where `x` is above `threshold`, else 0."""
    return (x > threshold).astype(x.dtype)


def feature_vectorizer(
    xp: Any, *xs: Array, inputdimensions: tuple[int, ...] | None = None
) -> Array:
    """
    The features of `xs` side by side, as float32.

    Each is cut or filled with zeros to its size in `inputdimensions`.
    """
    sizes = inputdimensions or tuple(x.shape[-1] for x in xs)
    if len(sizes) != len(xs):
        found = f"inputdimensions has {len(sizes)} sizes"
        raise ValueError(f"{found}, wanted {len(xs)}")
    parts: list[Array] = []
    for x, size in zip(xs, sizes, strict=True):
        part = matrix_of(x)[:, :size].astype(np.float32)
        missing = max(0, size - part.shape[1])
        parts.append(xp.pad(part, ((0, 0), (0, missing))) if missing else part)
    return xp.concatenate(parts, axis=1)


def array_feature_extractor(xp: Any, x: Array, y: Array) -> Array:
    """
    The elements of `x` at the places `y` of its last axis; of a vector, as one row.

    NumPy refuses a place outside of `x`; JAX takes the nearest one.
    """
    places = y.reshape((-1,))
    rows = x.reshape((1, -1)) if len(x.shape) == 1 else x
    if isinstance(x, np.ndarray) and isinstance(y, np.ndarray):
        size = rows.shape[-1]
        if places.size and not 0 <= places.min() <= places.max() < size:
            raise IndexError(f"places {places.tolist()[:8]} are not all below {size}")
        return np.take(rows, places, axis=-1)
    return xp.take(rows, places, axis=-1, mode="clip")


KERNELS: dict[str, Callable[..., Any]] = {
    "onnx_ml.ArrayFeatureExtractor": array_feature_extractor,
    "onnx_ml.Binarizer": binarizer,
    "onnx_ml.FeatureVectorizer": feature_vectorizer,
    "onnx_ml.Imputer": imputer,
    "onnx_ml.Normalizer": normalizer,
    "onnx_ml.Scaler": scaler,
}

STATIC: dict[str, tuple[int, ...]] = {}
