"""Linear attention whose time runs in ``lax.scan``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from jax import lax

from ..kernels.linear_attention import loop_over_time

Array: TypeAlias = Any


def scan_over_time(
    step: Callable[..., tuple[Array, Array]],
    state: Array,
    turns: tuple[Any, ...],
    xp: Any,
) -> tuple[Array, Array]:
    """(Stacked results of `step`, last state) over the first axis of `turns`."""
    state, results = lax.scan(step, state, turns)
    return results, state


INNER: dict[Callable[..., Any], Callable[..., Any]] = {loop_over_time: scan_over_time}
