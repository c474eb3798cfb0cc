"""The kernels that the numpy backend does better than the shared ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import (
    arithmetic,
    attention,
    contrib_fused,
    contrib_quantized,
    convolution,
    elementwise,
    nhwc,
    normalization,
    pooling,
    quantization,
)

_FAMILIES: tuple[Any, ...] = (
    arithmetic,
    attention,
    contrib_fused,
    contrib_quantized,
    convolution,
    elementwise,
    nhwc,
    normalization,
    pooling,
    quantization,
)

KERNELS: dict[str, Callable[..., Any]] = {}
"""Replacements for shared kernels, by op name (``onnx.Conv``)."""

for _family in _FAMILIES:
    for _name, _kernel in _family.KERNELS.items():
        _op_name = _name if "." in _name else f"onnx.{_name}"
        assert _op_name not in KERNELS, f"two kernels for {_name}"
        KERNELS[_op_name] = _kernel
