"""The kernels that the numpy backend does better than the shared ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import (
    convolution,
    elementwise,
    normalization,
    pooling,
    quantization,
)

_FAMILIES: tuple[Any, ...] = (
    convolution,
    elementwise,
    normalization,
    pooling,
    quantization,
)

KERNELS: dict[str, Callable[..., Any]] = {}
"""Replacements for shared kernels, by op name (``onnx.Conv``)."""

for _family in _FAMILIES:
    for _name, _kernel in _family.KERNELS.items():
        assert f"onnx.{_name}" not in KERNELS, f"two kernels for {_name}"
        KERNELS[f"onnx.{_name}"] = _kernel
