"""Which library XLA is to compute a program's matrix products by: what sizes tell."""

from __future__ import annotations

import math

from xdsl.dialects.func import FuncOp
from xdsl.ir import SSAValue

from ...dialects.onnx import OnnxOp
from ...dialects.onnx.types import static_shape

MOST_FUSED = 1 << 25
"""Operations of a stack of products that is fused with what follows: some 0.2 ms."""

LARGE_MATRIX, LEAST_ROWS = 1 << 16, 8
"""
Elements of a matrix, and rows that it is multiplied by, from which Eigen is the faster
where vectors have 8 floats: 0.80 of YNNPACK's time at 256x256 and 16 rows, 0.60 at
384x384, 0.93 at 384x1536 and 512 rows; of 64x64 as much, and of 256x256 and 2 rows
1.22.
"""


def ends_products(value: SSAValue) -> bool:
    """
    Whether `value`, for one op alone, is a stack of products with sums behind them.

    That is where the library's own loop over products and what follows is worth it: a
    stack of 4 products of 784x36x36, a sum and Relu are 107 us in one, and 122 us and
    80 us in two. What follows a single product is better left to XLA, and a large one.
    """
    op = value.owner
    if not isinstance(op, OnnxOp) or not value.has_one_use():
        return False
    if op.name == "onnx.MatMul":
        first, second = (static_shape(x.type) for x in op.operands)
        if first is None or second is None or not len(first) == len(second) == 3:
            return False
        return 2 * math.prod(first) * second[2] <= MOST_FUSED
    return op.name in ("onnx.Add", "onnx.Sum") and any(map(ends_products, op.operands))


def has_large_products(main: FuncOp) -> bool:
    """
    Whether most of the arithmetic of the products with one matrix is in large ones.

    Rows that are unknown are taken for enough. A single row is no product to either
    library: XLA has a loop of its own.
    """
    large = others = 0
    for op in main.walk():
        if not isinstance(op, OnnxOp) or op.name not in ("onnx.MatMul", "onnx.Gemm"):
            continue
        first, matrix = (static_shape(x.type) for x in op.operands[:2])
        if matrix is None or len(matrix) != 2:
            continue
        rows = LEAST_ROWS if first is None else _rows(op, first)
        work = rows * math.prod(matrix)
        if rows >= LEAST_ROWS and math.prod(matrix) >= LARGE_MATRIX:
            large += work
        elif rows > 1:
            others += work
    return large > others


def _rows(op: OnnxOp, first: tuple[int, ...]) -> int:
    """How many rows are multiplied by the matrix: of the first operand's shape."""
    turned = op.python_attributes().get("transA")
    return first[-1] if turned else math.prod(first[:-1])
