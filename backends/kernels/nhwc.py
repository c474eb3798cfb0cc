"""Kernels: convolution, pooling and normalization of images with channels last."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from .convolution import conv
from .normalization import batch_normalization, local_response_normalization
from .pooling import average_pool, max_pool

Array: TypeAlias = Any


def planes_first(image: Array) -> Array:
    """``[n, h, w, c]`` as ``[n, c, h, w]``."""
    return image.transpose(0, 3, 1, 2)


def planes_last(image: Array) -> Array:
    """``[n, c, h, w]`` as ``[n, h, w, c]``."""
    return image.transpose(0, 2, 3, 1)


def nhwc_conv(
    xp: Any,
    x: Array,
    w: Array,
    b: Array | None = None,
    auto_pad: str = "NOTSET",
    dilations: tuple[int, ...] | None = None,
    group: int = 1,
    pads: tuple[int, ...] | None = None,
    strides: tuple[int, ...] | None = None,
) -> Array:
    """Conv of ``x[n, h, w, c]`` with ``w[kh, kw, c / group, m]``."""
    weight = w.transpose(3, 2, 0, 1)
    window = (auto_pad, dilations, group, None, pads, strides)
    return planes_last(conv(xp, planes_first(x), weight, b, *window))


def nhwc_max_pool(
    xp: Any,
    x: Array,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: tuple[int, ...] | None = None,
    kernel_shape: tuple[int, ...] = (),
    pads: tuple[int, ...] | None = None,
    strides: tuple[int, ...] | None = None,
) -> Array:
    """The maximum of every window of ``x[n, h, w, c]``."""
    window = (auto_pad, ceil_mode, dilations, kernel_shape, pads, 0, strides)
    y, _ = max_pool(xp, planes_first(x), *window, outputs=(True, False))
    return planes_last(y)


def nhwc_average_pool(
    xp: Any,
    x: Array,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    count_include_pad: int = 0,
    dilations: tuple[int, ...] | None = None,
    kernel_shape: tuple[int, ...] = (),
    pads: tuple[int, ...] | None = None,
    strides: tuple[int, ...] | None = None,
) -> Array:
    """Mean of every window of ``x[n, h, w, c]``."""
    counted = (auto_pad, ceil_mode, count_include_pad)
    window = (*counted, dilations, kernel_shape, pads, strides)
    return planes_last(average_pool(xp, planes_first(x), *window))


def nhwc_batch_normalization(
    xp: Any,
    x: Array,
    scale: Array,
    bias: Array,
    mean: Array,
    variance: Array,
    epsilon: float = 9.999999747378752e-06,
) -> Array:
    """``(x - mean) / sqrt(variance + epsilon) * scale + bias`` per last axis."""
    rows = x.reshape(-1, x.shape[-1])
    parameters = (scale, bias, mean, variance)
    wanted = (True, False, False)
    y, *_ = batch_normalization(xp, rows, *parameters, epsilon, outputs=wanted)
    return y.reshape(x.shape)


def nhwc_lrn(
    xp: Any,
    x: Array,
    size: int,
    alpha: float = 9.999999747378752e-05,
    beta: float = 0.75,
    bias: float = 1.0,
) -> Array:
    """``x / (bias + alpha / size * local sum of x^2) ** beta`` along the last axis."""
    rows = x.reshape(-1, x.shape[-1])
    y = local_response_normalization(xp, rows, size, alpha, beta, bias)
    return y.reshape(x.shape)


KERNELS: dict[str, Callable[..., Any]] = {
    "nhwc.AveragePool": nhwc_average_pool,
    "nhwc.BatchNormalization": nhwc_batch_normalization,
    "nhwc.Conv": nhwc_conv,
    "nhwc.LRN": nhwc_lrn,
    "nhwc.MaxPool": nhwc_max_pool,
}

STATIC: dict[str, tuple[int, ...]] = {}
