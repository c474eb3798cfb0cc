"""
How each operator's dimensions go with each other: its sharding rule.

A rule is like an einsum's, over factors: ``([i, k], [k, j]) -> ([i, j])`` of a MatMul
with the reduction factor k. A dimension may be several factors, the slowest first
(``[b, s] -> [(b s)]`` of a Reshape). What is divided along a factor can be computed by
each device from its own parts; a dimension without a factor, each device needs whole.
After Shardy's op sharding rules (openxla.org/shardy, "Propagation").
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from ...dialects.onnx import OnnxOp, WeightStore
from ...dialects.onnx.types import is_none, static_shape
from ..analysis.elementwise import ELEMENTWISE
from ..facts import integers_of, setting

Dims: TypeAlias = tuple[tuple[str, ...], ...]
"""The factors of each dimension of a tensor."""


@dataclass(frozen=True)
class Rule:
    """The factors of an op's operands and results; None where there is no tensor."""

    operands: tuple[Dims | None, ...]
    results: tuple[Dims | None, ...]
    sizes: Mapping[str, int]
    reduction: frozenset[str] = frozenset()
    """Factors over which it sums: devices then hold terms of the result."""

    def __str__(self) -> str:
        sides = [", ".join(map(_text, side)) for side in (self.operands, self.results)]
        sizes = ", ".join(f"{name}={size}" for name, size in self.sizes.items())
        summed = f" reduction={{{', '.join(sorted(self.reduction))}}}"
        return f"({sides[0]})->({sides[1]}) {{{sizes}}}" + summed * bool(self.reduction)


def _text(dims: Dims | None) -> str:
    if dims is None:
        return "none"
    return f"[{', '.join(' '.join(d) if len(d) < 2 else _group(d) for d in dims)}]"


def _group(factors: Sequence[str]) -> str:
    return f"({' '.join(factors)})"


@dataclass
class _Draft:
    """An op of static shapes, as a rule is made for it."""

    op: OnnxOp
    store: WeightStore
    sizes: dict[str, int] = field(default_factory=dict[str, int])

    def shape(self, index: int) -> tuple[int, ...]:
        shape = static_shape(self.op.operands[index].type)
        assert shape is not None, "rules are made for static shapes"
        return shape

    def result(self, index: int = 0) -> tuple[int, ...]:
        shape = static_shape(self.op.results[index].type)
        assert shape is not None, "rules are made for static shapes"
        return shape

    def given(self, index: int) -> bool:
        operands = self.op.operands
        return index < len(operands) and not is_none(operands[index].type)

    def setting(self, name: str) -> Any:
        return setting(self.op, name)

    def factor(self, name: str, size: int) -> tuple[str, ...]:
        """A dimension of one factor; one of size 1 has none: nothing divides it."""
        if size < 2:
            return ()
        self.sizes[name] = size
        return (name,)

    def factors(self, prefix: str, shape: Sequence[int]) -> Dims:
        return tuple(self.factor(f"{prefix}{n}", s) for n, s in enumerate(shape))

    def broadcast(self, shape: Sequence[int], dims: Dims, whole: Sequence[int]) -> Dims:
        """`dims`, of a tensor of shape `whole`, for what broadcasts to that."""
        skipped = len(whole) - len(shape)
        pairs = zip(shape, whole[skipped:], dims[skipped:], strict=True)
        return tuple(d if size == full else () for size, full, d in pairs)

    def rule(
        self,
        operands: Mapping[int, Dims],
        *results: Dims,
        reduction: Sequence[str] = (),
    ) -> Rule:
        """The rule; operands that it does not mention are needed whole."""
        given = tuple(
            operands.get(place, _whole(value.type))
            for place, value in enumerate(self.op.operands)
        )
        wanted = tuple(
            None
            if is_none(value.type)
            else results[place]
            if place < len(results)
            else _whole(value.type)
            for place, value in enumerate(self.op.results)
        )
        sides = [*given, *wanted]
        used = {name for dims in sides for d in dims or () for name in d}
        known = {name: size for name, size in self.sizes.items() if name in used}
        return Rule(given, wanted, known, frozenset(reduction) & known.keys())


def _whole(kind: Any) -> Dims | None:
    shape = static_shape(kind)
    return None if shape is None else ((),) * len(shape)


def rule_of(op: OnnxOp, store: WeightStore) -> Rule:
    """The rule of `op`, whose tensors have known sizes; all whole if it has none."""
    draft = _Draft(op, store)
    operands = [i for i, v in enumerate(op.operands) if not is_none(v.type)]
    tensors = [op.operands[i].type for i in operands]
    tensors += [kind for kind in op.result_types if not is_none(kind)]
    known = all(static_shape(kind) is not None for kind in tensors)
    make = _RULES.get(op.name) if known and not op.has_body else None
    return draft.rule({}) if make is None else make(draft)


# --- rules ---


def _elementwise(draft: _Draft) -> Rule:
    shape = draft.result()
    dims = draft.factors("d", shape)
    operands = {
        place: draft.broadcast(draft.shape(place), dims, shape)
        for place in range(len(draft.op.operands))
        if draft.given(place)
    }
    return draft.rule(operands, dims)


def _expand(draft: _Draft) -> Rule:
    shape = draft.result()
    dims = draft.factors("d", shape)
    return draft.rule({0: draft.broadcast(draft.shape(0), dims, shape)}, dims)


def _matmul(draft: _Draft) -> Rule:
    left, right, shape = draft.shape(0), draft.shape(1), draft.result()
    batch = shape[: max(len(left), len(right)) - 2]
    dims = draft.factors("b", batch)
    k = draft.factor("k", left[-1])
    m = (draft.factor("m", left[-2]),) if len(left) > 1 else ()
    n = (draft.factor("n", right[-1]),) if len(right) > 1 else ()
    sides = {
        0: (*draft.broadcast(left[:-2], dims, batch), *m, k),
        1: (*draft.broadcast(right[:-2], dims, batch), *((k, *n) if n else (k,))),
    }
    return draft.rule(sides, (*dims, *m, *n), reduction=k)


def _gemm(draft: _Draft) -> Rule:
    m, n = (draft.factor(f, s) for f, s in zip("mn", draft.result(), strict=True))
    swapped = [bool(draft.setting(name)) for name in ("transA", "transB")]
    depth = draft.shape(0)[0 if swapped[0] else 1]
    # Every device would add the bias to its term of the sum.
    k = () if draft.given(2) else draft.factor("k", depth)
    sides: dict[int, Dims] = {
        0: (k, m) if swapped[0] else (m, k),
        1: (n, k) if swapped[1] else (k, n),
    }
    if draft.given(2):
        sides[2] = draft.broadcast(draft.shape(2), (m, n), draft.result())
    return draft.rule(sides, (m, n), reduction=k)


def _transpose(draft: _Draft) -> Rule:
    dims = draft.factors("d", draft.shape(0))
    order = draft.setting("perm") or tuple(reversed(range(len(dims))))
    return draft.rule({0: dims}, tuple(dims[axis] for axis in order))


def _reshape(draft: _Draft) -> Rule:
    before, after = draft.shape(0), draft.result()
    if 0 in before:
        return draft.rule({})
    found: list[list[tuple[str, ...]]] = [[()] * len(before), [()] * len(after)]
    sides = (before, after)
    at, left, count = [0, 0], [1, 1], 0
    while True:
        for side in (0, 1):
            while left[side] == 1 and at[side] < len(sides[side]):
                left[side] = sides[side][at[side]]
                at[side] += 1
        if 1 in left:
            break
        size = math.gcd(*left)
        if size == 1:
            # What is left of sizes that do not nest goes as one block, whole.
            _skip_block(sides, at, left)
            continue
        name, count = f"d{count}", count + 1
        for side in (0, 1):
            found[side][at[side] - 1] += draft.factor(name, size)
            left[side] //= size
    return draft.rule({0: tuple(found[0])}, tuple(found[1]))


def _skip_block(
    sides: tuple[Sequence[int], Sequence[int]], at: list[int], left: list[int]
) -> None:
    while left[0] != left[1]:
        side = 0 if left[0] < left[1] else 1
        left[side] *= sides[side][at[side]]
        at[side] += 1
    left[:] = [1, 1]


def _along_axis(draft: _Draft) -> Rule:
    """Needs `axis` whole and gives results of the operand's shape."""
    shape = draft.shape(0)
    dims = _without(draft, shape, [draft.setting("axis")])
    return draft.rule({0: dims}, dims)


def _without(draft: _Draft, shape: Sequence[int], axes: Sequence[int]) -> Dims:
    skipped = {axis % len(shape) for axis in axes}
    return tuple(
        () if n in skipped else draft.factor(f"d{n}", size)
        for n, size in enumerate(shape)
    )


def _normalization(draft: _Draft) -> Rule:
    shape = draft.shape(0)
    first = draft.setting("axis") % len(shape)
    dims = _without(draft, shape, range(first, len(shape)))
    return draft.rule({0: dims}, *[dims] * len(draft.op.results))


def _reduction(draft: _Draft) -> Rule:
    shape = draft.shape(0)
    axes: Sequence[int] | None = range(len(shape))
    if draft.given(1):
        axes = integers_of(draft.op.operands[1], draft.store)
    elif draft.setting("noop_with_empty_axes"):
        axes = ()
    if axes is None:
        return draft.rule({})
    axes = [axis % len(shape) for axis in axes]
    sums = draft.op.name == "onnx.ReduceSum"
    dims = draft.factors("d", shape) if sums else _without(draft, shape, axes)
    kept = bool(draft.setting("keepdims"))
    rest = [() if n in axes else d for n, d in enumerate(dims) if kept or n not in axes]
    reduction = [name for axis in axes for name in dims[axis]]
    return draft.rule({0: dims}, tuple(rest), reduction=reduction)


def _gather(draft: _Draft) -> Rule:
    data, indices = draft.shape(0), draft.shape(1)
    axis = draft.setting("axis") % len(data)
    dims = _without(draft, data, [axis])
    places = draft.factors("i", indices)
    return draft.rule({0: dims, 1: places}, (*dims[:axis], *places, *dims[axis + 1 :]))


def _concat(draft: _Draft) -> Rule:
    dims = _without(draft, draft.result(), [draft.setting("axis")])
    return draft.rule(dict.fromkeys(range(len(draft.op.operands)), dims), dims)


def _split(draft: _Draft) -> Rule:
    dims = _without(draft, draft.shape(0), [draft.setting("axis")])
    return draft.rule({0: dims}, *[dims] * len(draft.op.results))


def _slice(draft: _Draft) -> Rule:
    axes: Sequence[int] | None = range(len(draft.shape(0)))
    if draft.given(3):
        axes = integers_of(draft.op.operands[3], draft.store)
    if axes is None:
        return draft.rule({})
    dims = _without(draft, draft.shape(0), axes)
    return draft.rule({0: dims}, dims)


def _convolution(draft: _Draft) -> Rule:
    if draft.setting("group") != 1:
        n = draft.factor("n", draft.shape(0)[0])
        return draft.rule({0: _first(draft, n, 0)}, _first(draft, n))
    n, c = (draft.factor(f, s) for f, s in zip("nc", draft.shape(0), strict=False))
    m = draft.factor("m", draft.shape(1)[0])
    biased = draft.given(2)
    c = () if biased else c
    spatial = ((),) * (len(draft.result()) - 2)
    sides: dict[int, Dims] = {0: (n, c, *spatial), 1: (m, c, *spatial)}
    if biased:
        sides[2] = (m,)
    return draft.rule(sides, (n, m, *spatial), reduction=c)


def _first(draft: _Draft, factor: tuple[str, ...], place: int | None = None) -> Dims:
    shape = draft.result() if place is None else draft.shape(place)
    return (factor, *((),) * (len(shape) - 1))


def _pooling(draft: _Draft) -> Rule:
    n, c = (draft.factor(f, s) for f, s in zip("nc", draft.shape(0), strict=False))
    spatial = ((),) * (len(draft.result()) - 2)
    return draft.rule(
        {0: (n, c, *spatial)}, *[(n, c, *spatial)] * len(draft.op.results)
    )


def _attention(draft: _Draft) -> Rule:
    """Over batch and heads, and without a cache, causality or windows queries."""
    packed = len(draft.shape(0)) == 3
    shapes = [draft.shape(place) for place in range(3)]
    if packed:
        queries, heads = draft.setting("q_num_heads"), draft.setting("kv_num_heads")
    else:
        queries, heads = shapes[0][1], shapes[1][1]
    wanted = [kind for kind in draft.op.result_types if not is_none(kind)]
    if len(wanted) > 1 or any(draft.given(place) for place in (4, 5, 6)):
        return draft.rule({})
    b = draft.factor("b", shapes[0][0])
    h = draft.factor("h", heads)
    windows = ("left_window_size", "right_window_size")
    placed = draft.setting("is_causal") or any(
        (draft.setting(name) or -1) >= 0 for name in windows
    )
    rows = shapes[0][1 if packed else 2]
    s = () if placed else draft.factor("s", rows)
    # Heads of queries that share keys stand together: h is their slower factor.
    sides: dict[int, Dims] = {}
    for place in range(3):
        mine = s if place == 0 else ()
        sides[place] = (b, mine, h) if packed else (b, h, mine, ())
    if draft.given(3):
        mask = draft.shape(3)
        full = (shapes[0][0], queries, rows, shapes[1][1 if packed else 2])
        sides[3] = draft.broadcast(mask, (b, h, s, ()), full)
    return draft.rule(sides, sides[0])


def _rotary(draft: _Draft) -> Rule:
    packed = len(draft.shape(0)) == 3
    shape = draft.shape(0)
    heads = draft.setting("num_heads") if packed else shape[1]
    b = draft.factor("b", shape[0])
    s = draft.factor("s", shape[1 if packed else 2])
    h = draft.factor("h", heads or 1)
    x = (b, s, h) if packed else (b, h, s, ())
    sides: dict[int, Dims] = {0: x}
    if draft.given(3):
        sides[3] = draft.broadcast(
            draft.shape(3), (b, s), (shape[0], draft.shape(3)[1])
        )
    else:
        sides[1] = sides[2] = (b, s, ())
    return draft.rule(sides, x)


_Make: TypeAlias = Callable[[_Draft], Rule]

_RULES: dict[str, _Make] = {
    **{f"onnx.{name}": _elementwise for name in ELEMENTWISE},
    **dict.fromkeys(
        [
            "onnx.BitCast",
            "onnx.Cast",
            "onnx.Clip",
            "onnx.Gelu",
            "onnx.Identity",
            "onnx.Max",
            "onnx.Mean",
            "onnx.Min",
            "onnx.Sum",
        ],
        _elementwise,
    ),
    **dict.fromkeys(
        ["onnx.Reshape", "onnx.Flatten", "onnx.Squeeze", "onnx.Unsqueeze"], _reshape
    ),
    **dict.fromkeys(["onnx.Softmax", "onnx.LogSoftmax", "onnx.Hardmax"], _along_axis),
    **dict.fromkeys(
        ["onnx.LayerNormalization", "onnx.RMSNormalization"], _normalization
    ),
    **{
        f"onnx.Reduce{name}": _reduction
        for name in (
            "L1",
            "L2",
            "LogSum",
            "LogSumExp",
            "Max",
            "Mean",
            "Min",
            "Prod",
            "Sum",
            "SumSquare",
        )
    },
    **dict.fromkeys(
        [
            "onnx.AveragePool",
            "onnx.GlobalAveragePool",
            "onnx.GlobalMaxPool",
            "onnx.LpPool",
        ],
        _pooling,
    ),
    "onnx.Attention": _attention,
    "onnx.Concat": _concat,
    "onnx.Conv": _convolution,
    "onnx.Expand": _expand,
    "onnx.Gather": _gather,
    "onnx.Gemm": _gemm,
    "onnx.MatMul": _matmul,
    "onnx.RotaryEmbedding": _rotary,
    "onnx.Slice": _slice,
    "onnx.Split": _split,
    "onnx.Transpose": _transpose,
}
