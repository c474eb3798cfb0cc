"""Small JAX programs whose times tell what the machine does; see `cost.calibrate`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np

SIDE = 1024
LARGE, SMALL, CURVED = 1 << 23, 1 << 15, 1 << 18
"""Elements of arrays that no cache holds, that one does, and of those for exp."""
CHAIN = 64
FUSES = True
"""See `targets.Rates`."""


def probes() -> Mapping[str, tuple[Callable[[], Any], float]]:
    """As `numpy.rates.probes`, of compiled functions."""
    generator = np.random.default_rng(0)

    def drawn(*shape: int) -> Any:
        return jnp.array(generator.random(shape, np.float32))  # pyright: ignore[reportUnknownMemberType]

    def compiled(function: Callable[..., Any], *arrays: Any) -> Callable[[], Any]:
        jit = cast(Any, jax.jit)  # pyright: ignore[reportUnknownMemberType]
        return partial(_finished, jit(function).lower(*arrays).compile(), arrays)

    a, b = drawn(SIDE, SIDE), drawn(SIDE, SIDE)
    tiny = drawn(8, 8)
    return {
        "flops": (compiled(jnp.matmul, a, b), 2.0 * SIDE**3),
        "bandwidth": (compiled(_sum, drawn(LARGE), drawn(LARGE)), 12.0 * LARGE),
        "cache_bandwidth": (compiled(_sum, drawn(SMALL), drawn(SMALL)), 12.0 * SMALL),
        "transcendentals": (compiled(jnp.exp, drawn(CURVED)), CURVED),
        # Products, for XLA would make one kernel of sums.
        "launch_seconds": (compiled(_chained, tiny), CHAIN),
        "call_seconds": (compiled(_sum, tiny, tiny), 1.0),
    }


def _finished(function: Any, arrays: Any) -> None:
    jax.block_until_ready(function(*arrays))  # pyright: ignore[reportUnknownMemberType]


def _sum(x: Any, y: Any) -> Any:
    return x + y


def _chained(x: Any) -> Any:
    for _ in range(CHAIN):
        x = jnp.matmul(x, x)
    return x
