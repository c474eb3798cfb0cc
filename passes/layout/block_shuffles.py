"""
Have a shuffle of channels move blocks of them, not one after the other.

    Conv(x, w, b) {g groups, 1x1}     ->   MatMul(groups of x, w') + b'
    Relu, a shuffle of channels            Relu, Transpose of blocks, Pad
    Conv(…) {each channel by itself}       nhwc.Conv(…) {each channel by itself}
    Conv(…) {g groups, 1x1}                MatMul(groups, w''), groups as channels

In between only the order of channels counts, and the weights follow it: what one group
has for another lies side by side, filled up with zeros where not every group has as
much. That is a unit of ShuffleNet (Zhang et al. 2017), whose shuffle moves single
elements: XLA has no vectors for these.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass

from ...dialects.nhwc import OPS
from ...dialects.onnx import OnnxBuilder, OnnxOp, store_of
from ...dialects.onnx.attributes import attribute
from ...dialects.onnx.provenance import fused, nodes_only
from ...dialects.onnx.types import (
    Array,
    element_of,
    shape_of,
    static_shape,
    tensor,
)
from ..facts import derived, given, setting
from ..fold_constants import constant_of
from ..patterns import Declined, journal_of, rewrite_module
from .followers import shuffle_of
from .grouped import product_of_groups
from .groups import groups_first, groups_last, rows_of
from .images import ChannelsLast, last, type_last

VECTOR = 16
"""A group of fewer channels is too few for a product: it joins one of all channels."""

_ACTIVATIONS = frozenset(["onnx.HardSwish", "onnx.LeakyRelu", "onnx.Relu"])
"""What may stand before the shuffle: it is finite where the filled up channels are."""


@dataclass(frozen=True)
class Unit:
    """What stands in a unit, in its order, and the order that it shuffles to."""

    first: OnnxOp
    activation: OnnxOp | None
    shuffle: tuple[OnnxOp, ...]
    depthwise: OnnxOp
    groups: int
    """Of channels that the shuffle takes one each from, in turns."""
    before: tuple[int, int]
    """Height and width of the image that comes in."""
    after: tuple[int, int]
    """Those of the image that goes out."""

    @cached_property
    def sources(self) -> Array:
        """Which channel before the shuffle each one behind it is."""
        shape = static_shape(self.first.operands[1].type)
        assert shape is not None, "its weight is constant"
        return np.arange(shape[0]).reshape(self.groups, -1).T.reshape(-1)

    def blocks(self, into: int) -> Array:
        """
        Where each of the blocks' channels lies behind the shuffle: ``[d, g, i]``.

        That is the i-th that group d of `into` takes from group g of the first product;
        -1 if there is none.
        """
        sources, group = self.sources, setting(self.first, "group")
        each, taken = len(sources) // group, len(sources) // into
        found = [
            [
                [
                    k
                    for k in range(d * taken, (d + 1) * taken)
                    if sources[k] // each == g
                ]
                for g in range(group)
            ]
            for d in range(into)
        ]
        most = max(len(block) for row in found for block in row)
        padded = [[block + [-1] * (most - len(block)) for block in r] for r in found]
        return np.array(padded, np.int64)


def _only(value: SSAValue, *names: str) -> OnnxOp | None:
    """The op of one of `names` that gives `value`, for one use only."""
    op = value.owner
    if not isinstance(op, OnnxOp) or op.name not in names:
        return None
    return op if value.has_one_use() else None


@dataclass(frozen=True)
class ShuffledUnit(ChannelsLast[Unit]):
    """A unit of ShuffleNet, at its second product."""

    name = "shuffle-by-blocks"
    roots = frozenset(["onnx.Conv"])

    def decide(self, op: OnnxOp) -> Unit | Declined:
        after = product_of_groups(op, self.store)
        if isinstance(after, Declined):
            return after
        depthwise = _only(op.operands[0], "onnx.Conv")
        if depthwise is None or not self._is_depthwise(depthwise):
            return Declined("before it no channels are each by themselves", near=False)
        together = _only(depthwise.operands[0], "onnx.Reshape")
        found = None if together is None else shuffle_of(together)
        if together is None or not isinstance(found, tuple):
            return Declined("no shuffle of channels is before it", near=False)
        shuffle = self._steps(together)
        image = shuffle[0].operands[0]
        activation = _only(image, *_ACTIVATIONS)
        first = _only(image if activation is None else activation.operands[0], *_CONV)
        if first is None or len(shuffle) != 3:
            return Declined("what is shuffled is no product, or has other uses")
        before = product_of_groups(first, self.store)
        if isinstance(before, Declined):
            return before
        return Unit(first, activation, shuffle, depthwise, found[0], before, after)

    def _is_depthwise(self, op: OnnxOp) -> bool:
        shape = static_shape(op.operands[1].type)
        constant = all(
            constant_of(value, self.store) is not None
            for value in op.operands[1:]
            if given(value)
        )
        if shape is None or not constant or len(shape) != 4:
            return False
        pads = setting(op, "pads") or (0,)
        plain = setting(op, "auto_pad") == "NOTSET" and min(pads) >= 0
        return plain and shape[1] == 1 and shape[0] == setting(op, "group")

    def _steps(self, together: OnnxOp) -> tuple[OnnxOp, ...]:
        """The ops of the shuffle that ends so, as far as they have one use."""
        turned = _only(together.operands[0], "onnx.Transpose")
        apart = None if turned is None else _only(turned.operands[0], "onnx.Reshape")
        steps = (apart, turned, together)
        return tuple(step for step in steps if step is not None)

    def covers(self, op: OnnxOp, found: Unit) -> list[Operation]:
        activation = [] if found.activation is None else [found.activation]
        return [found.first, *activation, *found.shuffle, found.depthwise, op]

    def compute(
        self, op: OnnxOp, found: Unit, builder: OnnxBuilder
    ) -> Sequence[SSAValue | None]:
        written = _Written(found, op, found.blocks(setting(op, "group")), builder)
        return [written.unit()]


_CONV = ("onnx.Conv",)


@dataclass(frozen=True)
class _Written:
    """Writes a unit whose channels lie in `blocks`."""

    found: Unit
    second: OnnxOp
    blocks: Array
    builder: OnnxBuilder

    def unit(self) -> SSAValue:
        """The unit's image, with channels last."""
        value, builder = self.builder.value, self.builder
        weight = static_shape(self.found.first.operands[1].type)
        assert weight is not None, "checked by `decide`"
        self._is_of(self.found.first)
        image = last(self.found.first.operands[0], builder)
        shuffled = self._dense(image) if weight[1] < VECTOR else self._shuffled(image)
        self._is_of(self.second)
        into, group, most = self.blocks.shape
        stack = groups_first(shuffled, into, builder)
        rows = value("onnx.Reshape", stack, self._sizes(into, -1, group * most))
        y = value("onnx.MatMul", rows, self._second())
        shape = static_shape(self.second.operands[1].type)
        assert shape is not None, "checked by `decide`"
        each = shape[0] // into
        bias = self._bias(self.second, (into, 1, each), None)
        y = y if bias is None else value("onnx.Add", y, bias)
        sizes = self._sizes(into, -1, *self.found.after, each)
        return groups_last(value("onnx.Reshape", y, sizes), builder)

    def _is_of(self, *ops: Operation) -> None:
        """What is written from here on comes from `ops`."""
        self.builder.location = nodes_only(fused(ops))

    def _sizes(self, *sizes: int) -> SSAValue:
        return self.builder.constant(np.array(sizes, np.int64), "sizes")

    def _shuffled(self, image: SSAValue) -> SSAValue:
        """The image after depthwise convolution, from a product for each group."""
        value = self.builder.value
        into, group, most = self.blocks.shape
        rows = rows_of(groups_first(image, group, self.builder), self.builder)
        y = value("onnx.MatMul", rows, self._first())
        # What group d takes from group g stands at [g, …, d * most + i].
        bias = self._bias(
            self.found.first,
            (group, 1, into * most),
            lambda b: self._spread(b, self.found.sources).transpose(1, 0, 2),
        )
        y = self._activated(y if bias is None else value("onnx.Add", y, bias))
        self._is_of(*self.found.shuffle)
        height, width = self.found.before
        sizes = self._sizes(group, -1, height, width, into, most)
        y = value("onnx.Reshape", y, sizes)
        y = value("onnx.Transpose", y, perm=(1, 2, 3, 4, 0, 5))
        # Padded before blocks become channels: XLA finds vectors in these.
        top, left, bottom, right = self._pads()
        begin, end = (0, top, left, 0, 0, 0), (0, bottom, right, 0, 0, 0)
        if any((*begin, *end)):
            y = value("onnx.Pad", y, self._sizes(*begin, *end))
        high, wide = height + top + bottom, width + left + right
        y = value("onnx.Reshape", y, self._sizes(-1, high, wide, into * group * most))
        return self._depthwise(y, (0, 0, 0, 0))

    def _dense(self, image: SSAValue) -> SSAValue:
        """The image after depthwise convolution, from one product of all channels."""
        value = self.builder.value
        y = value("onnx.MatMul", image, self._joined())
        shape = (self.blocks.size,)
        bias = self._bias(
            self.found.first, shape, lambda b: self._spread(b, self.found.sources)
        )
        y = self._activated(y if bias is None else value("onnx.Add", y, bias))
        return self._depthwise(y, self._pads())

    def _activated(self, y: SSAValue) -> SSAValue:
        op = self.found.activation
        if op is None:
            return y
        self._is_of(op)
        return self.builder.create(op.name, [y], dict(op.properties)).results[0]

    def _pads(self) -> Sequence[int]:
        """What is padded before height and width, and after them."""
        return setting(self.found.depthwise, "pads") or (0, 0, 0, 0)

    def _depthwise(self, image: SSAValue, pads: Sequence[int]) -> SSAValue:
        op, builder = self.found.depthwise, self.builder
        self._is_of(op)
        made = OPS["nhwc.Conv"]
        properties = dict(op.properties)
        properties["group"] = attribute(made.schema(), "group", self.blocks.size)
        properties["pads"] = attribute(made.schema(), "pads", pads)
        known = made.get_irdl_definition().properties
        shape = static_shape(op.operands[1].type)
        assert shape is not None, "checked by `decide`"
        filters = self._constant(
            op.operands[1],
            (*shape[2:], 1, self.blocks.size),
            lambda w: self._spread(w[:, 0].transpose(1, 2, 0)),
        )
        bias = self._bias(op, (self.blocks.size,), self._spread)
        held = shape_of(type_last(op.result_types[0]))
        element = element_of(op.result_types[0])
        assert held is not None, "an image has four axes"
        assert element is not None, "an image is a tensor"
        new = made.create(
            operands=[image, filters, builder.none() if bias is None else bias],
            result_types=[tensor(element, [*held[:3], self.blocks.size])],
            properties={n: a for n, a in properties.items() if n in known},
            location=builder.location,
        )
        builder.insert(new)
        return new.results[0]

    # --- weights in the order of blocks ---

    def _spread(self, array: Array, sources: Array | None = None) -> Array:
        """The last axis of `array` as blocks ``[d, g, i]``, zeros where they end."""
        places = self.blocks if sources is None else sources[self.blocks]
        return np.where(self.blocks < 0, 0, array[..., places])

    def _first(self) -> SSAValue:
        """The first product's matrices: ``[g, c, d * i]``."""
        into, group, most = self.blocks.shape
        weight = self.found.first.operands[1]
        shape = static_shape(weight.type)
        assert shape is not None, "checked by `decide`"

        def packed(w: Array) -> Array:
            # [c, d, g, i]
            whole = self._spread(w[:, :, 0, 0].T, self.found.sources)
            return whole.transpose(2, 0, 1, 3)

        return self._constant(weight, (group, shape[1], into * most), packed)

    def _joined(self) -> SSAValue:
        """The first product's matrix of all channels, zeros outside of groups."""
        group, weight = self.blocks.shape[1], self.found.first.operands[1]
        shape = static_shape(weight.type)
        assert shape is not None, "checked by `decide`"
        each = shape[1]

        def packed(w: Array) -> Array:
            whole = self._spread(w[:, :, 0, 0].T, self.found.sources)
            dense = np.zeros((group, each, *self.blocks.shape), w.dtype)
            for place in range(group):
                dense[place, :, :, place] = whole[:, :, place]
            return dense

        return self._constant(weight, (group * each, self.blocks.size), packed)

    def _second(self) -> SSAValue:
        """The second product's matrices: ``[d, g * i, m]``."""
        into, group, most = self.blocks.shape
        weight = self.second.operands[1]
        shape = static_shape(weight.type)
        assert shape is not None, "checked by `decide`"
        each = shape[0] // into

        def packed(w: Array) -> Array:
            of_groups = w[:, :, 0, 0].reshape(into, each, shape[1])
            parts: list[Array] = []
            for place, rows in enumerate(of_groups):
                blocks = self.blocks[place]
                held = rows[:, np.where(blocks < 0, 0, blocks - place * shape[1])]
                parts.append(np.where(blocks < 0, 0, held).reshape(each, -1).T)
            return np.stack(parts)

        return self._constant(weight, (into, group * most, each), packed)

    def _bias(
        self, op: OnnxOp, shape: tuple[int, ...], order: Callable[[Array], Array] | None
    ) -> SSAValue | None:
        bias = op.operands[2]
        if not given(bias):
            return None
        return self._constant(bias, shape, order or (lambda array: array))

    def _constant(
        self, value: SSAValue, shape: tuple[int, ...], order: Callable[[Array], Array]
    ) -> SSAValue:
        def blocks(array: Array) -> Array:
            return order(array).reshape(shape)

        return derived(value, "blocks", shape, blocks, self.builder)


@dataclass(frozen=True)
class BlockShufflesPass(ModulePass):
    """Have a shuffle of channels move blocks of them, not one after the other."""

    name = "block-shuffles"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        store = store_of(ctx)
        if store is None:
            return
        ctx.get_optional_dialect("nhwc")
        rewrite_module(op, ShuffledUnit(store, journal_of(ctx)))

    @classmethod
    def schedule_space(
        cls, ctx: Context, module_op: ModuleOp
    ) -> tuple[BlockShufflesPass, ...]:
        return (cls(),)
