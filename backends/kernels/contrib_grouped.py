"""Kernels: ONNX Runtime's grouped-query attention, rotary embedding, biases."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from .contrib_attention import LOWEST, attended, in_heads, out_of_heads, wanted
from .convolution import widened
from .linear import rotary_embedding as rotated
from .quantization import stored

Array: TypeAlias = Any


# --- rotary embedding ---


def rotary_embedding(
    xp: Any,
    x: Array,
    position_ids: Array,
    cos_cache: Array,
    sin_cache: Array,
    interleaved: int | None = None,
    is_packed_batching: int | None = None,
    num_heads: int | None = None,
    rotary_embedding_dim: int | None = None,
    scale: float | None = None,
) -> Array:
    """
    Pairs of `x` turned by their position's angle; `scale` has no effect, as in ONNX
    Runtime.

    One position is that of the first token of every sequence.
    """
    size = 2 * cos_cache.shape[1]
    flat = x.ndim == 3
    heads = x
    if flat:
        count = num_heads if rotary_embedding_dim else x.shape[2] // size
        heads = in_heads(x, count or x.shape[2] // size)
    positions = position_ids
    if position_ids.ndim == 1:
        steps = xp.arange(heads.shape[2]) + position_ids[0]
        positions = xp.broadcast_to(steps, (heads.shape[0], heads.shape[2]))
    mixed = bool(interleaved)
    y = rotated(xp, heads, cos_cache, sin_cache, positions, mixed, None, size)
    return out_of_heads(y) if flat else y


# --- attention with fewer heads of keys and values ---


def grouped_parts(
    query: Array, key: Array | None, value: Array | None, heads: int, groups: int
) -> tuple[Array, Array, Array]:
    """Q, K and V as heads, from operands apart or one behind the other in `query`."""
    if key is not None and value is not None:
        return in_heads(query, heads), in_heads(key, groups), in_heads(value, groups)
    size = query.shape[2] // (heads + 2 * groups)
    first, second = heads * size, (heads + groups) * size
    return (
        in_heads(query[..., :first], heads),
        in_heads(query[..., first:second], groups),
        in_heads(query[..., second:], groups),
    )


def filled_cache(
    xp: Any,
    past: Array | None,
    new: Array,
    starts: Array,
    size: int,
    counts: Array | None = None,
) -> Array:
    """
    A cache of `size` rows: those of `past` before each sequence's start, then `new`, of
    which the first `counts` count.
    """
    place = xp.arange(size)[None] - starts[:, None]
    inside = place < (new.shape[2] if counts is None else counts.reshape(-1, 1))
    inside = inside & (place >= 0)
    index = xp.clip(place, 0, new.shape[2] - 1)[:, None, :, None]
    moved = xp.take_along_axis(new, index, axis=2)
    kept = xp.zeros(moved.shape, new.dtype)
    if past is not None:
        missing = max(size - past.shape[2], 0)
        kept = xp.pad(past, ((0, 0), (0, 0), (0, missing), (0, 0)))[:, :, :size]
        kept = xp.where((place < 0)[:, None, :, None], kept, 0)
    return xp.where(inside[:, None, :, None], moved, kept).astype(new.dtype)


def grouped_mask(
    xp: Any, starts: Array, length: int, total: int, causal: int, window: int
) -> Array:
    """
    Which keys a query sees: those up to itself, the last `window` of them.

    Without `causal`, all that its sequence has.
    """
    rows = starts[:, None, None] + xp.arange(length)[None, :, None]
    places = xp.arange(total)[None, None]
    if causal:
        keep = places <= rows
        if window > 0:
            keep = keep & (places > rows - window)
    else:
        keep = places < starts[:, None, None] + length
    return xp.where(keep, 0.0, LOWEST).astype(xp.float32)[:, None]


# --- a cache of few bits ---


def scale_of_cache(kind: str, scale: Array | None, bits: int) -> Array | None:
    """The scale of a cache; None if it holds floats. ValueError if it is missing."""
    if kind == "NONE":
        return None
    if scale is None or kind not in ("PER_TENSOR", "PER_CHANNEL") or bits not in (4, 8):
        found = f"a cache of {bits} bits, {kind}, its scale {scale is not None}"
        raise ValueError(f"found {found}, wanted one of 4 or 8 bits and its scale")
    return scale


def cache_scale(xp: Any, scale: Array, groups: int) -> Array:
    """One scale of all, or one per head and element of it, to go with heads."""
    if scale.size == 1:
        return scale.reshape(())
    return widened(xp, scale).reshape(1, groups, 1, -1)


def coded(xp: Any, x: Array, scale: Array | None, bits: int, past: Array | None) -> Any:
    """
    Heads as a cache holds them: as they are, or in `bits` bits of ``x / scale``.

    Eight bits are int8, or what `past` has; four lie moved by 8 in uint8, the element
    of even number in the lower half.
    """
    if scale is None:
        return x
    ratio = widened(xp, x) / cache_scale(xp, scale, x.shape[1])
    if bits == 8:
        to = "int8" if past is None else np.dtype(past.dtype).name
        return stored(xp, ratio, None, to)
    moved = (xp.clip(xp.rint(ratio), -8, 7) + 8).astype(xp.uint8)
    return moved[..., 0::2] | (moved[..., 1::2] << 4)


def decoded(xp: Any, cache: Array, scale: Array | None, bits: int) -> Array:
    """The heads that `cache` stands for, in float32 if it has a scale."""
    if scale is None:
        return cache
    if bits == 4:
        halves = xp.stack((cache & 15, cache >> 4), axis=-1)
        cache = halves.reshape(*cache.shape[:3], -1).astype(xp.int8) - 8
    wide = cache.astype(xp.float32)
    return wide * cache_scale(xp, scale, cache.shape[1])


def normed(xp: Any, x: Array, weight: Array | None, epsilon: float) -> Array:
    """Heads by their root mean square (Zhang, Sennrich 2019), times `weight`."""
    if weight is None:
        return x
    wide = widened(xp, x)
    square = xp.mean(wide * wide, axis=-1, keepdims=True)
    return (wide / xp.sqrt(square + epsilon) * widened(xp, weight)).astype(x.dtype)


# --- grouped-query attention ---


def grouped_positions(
    xp: Any, given: Array | None, starts: Array, length: int, first: bool
) -> Array:
    """The position of every query: as `given`, or counted from its sequence's start."""
    if given is not None and not first:
        return given
    if given is not None:
        starts = xp.broadcast_to(given.reshape(-1)[0], starts.shape)
    return starts[:, None] + xp.arange(length)[None]


def group_query_attention(
    xp: Any,
    query: Array,
    key: Array | None = None,
    value: Array | None = None,
    past_key: Array | None = None,
    past_value: Array | None = None,
    seqlens_k: Array | None = None,
    total_sequence_length: Array | None = None,
    cos_cache: Array | None = None,
    sin_cache: Array | None = None,
    position_ids: Array | None = None,
    attention_bias: Array | None = None,
    head_sink: Array | None = None,
    k_scale: Array | None = None,
    v_scale: Array | None = None,
    q_norm_weight: Array | None = None,
    k_norm_weight: Array | None = None,
    query_seqlens: Array | None = None,
    causal: int = 1,
    do_rotary: int | None = None,
    k_norm_epsilon: float | None = None,
    k_quant_type: str = "NONE",
    kv_cache_bit_width: int | None = None,
    kv_num_heads: int = 1,
    local_window_size: int = -1,
    num_heads: int = 1,
    q_norm_epsilon: float | None = None,
    qk_norm_epsilon: float = 9.999999974752427e-07,
    qk_output: int = 0,
    rotary_interleaved: int | None = None,
    scale: float | None = None,
    sliding_window_cache: int = 0,
    smooth_softmax: int = -1,
    softcap: float | None = None,
    v_quant_type: str = "NONE",
    outputs: tuple[bool, ...] = (True, True, True, True),
) -> tuple[Array | None, ...]:
    """
    Attention whose heads of queries share keys and values (Ainslie et al. 2023).

    `seqlens_k` is each sequence's number of keys less one, `total_sequence_length` the
    largest of these numbers; with as many queries the cache is empty. The new keys
    stand at the end of each sequence's. `local_window_size` counts the query's own key.

    A cache may be quantized, by one scale or one per head and element; queries then see
    the new keys and values as the cache has them. `q_norm_weight` and `k_norm_weight`
    scale heads of root mean square 1, before their positions turn them.

    Of sequences padded on the right `query_seqlens` counts the tokens: they alone enter
    the cache, and the other rows of the result mean nothing.
    """
    bits = kv_cache_bit_width or 0
    k_by = scale_of_cache(k_quant_type, k_scale, bits)
    v_by = scale_of_cache(v_quant_type, v_scale, bits)
    if sliding_window_cache:
        raise ValueError("found sliding_window_cache 1, wanted a cache of full length")
    if seqlens_k is None or total_sequence_length is None:
        raise ValueError("found no lengths of sequences, wanted both")
    if query_seqlens is not None and (past_key is None or not causal):
        raise ValueError("found query_seqlens, wanted a past and causal 1 with it")
    q, k, v = grouped_parts(query, key, value, num_heads, kv_num_heads)
    q = normed(xp, q, q_norm_weight, q_norm_epsilon or qk_norm_epsilon)
    k = normed(xp, k, k_norm_weight, k_norm_epsilon or qk_norm_epsilon)
    length, total = q.shape[2], int(total_sequence_length.item())
    first = length == total and query_seqlens is None
    counts = length if query_seqlens is None else query_seqlens.reshape(-1)
    starts = (seqlens_k.reshape(-1) + (1 - counts)).astype(xp.int64)
    if first:
        starts = xp.zeros_like(starts)
    if do_rotary and cos_cache is not None and sin_cache is not None:
        places = grouped_positions(xp, position_ids, starts, length, first)
        size = 2 * cos_cache.shape[1]
        mixed = bool(rotary_interleaved)
        q = rotated(xp, q, cos_cache, sin_cache, places, mixed, None, size)
        k = rotated(xp, k, cos_cache, sin_cache, places, mixed, None, size)
    rows = total if past_key is None else max(total, past_key.shape[2])
    k, v = coded(xp, k, k_by, bits, past_key), coded(xp, v, v_by, bits, past_value)
    k = filled_cache(xp, past_key, k, starts, rows, query_seqlens)
    v = filled_cache(xp, past_value, v, starts, rows, query_seqlens)
    sink = head_sink
    if sink is None and smooth_softmax > 0:
        sink = xp.zeros((num_heads,), xp.float32)
    mask = grouped_mask(xp, starts, length, total, causal, local_window_size)
    y, scores, weights = attended(
        xp,
        q,
        decoded(xp, k[:, :, :total], k_by, bits),
        decoded(xp, v[:, :, :total], v_by, bits),
        scale,
        mask,
        attention_bias,
        softcap or 0.0,
        sink,
    )
    shown = xp.where(mask < 0, 0, scores) if qk_output == 1 else weights
    return wanted((out_of_heads(y), k, v, shown.astype(q.dtype)), outputs)


# --- biases that depend on the distance ---


def relative_buckets(
    xp: Any, queries: int, keys: int, count: int, furthest: int, both: int
) -> Array:
    """
    The bucket of each distance (Raffel et al. 2020): small ones have their own, larger
    ones share by their logarithm up to `furthest`.
    """
    distance = np.arange(keys)[None] - np.arange(queries)[:, None]
    offset = np.zeros_like(distance)
    if both:
        count //= 2
        offset = np.where(distance > 0, count, 0)
        distance = np.abs(distance)
    else:
        distance = np.maximum(-distance, 0)
    exact = count // 2
    ratio = np.log(np.maximum(distance, 1).astype(np.float32) / np.float32(exact))
    share = ratio / np.float32(math.log(furthest / exact)) * np.float32(count - exact)
    far = np.minimum(exact + share.astype(np.int64), count - 1)
    return xp.asarray(offset + np.where(distance < exact, distance, far))


def relative_position_bias(
    xp: Any,
    bias_table: Array,
    query_length: Array,
    key_length: Array,
    max_distance: int,
    is_bidirectional: int = 0,
) -> Array:
    """A bias per head and pair of positions, from a table by buckets of distance."""
    queries, keys = int(query_length.item()), int(key_length.item())
    buckets = relative_buckets(
        xp, queries, keys, bias_table.shape[0], max_distance, is_bidirectional
    )
    return bias_table[buckets].transpose(2, 0, 1)[None]


def gated_relative_position_bias(
    xp: Any,
    query: Array,
    query_bias: Array,
    rel_pos: Array,
    weight: Array,
    bias: Array,
    eco_a: Array,
    token_offset: Array | None = None,
    num_heads: int = 1,
) -> Array:
    """
    ``(u * (r * eco_a - 1) + 2) * rel_pos``, the gates u and r a sigmoid of the query.
    """
    if token_offset is not None:
        batch, length = token_offset.shape
        places = token_offset.reshape(-1).astype(xp.int64)
        sources = xp.minimum(xp.argsort(places), query.shape[0] - 1)
        query = query[sources].reshape(batch, length, -1)
    heads = in_heads(query + query_bias, num_heads)
    gates = xp.matmul(widened(xp, heads), widened(xp, weight)) + bias
    halves = gates.reshape(*gates.shape[:3], 2, -1).sum(axis=-1)
    u, r = (1 / (1 + xp.exp(-halves[..., i : i + 1])) for i in range(2))
    y = (u * (r * eco_a.reshape(1, num_heads, 1, 1) - 1) + 2) * rel_pos
    return y.astype(query.dtype)


KERNELS: dict[str, Callable[..., Any]] = {
    "microsoft.GatedRelativePositionBias": gated_relative_position_bias,
    "microsoft.GroupQueryAttention": group_query_attention,
    "microsoft.RelativePositionBias": relative_position_bias,
    "microsoft.RotaryEmbedding": rotary_embedding,
}

STATIC: dict[str, tuple[int, ...]] = {
    "microsoft.GroupQueryAttention": (6,),
    "microsoft.RelativePositionBias": (1, 2),
}
