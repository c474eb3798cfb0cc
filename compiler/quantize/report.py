"""What became of every product: its format, its bytes, its signal to noise."""

from __future__ import annotations

from collections.abc import Mapping

from ...dialects.onnx import OnnxOp
from ...dialects.onnx.provenance import node_names
from ...dialects.onnx.types import Array
from ...dialects.quant import SchemeAttr
from ...passes.facts import name_of
from ...passes.quantize.names import value_names
from ...passes.quantize.products import products_in
from ...passes.quantize.schemes import constant_bytes, schemes_in
from ..compression.layers import Layer, Report, decibels, weight_bytes
from ..model import Model


def report_of(
    before: Model, after: Model, batch: Mapping[str, Array] | None = None
) -> Report:
    """
    The products of `before`, and what they are in `after`, made from it by passes.

    With a `batch` both run on it, and results are compared.
    """
    names = value_names(before.module)
    products = products_in(before.module, before.context.store)
    results = [names[p.op.results[0]] for p in products if p.op.results[0] in names]
    noise = {} if batch is None else decibels(before, after, results, batch)
    written = _written(after)
    layers: list[Layer] = []
    for product in products:
        name = names.get(product.op.results[0], "")
        node = (node_names(product.op) or (name,))[0]
        elements = 1
        for size in product.shape:
            elements *= size
        now = written.get(frozenset(node_names(product.op)))
        scheme, size = now if now is not None else ("float32", elements * 4)
        operator = product.op.op_type()
        lost = noise.get(name)
        layers.append(Layer(node, operator, scheme, elements, elements * 4, size, lost))
    return Report(tuple(layers), weight_bytes(before), weight_bytes(after))


_HOLDERS = ("onnx.Gather", "onnx.MatMul", "onnx.Mul")
"""What takes the other constants of a quantized product: tables, floats, scales."""


def _written(model: Model) -> dict[frozenset[str], tuple[str, int]]:
    """By the nodes that it came from: how a weight is stored, and in how many bytes."""
    schemes: dict[frozenset[str], list[str]] = {}
    coded = {op: scheme for op, scheme in schemes_in(model.module)}
    for op, scheme in coded.items():
        said = str(SchemeAttr(scheme).data)
        schemes.setdefault(frozenset(node_names(op)), []).append(said)
    sizes = dict.fromkeys(schemes, 0)
    for op in model.module.walk():
        nodes = frozenset(node_names(op))
        if nodes in sizes and (op in coded or op.name in _HOLDERS):
            sizes[nodes] += sum(
                constant_bytes(value.owner, model.context.store)
                for value in op.operands
                if isinstance(value.owner, OnnxOp)
                and value.owner.name == "onnx.Constant"
            )
            if op.name == "onnx.MatMul" and name_of(op.operands[1]) == "onnx.Constant":
                schemes[nodes].append("float32")
    return {nodes: (" + ".join(said), sizes[nodes]) for nodes, said in schemes.items()}
