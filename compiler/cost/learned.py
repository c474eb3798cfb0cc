"""
The learned cost model: a residual over the roofline, op by op and of whole programs.

    by ops     = 2 ** extra * call + sum of roofline(op) * 2 ** trees(op)
    by program = roofline(program) * 2 ** process(program)
    seconds    = by ops ** (1 - share) * by program ** share
    a variant  = seconds of the program * a geometric mean of what it gains by ops, by
                 program, and by a process of gains

The trees are boosted on an op's features (`boosting`), the processes know the programs
that were measured (`processes`): they err in different ways. How far held-out families
were off gives the interval around a prediction (split conformal prediction: Lei et al.
2018), and a program of which much is unlike anything measured is
predicted by neither, but by the roofline alone, scaled. So is what a variant gains, if
the program is none that is unlike them and the variant is.
"""

from __future__ import annotations

import json
import math
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
from .boosting import Sums, boost, weights_of
from .facts import OpFacts
from .features import OP_FEATURES, op_vector
from .measurements import Measurement
from .processes import Kernels, Processes, Programs, processes_from, program_vector
from .roofline import Prediction, program_roofline, roofline_seconds
from .trees import Settings, TrainingError, Trees, averaged, trees_from

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

COVERED = 0.9
"""The part of held-out programs that the interval holds."""
OUTSIDE = 0.25
"""Of the predicted time: if more is in ops unlike those seen, the roofline decides."""
MARGIN = 1.0
"""A feature may be beyond those seen by this, in powers of two."""
LEAST = 0.02
"""An op that took less than this part of its roofline took as good as nothing."""
SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
"""
How much the process of whole programs may count: as much as tells families best that
were held out in training. Where a profiler tells what ops take, trees need it less.
"""
FOLDS = 2
BAGS = 2
"""A model is the mean of so many, trained with other seeds."""
OPS = Settings(trees=100, depth=6, rate=0.15, part=0.4, features=0.4, leaf=5)

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
    programs: Processes
    extra: float
    """log2 of what a call takes, over the rates' `call_seconds`."""
    share: float
    """How much `programs` counts, of `SHARES`."""
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

    def predict(
        self, ops: Sequence[OpFacts], rates: Rates, plain: Sequence[OpFacts] = ()
    ) -> Prediction:
        """A call of a program of `ops`; if there is one, a variant of `plain`."""
        line = program_roofline(ops, rates)
        if not ops:
            return Prediction(line, line, line, line)
        rows = np.array([op_vector(one, rates) for one in ops], np.float32)
        seconds = self.op_seconds(ops, rows, rates)
        outside = float(seconds[self._outside(rows)].sum() / seconds.sum())
        said = ""
        if outside > OUTSIDE:
            said = f"{outside:.0%} of it is in ops unlike those measured"
        if plain:
            return self._variant(ops, rates, self.predict(plain, rates), plain, said)
        if said:
            return self._around(line * 2**self.scale, self.scaled_spread, line, said)
        by_ops, by_program = self._call(seconds, rates), self.by_program(ops, rates)
        mixed = by_ops ** (1 - self.share) * by_program**self.share
        return self._around(mixed, self.spread, line, "")

    def _variant(
        self,
        ops: Sequence[OpFacts],
        rates: Rates,
        base: Prediction,
        plain: Sequence[OpFacts],
        unlike: str,
    ) -> Prediction:
        """What is gained on `plain`: all variants are told by the same."""
        line = program_roofline(ops, rates)
        if unlike and not base.reason:
            # What it does otherwise is what was never seen.
            seconds = base.seconds * line / base.roofline
        else:
            seconds = base.seconds * self.gain(ops, plain, rates)
        reason = unlike or base.reason
        spread = self.scaled_spread if reason else self.spread
        return self._around(seconds, spread, line, reason)

    def gain(
        self, ops: Sequence[OpFacts], plain: Sequence[OpFacts], rates: Rates
    ) -> float:
        """
        What a variant of `plain` takes over it: trees, level and gains count alike.

        Shares that were best for the programs of families held out in training ordered
        those of real models worse than equal ones (Kendall's tau 0.67 and 0.73).
        """
        vectors = [np.array([program_vector(one, rates)]) for one in (ops, plain)]
        line = program_roofline(ops, rates) / program_roofline(plain, rates)
        said = (
            self.by_ops(ops, rates) / self.by_ops(plain, rates),
            self.by_program(ops, rates) / self.by_program(plain, rates),
            line * 2 ** float(self.programs.gain(*vectors)[0]),
        )
        return math.prod(said) ** (1 / len(said))

    def by_ops(self, ops: Sequence[OpFacts], rates: Rates) -> float:
        """What the trees alone say of a program."""
        rows = np.array([op_vector(one, rates) for one in ops], np.float32)
        return self._call(self.op_seconds(ops, rows, rates), rates)

    def _call(self, seconds: Array, rates: Rates) -> float:
        return float(seconds.sum()) + rates.call_seconds * 2**self.extra

    def by_program(self, ops: Sequence[OpFacts], rates: Rates) -> float:
        """What the process alone says of a program."""
        vector = np.array([program_vector(ops, rates)])
        over = float(self.programs.of(vector)[0])
        return program_roofline(ops, rates) * 2**over

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
            **{f"programs.{name}": v for name, v in self.programs.arrays().items()},
            "low": self.low,
            "high": self.high,
            "kinds": np.array(sorted(self.kinds), np.int32),
            "numbers": np.array(
                [
                    self.extra,
                    self.share,
                    self.scale,
                    self.spread,
                    self.scaled_spread,
                ]
            ),
        }


def backend_model_from(arrays: Mapping[str, Array]) -> BackendModel:
    """What `BackendModel.arrays` gave. Raises KeyError or ValueError for others."""
    ops = trees_from(_beginning("ops.", arrays), len(OP_FEATURES))
    programs = processes_from(_beginning("programs.", arrays))
    extra, share, *others = map(float, arrays["numbers"])
    scale, spread, scaled_spread = others
    low, high = arrays["low"], arrays["high"]
    if not len(low) == len(high) == len(_CHECKED):
        raise ValueError("low, high: found bounds of other features")
    kinds = frozenset(map(int, arrays["kinds"]))
    bounds = low, high, kinds
    return BackendModel(
        ops,
        programs,
        extra,
        share,
        *bounds,
        scale,
        spread,
        scaled_spread,
    )


def _beginning(prefix: str, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Those whose names begin so, by the rest of the names."""
    return {
        n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)
    }


# --- training ---


def train(
    measurements: Sequence[Measurement], seed: int = 0, bags: int = BAGS
) -> BackendModel:
    """
    A model of what was measured, all on one backend: the mean of `bags` trainings.

    Raises TrainingError for fewer than two families, and where scikit-learn is missing.
    """
    families = sorted({one.family for one in measurements})
    if len(families) < 2:
        raise TrainingError(f"found families {families}, wanted two or more")
    sums, known = _sums(measurements), Programs.of(measurements)
    kernels = known.kernels()
    by_ops, by_program = _held_out(sums, known, kernels, seed)

    def off(share: float) -> Array:
        return np.abs((1 - share) * by_ops + share * by_program)

    weights = weights_of(sums.model)
    share = min(SHARES, key=lambda one: float(weights @ off(one)))
    over = known.over
    scale = float(np.median(over))
    checked = sums.rows[:, _CHECKED]
    trained = [boost(sums, seed * bags + bag, OPS) for bag in range(bags)]
    return BackendModel(
        averaged([trees for trees, _ in trained]),
        known.processes(kernels),
        float(np.mean([extra for _, extra in trained])),
        share,
        checked.min(axis=0),
        checked.max(axis=0),
        frozenset(map(int, sums.rows[:, _KIND])),
        scale,
        _quantile(off(share)),
        _quantile(np.abs(over - scale)),
    )


def _held_out(
    sums: Sums, known: Programs, kernels: Kernels, seed: int
) -> tuple[Array, Array]:
    """
    How far each program is off, as log2, by models that did not see its family.

    By the trees, and by the process. What is said of programs that it was trained on is
    better than of any else, so neither the interval nor how much each of the two counts
    may be learned from that.
    """
    families = sorted(set(known.families))
    order = np.random.default_rng(seed).permutation(len(families))
    folds = {families[int(n)]: place % FOLDS for place, n in enumerate(order)}
    fold = np.array([folds[family] for family in known.families])
    by_ops, by_program = np.zeros(len(fold)), np.zeros(len(fold))
    for place in range(FOLDS):
        outside = fold == place
        if outside.any() and not outside.all():
            trees, extra = boost(sums.of(~outside), seed, OPS)
            asked = sums.of(outside)
            said = asked.predicted(trees.predict(asked.rows), extra)
            by_ops[outside] = np.log2(asked.seconds / said)
            over = known.kept(~outside).processes(kernels).of(known.vectors[outside])
            by_program[outside] = known.over[outside] - over
    return by_ops, by_program


def _quantile(off: Array) -> float:
    """The conformal quantile: of n values the ceil((n + 1) `COVERED`)-th."""
    place = min(math.ceil((len(off) + 1) * COVERED), len(off)) - 1
    return float(np.sort(off)[place])


def _sums(measurements: Sequence[Measurement]) -> Sums:
    """The ops, each that differs once, with the mean of its times."""
    places: dict[tuple[OpFacts, Rates], int] = {}
    times: list[list[float]] = []
    shares: list[float] = []
    uses: list[tuple[int, int]] = []
    for program, one in enumerate(measurements):
        known = sum(seconds or 0.0 for seconds in one.op_seconds)
        # What a profiler adds or misses is spread over all.
        factor = one.seconds / known if known else 1.0
        for facts, seconds in zip(one.ops, one.op_seconds, strict=True):
            place = places.setdefault((facts, one.rates), len(places))
            if place == len(times):
                times.append([])
                shares.append(0.0)
            uses.append((program, place))
            times[place].append((seconds or 0.0) * factor)
            # Of kernels that run beside each other a profiler tells no op's time.
            if known and not one.rates.fuses:
                shares[place] = max(shares[place], (seconds or 0.0) / known)
    lines = np.array([roofline_seconds(*key) for key in places])
    means = np.array([np.mean(found) for found in times])
    program, op = np.array(uses).T
    models = [one.model for one in measurements]
    return Sums(
        np.array([op_vector(*key) for key in places], np.float32),
        lines,
        np.log2(np.maximum(means / lines, LEAST)),
        np.array(shares),
        program,
        op,
        np.array([one.seconds for one in measurements]),
        np.array([one.rates.call_seconds for one in measurements]),
        np.unique(models, return_inverse=True)[1],
    )


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
