"""Kernels: convolution, its transpose, its integer and deformable kinds, and Col2Im."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = Any


def window_span(kernel: int, dilation: int) -> int:
    """Extent of a dilated kernel along one axis: ``(kernel - 1) * dilation + 1``."""
    return (kernel - 1) * dilation + 1


def conv_kernel(w: Array, kernel_shape: tuple[int, ...] | None) -> tuple[int, ...]:
    """Spatial extents of the weight `w`, which `kernel_shape` must repeat."""
    kernel = tuple(w.shape[2:])
    if kernel_shape is not None and tuple(kernel_shape) != kernel:
        raise ValueError(
            f"found kernel_shape {kernel_shape}, wanted {kernel} as weight"
        )
    return kernel


def window_pads(
    sizes: tuple[int, ...],
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
    pads: tuple[int, ...] | None,
    auto_pad: str,
) -> tuple[tuple[int, int], ...]:
    """(begin, end) padding of every spatial axis, from `pads` or by `auto_pad`."""
    rank = len(sizes)
    if auto_pad == "VALID":
        return ((0, 0),) * rank
    if auto_pad == "NOTSET":
        flat = tuple(pads or (0,) * (2 * rank))
        return tuple(zip(flat[:rank], flat[rank:], strict=True))
    if auto_pad not in ("SAME_UPPER", "SAME_LOWER"):
        wanted = "NOTSET, VALID, SAME_UPPER or SAME_LOWER"
        raise ValueError(f"found auto_pad {auto_pad!r}, wanted {wanted}")
    pairs: list[tuple[int, int]] = []
    for n, k, s, d in zip(sizes, kernel, strides, dilations, strict=True):
        total = max((math.ceil(n / s) - 1) * s + window_span(k, d) - n, 0)
        small, large = total // 2, total - total // 2
        pairs.append((small, large) if auto_pad == "SAME_UPPER" else (large, small))
    return tuple(pairs)


def window_counts(
    sizes: tuple[int, ...],
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
    pairs: tuple[tuple[int, int], ...],
) -> tuple[int, ...]:
    """How many windows fit each padded axis: ``(n + pads - span) // stride + 1``."""
    counts: list[int] = []
    for n, k, s, d, pair in zip(sizes, kernel, strides, dilations, pairs, strict=True):
        counts.append(max((n + sum(pair) - window_span(k, d)) // s + 1, 0))
    return tuple(counts)


def pad_spatial(
    xp: Any, x: Array, pairs: tuple[tuple[int, int], ...], value: Any = 0
) -> Array:
    """`x` with its trailing axes padded by `value`; `x` itself if nothing is added."""
    if not any(itertools.chain(*pairs)):
        return x
    lead = ((0, 0),) * (x.ndim - len(pairs))
    return xp.pad(x, lead + pairs, constant_values=value)


def window_slices(
    position: tuple[int, ...],
    counts: tuple[int, ...],
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
) -> tuple[slice, ...]:
    """What kernel position `position` sees of a padded image, over all windows."""
    slices: list[slice] = []
    for p, n, s, d in zip(position, counts, strides, dilations, strict=True):
        slices.append(slice(p * d, p * d + max((n - 1) * s + 1, 0), s))
    return tuple(slices)


def kernel_positions(kernel: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Every index into a kernel of that shape, row-major."""
    return list(itertools.product(*map(range, kernel)))


def widened(xp: Any, x: Array) -> Array:
    """`x`, with 16-bit floats as float32, to accumulate in."""
    narrow = x.dtype.itemsize == 2 and x.dtype.kind not in "iu"
    return x.astype(xp.float32) if narrow else x


def add_channel_bias(x: Array, b: Array | None) -> Array:
    """``x[n, c, ...] + b[c]``; `x` where there is no bias."""
    return x if b is None else x + b.reshape(-1, *(1,) * (x.ndim - 2))


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
    counts = window_counts(x.shape[2:], kernel, strides, dilations, pairs)
    padded = pad_spatial(xp, widened(xp, x), pairs)
    weights = widened(xp, w).reshape(group, w.shape[0] // group, w.shape[1], *kernel)
    grouped = (x.shape[0], group, w.shape[1], math.prod(counts))
    total = xp.zeros((x.shape[0], group, weights.shape[1], grouped[3]), padded.dtype)
    for position in kernel_positions(kernel):
        seen = padded[(..., *window_slices(position, counts, strides, dilations))]
        total = total + weights[(..., *position)] @ seen.reshape(grouped)
    y = total.reshape(x.shape[0], w.shape[0], *counts)
    return add_channel_bias(y, b).astype(x.dtype, copy=False)


def transposed_pads(
    sizes: tuple[int, ...],
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
    pads: tuple[int, ...] | None,
    extra: tuple[int, ...],
    auto_pad: str,
    output_shape: tuple[int, ...] | None,
) -> tuple[tuple[int, int], ...]:
    """
    (begin, end) cut from each axis of a transposed convolution's full result.

    The full extent is ``(n - 1) * stride + span``; `extra` (output_padding) lengthens
    the end, so an end may be negative.
    """
    if output_shape is None and not auto_pad.startswith("SAME"):
        pairs = window_pads(sizes, kernel, strides, dilations, pads, auto_pad)
        return tuple((a, b - e) for (a, b), e in zip(pairs, extra, strict=True))
    wanted = tuple(output_shape or (n * s for n, s in zip(sizes, strides, strict=True)))
    cuts: list[tuple[int, int]] = []
    for axis, size in enumerate(wanted[-len(sizes) :]):
        span = window_span(kernel[axis], dilations[axis])
        full = (sizes[axis] - 1) * strides[axis] + span + extra[axis]
        total = max(full - size, 0)
        first = total // 2 if auto_pad == "SAME_UPPER" else total - total // 2
        cuts.append((first, full - size - first - extra[axis]))
    return tuple(cuts)


def dilated(xp: Any, x: Array, strides: tuple[int, ...]) -> Array:
    """`x` with ``stride - 1`` zeros between neighbours along each spatial axis."""
    for axis, stride in enumerate(strides, start=2):
        if stride == 1 or x.shape[axis] == 0:
            continue
        pairs = (
            ((0, 0),) * axis
            + ((0, 0), (0, stride - 1))
            + ((0, 0),) * (x.ndim - axis - 1)
        )
        shape = (*x.shape[:axis], x.shape[axis] * stride, *x.shape[axis + 1 :])
        spread = xp.pad(xp.expand_dims(x, axis + 1), pairs).reshape(shape)
        x = spread[(slice(None),) * axis + (slice(0, shape[axis] - stride + 1),)]
    return x


def swapped_weight(w: Array, group: int) -> Array:
    """Transposed weight ``[c, m / group, k]`` as a plain one ``[m, c / group, -k]``."""
    kernel = w.shape[2:]
    turned = w.reshape(group, w.shape[0] // group, w.shape[1], *kernel).swapaxes(1, 2)
    turned = turned[(..., *(slice(None, None, -1) for _ in kernel))]
    return turned.reshape(group * w.shape[1], w.shape[0] // group, *kernel)


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
    # A cut beyond the kernel's reach drops input instead of padding it.
    spread = dilated(xp, x, strides)
    for axis, (first, last) in enumerate(room, start=2):
        kept = slice(max(-first, 0), spread.shape[axis] - max(-last, 0))
        spread = spread[(slice(None),) * axis + (kept,)]
    spread = pad_spatial(xp, spread, tuple((max(a, 0), max(b, 0)) for a, b in room))
    return conv(xp, spread, swapped_weight(w, group), b, "VALID", dilations, group)


def exact_float(xp: Any, terms: int) -> Any:
    """The float in which a sum of `terms` products of 9-bit integers is exact."""
    return xp.float32 if terms * 255 * 255 <= 2**24 else xp.float64


def centred(xp: Any, x: Array, zero_point: Array | None, dtype: Any) -> Array:
    """``x - zero_point`` in `dtype`; a vector of zero points goes along axis 0."""
    if zero_point is None:
        return x.astype(dtype)
    offset = zero_point.astype(dtype)
    if zero_point.size == 1:
        return x.astype(dtype) - offset.reshape(())
    return x.astype(dtype) - offset.reshape(-1, *(1,) * (x.ndim - 1))


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
    dtype = exact_float(xp, math.prod(w.shape[1:]))
    x, w = centred(xp, x, x_zero_point, dtype), centred(xp, w, w_zero_point, dtype)
    window = (auto_pad, dilations, group, kernel_shape, pads, strides)
    return conv(xp, x, w, None, *window).astype(xp.int32)


def requantized(xp: Any, x: Array, scale: Array, zero_point: Array) -> Array:
    """
    ``saturate(round(x * scale) + zero_point)`` in the type of `zero_point`.

    The int32 sums `x` are scaled in float32, as ONNX Runtime does: it rounds those
    beyond 2**24 by less than a 60,000th of a step of an 8-bit result.
    """
    limits = np.iinfo(zero_point.dtype)
    moved = xp.rint(x.astype(xp.float32) * scale) + zero_point.astype(xp.float32)
    return xp.clip(moved, limits.min, limits.max).astype(zero_point.dtype)


def qlinear_conv(
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
    dilations: tuple[int, ...] | None = None,
    group: int = 1,
    kernel_shape: tuple[int, ...] | None = None,
    pads: tuple[int, ...] | None = None,
    strides: tuple[int, ...] | None = None,
) -> Array:
    """``quantize((ConvInteger(x, w) + b) * x_scale * w_scale / y_scale)``."""
    window = (auto_pad, dilations, group, kernel_shape, pads, strides)
    total = conv_integer(xp, x, w, x_zero_point, w_zero_point, *window)
    return qlinear_conv_result(xp, total, b, (x_scale, w_scale, y_scale), y_zero_point)


def qlinear_conv_result(
    xp: Any,
    total: Array,
    b: Array | None,
    scales: tuple[Array, Array, Array],
    y_zero_point: Array,
) -> Array:
    """int32 sums and bias of a quantized convolution, rescaled to the result's type."""
    x_scale, w_scale, y_scale = scales
    ratio = (x_scale.reshape(()) * w_scale) / y_scale.reshape(())
    if w_scale.size > 1:
        ratio = ratio.reshape(-1, *(1,) * (total.ndim - 2))
    else:
        ratio = ratio.reshape(())
    total = add_channel_bias(total, b)
    return requantized(xp, total, ratio, y_zero_point.reshape(()))


def _taps(
    sizes: tuple[int, ...],
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
    pairs: tuple[tuple[int, int], ...],
) -> Array:
    """Unpadded coordinates ``[2, kh * kw, oh, ow]`` that each kernel position reads."""
    counts = window_counts(sizes, kernel, strides, dilations, pairs)
    positions = np.array(kernel_positions(kernel)).reshape(-1, 2)
    planes: list[Array] = []
    for axis in range(2):
        start = positions[:, axis] * dilations[axis] - pairs[axis][0]
        steps = np.arange(counts[axis]) * strides[axis]
        steps = steps[:, None] if axis == 0 else steps[None, :]
        planes.append(
            np.broadcast_to(start[:, None, None] + steps, (len(start), *counts))
        )
    return np.stack(planes)


def bilinear(xp: Any, image: Array, row: Array, column: Array) -> Array:
    """`image` ``[b, c, h, w]`` at points ``[b, p]``, 0 outside: ``[b, c, p]``."""
    height, width = image.shape[2:]
    flat = image.reshape(*image.shape[:2], height * width)
    top, left = xp.floor(row), xp.floor(column)
    total: Any = 0
    for down, right in ((0, 0), (0, 1), (1, 0), (1, 1)):
        r, c = top + down, left + right
        inside = (r >= 0) & (r < height) & (c >= 0) & (c < width)
        weight = (1 - xp.abs(row - r)) * (1 - xp.abs(column - c))
        weight = xp.where(inside, weight, 0).astype(flat.dtype)
        index = xp.clip(r, 0, height - 1) * width + xp.clip(c, 0, width - 1)
        seen = xp.take_along_axis(flat, index.astype(xp.int64)[:, None, :], axis=2)
        total = total + seen * weight[:, None, :]
    return total


def deform_conv(
    xp: Any,
    x: Array,
    w: Array,
    offset: Array,
    b: Array | None = None,
    mask: Array | None = None,
    dilations: tuple[int, ...] | None = None,
    group: int = 1,
    kernel_shape: tuple[int, ...] | None = None,
    offset_group: int = 1,
    pads: tuple[int, ...] | None = None,
    strides: tuple[int, ...] | None = None,
) -> Array:
    """Convolution whose taps move by `offset` and weigh `mask` (arXiv:1811.11168)."""
    kernel = conv_kernel(w, kernel_shape)
    if len(kernel) != 2:
        raise ValueError(f"found {len(kernel)} spatial axes, wanted 2 in DeformConv")
    strides, dilations = strides or (1, 1), dilations or (1, 1)
    pairs = window_pads(x.shape[2:], kernel, strides, dilations, pads, "NOTSET")
    taps = _taps(x.shape[2:], kernel, strides, dilations, pairs)
    count, counts = taps.shape[1], taps.shape[2:]
    n, channels = x.shape[:2]
    moves = widened(xp, offset).reshape(n * offset_group, count, 2, *counts)
    rows = (moves[:, :, 0] + xp.asarray(taps[0])).reshape(n * offset_group, -1)
    columns = (moves[:, :, 1] + xp.asarray(taps[1])).reshape(n * offset_group, -1)
    depth = channels // offset_group
    image = widened(xp, x).reshape(n * offset_group, depth, *x.shape[2:])
    seen = bilinear(xp, image, rows, columns)
    if mask is not None:
        seen = seen * widened(xp, mask).reshape(n * offset_group, 1, -1)
    seen = seen.reshape(n, group, channels // group * count, math.prod(counts))
    weights = widened(xp, w).reshape(group, w.shape[0] // group, -1)
    y = (weights @ seen).reshape(n, w.shape[0], *counts)
    return add_channel_bias(y, b).astype(x.dtype, copy=False)


KERNELS: dict[str, Callable[..., Any]] = {
    "Conv": conv,
    "ConvInteger": conv_integer,
    "ConvTranspose": conv_transpose,
    "DeformConv": deform_conv,
    "QLinearConv": qlinear_conv,
}

STATIC: dict[str, tuple[int, ...]] = {}
