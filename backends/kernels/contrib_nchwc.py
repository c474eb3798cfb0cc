"""
Kernels: convolution and pooling as ONNX Runtime writes them for one processor.

Its tensors in this form hold channels in blocks of 8 or 16, by the processor that wrote
the model (`dialects.onnx.blocks`). What passes between these operators is plain
``[n, c, ...]`` here; only the weights come in blocks. Channels are filled up with zeros
to whole blocks, so a convolution may find fewer in its image than its weight has.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from ...dialects.onnx.blocks import block_size
from .contrib_fused import activated, channels_last, channels_second
from .convolution import conv
from .image import resize
from .pooling import average_pool, global_average_pool, global_max_pool, max_pool

Array: TypeAlias = Any


def unblocked_weight(w: Array, block: int | None) -> Array:
    """``[m, c, ...]`` in order, from ``[m / b, c / b, ..., b of c, b of m]``."""
    outputs, inputs, *kernel = w.shape
    size = block or block_size(outputs, inputs)
    spatial = tuple(range(2, 2 + len(kernel)))
    if inputs < size:
        blocks = w.reshape(outputs // size, inputs, *kernel, size)
        order = (0, len(kernel) + 2, 1, *spatial)
        return blocks.transpose(order).reshape(w.shape)
    blocks = w.reshape(outputs // size, inputs // size, *kernel, size, size)
    last = len(kernel) + 2
    order = (0, last + 1, 1, last, *spatial)
    return blocks.transpose(order).reshape(w.shape)


def fitted_weight(w: Array, block: int | None, channels: int, group: int) -> Array:
    """The weight in order, for an image of `channels`: those filled up are left out."""
    plain = unblocked_weight(w, block)
    if group > 1:
        return plain
    if channels < w.shape[1]:
        return plain[:, :channels]
    return plain


def fitted_image(xp: Any, x: Array, w: Array, group: int) -> Array:
    """The image without, or for a depthwise weight with, what fills up its blocks."""
    if group == 1:
        return x[:, : w.shape[1]]
    missing = group * w.shape[1] - x.shape[1]
    if missing <= 0:
        return x
    return xp.pad(x, ((0, 0), (0, missing)) + ((0, 0),) * (x.ndim - 2))


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
    block: int | None = None,
) -> Array:
    """
    ``activation(Conv(x, w, b) + sum)``, the weight in blocks.

    Of `block` channels, which an import notes; None is what the weight's sizes tell.
    """
    image = fitted_image(xp, x, w, group)
    weight = fitted_weight(w, block, image.shape[1], group)
    y = conv(
        xp, image, weight, b, auto_pad, dilations, group, kernel_shape, pads, strides
    )
    y = y if sum is None else y + sum
    return activated(xp, y, activation, activation_params or ())


def blocked_max_pool(
    xp: Any,
    x: Array,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: tuple[int, ...] | None = None,
    kernel_shape: tuple[int, ...] = (),
    pads: tuple[int, ...] | None = None,
    storage_order: int = 0,
    strides: tuple[int, ...] | None = None,
) -> Array:
    """MaxPool of channels in blocks."""
    y, _ = max_pool(
        xp,
        x,
        auto_pad,
        ceil_mode,
        dilations,
        kernel_shape,
        pads,
        storage_order,
        strides,
        (True, False),
    )
    return y


def reorder_input(xp: Any, x: Array, channels_last: int = 0) -> Array:
    """Channels into blocks: here only brought to the second axis."""
    return channels_second(x) if channels_last else x


def reorder_output(
    xp: Any, x: Array, channels: int = 0, channels_last: int = 0
) -> Array:
    """Channels out of blocks: here what filled them up is cut off."""
    y = x[:, :channels] if channels else x
    return to_channels_last(y) if channels_last else y


def to_channels_last(x: Array) -> Array:
    """``[n, c, ...]`` as ``[n, ..., c]``."""
    return channels_last(x)


def upsample(
    xp: Any,
    x: Array,
    coordinate_transformation_mode: str = "asymmetric",
    mode: str = "nearest",
    scales: tuple[int, ...] | None = None,
) -> Array:
    """`x` enlarged by whole factors, one per axis."""
    return resize(
        xp,
        x,
        None,
        np.array(scales or (1,) * x.ndim, np.float32),
        coordinate_transformation_mode=coordinate_transformation_mode,
        mode=mode,
        nearest_mode="floor",
    )


KERNELS: dict[str, Callable[..., Any]] = {
    "microsoft_nchwc.AveragePool": average_pool,
    "microsoft_nchwc.Conv": blocked_conv,
    "microsoft_nchwc.GlobalAveragePool": global_average_pool,
    "microsoft_nchwc.GlobalMaxPool": global_max_pool,
    "microsoft_nchwc.MaxPool": blocked_max_pool,
    "microsoft_nchwc.ReorderInput": reorder_input,
    "microsoft_nchwc.ReorderOutput": reorder_output,
    "microsoft_nchwc.Upsample": upsample,
}

STATIC: dict[str, tuple[int, ...]] = {}
