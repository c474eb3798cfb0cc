"""
Name the rotary embedding of positions, however it is spelled.

    x * cos + Concat(-second, first) * sin                     ->   RotaryEmbedding(x,
    Concat(a * cos - b * sin, a * sin + b * cos)                      cos, sin)

The first and second elements of pairs are halves of a head or neighbours (interleaved);
cos and sin have an angle per pair, or per element with each angle twice. Heads may
stand before positions or behind. What is left of a head that turns in part only is
joined by the operator.

Su et al. 2021 (arXiv:2104.09864). ONNX Runtime 1.31 wants cos and sin for each sample
of the batch: they are stretched once for all layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass

from ...dialects.onnx import OnnxBuilder, OnnxOp, WeightStore, store_of
from ...dialects.onnx.attributes import attribute
from ...dialects.onnx.types import element_of, shape_of, static_shape
from ..facts import is_float, rank_of, setting
from ..fold_constants import constant_of
from ..patterns import Declined, OnnxPattern, journal_of, rewrite_module
from .matching import ONE, number_at, producer, same_size, size_at
from .rotations import (
    Rotation,
    halved,
    is_doubled,
    rotation_of,
    section_of,
)


@dataclass(frozen=True)
class Rotary:
    """A rotation, and the axis of positions in it: 1 or 2."""

    rotation: Rotation
    positions: int


@dataclass(frozen=True)
class NameRotary(OnnxPattern[Rotary]):
    """Writes pairs of elements that are turned as RotaryEmbedding."""

    name = "turned-pairs-into-rotary"
    roots = frozenset(["onnx.Add", "onnx.Concat", "onnx.Reshape"])

    def decide(self, op: OnnxOp) -> Rotary | Declined:
        rotation = rotation_of(op, self.store)
        if rotation is None:
            return Declined("it does not turn pairs of elements", near=False)
        if isinstance(rotation, str):
            return Declined(rotation)
        x = rotation.x
        if rank_of(x) != 4 or not is_float(x):
            return Declined(f"what is turned has rank {rank_of(x)}, not 4")
        if not number_at(x, -1):
            return Declined("the size of a head is not known")
        positions: int | None = None
        for angle in (rotation.cos, rotation.sin):
            found = _positions(angle, x, rotation.doubled)
            if isinstance(found, str):
                return Declined(found)
            if positions not in (None, found):
                return Declined("cos and sin stand along different axes")
            positions = found
            if rotation.doubled and not is_doubled(
                angle, rotation.neighbours, self.store
            ):
                return Declined("the two of a pair have different angles, or may have")
        assert positions is not None, "there is a cos"
        if positions == 1 and not number_at(x, 2):
            return Declined("the number of heads is not known")
        return Rotary(rotation, positions)

    def covers(self, op: OnnxOp, found: Rotary) -> Sequence[Operation]:
        return [*found.rotation.ops, op]

    def rewrite(
        self, op: OnnxOp, found: Rotary, builder: OnnxBuilder
    ) -> list[SSAValue | None]:
        rotation, x = found.rotation, found.rotation.x
        angles = [
            cache_of(angle, found, self.store, builder)
            for angle in (rotation.cos, rotation.sin)
        ]
        flag = int(rotation.neighbours) or None
        if found.positions == 2:
            name = "onnx.RotaryEmbedding"
            return [builder.value(name, x, *angles, interleaved=flag)]
        heads, size = number_at(x, 2), number_at(x, 3)
        assert heads is not None, "checked by `decide`"
        assert size is not None, "checked by `decide`"
        goal = builder.constant(np.array([0, 0, heads * size], np.int64), "shape")
        flat = builder.value("onnx.Reshape", x, goal)
        turned = builder.value(
            "onnx.RotaryEmbedding", flat, *angles, num_heads=heads, interleaved=flag
        )
        back = builder.constant(np.array([0, 0, heads, size], np.int64), "shape")
        return [builder.value("onnx.Reshape", turned, back)]


def _positions(angle: SSAValue, x: SSAValue, doubled: bool) -> int | str:
    """The axis of `x` along which angles differ, or why it is none."""
    shape, whole = shape_of(angle.type), shape_of(x.type)
    if shape is None or whole is None or len(shape) > 4 or len(shape) < 2:
        return "the rank of the angles is not 2, 3 or 4"
    if element_of(angle.type) != element_of(x.type):
        return "the angles are of another type"
    shape = (ONE,) * (4 - len(shape)) + shape
    count = number_at(x, -1) or 0
    if shape[3] is None or shape[3].constant != (count if doubled else count // 2):
        return f"there are {shape[3]} angles for a head of {count}"
    if shape[0] != ONE and not same_size(shape[0], whole[0]):
        return "the angles have another batch"
    if shape[1] == ONE and same_size(shape[2], whole[2]):
        return 2
    if shape[2] == ONE and same_size(shape[1], whole[1]):
        return 1
    return "the angles do not follow an axis of positions"


def cache_of(
    angle: SSAValue, found: Rotary, store: WeightStore, builder: OnnxBuilder
) -> SSAValue:
    """`angle` as ``[batch, positions, pairs]``."""
    rotation, x = found.rotation, found.rotation.x
    if rotation.doubled:
        angle = _per_pair(angle, rotation.neighbours, store, builder)
    rank = rank_of(angle)
    assert rank is not None, "checked by `decide`"
    # The axis of heads, where the angles have one.
    heads = rank - 3 if found.positions == 2 else rank - 2
    if rank == 4 or (rank == 3 and found.positions == 1):
        view = producer(angle, "Unsqueeze")
        fits = view is not None and _has(view.operands[0], rank - 1, found)
        if view is not None and fits:
            angle = view.operands[0]
        else:
            axes = builder.constant(np.array([heads], np.int64), "axes")
            angle = builder.value("onnx.Squeeze", angle, axes)
    batch = size_at(x, 0)
    if rank_of(angle) == 3 and same_size(size_at(angle, 0), batch):
        return angle
    ones = np.array([1, 1], np.int64)
    if batch is not None and batch.constant is not None:
        goal = builder.constant(np.array([batch.constant, 1, 1], np.int64), "shape")
    else:
        length = builder.value("onnx.Shape", x, start=0, end=1)
        rest = builder.constant(ones, "ones")
        goal = builder.value("onnx.Concat", length, rest, axis=0)
    return builder.value("onnx.Expand", angle, goal)


def _has(angle: SSAValue, rank: int, found: Rotary) -> bool:
    """Whether `angle` has `rank` axes, the last but one that of positions."""
    positions = size_at(found.rotation.x, found.positions)
    return rank_of(angle) == rank and same_size(size_at(angle, -2), positions)


def _per_pair(
    angle: SSAValue, neighbours: bool, store: WeightStore, builder: OnnxBuilder
) -> SSAValue:
    source, shape = constant_of(angle, store), static_shape(angle.type)
    if source is not None and shape is not None:
        array = np.ascontiguousarray(halved(source(), neighbours))
        return builder.constant(array, angle.name_hint or "angles")
    size = number_at(angle, -1)
    assert size is not None, "checked by `decide`"
    bounds = [0, size if neighbours else size // 2, -1, 2 if neighbours else 1]
    values = [builder.constant(np.array([n], np.int64), "bound") for n in bounds]
    return builder.value("onnx.Slice", angle, *values)


@dataclass(frozen=True)
class Partial:
    """A head of `x` whose first `size` elements are turned."""

    x: SSAValue
    rotary: OnnxOp
    size: int


@dataclass(frozen=True)
class PartialRotary(OnnxPattern[Partial]):
    """``Concat(RotaryEmbedding(x[..., :n]), x[..., n:]) -> RotaryEmbedding(x)``."""

    name = "rest-into-rotary"
    roots = frozenset(["onnx.Concat"])

    def decide(self, op: OnnxOp) -> Partial | Declined:
        rotary = producer(op.operands[0], "RotaryEmbedding")
        if rotary is None or len(op.operands) != 2:
            return Declined("nothing is joined to a rotary embedding", near=False)
        turned = section_of(rotary.operands[0], self.store)
        rest = section_of(op.operands[1], self.store)
        if turned is None or rest is None or turned.source != rest.source:
            return Declined("the two are not of one value")
        x = turned.source
        size = number_at(x, -1)
        if rank_of(x) != 4 or setting(op, "axis") % 4 != 3:
            return Declined("they are not joined along heads of rank 4")
        bounds = (turned.start, turned.stop, rest.start, rest.stop)
        if bounds != (0, turned.stop, turned.stop, size) or turned.step != rest.step:
            return Declined("the two do not make up a whole head")
        if (
            setting(rotary, "rotary_embedding_dim")
            or not rotary.results[0].has_one_use()
        ):
            return Declined("the rotary embedding has other uses, or is partial")
        return Partial(x, rotary, turned.stop)

    def covers(self, op: OnnxOp, found: Partial) -> Sequence[Operation]:
        return [found.rotary, op]

    def rewrite(
        self, op: OnnxOp, found: Partial, builder: OnnxBuilder
    ) -> list[SSAValue | None]:
        rotary, heads = found.rotary, number_at(found.x, 1)
        properties = dict(rotary.properties)
        sizes = {"rotary_embedding_dim": found.size, "num_heads": heads}
        for name, number in sizes.items():
            if number is not None:
                properties[name] = attribute(rotary.schema(), name, number)
        operands = [found.x, *rotary.operands[1:]]
        return [builder.create(rotary.name, operands, properties).results[0]]


@dataclass(frozen=True)
class FuseRotaryPass(ModulePass):
    """Name the rotary embedding of positions."""

    name = "fuse-rotary"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        store = store_of(ctx)
        if store is not None:
            journal = journal_of(ctx)
            patterns = NameRotary(store, journal), PartialRotary(store, journal)
            rewrite_module(op, *patterns)

    @classmethod
    def schedule_space(
        cls, ctx: Context, module_op: ModuleOp
    ) -> tuple[FuseRotaryPass, ...]:
        return (cls(),)
