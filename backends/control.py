"""What control flow needs of arrays: kernels that the emitters call around regions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = Any


def scan_slice(xp: Any, x: Array, axis: int, index: int, backwards: bool) -> Array:
    """The slice of a Scan input that turn `index` sees."""
    place = x.shape[axis] - 1 - index if backwards else index
    return xp.take(x, place, axis=axis)


def stack_turns(
    xp: Any,
    turns: Sequence[Array],
    dtype: str,
    shape: tuple[int, ...],
    axis: int = 0,
    backwards: bool = False,
) -> Array:
    """
    The slices of a loop's turns along a new axis.

    `dtype` and `shape` (of a slice) serve where there was no turn.
    """
    if not turns:
        empty = xp.zeros((0, *shape), np.dtype(dtype))
        return xp.moveaxis(empty, 0, axis)
    ordered = list(turns)[::-1] if backwards else list(turns)
    return xp.stack([xp.asarray(turn) for turn in ordered], axis=axis)
