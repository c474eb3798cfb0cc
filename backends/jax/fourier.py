"""Products of spectra in the form that XLA on CPUs has fast code for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from ..kernels.fourier import matrix_products

Array: TypeAlias = Any

SMALL = 64
"""Matrices of so many elements are summed up: 0.16 ms for 4.2 of 29,040 of 3x3."""


def small_matrix_products(xp: Any, rows: Array, matrices: Array) -> Array:
    """``rows[..., n, k] @ matrices[..., k, m]``, complex, one for each frequency."""
    if matrices.shape[-1] * matrices.shape[-2] > SMALL:
        return xp.matmul(rows, matrices)
    return (rows[..., None] * matrices[..., None, :, :]).sum(-2)


INNER: dict[Callable[..., Any], Callable[..., Any]] = {
    matrix_products: small_matrix_products
}
"""What stands for functions that shared kernels call."""
