"""
What devices do together, on lists with each device's part: how NumPy runs collectives.

`groups` are lists of devices that act together, in the order of their parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = Any
Places: TypeAlias = Sequence[tuple[int, ...]]
"""For each device, which of the parts along each dimension it has."""


def divided(whole: Array, counts: Sequence[int], places: Places) -> list[Array]:
    """Each device's part of an array that is cut in `counts` along its dimensions."""
    parts: list[Array] = []
    for place in places:
        sizes = [size // count for size, count in zip(whole.shape, counts, strict=True)]
        where = [
            slice(index * size, (index + 1) * size)
            for index, size in zip(place, sizes, strict=True)
        ]
        parts.append(whole[tuple(where)])
    return parts


def united(parts: Sequence[Array], counts: Sequence[int], places: Places) -> Array:
    """
    The array that the parts make up.

    Raises ValueError where two devices differ in what both should have.
    """
    shape = [n * count for n, count in zip(parts[0].shape, counts, strict=True)]
    whole, seen = np.empty(shape, parts[0].dtype), dict[tuple[int, ...], Array]()
    for part, place in zip(parts, places, strict=True):
        where = [
            slice(index * size, (index + 1) * size)
            for index, size in zip(place, part.shape, strict=True)
        ]
        whole[tuple(where)] = part
        if np.asarray(seen.setdefault(place, part)).tobytes() != part.tobytes():
            raise ValueError("found devices that differ in what they should share")
    return whole


def all_gather(
    parts: Sequence[Array], groups: Sequence[Sequence[int]], axis: int
) -> list[Array]:
    """Every device gets the parts of its group, one after another along `axis`."""
    made = list(parts)
    for group in groups:
        whole = np.concatenate([parts[device] for device in group], axis)
        for device in group:
            made[device] = whole
    return made


def all_reduce(parts: Sequence[Array], groups: Sequence[Sequence[int]]) -> list[Array]:
    """Every device gets the sum over its group."""
    made = list(parts)
    for group in groups:
        total = parts[group[0]]
        for device in group[1:]:
            total = total + parts[device]
        for device in group:
            made[device] = total
    return made


def all_slice(
    parts: Sequence[Array], counts: Sequence[int], places: Places
) -> list[Array]:
    """Every device keeps its part of what all have."""
    return [
        divided(whole, counts, [place])[0]
        for whole, place in zip(parts, places, strict=True)
    ]


def all_to_all(
    parts: Sequence[Array],
    groups: Sequence[Sequence[int]],
    source: int,
    target: int,
) -> list[Array]:
    """Parts along `source` become parts along `target`, within each group."""
    made = list(parts)
    for group in groups:
        cut = [np.split(parts[device], len(group), target) for device in group]
        for index, device in enumerate(group):
            made[device] = np.concatenate([mine[index] for mine in cut], source)
    return made
