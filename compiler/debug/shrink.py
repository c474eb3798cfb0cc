"""
Makes a small case simpler: ops bypassed, sizes made smaller, values made plain.

Each step gives candidates; whoever asks keeps those that still show the fault.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from xdsl.ir import Operation, SSAValue
from xdsl.rewriter import Rewriter

from ...dialects.onnx import DenseAttr, OnnxOp, WeightAttr
from ...dialects.onnx.builder import INLINE_ELEMENTS
from ...dialects.onnx.infer import result_types
from ...dialects.onnx.integers import IntegerValues
from ...dialects.onnx.types import Array, element_of, is_none, static_shape, tensor
from ...passes.fold_constants import constant_of
from ...passes.specialize_dims import update_function_type
from ..model import Model
from .subgraph import Case, body_ops

SMALL_SIZES = (1, 2, 3, 4, 8)
"""What sizes are tried instead of larger ones."""


def bypassed(case: Case) -> Iterator[Case]:
    """Cases in which one op is replaced by an operand of its result's type."""
    for place, op in enumerate(body_ops(case.model)):
        results = [r for r in op.results if not is_none(r.type)]
        if len(results) != 1 or op.regions:
            continue
        for index, operand in enumerate(op.operands):
            if operand.type == results[0].type:
                copy = case.model.clone()
                twin = body_ops(copy)[place]
                result = twin.results[op.results.index(results[0])]
                result.replace_all_uses_with(twin.operands[index])
                twin.detach()
                twin.erase()
                yield Case(copy, case.inputs)


def sizes_of(case: Case) -> list[int]:
    """The sizes of the inputs' and constants' axes, the largest first."""
    shapes = [static_shape(value.type) for value in _leaves(case.model)]
    found = {size for shape in shapes for size in shape or ()}
    return sorted((size for size in found if size > 1), reverse=True)


def resized(case: Case, old: int, new: int, also_values: bool) -> Case | None:
    """
    The case with every size `old` of an input or constant made `new`, or None.

    With `also_values`, an `old` within a constant of integers becomes `new` too: a
    shape that the graph names. None if the ops do not take such sizes.
    """
    copy = case.model.clone()
    inputs = None if case.inputs is None else dict(case.inputs)
    names = iter([value.name for value in copy.inputs])
    for value in _leaves(copy):
        shape, element = static_shape(value.type), element_of(value.type)
        if shape is None or element is None:
            return None
        cut = tuple(slice(new) if size == old else slice(None) for size in shape)
        if isinstance(value.owner, Operation):
            array = constant_array(value, copy)[cut]
            if also_values and array.dtype.kind in "iu":
                array = np.where(array == old, np.array(new, array.dtype), array)
            _hold(value, array, copy)
            continue
        name = next(names)
        if inputs is not None:
            inputs[name] = inputs[name][cut]
        kind = tensor(element, [new if size == old else size for size in shape])
        Rewriter.replace_value_with_new_type(value, kind)
    return Case(copy, inputs) if _inferred(copy) else None


def plainer(case: Case) -> Iterator[Case]:
    """Cases in which one input or constant of floats has plainer values."""
    for place, value in enumerate(_leaves(case.model)):
        array = _array(case, place, value)
        if array is None or array.dtype.kind not in "fV" or not array.size:
            continue
        for plain in _plain_values(array):
            if np.array_equal(plain, array):
                # What is plain already stays.
                break
            yield _with_array(case, place, plain)


def _plain_values(array: Array) -> Iterator[Array]:
    yield np.zeros_like(array)
    yield np.ones_like(array)
    count: Array = np.arange(1, array.size + 1) % 7
    yield count.reshape(array.shape).astype(array.dtype)
    rounded: Array = np.round(np.asarray(array, np.float64))
    yield rounded.astype(array.dtype)


def _leaves(model: Model) -> list[SSAValue]:
    """The inputs, then the results of the constants of tensors in ``@main``."""
    block = model.main.body.block
    constants = [
        op.results[0]
        for op in block.ops
        if op.name == "onnx.Constant"
        and constant_of(op.results[0], model.context.store) is not None
    ]
    return [*block.args, *constants]


def constant_array(value: SSAValue, model: Model) -> Array:
    """The array of a constant."""
    read = constant_of(value, model.context.store)
    assert read is not None, "a leaf that an op gives is a constant"
    return read()


def _array(case: Case, place: int, value: SSAValue) -> Array | None:
    if isinstance(value.owner, Operation):
        return constant_array(value, case.model)
    if case.inputs is None:
        return None
    found: Any = case.inputs[case.model.inputs[place].name]
    return np.asarray(found) if isinstance(found, np.ndarray) else None  # pyright: ignore[reportUnknownArgumentType]


def _with_array(case: Case, place: int, array: Array) -> Case:
    copy = case.model.clone()
    value = _leaves(copy)[place]
    if isinstance(value.owner, Operation):
        _hold(value, array, copy)
        return Case(copy, case.inputs)
    assert case.inputs is not None, "an input's values change where it has some"
    return Case(copy, {**case.inputs, copy.inputs[place].name: array})


def _hold(value: SSAValue, array: Array, model: Model) -> None:
    """Make the constant `value` hold `array`."""
    op = value.owner
    assert isinstance(op, Operation), "a constant is an op's result"
    array = np.ascontiguousarray(array)
    if array.size <= INLINE_ELEMENTS or array.dtype == object:
        op.properties["value"] = DenseAttr.of(array)
        kind = DenseAttr.of(array).type
    else:
        key = model.context.store.add(value.name_hint or "constant", array)
        op.properties["value"] = WeightAttr(key)
        kind = model.context.store[key].type
    if kind != value.type:
        Rewriter.replace_value_with_new_type(value, kind)


def _inferred(model: Model) -> bool:
    """Infer the types of all ops anew; whether they take what they are given."""
    integers = IntegerValues(model.context.store)
    for op in body_ops(model):
        if not isinstance(op, OnnxOp) or op.has_body:
            return False
        wanted = [not is_none(kind) for kind in op.result_types]
        try:
            kinds = result_types(op.name, op.operands, op.properties, wanted, integers)
        except ValueError:
            return False
        for result, kind in zip(op.results, kinds, strict=True):
            if result.type != kind:
                Rewriter.replace_value_with_new_type(result, kind)
    update_function_type(model.main)
    return True
