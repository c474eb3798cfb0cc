"""
The roofline of an op on a backend: arithmetic or memory, whichever takes longer.

After Williams, Waterman and Patterson, "Roofline" (2009), with two bandwidths, the
transcendentals beside, and what a backend takes for starting an op.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ...dialects.fusion import ELEMENTWISE
from ...passes.analysis.targets import Rates
from .facts import OpFacts

VIEWS = frozenset(["Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"])
"""Operators that only name a buffer anew."""
MERGED = frozenset(
    name.partition(".")[2] if name.startswith("onnx.") else name for name in ELEMENTWISE
)
"""Operators that a backend which fuses computes in one kernel with another."""
LEAST_SECONDS = 1e-9
"""What an op takes at least: times are compared by their ratios."""


def roofline_seconds(facts: OpFacts, rates: Rates) -> float:
    """
    What `facts` takes at least by `rates`.

        max(flops / peak, bytes / bandwidth) + transcendentals / rate + launch
    """
    if facts.op in VIEWS and not facts.fused:
        return rates.launch_seconds
    if rates.fuses and is_merged(facts):
        # What it reads stands in registers, and it has no kernel of its own.
        return LEAST_SECONDS + facts.transcendentals / rates.transcendentals
    moved = facts.bytes_read + facts.bytes_written
    cached = moved < rates.cache_bytes
    bandwidth = rates.cache_bandwidth if cached else rates.bandwidth
    work = max(facts.flops / rates.flops, moved / bandwidth)
    return work + facts.transcendentals / rates.transcendentals + rates.launch_seconds


def is_merged(facts: OpFacts) -> bool:
    """Whether it is elementwise and the only user of what such an op gives."""
    return facts.is_only_user and facts.op in MERGED and facts.producer in MERGED


def program_roofline(ops: Iterable[OpFacts], rates: Rates) -> float:
    """A call of a program: its ops, one after the other, and what a call takes."""
    return sum(roofline_seconds(op, rates) for op in ops) + rates.call_seconds


@dataclass(frozen=True)
class Prediction:
    """What a program is expected to take."""

    seconds: float
    low: float
    high: float
    """Between them are nine of ten programs of families never seen."""
    roofline: float
    """By the roofline alone."""
    reason: str = ""
    """Why it is the scaled roofline's; empty if the trees predicted it."""
