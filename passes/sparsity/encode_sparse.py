"""
Store weights without their zeros, where that is faster, or where it is smaller.

    MatMul(x, w)  ->  sparse.MatMul(x, values, indices)
    MatMul(x, w)  ->  sparse.BitmapMatMul(x, values, mask)        (goal="bytes" alone)

Zeros are looked for in the weights: outputs side by side that leave out the same inputs
become a smaller product of the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue
from xdsl.passes import ModulePass

from ...dialects.errors import SardonyxError
from ...dialects.onnx import OnnxBuilder, OnnxOp, store_of
from ...dialects.onnx.types import Array, element_of, shape_of, tensor
from ...dialects.sparse import (
    BITMAP,
    MATMUL,
    NOTE,
    OPS,
    Bitmap,
    Block,
    Encoding,
    EncodingAttr,
    GroupShared,
)
from ...dialects.sparse.arrays import Gathered, encoded
from ..analysis.targets import Engine, read_target
from ..facts import follows
from ..patterns import Declined, OnnxPattern, journal_of, rewrite_module
from ..quantize.products import MATRICES, Selection, with_bias
from .costs import BACKENDS, Habits, Work
from .patterns import groups_in, longest_run, nm_of
from .weights import Weighted, weighted

GOALS = ("time", "bytes")

LEAST_GROUP = 16
"""Fewer outputs are not worth a product of their own."""

LEAST_SPARSITY = 0.02
"""Weights with fewer zeros are left alone without a look at where they are."""


@dataclass(frozen=True)
class Encoded:
    """A product and the encoding of its weight."""

    product: Weighted
    encoding: Encoding


@dataclass(frozen=True)
class SparseProduct(OnnxPattern[Encoded]):
    """Stores the weight of a product of matrices without its zeros."""

    selection: Selection
    engine: Engine
    habits: Habits
    goal: str
    rows: int

    name = "product-without-zeros"
    roots = MATRICES

    def decide(self, op: OnnxOp) -> Encoded | Declined:
        product = weighted(op, self.store, self.selection)
        if isinstance(product, Declined):
            return product
        weight = product.source()
        if not np.isfinite(weight).all():
            return Declined("its weight is not finite")
        zeros = weight.size - np.count_nonzero(weight)
        if zeros < LEAST_SPARSITY * weight.size:
            return Declined(f"only {zeros / max(weight.size, 1):.1%} of it is 0")
        if self.goal == "bytes":
            return self._smallest(product, weight)
        return self._fastest(product, weight)

    def _smallest(self, product: Weighted, weight: Array) -> Encoded | Declined:
        shape, size = product.shape, product.itemsize
        found = list(candidates(weight))
        if (nm := nm_of(weight)) is not None:
            found.append(nm)
        found.append(Bitmap(int(np.count_nonzero(weight))))
        best = min(found, key=lambda one: one.bytes(shape, size))
        now = best.bytes(shape, size)
        if now >= weight.size * size:
            return Declined(f"{best} takes {now} bytes, dense {weight.size * size}")
        return Encoded(product, best)

    def _fastest(self, product: Weighted, weight: Array) -> Encoded | Declined:
        work = self._work(product)
        dense = work.dense(self.engine, self.habits)
        best: Encoding = Bitmap(int(np.count_nonzero(weight)))
        least = work.expanded(self.engine, self.habits)
        for one in candidates(weight):
            groups, kept = parts_of(one, product.shape)
            seconds = work.gathered(self.engine, self.habits, groups, kept)
            if seconds < least:
                best, least = one, seconds
        if least >= dense:
            wanted = f"{dense * 1e6:.0f} us dense, on {work.rows} rows"
            return Declined(f"{best} would take {least * 1e6:.0f} us, {wanted}")
        return Encoded(product, best)

    def _work(self, product: Weighted) -> Work:
        shape = shape_of(product.x.type)
        assert shape is not None, "its rank is known"
        others = list(shape)
        del others[product.axis]
        rows = 1
        free = False
        for dim in others:
            known = None if dim is None else dim.constant
            free |= known is None
            rows *= known or 1
        depth, width = product.shape
        count = max(rows, self.rows) if free else rows
        return Work(count, depth, width, product.itemsize, product.left)

    def rewrite(
        self, op: OnnxOp, found: Encoded, builder: OnnxBuilder
    ) -> list[SSAValue | None]:
        product = found.product
        y = written(product, found.encoding, op.results[0], builder)
        if product.product is not None:
            y = with_bias(product.product, y, builder)
        return [y]


def candidates(weight: Array, least: int = LEAST_GROUP) -> Iterator[Encoding]:
    """
    The encodings of groups of `least` outputs or more, the widest first.

    Every group leaves out some inputs.
    """
    depth, width = weight.shape
    group = width
    while group >= min(least, width):
        used = groups_in(weight, group)
        kept = max(int(used.sum(1).max(initial=0)), 1)
        if kept < depth:
            run = longest_run(used)
            if run > 1 and kept % run == 0:
                yield Block(run, group, kept // run)
            else:
                yield GroupShared(group, kept)
        if group % 2:
            return
        group //= 2


def parts_of(encoding: Encoding, shape: tuple[int, int]) -> tuple[int, int]:
    """How many groups of outputs there are, and how many inputs each keeps."""
    if isinstance(encoding, Block):
        return shape[1] // encoding.outputs, encoding.kept * encoding.inputs
    assert isinstance(encoding, GroupShared), "the others do not gather"
    return shape[1] // encoding.group, encoding.kept


def written(
    product: Weighted, encoding: Encoding, result: SSAValue, builder: OnnxBuilder
) -> SSAValue:
    """The product that `encoding` makes of `product`, without its bias."""
    source, hint = product.source, product.weight.name_hint or "weight"
    packed = encoded(source(), encoding)
    turned = product.left and isinstance(packed, Gathered)

    def stored() -> Array:
        found = encoded(source(), encoding).values
        # What stands left of the other operand has its outputs first.
        return found.swapaxes(1, 2) if turned else found

    shape = packed.values.shape
    shape = (shape[0], shape[2], shape[1]) if turned else shape
    element = element_of(product.weight.type)
    assert element is not None, "weights are tensors"
    values = follows(
        builder,
        tensor(element, shape),
        f"{hint}.values",
        [product.weight],
        stored,
    )
    values.name_hint = product.weight.name_hint
    axis = {"axis": product.axis} if product.left else {}
    if isinstance(packed, Gathered):
        index = builder.constant(packed.indices, f"{hint}.indices")
        span = {"span": packed.span} if packed.span > 1 else {}
        operands, name, options = [product.x, values, index], MATMUL, span | axis
    else:
        mask = builder.constant(packed.mask, f"{hint}.mask")
        operands, name = [product.x, values, mask], BITMAP
        options = {"K": product.shape[0]} | axis
    made = OPS[name](*operands, result_types=[result.type], **options)
    made.attributes[NOTE] = EncodingAttr(encoding)
    made.location = builder.location
    builder.insert(made)
    return made.results[0]


@dataclass(frozen=True)
class EncodeSparsePass(ModulePass):
    """
    Store weights of matrix products without their zeros.

    With the goal ``time``, where outputs side by side leave out the same inputs and the
    product is estimated to be faster with `backend` on `target`; with ``bytes``, where
    the file gets smaller. Activations of a free size are taken to have `rows` rows.
    `only` and `exclude` name ONNX nodes.
    """

    name = "encode-sparse"

    goal: str = "time"
    rows: int = 128
    backend: str = "numpy"
    target: str = "host-cpu"
    only: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        if self.goal not in GOALS:
            raise SardonyxError(
                f"{self.name}: found goal {self.goal!r}, wanted {' or '.join(GOALS)}"
            )
        if self.backend not in BACKENDS:
            raise SardonyxError(
                f"{self.name}: found backend {self.backend!r}, wanted "
                f"{' or '.join(BACKENDS)}"
            )
        engine = read_target(self.target).engines[0]
        store = store_of(ctx)
        if store is None:
            return
        ctx.get_optional_dialect("sparse")
        selection = Selection(self.only, self.exclude)
        habits = BACKENDS[self.backend]
        pattern = SparseProduct(
            store, journal_of(ctx), selection, engine, habits, self.goal, self.rows
        )
        rewrite_module(op, pattern, recursively=False)

    @classmethod
    def schedule_space(
        cls, ctx: Context, module_op: ModuleOp
    ) -> tuple[EncodeSparsePass, ...]:
        return (cls(), cls(backend="jax"))
