"""SVMClassifier, whose probabilities are found in a ``lax.while_loop``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

from jax import lax

from ..kernels.linear_models import (
    coupled,
    coupling_done,
    coupling_start,
    coupling_turn,
)

Array: TypeAlias = Any
State: TypeAlias = tuple[Any, Array]


def coupled_in_loop(xp: Any, pairs: Array, count: int) -> Array:
    """Class probabilities [N, `count`] that agree best with those of `pairs`."""
    q, p = coupling_start(xp, pairs, count)
    unsolved = partial(coupling_unsolved, xp, q, count)
    turn = partial(coupling_step, xp, q, count)
    return lax.while_loop(unsolved, turn, (0, p))[1]


def coupling_unsolved(xp: Any, q: Array, count: int, state: State) -> Array:
    """Whether a sample is left to solve, and a turn."""
    turns, p = state
    return (turns < max(100, count)) & ~xp.all(coupling_done(xp, q, p, count))


def coupling_step(xp: Any, q: Array, count: int, state: State) -> State:
    """One turn, for the samples that are not solved."""
    turns, p = state
    done = coupling_done(xp, q, p, count)
    return turns + 1, xp.where(done, p, coupling_turn(xp, q, p, count))


INNER: dict[Callable[..., Any], Callable[..., Any]] = {coupled: coupled_in_loop}
