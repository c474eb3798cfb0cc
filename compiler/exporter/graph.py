"""The graph of a model as ONNX's protobufs, its weights left out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import onnx
from xdsl.dialects.func import ReturnOp
from xdsl.ir import Attribute, Block, BlockArgument, Operation, OpResult, SSAValue

from ...dialects.errors import SardonyxError
from ...dialects.onnx import NoneOp, OnnxBuilder, OnnxOp, YieldOp
from ...dialects.onnx.extension import ExtensionOp
from ...dialects.onnx.proto import (
    TENSOR_TYPES,
    attribute_to_proto,
    tensor_to_proto,
    type_to_proto,
)
from ...dialects.onnx.provenance import (
    PROVENANCE,
    argument_name,
    describe,
    location,
    node_names,
    provenance_text,
    tensor_names,
)
from ...dialects.onnx.store import WeightStore
from ...dialects.onnx.types import (
    DTYPE_NAMES,
    DenseAttr,
    OptionalType,
    SequenceType,
    WeightAttr,
    element_of,
    is_none,
    shape_of,
)
from ..model import Model
from .devices import DeviceWriter

FUNCTION_DOMAIN = "sardonyx"
"""The domain of the functions that stand for ops which ONNX does not have."""


class ExportError(SardonyxError):
    """A model that ONNX has no words for, or that cannot be written."""


@dataclass
class _Scope:
    """What values are called, and which are known where a node stands."""

    names: dict[SSAValue, str] = field(default_factory=dict[SSAValue, str])
    taken: set[str] = field(default_factory=set[str])
    counts: dict[str, int] = field(default_factory=dict[str, int])

    def unique(self, wanted: str) -> str:
        # A value without a name would be an absent one.
        name = stem = wanted or "value"
        while name in self.taken:
            count = self.counts.get(stem, 0) + 1
            self.counts[stem] = count
            name = f"{stem}.{count}"
        self.taken.add(name)
        return name

    def define(self, value: SSAValue, wanted: str) -> str:
        name = self.names[value] = self.unique(wanted)
        return name


class GraphExporter:
    """
    Writes a module's function as a GraphProto.

    Initializers are named, typed and shaped, but hold no bytes: `weights` says which
    weight each stands for.
    """

    def __init__(self, model: Model):
        self.model = model
        self.store: WeightStore = model.context.store
        self.weights: dict[str, str] = {}
        """The key of the weight of each initializer that has none of its bytes."""
        self.ops: list[OnnxOp] = []
        """Every op that became a node."""
        self.functions: dict[object, onnx.FunctionProto] = {}
        self.devices = DeviceWriter(model.module)
        self._graph = onnx.GraphProto()
        self._held: dict[str, str] = {}
        self._scope = _Scope()
        self._nodes = _Scope()
        self._functions = _Scope()

    def graph(self) -> onnx.GraphProto:
        """The graph of the function ``@main``."""
        graph, main = self._graph, self.model.main
        graph.name = self.model.name or "main"
        block, scope = main.body.block, self._scope
        # What the user names comes first: inputs and outputs keep their names.
        for value, argument in zip(self.model.inputs, block.args, strict=True):
            if scope.define(argument, value.name) != value.name:
                raise ExportError(f"found input {value.name!r} twice, or without name")
            graph.input.append(value_info(value.name, argument.type))
        self._name_outputs()
        self._name_values(block)
        graph.node.extend(self._block(block))
        for value, result in zip(self.model.outputs, self.model.results, strict=True):
            if scope.names[result] != value.name:
                graph.node.append(self._identity(scope.names[result], value.name))
            graph.output.append(value_info(value.name, result.type))
        known = {info.name for info in (*graph.input, *graph.output)}
        graph.value_info.extend(
            value_info(scope.names[value], value.type)
            for value in _results(block)
            if scope.names[value] not in known
        )
        return graph

    def elements(self) -> Iterator[int]:
        """
        The element types of all values, as numbers of ``TensorProto.DataType``.

        Those within functions come with operators, whose opset tells as much.
        """
        for kind in {value.type for value in self._scope.names}:
            while isinstance(kind, SequenceType | OptionalType):
                kind = kind.element
            element = element_of(kind)
            if element is not None:
                yield TENSOR_TYPES[DTYPE_NAMES[element]]

    # --- names ---

    def _name_outputs(self) -> None:
        """
        Name the values that are outputs; one that cannot be called so is copied.

        An input that is returned, or a value that is returned twice, has another name.
        """
        for value, result in zip(self.model.outputs, self.model.results, strict=True):
            if value.name in self._scope.taken:
                if self._scope.names.get(result) != value.name:
                    raise ExportError(
                        f"output {value.name!r}: found two values of that name"
                    )
            elif result in self._scope.names:
                self._scope.unique(value.name)
            else:
                self._scope.define(result, value.name)

    def _name_values(self, block: Block) -> None:
        """Name every value of `block` and of the regions below."""
        for op in block.ops:
            tensors = tensor_names(op)
            values = [result for result in op.results if not is_none(result.type)]
            known = tensors if len(tensors) == len(values) else ()
            for place, value in enumerate(values):
                if value not in self._scope.names:
                    wanted = known[place] if known else _wanted(op, value)
                    self._scope.define(value, wanted)
            for region in op.regions:
                for inner in region.blocks:
                    for argument in inner.args:
                        name = argument_name(argument) or argument.name_hint or "arg"
                        self._scope.define(argument, name)
                    self._name_values(inner)

    # --- nodes ---

    def _block(self, block: Block) -> Iterator[onnx.NodeProto]:
        for op in block.ops:
            if isinstance(op, NoneOp | YieldOp | ReturnOp):
                continue
            if isinstance(op, ExtensionOp):
                yield self._call(op)
            elif not isinstance(op, OnnxOp):
                raise ExportError(f"{describe(op)}: ONNX has no such op")
            elif op.name == "onnx.Constant" and self._as_initializer(op):
                self._initializer(op)
            else:
                yield self._node(op)

    def _as_initializer(self, op: OnnxOp) -> bool:
        """
        Whether a constant is an initializer: all in the store, and what was one.

        A small one that was a node stays a node, where it stood; so does every one of a
        function, which has no initializers and sees none.
        """
        value = op.properties.get("value")
        if isinstance(value, WeightAttr):
            return self.model.main.is_ancestor(op)
        in_main = op.parent_block() is self.model.main.body.block
        return in_main and isinstance(value, DenseAttr) and not tensor_names(op)

    def _initializer(self, op: OnnxOp) -> None:
        """Add the initializer of a constant."""
        value, result = op.properties["value"], op.results[0]
        name = self._scope.names[result]
        if isinstance(value, DenseAttr):
            self._graph.initializer.append(tensor_to_proto(value.array(), name))
            return
        assert isinstance(value, WeightAttr), "_as_initializer looked"
        if value.data in self._held:
            # One tensor of the store is one initializer, however often it is named.
            self._scope.names[result] = self._held[value.data]
            return
        if value.data not in self.store:
            raise ExportError(f"{describe(op)}: weight {value.data!r} is in no store")
        weight = self.store[value.data]
        number = TENSOR_TYPES[weight.element]
        self._graph.initializer.add(name=name, data_type=number, dims=weight.shape)
        self._held[value.data] = name
        self.weights[name] = value.data

    def _node(self, op: OnnxOp) -> onnx.NodeProto:
        self.ops.append(op)
        node = onnx.NodeProto(op_type=op.op_type(), domain=op.domain())
        self._wire(op, node)
        schema = op.schema()
        for name, value in op.properties.items():
            if isinstance(value, WeightAttr):
                value = DenseAttr.of(self.store[value.data].array())
            node.attribute.append(attribute_to_proto(schema, name, value))
        names = [name for name, _ in op.get_irdl_definition().regions]
        for name, region in zip(names, op.regions, strict=True):
            if region.blocks:
                body = self._subgraph(region.block, f"{node.name}.{name}")
                if op.op_type() == "Loop" and shape_of(op.operands[1].type):
                    # The IR's condition has no rank, ONNX's that of the operand.
                    body.input[1].type.CopyFrom(type_to_proto(op.operands[1].type))
                node.attribute.append(onnx.helper.make_attribute(name, body))
        return node

    def _wire(self, op: Operation, node: onnx.NodeProto) -> None:
        """Give `node` the names of `op`: its own, and those of its values."""
        node.input.extend(_trimmed(map(self._name, op.operands)))
        node.output.extend(_trimmed(map(self._name, op.results)))
        origins = node_names(op)
        own = origins[-1] if origins else op.name.partition(".")[2]
        node.name = self._nodes.unique(own)
        if op.location != location(node.name, [name for name in node.output if name]):
            # What the node's and its tensors' names do not say of where it came from.
            node.metadata_props.add(key=PROVENANCE, value=provenance_text(op.location))
        self.devices.annotate(node, op, self._scope.names)

    def _name(self, value: SSAValue) -> str:
        return "" if is_none(value.type) else self._scope.names[value]

    def _identity(self, source: str, target: str) -> onnx.NodeProto:
        name = self._nodes.unique(f"{target}.identity")
        return onnx.helper.make_node("Identity", [source], [target], name)

    def _subgraph(self, block: Block, name: str) -> onnx.GraphProto:
        graph = onnx.GraphProto(name=name)
        for argument in block.args:
            graph.input.append(value_info(self._scope.names[argument], argument.type))
        graph.node.extend(self._block(block))
        last = block.last_op
        assert isinstance(last, YieldOp), "a region ends with onnx.yield"
        given = self._given(last.operands, block)
        for (source, target), value in zip(given, last.operands, strict=True):
            if source != target:
                graph.node.append(self._identity(source, target))
            graph.output.append(value_info(target, value.type))
        return graph

    def _given(
        self, values: Sequence[SSAValue], block: Block
    ) -> Sequence[tuple[str, str]]:
        """
        What each of the values that a body gives is called, and by what name it gives
        it: a body's outputs are results of its own nodes, each once.
        """
        given: dict[str, str] = {}
        for value in values:
            source = self._scope.names[value]
            own = _computed_in(value, block) and source not in given
            given[source if own else self._scope.unique(source)] = source
        return [(source, target) for target, source in given.items()]

    # --- functions ---

    def _call(self, op: ExtensionOp) -> onnx.NodeProto:
        """A call of the function that says what `op` means in ONNX's operators."""
        said = (*op.properties.items(), *op.attributes.items())
        key = (op.name, *said, *op.operand_types, *op.result_types)
        if key not in self.functions:
            name = self._functions.unique(op.name)
            self.functions[key] = self._function(op, name)
        node = onnx.NodeProto(op_type=self.functions[key].name, domain=FUNCTION_DOMAIN)
        self._wire(op, node)
        return node

    def _function(self, op: ExtensionOp, name: str) -> onnx.FunctionProto:
        block, store = Block(arg_types=op.operand_types), self.store.copy()
        results = op.onnx_body(OnnxBuilder(block.add_op, store), block.args)
        if len(results) != len(op.results):
            raise ExportError(
                f"{describe(op)}: its meaning in ONNX has {len(results)} results, "
                f"wanted {len(op.results)}"
            )
        outer = self._scope, self.store
        self._scope, self.store = _Scope(), store
        function = onnx.FunctionProto(name=name, domain=FUNCTION_DOMAIN)
        for place, argument in enumerate(block.args):
            function.input.append(self._scope.define(argument, f"in{place}"))
        self._name_values(block)
        function.node.extend(self._block(block))
        for source, target in self._given(results, block):
            if source != target:
                function.node.append(self._identity(source, target))
            function.output.append(target)
        for node in function.node:
            # Where it comes from is the caller's to say.
            del node.metadata_props[:]
        self._scope, self.store = outer
        return function


def value_info(name: str, kind: Attribute) -> onnx.ValueInfoProto:
    """The name and type of a value; ExportError for a type that ONNX lacks."""
    try:
        return onnx.ValueInfoProto(name=name, type=type_to_proto(kind))
    except ValueError as error:
        raise ExportError(f"value {name!r}: {error}") from error


def _results(block: Block) -> Iterator[OpResult]:
    """The results of the ops that stand directly in `block`, constants aside."""
    for op in block.ops:
        if op.name != "onnx.Constant":
            yield from (result for result in op.results if not is_none(result.type))


def _wanted(op: Operation, value: SSAValue) -> str:
    """What a value may be called that was no tensor of the user's."""
    held = op.properties.get("value")
    if isinstance(held, WeightAttr):
        return held.data
    if op.name == "onnx.Constant" and (names := node_names(op)):
        return names[-1]
    if value.name_hint is not None:
        return value.name_hint
    origins = node_names(op)
    return f"{origins[-1] if origins else op.name.partition('.')[2]}.out"


def _computed_in(value: SSAValue, block: Block) -> bool:
    """Whether a node of this very subgraph gives `value`."""
    if isinstance(value, BlockArgument):
        return False
    op = value.owner
    assert isinstance(op, Operation), "a value that is no argument has an op"
    held = isinstance(op.properties.get("value"), WeightAttr)
    return op.parent_block() is block and not held


def _trimmed(names: Iterable[str]) -> Sequence[str]:
    """The names without the empty ones at the end."""
    listed = list(names)
    while listed and not listed[-1]:
        listed.pop()
    return listed
