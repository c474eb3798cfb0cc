"""ONNX Runtime's quantized convolution and LSTM, by the JAX backend's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from ..kernels.contrib_fused import channels_last as moved_last
from ..kernels.contrib_fused import channels_second
from ..kernels.contrib_quantized_products import run_quantized_lstm
from ..kernels.recurrent import layer_settings
from .convolution import qlinear_conv
from .recurrent import scan_loop

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


def dynamic_quantize_lstm(
    xp: Any,
    x: Array,
    w: Array,
    r: Array,
    b: Array | None = None,
    sequence_lens: Array | None = None,
    initial_h: Array | None = None,
    initial_c: Array | None = None,
    p: Array | None = None,
    w_scale: Array = None,
    w_zero_point: Array = None,
    r_scale: Array = None,
    r_zero_point: Array = None,
    activation_alpha: tuple[float, ...] | None = None,
    activation_beta: tuple[float, ...] | None = None,
    activations: tuple[str, ...] | None = None,
    clip: float | None = None,
    direction: str = "forward",
    hidden_size: int | None = None,
    input_forget: int = 0,
    outputs: tuple[bool, ...] = (True, True, True),
) -> tuple[Array | None, ...]:
    """LSTM with 8-bit weights; its input and each hidden state become uint8."""
    settings = layer_settings(
        xp,
        r.swapaxes(1, 2),
        direction,
        hidden_size,
        activations,
        ("Sigmoid", "Tanh", "Tanh"),
        activation_alpha,
        activation_beta,
        clip,
        0,
    )
    inner, outer = (w, w_scale, w_zero_point), (r, r_scale, r_zero_point)
    operands = (b, sequence_lens, (initial_h, initial_c), p, input_forget)
    return run_quantized_lstm(
        xp, scan_loop, x, inner, outer, *operands, settings, outputs
    )


KERNELS: dict[str, Callable[..., Any]] = {
    "microsoft.DynamicQuantizeLSTM": dynamic_quantize_lstm,
    "microsoft.QLinearConv": qlinear_conv_of_layout,
}
