"""Kernels: matrix products, einsum, attention and rotary embedding."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import ml_dtypes
import numpy as np

from .convolution import requantized, widened
from .integer_products import aligned, exact_product

Array: TypeAlias = Any


def matmul(xp: Any, a: Array, b: Array) -> Array:
    """``a @ b``, broadcast over leading axes; 16-bit floats add up in float32."""
    return xp.matmul(widened(xp, a), widened(xp, b)).astype(a.dtype, copy=False)


def gemm(
    xp: Any,
    a: Array,
    b: Array,
    c: Array | None = None,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,
    transB: int = 0,
) -> Array:
    """``alpha * a @ b + beta * c``, a and b transposed first where asked."""
    left, right = widened(xp, a), widened(xp, b)
    y = xp.matmul(left.T if transA else left, right.T if transB else right)
    if alpha != 1:
        y = y * alpha
    if c is not None and beta != 0:
        y = y + (c if beta == 1 else widened(xp, c) * beta)
    return y.astype(a.dtype, copy=False)


def einsum(xp: Any, *xs: Array, equation: str) -> Array:
    """Einstein summation; an implicit output is sorted by ASCII value."""
    wide = (widened(xp, x) for x in xs)
    total = xp.einsum(equation.replace(" ", ""), *wide, optimize=True)
    return xp.asarray(total).astype(xs[0].dtype, copy=False)


def matmul_integer(
    xp: Any,
    a: Array,
    b: Array,
    a_zero_point: Array | None = None,
    b_zero_point: Array | None = None,
) -> Array:
    """``(a - a_zero_point) @ (b - b_zero_point)`` in int32."""
    return exact_product(xp, a, b, a_zero_point, b_zero_point)


def qlinear_matmul(
    xp: Any,
    a: Array,
    a_scale: Array,
    a_zero_point: Array,
    b: Array,
    b_scale: Array,
    b_zero_point: Array,
    y_scale: Array,
    y_zero_point: Array,
) -> Array:
    """``quantize((a - a0) @ (b - b0) * a_scale * b_scale / y_scale)``."""
    rows = aligned(a_scale, a, False).astype(xp.float32)
    columns = aligned(b_scale, b, True).astype(xp.float32)
    y_scale, y_zero_point = aligned(y_scale, a, False), aligned(y_zero_point, a, False)
    ratio = rows * columns / y_scale.astype(xp.float32)
    if a.dtype.name in ("int8", "uint8"):
        total = exact_product(xp, a, b, a_zero_point, b_zero_point)
        return requantized(xp, total, ratio, y_zero_point)
    left = a.astype(xp.float32) - aligned(a_zero_point, a, False).astype(xp.float32)
    right = b.astype(xp.float32) - aligned(b_zero_point, b, True).astype(xp.float32)
    return rounded_float8(xp, xp.matmul(left, right) * ratio, y_zero_point)


def rounded_float8(xp: Any, x: Array, zero_point: Array) -> Array:
    """``saturate(x + zero_point)`` in the 8-bit float type of `zero_point`."""
    finfo: Any = ml_dtypes.finfo
    limits = finfo(zero_point.dtype)
    moved = x + zero_point.astype(xp.float32)
    return xp.clip(moved, float(limits.min), float(limits.max)).astype(zero_point.dtype)


def split_heads(x: Array, heads: int | None) -> Array:
    """``[batch, length, heads * size]`` as ``[batch, heads, length, size]``."""
    if x.ndim == 4:
        if heads is not None and heads != x.shape[1]:
            raise ValueError(f"found {x.shape[1]} heads, wanted {heads}")
        return x
    if heads is None:
        raise ValueError("found no number of heads, wanted one for a 3-D operand")
    size = x.shape[2] // heads
    return x.reshape(x.shape[0], x.shape[1], heads, size).swapaxes(1, 2)


def attention_limits(
    xp: Any,
    lengths: tuple[int, int],
    offset: Any,
    nonpad: Array | None,
    is_causal: int,
    left: int,
    right: int,
) -> Array | None:
    """
    Which keys each query may see by position; None if all.

    The query at `i` stands at ``p = offset + i`` and sees keys from ``p - left`` to
    ``p + right``, to `p` where causal, and below ``nonpad`` (-1: no bound).
    """
    keys = xp.arange(lengths[1])
    distance = xp.arange(lengths[0])[:, None] + offset - keys
    rules: list[Array] = []
    if is_causal:
        rules.append(distance >= 0)
    if left >= 0:
        rules.append(distance <= left)
    if right >= 0:
        rules.append(-distance <= right)
    if nonpad is not None:
        rules.append(keys < nonpad.reshape(-1, 1, 1, 1))
    allowed: Array | None = None
    for rule in rules:
        allowed = rule if allowed is None else allowed & rule
    return allowed


def attention_bias(
    xp: Any, mask: Array | None, allowed: Array | None, length: int, dtype: Any
) -> Array | None:
    """What is added to the scores: `mask`, and -inf where it or `allowed` forbids."""
    zero, never = xp.zeros((), dtype), xp.full((), -np.inf, dtype)
    bias: Any = None
    if mask is not None:
        missing = length - mask.shape[-1]
        no = False if mask.dtype == bool else -np.inf
        ends = ((0, 0),) * (mask.ndim - 1) + ((0, missing),)
        whole: Any = xp.pad(mask, ends, constant_values=no) if missing else mask
        to_bool = whole.dtype == bool
        bias = xp.where(whole, zero, never) if to_bool else whole.astype(dtype)
    if allowed is not None:
        bias = xp.where(allowed, zero if bias is None else bias, never)
    return bias


def weights_of(xp: Any, scores: Array, bias: Array | None, precision: Any) -> Array:
    """Softmax over keys in the type `precision`; 0 in rows that `bias` shuts wholly."""
    wide = widened(xp, scores.astype(precision, copy=False))
    peak = xp.max(wide, axis=-1, keepdims=True, initial=-np.inf)
    raised = xp.exp(wide - xp.where(peak == -np.inf, xp.zeros_like(peak), peak))
    total = xp.sum(raised, axis=-1, keepdims=True)
    weights = raised / xp.where(total == 0, xp.ones_like(total), total)
    if bias is not None:
        shut = xp.all(bias == -np.inf, axis=-1, keepdims=True)
        weights = xp.where(shut, xp.zeros_like(weights), weights)
    return weights.astype(precision, copy=False)


def softmax_type(xp: Any, precision: int | str | None, default: Any) -> Any:
    """The element type that `softmax_precision`, a number or a name, stands for."""
    if not precision:
        return default
    numbers = {1: "float32", 10: "float16", 11: "float64", 16: "bfloat16"}
    name = numbers.get(precision) if isinstance(precision, int) else precision
    if name not in numbers.values():
        raise ValueError(f"found softmax_precision {precision}, wanted {numbers}")
    table: dict[str, Any] = {"bfloat16": ml_dtypes.bfloat16}
    return np.dtype(table.get(str(name), name))


def grouped_heads(x: Array, heads: int) -> Array:
    """``[batch, n, ...]`` as ``[batch, heads, n / heads, ...]``: queries by key."""
    return x.reshape(x.shape[0], heads, x.shape[1] // heads, *x.shape[2:])


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
        k = xp.concatenate((past_key, k), axis=2)
        v = xp.concatenate((past_value, v), axis=2)
    scores = attention_scores(xp, q, k, scale)
    capped = softcap * xp.tanh(scores / softcap) if softcap > 0 else scores
    offset = cache_offset(past_key, nonpad_kv_seqlen, q.shape[2])
    window = (is_causal, left_window_size, right_window_size)
    lengths = (q.shape[2], k.shape[2])
    allowed = attention_limits(xp, lengths, offset, nonpad_kv_seqlen, *window)
    bias = attention_bias(xp, attn_mask, allowed, k.shape[2], scores.dtype)
    biased = capped if bias is None else capped + bias
    precision = softmax_type(xp, softmax_precision, scores.dtype)
    weights = weights_of(xp, biased, bias, precision).astype(scores.dtype, copy=False)
    y = (grouped_heads(weights, k.shape[1]) @ widened(xp, v)[:, :, None]).reshape(
        *q.shape[:3], v.shape[3]
    )
    if flat:
        y = y.swapaxes(1, 2).reshape(q.shape[0], q.shape[2], -1)
    shown = (scores, capped, biased, weights)[qk_matmul_output_mode]
    results = (y.astype(dtype, copy=False), k, v, shown.astype(dtype, copy=False))
    wanted = zip(results, outputs, strict=True)
    return tuple(value if flag else None for value, flag in wanted)


def attention_scores(xp: Any, q: Array, k: Array, scale: float | None) -> Array:
    """``q @ k.T * scale`` per query head; `scale` is ``size ** -0.5`` if absent."""
    factor = 1 / math.sqrt(q.shape[3]) if scale is None else scale
    grouped = grouped_heads(widened(xp, q) * factor, k.shape[1])
    keys = widened(xp, k)[:, :, None].swapaxes(-1, -2)
    return (grouped @ keys).reshape(*q.shape[:3], k.shape[2])


def cache_offset(past_key: Array | None, nonpad: Array | None, queries: int) -> Any:
    """How many valid keys precede the block of queries, for all or for each sample."""
    if past_key is not None:
        return past_key.shape[2]
    return 0 if nonpad is None else nonpad.reshape(-1, 1, 1, 1) - queries


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
    flat = x.ndim == 3
    heads = split_heads(x, num_heads if flat else None)
    size = rotary_embedding_dim or heads.shape[3]
    cos, sin = cos_cache, sin_cache
    if position_ids is not None:
        cos, sin = cos_cache[position_ids], sin_cache[position_ids]
    cos, sin = widened(xp, cos)[:, None], widened(xp, sin)[:, None]
    turned, rest = widened(xp, heads[..., :size]), heads[..., size:]
    if interleaved:
        first, second = turned[..., 0::2], turned[..., 1::2]
    else:
        first, second = turned[..., : size // 2], turned[..., size // 2 :]
    real, imaginary = first * cos - second * sin, first * sin + second * cos
    if interleaved:
        turned = xp.stack((real, imaginary), axis=-1).reshape(turned.shape)
    else:
        turned = xp.concatenate((real, imaginary), axis=-1)
    y = xp.concatenate((turned.astype(x.dtype), rest), axis=-1)
    return y.swapaxes(1, 2).reshape(x.shape) if flat else y


KERNELS: dict[str, Callable[..., Any]] = {
    "Attention": attention,
    "Einsum": einsum,
    "Gemm": gemm,
    "MatMul": matmul,
    "MatMulInteger": matmul_integer,
    "QLinearMatMul": qlinear_matmul,
    "RotaryEmbedding": rotary_embedding,
}

STATIC: dict[str, tuple[int, ...]] = {}
