"""Kernels of signals: Fourier transforms, windows, and random draws."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from .movement import dtype_named, static_ints

Array: TypeAlias = Any


# --- Fourier transforms: parts of numbers, the real one first, lie on the last axis ---


def complex_from(x: Array) -> Array:
    """The numbers whose parts lie on the last axis of `x`; real ones from one part."""
    x = x.astype(np.float32) if x.dtype.itemsize == 2 else x
    return x[..., 0] if x.shape[-1] == 1 else x[..., 0] + 1j * x[..., 1]


def parts_of(xp: Any, x: Array, dtype: Any) -> Array:
    """The real and imaginary parts of `x` on a new last axis."""
    return xp.stack((xp.real(x), xp.imag(x)), axis=-1).astype(dtype)


def dft(
    xp: Any,
    x: Array,
    dft_length: Array | None = None,
    axis: Array | None = None,
    inverse: int = 0,
    onesided: int = 0,
) -> Array:
    """``y[k] = sum_n x[n] exp(-2 pi i k n / N)`` on `axis`, or its inverse."""
    place = static_ints(axis)[0] if axis is not None else -2
    place = place + len(x.shape) if place < 0 else place
    size = x.shape[place]
    if dft_length is not None:
        length = static_ints(dft_length)[0]
    else:
        length = 2 * (size - 1) if onesided and inverse else size
    numbers = complex_from(x)
    if onesided and inverse:
        y = xp.fft.irfft(numbers, length, axis=place)
        return xp.expand_dims(y, -1).astype(x.dtype)
    if onesided and x.shape[-1] != 1:
        raise ValueError("found a complex signal, wanted a real one where onesided")
    if onesided:
        return parts_of(xp, xp.fft.rfft(numbers, length, axis=place), x.dtype)
    transform = xp.fft.ifft if inverse else xp.fft.fft
    return parts_of(xp, transform(numbers, length, axis=place), x.dtype)


def stft(
    xp: Any,
    x: Array,
    frame_step: Array,
    window: Array | None = None,
    frame_length: Array | None = None,
    onesided: int = 1,
) -> Array:
    """The Fourier transform of each window of `x`, `frame_step` apart."""
    if onesided and x.shape[-1] != 1:
        raise ValueError("found a complex signal, wanted a real one where onesided")
    step = static_ints(frame_step)[0]
    if frame_length is not None:
        length = static_ints(frame_length)[0]
    else:
        length = x.shape[1] if window is None else window.shape[0]
    starts = xp.arange(0, x.shape[1] - length + 1, step)
    frames = complex_from(x)[:, starts[:, None] + xp.arange(length)]
    if window is not None:
        frames = frames * window.astype(frames.real.dtype)
    transform = xp.fft.rfft if onesided else xp.fft.fft
    return parts_of(xp, transform(frames, axis=-1), x.dtype)


# --- windows and filters, from static operands ---


def hann_window(
    xp: Any, size: Array, output_datatype: str = "float32", periodic: int = 1
) -> Array:
    """``0.5 - 0.5 cos(2 pi n / N)``."""
    return cosine_window(xp, size, (0.5, 0.5), periodic, output_datatype)


def hamming_window(
    xp: Any, size: Array, output_datatype: str = "float32", periodic: int = 1
) -> Array:
    """``25/46 - 21/46 cos(2 pi n / N)``."""
    return cosine_window(xp, size, (25 / 46, 21 / 46), periodic, output_datatype)


def blackman_window(
    xp: Any, size: Array, output_datatype: str = "float32", periodic: int = 1
) -> Array:
    """``0.42 - 0.5 cos(2 pi n / N) + 0.08 cos(4 pi n / N)``."""
    return cosine_window(xp, size, (0.42, 0.5, 0.08), periodic, output_datatype)


def cosine_window(
    xp: Any, size: Array, terms: tuple[float, ...], periodic: int, dtype: str
) -> Array:
    """``sum_k (-1)^k terms[k] cos(2 pi k n / N)``; N is one less if symmetric."""
    count = static_ints(size)[0]
    period = count if periodic else max(count - 1, 1)
    angle = np.arange(count) * (2 * math.pi / max(period, 1))
    total = np.zeros(count)
    for k, term in enumerate(terms):
        total = total + (-1) ** k * term * np.cos(k * angle)
    return xp.asarray(total.astype(dtype_named(dtype)))


def mel_weight_matrix(
    xp: Any,
    num_mel_bins: Array,
    dft_length: Array,
    sample_rate: Array,
    lower_edge_hertz: Array,
    upper_edge_hertz: Array,
    output_datatype: str = "float32",
) -> Array:
    """Triangles over DFT bins, evenly spaced in ``2595 log10(1 + f / 700)``."""
    count, length, rate = (
        static_ints(v)[0] for v in (num_mel_bins, dft_length, sample_rate)
    )
    low, high = (
        2595 * math.log10(1 + float(np.reshape(v, ())) / 700)
        for v in (lower_edge_hertz, upper_edge_hertz)
    )
    # ONNX divides the mel range by count + 2, not by the count + 1 steps between edges.
    mel = low + np.arange(count + 2) * (high - low) / (count + 2)
    hertz = 700 * (10 ** (mel / 2595) - 1)
    edges: Array = np.floor((length + 1) * hertz / rate).astype(int)
    bins = np.arange(length // 2 + 1)[:, None]
    return xp.asarray(triangles(bins, edges).astype(dtype_named(output_datatype)))


def triangles(bins: Array, edges: Array) -> Array:
    """Per three `edges`, the line from 0 at the first to 1 at the second and back."""
    left, peak, right = edges[:-2], edges[1:-1], edges[2:]
    rising = (bins - left) / np.maximum(peak - left, 1)
    falling = (right - bins) / np.maximum(right - peak, 1)
    height = np.maximum(np.minimum(rising, falling), 0)
    # The three edges may lie in one bin.
    return np.where(bins == peak, 1.0, height)


# --- random draws, by NumPy: under a tracer they are made once, when it traces ---


def generator(seed: float | None) -> np.random.Generator:
    """The generator that the bits of `seed` start; by itself without one."""
    if seed is None:
        return np.random.default_rng()
    return np.random.default_rng(int(np.float32(seed).view(np.uint32)))


def random_normal(
    xp: Any,
    shape: tuple[int, ...],
    dtype: str = "float32",
    mean: float = 0.0,
    scale: float = 1.0,
    seed: float | None = None,
) -> Array:
    """Normal draws of mean `mean` and standard deviation `scale`."""
    draws = generator(seed).normal(mean, scale, shape)
    return xp.asarray(draws.astype(dtype_named(dtype)))


def random_uniform(
    xp: Any,
    shape: tuple[int, ...],
    dtype: str = "float32",
    high: float = 1.0,
    low: float = 0.0,
    seed: float | None = None,
) -> Array:
    """Uniform draws from `low` to `high`."""
    draws = generator(seed).uniform(low, high, shape)
    return xp.asarray(draws.astype(dtype_named(dtype)))


def random_normal_like(
    xp: Any,
    x: Array,
    dtype: str | None = None,
    mean: float = 0.0,
    scale: float = 1.0,
    seed: float | None = None,
) -> Array:
    """Normal draws in the shape (and by default the type) of `x`."""
    return random_normal(xp, x.shape, dtype or x.dtype.name, mean, scale, seed)


def random_uniform_like(
    xp: Any,
    x: Array,
    dtype: str | None = None,
    high: float = 1.0,
    low: float = 0.0,
    seed: float | None = None,
) -> Array:
    """Uniform draws in the shape (and by default the type) of `x`."""
    return random_uniform(xp, x.shape, dtype or x.dtype.name, high, low, seed)


def bernoulli(
    xp: Any, x: Array, dtype: str | None = None, seed: float | None = None
) -> Array:
    """1 with the probability that `x` states, else 0."""
    draws = xp.asarray(generator(seed).random(x.shape))
    return (draws < x.astype(draws.dtype)).astype(dtype_named(dtype or x.dtype.name))


def multinomial(
    xp: Any,
    x: Array,
    dtype: str = "int32",
    sample_size: int = 1,
    seed: float | None = None,
) -> Array:
    """Classes drawn with log-probabilities `x`: the largest of ``x + Gumbel noise``."""
    rows, classes = x.shape
    noise = xp.asarray(generator(seed).gumbel(size=(rows, sample_size, classes)))
    rated = xp.expand_dims(x, 1).astype(noise.dtype) + noise
    return xp.argmax(rated, axis=-1).astype(dtype_named(dtype))


KERNELS: dict[str, Callable[..., Any]] = {
    "Bernoulli": bernoulli,
    "BlackmanWindow": blackman_window,
    "DFT": dft,
    "HammingWindow": hamming_window,
    "HannWindow": hann_window,
    "MelWeightMatrix": mel_weight_matrix,
    "Multinomial": multinomial,
    "RandomNormal": random_normal,
    "RandomNormalLike": random_normal_like,
    "RandomUniform": random_uniform,
    "RandomUniformLike": random_uniform_like,
    "STFT": stft,
}

STATIC: dict[str, tuple[int, ...]] = {
    "BlackmanWindow": (0,),
    "DFT": (1, 2),
    "HammingWindow": (0,),
    "HannWindow": (0,),
    "MelWeightMatrix": (0, 1, 2, 3, 4),
    "STFT": (1, 3),
}
