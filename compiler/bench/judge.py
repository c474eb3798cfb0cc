"""Whether the outputs of two contenders agree, by the tolerances of ``verify``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..verify import Comparison, compare, magnitude, softened
from .contenders import absence, oracle
from .machine import distinct_cores
from .process import ContenderProcess, setting_of
from .protocol import ContenderError


@dataclass
class Judge:
    """Compares outputs as `verify` does."""

    path: Path
    arrays: Mapping[str, Any]
    names: Sequence[str]
    logits: Mapping[str, str]
    """The tensors that saturating softmaxes are of, by output."""
    limit_seconds: float
    """How long an oracle may take to give the logits."""
    note: str | None = None
    """What kept it from judging as `verify` does."""
    _largest: dict[str, float] | None = None

    def worst(self, found: Sequence[Any], wanted: Sequence[Any]) -> Comparison:
        """The output that is furthest from its tolerance."""
        if len(found) != len(wanted):
            bad = math.inf
            where = ("outputs", "output", "", "sequence", (len(found),))
            return Comparison(*where, bad, bad, bad, 0.0, False)
        each = [
            self._one(name, a, b)
            for name, a, b in zip(self.names, found, wanted, strict=True)
        ]
        return max(each, key=lambda c: (not c.ok, c.relative))

    def _one(self, name: str, found: Any, wanted: Any) -> Comparison:
        compared = compare(name, "output", "", found, wanted)
        if compared.ok or name not in self.logits or compared.tolerance == 0.0:
            return compared
        largest = self._largest_logits()
        return softened(compared, largest[name]) if name in largest else compared

    def _largest_logits(self) -> dict[str, float]:
        """``max|x|`` of the softmaxes' operands, by output; asked for once."""
        if self._largest is None:
            try:
                sizes = [magnitude(value) for value in self._logits()]
                self._largest = dict(zip(self.logits, sizes, strict=True))
            except ContenderError as error:
                self._largest = {}
                self.note = f"softmaxes are judged without their logits: {error}"
        return self._largest

    def _logits(self) -> list[Any]:
        name = "reference" if absence("onnxruntime") else "onnxruntime"
        described = oracle(name, self.path, list(self.logits.values()))
        threads = len(distinct_cores()) or 1
        with setting_of(self.arrays, threads) as setting:
            asked = ContenderProcess(name, described, setting)
            with closing(asked):
                asked.start(self.limit_seconds)
                values, _ = asked.outputs(self.limit_seconds)
                return values
