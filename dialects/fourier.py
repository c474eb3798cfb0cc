"""
Convolution by spectra: a sum over a kernel in space is a product of frequencies.

    Y = F^-1(F(X) * S) + B       S the conjugate spectrum of the weight, made beforehand

F is the discrete Fourier transform along the axes of space (Cooley and Tukey, 1965), of
`lengths` points each. A kernel has its places from ``-pads`` on, counted modulo the
length, so that the first element of what comes back is the first window's; zeros behind
an image are also those before it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from xdsl.ir import Attribute, Dialect, SSAValue
from xdsl.utils.exceptions import VerifyException

from .onnx.base import OnnxOp
from .onnx.builder import OnnxBuilder
from .onnx.classes import op_class
from .onnx.contrib import parse
from .onnx.dims import Dim
from .onnx.extension import ExtensionOp
from .onnx.types import Array, element_of, is_none, shape_of, static_shape, tensor

CONV = "fourier.Conv"

_TABLE = """
[sardonyx.fourier]

Conv: Convolution of X [n, c, ...] with the kernels whose spectra S has.
  X:T S:T B?:T -> Y:T
  | group=1 kernel_shape=ints! lengths=ints! pads=ints
  | T=float,double
"""


def spectrum_shape(
    weight: Sequence[int], group: int, lengths: Sequence[int]
) -> tuple[int, ...]:
    """The shape of `spectrum` for a weight of shape ``[m, c / group, ...]``."""
    maps, depth = weight[:2]
    frequencies = (*lengths[:-1], lengths[-1] // 2 + 1)
    if depth == 1:
        return (maps, *frequencies, 2)
    return (*frequencies, group, depth, maps // group, 2)


def spectrum(
    weight: Array, group: int, lengths: Sequence[int], before: Sequence[int]
) -> Array:
    """
    The conjugate spectra of a weight ``[m, c / group, ...]``, real and imaginary last.

    Where a kernel sees one channel ``[m, f..., 2]``; else ``[f..., group, c / group,
    m / group, 2]``, a matrix for each frequency. The last axis has ``length // 2 + 1``
    frequencies; the others are their conjugates. `before` is padded before each axis of
    the image.
    """
    kernel = weight.shape[2:]
    whole = np.zeros((*weight.shape[:2], *lengths), np.float64)
    places: list[Array] = [
        (np.arange(size) - first) % length
        for size, first, length in zip(kernel, before, lengths, strict=True)
    ]
    whole[(slice(None), slice(None), *np.ix_(*places))] = weight
    axes = tuple(range(-len(lengths), 0))
    found = np.conj(np.fft.rfftn(whole, axes=axes))
    wide: Array = np.stack([np.real(found), np.imag(found)], -1).astype(weight.dtype)
    if weight.shape[1] == 1:
        return wide[:, 0]
    apart = wide.reshape(group, -1, *wide.shape[1:])
    # [group, m / group, c / group, f..., 2]
    return np.moveaxis(apart, (0, 2, 1), (-4, -3, -2))


def shortest(size: int, pads: tuple[int, int], kernel: int) -> int:
    """The least even length of a transform, of factors 2, 3 and 5, that is enough."""
    length = max(size + max(pads), kernel, 2)
    while length % 2 or not _is_smooth(length):
        length += 1
    return length


def _is_smooth(number: int) -> bool:
    for factor in (2, 3, 5):
        while number % factor == 0:
            number //= factor
    return number == 1


class FourierConv(OnnxOp, ExtensionOp):
    """
    ``Y[n, m, o] = sum X[n, c, o + k - pads] * w[m, c, k] + B[m]``, stride 1.

    The axes of space, one or two, have fixed sizes; a length is at least the size and
    the larger pad together, so that what is padded before and behind may be the same.
    """

    @property
    def kernel(self) -> tuple[int, ...]:
        """The sizes of a kernel."""
        return tuple(self.python_attributes()["kernel_shape"])

    @property
    def points(self) -> tuple[int, ...]:
        """How many points the transform along each axis has."""
        return tuple(self.python_attributes()["lengths"])

    @property
    def padding(self) -> tuple[int, ...]:
        """What is padded before all axes, and after them."""
        return tuple(self.python_attributes().get("pads", (0,) * 2 * len(self.kernel)))

    @property
    def groups(self) -> int:
        """How many groups of channels there are."""
        return int(self.python_attributes().get("group", 1))

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """The shape ``[m, c / group, ...]`` of the weight whose spectra `S` are."""
        found = static_shape(self.operands[1].type)
        rank = len(self.kernel)
        if found is None or len(found) not in (rank + 2, rank + 4):
            raise VerifyException(f"found spectra of {self.operands[1].type}")
        if len(found) == rank + 2:
            return (found[0], 1, *self.kernel)
        return (found[-4] * found[-2], found[-3], *self.kernel)

    def inferred(self) -> Sequence[Attribute]:
        """The type of the result, which has a place for every window."""
        element = element_of(self.operands[0].type)
        shape = shape_of(self.operands[0].type)
        assert element is not None, "the schema wants a tensor"
        sizes = self._sizes()
        counts = [
            Dim.of(size + first + last - kernel + 1)
            for size, (first, last), kernel in zip(
                sizes, self._pairs(), self.kernel, strict=True
            )
        ]
        maps = Dim.of(self.weight_shape[0])
        return [tensor(element, [None if shape is None else shape[0], maps, *counts])]

    def _pairs(self) -> list[tuple[int, int]]:
        rank = len(self.kernel)
        return list(zip(self.padding[:rank], self.padding[rank:], strict=True))

    def _sizes(self) -> tuple[int, ...]:
        shape = shape_of(self.operands[0].type) or ()
        sizes = [0 if dim is None else dim.constant or 0 for dim in shape[2:]]
        if len(sizes) != len(self.kernel) or 0 in sizes:
            raise VerifyException(
                f"found an image of {self.operands[0].type}, wanted "
                f"{len(self.kernel)} known sizes behind its channels"
            )
        return tuple(sizes)

    def verify_(self) -> None:
        rank = len(self.kernel)
        if rank not in (1, 2):
            raise VerifyException(f"found {rank} axes of space, wanted 1 or 2")
        if len(self.points) != rank:
            raise VerifyException(f"found {len(self.points)} lengths, wanted {rank}")
        if len(self.padding) != 2 * rank:
            raise VerifyException(f"found {len(self.padding)} pads, wanted {2 * rank}")
        self._verify_channels()
        self._verify_windows()
        wanted, found = shape_of(self.inferred()[0]), shape_of(self.results[0].type)
        if wanted is not None and found is not None and wanted[1:] != found[1:]:
            raise VerifyException(f"found a result of {self.results[0].type}")

    def _verify_channels(self) -> None:
        maps, depth, *_ = self.weight_shape
        if self.groups < 1 or maps % self.groups:
            raise VerifyException(
                f"found {maps} maps for {self.groups} groups, wanted as many for each"
            )
        wanted = list(spectrum_shape(self.weight_shape, self.groups, self.points))
        found = list(static_shape(self.operands[1].type) or ())
        if found != wanted:
            raise VerifyException(f"found spectra {found}, wanted {wanted}")
        image = shape_of(self.operands[0].type)
        channels = None if image is None or len(image) < 2 else image[1]
        count = None if channels is None else channels.constant
        if count is not None and count != depth * self.groups:
            raise VerifyException(
                f"found {count} channels, wanted {self.groups} groups of {depth}"
            )
        bias = self.operands[2].type
        if not is_none(bias) and static_shape(bias) not in (None, (maps,)):
            raise VerifyException(f"found a bias of {bias}, wanted one of [{maps}]")

    def _verify_windows(self) -> None:
        rows = zip(self._sizes(), self._pairs(), self.kernel, self.points, strict=True)
        for size, pair, kernel, length in rows:
            if min(pair) < 0 or max(pair) >= kernel or size + sum(pair) < kernel:
                raise VerifyException(
                    f"found pads {list(pair)} of a kernel of {kernel} on {size}"
                )
            least = max(size + max(pair), kernel)
            if length % 2 or length < least:
                raise VerifyException(
                    f"found length {length}, wanted an even one from {least} on"
                )

    def onnx_body(
        self, builder: OnnxBuilder, operands: Sequence[SSAValue]
    ) -> Sequence[SSAValue]:
        """ONNX's Conv, of the weight that the spectra come from: sums over them."""
        image, spectra, bias = operands
        element = element_of(spectra.type)
        assert element is not None, "the schema wants a tensor"
        channels = "m" if self.weight_shape[1] == 1 else "gcm"
        kept, found = ("m", "m") if channels == "m" else ("gcm", "gmc")
        *others, (last, kernel, first) = zip(
            self.points, self.kernel, self.padding, strict=False
        )
        if others:
            waves = _complex_waves(*others[0])
            before = "uv" + channels if channels != "m" else "muv"
            equation = f"{before}p,upiq->{kept}ivq"
            spectra = self._sum(builder, equation, spectra, waves)
            equation = f"{kept}ivq,vqj->{found}ij"
        else:
            before = "v" + channels if channels != "m" else "mv"
            equation = f"{before}q,vqj->{found}j"
        waves = _real_waves(last, kernel, first)
        weight = self._sum(builder, equation, spectra, waves)
        shape = builder.constant(np.array(self.weight_shape, np.int64))
        weight = builder.value("onnx.Reshape", weight, shape)
        given = {
            "group": self.groups,
            "pads": self.padding,
            "kernel_shape": self.kernel,
        }
        return [builder.value("onnx.Conv", image, weight, bias, **given)]

    def _sum(
        self, builder: OnnxBuilder, equation: str, spectra: SSAValue, waves: Array
    ) -> SSAValue:
        held = builder.constant(waves)
        like = builder.value("onnx.CastLike", held, spectra)
        return builder.value("onnx.Einsum", spectra, like, equation=equation)


def _angles(length: int, frequencies: int, kernel: int, before: int) -> Array:
    places = np.arange(kernel) - before
    return 2 * np.pi / length * np.outer(np.arange(frequencies), places)


def _complex_waves(length: int, kernel: int, before: int) -> Array:
    """``[u, 2, k, 2]``: real and imaginary parts at u as those at places k."""
    angles = _angles(length, length, kernel, before)
    cos, sin = np.cos(angles) / length, np.sin(angles) / length
    return np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], 1)


def _real_waves(length: int, kernel: int, before: int) -> Array:
    """``[v, 2, k]``: half of the frequencies as numbers at places k."""
    count = length // 2 + 1
    angles = _angles(length, count, kernel, before)
    # All frequencies but the first and the last stand for two.
    often = np.full((count, 1), 2 / length)
    often[[0, -1]] = 1 / length
    return np.stack([often * np.cos(angles), often * np.sin(angles)], 1)


OPS: dict[str, type[FourierConv]] = {}
"""Every op class by its name in the IR: ``fourier.Conv``."""

for _schema in parse(_TABLE.strip()):
    _made = op_class(_schema, FourierConv)
    OPS[_made.name] = _made

Fourier = Dialect("fourier", [*OPS.values()])
