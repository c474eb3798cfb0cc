"""
How much an operator computes: one rule per operator, entered in `RULES`.

The counts follow the operators' formulas as ONNX states them, padded positions
included; a reduction of n elements to m is n - m operations. What a backend saves
(an optimal order of an einsum, causal scores that are skipped) is not deducted. An
operator without a rule is unknown; `UNKNOWN` says why.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial

from ...dialects.onnx import Dim, OnnxOp
from ...dialects.onnx.dims import product
from ...dialects.onnx.integers import IntegerValues
from .contractions import CONTRACTIONS
from .elementwise import ELEMENTWISE
from .extensions import PLAIN, WORK
from .node import Node, UnknownSize, Work, constant, plus, times, without
from .storage import is_view

Rule = Callable[[Node], Work]
NOTHING = Work(Dim(()))


def work_of(op: OnnxOp, integers: IntegerValues) -> Work | None:
    """The work of an op without regions; None if a rule or a size is missing."""
    if op.name in MOVES:
        return NOTHING
    rule = RULES.get(op.name)
    if rule is None:
        return None
    try:
        return rule(Node(op, integers))
    except (UnknownSize, IndexError, ValueError):
        # Operands that do not fit the operator, which text can give it, or a
        # polynomial that is too large (DimError).
        return None


# --- one element of the result at a time ---


def each(work: tuple[int, int], node: Node) -> Work:
    """`work` for each element of the result."""
    size = node.result_size()
    return Work(times(work[0], size), times(work[1], size))


def several(node: Node) -> Work:
    """n operands make n - 1 operations on each element."""
    return Work(times(len(node.op.operands) - 1, node.result_size()))


def mean(node: Node) -> Work:
    return Work(times(len(node.op.operands), node.result_size()))


def clip(node: Node) -> Work:
    bounds = node.present(1) + node.present(2)
    return Work(times(bounds, node.result_size()))


def gelu(node: Node) -> Work:
    # x/2 (1 + erf(x / sqrt 2)); x/2 (1 + tanh(a (x + b x^3))).
    tanh = node.attribute("approximate") == "tanh"
    return each((8 if tanh else 4, 1), node)


def quantize(node: Node) -> Work:
    # Divide, round, clip from both sides; add the zero point.
    return each((4 + node.present(2), 0), node)


def dequantize(node: Node) -> Work:
    return each((1 + node.present(2), 0), node)


def quantize_dynamically(node: Node) -> Work:
    # The least and the largest element, then as `quantize`.
    return Work(times(7, node.size(0)))


def dropout(node: Node) -> Work:
    if is_view(node.op):
        return NOTHING
    raise UnknownSize  # random numbers


def range_of(node: Node) -> Work:
    return each((2, 0), node)


# --- reductions ---


def reduction(
    before: tuple[int, int], after: tuple[int, int], node: Node, operation: int = 1
) -> Work:
    """
    n elements to m: n - m operations, `before` for each of n and `after` each of m.
    """
    n, m = node.size(0), node.result_size()
    flops = plus(
        times(operation, n),
        times(-operation, m),
        times(before[0], n),
        times(after[0], m),
    )
    return Work(flops, plus(times(before[1], n), times(after[1], m)))


def log_sum_exp(node: Node) -> Work:
    # The maximum is taken out first: two reductions, x - max, log(sum) + max.
    return reduction((1, 1), (1, 1), node, operation=2)


def running(node: Node) -> Work:
    return Work(node.size(0))


def softmax(node: Node) -> Work:
    """Two reductions (max, sum), x - max, exp and a division."""
    n = node.size(0)
    rows = without(node.shape(0), node.attribute("axis"))
    return Work(plus(times(4, n), times(-2, rows)), n)


def log_softmax(node: Node) -> Work:
    n = node.size(0)
    rows = without(node.shape(0), node.attribute("axis"))
    return Work(plus(times(4, n), times(-2, rows)), n + rows)


def hardmax(node: Node) -> Work:
    rows = without(node.shape(0), node.attribute("axis"))
    return Work(node.size(0) - rows)


def top_k(node: Node) -> Work:
    """The comparisons of a sort of each row: ``n ceil(log2 n)``."""
    shape = node.shape(0)
    axis: int = node.attribute("axis")
    length = constant(shape[axis])
    return Work(times(without(shape, axis), _sort(length)))


def unique(node: Node) -> Work:
    if node.attribute("axis") is not None:
        raise UnknownSize  # a comparison of slices ends where they differ
    return Work(Dim.of(_sort(constant(node.size(0)))))


def _sort(n: int) -> int:
    return n * math.ceil(math.log2(n)) if n > 1 else 0


# --- pooling ---


def max_pool(node: Node) -> Work:
    window = math.prod(node.attribute("kernel_shape"))
    return each((window - 1, 0), node)


def average_pool(node: Node) -> Work:
    return each((math.prod(node.attribute("kernel_shape")), 0), node)


def lp_pool(node: Node) -> Work:
    return each(_norm(math.prod(node.attribute("kernel_shape")), node), node)


def _norm(count: int, node: Node) -> tuple[int, int]:
    """
    The p-norm of `count` elements: p = 1 is a sum of magnitudes, 2 one of squares.
    """
    p = node.attribute("p")
    if p in (1, 2):
        return 2 * count - 1, p - 1
    return 2 * count - 1, count + 1


def global_lp_pool(node: Node) -> Work:
    p = node.attribute("p")
    after = (0, 0 if p == 1 else 1)
    return reduction((1, 0 if p in (1, 2) else 1), after, node)


# --- normalizations ---


def standardized(count: Dim, rows: Dim, affine: int) -> Work:
    """
    ``(x - mean) / sqrt(var + epsilon)`` of `rows`, and `affine` operations on each
    element.
    """
    # Sums of x and of squares, x - mean, its square, the product with 1/deviation; for
    # a row two divisions, + epsilon and the reciprocal.
    flops = plus(times(5 + affine, count), times(-2 + 4, rows))
    return Work(flops, rows)


def layer_normalization(node: Node) -> Work:
    shape, axis = node.shape(0), node.attribute("axis")
    rows = product(shape[:axis] if axis >= 0 else shape[: len(shape) + axis])
    return standardized(product(shape), rows, 1 + node.present(2))


def rms_normalization(node: Node) -> Work:
    shape, axis = node.shape(0), node.attribute("axis")
    rows = product(shape[:axis] if axis >= 0 else shape[: len(shape) + axis])
    # Squares, their sum, the product with 1/rms and with the scale.
    return Work(plus(times(4, product(shape)), times(2, rows)), rows)


def instance_normalization(node: Node) -> Work:
    shape = node.shape(0)
    return standardized(product(shape), product(shape[:2]), 2)


def group_normalization(node: Node) -> Work:
    rows = times(node.shape(0)[0], node.attribute("num_groups"))
    return standardized(node.size(0), rows, 2)


def mean_variance_normalization(node: Node) -> Work:
    shape = node.shape(0)
    axes = {axis % len(shape) for axis in node.attribute("axes") or (0, 2, 3)}
    rows = product(dim for axis, dim in enumerate(shape) if axis not in axes)
    return standardized(product(shape), rows, 0)


def batch_normalization(node: Node) -> Work:
    """Per channel ``scale / sqrt(var + epsilon)``, per element ``(x - mean) a + b``."""
    count, channels = node.size(0), node.size(1)
    flops = plus(times(3, count), times(2, channels))
    if node.attribute("training_mode"):
        # Mean, variance, and the running ones: a r + b (1 - r) each.
        flops = plus(flops, times(4, count), times(6, channels))
    return Work(flops, channels)


def lp_normalization(node: Node) -> Work:
    count = node.size(0)
    rows = without(node.shape(0), node.attribute("axis"))
    return Work(
        plus(times(3, count), -rows),
        rows if node.attribute("p") == 2 else Dim(()),
    )


def lrn(node: Node) -> Work:
    """``x / (bias + alpha / size * window(x * x)) ** beta``."""
    return each((node.attribute("size") + 3, 1), node)


# --- images and signals ---


def resize(node: Node) -> Work:
    """The multiply-adds of the samples; the coordinates' arithmetic is not counted."""
    pairs = zip(node.shape(0), node.result(), strict=True)
    axes = sum(before != after for before, after in pairs)
    return _sampled(node, axes) if axes else NOTHING


def grid_sample(node: Node) -> Work:
    return _sampled(node, len(node.shape(0)) - 2)


def _sampled(node: Node, axes: int) -> Work:
    points = {"nearest": 0, "linear": 2, "bilinear": 2, "cubic": 4, "bicubic": 4}
    taken = points.get(node.attribute("mode"))
    if taken is None:
        raise UnknownSize
    return each((2 * taken**axes if taken else 0, 0), node)


def roi_align(node: Node) -> Work:
    ratio = node.attribute("sampling_ratio")
    if not ratio:
        raise UnknownSize  # as many samples as the region is large
    return each((9 * ratio**2, 0), node)


def affine_grid(node: Node) -> Work:
    axes = len(node.result()) - 2
    return each((2 * (axes + 1), 0), node)


def col2im(node: Node) -> Work:
    return Work(node.size(0))


def dft(node: Node) -> Work:
    """``5 n log2 n`` for a complex transform of length n, half of it for a real one."""
    shape = node.shape(0)
    axis = constant(node.integer(2)) if node.present(2) else -2
    length = node.integer(1) if node.present(1) else shape[axis]
    batch = without(shape[:-1], axis if axis >= 0 else axis + 1)
    real = shape[-1] == Dim.of(1) or bool(node.attribute("onesided"))
    return Work(times(batch, fft(constant(length), real)))


def stft(node: Node) -> Work:
    """A transform of every frame, and the window's product."""
    length = node.size(2) if node.present(2) else node.integer(3)
    frames = product(node.result()[:2])
    real = node.shape(0)[-1] == Dim.of(1) or len(node.shape(0)) == 2
    window = times(length, 1 if real else 2) if node.present(2) else Dim(())
    return Work(times(frames, plus(fft(constant(length), real), window)))


def fft(n: int, real: bool) -> int:
    """The customary count of a fast Fourier transform of length `n`."""
    flops = 5 * n * math.log2(n) if n > 1 else 0.0
    return round(flops / 2 if real else flops)


def det(node: Node) -> Work:
    """By elimination: two thirds of n cubed for each matrix."""
    shape = node.shape(0)
    return Work(times(product(shape[:-2]), 2 * constant(shape[-1]) ** 3 // 3))


def rotary_embedding(node: Node) -> Work:
    """Two products and a sum for each element that is turned."""
    shape, turned = node.shape(0), node.attribute("rotary_embedding_dim")
    if not turned:
        return Work(times(3, product(shape)))
    if len(shape) == 4:
        rows = product(shape[:-1])
    else:
        rows = times(node.count("num_heads"), *shape[:2])
    return Work(times(3, turned, rows))


def scatter(updates: int, node: Node) -> Work:
    """One operation for each update that is combined with what was there."""
    combined = node.attribute("reduction") not in (None, "none")
    return Work(node.size(updates)) if combined else NOTHING


_RULES: Mapping[str, Rule] = {
    **{name: partial(each, work) for name, work in ELEMENTWISE.items()},
    **CONTRACTIONS,
    "AffineGrid": affine_grid,
    "ArgMax": partial(reduction, (0, 0), (0, 0)),
    "ArgMin": partial(reduction, (0, 0), (0, 0)),
    "AveragePool": average_pool,
    "BatchNormalization": batch_normalization,
    "BlackmanWindow": partial(each, (6, 2)),
    "Clip": clip,
    "Col2Im": col2im,
    "CumProd": running,
    "CumSum": running,
    "DFT": dft,
    "DequantizeLinear": dequantize,
    "Det": det,
    "Dropout": dropout,
    "DynamicQuantizeLinear": quantize_dynamically,
    "Gelu": gelu,
    "GlobalAveragePool": partial(reduction, (0, 0), (1, 0)),
    "GlobalLpPool": global_lp_pool,
    "GlobalMaxPool": partial(reduction, (0, 0), (0, 0)),
    "GridSample": grid_sample,
    "GroupNormalization": group_normalization,
    "HammingWindow": partial(each, (3, 1)),
    "HannWindow": partial(each, (3, 1)),
    "Hardmax": hardmax,
    "InstanceNormalization": instance_normalization,
    "LRN": lrn,
    "LayerNormalization": layer_normalization,
    "LogSoftmax": log_softmax,
    "LpNormalization": lp_normalization,
    "LpPool": lp_pool,
    "Max": several,
    "MaxPool": max_pool,
    "Mean": mean,
    "MeanVarianceNormalization": mean_variance_normalization,
    "Min": several,
    "NonZero": running,
    "QuantizeLinear": quantize,
    "RMSNormalization": rms_normalization,
    "Range": range_of,
    "ReduceL1": partial(reduction, (1, 0), (0, 0)),
    "ReduceL2": partial(reduction, (1, 0), (0, 1)),
    "ReduceLogSum": partial(reduction, (0, 0), (0, 1)),
    "ReduceLogSumExp": log_sum_exp,
    "ReduceMax": partial(reduction, (0, 0), (0, 0)),
    "ReduceMean": partial(reduction, (0, 0), (1, 0)),
    "ReduceMin": partial(reduction, (0, 0), (0, 0)),
    "ReduceProd": partial(reduction, (0, 0), (0, 0)),
    "ReduceSum": partial(reduction, (0, 0), (0, 0)),
    "ReduceSumSquare": partial(reduction, (1, 0), (0, 0)),
    "Resize": resize,
    "RoiAlign": roi_align,
    "RotaryEmbedding": rotary_embedding,
    "STFT": stft,
    "Scatter": partial(scatter, 2),
    "ScatterElements": partial(scatter, 2),
    "ScatterND": partial(scatter, 2),
    "SimplifiedLayerNormalization": rms_normalization,
    "Softmax": softmax,
    "Sum": several,
    "TopK": top_k,
    "Unique": unique,
    "Upsample": resize,
}
RULES: Mapping[str, Rule] = {
    **{f"onnx.{name}": rule for name, rule in _RULES.items()},
    **{name: _RULES[like.removeprefix("onnx.")] for name, like in PLAIN.items()},
    **WORK,
}
"""The rule of every operator that computes, by the op's name."""

_MOVES = """
    BitCast Cast CastLike CenterCropPad Compress Concat ConcatFromSequence Constant
    ConstantOfShape DepthToSpace Expand EyeLike Flatten Gather GatherElements GatherND
    Identity MaxUnpool OneHot Optional OptionalGetElement OptionalHasElement Pad Reshape
    ReverseSequence SequenceAt SequenceConstruct SequenceEmpty SequenceErase
    SequenceInsert SequenceLength Shape Size Slice SpaceToDepth Split SplitToSequence
    Squeeze StringConcat StringNormalizer StringSplit TensorScatter Tile Transpose Trilu
    Unsqueeze
"""
MOVES = frozenset(f"onnx.{name}" for name in _MOVES.split())
"""Operators that move or convert data: no flops."""

_RANDOM = """
    Bernoulli Multinomial RandomNormal RandomNormalLike RandomUniform RandomUniformLike
"""
_BY_DATA = "ImageDecoder MaxRoiPool NonMaxSuppression RegexFullMatch TfIdfVectorizer"
_NOT_YET = """
    LinearAttention MelWeightMatrix NegativeLogLikelihoodLoss SoftmaxCrossEntropyLoss
"""
_REGIONS = "If Loop Scan SequenceMap"

UNKNOWN: Mapping[str, str] = {
    **dict.fromkeys(_RANDOM.split(), "random numbers: the generator is the backend's"),
    **dict.fromkeys(_BY_DATA.split(), "it depends on the data"),
    **dict.fromkeys(_NOT_YET.split(), "no rule yet"),
    **dict.fromkeys(_REGIONS.split(), "regions: see `cost`"),
}
"""ONNX's operators that have no rule here, and why."""
