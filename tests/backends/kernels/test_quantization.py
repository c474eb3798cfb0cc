"""Quantization kernels against ONNX's node tests, its formulas, and error bounds."""

from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from onnx import helper
from sardonyx.backends.kernels import quantization
from sardonyx.backends.numpy import quantization as in_place

BACKENDS = ("numpy", "jax")
NAMESPACES = (np, jnp)
FLOAT_TYPES = (np.float32, np.float16, ml_dtypes.bfloat16, np.int32)
INTEGERS = ("int2", "uint2", "int4", "uint4", "int8", "uint8", "int16", "uint16")
FLOATS = ("float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz")


def noise(*shape: int, dtype: Any = np.float32) -> Any:
    return np.random.default_rng(3).normal(size=shape).astype(dtype)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("op_type", sorted(quantization.KERNELS))
def test_official(check_official: Any, op_type: str, backend: str):
    check_official(op_type, backend)


@pytest.mark.parametrize("xp", NAMESPACES)
@pytest.mark.parametrize("dtype", INTEGERS)
def test_round_trip(xp: Any, dtype: str):
    """Within the range the error is at most half a step; outside it the limit holds."""
    limits = ml_dtypes.iinfo(np.dtype(dtype))
    zero = np.array(int(limits.min) + 1, np.dtype(dtype))
    scale = np.float32(0.25)
    low, high = -scale, (int(limits.max) - int(zero)) * scale
    x = np.linspace(low, high, 101, dtype=np.float32)
    y = quantization.quantize_linear(xp, x, scale, zero)
    assert y.dtype == np.dtype(dtype)
    back = quantization.dequantize_linear(xp, y, scale, zero)
    assert back.dtype == np.float32
    assert np.abs(np.asarray(back) - x).max() <= scale / 2
    far = np.array([-1e30, 1e30, -np.inf, np.inf], np.float32)
    y = np.asarray(quantization.quantize_linear(xp, far, scale, zero)).astype(int)
    assert y.tolist() == [limits.min, limits.max] * 2


@pytest.mark.parametrize("xp", NAMESPACES)
def test_ties_to_even_before_zero_point(xp: Any):
    x = np.array([-1.5, -0.5, 0.5, 1.5, 2.5], np.float32)
    y = quantization.quantize_linear(xp, x, np.float32(1), np.int8(1))
    assert y.tolist() == [-1, 1, 1, 3, 3]


@pytest.mark.parametrize("xp", NAMESPACES)
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("saturate", [0, 1])
def test_float8(xp: Any, dtype: str, saturate: int):
    x = np.array([1e9, -np.inf, 0.3, np.nan], np.float32)
    y = quantization.quantize_linear(
        xp, x, np.float32(1), output_dtype=dtype, saturate=saturate
    )
    assert y.dtype == np.dtype(dtype)
    found = np.asarray(y).astype(np.float32)
    largest = float(ml_dtypes.finfo(dtype).max)
    assert found[2] == np.float32(0.3125)
    assert np.isnan(found[3])
    if saturate:
        assert found[:2].tolist() == [largest, -largest]
    else:
        assert not np.isfinite(found[:2]).any()


@pytest.mark.parametrize("xp", NAMESPACES)
def test_float4_saturates_always(xp: Any):
    x = np.array([1e9, -np.inf, 0.7], np.float32)
    for saturate in (0, 1):
        y = quantization.quantize_linear(
            xp, x, np.float32(1), output_dtype="float4_e2m1fn", saturate=saturate
        )
        assert np.asarray(y).astype(np.float32).tolist() == [6, -6, 0.5]


@pytest.mark.parametrize("xp", NAMESPACES)
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_blocks(assert_close: Any, xp: Any, axis: int):
    """The last block may be short: 7 elements in blocks of 3."""
    x = noise(7, 7)
    scale = np.abs(noise(3, 7)) + 0.1
    zero = np.arange(21, dtype=np.int8).reshape(3, 7)
    full, zeros = (np.repeat(a, 3, axis=0)[:7] for a in (scale, zero))
    if axis:
        scale, zero, full, zeros = scale.T, zero.T, full.T, zeros.T
    wanted = np.clip(np.rint(x / full) + zeros, -128, 127).astype(np.int8)
    y = quantization.quantize_linear(xp, x, scale, zero, axis=axis, block_size=3)
    assert_close(y, wanted)
    back = quantization.dequantize_linear(xp, y, scale, zero, axis=axis, block_size=3)
    assert_close(back, ((wanted - zeros.astype(np.int16)) * full).astype(np.float32))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_half_scale_on_last_axis(assert_close: Any, dtype: Any, backend: str):
    xp = np if backend == "numpy" else jnp
    x, scale = noise(2, 3, dtype=dtype), np.array([0.5, 0.25, 2], dtype)
    y = quantization.quantize_linear(xp, x, scale, axis=-1, output_dtype="int8")
    wanted = np.rint(x.astype(np.float32) / scale.astype(np.float32))
    assert_close(y, wanted.astype(np.int8))
    back = quantization.dequantize_linear(xp, y, scale, axis=-1)
    assert_close(back, (wanted * scale.astype(np.float32)).astype(dtype))
    back = quantization.dequantize_linear(xp, y, scale, axis=-1, output_dtype="float32")
    assert_close(back, (wanted * scale.astype(np.float32)).astype(np.float32))


@pytest.mark.parametrize("xp", NAMESPACES)
def test_precision_of_division(xp: Any):
    """2049 is no float16: it becomes 2048 before the division."""
    x, scale = np.array([2049], np.float32), np.float32(2048 / 2.5)
    for precision, wanted in ((0, 3), (1, 3), (10, 2), (16, 2)):
        y = quantization.quantize_linear(xp, x, scale, precision=precision)
        assert y.tolist() == [wanted]


def test_refusals():
    x = noise(2, 2)
    with pytest.raises(ValueError, match="precision is 7"):
        quantization.quantize_linear(np, x, np.float32(1), precision=7)
    with pytest.raises(ValueError, match="without block_size"):
        quantization.quantize_linear(np, x, x)


@pytest.mark.parametrize("xp", NAMESPACES)
def test_int32_and_empty(xp: Any):
    back = quantization.dequantize_linear(
        xp, np.array([-7, 2**20], "i4"), np.float32(0.5)
    )
    assert back.tolist() == [-3.5, 2**19]
    empty = quantization.quantize_linear(xp, noise(0, 3), np.ones(3, np.float32))
    assert (empty.shape, empty.dtype) == ((0, 3), np.uint8)


@pytest.mark.parametrize("xp", NAMESPACES)
def test_dynamic_of_zeros(xp: Any):
    """No range gives no scale: the elements and the zero point are 0."""
    y, scale, zero = jax.device_get(
        quantization.dynamic_quantize_linear(xp, xp.zeros((2, 0), np.float32))
    )
    assert y.shape == (2, 0)
    y, scale, zero = quantization.dynamic_quantize_linear(xp, xp.zeros(2, np.float32))
    assert (y.tolist(), float(scale), int(zero)) == ([0, 0], 0, 0)
    assert (y.dtype, scale.dtype, zero.dtype) == (np.uint8, np.float32, np.uint8)


@pytest.mark.parametrize("backend", BACKENDS)
def test_dynamic_reference(check_reference: Any, backend: str):
    node = helper.make_node("DynamicQuantizeLinear", ["x"], ["y", "scale", "zero"])
    check_reference(node, [noise(3, 4) + 2], backend)
    check_reference(node, [-np.abs(noise(3, 4))], backend)


@pytest.mark.parametrize("dtype", FLOAT_TYPES)
@pytest.mark.parametrize("to", ["int4", "uint8", "uint16", "float8_e4m3fn"])
def test_in_place_agrees(assert_close: Any, dtype: Any, to: str):
    """NumPy's own kernels say what the shared ones say, and leave their operands."""
    x = (noise(3, 6) * 9).astype(dtype)
    scale, zero = np.float32([0.1, 3, 1]), np.array([1, 2, 0]).astype(np.dtype(to))
    if dtype == np.float32:
        x[0, :3] = np.nan, np.inf, -np.inf
    before = x.copy()
    blocks = {"axis": 1, "block_size": 4}
    for args, attributes in (
        ((scale[0], zero[0]), {}),
        ((scale, zero), {"axis": 0}),
        ((np.outer(scale, scale[:2]),), {"output_dtype": to, **blocks}),
    ):
        shared = quantization.quantize_linear(np, x, *args, **attributes)
        own = in_place.quantize_in_place(np, x, *args, **attributes)
        assert own.dtype == shared.dtype
        assert own.tobytes() == shared.tobytes()
        attributes.pop("output_dtype", None)
        shared = quantization.dequantize_linear(np, own, *args, **attributes)
        kept = own.copy()
        own_back = in_place.dequantize_in_place(np, own, *args, **attributes)
        assert own_back.tobytes() == shared.tobytes()
        assert own.tobytes() == kept.tobytes()
    assert x.tobytes() == before.tobytes()


def test_in_place_scalars():
    y = in_place.quantize_in_place(np, np.float32(1.5), np.float32(1), np.uint8(3))
    assert (y.shape, y.dtype, int(y)) == ((), np.uint8, 5)
    back = in_place.dequantize_in_place(np, y, np.float32(2), np.uint8(3))
    assert (back.shape, back.dtype, float(back)) == ((), np.float32, 4)
