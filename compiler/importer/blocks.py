"""
Notes how many channels ONNX Runtime put in a block of its blocked convolutions.

It is 16 on a processor with AVX-512 and 8 on others, and no attribute says so. One
weight whose sizes allow only 8, though, tells it for the whole model, as one processor
wrote all of it (nchwc_transformer.cc of ONNX Runtime, `TransformConv`). A model in
which every size allows both is read with 16.
"""

from __future__ import annotations

from collections.abc import Iterator

from xdsl.dialects.builtin import IntegerAttr, ModuleOp, i64
from xdsl.ir import SSAValue

from ...dialects.onnx import OnnxOp
from ...dialects.onnx.blocks import BLOCK, LARGER, SMALLER, block_size
from ...dialects.onnx.types import static_shape

BLOCKED = "microsoft_nchwc."
"""What the names of operators on blocked tensors begin with."""


def note_blocks(module: ModuleOp) -> None:
    """Note the smaller block at each convolution in blocks, if one of them tells it."""
    convolutions = list(_weights(module))
    if any(_is_small(op, weight) for op, weight in convolutions):
        for op, _ in convolutions:
            op.attributes[BLOCK] = IntegerAttr(SMALLER, i64)


def _weights(module: ModuleOp) -> Iterator[tuple[OnnxOp, tuple[int, ...]]]:
    """The blocked convolutions and the shapes of their weights."""
    for op in module.walk():
        if isinstance(op, OnnxOp) and op.name == f"{BLOCKED}Conv":
            weight = static_shape(op.operands[1].type)
            # The kernel refuses what is no whole block.
            if weight is not None and weight[0] % SMALLER == 0:
                yield op, weight


def _is_small(op: OnnxOp, weight: tuple[int, ...]) -> bool:
    """
    Whether only the smaller block allows the weight.

    With the larger one, an image of fewer channels than a block is read as it is, never
    in blocks as another operator leaves it.
    """
    outputs, inputs, *_ = weight
    if block_size(outputs, inputs) == SMALLER:
        return True
    return SMALLER <= inputs < LARGER and _is_blocked(op.operands[0])


def _is_blocked(value: SSAValue) -> bool:
    """Whether an operator leaves `value` in blocks."""
    name = value.owner.name if isinstance(value.owner, OnnxOp) else ""
    return name.startswith(BLOCKED) and name != f"{BLOCKED}ReorderOutput"
