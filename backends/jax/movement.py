"""JAX kernels that move elements where XLA needs help."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = Any


def concat_by_bytes(xp: Any, *xs: Array, axis: int) -> Array:
    """`xs` one after another along `axis`, those of two bits as bytes in between."""
    dtype = np.dtype(xs[0].dtype)
    if dtype.name not in ("int2", "uint2"):
        return xp.concatenate(xs, axis=axis)
    # XLA's CPU compiler aborts where it concatenates elements of two bits.
    return xp.concatenate([x.astype(xp.int8) for x in xs], axis=axis).astype(dtype)


KERNELS: dict[str, Callable[..., Any]] = {"Concat": concat_by_bytes}
