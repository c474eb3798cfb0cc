"""The kernels that the numpy backend does better than the shared ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import (
    arithmetic,
    attention,
    convolution,
    elementwise,
    fourier,
    nhwc,
    normalization,
    pooling,
    quantization,
    sparsity,
)

_FAMILIES: tuple[Any, ...] = (
    arithmetic,
    attention,
    convolution,
    elementwise,
    fourier,
    nhwc,
    normalization,
    pooling,
    quantization,
    sparsity,
)

KERNELS: dict[str, Callable[..., Any]] = {}
"""Replacements for shared kernels, by op name (``onnx.Conv``)."""

INNER: dict[Callable[..., Any], Callable[..., Any]] = {}
"""Replacements for what shared kernels call that is no op's kernel."""

for _family in _FAMILIES:
    for _name, _kernel in getattr(_family, "KERNELS", {}).items():
        # Operators of other domains have their dialect's name before them already.
        _op_name = _name if "." in _name else f"onnx.{_name}"
        assert _op_name not in KERNELS, f"two kernels for {_name}"
        KERNELS[_op_name] = _kernel
    INNER.update(getattr(_family, "INNER", {}))
