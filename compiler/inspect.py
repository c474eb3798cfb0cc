"""
What a model costs, by operator: counts, parameters, FLOPs, bytes, activation peak.

`inspect_model` gathers what the analyses in ``passes/analysis`` say; `Inspection` has
it as values and as JSON. Amounts are polynomials in the dimensions that are free.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xdsl.dialects.builtin import IntegerAttr, StringAttr
from xdsl.ir import Attribute, Operation

from ..dialects.fusion import RegionOp
from ..dialects.onnx import Dim, OnnxOp
from ..dialects.onnx.integers import IntegerValues
from ..dialects.onnx.provenance import node_names, tensor_names
from ..dialects.onnx.text import attr_text
from ..dialects.onnx.types import DTYPE_NAMES, element_of, is_none, shape_of
from ..passes.analysis.cost import Cost, WeightKey, op_cost, weights_of
from ..passes.analysis.liveness import MAX_PEAKS, SAMPLE, Liveness
from ..passes.analysis.storage import CONSTANTS, ZERO, bytes_of, evaluated, total
from .driver import load, specialize
from .importer.files import open_model
from .importer.opsets import opset_versions
from .model import Model, Value
from .pipelines import run_pipeline, spec_of

HEAVIEST = 10
AMOUNTS = ("flops", "transcendentals", "bytes_read", "bytes_written")
"""The fields of a `Cost` that are added up."""


@dataclass(frozen=True)
class Row:
    """The sum over some ops: over the amounts that are known."""

    label: str
    """The operator, ``Conv``; with its dialect if it is not of ONNX's default one."""
    count: int
    parameters: int
    """The elements of their weights, a shared one once."""
    amounts: Mapping[str, Dim]
    """The sum of each of `AMOUNTS` where it is known."""
    unknown: Mapping[str, int]
    """For how many ops an amount is not known, `parameters` among them; not if 0."""

    def as_json(self) -> dict[str, Any]:
        """A dictionary; an amount is a number or a polynomial's text."""
        return {
            "op": self.label,
            "count": self.count,
            "parameters": self.parameters,
            **{name: amount_json(self.amounts[name]) for name in AMOUNTS},
            "unknown": dict(self.unknown),
        }


@dataclass(frozen=True)
class NodeCost:
    """One op and what it costs."""

    name: str
    label: str
    result: Value
    """Its first result that is wanted."""
    cost: Cost

    def as_json(self) -> dict[str, Any]:
        """A dictionary; an amount that is not known is null."""
        found: dict[str, Any] = {"node": self.name, "op": self.label}
        found |= {"output": value_json(self.result), "parameters": self.cost.parameters}
        return found | {n: amount_json(getattr(self.cost, n)) for n in AMOUNTS}


@dataclass(frozen=True)
class PeakNode:
    """The bytes of activations that are held while a node runs."""

    name: str
    label: str
    bytes: Dim


@dataclass(frozen=True)
class Inspection:
    """What `inspect_model` found."""

    name: str
    producer: str
    opset: Mapping[str, int]
    """The opsets that the file states, by domain; empty if it is not an ONNX file."""
    ir_opset: int
    """The opset that the operators were raised to."""
    pipeline: str
    """The spec of the passes that ran before."""
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    dims: tuple[str, ...]
    """The free dimensions."""
    ops_in_regions: int
    """How many ops stand in the bodies of others, which they are counted in."""
    rows: tuple[Row, ...]
    total: Row
    weight_bytes: int
    """The bytes of all weights and constants, of whatever type, each once."""
    peaks: tuple[PeakNode, ...]
    """
    Where the activations may take most memory: several if it depends on free sizes.
    """
    peaks_complete: bool
    unknown_sizes: int
    """How many values of unknown size the peak leaves out."""
    heaviest: tuple[NodeCost, ...]
    ranked_at: Mapping[str, int]
    """The sizes of free dimensions at which rows, peaks and nodes are put in order."""

    @property
    def peak(self) -> Dim:
        """The activation peak; a maximum of polynomials if several may be it."""
        found = self.peaks[0].bytes if self.peaks else ZERO
        for peak in self.peaks[1:]:
            found = found.maximum(peak.bytes)
        return found

    def as_json(self) -> dict[str, Any]:
        """A dictionary in machine units: flops, bytes, elements."""
        peaks = [
            {"bytes": amount_json(p.bytes), "node": p.name, "op": p.label}
            for p in self.peaks
        ]
        return {
            "name": self.name,
            "producer": self.producer,
            "opset": dict(self.opset),
            "ir_opset": self.ir_opset,
            "pipeline": self.pipeline,
            "inputs": [value_json(value) for value in self.inputs],
            "outputs": [value_json(value) for value in self.outputs],
            "dims": list(self.dims),
            "ops_in_regions": self.ops_in_regions,
            "operators": [row.as_json() for row in self.rows],
            "total": {**self.total.as_json(), "weight_bytes": self.weight_bytes},
            "activation_peak": {
                "bytes": amount_json(self.peak),
                "candidates": peaks,
                "complete": self.peaks_complete,
                "values_of_unknown_size": self.unknown_sizes,
            },
            "heaviest": [node.as_json() for node in self.heaviest],
            "ranked_at": dict(self.ranked_at),
        }


def inspect_model(
    source: str | Path | Model,
    pipeline: str = "O0",
    dims: Mapping[str, int] | None = None,
) -> Inspection:
    """
    Inspect a model: a path (``.onnx``, ``.mlir``) or an imported `Model`.

    `pipeline` is a level or a spec that runs first, `dims` fixes free dimensions. No
    weight is read beyond what importing and the passes read.
    """
    model = load(source)
    if dims:
        specialize(model, dims)
    run_pipeline(model, pipeline)
    opset = {} if isinstance(source, Model) else file_opset(Path(source))
    return inspected(model, opset, spec_of(pipeline))


def file_opset(path: Path) -> dict[str, int]:
    """The opsets that an ONNX file states; nothing for a file of another kind."""
    if path.suffix == ".mlir":
        return {}
    return opset_versions(open_model(path).proto.opset_import)


def inspected(model: Model, opset: Mapping[str, int], pipeline: str) -> Inspection:
    """The inspection of a model as it is."""
    integers = IntegerValues(model.context.store)
    body = model.main.body.block
    costs = {
        op: op_cost(op, integers)
        for op in body.ops
        if op.results and op.name not in CONSTANTS
    }
    live = Liveness.of(model.main)
    sample = _sample(model, [*costs.values()], live)
    tallies: dict[str, Tally] = {}
    whole = Tally("total")
    for op, cost in costs.items():
        for tally in (whole, tallies.setdefault(label_of(op), Tally(label_of(op)))):
            tally.add(op, cost)
    rows = [tally.row() for tally in tallies.values()]
    rows.sort(key=lambda row: (-_weight(row.amounts["flops"], sample), row.label))
    nodes = sorted(costs, key=lambda op: _rank(costs[op], sample))[:HEAVIEST]
    return Inspection(
        name=model.name,
        producer=_text(model, "onnx.producer_name"),
        opset=opset,
        ir_opset=_ir_opset(model),
        pipeline=pipeline,
        inputs=model.inputs,
        outputs=model.outputs,
        dims=tuple(sorted(_symbols([*model.inputs, *model.outputs]))),
        ops_in_regions=sum(
            inner is not op
            and isinstance(inner, OnnxOp)
            and inner.name not in CONSTANTS
            for op in costs
            for inner in op.walk()
        ),
        rows=tuple(rows),
        total=whole.row(),
        weight_bytes=_weight_bytes(model),
        peaks=tuple(
            PeakNode(node_name(p.op), label_of(p.op), p.bytes) for p in live.peaks
        ),
        peaks_complete=len(live.peaks) < MAX_PEAKS,
        unknown_sizes=len(live.unknown),
        heaviest=tuple(node_cost(op, costs[op]) for op in nodes),
        ranked_at=sample,
    )


@dataclass
class Tally:
    """Adds up costs."""

    label: str
    count: int = 0
    known: dict[str, list[Dim]] = field(
        default_factory=lambda: {n: [] for n in AMOUNTS}
    )
    unknown: dict[str, int] = field(default_factory=dict[str, int])
    weights: dict[WeightKey, int] = field(default_factory=dict[WeightKey, int])

    def add(self, op: Operation, cost: Cost) -> None:
        """Count `op`, which costs `cost`."""
        self.count += 1
        self.weights |= weights_of(op)
        for name in AMOUNTS:
            amount = getattr(cost, name)
            if amount is not None:
                self.known[name].append(amount)
        for name in (*AMOUNTS, "parameters"):
            if getattr(cost, name) is None:
                self.unknown[name] = self.unknown.get(name, 0) + 1

    def row(self) -> Row:
        """The sums."""
        sums = {name: total(amounts) for name, amounts in self.known.items()}
        parameters = sum(self.weights.values())
        return Row(self.label, self.count, parameters, sums, self.unknown)


def label_of(op: Operation) -> str:
    """The operator: ``Conv``, ``microsoft.Gelu``; of a region all: ``Conv+Relu``."""
    if isinstance(op, RegionOp):
        return op.label
    return op.name.removeprefix("onnx.")


def node_name(op: Operation) -> str:
    """The user's names of the nodes that `op` was, else of its results."""
    return ", ".join(node_names(op) or tensor_names(op))


def node_cost(op: Operation, cost: Cost) -> NodeCost:
    """`op` with its cost."""
    wanted = [result for result in op.results if not is_none(result.type)]
    names = tensor_names(op)
    result = Value(names[0] if names else "", (wanted or op.results)[0].type)
    return NodeCost(node_name(op), label_of(op), result, cost)


def amount_json(amount: Dim | None) -> int | str | None:
    """A number, the text of a polynomial, or null for what is not known."""
    if amount is None or amount.constant is not None:
        return None if amount is None else amount.constant
    return str(amount)


def value_json(value: Value) -> dict[str, Any]:
    """A value's name, element type and shape; null for what a type does not say."""
    element, shape = element_of(value.type), shape_of(value.type)
    name = str(value.type) if element is None else DTYPE_NAMES.get(element)
    sizes = None if shape is None else [amount_json(dim) for dim in shape]
    return {"name": value.name, "dtype": name, "shape": sizes}


def _sample(model: Model, costs: Sequence[Cost], live: Liveness) -> dict[str, int]:
    amounts = [a for cost in costs for a in cost.amounts if a is not None]
    names = _symbols([*model.inputs, *model.outputs])
    for amount in (*amounts, *live.footprint):
        names |= amount.symbols
    return dict.fromkeys(sorted(names), SAMPLE)


def _symbols(values: Sequence[Value]) -> set[str]:
    shapes = [shape_of(value.type) or () for value in values]
    return {
        name
        for shape in shapes
        for dim in shape
        if dim is not None
        for name in dim.symbols
    }


def _weight(amount: Dim | None, sample: Mapping[str, int]) -> int:
    return 0 if amount is None else evaluated(amount, sample) or 0


def _rank(cost: Cost, sample: Mapping[str, int]) -> tuple[int, int]:
    moved = _weight(cost.bytes_read, sample) + _weight(cost.bytes_written, sample)
    return -_weight(cost.flops, sample), -moved


def _weight_bytes(model: Model) -> int:
    sizes: dict[Attribute, int] = {}
    for op in model.module.walk():
        if op.name == "onnx.Constant" and isinstance(op, OnnxOp):
            size = bytes_of(op.results[0].type)
            held = op.properties.get("value")
            if held is not None and size is not None:
                sizes[held] = size.constant or 0
    return sum(sizes.values())


def _text(model: Model, name: str) -> str:
    found = model.module.attributes.get(name)
    return attr_text(found) if isinstance(found, StringAttr) else ""


def _ir_opset(model: Model) -> int:
    found = model.module.attributes.get("onnx.opset")
    return found.value.data if isinstance(found, IntegerAttr) else 0
