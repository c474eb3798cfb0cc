"""
Commuting maps: a linear map of channels on an edge, and its inverse behind it.

    y = x W  ->  y = (x M) (M^-1 W)

`M` goes into what gives `x`, ``M^-1`` into the weights of all products that take it, so
the function stays. Smoothing scales channels, rotations mix them, sorting permutes
them, and taking some apart partitions them: all are this one rewrite.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.rewriter import InsertPoint, Rewriter

from ...dialects.errors import SardonyxError
from ...dialects.onnx import OnnxBuilder, OnnxOp, WeightStore
from ...dialects.onnx.journal import Journal
from ...dialects.onnx.types import Array, element_of, numpy_dtype, static_shape, tensor
from ..facts import follows, given, rank_of, setting
from ..fold_constants import constant_of, source_of
from ..patterns import Declined
from .products import ALL, MATRICES, Product, Selection, product_of

EXACT = 1e-10
"""How far ``(x M) (M^-1 W)`` may be from ``x W``, in float64, relative."""


class MapError(SardonyxError):
    """A map whose inverse does not undo it."""


class LinearMap(ABC):
    """An invertible map of the channels on the last axis: ``x -> x M``."""

    @property
    @abstractmethod
    def size(self) -> int:
        """How many channels it maps."""

    @abstractmethod
    def mapped(self, x: Array) -> Array:
        """``x M``, of the last axis of `x`."""

    @abstractmethod
    def undone(self, weight: Array) -> Array:
        """``M^-1 W``, of the first axis of `weight`."""

    @abstractmethod
    def written(self, x: SSAValue, builder: OnnxBuilder) -> SSAValue:
        """An op that maps `x`, where nothing takes the map in."""

    def check(self) -> None:
        """Raise MapError unless the inverse undoes the map, on random numbers."""
        rng = np.random.default_rng(0)
        x = rng.standard_normal((8, self.size))
        weight = rng.standard_normal((self.size, 8))
        wanted = x @ weight
        error = np.abs(self.mapped(x) @ self.undone(weight) - wanted).max()
        if not error <= EXACT * np.abs(wanted).max():
            raise MapError(
                f"found an inverse that leaves {error:.3g} of {type(self).__name__}, "
                f"wanted {EXACT:g}"
            )


@dataclass(frozen=True, eq=False)
class Diagonal(LinearMap):
    """Channels times `factors`, none of them 0."""

    factors: Array

    @property
    def size(self) -> int:
        return len(self.factors)

    def mapped(self, x: Array) -> Array:
        return x * self.factors

    def undone(self, weight: Array) -> Array:
        shaped = self.factors.reshape(-1, *[1] * (weight.ndim - 1))
        return weight / shaped

    def written(self, x: SSAValue, builder: OnnxBuilder) -> SSAValue:
        factors = builder.constant(self.factors.astype(_dtype(x)), "factors")
        return builder.value("onnx.Mul", x, factors)


@dataclass(frozen=True, eq=False)
class Permutation(LinearMap):
    """Channel ``order[j]`` becomes channel `j`."""

    order: Array

    @property
    def size(self) -> int:
        return len(self.order)

    def mapped(self, x: Array) -> Array:
        return x[..., self.order]

    def undone(self, weight: Array) -> Array:
        return weight[self.order]

    def written(self, x: SSAValue, builder: OnnxBuilder) -> SSAValue:
        order = builder.constant(self.order.astype(np.int64), "order")
        return builder.value("onnx.Gather", x, order, axis=-1)


@dataclass(frozen=True, eq=False)
class Orthogonal(LinearMap):
    """Channels times an orthogonal matrix, whose inverse is its transpose."""

    matrix: Array

    @property
    def size(self) -> int:
        return len(self.matrix)

    def mapped(self, x: Array) -> Array:
        return x @ self.matrix

    def undone(self, weight: Array) -> Array:
        return np.tensordot(self.matrix.T, weight, 1)

    def written(self, x: SSAValue, builder: OnnxBuilder) -> SSAValue:
        matrix = builder.constant(self.matrix.astype(_dtype(x)), "rotation")
        return builder.value("onnx.MatMul", x, matrix)


@dataclass(frozen=True, eq=False)
class Partition:
    """Channels in parts: ``x W = sum over parts of x[part] W[part]``."""

    parts: tuple[Array, ...]

    def check(self, size: int) -> None:
        """Raise MapError unless every one of `size` channels is in one part."""
        joined = np.sort(np.concatenate(self.parts))
        if not np.array_equal(joined, np.arange(size)):
            raise MapError(f"found parts that are no partition of {size} channels")

    def pieces(self, x: SSAValue, builder: OnnxBuilder) -> list[SSAValue]:
        """The channels of `x` in each part."""
        return [Permutation(part).written(x, builder) for part in self.parts]


# --- the rewrite ---


@dataclass(frozen=True)
class Edge:
    """A value whose channels may be mapped, and the products that take it."""

    x: SSAValue
    products: tuple[Product, ...]

    @property
    def alone(self) -> bool:
        """Whether nothing else takes the value."""
        users = {use.operation for use in self.x.uses}
        return users == {product.op for product in self.products}

    @property
    def depth(self) -> int:
        """How many channels there are."""
        return self.products[0].shape[0]


def edges(
    ops: Sequence[Operation], store: WeightStore, selection: Selection = ALL
) -> list[Edge]:
    """The values that products of matrices among `ops` take, in their order."""
    found: dict[SSAValue, list[Product]] = {}
    for op in ops:
        if isinstance(op, OnnxOp) and op.name in MATRICES:
            product = product_of(op, store)
            if isinstance(product, Product) and selection.reason(op) is None:
                found.setdefault(product.x, []).append(product)
    return [Edge(x, tuple(products)) for x, products in found.items()]


NORMS = {"onnx.LayerNormalization": 3, "onnx.RMSNormalization": 2}
"""Normalizations of the last axis with a gain, and how many operands they have."""


def takes_in(edge: Edge, by: LinearMap, store: WeightStore) -> Declined | None:
    """Why what gives the value cannot take the map in, or None if it can."""
    op = edge.x.owner
    if not edge.alone:
        return Declined("its other uses would change too")
    if not isinstance(op, OnnxOp) or op.results[0] is not edge.x:
        return Declined("an input takes no map in")
    if op.name in NORMS:
        if not isinstance(by, Diagonal):
            return Declined("a normalization takes in factors alone")
        rank = rank_of(op.operands[0])
        last = rank is not None and setting(op, "axis") in (-1, rank - 1)
        held = [v for v in op.operands[1 : NORMS[op.name]] if given(v)]
        fixed = all(static_shape(v.type) == (by.size,) for v in held)
        if not last or not fixed or any(constant_of(v, store) is None for v in held):
            return Declined("the normalization has no constant gain of the channels")
        return None
    product = product_of(op, store)
    if isinstance(product, Declined) or product.is_conv:
        return Declined("what gives it is no normalization and no product")
    if product.bias is not None and constant_of(product.bias, store) is None:
        return Declined("the bias of what gives it is not constant")
    return None


def insert(edge: Edge, by: LinearMap, store: WeightStore, journal: Journal) -> None:
    """
    Map the channels of `edge`, and undo it in the products that take it.

    What gives the value takes the map in if it can; else an op is written. Weights are
    computed in float64 and rounded once. Raises MapError for a map that is not undone.
    """
    by.check()
    if by.size != edge.depth:
        raise MapError(f"found a map of {by.size} channels, wanted {edge.depth}")
    journal.rewrote("commuting-map", edge.products[0].op, ())
    if takes_in(edge, by, store) is None:
        x = take_in(edge.x, by, store)
    else:
        x = _written(edge, by, store)
    for product in edge.products:
        undo(product, x, by, store)


def _written(edge: Edge, by: LinearMap, store: WeightStore) -> SSAValue:
    made: list[Operation] = []
    first = edge.products[0].op
    builder = OnnxBuilder(made.append, store, location=first.location)
    mapped = by.written(edge.x, builder)
    Rewriter.insert_op(made, InsertPoint.before(first))
    return mapped


def take_in(x: SSAValue, by: LinearMap, store: WeightStore) -> SSAValue:
    """What gives `x`, which `takes_in` a map, with `by` in it; gives its result."""
    op = x.owner
    assert isinstance(op, OnnxOp), "checked by `takes_in`"
    made: list[Operation] = []
    builder = OnnxBuilder(made.append, store, location=op.location)
    properties = dict(op.properties)
    if op.name in NORMS:
        operands = [*op.operands]
        for place in range(1, NORMS[op.name]):
            if given(operands[place]):
                operands[place] = mapped_constant(operands[place], by, builder)
    else:
        product = product_of(op, store)
        assert isinstance(product, Product), "checked by `takes_in`"
        properties.pop("transB", None)
        operands = [product.x, _columns(product, by, builder), *op.operands[2:]]
        if product.bias is not None:
            operands[2] = mapped_constant(product.bias, by, builder)
    kinds = list(op.result_types)
    new = builder.create(op.name, operands, properties, types=kinds)
    return _replace(op, made, new)


def mapped_constant(value: SSAValue, by: LinearMap, builder: OnnxBuilder) -> SSAValue:
    """The constant `value` of channels, mapped."""
    source, shape = source_of(value, builder.store), static_shape(value.type)
    assert shape is not None, "constants have static shapes"

    def compute() -> Array:
        whole = np.broadcast_to(source().astype(np.float64), (*shape[:-1], by.size))
        return by.mapped(whole)

    kind = tensor(_element(value), (*shape[:-1], by.size))
    hint = value.name_hint or "channels"
    made = follows(builder, kind, f"{hint}.mapped", [value], compute)
    made.name_hint = value.name_hint
    return made


def _columns(product: Product, by: LinearMap, builder: OnnxBuilder) -> SSAValue:
    source, hint = product.source, product.weight.name_hint or "weight"
    made = follows(
        builder,
        tensor(_element(product.weight), product.shape),
        f"{hint}.mapped",
        [product.weight],
        lambda: by.mapped(source().astype(np.float64)),
    )
    made.name_hint = product.weight.name_hint
    return made


def undo(product: Product, x: SSAValue, by: LinearMap, store: WeightStore) -> None:
    """`product` of `x`, channels of which `by` has mapped, instead of what it took."""
    op, made = product.op, list[Operation]()
    builder = OnnxBuilder(made.append, store, location=op.location)
    source, hint = product.source, product.weight.name_hint or "weight"
    weight = follows(
        builder,
        tensor(_element(product.weight), product.shape),
        f"{hint}.undone",
        [product.weight],
        lambda: by.undone(source().astype(np.float64)),
    )
    weight.name_hint = product.weight.name_hint
    properties: dict[str, Attribute] = dict(op.properties)
    properties.pop("transB", None)
    operands = [x, weight, *op.operands[2:]]
    kinds = list(op.result_types)
    new = builder.create(op.name, operands, properties, types=kinds)
    _replace(op, made, new)


def _replace(op: OnnxOp, made: list[Operation], new: OnnxOp) -> SSAValue:
    Rewriter.insert_op(made, InsertPoint.before(op))
    for old, value in zip(op.results, new.results, strict=True):
        value.name_hint = old.name_hint
        old.replace_all_uses_with(value)
    Rewriter.erase_op(op)
    return new.results[0]


def _element(value: SSAValue) -> Attribute:
    element = element_of(value.type)
    assert element is not None, "products and their operands are tensors"
    return element


def _dtype(value: SSAValue) -> np.dtype[np.generic]:
    return numpy_dtype(_element(value))
