"""One op on operands of given shapes."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sardonyx.dialects.onnx import OnnxBuilder, OnnxOp, WeightStore
from sardonyx.dialects.onnx.types import ELEMENT_TYPES, tensor
from xdsl.ir import Attribute, Block


def make_op(name: str, *given: Any, outputs: Any = 1, **attributes: Any) -> OnnxOp:
    """
    An op in a block of its own; an operand is a shape (float32), a type, an array (a
    constant) or None.
    """
    kinds = [
        tensor(ELEMENT_TYPES["float32"], one) if isinstance(one, tuple) else one
        for one in given
    ]
    block = Block(arg_types=[kind for kind in kinds if isinstance(kind, Attribute)])
    arguments = iter(block.args)
    builder = OnnxBuilder(block.add_op, WeightStore())
    operands = []
    for kind in kinds:
        if isinstance(kind, np.ndarray):
            operands.append(builder.constant(kind))
        else:
            operands.append(None if kind is None else next(arguments))
    return builder.op(f"onnx.{name}", *operands, outputs=outputs, **attributes)


@pytest.fixture(name="op_of")
def op_of_fixture() -> Callable[..., OnnxOp]:
    """``op_of("MatMul", (2, 3), (3, 4))``: see `make_op`."""
    return make_op


def typed(dtype: str, *shape: int | str | None) -> Attribute:
    return tensor(ELEMENT_TYPES[dtype], shape)


@pytest.fixture(name="typed")
def typed_fixture() -> Callable[..., Attribute]:
    """``typed("int8", 2, "n")``: a tensor type."""
    return typed
