"""Kernels that move, cut, join and make arrays, and those that ask for shapes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import ml_dtypes
import numpy as np

Array: TypeAlias = Any


# --- numbers from static operands ---


def static_ints(operand: Array) -> list[int]:
    """The values of a static operand as Python integers."""
    return [int(value) for value in np.asarray(operand).reshape(-1)]


def static_axes(axes: Array | None, rank: int) -> list[int]:
    """`axes` counted from the front; all of them where None."""
    if axes is None:
        return list(range(rank))
    return [axis + rank if axis < 0 else axis for axis in static_ints(axes)]


def dtype_named(name: str) -> np.dtype[Any]:
    """The dtype of an element type: ``float16``, ``bfloat16``, ``int4``, ``string``."""
    if name == "string":
        return np.dtype(object)
    return np.dtype(getattr(ml_dtypes, name, name))


# --- shape of the same elements ---


def reshape(xp: Any, x: Array, shape: Array, allowzero: int = 0) -> Array:
    """`x` in `shape`: 0 keeps a size (unless `allowzero`), -1 takes the rest."""
    sizes = static_ints(shape)
    if not allowzero:
        sizes = [x.shape[i] if n == 0 else n for i, n in enumerate(sizes)]
    return xp.reshape(x, tuple(sizes))


def transpose(xp: Any, x: Array, perm: tuple[int, ...] | None = None) -> Array:
    """Axis ``perm[i]`` of `x` becomes axis ``i``; reversed by default."""
    return xp.transpose(x, perm)


def squeeze(xp: Any, x: Array, axes: Array | None = None) -> Array:
    """`x` without `axes` of size one (by default all of them)."""
    if axes is None:
        return xp.squeeze(x)
    return xp.squeeze(x, axis=tuple(static_ints(axes)))


def unsqueeze(xp: Any, x: Array, axes: Array) -> Array:
    """`x` with new axes of size one at `axes` of the result."""
    return xp.expand_dims(x, tuple(static_ints(axes)))


def flatten(xp: Any, x: Array, axis: int = 1) -> Array:
    """`x` as a matrix: the axes before `axis` make the rows."""
    rows, columns = math.prod(x.shape[:axis]), math.prod(x.shape[axis:])
    return xp.reshape(x, (rows, columns))


# --- parts ---


def concat(xp: Any, *xs: Array, axis: int) -> Array:
    """`xs` one after another along `axis`."""
    return xp.concatenate(xs, axis=axis)


def split(
    xp: Any,
    x: Array,
    split: Array | None = None,
    axis: int = 0,
    num_outputs: int | None = None,
    outputs: tuple[bool, ...] = (True,),
) -> tuple[Array | None, ...]:
    """`x` cut along `axis` into parts of sizes `split`, or into equal ones."""
    axis = axis + len(x.shape) if axis < 0 else axis
    size = x.shape[axis]
    if split is None:
        count = num_outputs or len(outputs)
        step = -(-size // count)
        stops = [min(i * step, size) for i in range(count + 1)]
    else:
        stops = [0, *np.cumsum(static_ints(split)).tolist()]
    if stops[-1] != size or len(stops) != len(outputs) + 1:
        raise ValueError(
            f"cannot split size {size} at {stops[1:]} into {len(outputs)} outputs"
        )
    before = (slice(None),) * axis
    return tuple(
        x[(*before, slice(stops[i], stops[i + 1]))] if wanted else None
        for i, wanted in enumerate(outputs)
    )


def slice_axes(
    xp: Any,
    x: Array,
    starts: Array,
    ends: Array,
    axes: Array | None = None,
    steps: Array | None = None,
) -> Array:
    """``x[start:end:step]`` on each of `axes`, out-of-range bounds clamped."""
    firsts, lasts = static_ints(starts), static_ints(ends)
    strides = [1] * len(firsts) if steps is None else static_ints(steps)
    places = static_axes(axes, len(x.shape))
    index = [slice(None)] * len(x.shape)
    for place, first, last, stride in zip(
        places[: len(firsts)], firsts, lasts, strides, strict=True
    ):
        # Python clamps as ONNX does, save a start before the first element going down.
        index[place] = slice(max(first, -x.shape[place]), last, stride)
    return x[tuple(index)]


def expand(xp: Any, x: Array, shape: Array) -> Array:
    """`x` broadcast with `shape`, either way."""
    sizes = np.broadcast_shapes(x.shape, tuple(static_ints(shape)))
    return xp.broadcast_to(x, sizes)


def tile(xp: Any, x: Array, repeats: Array) -> Array:
    """`x` repeated ``repeats[i]`` times along axis ``i``."""
    return xp.tile(x, tuple(static_ints(repeats)))


def pad(
    xp: Any,
    x: Array,
    pads: Array,
    constant_value: Array | None = None,
    axes: Array | None = None,
    mode: str = "constant",
) -> Array:
    """`x` with ``pads[i]`` more elements before axis ``i``, then those after it."""
    if mode not in ("constant", "reflect", "edge", "wrap"):
        raise ValueError(f"pad mode is {mode!r}, not constant, reflect, edge or wrap")
    rank = len(x.shape)
    places, sizes = static_axes(axes, rank), static_ints(pads)
    index, widths = [slice(None)] * rank, [(0, 0)] * rank
    for i, place in enumerate(places):
        before, after = sizes[i], sizes[i + len(places)]
        # A negative pad cuts first: the rest is then padded with what is left.
        index[place] = slice(max(-before, 0), x.shape[place] - max(-after, 0))
        widths[place] = (max(before, 0), max(after, 0))
    x = x[tuple(index)]
    if not any(before or after for before, after in widths):
        return x
    if mode != "constant":
        return xp.pad(x, widths, mode=mode)
    if constant_value is None:
        fill = "" if x.dtype == object else np.zeros((), x.dtype)
    else:
        fill = xp.reshape(xp.asarray(constant_value), ())
    return xp.pad(x, widths, constant_values=fill)


def center_crop_pad(
    xp: Any, x: Array, shape: Array, axes: tuple[int, ...] | None = None
) -> Array:
    """`x` cut or padded with zeros about its centre to `shape` on `axes`."""
    rank = len(x.shape)
    index, widths = [slice(None)] * rank, [(0, 0)] * rank
    for axis, wanted in zip(static_axes(axes, rank), static_ints(shape), strict=True):
        size = x.shape[axis]
        first = max(size - wanted, 0) // 2
        missing = max(wanted - size, 0)
        index[axis] = slice(first, first + min(size, wanted))
        widths[axis] = (missing // 2, missing - missing // 2)
    return xp.pad(x[tuple(index)], widths)


def trilu(xp: Any, x: Array, k: Array | None = None, upper: int = 1) -> Array:
    """The triangle above (or below) diagonal `k` of the last two axes, else zero."""
    rows, columns = x.shape[-2:]
    shift = 0 if k is None else static_ints(k)[0]
    shift = max(-rows - 1, min(columns + 1, shift))
    distance = xp.arange(columns)[None, :] - xp.arange(rows)[:, None]
    kept = distance >= shift if upper else distance <= shift
    return xp.where(kept, x, xp.zeros((), x.dtype))


def reverse_sequence(
    xp: Any, x: Array, sequence_lens: Array, batch_axis: int = 1, time_axis: int = 0
) -> Array:
    """The first ``sequence_lens[b]`` steps of each ``b`` reversed, the others kept."""
    if {batch_axis, time_axis} != {0, 1}:
        raise ValueError(
            f"batch and time axes are {batch_axis} and {time_axis}, not 0 and 1"
        )
    steps = xp.arange(x.shape[time_axis])[None, :]
    lengths = xp.reshape(sequence_lens, (-1, 1))
    source = xp.where(steps < lengths, lengths - 1 - steps, steps)
    if time_axis == 0:
        source = source.T
    source = xp.reshape(source, source.shape + (1,) * (len(x.shape) - 2))
    return xp.take_along_axis(x, source, axis=time_axis)


# --- shapes and arrays made from them ---


def shape_of(xp: Any, x: Array, end: int | None = None, start: int = 0) -> Array:
    """The sizes of axes `start` to `end` of `x`."""
    # A shape is known before the program runs: a NumPy array under every namespace.
    return np.array(x.shape[start:end], np.int64)


def size_of(xp: Any, x: Array) -> Array:
    """How many elements `x` has."""
    return np.array(math.prod(x.shape), np.int64)


def constant_of_shape(xp: Any, shape: Array, value: Array | None = None) -> Array:
    """An array of `shape` filled with the one element of `value` (0.0 by default)."""
    fill = np.zeros((), np.float32) if value is None else value.reshape(())
    return xp.full(tuple(static_ints(shape)), fill, dtype=fill.dtype)


def range_of(
    xp: Any, start: Array, limit: Array, delta: Array, stash_type: int = 1
) -> Array:
    """``start + i * delta`` for ``i`` from 0 to ``ceil((limit - start) / delta)``."""
    dtype = np.dtype(start.dtype)
    first, last, step = (np.reshape(v, ()) for v in (start, limit, delta))
    if dtype.kind in "iu":
        count = max(-((int(first) - int(last)) // int(step)), 0)
        numbers = xp.arange(count, dtype=dtype)
        return (numbers * step.astype(dtype) + first).astype(dtype)
    wide = _range_dtype(dtype, stash_type)
    first, last, step = first.astype(wide), last.astype(wide), step.astype(wide)
    count = max(math.ceil(float(last - first) / float(step)), 0)
    # Each element is rounded once, not after every step.
    numbers = xp.arange(count).astype(wide)
    return (first + numbers * step).astype(dtype)


def _range_dtype(dtype: np.dtype[Any], stash_type: int) -> np.dtype[Any]:
    """The type in which Range computes: float32 for 16-bit floats if stashed so."""
    if dtype.itemsize > 2:
        return dtype
    if stash_type not in (0, 1):
        raise ValueError(f"stash_type is {stash_type}, not 1 (float)")
    return np.dtype(np.float32) if stash_type else dtype


def eye_like(xp: Any, x: Array, dtype: str | None = None, k: int = 0) -> Array:
    """Ones on diagonal `k` of a matrix shaped like `x`, zeros elsewhere."""
    rows, columns = x.shape
    kind = dtype_named(dtype) if dtype else x.dtype
    return xp.eye(rows, columns, k=k, dtype=kind)


KERNELS: dict[str, Callable[..., Any]] = {
    "CenterCropPad": center_crop_pad,
    "Concat": concat,
    "ConstantOfShape": constant_of_shape,
    "Expand": expand,
    "EyeLike": eye_like,
    "Flatten": flatten,
    "Pad": pad,
    "Range": range_of,
    "Reshape": reshape,
    "ReverseSequence": reverse_sequence,
    "Shape": shape_of,
    "Size": size_of,
    "Slice": slice_axes,
    "Split": split,
    "Squeeze": squeeze,
    "Tile": tile,
    "Transpose": transpose,
    "Trilu": trilu,
    "Unsqueeze": unsqueeze,
}

STATIC: dict[str, tuple[int, ...]] = {
    "CenterCropPad": (1,),
    "ConstantOfShape": (0,),
    "Expand": (1,),
    "Pad": (1, 3),
    "Range": (0, 1, 2),
    "Reshape": (1,),
    "Slice": (1, 2, 3, 4),
    "Split": (1,),
    "Squeeze": (1,),
    "Tile": (1,),
    "Trilu": (1,),
    "Unsqueeze": (1,),
}
