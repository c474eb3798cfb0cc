"""Reductions and running sums: the official tests, and what those leave out."""

import math
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from onnx import helper
from sardonyx.backends.kernels import reduction

BACKENDS = ("numpy", "jax")
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
REDUCTIONS = sorted(name for name in reduction.KERNELS if name.startswith("Reduce"))
# Two take no integers; of the third the evaluator's sums are wider than the input.
SPECIAL = ("ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("op_type", sorted(reduction.KERNELS))
def test_official(check_official: Any, op_type: str, backend: str) -> None:
    check_official(op_type, backend)


def draw(shape: tuple[int, ...], dtype: Any, seed: int = 0) -> Any:
    values = np.random.default_rng(seed).uniform(1, 4, size=shape)
    return np.asarray(values, dtype)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", [np.float16, BFLOAT16, np.float32, np.float64])
@pytest.mark.parametrize("op_type", REDUCTIONS)
def test_floats(check_rounded: Any, op_type: str, dtype: Any, backend: str) -> None:
    x = draw((2, 3, 4), dtype)
    for axes in ([1], [-1, 0], [0, 1, 2], []):
        for keepdims in (0, 1):
            node = helper.make_node(op_type, ["x", "axes"], ["y"], keepdims=keepdims)
            check_rounded(node, [x, np.array(axes, np.int64)], backend)
    check_rounded(helper.make_node(op_type, ["x"], ["y"]), [x], backend)
    check_rounded(
        helper.make_node(op_type, ["x"], ["y"], keepdims=0), [x[0, 0, 0:1]], backend
    )


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("op_type", REDUCTIONS)
def test_no_axes_is_a_no_op(run_kernel: Any, op_type: str, backend: str) -> None:
    x = np.array([[1.0, 2.0], [0.5, 4.0]], np.float32)
    node = helper.make_node(op_type, ["x"], ["y"], noop_with_empty_axes=1)
    wanted = {"ReduceLogSum": np.log(x), "ReduceSumSquare": x * x}.get(op_type, x)
    (found,) = run_kernel(node, [x], backend)
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint32, np.uint64])
@pytest.mark.parametrize("op_type", sorted(set(REDUCTIONS) - set(SPECIAL)))
def test_integers(check_reference: Any, op_type: str, dtype: Any, backend: str) -> None:
    x = np.arange(1, 25).reshape(2, 3, 4).astype(dtype)
    for axes in ([1], [-1, 0]):
        node = helper.make_node(op_type, ["x", "axes"], ["y"])
        check_reference(node, [x[:, :, :2], np.array(axes, np.int64)], backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_integer_squares(run_kernel: Any, backend: str) -> None:
    node = helper.make_node("ReduceSumSquare", ["x"], ["y"], keepdims=0)
    (found,) = run_kernel(node, [np.array([[1, -2], [3, 4]], np.int32)], backend)
    assert found.dtype == np.int32
    assert found == 30


@pytest.mark.parametrize("backend", BACKENDS)
def test_integer_mean_truncates(run_kernel: Any, backend: str) -> None:
    x = np.array([[-3, 0], [3, 0], [-4, 0]], np.int32)
    node = helper.make_node("ReduceMean", ["x", "axes"], ["y"], keepdims=0)
    (found,) = run_kernel(node, [x, np.array([1])], backend)
    assert found.dtype == np.int32
    assert found.tolist() == [-1, 1, -2]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("op_type", REDUCTIONS)
def test_of_nothing(run_kernel: Any, op_type: str, backend: str) -> None:
    empty = {
        "ReduceLogSum": -math.inf,
        "ReduceLogSumExp": -math.inf,
        "ReduceMax": -math.inf,
        "ReduceMin": math.inf,
        "ReduceProd": 1,
        "ReduceMean": math.nan,
    }.get(op_type, 0)
    node = helper.make_node(op_type, ["x", "axes"], ["y"], keepdims=0)
    for dtype in (np.float32, BFLOAT16):
        (found,) = run_kernel(node, [np.zeros((2, 0), dtype), np.array([1])], backend)
        assert found.dtype == dtype
        np.testing.assert_array_equal(
            found.astype(np.float32), np.float32([empty, empty])
        )


@pytest.mark.parametrize("backend", BACKENDS)
def test_extremes_of_no_integers_and_booleans(run_kernel: Any, backend: str) -> None:
    for op_type, integer, boolean in (
        ("ReduceMax", -128, False),
        ("ReduceMin", 127, True),
    ):
        node = helper.make_node(op_type, ["x"], ["y"], keepdims=0)
        for dtype, wanted in ((np.int8, integer), (np.bool_, boolean)):
            (found,) = run_kernel(node, [np.zeros((0,), dtype)], backend)
            assert found.dtype == dtype
            assert found == wanted


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "op_type", ["ReduceMax", "ReduceMin", "ReduceSum", "ReduceLogSumExp"]
)
def test_not_a_number(run_kernel: Any, op_type: str, backend: str) -> None:
    node = helper.make_node(op_type, ["x"], ["y"], keepdims=0)
    for dtype in (np.float16, BFLOAT16, np.float32):
        (found,) = run_kernel(node, [np.array([1, math.nan, 2], dtype)], backend)
        assert np.isnan(found)


@pytest.mark.parametrize("backend", BACKENDS)
def test_log_sum_exp_of_large_numbers(run_kernel: Any, backend: str) -> None:
    node = helper.make_node("ReduceLogSumExp", ["x", "axes"], ["y"], keepdims=0)
    inf = math.inf
    x = np.array([[1e4, 1e4], [-inf, -inf], [inf, 0], [-1e4, -inf]], np.float32)
    (found,) = run_kernel(node, [x, np.array([1])], backend)
    wanted = np.float32([1e4 + math.log(2), -inf, inf, -1e4])
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("op_type", ["ArgMax", "ArgMin"])
@pytest.mark.parametrize("select_last_index", [0, 1])
def test_positions(
    check_reference: Any, op_type: str, select_last_index: int, backend: str
) -> None:
    x = np.random.default_rng(0).integers(0, 3, (3, 4, 5))
    for dtype in (np.float16, BFLOAT16, np.float32, np.int8, np.uint64):
        for axis in (0, -1):
            for keepdims in (0, 1):
                node = helper.make_node(
                    op_type,
                    ["x"],
                    ["y"],
                    axis=axis,
                    keepdims=keepdims,
                    select_last_index=select_last_index,
                )
                check_reference(node, [x.astype(dtype)], backend)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("op_type", ["CumSum", "CumProd"])
@pytest.mark.parametrize("exclusive", [0, 1])
@pytest.mark.parametrize("reverse", [0, 1])
def test_running(
    check_rounded: Any, op_type: str, exclusive: int, reverse: int, backend: str
) -> None:
    node = helper.make_node(
        op_type, ["x", "axis"], ["y"], exclusive=exclusive, reverse=reverse
    )
    for dtype in (np.float16, np.float32, np.float64, np.int32, np.int64, np.uint32):
        for axis in (0, -1):
            arrays = [draw((3, 4), dtype), np.array(axis, np.int32)]
            check_rounded(node, arrays, backend)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("op_type", ["CumSum", "CumProd"])
def test_running_over_nothing(run_kernel: Any, op_type: str, backend: str) -> None:
    node = helper.make_node(op_type, ["x", "axis"], ["y"], exclusive=1)
    x = np.zeros((2, 0), np.float32)
    assert run_kernel(node, [x, np.array(1)], backend)[0].shape == (2, 0)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", [np.float16, BFLOAT16, np.float32, np.float64])
def test_determinant(run_kernel: Any, dtype: Any, backend: str) -> None:
    x = np.array([[[2, 1], [0, 3]], [[0, 1], [1, 0]], [[1, 2], [2, 4]]], dtype)
    (found,) = run_kernel(helper.make_node("Det", ["x"], ["y"]), [x], backend)
    assert found.dtype == dtype
    np.testing.assert_allclose(found.astype(np.float64), [6, -1, 0], atol=1e-6)
