"""
Memory that a program keeps from call to call: places for results, and a workspace.

Every thread has its own, so that a program may run in several at once.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from typing import Any, TypeAlias

import ml_dtypes
import numpy as np

Array: TypeAlias = Any

KEPT: Any = threading.local()
"""What this program keeps, a thread's own: `rooms` by arena, and `work`."""


def rooms(
    size: int, places: Mapping[str, tuple[int, str, tuple[int, ...]]]
) -> dict[str, Array]:
    """
    This thread's arrays by name, cut from one block of `size` bytes, the arena.

    `places` tells of each its offset in bytes, element type and shape. They are made at
    the thread's first call, and what is in them lasts until the next.
    """
    held: dict[str, Array] | None = getattr(KEPT, "rooms", None)
    if held is not None:
        return held
    block = np.empty(size + 64, np.uint8)
    block = block[-block.ctypes.data % 64 :]
    made: dict[str, Array] = {}
    for name, (start, kind, shape) in places.items():
        dtype = np.dtype(getattr(ml_dtypes, kind, kind))
        stop = start + math.prod(shape) * dtype.itemsize
        made[name] = block[start:stop].view(dtype).reshape(shape)
    KEPT.rooms = made
    return made


def scratch(shape: tuple[int, ...], dtype: Any, start: int = 0) -> Array:
    """
    An array of unknown content in this thread's workspace, `start` elements from its
    beginning.

    The workspace is one, and grows to hold what is asked for: an array is valid until
    another is asked for, except at a `start` behind it.
    """
    size = (start + math.prod(shape)) * np.dtype(dtype).itemsize
    work: Array = getattr(KEPT, "work", None)
    if work is None or work.size < size:
        work = KEPT.work = np.empty(size, np.uint8)
    return work[:size].view(dtype)[start:].reshape(shape)


def settled(value: Array, place: Array) -> Array:
    """`value` if it is new memory; if it looks into another's, a copy in `place`."""
    if value.base is None:
        return value
    np.copyto(place, value)
    return place


def each_settled(
    values: tuple[Array | None, ...], places: tuple[Array | None, ...]
) -> tuple[Array | None, ...]:
    """`values`, those with a place `settled` there."""
    pairs = zip(values, places, strict=True)
    return tuple(v if v is None or p is None else settled(v, p) for v, p in pairs)
