"""
Compute convolutions with large kernels as products of spectra.

    Conv(x, w, b)   ->   fourier.Conv(x, s, b)      s the conjugate spectra of w

After FlashFFTConv (Fu et al. 2023, arXiv:2311.05908): the spectra of constant kernels
are made when the model is compiled, transforms are products of matrices where those are
fast. A sum over n places of a kernel becomes one product, and what the transforms take
does not depend on n.

Each element of the result comes of all elements of the channels that it sees, not only
of those in its window. So a nan or infinity reaches the whole of every channel that is
made of the channel it is in, and rounding errors are relative to the largest element of
the image's channel, not to what is near.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue
from xdsl.passes import ModulePass

from ...backends.kernels.convolution import window_counts, window_pads
from ...dialects.errors import SardonyxError
from ...dialects.fourier import CONV, OPS, shortest, spectrum, spectrum_shape
from ...dialects.onnx import OnnxBuilder, OnnxOp, store_of
from ...dialects.onnx.types import (
    Array,
    element_of,
    numpy_dtype,
    shape_of,
    static_shape,
    tensor,
)
from ..analysis.targets import Engine, read_target
from ..facts import follows, is_wide_float, setting
from ..fold_constants import constant_of
from ..patterns import Declined, OnnxPattern, journal_of, rewrite_module
from .convolution_costs import BACKENDS, Habits, Window

LEAST_PLACES = 25
"""Kernels of fewer places are not looked at: no transform pays for them."""

MARGIN = 0.8
"""By spectra it takes so much of what it takes directly, at most."""


@dataclass(frozen=True)
class Spectral:
    """A convolution by spectra."""

    window: Window
    pads: tuple[int, ...]
    """What is padded before all axes of space, and after them."""


@dataclass(frozen=True)
class ConvBySpectra(OnnxPattern[Spectral]):
    """A convolution whose kernel is so large that transforms pay."""

    engine: Engine
    habits: Habits
    max_bytes: int

    name = "conv-by-spectra"
    roots = frozenset(["onnx.Conv"])

    def decide(self, op: OnnxOp) -> Spectral | Declined:
        image, weight, _ = op.operands
        shape = static_shape(weight.type)
        source = constant_of(weight, self.store)
        if shape is None or source is None:
            return Declined("its weight is not constant")
        places = math.prod(shape[2:])
        if places < LEAST_PLACES:
            return Declined(f"its kernel has {places} places", near=False)
        if len(shape) not in (3, 4):
            return Declined(f"its spatial axes are {len(shape) - 2}, wanted 1 or 2")
        if not is_wide_float(image):
            return Declined("its elements are not float32 or float64")
        strides, dilations = setting(op, "strides"), setting(op, "dilations")
        if {*(strides or ()), *(dilations or ())} - {1}:
            return Declined(f"it has strides {strides}, dilations {dilations}")
        found = self._spectral(op, shape)
        if isinstance(found, Declined):
            return found
        reason = self._slower(found.window) or self._larger(found.window)
        if reason is None and not np.isfinite(source()).all():
            reason = "its weight is not finite"
        return found if reason is None else Declined(reason)

    def _spectral(self, op: OnnxOp, shape: tuple[int, ...]) -> Spectral | Declined:
        image, rank, kernel = op.operands[0], len(shape) - 2, shape[2:]
        found = shape_of(image.type) or ()
        # A batch of unknown size is taken for one image.
        known = [0 if dim is None else dim.constant or 0 for dim in found]
        if len(known) != rank + 2 or not all(known[1:]):
            return Declined("the size of its image is not known")
        sizes, ones = tuple(known[2:]), (1,) * rank
        auto_pad = setting(op, "auto_pad")
        window = (kernel, ones, ones)
        pairs = window_pads(sizes, *window, setting(op, "pads"), auto_pad)
        rows = [*zip(pairs, kernel, strict=True)]
        if any(min(pair) < 0 or max(pair) >= size for pair, size in rows):
            return Declined(f"its pads are {pairs}, wanted less than its kernel")
        counts = window_counts(sizes, *window, pairs)
        if 0 in counts:
            return Declined("it has no windows")
        element = element_of(image.type)
        assert element is not None, "checked by `decide`"
        lengths = tuple(map(shortest, sizes, pairs, kernel))
        images, group = known[0] or 1, setting(op, "group")
        itemsize = numpy_dtype(element).itemsize
        channels = (images, known[1], shape[0], group)
        made = Window(*channels, kernel, sizes, counts, lengths, itemsize)
        before, after = zip(*pairs, strict=True)
        return Spectral(made, (*before, *after))

    def _slower(self, window: Window) -> str | None:
        """Why it is better computed directly."""
        direct = window.direct(self.engine, self.habits)
        seconds = window.by_spectra(self.engine, self.habits)
        if seconds < MARGIN * direct:
            return None
        return f"it would take {seconds * 1e6:.0f} us, {direct * 1e6:.0f} directly"

    def _larger(self, window: Window) -> str | None:
        """Why its spectra are too large to be kept."""
        weight = (window.maps, window.depth)
        shape = spectrum_shape(weight, window.group, window.lengths)
        size = window.itemsize * math.prod(shape)
        if size <= self.max_bytes:
            return None
        return f"its spectra would take {size} bytes, wanted at most {self.max_bytes}"

    def rewrite(
        self, op: OnnxOp, found: Spectral, builder: OnnxBuilder
    ) -> Sequence[SSAValue | None]:
        image, weight, bias = op.operands
        window, element = found.window, element_of(weight.type)
        source = constant_of(weight, self.store)
        assert element is not None, "checked by `decide`"
        assert source is not None, "checked by `decide`"

        def spectra() -> Array:
            before = found.pads[: len(window.lengths)]
            return spectrum(source(), window.group, window.lengths, before)

        shape = (window.maps, window.depth)
        packed = follows(
            builder,
            tensor(element, spectrum_shape(shape, window.group, window.lengths)),
            f"{weight.name_hint or 'weight'}.spectra",
            [weight],
            spectra,
        )
        packed.name_hint = weight.name_hint
        made = OPS[CONV](
            image,
            packed,
            bias,
            result_types=[op.result_types[0]],
            group=window.group,
            kernel_shape=window.kernel,
            lengths=window.lengths,
            pads=found.pads,
        )
        made.location = builder.location
        builder.insert(made)
        return made.results


@dataclass(frozen=True)
class ConvolveBySpectraPass(ModulePass):
    """
    Compute convolutions with large kernels as products of spectra.

    Where that is estimated to be faster with `backend` on `target`, and the spectra of
    each take `max_bytes` at most. They are larger than the kernels.
    """

    name = "convolve-by-spectra"

    backend: str = "numpy"
    target: str = "host-cpu"
    max_bytes: int = 1 << 26

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        habits = BACKENDS.get(self.backend)
        if habits is None:
            raise SardonyxError(
                f"{self.name}: found backend {self.backend!r}, wanted "
                f"{' or '.join(BACKENDS)}"
            )
        engine = read_target(self.target).engines[0]
        store = store_of(ctx)
        if store is None:
            return
        ctx.get_optional_dialect("fourier")
        journal = journal_of(ctx)
        pattern = ConvBySpectra(store, journal, engine, habits, self.max_bytes)
        rewrite_module(op, pattern, recursively=False)

    @classmethod
    def schedule_space(
        cls, ctx: Context, module_op: ModuleOp
    ) -> tuple[ConvolveBySpectraPass, ...]:
        return (cls(), cls(backend="jax"))
