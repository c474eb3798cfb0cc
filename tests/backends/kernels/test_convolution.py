"""Convolution kernels."""

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from onnx import helper
from sardonyx.backends.jax.kernels import KERNELS as JAX
from sardonyx.backends.kernels import KERNELS
from sardonyx.backends.numpy.kernels import KERNELS as NUMPY

BACKENDS = ("numpy", "jax")
OPS = ("Conv", "ConvInteger", "ConvTranspose", "DeformConv", "QLinearConv")

# (shape of x, shape of w, attributes)
CONVOLUTIONS = [
    ((2, 3, 11), (4, 3, 3), {"strides": [2], "pads": [1, 2]}),
    ((2, 4, 9, 8), (6, 2, 3, 3), {"group": 2, "dilations": [2, 1]}),
    ((1, 5, 7, 9), (5, 1, 3, 3), {"group": 5, "pads": [1, 1, 1, 1]}),
    ((1, 3, 7, 9), (6, 1, 3, 3), {"group": 3, "strides": [2, 3]}),
    ((2, 3, 10, 9), (4, 3, 1, 1), {}),
    ((2, 3, 10, 9), (4, 3, 1, 1), {"strides": [2, 2]}),
    ((1, 2, 12, 11), (3, 2, 5, 3), {"pads": [2, 1, 0, 3], "strides": [1, 2]}),
    ((1, 2, 6, 5, 7), (3, 2, 3, 2, 3), {"pads": [1, 0, 1, 1, 1, 0]}),
    ((1, 4, 5, 6, 7), (2, 2, 2, 2, 2), {"group": 2, "strides": [2, 1, 2]}),
    ((1, 2, 9, 8), (3, 2, 3, 2), {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    ((1, 2, 9, 8), (3, 2, 3, 2), {"auto_pad": "SAME_LOWER", "strides": [2, 2]}),
    ((1, 2, 9, 8), (3, 2, 3, 2), {"auto_pad": "VALID"}),
    ((0, 2, 9, 8), (3, 2, 3, 2), {}),
]

TRANSPOSED = [
    ((2, 3, 5), (3, 4, 3), {"strides": [2], "pads": [1, 0]}),
    ((1, 3, 4, 5), (3, 2, 3, 3), {"strides": [3, 2], "output_padding": [2, 1]}),
    ((1, 3, 4, 5), (3, 2, 3, 3), {"dilations": [2, 2], "pads": [1, 2, 3, 0]}),
    ((1, 2, 3, 4), (2, 2, 3, 3), {"strides": [2, 2], "auto_pad": "SAME_UPPER"}),
    ((1, 2, 3, 4), (2, 2, 3, 3), {"strides": [2, 2], "auto_pad": "SAME_LOWER"}),
    ((1, 2, 3, 4, 2), (2, 1, 2, 3, 2), {"strides": [2, 1, 2]}),
]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def plain_conv(x: Any, w: Any, attributes: dict[str, Any]) -> Any:
    """The sum that defines a convolution, window by window, in float64."""
    rank = x.ndim - 2
    strides = attributes.get("strides", [1] * rank)
    dilations = attributes.get("dilations", [1] * rank)
    pads, group = attributes.get("pads", [0] * 2 * rank), attributes.get("group", 1)
    spans = [(k - 1) * d + 1 for k, d in zip(w.shape[2:], dilations, strict=True)]
    if attributes.get("auto_pad", "NOTSET").startswith("SAME"):
        begins, ends = [], []
        for n, s, span in zip(x.shape[2:], strides, spans, strict=True):
            total = max((-(-n // s) - 1) * s + span - n, 0)
            upper = attributes["auto_pad"] == "SAME_UPPER"
            begins.append(total // 2 if upper else total - total // 2)
            ends.append(total - begins[-1])
        pads = begins + ends
    pairs = [(0, 0), (0, 0), *zip(pads[:rank], pads[rank:], strict=True)]
    padded = np.pad(x.astype(np.float64), pairs)
    counts = [
        (n - span) // s + 1
        for n, s, span in zip(padded.shape[2:], strides, spans, strict=True)
    ]
    y = np.zeros((x.shape[0], w.shape[0], *counts))
    maps, depth = w.shape[0] // group, w.shape[1]
    for m in range(w.shape[0]):
        first = m // maps * depth
        for place in np.ndindex(*counts):
            window = [
                slice(p * s, p * s + span, d)
                for p, s, span, d in zip(place, strides, spans, dilations, strict=True)
            ]
            seen = padded[(slice(None), slice(first, first + depth), *window)]
            weighed = seen * w[m].astype(np.float64)
            y[(slice(None), m, *place)] = weighed.sum(axis=tuple(range(1, x.ndim)))
    return y


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("op_type", OPS)
def test_official(check_official: Any, op_type: str, backend: str) -> None:
    check_official(op_type, backend)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize(("shape", "weight", "attributes"), CONVOLUTIONS)
def test_conv_is_the_sum(
    run_kernel: Any,
    assert_close: Any,
    shape: tuple[int, ...],
    weight: tuple[int, ...],
    attributes: dict[str, Any],
    dtype: Any,
    backend: str,
) -> None:
    x = rng().standard_normal(shape).astype(dtype)
    w = rng(1).standard_normal(weight).astype(dtype)
    b = rng(2).standard_normal(weight[0]).astype(dtype)
    node = helper.make_node("Conv", ["x", "w", "b"], ["y"], **attributes)
    (y,) = run_kernel(node, [x, w, b], backend)
    bias = b.astype(np.float64).reshape(-1, *(1,) * (len(shape) - 2))
    assert_close(y, (plain_conv(x, w, attributes) + bias).astype(dtype))


@pytest.mark.parametrize("backend", BACKENDS)
def test_conv_adds_bfloat16_in_float32(
    run_kernel: Any, assert_close: Any, backend: str
) -> None:
    x = rng().standard_normal((1, 64, 5, 5)).astype(ml_dtypes.bfloat16)
    w = rng(1).standard_normal((3, 64, 3, 3)).astype(ml_dtypes.bfloat16)
    node = helper.make_node("Conv", ["x", "w"], ["y"])
    (y,) = run_kernel(node, [x, w], backend)
    assert_close(y, plain_conv(x, w, {}).astype(ml_dtypes.bfloat16))


@pytest.mark.parametrize("table", [KERNELS, NUMPY, JAX])
def test_conv_refuses_what_it_does_not_know(table: dict[str, Any]) -> None:
    xp, conv = np, table["onnx.Conv"]
    x, w = np.zeros((1, 1, 4, 4), np.float32), np.zeros((1, 1, 3, 3), np.float32)
    with pytest.raises(ValueError, match="found auto_pad 'SAME'"):
        conv(xp, x, w, auto_pad="SAME")
    with pytest.raises(ValueError, match="found kernel_shape"):
        conv(xp, x, w, kernel_shape=(2, 2))


@pytest.mark.parametrize("op_type", ["Conv", "ConvTranspose"])
def test_shared_kernels_agree_with_numpy(assert_close: Any, op_type: str) -> None:
    for shape, weight, attributes in CONVOLUTIONS if op_type == "Conv" else TRANSPOSED:
        x = rng().standard_normal(shape).astype(np.float32)
        w = rng(1).standard_normal(weight).astype(np.float32)
        shared, fast = KERNELS[f"onnx.{op_type}"], NUMPY[f"onnx.{op_type}"]
        assert_close(shared(np, x, w, **attributes), fast(np, x, w, **attributes))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("shape", "weight", "attributes"), TRANSPOSED)
def test_conv_transpose(
    check_reference: Any,
    shape: tuple[int, ...],
    weight: tuple[int, ...],
    attributes: dict[str, Any],
    backend: str,
) -> None:
    x = rng().standard_normal(shape).astype(np.float32)
    w = rng(1).standard_normal(weight).astype(np.float32)
    b = rng(2).standard_normal(weight[1]).astype(np.float32)
    node = helper.make_node("ConvTranspose", ["x", "w", "b"], ["y"], **attributes)
    check_reference(node, [x, w, b], backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_grouped_conv_transpose_is_each_group_apart(
    run_kernel: Any, assert_close: Any, backend: str
) -> None:
    x = rng().standard_normal((2, 4, 5, 3)).astype(np.float32)
    w = rng(1).standard_normal((4, 3, 3, 2)).astype(np.float32)
    attributes: dict[str, Any] = {"strides": [2, 1], "pads": [1, 0, 0, 1]}
    whole = helper.make_node("ConvTranspose", ["x", "w"], ["y"], group=2, **attributes)
    part = helper.make_node("ConvTranspose", ["x", "w"], ["y"], **attributes)
    (y,) = run_kernel(whole, [x, w], backend)
    (first,) = run_kernel(part, [x[:, :2], w[:2]], backend)
    (second,) = run_kernel(part, [x[:, 2:], w[2:]], backend)
    assert_close(y, np.concatenate((first, second), axis=1))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("depth", [3, 700])
def test_conv_integer_is_exact(run_kernel: Any, depth: int, backend: str) -> None:
    x = rng().integers(0, 256, (1, depth, 5, 4)).astype(np.uint8)
    w = rng(1).integers(-128, 128, (2, depth, 3, 2)).astype(np.int8)
    x0, w0 = np.array(7, np.uint8), np.array([3, -2], np.int8)
    node = helper.make_node("ConvInteger", ["x", "w", "x0", "w0"], ["y"])
    (y,) = run_kernel(node, [x, w, x0, w0], backend)
    wide = x.astype(np.int64) - 7, w.astype(np.int64) - w0.reshape(-1, 1, 1, 1)
    assert y.dtype == np.int32
    np.testing.assert_array_equal(y, plain_conv(*wide, {}))


@pytest.mark.parametrize("backend", BACKENDS)
def test_qlinear_conv_by_channel(check_reference: Any, backend: str) -> None:
    x = rng().integers(0, 256, (1, 4, 6, 5)).astype(np.uint8)
    w = rng(1).integers(-128, 128, (3, 4, 3, 3)).astype(np.int8)
    scales = rng(2).uniform(0.001, 0.01, 3).astype(np.float32)
    names = ["x", "xs", "x0", "w", "ws", "w0", "ys", "y0", "b"]
    node = helper.make_node("QLinearConv", names, ["y"], pads=[1, 1, 1, 1])
    arrays = [
        x,
        np.array(0.02, np.float32),
        np.array(120, np.uint8),
        w,
        scales,
        np.zeros(3, np.int8),
        np.array(0.03, np.float32),
        np.array(128, np.uint8),
        np.array([100, -700, 3000], np.int32),
    ]
    check_reference(node, arrays, backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_deform_conv_with_groups(check_reference: Any, backend: str) -> None:
    x = rng().standard_normal((2, 4, 7, 6)).astype(np.float32)
    w = rng(1).standard_normal((6, 2, 3, 2)).astype(np.float32)
    offset = rng(2).uniform(-2, 2, (2, 2 * 2 * 6, 4, 3)).astype(np.float32)
    mask = rng(3).uniform(0, 1, (2, 2 * 6, 4, 3)).astype(np.float32)
    b = rng(4).standard_normal(6).astype(np.float32)
    node = helper.make_node(
        "DeformConv",
        ["x", "w", "offset", "b", "mask"],
        ["y"],
        group=2,
        offset_group=2,
        strides=[2, 2],
        pads=[1, 0, 1, 1],
    )
    check_reference(node, [x, w, offset, b, mask], backend)
