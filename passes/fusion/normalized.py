"""
The scales and biases of a normalization: what is multiplied or added along its axes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from xdsl.ir import Attribute, SSAValue

from ...dialects.onnx import OnnxBuilder, WeightStore
from ...dialects.onnx.types import Array, element_of, shape_of, static_shape, tensor
from ..facts import follows
from ..fold_constants import constant_of
from .matching import is_trailing, static_of


@dataclass(frozen=True)
class Parameter:
    """A tensor of `type`: `value` as it is, or what `compute` gives from `sources`."""

    type: Attribute
    value: SSAValue | None = None
    compute: Callable[[], Array] | None = None
    sources: tuple[SSAValue, ...] = ()
    key: str = "scale"
    neutral: bool = False
    """Whether all elements are 1."""

    def built(self, builder: OnnxBuilder) -> SSAValue:
        """The value, made by `builder` where it is new."""
        if self.value is not None:
            return self.value
        assert self.compute is not None, "a parameter has a value or is computed"
        made = follows(builder, self.type, self.key, self.sources, self.compute)
        made.name_hint = self.sources[0].name_hint if self.sources else None
        return made


def filled(x: SSAValue, axes: Sequence[int], number: float) -> Parameter:
    """A scale of `x` over `axes` that is one number everywhere."""
    sizes, element = static_of(x, axes) or (), element_of(x.type)
    assert element is not None, "a normalized value is a tensor"

    def compute() -> Array:
        return np.full(sizes, number)

    neutral = math.isclose(number, 1, rel_tol=1e-7)
    return Parameter(tensor(element, sizes), None, compute, neutral=neutral)


def parameter_of(
    value: SSAValue, x: SSAValue, axes: Sequence[int], store: WeightStore
) -> Parameter | str:
    """
    `value` as a parameter of `x` over `axes`, or why it is none.

    A constant may have any shape that varies along `axes` only; another value must have
    their sizes, and they must be the last.
    """
    shape, sizes = shape_of(x.type), static_of(x, axes)
    element = element_of(x.type)
    if shape is None or sizes is None or element is None:
        return "the sizes that it is normalized over are not known"
    if element_of(value.type) != element:
        return "its element type is another"
    source, own = constant_of(value, store), static_shape(value.type)
    last = tuple(axes) == tuple(range(len(shape) - len(axes), len(shape)))
    kind = tensor(element, sizes)
    if last and value.type == kind:
        return Parameter(kind, value)
    if source is None or own is None:
        fits = last and is_trailing(value, shape[axes[0] :])
        return "it is not constant" if not fits else "it has sizes of 1 before its own"
    if len(own) > len(shape):
        return f"its rank is {len(own)}, that of what it scales {len(shape)}"
    whole = (1,) * (len(shape) - len(own)) + own
    for axis, size in enumerate(whole):
        if axis not in axes and size != 1:
            return f"it varies along axis {axis}"
        if axis in axes and size not in (1, sizes[tuple(axes).index(axis)]):
            return f"its size along axis {axis} is {size}"
    kept = [whole[axis] for axis in axes]

    def compute() -> Array:
        return np.broadcast_to(source().reshape(kept), sizes)

    return Parameter(kind, None, compute, (value,), value.name_hint or "scale")


def absorbed(
    one: Parameter, other: Parameter, combine: Callable[[Array, Array], Array]
) -> Parameter | None:
    """
    The two as one parameter, combined in float64; None if neither stands alone and one
    is not constant.
    """
    if one.neutral and combine is np.multiply:
        return other
    if other.neutral and combine is np.multiply:
        return one
    first, second = one.compute, other.compute
    if first is None or second is None:
        return None

    def compute() -> Array:
        a, b = first().astype(np.float64), second().astype(np.float64)
        return combine(a, b)

    sources = (*other.sources, *one.sources)
    return Parameter(one.type, None, compute, sources, other.key)


def constant_parameter(
    value: SSAValue, x: SSAValue, axes: Sequence[int], store: WeightStore
) -> Parameter | str:
    """`parameter_of`, computed even where the value could stand as it is."""
    found = parameter_of(value, x, axes, store)
    if isinstance(found, str) or found.value is None:
        return found
    source = constant_of(value, store)
    if source is None:
        return found
    ones = bool(_small(found.type) and (source() == 1).all())
    key = value.name_hint or "scale"
    return Parameter(found.type, value, source, (value,), key, ones)


def channel_parameter(value: SSAValue, store: WeightStore) -> Parameter | str:
    """The scale or bias of channels that `value` is, an element for each."""
    source = constant_of(value, store)
    if source is None:
        return "it is not constant"
    ones = bool(_small(value.type) and (source() == 1).all())
    key = value.name_hint or "scale"
    return Parameter(value.type, value, source, (value,), key, ones)


def _small(kind: Attribute) -> bool:
    sizes = static_shape(kind)
    return sizes is not None and math.prod(sizes) <= 1 << 16
