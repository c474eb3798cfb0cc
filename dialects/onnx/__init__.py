"""
The onnx dialects: ONNX itself as xDSL IR.

`ops` has a class per operator; `types` the types and attributes; `builder` makes ops
with inferred types; `store` holds the weights that the IR names.
"""

from . import ops
from .base import NoneOp, OnnxOp, YieldOp
from .builder import OnnxBuilder
from .dims import Dim
from .store import OnnxContext, WeightStore, store_of
from .types import DenseAttr, DimsAttr, WeightAttr

__all__ = [
    "DenseAttr",
    "Dim",
    "DimsAttr",
    "NoneOp",
    "OnnxBuilder",
    "OnnxContext",
    "OnnxOp",
    "WeightAttr",
    "WeightStore",
    "YieldOp",
    "ops",
    "store_of",
]
