"""Small NumPy programs whose times tell what the machine does; see `cost.calibrate`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

SIDE = 1024
LARGE, SMALL, CURVED = 1 << 23, 1 << 15, 1 << 18
"""Elements of arrays that no cache holds, that one does, and of those for exp."""
CHAIN = 64
FUSES = False
"""See `targets.Rates`."""


def probes() -> Mapping[str, tuple[Callable[[], Any], float]]:
    """
    For each rate a function that does some of it, and how much: see `targets.Rates`.

    The amounts of `launch_seconds` and `call_seconds` are ops and calls.
    """
    generator = np.random.default_rng(0)
    a, b = (generator.random((SIDE, SIDE), np.float32) for _ in range(2))
    product = np.empty_like(a)

    def added(count: int) -> Callable[[], Any]:
        x, y = (generator.random(count, np.float32) for _ in range(2))
        return partial(np.add, x, y, out=np.empty_like(x))

    curved = generator.random(CURVED, np.float32)
    tiny = np.zeros(4, np.float32)

    def chained() -> None:
        for _ in range(CHAIN):
            np.add(tiny, tiny, out=tiny)

    return {
        "flops": (partial(np.matmul, a, b, out=product), 2.0 * SIDE**3),
        "bandwidth": (added(LARGE), 12.0 * LARGE),
        "cache_bandwidth": (added(SMALL), 12.0 * SMALL),
        "transcendentals": (
            partial(np.exp, curved, out=np.empty_like(curved)),
            CURVED,
        ),
        "launch_seconds": (chained, CHAIN),
        "call_seconds": (partial(np.add, tiny, tiny), 1.0),
    }
