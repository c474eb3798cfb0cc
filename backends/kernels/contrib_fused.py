"""Kernels: ONNX Runtime's fused products, convolutions and activations."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from .convolution import conv, conv_transpose, widened
from .elementwise import gelu as plain_gelu
from .elementwise import widen
from .linear import gemm
from .normalization import softmax

Array: TypeAlias = Any


# --- activations ---


def activated(
    xp: Any, x: Array, name: str | None, parameters: tuple[float, ...]
) -> Array:
    """`x` through the activation `name`; `parameters` as ONNX's attributes of it."""
    match name:
        case None | "":
            return x
        case "LeakyRelu":
            return xp.where(x < 0, x * parameters[0], x)
        case "Clip":
            return xp.clip(x, parameters[0], parameters[1])
        case "HardSigmoid":
            return xp.clip(x * parameters[0] + parameters[1], 0, 1)
        case "HardSwish":
            alpha, beta = parameters or (1 / 6, 0.5)
            return x * xp.clip(x * alpha + beta, 0, 1)
        case _:
            return plainly_activated(xp, x, name)


def plainly_activated(xp: Any, x: Array, name: str) -> Array:
    """`x` through an activation without parameters."""
    match name:
        case "Relu":
            return xp.maximum(x, 0)
        case "Tanh":
            return xp.tanh(x)
        case "Sigmoid":
            with np.errstate(over="ignore"):
                return 1 / (1 + xp.exp(-x))
        case "Gelu":
            return plain_gelu(xp, x)
        case "Silu" | "Swish":
            with np.errstate(over="ignore"):
                return x / (1 + xp.exp(-x))
        case _:
            raise ValueError(f"found activation {name!r}, wanted one that is known")


def gelu(xp: Any, x: Array) -> Array:
    """``x * (1 + erf(x / sqrt(2))) / 2`` (Hendrycks and Gimpel 2016)."""
    return plain_gelu(xp, x)


def bias_gelu(xp: Any, a: Array, b: Array) -> Array:
    """Gelu of ``a + b``."""
    return plain_gelu(xp, a + b)


def fast_gelu(xp: Any, x: Array, bias: Array | None = None) -> Array:
    """``x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3))) / 2`` of ``x + bias``."""
    wide = widen(x) if bias is None else widen(x) + widen(bias)
    inner = math.sqrt(2 / math.pi) * (wide + 0.044715 * wide * wide * wide)
    return (wide * 0.5 * (1 + xp.tanh(inner))).astype(x.dtype)


def quick_gelu(xp: Any, x: Array, alpha: float = 1.7020000219345093) -> Array:
    """``x * sigmoid(alpha * x)``."""
    wide = widen(x)
    with np.errstate(over="ignore"):
        return (wide / (1 + xp.exp(-alpha * wide))).astype(x.dtype)


def bias_split_gelu(xp: Any, x: Array, bias: Array) -> Array:
    """``first * Gelu(second)`` of the halves of ``x + bias`` along the last axis."""
    total = x + bias
    half = x.shape[-1] // 2
    return total[..., :half] * plain_gelu(xp, total[..., half:])


def bias_add(xp: Any, x: Array, bias: Array, skip: Array) -> Array:
    """``x + bias + skip``."""
    return x + bias + skip


def bias_softmax(
    xp: Any, data: Array, bias: Array, is_inner_broadcast: int, axis: int = 1
) -> Array:
    """
    Softmax of ``data + bias`` over the axes from `axis` on.

    `bias` lacks some of the axes before `axis`: the last of them if
    `is_inner_broadcast`, else the first.
    """
    axis = axis % data.ndim
    tail = data.shape[axis:]
    rows = math.prod(data.shape[:axis])
    given = bias.reshape(-1, *tail)
    repeats = rows // given.shape[0]
    if is_inner_broadcast:
        full = xp.repeat(given, repeats, axis=0)
    else:
        full = xp.tile(given, (repeats, *(1,) * len(tail)))
    flat = (data.reshape(rows, *tail) + full).reshape(rows, -1)
    return softmax(xp, flat, -1).reshape(data.shape)


# --- products ---


def turned(x: Array, rows: int, batch: int) -> Array:
    """
    A matrix operand, its first axis moved before the last if `batch`, then its last
    two exchanged if `rows`.
    """
    if batch and x.ndim > 2:
        x = x.transpose(*range(1, x.ndim - 1), 0, x.ndim - 1)
    return x.swapaxes(-1, -2) if rows and x.ndim > 1 else x


def fused_matmul(
    xp: Any,
    a: Array,
    b: Array,
    alpha: float = 1.0,
    transA: int = 0,
    transB: int = 0,
    transBatchA: int = 0,
    transBatchB: int = 0,
) -> Array:
    """``alpha * a @ b``, the operands turned first where asked."""
    left = turned(widened(xp, a), transA, transBatchA)
    right = turned(widened(xp, b), transB, transBatchB)
    y = xp.matmul(left, right)
    return (y if alpha == 1 else y * alpha).astype(a.dtype, copy=False)


def transposed_matmul(
    xp: Any,
    a: Array,
    b: Array,
    alpha: float = 1.0,
    transA: int = 0,
    transB: int = 0,
) -> Array:
    """FusedMatMul under its former name."""
    return fused_matmul(xp, a, b, alpha, transA, transB)


def fused_matmul_activation(
    xp: Any,
    a: Array,
    b: Array,
    activation: str,
    activation_alpha: float | None = None,
    activation_axis: int | None = None,
    activation_beta: float | None = None,
    activation_gamma: float | None = None,
    alpha: float = 1.0,
    transA: int = 0,
    transB: int = 0,
    transBatchA: int = 0,
    transBatchB: int = 0,
) -> Array:
    """FusedMatMul, then an activation (which may be Softmax along an axis)."""
    y = fused_matmul(xp, a, b, alpha, transA, transB, transBatchA, transBatchB)
    if activation == "Softmax":
        return softmax(xp, y, -1 if activation_axis is None else activation_axis)
    return activated(
        xp, y, activation, given_parameters(activation_alpha, activation_beta)
    )


def given_parameters(*values: float | None) -> tuple[float, ...]:
    """The parameters of an activation that a model states."""
    return tuple(value for value in values if value is not None)


def fused_gemm(
    xp: Any,
    a: Array,
    b: Array,
    c: Array | None = None,
    activation: str | None = None,
    activation_alpha: float | None = None,
    activation_beta: float | None = None,
    activation_gamma: float | None = None,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,
    transB: int = 0,
) -> Array:
    """Gemm, then an activation."""
    y = gemm(xp, a, b, c, alpha, beta, transA, transB)
    parameters = given_parameters(activation_alpha, activation_beta)
    return activated(xp, y, activation, parameters)


def gemm_fast_gelu(xp: Any, x: Array, w: Array, bias: Array | None = None) -> Array:
    """FastGelu of ``x @ w + bias``."""
    y = xp.matmul(widened(xp, x), widened(xp, w))
    return fast_gelu(xp, y, bias).astype(x.dtype, copy=False)


# --- convolution ---


def fused_conv(
    xp: Any,
    x: Array,
    w: Array,
    b: Array | None = None,
    z: Array | None = None,
    activation: str | None = None,
    activation_params: tuple[float, ...] | None = None,
    auto_pad: str = "NOTSET",
    dilations: tuple[int, ...] | None = None,
    group: int = 1,
    kernel_shape: tuple[int, ...] | None = None,
    pads: tuple[int, ...] | None = None,
    strides: tuple[int, ...] | None = None,
) -> Array:
    """``activation(Conv(x, w, b) + z)``."""
    y = conv(xp, x, w, b, auto_pad, dilations, group, kernel_shape, pads, strides)
    y = y if z is None else y + z
    return activated(xp, y, activation, activation_params or ())


def channels_second(x: Array) -> Array:
    """``[n, ..., c]`` as ``[n, c, ...]``."""
    return x.transpose(0, x.ndim - 1, *range(1, x.ndim - 1))


def channels_last(x: Array) -> Array:
    """``[n, c, ...]`` as ``[n, ..., c]``."""
    return x.transpose(0, *range(2, x.ndim), 1)


def nhwc_fused_conv(
    xp: Any,
    x: Array,
    w: Array,
    b: Array | None = None,
    z: Array | None = None,
    activation: str | None = None,
    activation_params: tuple[float, ...] | None = None,
    auto_pad: str = "NOTSET",
    dilations: tuple[int, ...] | None = None,
    group: int = 1,
    kernel_shape: tuple[int, ...] | None = None,
    pads: tuple[int, ...] | None = None,
    strides: tuple[int, ...] | None = None,
) -> Array:
    """FusedConv of an image with channels last; the weight is as Conv's."""
    y = fused_conv(
        xp,
        channels_second(x),
        w,
        b,
        None if z is None else channels_second(z),
        activation,
        activation_params,
        auto_pad,
        dilations,
        group,
        kernel_shape,
        pads,
        strides,
    )
    return channels_last(y)


def nhwc_conv(
    xp: Any,
    x: Array,
    w: Array,
    b: Array | None = None,
    auto_pad: str = "NOTSET",
    dilations: tuple[int, ...] | None = None,
    group: int = 1,
    kernel_shape: tuple[int, ...] | None = None,
    pads: tuple[int, ...] | None = None,
    strides: tuple[int, ...] | None = None,
) -> Array:
    """Conv of an image with channels last; the weight is as Conv's."""
    y = conv(
        xp,
        channels_second(x),
        w,
        b,
        auto_pad,
        dilations,
        group,
        kernel_shape,
        pads,
        strides,
    )
    return channels_last(y)


def conv_transpose_with_dynamic_pads(
    xp: Any,
    x: Array,
    w: Array,
    pads: Array | None = None,
    b: Array | None = None,
    auto_pad: str = "NOTSET",
    dilations: tuple[int, ...] | None = None,
    group: int = 1,
    kernel_shape: tuple[int, ...] | None = None,
    output_padding: tuple[int, ...] | None = None,
    strides: tuple[int, ...] | None = None,
) -> Array:
    """ConvTranspose whose pads are an operand."""
    return conv_transpose(
        xp,
        x,
        w,
        b,
        auto_pad=auto_pad,
        dilations=dilations,
        group=group,
        kernel_shape=kernel_shape,
        output_padding=output_padding,
        pads=None if pads is None else tuple(int(p) for p in pads),
        strides=strides,
    )


KERNELS: dict[str, Callable[..., Any]] = {
    "microsoft.BiasAdd": bias_add,
    "microsoft.BiasGelu": bias_gelu,
    "microsoft.BiasSoftmax": bias_softmax,
    "microsoft.BiasSplitGelu": bias_split_gelu,
    "microsoft.ConvTransposeWithDynamicPads": conv_transpose_with_dynamic_pads,
    "microsoft.FastGelu": fast_gelu,
    "microsoft.FusedConv": fused_conv,
    "microsoft.FusedGemm": fused_gemm,
    "microsoft.FusedMatMul": fused_matmul,
    "microsoft.FusedMatMulActivation": fused_matmul_activation,
    "microsoft.Gelu": gelu,
    "microsoft.GemmFastGelu": gemm_fast_gelu,
    "microsoft.NhwcConv": nhwc_conv,
    "microsoft.NhwcFusedConv": nhwc_fused_conv,
    "microsoft.QuickGelu": quick_gelu,
    "microsoft.TransposeMatMul": transposed_matmul,
}

STATIC: dict[str, tuple[int, ...]] = {"microsoft.ConvTransposeWithDynamicPads": (2,)}
