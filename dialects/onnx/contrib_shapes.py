"""
The shapes of the results of ONNX Runtime's operators, by op name.

A rule gives the shape of each result as far as it knows: None is an unknown rank, a
None in a shape an unknown size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from .base import SCHEMAS
from .contrib_attention_shapes import ATTENTION_SHAPES
from .contrib_decoder_shapes import DECODER_SHAPES
from .contrib_sizes import size_of
from .dims import Dim, broadcast
from .facts import Facts, inferred_by_onnx, like
from .types import ELEMENT_TYPES, Shape, shape_of

Rule: TypeAlias = Callable[[Facts], Sequence[Shape | None]]


# --- makers of rules ---


def _tokens(facts: Facts) -> Sequence[Shape | None]:
    """A new last axis, as long as the text with the most tokens asks for."""
    texts = facts.shape(0)
    return [None if texts is None else (*texts, None)]


def _same(*places: int) -> Rule:
    """Each result has the shape of an operand."""

    def rule(facts: Facts) -> Sequence[Shape | None]:
        return [facts.shape(place) for place in places]

    return rule


def _broadcast(*places: int) -> Rule:
    """The result has the shape that these operands broadcast to."""

    def rule(facts: Facts) -> Sequence[Shape | None]:
        shapes = [facts.shape(p) for p in places if facts.present(p)]
        known = [shape for shape in shapes if shape is not None]
        return [broadcast(known) if len(known) == len(shapes) else None]

    return rule


def _as(name: str, *places: int) -> Rule:
    """
    What onnx infers for its operator `name` on these operands (by default on all) and
    the attributes that both have.
    """

    def rule(facts: Facts) -> Sequence[Shape | None]:
        other = like(facts, name, places or range(len(facts.operands)))
        found = inferred_by_onnx(SCHEMAS[name], other, [True])
        return [None if kind is None else shape_of(kind) for kind in found]

    return rule


# --- matrix products ---


def _product(a: Shape | None, b: Shape | None) -> Shape | None:
    """The shape of ``a @ b``."""
    if a is None or b is None or not a or not b:
        return None
    rows = () if len(a) == 1 else (a[-2],)
    columns = () if len(b) == 1 else (b[-1],)
    return (*broadcast([a[:-2], b[:-2]]), *rows, *columns)


def _matmul(a: int, b: int) -> Rule:
    def rule(facts: Facts) -> Sequence[Shape | None]:
        return [_product(facts.shape(a), facts.shape(b))]

    return rule


def _fused_matmul(facts: Facts) -> Sequence[Shape | None]:
    a = _turned(facts, 0, "transA", "transBatchA")
    return [_product(a, _turned(facts, 1, "transB", "transBatchB"))]


def _turned(facts: Facts, place: int, rows: str, batch: str) -> Shape | None:
    """An operand's shape as a product sees it; see the kernel `turned`."""
    shape = facts.shape(place)
    if shape is None or len(shape) < 2:
        return shape
    if facts.attribute(batch, 0):
        shape = (*shape[1:-1], shape[0], shape[-1])
    if facts.attribute(rows, 0):
        shape = (*shape[:-2], shape[-1], shape[-2])
    return shape


def _packed_matmul(facts: Facts) -> Sequence[Shape | None]:
    """``[..., K]`` times a packed matrix of `N` columns."""
    shape = facts.shape(0)
    size = facts.attribute("N")
    return [None if shape is None or size is None else (*shape[:-1], Dim.of(size))]


def _gemm(a: int, b: int) -> Rule:
    def rule(facts: Facts) -> Sequence[Shape | None]:
        left, right = facts.shape(a), facts.shape(b)
        rows = size_of(left, -1 if facts.attribute("transA", 0) else 0)
        columns = size_of(right, 0 if facts.attribute("transB", 0) else -1)
        return [(rows, columns)]

    return rule


# --- convolution and pooling ---


def _channels_last(name: str, *places: int) -> Rule:
    """As `_as`, with the channels of the first operand and the result last."""
    plain = _as(name, *places)

    def rule(facts: Facts) -> Sequence[Shape | None]:
        shape = facts.shape(places[0])
        if shape is None:
            return [None]
        (found,) = plain(facts.with_shape(places[0], _first(shape)))
        return [None if found is None else (found[0], *found[2:], found[1])]

    return rule


def _first(shape: Shape) -> Shape:
    return (shape[0], shape[-1], *shape[1:-1])


def _either(name: str, *places: int) -> Rule:
    """
    Channels last if the attribute `channels_last` says so, else second.

    `name` takes real values; these operands are 8-bit integers that stand for some.
    """
    last, second = _channels_last(name, *places), _as(name, *places)

    def rule(facts: Facts) -> Sequence[Shape | None]:
        for place in places:
            real = ELEMENT_TYPES["float32"]
            facts = facts.with_shape(place, facts.shape(place), real)
        return (last if facts.attribute("channels_last", 0) else second)(facts)

    return rule


def _blocked_conv(facts: Facts) -> Sequence[Shape | None]:
    # The weight of a depthwise or first convolution has its plain number of channels,
    # another's may have more than the image, filled up to whole blocks.
    x, w = facts.shape(0), facts.shape(1)
    if x is None or w is None:
        return [None]
    channels = (w[0], x[1], *w[2:])
    (found,) = _as("onnx.Conv", 0, 1)(facts.with_shape(1, channels).without("group"))
    return [found]


def _reorder_input(facts: Facts) -> Sequence[Shape | None]:
    shape = facts.shape(0)
    if shape is None or not facts.attribute("channels_last", 0):
        return [shape]
    return [_first(shape)]


def _reorder_output(facts: Facts) -> Sequence[Shape | None]:
    shape = facts.shape(0)
    if shape is None:
        return [None]
    channels = facts.attribute("channels", 0)
    shape = (shape[0], Dim.of(channels) if channels else shape[1], *shape[2:])
    if facts.attribute("channels_last", 0):
        return [(shape[0], *shape[2:], shape[1])]
    return [shape]


def _upsample(facts: Facts) -> Sequence[Shape | None]:
    shape, scales = facts.shape(0), facts.attribute("scales")
    if shape is None or scales is None:
        return [None if shape is None else (*shape[:2], None, None)]
    pairs = zip(shape, scales, strict=True)
    return [tuple(None if d is None else d * Dim.of(s) for d, s in pairs)]


# --- others ---


def _concatenated(facts: Facts) -> Sequence[Shape | None]:
    return _as("onnx.Concat", *range(2, len(facts.operands), 3))(facts)


def _mean(facts: Facts) -> Sequence[Shape | None]:
    shape = facts.shape(0)
    if shape is None:
        return [None]
    rank = len(shape)
    axes = {axis % rank for axis in facts.attribute("axes", range(rank))}
    if facts.attribute("keepdims", 1):
        return [tuple(Dim.of(1) if i in axes else d for i, d in enumerate(shape))]
    return [tuple(d for i, d in enumerate(shape) if i not in axes)]


def _halved(facts: Facts) -> Sequence[Shape | None]:
    shape = facts.shape(0)
    if shape is None or shape[-1] is None:
        return [shape]
    return [(*shape[:-1], shape[-1] // Dim.of(2))]


def _expand_dims(facts: Facts) -> Sequence[Shape | None]:
    shape, axis = facts.shape(0), facts.values(1)
    if shape is None:
        return [None]
    place = axis[0].constant if axis and axis[0] is not None else None
    if place is None:
        return [(None,) * (len(shape) + 1)]
    place = place + len(shape) + 1 if place < 0 else place
    return [(*shape[:place], Dim.of(1), *shape[place:])]


def _crop_and_resize(facts: Facts) -> Sequence[Shape | None]:
    x, boxes, size = facts.shape(0), facts.shape(1), facts.values(3)
    if x is None or boxes is None:
        return [None]
    height, width = size if size and len(size) == 2 else (None, None)
    return [(boxes[0], x[1], height, width)]


def _spectrum(facts: Facts) -> Sequence[Shape | None]:
    shape, count = facts.shape(0), facts.attribute("signal_ndim")
    if shape is None or count is None or facts.attribute("onesided", 0) == 0:
        return [None if shape is None else (*shape, Dim.of(2))]
    last = None if shape[-1] is None else shape[-1] // Dim.of(2) + Dim.of(1)
    return [(*shape[:-1], last, Dim.of(2))]


def _signal(facts: Facts) -> Sequence[Shape | None]:
    shape = facts.shape(0)
    if shape is None or facts.attribute("onesided", 0) == 0:
        return [None if shape is None else shape[:-1]]
    last = None if shape[-2] is None else (shape[-2] - Dim.of(1)) * Dim.of(2)
    return [(*shape[:-2], last)]


def _pairs(facts: Facts) -> Sequence[Shape | None]:
    return [(size_of(facts.shape(0), 0), size_of(facts.shape(1), 0))]


def _windows(facts: Facts) -> Sequence[Shape | None]:
    shape = facts.shape(0)
    if shape is None:
        return [None]
    size, step = facts.attribute("size"), facts.attribute("step", 1)
    axis: int = facts.attribute("dim", -1) % len(shape)
    dim = shape[axis]
    count = None
    if dim is not None and size is not None:
        count = (dim - Dim.of(size)) // Dim.of(step) + Dim.of(1)
    return [(*shape[:axis], count, *shape[axis + 1 :], Dim.of(size or 0))]


def _rows(facts: Facts) -> Sequence[Shape | None]:
    table, indices = facts.shape(0), facts.shape(1)
    return [None if table is None or indices is None else (*indices, *table[1:])]


def _gathered_blocks(facts: Facts) -> Sequence[Shape | None]:
    data, indices = facts.shape(0), facts.shape(1)
    if data is None or indices is None:
        return [None]
    axis = facts.attribute("gather_axis", 0) % len(data)
    bits = facts.attribute("bits", 4)
    last = data[-1]
    if facts.element(0) == ELEMENT_TYPES["uint8"] and bits < 8 and last is not None:
        data = (*data[:-1], last * Dim.of(8 // bits))
    return [(*data[:axis], *indices, *data[axis + 1 :])]


def _embedded(facts: Facts) -> Sequence[Shape | None]:
    """EmbedLayerNormalization: the normalized sum, the mask's lengths, the sum."""
    ids, words = facts.shape(0), facts.shape(2)
    if ids is None or words is None or len(ids) != 2:
        return [None, None, None]
    hidden = (*ids, words[-1])
    return [hidden, (ids[0],), hidden]


def _normalized(facts: Facts) -> Sequence[Shape | None]:
    """A sum's normalization, the statistics per row, and the sum."""
    shape = facts.shape(0)
    rows = None if shape is None else (*shape[:-1], Dim.of(1))
    return [shape, rows, rows, shape]


def _simplified(facts: Facts) -> Sequence[Shape | None]:
    shape = facts.shape(0)
    if shape is None:
        return [None, None]
    axis = facts.attribute("axis", -1) % len(shape)
    ones = (Dim.of(1),) * (len(shape) - axis)
    return [shape, (*shape[:axis], *ones)]


def _without_padding(facts: Facts) -> Sequence[Shape | None]:
    shape = facts.shape(0)
    if shape is None:
        return [None, None, None, None]
    batch, length, hidden = shape
    after = None if batch is None else batch + Dim.of(1)
    return [(None, hidden), (batch, length), (after,), (Dim.of(1),)]


def _with_padding(facts: Facts) -> Sequence[Shape | None]:
    tokens, offsets = facts.shape(0), facts.shape(1)
    if tokens is None or offsets is None:
        return [None]
    return [(*offsets, tokens[-1])]


def _sampled(facts: Facts) -> Sequence[Shape | None]:
    x, grid = facts.shape(0), facts.shape(1)
    return [None if x is None or grid is None else (*x[:2], *grid[1:-1])]


def _unique(facts: Facts) -> Sequence[Shape | None]:
    shape = facts.shape(0)
    length = shape[0] if shape else None
    return [(None,), (length,), (None,)]


def _states(facts: Facts) -> Sequence[Shape | None]:
    """LSTM: all outputs, the last hidden state, the last cell state."""
    x, size = facts.shape(0), facts.attribute("hidden_size")
    if x is None or size is None:
        return [None, None, None]
    both = Dim.of(2 if facts.attribute("direction", "") == "bidirectional" else 1)
    last = (both, x[1], Dim.of(size))
    return [(x[0], both, x[1], Dim.of(size)), last, last]


def _range(facts: Facts) -> Sequence[Shape | None]:
    return _as("onnx.Range")(facts) if facts.present(2) else [(None,)]


def _transposed(facts: Facts) -> Sequence[Shape | None]:
    """ConvTranspose with pads that nobody knows: rank, batch and channels."""
    x, w = facts.shape(0), facts.shape(1)
    if x is None or w is None:
        return [None]
    channels = None if w[1] is None else w[1] * Dim.of(facts.attribute("group", 1))
    return [(x[0], channels, *(None for _ in x[2:]))]


def _path(facts: Facts) -> Sequence[Shape | None]:
    return [(Dim.of(2), None)]


def _flag(facts: Facts) -> Sequence[Shape | None]:
    return [()]


_FIRST = (
    "BiasAdd BiasGelu BiasSoftmax BranchwiseRMSNorm DequantizeLinear "
    "DequantizeWithOrder FastGelu GatedAdd GatedRMSNorm Gelu GroupNorm Inverse "
    "MurmurHash3 QLinearLeakyRelu QLinearSigmoid QLinearSoftmax QOrderedGelu "
    "QOrderedLayerNormalization QuantizeLinear QuantizeWithOrder QuickGelu "
    "RotaryEmbedding ScaledSiLU Trilu MoE MoEPacked QMoE"
)

_MICROSOFT: dict[str, Rule] = {
    **dict.fromkeys(_FIRST.split(), _same(0)),
    "BiasSplitGelu": _halved,
    "CDist": _pairs,
    "ComplexMul": _broadcast(0, 1),
    "ComplexMulConj": _broadcast(0, 1),
    "ConvTransposeWithDynamicPads": _transposed,
    "ConvStateReplay": _same(2),
    "CropAndResize": _crop_and_resize,
    "DynamicQuantizeLSTM": _states,
    "DynamicQuantizeMatMul": _matmul(0, 1),
    "DynamicTimeWarping": _path,
    "EmbedLayerNormalization": _embedded,
    "ExpandDims": _expand_dims,
    "FusedConv": _as("onnx.Conv", 0, 1),
    "FusedGemm": _gemm(0, 1),
    "FusedMatMul": _fused_matmul,
    "FusedMatMulActivation": _fused_matmul,
    "GatedDeltaNetStateReplay": _same(2),
    "GatherBlockQuantized": _gathered_blocks,
    "GatherND": _as("onnx.GatherND", 0, 1),
    "GemmFastGelu": _matmul(0, 1),
    "GemmFloat8": _gemm(0, 1),
    "GridSample": _sampled,
    "Irfft": _signal,
    "IsAllFinite": _flag,
    "MatMulBnb4": _packed_matmul,
    "MatMulInteger16": _matmul(0, 1),
    "MatMulIntegerToFloat": _matmul(0, 1),
    "MatMulNBits": _packed_matmul,
    "MatMulNBitsQLoRA": _packed_matmul,
    "MatMulPacked": _packed_matmul,
    "MaxpoolWithMask": _as("onnx.MaxPool", 0),
    "MulInteger": _broadcast(0, 2),
    "NGramRepeatBlock": _same(1),
    "Tokenizer": _tokens,
    "NhwcConv": _channels_last("onnx.Conv", 0, 1),
    "NhwcFusedConv": _channels_last("onnx.Conv", 0, 1),
    "NhwcMaxPool": _channels_last("onnx.MaxPool", 0),
    "Pad": _as("onnx.Pad", 0, 1),
    "QGemm": _gemm(0, 3),
    "QLinearAdd": _broadcast(0, 3),
    "QLinearAveragePool": _either("onnx.AveragePool", 0),
    "QLinearConcat": _concatenated,
    "QLinearConv": _either("onnx.Conv", 0, 3),
    "QLinearGlobalAveragePool": _either("onnx.GlobalAveragePool", 0),
    "QLinearMul": _broadcast(0, 3),
    "QLinearReduceMean": _mean,
    "QLinearWhere": _broadcast(0, 1, 4),
    "Range": _range,
    "RemovePadding": _without_padding,
    "RestorePadding": _with_padding,
    "Rfft": _spectrum,
    "SkipGroupNorm": _same(0, 0),
    "SkipLayerNormalization": _normalized,
    "SkipSimplifiedLayerNormalization": _normalized,
    "SparseToDenseMatMul": _matmul(0, 1),
    "TorchEmbedding": _rows,
    "TransposeMatMul": _fused_matmul,
    "UnfoldTensor": _windows,
    "Unique": _unique,
}

_NCHWC: dict[str, Rule] = {
    "AveragePool": _as("onnx.AveragePool", 0),
    "Conv": _blocked_conv,
    "GlobalAveragePool": _as("onnx.GlobalAveragePool", 0),
    "GlobalMaxPool": _as("onnx.GlobalMaxPool", 0),
    "MaxPool": _as("onnx.MaxPool", 0),
    "ReorderInput": _reorder_input,
    "ReorderOutput": _reorder_output,
    "Upsample": _upsample,
}

SHAPES: Mapping[str, Rule] = {
    "onnx.SimplifiedLayerNormalization": _simplified,
    **{f"microsoft.{name}": rule for name, rule in _MICROSOFT.items()},
    **{f"microsoft.{name}": rule for name, rule in ATTENTION_SHAPES.items()},
    **{f"microsoft.{name}": rule for name, rule in DECODER_SHAPES.items()},
    **{f"microsoft_nchwc.{name}": rule for name, rule in _NCHWC.items()},
}
"""The rule of every op whose shapes are known."""
