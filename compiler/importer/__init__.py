"""
Reads model files into the IR: ``import_model(path)``.

`scan` finds the weights in the file, `files` opens and maps, `graph` writes the nodes,
`upgrades` raises older forms, `regions` types subgraphs, `blocks` notes what models of
ONNX Runtime's blocked operators tell together.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import onnx
from onnx import defs
from xdsl.dialects.builtin import ArrayAttr, FunctionType, IntegerAttr, ModuleOp, i64
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, Region, SSAValue
from xdsl.utils.exceptions import VerifyException

from ...dialects.onnx import OnnxContext, OnnxOp
from ...dialects.onnx.proto import refine, type_from_proto
from ...dialects.onnx.provenance import describe, location
from ...dialects.onnx.text import text_attr
from ...dialects.onnx.types import element_of
from ...dialects.sdy.devices import AXES
from ..collection import collection_paused
from ..context import make_context
from ..model import Model, name_entry
from .blocks import note_blocks
from .files import ModelError, ModelFile, open_model
from .graph import GraphImporter
from .opsets import opset_versions
from .regions import retype
from .scope import Frame, Scope

__all__ = ["ModelError", "import_model"]

MAX_DOC = 1 << 16
"""How many characters of the model's documentation are kept: its text is printed."""


@collection_paused()
def import_model(source: str | Path | onnx.ModelProto) -> Model:
    """
    Import an ONNX model: a path, or a ModelProto in memory.

    Weights stay in the file (and its external data) until they are used. Raises
    ModelError, in one line that names the file, node or tensor, for a model that cannot
    be imported.
    """
    try:
        return _import(open_model(source))
    except ModelError as error:
        shown = "" if isinstance(source, onnx.ModelProto) else f"{source}: "
        if str(error).startswith(shown):
            raise
        raise ModelError(f"{shown}{error}") from error
    except RecursionError as error:
        raise ModelError(f"{source}: the model nests too deeply") from error


def _import(file: ModelFile) -> Model:
    context = make_context()
    graph = file.proto.graph
    importer = GraphImporter(file, context.store)
    importer.declared = _declared([*graph.value_info, *graph.output])
    opsets = opset_versions(file.proto.opset_import)
    initialized = {tensor.name for tensor in graph.initializer}
    # Before IR version 4 every initializer was listed among the inputs too.
    inputs = [info for info in graph.input if info.name not in initialized]
    block = Block(arg_types=[_input_type(info) for info in inputs])
    frame = Frame(Scope(), opsets)
    for info, argument in zip(inputs, block.args, strict=True):
        if info.name in frame.scope.values:
            raise ModelError(f"input {info.name!r} is defined twice")
        frame.scope.values[info.name] = argument
        argument.location = location(info.name)
        importer.name(argument, info.name)
    importer.initializers(graph, frame, block, main=True)
    importer.nodes(graph.node, frame, block)
    results = [_output(info, importer, frame) for info in graph.output]
    block.add_op(ReturnOp(*results))
    main = _main(
        block, [i.name for i in inputs], [o.name for o in graph.output], results
    )
    module = _module(file.proto, main, context)
    notes = {entry.key: entry.value for entry in file.proto.metadata_props}
    importer.devices.write(module, notes)
    _verify(module)
    note_blocks(module)
    return Model(module, context)


def _verify(module: ModuleOp) -> None:
    """Raise ModelError for an operand that its operator does not take."""
    for op in module.walk():
        try:
            op.verify(verify_nested_ops=False)
        except VerifyException as error:
            where = describe(op) if isinstance(op, OnnxOp) else op.name
            raise ModelError(f"{where}: {' '.join(str(error).split())}") from error


def _declared(infos: Sequence[onnx.ValueInfoProto]) -> dict[str, Attribute]:
    types: dict[str, Attribute] = {}
    for info in infos:
        try:
            types[info.name] = type_from_proto(info.type)
        except ValueError:
            # Only a hint: whoever exported the model need not have filled it in.
            continue
    return types


def _input_type(info: onnx.ValueInfoProto) -> Attribute:
    try:
        return type_from_proto(info.type)
    except ValueError as error:
        raise ModelError(f"input {info.name!r}: {error}") from error


def _output(
    info: onnx.ValueInfoProto, importer: GraphImporter, frame: Frame
) -> SSAValue:
    value = importer.lookup(info.name, frame, f"output {info.name!r}")
    declared = importer.declared.get(info.name)
    element = None if declared is None else element_of(declared)
    if declared is None or element is None:
        return value
    if element != element_of(value.type):
        raise ModelError(
            f"output {info.name!r}: found {value.type}, declared {declared}"
        )
    return retype(value, refine(declared, value.type))


def _main(
    block: Block, inputs: list[str], outputs: list[str], results: Sequence[SSAValue]
) -> FuncOp:
    types = [argument.type for argument in block.args]
    kind = FunctionType.from_lists(types, [value.type for value in results])
    return FuncOp(
        "main",
        kind,
        Region(block),
        arg_attrs=ArrayAttr(map(name_entry, inputs)) if inputs else None,
        res_attrs=ArrayAttr(map(name_entry, outputs)) if outputs else None,
    )


def _module(proto: onnx.ModelProto, main: FuncOp, context: OnnxContext) -> ModuleOp:
    attributes: dict[str, Attribute] = {
        "onnx.opset": IntegerAttr(defs.onnx_opset_version(), i64),
        "onnx.graph_name": text_attr(proto.graph.name),
    }
    for name in ("producer_name", "producer_version", "doc_string"):
        if getattr(proto, name):
            attributes[f"onnx.{name}"] = text_attr(getattr(proto, name)[:MAX_DOC])
    entries = [entry for entry in proto.metadata_props if entry.key != AXES]
    if entries:
        attributes["onnx.metadata"] = ArrayAttr(
            ArrayAttr([text_attr(entry.key), text_attr(entry.value)])
            for entry in entries
        )
    return ModuleOp([main], attributes)
