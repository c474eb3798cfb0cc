"""
How a program runs on few shapes: inputs are padded to the next bucket, outputs cut.

The emitter pastes these functions into the artifacts that have buckets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np


def call_in_buckets(
    calling: Callable[..., tuple[Any, ...]],
    specs: tuple[Sequence[Any], Sequence[Any]],
    buckets: Mapping[str, Sequence[int]],
    ones: Mapping[str, Sequence[tuple[int, int]]],
    jitted: Any,
    weights: Mapping[str, Any],
    inputs: Sequence[Any],
) -> tuple[Any, ...]:
    """
    What `calling` gives for `inputs`, each dimension of `buckets` padded with zeros.

    `specs` are the program's inputs and outputs. A dimension is left as it is where
    none of its buckets is long enough, and where an input of `ones` does not begin with
    1 along its axis: there a row's mask may leave nothing but padding.
    """
    shapes = [shape or () for _, _, shape, _ in specs[0]]
    sizes: dict[str, int] = {}
    for shape, value in zip(shapes, inputs, strict=True):
        named = zip(shape, np.shape(value), strict=False)
        sizes.update((dim, size) for dim, size in named if dim in buckets)
    lengths: dict[str, int] = {}
    for dim, size in sizes.items():
        bucket = next((n for n in buckets[dim] if n >= size > 0), size)
        safe = all(begins_with_one(inputs[i], axis) for i, axis in ones[dim])
        if bucket > size and safe:
            lengths[dim] = bucket
    if not lengths:
        return calling(jitted, weights, inputs)
    # On the host: on the device each length would be compiled for.
    longer = [padded(x, s, lengths) for x, s in zip(inputs, shapes, strict=True)]
    results = calling(jitted, weights, longer)
    wanted = [shape or () for _, _, shape, _ in specs[1]]
    back = {dim: sizes[dim] for dim in lengths}
    return tuple(cut(y, s, back) for y, s in zip(results, wanted, strict=True))


def begins_with_one(value: Any, axis: int) -> bool:
    """Whether every first element of `value` along `axis` is 1."""
    return bool(np.all(np.take(np.asarray(value), 0, axis) == 1))


def padded(value: Any, shape: Sequence[Any], lengths: Mapping[str, int]) -> Any:
    """`value` of `shape` with zeros up to `lengths` at the end of its axes."""
    if not any(dim in lengths for dim in shape):
        return value
    array = np.asarray(value)
    full = [lengths.get(dim, n) for dim, n in zip(shape, array.shape, strict=True)]
    room = np.zeros(full, array.dtype)
    room[tuple(map(slice, array.shape))] = array
    return room


def cut(value: Any, shape: Sequence[Any], sizes: Mapping[str, int]) -> Any:
    """An output of `shape` without what is beyond `sizes`."""
    if not any(dim in sizes for dim in shape):
        return value
    places = tuple(slice(sizes.get(dim)) for dim in shape)
    return jax.device_put(np.ascontiguousarray(np.asarray(value)[places]))  # pyright: ignore[reportUnknownMemberType]
