"""
What whole programs take by those most like them: a Gaussian process.

    log2(seconds / roofline) = mean + kernel(program, measured) @ weights

Trees know an op only as one like others; beside them stands what programs of such
shares of work took as a whole. The kernel falls with the distance (Matérn's of order
1/2), and a linear one beside it goes on where nothing was measured: Rasmussen and
Williams, "Gaussian Processes for Machine Learning" (2006), sections 2.2 and 4.2.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import numpy as np

from ...passes.analysis.targets import Rates
from .facts import OpFacts
from .features import CLASSES, class_of, stacked
from .measurements import Measurement
from .roofline import is_merged, program_roofline, roofline_seconds

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

LENGTH = 2.0
"""The distance, in standard deviations of a feature, by which likeness falls to 1/e."""
LINEAR = 0.3
SAME = 0.1
"""The variance of log2 of what the programs of one model have in common."""
NOISE = 0.02
"""That of a program beside the others of its model."""
FARTHEST = 4.0
"""Standard deviations by which a feature may be off: more is no farther."""
SHORT = 5e-6
"""Seconds of arithmetic below which an op is a small one."""

_CONVOLUTION = CLASSES.index("convolution")
PROGRAM_FEATURES = (
    "roofline",
    "ops",
    "launches",
    "transcendentals",
    "arithmetic",
    "traffic",
    "merged",
    "small",
    "fused",
    "nhwc",
    "grouped",
    "planned",
    "stacked",
    *(
        f"{what} {name}"
        for name in CLASSES
        for what in ("share", "count", "work", "bytes")
    ),
)
"""The numbers of a program; amounts as log2, of what its roofline is or of 1 us."""


@dataclass
class _Sums:
    """Of the ops of one class."""

    seconds: float = 0.0
    count: int = 0
    flops: float = 0.0
    moved: float = 0.0


def program_vector(ops: Sequence[OpFacts], rates: Rates) -> list[float]:
    """The numbers of `PROGRAM_FEATURES`."""
    sums = [_Sums() for _ in CLASSES]
    for op in ops:
        of = sums[class_of(op.op)]
        of.seconds += roofline_seconds(op, rates)
        of.count += 1
        of.flops += op.flops
        of.moved += op.bytes_read + op.bytes_written
    line, count = program_roofline(ops, rates), max(len(ops), 1)
    launches = rates.launch_seconds * len(ops) + rates.call_seconds
    curves = sum(op.transcendentals for op in ops) / rates.transcendentals
    arithmetic = sum(of.flops for of in sums) / rates.flops
    traffic = sum(of.moved for of in sums) / rates.bandwidth
    convolutions = [op for op in ops if class_of(op.op) == _CONVOLUTION]
    found = [
        math.log2(line),
        math.log2(1 + len(ops)),
        *(math.log2((part + 1e-9) / line) for part in (launches, curves, arithmetic)),
        math.log2((traffic + 1e-9) / line),
        sum(map(is_merged, ops)) / count,
        sum(op.flops / rates.flops < SHORT for op in ops) / count,
        math.log2(1 + sum(op.fused for op in ops)),
        _share([op.op.startswith("nhwc.") for op in convolutions], convolutions, 0.5),
        _share([op.group > 1 for op in convolutions], convolutions, 0.0),
        sum(op.is_planned for op in ops) / count,
        math.log2((1 + sum(map(stacked, ops))) / count),
    ]
    for of in sums:
        found += [
            of.seconds / line,
            math.log2(1 + of.count),
            math.log2(1 + 1e6 * of.flops / rates.flops),
            math.log2(1 + 1e6 * of.moved / rates.bandwidth),
        ]
    return found


def _share(wanted: Sequence[bool], ops: Sequence[OpFacts], otherwise: float) -> float:
    """The part of the arithmetic of `ops` that is in those `wanted`."""
    whole = sum(op.flops for op in ops)
    if not whole:
        return otherwise
    return sum(op.flops for op, one in zip(ops, wanted, strict=True) if one) / whole


@dataclass(frozen=True)
class Process:
    """What was learned; `of` gives what a program takes over its roofline, as log2."""

    middle: Array
    scale: Array
    """Of each feature: its mean and standard deviation."""
    rows: Array
    """The measured programs, ``[programs, features]``, by these."""
    weights: Array
    mean: float

    def of(self, vectors: Array) -> Array:
        """``[n]`` of ``vectors[n, features]``."""
        asked = (vectors - self.middle) / self.scale
        near = _kernel(np.clip(asked, -FARTHEST, FARTHEST), self.rows)
        return self.mean + near @ self.weights

    def arrays(self) -> dict[str, Array]:
        """For a file; see `process_from`."""
        held = {name: getattr(self, name) for name in _ARRAYS}
        return {**held, "mean": np.array([self.mean])}


_ARRAYS = ("middle", "scale", "rows", "weights")


def process_from(arrays: Mapping[str, Array]) -> Process:
    """What `Process.arrays` gave. Raises KeyError or ValueError for what is none."""
    held = {name: arrays[name] for name in _ARRAYS}
    found = Process(**held, mean=float(arrays["mean"].item()))
    count = len(found.weights)
    wide = found.rows.shape == (count, len(PROGRAM_FEATURES))
    of_features = found.middle.shape == found.scale.shape == (len(PROGRAM_FEATURES),)
    if not wide or not of_features:
        raise ValueError("found a process of other features")
    return found


def fitted(vectors: Array, wanted: Array, models: Sequence[str]) -> Process:
    """
    The process that gives about ``wanted[n]`` for ``vectors[n, features]``.

    What the programs of a model have in common may be the model's alone, or of the hour
    in which it was measured: how they differ tells more.
    """
    middle, scale = vectors.mean(axis=0), vectors.std(axis=0) + 1e-6
    rows = (vectors - middle) / scale
    model = np.unique(models, return_inverse=True)[1]
    covariance = _kernel(rows, rows) + SAME * (model[:, None] == model)
    covariance += NOISE * np.eye(len(rows))
    solve = cast(Any, np.linalg.solve)  # Its stub has a part unknown.
    both: Array = solve(covariance, np.stack([wanted, np.ones(len(rows))], axis=1))
    # The mean of which what was measured is the likeliest.
    mean = float(both[:, 0].sum() / both[:, 1].sum())
    weights = both[:, 0] - mean * both[:, 1]
    return Process(middle, scale, rows.astype(np.float32), weights, mean)


def _kernel(some: Array, others: Array) -> Array:
    products = some @ others.T
    squares = (some**2).sum(axis=1)[:, None] + (others**2).sum(axis=1)
    count = some.shape[1]
    distance = np.sqrt(np.maximum(squares - 2 * products, 0) / count)
    return np.exp(-distance / LENGTH) + LINEAR * products / count


@dataclass(frozen=True)
class Programs:
    """What was measured, as wholes."""

    vectors: Array
    lines: Array
    over: Array
    """log2 of what each took over its roofline."""
    models: tuple[str, ...]
    families: tuple[str, ...]

    @staticmethod
    def of(measurements: Sequence[Measurement]) -> Programs:
        lines = np.array([program_roofline(one.ops, one.rates) for one in measurements])
        return Programs(
            np.array([program_vector(one.ops, one.rates) for one in measurements]),
            lines,
            np.log2(np.array([one.seconds for one in measurements]) / lines),
            tuple(one.model for one in measurements),
            tuple(one.family for one in measurements),
        )

    def process(self, wanted: Array | None = None) -> Process:
        """What is learned of the programs, or of those that are `wanted`, a mask."""
        kept = np.full(len(self.over), True) if wanted is None else wanted
        models = [m for m, one in zip(self.models, kept, strict=True) if one]
        return fitted(self.vectors[kept], self.over[kept], models)
