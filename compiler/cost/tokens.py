"""The IR's text as tokens: operators, element types and sizes, for a network."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from functools import cache

from .facts import OpFacts

VOCABULARY = 512
PADDING = 0
MAX_TOKENS = 4096
"""What follows in a longer program is not read."""

_TOKEN = re.compile(r"[A-Za-z_][\w.]*|\d+|->")


def tokens_of(ops: Sequence[OpFacts]) -> list[int]:
    """
    The tokens of a program, from 1 to `VOCABULARY` - 1.

    An operator, an element type and every size is one; sizes are told apart up to half
    a power of two, names by a hash.
    """
    found: list[int] = []
    for facts in ops:
        found += _of_text(facts.text)
        if len(found) >= MAX_TOKENS:
            return found[:MAX_TOKENS]
    return found


@cache
def _of_text(text: str) -> tuple[int, ...]:
    # 1x56x64xf32 is three sizes and a type.
    spaced = re.sub(r"(?<=\d)x", " ", text)
    return tuple(map(_token, _TOKEN.findall(spaced)))


def _token(word: str) -> int:
    size = _size(int(word[:18])) if word.isdigit() else word
    return 1 + zlib.crc32(size.encode()) % (VOCABULARY - 1)


def _size(size: int) -> str:
    return f"size {(size * size).bit_length()}"
