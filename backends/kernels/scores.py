"""What the classifiers and regressors of ai.onnx.ml do with raw scores."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = Any

TRANSFORMS = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")
"""The values of `post_transform`, in the order of TreeEnsemble's numbers."""


def post_transformed(xp: Any, scores: Array, name: str) -> Array:
    """`scores` [..., E] after the `post_transform` called `name`, on the last axis."""
    if name == "NONE":
        return scores
    if name == "LOGISTIC":
        return logistic(xp, scores)
    if name == "SOFTMAX":
        exponentials = xp.exp(scores - xp.max(scores, -1, keepdims=True))
        return exponentials / xp.sum(exponentials, -1, keepdims=True)
    if name == "SOFTMAX_ZERO":
        return softmax_zero(xp, scores)
    if name == "PROBIT":
        return probit(xp, scores)
    raise ValueError(
        f"post_transform is {name!r}, wanted one of {', '.join(TRANSFORMS)}"
    )


def logistic(xp: Any, x: Array) -> Array:
    """``1 / (1 + exp(-x))``, without overflow."""
    small = xp.exp(-xp.abs(x))
    return xp.where(x < 0, small, xp.ones_like(x)) / (1 + small)


def softmax_zero(xp: Any, scores: Array) -> Array:
    """Softmax over the scores that are not 0; what is 0 stays 0, only zeros halve."""
    largest = xp.max(scores, -1, keepdims=True)
    is_zero = xp.abs(scores) <= 1e-7
    exponentials = xp.where(
        is_zero, scores * xp.exp(-largest), xp.exp(scores - largest)
    )
    total = xp.sum(exponentials, -1, keepdims=True)
    divided = exponentials / xp.where(total == 0, xp.ones_like(total), total)
    return xp.where(total == 0, xp.full_like(scores, 0.5), divided)


def probit(xp: Any, p: Array) -> Array:
    """
    The quantile of the normal distribution at `p`, as runtimes approximate it.

    ``sqrt(2) * erfinv(2 p - 1)`` with Winitzki's formula for the inverse (2008, a =
    0.147).
    """
    y = 2 * p - 1
    logarithm = xp.log((1 - y) * (1 + y))
    half = 2 / (math.pi * 0.147) + logarithm / 2
    root = xp.sqrt(xp.sqrt(half * half - logarithm / 0.147) - half)
    return math.sqrt(2) * xp.where(y < 0, -root, root)


def label_count(
    integers: tuple[int, ...] | None, strings: tuple[str, ...] | None
) -> int:
    """How many class labels there are; ValueError unless of exactly one kind."""
    if bool(integers) == bool(strings):
        found = "both kinds of" if integers else "no"
        raise ValueError(f"found {found} class labels, wanted integers or strings")
    return len(integers or strings or ())


def labels_at(
    xp: Any,
    places: Array,
    integers: tuple[int, ...] | None,
    strings: tuple[str, ...] | None,
) -> Array:
    """The class label at each of `places`: int64, or strings (only in NumPy)."""
    if strings:
        return np.array(strings, object)[np.asarray(places)]
    return xp.take(xp.asarray(np.array(integers, np.int64)), places, axis=0)


def float_of(x: Array) -> Array:
    """`x` as models compute on it: float64 stays, everything else becomes float32."""
    return x if x.dtype == np.float64 else x.astype(np.float32)


def matrix_of(x: Array) -> Array:
    """`x` [N, F]; a vector is one row."""
    if len(x.shape) == 1:
        return x.reshape((1, -1))
    if len(x.shape) != 2:
        raise ValueError(f"found an input of rank {len(x.shape)}, wanted 2")
    return x
