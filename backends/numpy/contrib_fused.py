"""ONNX Runtime's fused operators by NumPy's convolution."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from ..kernels.contrib_fused import activated, channels_last, channels_second
from ..kernels.contrib_nchwc import fitted_image, fitted_weight
from .convolution import conv

Array: TypeAlias = Any


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
    """FusedConv of an image with channels last."""
    image = channels_second(x)
    y = conv(xp, image, w, b, auto_pad, dilations, group, kernel_shape, pads, strides)
    y = channels_last(y)
    y = y if z is None else y + z
    return activated(xp, y, activation, activation_params or ())


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
    """Conv of an image with channels last."""
    image = channels_second(x)
    y = conv(xp, image, w, b, auto_pad, dilations, group, kernel_shape, pads, strides)
    return channels_last(y)


def blocked_conv(
    xp: Any,
    x: Array,
    w: Array,
    b: Array | None = None,
    sum: Array | None = None,
    activation: str | None = None,
    activation_params: tuple[float, ...] | None = None,
    auto_pad: str = "NOTSET",
    dilations: tuple[int, ...] | None = None,
    group: int = 1,
    kernel_shape: tuple[int, ...] | None = None,
    pads: tuple[int, ...] | None = None,
    strides: tuple[int, ...] | None = None,
) -> Array:
    """``activation(Conv(x, w, b) + sum)``, the weight in blocks."""
    image = fitted_image(xp, x, w, group)
    weight = fitted_weight(w, image.shape[1], group)
    return fused_conv(
        xp,
        image,
        weight,
        b,
        sum,
        activation,
        activation_params,
        auto_pad,
        dilations,
        group,
        kernel_shape,
        pads,
        strides,
    )


KERNELS: dict[str, Callable[..., Any]] = {
    "microsoft.FusedConv": fused_conv,
    "microsoft.NhwcConv": nhwc_conv,
    "microsoft.NhwcFusedConv": nhwc_fused_conv,
    "microsoft_nchwc.Conv": blocked_conv,
}
