"""Kernels: ONNX Runtime's normalizations of sums, of embeddings and of groups."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from .contrib_attention import wanted
from .elementwise import widen
from .normalization import layer_normalization, stash_dtype

Array: TypeAlias = Any


def simplified_layer_normalization(
    xp: Any,
    x: Array,
    scale: Array,
    axis: int = -1,
    epsilon: float = 9.999999747378752e-06,
    stash_type: int = 1,
    outputs: tuple[bool, ...] = (True, True),
) -> tuple[Array | None, ...]:
    """``x / sqrt(mean(x^2) + epsilon) * scale`` (Zhang and Sennrich 2019)."""
    axes = tuple(range(axis % x.ndim, x.ndim))
    wide = widen(x.astype(stash_dtype(stash_type), copy=False))
    square = xp.mean(xp.square(wide), axis=axes, keepdims=True)
    inverse = 1 / xp.sqrt(square + epsilon)
    y = (wide * inverse).astype(scale.dtype, copy=False) * scale
    return wanted((y, inverse.astype(stash_dtype(stash_type))), outputs)


def skip_sum(x: Array, skip: Array, bias: Array | None) -> Array:
    """``x + skip + bias``; `skip` may lack the batch, or have one of size one."""
    total = widen(x) + widen(skip)
    return total if bias is None else total + widen(bias)


def skip_layer_normalization(
    xp: Any,
    x: Array,
    skip: Array,
    gamma: Array,
    beta: Array | None = None,
    bias: Array | None = None,
    epsilon: float = 9.999999960041972e-13,
    outputs: tuple[bool, ...] = (True, True, True, True),
) -> tuple[Array | None, ...]:
    """LayerNormalization of ``x + skip + bias``; then mean, 1/deviation, the sum."""
    total = skip_sum(x, skip, bias)
    offset = None if beta is None else widen(beta)
    y, mean, inverse = layer_normalization(
        xp, total, widen(gamma), offset, -1, epsilon, 1
    )
    results = (y.astype(x.dtype), mean, inverse, total.astype(x.dtype))
    return wanted(results, outputs)


def skip_simplified_layer_normalization(
    xp: Any,
    x: Array,
    skip: Array,
    gamma: Array,
    bias: Array | None = None,
    epsilon: float = 9.999999960041972e-13,
    outputs: tuple[bool, ...] = (True, True, True, True),
) -> tuple[Array | None, ...]:
    """Root-mean-square normalization of ``x + skip + bias``; statistics; the sum."""
    total = skip_sum(x, skip, bias)
    y: Any
    y, inverse = simplified_layer_normalization(
        xp, total, widen(gamma), -1, epsilon, 1, (True, True)
    )
    mean = xp.mean(total, axis=-1, keepdims=True).astype(xp.float32)
    found = (y.astype(x.dtype), mean, inverse, total.astype(x.dtype))
    return wanted(found, outputs)


def embed_layer_normalization(
    xp: Any,
    input_ids: Array,
    segment_ids: Array | None = None,
    word_embedding: Array = None,
    position_embedding: Array = None,
    segment_embedding: Array | None = None,
    gamma: Array = None,
    beta: Array = None,
    mask: Array | None = None,
    position_ids: Array | None = None,
    epsilon: float = 9.999999960041972e-13,
    mask_index_type: int | None = None,
    outputs: tuple[bool, ...] = (True, True, True),
) -> tuple[Array | None, ...]:
    """
    LayerNormalization of word plus position plus segment embeddings (BERT); how many
    of each sequence's tokens `mask` keeps; the sum.
    """
    batch, length = input_ids.shape
    if position_ids is None:
        places = position_embedding[:length][None]
    else:
        places = position_embedding[position_ids]
    total = widen(word_embedding[input_ids]) + widen(places)
    if segment_ids is not None and segment_embedding is not None:
        total = total + widen(segment_embedding[segment_ids])
    y, _, _ = layer_normalization(xp, total, widen(gamma), widen(beta), -1, epsilon, 1)
    lengths = xp.zeros((batch,), np.int32)
    if mask is not None:
        lengths = xp.sum(mask, axis=1).astype(np.int32)
    dtype = word_embedding.dtype
    return wanted((y.astype(dtype), lengths, total.astype(dtype)), outputs)


def group_norm(
    xp: Any,
    x: Array,
    gamma: Array,
    beta: Array,
    activation: int,
    groups: int,
    channels_last: int = 1,
    epsilon: float = 9.999999747378752e-06,
) -> Array:
    """Groups of channels to mean 0, deviation 1, scaled; `activation` 1 is SiLU."""
    moved = x if channels_last else x.transpose(0, *range(2, x.ndim), 1)
    wide = widen(moved)
    parts = wide.reshape(x.shape[0], -1, groups, moved.shape[-1] // groups)
    centred = parts - xp.mean(parts, axis=(1, 3), keepdims=True)
    variance = xp.mean(xp.square(centred), axis=(1, 3), keepdims=True)
    y = (centred / xp.sqrt(variance + epsilon)).reshape(moved.shape)
    y = y * widen(gamma) + widen(beta)
    if activation:
        y = y / (1 + xp.exp(-y))
    y = y.astype(x.dtype)
    return y if channels_last else y.transpose(0, x.ndim - 1, *range(1, x.ndim - 1))


def skip_group_norm(
    xp: Any,
    x: Array,
    gamma: Array,
    beta: Array,
    skip: Array,
    bias: Array | None = None,
    activation: int = 0,
    groups: int = 1,
    channels_last: int = 1,
    epsilon: float = 9.999999747378752e-06,
    outputs: tuple[bool, ...] = (True, True),
) -> tuple[Array | None, ...]:
    """GroupNorm of ``x + skip + bias`` and that sum; `skip` may be per channel."""
    if skip.ndim == 2:
        skip = skip.reshape(skip.shape[0], *(1,) * (x.ndim - 2), skip.shape[1])
    total = skip_sum(x, skip, bias).astype(x.dtype)
    y = group_norm(xp, total, gamma, beta, activation, groups, channels_last, epsilon)
    return wanted((y, total), outputs)


def gated_rms_norm(
    xp: Any,
    x: Array,
    scale: Array,
    gate: Array,
    activation: str = "silu",
    epsilon: float = 9.999999747378752e-06,
) -> Array:
    """``x / sqrt(mean(x^2) + epsilon) * scale * activation(gate)``."""
    y, _ = simplified_layer_normalization(xp, widen(x), widen(scale), -1, epsilon)
    wide = widen(gate)
    sigmoid = 1 / (1 + xp.exp(-wide))
    if activation not in ("silu", "swish", "sigmoid"):
        raise ValueError(f"found activation {activation!r}, wanted silu or sigmoid")
    factor = sigmoid if activation == "sigmoid" else wide * sigmoid
    return (y * factor).astype(x.dtype)


KERNELS: dict[str, Callable[..., Any]] = {
    "SimplifiedLayerNormalization": simplified_layer_normalization,
    "microsoft.EmbedLayerNormalization": embed_layer_normalization,
    "microsoft.GatedRMSNorm": gated_rms_norm,
    "microsoft.GroupNorm": group_norm,
    "microsoft.SkipGroupNorm": skip_group_norm,
    "microsoft.SkipLayerNormalization": skip_layer_normalization,
    "microsoft.SkipSimplifiedLayerNormalization": skip_simplified_layer_normalization,
}

STATIC: dict[str, tuple[int, ...]] = {}
