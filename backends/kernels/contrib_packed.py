"""Kernels: ONNX Runtime's attention on sequences without padding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from .contrib_attention import (
    LOWEST,
    attended,
    in_heads,
    out_of_heads,
    padding_mask,
    projected,
    split_projection,
)

Array: TypeAlias = Any


def packed_attended(
    xp: Any,
    parts: list[Array],
    token_offset: Array | None,
    cumulative: Array | None,
    attention_bias: Array | None,
    heads: int,
    scale: float | None,
) -> Array:
    """
    Attention among the tokens of each sequence; `parts` are ``[tokens, hidden]``.

    The tokens are laid out with padding, attended to, and gathered again:
    `token_offset` (``[batch, length]``) has the places of the tokens among the padded
    ones, then those of the padding.
    """
    if token_offset is None or cumulative is None:
        raise ValueError("found no token offsets or lengths, wanted both")
    batch, length = token_offset.shape
    places = token_offset.reshape(-1).astype(xp.int64)
    tokens = parts[0].shape[0]
    sources = xp.minimum(xp.argsort(places), tokens - 1)
    padded = [in_heads(p[sources].reshape(batch, length, -1), heads) for p in parts]
    lengths = cumulative[1:] - cumulative[:-1]
    mask = padding_mask(xp, lengths, (batch, length, length), 0, LOWEST)
    q, k, v = padded
    y, _, _ = attended(xp, q, k, v, scale, mask, attention_bias)
    return out_of_heads(y).reshape(batch * length, -1)[places[:tokens]]


def packed_attention(
    xp: Any,
    x: Array,
    weights: Array,
    bias: Array,
    token_offset: Array,
    cumulative_sequence_length: Array,
    attention_bias: Array | None = None,
    num_heads: int = 1,
    qkv_hidden_sizes: tuple[int, ...] | None = None,
    scale: float | None = None,
) -> Array:
    """Attention on tokens without padding: ``[tokens, hidden]``."""
    heads = projected(xp, x[None], weights, bias, num_heads, qkv_hidden_sizes)
    parts = [out_of_heads(x)[0] for x in heads]
    return packed_attended(
        xp,
        parts,
        token_offset,
        cumulative_sequence_length,
        attention_bias,
        num_heads,
        scale,
    )


def packed_multi_head_attention(
    xp: Any,
    query: Array,
    key: Array | None = None,
    value: Array | None = None,
    bias: Array | None = None,
    token_offset: Array | None = None,
    cumulative_sequence_length: Array | None = None,
    attention_bias: Array | None = None,
    mask_filter_value: float | None = None,
    num_heads: int = 1,
    scale: float | None = None,
) -> Array:
    """MultiHeadAttention on tokens without padding."""
    keys, values = (None if x is None else x[None] for x in (key, value))
    heads = split_projection(query[None], keys, values, bias, num_heads)
    parts = [out_of_heads(x)[0] for x in heads]
    return packed_attended(
        xp,
        parts,
        token_offset,
        cumulative_sequence_length,
        attention_bias,
        num_heads,
        scale,
    )


KERNELS: dict[str, Callable[..., Any]] = {
    "microsoft.PackedAttention": packed_attention,
    "microsoft.PackedMultiHeadAttention": packed_multi_head_attention,
}

STATIC: dict[str, tuple[int, ...]] = {}
