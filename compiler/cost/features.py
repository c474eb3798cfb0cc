"""What the learned models look at: a vector of numbers for an op or a program."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from ...passes.analysis.targets import Rates
from .facts import OpFacts
from .roofline import program_roofline, roofline_seconds

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

_CLASSES = {
    "product": "MatMul Gemm FusedMatMul Einsum",
    "convolution": "Conv nhwc.Conv ConvTranspose",
    "attention": "Attention MultiHeadAttention GroupQueryAttention RotaryEmbedding",
    "window": "MaxPool AveragePool nhwc.MaxPool nhwc.AveragePool LRN nhwc.LRN",
    "reduction": (
        "ReduceMean ReduceSum ReduceMax ReduceMin GlobalAveragePool GlobalMaxPool "
        "ArgMax Softmax LogSoftmax"
    ),
    "normalization": (
        "LayerNormalization RMSNormalization InstanceNormalization "
        "GroupNormalization BatchNormalization nhwc.BatchNormalization"
    ),
    "movement": (
        "Transpose Concat Slice Split Pad Gather Expand Tile DepthToSpace SpaceToDepth"
    ),
    "view": "Reshape Flatten Squeeze Unsqueeze Identity",
    "recurrent": "LSTM GRU RNN Loop Scan",
    "quantized": (
        "MatMulInteger ConvInteger QLinearMatMul QLinearConv QuantizeLinear "
        "DequantizeLinear DynamicQuantizeLinear microsoft.MatMulNBits "
        "microsoft.DynamicQuantizeMatMul microsoft.MatMulIntegerToFloat"
    ),
    "curve": "Gelu Erf Tanh Sigmoid Exp Log Sqrt Pow Softplus Mish Swish",
    "absent": "",
}
CLASSES = (*_CLASSES, "other")
_CLASS_OF = {op: name for name, ops in _CLASSES.items() for op in ops.split()}
_CLASS_OF[""] = "absent"

OP_FEATURES = (
    "roofline",
    "flops",
    "transcendentals",
    "bytes_read",
    "bytes_written",
    "weight_bytes",
    "elements",
    "depth",
    "columns",
    "rows",
    "last",
    "last_before",
    "second_first",
    "second_last",
    "group",
    "window",
    "stride",
    "fused",
    "users",
    "intensity",
    "is_known",
    "bits",
    "operands",
    "class",
    "producer",
    "consumer",
    "is_only_user",
    "kind",
)
"""The numbers of an op, amounts as log2(1 + x)."""

_NARROW = {"float16": 16, "bfloat16": 16, "int8": 8, "uint8": 8, "bool": 8}
KINDS = 64


def op_vector(facts: OpFacts, rates: Rates) -> list[float]:
    """The numbers of `OP_FEATURES`."""
    given, result = facts.shapes
    elements = math.prod(result)
    first = given[0] if given else ()
    # Whether a weight stands as it is read, or transposed, is in its shape.
    second = given[1] if len(given) > 1 else ()
    depth = facts.flops / (2 * max(elements, 1))
    channels_second = facts.op in ("Conv", "ConvTranspose") and len(result) > 2
    columns = result[1 if channels_second else -1] if result else 1
    moved = facts.bytes_read + facts.bytes_written
    amounts = (
        facts.flops,
        facts.transcendentals,
        facts.bytes_read,
        facts.bytes_written,
        facts.weight_bytes,
        elements,
        depth,
        columns,
        elements / max(columns, 1),
        result[-1] if result else 1,
        first[-1] if first else 1,
        second[0] if second else 1,
        second[-1] if second else 1,
        facts.group,
        facts.window,
        facts.stride,
        facts.fused,
        facts.users,
        facts.flops / max(moved, 1),
    )
    return [
        math.log2(roofline_seconds(facts, rates)),
        *(math.log2(1 + amount) for amount in amounts),
        float(facts.is_known),
        float(_NARROW.get(facts.dtype, 32)),
        float(len(given)),
        float(class_of(facts.op)),
        float(class_of(facts.producer)),
        float(class_of(facts.consumer)),
        float(facts.is_only_user),
        float(_kind(facts.op)),
    ]


def class_of(op: str) -> int:
    """The place of an operator's class in `CLASSES`."""
    if op == "fusion.region":
        return CLASSES.index("product")
    return CLASSES.index(_CLASS_OF.get(op, "other"))


def _kind(op: str) -> int:
    """A small number for the operator's name: of equal names equal."""
    total = 0
    for place, letter in enumerate(op.encode()):
        total = (total * 31 + letter + place) % 1_000_003
    return total % KINDS


PROGRAM_FEATURES = ("roofline", "ops", "flops", "bytes", *CLASSES)


def program_vector(
    ops: Sequence[OpFacts], rates: Rates, seconds: Sequence[float]
) -> list[float]:
    """
    The numbers of `PROGRAM_FEATURES`: the shares of `seconds` by class among them.
    """
    total = sum(seconds) or 1.0
    shares = [0.0] * len(CLASSES)
    for facts, spent in zip(ops, seconds, strict=True):
        shares[class_of(facts.op)] += spent / total
    return [
        math.log2(program_roofline(ops, rates)),
        math.log2(1 + len(ops)),
        math.log2(1 + sum(facts.flops for facts in ops)),
        math.log2(1 + sum(f.bytes_read + f.bytes_written for f in ops)),
        *shares,
    ]
