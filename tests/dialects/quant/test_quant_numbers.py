"""Formats, scales and codes, against ml_dtypes, ONNX's reference and ONNX Runtime."""

from typing import Any

import ml_dtypes
import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from sardonyx.dialects.quant import Format, Granularity, Scheme
from sardonyx.dialects.quant.numbers import (
    fit,
    limits,
    parameters,
    quantized,
    restored,
    rounded,
    signal_to_noise,
)
from sardonyx.dialects.quant.packing import packed_codes, packed_rows, unpacked_rows

INTEGERS = [f"{sign}int{bits}" for sign in ("", "u") for bits in range(2, 9)]
OF_ONNX = ["int2", "int4", "int8", "uint2", "uint4", "uint8", "e4m3", "e5m2"]
PERS = [Granularity(), Granularity(0), Granularity(1), Granularity(1, 3)]


def values(seed: int = 0, shape: tuple[int, ...] = (5, 7)) -> Any:
    return np.random.default_rng(seed).normal(0.3, 2, shape).astype(np.float32)


@pytest.mark.parametrize("name", INTEGERS)
@pytest.mark.parametrize("symmetric", [True, False])
def test_the_range_is_that_of_the_type(name: str, symmetric: bool) -> None:
    form = Format(name, symmetric)
    wide = ml_dtypes.iinfo(np.dtype(getattr(ml_dtypes, form.element, form.element)))
    assert wide.min <= form.low < form.middle < form.high <= wide.max
    if form.element == name:
        assert form.high == wide.max
        assert form.low == wide.min + symmetric
    if symmetric:
        assert form.high - form.middle == form.middle - form.low


@pytest.mark.parametrize("name", ["e4m3", "e5m2"])
def test_the_range_of_narrow_floats(name: str) -> None:
    form = Format(name)
    info = ml_dtypes.finfo(getattr(ml_dtypes, form.element))
    assert (form.low, form.high) == (float(info.min), float(info.max))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Format("int9"), "found format 'int9', wanted int2"),
        (lambda: Format("e4m3", False), "found e4m3 affine, wanted symmetric"),
        (lambda: Granularity(None, 4), "wanted an axis and a size"),
        (lambda: Granularity(0, -1), "wanted an axis and a size"),
        (lambda: parameters(np.float32(0), np.float32(np.inf), Format("int8")), "fin"),
    ],
)
def test_refusals(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def _reference(x: Any, fitted: Any, scheme: Scheme) -> tuple[Any, Any]:
    """Codes and reals of ONNX's own QuantizeLinear and DequantizeLinear."""
    form, per = scheme.form, scheme.per
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(fitted.zero.dtype))
    attributes: dict[str, Any] = {}
    if per.axis is not None:
        attributes = {"axis": per.axis}
    if per.size:
        attributes["block_size"] = per.size
    zero = numpy_helper.from_array(fitted.zero, "z")
    # Only onnx's own reading of its file makes elements of less than a byte.
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], **attributes),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"], **attributes),
    ]
    graph = helper.make_graph(
        nodes,
        "round_trip",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
        [
            helper.make_tensor_value_info("q", kind, x.shape),
            helper.make_tensor_value_info("y", TensorProto.FLOAT, x.shape),
        ],
        [numpy_helper.from_array(fitted.scale, "s"), zero],
    )
    opset = 25 if form.bits == 2 else 21
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    return tuple(ReferenceEvaluator(model).run(None, {"x": x}))


@pytest.mark.parametrize("name", OF_ONNX)
@pytest.mark.parametrize("per", PERS, ids=str)
def test_a_round_trip_is_onnx_s(name: str, per: Granularity, assert_close: Any) -> None:
    scheme = Scheme(Format(name, name in ("e4m3", "e5m2")), per)
    x = values(shape=(6, 9))
    fitted = fit(x, scheme)
    assert fitted.scale.shape == per.scales(x.shape)
    codes = quantized(x, fitted, scheme)
    wanted, real = _reference(x, fitted, scheme)
    assert codes.dtype == wanted.dtype
    np.testing.assert_array_equal(codes.astype(float), wanted.astype(float))
    assert_close(restored(codes, fitted, scheme), real)


@pytest.mark.parametrize("name", INTEGERS)
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("per", PERS, ids=str)
def test_the_error_is_half_a_step(name: str, symmetric: bool, per: Granularity) -> None:
    scheme = Scheme(Format(name, symmetric), per)
    x = values(3)
    fitted = fit(x, scheme)
    step = restored(quantized(x, fitted, scheme) * 0 + 1, fitted, scheme)
    step = step - restored(quantized(x, fitted, scheme) * 0, fitted, scheme)
    # A zero point is rounded: the range moves by up to half a step.
    allowed = np.abs(step) * (0.5 if symmetric else 1.0) * (1 + 1e-5)
    assert (np.abs(rounded(x, scheme) - x) <= allowed).all()


@pytest.mark.parametrize("name", ["e4m3", "e5m2"])
def test_narrow_floats_are_ml_dtypes_s(name: str) -> None:
    x = np.random.default_rng(1).normal(0, 100, 500).astype(np.float32)
    form = Format(name)
    fitted = parameters(np.float32(-form.high), np.float32(form.high), form)
    codes = quantized(x, fitted, Scheme(form))
    wanted = x.astype(getattr(ml_dtypes, form.element))
    assert codes.tobytes() == wanted.tobytes()
    huge = quantized(np.float32([1e9, -1e9]), fitted, Scheme(form))
    np.testing.assert_array_equal(huge.astype(float), [form.high, form.low])


def test_zero_stays_zero() -> None:
    for name in INTEGERS:
        for symmetric in (True, False):
            scheme = Scheme(Format(name, symmetric))
            assert rounded(np.float32([0, 1, 5]), scheme)[0] == 0
    assert (rounded(np.zeros(4, np.float32), Scheme(Format("int8"))) == 0).all()


def test_the_least_error_is_not_above_the_plain_one() -> None:
    x = np.random.default_rng(2).standard_t(3, (16, 64)).astype(np.float32)
    for per in (*PERS, Granularity(1, 32)):
        scheme = Scheme(Format("uint4", False), per)
        plain, best = rounded(x, scheme), rounded(x, scheme, least_error=True)
        assert np.square(best - x).sum() < np.square(plain - x).sum()


def test_limits_of_groups() -> None:
    low, high = limits(np.float32([[1, -2, 3, 4, 5]]), Granularity(1, 2))
    np.testing.assert_array_equal(low, [[-2, 3, 5]])
    np.testing.assert_array_equal(high, [[1, 4, 5]])


def test_bits_count_scales_and_zero_points() -> None:
    assert Scheme(Format("int8")).bits_per_element((4, 8)) == 8 + 32 / 32
    per = Granularity(0, 32)
    assert Scheme(Format("uint4", False), per).bits_per_element((64, 8)) == 4 + 36 / 32


def test_signal_to_noise() -> None:
    x = np.float32([3, 4])
    assert signal_to_noise(x, x) == float("inf")
    assert signal_to_noise(x + np.float32([0.3, 0.4]), x) == pytest.approx(20, abs=1e-4)


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("depth", [32, 48, 50])
def test_packed_weights_are_onnxruntime_s(
    bits: int, depth: int, assert_close: Any
) -> None:
    rng = np.random.default_rng(bits)
    codes = rng.integers(0, 2**bits, (6, depth)).astype(np.uint8)
    blocks = -(-depth // 16)
    scale = rng.uniform(0.1, 1, (6, blocks)).astype(np.float32)
    zero = rng.integers(0, 2**bits, (6, blocks)).astype(np.uint8)
    x = rng.standard_normal((3, depth)).astype(np.float32)
    arrays = {
        "b": packed_codes(codes, bits, 16),
        "s": scale,
        "z": packed_rows(zero, bits),
    }
    node = helper.make_node(
        "MatMulNBits",
        ["x", *arrays],
        ["y"],
        domain="com.microsoft",
        K=depth,
        N=6,
        bits=bits,
        block_size=16,
    )
    graph = helper.make_graph(
        [node],
        "packed",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (3, 6))],
        [numpy_helper.from_array(a, n) for n, a in arrays.items()],
    )
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (found,) = session.run(None, {"x": x})
    scheme = Scheme(Format(f"uint{bits}", False), Granularity(1, 16))
    fitted = type(fit(codes, scheme))(scale, zero)
    assert_close(x @ restored(codes, fitted, scheme).T, found, factor=8)
    np.testing.assert_array_equal(unpacked_rows(arrays["z"], bits, blocks), zero)


@pytest.mark.parametrize(
    ("codes", "bits", "size", "message"),
    [
        ([[1]], 3, 16, "found codes of 3 bits"),
        ([[4]], 2, 16, "found code 4, wanted less than 4"),
        ([[1]], 4, 24, "found blocks of 24"),
        ([[1]], 4, 8, "found blocks of 8"),
    ],
)
def test_packing_refuses(codes: Any, bits: int, size: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        packed_codes(np.uint8(codes), bits, size)
