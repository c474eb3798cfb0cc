"""Elementwise kernels with fewer passes over memory, or cheaper ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from ..kernels.elementwise import erf, widen
from .arithmetic import written

Array: TypeAlias = Any


def clip(
    xp: Any, x: Array, low: Array = None, high: Array = None, out: Array = None
) -> Array:
    """``min(high, max(low, x))`` in one pass where there are both."""
    if low is None and high is None:
        return written(x, out)
    with np.errstate(invalid="ignore"):
        if low is None:
            return np.minimum(x, high, out=out)
        if high is None:
            return np.maximum(x, low, out=out)
        wide = widen(x)
        if wide is x:
            return np.clip(x, low, high, out=out)
        return written(np.clip(wide, widen(low), widen(high)).astype(x.dtype), out)


def power(xp: Any, x: Array, y: Array, out: Array = None) -> Array:
    """``x ** y`` in the type of `x`; squares and cubes as products, far faster."""
    with np.errstate(all="ignore"):
        if y.size == 1 and y.ndim <= x.ndim and y.item() in (2, 3):
            if y.item() == 2:
                return np.square(x, out=out)
            return np.multiply(np.square(x), x, out=out)
        natural = y.dtype.kind in "iu" and not (y < 0).any()
        if x.dtype.kind != "i" or natural:
            return np.power(x, y.astype(x.dtype, copy=False), out=out)
        wide = np.power(x.astype(np.float64), y.astype(np.float64))
        return written(wide.astype(x.dtype), out)


BLOCK = 1 << 16
"""How many elements are computed at a time: their temporaries stay in the cache."""


def by_block(function: Callable[..., Any], x: Array, out: Array = None) -> Array:
    """`function` of `x`, a piece at a time so that its temporaries stay in cache."""
    if x.size <= BLOCK:
        return written(function(np, x), out)
    flat = x.reshape(-1)
    result = np.empty_like(flat) if out is None else out.reshape(-1)
    for start in range(0, flat.size, BLOCK):
        piece = slice(start, start + BLOCK)
        result[piece] = function(np, flat[piece])
    return result.reshape(x.shape)


def horner_in_place(t: Array, first: float, *others: float) -> Array:
    """The polynomial in `t` of these coefficients, highest power first."""
    total = t * first
    total += others[0]
    for coefficient in others[1:]:
        total *= t
        total += coefficient
    return total


def erf_in_place(xp: Any, x: Array) -> Array:
    """The error function; of float32 the shared kernel's formula with few arrays."""
    if x.dtype != np.float32 or not x.ndim:
        return erf(np, x)
    inner = np.clip(x, -3.92, 3.92)
    t = np.square(inner)
    above = horner_in_place(
        t,
        2.0500789650433235e-06,
        2.848615928579531e-04,
        3.765026868145122e-03,
        5.274685763089804e-02,
        1.9039383280523023e-01,
        1.1283791463196158e00,
    )
    below = horner_in_place(
        t,
        3.80905284944782e-05,
        1.1623781400161536e-03,
        1.4968034131124927e-02,
        1.1410371528926962e-01,
        5.020648849447351e-01,
        1.0,
    )
    above *= inner
    above /= below
    return np.clip(above, -1.0, 1.0, out=above)


def erf_by_block(xp: Any, x: Array, out: Array = None) -> Array:
    """The error function."""
    return by_block(erf_in_place, x, out)


def gelu_by_erf(xp: Any, x: Array) -> Array:
    """``x * (1 + erf(x / sqrt(2))) / 2``, in place."""
    wide = widen(x)
    # 0.7071… is 1 / sqrt(2).
    inner = np.asarray(erf_in_place(np, wide * 0.7071067811865476))
    inner += 1
    inner *= 0.5 * wide
    return inner.astype(x.dtype, copy=False)


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


def swish_by_block(xp: Any, x: Array, alpha: float = 1.0, out: Array = None) -> Array:
    """``x * sigmoid(alpha * x)``."""
    flat = x.reshape(-1)
    y: Array = np.empty(x.size, x.dtype) if out is None else out.reshape(-1)
    with np.errstate(over="ignore", under="ignore"):
        for start in range(0, flat.size, 32768):
            wide = widen(flat[start : start + 32768])
            below = wide * -alpha
            np.exp(below, out=below)
            below += 1
            y[start : start + 32768] = np.divide(wide, below, out=below)
    return y.reshape(x.shape)


def gelu_by_block(
    xp: Any, x: Array, approximate: str = "none", out: Array = None
) -> Array:
    """``x * Phi(x)``, by erf or by tanh (Hendrycks and Gimpel 2016)."""
    return by_block(gelu_by_erf if approximate == "none" else gelu_by_tanh, x, out)


KERNELS: dict[str, Callable[..., Any]] = {
    "Clip": clip,
    "Erf": erf_by_block,
    "Gelu": gelu_by_block,
    "Pow": power,
    "Swish": swish_by_block,
}
