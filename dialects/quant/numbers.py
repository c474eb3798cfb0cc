"""
The arithmetic of quantization on arrays: ranges, scales, codes and back.

    stored = clip(round_half_even(real / scale) + zero point)

as ONNX's QuantizeLinear has it, in float32.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..onnx.packing import dtype_of
from ..onnx.types import Array
from .formats import Format, Granularity, Scheme

SHRINKS = tuple(1 - step / 50 for step in range(36))
"""The parts of a range that are tried for the least squared error."""


@dataclass(frozen=True)
class Fitted:
    """Scales and zero points, of the shape that `Granularity.scales` gives."""

    scale: Array
    """float32."""
    zero: Array
    """Of the format's element type; the middle where the format is symmetric."""


def parameters(low: Array, high: Array, form: Format) -> Fitted:
    """
    Scale and zero point with which `form` spans ``[low, high]`` and 0 (elementwise).

    A range of nothing but 0 gets the scale 1. Raises ValueError for what is not finite.
    """
    low = np.minimum(np.asarray(low, np.float64), 0)
    high = np.maximum(np.asarray(high, np.float64), 0)
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        raise ValueError("found a range that is not finite")
    if form.symmetric:
        scale = np.maximum(-low, high) / form.reach
    else:
        scale = (high - low) / (form.high - form.low)
    tiny = np.finfo(np.float32).tiny
    scale = np.where(scale < tiny, 1, scale).astype(np.float32)
    zero = np.full(scale.shape, float(form.middle))
    if not form.symmetric:
        zero = np.clip(np.rint(form.low - low / scale), form.low, form.high)
    return Fitted(scale, zero.astype(dtype_of(form.element)))


def quantized(x: Array, fitted: Fitted, scheme: Scheme) -> Array:
    """The codes of `x` in the format's element type."""
    form = scheme.form
    scale = spread(fitted.scale, x.shape, scheme.per)
    ratio = x.astype(np.float32) / scale
    if form.is_float:
        return np.clip(ratio, form.low, form.high).astype(dtype_of(form.element))
    zero = spread(fitted.zero.astype(np.float32), x.shape, scheme.per)
    moved = np.rint(ratio) + zero
    return (
        np.clip(moved, form.low, form.high)
        .astype(np.int8 if form.signed else np.uint8)
        .astype(dtype_of(form.element))
    )


def restored(codes: Array, fitted: Fitted, scheme: Scheme) -> Array:
    """The real numbers that `codes` stand for, in float32."""
    scale = spread(fitted.scale, codes.shape, scheme.per)
    real = codes.astype(np.float32)
    if not scheme.form.is_float:
        zero = fitted.zero.astype(np.float32)
        real = real - spread(zero, codes.shape, scheme.per)
    return real * scale


def spread(values: Array, shape: tuple[int, ...], per: Granularity) -> Array:
    """Values per scale, in a shape that broadcasts to that of the tensor."""
    if per.axis is None:
        return values.reshape(())
    axis = per.axis % len(shape)
    if not per.size:
        return values.reshape([-1 if d == axis else 1 for d in range(len(shape))])
    whole = np.repeat(values, per.size, axis=axis)
    return whole[(slice(None),) * axis + (slice(shape[axis]),)]


def limits(x: Array, per: Granularity) -> tuple[Array, Array]:
    """The least and largest element that share a scale, of the shape of the scales."""
    if per.axis is None:
        return np.min(x, initial=0), np.max(x, initial=0)
    axis = per.axis % x.ndim
    if not per.size:
        others = tuple(d for d in range(x.ndim) if d != axis)
        return x.min(others, initial=0), x.max(others, initial=0)
    starts = list(range(0, x.shape[axis], per.size))
    return (
        np.minimum.reduceat(x, starts, axis),
        np.maximum.reduceat(x, starts, axis),
    )


def fit(x: Array, scheme: Scheme, least_error: bool = False) -> Fitted:
    """
    The scales and zero points for the values of `x`.

    They span the whole range, or, for the least squared error, that part of it (one of
    `SHRINKS`, per scale) which gives it.
    """
    low, high = limits(x, scheme.per)
    best = parameters(low, high, scheme.form)
    if not least_error:
        return best
    error = _errors(x, best, scheme)
    for part in SHRINKS[1:]:
        tried = parameters(low * part, high * part, scheme.form)
        found = _errors(x, tried, scheme)
        better = found < error
        error = np.where(better, found, error)
        scale = np.where(better, tried.scale, best.scale)
        zero = np.where(better, tried.zero, best.zero).astype(best.zero.dtype)
        best = Fitted(scale, zero)
    return best


def rounded(x: Array, scheme: Scheme, least_error: bool = False) -> Array:
    """`x` after a round trip through codes."""
    fitted = fit(x, scheme, least_error)
    return restored(quantized(x, fitted, scheme), fitted, scheme)


def _errors(x: Array, fitted: Fitted, scheme: Scheme) -> Array:
    """The squared error of a round trip, summed over what shares a scale."""
    back = restored(quantized(x, fitted, scheme), fitted, scheme)
    squared = np.square(back - x, dtype=np.float64)
    per = scheme.per
    if per.axis is None:
        return squared.sum()
    axis = per.axis % x.ndim
    if not per.size:
        return squared.sum(tuple(d for d in range(x.ndim) if d != axis))
    return np.add.reduceat(squared, list(range(0, x.shape[axis], per.size)), axis)


def signal_to_noise(found: Array, wanted: Array) -> float:
    """``10 log10(|wanted|^2 / |found - wanted|^2)`` in decibels; inf where equal."""
    signal = float(np.square(wanted, dtype=np.float64).sum())
    noise = float(np.square(found.astype(np.float64) - wanted).sum())
    if noise == 0:
        return float("inf")
    return 10 * float(np.log10(max(signal, np.finfo(np.float64).tiny) / noise))
