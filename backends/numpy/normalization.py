"""Normalizations in place, with the sums of squares by BLAS."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from ..kernels.elementwise import widen
from ..kernels.normalization import per_channel, stash_dtype
from .arithmetic import written

Array: TypeAlias = Any


def softmax(xp: Any, x: Array, axis: int = -1, out: Array = None) -> Array:
    """``exp(x - max(x)) / sum(exp(x - max(x)))`` along `axis`."""
    wide = widen(x)
    with np.errstate(invalid="ignore", under="ignore"):
        peak = np.max(wide, axis=axis, keepdims=True, initial=-np.inf)
        powers = np.asarray(np.subtract(wide, peak, out=out if wide is x else None))
        np.exp(powers, out=powers)
        powers /= np.sum(powers, axis=axis, keepdims=True)
    return powers if wide is x else written(powers.astype(x.dtype), out)


def centred_rows(
    rows: Array, epsilon: float, out: Array = None
) -> tuple[Array, Array, Array]:
    """`rows` less their means, in `out` or anew; the means; 1 / deviations."""
    size = max(rows.shape[-1], 1)
    mean = np.sum(rows, axis=-1, keepdims=True) / rows.dtype.type(size)
    centred = np.subtract(rows, mean, out=out)
    variance = np.vecdot(centred, centred)[..., None] / rows.dtype.type(size)
    return centred, mean, 1 / np.sqrt(variance + epsilon)


def layer_normalization(
    xp: Any,
    x: Array,
    scale: Array,
    bias: Array = None,
    axis: int = -1,
    epsilon: float = 9.999999747378752e-06,
    stash_type: int = 1,
    outputs: tuple[bool, ...] = (True, True, True),
    out: Array = None,
) -> tuple[Array, ...]:
    """``(x - mean) / sqrt(variance + epsilon) * scale + bias`` (Ba et al. 2016)."""
    stash = stash_dtype(stash_type)
    wide = widen(x.astype(stash, copy=False))
    leading, trailing = x.shape[: axis % x.ndim], x.shape[axis % x.ndim :]
    rows = wide.reshape((math.prod(leading), math.prod(trailing)))
    plain = wide is x
    place = out.reshape(rows.shape) if out is not None and plain else None
    centred, mean, inverse = centred_rows(rows, epsilon, place)
    centred *= inverse
    y = centred.reshape(x.shape).astype(x.dtype, copy=False)
    y *= scale
    if bias is not None:
        y += bias
    y = y if plain else written(y, out)
    shape = leading + (1,) * len(trailing)
    return (
        y if outputs[0] else None,
        mean.reshape(shape).astype(stash, copy=False) if outputs[1] else None,
        inverse.reshape(shape).astype(stash, copy=False) if outputs[2] else None,
    )


def rms_normalization(
    xp: Any,
    x: Array,
    scale: Array,
    axis: int = -1,
    epsilon: float = 9.999999747378752e-06,
    stash_type: int = 1,
    out: Array = None,
) -> Array:
    """``x / sqrt(mean(x^2) + epsilon) * scale`` (Zhang and Sennrich 2019)."""
    wide = widen(x.astype(stash_dtype(stash_type), copy=False))
    size = math.prod(x.shape[axis % x.ndim :])
    rows = wide.reshape((math.prod(x.shape[: axis % x.ndim]), size))
    square = np.vecdot(rows, rows)[:, None] / rows.dtype.type(max(size, 1))
    plain = wide is x and scale.dtype == x.dtype
    place = out.reshape(rows.shape) if out is not None and plain else None
    y = np.multiply(rows, 1 / np.sqrt(square + epsilon), out=place).reshape(x.shape)
    y = y.astype(x.dtype, copy=False).astype(scale.dtype, copy=False)
    y *= scale
    return y if plain else written(y, out)


def instance_normalization(
    xp: Any,
    x: Array,
    scale: Array,
    bias: Array,
    epsilon: float = 9.999999747378752e-06,
) -> Array:
    """Each sample's channels to mean `bias`, deviation `scale` (Ulyanov 2016)."""
    rows = widen(x).reshape((*x.shape[:2], math.prod(x.shape[2:])))
    centred, _, inverse = centred_rows(rows, epsilon)
    centred *= inverse * per_channel(widen(scale), 3)
    centred += per_channel(widen(bias), 3)
    return centred.reshape(x.shape).astype(x.dtype, copy=False)


def group_normalization(
    xp: Any,
    x: Array,
    scale: Array,
    bias: Array,
    num_groups: int,
    epsilon: float = 9.999999747378752e-06,
    stash_type: int = 1,
) -> Array:
    """Groups of channels to mean 0 and deviation 1, then scaled (Wu and He 2018)."""
    channels = x.shape[1]
    if channels % num_groups:
        raise ValueError(f"{channels} channels do not form {num_groups} groups")
    wide = widen(x.astype(stash_dtype(stash_type), copy=False))
    size = channels // num_groups * math.prod(x.shape[2:])
    rows = wide.reshape((x.shape[0], num_groups, size))
    centred, _, inverse = centred_rows(rows, epsilon)
    centred *= inverse
    y = centred.reshape(x.shape).astype(x.dtype, copy=False)
    y *= per_channel(scale, x.ndim)
    y += per_channel(bias, x.ndim)
    return y


def local_response_normalization(
    xp: Any,
    x: Array,
    size: int,
    alpha: float = 9.999999747378752e-05,
    beta: float = 0.75,
    bias: float = 1.0,
) -> Array:
    """``x / (bias + alpha / size * local sum of x^2) ** beta`` (Krizhevsky 2012)."""
    wide = widen(x)
    squares = np.square(wide)
    total = squares.copy()
    before = (size - 1) // 2
    for offset in range(1, min(size, x.shape[1])):
        if offset <= before:
            total[:, offset:] += squares[:, :-offset]
        if offset <= size - 1 - before:
            total[:, :-offset] += squares[:, offset:]
    total *= alpha / size
    total += bias
    np.power(total, beta, out=total)
    return np.divide(wide, total, out=total).astype(x.dtype, copy=False)


KERNELS: dict[str, Callable[..., Any]] = {
    "GroupNormalization": group_normalization,
    "InstanceNormalization": instance_normalization,
    "LRN": local_response_normalization,
    "LayerNormalization": layer_normalization,
    "RMSNormalization": rms_normalization,
    "Softmax": softmax,
}
