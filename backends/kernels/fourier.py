"""Kernels: convolution as a product of spectra."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

Array: TypeAlias = Any


def window_places(
    sizes: tuple[int, ...], kernel: tuple[int, ...], pads: tuple[int, ...]
) -> tuple[int, ...]:
    """How many windows there are along each axis, one beginning at every place."""
    rank = len(kernel)
    rows = zip(sizes, kernel, pads[:rank], pads[rank:], strict=True)
    return tuple(size + first + last - k + 1 for size, k, first, last in rows)


def matrix_products(xp: Any, rows: Array, matrices: Array) -> Array:
    """``rows[..., n, k] @ matrices[..., k, m]``, complex, one for each frequency."""
    return xp.matmul(rows, matrices)


def spectral_products(xp: Any, x: Array, spectra: Array, group: int) -> Array:
    """
    The spectra ``[n, m, f...]`` of what kernels give of an image's, ``[n, c, f...]``.

    `spectra` are complex: ``[m, f...]`` where each kernel sees one channel, else
    matrices ``[f..., group, c / group, m / group]``.
    """
    rank = x.ndim - 2
    if spectra.ndim == rank + 1:
        times = spectra.shape[0] // x.shape[1]
        seen = xp.repeat(x, times, axis=1) if times > 1 else x
        return seen * spectra
    n, c, *points = x.shape
    # All sizes are written out: -1 stands for none in an empty batch.
    apart = x.reshape(n, group, c // group, *points)
    rows = xp.moveaxis(apart, (1, 0, 2), (-3, -2, -1))
    y = matrix_products(xp, rows, spectra)
    images = xp.moveaxis(y, (-3, -2, -1), (1, 0, 2))
    return images.reshape(n, group * spectra.shape[-1], *points)


def fourier_conv(
    xp: Any,
    x: Array,
    s: Array,
    b: Array | None = None,
    group: int = 1,
    kernel_shape: tuple[int, ...] = (),
    lengths: tuple[int, ...] = (),
    pads: tuple[int, ...] | None = None,
) -> Array:
    """
    Conv of ``x[n, c, ...]`` by the spectra of its weight: see the dialect `fourier`.

    That is ``F^-1(F(x) * s) + b``, cut to where windows begin.
    """
    rank = len(lengths)
    axes = tuple(range(2, 2 + rank))
    counts = window_places(x.shape[2:], kernel_shape, pads or (0,) * 2 * rank)
    seen = xp.fft.rfftn(x, s=lengths, axes=axes)
    y = spectral_products(xp, seen, s[..., 0] + 1j * s[..., 1], group)
    whole = xp.fft.irfftn(y, s=lengths, axes=axes)
    found = whole[(..., *(slice(0, count) for count in counts))]
    return found if b is None else found + b.reshape(-1, *(1,) * rank)


KERNELS: dict[str, Callable[..., Any]] = {"fourier.Conv": fourier_conv}

STATIC: dict[str, tuple[int, ...]] = {}
