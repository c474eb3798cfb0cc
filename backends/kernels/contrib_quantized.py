"""
Kernels: ONNX Runtime's operators on 8-bit tensors, each with a scale and a zero point.

``real = (stored - zero_point) * scale``; results are rounded to even, then saturated.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

from .contrib_fused import channels_last as moved_last
from .contrib_fused import channels_second
from .normalization import softmax
from .pooling import average_pool
from .quantization import dequantize_linear, quantize_linear, stored

Array: TypeAlias = Any


def scalar(xp: Any, x: Array) -> Array:
    """The one scale that `x` holds, in float32."""
    return x.reshape(()).astype(xp.float32)


def offset(xp: Any, zero: Array | None) -> Array:
    """The one zero point that `zero` holds, in float32; 0 if there is none."""
    return xp.zeros((), xp.float32) if zero is None else scalar(xp, zero)


def real(xp: Any, x: Array, scale: Array, zero: Array | None) -> Array:
    """``(x - zero) * scale`` in float32."""
    return (x.astype(xp.float32) - offset(xp, zero)) * scalar(xp, scale)


def quantized(xp: Any, x: Array, scale: Array, zero: Array | None, dtype: Any) -> Array:
    """``saturate(round(x / scale) + zero)`` as elements of `dtype`."""
    return stored(xp, x / scalar(xp, scale), offset(xp, zero), dtype.name)


# --- of two tensors ---


def qlinear_add(
    xp: Any,
    a: Array,
    a_scale: Array,
    a_zero_point: Array | None = None,
    b: Array = None,
    b_scale: Array = None,
    b_zero_point: Array | None = None,
    c_scale: Array = None,
    c_zero_point: Array | None = None,
) -> Array:
    """
    ``quantize(real(a) + real(b))``.

    As ONNX Runtime: the ratios of the scales first, and all zero points in one
    constant, which is rounded with the sum.
    """
    left = scalar(xp, a_scale) / scalar(xp, c_scale)
    right = scalar(xp, b_scale) / scalar(xp, c_scale)
    fixed = left * offset(xp, a_zero_point) + right * offset(xp, b_zero_point)
    fixed = offset(xp, c_zero_point) - fixed
    total = a.astype(xp.float32) * left + (b.astype(xp.float32) * right + fixed)
    return stored(xp, total, None, a.dtype.name)


def qlinear_mul(
    xp: Any,
    a: Array,
    a_scale: Array,
    a_zero_point: Array | None = None,
    b: Array = None,
    b_scale: Array = None,
    b_zero_point: Array | None = None,
    c_scale: Array = None,
    c_zero_point: Array | None = None,
) -> Array:
    """
    ``quantize(real(a) * real(b))``.

    As ONNX Runtime: the scales combined first, the zero point rounded with the product.
    """
    ratio = scalar(xp, a_scale) * scalar(xp, b_scale) / scalar(xp, c_scale)
    left = a.astype(xp.float32) - offset(xp, a_zero_point)
    right = b.astype(xp.float32) - offset(xp, b_zero_point)
    product = left * right * ratio + offset(xp, c_zero_point)
    return stored(xp, product, None, a.dtype.name)


def qlinear_where(
    xp: Any,
    condition: Array,
    x: Array,
    x_scale: Array,
    x_zero_point: Array,
    y: Array,
    y_scale: Array,
    y_zero_point: Array,
    z_scale: Array,
    z_zero_point: Array,
) -> Array:
    """`x` where `condition` holds, `y` elsewhere, requantized."""
    first = quantized(
        xp, real(xp, x, x_scale, x_zero_point), z_scale, z_zero_point, x.dtype
    )
    second = quantized(
        xp, real(xp, y, y_scale, y_zero_point), z_scale, z_zero_point, x.dtype
    )
    return xp.where(condition, first, second)


def mul_integer(
    xp: Any,
    a: Array,
    a_zero_point: Array | None = None,
    b: Array = None,
    b_zero_point: Array | None = None,
) -> Array:
    """``(a - a_zero_point) * (b - b_zero_point)`` in int32."""
    left, right = a.astype(xp.int32), b.astype(xp.int32)
    if a_zero_point is not None:
        left = left - a_zero_point.reshape(()).astype(xp.int32)
    if b_zero_point is not None:
        right = right - b_zero_point.reshape(()).astype(xp.int32)
    return left * right


# --- of one tensor ---


def qlinear_sigmoid(
    xp: Any,
    x: Array,
    x_scale: Array,
    x_zero_point: Array | None = None,
    y_scale: Array = None,
    y_zero_point: Array | None = None,
) -> Array:
    """``quantize(1 / (1 + exp(-real(x))))``."""
    y = 0.5 * xp.tanh(0.5 * real(xp, x, x_scale, x_zero_point)) + 0.5
    return quantized(xp, y, y_scale, y_zero_point, x.dtype)


def qlinear_leaky_relu(
    xp: Any,
    x: Array,
    x_scale: Array,
    x_zero_point: Array | None = None,
    y_scale: Array = None,
    y_zero_point: Array | None = None,
    alpha: float = 0.01,
) -> Array:
    """``quantize(x < 0 ? alpha * x : x)`` of the real `x`."""
    wide = real(xp, x, x_scale, x_zero_point)
    y = xp.where(wide >= 0, wide, wide * xp.float32(alpha))
    return quantized(xp, y, y_scale, y_zero_point, x.dtype)


def qlinear_softmax(
    xp: Any,
    x: Array,
    x_scale: Array,
    x_zero_point: Array | None = None,
    y_scale: Array = None,
    y_zero_point: Array = None,
    axis: int = -1,
    opset: int = 13,
) -> Array:
    """Softmax of the real `x`; before opset 13 over all axes from `axis` on."""
    wide = real(xp, x, x_scale, x_zero_point)
    if opset < 13:
        axis = axis + x.ndim if axis < 0 else axis
        rows = wide.reshape(math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))
        y = softmax(xp, rows, -1).reshape(x.shape)
    else:
        y = softmax(xp, wide, axis)
    return quantized(xp, y, y_scale, y_zero_point, x.dtype)


def qlinear_reduce_mean(
    xp: Any,
    data: Array,
    data_scale: Array,
    data_zero_point: Array | None = None,
    reduced_scale: Array = None,
    reduced_zero_point: Array | None = None,
    axes: tuple[int, ...] = (),
    keepdims: int = 1,
) -> Array:
    """The mean of the real `data` over `axes`, quantized; of integers, so exact."""
    whole = tuple(axes) or tuple(range(data.ndim))
    total = xp.sum(data.astype(xp.int32), axis=whole, keepdims=bool(keepdims))
    count = math.prod(data.shape[axis] for axis in whole)
    mean = (total - offset(xp, data_zero_point) * count) * scalar(xp, data_scale)
    mean = (mean / count).astype(xp.float32)
    return quantized(xp, mean, reduced_scale, reduced_zero_point, data.dtype)


def reduce_sum_integer(
    xp: Any, data: Array, axes: tuple[int, ...] = (), keepdims: int = 1
) -> Array:
    """The sum of 8-bit integers over `axes`, in 32 bits of the same sign."""
    wide = data.astype(xp.int32 if data.dtype == xp.int8 else xp.uint32)
    kept = bool(keepdims)
    return xp.sum(wide, axis=tuple(axes) or None, keepdims=kept, dtype=wide.dtype)


def qlinear_concat(
    xp: Any, y_scale: Array, y_zero_point: Array, *inputs: Array, axis: int
) -> Array:
    """The tensors of the triples `inputs` (x, scale, zero), requantized, in a row."""
    parts: list[Array] = []
    for first in range(0, len(inputs), 3):
        wide = real(xp, *inputs[first : first + 3])
        parts.append(quantized(xp, wide, y_scale, y_zero_point, y_zero_point.dtype))
    return xp.concatenate(parts, axis=axis)


# --- pooling ---


def qlinear_average_pool(
    xp: Any,
    x: Array,
    x_scale: Array,
    x_zero_point: Array | None = None,
    y_scale: Array = None,
    y_zero_point: Array | None = None,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    channels_last: int = 0,
    count_include_pad: int = 0,
    kernel_shape: tuple[int, ...] = (),
    pads: tuple[int, ...] | None = None,
    strides: tuple[int, ...] | None = None,
) -> Array:
    """AveragePool of the real `x`, quantized."""
    image = channels_second(x) if channels_last else x
    wide = real(xp, image, x_scale, x_zero_point)
    y = average_pool(
        xp,
        wide,
        auto_pad,
        ceil_mode,
        count_include_pad,
        None,
        kernel_shape,
        pads,
        strides,
    )
    y = quantized(xp, y, y_scale, y_zero_point, x.dtype)
    return moved_last(y) if channels_last else y


def qlinear_global_average_pool(
    xp: Any,
    x: Array,
    x_scale: Array,
    x_zero_point: Array,
    y_scale: Array,
    y_zero_point: Array,
    channels_last: int = 0,
) -> Array:
    """The mean of every channel, its sum taken of integers."""
    axes = tuple(range(1, x.ndim - 1)) if channels_last else tuple(range(2, x.ndim))
    count = math.prod(x.shape[axis] for axis in axes)
    total = xp.sum(x.astype(xp.int32), axis=axes, keepdims=True)
    total = total.astype(xp.float32) - offset(xp, x_zero_point) * count
    ratio = scalar(xp, x_scale) / (scalar(xp, y_scale) * xp.float32(count))
    return stored(xp, total * ratio, offset(xp, y_zero_point), x.dtype.name)


# --- between real numbers and their stand-ins ---


def quantize(
    xp: Any,
    x: Array,
    y_scale: Array,
    y_zero_point: Array | None = None,
    axis: int | None = None,
) -> Array:
    """``saturate(round(x / y_scale) + y_zero_point)`` per tensor or along `axis`."""
    return quantize_linear(xp, x, y_scale, y_zero_point, 1 if axis is None else axis)


def dequantize(
    xp: Any,
    x: Array,
    x_scale: Array,
    x_zero_point: Array | None = None,
    axis: int | None = None,
) -> Array:
    """``(x - x_zero_point) * x_scale`` per tensor or along `axis`."""
    return dequantize_linear(xp, x, x_scale, x_zero_point, 1 if axis is None else axis)


KERNELS: dict[str, Callable[..., Any]] = {
    "microsoft.DequantizeLinear": dequantize,
    "microsoft.MulInteger": mul_integer,
    "microsoft.QLinearAdd": qlinear_add,
    "microsoft.QLinearAveragePool": qlinear_average_pool,
    "microsoft.QLinearConcat": qlinear_concat,
    "microsoft.QLinearGlobalAveragePool": qlinear_global_average_pool,
    "microsoft.QLinearLeakyRelu": qlinear_leaky_relu,
    "microsoft.QLinearMul": qlinear_mul,
    "microsoft.QLinearReduceMean": qlinear_reduce_mean,
    "microsoft.QLinearSigmoid": qlinear_sigmoid,
    "microsoft.QLinearSoftmax": qlinear_softmax,
    "microsoft.QLinearWhere": qlinear_where,
    "microsoft.QuantizeLinear": quantize,
    "microsoft.ReduceSumInteger": reduce_sum_integer,
}

STATIC: dict[str, tuple[int, ...]] = {}
