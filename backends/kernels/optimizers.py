"""
One step of an optimizer, for one or several tensors (``ai.onnx.preview.training``).

`r` is the learning rate and `t` the number of steps before this one, both scalars. The
tensors come grouped by kind: all parameters, then all gradients, then their states; the
new parameters and states go out in the same order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

Array: TypeAlias = Any


def grouped(tensors: Sequence[Array], kinds: int) -> list[tuple[Array, ...]]:
    """``(x1, x2, g1, g2) -> [(x1, g1), (x2, g2)]`` for two kinds."""
    if not tensors or len(tensors) % kinds:
        raise ValueError(f"found {len(tensors)} tensors, wanted a multiple of {kinds}")
    count = len(tensors) // kinds
    return [tuple(tensors[i::count]) for i in range(count)]


def ungrouped(
    steps: Sequence[tuple[Array, ...]], likes: Sequence[Array]
) -> tuple[Array, ...]:
    """``[(x1, v1), (x2, v2)] -> (x1, x2, v1, v2)``, each in the type of its like."""
    flat = [tensor for kind in zip(*steps, strict=True) for tensor in kind]
    return tuple(y.astype(like.dtype) for y, like in zip(flat, likes, strict=True))


def adagrad(
    xp: Any,
    r: Array,
    t: Array,
    *tensors: Array,
    decay_factor: float = 0.0,
    epsilon: float = 1e-6,
    norm_coefficient: float = 0.0,
    outputs: tuple[bool, ...] = (),
) -> tuple[Array, ...]:
    """``h += g ** 2``, ``x -= r / (1 + t * decay) * g / (sqrt(h) + epsilon)``."""
    groups = grouped(tensors, 3)
    rate = r / (1 + t * decay_factor)
    steps: list[tuple[Array, ...]] = []
    for x, g, h in groups:
        slope = norm_coefficient * x + g
        total = h + slope * slope
        steps.append((x - rate * slope / (xp.sqrt(total) + epsilon), total))
    count = len(groups)
    return ungrouped(steps, (*tensors[:count], *tensors[2 * count :]))


def adam(
    xp: Any,
    r: Array,
    t: Array,
    *tensors: Array,
    alpha: float = 0.9,
    beta: float = 0.999,
    epsilon: float = 1e-6,
    norm_coefficient: float = 0.0,
    norm_coefficient_post: float = 0.0,
    outputs: tuple[bool, ...] = (),
) -> tuple[Array, ...]:
    """``x -= r * v / (sqrt(h) + epsilon)``: v and h are means of g and its square."""
    groups = grouped(tensors, 4)
    # Before the first step the means are not corrected for having begun at zero.
    later = t > 0
    power = xp.where(later, t, 1).astype(r.dtype)
    correction = xp.sqrt(1 - beta**power) / (1 - alpha**power)
    rate = xp.where(later, r * correction, r)
    steps: list[tuple[Array, ...]] = []
    for x, g, v, h in groups:
        slope = norm_coefficient * x + g
        mean = alpha * v + (1 - alpha) * slope
        square = beta * h + (1 - beta) * (slope * slope)
        moved = x - rate * mean / (xp.sqrt(square) + epsilon)
        steps.append(((1 - norm_coefficient_post) * moved, mean, square))
    count = len(groups)
    return ungrouped(steps, (*tensors[:count], *tensors[2 * count :]))


def momentum(
    xp: Any,
    r: Array,
    t: Array,
    *tensors: Array,
    alpha: float = 0.0,
    beta: float = 0.0,
    mode: str = "standard",
    norm_coefficient: float = 0.0,
    outputs: tuple[bool, ...] = (),
) -> tuple[Array, ...]:
    """``v = alpha * v + beta * g``, ``x -= r * v``, or nesterov's ``g + alpha * v``."""
    if mode not in ("standard", "nesterov"):
        raise ValueError(f"mode is {mode!r}, not standard or nesterov")
    groups = grouped(tensors, 3)
    # The first gradient counts in full.
    share = xp.where(t > 0, xp.asarray(beta, r.dtype), xp.asarray(1, r.dtype))
    steps: list[tuple[Array, ...]] = []
    for x, g, v in groups:
        slope = norm_coefficient * x + g
        speed = alpha * v + share * slope
        step = slope + alpha * speed if mode == "nesterov" else speed
        steps.append((x - r * step, speed))
    count = len(groups)
    return ungrouped(steps, (*tensors[:count], *tensors[2 * count :]))


KERNELS: dict[str, Callable[..., Any]] = {
    "onnx_training.Adagrad": adagrad,
    "onnx_training.Adam": adam,
    "onnx_training.Momentum": momentum,
}
STATIC: dict[str, tuple[int, ...]] = {}
