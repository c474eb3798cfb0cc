"""Kernels: ONNX Runtime's operators on text, and its hash of anything."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = Any

BEGIN, END = "\x02", "\x03"
"""What stands around the tokens of a text that is marked."""


# --- tokens: object arrays, in NumPy ---


def tokens_of(
    text: str, separators: Sequence[str], tokenexp: str, mincharnum: int
) -> list[str]:
    """
    The tokens of `text` that are long enough.

    They are what `tokenexp` finds, or what stands between `separators` (all are regular
    expressions); characters, if the only separator is empty.
    """
    if list(separators) == [""]:
        return list(text)
    if separators:
        # The first expression that fits at a place counts, not the longest.
        between = re.compile("|".join(f"(?:{entry})" for entry in separators))
        ends = [(0, 0), *(m.span() for m in between.finditer(text) if m.group())]
        starts = [end for _, end in ends]
        stops = [*(start for start, _ in ends[1:]), len(text)]
        found = [text[a:b] for a, b in zip(starts, stops, strict=True)]
    else:
        found = [m.group() for m in re.compile(tokenexp).finditer(text)]
    return [token for token in found if len(token) >= max(mincharnum, 1)]


def tokenizer(
    xp: Any,
    x: Array,
    mark: int = 0,
    mincharnum: int = 1,
    pad_value: str = "",
    separators: Sequence[str] | None = None,
    tokenexp: str | None = None,
) -> Array:
    """
    The tokens of every text of `x` along a new last axis, padded with `pad_value`.

    Without any token at all that axis has size 0, `mark` or not.
    """
    if not separators and not tokenexp:
        raise ValueError("found neither separators nor tokenexp, wanted one of them")
    rows = [
        tokens_of(text, separators or (), tokenexp or "", mincharnum)
        for text in x.reshape(-1).tolist()
    ]
    if mark and any(rows):
        rows = [[BEGIN, *row, END] for row in rows]
    width = max(map(len, rows), default=0)
    table = np.full((len(rows), width), pad_value, object)
    for place, row in enumerate(rows):
        table[place, : len(row)] = row
    return table.reshape((*x.shape, width))


# --- MurmurHash3 (Appleby 2011, public domain), the variant of 32 bits ---


def rotated_left(x: Array, count: int) -> Array:
    """Numbers of 32 bits rotated."""
    return (x << np.uint32(count)) | (x >> np.uint32(32 - count))


def mixed_in(state: Array, block: Array) -> Array:
    """The state of the hash after another four bytes."""
    block = rotated_left(block * np.uint32(0xCC9E2D51), 15) * np.uint32(0x1B873593)
    return rotated_left(state ^ block, 13) * np.uint32(5) + np.uint32(0xE6546B64)


def finished(state: Array, length: int) -> Array:
    """The hash of `length` bytes whose whole blocks, and rest, made `state`."""
    state = state ^ np.uint32(length)
    state = (state ^ (state >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    state = (state ^ (state >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return state ^ (state >> np.uint32(16))


def text_hash(text: str, seed: int) -> Array:
    """The hash of a text's UTF-8."""
    content = text.encode()
    whole = len(content) // 4 * 4
    state: Array = np.array(seed, np.uint32)
    for block in np.frombuffer(content[:whole], "<u4"):
        state = mixed_in(state, block)
    rest = int.from_bytes(content[whole:], "little")
    if rest:
        block = np.array(rest, np.uint32) * np.uint32(0xCC9E2D51)
        state = state ^ (rotated_left(block, 15) * np.uint32(0x1B873593))
    return finished(state, len(content))


def murmur_hash(xp: Any, x: Array, positive: int = 1, seed: int = 0) -> Array:
    """The hash of each element's bytes, in uint32 or, unless `positive`, int32."""
    to = "uint32" if positive else "int32"
    if x.dtype == object:
        with np.errstate(over="ignore"):
            hashes = [text_hash(text, seed) for text in x.reshape(-1).tolist()]
        return np.array(hashes, np.uint32).reshape(x.shape).view(to)
    size = x.dtype.itemsize
    words = xp.asarray(x).reshape(-1, 1).view("uint32")
    state = xp.full(words.shape[:1], seed, "uint32")
    for place in range(size // 4):
        state = mixed_in(state, words[:, place])
    return finished(state, size).reshape(x.shape).view(to)


KERNELS: dict[str, Callable[..., Any]] = {
    "microsoft.MurmurHash3": murmur_hash,
    "microsoft.Tokenizer": tokenizer,
}

STATIC: dict[str, tuple[int, ...]] = {}
