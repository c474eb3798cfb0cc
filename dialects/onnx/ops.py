"""
Every operator of onnx and ONNX Runtime as an op class, and the dialects that hold them.

The classes are built when this module loads, so what a reader sees is `ops.pyi` beside
it (``python -m sardonyx.dialects.onnx.stub`` writes it).
"""

from collections import defaultdict

from xdsl.ir import Dialect, Operation

from .base import ConstantBase, NoneOp, OnnxOp, YieldOp
from .classes import class_name, op_class, op_name
from .schemas import all_schemas
from .types import (
    DenseAttr,
    DimsAttr,
    MapType,
    OptionalType,
    SequenceType,
    SparseTensorType,
    StringType,
    WeightAttr,
)

OPS: dict[str, type[OnnxOp]] = {}
"""Every op class by its name in the IR: ``onnx.Conv``."""

_BASES: dict[str, type[OnnxOp]] = {"onnx.Constant": ConstantBase}

_by_dialect: defaultdict[str, list[type[Operation]]] = defaultdict(list)

for _schema in all_schemas():
    _made = op_class(_schema, _BASES.get(op_name(_schema), OnnxOp))
    assert class_name(_schema) not in globals(), f"{class_name(_schema)} stands twice"
    globals()[class_name(_schema)] = _made
    OPS[_made.name] = _made
    _by_dialect[_made.name.partition(".")[0]].append(_made)

Onnx = Dialect(
    "onnx",
    [NoneOp, YieldOp, *_by_dialect["onnx"]],
    [
        DenseAttr,
        DimsAttr,
        MapType,
        OptionalType,
        SequenceType,
        SparseTensorType,
        StringType,
        WeightAttr,
    ],
)
OnnxMl = Dialect("onnx_ml", _by_dialect["onnx_ml"])
OnnxPreview = Dialect("onnx_preview", _by_dialect["onnx_preview"])
OnnxTraining = Dialect("onnx_training", _by_dialect["onnx_training"])
Microsoft = Dialect("microsoft", _by_dialect["microsoft"])
MicrosoftNchwc = Dialect("microsoft_nchwc", _by_dialect["microsoft_nchwc"])

DIALECTS = (Onnx, OnnxMl, OnnxPreview, OnnxTraining, Microsoft, MicrosoftNchwc)
