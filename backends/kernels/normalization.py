"""Kernels that scale elements by statistics of their neighbours, and dropout."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from .elementwise import element_dtype, widen

Array: TypeAlias = Any


# --- along one axis ---


def softmax(xp: Any, x: Array, axis: int = -1) -> Array:
    """``exp(x - max(x)) / sum(exp(x - max(x)))`` along `axis`."""
    wide = widen(x)
    with np.errstate(invalid="ignore", under="ignore"):
        peak = xp.max(wide, axis=axis, keepdims=True, initial=-np.inf)
        powers = xp.exp(wide - peak)
        total = xp.sum(powers, axis=axis, keepdims=True)
        return (powers / total).astype(x.dtype, copy=False)


def log_softmax(xp: Any, x: Array, axis: int = -1) -> Array:
    """``x - max(x) - log(sum(exp(x - max(x))))`` along `axis`."""
    wide = widen(x)
    with np.errstate(invalid="ignore", divide="ignore", under="ignore"):
        peak = xp.max(wide, axis=axis, keepdims=True, initial=-np.inf)
        below = wide - peak
        total = xp.sum(xp.exp(below), axis=axis, keepdims=True)
        return (below - xp.log(total)).astype(x.dtype, copy=False)


def hardmax(xp: Any, x: Array, axis: int = -1) -> Array:
    """1 at the first largest element along `axis`, 0 elsewhere."""
    place = xp.expand_dims(xp.argmax(x, axis=axis), axis)
    shape = [1] * x.ndim
    shape[axis] = x.shape[axis]
    return (xp.arange(x.shape[axis]).reshape(shape) == place).astype(x.dtype)


def lp_normalization(xp: Any, x: Array, axis: int = -1, p: int = 2) -> Array:
    """``x / norm(x)`` along `axis`, 0 where the norm is."""
    if p not in (1, 2):
        raise ValueError(f"LpNormalization p is {p}, not 1 or 2")
    wide = widen(x)
    if p == 1:
        norm = xp.sum(xp.abs(wide), axis=axis, keepdims=True)
    else:
        norm = xp.sqrt(xp.sum(wide * wide, axis=axis, keepdims=True))
    return (wide / xp.where(norm == 0, 1, norm)).astype(x.dtype, copy=False)


# --- over trailing axes ---


def stash_dtype(stash_type: int) -> Any:
    """The type that ONNX's number names for a normalization's first stage."""
    names = {1: "float32", 10: "float16", 11: "float64", 16: "bfloat16"}
    if stash_type not in names:
        raise ValueError(f"stash_type is {stash_type}, not one of {sorted(names)}")
    return element_dtype(names[stash_type])


def layer_normalization(
    xp: Any,
    x: Array,
    scale: Array,
    bias: Array = None,
    axis: int = -1,
    epsilon: float = 9.999999747378752e-06,
    stash_type: int = 1,
    outputs: tuple[bool, ...] = (True, True, True),
) -> tuple[Array, ...]:
    """``(x - mean) / sqrt(variance + epsilon) * scale + bias`` (Ba et al. 2016)."""
    stash = stash_dtype(stash_type)
    axes = tuple(range(axis % x.ndim, x.ndim))
    wide = widen(x.astype(stash, copy=False))
    mean = xp.mean(wide, axis=axes, keepdims=True)
    centred = wide - mean
    variance = xp.mean(xp.square(centred), axis=axes, keepdims=True)
    inverse = 1 / xp.sqrt(variance + epsilon)
    y = (centred * inverse).astype(x.dtype, copy=False) * scale
    results = (
        y if bias is None else y + bias,
        mean.astype(stash),
        inverse.astype(stash),
    )
    return tuple(
        r if wanted else None for r, wanted in zip(results, outputs, strict=True)
    )


def rms_normalization(
    xp: Any,
    x: Array,
    scale: Array,
    axis: int = -1,
    epsilon: float = 9.999999747378752e-06,
    stash_type: int = 1,
) -> Array:
    """``x / sqrt(mean(x^2) + epsilon) * scale`` (Zhang and Sennrich 2019)."""
    axes = tuple(range(axis % x.ndim, x.ndim))
    wide = widen(x.astype(stash_dtype(stash_type), copy=False))
    square = xp.mean(xp.square(wide), axis=axes, keepdims=True)
    y = (wide / xp.sqrt(square + epsilon)).astype(x.dtype, copy=False)
    return y.astype(scale.dtype, copy=False) * scale


# --- per channel, the second axis ---


def per_channel(values: Array, rank: int) -> Array:
    """One value per channel, shaped to meet an array of `rank` axes."""
    return values.reshape((-1,) + (1,) * (rank - 2))


def batch_normalization(
    xp: Any,
    x: Array,
    scale: Array,
    bias: Array,
    mean: Array,
    variance: Array,
    epsilon: float = 9.999999747378752e-06,
    momentum: float = 0.8999999761581421,
    training_mode: int = 0,
    outputs: tuple[bool, ...] = (True, False, False),
) -> tuple[Array, ...]:
    """``(x - mean) / sqrt(variance + epsilon) * scale + bias`` (Ioffe 2015)."""
    wide = widen(x)
    running = (mean, variance)
    if training_mode:
        # The statistics are those of x, which also move the running ones.
        axes = (0, *range(2, x.ndim))
        batch = (xp.mean(wide, axis=axes), xp.var(wide, axis=axes))
        running = (
            widen(mean) * momentum + batch[0] * (1 - momentum),
            widen(variance) * momentum + batch[1] * (1 - momentum),
        )
        running = (running[0].astype(mean.dtype), running[1].astype(variance.dtype))
        mean, variance = batch
    factor = widen(scale) / xp.sqrt(widen(variance) + epsilon)
    offset = widen(bias) - widen(mean) * factor
    y = wide * per_channel(factor, max(x.ndim, 2)) + per_channel(offset, max(x.ndim, 2))
    results = (y.astype(x.dtype, copy=False), *running)
    return tuple(
        r if wanted else None for r, wanted in zip(results, outputs, strict=True)
    )


def instance_normalization(
    xp: Any,
    x: Array,
    scale: Array,
    bias: Array,
    epsilon: float = 9.999999747378752e-06,
) -> Array:
    """Each sample's channels to mean `bias`, deviation `scale` (Ulyanov 2016)."""
    axes = tuple(range(2, x.ndim))
    wide = widen(x)
    centred = wide - xp.mean(wide, axis=axes, keepdims=True)
    variance = xp.mean(xp.square(centred), axis=axes, keepdims=True)
    factor = per_channel(widen(scale), x.ndim) / xp.sqrt(variance + epsilon)
    y = centred * factor + per_channel(widen(bias), x.ndim)
    return y.astype(x.dtype, copy=False)


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
    batch, channels = x.shape[:2]
    if channels % num_groups:
        raise ValueError(f"{channels} channels do not form {num_groups} groups")
    wide = widen(x.astype(stash_dtype(stash_type), copy=False))
    size = channels // num_groups
    groups = wide.reshape((batch, num_groups, size, *x.shape[2:]))
    axes = tuple(range(2, groups.ndim))
    centred = groups - xp.mean(groups, axis=axes, keepdims=True)
    variance = xp.mean(xp.square(centred), axis=axes, keepdims=True)
    y = (centred / xp.sqrt(variance + epsilon)).reshape(x.shape)
    y = y.astype(x.dtype, copy=False) * per_channel(scale, x.ndim)
    return y + per_channel(bias, x.ndim)


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
    channels = x.shape[1]
    before = (size - 1) // 2
    around = ((0, 0), (before, size - 1 - before)) + ((0, 0),) * (x.ndim - 2)
    squares = xp.pad(xp.square(wide), around)
    total = squares[:, :channels]
    for start in range(1, size):
        total = total + squares[:, start : start + channels]
    return (wide / (bias + alpha / size * total) ** beta).astype(x.dtype, copy=False)


def mean_variance_normalization(
    xp: Any, x: Array, axes: tuple[int, ...] = (0, 2, 3)
) -> Array:
    """``(x - mean) / (deviation + 1e-9)`` along `axes`."""
    wide = widen(x)
    centred = wide - xp.mean(wide, axis=axes, keepdims=True)
    deviation = xp.sqrt(xp.mean(xp.square(centred), axis=axes, keepdims=True))
    return (centred / (deviation + 1e-9)).astype(x.dtype, copy=False)


def dropout(
    xp: Any,
    x: Array,
    ratio: Array = None,
    training_mode: Array = None,
    seed: int | None = None,
    outputs: tuple[bool, ...] = (True, False),
) -> tuple[Array, ...]:
    """`x`; in training, ``x / (1 - ratio)`` with `ratio` of the elements set to 0."""
    if training_mode is None or not training_mode.item():
        mask = xp.ones(x.shape, np.bool_) if outputs[1] else None
        return (x if outputs[0] else None, mask)
    # NumPy draws the elements to keep: under JAX once, when the program is traced.
    share = 0.5 if ratio is None else ratio.astype(np.float64)
    generator = np.random.RandomState(None if seed is None else seed & 0xFFFFFFFF)
    mask = xp.asarray(generator.uniform(size=x.shape)) >= share
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        kept = (x.astype(np.float64) / (1 - share)).astype(x.dtype)
        y = xp.where(mask, kept, xp.zeros_like(x))
    return (y if outputs[0] else None, mask if outputs[1] else None)


KERNELS: dict[str, Callable[..., Any]] = {
    "BatchNormalization": batch_normalization,
    "Dropout": dropout,
    "GroupNormalization": group_normalization,
    "Hardmax": hardmax,
    "InstanceNormalization": instance_normalization,
    "LRN": local_response_normalization,
    "LayerNormalization": layer_normalization,
    "LogSoftmax": log_softmax,
    "LpNormalization": lp_normalization,
    "MeanVarianceNormalization": mean_variance_normalization,
    "RMSNormalization": rms_normalization,
    "Softmax": softmax,
}

STATIC: dict[str, tuple[int, ...]] = {"Dropout": (2,)}
