"""
Fourier transforms in double precision.

XLA's in float32 are off by 1e-6 where the sum is zero. The inverse divides by the
length, which leaves less: it stays in the type of its input.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from ..kernels.signal import dft

Array: TypeAlias = Any


def dft_in_double(
    xp: Any,
    x: Array,
    dft_length: Array | None = None,
    axis: Array | None = None,
    inverse: int = 0,
    onesided: int = 0,
) -> Array:
    """``y[k] = sum_n x[n] exp(-2 pi i k n / N)`` on `axis`, or its inverse."""
    wide = x if inverse else x.astype(xp.float64)
    return dft(xp, wide, dft_length, axis, inverse, onesided).astype(x.dtype)


KERNELS: dict[str, Callable[..., Any]] = {"DFT": dft_in_double}
