"""Attention by blocks of queries, its softmax in place; rotary embedding in place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from ..kernels.linear import attention as general_attention
from ..kernels.linear import attention_bias, attention_limits, split_heads
from ..kernels.linear import rotary_embedding as general_rotary
from .arithmetic import written

Array: TypeAlias = Any


def weigh(scores: Array, v: Array, out: Array) -> None:
    """``softmax(scores) @ v`` into `out`, 0 for rows of -inf; `scores` is spent."""
    peak = np.max(scores, axis=-1, keepdims=True, initial=-np.inf)
    peak[np.isneginf(peak)] = 0
    scores -= peak
    np.exp(scores, out=scores)
    total = np.sum(scores, axis=-1, keepdims=True)
    total[total == 0] = 1
    groups = (v.shape[0], v.shape[1], -1, scores.shape[-1])
    y = np.matmul(scores.reshape(groups), v)
    np.divide(y.reshape(out.shape), total, out=out)


def query_rows(q: Array, keys: int, is_causal: int) -> int:
    """How many queries make a block: its scores stay in cache, or skip the future."""
    most = max((1 << 20) // max(q.shape[0] * q.shape[1] * keys, 1), 32)
    return min(most, 64) if is_causal else most


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
    out: Array = None,
) -> tuple[Array | None, ...]:
    """
    ``softmax(q @ k.T * scale + bias) @ v`` per head (arXiv:1706.03762).

    Several query heads may share one key head (arXiv:2305.13245).
    """
    special = nonpad_kv_seqlen is not None or outputs[3] or softmax_precision
    windowed = left_window_size >= 0 or right_window_size >= 0
    if special or windowed or q.dtype not in (np.float32, np.float64):
        found, *others = general_attention(
            xp,
            q,
            k,
            v,
            attn_mask,
            past_key,
            past_value,
            nonpad_kv_seqlen,
            is_causal,
            kv_num_heads,
            left_window_size,
            q_num_heads,
            qk_matmul_output_mode,
            right_window_size,
            scale,
            softcap,
            softmax_precision,
            outputs,
        )
        return written(found, out), *others
    flat = q.ndim == 3
    q, k, v = (
        split_heads(x, n)
        for x, n in ((q, q_num_heads), (k, kv_num_heads), (v, kv_num_heads))
    )
    before = 0
    if past_key is not None and past_value is not None:
        before = past_key.shape[2]
        k = np.concatenate((past_key, k), axis=2)
        v = np.concatenate((past_value, v), axis=2)
    batch, heads, rows, size = q.shape
    keys, groups = k.shape[2], k.shape[1]
    shape = (batch, rows, heads, v.shape[3])
    if not flat:
        shape = (batch, heads, rows, v.shape[3])
    place: Array = np.empty(shape, q.dtype) if out is None else out.reshape(shape)
    y = place.swapaxes(1, 2) if flat else place
    bias = attention_bias(np, attn_mask, None, keys, q.dtype)
    factor = q.dtype.type(size**-0.5 if scale is None else scale)
    step = query_rows(q, keys, is_causal)
    for start in range(0, rows, step):
        stop = min(start + step, rows)
        # Keys that no query of the block sees are left out.
        seen = min(before + stop, keys) if is_causal else keys
        scaled = np.multiply(q[:, :, start:stop], factor, order="C")
        turned = k[:, :, :seen].swapaxes(2, 3)
        scores = np.matmul(scaled.reshape(batch, groups, -1, size), turned)
        scores = scores.reshape(batch, heads, stop - start, seen)
        if softcap > 0:
            scores /= softcap
            np.tanh(scores, out=scores)
            scores *= softcap
        if bias is not None:
            whole = bias.shape[-2] == 1
            piece = bias if whole else bias[..., start:stop, :]
            scores += piece[..., :seen]
        if is_causal:
            lengths = (stop - start, seen)
            limits = attention_limits(np, lengths, before + start, None, 1, -1, -1)
            scores += attention_bias(np, None, limits, seen, q.dtype)
        weigh(scores, v[:, :, :seen], y[:, :, start:stop])
    if flat:
        place = place.reshape(batch, rows, -1)
    return (place, k if outputs[1] else None, v if outputs[2] else None, None)


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
    if x.dtype not in (np.float32, np.float64) or (x.ndim == 3 and not num_heads):
        return general_rotary(
            xp,
            x,
            cos_cache,
            sin_cache,
            position_ids,
            interleaved,
            num_heads,
            rotary_embedding_dim,
        )
    cos, sin = cos_cache, sin_cache
    if position_ids is not None:
        cos, sin = cos_cache[position_ids], sin_cache[position_ids]
    # Heads stand behind positions in 3-D operands, before them in 4-D ones.
    axis = 2 if x.ndim == 3 else 1
    cos, sin = np.expand_dims(cos, axis), np.expand_dims(sin, axis)
    heads = x.reshape(*x.shape[:2], num_heads, -1) if x.ndim == 3 else x
    y: Array = np.empty(heads.shape, heads.dtype)
    size = rotary_embedding_dim or heads.shape[3]
    first, second = slice(0, size // 2), slice(size // 2, size)
    if interleaved:
        first, second = slice(0, size, 2), slice(1, size, 2)
    a, b = heads[..., first], heads[..., second]
    np.multiply(a, cos, out=y[..., first])
    y[..., first] -= b * sin
    np.multiply(a, sin, out=y[..., second])
    y[..., second] += b * cos
    y[..., size:] = heads[..., size:]
    return y.reshape(x.shape)


KERNELS: dict[str, Callable[..., Any]] = {
    "Attention": attention,
    "RotaryEmbedding": rotary_embedding,
}
