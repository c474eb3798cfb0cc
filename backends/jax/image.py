"""Image kernels that loop as often as their data says."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import jax.numpy as jnp
from jax import lax

from ..kernels.image import sample_loop

Array: TypeAlias = Any


def counted_loop(step: Callable[..., Array], counts: Array, total: Array) -> Array:
    """Every sample of a bin, one after another, though their number is traced."""
    tallest, widest = (jnp.max(n).astype(jnp.int64) for n in (counts[0], counts[1]))
    turn = partial(step, jnp.maximum(widest, 1))
    return lax.fori_loop(  # pyright: ignore
        0, tallest * widest, turn, total
    )


INNER: dict[Callable[..., Any], Callable[..., Any]] = {sample_loop: counted_loop}
