"""Kernels: what else ONNX Runtime has in its domain, element by element or by index."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from .contrib_fused import channels_last, channels_second
from .elementwise import widen
from .image import grid_sample as sampled
from .indexing import gather_nd as gathered
from .movement import pad as padded
from .movement import range_of, static_ints, trilu
from .pooling import max_pool

Array: TypeAlias = Any


# --- matrices and spectra ---


def inverse(xp: Any, x: Array) -> Array:
    """The inverse of each square matrix of the last two axes."""
    return xp.linalg.inv(widen(x)).astype(x.dtype)


def pair_distances(xp: Any, a: Array, b: Array, metric: str = "sqeuclidean") -> Array:
    """The distance of every row of `a` to every row of `b`, or its square."""
    if metric not in ("sqeuclidean", "euclidean"):
        raise ValueError(f"found metric {metric!r}, wanted euclidean or sqeuclidean")
    squares = xp.sum(xp.square(a[:, None] - b[None]), axis=-1)
    return squares if metric == "sqeuclidean" else xp.sqrt(squares)


def complex_product(xp: Any, a: Array, b: Array) -> Array:
    """``a * b``, real and imaginary parts in the last axis."""
    real = a[..., 0] * b[..., 0] - a[..., 1] * b[..., 1]
    return xp.stack((real, a[..., 0] * b[..., 1] + a[..., 1] * b[..., 0]), axis=-1)


def conjugate_product(xp: Any, a: Array, b: Array) -> Array:
    """``a * conj(b)``, real and imaginary parts in the last axis."""
    real = a[..., 0] * b[..., 0] + a[..., 1] * b[..., 1]
    return xp.stack((real, a[..., 1] * b[..., 0] - a[..., 0] * b[..., 1]), axis=-1)


def real_transform(
    xp: Any, x: Array, normalized: int = 0, onesided: int = 1, signal_ndim: int = 1
) -> Array:
    """Half of the Fourier transform over the last `signal_ndim` axes, as pairs."""
    if normalized or not onesided:
        raise ValueError("found normalized or two-sided, wanted neither")
    found = xp.fft.rfftn(widen(x), axes=tuple(range(-signal_ndim, 0)))
    return xp.stack((found.real, found.imag), axis=-1).astype(x.dtype)


def real_inverse_transform(
    xp: Any, x: Array, signal_ndim: int, normalized: int = 0, onesided: int = 1
) -> Array:
    """The real signal, of even length, that `real_transform` maps to `x`."""
    if normalized or not onesided:
        raise ValueError("found normalized or two-sided, wanted neither")
    wide = widen(x)
    pairs = wide[..., 0] + 1j * wide[..., 1]
    found = xp.fft.irfftn(pairs, axes=tuple(range(-signal_ndim, 0)))
    return found.astype(x.dtype)


# --- by index ---


def gather_points(xp: Any, data: Array, indices: Array) -> Array:
    """``data[indices[i]]``: the last axis of `indices` holds coordinates."""
    return gathered(xp, data, indices, 0)


def embedding(
    xp: Any,
    weight: Array,
    indices: Array,
    padding_idx: Array | None = None,
    scale_grad_by_freq: Array | None = None,
) -> Array:
    """``weight[indices]``; the other operands are about training."""
    return weight[indices]


def expand_dims(xp: Any, x: Array, axis: Array) -> Array:
    """`x` with a new axis of size one."""
    return xp.expand_dims(x, int(axis.item()))


def unfold(xp: Any, x: Array, size: int, dim: int = -1, step: int = 1) -> Array:
    """Windows of `size` along axis `dim`, `step` apart, as a new last axis."""
    dim = dim % x.ndim
    count: int = (x.shape[dim] - size) // step + 1
    places: Any = np.arange(count)[:, None] * step + np.arange(size)[None]
    return xp.moveaxis(xp.take(x, xp.asarray(places), axis=dim), dim + 1, -1)


def pad(
    xp: Any,
    data: Array,
    pads: Array,
    value: Array | None = None,
    mode: str = "constant",
) -> Array:
    """`data` padded on all axes; `pads` has one axis, or two of which one is 1."""
    return padded(xp, data, pads.reshape(-1), value, None, mode)


def range_by_one(
    xp: Any, start: Array, limit: Array, delta: Array | None = None
) -> Array:
    """``start, start + delta …`` below `limit`; `delta` is 1 if it is absent."""
    step = np.ones((), start.dtype) if delta is None else delta
    return range_of(xp, start, limit, step)


def first_unique(
    xp: Any, x: Array, outputs: tuple[bool, ...] = (True, True, True)
) -> tuple[Array | None, ...]:
    """The distinct elements in the order they occur, each one's place, how often."""
    _, first, back, counts = np.unique(
        x, return_index=True, return_inverse=True, return_counts=True
    )
    order = np.argsort(first)
    rank = np.argsort(order)
    found = (x[first[order]], rank[back.reshape(-1)], counts[order])
    typed = (found[0], found[1].astype(np.int64), found[2].astype(np.int64))
    return tuple(a if want else None for a, want in zip(typed, outputs, strict=True))


def remove_padding(
    xp: Any,
    x: Array,
    sequence_token_count: Array,
    outputs: tuple[bool, ...] = (True, True, True, True),
) -> tuple[Array | None, ...]:
    """
    The tokens of all sequences; where they, then the padding, stood; where each
    sequence begins; the longest one's length.
    """
    batch, length, hidden = x.shape
    counts = sequence_token_count.reshape(batch)
    places = np.arange(int(length))
    padding: Any = places[None] >= counts[:, None]
    order = np.argsort(padding, axis=None, kind="stable").astype(np.int32)
    total = int(counts.sum())
    starts = np.concatenate((np.zeros(1), np.cumsum(counts))).astype(np.int32)
    results = (
        x.reshape(-1, hidden)[order[:total]],
        order.reshape(batch, length),
        starts,
        np.array([np.max(counts)], np.int32),
    )
    return tuple(r if want else None for r, want in zip(results, outputs, strict=True))


def restore_padding(xp: Any, x: Array, token_offset: Array) -> Array:
    """The tokens at the places that `token_offset` has for them, zeros elsewhere."""
    batch, length = token_offset.shape
    tokens = x.shape[0]
    sources = xp.argsort(token_offset.reshape(-1))
    found = x[xp.minimum(sources, tokens - 1)]
    found = xp.where((sources < tokens)[:, None], found, 0).astype(x.dtype)
    return found.reshape(batch, length, x.shape[1])


def no_repeated_ngrams(
    xp: Any, input_ids: Array, scores: Array, ngram_size: int
) -> Array:
    """-inf for every token that would complete an n-gram that `input_ids` has."""
    length = input_ids.shape[1]
    count = length - ngram_size + 1
    if count <= 0:
        return scores
    same = xp.ones((input_ids.shape[0], count), np.bool_)
    for i in range(ngram_size - 1):
        last = input_ids[:, length - ngram_size + 1 + i]
        same = same & (input_ids[:, i : i + count] == last[:, None])
    ends = input_ids[:, ngram_size - 1 :]
    tokens = xp.arange(scores.shape[1])
    banned = xp.any((ends[:, :, None] == tokens) & same[:, :, None], axis=1)
    return xp.where(banned, -np.inf, scores).astype(scores.dtype)


# --- images ---


def image_points(low: Array, high: Array, count: int, length: int, xp: Any) -> Array:
    """Coordinates of `count` samples from `low` to `high` of an axis, ends included."""
    first = low * (length - 1)
    if count == 1:
        return (0.5 * (low + high) * (length - 1))[:, None]
    step = (high - low) * (length - 1) / (count - 1)
    return first[:, None] + xp.arange(count)[None] * step[:, None]


def crop_and_resize(
    xp: Any,
    x: Array,
    rois: Array,
    batch_indices: Array,
    crop_size: Array,
    extrapolation_value: float = 0.0,
    mode: str = "bilinear",
) -> Array:
    """Boxes ``[y1, x1, y2, x2]`` (from 0 to 1) of images, resized corner to corner."""
    if mode not in ("bilinear", "nearest"):
        raise ValueError(f"found mode {mode!r}, wanted bilinear or nearest")
    rows, columns = static_ints(crop_size)
    height, width = x.shape[2:]
    boxes = widen(rois)
    ys = image_points(boxes[:, 0], boxes[:, 2], rows, height, xp)
    xs = image_points(boxes[:, 1], boxes[:, 3], columns, width, xp)
    images = widen(x)[batch_indices]
    total: Any = 0
    for y_index, y_share in crop_taps(xp, ys, height, mode):
        for x_index, x_share in crop_taps(xp, xs, width, mode):
            boxed = xp.take_along_axis(images, y_index[:, None, :, None], axis=2)
            seen = xp.take_along_axis(boxed, x_index[:, None, None, :], axis=3)
            total = total + seen * (y_share[:, :, None] * x_share[:, None])[:, None]
    inside = ((ys >= 0) & (ys <= height - 1))[:, :, None]
    inside = inside & ((xs >= 0) & (xs <= width - 1))[:, None]
    return xp.where(inside[:, None], total, extrapolation_value).astype(x.dtype)


def crop_taps(
    xp: Any, points: Array, length: int, mode: str
) -> list[tuple[Array, Array]]:
    """(index, weight) of the pixels that each point is made of."""
    low = xp.floor(points + 0.5 if mode == "nearest" else points)
    index = xp.clip(low, 0, length - 1).astype(np.int64)
    if mode == "nearest":
        return [(index, xp.ones_like(points))]
    share = points - low
    after = xp.clip(low + 1, 0, length - 1).astype(np.int64)
    return [(index, 1 - share), (after, share)]


def grid_sample(
    xp: Any,
    x: Array,
    grid: Array,
    align_corners: int = 0,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
) -> Array:
    """ONNX's GridSample under the names that modes had in its first version."""
    names = {"bilinear": "linear", "bicubic": "cubic", "nearest": "nearest"}
    return sampled(xp, x, grid, align_corners, names.get(mode, mode), padding_mode)


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
    """MaxPool of an image with channels last."""
    y, _ = max_pool(
        xp,
        channels_second(x),
        auto_pad,
        ceil_mode,
        dilations,
        kernel_shape,
        pads,
        0,
        strides,
        (True, False),
    )
    return channels_last(y)


# --- element by element ---


def all_finite(
    xp: Any, *inputs: Array, isinf_only: int = 0, isnan_only: int = 0
) -> Array:
    """Whether no element is infinite or nan, or not of the one kind that is asked."""
    found: Any = np.zeros((), np.bool_)
    for x in inputs:
        bad = xp.isinf(x) if isinf_only else ~xp.isfinite(x)
        bad = xp.isnan(x) if isnan_only else bad
        found = found | xp.any(bad)
    return xp.logical_not(found)


def gated_add(
    xp: Any, x: Array, y: Array, gate: Array, gate_weight: Array | None = None
) -> Array:
    """
    ``x + y * gate``, the product rounded first; with a weight the gate is the sigmoid
    of ``gate @ gate_weight``, each step rounded to the type of `x`.
    """
    if gate_weight is not None:
        logits = xp.matmul(widen(gate), widen(gate_weight)).astype(x.dtype)
        with np.errstate(over="ignore"):
            gate = (1 / (1 + xp.exp(-widen(logits)))).astype(x.dtype)
    return x + y * gate


def scaled_silu(
    xp: Any, x: Array, scale: Array | None = None, alpha: float = 1.0
) -> Array:
    """``z * sigmoid(z)`` of ``z = scale * x``, each step rounded to the type of x."""
    factor = alpha if scale is None else scale.reshape(()).astype(np.float32)
    z = (widen(x) * factor).astype(x.dtype)
    sigmoid = (1 / (1 + xp.exp(-widen(z)))).astype(x.dtype)
    return (z * sigmoid).astype(x.dtype)


def cheapest_path(xp: Any, x: Array) -> Array:
    """
    Rows and columns of the cheapest monotonic path through a matrix of costs (Sakoe
    and Chiba 1978), from the first corner to the last.
    """
    costs: Any = np.asarray(x).reshape(x.shape[-2:])
    rows, columns = x.shape[-2:]
    total: Any = np.full((rows + 1, columns + 1), np.inf, np.float32)
    total[0, 0] = 0
    steps: Any = np.zeros((rows + 1, columns + 1), np.int8)
    # Along the borders there is one way.
    steps[0, :], steps[:, 0] = 2, 1
    for j in range(1, columns + 1):
        for i in range(1, rows + 1):
            before = (total[i - 1, j - 1], total[i - 1, j], total[i, j - 1])
            steps[i, j] = cheapest_step(before)
            total[i, j] = costs[i - 1, j - 1] + before[steps[i, j]]
    path: list[tuple[int, int]] = []
    i, j = int(rows), int(columns)
    while i > 0 or j > 0:
        path.append((i - 1, j - 1))
        step = int(steps[i, j])
        i, j = i - (step != 2), j - (step != 1)
    return np.array(path[::-1], np.int32).T


def cheapest_step(costs: tuple[float, float, float]) -> int:
    """The one of diagonal (0), down (1) and right (2) that is cheapest, else right."""
    if costs[0] < costs[1] and costs[0] < costs[2]:
        return 0
    return 1 if costs[1] < costs[0] and costs[1] < costs[2] else 2


KERNELS: dict[str, Callable[..., Any]] = {
    "microsoft.CDist": pair_distances,
    "microsoft.ComplexMul": complex_product,
    "microsoft.ComplexMulConj": conjugate_product,
    "microsoft.CropAndResize": crop_and_resize,
    "microsoft.DynamicTimeWarping": cheapest_path,
    "microsoft.ExpandDims": expand_dims,
    "microsoft.GatedAdd": gated_add,
    "microsoft.GatherND": gather_points,
    "microsoft.GridSample": grid_sample,
    "microsoft.Inverse": inverse,
    "microsoft.Irfft": real_inverse_transform,
    "microsoft.IsAllFinite": all_finite,
    "microsoft.NGramRepeatBlock": no_repeated_ngrams,
    "microsoft.NhwcMaxPool": nhwc_max_pool,
    "microsoft.Pad": pad,
    "microsoft.Range": range_by_one,
    "microsoft.RemovePadding": remove_padding,
    "microsoft.RestorePadding": restore_padding,
    "microsoft.Rfft": real_transform,
    "microsoft.ScaledSiLU": scaled_silu,
    "microsoft.TorchEmbedding": embedding,
    "microsoft.Trilu": trilu,
    "microsoft.UnfoldTensor": unfold,
    "microsoft.Unique": first_unique,
}

STATIC: dict[str, tuple[int, ...]] = {
    "microsoft.CropAndResize": (3,),
    "microsoft.DynamicTimeWarping": (0,),
    "microsoft.ExpandDims": (1,),
    "microsoft.Pad": (1,),
    "microsoft.Range": (0, 1, 2),
    "microsoft.RemovePadding": (1,),
    "microsoft.Trilu": (1,),
    "microsoft.Unique": (0,),
}
