"""Matrix products at full precision, 16-bit floats kept narrow until they are added."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import jax.numpy as jnp
from jax import lax

Array: TypeAlias = Any


def sum_type(x: Array) -> Any:
    """float32 to add 16-bit floats in; None, the operands' own, for other types."""
    narrow = x.dtype.itemsize == 2 and jnp.issubdtype(x.dtype, jnp.floating)
    return jnp.float32 if narrow else None


def full_matmul(a: Array, b: Array) -> Array:
    """``a @ b`` without the rounding that accelerators do by default."""
    return jnp.matmul(
        a, b, precision=lax.Precision.HIGHEST, preferred_element_type=sum_type(a)
    )


def matmul(xp: Any, a: Array, b: Array) -> Array:
    """``a @ b``, broadcast over leading axes; 16-bit floats add up in float32."""
    return full_matmul(a, b).astype(a.dtype)


def gemm(
    xp: Any,
    a: Array,
    b: Array,
    c: Array | None = None,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,
    transB: int = 0,
) -> Array:
    """``alpha * a @ b + beta * c``, a and b transposed first where asked."""
    y = full_matmul(a.T if transA else a, b.T if transB else b)
    if alpha != 1:
        y = y * alpha
    if c is not None and beta != 0:
        y = y + (c if beta == 1 else c.astype(y.dtype) * beta)
    return y.astype(a.dtype)


def einsum(xp: Any, *xs: Array, equation: str) -> Array:
    """Einstein summation; an implicit output is sorted by ASCII value."""
    total = xp.einsum(
        equation.replace(" ", ""),
        *xs,
        precision=lax.Precision.HIGHEST,
        preferred_element_type=sum_type(xs[0]),
    )
    return total.astype(xs[0].dtype)


KERNELS: dict[str, Callable[..., Any]] = {
    "Einsum": einsum,
    "Gemm": gemm,
    "MatMul": matmul,
}
