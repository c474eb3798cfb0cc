"""
What calibration measures of a value, batch by batch.

A histogram over ``[-reach, reach]`` grows by doubling its reach and adding its bins
pairwise, so one pass over the data is enough and the order of batches is no matter.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...dialects.onnx.types import Array
from ...dialects.quant import Format
from ...dialects.quant.numbers import SHRINKS, parameters

BINS = 1 << 14
"""Of a histogram; even, so that 0 is the edge of two."""

METHODS = ("min-max", "percentile", "mse")
"""How a range is chosen."""


@dataclass(frozen=True)
class Statistics:
    """What was measured of one value."""

    low: float
    high: float
    channels: Array
    """The largest magnitude of every channel, float32."""
    bins: Array
    """How many elements lie in each bin, int64."""
    reach: float
    """The histogram goes from ``-reach`` to ``reach``."""
    second: Array | None = None
    """The mean of ``x x^T`` over all rows `x` of channels, float32; not of images."""

    def range(self, method: str, form: Format, percent: float) -> tuple[float, float]:
        """The range that `method` (of `METHODS`) gives `form`."""
        if method == "percentile":
            return self._percentile(percent)
        return self._least_error(form) if method == "mse" else (self.low, self.high)

    def _percentile(self, percent: float) -> tuple[float, float]:
        """Where all but ``100 - percent`` percent of the elements lie, half each."""
        seen = np.cumsum(self.bins)
        aside = (100 - percent) / 200 * float(seen[-1])
        edges = np.linspace(-self.reach, self.reach, BINS + 1)
        first = int(np.searchsorted(seen, aside, side="right"))
        last = int(np.searchsorted(seen, float(seen[-1]) - aside, side="left"))
        low, high = float(edges[first]), float(edges[min(last, BINS - 1) + 1])
        return max(low, self.low), min(high, self.high)

    def _least_error(self, form: Format) -> tuple[float, float]:
        """The range of least squared error: both ends shrunk, then each alone."""
        full = np.linspace(-self.reach, self.reach, BINS + 1)
        used = np.nonzero(self.bins)[0]
        centres = ((full[:-1] + full[1:]) / 2)[used]
        counts = self.bins[used]

        def error(low: float, high: float) -> float:
            fitted = parameters(np.asarray(low), np.asarray(high), form)
            scale, zero = float(fitted.scale), float(fitted.zero)
            codes = np.clip(np.rint(centres / scale) + zero, form.low, form.high)
            return float((np.square((codes - zero) * scale - centres) * counts).sum())

        low, high = self.low, self.high
        _, part = min((error(low * p, high * p), -p) for p in SHRINKS)
        low, high = -low * part, -high * part
        if not form.symmetric:
            _, part = min((error(low * p, high), -p) for p in SHRINKS)
            low = -low * part
            _, part = min((error(low, high * p), -p) for p in SHRINKS)
            high = -high * part
        return low, high


class Observer:
    """Takes the batches of one value."""

    def __init__(self, axis: int, second: bool = False):
        self.axis = axis
        """The channels' axis."""
        self._wants_second = second
        self._low, self._high = np.inf, -np.inf
        self._channels: Array | None = None
        self._bins = np.zeros(BINS, np.int64)
        self._reach = 0.0
        self._second: Array | None = None
        self._rows = 0

    def update(self, x: Array) -> None:
        """
        Measure a batch of any sizes but that of the channels' axis.

        Raises ValueError for values that are not finite.
        """
        if x.size == 0:
            return
        x = x.astype(np.float32, copy=False)
        low, high = float(x.min()), float(x.max())
        if not (np.isfinite(low) and np.isfinite(high)):
            raise ValueError("found values that are not finite")
        self._low, self._high = min(self._low, low), max(self._high, high)
        others = tuple(d for d in range(x.ndim) if d != self.axis % x.ndim)
        channels = np.abs(x).max(others) if others else np.abs(x)
        before = self._channels
        self._channels = channels if before is None else np.maximum(before, channels)
        self._count(x, max(-low, high))
        if self._wants_second:
            rows = np.moveaxis(x, self.axis, -1).reshape(-1, channels.size)
            product = (rows.T @ rows).astype(np.float64)
            self._second = product if self._second is None else self._second + product
            self._rows += rows.shape[0]

    def _count(self, x: Array, largest: float) -> None:
        if self._reach == 0:
            # A power of two: histograms of other batches have the same edges.
            self._reach = float(2 ** np.ceil(np.log2(max(largest, 1e-30))))
        while largest > self._reach:
            self._reach *= 2
            pairs = self._bins.reshape(-1, 2).sum(1)
            self._bins = np.zeros(BINS, np.int64)
            self._bins[BINS // 4 : 3 * BINS // 4] = pairs
        place = (x.reshape(-1) / np.float32(self._reach) + 1) * (BINS // 2)
        index = np.minimum(place.astype(np.int32), BINS - 1)
        self._bins += np.bincount(index, minlength=BINS)

    def statistics(self) -> Statistics | None:
        """What was measured; None where nothing was seen."""
        if self._channels is None:
            return None
        second = None
        if self._second is not None:
            second = (self._second / self._rows).astype(np.float32)
        return Statistics(
            self._low, self._high, self._channels, self._bins, self._reach, second
        )
