"""Imports a graph: every node raised to the newest opset, typed, located and named."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import onnx
from xdsl.dialects.builtin import LocationAttr
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue

from ...dialects.onnx import OnnxBuilder, YieldOp
from ...dialects.onnx.base import PREFIXES
from ...dialects.onnx.builder import INLINE_ELEMENTS
from ...dialects.onnx.infer import InferenceError
from ...dialects.onnx.integers import IntegerValues
from ...dialects.onnx.names import Names, hint
from ...dialects.onnx.ops import OPS
from ...dialects.onnx.proto import (
    CONSTANT_DTYPES,
    attribute_from_proto,
    attribute_value,
    is_default,
    refine,
    type_from_proto,
)
from ...dialects.onnx.provenance import (
    PROVENANCE,
    location,
    nodes_only,
    read_provenance,
)
from ...dialects.onnx.schemas import get
from ...dialects.onnx.store import Weight, WeightStore
from ...dialects.onnx.types import (
    Array,
    DenseAttr,
    WeightAttr,
    element_of,
    is_none,
)
from .composite import batched_scan, body_with_subgraphs
from .devices import DeviceNotes
from .files import ModelError, ModelFile
from .gradients import gradients
from .opsets import check_form, opset_versions, schema_versions
from .order import why_undefined
from .regions import retype
from .scope import Frame, Scope
from .subgraphs import REGION_OPS, Subgraphs
from .upgrades import REFUSED, OldNode, rule_for
from .upgrades_form import same

MAX_DEPTH = 40
"""How deep subgraphs and function calls may nest."""

MAX_NODES = 8192
MAX_COPIES = 16
"""
How many nodes may be written: so many, or so many times those in the file. Functions
that call functions twice, and loops in loops whose types take several attempts, would
multiply without end.
"""


class GraphImporter:
    """
    Writes the nodes of a model into blocks.

    Raises ModelError in the user's terms for whatever cannot be imported.
    """

    def __init__(self, file: ModelFile, store: WeightStore):
        self.file = file
        self.store = store
        self.integers = IntegerValues(store)
        self.names = Names()
        self.functions: dict[tuple[str, str, str], onnx.FunctionProto] = {}
        for f in file.proto.functions:
            if (f.domain, f.name, f.overload) in self.functions:
                raise ModelError(f"function {f.name!r} is defined twice")
            self.functions[f.domain, f.name, f.overload] = f
        self.calls: list[tuple[str, str, str]] = []
        self.bodies: list[Sequence[onnx.NodeProto]] = []
        self.declared: dict[str, Attribute] = {}
        self.devices = DeviceNotes.of(file.proto)
        self.count = 0

    # --- graphs ---

    def builder(self, block: Block) -> OnnxBuilder:
        """A builder that appends to `block`."""
        return OnnxBuilder(block.add_op, self.store, self.integers)

    def initializers(
        self, graph: onnx.GraphProto, frame: Frame, block: Block, main: bool
    ) -> None:
        """Write the initializers of `graph` as constants."""
        builder = self.builder(block)
        for number, tensor in enumerate(graph.initializer):
            builder.location = location(tensor.name)
            content = self._tensor(tensor, number if main else None)
            self._define(frame, tensor.name, self._held(builder, tensor.name, content))
        for sparse in graph.sparse_initializer:
            name = sparse.values.name
            builder.location = location(name)
            dense = self.file.dense(sparse)
            self._define(frame, name, self._held(builder, name, dense))

    def nodes(
        self, nodes: Sequence[onnx.NodeProto], frame: Frame, block: Block
    ) -> None:
        """Write `nodes` at the end of `block`."""
        self.bodies.append(nodes)
        for node in nodes:
            self.count += 1
            most = max(MAX_NODES, MAX_COPIES * self.file.nodes)
            if self.count > most:
                raise ModelError(f"more than {most} nodes with functions inlined")
            last = block.last_op
            self._node(node, frame, block)
            if node.device_configurations:
                self._note_devices(node, frame, block, last)
        self.bodies.pop()

    def lookup(self, name: str, frame: Frame, user: str) -> SSAValue:
        """
        The value called `name`; ModelError in the name of `user` if there is none.
        """
        value = frame.scope.find(name)
        if value is None:
            why = why_undefined(name, reversed(self.bodies))
            raise ModelError(
                f"{user}: tensor {name!r} is not defined before it is used: {why}"
            )
        return value

    def _define(self, frame: Frame, name: str, value: SSAValue) -> None:
        if name in frame.scope.values:
            raise ModelError(f"tensor {name!r} is defined twice")
        frame.scope.values[name] = value
        self.name(value, name)

    def name(self, value: SSAValue, tensor: str) -> None:
        """Give `value` a name that resembles its tensor's."""
        wanted = hint(tensor)
        if wanted is not None and value.name_hint is None:
            value.name_hint = self.names.unique(wanted)

    # --- constants ---

    def _tensor(self, tensor: onnx.TensorProto, number: int | None) -> Weight | Array:
        if tensor.data_type == onnx.TensorProto.STRING:
            return self.file.array(tensor)
        return self.file.weight(tensor, number)

    def _held(
        self, builder: OnnxBuilder, name: str, content: Weight | Array
    ) -> SSAValue:
        if not isinstance(content, Weight):
            return builder.constant(content, name)
        if content.size <= INLINE_ELEMENTS:
            return builder.constant(content.array(), name)
        key = self.store.add(name, content)
        return builder.held(WeightAttr(key), content.type)

    # --- nodes ---

    def _node(self, node: onnx.NodeProto, frame: Frame, block: Block) -> None:
        called = (node.domain, node.op_type, node.overload)
        if called in self.functions:
            self._call(node, frame, block)
            return
        name = frame.prefix + (node.name or next(filter(None, node.output), ""))
        where = f"node {name!r} ({_shown(node.op_type)})"
        try:
            outputs = self._emit(node, name, frame, block)
        except (InferenceError, ValueError, TypeError, IndexError) as error:
            raise ModelError(f"{where}: {error}") from error
        self._bind(node, outputs, frame, where)

    def _note_devices(
        self,
        node: onnx.NodeProto,
        frame: Frame,
        block: Block,
        last: Operation | None,
    ) -> None:
        """Take in what `node`, whose ops stand behind `last`, says of devices."""
        where = f"node {node.name!r} ({_shown(node.op_type)})"
        tensors = {
            name: frame.scope.find(name) for name in (*node.input, *node.output) if name
        }
        made = list[Operation]()
        op = block.first_op if last is None else last.next_op
        while op is not None:
            made.append(op)
            op = op.next_op
        self.devices.note(node, where, tensors, made, frame.depth > 0)

    def _bind(
        self,
        node: onnx.NodeProto,
        outputs: Sequence[SSAValue | None],
        frame: Frame,
        where: str,
    ) -> None:
        for tensor, value in zip(node.output, outputs, strict=False):
            if not tensor:
                continue
            if value is None or is_none(value.type):
                raise ModelError(f"{where}: output {tensor!r} is not supported")
            self._define(frame, tensor, value)

    def _emit(
        self, node: onnx.NodeProto, name: str, frame: Frame, block: Block
    ) -> Sequence[SSAValue | None]:
        domain = "" if node.domain == "ai.onnx" else node.domain
        since, newest = schema_versions(node.op_type, domain, frame.opsets)
        op_name = f"{PREFIXES[domain]}.{node.op_type}"
        builder = self.builder(block)
        builder.location = _location(node, name, frame)
        operands = [
            self.lookup(t, frame, f"node {name!r} ({_shown(node.op_type)})")
            if t
            else None
            for t in node.input
        ]
        given = [frame.resolved(a) for a in node.attribute]
        attributes = [a for a in given if a is not None]
        check_form(get(node.op_type, domain, since), node, attributes)
        if node.op_type == "Constant" and not domain:
            return [self._constant(builder, node.output[0], attributes)]
        wanted = tuple(bool(tensor) for tensor in node.output)
        if op_name in REGION_OPS and since >= REGION_OPS[op_name]:
            return self._with_regions(
                builder, op_name, operands, attributes, frame, wanted
            )
        if op_name == "onnx_training.Gradient":
            return self._gradient(builder, operands, attributes, frame, block)
        if op_name == "onnx.Scan":
            return self._batched_scan(builder, operands, attributes, frame, wanted)
        if any(a.type == onnx.AttributeProto.GRAPH for a in attributes):
            return self._inlined(node, name, operands, frame, block)
        # Rules for newest forms are the default domain's; others share its names.
        kept = bool(domain) and since == newest
        rule = same if kept else rule_for(node.op_type, since, newest)
        if rule is same and since == newest:
            properties = self._properties(builder, op_name, attributes)
            op = builder.create(op_name, operands, properties, wanted)
            return self._refined(node, op.results, frame)
        if rule is None:
            unknown = f"no rule raises it to opset {newest}"
            reason = REFUSED.get((node.op_type, since), unknown)
            raise ValueError(f"{node.op_type}-{since} is not supported: {reason}")
        values = {a.name: self._python_value(a) for a in attributes}
        old = OldNode(node.op_type, since, tuple(operands), values, wanted, domain)
        last = block.last_op
        results = rule(builder, old)
        _locate_outputs(last, block, node.output, results)
        return self._refined(node, results, frame)

    def _refined(
        self,
        node: onnx.NodeProto,
        values: Sequence[SSAValue | None],
        frame: Frame,
    ) -> Sequence[SSAValue | None]:
        """
        `values` with what the model declares of dimensions that inference left open.
        """
        if frame.depth:
            return values
        for tensor, value in zip(node.output, values, strict=False):
            declared = self.declared.get(tensor)
            if value is None or declared is None:
                continue
            if element_of(declared) == element_of(value.type) is not None:
                retype(value, refine(declared, value.type))
        return values

    def _properties(
        self,
        builder: OnnxBuilder,
        op_name: str,
        attributes: Sequence[onnx.AttributeProto],
    ) -> dict[str, Attribute]:
        schema = OPS[op_name].schema()
        properties: dict[str, Attribute] = {}
        for proto in attributes:
            if proto.type == onnx.AttributeProto.GRAPH:
                raise ValueError(f"subgraph {proto.name!r} is not supported")
            if proto.type == onnx.AttributeProto.TENSOR:
                properties[proto.name] = self._tensor_attribute(builder, proto)
                continue
            value = attribute_from_proto(schema, proto)
            if not is_default(schema, proto.name, value):
                properties[proto.name] = value
        return properties

    def _tensor_attribute(
        self, builder: OnnxBuilder, proto: onnx.AttributeProto
    ) -> Attribute:
        array = self.file.array(proto.t)
        if array.size <= INLINE_ELEMENTS or array.dtype == object:
            return DenseAttr.of(array)
        return WeightAttr(self.store.add(proto.name, array))

    def _python_value(self, proto: onnx.AttributeProto) -> Any:
        if proto.type == onnx.AttributeProto.TENSOR:
            return self.file.array(proto.t)
        if proto.type == onnx.AttributeProto.TYPE_PROTO:
            return type_from_proto(proto.tp)
        return attribute_value(proto)

    def _constant(
        self,
        builder: OnnxBuilder,
        name: str,
        attributes: Sequence[onnx.AttributeProto],
    ) -> SSAValue:
        if len(attributes) != 1:
            raise ValueError(f"found {len(attributes)} attributes, wanted one value")
        proto = attributes[0]
        if proto.name == "value":
            return self._held(builder, name, self._tensor(proto.t, None))
        if proto.name == "sparse_value":
            return self._held(builder, name, self.file.dense(proto.sparse_tensor))
        if proto.name not in CONSTANT_DTYPES:
            raise ValueError(f"Constant has no attribute {proto.name!r}")
        kind = CONSTANT_DTYPES[proto.name]
        return self._held(builder, name, np.array(attribute_value(proto), kind))

    # --- functions ---

    def _call(self, node: onnx.NodeProto, frame: Frame, block: Block) -> None:
        key = (node.domain, node.op_type, node.overload)
        function = self.functions[key]
        name = frame.prefix + (node.name or next(filter(None, node.output), ""))
        where = f"node {name!r} (function {_shown(node.op_type)})"
        if key in self.calls:
            raise ModelError(f"{where}: the function calls itself")
        if len(self.calls) >= MAX_DEPTH:
            raise ModelError(f"{where}: calls nest deeper than {MAX_DEPTH}")
        if len(node.input) > len(function.input):
            raise ModelError(
                f"{where}: found {len(node.input)} inputs, wanted {len(function.input)}"
            )
        if len(node.output) > len(function.output):
            raise ModelError(
                f"{where}: found {len(node.output)} outputs, "
                f"wanted {len(function.output)}"
            )
        scope = Scope()
        for index, parameter in enumerate(function.input):
            given = node.input[index] if index < len(node.input) else ""
            if given:
                scope.values[parameter] = self.lookup(given, frame, where)
            else:
                scope.values[parameter] = self.builder(block).none()
        inner = Frame(
            scope,
            opset_versions(function.opset_import),
            f"{name}/",
            self._call_attributes(node, function, frame, where),
            frame.depth + 1,
        )
        self.calls.append(key)
        # A function sees nothing of the graphs around the call.
        around, self.bodies = self.bodies, []
        self.nodes(function.node, inner, block)
        self.bodies = around
        self.calls.pop()
        for tensor, result in zip(node.output, function.output, strict=False):
            if tensor:
                value = self.lookup(result, inner, where)
                if tensor in frame.scope.values:
                    raise ModelError(f"tensor {tensor!r} is defined twice")
                frame.scope.values[tensor] = value

    def _call_attributes(
        self,
        node: onnx.NodeProto,
        function: onnx.FunctionProto,
        frame: Frame,
        where: str,
    ) -> dict[str, onnx.AttributeProto]:
        given = {a.name: a for a in function.attribute_proto}
        known = {*given, *function.attribute}
        for attribute in node.attribute:
            if attribute.name not in known:
                raise ModelError(
                    f"{where}: the function has no attribute {attribute.name!r}"
                )
            try:
                resolved = frame.resolved(attribute)
            except ValueError as error:
                raise ModelError(f"{where}: {error}") from error
            if resolved is not None:
                given[attribute.name] = resolved
        return given

    # --- subgraphs ---

    def _with_regions(
        self,
        builder: OnnxBuilder,
        op_name: str,
        operands: list[SSAValue | None],
        attributes: Sequence[onnx.AttributeProto],
        frame: Frame,
        outputs: Sequence[bool],
    ) -> Sequence[SSAValue]:
        if frame.depth >= MAX_DEPTH:
            raise ValueError(f"subgraphs nest deeper than {MAX_DEPTH}")
        graphs = {a.name: a.g for a in attributes if a.type == a.GRAPH}
        plain = [a for a in attributes if a.type != a.GRAPH]
        wanted = [name for name, _ in OPS[op_name].get_irdl_definition().regions]
        if sorted(graphs) != sorted(wanted):
            raise ValueError(
                f"found subgraphs {sorted(graphs)}, wanted {sorted(wanted)}"
            )
        schema = OPS[op_name].schema()
        properties = {a.name: attribute_from_proto(schema, a) for a in plain}
        subgraphs = Subgraphs(
            graphs, partial(self._region, frame=frame), self._checkpoint
        )
        given = [None if value is None else value.type for value in operands]
        regions, types = subgraphs.typed(op_name, given, properties)
        if len(types) != len(outputs):
            raise ValueError(f"found {len(outputs)} outputs, wanted {len(types)}")
        order = [regions[name] for name in wanted]
        made = builder.create(op_name, operands, properties, outputs, types, order)
        return made.results

    def _batched_scan(
        self,
        builder: OnnxBuilder,
        operands: list[SSAValue | None],
        attributes: Sequence[onnx.AttributeProto],
        frame: Frame,
        outputs: Sequence[bool],
    ) -> Sequence[SSAValue]:
        """A Scan of opset 8, whose inputs are batches."""
        schema = get("Scan", "", 8)
        graphs = {a.name: a.g for a in attributes if a.type == a.GRAPH}
        properties = {
            a.name: attribute_from_proto(schema, a)
            for a in attributes
            if a.type != a.GRAPH
        }
        subgraphs = Subgraphs(
            graphs, partial(self._region, frame=frame.inside()), self._checkpoint
        )
        block = Block()
        inner = self.builder(block)
        inner.location = builder.location
        return batched_scan(
            builder, inner, block, operands, properties, subgraphs, outputs
        )

    def _gradient(
        self,
        builder: OnnxBuilder,
        operands: Sequence[SSAValue | None],
        attributes: Sequence[onnx.AttributeProto],
        frame: Frame,
        block: Block,
    ) -> Sequence[SSAValue]:
        """The gradient of a tensor, by its name, by others, by theirs."""
        values = {a.name: attribute_value(a) for a in attributes}
        names = [*values["xs"], *values.get("zs", ())]
        named = [self.lookup(name, frame, "Gradient") for name in names]
        if list(operands) != named:
            raise ValueError(f"its inputs are not the tensors {names} that it names")
        y = self.lookup(values["y"], frame, "Gradient")
        return gradients(builder, block, y, named[: len(values["xs"])])

    def _inlined(
        self,
        node: onnx.NodeProto,
        name: str,
        operands: Sequence[SSAValue | None],
        frame: Frame,
        block: Block,
    ) -> Sequence[SSAValue | None]:
        """An operator that takes subgraphs, as the function body that it has."""
        if frame.depth >= MAX_DEPTH:
            raise ValueError(f"subgraphs nest deeper than {MAX_DEPTH}")
        schema = get(node.op_type, node.domain)
        function = body_with_subgraphs(schema, node, operands)
        scope = Scope(frame.scope)
        for parameter, operand in zip(function.input, operands, strict=False):
            absent = operand is None
            scope.values[parameter] = self.builder(block).none() if absent else operand
        # It says nothing of opsets that it shares with the model.
        opsets = {**frame.opsets, **opset_versions(function.opset_import)}
        inner = Frame(scope, opsets, f"{name}/", {}, frame.depth + 1)
        self.nodes(function.node, inner, block)
        return [
            self.lookup(result, inner, f"node {name!r}") for result in function.output
        ]

    def _checkpoint(self) -> Callable[[], None]:
        """How to forget the names and weights that are given out from now on."""
        names, weights = self.names.copy(), self.store.keys()

        def forget() -> None:
            self.names = names
            self.store.keep(weights)

        return forget

    def _region(
        self, graph: onnx.GraphProto, types: Sequence[Attribute], frame: Frame
    ) -> Region:
        """The body of `graph` with inputs of `types`."""
        if len(graph.input) != len(types):
            raise ValueError(
                f"subgraph {graph.name!r} has {len(graph.input)} inputs, "
                f"wanted {len(types)}"
            )
        block = Block(arg_types=types)
        inner = frame.inside()
        for parameter, argument in zip(graph.input, block.args, strict=True):
            argument.location = location(parameter.name)
            self._define(inner, parameter.name, argument)
        self.initializers(graph, inner, block, main=False)
        self.nodes(graph.node, inner, block)
        where = f"subgraph {graph.name!r}"
        results = [self.lookup(o.name, inner, where) for o in graph.output]
        block.add_op(YieldOp(*results))
        return Region(block)


def _location(node: onnx.NodeProto, name: str, frame: Frame) -> LocationAttr:
    """Where the op of a node comes from: what an export noted, or the node itself."""
    for entry in node.metadata_props if not frame.prefix else ():
        noted = read_provenance(entry.value) if entry.key == PROVENANCE else None
        if noted is not None:
            return noted
    return location(name, [tensor for tensor in node.output if tensor])


def _locate_outputs(
    last: Operation | None,
    block: Block,
    tensors: Sequence[str],
    values: Sequence[SSAValue | None],
) -> None:
    """
    Leave the tensors' names to the ops behind `last` that give them, of all of a
    node's.
    """
    names = {v: t for v, t in zip(values, tensors, strict=False) if v is not None and t}
    op = block.first_op if last is None else last.next_op
    while op is not None:
        results = [result for result in op.results if not is_none(result.type)]
        if not results or not all(result in names for result in results):
            op.location = nodes_only(op.location)
        op = op.next_op


def _shown(name: str) -> str:
    """A name without its quotes, on one line whatever it holds."""
    return repr(name)[1:-1]
