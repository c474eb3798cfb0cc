"""Elementwise kernels in JAX's own primitives, exact in value and gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import jax.numpy as jnp
from jax import lax

Array: TypeAlias = Any


def div(xp: Any, a: Array, b: Array) -> Array:
    """``a / b``; of integers, rounded toward zero, as XLA divides."""
    return lax.div(*jnp.broadcast_arrays(a, b))


def mod(xp: Any, a: Array, b: Array, fmod: int = 0) -> Array:
    """The remainder of ``a / b``, with the sign of `b`, or with `fmod` that of `a`."""
    if fmod:
        return jnp.fmod(a, b)
    rest = jnp.mod(a, b)
    if not jnp.issubdtype(a.dtype, jnp.floating):
        return rest
    return jnp.where(rest == 0, jnp.copysign(rest, b), rest)


def erf(xp: Any, x: Array) -> Array:
    """The error function."""
    return lax.erf(x)


def relu(xp: Any, x: Array) -> Array:
    """
    ``max(x, 0)``, as a choice of two.

    XLA computes a maximum with a constant, and what is before it, again for each that
    takes it: down a chain of residual blocks that is all of the sums so far.
    """
    return jnp.where(x <= 0, 0, x)


def relu_in_product(xp: Any, x: Array) -> Array:
    """``max(x, 0)``, as YNNPACK computes it together with the product before it."""
    return jnp.maximum(x, 0)


def gelu(xp: Any, x: Array, approximate: str = "none") -> Array:
    """``x * Phi(x)``, by erf or by tanh (Hendrycks and Gimpel 2016)."""
    wide = x if x.dtype.itemsize > 2 else x.astype(jnp.float32)
    if approximate == "none":
        inner = lax.erf(wide * 0.7071067811865476)
    elif approximate == "tanh":
        # 0.7978… is sqrt(2 / pi).
        inner = jnp.tanh(0.7978845608028654 * wide * (1 + 0.044715 * wide * wide))
    else:
        raise ValueError(f"Gelu approximate is {approximate!r}, not 'none' or 'tanh'")
    return (0.5 * wide * (1 + inner)).astype(x.dtype)


def sigmoid(xp: Any, x: Array) -> Array:
    """``1 / (1 + exp(-x))``; its gradient is finite where exp overflows."""
    return lax.logistic(x)


def swish(xp: Any, x: Array, alpha: float = 1.0) -> Array:
    """``x * sigmoid(alpha * x)``."""
    return x * lax.logistic(x if alpha == 1 else alpha * x)


def swiglu(xp: Any, gate: Array, x: Array, alpha: float = 1.0) -> Array:
    """``swish(gate, alpha) * x`` (Shazeer 2020)."""
    return swish(xp, gate, alpha) * x


KERNELS: dict[str, Callable[..., Any]] = {
    "Div": div,
    "Erf": erf,
    "Gelu": gelu,
    "Mod": mod,
    "Relu": relu,
    "Sigmoid": sigmoid,
    "SwiGLU": swiglu,
    "Swish": swish,
}
