"""
The work of operators that compute each element of the result by itself.

The weights are read off the formulas: a Sigmoid is ``1 / (1 + exp(-x))``. A choice
(``x if x > 0 else 0``) is one operation.
"""

from __future__ import annotations

from collections.abc import Mapping

_OPERATIONS = """
    Abs Add And BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor Ceil Div Equal Floor
    Greater GreaterOrEqual IsInf IsNaN Less LessOrEqual Mod Mul Neg Not Or Reciprocal
    Relu Round Sign Sub ThresholdedRelu Where Xor
"""
_TRANSCENDENTALS = """
    Acos Acosh Asin Asinh Atan Atanh Cos Cosh Erf Exp Log Pow Sin Sinh Sqrt Tan
    Tanh
"""

ELEMENTWISE: Mapping[str, tuple[int, int]] = {
    **dict.fromkeys(_OPERATIONS.split(), (1, 0)),
    **dict.fromkeys(_TRANSCENDENTALS.split(), (0, 1)),
    "LeakyRelu": (2, 0),
    "PRelu": (2, 0),
    "HardSigmoid": (4, 0),
    "HardSwish": (5, 0),
    "Shrink": (4, 0),
    "Softsign": (3, 0),
    "Elu": (3, 1),
    "Selu": (4, 1),
    "Celu": (6, 1),
    "Softplus": (1, 2),
    "Mish": (2, 3),
    "Sigmoid": (3, 1),
    "Swish": (5, 1),
    "SwiGLU": (6, 1),
}
"""The flops and transcendentals of each element, by operator."""

ACTIVATIONS: Mapping[str, tuple[int, int]] = {
    **ELEMENTWISE,
    "Affine": (2, 0),
    "ScaledTanh": (2, 1),
}
"""As above, of the activations that a recurrent operator may name."""
