"""
Gaussian processes that learn which features matter.

    y(x) = mean + near(x) + linear(x) + what its group has in common + noise

The covariance of `near` falls with the distance as Matérn's of order 3/2, in which each
feature has a length of its own; `linear` goes on where nothing was measured. Lengths
and variances are those by which what was measured is the likeliest: Rasmussen and
Williams, "Gaussian Processes for Machine Learning" (2006), sections 2.2, 4.2 and 5.4.1.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import numpy as np

from .trees import TrainingError

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

MOST_LEARNED = 700
"""Rows, drawn of more, by which lengths and variances are learned: it is cubic."""
STEPS = 60
"""Of the search for them."""
TINY = 1e-12


@dataclass(frozen=True)
class Kernel:
    """What two rows have in common; the rows' features have unit variance."""

    near: Array
    """``[features]``: of each the inverse of its length, squared."""
    linear: Array
    """``[features]``: the variance of each one's slope."""
    variance: float
    """Of `near`, where nothing is known."""
    same: float
    """Of what a group has in common."""
    noise: float

    def between(self, some: Array, others: Array) -> Array:
        """``[n, m]`` of ``some[n, features]`` and ``others[m, features]``."""
        near, _ = _matern(_squares(some, others, self.near))
        return self.variance * near + (some * self.linear) @ others.T

    def among(self, rows: Array, group: Array) -> Array:
        """``[n, n]`` of what was measured, with the groups' parts and the noise."""
        found = self.between(rows, rows) + self.same * (group[:, None] == group)
        return found + self.noise * np.eye(len(rows))

    def logs(self) -> Array:
        """log of all its numbers, see `_kernel_of`."""
        three = [self.variance, self.same, self.noise]
        return np.log(np.concatenate([self.near, self.linear, three]))


def usual_kernel(features: int, same: float = 0.1) -> Kernel:
    """One that knows nothing of the features: what learning begins with."""
    near = np.full(features, 1 / (4 * features))
    return Kernel(near, np.full(features, 0.3 / features), 1.0, same, 0.02)


def _kernel_of(logs: Array) -> Kernel:
    numbers = np.exp(logs)
    variance, same, noise = map(float, numbers[-3:])
    near, linear = np.split(numbers[:-3], 2)
    return Kernel(near, linear, variance, same, noise)


def _squares(some: Array, others: Array, near: Array) -> Array:
    """The squares of the distances."""
    ours, theirs = some * np.sqrt(near), others * np.sqrt(near)
    squares = (ours**2).sum(axis=1)[:, None] + (theirs**2).sum(axis=1)
    return np.maximum(squares - 2 * ours @ theirs.T, 0)


def _matern(squares: Array) -> tuple[Array, Array]:
    """Matérn's covariance of order 3/2, and its derivative by the squared distance."""
    distance = np.sqrt(3 * (squares + TINY))
    falling = np.exp(-distance)
    return (1 + distance) * falling, -1.5 * falling


def likelihood(
    kernel: Kernel, rows: Array, wanted: Array, group: Array
) -> tuple[float, Array]:
    """
    log of how likely ``wanted[n]`` is, but for a constant, and its slopes by `logs`.

    Rasmussen and Williams, equations 5.8 and 5.9. The mean is the likeliest one.
    """
    inverse, left, determinant = _solved(kernel, rows, wanted, group)
    pulled = inverse @ left
    value = -0.5 * float(left @ pulled) - 0.5 * determinant
    slope = 0.5 * (np.outer(pulled, pulled) - inverse)
    near, bend = _matern(_squares(rows, rows, kernel.near))
    bent = kernel.variance * slope * bend
    # The sum over pairs of bent * (x - x')**2, for each feature.
    apart = 2 * (bent.sum(axis=1) @ rows**2 - ((bent @ rows) * rows).sum(axis=0))
    along = ((slope @ rows) * rows).sum(axis=0)
    three = [
        kernel.variance * float((slope * near).sum()),
        kernel.same * float(slope[group[:, None] == group].sum()),
        kernel.noise * float(np.trace(slope)),
    ]
    return value, np.concatenate([kernel.near * apart, kernel.linear * along, three])


def _solved(
    kernel: Kernel, rows: Array, wanted: Array, group: Array
) -> tuple[Array, Array, float]:
    """The covariance's inverse, what is beside the mean, and log of its determinant."""
    covariance = kernel.among(rows, group)
    inverse = cast(Any, np.linalg.inv)(covariance)
    _, determinant = cast(Any, np.linalg.slogdet)(covariance)
    ones = inverse.sum(axis=0)
    return inverse, wanted - float(ones @ wanted / ones.sum()), float(determinant)


def learned_kernel(
    rows: Array,
    wanted: Array,
    group: Array,
    start: Kernel,
    spread: float,
    fixed_same: bool = False,
) -> Kernel:
    """
    The likeliest kernel, where a feature's numbers are about those of `start`.

    `spread` is the standard deviation of their logarithms by what is known before. Of
    more than `MOST_LEARNED` rows as many are drawn, the same every time. Raises
    TrainingError where SciPy is not installed.
    """
    try:
        optimize: Any = importlib.import_module("scipy.optimize")
    except ImportError as error:
        raise TrainingError(
            "found no SciPy, wanted it for training: pip install 'sardonyx[tune]'"
        ) from error
    if len(rows) > MOST_LEARNED:
        drawn = np.random.default_rng(0).choice(len(rows), MOST_LEARNED, replace=False)
        rows, wanted, group = rows[drawn], wanted[drawn], group[drawn]
    begin = start.logs()
    features = 2 * rows.shape[1]

    def off(logs: Array) -> tuple[float, Array]:
        value, slopes = likelihood(_kernel_of(logs), rows, wanted, group)
        away = (logs - begin) / spread**2
        away[features:] = 0
        return -value + 0.5 * float(away @ (logs - begin)), away - slopes

    same = math.log(start.same)
    bounds = [(-14.0, 4.0)] * features
    bounds += [(-6.0, 4.0), (same, same) if fixed_same else (-6.0, 4.0), (-9.0, 4.0)]
    found = optimize.minimize(
        off,
        begin,
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": STEPS},
    )
    return _kernel_of(found.x)


@dataclass(frozen=True)
class Process:
    """What was learned of rows that are kept elsewhere."""

    kernel: Kernel
    weights: Array
    """``[n]``, of each row that was measured."""
    mean: float

    def of(self, asked: Array, rows: Array) -> Array:
        """``[m]`` of ``asked[m, features]``, where `rows` were measured."""
        return self.mean + self.kernel.between(asked, rows) @ self.weights

    def arrays(self) -> dict[str, Array]:
        """For a file; see `process_from`."""
        kernel = self.kernel
        numbers = [kernel.variance, kernel.same, kernel.noise, self.mean]
        return {
            "near": kernel.near,
            "linear": kernel.linear,
            "weights": self.weights,
            "numbers": np.array(numbers),
        }


def process_from(
    arrays: Mapping[str, Array], prefix: str, rows: int, features: int
) -> Process:
    """What `Process.arrays` gave. Raises KeyError or ValueError for what is none."""
    near, linear, weights, numbers = (
        arrays[f"{prefix}{name}"] for name in ("near", "linear", "weights", "numbers")
    )
    if near.shape != (features,) or linear.shape != (features,):
        raise ValueError("found a process of other features")
    if weights.shape != (rows,):
        raise ValueError("found a process of other programs")
    variance, same, noise, mean = map(float, numbers)
    return Process(Kernel(near, linear, variance, same, noise), weights, mean)


def fitted(kernel: Kernel, rows: Array, wanted: Array, group: Array) -> Process:
    """The process of `kernel` that gives about ``wanted[n]`` for its rows."""
    inverse, left, _ = _solved(kernel, rows, wanted, group)
    return Process(kernel, inverse @ left, float((wanted - left).mean()))
