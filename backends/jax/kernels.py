"""The kernels that the jax backend does better than the shared ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import (
    convolution,
    elementwise,
    image,
    indexing,
    linear,
    movement,
    pooling,
    recurrent,
)

_FAMILIES: tuple[Any, ...] = (
    convolution,
    elementwise,
    image,
    indexing,
    linear,
    movement,
    pooling,
    recurrent,
)

KERNELS: dict[str, Callable[..., Any]] = {}
"""Replacements for shared kernels, by op name (``onnx.Conv``)."""

for _family in _FAMILIES:
    for _name, _kernel in _family.KERNELS.items():
        assert f"onnx.{_name}" not in KERNELS, f"two kernels for {_name}"
        KERNELS[f"onnx.{_name}"] = _kernel
