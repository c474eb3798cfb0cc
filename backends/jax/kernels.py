"""The kernels that the jax backend does better than the shared ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import (
    attention,
    contrib_fused,
    contrib_quantized,
    convolution,
    elementwise,
    image,
    indexing,
    linear,
    linear_attention,
    linear_models,
    movement,
    nhwc,
    pooling,
    recurrent,
    sequences,
    signal,
)

_FAMILIES: tuple[Any, ...] = (
    attention,
    contrib_fused,
    contrib_quantized,
    convolution,
    elementwise,
    image,
    indexing,
    linear,
    linear_attention,
    linear_models,
    movement,
    nhwc,
    pooling,
    recurrent,
    sequences,
    signal,
)

KERNELS: dict[str, Callable[..., Any]] = {}
"""Replacements for shared kernels, by op name (``onnx.Conv``)."""

for _family in _FAMILIES:
    for _name, _kernel in _family.KERNELS.items():
        # Operators of other domains have their dialect's name before them already.
        _op_name = _name if "." in _name else f"onnx.{_name}"
        assert _op_name not in KERNELS, f"two kernels for {_name}"
        KERNELS[_op_name] = _kernel
