"""
How long a convolution takes, directly and by spectra: estimates from measurements.

The rate of arithmetic is the target's; what backends reach of it was measured on the
machine of ``targets/host-cpu.toml`` with kernels of 7 to 31 places along two axes, and
of 31 to 1023 along one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from ..analysis.targets import Engine


@dataclass(frozen=True)
class Habits:
    """What a backend takes; seconds of one element, point or product, where so."""

    few: int
    """Up to so many places of a kernel that sees one channel …"""
    alone: float
    """… a product takes so long,"""
    alone_many: float
    """and so long in a larger kernel."""
    alone_row: float
    """In one that has one axis."""
    unfold: float
    """An element of the image, for each place of a kernel of several channels."""
    shift: float
    """An element of the result, for each place of such a kernel of one axis."""
    point: float
    """A point of a transform along an axis, one way."""
    longest: int
    """Up to so many points a transform is a product of matrices; 0 if none is."""
    share: float
    """What such products reach of the target's arithmetic."""
    frequency: float
    """A complex product where a kernel sees several channels."""


BACKENDS: Mapping[str, Habits] = {
    "numpy": Habits(
        0, 0.26e-9, 0.26e-9, 0.6e-9, 0.25e-9, 0.3e-9, 4e-9, 320, 0.6, 0.7e-9
    ),
    "jax": Habits(121, 0.06e-9, 0.45e-9, 0.9e-9, 0.5e-9, 0.0, 2e-9, 0, 0.0, 4.5e-9),
}
"""By the backend's name."""

TURN = 1e-9
"""Seconds of an element of an image whose channels stand last, to have them second."""
PASS = 1.5e-9
"""Seconds of a point for reading and writing it on its way through both transforms."""


@dataclass(frozen=True)
class Window:
    """A convolution with stride 1 of images of known sizes."""

    images: int
    channels: int
    maps: int
    group: int
    kernel: tuple[int, ...]
    sizes: tuple[int, ...]
    counts: tuple[int, ...]
    """How many windows there are along each axis."""
    lengths: tuple[int, ...]
    """The points of the transforms."""
    itemsize: int

    @property
    def depth(self) -> int:
        """How many channels a kernel sees."""
        return self.channels // self.group

    @property
    def frequencies(self) -> int:
        """How many there are to multiply."""
        return math.prod(self.lengths[:-1]) * (self.lengths[-1] // 2 + 1)

    def direct(self, engine: Engine, habits: Habits) -> float:
        """The seconds of the sum over the kernel."""
        places = math.prod(self.kernel)
        results = self.images * self.maps * math.prod(self.counts)
        products = results * places * self.depth
        if self.depth == 1 and self.group == self.maps == self.channels > 1:
            if len(self.kernel) == 1:
                return products * habits.alone_row
            few = places <= habits.few
            return products * (habits.alone if few else habits.alone_many)
        seconds = engine.seconds(2.0 * products, 0.0, self._element)
        if len(self.kernel) == 1:
            return seconds + results * places * habits.shift
        read = self.images * self.channels * math.prod(self.counts) * places
        return seconds + read * habits.unfold

    def by_spectra(self, engine: Engine, habits: Habits) -> float:
        """The seconds of transforms, and of the product between them."""
        seen, made = self.images * self.channels, self.images * self.maps
        seconds = seen * self._transform(engine, habits, self.sizes)
        seconds += made * self._transform(engine, habits, self.counts)
        points = (seen + made) * math.prod(self.lengths)
        seconds += points * PASS / 2
        if len(self.kernel) == 2:
            turned = math.prod(self.sizes) * seen + math.prod(self.counts) * made
            seconds += turned * TURN
        if self.depth > 1:
            seconds += made * self.depth * self.frequencies * habits.frequency
        read = 2 * self.itemsize * self.maps * self.depth * self.frequencies
        return seconds + engine.seconds(0.0, read)

    def _transform(
        self, engine: Engine, habits: Habits, sizes: tuple[int, ...]
    ) -> float:
        """Of one image, of which `sizes` are no zeros, or are wanted."""
        last, length = sizes[-1], self.lengths[-1]
        half = length // 2 + 1
        rows = math.prod(sizes[:-1])
        seconds, flops = 0.0, 0.0
        if length <= habits.longest:
            flops += 4.0 * rows * last * half
        else:
            seconds += rows * length * habits.point
        if len(sizes) == 2:
            height, length = sizes[0], self.lengths[0]
            if length <= habits.longest:
                flops += 8.0 * length * height * half
            else:
                seconds += 2 * half * length * habits.point
        if not flops:
            return seconds
        launch = engine.launch_seconds
        return seconds + (engine.seconds(flops, 0.0, self._element) - launch) / (
            habits.share
        )

    @property
    def _element(self) -> str:
        return "float32" if self.itemsize == 4 else "float64"
