"""
Read pairs of elements that are turned by an angle, however they are paired.

A head's elements pair up as halves, ``(i, i + size / 2)``, or as neighbours,
``(2 i, 2 i + 1)``; `Part` is the first or the second of all pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.ir import Operation, SSAValue

from ...dialects.onnx import OnnxOp, WeightStore
from ...dialects.onnx.types import Array, shape_of
from ..facts import given, integers_of, rank_of, setting
from ..fold_constants import constant_of
from .matching import (
    alike,
    either_way,
    number_at,
    producer,
    same_shape,
    same_size,
    size_at,
)


@dataclass(frozen=True)
class Section:
    """``source[..., start:stop:step]``."""

    source: SSAValue
    start: int
    stop: int
    step: int


@dataclass(frozen=True)
class Part:
    """The first (0) or second (1) elements of the pairs of `x`."""

    x: SSAValue
    side: int
    neighbours: bool


@dataclass(frozen=True)
class Rotation:
    """The pairs of `x` turned by the angles of `cos` and `sin`."""

    x: SSAValue
    cos: SSAValue
    sin: SSAValue
    neighbours: bool
    doubled: bool
    """Whether `cos` and `sin` have an element per element, not per pair."""
    ops: tuple[Operation, ...]


def section_of(value: SSAValue, store: WeightStore) -> Section | None:
    """What `value` is cut from along the last axis, by a Slice or a Split."""
    if cut := producer(value, "Slice"):
        return _sliced(cut, store)
    split = producer(value, "Split")
    if split is None:
        return None
    source = split.operands[0]
    rank = rank_of(source)
    if rank is None or setting(split, "axis") % rank != rank - 1:
        return None
    sizes = [number_at(part, -1) for part in split.results]
    place = next(i for i, part in enumerate(split.results) if part == value)
    known = [n for n in sizes[: place + 1] if n is not None]
    if len(known) != place + 1:
        return None
    return Section(source, sum(known[:-1]), sum(known), 1)


def _sliced(cut: OnnxOp, store: WeightStore) -> Section | None:
    source, *bounds = cut.operands
    rank, size = rank_of(source), number_at(source, -1)
    read = [integers_of(v, store) if given(v) else None for v in bounds]
    starts, ends, axes, steps = (*read, None, None)[:4]
    if rank is None or size is None or not starts or not ends:
        return None
    if len(starts) != 1 or not axes or axes[0] % rank != rank - 1:
        return None
    if len(bounds) > 3 and given(bounds[3]) and not steps:
        return None
    step = steps[0] if steps else 1
    if step < 1:
        return None
    start, stop, _ = slice(starts[0], ends[0]).indices(size)
    return Section(source, start, stop, step)


def part_of(value: SSAValue, store: WeightStore) -> Part | None:
    """Which elements of pairs `value` is."""
    section = section_of(value, store)
    if section is None:
        return _picked(value, store)
    size = number_at(section.source, -1)
    if size is None or size % 2:
        return None
    bounds = (section.start, section.stop)
    if section.step == 2 and section.start < 2 and section.stop >= size - 1:
        return Part(section.source, section.start, True)
    if section.step != 1 or bounds not in ((0, size // 2), (size // 2, size)):
        return None
    return Part(section.source, int(section.start > 0), False)


def _picked(value: SSAValue, store: WeightStore) -> Part | None:
    """A part that is taken from pairs on an axis of their own."""
    place: int | None = None
    if gather := producer(value, "Gather"):
        listed = integers_of(gather.operands[1], store)
        axis, paired = setting(gather, "axis"), gather.operands[0]
        if rank_of(gather.operands[1]) == 0 and listed in ([0], [1]):
            place = listed[0]
    elif squeeze := producer(value, "Squeeze", "Reshape"):
        section = section_of(squeeze.operands[0], store)
        if section is None or section.step != 1:
            return None
        axis, paired = -1, section.source
        if section.stop - section.start == 1 and section.start < 2:
            place = section.start
    else:
        return None
    if place is None:
        return None
    return _of_pairs(value, paired, axis, place)


def _of_pairs(value: SSAValue, paired: SSAValue, axis: int, place: int) -> Part | None:
    merged = producer(paired, "Reshape")
    if merged is None:
        return None
    x, rank = merged.operands[0], rank_of(merged.operands[0])
    whole, split = shape_of(x.type), shape_of(paired.type)
    if rank is None or whole is None or split is None or len(split) != rank + 1:
        return None
    if not same_shape(split[: rank - 1], whole[:-1]):
        return None
    axis %= rank + 1
    if axis < rank - 1 or number_at(paired, axis) != 2:
        return None
    kept = shape_of(value.type)
    other = split[rank - 1] if axis == rank else split[rank]
    if not same_shape(kept, (*whole[:-1], other)):
        return None
    return Part(x, place, axis == rank)


# --- pairs turned ---


def rotation_of(op: OnnxOp, store: WeightStore) -> Rotation | str | None:
    """The rotation that `op` ends; why it is none, or None if it is far from one."""
    if op.name == "onnx.Add":
        return _of_whole(op, store)
    ops: list[Operation] = []
    parts = joined_parts(op.results[0], ops)
    if parts is None:
        return None
    (first, second), neighbours = parts
    return _of_parts(first, second, neighbours, ops, store)


def joined_parts(
    value: SSAValue, ops: list[Operation]
) -> tuple[tuple[SSAValue, SSAValue], bool] | None:
    """The first and second elements that `value` joins, and whether as neighbours."""
    merged = producer(value, "Reshape", "Flatten")
    rank = rank_of(value)
    inner = value if merged is None else merged.operands[0]
    concat = producer(inner, "Concat")
    if concat is None or len(concat.operands) != 2 or rank is None:
        return None
    first, second = concat.operands
    if merged is None:
        if setting(concat, "axis") % rank != rank - 1:
            return None
        ops.append(concat)
        return (first, second), False
    views = [producer(v, "Unsqueeze", "Reshape") for v in concat.operands]
    if rank_of(inner) != rank + 1 or setting(concat, "axis") % (rank + 1) != rank:
        return None
    whole, split = shape_of(value.type), shape_of(inner.type)
    if whole is None or split is None or not same_shape(whole[:-1], split[:-2]):
        return None
    sources: list[SSAValue] = []
    for view, column in zip(views, concat.operands, strict=True):
        if view is None or number_at(column, -1) != 1:
            return None
        own, stood = shape_of(view.operands[0].type), shape_of(column.type)
        if stood is None or not same_shape(own, stood[:-1]):
            return None
        sources.append(view.operands[0])
        ops.append(view)
    ops += [concat, *([merged] if merged.results[0] != value else [])]
    return (sources[0], sources[1]), True


def _of_parts(
    first: SSAValue,
    second: SSAValue,
    neighbours: bool,
    ops: list[Operation],
    store: WeightStore,
) -> Rotation | str | None:
    """From ``a * cos - b * sin`` and ``a * sin + b * cos``."""
    real, imaginary = producer(first, "Sub"), producer(second, "Add")
    if real is None or imaginary is None:
        return None
    turned = [_scaled_part(v, store) for v in (*real.operands, *imaginary.operands)]
    found = [pair for pair in turned if pair is not None]
    if len(found) != 4:
        return None
    (a, cos), (b, sin), *rest = found
    if (a.x, a.side, b.x, b.side) != (b.x, 0, a.x, 1):
        return "its parts are not the two of one value"
    rest.sort(key=lambda pair: pair[0].side)
    (c, first_scale), (d, second_scale) = rest
    crossed = alike(first_scale, sin, store) and alike(second_scale, cos, store)
    if not crossed or (c, d) != (a, b):
        return "the second part is not turned by the angle of the first"
    if a.neighbours != neighbours or b.neighbours != neighbours:
        return "it pairs elements otherwise than it joins them"
    inner = [*real.operands, *imaginary.operands]
    muls = [v.owner for v in inner if isinstance(v.owner, Operation)]
    ops[:0] = [*muls, real, imaginary]
    return Rotation(a.x, cos, sin, neighbours, False, tuple(ops))


def _scaled_part(value: SSAValue, store: WeightStore) -> tuple[Part, SSAValue] | None:
    mul = producer(value, "Mul")
    if mul is None:
        return None
    for one, other in either_way(mul):
        part = part_of(one, store)
        if part is not None:
            return part, other
    return None


def _of_whole(op: OnnxOp, store: WeightStore) -> Rotation | str | None:
    """From ``x * cos + turned(x) * sin``, where turned is ``(-second, first)``."""
    for straight, crossed in either_way(op):
        muls = producer(straight, "Mul"), producer(crossed, "Mul")
        if muls[0] is None or muls[1] is None:
            continue
        for turned, sin in either_way(muls[1]):
            ops: list[Operation] = [muls[0], muls[1]]
            x = turned_of(turned, ops, store)
            if x is None:
                continue
            source, neighbours = x
            for one, cos in either_way(muls[0]):
                if one == source:
                    kept = tuple(ops)
                    return Rotation(source, cos, sin, neighbours, True, kept)
            return "what is added to the turned value is not that value, scaled"
    return None


def turned_of(
    value: SSAValue, ops: list[Operation], store: WeightStore
) -> tuple[SSAValue, bool] | None:
    """What `value` is a quarter turn of, and whether its pairs are neighbours."""
    joined = joined_parts(value, ops)
    if joined is None:
        return None
    (first, second), neighbours = joined
    negated = producer(first, "Neg")
    if negated is None:
        return None
    a, b = part_of(second, store), part_of(negated.operands[0], store)
    if a is None or b is None or (a.x, a.side, b.side) != (b.x, 0, 1):
        return None
    if a.neighbours != neighbours or b.neighbours != neighbours:
        return None
    ops.append(negated)
    return a.x, neighbours


# --- angles per element ---

_UNARY = ("Cast", "Cos", "Identity", "Neg", "Sin", "Squeeze", "Unsqueeze")


def is_doubled(value: SSAValue, neighbours: bool, store: WeightStore) -> bool:
    """Whether both elements of each pair along the last axis are equal."""
    size = number_at(value, -1)
    if size is None or size % 2:
        return False
    source = constant_of(value, store)
    if source is not None:
        array = source()
        if neighbours:
            return bool((array[..., 0::2] == array[..., 1::2]).all())
        return bool((array[..., : size // 2] == array[..., size // 2 :]).all())
    if op := producer(value, *_UNARY):
        # A view that leaves the last axis last.
        fits = same_size(size_at(op.operands[0], -1), size_at(value, -1))
        return fits and is_doubled(op.operands[0], neighbours, store)
    if op := producer(value, "Mul", "Add", "Div"):
        parts = [_is_small(v) or is_doubled(v, neighbours, store) for v in op.operands]
        return all(parts)
    if op := producer(value, "Gather", "Slice"):
        data = op.operands[0]
        rank = rank_of(data)
        if rank is None or rank < 2:
            return False
        kept = op.name == "onnx.Slice" or setting(op, "axis") % rank != rank - 1
        whole = same_size(size_at(data, -1), size_at(value, -1))
        return kept and whole and is_doubled(data, neighbours, store)
    return _is_joined_twice(value, neighbours)


def _is_small(value: SSAValue) -> bool:
    return rank_of(value) == 0 or number_at(value, -1) == 1


def _is_joined_twice(value: SSAValue, neighbours: bool) -> bool:
    parts = joined_parts(value, [])
    if parts is not None:
        (first, second), paired = parts
        return first == second and paired == neighbours
    merged = producer(value, "Reshape")
    stretched = None if merged is None else producer(merged.operands[0], "Expand")
    if stretched is None:
        return False
    before, after = stretched.operands[0], stretched.results[0]
    own, rank = shape_of(after.type), rank_of(value)
    if own is None or rank is None or len(own) != rank + 1:
        return False
    whole = shape_of(value.type) or ()
    axis = rank if neighbours else rank - 1
    return (
        same_shape(own[: rank - 1], whole[:-1])
        and number_at(after, axis) == 2
        and number_at(before, axis - rank - 1) == 1
    )


def halved(array: Array, neighbours: bool) -> Array:
    """An angle per pair of what has one per element."""
    return array[..., 0::2] if neighbours else array[..., : array.shape[-1] // 2]
