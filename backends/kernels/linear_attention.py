"""
Linear attention: a recurrent state in place of the matrix of scores.

Katharopoulos et al., Transformers are RNNs (2020); the gated and the delta rule as in
Yang et al., Gated Delta Networks (2024).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

from .convolution import widened

Array: TypeAlias = Any


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
    """
    ``S = exp(g) S + k (beta (v - k S))``, ``o = scale q S``, one token after another.

    query is (B, T, q_num_heads * d_k), key (B, T, kv_num_heads * d_k), value likewise
    with d_v, and the state (B, kv_num_heads, d_k, d_v). decay ``g`` (B, T, heads or
    heads * d_k) is there with the gated rules, beta (B, T, heads or 1) with the delta
    rules; the others write v itself.
    """
    parts = (query, key, value, past_state, decay, beta)
    heads = (q_num_heads, kv_num_heads)
    return run_linear_attention(xp, parts, heads, scale, update_rule, outputs)


def run_linear_attention(
    xp: Any,
    parts: tuple[Any, ...],
    heads: tuple[int, int],
    scale: float,
    update_rule: str,
    outputs: tuple[bool, ...],
) -> tuple[Array | None, ...]:
    """`linear_attention`, what comes in parts taken together."""
    query, key, value, past, decay, beta = parts
    rules = ("linear", "gated", "delta", "gated_delta")
    if update_rule not in rules:
        raise ValueError(f"update_rule is {update_rule!r}, not one of {rules}")
    for given, name, rule in ((decay, "decay", "gated"), (beta, "beta", "delta")):
        if (given is not None) != (rule in update_rule):
            found = "no" if given is None else "a"
            raise ValueError(f"update_rule {update_rule!r} with {found} {name}")
    wide = [
        x if x is None else widened(xp, x) for x in (query, key, value, decay, beta)
    ]
    packed = zip(wide, head_counts(wide, heads), strict=True)
    q, k, v, g, b = (per_head(x, n) for x, n in packed)
    batch, kv_heads, d_k, d_v = q.shape[1], heads[1], k.shape[-1], v.shape[-1]
    state = xp.zeros((batch, kv_heads, d_k, d_v), v.dtype)
    if past is not None:
        state = past.astype(v.dtype)
    rate = scale if scale else 1 / math.sqrt(d_k)
    turns = (q * xp.asarray(rate, q.dtype), k, v, g, b)
    results, state = loop_over_time(partial(attend, xp), state, turns, xp)
    y = xp.moveaxis(results, 0, 1).reshape(batch, query.shape[1], heads[0] * d_v)
    kept = query.dtype if past is None else past.dtype
    return (
        y.astype(query.dtype) if outputs[0] else None,
        state.astype(kept) if outputs[1] else None,
    )


def head_counts(wide: list[Any], heads: tuple[int, int]) -> tuple[int, ...]:
    """How many heads each of query, key, value, decay and beta packs."""
    beta = wide[4]
    shared = 1 if beta is not None and beta.shape[-1] == 1 else heads[1]
    return (*heads, heads[1], heads[1], shared)


def per_head(x: Any, heads: int) -> Any:
    """``(B, T, heads * d) -> (T, B, heads, d)``."""
    if x is None:
        return None
    split = x.reshape(*x.shape[:2], heads, x.shape[-1] // heads)
    return split.swapaxes(0, 1)


def attend(xp: Any, state: Array, now: tuple[Any, ...]) -> tuple[Array, Array]:
    """One token: (the new state, what the query reads of it)."""
    q, k, v, g, b = now
    if g is not None:
        state = state * xp.exp(g)[..., None]
    if b is not None:
        v = b * (v - xp.matmul(k[..., None, :], state)[..., 0, :])
    state = state + k[..., :, None] * v[..., None, :]
    # Query heads in a row share the state of one key head.
    groups = q.reshape(q.shape[0], state.shape[1], -1, q.shape[-1])
    read = xp.matmul(groups, state)
    return state, read.reshape(q.shape[0], q.shape[1], state.shape[-1])


def loop_over_time(
    step: Callable[..., tuple[Array, Array]],
    state: Array,
    turns: tuple[Any, ...],
    xp: Any,
) -> tuple[Array, Array]:
    """(Stacked results of `step`, last state) over the first axis of `turns`."""
    results: list[Array] = []
    for turn in range(turns[0].shape[0]):
        now = tuple(None if x is None else x[turn] for x in turns)
        state, result = step(state, now)
        results.append(result)
    if not results:
        batch, heads = turns[0].shape[1:3]
        return xp.zeros((0, batch, heads, state.shape[-1]), state.dtype), state
    return xp.stack(results), state


KERNELS: dict[str, Callable[..., Any]] = {"LinearAttention": linear_attention}
STATIC: dict[str, tuple[int, ...]] = {}
