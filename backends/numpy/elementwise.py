"""Elementwise kernels with fewer passes over memory, or cheaper ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from ..kernels.elementwise import erf, gelu, widen

Array: TypeAlias = Any


def clip(xp: Any, x: Array, low: Array = None, high: Array = None) -> Array:
    """``min(high, max(low, x))`` in one pass where there are both."""
    if low is None and high is None:
        return x
    with np.errstate(invalid="ignore"):
        if low is None:
            return np.minimum(x, high)
        if high is None:
            return np.maximum(x, low)
        return np.clip(widen(x), widen(low), widen(high)).astype(x.dtype, copy=False)


def power(xp: Any, x: Array, y: Array) -> Array:
    """``x ** y`` in the type of `x`; squares and cubes as products, far faster."""
    with np.errstate(all="ignore"):
        if y.size == 1 and y.ndim <= x.ndim and y.item() in (2, 3):
            return np.square(x) if y.item() == 2 else np.square(x) * x
        if x.dtype.kind != "i":
            return np.power(x, y.astype(x.dtype, copy=False))
        if y.dtype.kind in "iu" and not (y < 0).any():
            return np.power(x, y.astype(x.dtype, copy=False))
        wide = np.power(x.astype(np.float64), y.astype(np.float64))
        return wide.astype(x.dtype)


def by_block(function: Callable[..., Any], x: Array) -> Array:
    """`function` of `x`, a piece at a time so that its temporaries stay in cache."""
    if x.size <= 32768:
        return function(np, x)
    flat = x.reshape(-1)
    result = np.empty_like(flat)
    for start in range(0, flat.size, 32768):
        piece = slice(start, start + 32768)
        result[piece] = function(np, flat[piece])
    return result.reshape(x.shape)


def erf_by_block(xp: Any, x: Array) -> Array:
    """The error function."""
    return by_block(erf, x)


def gelu_by_tanh(xp: Any, x: Array) -> Array:
    """``x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3))) / 2``, in place."""
    wide = widen(x)
    # 0.7978… is sqrt(2 / pi).
    inner = np.square(wide)
    inner *= 0.7978845608028654 * 0.044715
    inner += 0.7978845608028654
    inner *= wide
    np.tanh(inner, out=inner)
    inner += 1
    inner *= wide
    inner *= 0.5
    return inner.astype(x.dtype, copy=False)


def swish_by_block(xp: Any, x: Array, alpha: float = 1.0) -> Array:
    """``x * sigmoid(alpha * x)``."""
    flat = x.reshape(-1)
    y: Array = np.empty(x.size, x.dtype)
    with np.errstate(over="ignore", under="ignore"):
        for start in range(0, flat.size, 32768):
            wide = widen(flat[start : start + 32768])
            below = wide * -alpha
            np.exp(below, out=below)
            below += 1
            y[start : start + 32768] = np.divide(wide, below, out=below)
    return y.reshape(x.shape)


def gelu_by_block(xp: Any, x: Array, approximate: str = "none") -> Array:
    """``x * Phi(x)``, by erf or by tanh (Hendrycks and Gimpel 2016)."""
    if approximate == "none":
        return by_block(gelu, x)
    return by_block(gelu_by_tanh, x)


KERNELS: dict[str, Callable[..., Any]] = {
    "Clip": clip,
    "Erf": erf_by_block,
    "Gelu": gelu_by_block,
    "Pow": power,
    "Swish": swish_by_block,
}
