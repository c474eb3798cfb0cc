"""What the learned model looks at: a vector of numbers for an op."""

from __future__ import annotations

import math

from ...passes.analysis.targets import Rates
from .facts import OpFacts
from .roofline import is_merged, roofline_seconds

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
    "elementwise": (
        "Relu Clip LeakyRelu Add Sum Sub Mul Div Max Min Neg Abs Reciprocal Where And "
        "Or Not Equal Less Greater Cast"
    ),
    "absent": "",
}
CLASSES = (*_CLASSES, "other")
_CLASS_OF = {op: name for name, ops in _CLASSES.items() for op in ops.split()}
_CLASS_OF[""] = "absent"
_KNOWN = [op for ops in _CLASSES.values() for op in ops.split()]
_PLACE_OF = {op: place for place, op in enumerate(_KNOWN)}
_OTHERS = 16
"""Operators of no class share so many numbers."""
_MOVES = frozenset([*_CLASSES["movement"].split(), *_CLASSES["view"].split()])
_CURVES = frozenset(_CLASSES["curve"].split())

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
    "columns_before",
    "width",
    "unfolded",
    "first_first",
    "first_last",
    "second_first",
    "second_last",
    "group",
    "window",
    "stride",
    "fused",
    "users",
    "intensity",
    "stacked",
    "each",
    "group_share",
    "moves",
    "curves",
    "begins_with_move",
    "is_known",
    "bits",
    "operands",
    "class",
    "producer",
    "consumer",
    "is_only_user",
    "is_merged",
    "is_nhwc",
    "is_planned",
    "kind",
)
"""The numbers of an op, amounts as log2(1 + x)."""

_NARROW = {"float16": 16, "bfloat16": 16, "int8": 8, "uint8": 8, "bool": 8}


def op_vector(facts: OpFacts, rates: Rates) -> list[float]:
    """The numbers of `OP_FEATURES`."""
    given, result = facts.shapes
    names = facts.text.partition("(")[0].split("+")
    return [
        math.log2(roofline_seconds(facts, rates)),
        *(math.log2(1 + amount) for amount in _amounts(facts)),
        facts.group / max(_columns(facts, result), 1),
        float(sum(name in _MOVES for name in names)),
        float(sum(name in _CURVES for name in names)),
        float(len(names) > 1 and names[0] in _MOVES),
        float(facts.is_known),
        float(_NARROW.get(facts.dtype, 32)),
        float(len(given)),
        float(class_of(facts.op)),
        float(class_of(facts.producer)),
        float(class_of(facts.consumer)),
        float(facts.is_only_user),
        float(is_merged(facts)),
        float(_is_nhwc(facts)),
        float(facts.is_planned),
        float(_kind(facts.op)),
    ]


def _amounts(facts: OpFacts) -> tuple[float, ...]:
    """Those of `OP_FEATURES` from ``flops`` to ``each``."""
    given, result = facts.shapes
    elements = math.prod(result)
    first = given[0] if given else ()
    # Whether a weight stands as it is read, or transposed, is in its shape.
    second = given[1] if len(given) > 1 else ()
    depth = facts.flops / (2 * max(elements, 1))
    is_window = _is_windowed(facts, result)
    columns = _columns(facts, result)
    rows = elements / max(columns, 1)
    last = first[-1] if first else 1
    return (
        facts.flops,
        facts.transcendentals,
        facts.bytes_read,
        facts.bytes_written,
        facts.weight_bytes,
        elements,
        depth,
        columns,
        rows,
        depth / max(facts.window, 1) if is_window else last,
        result[-2 if _is_nhwc(facts) else -1] if is_window else 1,
        rows * depth,
        first[0] if first else 1,
        last,
        second[0] if second else 1,
        second[-1] if second else 1,
        facts.group,
        facts.window,
        facts.stride,
        facts.fused,
        facts.users,
        facts.flops / max(facts.bytes_read + facts.bytes_written, 1),
        stacked(facts),
        facts.flops / stacked(facts),
    )


def stacked(facts: OpFacts) -> float:
    """How many matrices are multiplied, one after the other: of batches and heads."""
    given, kind = facts.shapes[0], class_of(facts.op)
    if len(given) < 2 or min(map(len, given[:2])) < 2:
        return 1
    if kind == _PRODUCT:
        return max(math.prod(given[1][:-2]), 1)
    if kind == _ATTENTION:
        # Each query of a head has a score, which is an exponential, for each key.
        return max(facts.transcendentals / max(given[0][-2] * given[1][-2], 1), 1)
    return 1


def _is_nhwc(facts: OpFacts) -> bool:
    return facts.op.startswith("nhwc.")


def _is_windowed(facts: OpFacts, result: tuple[int, ...]) -> bool:
    """Whether windows of an image are seen."""
    return class_of(facts.op) in _WINDOWED and len(result) > 2


def _columns(facts: OpFacts, result: tuple[int, ...]) -> int:
    """How many numbers are computed of one row: an image's channels."""
    if not result:
        return 1
    return result[1 if _is_windowed(facts, result) and not _is_nhwc(facts) else -1]


def class_of(op: str) -> int:
    """The place of an operator's class in `CLASSES`."""
    if op == "fusion.region":
        return CLASSES.index("product")
    return CLASSES.index(_CLASS_OF.get(op, "other"))


_PRODUCT, _ATTENTION = map(CLASSES.index, ("product", "attention"))
_WINDOWED = frozenset(map(CLASSES.index, ("convolution", "window")))


def _kind(op: str) -> int:
    """A small number for the operator's name: those of one class are neighbours."""
    place = _PLACE_OF.get(op)
    return len(_KNOWN) + sum(op.encode()) % _OTHERS if place is None else place
