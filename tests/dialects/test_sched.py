"""Notes of a schedule: set, read, and taken away."""

from sardonyx.dialects.onnx import OnnxBuilder, WeightStore
from sardonyx.dialects.onnx.types import ELEMENT_TYPES, tensor
from sardonyx.dialects.sched import (
    OFFSETS,
    OUTSIDE,
    arena_of,
    clear_plan,
    offsets_of,
    set_arena,
    set_offsets,
)
from xdsl.dialects.builtin import StringAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Region


def test_notes() -> None:
    kind = tensor(ELEMENT_TYPES["float32"], (2,))
    block = Block(arg_types=[kind])
    op = OnnxBuilder(block.add_op, WeightStore()).op("onnx.Neg", block.args[0])
    block.add_op(ReturnOp(op.results[0]))
    main = FuncOp("main", ([kind], [kind]), Region(block))
    assert (arena_of(main), offsets_of(op)) == (None, (OUTSIDE,))
    set_arena(main, 128)
    set_offsets(op, [64])
    assert (arena_of(main), offsets_of(op)) == (128, (64,))
    main.verify()
    # Of another number of results it says nothing.
    set_offsets(op, [64, 0])
    assert offsets_of(op) == (OUTSIDE,)
    op.attributes[OFFSETS] = StringAttr("64")
    assert offsets_of(op) == (OUTSIDE,)
    set_offsets(op, [OUTSIDE])
    assert OFFSETS not in op.attributes
    set_offsets(op, [0])
    clear_plan(main)
    assert (arena_of(main), offsets_of(op)) == (None, (OUTSIDE,))
    assert OFFSETS not in op.attributes
