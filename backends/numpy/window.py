"""
A window of mapped weights: the rest of the file is not in memory.

The emitter pastes these functions into programs that stream their weights.
"""

from __future__ import annotations

import mmap
import queue
import threading
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from ..runtime import read_weights

Array: TypeAlias = Any

STREAM: Any = {}
"""What `open_stream` made and `reach` uses; empty while nothing is streamed."""

PIECE = 1 << 22
"""How many bytes are read ahead before the thread looks where the program is."""

NEAR = 1 << 16
"""A byte that is read brings its neighbours into memory, as many as this (Linux)."""


def open_stream(
    path: str, steps: Sequence[Sequence[str]], looked_up: Sequence[str], limit: int
) -> dict[str, Array]:
    """
    The tensors of a safetensors file, mapped, of which at most `limit` bytes stay.

    `steps` are the weights that the program reads, in its order; those in `looked_up`
    are not read ahead. Raises OSError where a mapping cannot be given back.
    """
    weights = read_weights(path)
    if sum(array.nbytes for array in weights.values()) <= limit:
        return weights
    if not hasattr(mmap, "MADV_DONTNEED"):
        raise OSError("streaming weights needs madvise, which this system lacks")
    streamed = {key: extent(weights[key]) for keys in steps for key in keys}
    ahead = [[k for k in keys if k not in looked_up] for keys in steps]
    stays = sum(array.nbytes for key, array in weights.items() if key not in streamed)
    STREAM.update(
        steps=[[streamed[key] for key in keys] for keys in steps],
        ahead=[[streamed[key] for key in keys] for keys in ahead],
        sizes=[sum(weights[key].nbytes for key in keys) for keys in ahead],
        room=limit - stays,
        at=0,
        ready=set(),
        wanted=queue.SimpleQueue(),
    )
    threading.Thread(target=read_ahead, daemon=True).start()
    return weights


def extent(array: Array) -> tuple[Any, int, int]:
    """Where `array` lies in a file's mapping: that, and its whole pages in bytes."""
    base = array
    while isinstance(base, np.ndarray):
        base = base.base
    content = getattr(base, "obj", None)
    if not isinstance(content, mmap.mmap):
        raise OSError("found a weight that is unpacked, wanted one to read as it is")
    offset = array.ctypes.data - np.frombuffer(content, np.uint8).ctypes.data
    start = -(-offset // mmap.PAGESIZE) * mmap.PAGESIZE
    stop = (offset + array.nbytes) // mmap.PAGESIZE * mmap.PAGESIZE
    return content, start, max(stop - start, 0)


def reach(step: int) -> None:
    """Say that the program reads the weights of `step` now, those before no more."""
    if STREAM:
        before, STREAM["at"] = STREAM["at"], step
        release(before, step)
        STREAM["wanted"].put(step)


def release(first: int, step: int) -> None:
    """Give back the weights of the steps from `first` on that are before `step`."""
    steps = STREAM["steps"]
    for number in range((step - first) % len(steps)):
        place = (first + number) % len(steps)
        STREAM["ready"].discard(place)
        for one in steps[place]:
            content, start, size = one
            if size and one not in steps[step]:
                content.madvise(mmap.MADV_DONTNEED, start, size)


def read_ahead() -> None:
    """Bring in the weights of the next steps, as many as there is room for."""
    steps, sizes, ready = STREAM["ahead"], STREAM["sizes"], STREAM["ready"]
    while True:
        step = STREAM["wanted"].get()
        held = sizes[step]
        for number in range(1, len(steps)):
            place = (step + number) % len(steps)
            held += sizes[place]
            if held > STREAM["room"] or STREAM["at"] != step:
                break
            if place not in ready and bring(steps[place], step):
                ready.add(place)
        # What the program passed while it was brought in would stay for good.
        release(step, STREAM["at"])


def bring(extents: Sequence[Any], step: int) -> bool:
    """Read pages of a mapping; False if the program has left `step` before the end."""
    for content, start, size in extents:
        if size:
            content.madvise(mmap.MADV_WILLNEED, start, size)
        pages = np.frombuffer(content, np.uint8)
        for first in range(start, start + size, PIECE):
            if STREAM["at"] != step:
                return False
            pages[first : min(first + PIECE, start + size) : NEAR].max()
    return True
