"""
Regions of several convolutions as functions that compute some rows at a time.

    def conv_clip_conv(x, w, b, w2, b2, out=None):
        y = np.empty((1, 112, 112, 24), np.float32) if out is None else out
        room = np.empty((1, 34, 224, 96), np.float32)
        for image in range(1):
            for first in range(0, 112, 16):
                last = min(first + 16, 112)
                first2, last2, top2, bottom2 = rows_seen(first, last, 3, 2, 1, 224)
                …

What is between the first and the last is never there as a whole: a tile of it lies in
the cache when the next function reads it. Rows at a tile's edge are computed twice.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from xdsl.ir import SSAValue

from ...dialects.fusion import IMAGE_CONV, RegionOp, unfit_by_rows
from ...dialects.onnx import DenseAttr, OnnxOp
from ...dialects.onnx.types import DTYPE_NAMES, element_of, is_none, static_shape
from ..kernels import Kernel
from ..kernels.apply import kernel_attributes
from ..kernels.convolution import window_pads, window_span
from ..source import Pasted
from .region_names import RegionNames


def rows_seen(
    first: int, last: int, span: int, stride: int, pad: int, height: int
) -> tuple[int, int, int, int]:
    """
    The rows that windows from `first` up to `last` see of an image with `pad` above.

    Where they begin and end in the image, and how many are missing above and below.
    """
    begin = first * stride - pad
    end = (last - 1) * stride - pad + span
    return max(begin, 0), min(end, height), max(-begin, 0), max(end - height, 0)


@dataclass(frozen=True)
class Frame:
    """How the windows of a convolution lie."""

    spans: tuple[int, ...]
    strides: tuple[int, ...]
    pairs: tuple[tuple[int, int], ...]

    @property
    def is_one_row(self) -> bool:
        """Whether a row of the result comes of the same row of the image."""
        return self.spans[0] == self.strides[0] == 1 and self.pairs[0] == (0, 0)


def frame_of(op: OnnxOp) -> Frame:
    """The windows of a convolution of an image of known size."""
    image, weight = map(sizes_of, op.operands[:2])
    given = kernel_attributes(op)
    kernel, ones = weight[:2], (1, 1)
    strides = given.get("strides") or ones
    dilations = given.get("dilations") or ones
    padded = (given.get("pads"), given.get("auto_pad", "NOTSET"))
    pairs = window_pads(image[1:3], kernel, strides, dilations, *padded)
    return Frame(tuple(map(window_span, kernel, dilations)), strides, pairs)


def runs_by_rows(region: RegionOp, table: Mapping[str, Kernel]) -> bool:
    """
    Whether `region` is a chain that can be computed by rows.

    That is of convolutions, and of what is done to their elements in place; a pass or
    an expansion may have put other ops there.
    """
    ops = region.ops
    if region.rows is None or len(region.outputs) != 1 or not ops:
        return False
    if ops[0].name != IMAGE_CONV or ops[-1].results[0] is not region.yielded[0]:
        return False
    held = (op for op in region.block.ops if op.name == "onnx.Constant")
    if any(not isinstance(op.properties.get("value"), DenseAttr) for op in held):
        return False
    before: SSAValue | None = None
    for op in ops:
        if not _continues(op, before, ops) or not _runs(op, table):
            return False
        before = op.results[0]
    return True


def _continues(op: OnnxOp, before: SSAValue | None, ops: Sequence[OnnxOp]) -> bool:
    """Whether `op` takes, of what `ops` give, only what the one before it gives."""
    taken = [value for value in op.operands if value.owner in ops]
    known = (*op.operands[: 2 if op.name == IMAGE_CONV else 1], op.results[0])
    if any(static_shape(value.type) is None for value in known):
        return False
    if taken != ([] if before is None else [before]):
        return False
    if op.name == IMAGE_CONV:
        frame = frame_of(op)
        inside = all(0 <= pad < frame.spans[0] for pad in frame.pairs[0])
        return inside and before in (None, op.operands[0])
    return unfit_by_rows(op, taken[0]) is None


def sizes_of(value: SSAValue) -> tuple[int, ...]:
    """The sizes of an image, which are known of all in a region by rows."""
    found = static_shape(value.type)
    assert found is not None, "checked by `runs_by_rows`"
    return found


def _runs(op: OnnxOp, table: Mapping[str, Kernel]) -> bool:
    kernel = table.get(op.name)
    if kernel is None:
        return False
    taken = inspect.signature(kernel).parameters
    if op.name == IMAGE_CONV and "out" not in taken:
        return False
    return "outputs" not in taken and kernel_attributes(op).keys() <= taken.keys()


def function_by_rows(
    region: RegionOp,
    table: Mapping[str, Kernel],
    pasted: Pasted,
    literal: Callable[[Any], str],
    known: dict[str, str],
) -> str:
    """
    The name of the function that computes `region`, `out` its last parameter.

    `known` has the names by text of those that are pasted.
    """
    writer = _Writer(region, table, pasted, literal)
    text = writer.function()
    if text not in known:
        name = "_".join(op.op_type().lower() for op in region.ops)
        known[text] = pasted.write(name, text)
    return known[text]


@dataclass
class _Writer(RegionNames):
    """Writes the function of one region."""

    levels: dict[SSAValue, str] = field(default_factory=dict[SSAValue, str])
    """The suffix of the names of the rows that are wanted of each image."""
    rows: dict[str, int] = field(default_factory=dict[str, int])
    """How many those are, at most, by suffix."""
    rooms: list[str] = field(default_factory=list[str])
    """The lines that make room for tiles."""

    def function(self) -> str:
        """The parameters and the body."""
        self.taken.update(self.pasted.add(self.table[op.name]) for op in self._ops)
        self.taken.update(("image", "first", "last", "part", "min", "range"))
        parameters = self.parameters(self._ops)
        seen = self._seen()
        made = self._made()
        result = self.region.outputs[0]
        batch, height, *_ = sizes_of(result)
        step = self.region.rows
        lines = [
            '"""Some rows at a time: what is between them stays in the cache."""',
            f"y = {self._empty(result)} if out is None else out",
            *self.rooms,
            f"for image in range({batch}):",
            f"    for first in range(0, {height}, {step}):",
            f"        last = min(first + {step}, {height})",
            *(f"        {line}" for line in (*seen, *made)),
            "return y",
        ]
        head = f"({', '.join([*parameters, 'out=None'])}):"
        return "\n    ".join([head, *lines])

    @property
    def _ops(self) -> Sequence[OnnxOp]:
        return self.region.ops

    # --- which rows of every image are wanted, from the last to the first ---

    def _seen(self) -> list[str]:
        lines: list[str] = []
        level, count = "", self.region.rows or 1
        self.rows[level] = count
        for op in reversed(self._ops):
            self.levels[op.results[0]] = level
            if op.name != IMAGE_CONV or (frame := frame_of(op)).is_one_row:
                continue
            (span, stride), pad = (frame.spans[0], frame.strides[0]), frame.pairs[0][0]
            height = sizes_of(op.operands[0])[1]
            wanted = f"first{level}, last{level}"
            level = str(int(level or 1) + 1)
            numbers = f"{span}, {stride}, {pad}, {height}"
            names = ", ".join(f"{n}{level}" for n in ("first", "last", "top", "bottom"))
            call = f"{self.pasted.add(rows_seen)}({wanted}, {numbers})"
            lines.append(f"{names} = {call}")
            count = min((count - 1) * stride + span, height)
            self.rows[level] = count
        return lines

    # --- the ops, from the first to the last ---

    def _made(self) -> list[str]:
        lines: list[str] = []
        convolutions = [op for op in self._ops if op.name == IMAGE_CONV]
        current = ""
        for op in self._ops:
            level = self.levels[op.results[0]]
            if op.name != IMAGE_CONV:
                lines.append(f"{self._elementwise(op, current, level)}")
                continue
            image = current or self._part(op.operands[0], self._level_before(op))
            if op is convolutions[-1]:
                current, target = "part", "part"
                lines.append("part = y[image : image + 1, first:last]")
            else:
                room, current = self.fresh("room"), self.fresh("z")
                self.rooms.append(f"{room} = {self._empty(op.results[0], level)}")
                target = f"{room}[:, : last{level} - first{level}]"
                lines.append(f"{current} = {target}")
            lines.append(self._convolution(op, image, current))
        return lines

    def _level_before(self, op: OnnxOp) -> str:
        level = self.levels[op.results[0]]
        return level if frame_of(op).is_one_row else str(int(level or 1) + 1)

    def _convolution(self, op: OnnxOp, image: str, target: str) -> str:
        frame, given = frame_of(op), kernel_attributes(op)
        weight, bias = op.operands[1:3]
        arguments = ["np", image, self.text(weight)]
        arguments += [self.text(bias)] * (not is_none(bias.type))
        for name in ("dilations", "group", "strides"):
            if name in given:
                arguments.append(f"{name}={self.literal(given[name])}")
        level, (left, right) = self._level_before(op), frame.pairs[1]
        if not frame.is_one_row:
            arguments.append(f"pads=(top{level}, {left}, bottom{level}, {right})")
        elif left or right:
            arguments.append(f"pads=(0, {left}, 0, {right})")
        kernel = self.pasted.add(self.table[op.name])
        return f"{kernel}({', '.join(arguments)}, out={target})"

    def _elementwise(self, op: OnnxOp, current: str, level: str) -> str:
        arguments = ["np"]
        for value in op.operands:
            chained = value.owner in self._ops
            arguments.append(current if chained else self._part(value, level))
        while arguments[-1] == "None":
            arguments.pop()
        stated = kernel_attributes(op).items()
        arguments += [f"{name}={self.literal(value)}" for name, value in stated]
        kernel = self.table[op.name]
        name, given = self.pasted.add(kernel), ", ".join(arguments)
        if "out" in inspect.signature(kernel).parameters:
            return f"{name}({given}, out={current})"
        return f"np.copyto({current}, {name}({given}))"

    # --- expressions ---

    def _part(self, value: SSAValue, level: str) -> str:
        """The rows of an image that are wanted; anything else as a whole."""
        shape = static_shape(value.type)
        text = self.text(value)
        if shape is None or len(shape) != 4 or value not in self.names:
            return text
        images = "" if shape[0] == 1 else "image : image + 1"
        rows = "" if shape[1] == 1 else f"first{level}:last{level}"
        if not images and not rows:
            return text
        return f"{text}[{images or ':'}, {rows or ':'}]"

    def _empty(self, value: SSAValue, level: str | None = None) -> str:
        """New memory for an image, or for the rows of one that are wanted."""
        shape, element = sizes_of(value), element_of(value.type)
        assert element is not None, "images are tensors"
        if level is not None:
            shape = (1, self.rows[level], *shape[2:])
        return f"np.empty({shape!r}, np.{np.dtype(DTYPE_NAMES[element]).name})"
