"""Attention and rotary embedding without moving axes by hand: XLA places them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import jax.numpy as jnp
from jax import lax

from ..kernels.linear import (
    attention_bias,
    attention_limits,
    cache_offset,
    grouped_heads,
    softmax_type,
    split_heads,
)

Array: TypeAlias = Any


def plain_weights(scores: Array, precision: Any) -> tuple[Array, Array]:
    """
    ``exp(scores - max)`` and its sum along the last axis; no row is -inf throughout.

    Nothing else may look at the greatest: then XLA's library for processors takes the
    product behind `scores`, what is added to it and this in one go (YNNPACK).
    """
    wide = scores.astype(precision)
    if wide.dtype.itemsize < 4:
        wide = wide.astype(jnp.float32)
    raised = jnp.exp(wide - jnp.max(wide, axis=-1, keepdims=True, initial=-jnp.inf))
    return raised, jnp.sum(raised, axis=-1, keepdims=True)


def shut_rows(xp: Any, bias: Array | None, keys: int, precision: Any) -> Array:
    """Which queries see none of the keys: all that `bias` adds to theirs is -inf."""
    if bias is None:
        return xp.full((), keys == 0)
    return xp.all(bias.astype(precision) == -jnp.inf, axis=-1, keepdims=True)


def attention(
    xp: Any,
    q: Array,
    k: Array,
    v: Array,
    attn_mask: Array | None = None,
    past_key: Array | None = None,
    past_value: Array | None = None,
    nonpad_kv_seqlen: Array | None = None,
    is_causal: int = 0,
    kv_num_heads: int | None = None,
    left_window_size: int = -1,
    q_num_heads: int | None = None,
    qk_matmul_output_mode: int = 0,
    right_window_size: int = -1,
    scale: float | None = None,
    softcap: float = 0.0,
    softmax_precision: int | str | None = None,
    outputs: tuple[bool, ...] = (True, True, True, True),
) -> tuple[Array | None, ...]:
    """
    ``softmax(softcap(q @ k.T * scale) + bias) @ v`` per head (arXiv:1706.03762).

    Several query heads may share one key head (arXiv:2305.13245).
    """
    flat, dtype = q.ndim == 3, q.dtype
    q, k, v = (
        split_heads(x, n)
        for x, n in ((q, q_num_heads), (k, kv_num_heads), (v, kv_num_heads))
    )
    if past_key is not None and past_value is not None:
        k = jnp.concatenate((past_key, k), axis=2)
        v = jnp.concatenate((past_value, v), axis=2)
    sums = jnp.promote_types(dtype, jnp.float32)
    factor = q.shape[3] ** -0.5 if scale is None else scale
    scores = xp.einsum(
        "bgnsd,bgtd->bgnst",
        grouped_heads(q.astype(sums) * factor, k.shape[1]),
        k.astype(sums),
        precision=lax.Precision.HIGHEST,
    ).reshape(*q.shape[:3], k.shape[2])
    capped = softcap * jnp.tanh(scores / softcap) if softcap > 0 else scores
    offset = cache_offset(past_key, nonpad_kv_seqlen, q.shape[2])
    window = (is_causal, left_window_size, right_window_size)
    lengths = (q.shape[2], k.shape[2])
    allowed = attention_limits(xp, lengths, offset, nonpad_kv_seqlen, *window)
    bias = attention_bias(xp, attn_mask, allowed, k.shape[2], scores.dtype)
    precision = softmax_type(xp, softmax_precision, sums)
    # Rows that are shut are as if open up to the end, so that no NaN is on the way.
    shut = shut_rows(xp, bias, k.shape[2], precision)
    opened = capped if bias is None else capped + jnp.where(shut, 0, bias)
    raised, total = plain_weights(opened, precision)
    # Divided behind the product, where there are fewer elements.
    y = xp.einsum(
        "bgnst,bgtd->bgnsd",
        grouped_heads(raised.astype(sums), k.shape[1]),
        v.astype(sums),
        precision=lax.Precision.HIGHEST,
    ).reshape(*q.shape[:3], v.shape[3])
    y = jnp.where(shut, 0, y / total.astype(sums)).astype(dtype)
    if flat:
        y = y.swapaxes(1, 2).reshape(q.shape[0], q.shape[2], -1)
    shown: Array | None = None
    if outputs[3]:
        biased = capped if bias is None else capped + bias
        choices = (scores, capped, biased, jnp.where(shut, 0, raised / total))
        shown = choices[qk_matmul_output_mode].astype(dtype)
    return (y, k if outputs[1] else None, v if outputs[2] else None, shown)


def rotary_embedding(
    xp: Any,
    x: Array,
    cos_cache: Array,
    sin_cache: Array,
    position_ids: Array | None = None,
    interleaved: int = 0,
    num_heads: int | None = None,
    rotary_embedding_dim: int = 0,
) -> Array:
    """Pairs of `x` turned by their position's angle (RoPE, arXiv:2104.09864)."""
    sums = jnp.promote_types(x.dtype, jnp.float32)
    cos, sin = cos_cache, sin_cache
    if position_ids is not None:
        cos, sin = cos_cache[position_ids], sin_cache[position_ids]
    # Heads stand behind positions in 3-D operands, before them in 4-D ones.
    axis = 2 if x.ndim == 3 else 1
    cos, sin = (jnp.expand_dims(angle.astype(sums), axis) for angle in (cos, sin))
    if x.ndim == 3 and not num_heads:
        raise ValueError("found no number of heads, wanted one for a 3-D operand")
    heads = x.reshape(*x.shape[:2], num_heads, -1) if x.ndim == 3 else x
    size = rotary_embedding_dim or heads.shape[3]
    turned = heads[..., :size].astype(sums)
    if interleaved:
        a, b = turned[..., 0::2], turned[..., 1::2]
        pairs = jnp.stack((a * cos - b * sin, a * sin + b * cos), axis=-1)
        y = pairs.reshape(turned.shape)
    else:
        a, b = turned[..., : size // 2], turned[..., size // 2 :]
        y = jnp.concatenate((a * cos - b * sin, a * sin + b * cos), axis=-1)
    y = y.astype(x.dtype)
    if size < heads.shape[3]:
        y = jnp.concatenate((y, heads[..., size:]), axis=-1)
    return y.reshape(x.shape)


KERNELS: dict[str, Callable[..., Any]] = {
    "Attention": attention,
    "RotaryEmbedding": rotary_embedding,
}
