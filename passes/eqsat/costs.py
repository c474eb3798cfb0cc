"""
What an op takes in seconds, by a roofline: begun, and computed or moved.

    seconds = overhead + max(flops / rate + curves / rate, bytes / rate)

The amounts are those of `analysis.cost`; the rates those of a small CPU (two cores),
where only their proportions matter. Programs are compared by them, not timed.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.ir import Operation

from ...dialects.onnx import Dim
from ...dialects.onnx.integers import IntegerValues
from ..analysis.cost import op_cost
from ..analysis.storage import CONSTANTS, evaluated, is_view


@dataclass(frozen=True)
class Machine:
    """How fast a machine is."""

    overhead: float = 1e-6
    """Seconds to begin an operator."""
    view: float = 1e-7
    """Seconds to give a buffer another shape."""
    flops: float = 5e10
    """Arithmetic operations per second."""
    curves: float = 1e9
    """Evaluations of exp, erf, … per second."""
    bytes: float = 1e10
    """Bytes read or written per second."""
    unknown: float = 1e-3
    """Seconds of an operator of which an amount is not known."""

    size: int = 16
    """What each symbolic size is taken to be."""

    def seconds(self, op: Operation, integers: IntegerValues) -> float:
        """What `op` takes; constants take nothing."""
        if op.name in CONSTANTS or not op.results:
            return 0.0
        if is_view(op):
            return self.view
        cost = op_cost(op, integers)
        flops, curves, read, written = map(self.amount, cost.amounts)
        if flops is None or curves is None or read is None or written is None:
            return self.unknown
        computed = flops / self.flops + curves / self.curves
        return self.overhead + max(computed, (read + written) / self.bytes)

    def amount(self, amount: Dim | None) -> int | None:
        """A polynomial at the sizes that symbols are taken to have."""
        if amount is None:
            return None
        return evaluated(amount, dict.fromkeys(amount.symbols, self.size))
