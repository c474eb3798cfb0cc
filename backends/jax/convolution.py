"""Convolutions as XLA's own."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import jax.numpy as jnp
from jax import lax

from ..kernels.convolution import (
    add_channel_bias,
    centred,
    conv_kernel,
    exact_float,
    kernel_positions,
    pad_spatial,
    swapped_weight,
    transposed_pads,
    window_counts,
    window_pads,
    window_slices,
    window_span,
)
from ..kernels.integer_products import exact_product

Array: TypeAlias = Any


def xla_conv(
    x: Array,
    w: Array,
    pairs: tuple[tuple[int, int], ...],
    strides: tuple[int, ...],
    spread: tuple[int, ...],
    dilations: tuple[int, ...],
    group: int,
) -> Array:
    """The convolution without bias; 16-bit floats add up in float32."""
    narrow = x.dtype.itemsize == 2
    return lax.conv_general_dilated(
        x,
        w,
        strides,
        pairs,
        lhs_dilation=spread,
        rhs_dilation=dilations,
        feature_group_count=group,
        precision=lax.Precision.HIGHEST,
        preferred_element_type=jnp.float32 if narrow else None,
    )


def conv(
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
    """``y[n, m, o] = sum x[n, c, o * stride + k * dilation] * w[m, c, k] + b[m]``."""
    kernel = conv_kernel(w, kernel_shape)
    ones = (1,) * len(kernel)
    strides, dilations = strides or ones, dilations or ones
    pairs = window_pads(x.shape[2:], kernel, strides, dilations, pads, auto_pad)
    y = xla_conv(x, w, pairs, strides, ones, dilations, group)
    return add_channel_bias(y, b).astype(x.dtype)


def conv_integer(
    xp: Any,
    x: Array,
    w: Array,
    x_zero_point: Array | None = None,
    w_zero_point: Array | None = None,
    auto_pad: str = "NOTSET",
    dilations: tuple[int, ...] | None = None,
    group: int = 1,
    kernel_shape: tuple[int, ...] | None = None,
    pads: tuple[int, ...] | None = None,
    strides: tuple[int, ...] | None = None,
) -> Array:
    """``Conv(x - x_zero_point, w - w_zero_point)`` in int32, exact by way of floats."""
    window = (auto_pad, dilations, group, kernel_shape, pads, strides)
    if group == 1 and w.size:
        return unfolded_conv(xp, x, w, x_zero_point, w_zero_point, window)
    dtype = exact_float(xp, math.prod(w.shape[1:]))
    x, w = centred(xp, x, x_zero_point, dtype), centred(xp, w, w_zero_point, dtype)
    return conv(xp, x, w, None, *window).astype(xp.int32)


def unfolded_conv(
    xp: Any,
    x: Array,
    w: Array,
    x_zero_point: Array | None,
    w_zero_point: Array | None,
    window: tuple[Any, ...],
) -> Array:
    """
    An integer convolution as one product of int8, which XLA has faster code for.

    The windows stand one below the other, channels last within each kernel position.
    """
    auto_pad, dilations, _, kernel_shape, pads, strides = window
    kernel = conv_kernel(w, kernel_shape)
    ones = (1,) * len(kernel)
    strides, dilations = strides or ones, dilations or ones
    pairs = window_pads(x.shape[2:], kernel, strides, dilations, pads, auto_pad)
    counts = window_counts(x.shape[2:], kernel, strides, dilations, pairs)
    # What is around the image counts as 0, which the zero point stands for.
    outside = xp.zeros((), x.dtype) if x_zero_point is None else x_zero_point
    image = pad_spatial(xp, x, pairs, outside.reshape(()))
    image = xp.moveaxis(image, 1, -1)
    seen: list[Array] = []
    for position in kernel_positions(kernel):
        places = window_slices(position, counts, strides, dilations)
        seen.append(image[(slice(None), *places)])
    rows = xp.concatenate(seen, axis=-1).reshape(-1, w[0].size)
    columns = xp.moveaxis(w, (0, 1), (-1, -2)).reshape(-1, w.shape[0])
    total = exact_product(xp, rows, columns, x_zero_point, w_zero_point)
    return xp.moveaxis(total.reshape(x.shape[0], *counts, w.shape[0]), -1, 1)


def conv_transpose(
    xp: Any,
    x: Array,
    w: Array,
    b: Array | None = None,
    auto_pad: str = "NOTSET",
    dilations: tuple[int, ...] | None = None,
    group: int = 1,
    kernel_shape: tuple[int, ...] | None = None,
    output_padding: tuple[int, ...] | None = None,
    output_shape: tuple[int, ...] | None = None,
    pads: tuple[int, ...] | None = None,
    strides: tuple[int, ...] | None = None,
) -> Array:
    """``y[n, m, i * stride + k * dilation - pad] += x[n, c, i] * w[c, m, k]``, + b."""
    kernel = conv_kernel(w, kernel_shape)
    ones = (1,) * len(kernel)
    strides, dilations = strides or ones, dilations or ones
    extra = tuple(output_padding or (0,) * len(kernel))
    cuts = transposed_pads(
        x.shape[2:], kernel, strides, dilations, pads, extra, auto_pad, output_shape
    )
    room: list[tuple[int, int]] = []
    for k, d, (first, last) in zip(kernel, dilations, cuts, strict=True):
        room.append((window_span(k, d) - 1 - first, window_span(k, d) - 1 - last))
    turned = swapped_weight(w, group)
    y = xla_conv(x, turned, tuple(room), ones, strides, dilations, group)
    return add_channel_bias(y, b).astype(x.dtype)


KERNELS: dict[str, Callable[..., Any]] = {
    "Conv": conv,
    "ConvInteger": conv_integer,
    "ConvTranspose": conv_transpose,
}
