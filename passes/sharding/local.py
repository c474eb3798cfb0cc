"""What an op's attributes and shape operands are on a device's part of its tensors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from xdsl.ir import Attribute, Operation
from xdsl.rewriter import Rewriter

from ...dialects.onnx import DenseAttr, OnnxOp
from ...dialects.onnx.attributes import attribute
from ...dialects.onnx.ops import OPS
from ...dialects.onnx.types import is_none, static_shape
from ..facts import setting

_HEADS = {
    "onnx.Attention": (("q_num_heads", 0), ("kv_num_heads", 1)),
    "onnx.RotaryEmbedding": (("num_heads", 0),),
}
"""Attributes that count the heads within the last dimension of an operand."""

_SHAPED = ("onnx.Reshape", "onnx.Expand")
"""Operators whose second operand is the result's shape."""


def localize(
    copy: OnnxOp, types: Sequence[Attribute], whole: OnnxOp
) -> list[Operation]:
    """
    Make `copy`, of op `whole` on parts, say what it gives; the ops to insert for it.

    `types` are those of its results' parts.
    """
    changed = tuple(types) != tuple(whole.result_types)
    for result, kind in zip(copy.results, types, strict=True):
        if result.type != kind:
            Rewriter.replace_value_with_new_type(result, kind)
    for name, place in _HEADS.get(copy.name, ()):
        count = setting(whole, name)
        if count:
            sizes = [_last(op, place) for op in (whole, copy)]
            local = count * sizes[1] // sizes[0]
            copy.properties[name] = attribute(copy.schema(), name, local)
    if copy.name not in _SHAPED or not changed or is_none(copy.operands[1].type):
        return [copy]
    shape = static_shape(types[0])
    assert shape is not None, "only tensors of known sizes are sharded"
    value = DenseAttr.of(np.array(shape, np.int64))
    made = OPS["onnx.Constant"].create(
        result_types=[value.type], properties={"value": value}, location=copy.location
    )
    copy.operands[1] = made.results[0]
    return [made, copy]


def _last(op: OnnxOp, place: int) -> int:
    shape = static_shape(op.operands[place].type)
    assert shape is not None, "only tensors of known sizes are sharded"
    return shape[-1]
