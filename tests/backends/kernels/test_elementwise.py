"""Elementwise kernels: the official tests, and what those leave out."""

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from onnx import helper
from sardonyx.backends.kernels import elementwise

BACKENDS = ("numpy", "jax")
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
TEXT = "JAX has no strings"
# Operators without an official test at their newest opset.
UNTESTED: set[str] = set()
SKIP = {
    "jax": {
        "Equal": {"test_equal_string": TEXT, "test_equal_string_broadcast": TEXT},
    }
}
UNARY = (
    "Abs Asinh Atan Ceil Celu Cos Elu Erf Exp Floor Gelu HardSigmoid HardSwish IsInf IsNaN "
    "LeakyRelu Mish Neg Relu Round Selu Sigmoid Sign Sin Softplus Softsign Swish Tanh "
    "ThresholdedRelu"
).split()
SINGLE = ("Erf", "Gelu", "HardSwish")
BINARY = "Add Sub Mul Div Pow Max Min Less LessOrEqual Greater GreaterOrEqual Equal".split()
INTEGERS = (np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("op_type", sorted(set(elementwise.KERNELS) - UNTESTED))
def test_official(check_official: Any, op_type: str, backend: str) -> None:
    check_official(op_type, backend, SKIP.get(backend, {}).get(op_type))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", [np.float16, BFLOAT16, np.float32, np.float64])
@pytest.mark.parametrize("op_type", UNARY)
def test_unary(check_rounded: Any, op_type: str, dtype: Any, backend: str) -> None:
    if dtype == np.float64 and op_type in SINGLE:
        pytest.skip("the evaluator computes it in float32")
    for shape in ((0, 3), (3, 5), (2, 1, 7)):
        check_rounded(helper.make_node(op_type, ["x"], ["y"]), [draw(shape, dtype)], backend)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", [np.float16, BFLOAT16, np.float32, np.float64])
@pytest.mark.parametrize("op_type", BINARY)
def test_binary(check_rounded: Any, op_type: str, dtype: Any, backend: str) -> None:
    node = helper.make_node(op_type, ["a", "b"], ["y"])
    for left, right in (((), ()), ((0, 3), (3,)), ((4, 1, 3), (2, 1)), ((), (2, 2))):
        a = np.abs(draw(left, dtype)) if op_type == "Pow" else draw(left, dtype)
        check_rounded(node, [np.asarray(a, dtype), draw(right, dtype)], backend)


def draw(shape: tuple[int, ...], dtype: Any, seed: int = 0) -> Any:
    return np.asarray(np.random.default_rng(seed).normal(size=shape) * 3, dtype)
