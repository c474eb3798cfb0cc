"""
What operands and attributes of an operator may look like, to draw random ones.

A recipe knows what is drawn already; it gives a shape, or the elements where these say
what the operator does (axes, sizes). Where there is none, operands broadcast.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from ...dialects.onnx.types import Array

MAX_SIZE = 4
"""How large dimensions are drawn."""

Sizes: TypeAlias = tuple[int, ...]
Drawn: TypeAlias = "Sizes | Array"
"""A shape, or an array that is the operand."""


class Impossible(Exception):
    """What was drawn so far leaves nothing to draw."""


@dataclass
class Request:
    """An op of which operands or attributes are to be drawn."""

    op: str
    rng: np.random.Generator
    shapes: list[Sizes | None] = field(default_factory=list["Sizes | None"])
    """Of the operands by place; None for those that are absent or to be drawn."""
    attributes: dict[str, Any] = field(default_factory=dict[str, Any])
    index: int = 0
    """The place of the operand to draw."""

    @property
    def first(self) -> Sizes:
        """The shape of the first operand."""
        shape = self.shapes[0] if self.shapes else None
        if shape is None:
            raise Impossible
        return shape

    def integer(self, low: int, high: int) -> int:
        """A number from `low` to `high`; Impossible if there is none."""
        if low > high:
            raise Impossible
        return int(self.rng.integers(low, high + 1))

    def sizes(self, count: int) -> Sizes:
        """`count` sizes."""
        return tuple(self.integer(1, MAX_SIZE) for _ in range(count))

    def size(self, attribute: str, default: int) -> int:
        """The size of the first operand along the axis that an attribute names."""
        axis: int = self.attributes.get(attribute, default)
        return self.first[axis]

    def axis(self) -> int:
        """An axis of the first operand, counted from either end."""
        return self.integer(-len(self.first), len(self.first) - 1)

    def axes(self) -> list[int]:
        """Some axes of the first operand, at least one."""
        rank = len(self.first)
        count = self.integer(1, rank)
        chosen = sorted(self.rng.permutation(rank)[:count].tolist())
        return [a - rank if self.integer(0, 2) == 0 else a for a in chosen]


Recipe: TypeAlias = Callable[[Request], Drawn]

# --- shapes of the first operand ---

_RANKS: dict[str, tuple[int, int]] = {
    **dict.fromkeys(["Conv", "ConvTranspose", "MaxPool", "AveragePool"], (3, 4)),
    **dict.fromkeys(["GlobalAveragePool", "GlobalMaxPool", "LpPool"], (3, 4)),
    **dict.fromkeys(["InstanceNormalization", "GroupNormalization"], (3, 4)),
    "BatchNormalization": (2, 4),
    "DepthToSpace": (4, 4),
    "SpaceToDepth": (4, 4),
    "Gemm": (2, 2),
    "MatMul": (2, 3),
    **dict.fromkeys(["Concat", "Gather", "LayerNormalization", "Pad"], (1, 3)),
    **dict.fromkeys(["RMSNormalization", "Slice", "Split", "Softmax"], (1, 3)),
    **dict.fromkeys(["LogSoftmax", "TopK", "ArgMax", "ArgMin"], (1, 3)),
}


def first_shape(request: Request) -> Sizes:
    """The shape of a first operand that nothing is known of."""
    name = request.op.partition(".")[2]
    low, high = _RANKS.get(name, (1, 3) if name.startswith("Reduce") else (0, 3))
    shape = list(request.sizes(request.integer(low, high)))
    if name in ("Conv", "ConvTranspose", "MaxPool", "AveragePool"):
        shape[2:] = [size + 2 for size in shape[2:]]
    if name == "Squeeze":
        shape.insert(request.integer(0, len(shape)), 1)
    return tuple(shape)


def broadcasting(request: Request) -> Sizes:
    """A shape that broadcasts with those of the other operands."""
    known = [shape for shape in request.shapes if shape is not None]
    try:
        goal = np.broadcast_shapes(*known)
    except ValueError as error:
        raise Impossible from error
    kept = [1 if request.integer(0, 3) == 0 else size for size in goal]
    match request.integer(0, 5):
        case 0:
            kept = kept[request.integer(0, len(kept)) :]
        case 1:
            kept = []
        case 2:
            # Another operand may be the one that is stretched.
            kept = [request.integer(2, 3) if n == 1 else n for n in goal]
        case 3 if len(kept) < 4:
            kept = [request.integer(1, 2), *kept]
        case _:
            pass
    return tuple(kept)


# --- other operands, by operator and place ---


def _channels(request: Request) -> Sizes:
    return (request.first[1],)


def _positive_channels(request: Request) -> Array:
    return request.rng.uniform(0.25, 2, request.first[1])


def _kernel(request: Request) -> Sizes:
    channels, *space = request.first[1:]
    sizes = tuple(request.integer(1, min(3, size)) for size in space)
    if request.op == "onnx.ConvTranspose":
        return (channels, request.integer(1, MAX_SIZE), *sizes)
    group = request.attributes.get("group", 1)
    if channels % group:
        raise Impossible
    return (group * request.integer(1, 3), channels // group, *sizes)


def _kernel_bias(request: Request) -> Sizes:
    weight = request.shapes[1]
    if weight is None:
        raise Impossible
    return (weight[1 if request.op == "onnx.ConvTranspose" else 0],)


def _normalized(request: Request) -> Sizes:
    return request.first[request.attributes.get("axis", -1) :]


def _second_factor(request: Request) -> Sizes:
    shape = request.first
    columns = request.integer(1, MAX_SIZE)
    if len(shape) < 2 or request.integer(0, 1):
        return (shape[-1], columns) if shape else ()
    return (*shape[:-2], shape[-1], columns)


def _gemm_b(request: Request) -> Sizes:
    inner = request.first[0 if request.attributes.get("transA") else 1]
    columns = request.integer(1, MAX_SIZE)
    return (columns, inner) if request.attributes.get("transB") else (inner, columns)


def _gemm_c(request: Request) -> Sizes:
    b = request.shapes[1]
    if b is None:
        raise Impossible
    rows = request.first[1 if request.attributes.get("transA") else 0]
    columns = b[0 if request.attributes.get("transB") else 1]
    choices: list[Sizes] = [(), (columns,), (1, columns), (rows, columns), (rows, 1)]
    return choices[request.integer(0, 4)]


def _integers(items: Sequence[int]) -> Array:
    return np.array(items, np.int64)


def _target_shape(request: Request) -> Array:
    rest, sizes = math.prod(request.first), list[int]()
    while len(sizes) < 3 and rest > 1:
        factor = request.integer(1, rest)
        if rest % factor == 0:
            sizes.append(factor)
            rest //= factor
    sizes.append(rest)
    if request.integer(0, 2) == 0:
        sizes[request.integer(0, len(sizes) - 1)] = -1
    elif request.integer(0, 1) == 0:
        pairs = zip(sizes, request.first, strict=False)
        same = [place for place, (a, b) in enumerate(pairs) if a == b]
        sizes = [0 if place in same[:1] else n for place, n in enumerate(sizes)]
    return _integers(sizes)


def _expanded(request: Request) -> Array:
    goal = [n if n > 1 else request.integer(1, 3) for n in request.first]
    goal = goal if request.integer(0, 1) else list(request.first)
    if request.integer(0, 2) == 0:
        goal.insert(0, request.integer(1, 2))
    return _integers(goal)


def _new_axes(request: Request) -> Array:
    count = request.integer(1, 2)
    rank = len(request.first) + count
    chosen = sorted(request.rng.permutation(rank)[:count].tolist())
    return _integers([a - rank if request.integer(0, 2) == 0 else a for a in chosen])


def _unit_axes(request: Request) -> Array:
    rank = len(request.first)
    ones = [axis for axis, size in enumerate(request.first) if size == 1]
    if not ones:
        raise Impossible
    count = request.integer(1, len(ones))
    chosen = sorted(request.rng.permutation(ones)[:count].tolist())
    return _integers([a - rank if request.integer(0, 2) == 0 else a for a in chosen])


def _some_axes(request: Request) -> Array:
    return _integers(request.axes())


def _bounds(request: Request) -> Array:
    known = [s for s in request.shapes[1:] if s is not None]
    count = known[0][0] if known else request.integer(1, len(request.first))
    if request.index == 1:
        return _integers([request.integer(-2, 2) for _ in range(count)])
    ends = [[-1, 1, 2, 3, 4, 1 << 62][request.integer(0, 5)] for _ in range(count)]
    return _integers(ends)


def _slice_axes(request: Request) -> Array:
    starts = request.shapes[1]
    rank = len(request.first)
    if starts is None or starts[0] > rank:
        raise Impossible
    chosen = sorted(request.rng.permutation(rank)[: starts[0]].tolist())
    return _integers([a - rank if request.integer(0, 2) == 0 else a for a in chosen])


def _slice_steps(request: Request) -> Array:
    starts = request.shapes[1]
    count = 0 if starts is None else starts[0]
    return _integers([[1, 1, 2, -1][request.integer(0, 3)] for _ in range(count)])


def _pads(request: Request) -> Array:
    rank = len(request.first)
    return _integers([request.integer(0, 2) for _ in range(2 * rank)])


def _scalar(request: Request) -> Sizes:
    return ()


def _repeats(request: Request) -> Array:
    return _integers([request.integer(1, 2) for _ in request.first])


def _indices(request: Request) -> Array:
    size = request.size("axis", 0)
    shape = request.sizes(request.integer(0, 2))
    return np.asarray(request.rng.integers(-size, size, shape), np.int64)


def _parts(request: Request) -> Array:
    size = request.size("axis", 0)
    first = request.integer(1, size)
    return _integers([first, size - first])


def _count(request: Request) -> Array:
    size = request.size("axis", -1)
    return _integers([request.integer(1, size)])


def _concatenated(request: Request) -> Sizes:
    shape = list(request.first)
    axis = request.attributes.get("axis", 0)
    if not -len(shape) <= axis < len(shape):
        raise Impossible
    shape[axis] = request.integer(1, 3)
    return tuple(shape)


_BN: dict[int, Recipe] = {
    1: _channels,
    2: _channels,
    3: _channels,
    4: _positive_channels,
}

OPERANDS: dict[str, dict[int, Recipe]] = {
    "BatchNormalization": _BN,
    "Clip": {1: _scalar, 2: _scalar},
    "Concat": {1: _concatenated},
    "Conv": {1: _kernel, 2: _kernel_bias},
    "ConvTranspose": {1: _kernel, 2: _kernel_bias},
    "DequantizeLinear": {1: _scalar, 2: _scalar},
    "Dropout": {1: _scalar, 2: _scalar},
    "Expand": {1: _expanded},
    "Gather": {1: _indices},
    "Gemm": {1: _gemm_b, 2: _gemm_c},
    "GroupNormalization": {1: _channels, 2: _channels},
    "InstanceNormalization": {1: _channels, 2: _channels},
    "LayerNormalization": {1: _normalized, 2: _normalized},
    "MatMul": {1: _second_factor},
    "Pad": {1: _pads, 2: _scalar, 3: _some_axes},
    "QuantizeLinear": {1: _scalar, 2: _scalar},
    "RMSNormalization": {1: _normalized},
    "Reshape": {1: _target_shape},
    "Slice": {1: _bounds, 2: _bounds, 3: _slice_axes, 4: _slice_steps},
    "Split": {1: _parts},
    "Squeeze": {1: _unit_axes},
    "Tile": {1: _repeats},
    "TopK": {1: _count},
    "Unsqueeze": {1: _new_axes},
}
"""Recipes by operator and place."""


def operand(request: Request) -> Drawn:
    """What the operand at ``request.index`` may be."""
    name = request.op.partition(".")[2]
    recipes = OPERANDS.get(name, {})
    if name.startswith("Reduce") and request.index == 1:
        return _some_axes(request)
    if request.index in recipes:
        return recipes[request.index](request)
    if name == "Concat" and request.index > 1:
        return _concatenated(request)
    known = [shape for shape in request.shapes if shape is not None]
    return broadcasting(request) if known else first_shape(request)


# --- attributes ---


def _perm(request: Request) -> list[int]:
    return request.rng.permutation(len(request.first)).tolist()


def _axis(request: Request) -> int:
    return request.axis()


def _positive(request: Request) -> float:
    return float(request.rng.uniform(1e-3, 1))


def _factor(request: Request) -> float:
    return float(np.float32(request.rng.uniform(-2, 2)))


def _flag(request: Request) -> int:
    return request.integer(0, 1)


def _spatial(low: int, high: int) -> Callable[[Request], list[int]]:
    def draw(request: Request) -> list[int]:
        return [request.integer(low, high) for _ in request.first[2:]]

    return draw


def _padding(request: Request) -> list[int]:
    return [request.integer(0, 1) for _ in request.first[2:]] * 2


def _groups(request: Request) -> int:
    channels = request.first[1]
    return [g for g in range(1, channels + 1) if channels % g == 0][-1]


ATTRIBUTES: dict[str, Callable[[Request], Any]] = {
    "alpha": _factor,
    "axis": _axis,
    "beta": _factor,
    "epsilon": _positive,
    "gamma": _factor,
    "group": _groups,
    "keepdims": _flag,
    "kernel_shape": _spatial(1, 2),
    "lambd": _positive,
    "num_groups": _groups,
    "pads": _padding,
    "perm": _perm,
    "bias": _factor,
    "strides": _spatial(1, 2),
    "transA": _flag,
    "transB": _flag,
}
"""Recipes by the attribute's name."""
