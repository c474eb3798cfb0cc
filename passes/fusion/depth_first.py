"""
Gather a block of convolutions into a region that runs some rows at a time.

    Conv(Clip(Conv(Clip(Conv(x, …)), …)), …) + x
    ->
    fusion.region(x, …) {fusion.rows = 16} { Conv, Clip, Conv, Clip, Conv, Add }

As BrainSlug (Weber et al. 2018, arXiv:1804.08378) and ConvFirst run layers: what is
between them is made for a tile of the result only, and read again while the cache has
it. Rows that two tiles see are computed twice. It pays where the images in between are
larger than the cache that all cores share, and not below: a block of MobileNetV2 with
96 channels takes 0.8 of the time at 320x320, as long as before at 112x112.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from xdsl.context import Context
from xdsl.dialects.builtin import IntegerAttr, ModuleOp
from xdsl.ir import Block, Operation
from xdsl.passes import ModulePass

from ...backends.kernels.convolution import window_pads, window_span
from ...dialects.fusion import (
    ELEMENTWISE,
    IMAGE_CONV,
    ROWS,
    blocks_outside_regions,
    unfit_by_rows,
)
from ...dialects.onnx import OnnxOp
from ...dialects.onnx.journal import Declined, Journal
from ...dialects.onnx.types import element_of, numpy_dtype, static_shape
from ..analysis.targets import Engine, read_target
from ..facts import is_wide_float, setting
from ..patterns import journal_of
from .fuse_regions import Members, gather, unfit_form

LEAST_ROWS = 4
"""Tiles of fewer rows spend their time on what two of them see."""

CALL_SECONDS = 1e-5
"""What an op takes for each tile besides its work."""


@dataclass(frozen=True)
class Tiled:
    """Ops that run depth first, and how many rows of their result at a time."""

    members: Members
    rows: int


@dataclass(frozen=True)
class _Step:
    """A convolution in a chain, and what is done to its elements."""

    conv: OnnxOp
    others: tuple[OnnxOp, ...]
    span: int
    stride: int
    """Of its windows, down the image."""
    images: int
    height: int
    """Of each image that it gives."""
    row_bytes: int
    flops: float
    """Of all rows."""
    element: str
    """The type of its elements."""


@dataclass(frozen=True)
class _Finder:
    """Finds chains among the ops of one block; decides, and changes nothing."""

    block: Block
    engine: Engine
    cache_bytes: int
    tile_bytes: int

    def chains(self) -> Iterator[tuple[OnnxOp, Tiled | Declined]]:
        """Each convolution that may begin a chain, and what becomes of it."""
        taken: set[Operation] = set()
        for op in self.block.ops:
            if op.name != IMAGE_CONV or not isinstance(op, OnnxOp) or op in taken:
                continue
            found = self._decided(*self._chain(op))
            if isinstance(found, Tiled):
                taken.update(found.members.ops)
            yield op, found

    def _chain(self, seed: OnnxOp) -> tuple[list[_Step], Declined]:
        """The convolutions from `seed` on, each read by the next only; why no more."""
        steps: list[_Step] = []
        following: OnnxOp | Declined = seed
        while not isinstance(following, Declined):
            found = _step(following)
            if isinstance(found, Declined):
                return steps, found
            others, following = self._followers(following)
            steps.append(_with(found, others))
        return steps, following

    def _followers(self, conv: OnnxOp) -> tuple[list[OnnxOp], OnnxOp | Declined]:
        """What is done to the elements of a convolution, and the next, or why none."""
        others: list[OnnxOp] = []
        value = conv.results[0]
        while value.has_one_use():
            user = next(iter(value.uses)).operation
            if not isinstance(user, OnnxOp) or user.parent is not self.block:
                break
            if user.name == IMAGE_CONV and user.operands[0] is value:
                return others, user
            if user.name not in ELEMENTWISE:
                break
            reason = unfit_form(user) or unfit_by_rows(user, value)
            if reason is not None:
                return others, Declined(reason)
            others.append(user)
            value = user.results[0]
        return others, Declined("no convolution alone reads its result", near=False)

    def _decided(self, steps: list[_Step], end: Declined) -> Tiled | Declined:
        """The most of a chain that gains, or why none does."""
        if len(steps) < 2:
            return end
        best: tuple[float, Tiled] | None = None
        reason = ""
        for count in range(2, len(steps) + 1):
            found = self._tiled(steps[:count])
            if isinstance(found, str):
                reason = reason or found
            elif best is None or found[0] > best[0]:
                best = found
        return Declined(reason) if best is None else best[1]

    def _tiled(self, steps: Sequence[_Step]) -> tuple[float, Tiled] | str:
        """The seconds gained by running `steps` by rows, or why nothing is."""
        between = sum(s.images * s.height * s.row_bytes for s in steps[:-1])
        if between <= self.cache_bytes:
            return f"what is between takes {between} bytes: the cache holds it"
        images, height = steps[-1].images, steps[-1].height
        rows = height
        while rows and self._held(steps, rows) > self.tile_bytes:
            rows -= 1
        if rows < min(LEAST_ROWS, height):
            return f"a tile of {rows} rows fits in the cache, wanted {LEAST_ROWS}"
        tiles = math.ceil(height / rows)
        rows = math.ceil(height / tiles)
        ops = [op for step in steps for op in (step.conv, *step.others)]
        gained = 2 * between / self.engine.bandwidth
        spent = images * tiles * len(ops) * CALL_SECONDS
        twice = zip(steps, _counts(steps, rows), strict=True)
        for step, count in twice:
            again = max(tiles * count / step.height - 1, 0)
            spent += again * step.flops / self.engine.peak(step.element)
        if spent >= gained:
            told = f"{1e6 * gained:.0f} us, and spend {1e6 * spent:.0f}"
            return f"it would save {told} on tiles"
        return gained - spent, Tiled(Members(tuple(ops)), rows)

    def _held(self, steps: Sequence[_Step], rows: int) -> int:
        """The bytes of a tile of all that is between."""
        pairs = zip(steps, _counts(steps, rows)[:-1], strict=False)
        return sum(count * step.row_bytes for step, count in pairs)


def _counts(steps: Sequence[_Step], rows: int) -> list[int]:
    """How many rows of what each step gives `rows` of the last one's need."""
    counts = [rows]
    for after in reversed(steps[1:]):
        counts.append((counts[-1] - 1) * after.stride + after.span)
    return counts[::-1]


def _step(conv: OnnxOp) -> _Step | Declined:
    """A convolution as a step of a chain, nothing yet behind it."""
    image, weight, result = (
        static_shape(value.type) for value in (*conv.operands[:2], conv.results[0])
    )
    if image is None or weight is None or result is None or not math.prod(result):
        return Declined("the sizes of its images are not known")
    if not is_wide_float(conv.results[0]):
        return Declined("its elements are not float32 or float64")
    element = element_of(conv.results[0].type)
    assert element is not None, "its elements are floats"
    strides = setting(conv, "strides") or (1, 1)
    dilations = setting(conv, "dilations") or (1, 1)
    padded = (setting(conv, "pads"), setting(conv, "auto_pad"))
    pairs = window_pads(image[1:3], weight[:2], strides, dilations, *padded)
    span = window_span(weight[0], dilations[0])
    if min(min(pair) for pair in pairs) < 0 or max(pairs[0]) >= span:
        return Declined(f"its pads are {pairs}, wanted less than its kernel")
    dtype = numpy_dtype(element)
    row_bytes = result[2] * result[3] * dtype.itemsize
    flops = 2.0 * math.prod(result) * math.prod(weight[:3])
    return _Step(
        conv,
        others=(),
        span=span,
        stride=strides[0],
        images=result[0],
        height=result[1],
        row_bytes=row_bytes,
        flops=flops,
        element=dtype.name,
    )


def _with(step: _Step, others: Sequence[OnnxOp]) -> _Step:
    return replace(step, others=tuple(others))


@dataclass(frozen=True)
class DepthFirstPass(ModulePass):
    """
    Gather a block of convolutions into a region that runs some rows at a time.

    Where the images between them take more than `cache_bytes`, which is what the cache
    that the cores share holds of them, and that is estimated to gain on `target`. A
    tile of them takes `tile_bytes` at most.
    """

    name = "depth-first"

    target: str = "host-cpu"
    cache_bytes: int = 1 << 24
    tile_bytes: int = 3 << 20

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        journal = journal_of(ctx)
        engine = read_target(self.target).engines[0]
        for block in blocks_outside_regions(op):
            finder = _Finder(block, engine, self.cache_bytes, self.tile_bytes)
            for seed, found in list(finder.chains()):
                _apply(seed, found, journal)

    @classmethod
    def schedule_space(
        cls, ctx: Context, module_op: ModuleOp
    ) -> tuple[DepthFirstPass, ...]:
        return (cls(), cls(cache_bytes=1 << 22))


def _apply(seed: OnnxOp, found: Tiled | Declined, journal: Journal) -> None:
    if isinstance(found, Tiled) and any(map(journal.spares, found.members.ops)):
        found = Declined("its node is spared")
    if isinstance(found, Declined):
        journal.declined("block", seed, found)
    elif journal.permits(seed):
        region = gather(found.members)
        region.attributes[ROWS] = IntegerAttr(found.rows, 64)
        journal.rewrote("block", seed, [region])
