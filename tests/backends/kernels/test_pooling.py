"""Pooling kernels."""

from typing import Any

import numpy as np
import pytest
from onnx import helper

BACKENDS = ("numpy", "jax")
OPS = (
    "AveragePool",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "LpPool",
    "MaxPool",
    "MaxUnpool",
)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


COARSE = {
    "test_averagepool_2d_ceil_last_window_starts_on_pad": "wanted to four places only"
}

WINDOWS = [
    ((2, 3, 11), {"kernel_shape": [3], "strides": [2], "pads": [1, 1]}),
    ((1, 2, 8, 9), {"kernel_shape": [3, 2], "dilations": [2, 1], "strides": [1, 2]}),
    ((1, 2, 7, 7), {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}),
    ((1, 2, 8, 8), {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}),
    (
        (1, 2, 2, 2),
        {
            "kernel_shape": [3, 3],
            "strides": [3, 3],
            "pads": [1, 1, 1, 1],
            "ceil_mode": 1,
        },
    ),
    ((1, 1, 4, 5, 6), {"kernel_shape": [2, 2, 3], "pads": [0, 1, 1, 1, 0, 0]}),
    ((1, 2, 7, 8), {"kernel_shape": [3, 2], "auto_pad": "SAME_UPPER"}),
    ((1, 2, 7, 8), {"kernel_shape": [3, 2], "auto_pad": "SAME_LOWER"}),
    ((0, 2, 7, 8), {"kernel_shape": [3, 2]}),
]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("op_type", OPS)
def test_official(check_official: Any, op_type: str, backend: str) -> None:
    check_official(op_type, backend, skip=COARSE)


def evaluator_is_right(op_type: str, shape: Any, attributes: Any) -> bool:
    """
    ONNX's evaluator pads the front of LpPool where a window hangs over the end, and
    reads outside the image in a MaxPool of three axes; tests of their own have these.
    """
    if op_type == "LpPool":
        return "ceil_mode" not in attributes
    return op_type != "MaxPool" or len(shape) < 5


WINDOW_CASES = [
    (op_type, shape, attributes)
    for op_type in ("MaxPool", "AveragePool", "LpPool")
    for shape, attributes in WINDOWS
    if evaluator_is_right(op_type, shape, attributes)
]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("op_type", "shape", "attributes"), WINDOW_CASES)
def test_windows(
    check_reference: Any, op_type: str, shape: Any, attributes: Any, backend: str
) -> None:
    x = rng().standard_normal(shape).astype(np.float32)
    node = helper.make_node(op_type, ["x"], ["y"], **attributes)
    check_reference(node, [x], backend)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("shape", "attributes"), WINDOWS)
def test_average_with_padding(
    check_reference: Any, shape: Any, attributes: Any, backend: str
) -> None:
    x = rng().standard_normal(shape).astype(np.float32)
    node = helper.make_node(
        "AveragePool", ["x"], ["y"], count_include_pad=1, **attributes
    )
    check_reference(node, [x], backend)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("storage_order", [0, 1])
@pytest.mark.parametrize("dtype", [np.float32, np.int8, np.float16])
def test_max_pool_indices(
    check_reference: Any, storage_order: int, dtype: Any, backend: str
) -> None:
    x = rng().integers(-9, 9, (2, 3, 7, 6)).astype(dtype)
    node = helper.make_node(
        "MaxPool",
        ["x"],
        ["y", "where"],
        kernel_shape=[3, 2],
        strides=[2, 2],
        pads=[1, 0, 1, 0],
        storage_order=storage_order,
    )
    check_reference(node, [x], backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_max_pool_of_minus_infinity(
    run_kernel: Any, assert_close: Any, backend: str
) -> None:
    x = np.full((1, 1, 2, 2), -np.inf, np.float32)
    attributes = {"kernel_shape": [2, 2], "pads": [1, 1, 0, 0]}
    node = helper.make_node("MaxPool", ["x"], ["y", "where"], **attributes)
    y, where = run_kernel(node, [x], backend)
    assert_close(y, x)
    assert_close(where, np.array([[[[0, 0], [0, 0]]]]))


@pytest.mark.parametrize("backend", BACKENDS)
def test_max_roi_pool(run_kernel: Any, assert_close: Any, backend: str) -> None:
    x = rng().standard_normal((2, 3, 8, 10)).astype(np.float32)
    rois = np.array([[0, 0, 0, 7, 5], [1, 4, 4, 18, 14], [1, 30, 30, 40, 40]])
    node = helper.make_node(
        "MaxRoiPool", ["x", "rois"], ["y"], pooled_shape=[2, 2], spatial_scale=0.5
    )
    (y,) = run_kernel(node, [x, rois.astype(np.float32)], backend)
    wanted = np.zeros((3, 3, 2, 2), np.float32)
    # The scaled corners, rounded: (0, 0) to (4, 3), then (2, 2) to (9, 7).
    boxes = [(0, 0, 0, 5, 4), (1, 2, 2, 8, 6)]
    for r, (batch, left, top, width, height) in enumerate(boxes):
        for i, j in np.ndindex(2, 2):
            rows = slice(top + i * height // 2, top + -(-(i + 1) * height // 2))
            columns = slice(left + j * width // 2, left + -(-(j + 1) * width // 2))
            wanted[r, :, i, j] = x[batch, :, rows, columns].max(axis=(1, 2))
    assert_close(y, wanted)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("p", [1, 2, 3])
def test_global_lp_pool(
    run_kernel: Any, assert_close: Any, p: int, backend: str
) -> None:
    x = rng().standard_normal((2, 3, 4, 5)).astype(np.float32)
    node = helper.make_node("GlobalLpPool", ["x"], ["y"], p=p)
    (y,) = run_kernel(node, [x], backend)
    powers = (np.abs(x.astype(np.float64)) ** p).sum(axis=(2, 3), keepdims=True)
    assert_close(y, (powers ** (1 / p)).astype(np.float32))


@pytest.mark.parametrize("backend", BACKENDS)
def test_windows_that_the_evaluator_gets_wrong(
    run_kernel: Any, assert_close: Any, backend: str
) -> None:
    x = rng().standard_normal((1, 2, 6)).astype(np.float32)
    attributes = {"kernel_shape": [3], "strides": [2], "ceil_mode": 1}
    node = helper.make_node("LpPool", ["x"], ["y"], p=1, **attributes)
    (y,) = run_kernel(node, [x], backend)
    a = np.abs(x)
    wanted = [a[..., 0:3].sum(-1), a[..., 2:5].sum(-1), a[..., 4:6].sum(-1)]
    assert_close(y, np.stack(wanted, -1))
    x = rng().standard_normal((1, 1, 2, 2, 3)).astype(np.float32)
    attributes = {"kernel_shape": [2, 2, 2], "pads": [0, 1, 0, 0, 0, 1]}
    node = helper.make_node("MaxPool", ["x"], ["y"], **attributes)
    y = run_kernel(node, [x], backend)[0]
    rows = np.stack((x[..., 0, :].max(2), x.max((2, 3))), -2)
    wanted = np.maximum(rows, np.concatenate((rows[..., 1:], rows[..., 2:]), -1))
    assert_close(y, wanted[:, :, None])
