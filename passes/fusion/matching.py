"""
What fusions ask of a graph, whatever its exporter's spelling.

Values are looked at through what does not change them: views that only add or drop
sizes of 1, operands in either order, a product in any association with its quotients
and roots, a mean written as a sum times a number.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from xdsl.ir import Operation, SSAValue

from ...dialects.onnx import OnnxOp, WeightStore
from ...dialects.onnx.dims import Dim
from ...dialects.onnx.types import Shape, shape_of, static_shape
from ..facts import given, integers_of, name_of, setting, small_array, uniform

ONE = Dim.of(1)


def producer(value: SSAValue, *names: str) -> OnnxOp | None:
    """The op that gives `value`, if it has one of the names (``onnx.`` left out)."""
    op = value.owner
    if isinstance(op, OnnxOp) and op.name.removeprefix("onnx.") in names:
        return op
    return None


def either_way(op: OnnxOp) -> Iterator[tuple[SSAValue, SSAValue]]:
    """The two operands of an op, in both orders."""
    first, second = op.operands[:2]
    yield first, second
    yield second, first


def alike(a: SSAValue, b: SSAValue, store: WeightStore) -> bool:
    """Whether two values are one, or constants with equal elements."""
    if a == b:
        return True
    if a.type != b.type or not is_constant(a) or not is_constant(b):
        return False
    first, second = small_array(a, store), small_array(b, store)
    return first is not None and second is not None and bool((first == second).all())


def near(found: float | None, wanted: float, tolerance: float = 1e-4) -> bool:
    """Whether a number is about `wanted`, as a constant rounded by an exporter is."""
    return found is not None and math.isclose(found, wanted, rel_tol=tolerance)


# --- sizes ---


def same_size(a: Dim | None, b: Dim | None) -> bool:
    """Whether two sizes are equal for certain."""
    return a is not None and a == b


def same_shape(a: Shape | None, b: Shape | None) -> bool:
    """Whether two shapes are equal for certain."""
    if a is None or b is None or len(a) != len(b):
        return False
    return all(map(same_size, a, b))


def size_at(value: SSAValue, axis: int) -> Dim | None:
    """The size of `value` along `axis`; None if it is not known."""
    shape = shape_of(value.type)
    if shape is None or not -len(shape) <= axis < len(shape):
        return None
    return shape[axis]


def number_at(value: SSAValue, axis: int) -> int | None:
    """The size of `value` along `axis` as a number."""
    size = size_at(value, axis)
    return None if size is None else size.constant


def is_trailing(value: SSAValue, shape: Sequence[Dim | None]) -> bool:
    """Whether `value` has exactly the last sizes of `shape`, leading 1s aside."""
    own = shape_of(value.type)
    if own is None:
        return False
    while own and own[0] == ONE:
        own = own[1:]
    return len(own) <= len(shape) and same_shape(own, tuple(shape)[-len(own) :] or ())


# --- views ---


def bare(value: SSAValue) -> SSAValue:
    """`value` without the views behind it that only add or drop sizes of 1."""
    while (op := producer(value, "Identity", "Reshape", "Squeeze", "Unsqueeze")) and (
        op.name == "onnx.Identity" or _only_ones(op.operands[0], op.results[0])
    ):
        value = op.operands[0]
    return value


def _only_ones(before: SSAValue, after: SSAValue) -> bool:
    a, b = shape_of(before.type), shape_of(after.type)
    if a is None or b is None:
        return False
    a, b = (tuple(n for n in s if n != ONE) for s in (a, b))
    if len(a) != len(b):
        return False
    # One pair may be equal only because the numbers of elements are.
    unsure = [
        i for i, pair in enumerate(zip(a, b, strict=True)) if not same_size(*pair)
    ]
    sure = [n for i, n in enumerate(a) if i not in unsure]
    return not unsure or (len(unsure) == 1 and all(n and n.constant for n in sure))


def permutation(op: OnnxOp) -> tuple[int, ...] | None:
    """The order of axes of a Transpose; None if its rank is not known."""
    perm = setting(op, "perm")
    if perm is not None:
        return tuple(perm)
    shape = shape_of(op.operands[0].type)
    return None if shape is None else tuple(range(len(shape)))[::-1]


def transposed(value: SSAValue, *perm: int) -> SSAValue | None:
    """What `value` is the Transpose of, by `perm`."""
    op = producer(value, "Transpose")
    return op.operands[0] if op and permutation(op) == perm else None


def uses_of(value: SSAValue) -> list[Operation]:
    """The ops that use `value`, once per use."""
    return [use.operation for use in value.uses]


# --- sums and products ---


def terms_of(value: SSAValue) -> list[SSAValue]:
    """What is added up to `value`, through additions that nothing else uses."""
    op = producer(value, "Add")
    if op is None:
        return [value]
    return [term for v in op.operands for term in _inner(v)]


def _inner(value: SSAValue) -> list[SSAValue]:
    return terms_of(value) if value.has_one_use() else [value]


@dataclass(frozen=True)
class Factor:
    """``value ** power``."""

    value: SSAValue
    power: float


@dataclass(frozen=True)
class Product:
    """``number`` times `factors`, and the ops that multiply them."""

    number: float
    factors: tuple[Factor, ...]
    ops: tuple[OnnxOp, ...]

    def only(self) -> SSAValue | None:
        """The one factor, if it stands alone but for the number."""
        (first, *rest) = self.factors or (None,)
        return first.value if first and not rest and first.power == 1 else None


_MULTIPLYING = ("Div", "Mul", "Neg", "Pow", "Reciprocal", "Sqrt")


MAX_PRODUCTS = 12
"""How deep products are followed: shared ones would double with every level."""


def product_of(
    value: SSAValue,
    store: WeightStore,
    shared: bool = False,
    power: float = 1,
    depth: int = MAX_PRODUCTS,
) -> Product:
    """
    `value` as a product: through Mul, Div, Neg, Reciprocal, Sqrt and Pow by -1/2 or -1.

    An inner product that others use too is a factor, unless `shared`. A constant of
    equal elements is a number, whatever its shape: ask for the factors' shapes.
    """
    found = uniform(value, store)
    if found is not None:
        if found > 0 or (found and power == 1):
            return Product(float(found) ** power, (), ())
        return Product(1, (Factor(value, power),), ())
    op = producer(value, *_MULTIPLYING) if depth else None
    parts = None if op is None else _parts(op, power, store)
    if op is None or parts is None:
        return Product(1, (Factor(value, power),), ())
    number, factors, ops = 1.0, list[Factor](), [op]
    if op.name == "onnx.Neg":
        number = -1.0
    for part, exponent in parts:
        inner = Product(1, (Factor(part, exponent),), ())
        if shared or part.has_one_use() or uniform(part, store) is not None:
            inner = product_of(part, store, shared, exponent, depth - 1)
        number *= inner.number
        factors += inner.factors
        ops = [*inner.ops, *ops]
    return Product(number, tuple(factors), tuple(ops))


def _parts(
    op: OnnxOp, power: float, store: WeightStore
) -> list[tuple[SSAValue, float]] | None:
    match op.name.removeprefix("onnx."):
        case "Mul":
            return [(v, power) for v in op.operands]
        case "Div":
            return [(op.operands[0], power), (op.operands[1], -power)]
        case "Neg" if power == 1:
            return [(op.operands[0], power)]
        case "Reciprocal":
            return [(op.operands[0], -power)]
        case "Sqrt" if abs(power) == 1:
            return [(op.operands[0], power / 2)]
        case "Pow" if power == 1:
            exponent = uniform(op.operands[1], store)
            if exponent in (-0.5, -1, 0.5):
                return [(op.operands[0], float(exponent))]
        case _:
            pass
    return None


# --- statistics ---


@dataclass(frozen=True)
class Reduction:
    """A reduction of `source` over `axes`, counted from the front."""

    source: SSAValue
    axes: tuple[int, ...]


def reduction_of(value: SSAValue, kind: str, store: WeightStore) -> Reduction | None:
    """What `value` is the `kind` (``ReduceMax``) of, sizes of 1 aside."""
    op = producer(bare(value), kind)
    shape = None if op is None else shape_of(op.operands[0].type)
    if op is None or shape is None:
        return None
    rank, axes = len(shape), tuple(range(len(shape)))
    if given(op.operands[1]):
        listed = integers_of(op.operands[1], store)
        if listed is None:
            return None
        axes = tuple(sorted(a % rank for a in listed)) or axes
        if not listed and setting(op, "noop_with_empty_axes"):
            return None
    elif setting(op, "noop_with_empty_axes"):
        return None
    return Reduction(op.operands[0], axes)


def mean_of(value: SSAValue, store: WeightStore) -> Reduction | None:
    """What `value` is the mean of: a ReduceMean, or a sum times 1 / count."""
    value = bare(value)
    direct = reduction_of(value, "ReduceMean", store)
    if direct is not None:
        return direct
    product = product_of(value, store)
    if len(product.factors) != 1 or product.factors[0].power != 1:
        return None
    total = reduction_of(product.factors[0].value, "ReduceSum", store)
    if total is None:
        return None
    shape = static_of(total.source, total.axes)
    if shape is None or not near(product.number * math.prod(shape), 1, 1e-6):
        return None
    return total


def static_of(value: SSAValue, axes: Sequence[int]) -> tuple[int, ...] | None:
    """The sizes of `value` along `axes`, if all are numbers."""
    sizes = [number_at(value, axis) for axis in axes]
    known = [n for n in sizes if n is not None]
    return tuple(known) if len(known) == len(sizes) else None


def square_of(value: SSAValue, store: WeightStore) -> SSAValue | None:
    """What `value` is the square of: ``x * x`` or ``x ** 2``."""
    op = producer(bare(value), "Mul", "Pow")
    if op is None:
        return None
    first, second = op.operands
    if op.name == "onnx.Mul":
        return first if first == second else None
    return first if uniform(second, store) == 2 else None


def keeps(value: SSAValue, like: SSAValue, axes: Sequence[int]) -> bool:
    """Whether `value` has the rank of `like`, and size 1 along `axes`."""
    shape, wanted = shape_of(value.type), shape_of(like.type)
    if shape is None or wanted is None or len(shape) > len(wanted):
        return False
    whole = (ONE,) * (len(wanted) - len(shape)) + shape
    return all(
        size == ONE or (axis not in axes and wanted[axis] != ONE)
        for axis, size in enumerate(whole)
    )


def is_constant(value: SSAValue) -> bool:
    """Whether `value` is a constant of a known shape."""
    return name_of(value) == "onnx.Constant" and static_shape(value.type) is not None
