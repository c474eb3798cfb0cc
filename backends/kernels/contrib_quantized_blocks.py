"""
Kernels: ONNX Runtime's products with weights of a few bits, quantized in blocks.

Codes lie in bytes, the first one in the lowest bits; a block shares a scale and a zero
point.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from .contrib_experts import mixture_of_experts
from .convolution import widened

Array: TypeAlias = Any

FP4 = (0.0, 1 / 192, 2 / 3, 1.0, 1 / 3, 1 / 2, 1 / 6, 1 / 4)
"""What the codes 0 to 7 of FP4 stand for; those from 8 on are their negatives."""

NF4 = (
    -1.0,
    -0.6961928009986877,
    -0.5250730514526367,
    -0.39491748809814453,
    -0.28444138169288635,
    -0.18477343022823334,
    -0.09105003625154495,
    0.0,
    0.07958029955625534,
    0.16093020141124725,
    0.24611230194568634,
    0.33791524171829224,
    0.44070982933044434,
    0.5626170039176941,
    0.7229568362236023,
    1.0,
)
"""NormalFloat of 4 bits: quantiles of a normal variable (arXiv:2305.14314)."""


def unpacked(xp: Any, packed: Array, bits: int) -> Array:
    """The codes of `bits` bits in the bytes `packed`, along its last axis."""
    if bits == 8:
        return packed
    if bits not in (1, 2, 4):
        raise ValueError(f"found {bits} bits, wanted 1, 2, 4 or 8")
    mask = 2**bits - 1
    codes = [(packed >> shift) & mask for shift in range(0, 8, bits)]
    stacked = xp.stack(codes, axis=-1)
    return stacked.reshape(*packed.shape[:-1], packed.shape[-1] * len(codes))


def block_zeros(
    xp: Any, zero_points: Array | None, shape: tuple[int, ...], bits: int
) -> Array:
    """A zero point per block in float32: packed as codes are, real, or the middle."""
    if zero_points is None:
        return xp.full((1,) * len(shape), 2.0 ** (bits - 1), xp.float32)
    if zero_points.dtype != xp.uint8:
        return widened(xp, zero_points).reshape(shape)
    rows = zero_points.reshape(*shape[:-1], -1)
    return unpacked(xp, rows, bits)[..., : shape[-1]].astype(xp.float32)


def dequantized_blocks(
    xp: Any, codes: Array, scales: Array, zeros: Array, block_size: int
) -> Array:
    """``(codes - zeros) * scales``, both per block of the last axis of `codes`."""
    blocks = scales.shape[-1]
    missing = blocks * block_size - codes.shape[-1]
    if missing > 0:
        room = ((0, 0),) * (codes.ndim - 1) + ((0, missing),)
        codes = xp.pad(codes, room)
    cut = codes[..., : blocks * block_size].reshape(*codes.shape[:-1], blocks, -1)
    real = (cut.astype(xp.float32) - zeros[..., None]) * scales[..., None]
    return real.reshape(*codes.shape[:-1], blocks * block_size)


def matmul_nbits(
    xp: Any,
    a: Array,
    b: Array,
    scales: Array,
    zero_points: Array | None = None,
    g_idx: Array | None = None,
    bias: Array | None = None,
    K: int = 0,
    N: int = 0,
    accuracy_level: int = 0,
    bits: int = 4,
    block_size: int = 32,
    weight_prepacked: int = 0,
) -> Array:
    """
    ``a @ real(b)^T + bias``, `b` ``[N, blocks, block_size * bits / 8]``.

    Computed in float32, whatever less `accuracy_level` would allow. With `g_idx`, it
    names the block whose scale and zero point each of the `K` columns has.
    """
    if weight_prepacked:
        raise ValueError(f"found weight_prepacked {weight_prepacked}, wanted 0")
    blocks = -(-K // block_size)
    codes = unpacked(xp, b.reshape(N, -1), bits)
    wide = widened(xp, scales).reshape(N, blocks)
    zeros = block_zeros(xp, zero_points, (N, blocks), bits)
    if g_idx is None:
        weight = dequantized_blocks(xp, codes, wide, zeros, block_size)[:, :K]
    else:
        groups = g_idx[:K]
        zeros = xp.broadcast_to(zeros, (N, blocks))[:, groups]
        weight = (codes[:, :K].astype(xp.float32) - zeros) * wide[:, groups]
    y = xp.matmul(widened(xp, a), weight.T)
    y = y if bias is None else y + widened(xp, bias)
    return y.astype(a.dtype, copy=False)


def matmul_bnb4(
    xp: Any,
    a: Array,
    b: Array,
    absmax: Array,
    K: int = 0,
    N: int = 0,
    block_size: int = 64,
    quant_type: int = 1,
    training_mode: int = 0,
    transB: int = 1,
) -> Array:
    """
    ``a @ real(b)^T`` with `b` in FP4 (`quant_type` 0) or NF4, flat over ``[N, K]``.

    The first code of a byte is in its higher bits; `absmax` is the scale of each block.
    """
    if quant_type not in (0, 1):
        raise ValueError(f"found quant_type {quant_type}, wanted 0 (FP4) or 1 (NF4)")
    table = np.array((*FP4, *(-x for x in FP4)) if quant_type == 0 else NF4, np.float32)
    packed = b.reshape(-1)
    codes = xp.stack((packed >> 4, packed & 15), axis=-1).reshape(-1)[: N * K]
    scale = xp.repeat(widened(xp, absmax).reshape(-1), block_size)[: N * K]
    flat = xp.asarray(table)[codes] * scale
    weight = flat.reshape(N, K).T if transB else flat.reshape(K, N)
    return xp.matmul(widened(xp, a), weight).astype(a.dtype, copy=False)


def gather_block_quantized(
    xp: Any,
    data: Array,
    indices: Array,
    scales: Array,
    zero_points: Array | None = None,
    bits: int = 4,
    block_size: int = 128,
    gather_axis: int = 0,
    quantize_axis: int = 1,
) -> Array:
    """
    The slices of the real `data` at `indices` along `gather_axis`.

    A scale holds for `block_size` neighbours along `quantize_axis`. Bytes hold codes of
    `bits` bits along the last axis, their zero point is the middle if none is given.
    """
    packed = data.dtype == xp.uint8
    codes = unpacked(xp, data, bits) if packed else data
    rank = data.ndim
    axis, along = gather_axis % rank, quantize_axis % rank
    zeros: Any = None
    if zero_points is not None:
        zeros = unpacked(xp, zero_points, bits) if packed else zero_points
        zeros = zeros[..., : scales.shape[-1]].astype(xp.float32)
    elif packed:
        zeros = xp.full((1,) * rank, 2.0 ** (bits - 1), xp.float32)
    places = xp.where(indices < 0, indices + codes.shape[axis], indices)
    picked = xp.take(codes, places, axis=axis).astype(xp.float32)
    if zeros is not None:
        picked = picked - of_places(
            xp, zeros, places, codes.shape[along], axis, along, block_size
        )
    factor = of_places(
        xp, widened(xp, scales), places, codes.shape[along], axis, along, block_size
    )
    return (picked * factor).astype(scales.dtype)


def of_places(
    xp: Any,
    values: Array,
    places: Array,
    size: int,
    axis: int,
    along: int,
    block_size: int,
) -> Array:
    """Values per block of `size` elements, spread over them, at `places` on `axis`."""
    if values.size == 1:
        return values.reshape(())
    if axis == along:
        return xp.take(values, places // block_size, axis=axis)
    spread = xp.repeat(values, block_size, axis=along)
    spread = spread[(slice(None),) * along + (slice(0, size),)]
    return xp.take(spread, places, axis=axis)


def expert_weights(
    xp: Any,
    packed: Array | None,
    scales: Array | None,
    zero_points: Array | None,
    bits: int,
) -> Array | None:
    """
    The real weights ``[experts, outputs, inputs]`` of a layer; None if there is none.

    A scale holds for a whole row, or for a block where there are several in it.
    """
    if packed is None:
        return None
    if scales is None:
        raise ValueError("found quantized experts without scales")
    codes = unpacked(xp, packed, bits)
    wide = widened(xp, scales)
    wide = wide[..., None] if wide.ndim == 2 else wide
    zeros = block_zeros(xp, zero_points, wide.shape, bits)
    block = math.ceil(codes.shape[-1] / wide.shape[-1])
    return dequantized_blocks(xp, codes, wide, zeros, block)[..., : codes.shape[-1]]


def quantized_mixture_of_experts(
    xp: Any,
    x: Array,
    router_probs: Array,
    fc1_experts_weights: Array,
    fc1_scales: Array | None = None,
    fc1_experts_bias: Array | None = None,
    fc2_experts_weights: Array = None,
    fc2_scales: Array | None = None,
    fc2_experts_bias: Array | None = None,
    fc3_experts_weights: Array | None = None,
    fc3_scales: Array | None = None,
    fc3_experts_bias: Array | None = None,
    fc1_zero_points: Array | None = None,
    fc2_zero_points: Array | None = None,
    fc3_zero_points: Array | None = None,
    router_weights: Array | None = None,
    fc1_global_scale: Array | None = None,
    fc2_global_scale: Array | None = None,
    fc1_act_scale: Array | None = None,
    fc2_act_scale: Array | None = None,
    fc1_act_block_scale: Array | None = None,
    fc2_act_block_scale: Array | None = None,
    accuracy_level: int = 0,
    activation_alpha: float = 1.0,
    activation_beta: float = 0.0,
    activation_type: str = "relu",
    block_size: int | None = None,
    expert_weight_bits: int = 4,
    fc1_expert_weight_bits: int | None = None,
    fc2_expert_weight_bits: int | None = None,
    fc3_expert_weight_bits: int | None = None,
    k: int = 1,
    normalize_routing_weights: int = 0,
    quant_type: str = "int",
    swiglu_fusion: int = 0,
    swiglu_limit: float | None = None,
    swiglu_limit_after_activation: int = 0,
    use_sparse_mixer: int = 0,
    weights_prepacked: int = -1,
) -> Array:
    """
    Mixture of experts whose weights are integers of a few bits, by row or block.

    The weights of a row's experts add up to one whatever `normalize_routing_weights`
    says: so they do in ONNX Runtime's implementation for processors, our oracle.
    """
    if quant_type != "int":
        raise ValueError(f"found quant_type {quant_type!r}, wanted 'int'")
    if weights_prepacked > 0 or router_weights is not None:
        raise ValueError("found weights_prepacked or router_weights, wanted neither")
    layers = [
        expert_weights(xp, packed, scales, zeros, bits or expert_weight_bits)
        for packed, scales, zeros, bits in (
            (fc1_experts_weights, fc1_scales, fc1_zero_points, fc1_expert_weight_bits),
            (fc2_experts_weights, fc2_scales, fc2_zero_points, fc2_expert_weight_bits),
            (fc3_experts_weights, fc3_scales, fc3_zero_points, fc3_expert_weight_bits),
        )
    ]
    with np.errstate(over="ignore"):
        return mixture_of_experts(
            xp,
            x,
            router_probs,
            layers[0],
            fc1_experts_bias,
            layers[1],
            fc2_experts_bias,
            layers[2],
            fc3_experts_bias,
            activation_alpha,
            activation_beta,
            activation_type,
            k,
            1,
            swiglu_fusion,
            swiglu_limit,
            swiglu_limit_after_activation,
            use_sparse_mixer,
        )


KERNELS: dict[str, Callable[..., Any]] = {
    "microsoft.GatherBlockQuantized": gather_block_quantized,
    "microsoft.MatMulBnb4": matmul_bnb4,
    "microsoft.MatMulNBits": matmul_nbits,
    "microsoft.QMoE": quantized_mixture_of_experts,
}

STATIC: dict[str, tuple[int, ...]] = {}
