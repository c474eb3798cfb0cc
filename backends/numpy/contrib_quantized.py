"""ONNX Runtime's quantized convolution, by the NumPy backend's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from ..kernels.contrib_fused import channels_last as moved_last
from ..kernels.contrib_fused import channels_second
from .convolution import qlinear_conv

Array: TypeAlias = Any


def qlinear_conv_of_layout(
    xp: Any,
    x: Array,
    x_scale: Array,
    x_zero_point: Array,
    w: Array,
    w_scale: Array,
    w_zero_point: Array,
    y_scale: Array,
    y_zero_point: Array,
    b: Array | None = None,
    auto_pad: str = "NOTSET",
    channels_last: int = 0,
    dilations: tuple[int, ...] | None = None,
    group: int = 1,
    kernel_shape: tuple[int, ...] | None = None,
    pads: tuple[int, ...] | None = None,
    strides: tuple[int, ...] | None = None,
) -> Array:
    """QLinearConv of an image with channels last or, as ONNX's, second."""
    image = channels_second(x) if channels_last else x
    scales = (x_scale, x_zero_point, w, w_scale, w_zero_point, y_scale, y_zero_point)
    window = (auto_pad, dilations, group, kernel_shape, pads, strides)
    y = qlinear_conv(xp, image, *scales, b, *window)
    return moved_last(y) if channels_last else y


KERNELS: dict[str, Callable[..., Any]] = {
    "microsoft.QLinearConv": qlinear_conv_of_layout,
}
