"""
How a program in segments is run: each compiled once per shape of what it is given,
and per value of what fixes shapes.

The emitter pastes these functions into the artifacts that need them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

MAX_COMPILED = 64
"""For how many shapes, and values of what fixes shapes, a segment is kept compiled."""


def by_value(
    function: Callable[..., Any],
    places: Sequence[int],
    compiled: dict[Any, Any],
    weights: Mapping[str, Any],
    *arguments: Any,
) -> Any:
    """
    `function` of `weights` and `arguments`, jitted for the values of those at `places`
    and the shapes of the others.

    The first reach it as NumPy arrays. `compiled` has the jitted functions by these
    values and shapes, the one used last at the end; the first goes when there are too
    many.
    """
    fixed = {place: np.asarray(arguments[place]) for place in places}
    key = tuple(
        (a.dtype.name, a.shape, fixed[place].tobytes() if place in fixed else None)
        for place, a in enumerate(map(described, arguments))
    )
    jitted: Any = compiled.pop(key, None)
    if jitted is None:
        jitted = jax.jit(partial(with_fixed, function, fixed))  # pyright: ignore[reportUnknownMemberType]
        if len(compiled) >= MAX_COMPILED:
            del compiled[next(iter(compiled))]
    compiled[key] = jitted
    return jitted(weights, *(a for i, a in enumerate(arguments) if i not in fixed))


def described(value: Any) -> Any:
    """What has the type and shape of an argument: itself, if it is an array."""
    return value if hasattr(value, "dtype") else np.asarray(value)


def with_fixed(
    function: Callable[..., Any],
    fixed: Mapping[int, Any],
    weights: Mapping[str, Any],
    *others: Any,
) -> Any:
    """`function` of the `others`, the `fixed` arguments put in at their places."""
    arguments = list(others)
    for place in sorted(fixed):
        arguments.insert(place, fixed[place])
    return function(weights, *arguments)


def cut_off(value: Any, axis: int, count: Any) -> Any:
    """
    The first `count` places of `value` along `axis`.

    By NumPy: JAX would compile a program for each count.
    """
    places = (*(slice(None),) * axis, slice(int(count)))
    return jax.device_put(np.ascontiguousarray(np.asarray(value)[places]))  # pyright: ignore[reportUnknownMemberType]


def call_segments(
    forward: Callable[..., Any], weights: Mapping[str, Any], inputs: Sequence[Any]
) -> tuple[Any, ...]:
    """
    The outputs of `forward`: JAX arrays, NumPy's of strings, lists for sequences.

    64-bit types are on for this call alone. Overflow and nan are results.
    """
    with jax.enable_x64(True), np.errstate(all="ignore"):
        results = forward(weights, *inputs)
        return tuple(on_device(result) for result in results)


def on_device(value: Any) -> Any:
    """An array of numbers as JAX's own; anything else as it is."""
    if isinstance(value, jax.Array):
        return jax.block_until_ready(value)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    if getattr(value, "dtype", np.dtype(object)).kind == "O":
        return value
    return jnp.asarray(value)  # pyright: ignore[reportUnknownMemberType]
