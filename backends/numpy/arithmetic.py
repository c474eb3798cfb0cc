"""Elementwise kernels, products and joins that write their result where it belongs."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from ..kernels.convolution import widened
from ..kernels.movement import static_ints
from ..kernels.reduction import reduce_mean

Array: TypeAlias = Any

ZEROS = np.zeros(4096, np.float32)
"""NumPy's maximum of two arrays is three times as fast as that with one number."""


def add(xp: Any, a: Array, b: Array, out: Array = None) -> Array:
    """``a + b``."""
    return np.add(a, b, out=out)


def sub(xp: Any, a: Array, b: Array, out: Array = None) -> Array:
    """``a - b``."""
    return np.subtract(a, b, out=out)


def mul(xp: Any, a: Array, b: Array, out: Array = None) -> Array:
    """``a * b``."""
    return np.multiply(a, b, out=out)


def div(xp: Any, a: Array, b: Array, out: Array = None) -> Array:
    """``a / b``; of integers, rounded toward zero."""
    with np.errstate(all="ignore"):
        if a.dtype.kind not in "iu":
            return np.divide(a, b, out=out)
        y = np.floor_divide(a, b)
        if a.dtype.kind == "i":
            # One below the truncation where the quotient is negative and inexact.
            y = y + ((y < 0) & (y * b != a))
        return written(y, out)


def written(value: Array, out: Array) -> Array:
    """`value`, copied to `out` if there is one."""
    if out is None:
        return value
    np.copyto(out, value)
    return out


def neg(xp: Any, x: Array, out: Array = None) -> Array:
    """``-x``."""
    return np.negative(x, out=out)


def absolute(xp: Any, x: Array, out: Array = None) -> Array:
    """``|x|``."""
    return np.abs(x, out=out)


def sqrt(xp: Any, x: Array, out: Array = None) -> Array:
    """The square root of `x`, nan below zero."""
    with np.errstate(all="ignore"):
        return np.sqrt(x, out=out)


def reciprocal(xp: Any, x: Array, out: Array = None) -> Array:
    """``1 / x``."""
    with np.errstate(all="ignore"):
        return np.reciprocal(x, out=out)


def exp(xp: Any, x: Array, out: Array = None) -> Array:
    """``e ** x``."""
    with np.errstate(all="ignore"):
        return np.exp(x, out=out)


def log(xp: Any, x: Array, out: Array = None) -> Array:
    """The natural logarithm of `x`."""
    with np.errstate(all="ignore"):
        return np.log(x, out=out)


def sin(xp: Any, x: Array, out: Array = None) -> Array:
    """The sine."""
    with np.errstate(all="ignore"):
        return np.sin(x, out=out)


def cos(xp: Any, x: Array, out: Array = None) -> Array:
    """The cosine."""
    with np.errstate(all="ignore"):
        return np.cos(x, out=out)


def tanh(xp: Any, x: Array, out: Array = None) -> Array:
    """The hyperbolic tangent."""
    return np.tanh(x, out=out)


def sum_of(xp: Any, *xs: Array, out: Array = None) -> Array:
    """``xs[0] + xs[1] + …``."""
    if len(xs) == 2 and xs[0].dtype.itemsize > 2:
        return np.add(xs[0], xs[1], out=out)
    total = widened(np, xs[0])
    for x in xs[1:]:
        total = np.add(total, x)
    return written(total.astype(xs[0].dtype, copy=False), out)


def mean_of(xp: Any, *xs: Array, out: Array = None) -> Array:
    """``(xs[0] + xs[1] + …) / len(xs)``."""
    total = widened(np, xs[0])
    for x in xs[1:]:
        total = np.add(total, x)
    return written((total / len(xs)).astype(xs[0].dtype, copy=False), out)


def maximum(xp: Any, *xs: Array, out: Array = None) -> Array:
    """The largest of `xs` at each place; nan if one is nan."""
    if len(xs) == 2:
        return np.maximum(xs[0], xs[1], out=out)
    result = xs[0]
    for x in xs[1:]:
        result = np.maximum(result, x)
    return written(result, out)


def minimum(xp: Any, *xs: Array, out: Array = None) -> Array:
    """The smallest of `xs` at each place; nan if one is nan."""
    if len(xs) == 2:
        return np.minimum(xs[0], xs[1], out=out)
    result = xs[0]
    for x in xs[1:]:
        result = np.minimum(result, x)
    return written(result, out)


def relu(xp: Any, x: Array, out: Array = None) -> Array:
    """``max(x, 0)``."""
    whole = x.size - x.size % ZEROS.size
    if x.dtype != np.float32 or not whole or not x.flags.c_contiguous:
        return np.maximum(x, x.dtype.type(0), out=out)
    y = np.empty(x.shape, x.dtype) if out is None else out
    flat, result = x.reshape(-1), y.reshape(-1)
    shape = (-1, ZEROS.size)
    np.maximum(flat[:whole].reshape(shape), ZEROS, out=result[:whole].reshape(shape))
    np.maximum(flat[whole:], ZEROS[: x.size - whole], out=result[whole:])
    return y


def sigmoid(xp: Any, x: Array, out: Array = None) -> Array:
    """``1 / (1 + exp(-x))``."""
    wide = widened(np, x)
    with np.errstate(over="ignore", under="ignore"):
        y = np.asarray(np.negative(wide, out=out if wide is x else None))
        np.exp(y, out=y)
        y += wide.dtype.type(1)
        np.reciprocal(y, out=y)
    return y if wide is x else written(y.astype(x.dtype), out)


def matmul(xp: Any, a: Array, b: Array, out: Array = None) -> Array:
    """``a @ b``, broadcast over leading axes; 16-bit floats add up in float32."""
    if a.dtype.itemsize == 2:
        wide = np.matmul(widened(np, a), widened(np, b))
        return written(wide.astype(a.dtype), out)
    if a.ndim > 2 == b.ndim and out is not None and a.flags.c_contiguous:
        # One product of many rows, where NumPy would make one for each matrix.
        rows = math.prod(a.shape[:-1])
        depth, width = b.shape
        np.matmul(a.reshape(rows, depth), b, out=out.reshape(rows, width))
        return out
    return np.matmul(a, b, out=out)


def gemm(
    xp: Any,
    a: Array,
    b: Array,
    c: Array | None = None,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,
    transB: int = 0,
    out: Array = None,
) -> Array:
    """``alpha * a @ b + beta * c``, a and b transposed first where asked."""
    left, right = widened(np, a), widened(np, b)
    place = out if left is a and alpha == 1 and beta in (0, 1) else None
    y = np.matmul(left.T if transA else left, right.T if transB else right, out=place)
    if alpha != 1:
        y = y * alpha
    if c is not None and beta != 0:
        y = np.add(y, c if beta == 1 else widened(np, c) * beta, out=place)
    y = y.astype(a.dtype, copy=False)
    return y if place is not None else written(y, out)


def concat(xp: Any, *xs: Array, axis: int, out: Array = None) -> Array:
    """`xs` one after another along `axis`."""
    return np.concatenate(xs, axis=axis, out=out)


def copy_turned(x: Array, y: Array) -> None:
    """``y[...] = x``; NumPy's own loop is over the last axis, however short that is."""
    if x.ndim < 2 or not 1 < x.shape[-1] <= 8 < x.shape[-2]:
        np.copyto(y, x)
        return
    for place in range(x.shape[-1]):
        y[..., place] = x[..., place]


def reshape(
    xp: Any, x: Array, shape: Array, allowzero: int = 0, out: Array = None
) -> Array:
    """`x` in `shape`: 0 keeps a size (unless `allowzero`), -1 takes the rest."""
    if out is not None:
        copy_turned(x, out.reshape(x.shape))
        return out
    sizes = static_ints(shape)
    if not allowzero:
        sizes = [x.shape[i] if n == 0 else n for i, n in enumerate(sizes)]
    return np.reshape(x, tuple(sizes))


def mean_along(
    xp: Any,
    x: Array,
    axes: Array = None,
    keepdims: int = 1,
    noop_with_empty_axes: int = 0,
    out: Array = None,
) -> Array:
    """The mean along `axes`; of integers, rounded toward zero."""
    plain = x.dtype.kind == "f" and x.dtype.itemsize > 2 and x.size
    if not plain or axes is None or not axes.size:
        given = (axes, keepdims, noop_with_empty_axes)
        return written(reduce_mean(xp, x, *given), out)
    along = tuple(axes.tolist())
    total = np.asarray(np.sum(x, axis=along, keepdims=bool(keepdims), out=out))
    total /= x.dtype.type(x.size / max(total.size, 1))
    return total


KERNELS: dict[str, Callable[..., Any]] = {
    "Abs": absolute,
    "Add": add,
    "Concat": concat,
    "Cos": cos,
    "Div": div,
    "Exp": exp,
    "Gemm": gemm,
    "Log": log,
    "MatMul": matmul,
    "Max": maximum,
    "Mean": mean_of,
    "Min": minimum,
    "Mul": mul,
    "Neg": neg,
    "Reciprocal": reciprocal,
    "ReduceMean": mean_along,
    "Relu": relu,
    "Reshape": reshape,
    "Sigmoid": sigmoid,
    "Sin": sin,
    "Sqrt": sqrt,
    "Sub": sub,
    "Sum": sum_of,
    "Tanh": tanh,
}
