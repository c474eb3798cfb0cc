"""
Where zeros may lie: patterns as plain values, and the masks that keep most.

Weights and importances are ``[K, N]``: `K` inputs are summed over, `N` outputs given. A
mask is true where an element is kept.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from ...dialects.errors import SardonyxError
from ...dialects.onnx.types import Array
from ...dialects.sparse import NM, Bitmap, Block, Encoding, GroupShared

PATTERNS = ("unstructured", "N:M", "N:M-shared", "block", "group-shared")
"""How patterns are called; N and M are numbers, as in ``2:4``."""

GROUPED = ("block", "group-shared")
"""Kinds of patterns with groups of outputs."""

_NM = re.compile(r"(\d+):(\d+)(-shared)?")


@dataclass(frozen=True)
class Pattern:
    """What is kept or left out together."""

    kind: str
    """``unstructured``, ``nm``, ``nm-shared``, ``block`` or ``group-shared``."""
    sparsity: float
    """The part of the elements that is left out."""
    group: int = 128
    """At most so many outputs one after another share what they keep."""
    run: int = 1
    """So many inputs one after another are kept or left out together (blocks)."""
    n: int = 0
    m: int = 0

    def reason(self, shape: tuple[int, int]) -> str | None:
        """Why a weight of `shape` cannot have the pattern, or None if it can."""
        depth, width = shape
        if self.m and depth % self.m:
            return f"its {depth} inputs are no multiple of {self.m}"
        if self.kind in GROUPED and 4 * self.width(width) < min(self.group, width):
            return f"its {width} outputs have no groups near {self.group}"
        if depth % self.run:
            return f"its {depth} inputs are no multiple of the run of {self.run}"
        if self.kind in GROUPED and self.runs(depth) < 1:
            return "nothing would be left"
        return None

    @property
    def shared(self) -> bool:
        """Whether outputs share what they keep."""
        return self.kind in ("nm-shared", *GROUPED)

    def width(self, width: int) -> int:
        """
        How many of `width` outputs share what they keep, where some do.

        `group`, or the next smaller divisor of `width`.
        """
        if self.kind == "nm-shared":
            return width
        most = min(self.group, width)
        return next(size for size in range(most, 0, -1) if width % size == 0)

    def runs(self, depth: int) -> int:
        """How many runs of `depth` inputs a group of outputs keeps."""
        return round((1 - self.sparsity) * depth / self.run)

    def encoding(self, shape: tuple[int, int], nonzero: int) -> Encoding:
        """What a weight of `shape` with so many elements is stored as."""
        if self.m:
            return NM(self.n, self.m, self.kind == "nm-shared")
        if self.kind == "block":
            return Block(self.run, self.width(shape[1]), self.runs(shape[0]))
        if self.kind == "group-shared":
            return GroupShared(self.width(shape[1]), self.runs(shape[0]))
        return Bitmap(nonzero)


def pattern_of(
    who: str, name: str, sparsity: float, group: int = 128, run: int = 16
) -> Pattern:
    """
    The pattern called `name`; `run` is the length of blocks along the inputs.

    ``N:M`` says by itself how much is left out. Raises SardonyxError, in the name of
    pass `who`.
    """
    if not 0 <= sparsity < 1:
        raise SardonyxError(f"{who}: found sparsity {sparsity:g}, wanted 0 up to 1")
    if group < 1 or run < 1:
        raise SardonyxError(
            f"{who}: found groups of {min(group, run)}, wanted 1 or more"
        )
    if (match := _NM.fullmatch(name)) is not None:
        n, m = int(match[1]), int(match[2])
        if not 0 < n <= m:
            raise SardonyxError(f"{who}: found {name}, wanted N up to M")
        return Pattern("nm-shared" if match[3] else "nm", 1 - n / m, n=n, m=m)
    if name == "unstructured":
        return Pattern(name, sparsity)
    if name == "group-shared":
        return Pattern(name, sparsity, group)
    if name == "block":
        return Pattern(name, sparsity, group, run)
    raise SardonyxError(f"{who}: found pattern {name!r}, wanted {', '.join(PATTERNS)}")


def mask_of(importance: Array, pattern: Pattern, by_output: bool) -> Array:
    """
    The mask of `pattern` that keeps most of `importance`, which is not negative.

    What is shared is judged by its sum. Unstructured, elements are compared with those
    of the same output, or with all. Of equal ones the first are kept.
    """
    depth, width = importance.shape
    if pattern.kind == "unstructured":
        rows = importance.T if by_output else importance.T.reshape(1, -1)
        count = rows.shape[1] - int(pattern.sparsity * rows.shape[1])
        return highest(rows, count).reshape(width, depth).T
    if pattern.m:
        return _nm_mask(importance, pattern)
    keep = highest(group_sums(importance, pattern), pattern.runs(depth))
    return spread(keep, pattern, (depth, width))


def highest(rows: Array, count: int) -> Array:
    """Where the `count` largest of every row are; of equal ones the first."""
    keep = np.zeros(rows.shape, bool)
    order = np.argsort(-rows, axis=1, kind="stable")[:, :count]
    np.put_along_axis(keep, order, True, axis=1)
    return keep


def group_sums(importance: Array, pattern: Pattern) -> Array:
    """What is kept or left out together, summed: ``[groups, runs]``."""
    depth, width = importance.shape
    size = pattern.width(width)
    parts = importance.reshape(depth // pattern.run, pattern.run, width // size, size)
    return parts.sum((1, 3)).T


def spread(keep: Array, pattern: Pattern, shape: tuple[int, int]) -> Array:
    """A mask of `shape` from that of the groups."""
    rows = np.repeat(keep.T, pattern.run, axis=0)
    return np.repeat(rows, pattern.width(shape[1]), axis=1)


def _nm_mask(importance: Array, pattern: Pattern) -> Array:
    depth, width = importance.shape
    if pattern.kind == "nm-shared":
        sums = importance.sum(1).reshape(-1, pattern.m)
        rows = highest(sums, pattern.n).reshape(depth, 1)
        return np.broadcast_to(rows, importance.shape).copy()
    parts = importance.T.reshape(-1, pattern.m)
    return highest(parts, pattern.n).reshape(width, depth).T


# --- what a weight has ---


def groups_in(weight: Array, group: int) -> Array:
    """Which inputs each `group` of outputs uses: bool ``[groups, K]``."""
    depth, width = weight.shape
    return (weight != 0).reshape(depth, width // group, group).any(2).T


def longest_run(used: Array) -> int:
    """
    The longest power of two of inputs that groups use or leave out together.

    Every group must use as many then as the one that uses most.
    """
    groups, depth = used.shape
    best, size = 1, 2
    most = int(used.sum(1).max(initial=0))
    while depth % size == 0:
        runs = used.reshape(groups, depth // size, size).any(2)
        if int(runs.sum(1).max(initial=0)) * size != most:
            break
        best, size = size, size * 2
    return best


def nm_of(weight: Array, sizes: tuple[int, ...] = (4, 8, 16)) -> NM | None:
    """The N:M pattern that `weight` has, each output its own; None if it has none."""
    depth, width = weight.shape
    used = weight != 0
    for m in sizes:
        if depth % m:
            continue
        most = int(used.reshape(depth // m, m, width).sum(1).max(initial=0))
        if 0 < most <= m // 2:
            return NM(most, m)
    return None
