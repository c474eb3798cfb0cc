"""
Raises nodes of older opsets to the newest: one rule per operator and version.

An operator's forms are known by the opset that brought them (``Softmax-11``). Every
form that a model can select, of any opset, stands in one of the tables: it means
what the newest form means (`UNCHANGED`), a rule rewrites it (`RULES`), or it is
`REFUSED`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from . import upgrades_meaning as meaning
from . import upgrades_operands as operands
from .upgrades_form import OldNode, Rule, same
from .upgrades_old import OLD_REFUSED, OLD_RULES

__all__ = ["REFUSED", "RULES", "UNCHANGED", "OldNode", "Rule", "rule_for"]

REVIEWED = 28
"""The opset that the tables were compared with; later forms are raised by no rule."""


def rule_for(op_type: str, since: int, newest: int) -> Rule | None:
    """
    The rule that raises form `since` of an operator to its form `newest`.

    None if there is none: `REFUSED` may tell why.
    """
    if since != newest and newest > REVIEWED:
        return None
    rule = RULES.get((op_type, since))
    if rule is None and (since == newest or since in UNCHANGED.get(op_type, ())):
        return same
    return rule


UNCHANGED: Mapping[str, tuple[int, ...]] = {
    "Abs": (6,),
    "Acos": (7,),
    "Acosh": (9,),
    "Add": (7, 13),
    "ArgMax": (1, 11, 12),
    "ArgMin": (1, 11, 12),
    "Asin": (7,),
    "Asinh": (9,),
    "Atan": (7,),
    "Atanh": (9,),
    "AveragePool": (1, 7, 10, 11, 19),
    "BatchNormalization": (14,),
    "Bernoulli": (15,),
    "BitShift": (11,),
    "Cast": (6, 9, 13, 19, 21, 23, 24, 25),
    "CastLike": (15, 19, 21, 23, 24),
    "Ceil": (6,),
    "Celu": (12,),
    "Clip": (11, 12),
    "Compress": (9, 11),
    "Concat": (4, 11),
    "ConstantOfShape": (9, 20, 21, 23, 24),
    "Conv": (1, 11),
    "ConvTranspose": (11,),
    "Cos": (7,),
    "Cosh": (9,),
    "CumSum": (11,),
    "DeformConv": (19,),
    "DepthToSpace": (1, 11, 13),
    "DequantizeLinear": (10, 13, 19, 21, 23, 24, 25),
    "Det": (11,),
    "Div": (7, 13),
    "Dropout": (12, 13),
    "Einsum": (12,),
    "Elu": (6,),
    "Equal": (7, 11, 13),
    "Exp": (6,),
    "Expand": (8,),
    "EyeLike": (9,),
    "Flatten": (1, 9, 11, 13, 21, 23, 24),
    "Floor": (6,),
    "GRU": (7, 14),
    "Gather": (1, 11),
    "GatherElements": (11,),
    "GatherND": (11, 12),
    "Gemm": (7, 9, 11),
    "GlobalAveragePool": (1,),
    "GlobalLpPool": (2,),
    "GlobalMaxPool": (1,),
    "Greater": (7, 9),
    "GreaterOrEqual": (12,),
    "GridSample": (20,),
    "HardSigmoid": (6,),
    "HardSwish": (14,),
    "Identity": (1, 13, 14, 16, 19, 21, 23, 24),
    "If": (1, 11, 13, 16, 19, 21, 23, 24),
    "InstanceNormalization": (6,),
    "IsInf": (10,),
    "IsNaN": (9, 13),
    "LRN": (1,),
    "LSTM": (7, 14),
    "LeakyRelu": (6,),
    "Less": (7, 9),
    "LessOrEqual": (12,),
    "Log": (6,),
    "Loop": (1, 11, 13, 16, 19, 21, 23, 24),
    "LpNormalization": (1,),
    "LpPool": (2, 11, 18),
    "MatMul": (1, 9),
    "Max": (6, 8, 12),
    "MaxPool": (1, 8, 10, 11, 12),
    "MaxRoiPool": (1,),
    "MaxUnpool": (9, 11),
    "Mean": (6, 8),
    "MeanVarianceNormalization": (9,),
    "Min": (6, 8, 12),
    "Mish": (18,),
    "Mod": (10, 13),
    "Mul": (7, 13),
    "Multinomial": (7,),
    "Neg": (6,),
    "NegativeLogLikelihoodLoss": (12, 13),
    "NonMaxSuppression": (10,),
    "NonZero": (9,),
    "OneHot": (9, 11),
    "Optional": (15,),
    "OptionalGetElement": (15, 18),
    "OptionalHasElement": (15, 18),
    "PRelu": (7, 9),
    "Pad": (11, 13, 18, 19, 21, 23, 24),
    "Pow": (7, 12, 13),
    "QLinearMatMul": (10,),
    "QuantizeLinear": (10, 13, 19, 21, 23, 24, 25),
    "RNN": (7, 14),
    "RandomNormal": (1,),
    "RandomNormalLike": (1,),
    "RandomUniform": (1,),
    "RandomUniformLike": (1,),
    "Range": (11,),
    "Reciprocal": (6,),
    "ReduceMax": (18,),
    "ReduceMin": (18,),
    "Relu": (6, 13),
    "Reshape": (5, 13, 14, 19, 21, 23, 24),
    "ReverseSequence": (10,),
    "RoiAlign": (16,),
    "Round": (11,),
    "Scan": (9, 11, 16, 19, 21, 23, 24),
    "ScatterElements": (11, 13, 16),
    "ScatterND": (11, 13, 16),
    "Selu": (6,),
    "Shape": (1, 13, 15, 19, 21, 23, 24),
    "Sigmoid": (6,),
    "Sign": (9,),
    "Sin": (7,),
    "Sinh": (9,),
    "Size": (1, 13, 19, 21, 23, 24),
    "Slice": (10, 11),
    "SoftmaxCrossEntropyLoss": (12,),
    "Softplus": (1,),
    "Softsign": (1,),
    "SpaceToDepth": (1, 13),
    "SplitToSequence": (11,),
    "Sqrt": (6,),
    "Squeeze": (13, 21, 23, 24),
    "Sub": (7, 13),
    "Sum": (6, 8),
    "Tan": (7,),
    "Tanh": (6,),
    "ThresholdedRelu": (10,),
    "Tile": (6,),
    "TopK": (10, 11),
    "Transpose": (1, 13, 21, 23, 24),
    "Unique": (11,),
    "Unsqueeze": (13, 21, 23, 24),
    "Where": (9,),
    # --- ai.onnx.ml ---
    "LabelEncoder": (2,),
    "TreeEnsembleClassifier": (1, 3),
    "TreeEnsembleRegressor": (1, 3),
}
"""The forms that mean what the newest one means on the same inputs and attributes.

Newer forms widened types, reworded, or added attributes and inputs whose absence is the
older behaviour. Where words differ, what every runtime does decides: a pooling window
that would start in the padding at the end is dropped (AveragePool, MaxPool before 22),
and a negative index counts from the end (OneHot-9).
"""


def _forms(
    rule: Rule, names: str, *versions: int
) -> Iterable[tuple[tuple[str, int], Rule]]:
    return (((name, v), rule) for name in names.split() for v in versions)


_REDUCTIONS = (
    "ReduceL1 ReduceL2 ReduceMax ReduceMean ReduceMin ReduceProd ReduceSumSquare"
)

RULES: Mapping[tuple[str, int], Rule] = dict(
    [
        *_forms(meaning.attention, "Attention", 23, 24),
        *_forms(meaning.batch_normalization, "BatchNormalization", 7, 9),
        *_forms(operands.clip, "Clip", 6),
        *_forms(operands.constant, "Constant", 1, 9, 11, 12, 13, 19, 21, 23, 24, 25),
        *_forms(meaning.convolution_transpose, "ConvTranspose", 1),
        *_forms(operands.dft, "DFT", 17),
        *_forms(operands.dropout, "Dropout", 7, 10),
        *_forms(meaning.erf, "Erf", 9),
        *_forms(meaning.grid_sample, "GridSample", 16),
        *_forms(meaning.group_normalization, "GroupNormalization", 18),
        *_forms(operands.label_encoder, "LabelEncoder", 1),
        *_forms(operands.pad, "Pad", 2),
        *_forms(operands.reduce, _REDUCTIONS, 1, 11, 13),
        *_forms(operands.reduce, "ReduceMax ReduceMin", 12),
        *_forms(operands.reduce, "ReduceSum", 1, 11),
        *_forms(
            operands.reduce_logarithm, "ReduceLogSum ReduceLogSumExp", 1, 11, 13, 18
        ),
        *_forms(meaning.resize_scales, "Resize", 10),
        *_forms(meaning.resize, "Resize", 11, 13, 18, 19),
        *_forms(meaning.roi_align, "RoiAlign", 10),
        *_forms(meaning.scatter, "Scatter", 9, 11),
        *_forms(operands.slice_attributes, "Slice", 1),
        *_forms(meaning.softmax, "Hardmax LogSoftmax Softmax", 1, 11),
        *_forms(operands.split, "Split", 2, 11, 13),
        *_forms(operands.squeeze, "Squeeze", 1, 11),
        *_forms(operands.top_k, "TopK", 1),
        *_forms(operands.unsqueeze, "Unsqueeze", 1, 11),
        *_forms(meaning.upsample, "Upsample", 7, 9, 10),
        *OLD_RULES.items(),
    ]
)
"""The rule of every form that differs, and of newest forms with two ways to say it."""

REFUSED: Mapping[tuple[str, int], str] = {
    **OLD_REFUSED,
}
"""Why a form is not raised: completes ``Op-since is not supported: ...``."""
