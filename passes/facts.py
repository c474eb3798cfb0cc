"""
What patterns ask of ops and constants, and how they write a constant that follows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from xdsl.dialects.builtin import Float32Type, Float64Type
from xdsl.ir import Attribute, SSAValue

from ..dialects.onnx import OnnxBuilder, OnnxOp, WeightAttr, WeightStore
from ..dialects.onnx.attributes import default_attribute, python_value
from ..dialects.onnx.store import DerivedWeight, aligned_empty
from ..dialects.onnx.types import (
    DTYPE_NAMES,
    Array,
    element_of,
    is_none,
    numpy_dtype,
    shape_of,
    static_shape,
    tensor,
)
from .fold_constants import constant_of, is_derived

MAX_LOOKED_AT = 1 << 16
"""Constants of more elements are not read in order to decide something."""

LAZY_ELEMENTS = 1 << 14
"""Constants from this size on are computed when they are asked for."""


def setting(op: OnnxOp, name: str) -> Any:
    """The Python value of an attribute, its default if it is absent; None without."""
    value = op.properties.get(name)
    if value is None:
        value = default_attribute(op.schema(), name)
    return None if value is None else python_value(value)


def name_of(value: SSAValue) -> str:
    """The name of the op that gives `value`; empty for an argument."""
    return value.owner.name if isinstance(value.owner, OnnxOp) else ""


def small_array(value: SSAValue, store: WeightStore) -> Array | None:
    """The array of a constant that is small enough to be looked at."""
    shape = static_shape(value.type)
    if shape is None or np.prod(shape, dtype=np.int64) > MAX_LOOKED_AT:
        return None
    source = constant_of(value, store)
    return None if source is None else source()


def integers_of(value: SSAValue, store: WeightStore) -> list[int] | None:
    """The elements of a small integer constant, flat."""
    array = small_array(value, store)
    if array is None or array.dtype.kind not in "iu":
        return None
    return [int(item) for item in array.reshape(-1)]


def given(value: SSAValue) -> bool:
    """Whether an optional operand is there."""
    return not is_none(value.type)


def uniform(value: SSAValue, store: WeightStore) -> float | int | None:
    """The number that every element of a small constant is; None if they differ."""
    array = small_array(value, store)
    if array is None or array.size == 0 or array.dtype.kind not in "iuf":
        return None
    flat = array.reshape(-1)
    # Bit for bit: -0.0 is not 0.0.
    same = bool((flat == flat[0]).all()) and len(set(np.signbit(flat).tolist())) == 1
    return flat[0].item() if same else None


def is_float(value: SSAValue) -> bool:
    """Whether the elements are floating point numbers."""
    element = element_of(value.type)
    if element is None or element not in DTYPE_NAMES:
        return False
    return DTYPE_NAMES[element].startswith(("float", "bfloat"))


def is_wide_float(value: SSAValue) -> bool:
    """Whether the elements are float32 or float64, which hardly overflow."""
    return isinstance(element_of(value.type), Float32Type | Float64Type)


def rank_of(value: SSAValue) -> int | None:
    """How many dimensions a value has."""
    shape = shape_of(value.type)
    return None if shape is None else len(shape)


def along(value: SSAValue, store: WeightStore, rank: int, axis: int) -> Array | None:
    """
    A constant that broadcasts along `axis` of a tensor of `rank`, as a vector.

    Of one element if it is a scalar; None if it varies along another axis, has a higher
    rank, or is no small constant.
    """
    shape = static_shape(value.type)
    if shape is None or len(shape) > rank:
        return None
    place = axis - (rank - len(shape))
    if any(size != 1 for index, size in enumerate(shape) if index != place):
        return None
    array = small_array(value, store)
    return None if array is None else array.reshape(-1)


def constant_shape(value: SSAValue) -> tuple[int, ...]:
    """The shape of a constant."""
    shape = static_shape(value.type)
    assert shape is not None, "constants have static shapes"
    return shape


def derived(
    value: SSAValue,
    role: str,
    shape: Sequence[int],
    compute: Callable[[Array], Array],
    builder: OnnxBuilder,
) -> SSAValue:
    """
    The constant of `shape` that `compute` gives of the constant `value`: see `follows`.

    It is called after `value` and its `role`.
    """
    element, source = element_of(value.type), constant_of(value, builder.store)
    assert element is not None, "constants have an element type"
    assert source is not None, "checked by `decide`"
    key = f"{value.name_hint or 'constant'}.{role}"
    kind = tensor(element, shape)
    return follows(builder, kind, key, [value], lambda: compute(source()))


def follows(
    builder: OnnxBuilder,
    kind: Attribute,
    key: str,
    sources: Sequence[SSAValue],
    compute: Callable[[], Array],
) -> SSAValue:
    """
    The constant of tensor type `kind` that `compute` gives from constants `sources`.

    A large one is computed when it is needed, and kept if a source is itself computed
    so: a chain would be computed again and again. What `compute` gives is rounded once,
    and may be a view of a source: it is copied.
    """
    shape, element = static_shape(kind), element_of(kind)
    assert shape is not None, "constants have static shapes"
    assert element is not None, "constants have an element type"
    dtype = numpy_dtype(element)

    def rounded() -> Array:
        array = aligned_empty(shape, dtype)
        np.copyto(array, compute(), casting="unsafe")
        return array

    if np.prod(shape, dtype=np.int64) < LAZY_ELEMENTS:
        return builder.constant(rounded(), key)
    chained = any(is_derived(source, builder.store) for source in sources)
    lazy = DerivedWeight(DTYPE_NAMES[element], shape, rounded, kept=chained)
    return builder.held(WeightAttr(builder.store.add(key, lazy)), lazy.type)
