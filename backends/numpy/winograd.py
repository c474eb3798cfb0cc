"""
Kernels of 3x3 by 4/9 of the products: Winograd's F(2x2, 3x3) (arXiv:1509.09308).

Every tile of 4x4 pixels gives 2x2 results. The transforms are sums and differences of
whole images at once, so that what remains is 16 products of matrices for BLAS.
"""

from __future__ import annotations

import weakref
from typing import Any, TypeAlias

import numpy as np

from .memory import scratch

Array: TypeAlias = Any

TILED = 1 << 20
"""About as many elements of an image are transformed at a time."""

TRANSFORMED: dict[int, tuple[Any, Array]] = {}
"""Transformed weights, by the identity of those that they were."""


def transformed(w: Array) -> Array:
    """
    ``G w G^T`` of ``[3, 3, c, m]``, as ``[16, c, m]``; made once for weights that stay.

    Only for arrays that cannot be written: what was made of others would not follow.
    """
    held = TRANSFORMED.get(id(w))
    if held is not None and held[0]() is w:
        return held[1]
    g = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
    depth, maps = w.shape[2:]
    rows = (g @ w.reshape(3, -1)).reshape(4, 3, depth * maps)
    # The horizontal index first, as `tiled_products` has it.
    both = (g @ rows).astype(w.dtype).swapaxes(0, 1)
    made: Array = np.ascontiguousarray(both).reshape(16, depth, maps)
    for key in [k for k, (there, _) in list(TRANSFORMED.items()) if there() is None]:
        TRANSFORMED.pop(key, None)
    TRANSFORMED[id(w)] = weakref.ref(w), made
    return made


def tiled_pads(
    counts: tuple[int, ...], pairs: tuple[tuple[int, int], ...]
) -> tuple[tuple[int, int], ...]:
    """`pairs` with what an odd number of windows needs to fill the last tile."""
    return tuple(
        (first, last + count % 2)
        for count, (first, last) in zip(counts, pairs, strict=True)
    )


def tiled_products(x: Array, used: int, w: Array, y: Array) -> None:
    """
    ``y[n, h, w, m]``: the convolution of a padded image with a kernel of 3x3.

    Some rows of tiles at a time, in the workspace, `used` elements behind its start.
    """
    products = transformed(w)
    depth, maps = products.shape[1:]
    n, height, width, _ = y.shape
    columns = (width + 1) // 2
    step = max(TILED // max(16 * columns * max(depth, maps), 1), 1)
    for image in range(n):
        for start in range(0, (height + 1) // 2, step):
            part = y[image, 2 * start : 2 * (start + step)]
            rows = (part.shape[0] + 1) // 2
            seen = x[image, 2 * start : 2 * (start + rows) + 2]
            tiles = tile_images(seen, rows, columns, used)
            shape = (16, rows * columns, maps)
            sums = scratch(shape, y.dtype, used + tiles.size)
            np.matmul(tiles.reshape(16, rows * columns, depth), products, out=sums)
            place = used + tiles.size + sums.size
            untile(sums.reshape(4, 4, rows, columns, maps), place, part)


def tile_images(x: Array, rows: int, columns: int, used: int) -> Array:
    """``B^T d B`` of all tiles of `x` ``[h, w, c]``: ``[4, 4, rows, columns, c]``."""
    _, width, depth = x.shape
    tiles = scratch((4, 4, rows, columns, depth), x.dtype, used)
    lines = scratch((4, rows, width, depth), x.dtype, used + tiles.size)
    signed_sums([x[i : i + 2 * rows - 1 : 2] for i in range(4)], lines)
    last = 2 * columns - 1
    signed_sums([lines[:, :, i : i + last : 2] for i in range(4)], tiles)
    return tiles


def signed_sums(parts: list[Array], y: Array) -> None:
    """Into `y`: ``B^T``'s rows, ``0 - 2``, ``1 + 2``, ``2 - 1`` and ``1 - 3``."""
    np.subtract(parts[0], parts[2], out=y[0])
    np.add(parts[1], parts[2], out=y[1])
    np.subtract(parts[2], parts[1], out=y[2])
    np.subtract(parts[1], parts[3], out=y[3])


def untile(sums: Array, used: int, y: Array) -> None:
    """``A^T m A`` of ``[4, 4, rows, columns, m]`` into the image `y`."""
    pairs = scratch((2, *sums.shape[1:]), y.dtype, used)
    np.add(sums[1], sums[2], out=pairs[0])
    pairs[0] += sums[0]
    np.subtract(sums[1], sums[2], out=pairs[1])
    pairs[1] -= sums[3]
    for right in range(2):
        for down in range(2):
            place = y[down::2, right::2]
            rows, columns, _ = place.shape
            one, two, other = (
                pairs[right, i, :rows, :columns] for i in (1, 2, 3 if down else 0)
            )
            if down:
                np.subtract(one, two, out=place)
                place -= other
            else:
                np.add(one, two, out=place)
                place += other
