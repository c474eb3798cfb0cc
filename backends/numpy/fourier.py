"""
Convolution as a product of spectra, with Fourier transforms as products of matrices.

A transform of n points as a matrix takes n / log n times as many operations, but BLAS
does them: up to `LONGEST` points it is three times as fast as NumPy's own transform. It
also leaves out the zeros around an image and the places that are not wanted.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from ..kernels.fourier import spectral_products, window_places
from .memory import scratch

Array: TypeAlias = Any

LONGEST = 320
"""Transforms of more points along an axis are NumPy's."""
PLANES = 1 << 17
"""About so many elements of images are transformed at a time: the cache holds them."""

FACTORS: dict[tuple[str, int, int, str], Array] = {}
"""The matrices of transforms, by what they do, their points and places, and dtype."""


def factor(kind: str, length: int, count: int, dtype: Any) -> Array:
    """
    The matrix of a transform of `length` points, of which `count` are seen or wanted.

    ``real``, ``[count, 2 f]``, takes numbers to half of their frequencies; ``complex``,
    ``[length, count]``, takes complex numbers to all; ``complex back``, ``[count,
    length]``, and ``real back``, ``[2 f, count]``, come back.
    """
    key = (kind, length, count, str(dtype))
    held = FACTORS.get(key)
    if held is not None:
        return held
    half, places = np.arange(length // 2 + 1), np.arange(count)
    if kind == "real":
        angles = -2 * np.pi / length * np.outer(places, half)
        made = np.stack([np.cos(angles), np.sin(angles)], -1).reshape(count, -1)
    elif kind == "complex":
        made = np.exp(-2j * np.pi / length * np.outer(np.arange(length), places))
    elif kind == "complex back":
        waves = np.exp(2j * np.pi / length * np.outer(places, np.arange(length)))
        made = waves / length
    else:
        angles = 2 * np.pi / length * np.outer(half, places)
        # All frequencies but the first and the last stand for two.
        often = np.where((half == 0) | (2 * half == length), 1, 2)[:, None] / length
        waves = np.stack([often * np.cos(angles), -often * np.sin(angles)], 1)
        made = waves.reshape(-1, count)
    FACTORS[key] = made = made.astype(dtype)
    return made


def transformed(x: Array, lengths: tuple[int, ...], used: int) -> Array:
    """
    The spectra of images ``[n, ...]``, complex, half of the last axis.

    In the workspace, from `used` complex elements on, or in memory of their own.
    """
    kind = np.result_type(x.dtype, np.complex64)
    n, *sizes = x.shape
    width, length = sizes[-1], lengths[-1]
    half = length // 2 + 1
    if length > LONGEST:
        seen = np.fft.rfft(x, length)
    else:
        seen = scratch((*x.shape[:-1], half), kind, used)
        rows = seen.reshape(-1, half).view(x.dtype)
        np.matmul(x.reshape(-1, width), factor("real", length, width, x.dtype), rows)
        used += seen.size
    if len(sizes) == 1:
        return seen
    height, length = sizes[0], lengths[0]
    if length > LONGEST:
        return np.fft.fft(seen, length, axis=1)
    both = scratch((n, length, half), kind, used)
    return np.matmul(factor("complex", length, height, kind), seen, both)


def restored(y: Array, lengths: tuple[int, ...], used: int, out: Array) -> None:
    """Into `out`: the images ``[n, ...]`` of the spectra `y`, as far as wanted."""
    n, *counts = out.shape
    half, seen = y.shape[-1], y
    if len(counts) == 2:
        count, length = counts[0], lengths[0]
        if length > LONGEST:
            seen = np.ascontiguousarray(np.fft.ifft(y, axis=1)[:, :count])
        else:
            seen = scratch((n, count, half), y.dtype, used)
            np.matmul(factor("complex back", length, count, y.dtype), y, seen)
    width, length = counts[-1], lengths[-1]
    if length > LONGEST:
        np.copyto(out, np.fft.irfft(seen, length)[..., :width])
        return
    rows = np.ascontiguousarray(seen).reshape(-1, half).view(out.dtype)
    back = factor("real back", length, width, out.dtype)
    np.matmul(rows, back, out.reshape(-1, width))


def by_channel(x: Array, spectra: Array, lengths: tuple[int, ...], y: Array) -> None:
    """Into `y`: some channels at a time by the `spectra` ``[m, f...]`` of kernels."""
    channels = x.shape[1]
    times = len(spectra) // channels
    step = max(PLANES // math.prod(lengths), 1)
    for image, result in zip(x, y, strict=True):
        for start in range(0, channels, step):
            held = spectra[start * times : (start + step) * times]
            seen = transformed(image[start : start + step], lengths, 0)
            # Behind both arrays of the transform.
            used = 2 * seen.size
            if times == 1:
                np.multiply(seen, held, out=seen)
            else:
                seen = np.repeat(seen, times, axis=0) * held
            made = result[start * times : (start + step) * times]
            restored(seen, lengths, used, made)


def blas_fourier_conv(
    xp: Any,
    x: Array,
    s: Array,
    b: Array | None = None,
    group: int = 1,
    kernel_shape: tuple[int, ...] = (),
    lengths: tuple[int, ...] = (),
    pads: tuple[int, ...] | None = None,
    out: Array = None,
) -> Array:
    """
    Conv of ``x[n, c, ...]`` by the spectra of its weight: see the dialect `fourier`.

    That is ``F^-1(F(x) * s) + b``, cut to where windows begin.
    """
    rank = len(lengths)
    counts = window_places(x.shape[2:], kernel_shape, pads or (0,) * 2 * rank)
    spectra = s.view(np.result_type(s.dtype, np.complex64))[..., 0]
    alone = spectra.ndim == rank + 1
    maps = spectra.shape[0] if alone else group * spectra.shape[-1]
    y = np.empty((len(x), maps, *counts), x.dtype) if out is None else out
    if alone:
        by_channel(x, spectra, lengths, y)
    else:
        seen = transformed(x.reshape(-1, *x.shape[2:]), lengths, 0)
        apart = seen.reshape(*x.shape[:2], *seen.shape[1:])
        found = spectral_products(np, apart, spectra, group)
        planes = found.reshape(-1, *found.shape[2:])
        restored(planes, lengths, 2 * seen.size, y.reshape(-1, *counts))
    if b is not None:
        y += b.reshape(-1, *(1,) * rank)
    return y


KERNELS: dict[str, Callable[..., Any]] = {"fourier.Conv": blas_fourier_conv}
