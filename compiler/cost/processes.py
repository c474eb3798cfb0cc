"""
What whole programs take by those most like them: Gaussian processes (`gaussian`).

    log2(seconds / roofline) = level(program)
    log2(variant / program)  = gains(variant) - gains(program) + log2 of the rooflines'

Trees know an op only as one like others; beside them stands what programs of such
shares of work took as a whole.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from ...passes.analysis.targets import Rates
from .facts import OpFacts
from .features import CLASSES, class_of, stacked
from .gaussian import (
    Kernel,
    Process,
    fitted,
    learned_kernel,
    process_from,
    usual_kernel,
)
from .measurements import Measurement
from .roofline import is_merged, program_roofline, roofline_seconds

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

LEVEL_SPREAD, GAINS_SPREAD = 0.3, 0.2
"""
How far, as logarithms, the length of a feature may be off the usual one.

What programs of a model differ by is little, and few models tell of it: learned without
bounds, lengths are of the models that were seen (Kendall's tau 0.60 in place of 0.74).
"""
OF_A_MODEL = 10.0
"""The variance of what programs of a model have in common where they are compared."""
FARTHEST = 6.0
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
class Processes:
    """
    What was learned of programs: what they take, and what a model's differ by.

    What the programs of a model have in common may be the model's alone, or of the hour
    in which it was measured. For what they take it is learned how much that is; for how
    they differ all of it is left out, and other features matter.
    """

    middle: Array
    scale: Array
    """Of each feature: its mean and standard deviation."""
    rows: Array
    """The measured programs, ``[programs, features]``, by these."""
    level: Process
    gains: Process

    def of(self, vectors: Array) -> Array:
        """``[n]`` of ``vectors[n, features]``: seconds over the roofline, as log2."""
        return self.level.of(_scaled(vectors, self.middle, self.scale), self.rows)

    def gain(self, vectors: Array, plain: Array) -> Array:
        """How much more that is than of ``plain[n, features]``, of the same models."""
        said = [
            self.gains.of(_scaled(one, self.middle, self.scale), self.rows)
            for one in (vectors, plain)
        ]
        return said[0] - said[1]

    def arrays(self) -> dict[str, Array]:
        """For a file; see `processes_from`."""
        held = {name: getattr(self, name) for name in _ARRAYS}
        for name in _PROCESSES:
            process: Process = getattr(self, name)
            held |= {f"{name}.{n}": array for n, array in process.arrays().items()}
        return held


_ARRAYS, _PROCESSES = ("middle", "scale", "rows"), ("level", "gains")


def _scaled(vectors: Array, middle: Array, scale: Array) -> Array:
    return np.clip((vectors - middle) / scale, -FARTHEST, FARTHEST)


def processes_from(arrays: Mapping[str, Array]) -> Processes:
    """What `Processes.arrays` gave. Raises KeyError or ValueError for what is none."""
    middle, scale, rows = (arrays[name] for name in _ARRAYS)
    features = len(PROGRAM_FEATURES)
    if not middle.shape == scale.shape == rows.shape[1:] == (features,):
        raise ValueError("found a process of other features")
    level, gains = (
        process_from(arrays, f"{name}.", len(rows), features) for name in _PROCESSES
    )
    return Processes(middle, scale, rows, level, gains)


Kernels: TypeAlias = tuple[Kernel, Kernel]
"""Those of the level, and of the gains."""


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

    def kernels(self) -> Kernels:
        """The likeliest. Raises TrainingError where SciPy is not installed."""
        rows, _, _ = self._rows()
        start, group = usual_kernel(rows.shape[1]), self._group()
        level = learned_kernel(rows, self.over, group, start, LEVEL_SPREAD)
        apart = usual_kernel(rows.shape[1], OF_A_MODEL)
        gains = learned_kernel(
            rows, self.over, group, apart, GAINS_SPREAD, fixed_same=True
        )
        return level, gains

    def processes(self, kernels: Kernels) -> Processes:
        """What is learned of the programs by `kernels`."""
        rows, middle, scale = self._rows()
        level, gains = (
            fitted(kernel, rows, self.over, self._group()) for kernel in kernels
        )
        return Processes(middle, scale, rows.astype(np.float32), level, gains)

    def kept(self, wanted: Array) -> Programs:
        """Those that are `wanted`, a mask."""
        places = np.flatnonzero(wanted)
        return Programs(
            self.vectors[wanted],
            self.lines[wanted],
            self.over[wanted],
            tuple(self.models[place] for place in places),
            tuple(self.families[place] for place in places),
        )

    def _rows(self) -> tuple[Array, Array, Array]:
        middle, scale = self.vectors.mean(axis=0), self.vectors.std(axis=0) + 1e-6
        return _scaled(self.vectors, middle, scale), middle, scale

    def _group(self) -> Array:
        return np.unique(self.models, return_inverse=True)[1]
