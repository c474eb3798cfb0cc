"""
Kernels: ONNX Runtime's attention on projected or packed Q, K and V, with a cache.

Heads are ``[batch, heads, length, size]`` throughout, scores
``[batch, heads, queries, keys]`` in float32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from .convolution import widened

Array: TypeAlias = Any

MASK_FILTER = -10000.0
"""What is added to the score of a masked key where the model says nothing else."""

LOWEST = -3.4028234663852886e38
"""The score of a key that comes after the query: the least float32."""


# --- the product ---


def attended(
    xp: Any,
    q: Array,
    k: Array,
    v: Array,
    scale: float | None,
    mask: Array | None,
    bias: Array | None = None,
    softcap: float = 0.0,
    sink: Array | None = None,
) -> tuple[Array, Array, Array]:
    """
    ``softmax(q @ k^T * scale + bias + mask) @ v``, the scores and their softmax.

    `k` and `v` may have fewer heads, each then serves as many in a row. `sink` is a
    logit per head that takes part in the softmax and gives nothing.
    """
    batch, heads, length, size = q.shape
    groups = k.shape[1]
    factor = scale or size**-0.5
    wide = widened(xp, q).reshape(batch, groups, heads // groups * length, size)
    scores = xp.matmul(wide, widened(xp, k).swapaxes(2, 3)) * xp.float32(factor)
    scores = scores.reshape(batch, heads, length, k.shape[2])
    if softcap:
        scores = softcap * xp.tanh(scores / softcap)
    if bias is not None:
        scores = scores + fitted(xp, widened(xp, bias), k.shape[2])
    if mask is not None:
        scores = scores + mask
    weights = sunk_softmax(xp, scores, sink)
    grouped = weights.reshape(batch, groups, heads // groups * length, k.shape[2])
    y = xp.matmul(grouped, widened(xp, v)).reshape(batch, heads, length, v.shape[3])
    return y.astype(q.dtype, copy=False), scores, weights


def sunk_softmax(xp: Any, scores: Array, sink: Array | None) -> Array:
    """Softmax over the keys; a `sink` per head enlarges the sum of each row."""
    peak = xp.max(scores, axis=-1, keepdims=True)
    if sink is not None:
        sink = widened(xp, sink).reshape(1, -1, 1, 1)
        peak = xp.maximum(peak, sink)
    powers = xp.exp(scores - peak)
    total = xp.sum(powers, axis=-1, keepdims=True)
    if sink is not None:
        total = total + xp.exp(sink - peak)
    return powers / total


def fitted(xp: Any, x: Array, keys: int) -> Array:
    """`x` with zeros behind it along the last axis, up to `keys` of them."""
    missing = keys - x.shape[-1]
    if missing <= 0:
        return x[..., :keys]
    return xp.pad(x, ((0, 0),) * (x.ndim - 1) + ((0, missing),))


# --- masks, to be added to the scores ---


def padding_mask(
    xp: Any, mask: Array, sizes: tuple[int, int, int], past: Any, value: float | None
) -> Array:
    """
    What a mask of any of the documented forms adds to the scores.

    `sizes` are batch, queries, keys. One axis: the keys' lengths, then maybe where they
    begin (or, with ``3 * batch + 2`` elements, offsets that repeat the lengths). Two to
    four axes: positive where a key counts.
    """
    batch, length, keys = sizes
    filler = MASK_FILTER if value is None else value
    if mask.ndim == 1:
        place = xp.arange(keys)[None]
        keep = place < mask[:batch, None]
        if mask.shape[0] == 2 * batch:
            keep = keep & (place >= mask[batch:, None])
        keep = keep[:, None, None]
    elif mask.ndim == 2:
        keep = fitted(xp, (mask > 0).astype(xp.int8), keys)[:, None, None] > 0
    elif mask.ndim == 3:
        keep = fitted(xp, (mask > 0).astype(xp.int8), keys)[:, None] > 0
    else:
        rows = xp.arange(length) + past
        keep = xp.take(mask, rows, axis=2)[..., :keys] > 0
    return xp.where(keep, 0.0, filler).astype(xp.float32)


def causal_mask(xp: Any, length: int, keys: int, past: Any) -> Array:
    """Keys after the query, of which `past` stand before the first, are out."""
    rows = xp.arange(length)[:, None] + past
    late = xp.arange(keys)[None] > rows
    return xp.where(late, LOWEST, 0.0).astype(xp.float32)[None, None]


def summed_masks(*masks: Array | None) -> Array | None:
    """The sum of the masks that are there."""
    present = [mask for mask in masks if mask is not None]
    return sum(present[1:], present[0]) if present else None


def whole_mask(
    xp: Any,
    mask: Array | None,
    sizes: tuple[int, int, int],
    past: Any,
    end: Any,
    causal: int,
    value: float | None,
) -> Array | None:
    """The padding, the causal limit, and the end of what a shared buffer holds."""
    _, length, keys = sizes
    return summed_masks(
        None if mask is None else padding_mask(xp, mask, sizes, past, value),
        causal_mask(xp, length, keys, past) if causal else None,
        None if end is None else causal_mask(xp, 1, keys, end - 1),
    )


# --- heads and the cache ---


def in_heads(x: Array, heads: int) -> Array:
    """``[batch, length, heads * size]`` as heads."""
    return x.reshape(*x.shape[:2], heads, -1).swapaxes(1, 2)


def out_of_heads(x: Array) -> Array:
    """Heads as ``[batch, length, heads * size]``."""
    batch, heads, length, size = x.shape
    return x.swapaxes(1, 2).reshape(batch, length, heads * size)


def split_projection(
    query: Array, key: Array | None, value: Array | None, bias: Array | None, heads: int
) -> tuple[Array, Array, Array]:
    """
    Q, K and V as heads, from what MultiHeadAttention takes, the bias added.

    Q, K and V apart; K and V packed (``[batch, keys, heads, 2, size]``); all three
    packed (``[batch, length, heads, 3, size]`` or one behind the other); K and V as
    heads already, which the bias leaves alone.
    """
    parts: list[Array]
    if key is None:
        parts = unpacked(query, heads, 3)
    elif value is None:
        parts = [in_heads(query, heads), *unpacked(key, heads, 2)]
    elif key.ndim == 4:
        parts = [in_heads(query, heads), key, value]
    else:
        parts = [in_heads(x, heads) for x in (query, key, value)]
    if bias is None:
        return parts[0], parts[1], parts[2]
    width, outer = heads * parts[0].shape[3], heads * parts[2].shape[3]
    bounds = (0, width, 2 * width, 2 * width + outer)
    biased = 1 if key is not None and key.ndim == 4 else 3
    for i in range(biased):
        offset = bias[bounds[i] : bounds[i + 1]].reshape(1, heads, 1, -1)
        parts[i] = parts[i] + offset
    return parts[0], parts[1], parts[2]


def unpacked(x: Array, heads: int, count: int) -> list[Array]:
    """The `count` parts of a packed projection, as heads."""
    if x.ndim == 5:
        return [x[..., i, :].swapaxes(1, 2) for i in range(count)]
    width = x.shape[2] // count
    return [in_heads(x[..., i * width : (i + 1) * width], heads) for i in range(count)]


def appended(xp: Any, past: Array | None, new: Array, start: Array | None) -> Array:
    """
    The cache with `new` behind it, or written into it from `start` on if it is shared.
    """
    if past is None:
        return new
    if start is None:
        return xp.concatenate((past, new), axis=2)
    place = xp.arange(past.shape[2]) - start.reshape(())
    inside = (place >= 0) & (place < new.shape[2])
    moved = xp.take(new, xp.clip(place, 0, new.shape[2] - 1), axis=2)
    return xp.where(inside[:, None], moved, past)


def of_beams(xp: Any, cache: Array, indirection: Array, past: Array) -> Array:
    """
    The cache as each beam saw it: `indirection` names the beam that each key is of.

    `cache` has ``batch * beams`` rows; keys from `past` on are the beam's own.
    """
    batch, beams, _ = indirection.shape
    places = xp.arange(cache.shape[2])
    own = xp.arange(batch * beams)[:, None]
    named = fitted(xp, indirection, cache.shape[2])
    rows = (named + xp.arange(batch)[:, None, None] * beams).reshape(own.shape[0], -1)
    rows = xp.where(places[None] < past.reshape(()), rows, own)
    return cache.swapaxes(1, 2)[rows, places[None]].swapaxes(1, 2)


def wanted(results: tuple[Any, ...], outputs: tuple[bool, ...]) -> tuple[Any, ...]:
    """Those of `results` that somebody asked for."""
    return tuple(r if want else None for r, want in zip(results, outputs, strict=True))


# --- the operators ---


def multi_head_attention(
    xp: Any,
    query: Array,
    key: Array | None = None,
    value: Array | None = None,
    bias: Array | None = None,
    key_padding_mask: Array | None = None,
    attention_bias: Array | None = None,
    past_key: Array | None = None,
    past_value: Array | None = None,
    past_sequence_length: Array | None = None,
    cache_indirection: Array | None = None,
    mask_filter_value: float | None = None,
    num_heads: int = 1,
    scale: float | None = None,
    unidirectional: int = 0,
    outputs: tuple[bool, ...] = (True, True, True, True),
) -> tuple[Array | None, ...]:
    """Attention of heads (Vaswani et al. 2017), its cache, and the scores."""
    q, k, v = split_projection(query, key, value, bias, num_heads)
    new = k.shape[2]
    k = appended(xp, past_key, k, past_sequence_length)
    v = appended(xp, past_value, v, past_sequence_length)
    seen = (k, v)
    end: Any = None
    past: Any = k.shape[2] - new
    if past_sequence_length is not None:
        past = past_sequence_length.reshape(())
        end = past + new
        if cache_indirection is not None:
            seen = (
                of_beams(xp, k, cache_indirection, past),
                of_beams(xp, v, cache_indirection, past),
            )
    sizes = (q.shape[0], q.shape[2], k.shape[2])
    mask = whole_mask(
        xp, key_padding_mask, sizes, past, end, unidirectional, mask_filter_value
    )
    y, scores, _ = attended(xp, q, *seen, scale, mask, attention_bias)
    results = (out_of_heads(y), k, v, scores.astype(q.dtype))
    return wanted(results, outputs)


def decoder_masked_multi_head_attention(
    xp: Any,
    query: Array,
    key: Array | None = None,
    value: Array | None = None,
    mask_index: Array | None = None,
    attention_bias: Array | None = None,
    past_key: Array | None = None,
    past_value: Array | None = None,
    past_sequence_length: Array | None = None,
    beam_width: Array | None = None,
    cache_indirection: Array | None = None,
    bias: Array | None = None,
    mask_filter_value: float | None = None,
    num_heads: int = 1,
    output_qk: int | None = None,
    past_present_share_buffer: int | None = None,
    scale: float | None = None,
    outputs: tuple[bool, ...] = (True, True, True, True),
) -> tuple[Array | None, ...]:
    """MultiHeadAttention of one query per sequence, of a batch of beams."""
    start = past_sequence_length if past_present_share_buffer else None
    return multi_head_attention(
        xp,
        query,
        key,
        value,
        bias,
        mask_index,
        attention_bias,
        past_key,
        past_value,
        start,
        cache_indirection,
        mask_filter_value,
        num_heads,
        scale,
        0,
        outputs,
    )


def projected(
    xp: Any,
    x: Array,
    weights: Array,
    bias: Array | None,
    heads: int,
    sizes: tuple[int, ...] | None,
) -> list[Array]:
    """Q, K and V as heads: ``x @ weights + bias``, cut by their hidden `sizes`."""
    y = xp.matmul(widened(xp, x), widened(xp, weights))
    y = (y if bias is None else y + bias).astype(x.dtype, copy=False)
    widths = sizes or (y.shape[2] // 3,) * 3
    ends = (widths[0], widths[0] + widths[1], y.shape[2])
    starts = (0, *ends[:2])
    return [in_heads(y[..., a:b], heads) for a, b in zip(starts, ends, strict=True)]


def attention(
    xp: Any,
    x: Array,
    weights: Array,
    bias: Array | None = None,
    mask_index: Array | None = None,
    past: Array | None = None,
    attention_bias: Array | None = None,
    past_sequence_length: Array | None = None,
    do_rotary: int | None = None,
    mask_filter_value: float | None = None,
    num_heads: int = 1,
    past_present_share_buffer: int | None = None,
    qkv_hidden_sizes: tuple[int, ...] | None = None,
    rotary_embedding_dim: int | None = None,
    scale: float | None = None,
    unidirectional: int = 0,
    outputs: tuple[bool, ...] = (True, True),
) -> tuple[Array | None, ...]:
    """
    Attention that projects its input; `past` and `present` hold K and V in one array.
    """
    if do_rotary:
        raise ValueError("found do_rotary 1, wanted 0: its angles are not documented")
    q, k, v = projected(xp, x, weights, bias, num_heads, qkv_hidden_sizes)
    new = k.shape[2]
    start = past_sequence_length if past_present_share_buffer else None
    if past is not None:
        k, v = (appended(xp, past[i], x, start) for i, x in enumerate((k, v)))
    before: Any = k.shape[2] - new
    end: Any = None
    if start is not None:
        before = start.reshape(())
        end = before + new
    sizes = (q.shape[0], q.shape[2], k.shape[2])
    mask = whole_mask(
        xp, mask_index, sizes, before, end, unidirectional, mask_filter_value
    )
    y, _, _ = attended(xp, q, k, v, scale, mask, attention_bias)
    present = xp.stack((k, v)) if outputs[1] else None
    return wanted((out_of_heads(y), present), outputs)


def decoder_masked_self_attention(
    xp: Any,
    x: Array,
    weights: Array,
    bias: Array,
    mask_index: Array | None = None,
    past: Array | None = None,
    attention_bias: Array | None = None,
    past_sequence_length: Array | None = None,
    beam_width: Array | None = None,
    cache_indirection: Array | None = None,
    do_rotary: int | None = None,
    mask_filter_value: float | None = None,
    num_heads: int = 1,
    past_present_share_buffer: int | None = None,
    scale: float | None = None,
    outputs: tuple[bool, ...] = (True, True),
) -> tuple[Array | None, ...]:
    """Attention of one query per sequence, its cache a shared buffer, with beams."""
    if past is None or do_rotary:
        raise ValueError("found no past or do_rotary 1, wanted a past and do_rotary 0")
    q, k, v = projected(xp, x, weights, bias, num_heads, None)
    y, keys, values, _ = multi_head_attention(
        xp,
        out_of_heads(q),
        out_of_heads(k),
        out_of_heads(v),
        key_padding_mask=mask_index,
        attention_bias=attention_bias,
        past_key=past[0],
        past_value=past[1],
        past_sequence_length=past_sequence_length,
        cache_indirection=cache_indirection,
        mask_filter_value=mask_filter_value,
        num_heads=num_heads,
        scale=scale,
    )
    return wanted((y, xp.stack((keys, values))), outputs)


KERNELS: dict[str, Callable[..., Any]] = {
    "microsoft.Attention": attention,
    "microsoft.DecoderMaskedMultiHeadAttention": decoder_masked_multi_head_attention,
    "microsoft.DecoderMaskedSelfAttention": decoder_masked_self_attention,
    "microsoft.MultiHeadAttention": multi_head_attention,
}

STATIC: dict[str, tuple[int, ...]] = {}
