"""Recurrent layers whose time runs in ``lax.scan``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

from jax import lax

from ..kernels.recurrent import masked_step, time_loop

Array: TypeAlias = Any
State: TypeAlias = tuple[Any, ...]


def scan_step(
    xp: Any, step: Callable[..., State], state: State, now: tuple[Array, Array | None]
) -> tuple[State, Array]:
    """One turn of the scan: what enters at a time is its gates and who still runs."""
    return masked_step(xp, step, state, *now)


def scan_loop(
    xp: Any,
    step: Callable[..., State],
    state: State,
    gates: Array,
    live: Array | None,
    reverse: bool,
) -> tuple[Array, State]:
    """(outputs by time, last state) of `step` over the first axis of `gates`."""
    turn = partial(scan_step, xp, step)
    state, results = lax.scan(turn, state, (gates, live), reverse=reverse)
    return results, state


INNER: dict[Callable[..., Any], Callable[..., Any]] = {time_loop: scan_loop}
