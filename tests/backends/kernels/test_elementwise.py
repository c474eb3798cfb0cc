"""Elementwise kernels: the official tests, and what those leave out."""

import math
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from onnx import TensorProto, helper
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
UNARY = [
    "Abs",
    "Asinh",
    "Atan",
    "Ceil",
    "Celu",
    "Cos",
    "Elu",
    "Erf",
    "Exp",
    "Floor",
    "Gelu",
    "HardSigmoid",
    "HardSwish",
    "IsInf",
    "IsNaN",
    "LeakyRelu",
    "Mish",
    "Neg",
    "Relu",
    "Round",
    "Selu",
    "Sigmoid",
    "Sign",
    "Sin",
    "Softplus",
    "Softsign",
    "Swish",
    "Tanh",
    "ThresholdedRelu",
]
SINGLE = ("Erf", "Gelu", "HardSwish")
BINARY = [
    "Add",
    "Sub",
    "Mul",
    "Div",
    "Pow",
    "Max",
    "Min",
    "Less",
    "LessOrEqual",
    "Greater",
    "GreaterOrEqual",
    "Equal",
]
INTEGERS = (
    np.int8,
    np.uint8,
    np.int16,
    np.uint16,
    np.int32,
    np.uint32,
    np.int64,
    np.uint64,
)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("op_type", sorted(set(elementwise.KERNELS) - UNTESTED))
def test_official(check_official: Any, op_type: str, backend: str) -> None:
    check_official(op_type, backend, SKIP.get(backend, {}).get(op_type))


# The evaluator computes the operators in SINGLE in float32: `test_erf`,
# `test_gelu_double` and `test_hard_swish_double` have those in float64.
UNARY_CASES = [
    (op_type, dtype)
    for op_type in UNARY
    for dtype in (np.float16, BFLOAT16, np.float32, np.float64)
    if not (dtype == np.float64 and op_type in SINGLE)
]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("op_type", "dtype"), UNARY_CASES)
def test_unary(check_rounded: Any, op_type: str, dtype: Any, backend: str) -> None:
    for shape in ((0, 3), (3, 5), (2, 1, 7)):
        check_rounded(
            helper.make_node(op_type, ["x"], ["y"]), [draw(shape, dtype)], backend
        )


@pytest.mark.parametrize("backend", BACKENDS)
def test_hard_swish_double(run_kernel: Any, assert_close: Any, backend: str) -> None:
    x = np.linspace(-6, 6, 101)
    (found,) = run_kernel(helper.make_node("HardSwish", ["x"], ["y"]), [x], backend)
    assert_close(found, x * np.clip(x / 6 + 0.5, 0, 1))


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


# --- where the evaluator is no measure ---


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("dtype", "limit"), [(np.float32, 5e-7), (np.float64, 1e-14)])
def test_erf(run_kernel: Any, dtype: Any, limit: float, backend: str) -> None:
    """Against the C library's, element by element; and over more than one block."""
    x = np.concatenate([np.linspace(-7, 7, 70001), 10.0 ** -np.arange(30)]).astype(
        dtype
    )
    (found,) = run_kernel(helper.make_node("Erf", ["x"], ["y"]), [x], backend)
    wanted = np.array([math.erf(v) for v in x.tolist()])
    nonzero = wanted != 0
    assert found.dtype == dtype
    assert np.abs(found[nonzero] / wanted[nonzero] - 1).max() < limit


@pytest.mark.parametrize("backend", BACKENDS)
def test_erf_ends(run_kernel: Any, backend: str) -> None:
    node = helper.make_node("Erf", ["x"], ["y"])
    for dtype in (np.float32, np.float64):
        x = np.array([math.nan, math.inf, -math.inf, 0.0], dtype)
        (found,) = run_kernel(node, [x], backend)
        np.testing.assert_array_equal(found, np.array([math.nan, 1, -1, 0], dtype))


@pytest.mark.parametrize("backend", BACKENDS)
def test_gelu_double(run_kernel: Any, assert_close: Any, backend: str) -> None:
    x = np.linspace(-6, 6, 40001)
    (found,) = run_kernel(helper.make_node("Gelu", ["x"], ["y"]), [x], backend)
    wanted = [0.5 * v * (1 + math.erf(v / math.sqrt(2))) for v in x.tolist()]
    assert_close(found, np.array(wanted))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "op_type", ["Sigmoid", "Softplus", "Swish", "Mish", "Elu", "Celu"]
)
def test_large_inputs(run_kernel: Any, op_type: str, backend: str) -> None:
    x = np.array([-1e4, 1e4, math.nan], np.float32)
    (found,) = run_kernel(helper.make_node(op_type, ["x"], ["y"]), [x], backend)
    top = 1 if op_type == "Sigmoid" else 1e4
    low = -1 if op_type in ("Elu", "Celu") else 0
    np.testing.assert_array_equal(found, np.array([low, top, math.nan], np.float32))


# --- integers and remainders ---


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", INTEGERS)
def test_integer_division_truncates(run_kernel: Any, dtype: Any, backend: str) -> None:
    signs = (1, -1) if np.dtype(dtype).kind == "i" else (1,)
    pairs = [
        (s * a, t * b)
        for a in (0, 7, 8)
        for b in (1, 2, 3)
        for s in signs
        for t in signs
    ]
    a, b = (np.array(v, dtype) for v in zip(*pairs, strict=True))
    (found,) = run_kernel(helper.make_node("Div", ["a", "b"], ["c"]), [a, b], backend)
    assert found.dtype == dtype
    assert found.tolist() == [int(x / y) for x, y in pairs]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", [np.int32, np.int64, np.float32])
def test_integer_power(run_kernel: Any, kind: Any, backend: str) -> None:
    x = np.array([2, 2, -3, -1, 1, 10, -1], np.int32)
    y = np.array([-1, 5, 3, -3, -9, 0, -2], kind)
    (found,) = run_kernel(helper.make_node("Pow", ["x", "y"], ["z"]), [x, y], backend)
    assert found.dtype == np.int32
    assert found.tolist() == [0, 32, -27, -1, 1, 1, 1]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("exponent", [2, 3, 0.5, -1])
def test_power_by_one_number(check_rounded: Any, exponent: float, backend: str) -> None:
    node = helper.make_node("Pow", ["x", "y"], ["z"])
    for dtype in (np.float16, BFLOAT16, np.float32, np.float64):
        x = np.abs(draw((3, 4), dtype))
        check_rounded(node, [x.astype(dtype), np.array(exponent, dtype)], backend)
    check_rounded(
        node, [draw((), np.float32) * 0 + 3, np.array([2], np.int64)], backend
    )


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("fmod", [0, 1])
def test_remainders(run_kernel: Any, fmod: int, backend: str) -> None:
    inf, nan = math.inf, math.nan
    a = np.array([5.5, -5.5, 5.5, -5.5, 1, -1, 1, inf, 1, 0.0, -0.0], np.float32)
    b = np.array([2, 2, -2, -2, inf, inf, -inf, 2, 0, -3, 3], np.float32)
    floors = [1.5, 0.5, -0.5, -1.5, 1, inf, -inf, nan, nan, -0.0, 0.0]
    truncated = [1.5, -1.5, 1.5, -1.5, 1, -1, 1, nan, nan, 0.0, -0.0]
    node = helper.make_node("Mod", ["a", "b"], ["c"], fmod=fmod)
    (found,) = run_kernel(node, [a, b], backend)
    wanted = np.array(truncated if fmod else floors, np.float32)
    np.testing.assert_array_equal(found, wanted)
    if not fmod:
        np.testing.assert_array_equal(np.signbit(found[-2:]), np.signbit(wanted[-2:]))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("direction", ["LEFT", "RIGHT"])
@pytest.mark.parametrize("dtype", INTEGERS)
def test_shifts_past_the_width(
    check_reference: Any, dtype: Any, direction: str, backend: str
) -> None:
    x = np.array([1, 5, 100, 77, 3, 127], dtype)
    y = np.array([0, 1, 7, 64, 8, 100], dtype)
    if np.dtype(dtype).kind == "i":
        x, y = np.concatenate([x, -x]), np.concatenate([y, y[::-1] - 3])
    node = helper.make_node("BitShift", ["x", "y"], ["z"], direction=direction)
    check_reference(node, [x, y], backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_clip_bounds(run_kernel: Any, backend: str) -> None:
    x = np.array([[-5, 0.5, math.nan, 9]], np.float32)
    one, two = np.array(1, np.float32), np.array(2, np.float32)
    wanted = {
        ("", ""): [-5, 0.5, math.nan, 9],
        ("l", ""): [1, 1, math.nan, 9],
        ("", "h"): [-5, 0.5, math.nan, 2],
        ("l", "h"): [1, 1, math.nan, 2],
    }
    for (low, high), values in wanted.items():
        node = helper.make_node("Clip", ["x", low, high], ["y"])
        arrays = [x, one if low else None, two if high else None]
        (found,) = run_kernel(node, arrays, backend)
        np.testing.assert_array_equal(found, np.array([values], np.float32))
    node = helper.make_node("Clip", ["x", "l", "h"], ["y"])
    assert (run_kernel(node, [np.nan_to_num(x), two, one], backend)[0] == 1).all()


# --- casts ---

PLAIN = [
    "bool",
    "int8",
    "uint8",
    "int16",
    "uint16",
    "int32",
    "uint32",
    "int64",
    "uint64",
    "float16",
    "bfloat16",
    "float32",
    "float64",
    "int4",
    "uint4",
    "int2",
    "uint2",
    "float8_e4m3fn",
    "float8_e4m3fnuz",
    "float8_e5m2",
    "float8_e5m2fnuz",
    "float4_e2m1fn",
]


def cast_node(to: str, **attributes: Any) -> Any:
    number = helper.np_dtype_to_tensor_dtype(np.dtype(to))
    return helper.make_node("Cast", ["x"], ["y"], to=number, **attributes)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("source", PLAIN)
def test_cast_of_small_numbers(run_kernel: Any, source: str, backend: str) -> None:
    """0 and 1 are the same in every type."""
    x = np.array([[0, 1, 1]], np.float32).astype(source)
    for to in PLAIN:
        (found,) = run_kernel(cast_node(to), [x], backend)
        assert found.dtype == np.dtype(to)
        assert found.astype(np.float32).tolist() == [[0, 1, 1]]


def test_cast_to_six_bits(run_kernel: Any) -> None:
    x = np.array([0, 1, -1.6, 100], np.float32)
    for to, top in (("float6_e2m3fn", 7.5), ("float6_e3m2fn", 28)):
        (found,) = run_kernel(cast_node(to), [x], "numpy")
        assert found.astype(np.float32)[[0, 1, 3]].tolist() == [0, 1, top]
        (back,) = run_kernel(cast_node("float64"), [found], "numpy")
        assert back.dtype == np.float64


@pytest.mark.parametrize("backend", BACKENDS)
def test_cast_drops_high_bits(run_kernel: Any, backend: str) -> None:
    x = np.array([200, -1, 17, 300], np.int32)
    wanted = {
        "int8": [-56, -1, 17, 44],
        "uint8": [200, 255, 17, 44],
        "int4": [-8, -1, 1, -4],
    }
    for to, values in wanted.items():
        (found,) = run_kernel(cast_node(to), [x], backend)
        assert found.astype(np.int32).tolist() == values


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("saturate", [0, 1])
@pytest.mark.parametrize(
    "source", [np.float64, np.float32, np.float16, BFLOAT16, np.int32]
)
def test_cast_saturates(
    run_kernel: Any, source: Any, saturate: int, backend: str
) -> None:
    x = np.array([1000, -1000, 3], np.float32).astype(source)
    node = cast_node("float8_e4m3fn", saturate=saturate)
    (found,) = run_kernel(node, [x], backend)
    top = 448 if saturate else math.nan
    np.testing.assert_array_equal(found.astype(np.float32), np.float32([top, -top, 3]))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("round_mode", "saturate", "wanted"),
    [
        ("up", 1, [0, 1, 2, 2, 4, 2.0**127, 2.0**127, math.nan]),
        ("down", 1, [0, 1, 1, 1, 2, 2.0**127, 2.0**127, math.nan]),
        ("nearest", 1, [0, 1, 1, 2, 2, 2.0**127, 2.0**127, math.nan]),
        ("nearest", 0, [0, 1, 1, 2, 2, math.nan, math.nan, math.nan]),
    ],
)
def test_cast_to_powers_of_two(
    run_kernel: Any, round_mode: str, saturate: int, wanted: list[float], backend: str
) -> None:
    x = np.array([0, 1, 1.25, 1.5, 2.5, 3.4e38, math.inf, math.nan], np.float32)
    node = cast_node("float8_e8m0fnu", round_mode=round_mode, saturate=saturate)
    (found,) = run_kernel(node, [x], backend)
    wanted = [2.0**-127, *wanted[1:]]
    np.testing.assert_array_equal(found.astype(np.float64), np.array(wanted))


def test_cast_of_text(run_kernel: Any) -> None:
    text = np.array([["1e-5", "+INF", "-inf"], ["NaN", "3", "1E8"]], object)
    (found,) = run_kernel(cast_node("float32"), [text], "numpy")
    wanted = [[1e-5, math.inf, -math.inf], [math.nan, 3, 1e8]]
    np.testing.assert_array_equal(found, np.array(wanted, np.float32))
    whole = np.array(["9223372036854775807", "-3", "100.5"], object)
    (found,) = run_kernel(cast_node("int64"), [whole], "numpy")
    assert found.tolist() == [2**63 - 1, -3, 100]


def test_cast_to_text(run_kernel: Any) -> None:
    node = helper.make_node("Cast", ["x"], ["y"], to=TensorProto.STRING)
    x = np.array([314.25, -0.5], np.float32)
    assert run_kernel(node, [x], "numpy")[0].tolist() == ["314.25", "-0.5"]
    x = np.array([[1], [2]], BFLOAT16)
    assert run_kernel(node, [x], "numpy")[0].tolist() == [["1.0"], ["2.0"]]
    x = np.array([7, -8], np.int64)
    assert run_kernel(node, [x], "numpy")[0].tolist() == ["7", "-8"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_bit_cast_of_small_integers(run_kernel: Any, backend: str) -> None:
    x = np.array([-1, 3, -8], np.int8).astype("int4")
    node = helper.make_node("BitCast", ["x"], ["y"], to=TensorProto.UINT4)
    (found,) = run_kernel(node, [x], backend)
    assert found.astype(np.int32).tolist() == [15, 3, 8]
    node = helper.make_node("BitCast", ["x"], ["y"], to=TensorProto.INT8)
    with pytest.raises(ValueError, match="has 8 bits, not 4"):
        run_kernel(node, [x], backend)
