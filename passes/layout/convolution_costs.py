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
    """What a backend takes for convolutions. Seconds are those that were measured."""

    few: int
    """A kernel along two axes of so many places at most has few."""
    few_alone_seconds: float
    """A product takes this where a kernel sees one channel and has few places."""
    many_alone_seconds: float
    """A product takes this where a kernel sees one channel and has more places."""
    row_alone_seconds: float
    """A product takes this where a kernel sees one channel and has one axis."""
    unfold_seconds: float
    """An element of the image takes this for each place of any other of two axes."""
    shift_seconds: float
    """An element of the result takes this for each place of any other of one axis."""
    point_seconds: float
    """A point of a transform along an axis takes this, one way."""
    longest: int
    """Transforms of so many points at most are products of matrices; 0 if none is."""
    share: float
    """Those products reach this share of the target's arithmetic."""
    frequency_seconds: float
    """A complex product takes this where a kernel sees several channels."""


BACKENDS: Mapping[str, Habits] = {
    "numpy": Habits(
        few=0,
        few_alone_seconds=0.26e-9,
        many_alone_seconds=0.26e-9,
        row_alone_seconds=0.6e-9,
        unfold_seconds=0.25e-9,
        shift_seconds=0.3e-9,
        point_seconds=4e-9,
        longest=320,
        share=0.6,
        frequency_seconds=0.7e-9,
    ),
    "jax": Habits(
        few=121,
        few_alone_seconds=0.06e-9,
        many_alone_seconds=0.45e-9,
        row_alone_seconds=0.9e-9,
        unfold_seconds=0.5e-9,
        shift_seconds=0.0,
        point_seconds=2e-9,
        longest=0,
        share=0.0,
        frequency_seconds=4.5e-9,
    ),
}
"""By the backend's name."""

TURN_SECONDS = 1e-9
"""An element takes this where channels that stand last are put second, or back."""
PASS_SECONDS = 1.5e-9
"""A point takes this to be read and written on its way through both transforms."""


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
    """There are so many windows along each axis."""
    lengths: tuple[int, ...]
    """The transforms have so many points along each axis."""
    itemsize: int

    @property
    def depth(self) -> int:
        """How many channels a kernel sees."""
        return self.channels // self.group

    @property
    def frequencies(self) -> int:
        """How many frequencies there are to multiply."""
        return math.prod(self.lengths[:-1]) * (self.lengths[-1] // 2 + 1)

    def direct(self, engine: Engine, habits: Habits) -> float:
        """The seconds of the sum over the kernel."""
        places = math.prod(self.kernel)
        results = self.images * self.maps * math.prod(self.counts)
        products = results * places * self.depth
        if self.depth == 1 and self.group == self.maps == self.channels > 1:
            if len(self.kernel) == 1:
                return products * habits.row_alone_seconds
            few = places <= habits.few
            each = habits.few_alone_seconds if few else habits.many_alone_seconds
            return products * each
        seconds = engine.seconds(2.0 * products, 0.0, self._element)
        if len(self.kernel) == 1:
            return seconds + results * places * habits.shift_seconds
        read = self.images * self.channels * math.prod(self.counts) * places
        return seconds + read * habits.unfold_seconds

    def by_spectra(self, engine: Engine, habits: Habits) -> float:
        """The seconds of transforms, and of the product between them."""
        seen, made = self.images * self.channels, self.images * self.maps
        seconds = seen * self._transform(engine, habits, self.sizes)
        seconds += made * self._transform(engine, habits, self.counts)
        points = (seen + made) * math.prod(self.lengths)
        seconds += points * PASS_SECONDS / 2
        if len(self.kernel) == 2:
            turned = math.prod(self.sizes) * seen + math.prod(self.counts) * made
            seconds += turned * TURN_SECONDS
        if self.depth > 1:
            seconds += made * self.depth * self.frequencies * habits.frequency_seconds
        read = 2 * self.itemsize * self.maps * self.depth * self.frequencies
        return seconds + engine.seconds(0.0, read)

    def _transform(
        self, engine: Engine, habits: Habits, sizes: tuple[int, ...]
    ) -> float:
        """The seconds of one image, of which `sizes` are no zeros, or are wanted."""
        last, length = sizes[-1], self.lengths[-1]
        half = length // 2 + 1
        rows = math.prod(sizes[:-1])
        seconds, flops = 0.0, 0.0
        if length <= habits.longest:
            flops += 4.0 * rows * last * half
        else:
            seconds += rows * length * habits.point_seconds
        if len(sizes) == 2:
            height, length = sizes[0], self.lengths[0]
            if length <= habits.longest:
                flops += 8.0 * length * height * half
            else:
                seconds += 2 * half * length * habits.point_seconds
        if not flops:
            # Without products of matrices, their share may be 0.
            return seconds
        return seconds + flops / (engine.peak(self._element) * habits.share)

    @property
    def _element(self) -> str:
        return "float32" if self.itemsize == 4 else "float64"
