"""
Weights ``[K, N]`` as their encodings store them, and back: exact round trips.

What groups of outputs share is `Gathered`: per group the inputs that it keeps, or runs
of `span` inputs, and a small dense matrix. What is free is `Masked`: a bit for every
element, and those that are not 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..onnx.types import Array
from .encodings import NM, Bitmap, Block, Encoding, EncodingError, GroupShared


@dataclass(frozen=True, eq=False)
class Gathered:
    """Small matrices ``[groups, kept, width]``, and of which inputs their rows are."""

    values: Array
    indices: Array
    """int32 ``[groups, kept / span]``, ascending; each is of `span` inputs."""
    span: int = 1


@dataclass(frozen=True, eq=False)
class Masked:
    """The elements that are not 0, output by output, and a bit for every element."""

    values: Array
    """Flat; a single 0 where nothing is stored."""
    mask: Array
    """uint8 ``[N, ceil(K / 8)]``, the first input in the lowest bit."""


def encoded(weight: Array, encoding: Encoding) -> Gathered | Masked:
    """
    `weight` as `encoding` stores it.

    Raises EncodingError for a weight with more than that, as one of other zeros.
    """
    depth, width = weight.shape
    encoding.check((depth, width))
    if isinstance(encoding, GroupShared):
        return _gathered(weight, 1, encoding.group, encoding.kept, encoding)
    if isinstance(encoding, Block):
        size = encoding.inputs, encoding.outputs
        return _gathered(weight, *size, encoding.kept, encoding)
    assert isinstance(encoding, NM | Bitmap), "there are no others"
    if isinstance(encoding, NM):
        _check_nm(weight, encoding)
        if encoding.shared:
            return _shared_nm(weight, encoding)
        return masked(weight, kept_nm(weight, encoding))
    found = masked(weight, weight != 0)
    if np.count_nonzero(weight) != encoding.nonzero:
        raise EncodingError(
            f"found {np.count_nonzero(weight)} elements, wanted {encoding}"
        )
    return found


def masked(weight: Array, keep: Array) -> Masked:
    """Those elements of `weight` that `keep` tells."""
    values = weight.T[keep.T]
    bits = np.packbits(np.ascontiguousarray(keep.T), axis=1, bitorder="little")
    return Masked(values if values.size else np.zeros(1, weight.dtype), bits)


def kept_nm(weight: Array, encoding: NM) -> Array:
    """Exactly `n` of every `m` inputs: what is not 0, and zeros where that is fewer."""
    depth, width = weight.shape
    parts = (weight != 0).reshape(depth // encoding.m, encoding.m, width)
    order = np.argsort(~parts, axis=1, kind="stable")[:, : encoding.n]
    keep = np.zeros(parts.shape, bool)
    np.put_along_axis(keep, order, True, axis=1)
    return keep.reshape(depth, width)


def decoded(found: Gathered | Masked, shape: tuple[int, int]) -> Array:
    """The weight of `shape` that `encoded` was given."""
    weight = np.zeros(shape, found.values.dtype)
    if isinstance(found, Masked):
        rows = np.unpackbits(found.mask, axis=1, count=shape[0], bitorder="little")
        keep = rows.astype(bool)
        weight.T[keep] = found.values[: np.count_nonzero(keep)]
        return weight
    width = found.values.shape[2]
    for group, (values, index) in enumerate(
        zip(found.values, rows_of(found), strict=True)
    ):
        weight[index, group * width : (group + 1) * width] = values
    return weight


def rows_of(found: Gathered) -> Array:
    """The inputs that the rows of each group are of, ``[groups, kept]``."""
    run = np.arange(found.span)
    rows = found.indices[:, :, None].astype(np.int64) * found.span + run
    return rows.reshape(len(found.indices), -1)


def _gathered(
    weight: Array, span: int, width: int, kept: int, encoding: Encoding
) -> Gathered:
    depth, total = weight.shape
    parts = weight.reshape(depth // span, span, total // width, width)
    used = (parts != 0).any(axis=(1, 3)).T
    most = int(used.sum(1).max(initial=0))
    if most > kept:
        raise EncodingError(f"found {most} kept in a group, wanted {encoding}")
    indices = first(used, kept)
    picked = parts[indices, :, np.arange(len(indices))[:, None]]
    values = picked.reshape(len(indices), kept * span, width)
    return Gathered(np.ascontiguousarray(values), indices, span)


def first(used: Array, count: int) -> Array:
    """The places of `count` in every row: those that are true, then others, sorted."""
    order = np.argsort(~used, axis=1, kind="stable")[:, :count]
    return np.sort(order, axis=1).astype(np.int32)


def _shared_nm(weight: Array, encoding: NM) -> Gathered:
    depth = weight.shape[0]
    used = (weight != 0).any(axis=1).reshape(depth // encoding.m, encoding.m)
    most = int(used.sum(1).max(initial=0))
    if most > encoding.n:
        raise EncodingError(f"found {most} of {encoding.m} kept, wanted {encoding}")
    starts = np.arange(0, depth, encoding.m, dtype=np.int32)[:, None]
    indices = (first(used, encoding.n) + starts).reshape(1, -1)
    return Gathered(np.ascontiguousarray(weight[indices[0]])[None], indices)


def _check_nm(weight: Array, encoding: NM) -> None:
    depth, width = weight.shape
    parts = (weight != 0).reshape(depth // encoding.m, encoding.m, width)
    most = int(parts.sum(1).max(initial=0))
    if most > encoding.n:
        raise EncodingError(f"found {most} of {encoding.m} kept, wanted {encoding}")
