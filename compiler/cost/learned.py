"""
The learned cost model: a residual over the roofline, op by op and for whole programs.

    seconds = factor(program) * (call + sum of roofline(op) * residual(op))

`residual` is boosted trees on an op's features, `factor` others on what the program is
made of. How far held-out families were off gives the interval around a prediction
(split conformal prediction: Lei et al. 2018), and a program of which much is unlike
anything measured is not predicted by the trees but by the roofline alone, scaled.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load

from ...dialects.errors import SardonyxError
from ...passes.analysis.targets import Rates
from .dataset import Measurement
from .facts import OpFacts
from .features import OP_FEATURES, PROGRAM_FEATURES, op_vector, program_vector
from .roofline import Prediction, program_roofline, roofline_seconds
from .trees import Settings, TrainingError, Trees, fit, trees_from

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

COVERED = 0.9
"""The part of held-out programs that the interval holds."""
OUTSIDE = 0.25
"""Of the predicted time: if more is in ops unlike those seen, the roofline decides."""
MARGIN = 1.0
"""A feature may be beyond those seen by this, in powers of two."""
LEAST = 0.02
"""An op that took less than this part of its roofline took as good as nothing."""
FOLDS = 4
OPS = Settings(trees=160, depth=7, rate=0.08, part=0.35, leaf=4)
PROGRAMS = Settings(trees=50, depth=3, rate=0.08, part=0.7, leaf=6)

_CHECKED = [
    place
    for place, name in enumerate(OP_FEATURES)
    if name in ("flops", "transcendentals", "bytes_read", "bytes_written", "depth")
]
"""The features by which an op is like those seen, or not."""
_KIND = OP_FEATURES.index("kind")


class CostModelError(SardonyxError):
    """A cost model that cannot be read."""


@dataclass(frozen=True)
class BackendModel:
    """The model of one backend."""

    ops: Trees
    programs: Trees
    low: Array
    high: Array
    """The features of `_CHECKED` that were seen lie between."""
    kinds: frozenset[int]
    scale: float
    """log2 of what programs took over their rooflines: the median."""
    spread: float
    """The interval is a factor of two to this, up and down."""
    scaled_spread: float
    """As `spread`, of the scaled roofline."""

    def predict(self, ops: Sequence[OpFacts], rates: Rates) -> Prediction:
        """A call of a program of `ops`."""
        line = program_roofline(ops, rates)
        if not ops:
            return Prediction(line, line, line, line)
        rows = np.array([op_vector(one, rates) for one in ops], np.float32)
        seconds = self.op_seconds(ops, rows, rates)
        outside = float(seconds[self._outside(rows)].sum() / seconds.sum())
        if outside > OUTSIDE:
            said = f"{outside:.0%} of it is in ops unlike those measured"
            return self._around(line * 2**self.scale, self.scaled_spread, line, said)
        summed = float(seconds.sum()) + rates.call_seconds
        vector = np.array([program_vector(ops, rates, seconds.tolist())], np.float32)
        factor = 2 ** float(self.programs.predict(vector)[0])
        return self._around(summed * factor, self.spread, line, "")

    def _around(
        self, seconds: float, spread: float, line: float, reason: str
    ) -> Prediction:
        width = 2**spread
        return Prediction(seconds, seconds / width, seconds * width, line, reason)

    def op_seconds(self, ops: Sequence[OpFacts], rows: Array, rates: Rates) -> Array:
        """What each op is expected to take."""
        lines = np.array([roofline_seconds(one, rates) for one in ops])
        return lines * 2 ** self.ops.predict(rows)

    def _outside(self, rows: Array) -> Array:
        """Which rows are unlike those seen."""
        checked = rows[:, _CHECKED]
        beyond = (checked < self.low - MARGIN) | (checked > self.high + MARGIN)
        known = np.isin(rows[:, _KIND].astype(int), sorted(self.kinds))
        return beyond.any(axis=1) | ~known

    def arrays(self) -> dict[str, Array]:
        """For a file; see `backend_model_from`."""
        return {
            **{f"ops.{name}": value for name, value in self.ops.arrays().items()},
            **{f"programs.{n}": value for n, value in self.programs.arrays().items()},
            "low": self.low,
            "high": self.high,
            "kinds": np.array(sorted(self.kinds), np.int32),
            "numbers": np.array([self.scale, self.spread, self.scaled_spread]),
        }


def backend_model_from(arrays: Mapping[str, Array]) -> BackendModel:
    """What `BackendModel.arrays` gave. Raises KeyError or ValueError for others."""

    def part(prefix: str, features: int) -> Trees:
        held = {
            name.removeprefix(prefix): value
            for name, value in arrays.items()
            if name.startswith(prefix)
        }
        return trees_from(held, features)

    scale, spread, scaled = map(float, arrays["numbers"])
    low, high = arrays["low"], arrays["high"]
    if not len(low) == len(high) == len(_CHECKED):
        raise ValueError("low, high: found bounds of other features")
    kinds = frozenset(map(int, arrays["kinds"]))
    ops = part("ops.", len(OP_FEATURES))
    programs = part("programs.", len(PROGRAM_FEATURES))
    return BackendModel(ops, programs, low, high, kinds, scale, spread, scaled)


# --- training ---


@dataclass(frozen=True)
class _Rows:
    """Ops that were measured: a row for each that differs from the others."""

    rows: Array
    wanted: Array
    weights: Array


def train(measurements: Sequence[Measurement], seed: int = 0) -> BackendModel:
    """
    A model of what was measured, all on one backend.

    Raises TrainingError for fewer than two families, and where scikit-learn is missing.
    """
    families = sorted({one.family for one in measurements})
    if len(families) < 2:
        raise TrainingError(f"found families {families}, wanted two or more")
    order = np.random.default_rng(seed).permutation(len(families))
    folds = {families[int(n)]: place % FOLDS for place, n in enumerate(order)}
    held = _Held(np.array([folds[one.family] for one in measurements]), measurements)
    vectors, wanted = held.programs(seed)
    weights = _model_weights(measurements)
    off = held.factors(vectors, wanted, weights, seed)
    seconds = np.array([one.seconds for one in measurements])
    lines = np.array([program_roofline(one.ops, one.rates) for one in measurements])
    over = np.log2(seconds / lines)
    scale = float(np.median(over))
    found = _op_rows(measurements)
    checked = found.rows[:, _CHECKED]
    return BackendModel(
        _fit_rows(found, seed),
        fit(vectors, wanted, weights, seed, PROGRAMS),
        checked.min(axis=0),
        checked.max(axis=0),
        frozenset(map(int, found.rows[:, _KIND])),
        scale,
        _quantile(np.abs(off)),
        _quantile(np.abs(over - scale)),
    )


@dataclass(frozen=True)
class _Held:
    """
    Programs in folds by family: what is learned of one is learned from the others.

    What trees say of programs that they were trained on is better than of any else, so
    neither the factor nor the interval may be learned from that.
    """

    fold: Array
    """Of each program."""
    measurements: Sequence[Measurement]

    def programs(self, seed: int) -> tuple[Array, Array]:
        """
        The features of each program, and log2 of what it took over the sum of its ops.
        """
        vectors = np.zeros((len(self.measurements), len(PROGRAM_FEATURES)), np.float32)
        wanted = np.zeros(len(self.measurements))
        for fold in range(FOLDS):
            of = zip(self.fold, self.measurements, strict=True)
            inside = [one for place, one in of if place != fold]
            if len(inside) == len(self.measurements):
                continue
            trees = _fit_rows(_op_rows(inside), seed)
            for place, one in enumerate(self.measurements):
                if self.fold[place] == fold:
                    summed, vectors[place] = _summed(trees, one)
                    wanted[place] = math.log2(one.seconds / summed)
        return vectors, wanted

    def factors(
        self, vectors: Array, wanted: Array, weights: Array, seed: int
    ) -> Array:
        """How far the factor of each program is off."""
        off = wanted.copy()
        for fold in range(FOLDS):
            inside, outside = self.fold != fold, self.fold == fold
            if inside.any() and outside.any():
                given = vectors[inside], wanted[inside], weights[inside]
                off[outside] -= fit(*given, seed, PROGRAMS).predict(vectors[outside])
        return off


def _quantile(off: Array) -> float:
    """The conformal quantile: of n values the ceil((n + 1) `COVERED`)-th."""
    place = min(math.ceil((len(off) + 1) * COVERED), len(off)) - 1
    return float(np.sort(off)[place])


def _fit_rows(found: _Rows, seed: int) -> Trees:
    return fit(found.rows, found.wanted, found.weights, seed, OPS)


def _op_rows(measurements: Sequence[Measurement]) -> _Rows:
    """
    The ops, each that differs once: its time is the mean, its weight by its share.
    """
    times: dict[tuple[OpFacts, Rates], list[float]] = {}
    shares: dict[tuple[OpFacts, Rates], float] = {}
    for one in measurements:
        known = sum(seconds or 0.0 for seconds in one.op_seconds)
        # What a profiler adds or misses is spread over all.
        factor = one.seconds / known if known else 1.0
        for facts, seconds in zip(one.ops, one.op_seconds, strict=True):
            key = facts, one.rates
            times.setdefault(key, []).append((seconds or 0.0) * factor)
            share = (seconds or 0.0) / known if known else 0.0
            shares[key] = max(shares.get(key, 0.0), share)
    rows = np.array([op_vector(*key) for key in times], np.float32)
    lines = np.array([roofline_seconds(*key) for key in times])
    means = np.array([np.mean(found) for found in times.values()])
    wanted = np.log2(np.maximum(means / lines, LEAST))
    weights = np.sqrt(np.array(list(shares.values())) + 1e-3)
    return _Rows(rows, wanted, weights)


def _summed(trees: Trees, one: Measurement) -> tuple[float, list[float]]:
    rows = np.array([op_vector(facts, one.rates) for facts in one.ops], np.float32)
    lines = np.array([roofline_seconds(facts, one.rates) for facts in one.ops])
    seconds = lines * 2 ** trees.predict(rows)
    vector = program_vector(one.ops, one.rates, seconds.tolist())
    return float(seconds.sum()) + one.rates.call_seconds, vector


def _model_weights(measurements: Sequence[Measurement]) -> Array:
    """Every model counts alike, however many of its programs were measured."""
    counts = Counter(one.model for one in measurements)
    return np.array([1 / counts[one.model] for one in measurements])


# --- files ---

SHIPPED = Path(__file__).with_name("model.safetensors")
"""What was trained on the measurements that we ship."""


@dataclass(frozen=True)
class CostModel:
    """The models of the backends, by their names."""

    backends: Mapping[str, BackendModel]

    def arrays(self) -> dict[str, Array]:
        """For a file of safetensors."""
        return {
            f"{backend}/{name}": np.ascontiguousarray(value)
            for backend, model in self.backends.items()
            for name, value in model.arrays().items()
        }


@cache
def shipped_cost_model() -> CostModel:
    """The model in `SHIPPED`, read once."""
    return read_cost_model(SHIPPED)


def read_cost_model(path: Path) -> CostModel:
    """
    The model in a file of safetensors. Raises CostModelError if it holds none.
    """
    try:
        arrays = load(path.read_bytes())
        by_backend: dict[str, dict[str, Array]] = {}
        for name, value in arrays.items():
            backend, _, rest = name.partition("/")
            by_backend.setdefault(backend, {})[rest] = value
        models = {name: backend_model_from(held) for name, held in by_backend.items()}
        return CostModel(models)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise CostModelError(f"{path}: cannot be read: {reason}") from error
    except (SafetensorError, json.JSONDecodeError, KeyError, ValueError) as error:
        raise CostModelError(f"{path}: found no cost model ({error})") from error
