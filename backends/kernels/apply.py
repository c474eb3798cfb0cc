"""Runs one op on arrays by its kernel: to fold constants and to prove rules."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from xdsl.ir import TypeAttribute

from ...dialects.onnx import DenseAttr, OnnxOp
from ...dialects.onnx.attributes import python_value
from ...dialects.onnx.blocks import BLOCK
from ...dialects.onnx.proto import ELEMENT_NAMES
from ...dialects.onnx.provenance import describe
from ...dialects.onnx.types import Array, is_none
from . import KERNELS

ELEMENT_TYPE_ATTRIBUTES = frozenset(["to", "dtype", "output_dtype", "output_datatype"])
"""Integer attributes that name an element type by ONNX's number."""


def kernel_attributes(op: OnnxOp) -> dict[str, Any]:
    """The attributes of `op` as its kernel takes them; weights stay WeightAttr."""
    noted = {BLOCK: op.attributes[BLOCK]} if BLOCK in op.attributes else {}
    return {
        name: _kernel_value(name, value)
        for name, value in {**op.properties, **noted}.items()
        # A type is the result's, which inference knows; no kernel needs it.
        if not isinstance(value, TypeAttribute)
    }


def _kernel_value(name: str, value: Any) -> Any:
    if isinstance(value, DenseAttr):
        return value.array()
    content = python_value(value)
    if name in ELEMENT_TYPE_ATTRIBUTES:
        return ELEMENT_NAMES[content] if content else None
    return content


def wanted_outputs(op: OnnxOp) -> tuple[bool, ...]:
    """A flag per result: whether anybody asked for it."""
    return tuple(not is_none(kind) for kind in op.result_types)


def apply(op: OnnxOp, operands: Sequence[Array | None]) -> list[Array | None]:
    """
    The results of `op` on NumPy arrays; ValueError if it has no kernel.

    Overflow and nan are results. Whatever a kernel raises on operands it does not take
    (ValueError, IndexError …) is handed on.
    """
    if op.name not in KERNELS:
        raise ValueError(f"{describe(op)} has no kernel")
    kernel = KERNELS[op.name]
    attributes = kernel_attributes(op)
    if "outputs" in inspect.signature(kernel).parameters:
        attributes["outputs"] = wanted_outputs(op)
    with np.errstate(all="ignore"):
        found = kernel(np, *operands, **attributes)
    results = cast(tuple[Any, ...], found) if isinstance(found, tuple) else (found,)
    return [None if r is None else np.asarray(r) for r in results]
