"""Linear attention whose time runs in ``lax.scan``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from jax import lax

from ..kernels.linear_attention import run_linear_attention

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


def linear_attention(
    xp: Any,
    query: Array,
    key: Array,
    value: Array,
    past_state: Array | None = None,
    decay: Array | None = None,
    beta: Array | None = None,
    chunk_size: int = 64,
    kv_num_heads: int = 1,
    q_num_heads: int = 1,
    scale: float = 0.0,
    update_rule: str = "gated_delta",
    outputs: tuple[bool, ...] = (True, True),
) -> tuple[Array | None, ...]:
    """``S = exp(g) S + k (beta (v - k S))``, ``o = scale q S`` over time."""
    parts = (query, key, value, past_state, decay, beta)
    heads = (q_num_heads, kv_num_heads)
    run = (scan_over_time, parts, heads, scale, update_rule)
    return run_linear_attention(xp, *run, outputs)


KERNELS: dict[str, Callable[..., Any]] = {"LinearAttention": linear_attention}
