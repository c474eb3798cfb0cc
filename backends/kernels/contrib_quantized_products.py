"""Kernels: ONNX Runtime's products, attention and recurrent layer on 8-bit integers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

from .contrib_attention import (
    appended,
    attended,
    in_heads,
    out_of_heads,
    wanted,
    whole_mask,
)
from .contrib_fused import channels_last as moved_last
from .contrib_fused import channels_second
from .convolution import qlinear_conv, requantized
from .integer_products import aligned, exact_product, is_prepared
from .quantization import dynamic_quantize_linear
from .recurrent import (
    State,
    initial_states,
    layer_outputs,
    layer_settings,
    live_steps,
    lstm_cell,
    time_loop,
)

Array: TypeAlias = Any


# --- matrices ---


def scaled_product(
    xp: Any,
    a: Array,
    b: Array,
    a_scale: Array,
    b_scale: Array,
    a_zero_point: Array | None,
    b_zero_point: Array | None,
    bias: Array | None,
) -> Array:
    """``(a - a_zero_point) @ (b - b_zero_point) * a_scale * b_scale + bias``."""
    total = exact_product(xp, a, b, a_zero_point, b_zero_point).astype(xp.float32)
    rows, columns = aligned(a_scale, a, False), aligned(b_scale, b, True)
    y = total * (rows.astype(xp.float32) * columns.astype(xp.float32))
    return y if bias is None else y + bias.astype(xp.float32)


def dynamic_quantize_matmul(
    xp: Any,
    a: Array,
    b: Array,
    b_scale: Array,
    b_zero_point: Array | None = None,
    bias: Array | None = None,
) -> Array:
    """``a @ real(b) + bias``, with `a` in uint8 over the range of its values."""
    small, scale, zero = dynamic_quantize_linear(xp, a)
    assert scale is not None, "all outputs are asked for"
    return scaled_product(xp, small, b, scale, b_scale, zero, b_zero_point, bias)


def matmul_integer_to_float(
    xp: Any,
    a: Array,
    b: Array,
    a_scale: Array,
    b_scale: Array,
    a_zero_point: Array | None = None,
    b_zero_point: Array | None = None,
    bias: Array | None = None,
) -> Array:
    """``real(a) @ real(b) + bias``."""
    zeros = (a_zero_point, b_zero_point)
    y = scaled_product(xp, a, b, a_scale, b_scale, *zeros, bias)
    return y.astype(a_scale.dtype, copy=False)


def matmul_integer16(xp: Any, a: Array, b: Array) -> Array:
    """``a @ b`` of 16-bit integers in 32 bits, which a long sum overflows."""
    # Sums of up to 2**21 products are exact in float64, which BLAS multiplies.
    total = xp.matmul(a.astype(xp.float64), b.astype(xp.float64)).astype(xp.int64)
    return total.astype(xp.uint32 if a.dtype == xp.uint16 else xp.int32)


def qgemm(
    xp: Any,
    a: Array,
    a_scale: Array,
    a_zero_point: Array,
    b: Array,
    b_scale: Array,
    b_zero_point: Array,
    c: Array | None = None,
    y_scale: Array | None = None,
    y_zero_point: Array | None = None,
    alpha: float = 1.0,
    transA: int = 0,
    transB: int = 0,
) -> Array:
    """
    ``alpha * real(a) @ real(b) + c``, quantized if `y_scale` is there.

    The int32 bias `c` is in units of ``alpha * a_scale * b_scale``.
    """
    turned = transB and not is_prepared(b)  # what is prepared is as it is read
    left, right = a.T if transA else a, b.T if turned else b
    total = exact_product(xp, left, right, a_zero_point, b_zero_point)
    total = total if c is None else total + c
    ratio = xp.float32(alpha) * a_scale.reshape(()) * aligned(b_scale, right, True)
    if y_scale is None or y_zero_point is None:
        return total.astype(xp.float32) * ratio
    return requantized(xp, total, ratio / y_scale.reshape(()), y_zero_point.reshape(()))


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


# --- attention ---


def qattention(
    xp: Any,
    x: Array,
    weight: Array,
    bias: Array,
    input_scale: Array,
    weight_scale: Array,
    mask_index: Array | None = None,
    input_zero_point: Array | None = None,
    weight_zero_point: Array | None = None,
    past: Array | None = None,
    do_rotary: int | None = None,
    mask_filter_value: float | None = None,
    num_heads: int = 1,
    past_present_share_buffer: int | None = None,
    scale: float | None = None,
    unidirectional: int = 0,
    outputs: tuple[bool, ...] = (True, True),
) -> tuple[Array | None, ...]:
    """Attention (Vaswani et al. 2017) whose projection is one of 8-bit integers."""
    if do_rotary or past_present_share_buffer:
        raise ValueError(
            "found do_rotary or past_present_share_buffer 1, wanted 0 in QAttention"
        )
    zeros = (input_zero_point, weight_zero_point)
    y = scaled_product(xp, x, weight, input_scale, weight_scale, *zeros, bias)
    width = y.shape[2] // 3
    q, k, v = (
        in_heads(y[..., i * width : (i + 1) * width], num_heads) for i in range(3)
    )
    new = k.shape[2]
    if past is not None:
        k, v = (appended(xp, past[i], part, None) for i, part in enumerate((k, v)))
    before = k.shape[2] - new
    sizes = (q.shape[0], q.shape[2], k.shape[2])
    mask = whole_mask(
        xp, mask_index, sizes, before, None, unidirectional, mask_filter_value
    )
    y, _, _ = attended(xp, q, k, v, scale, mask)
    present = xp.stack((k, v)) if outputs[1] else None
    return wanted((out_of_heads(y).astype(bias.dtype), present), outputs)


# --- a recurrent layer ---


def quantized_lstm_step(
    xp: Any,
    weight: tuple[Array, Array, Array],
    peepholes: Array | None,
    input_forget: int,
    functions: list[Any],
    clip: float | None,
    state: State,
    gates: Array,
) -> State:
    """One step of an LSTM whose hidden state is quantized as it comes."""
    r, scale, zero = weight
    total = gates + dynamic_quantize_matmul(xp, state[0], r, scale, zero)
    return lstm_cell(xp, total, peepholes, input_forget, functions, clip, state[1])


def run_quantized_lstm(
    xp: Any,
    x: Array,
    inner: tuple[Array, Array, Array],
    outer: tuple[Array, Array, Array],
    b: Array | None,
    sequence_lens: Array | None,
    initial: tuple[Array | None, Array | None],
    p: Array | None,
    input_forget: int,
    settings: tuple[tuple[bool, ...], list[Any], float | None, int],
    outputs: tuple[bool, ...],
) -> tuple[Array | None, ...]:
    """
    The layer with 8-bit weights.

    `inner` is W ``[directions, input, 4 * hidden]``, its scales and its zero points
    (per direction, or per column too), `outer` the same of R.
    """
    directions, functions, clip, _ = settings
    size = outer[0].shape[1]
    h, c = initial_states(xp, x, size, len(directions), 0, *initial)
    live = live_steps(xp, sequence_lens, x.shape[0])
    runs: list[tuple[Array, State]] = []
    for d, reverse in enumerate(directions):
        weight = (inner[0][d], inner[1][d], inner[2][d])
        recurrent = (outer[0][d], outer[1][d], outer[2][d])
        gates = dynamic_quantize_matmul(xp, x, *weight)
        if b is not None:
            gates = gates + b[d, : 4 * size] + b[d, 4 * size :]
        peepholes = None if p is None else p[d]
        bound = (recurrent, peepholes, input_forget, functions[3 * d : 3 * d + 3], clip)
        step = partial(quantized_lstm_step, xp, *bound)
        runs.append(time_loop(xp, step, (h[d], c[d]), gates, live, reverse))
    return layer_outputs(xp, runs, 0, x.dtype, outputs)


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
    return run_quantized_lstm(xp, x, inner, outer, *operands, settings, outputs)


KERNELS: dict[str, Callable[..., Any]] = {
    "microsoft.DynamicQuantizeLSTM": dynamic_quantize_lstm,
    "microsoft.DynamicQuantizeMatMul": dynamic_quantize_matmul,
    "microsoft.MatMulInteger16": matmul_integer16,
    "microsoft.MatMulIntegerToFloat": matmul_integer_to_float,
    "microsoft.QAttention": qattention,
    "microsoft.QGemm": qgemm,
    "microsoft.QLinearConv": qlinear_conv_of_layout,
}

STATIC: dict[str, tuple[int, ...]] = {}
