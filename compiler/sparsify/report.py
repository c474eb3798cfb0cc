"""What became of every product: how it is stored, its density, bytes and noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ...dialects.onnx import DenseAttr, OnnxOp, WeightAttr, WeightStore
from ...dialects.onnx.provenance import node_names
from ...dialects.onnx.types import Array
from ...dialects.sparse import SparseOp
from ...passes.patterns import Declined
from ...passes.quantize.names import value_names
from ...passes.quantize.products import ALL
from ...passes.sparsity.weights import ROOTS, weighted
from ..compression.layers import decibels, weight_bytes
from ..model import Model


@dataclass(frozen=True)
class Layer:
    """One product before and after."""

    node: str
    """The name of its ONNX node, or what its value is called."""
    operator: str
    stored: str
    """An encoding, as ``group_shared 128 512``; ``dense`` where zeros are stored."""
    density: float
    """The part of the weight's elements that is not 0, or that is stored."""
    elements: int
    bytes_before: int
    bytes_after: int
    """With indices and masks."""
    decibels: float | None
    """The signal to noise of its result, earlier layers' noise included."""

    def as_json(self) -> dict[str, Any]:
        """The fields, for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Report:
    """The layers, and the bytes of all weights."""

    layers: tuple[Layer, ...]
    bytes_before: int
    bytes_after: int

    @property
    def density(self) -> float:
        """Of all products' weights together."""
        elements = sum(layer.elements for layer in self.layers)
        kept = sum(layer.density * layer.elements for layer in self.layers)
        return kept / max(elements, 1)

    def as_json(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "bytes_before": self.bytes_before,
            "bytes_after": self.bytes_after,
            "density": self.density,
            "layers": [layer.as_json() for layer in self.layers],
        }


def report_of(
    before: Model, after: Model, batch: Mapping[str, Array] | None = None
) -> Report:
    """
    The products of `before`, and what they are in `after`, made from it by passes.

    With a `batch` both run on it, and results are compared.
    """
    names = value_names(before.module)
    products = [
        found
        for op in before.module.walk()
        if isinstance(op, OnnxOp) and op.name in ROOTS
        if not isinstance(found := weighted(op, before.context.store, ALL), Declined)
    ]
    called = [names.get(p.op.results[0], "") for p in products]
    results = [name for name in called if name]
    noise = {} if batch is None else decibels(before, after, results, batch)
    written = _written(after)
    layers: list[Layer] = []
    for product, name in zip(products, called, strict=True):
        nodes, (depth, width) = node_names(product.op), product.shape
        size = depth * width * product.itemsize
        now = written.get(frozenset(nodes), ("dense", 1.0, size))
        node, kind = (nodes or (name,))[0], product.op.op_type()
        stored, density, after_bytes = now
        layers.append(
            Layer(
                node,
                kind,
                stored,
                density,
                depth * width,
                size,
                after_bytes,
                noise.get(name),
            )
        )
    return Report(tuple(layers), weight_bytes(before), weight_bytes(after))


def _written(model: Model) -> dict[frozenset[str], tuple[str, float, int]]:
    """By the nodes that it came from: how a weight is stored, density and bytes."""
    found: dict[frozenset[str], tuple[str, float, int]] = {}
    store = model.context.store
    for op in model.module.walk():
        if isinstance(op, SparseOp):
            size = sum(_bytes(value.owner, store) for value in op.operands[1:])
            density = float(op.encoding.density(op.shape))
            now = str(op.encoding), density, size
        elif isinstance(op, OnnxOp) and op.name in ROOTS:
            product = weighted(op, store, ALL)
            if isinstance(product, Declined):
                continue
            weight = product.source()
            kept = int(np.count_nonzero(weight)) / max(weight.size, 1)
            now = "dense", kept, weight.size * product.itemsize
        else:
            continue
        found[frozenset(node_names(op))] = now
    return found


def _bytes(op: Any, store: WeightStore) -> int:
    held = op.properties.get("value") if isinstance(op, OnnxOp) else None
    if isinstance(held, WeightAttr):
        return store[held.data].file_bytes
    return held.array().nbytes if isinstance(held, DenseAttr) else 0
