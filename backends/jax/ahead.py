"""Compiling a program before its weights are there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from .calls import call


def compile_ahead(
    namespace: Mapping[str, Any],
    weights: Mapping[str, tuple[tuple[int, ...], np.dtype[Any]]],
    inputs: Sequence[Any],
) -> None:
    """
    Have the next call of a program's function, with `inputs` like these, compile
    nothing.

    `namespace` is the program's, `weights` has the shape and dtype of each of its
    weights. A program that is compiled in parts, or in another way than `calls` does
    it, is left as it is.
    """
    if getattr(namespace["call"], "__name__", None) != call.__name__:
        return
    jitted = namespace.get("jitted")
    one = namespace["of_one_shape"](jitted)
    if not hasattr(one, "lower"):
        return
    given = {name: jax.ShapeDtypeStruct(*kind) for name, kind in weights.items()}
    shapes = tuple((value.shape, value.dtype) for value in inputs)
    with jax.enable_x64(True), namespace["cached_compilation"]():
        try:
            one.lower(
                given, *(jax.ShapeDtypeStruct(*kind) for kind in shapes)
            ).compile()
        except RuntimeError as error:
            # `compiled_for` knows what to do about a JAX without the options.
            if "No such compile option" not in str(error):
                raise
            return
    namespace["COMPILED"].setdefault(jitted, {})[shapes] = one
