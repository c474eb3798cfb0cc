"""
What every operator means on arrays, as one table of plain functions.

A kernel is a named, module-level function over an array namespace `xp` (NumPy or
``jax.numpy``). After `xp` come the operands in the schema's order (None where absent),
then the attributes as keywords under ONNX's names and defaults. An operator with
several or optional outputs gets ``outputs``, a flag per result, and returns a tuple of
that length with None where nothing is wanted. Element types (attributes `to`, `dtype`
…) arrive as names (``"float32"``, ``"bfloat16"``), tensors as NumPy arrays.

The emitter pastes the source of the kernels that a program uses, so a kernel uses only
NumPy, ml_dtypes, the standard library and module-level names: no decorator, lambda or
closure.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from . import (
    categories,
    contrib_attention,
    contrib_experts,
    contrib_fused,
    contrib_grouped,
    contrib_nchwc,
    contrib_normalization,
    contrib_packed,
    contrib_plain,
    contrib_quantized,
    contrib_quantized_blocks,
    contrib_quantized_products,
    contrib_text,
    convolution,
    decoding,
    elementwise,
    features,
    fourier,
    image,
    indexing,
    linear,
    linear_attention,
    linear_models,
    movement,
    nhwc,
    normalization,
    optimizers,
    pooling,
    quantization,
    recurrent,
    reduction,
    sequences,
    signal,
    sparsity,
    trees,
)

Kernel: TypeAlias = Callable[..., Any]

_FAMILIES = (
    categories,
    contrib_attention,
    contrib_experts,
    contrib_fused,
    contrib_grouped,
    contrib_nchwc,
    contrib_normalization,
    contrib_packed,
    contrib_plain,
    contrib_quantized,
    contrib_quantized_blocks,
    contrib_quantized_products,
    contrib_text,
    convolution,
    decoding,
    elementwise,
    features,
    fourier,
    image,
    indexing,
    linear,
    linear_attention,
    linear_models,
    movement,
    nhwc,
    normalization,
    optimizers,
    pooling,
    quantization,
    recurrent,
    reduction,
    sequences,
    signal,
    sparsity,
    trees,
)

KERNELS: dict[str, Kernel] = {}
"""The kernel of every operator that has one, by op name (``onnx.Conv``)."""

STATIC: dict[str, tuple[int, ...]] = {}
"""
Per op name, the operands whose values fix shapes.

A kernel gets them as NumPy arrays under every namespace, so a backend that traces must
know them before the program runs.
"""

for _family in _FAMILIES:
    for _name, _kernel in _family.KERNELS.items():
        # Operators of other domains have their dialect's name before them already.
        _op_name = _name if "." in _name else f"onnx.{_name}"
        assert _op_name not in KERNELS, f"two kernels for {_name}"
        KERNELS[_op_name] = _kernel
    for _name, _operands in _family.STATIC.items():
        STATIC[_name if "." in _name else f"onnx.{_name}"] = _operands
