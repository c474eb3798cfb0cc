"""
Weights split by value into lower, middle and upper ones, each with its own scale.

    MatMul(x, w)  ->  MatMul(x, Gather(table, codes))

A split layer is the sum of three, whose weights are 0 outside their cluster (Song and
Lin, "SplitQuant", 2025, arXiv:2501.12428). Their sum is one weight of three times as
many values, so it is stored once: a code names the cluster and the code in it, and the
table has what they stand for. With one cluster this is plain rounding per tensor.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue
from xdsl.passes import ModulePass

from ...dialects.errors import SardonyxError
from ...dialects.onnx import OnnxBuilder, OnnxOp, store_of
from ...dialects.onnx.types import ELEMENT_TYPES, Array, tensor
from ...dialects.quant.packing import packed_rows
from ..facts import follows
from ..patterns import Declined, OnnxPattern, journal_of, rewrite_module
from .products import ROOTS, Product, Selection, chosen, float_form
from .speed import Speed

INT32 = 6
"""ONNX's number of int32."""
ROUNDS = 50
"""Of Lloyd's algorithm at most."""


def clusters(values: Array, count: int) -> Array:
    """
    The limits between `count` clusters of `values`, by k-means on the line.

    Deterministic: the first centres are quantiles.
    """
    ordered = np.sort(values.reshape(-1).astype(np.float64))
    places = (np.arange(count) + 0.5) / count
    centres = np.quantile(ordered, places)
    sums = np.concatenate(([0.0], np.cumsum(ordered)))
    limits = (centres[1:] + centres[:-1]) / 2
    for _ in range(ROUNDS):
        cuts = [0, *np.searchsorted(ordered, limits), ordered.size]
        sizes = np.diff(cuts)
        totals = sums[cuts[1:]] - sums[cuts[:-1]]
        centres = np.where(sizes > 0, totals / np.maximum(sizes, 1), centres)
        moved = (centres[1:] + centres[:-1]) / 2
        if np.array_equal(moved, limits):
            break
        limits = moved
    return limits


@dataclass(frozen=True)
class Split:
    """The limits between clusters, and the values that codes stand for."""

    limits: Array
    table: Array
    """``[clusters, 2 ** bits]``, float32."""

    @classmethod
    def of(cls, values: Array, bits: int, count: int) -> Split:
        """Fitted to `values`: every cluster has the scale that its range asks for."""
        limits = clusters(values, count)
        place = np.searchsorted(limits, values.reshape(-1), side="right")
        rows: list[Array] = []
        for one in range(count):
            within = values.reshape(-1)[place == one]
            rows.append(_levels(within, bits))
        return cls(limits, np.stack(rows))

    def codes(self, values: Array) -> tuple[Array, Array]:
        """The cluster of every value, and its code in it: the nearest in the table."""
        place = np.searchsorted(self.limits, values, side="right")
        code = np.zeros(values.shape, np.uint8)
        for one, levels in enumerate(self.table):
            middles = (levels[1:].astype(np.float64) + levels[:-1]) / 2
            code = np.where(place == one, np.searchsorted(middles, values), code)
        return place.astype(np.uint8), code.astype(np.uint8)


def _levels(within: Array, bits: int) -> Array:
    """Evenly spaced values from the least to the largest of a cluster, float32."""
    low = float(within.min()) if within.size else 0.0
    high = float(within.max()) if within.size else 0.0
    return np.linspace(low, high, 2**bits).astype(np.float32)


@dataclass(frozen=True)
class ProductOfSplit(OnnxPattern[Product]):
    """Stores a weight as codes of a table."""

    selection: Selection
    bits: int
    count: int

    name = "product-of-split-weight"
    roots = ROOTS

    def decide(self, op: OnnxOp) -> Product | Declined:
        return chosen(op, self.store, self.selection)

    def rewrite(
        self, op: OnnxOp, found: Product, builder: OnnxBuilder
    ) -> list[SSAValue | None]:
        split = Split.of(found.source(), self.bits, self.count)
        table = builder.constant(split.table.reshape(-1), "table")
        places = _places(found, split, builder)
        weight = builder.value("onnx.Gather", table, places, axis=0)
        return [*float_form(found, found.x, weight, builder)]


def _places(product: Product, split: Split, builder: OnnxBuilder) -> SSAValue:
    """Where in the table every weight lies: stored in as few bits as ONNX has."""
    width = split.table.shape[1]
    source = product.source

    def whole() -> Array:
        place, code = split.codes(source())
        return place * width + code

    if split.table.size <= 4:
        return _pairs_of_bits(product, whole, builder)
    if split.table.size <= 16:
        codes = _stored(product, "uint4", whole, builder)
        return builder.value("onnx.Cast", codes, to=INT32)
    low = _stored(product, "uint4", lambda: split.codes(source())[1], builder)
    high = _pairs_of_bits(product, lambda: split.codes(source())[0], builder)
    offset = builder.constant(np.array(width, np.int32), "width")
    first = builder.value("onnx.Mul", high, offset)
    return builder.value("onnx.Add", first, builder.value("onnx.Cast", low, to=INT32))


def _pairs_of_bits(
    product: Product, compute: Callable[[], Array], builder: OnnxBuilder
) -> SSAValue:
    """
    Codes of 2 bits, four to a byte, and the ops that take them out, as int32.

    ONNX has uint2 from opset 25 on, but few runtimes have all of that.
    """
    count = math.prod(product.shape)

    def packed() -> Array:
        return packed_rows(compute().reshape(1, -1), 2).reshape(-1, 1)

    kind = tensor(ELEMENT_TYPES["uint8"], (-(-count // 4), 1))
    hint = product.weight.name_hint or "weight"
    held = follows(builder, kind, f"{hint}.uint2", [product.weight], packed)
    shifts = builder.constant(np.array([0, 2, 4, 6], np.uint8), "shifts")
    moved = builder.value("onnx.BitShift", held, shifts, direction="RIGHT")
    mask = builder.constant(np.array(3, np.uint8), "mask")
    codes = builder.value("onnx.BitwiseAnd", moved, mask)
    flat = builder.value("onnx.Reshape", codes, _integers(builder, -1))
    if count % 4:
        ends = (_integers(builder, 0), _integers(builder, count))
        flat = builder.value("onnx.Slice", flat, *ends)
    whole = builder.value("onnx.Reshape", flat, _integers(builder, *product.shape))
    return builder.value("onnx.Cast", whole, to=INT32)


def _integers(builder: OnnxBuilder, *values: int) -> SSAValue:
    return builder.constant(np.array(values, np.int64), "sizes")


def _stored(
    product: Product, element: str, compute: Callable[[], Array], builder: OnnxBuilder
) -> SSAValue:
    hint = product.weight.name_hint or "weight"
    kind = tensor(ELEMENT_TYPES[element], product.shape)
    made = follows(builder, kind, f"{hint}.{element}", [product.weight], compute)
    made.name_hint = product.weight.name_hint
    return made


@dataclass(frozen=True)
class SplitQuantPass(ModulePass):
    """
    Split weights by value into `clusters`, each in `bits` bits of its own (SplitQuant).

    At most 4 bits and 4 clusters; `only` and `exclude` name ONNX nodes.

    Products whose form is estimated slower than float32 on the backend `only_faster`,
    if it names one, stay as they are; `target` says of what hardware.
    """

    name = "split-quant"

    bits: int = 4
    clusters: int = 3
    only: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    only_faster: str = ""
    target: str = "host-cpu"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        if self.bits not in (2, 3, 4):
            raise SardonyxError(
                f"split-quant: found bits={self.bits}, wanted 2, 3 or 4"
            )
        if not 1 <= self.clusters <= 4:
            found = self.clusters
            raise SardonyxError(f"split-quant: found clusters={found}, wanted 1 to 4")
        store = store_of(ctx)
        if store is None:
            return
        speed = Speed.of("table", self.only_faster, self.target)
        selection = Selection(self.only, self.exclude, speed)
        pattern = ProductOfSplit(
            store, journal_of(ctx), selection, self.bits, self.clusters
        )
        rewrite_module(op, pattern, recursively=False)

    @classmethod
    def schedule_space(
        cls, ctx: Context, module_op: ModuleOp
    ) -> tuple[SplitQuantPass, ...]:
        return (cls(), cls(bits=2))
