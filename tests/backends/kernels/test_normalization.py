"""Normalizations and dropout: the official tests, and what those leave out."""

import math
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from onnx import TensorProto, helper
from sardonyx.backends.kernels import normalization

BACKENDS = ("numpy", "jax")
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
DTYPES = (np.float16, BFLOAT16, np.float32, np.float64)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("op_type", sorted(normalization.KERNELS))
def test_official(check_official: Any, op_type: str, backend: str) -> None:
    check_official(op_type, backend)


def draw(shape: tuple[int, ...], dtype: Any, seed: int = 0) -> Any:
    return np.asarray(np.random.default_rng(seed).normal(size=shape), dtype)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "op_type", ["Softmax", "LogSoftmax", "Hardmax", "LpNormalization"]
)
def test_along_an_axis(
    check_rounded: Any, op_type: str, dtype: Any, backend: str
) -> None:
    for shape, axis in (((5,), 0), ((2, 3, 4), -1), ((2, 3, 4), 1), ((0, 3), -1)):
        node = helper.make_node(op_type, ["x"], ["y"], axis=axis)
        check_rounded(node, [draw(shape, dtype)], backend)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("op_type", ["Softmax", "LogSoftmax"])
def test_softmax_of_infinities(run_kernel: Any, op_type: str, backend: str) -> None:
    inf, nan = math.inf, math.nan
    x = np.array([[-inf, 0], [1e4, -1e4], [-inf, -inf]], np.float32)
    (found,) = run_kernel(helper.make_node(op_type, ["x"], ["y"]), [x], backend)
    wanted = [[0, 1], [1, 0], [nan, nan]]
    if op_type == "LogSoftmax":
        wanted = [[-inf, 0], [0, -2e4], [nan, nan]]
    np.testing.assert_array_equal(found, np.array(wanted, np.float32))
    nothing = np.zeros((3, 0), np.float32)
    (found,) = run_kernel(helper.make_node(op_type, ["x"], ["y"]), [nothing], backend)
    assert found.shape == (3, 0)


@pytest.mark.parametrize("backend", BACKENDS)
def test_lp_norm_of_zeros(run_kernel: Any, backend: str) -> None:
    for p in (1, 2):
        node = helper.make_node("LpNormalization", ["x"], ["y"], p=p)
        assert not run_kernel(node, [np.zeros((2, 3), np.float32)], backend)[0].any()
    node = helper.make_node("LpNormalization", ["x"], ["y"], p=3)
    with pytest.raises(ValueError, match="p is 3, not 1 or 2"):
        run_kernel(node, [np.zeros((2, 3), np.float32)], backend)


# --- layers, groups and batches ---


def standardized(x: Any, axes: tuple[int, ...], epsilon: float = 1e-5) -> Any:
    mean, variance = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    return (x - mean) / np.sqrt(variance + epsilon)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axis", [-1, 1, 0])
def test_layer(
    run_kernel: Any, assert_close: Any, axis: int, dtype: Any, backend: str
) -> None:
    x = draw((2, 3, 64), dtype)
    scale, bias = draw(x.shape[axis:], dtype, 1), draw(x.shape[axis:], dtype, 2)
    wide = x.astype(np.float64)
    plain = standardized(wide, tuple(range(axis % 3, 3)))
    wanted = plain * scale.astype(np.float64) + bias.astype(np.float64)
    stash = TensorProto.DOUBLE if dtype == np.float64 else TensorProto.FLOAT
    node = helper.make_node(
        "LayerNormalization",
        ["x", "s", "b"],
        ["y", "m", "i"],
        axis=axis,
        stash_type=stash,
    )
    y, mean, inverse = run_kernel(node, [x, scale, bias], backend)
    assert_close(y, wanted.astype(dtype))
    kind = np.float64 if dtype == np.float64 else np.float32
    assert mean.dtype == inverse.dtype == kind
    axes = tuple(range(axis % 3, 3))
    assert_close(mean, wide.mean(axes, keepdims=True).astype(kind))
    assert_close(
        inverse, (1 / np.sqrt(wide.var(axes, keepdims=True) + 1e-5)).astype(kind)
    )
    node = helper.make_node(
        "LayerNormalization", ["x", "s"], ["y"], axis=axis, stash_type=stash
    )
    y, *others = run_kernel(node, [x, scale], backend)
    assert_close(y, (plain * scale.astype(np.float64)).astype(dtype))
    assert others == [None, None]


@pytest.mark.parametrize("backend", BACKENDS)
def test_stash_type_is_a_float(run_kernel: Any, backend: str) -> None:
    node = helper.make_node("LayerNormalization", ["x", "s"], ["y"], stash_type=7)
    with pytest.raises(ValueError, match="stash_type is 7"):
        run_kernel(node, [draw((2, 3), np.float32), draw((3,), np.float32)], backend)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axis", [-1, 1])
def test_root_mean_square(
    run_kernel: Any, assert_close: Any, axis: int, dtype: Any, backend: str
) -> None:
    x, scale = draw((2, 3, 64), dtype), draw((64,), dtype, 1)
    wide = x.astype(np.float64)
    axes = tuple(range(axis % 3, 3))
    wanted = wide / np.sqrt((wide * wide).mean(axes, keepdims=True) + 1e-5)
    stash = TensorProto.DOUBLE if dtype == np.float64 else TensorProto.FLOAT
    node = helper.make_node(
        "RMSNormalization", ["x", "s"], ["y"], axis=axis, stash_type=stash
    )
    (y,) = run_kernel(node, [x, scale], backend)
    assert_close(y, (wanted * scale.astype(np.float64)).astype(dtype))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_groups_and_instances(
    run_kernel: Any, assert_close: Any, dtype: Any, backend: str
) -> None:
    scale, bias = draw((6,), dtype, 1), draw((6,), dtype, 2)
    for shape in ((2, 6, 5), (1, 6, 3, 4), (2, 6, 2, 2, 2)):
        x = draw(shape, dtype)
        wide, per = x.astype(np.float64), (6,) + (1,) * (len(shape) - 2)
        factors = [v.astype(np.float64).reshape(per) for v in (scale, bias)]
        axes = tuple(range(2, len(shape)))
        node = helper.make_node("InstanceNormalization", ["x", "s", "b"], ["y"])
        (y,) = run_kernel(node, [x, scale, bias], backend)
        plain = standardized(wide, axes)
        assert_close(y, (plain * factors[0] + factors[1]).astype(dtype))
        stash = TensorProto.DOUBLE if dtype == np.float64 else TensorProto.FLOAT
        node = helper.make_node(
            "GroupNormalization", ["x", "s", "b"], ["y"], num_groups=3, stash_type=stash
        )
        (y,) = run_kernel(node, [x, scale, bias], backend)
        plain = standardized(wide.reshape(shape[0], 3, -1), (2,)).reshape(shape)
        assert_close(y, (plain * factors[0] + factors[1]).astype(dtype))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_batch(run_kernel: Any, assert_close: Any, dtype: Any, backend: str) -> None:
    names = ["x", "s", "b", "m", "v"]
    node = helper.make_node("BatchNormalization", names, ["y"])
    for shape in ((4, 3), (4, 3, 5), (2, 3, 4, 5), (0, 3, 2)):
        x, scale, bias, mean = (
            draw(s, dtype, i) for i, s in enumerate((shape, 3, 3, 3))
        )
        variance = np.abs(draw((3,), dtype, 4)) + np.ones((), dtype)
        y, *others = run_kernel(node, [x, scale, bias, mean, variance], backend)
        assert others == [None, None]
        per = (3,) + (1,) * (len(shape) - 2)
        s, b, m, v = (
            a.astype(np.float64).reshape(per) for a in (scale, bias, mean, variance)
        )
        wanted = (x.astype(np.float64) - m) / np.sqrt(v + 1e-5) * s + b
        assert_close(y, wanted.astype(dtype))


@pytest.mark.parametrize("backend", BACKENDS)
def test_batch_in_training(run_kernel: Any, assert_close: Any, backend: str) -> None:
    node = helper.make_node(
        "BatchNormalization",
        ["x", "s", "b", "m", "v"],
        ["y", "rm", "rv"],
        training_mode=1,
        momentum=0.75,
    )
    x = draw((4, 3, 5), np.float32)
    ones, zeros = np.ones(3, np.float32), np.zeros(3, np.float32)
    y, mean, variance = run_kernel(node, [x, ones, zeros, ones, zeros], backend)
    assert_close(y, standardized(x, (0, 2)))
    assert_close(mean, 0.75 + 0.25 * x.mean((0, 2)))
    assert_close(variance, 0.25 * x.var((0, 2)))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("size", [1, 2, 5, 9])
def test_local_response(
    run_kernel: Any, assert_close: Any, size: int, backend: str
) -> None:
    """Not against the evaluator, which counts channels by the batch's size."""
    node = helper.make_node(
        "LRN", ["x"], ["y"], size=size, alpha=0.5, beta=0.6, bias=2.0
    )
    for dtype in DTYPES:
        for shape in ((2, 5, 3, 2), (3, 4, 7)):
            x = draw(shape, dtype)
            wide, total = x.astype(np.float64), np.zeros(shape)
            for c in range(shape[1]):
                first, last = max(0, c - (size - 1) // 2), c + size // 2
                total[:, c] = (wide[:, first : last + 1] ** 2).sum(1)
            wanted = wide / (2 + 0.5 / size * total) ** np.float32(0.6).item()
            (found,) = run_kernel(node, [x], backend)
            assert_close(found, wanted.astype(dtype))


@pytest.mark.parametrize("backend", BACKENDS)
def test_mean_variance(run_kernel: Any, assert_close: Any, backend: str) -> None:
    x = draw((2, 3, 4, 5), np.float64)
    node = helper.make_node("MeanVarianceNormalization", ["x"], ["y"], axes=[-1, 2])
    (found,) = run_kernel(node, [x], backend)
    deviation = x.std((2, 3), keepdims=True)
    assert_close(found, (x - x.mean((2, 3), keepdims=True)) / (deviation + 1e-9))


# --- dropout ---


@pytest.mark.parametrize("backend", BACKENDS)
def test_dropout_of_inference(run_kernel: Any, backend: str) -> None:
    x = draw((3, 4), np.float32)
    node = helper.make_node("Dropout", ["x", "r", "t"], ["y", "mask"])
    y, mask = run_kernel(node, [x, np.float32(0.5), np.array(False)], backend)
    np.testing.assert_array_equal(y, x)
    assert mask.dtype == bool
    assert mask.all()
    y, mask = run_kernel(helper.make_node("Dropout", ["x"], ["y"]), [x], backend)
    assert mask is None


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_dropout_in_training(run_kernel: Any, dtype: Any, backend: str) -> None:
    x = np.ones((50, 40), dtype)
    node = helper.make_node("Dropout", ["x", "r", "t"], ["y", "mask"], seed=3)
    arrays = [x, np.array(0.75, dtype), np.array(True)]
    y, mask = run_kernel(node, arrays, backend)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, np.where(mask, 4, 0))
    assert 0.2 < mask.mean() < 0.3
    again, _ = run_kernel(node, arrays, backend)
    np.testing.assert_array_equal(again, y)
