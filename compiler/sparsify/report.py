"""What became of every product: how it is stored, its density, bytes and noise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...dialects.onnx import DenseAttr, OnnxOp, WeightAttr, WeightStore
from ...dialects.onnx.provenance import node_names
from ...dialects.onnx.types import Array
from ...dialects.sparse import SparseOp
from ...passes.patterns import Declined
from ...passes.quantize.names import value_names
from ...passes.quantize.products import ALL
from ...passes.sparsity.weights import ROOTS, Weighted, weighted
from ..compression.layers import Layer, Report, decibels, weight_bytes
from ..model import Model


def report_of(
    before: Model, after: Model, batch: Mapping[str, Array] | None = None
) -> Report:
    """
    The products of `before`, and what they are in `after`, made from it by passes.

    With a `batch` both run on it, and results are compared.
    """
    names, products = value_names(before.module), _products(before)
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
        stored, density, less = now
        elements, lost = depth * width, noise.get(name)
        layers.append(Layer(node, kind, stored, elements, size, less, lost, density))
    return Report(tuple(layers), weight_bytes(before), weight_bytes(after))


def layer_names(model: Model) -> tuple[str, ...]:
    """The nodes of what can be pruned in `model`, each by its first name."""
    nodes = [node_names(product.op) for product in _products(model)]
    return tuple(dict.fromkeys(names[0] for names in nodes if names))


def _products(model: Model) -> list[Weighted]:
    return [
        found
        for op in model.module.walk()
        if isinstance(op, OnnxOp) and op.name in ROOTS
        if not isinstance(found := weighted(op, model.context.store, ALL), Declined)
    ]


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
