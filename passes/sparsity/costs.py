"""
How long products take, dense and without their zeros: estimates from measurements.

Rates of arithmetic and of memory are the target's; what a backend adds to them was
measured on the machine of ``targets/host-cpu.toml``, with products of 1024x1024 weights
and 16 to 1024 rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..analysis.targets import Engine


@dataclass(frozen=True)
class Habits:
    """What a backend adds to a target's rates; seconds of one element, where so."""

    peak: float
    """How much of the target's arithmetic large products reach."""
    row_bandwidth: float
    """Bytes a second, read and written, that whole rows are gathered with."""
    element: float
    """Gathering an element alone."""
    turn: float
    """Transposing an element before rows are gathered."""
    turn_back: float
    """Transposing an element that was gathered."""
    pack_bandwidth: float
    """Bytes a second that an operand of every product is packed with."""
    group: float
    """Seconds that each group takes besides."""
    expand: float
    """Expanding an element from a bitmap."""


BACKENDS: Mapping[str, Habits] = {
    "numpy": Habits(1.0, 6.0e10, 0.8e-9, 0.45e-9, 0.0, 4.0e10, 0.0, 2.0e-9),
    "jax": Habits(1.78, 5.5e10, 1.2e-9, 0.3e-9, 0.6e-9, 1e12, 2.0e-5, 1.5e-9),
}
"""By the backend's name."""


@dataclass(frozen=True)
class Work:
    """A product of `rows` rows with a weight ``[depth, width]`` of float32 or wider."""

    rows: int
    depth: int
    width: int
    itemsize: int = 4
    left: bool = False
    """Whether the weight is the left operand: rows of the other are gathered then."""

    def dense(self, engine: Engine, habits: Habits) -> float:
        """The seconds of the product as it is."""
        return self._product(engine, habits, self.depth, self.width)

    def gathered(self, engine: Engine, habits: Habits, groups: int, kept: int) -> float:
        """The seconds of `groups` products of `kept` inputs each, gathering too."""
        products = self._product(engine, habits, kept, self.width // groups)
        gathering = self._gathering(habits, groups, kept)
        return groups * (products + engine.launch_seconds + habits.group) + gathering

    def expanded(self, engine: Engine, habits: Habits) -> float:
        """The seconds of the product when the weight is expanded before."""
        expanding = self.depth * self.width * habits.expand
        return self.dense(engine, habits) + expanding

    def _gathering(self, habits: Habits, groups: int, kept: int) -> float:
        elements = groups * self.rows * kept
        by_rows = 2 * elements * self.itemsize / habits.row_bandwidth
        if self.left:
            return by_rows
        alone = elements * habits.element
        if self.rows == 1:
            return alone
        turning = self.rows * self.depth * habits.turn + elements * habits.turn_back
        # The kernels choose about so.
        return min(alone, by_rows + turning)

    def _product(self, engine: Engine, habits: Habits, depth: int, width: int) -> float:
        flops = 2.0 * self.rows * depth * width
        sizes = depth * width + self.rows * (depth + width)
        element = "float32" if self.itemsize == 4 else "float64"
        packing = self.rows * depth * self.itemsize / habits.pack_bandwidth
        moved = sizes * self.itemsize
        seconds = engine.seconds(flops / habits.peak, moved, element)
        # A single row is no product of matrices: nothing is packed.
        return seconds + (packing if self.rows > 1 else 0)
