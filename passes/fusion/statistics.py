"""
Recognize what normalizations divide by: a deviation or a root mean square.

`Scaling` is ``1 / sqrt(statistic + epsilon)`` in any of its spellings; the statistic is
the mean of squares of `x`, or, if `centred`, of `x` less its mean.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from xdsl.ir import SSAValue

from ...dialects.onnx import WeightStore
from ..facts import uniform
from .matching import (
    Factor,
    Product,
    Reduction,
    bare,
    either_way,
    keeps,
    mean_of,
    producer,
    square_of,
)


@dataclass(frozen=True)
class Scaling:
    """``1 / sqrt(statistic of x over axes + epsilon)``."""

    x: SSAValue
    axes: tuple[int, ...]
    epsilon: float
    centred: bool


def scaling_of(factor: Factor, store: WeightStore) -> Scaling | None:
    """The scaling that a factor of a product is."""
    if factor.power != -0.5:
        return None
    epsilon, statistic = 0.0, factor.value
    total = producer(bare(statistic), "Add")
    if total is not None:
        for one, other in either_way(total):
            found = uniform(one, store)
            if found is not None:
                epsilon, statistic = float(found), other
    centred = variance_of(statistic, store)
    if centred is not None:
        scaling = Scaling(centred.source, centred.axes, epsilon, centred=True)
    else:
        mean = mean_of(statistic, store)
        x = None if mean is None else square_of(mean.source, store)
        if mean is None or x is None:
            return None
        scaling = Scaling(x, mean.axes, epsilon, centred=False)
    return scaling if keeps(factor.value, scaling.x, scaling.axes) else None


def variance_of(value: SSAValue, store: WeightStore) -> Reduction | None:
    """What `value` is the variance of: mean((x - mean)^2), or mean(x^2) - mean^2."""
    value = bare(value)
    if floor := producer(value, "Max", "Relu"):
        # A difference of rounded numbers may be below 0, which a variance is not.
        operands = list(floor.operands)
        kept = [v for v in operands if uniform(v, store) != 0]
        if len(kept) == 1:
            value = bare(kept[0])
    if difference := producer(value, "Sub"):
        return _of_difference(*difference.operands, store=store)
    mean = mean_of(value, store)
    inner = None if mean is None else square_of(mean.source, store)
    if mean is None or inner is None:
        return None
    x = centred_of(inner, mean.axes, store)
    return None if x is None else Reduction(x, mean.axes)


def _of_difference(
    squares: SSAValue, square: SSAValue, store: WeightStore
) -> Reduction | None:
    outer, middle = mean_of(squares, store), square_of(square, store)
    inner = None if middle is None else mean_of(middle, store)
    if outer is None or inner is None or outer.axes != inner.axes:
        return None
    return inner if square_of(outer.source, store) == inner.source else None


def centred_of(
    value: SSAValue, axes: tuple[int, ...], store: WeightStore
) -> SSAValue | None:
    """What `value` is, less its mean over `axes`."""
    op = producer(value, "Sub")
    if op is None:
        return None
    x, taken = op.operands
    mean = mean_of(taken, store)
    fits = mean is not None and mean.source == x and mean.axes == axes
    return x if fits and keeps(taken, x, axes) else None


def scalings_in(
    product: Product, store: WeightStore
) -> Iterator[tuple[Scaling, list[Factor]]]:
    """The scalings in a product, each with the other factors."""
    for factor in product.factors:
        scaling = scaling_of(factor, store)
        if scaling is not None:
            yield scaling, [f for f in product.factors if f is not factor]
