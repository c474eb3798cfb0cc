"""Kernels: resampling of images, regions and grids, and blocks to channels and back."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from .convolution import (
    dilated,
    kernel_positions,
    widened,
    window_counts,
    window_pads,
)

Array: TypeAlias = Any


def resized_extents(
    lengths: tuple[int, ...],
    scales: Array | None,
    sizes: Array | None,
    policy: str,
) -> tuple[list[float], list[float], list[int]]:
    """(scale, exact length, whole length) that each axis is resized to."""
    if sizes is None:
        # A missing `scales` may come as an empty tensor.
        if scales is None or scales.size == 0:
            raise ValueError("found neither scales nor sizes, wanted one")
        factors = [float(s) for s in scales]
        # float32, as in ONNX's shape inference, so that 0.7 of 10 is 7.
        products = np.array(lengths, np.float32) * scales.astype(np.float32)
        whole = [int(n) for n in np.floor(products)]
        return factors, [s * n for s, n in zip(factors, lengths, strict=True)], whole
    ratios = [int(s) / n for s, n in zip(sizes, lengths, strict=True)]
    if policy == "stretch":
        return ratios, [float(s) for s in sizes], [int(s) for s in sizes]
    if policy not in ("not_larger", "not_smaller"):
        wanted = "stretch, not_larger or not_smaller"
        raise ValueError(f"found keep_aspect_ratio_policy {policy!r}, wanted {wanted}")
    ratio = min(ratios) if policy == "not_larger" else max(ratios)
    exact = [ratio * n for n in lengths]
    return [ratio] * len(lengths), exact, [math.floor(e + 0.5) for e in exact]


def source_points(
    mode: str,
    length: int,
    scale: float,
    exact: float,
    whole: int,
    roi: tuple[float, float],
) -> Array:
    """Where each of `whole` resized points lies on an axis of `length` points."""
    x = np.arange(whole, dtype=np.float64)
    if mode == "half_pixel" or (mode == "pytorch_half_pixel" and exact > 1):
        return (x + 0.5) / scale - 0.5
    if mode == "pytorch_half_pixel":
        return x * 0
    if mode == "half_pixel_symmetric":
        return length / 2 * (1 - whole / exact) + (x + 0.5) / scale - 0.5
    if mode == "asymmetric":
        return x / scale
    if mode == "align_corners":
        return x * 0 if exact == 1 else x * (length - 1) / (exact - 1)
    if mode != "tf_crop_and_resize":
        raise ValueError(
            f"found coordinate_transformation_mode {mode!r}, wanted ONNX's"
        )
    start, end = roi
    if exact == 1:
        return x * 0 + 0.5 * (start + end) * (length - 1)
    return start * (length - 1) + x * (end - start) * (length - 1) / (exact - 1)


def axis_region(roi: Array | None, i: int, axes: int) -> tuple[float, float]:
    """(start, end) of the region along its axis `i`; all of it if none is given."""
    return (0.0, 1.0) if roi is None else (float(roi[i]), float(roi[i + axes]))


def rounded_points(points: Array, mode: str) -> Array:
    """The nearest whole point by `mode` (nearest_mode)."""
    if mode == "round_prefer_floor":
        return np.ceil(points - 0.5)
    if mode == "round_prefer_ceil":
        return np.floor(points + 0.5)
    if mode == "floor":
        return np.floor(points)
    if mode == "ceil":
        return np.ceil(points)
    raise ValueError(f"found nearest_mode {mode!r}, wanted one of ONNX")


def cubic_weight(xp: Any, distance: Array, a: float) -> Array:
    """The cubic convolution kernel (Keys, 1981, equation 4) at `distance`."""
    d = xp.abs(distance)
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return xp.where(d <= 1, near, xp.where(d < 2, far, xp.zeros_like(d)))


def resize_taps(
    points: Array,
    length: int,
    scale: float,
    mode: str,
    a: float,
    antialias: int,
    exclude_outside: int,
) -> tuple[Array, Array]:
    """(index, weight), each ``[points, taps]``, that interpolate at `points`."""
    radius = {"linear": 1, "cubic": 2}[mode]
    # Antialiasing stretches the kernel over all that one result point covers.
    shrink = min(scale, 1.0) if antialias else 1.0
    start = math.floor(-radius / shrink) + 1
    base = np.floor(points)
    index = base[:, None] + np.arange(start, 2 - start)
    distance = (index - points[:, None]) * shrink
    if mode == "linear":
        weight = np.clip(1 - np.abs(distance), 0, 1)
    else:
        weight = cubic_weight(np, distance, a)
    if exclude_outside:
        weight = weight * ((index >= 0) & (index < length))
    if antialias or exclude_outside:
        weight = weight / weight.sum(axis=1, keepdims=True)
    return np.clip(index, 0, max(length - 1, 0)).astype(np.int64), weight


def along(values: Array, axis: int, rank: int) -> Array:
    """A vector shaped to broadcast along `axis` of an array of `rank`."""
    return values.reshape(*(-1 if i == axis else 1 for i in range(rank)))


def interpolated(xp: Any, x: Array, axis: int, index: Array, weight: Array) -> Array:
    """``sum_t x[index[:, t]] * weight[:, t]`` along `axis`."""
    total: Any = 0
    for tap in range(index.shape[1]):
        share = along(weight[:, tap], axis, x.ndim).astype(x.dtype)
        total = total + xp.take(x, index[:, tap], axis=axis) * share
    return total


def saturated(xp: Any, x: Array, dtype: Any) -> Array:
    """`x` in `dtype`; integers by rounding, within their range."""
    if np.dtype(dtype).kind not in "iu":
        return x.astype(dtype)
    limits = np.iinfo(dtype)
    return xp.clip(xp.rint(x), limits.min, limits.max).astype(dtype)


def resize(
    xp: Any,
    x: Array,
    roi: Array | None = None,
    scales: Array | None = None,
    sizes: Array | None = None,
    antialias: int = 0,
    axes: tuple[int, ...] | None = None,
    coordinate_transformation_mode: str = "half_pixel",
    cubic_coeff_a: float = -0.75,
    exclude_outside: int = 0,
    extrapolation_value: float = 0.0,
    keep_aspect_ratio_policy: str = "stretch",
    mode: str = "nearest",
    nearest_mode: str = "round_prefer_floor",
) -> Array:
    """`x` resampled along each axis in turn, to `sizes` or by `scales`."""
    if mode not in ("nearest", "linear", "cubic"):
        raise ValueError(f"found mode {mode!r}, wanted nearest, linear or cubic")
    chosen = [a % x.ndim for a in (range(x.ndim) if axes is None else axes)]
    lengths = tuple(x.shape[a] for a in chosen)
    extents = resized_extents(lengths, scales, sizes, keep_aspect_ratio_policy)
    crop = coordinate_transformation_mode == "tf_crop_and_resize"
    y = x if mode == "nearest" else widened_for_weights(xp, x)
    outside = np.zeros((1,) * x.ndim, bool)
    for i, (axis, length) in enumerate(zip(chosen, lengths, strict=True)):
        scale, exact, whole = extents[0][i], extents[1][i], extents[2][i]
        if scale == 1 and whole == length and not crop:
            continue
        region = axis_region(roi if crop else None, i, len(chosen))
        points = source_points(
            coordinate_transformation_mode, length, scale, exact, whole, region
        )
        if crop:
            beyond = (points < 0) | (points > length - 1)
            outside = outside | along(beyond, axis, x.ndim)
        if mode == "nearest":
            index = np.clip(rounded_points(points, nearest_mode), 0, max(length - 1, 0))
            y = xp.take(y, index.astype(np.int64), axis=axis)
        else:
            rule = (mode, cubic_coeff_a, antialias, exclude_outside)
            index, weight = resize_taps(points, length, scale, *rule)
            y = interpolated(xp, y, axis, index, weight)
    if outside.any():
        y = xp.where(xp.asarray(outside), xp.asarray(extrapolation_value, y.dtype), y)
    return y if mode == "nearest" else saturated(xp, y, x.dtype)


def widened_for_weights(xp: Any, x: Array) -> Array:
    """`x` in a type that weights may multiply: itself, or float32 or float64."""
    if x.dtype.kind in "iub":
        return x.astype(xp.float64)
    return widened(xp, x)


def reflected(xp: Any, x: Array, low: float, high: float) -> Array:
    """`x` mirrored at `low` and `high` as often as it takes to lie between."""
    span = high - low
    if span == 0:
        return xp.full_like(x, low)
    folded = xp.mod(x - low, 2 * span)
    return low + xp.minimum(folded, 2 * span - folded)


def grid_points(
    xp: Any, grid: Array, length: int, mode: str, padding_mode: str, align_corners: int
) -> Array:
    """Normalized coordinates as points of an axis, brought inside by `padding_mode`."""
    if align_corners:
        low, high = 0.0, length - 1.0
        points = (grid + 1) / 2 * (length - 1)
    else:
        low, high = -0.5, length - 0.5
        points = ((grid + 1) * length - 1) / 2
    if mode == "nearest":
        points = xp.rint(points)
    beyond = (points < low) | (points > high)
    if padding_mode == "border" and mode == "cubic":
        # Each tap is brought inside by itself, as in PyTorch and ONNX Runtime (ONNX's
        # evaluator moves the point). Two pixels away all are the border's.
        return xp.clip(points, -2, length + 1)
    if padding_mode == "border":
        return xp.where(beyond, xp.clip(points, 0, length - 1), points)
    if padding_mode == "reflection":
        return xp.where(beyond, reflected(xp, points, low, high), points)
    return points


def grid_taps(
    xp: Any,
    points: Array,
    length: int,
    mode: str,
    padding_mode: str,
    align_corners: int,
) -> list[tuple[Array, Array]]:
    """The (index, weight) pairs that interpolate at `points`; weight 0 outside."""
    radius = {"nearest": 0, "linear": 1, "cubic": 2}[mode]
    base = xp.floor(points)
    taps: list[tuple[Array, Array]] = []
    for step in range(1 - radius, radius + 1) if radius else (0,):
        index = base + step
        if mode == "nearest":
            weight = xp.ones_like(points)
        elif mode == "linear":
            weight = 1 - xp.abs(points - index)
        else:
            weight = cubic_weight(xp, points - index, -0.75)
        if padding_mode == "zeros":
            inside = (index >= 0) & (index <= length - 1)
            weight = xp.where(inside, weight, xp.zeros_like(weight))
        elif padding_mode == "reflection":
            low, high = (0.0, length - 1.0) if align_corners else (-0.5, length - 0.5)
            beyond = (index < low) | (index > high)
            index = xp.where(beyond, reflected(xp, index, low, high), index)
        taps.append((xp.clip(index, 0, length - 1).astype(xp.int64), weight))
    return taps


def grid_sample(
    xp: Any,
    x: Array,
    grid: Array,
    align_corners: int = 0,
    mode: str = "linear",
    padding_mode: str = "zeros",
) -> Array:
    """
    `x` at the points of `grid`, whose last axis counts coordinates from the last axis.

    Coordinates run from -1 to 1 over each axis (arXiv:1506.02025).
    """
    if mode not in ("nearest", "linear", "cubic"):
        raise ValueError(f"found mode {mode!r}, wanted nearest, linear or cubic")
    if padding_mode not in ("zeros", "border", "reflection"):
        wanted = "zeros, border or reflection"
        raise ValueError(f"found padding_mode {padding_mode!r}, wanted {wanted}")
    sizes, batch, channels = x.shape[2:], x.shape[0], x.shape[1]
    rank = len(sizes)
    flat_grid = widened(xp, grid).reshape(batch, math.prod(grid.shape[1:-1]), rank)
    rule = (mode, padding_mode, align_corners)
    axes_taps: list[list[tuple[Array, Array]]] = []
    for axis, length in enumerate(sizes):
        points = grid_points(xp, flat_grid[..., rank - 1 - axis], length, *rule)
        axes_taps.append(grid_taps(xp, points, length, *rule))
    flat = widened_for_weights(xp, x).reshape(batch, channels, math.prod(sizes))
    total: Any = 0
    for choice in kernel_positions(tuple(map(len, axes_taps))):
        index: Any = 0
        weight: Any = 1
        for axis, tap in enumerate(choice):
            index = index * sizes[axis] + axes_taps[axis][tap][0]
            weight = weight * axes_taps[axis][tap][1]
        seen = xp.take_along_axis(flat, index[:, None, :], axis=2)
        total = total + seen * weight.astype(flat.dtype)[:, None, :]
    y = total.reshape(batch, channels, *grid.shape[1:-1])
    return y.astype(x.dtype, copy=False)


def region_points(
    xp: Any, start: Array, step: Array, counts: Array, bins: int, sample: Any
) -> Array:
    """Coordinates ``[regions, bins]`` of one sample of every bin along one axis."""
    offset = xp.arange(bins) + ((sample + 0.5) / counts)[:, None]
    return start[:, None] + offset * step[:, None]


def edge_taps(
    xp: Any, points: Array, length: int
) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Two (index, weight) pairs per point: 0 beyond a pixel outside, else clamped."""
    valid = (points >= -1) & (points <= length)
    inside = xp.clip(points, 0, length - 1)
    low = xp.minimum(xp.floor(inside), max(length - 2, 0))
    share = inside - low
    zero = xp.zeros_like(points)
    first = xp.where(valid, 1 - share, zero)
    second = xp.where(valid, share, zero)
    index = low.astype(xp.int64)
    return (index, first), (xp.minimum(index + 1, length - 1), second)


def region_samples(
    xp: Any, images: Array, batches: Array, rows: Array, columns: Array
) -> list[Array]:
    """
    The four weighted corners of each sample: ``[regions, h, w, channels]`` each.

    `images` is ``[batch, height, width, channels]``.
    """
    corners: list[Array] = []
    for row, down in edge_taps(xp, rows, images.shape[1]):
        for column, right in edge_taps(xp, columns, images.shape[2]):
            place = (batches[:, None, None], row[:, :, None], column[:, None, :])
            weight = (down[:, :, None] * right[:, None, :]).astype(images.dtype)
            corners.append(images[place] * weight[..., None])
    return corners


def region_step(
    xp: Any,
    images: Array,
    batches: Array,
    geometry: tuple[Array, Array, Array],
    bins: tuple[int, int],
    mode: str,
    widest: Any,
    sample: Any,
    total: Array,
) -> Array:
    """
    `total` with one more sample of every bin: sample number ``row * widest + column``.

    `geometry` is (starts, steps, counts), each ``[2, regions]``. Regions that take
    fewer samples let it pass.
    """
    starts, steps, counts = geometry
    row, column = sample // widest, sample % widest
    rows = region_points(xp, starts[0], steps[0], counts[0], bins[0], row)
    columns = region_points(xp, starts[1], steps[1], counts[1], bins[1], column)
    live = ((row < counts[0]) & (column < counts[1]))[:, None, None, None]
    corners = region_samples(xp, images, batches, rows, columns)
    if mode == "avg":
        seen = corners[0] + corners[1] + corners[2] + corners[3]
        return total + xp.where(live, seen, xp.zeros_like(seen))
    best = xp.maximum(xp.maximum(corners[0], corners[1]), corners[2])
    best = xp.maximum(best, corners[3])
    return xp.where(live, xp.maximum(total, best), total)


def region_geometry(
    xp: Any,
    rois: Array,
    bins: tuple[int, int],
    sampling_ratio: int,
    spatial_scale: float,
    half_pixel: bool,
) -> tuple[Array, Array, Array]:
    """(starts, bin extents, samples per bin), each ``[2, regions]``: rows, columns."""
    corners = rois * spatial_scale - (0.5 if half_pixel else 0.0)
    starts = xp.stack((corners[:, 1], corners[:, 0]))
    extents = xp.stack((corners[:, 3], corners[:, 2])) - starts
    if not half_pixel:
        extents = xp.maximum(extents, 1)
    steps = extents / xp.asarray(bins, extents.dtype)[:, None]
    if sampling_ratio > 0:
        return starts, steps, xp.full_like(steps, sampling_ratio)
    return starts, steps, xp.ceil(steps)


def pooled_regions(
    xp: Any,
    x: Array,
    rois: Array,
    batch_indices: Array,
    half_pixel: bool,
    mode: str,
    bins: tuple[int, int],
    sampling_ratio: int,
    spatial_scale: float,
) -> Array:
    """Each bin's mean or maximum over its samples."""
    if mode not in ("avg", "max"):
        raise ValueError(f"found mode {mode!r}, wanted avg or max")
    images = widened(xp, x).transpose(0, 2, 3, 1)
    boxes = widened(xp, rois)
    geometry = region_geometry(
        xp, boxes, bins, sampling_ratio, spatial_scale, half_pixel
    )
    counts = geometry[2]
    start = 0.0 if mode == "avg" else -np.inf
    total = xp.full((rois.shape[0], *bins, x.shape[1]), start, images.dtype)
    if rois.shape[0]:
        batches = batch_indices.astype(xp.int64)
        step = partial(region_step, xp, images, batches, geometry, bins, mode)
        total = sample_loop(step, counts, total)
    if mode == "avg":
        total = total / xp.maximum(counts[0] * counts[1], 1)[:, None, None, None]
    total = xp.where(total == -np.inf, xp.zeros_like(total), total)
    return total.astype(x.dtype).transpose(0, 3, 1, 2)


def sample_loop(step: Callable[..., Array], counts: Array, total: Array) -> Array:
    """Every sample of a bin, one after another."""
    tallest, widest = int(counts[0].max()), int(counts[1].max())
    for sample in range(tallest * widest):
        total = step(widest, sample, total)
    return total


def roi_align(
    xp: Any,
    x: Array,
    rois: Array,
    batch_indices: Array,
    coordinate_transformation_mode: str = "half_pixel",
    mode: str = "avg",
    output_height: int = 1,
    output_width: int = 1,
    sampling_ratio: int = 0,
    spatial_scale: float = 1.0,
) -> Array:
    """Regions ``(x1, y1, x2, y2)`` pooled at bilinear samples (arXiv:1703.06870)."""
    half_pixel = is_half_pixel(coordinate_transformation_mode)
    rule = (half_pixel, mode, (output_height, output_width))
    operands = (x, rois, batch_indices)
    return pooled_regions(xp, *operands, *rule, sampling_ratio, spatial_scale)


def is_half_pixel(mode: str) -> bool:
    """Whether a region's corners are half a pixel off (RoiAlign since opset 16)."""
    if mode not in ("half_pixel", "output_half_pixel"):
        wanted = "half_pixel or output_half_pixel"
        raise ValueError(f"found mode {mode!r}, wanted {wanted}")
    return mode == "half_pixel"


def col2im(
    xp: Any,
    x: Array,
    image_shape: Array,
    block_shape: Array,
    dilations: tuple[int, ...] | None = None,
    pads: tuple[int, ...] | None = None,
    strides: tuple[int, ...] | None = None,
) -> Array:
    """Columns ``[n, c * block, windows]`` added into images where windows overlap."""
    sizes, block = tuple(map(int, image_shape)), tuple(map(int, block_shape))
    ones = (1,) * len(sizes)
    strides, dilations = strides or ones, dilations or ones
    pairs = window_pads(sizes, block, strides, dilations, pads, "NOTSET")
    counts = window_counts(sizes, block, strides, dilations, pairs)
    parts = x.reshape(x.shape[0], x.shape[1] // math.prod(block), *block, *counts)
    padded = [n + sum(pair) for n, pair in zip(sizes, pairs, strict=True)]
    total: Any = 0
    for position in kernel_positions(block):
        part = dilated(xp, parts[(slice(None), slice(None), *position)], strides)
        room: list[tuple[int, int]] = []
        for p, d, n, m in zip(position, dilations, padded, part.shape[2:], strict=True):
            room.append((p * d, n - p * d - m))
        total = total + xp.pad(part, ((0, 0), (0, 0), *room))
    inner = (slice(a, a + n) for n, (a, _) in zip(sizes, pairs, strict=True))
    return total[(..., *inner)]


def affine_grid(xp: Any, theta: Array, size: Array, align_corners: int = 0) -> Array:
    """``grid = theta @ (x, y, 1)`` at every point of an image from -1 to 1."""
    sizes = tuple(map(int, size))[2:]
    ticks: list[Array] = []
    for n in sizes:
        if align_corners:
            ticks.append(np.linspace(-1, 1, n) if n > 1 else np.zeros(n))
        else:
            ticks.append((2 * np.arange(n) + 1) / n - 1)
    planes = np.meshgrid(*ticks, indexing="ij")[::-1]
    base = np.stack((*planes, np.ones(sizes)), axis=-1).reshape(-1, len(sizes) + 1)
    matrix = widened(xp, theta)
    points = xp.asarray(base, matrix.dtype) @ matrix.swapaxes(1, 2)
    return points.reshape(theta.shape[0], *sizes, len(sizes)).astype(theta.dtype)


def depth_to_space(xp: Any, x: Array, blocksize: int = 1, mode: str = "DCR") -> Array:
    """Channels spread into blocks of ``blocksize x blocksize`` pixels."""
    n, c, h, w = x.shape
    depth = c // blocksize**2
    if mode == "DCR":
        split = x.reshape(n, blocksize, blocksize, depth, h, w)
        spread = split.transpose(0, 3, 4, 1, 5, 2)
    elif mode == "CRD":
        split = x.reshape(n, depth, blocksize, blocksize, h, w)
        spread = split.transpose(0, 1, 4, 2, 5, 3)
    else:
        raise ValueError(f"found mode {mode!r}, wanted DCR or CRD")
    return spread.reshape(n, depth, h * blocksize, w * blocksize)


def space_to_depth(xp: Any, x: Array, blocksize: int = 1, mode: str = "DCR") -> Array:
    """Blocks of ``blocksize x blocksize`` pixels gathered into channels."""
    n, c, h, w = x.shape
    rows, columns = h // blocksize, w // blocksize
    split = x.reshape(n, c, rows, blocksize, columns, blocksize)
    if mode == "DCR":
        gathered = split.transpose(0, 3, 5, 1, 2, 4)
    elif mode == "CRD":
        gathered = split.transpose(0, 1, 3, 5, 2, 4)
    else:
        raise ValueError(f"found mode {mode!r}, wanted DCR or CRD")
    return gathered.reshape(n, c * blocksize**2, rows, columns)


KERNELS: dict[str, Callable[..., Any]] = {
    "AffineGrid": affine_grid,
    "Col2Im": col2im,
    "DepthToSpace": depth_to_space,
    "GridSample": grid_sample,
    "Resize": resize,
    "RoiAlign": roi_align,
    "SpaceToDepth": space_to_depth,
}

STATIC: dict[str, tuple[int, ...]] = {
    "AffineGrid": (1,),
    "Col2Im": (1, 2),
    "Resize": (1, 2, 3),
}
