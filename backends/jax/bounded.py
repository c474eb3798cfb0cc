"""
Which results of data-dependent size JAX computes all the same, as large as they can be.

NonZero of ten elements finds at most ten, NonMaxSuppression as many boxes of a class as
it is told. The result is padded to that bound, and the true size is an integer that the
program computes beside it. Ops that treat the places along the padded axis apart run on
the padding too; a reduction, or a scatter, has it masked first. Where a value leaves
what JAX compiles, the padding is cut off.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from xdsl.ir import Operation, SSAValue

from ...dialects.onnx import DenseAttr, OnnxOp
from ...dialects.onnx.attributes import python_value
from ...dialects.onnx.types import (
    element_of,
    is_none,
    numpy_dtype,
    shape_of,
    static_shape,
)

MAX_BOUND = 1 << 14
"""The largest bound: where little is found, NumPy is faster than so much padding."""


@dataclass(frozen=True)
class Bound:
    """What is padded of a value."""

    source: Operation
    """The op that found so many."""
    axis: int


@dataclass(frozen=True)
class Taken:
    """How an op takes padded operands."""

    axis: int | None
    """The axis along which its result is padded."""
    masks: Mapping[int, str] = field(default_factory=dict[int, str])
    """By operand, what the padding must hold: see `bounded_kernels.masked`."""


NOT_PADDED = Taken(None)
"""How an op takes operands without padding."""


@dataclass
class Bounds:
    """What is padded in a block, found op by op."""

    values: dict[SSAValue, Bound] = field(default_factory=dict[SSAValue, Bound])
    sources: set[Operation] = field(default_factory=set[Operation])
    taken: dict[Operation, Taken] = field(default_factory=dict[Operation, Taken])

    def begin(self, op: OnnxOp) -> None:
        """Have the results of `op`, one of `SOURCES`, padded if they have a bound."""
        axes = SOURCES[op.name](op)
        if axes is None:
            return
        self.sources.add(op)
        for result, axis in zip(op.results, axes, strict=True):
            if axis is not None and not is_none(result.type):
                self.values[result] = Bound(op, axis)

    def follow(self, op: Operation) -> None:
        """Have `op` take padded operands as they are, if it can."""
        given = {i: self.values[v] for i, v in enumerate(op.operands) if v in self}
        sources = {bound.source for bound in given.values()}
        if not isinstance(op, OnnxOp) or len(sources) != 1 or len(op.results) != 1:
            return
        if any(shape_of(v.type) is None for v in _present(op)):
            return
        rule = RULES.get(op.name)
        axes = {place: bound.axis for place, bound in given.items()}
        taken = None if rule is None else rule(op, axes)
        if taken is None:
            return
        self.taken[op] = taken
        if taken.axis is not None:
            self.values[op.results[0]] = Bound(sources.pop(), taken.axis)

    def forget(self, op: Operation) -> None:
        """Have `op` be none that pads or takes padded operands."""
        self.sources.discard(op)
        self.taken.pop(op, None)
        for result in op.results:
            self.values.pop(result, None)

    def source_of(self, op: Operation) -> Operation | None:
        """The op whose padding `op` takes; None for any other."""
        if op not in self.taken:
            return None
        return next(self.values[v].source for v in op.operands if v in self)

    def cuts(self, value: SSAValue, op: Operation) -> bool:
        """Whether `op` needs `value` without its padding."""
        return value in self.values and op not in self.taken

    def __contains__(self, value: SSAValue) -> bool:
        return value in self.values


def _present(op: OnnxOp) -> list[SSAValue]:
    return [v for v in (*op.operands, *op.results) if not is_none(v.type)]


def _rank(value: SSAValue) -> int:
    shape = shape_of(value.type)
    assert shape is not None, "operands without a rank are not followed"
    return len(shape)


def _size(value: SSAValue, axis: int) -> int | None:
    """The size of an axis, if it is a constant."""
    shape = shape_of(value.type)
    assert shape is not None, "operands without a rank are not followed"
    dim = shape[axis]
    return None if dim is None else dim.constant


def _setting(op: OnnxOp, name: str, default: int) -> int:
    value = op.properties.get(name)
    return default if value is None else python_value(value)


def _integers(op: OnnxOp, place: int) -> list[int] | None:
    """The elements of a constant operand."""
    if len(op.operands) <= place:
        return None
    owner = op.operands[place].owner
    held = owner.properties.get("value") if isinstance(owner, OnnxOp) else None
    if not isinstance(held, DenseAttr):
        return None
    return [int(item) for item in held.array().reshape(-1)]


# --- what finds so many ---


def _bound(value: SSAValue) -> int | None:
    """How many elements a value has, if that is known and few enough."""
    sizes = static_shape(value.type)
    element = element_of(value.type)
    if sizes is None or element is None or numpy_dtype(element).kind not in "biuf":
        return None
    count = math.prod(sizes)
    return count if 0 < count <= MAX_BOUND else None


def _nonzero(op: OnnxOp) -> Sequence[int | None] | None:
    x = op.operands[0]
    return [1] if _bound(x) and _rank(x) else None


def _compress(op: OnnxOp) -> Sequence[int | None] | None:
    x, condition = op.operands
    if shape_of(x.type) is None or not _bound(condition):
        return None
    if "axis" not in op.properties:
        return [0] if _bound(x) else None
    axis = _setting(op, "axis", 0) % _rank(x)
    return [axis] if (_size(x, axis) or 0) > 0 else None


def _unique(op: OnnxOp) -> Sequence[int | None] | None:
    if "axis" in op.properties or not _bound(op.operands[0]):
        return None
    return [0, 0, None, 0]


def _boxes(op: OnnxOp) -> Sequence[int | None] | None:
    """At most so many boxes of each class of each batch as the op is told."""
    boxes, scores = (static_shape(value.type) for value in op.operands[:2])
    most = _integers(op, 2)
    if boxes is None or scores is None or len(scores) != 3 or not most:
        return None
    rows = scores[0] * scores[1] * min(most[0], scores[2])
    return [0] if 0 < rows <= MAX_BOUND else None


SOURCES: dict[str, Callable[[OnnxOp], Sequence[int | None] | None]] = {
    "onnx.Compress": _compress,
    "onnx.NonMaxSuppression": _boxes,
    "onnx.NonZero": _nonzero,
    "onnx.Unique": _unique,
}
"""
By operator: for each result its padded axis, None for one that has its full size; None
if there is no bound, or too large a one.
"""


# --- what takes it, given the padded axis of each padded operand ---

Axes = Mapping[int, int]


def _elementwise(op: OnnxOp, axes: Axes) -> Taken | None:
    rank = _rank(op.results[0])
    found = {axis + rank - _rank(op.operands[i]) for i, axis in axes.items()}
    if len(found) != 1:
        return None
    axis = found.pop()
    for place, value in enumerate(op.operands):
        if place in axes or is_none(value.type):
            continue
        own = axis - rank + _rank(value)
        if own >= 0 and _size(value, own) != 1:
            return None
    return Taken(axis)


def _transpose(op: OnnxOp, axes: Axes) -> Taken | None:
    order = op.properties.get("perm")
    rank = _rank(op.operands[0])
    order = tuple(reversed(range(rank))) if order is None else python_value(order)
    return Taken(order.index(axes[0]))


def _unsqueeze(op: OnnxOp, axes: Axes) -> Taken | None:
    rank, added = _rank(op.results[0]), _integers(op, 1)
    if added is None or 0 not in axes:
        return None
    kept = [a for a in range(rank) if a not in {n % rank for n in added}]
    return Taken(kept[axes[0]])


def _squeeze(op: OnnxOp, axes: Axes) -> Taken | None:
    rank, gone = _rank(op.operands[0]), _integers(op, 1)
    removed = {n % rank for n in gone or ()}
    if gone is None or set(axes) != {0} or axes[0] in removed:
        return None
    return Taken([a for a in range(rank) if a not in removed].index(axes[0]))


def _flat(op: OnnxOp, axes: Axes) -> Taken | None:
    """Reshape to one axis of what has no other."""
    x = op.operands[0]
    others = [_size(x, n) for n in range(_rank(x)) if n != axes.get(0)]
    if _integers(op, 1) != [-1] or 0 not in axes or any(n != 1 for n in others):
        return None
    return Taken(0)


def _gather(op: OnnxOp, axes: Axes) -> Taken | None:
    data, indices = op.operands
    axis = _setting(op, "axis", 0) % _rank(data)
    if set(axes) == {1}:
        # The padding points at the first element: there must be one.
        return Taken(axis + axes[1]) if (_size(data, axis) or 0) > 0 else None
    if set(axes) != {0} or axes[0] == axis:
        return None
    return Taken(axes[0] if axes[0] < axis else axes[0] - 1 + _rank(indices))


def _gather_nd(op: OnnxOp, axes: Axes) -> Taken | None:
    data, indices = op.operands
    depth = _size(indices, -1)
    batches = _setting(op, "batch_dims", 0)
    if set(axes) != {1} or batches or depth is None or axes[1] == _rank(indices) - 1:
        return None
    there = all((_size(data, n) or 0) > 0 for n in range(depth))
    return Taken(axes[1]) if there else None


def _scatter_nd(op: OnnxOp, axes: Axes) -> Taken | None:
    last = _rank(op.operands[1]) - 1
    if set(axes) != {1, 2} or axes[1] != axes[2] or axes[1] == last:
        return None
    return Taken(None, {1: "outside"})


def _slice(op: OnnxOp, axes: Axes) -> Taken | None:
    rank, along = _rank(op.operands[0]), _integers(op, 3)
    if set(axes) != {0} or along is None or axes[0] in {n % rank for n in along}:
        return None
    given = [n for n, value in enumerate(op.operands) if n and not is_none(value.type)]
    known = all(_integers(op, n) is not None for n in given)
    return Taken(axes[0]) if known else None


def _concat(op: OnnxOp, axes: Axes) -> Taken | None:
    axis = _setting(op, "axis", 0) % _rank(op.results[0])
    where = set(axes.values())
    if len(axes) < len(op.operands) or len(where) != 1 or axis in where:
        return None
    return Taken(where.pop())


def _matmul(op: OnnxOp, axes: Axes) -> Taken | None:
    left, right = op.operands
    inner = _rank(left) - 1
    if set(axes) != {0} or axes[0] == inner or _rank(right) != 2:
        return None
    return Taken(axes[0])


def _gemm(op: OnnxOp, axes: Axes) -> Taken | None:
    if axes != {0: 0} or _setting(op, "transA", 0):
        return None
    bias = op.operands[2] if len(op.operands) > 2 else None
    if bias is not None and not is_none(bias.type):
        rows = _size(bias, 0) if _rank(bias) == 2 else 1
        if rows != 1:
            return None
    return Taken(0)


def _softmax(op: OnnxOp, axes: Axes) -> Taken | None:
    axis = _setting(op, "axis", -1) % _rank(op.operands[0])
    return None if axes[0] == axis else Taken(axes[0])


_NEUTRAL = {
    "onnx.ReduceL1": "zero",
    "onnx.ReduceL2": "zero",
    "onnx.ReduceMax": "lowest",
    "onnx.ReduceMin": "highest",
    "onnx.ReduceProd": "one",
    "onnx.ReduceSum": "zero",
    "onnx.ReduceSumSquare": "zero",
}
"""What changes no result of a reduction."""


def _reduction(op: OnnxOp, axes: Axes) -> Taken | None:
    rank, along = _rank(op.operands[0]), _integers(op, 1)
    if set(axes) != {0}:
        return None
    if len(op.operands) > 1 and not is_none(op.operands[1].type) and not along:
        return None
    if not along and _setting(op, "noop_with_empty_axes", 0):
        return None
    reduced = {n % rank for n in along or range(rank)}
    if axes[0] in reduced:
        return Taken(None, {0: _NEUTRAL[op.name]})
    kept = [n for n in range(rank) if n not in reduced]
    return Taken(axes[0] if _setting(op, "keepdims", 1) else kept.index(axes[0]))


_ELEMENTWISE = (
    "Abs Add And BitwiseAnd BitwiseNot BitwiseOr BitwiseXor Cast Ceil Clip Cos Div Elu "
    "Equal Erf Exp Floor Gelu Greater GreaterOrEqual HardSigmoid HardSwish Identity "
    "IsInf IsNaN LeakyRelu Less LessOrEqual Log Max Mean Min Mish Mod Mul Neg Not Or "
    "PRelu Pow Reciprocal Relu Round Selu Sigmoid Sign Sin Softplus Softsign Sqrt Sub "
    "Sum Tan Tanh Where Xor"
)

RULES: dict[str, Callable[[OnnxOp, Axes], Taken | None]] = {
    **{f"onnx.{name}": _elementwise for name in _ELEMENTWISE.split()},
    **dict.fromkeys(_NEUTRAL, _reduction),
    "onnx.Concat": _concat,
    "onnx.Gather": _gather,
    "onnx.GatherND": _gather_nd,
    "onnx.Gemm": _gemm,
    "onnx.LogSoftmax": _softmax,
    "onnx.MatMul": _matmul,
    "onnx.Reshape": _flat,
    "onnx.ScatterND": _scatter_nd,
    "onnx.Slice": _slice,
    "onnx.Softmax": _softmax,
    "onnx.Squeeze": _squeeze,
    "onnx.Transpose": _transpose,
    "onnx.Unsqueeze": _unsqueeze,
}
"""By operator, how it takes padded operands; None where it cannot."""
