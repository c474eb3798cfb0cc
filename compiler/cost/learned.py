"""
The learned cost model: a residual over the roofline, op by op and of whole programs.

    by ops     = 2 ** extra * call + sum of roofline(op) * 2 ** trees(op)
    by program = roofline(program) * 2 ** process(program)
    seconds    = by ops ** (1 - share) * by program ** share
    a variant  = seconds of the program * a geometric mean of what it gains by ops, by
                 program, and by a process of gains

The trees know an op's features (`trees`), the processes the programs that were measured
(`processes`): they err in different ways. How far families were off that were held out
in `training` gives the interval around a prediction, and a program of which much is
unlike anything measured is predicted by neither, but by the roofline alone, scaled. So
is what a variant gains, if the program is none that is unlike them and the variant is.
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
from .facts import OpFacts
from .features import OP_FEATURES, op_vector
from .processes import Processes, processes_from, program_vector
from .roofline import Prediction, program_roofline, roofline_seconds
from .trees import Trees, trees_from

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

OUTSIDE = 0.25
"""Of the predicted time: if more is in ops unlike those seen, the roofline decides."""
MARGIN = 1.0
"""A feature may be beyond those seen by this, in powers of two."""

CHECKED = [
    place
    for place, name in enumerate(OP_FEATURES)
    if name in ("flops", "transcendentals", "bytes_read", "bytes_written", "depth")
]
"""The features by which an op is like those seen, or not."""
KIND = OP_FEATURES.index("kind")


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
    """How much `programs` counts beside the ops."""
    low: Array
    high: Array
    """The features of `CHECKED` that were seen lie between."""
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
        checked = rows[:, CHECKED]
        beyond = (checked < self.low - MARGIN) | (checked > self.high + MARGIN)
        known = np.isin(rows[:, KIND].astype(int), sorted(self.kinds))
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
    if not len(low) == len(high) == len(CHECKED):
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
