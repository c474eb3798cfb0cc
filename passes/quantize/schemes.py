"""How the weights of a module are quantized, read from its ops."""

from __future__ import annotations

from collections.abc import Iterator

from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue

from ...dialects.onnx import DenseAttr, OnnxOp, WeightAttr, WeightStore
from ...dialects.onnx.packing import BITS
from ...dialects.onnx.types import DTYPE_NAMES, element_of, static_shape
from ...dialects.quant import Format, Granularity, Scheme
from ..facts import given, name_of, rank_of, setting

_CODED = {
    "onnx.BitShift": 0,
    "onnx.Cast": 0,
    "onnx.DequantizeLinear": 0,
    "onnx.MatMulInteger": 1,
    "onnx.ConvInteger": 1,
    "microsoft.MatMulNBits": 1,
}
"""The operand of an operator that may be a weight's codes."""

_FORMATS = {"float8_e4m3fn": "e4m3", "float8_e5m2": "e5m2"}


def scheme_of(op: OnnxOp) -> Scheme | None:
    """The scheme of the constant codes that `op` takes; None if it takes none."""
    place = _CODED.get(op.name)
    if place is None or name_of(op.operands[place]) != "onnx.Constant":
        return None
    if op.name == "microsoft.MatMulNBits":
        form = Format(f"uint{setting(op, 'bits')}", not given(op.operands[3]))
        return Scheme(form, Granularity(0, setting(op, "block_size")))
    if op.name == "onnx.BitShift":
        # Four codes of 2 bits in a byte, places in a table of values.
        return Scheme(Format("uint2"))
    codes = op.operands[place]
    element = element_of(codes.type)
    name = "" if element is None else DTYPE_NAMES.get(element, "")
    if op.name == "onnx.Cast" and name not in BITS:
        return None
    try:
        form = Format(_FORMATS.get(name, name))
    except ValueError:
        return None
    if op.name == "onnx.Cast":
        # Places in a table of values.
        return Scheme(form)
    if op.name == "onnx.DequantizeLinear":
        return Scheme(form, _granularity(op))
    return Scheme(form, _scaled_later(op))


def _granularity(op: OnnxOp) -> Granularity:
    rank = rank_of(op.operands[1])
    if rank == 0 or static_shape(op.operands[1].type) == (1,):
        return Granularity()
    return Granularity(setting(op, "axis"), setting(op, "block_size"))


def _scaled_later(op: OnnxOp) -> Granularity:
    """What shares a scale in a product of integers: the scale follows the product."""
    axis = 0 if op.name == "onnx.ConvInteger" else 1
    shape = static_shape(op.operands[1].type) or ()
    for use in op.results[0].uses:
        for after in use.operation.results[0].uses:
            other = after.operation.operands[1 - after.index]
            if shape and _elements(other) == shape[axis] > 1:
                return Granularity(axis)
    return Granularity()


def _elements(value: SSAValue) -> int:
    """How many elements a value has, those of free sizes not counted."""
    total = 1
    owner = value.owner
    wide = owner.operands if isinstance(owner, OnnxOp) and owner.operands else [value]
    for one in wide:
        count = 1
        for size in static_shape(one.type) or ():
            count *= size
        total = max(total, count)
    return total


def schemes_in(module: ModuleOp) -> Iterator[tuple[OnnxOp, Scheme]]:
    """The ops of `module` that take constant codes, and how these are quantized."""
    for op in module.walk():
        if isinstance(op, OnnxOp) and (scheme := scheme_of(op)) is not None:
            yield op, scheme


def constant_bytes(op: OnnxOp, store: WeightStore) -> int:
    """The bytes on disk of the constant that `op` is."""
    held = op.properties.get("value")
    if isinstance(held, WeightAttr):
        return store[held.data].file_bytes if held.data in store else 0
    if isinstance(held, DenseAttr):
        return held.array().nbytes
    return 0
