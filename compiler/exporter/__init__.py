"""
Writes models as ONNX files: ``export_model(model, path)``.

`graph` writes the nodes, `forms` chooses the opset, `files` writes without holding the
weights in memory.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import cast

import onnx
from xdsl.dialects.builtin import ArrayAttr, StringAttr
from xdsl.utils.exceptions import VerifyException

from ...dialects.fusion import RegionOp, inline_regions
from ...dialects.onnx.store import Weight
from ...dialects.onnx.text import attr_text
from ..collection import collection_paused
from ..model import Model
from ..weights import Progress, ignored
from .files import MAX_INLINE, write_model
from .forms import ir_version, opset_imports
from .graph import FUNCTION_DOMAIN, ExportError, GraphExporter

__all__ = ["ExportError", "export_model", "to_proto"]


def export_model(
    model: Model,
    path: str | Path,
    external: bool | None = None,
    progress: Progress = ignored,
) -> Path:
    """
    Write `model` as an ONNX file at `path`; returns the path.

    Node, tensor, input and output names are the user's; the opset is the lowest in
    which every op can be said. With `external` the weights stand in ``NAME.data``
    beside the file, by default if they are more than 1 GiB. Memory does not grow with
    the weights. Raises ExportError, in one line, for what ONNX cannot say or a file
    that cannot be written.
    """
    goal = Path(path)
    proto, weights = _proto(model)
    if external is None:
        external = sum(weight.file_bytes for weight in weights.values()) > MAX_INLINE
    try:
        if goal.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        write_model(goal, proto, weights, external, progress)
    except UnicodeEncodeError as error:
        raise ExportError(f"{goal}: cannot be written: its name is no text") from error
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ExportError(f"{goal}: cannot be written: {reason}") from error
    return goal


def to_proto(model: Model) -> onnx.ModelProto:
    """`model` as a ModelProto in memory, with the bytes of its weights."""
    proto, weights = _proto(model)
    for tensor in proto.graph.initializer:
        if tensor.name in weights:
            tensor.raw_data = bytes(weights[tensor.name].raw())
    return proto


@collection_paused()
def _proto(model: Model) -> tuple[onnx.ModelProto, dict[str, Weight]]:
    """The model without the bytes of its weights, and these by initializer."""
    if any(isinstance(op, RegionOp) for op in model.module.walk()):
        # ONNX has no regions; what is in them is ONNX.
        model = model.clone()
        inline_regions(model.module)
    exporter = GraphExporter(model)
    proto = onnx.ModelProto(producer_name="sardonyx")
    try:
        proto.graph.CopyFrom(exporter.graph())
        opsets = opset_imports(exporter.ops)
        _describe(proto, model)
    except (ValueError, VerifyException) as error:
        raise ExportError(f"cannot be said in ONNX: {error}") from error
    if exporter.functions:
        opsets[FUNCTION_DOMAIN] = 1
    for function in exporter.functions.values():
        for domain, version in opsets.items():
            function.opset_import.add(domain=domain, version=version)
        proto.functions.append(function)
    for domain, version in opsets.items():
        proto.opset_import.add(domain=domain, version=version)
    proto.ir_version = ir_version(opsets, exporter.elements())
    exporter.devices.describe(proto)
    weights = {n: model.context.store[key] for n, key in exporter.weights.items()}
    return proto, weights


def _describe(proto: onnx.ModelProto, model: Model) -> None:
    """What the user's file said of itself."""
    noted = model.module.attributes
    for name in ("producer_name", "producer_version", "doc_string"):
        value = noted.get(f"onnx.{name}")
        if isinstance(value, StringAttr):
            setattr(proto, name, attr_text(value))
    entries = noted.get("onnx.metadata")
    if isinstance(entries, ArrayAttr):
        for entry in cast(ArrayAttr[ArrayAttr[StringAttr]], entries):
            key, value = map(attr_text, entry)
            proto.metadata_props.add(key=key, value=value)
