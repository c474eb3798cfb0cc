"""Kernels that map operands to a result of the same (broadcast) shape, and casts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import ml_dtypes
import numpy as np

Array: TypeAlias = Any


def widen(x: Array) -> Array:
    """`x`, as float32 if its floats have 16 bits: formulas round once, at the end."""
    if x.dtype.itemsize == 2 and x.dtype.kind in "fV":
        return x.astype(np.float32)
    return x


def element_dtype(name: str) -> Any:
    """The dtype of an element type; NumPy knows the narrow ones by ml_dtypes."""
    return np.dtype(getattr(ml_dtypes, name, name))


# --- arithmetic ---


def add(xp: Any, a: Array, b: Array) -> Array:
    """``a + b``."""
    return xp.add(a, b)


def sub(xp: Any, a: Array, b: Array) -> Array:
    """``a - b``."""
    return xp.subtract(a, b)


def mul(xp: Any, a: Array, b: Array) -> Array:
    """``a * b``."""
    return xp.multiply(a, b)


def div(xp: Any, a: Array, b: Array) -> Array:
    """``a / b``; of integers, rounded toward zero."""
    with np.errstate(all="ignore"):
        if a.dtype.kind == "u":
            return xp.floor_divide(a, b)
        if a.dtype.kind != "i":
            return xp.divide(a, b)
        quotient = xp.floor_divide(a, b)
        # The floor is one below the truncation where the quotient is negative, inexact.
        return quotient + ((quotient < 0) & (quotient * b != a))


def power(xp: Any, x: Array, y: Array) -> Array:
    """``x ** y`` in the type of `x`; an integer to a negative power is truncated."""
    with np.errstate(all="ignore"):
        if x.dtype.kind != "i":
            return xp.power(x, y.astype(x.dtype, copy=False))
        if y.dtype.kind not in "iu":
            wide = xp.power(x.astype(np.float64), y.astype(np.float64))
            return wide.astype(x.dtype)
        if y.dtype.kind == "u":
            return xp.power(x, y.astype(x.dtype))
        result = xp.power(x, xp.abs(y)).astype(x.dtype)
        inverse = xp.where(xp.abs(result) == 1, result, 0).astype(x.dtype)
        return xp.where(y < 0, inverse, result)


def mod(xp: Any, a: Array, b: Array, fmod: int = 0) -> Array:
    """The remainder of ``a / b``, with the sign of `b`, or with `fmod` that of `a`."""
    with np.errstate(all="ignore"):
        return xp.fmod(a, b) if fmod else xp.mod(a, b)


def neg(xp: Any, x: Array) -> Array:
    """``-x``."""
    return xp.negative(x)


def absolute(xp: Any, x: Array) -> Array:
    """``|x|``."""
    return xp.abs(x)


def sqrt(xp: Any, x: Array) -> Array:
    """The square root of `x`, nan below zero."""
    with np.errstate(invalid="ignore"):
        return xp.sqrt(x)


def reciprocal(xp: Any, x: Array) -> Array:
    """``1 / x``."""
    with np.errstate(divide="ignore", over="ignore"):
        return xp.reciprocal(x)


def exp(xp: Any, x: Array) -> Array:
    """``e ** x``."""
    with np.errstate(over="ignore", under="ignore"):
        return xp.exp(x)


def log(xp: Any, x: Array) -> Array:
    """The natural logarithm of `x`."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return xp.log(x)


def floor(xp: Any, x: Array) -> Array:
    """The largest integer not above `x`."""
    return xp.floor(x)


def ceil(xp: Any, x: Array) -> Array:
    """The smallest integer not below `x`."""
    return xp.ceil(x)


def rint(xp: Any, x: Array) -> Array:
    """The nearest integer, the even one of two as near."""
    return xp.rint(x)


def sign(xp: Any, x: Array) -> Array:
    """-1, 0 or 1 with the sign of `x`."""
    with np.errstate(invalid="ignore"):
        return xp.sign(x)


def clip(xp: Any, x: Array, low: Array = None, high: Array = None) -> Array:
    """``min(high, max(low, x))``."""
    with np.errstate(invalid="ignore"):
        x = x if low is None else xp.maximum(x, low)
        return x if high is None else xp.minimum(x, high)


def maximum(xp: Any, *xs: Array) -> Array:
    """The largest of `xs` at each place; nan if one is nan."""
    result = xs[0]
    with np.errstate(invalid="ignore"):
        for x in xs[1:]:
            result = xp.maximum(result, x)
    return result


def minimum(xp: Any, *xs: Array) -> Array:
    """The smallest of `xs` at each place; nan if one is nan."""
    result = xs[0]
    with np.errstate(invalid="ignore"):
        for x in xs[1:]:
            result = xp.minimum(result, x)
    return result


def sum_of(xp: Any, *xs: Array) -> Array:
    """``xs[0] + xs[1] + …``."""
    result = widen(xs[0])
    for x in xs[1:]:
        result = xp.add(result, x)
    return result.astype(xs[0].dtype, copy=False)


def mean_of(xp: Any, *xs: Array) -> Array:
    """``(xs[0] + xs[1] + …) / len(xs)``."""
    result = widen(xs[0])
    for x in xs[1:]:
        result = xp.add(result, x)
    return (result / len(xs)).astype(xs[0].dtype, copy=False)


# --- comparisons, logic and bits ---


def equal(xp: Any, a: Array, b: Array) -> Array:
    """``a == b``."""
    return xp.equal(a, b)


def less(xp: Any, a: Array, b: Array) -> Array:
    """``a < b``."""
    with np.errstate(invalid="ignore"):
        return xp.less(a, b)


def less_or_equal(xp: Any, a: Array, b: Array) -> Array:
    """``a <= b``."""
    with np.errstate(invalid="ignore"):
        return xp.less_equal(a, b)


def greater(xp: Any, a: Array, b: Array) -> Array:
    """``a > b``."""
    with np.errstate(invalid="ignore"):
        return xp.greater(a, b)


def greater_or_equal(xp: Any, a: Array, b: Array) -> Array:
    """``a >= b``."""
    with np.errstate(invalid="ignore"):
        return xp.greater_equal(a, b)


def logical_and(xp: Any, a: Array, b: Array) -> Array:
    """``a and b``."""
    return xp.logical_and(a, b)


def logical_or(xp: Any, a: Array, b: Array) -> Array:
    """``a or b``."""
    return xp.logical_or(a, b)


def logical_xor(xp: Any, a: Array, b: Array) -> Array:
    """``a != b`` of booleans."""
    return xp.logical_xor(a, b)


def logical_not(xp: Any, x: Array) -> Array:
    """``not x``."""
    return xp.logical_not(x)


def where(xp: Any, condition: Array, x: Array, y: Array) -> Array:
    """`x` where `condition` holds, `y` elsewhere."""
    return xp.where(condition, x, y)


def is_nan(xp: Any, x: Array) -> Array:
    """Whether an element is nan."""
    return xp.isnan(x)


def is_inf(
    xp: Any, x: Array, detect_negative: int = 1, detect_positive: int = 1
) -> Array:
    """Whether an element is an infinity of a sign to detect."""
    infinite = xp.isinf(x)
    with np.errstate(invalid="ignore"):
        if not detect_negative:
            infinite = infinite & (x > 0)
        if not detect_positive:
            infinite = infinite & (x < 0)
    return infinite


def bit_shift(xp: Any, x: Array, y: Array, direction: str) -> Array:
    """`x` shifted by `y` bits; NumPy and XLA define every amount as ONNX does."""
    if direction == "LEFT":
        return xp.left_shift(x, y)
    if direction == "RIGHT":
        return xp.right_shift(x, y)
    raise ValueError(f"BitShift direction is {direction!r}, not 'LEFT' or 'RIGHT'")


def bitwise_and(xp: Any, a: Array, b: Array) -> Array:
    """``a & b``."""
    return xp.bitwise_and(a, b)


def bitwise_or(xp: Any, a: Array, b: Array) -> Array:
    """``a | b``."""
    return xp.bitwise_or(a, b)


def bitwise_xor(xp: Any, a: Array, b: Array) -> Array:
    """``a ^ b``."""
    return xp.bitwise_xor(a, b)


def bitwise_not(xp: Any, x: Array) -> Array:
    """``~x``."""
    return xp.bitwise_not(x)


# --- trigonometry ---


def sin(xp: Any, x: Array) -> Array:
    """The sine."""
    with np.errstate(invalid="ignore"):
        return xp.sin(x)


def cos(xp: Any, x: Array) -> Array:
    """The cosine."""
    with np.errstate(invalid="ignore"):
        return xp.cos(x)


def tan(xp: Any, x: Array) -> Array:
    """The tangent."""
    with np.errstate(invalid="ignore"):
        return xp.tan(x)


def asin(xp: Any, x: Array) -> Array:
    """The inverse sine."""
    with np.errstate(invalid="ignore"):
        return xp.arcsin(x)


def acos(xp: Any, x: Array) -> Array:
    """The inverse cosine."""
    with np.errstate(invalid="ignore"):
        return xp.arccos(x)


def atan(xp: Any, x: Array) -> Array:
    """The inverse tangent."""
    return xp.arctan(x)


def sinh(xp: Any, x: Array) -> Array:
    """The hyperbolic sine."""
    with np.errstate(over="ignore"):
        return xp.sinh(x)


def cosh(xp: Any, x: Array) -> Array:
    """The hyperbolic cosine."""
    with np.errstate(over="ignore"):
        return xp.cosh(x)


def tanh(xp: Any, x: Array) -> Array:
    """The hyperbolic tangent."""
    return xp.tanh(x)


def asinh(xp: Any, x: Array) -> Array:
    """The inverse hyperbolic sine."""
    return xp.arcsinh(x)


def acosh(xp: Any, x: Array) -> Array:
    """The inverse hyperbolic cosine."""
    with np.errstate(invalid="ignore"):
        return xp.arccosh(x)


def atanh(xp: Any, x: Array) -> Array:
    """The inverse hyperbolic tangent."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return xp.arctanh(x)


# --- activations ---


def relu(xp: Any, x: Array) -> Array:
    """``max(x, 0)``."""
    return xp.maximum(x, 0)


def sigmoid(xp: Any, x: Array) -> Array:
    """``1 / (1 + exp(-x))``."""
    with np.errstate(over="ignore", under="ignore"):
        return (1 / (1 + xp.exp(-widen(x)))).astype(x.dtype, copy=False)


def horner(t: Array, first: float, *others: float) -> Array:
    """The polynomial in `t` of these coefficients, highest power first."""
    total = t * first + others[0]
    for coefficient in others[1:]:
        total = total * t + coefficient
    return total


def erf_single(xp: Any, x: Array) -> Array:
    """erf as ``x P(x^2) / Q(x^2)``, a minimax fit for |x| < 3.92; beyond it is 1."""
    x = xp.clip(x, -3.92, 3.92)
    t = x * x
    above = horner(
        t,
        2.0500789650433235e-06,
        2.848615928579531e-04,
        3.765026868145122e-03,
        5.274685763089804e-02,
        1.9039383280523023e-01,
        1.1283791463196158e00,
    )
    below = horner(
        t,
        3.80905284944782e-05,
        1.1623781400161536e-03,
        1.4968034131124927e-02,
        1.1410371528926962e-01,
        5.020648849447351e-01,
        1.0,
    )
    return xp.clip(x * above / below, -1.0, 1.0)


def erf_double(xp: Any, x: Array) -> Array:
    """erf by Cody's rational approximations (Math. Comp. 23, 1969), cut at 1/2."""
    size = xp.minimum(xp.abs(x), 6.0)
    square = size * size
    above = horner(
        square,
        1.85777706184603153e-1,
        3.16112374387056560e0,
        1.13864154151050156e2,
        3.77485237685302021e2,
        3.20937758913846947e3,
    )
    below = horner(
        square,
        1.0,
        2.36012909523441209e1,
        2.44024637934444173e2,
        1.28261652607737228e3,
        2.84423683343917062e3,
    )
    tail = xp.exp(-square) * _erfc_ratio(size)
    return xp.where(size < 0.5, x * above / below, xp.copysign(1 - tail, x))


def _erfc_ratio(x: Array) -> Array:
    """``erfc(x) * exp(x^2)`` for x from 1/2 to 6, by Cody's approximation."""
    above = horner(
        x,
        2.15311535474403846e-8,
        5.64188496988670089e-1,
        8.88314979438837594e0,
        6.61191906371416295e1,
        2.98635138197400131e2,
        8.81952221241769090e2,
        1.71204761263407058e3,
        2.05107837782607147e3,
        1.23033935479799725e3,
    )
    below = horner(
        x,
        1.0,
        1.57449261107098347e1,
        1.17693950891312499e2,
        5.37181101862009858e2,
        1.62138957456669019e3,
        3.29079923573345963e3,
        4.36261909014324716e3,
        3.43936767414372164e3,
        1.23033935480374942e3,
    )
    return above / below


def erf(xp: Any, x: Array) -> Array:
    """The error function ``2 / sqrt(pi) * integral from 0 to x of exp(-t^2)``."""
    with np.errstate(under="ignore"):
        if x.dtype == np.float64:
            return erf_double(xp, x)
        return erf_single(xp, widen(x)).astype(x.dtype, copy=False)


def gelu(xp: Any, x: Array, approximate: str = "none") -> Array:
    """``x * Phi(x)``, by erf or by tanh (Hendrycks and Gimpel 2016)."""
    wide = widen(x)
    if approximate == "none":
        # 0.7071… is 1 / sqrt(2).
        inner = erf(xp, wide * 0.7071067811865476)
    elif approximate == "tanh":
        # 0.7978… is sqrt(2 / pi).
        inner = xp.tanh(0.7978845608028654 * wide * (1 + 0.044715 * wide * wide))
    else:
        raise ValueError(f"Gelu approximate is {approximate!r}, not 'none' or 'tanh'")
    return (0.5 * wide * (1 + inner)).astype(x.dtype, copy=False)


def leaky_relu(xp: Any, x: Array, alpha: float = 0.009999999776482582) -> Array:
    """``x if x >= 0 else alpha * x``."""
    wide = widen(x)
    if 0 <= alpha <= 1:
        # The same without a choice per element, which is slow in NumPy.
        return xp.maximum(wide, alpha * wide).astype(x.dtype, copy=False)
    return xp.where(wide < 0, alpha * wide, wide).astype(x.dtype, copy=False)


def prelu(xp: Any, x: Array, slope: Array) -> Array:
    """``x if x >= 0 else slope * x``."""
    rest = widen(slope) * xp.minimum(widen(x), 0)
    return (xp.maximum(widen(x), 0) + rest).astype(x.dtype, copy=False)


def thresholded_relu(xp: Any, x: Array, alpha: float = 1.0) -> Array:
    """``x if x > alpha else 0``."""
    return xp.where(widen(x) > alpha, x, xp.zeros_like(x))


def elu(xp: Any, x: Array, alpha: float = 1.0) -> Array:
    """``x if x > 0 else alpha * (exp(x) - 1)`` (Clevert et al. 2015)."""
    wide = widen(x)
    below = alpha * xp.expm1(xp.minimum(wide, 0))
    return (xp.maximum(wide, 0) + below).astype(x.dtype, copy=False)


def selu(
    xp: Any,
    x: Array,
    alpha: float = 1.6732631921768188,
    gamma: float = 1.0507010221481323,
) -> Array:
    """``gamma * elu(x, alpha)`` (Klambauer et al. 2017)."""
    return (gamma * elu(xp, widen(x), alpha)).astype(x.dtype, copy=False)


def celu(xp: Any, x: Array, alpha: float = 1.0) -> Array:
    """``max(0, x) + min(0, alpha * (exp(x / alpha) - 1))`` (Barron 2017)."""
    wide = widen(x)
    with np.errstate(over="ignore"):
        below = xp.minimum(alpha * xp.expm1(wide / alpha), 0)
    return (xp.maximum(wide, 0) + below).astype(x.dtype, copy=False)


def hard_sigmoid(
    xp: Any, x: Array, alpha: float = 0.20000000298023224, beta: float = 0.5
) -> Array:
    """``max(0, min(1, alpha * x + beta))``."""
    return xp.clip(alpha * widen(x) + beta, 0, 1).astype(x.dtype, copy=False)


def hard_swish(xp: Any, x: Array) -> Array:
    """``x * max(0, min(1, x / 6 + 1/2))``."""
    wide = widen(x)
    gate = xp.clip(wide * (1 / 6) + 0.5, 0, 1)
    return (wide * gate).astype(x.dtype, copy=False)


def mish(xp: Any, x: Array) -> Array:
    """``x * tanh(log(1 + exp(x)))`` (Misra 2019)."""
    wide = widen(x)
    with np.errstate(under="ignore"):
        # tanh(log(1 + e^x)) is t / (t + 2) for t = e^2x + 2 e^x; it is 1 from 20 on.
        growth = xp.exp(xp.minimum(wide, 20))
        t = growth * (growth + 2)
        return (wide * (t / (t + 2))).astype(x.dtype, copy=False)


def softplus(xp: Any, x: Array) -> Array:
    """``log(1 + exp(x))`` as ``max(x, 0) + log(1 + exp(-|x|))``."""
    wide = widen(x)
    with np.errstate(under="ignore"):
        rest = xp.log1p(xp.exp(-xp.abs(wide)))
        return (xp.maximum(wide, 0) + rest).astype(x.dtype, copy=False)


def softsign(xp: Any, x: Array) -> Array:
    """``x / (1 + |x|)``."""
    wide = widen(x)
    return (wide / (1 + xp.abs(wide))).astype(x.dtype, copy=False)


def swish(xp: Any, x: Array, alpha: float = 1.0) -> Array:
    """``x * sigmoid(alpha * x)``."""
    wide = widen(x)
    with np.errstate(over="ignore", under="ignore"):
        return (wide / (1 + xp.exp(wide * -alpha))).astype(x.dtype, copy=False)


def swiglu(xp: Any, gate: Array, x: Array, alpha: float = 1.0) -> Array:
    """``swish(gate, alpha) * x`` (Shazeer 2020)."""
    return (swish(xp, widen(gate), alpha) * widen(x)).astype(x.dtype, copy=False)


def shrink(xp: Any, x: Array, bias: float = 0.0, lambd: float = 0.5) -> Array:
    """``x + bias`` below ``-lambd``, ``x - bias`` above ``lambd``, 0 between."""
    wide = widen(x)
    outside = xp.where(wide < -lambd, wide + bias, wide - bias)
    inside = xp.abs(wide) <= lambd
    return xp.where(inside, 0, outside).astype(x.dtype, copy=False)


# --- types ---


def identity(xp: Any, x: Array) -> Array:
    """`x`."""
    return x


def bit_cast(xp: Any, x: Array, to: str) -> Array:
    """The bits of `x` as elements of type `to`."""
    found, wanted = _bits(x.dtype), _bits(element_dtype(to))
    if found != wanted:
        raise ValueError(f"BitCast to {to} has {wanted} bits, not {found}")
    if found < 8 and "float" not in to + x.dtype.name:
        # Views are of whole bytes, of which small integers take the low bits.
        return x.astype(np.uint8).astype(element_dtype(to))
    return (
        x.reshape((1,)).view(element_dtype(to)).reshape(())
        if x.ndim == 0
        else x.view(element_dtype(to))
    )


def _bits(dtype: Any) -> int:
    """The bits of one element in ONNX's storage."""
    small = {"int2": 2, "uint2": 2, "int4": 4, "uint4": 4, "float4_e2m1fn": 4}
    return small.get(str(dtype.name), int(dtype.itemsize) * 8)


def cast(
    xp: Any, x: Array, to: str, saturate: int = 1, round_mode: str = "up"
) -> Array:
    """`x` as elements of type `to`; `saturate` and `round_mode` rule 8-bit floats."""
    with np.errstate(all="ignore"):
        if to == "string":
            return _to_text(x)
        if x.dtype.kind in "OUT":
            x = _from_text(x, to)
        if to == "float8_e8m0fnu":
            return _to_power_of_two(xp, x, saturate, round_mode)
        if to.startswith("float8") and saturate:
            e4m3 = {"float8_e4m3fn": 448.0, "float8_e4m3fnuz": 240.0}
            largest = e4m3.get(to, 57344.0)
            wide = x if x.dtype == np.float64 else x.astype(np.float32)
            x = xp.clip(wide, -largest, largest)
        if to == "float4_e2m1fn" and x.dtype.kind in "fV":
            # The type has no nan. ml_dtypes makes zeros of them, of the other sign; XLA
            # alone would make all of them -0.
            x = x.astype(np.float32) if x.dtype.itemsize == 1 else x
            x = xp.where(xp.isnan(x) & xp.signbit(x), xp.zeros_like(x), x)
        if to in ("int2", "int4", "uint2", "uint4") and x.dtype.kind in "fV":
            # Drops the high bits, where XLA alone would saturate.
            x = x.astype(np.int32)
        return x.astype(element_dtype(to), copy=False)


def cast_like(
    xp: Any, x: Array, target: Array, saturate: int = 1, round_mode: str = "up"
) -> Array:
    """`x` as elements of the type of `target`."""
    to = "string" if target.dtype.kind in "OUT" else target.dtype.name
    return cast(xp, x, to, saturate, round_mode)


def _to_text(x: Array) -> Array:
    """The elements as text, a float with the fewest digits that tell it."""
    if x.dtype.kind == "V":
        x = x.astype(np.float32)
    return np.asarray(x).astype(np.str_).astype(object)


def _from_text(x: Array, to: str) -> Array:
    """The numbers that texts say: whole ones exactly, others as float64."""
    if to in ("int64", "uint64", "int32", "uint32"):
        numbers = [
            int(t) if t.lstrip("+-").isdigit() else int(float(t)) for t in x.flat
        ]
        return np.array(numbers, to).reshape(x.shape)
    return x.astype(np.float64)


def _to_power_of_two(xp: Any, x: Array, saturate: int, round_mode: str) -> Array:
    """`x` rounded to a power of two (float8_e8m0fnu), which has no sign."""
    fraction, exponent = xp.frexp(xp.abs(x.astype(np.float64)))
    # x is fraction * 2**exponent with the fraction from 1/2 below 1; the bias is 127.
    if round_mode == "up":
        code = exponent + 126 + (fraction > 0.5)
    elif round_mode == "nearest":
        code = exponent + 126 + (fraction >= 0.75)
    elif round_mode == "down":
        code = exponent + 126
    else:
        raise ValueError(f"round_mode is {round_mode!r}, not 'up', 'down' or 'nearest'")
    code = xp.where(fraction == 0, 0, code)
    if saturate:
        code = xp.where(xp.isinf(x), 254, xp.clip(code, 0, 254))
    # 255 is nan.
    lost = xp.isnan(x) | (code < 0) | (code > 254) | (xp.isinf(x) & (not saturate))
    code = xp.where(lost, 255, code)
    return code.astype(np.uint8).view(element_dtype("float8_e8m0fnu"))


KERNELS: dict[str, Callable[..., Any]] = {
    "Abs": absolute,
    "Acos": acos,
    "Acosh": acosh,
    "Add": add,
    "And": logical_and,
    "Asin": asin,
    "Asinh": asinh,
    "Atan": atan,
    "Atanh": atanh,
    "BitCast": bit_cast,
    "BitShift": bit_shift,
    "BitwiseAnd": bitwise_and,
    "BitwiseNot": bitwise_not,
    "BitwiseOr": bitwise_or,
    "BitwiseXor": bitwise_xor,
    "Cast": cast,
    "CastLike": cast_like,
    "Ceil": ceil,
    "Celu": celu,
    "Clip": clip,
    "Cos": cos,
    "Cosh": cosh,
    "Div": div,
    "Elu": elu,
    "Equal": equal,
    "Erf": erf,
    "Exp": exp,
    "Floor": floor,
    "Gelu": gelu,
    "Greater": greater,
    "GreaterOrEqual": greater_or_equal,
    "HardSigmoid": hard_sigmoid,
    "HardSwish": hard_swish,
    "Identity": identity,
    "IsInf": is_inf,
    "IsNaN": is_nan,
    "LeakyRelu": leaky_relu,
    "Less": less,
    "LessOrEqual": less_or_equal,
    "Log": log,
    "Max": maximum,
    "Mean": mean_of,
    "Min": minimum,
    "Mish": mish,
    "Mod": mod,
    "Mul": mul,
    "Neg": neg,
    "Not": logical_not,
    "Or": logical_or,
    "PRelu": prelu,
    "Pow": power,
    "Reciprocal": reciprocal,
    "Relu": relu,
    "Round": rint,
    "Selu": selu,
    "Shrink": shrink,
    "Sigmoid": sigmoid,
    "Sign": sign,
    "Sin": sin,
    "Sinh": sinh,
    "Softplus": softplus,
    "Softsign": softsign,
    "Sqrt": sqrt,
    "Sub": sub,
    "Sum": sum_of,
    "SwiGLU": swiglu,
    "Swish": swish,
    "Tan": tan,
    "Tanh": tanh,
    "ThresholdedRelu": thresholded_relu,
    "Where": where,
    "Xor": logical_xor,
}

STATIC: dict[str, tuple[int, ...]] = {}
