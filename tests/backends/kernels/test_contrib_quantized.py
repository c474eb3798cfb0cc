"""
ONNX Runtime's quantized operators, beside ONNX Runtime.

Integers are equal on NumPy. On JAX a product and a sum may be one instruction, which
rounds once: at a tie the result may be the other neighbour, one step away.
"""

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from onnx import helper
from sardonyx.backends.kernels import KERNELS, contrib_quantized_blocks

BACKENDS = ["numpy", "jax"]


def draws(seed: int) -> Any:
    return np.random.default_rng(seed)


def data(*shape: int, seed: int = 0) -> Any:
    return draws(seed).standard_normal(shape).astype(np.float32)


def scales(*shape: int, seed: int = 0) -> Any:
    return np.abs(data(*shape, seed=seed)) / 20 + np.float32(0.01)


def bytes_of(dtype: str, *shape: int, seed: int = 0) -> Any:
    limits = np.iinfo(dtype)
    return draws(seed).integers(limits.min, limits.max + 1, shape).astype(dtype)


@pytest.fixture(name="multiplied_right")
def multiplied_right_fixture(saturates: bool) -> Any:
    """``multiplied_right(array)``: int8 matrices with 7 bits where more saturate."""

    def multiplied_right(array: Any) -> Any:
        if (
            saturates
            and array is not None
            and array.dtype == np.int8
            and array.ndim > 1
        ):
            return array >> 1
        return array

    return multiplied_right


def one(value: float) -> Any:
    return np.array(value, np.float32)


def eight_bit_cases(dtype: str) -> list[tuple[str, list[Any], dict[str, Any]]]:
    a, b = bytes_of(dtype, 40, 64), bytes_of(dtype, 40, 64, seed=1)
    zeros = [
        np.array(z, dtype) for z in ((120, 3, 101) if dtype == "uint8" else (5, -7, 11))
    ]
    image = bytes_of(dtype, 2, 4, 9, 8)
    into = [one(0.03), zeros[1]]
    pair = [a, one(0.02), zeros[0], b, one(0.03), zeros[1], one(0.04), zeros[2]]
    pool = [image, one(0.04), zeros[0], *into]
    three = {"kernel_shape": [3, 3]}
    return [
        ("QLinearAdd", pair, {}),
        ("QLinearAdd", [*pair[:3], b[0], *pair[4:]], {}),
        ("QLinearMul", pair, {}),
        ("QLinearWhere", [a > 9, *pair], {}),
        ("QLinearSigmoid", [a, one(0.04), zeros[0], one(1 / 256), zeros[1]], {}),
        ("QLinearSigmoid", [a, one(0.04), None, one(1 / 256), None], {}),
        ("QLinearLeakyRelu", [a, one(0.04), zeros[0], *into], {"alpha": 0.2}),
        (
            "QLinearSoftmax",
            [a, one(0.04), zeros[0], one(1 / 256), zeros[1]],
            {"opset": 13},
        ),
        (
            "QLinearSoftmax",
            [a.reshape(4, 10, 64), one(0.04), zeros[0], one(1 / 256), zeros[1]],
            {"opset": 12, "axis": 1},
        ),
        ("QLinearAveragePool", pool, three),
        ("QLinearAveragePool", pool, {**three, "pads": [1, 1, 1, 1]}),
        (
            "QLinearAveragePool",
            pool,
            {**three, "pads": [1, 1, 1, 1], "count_include_pad": 1, "strides": [2, 2]},
        ),
        ("QLinearAveragePool", pool, {**three, "ceil_mode": 1, "strides": [2, 2]}),
        ("QLinearAveragePool", pool, {"kernel_shape": [2, 2], "channels_last": 1}),
        ("QLinearGlobalAveragePool", pool, {}),
        ("QLinearGlobalAveragePool", pool, {"channels_last": 1}),
        ("QLinearConcat", [*into, *pair[:6], a, *into], {"axis": 1}),
        ("DequantizeLinear", [a, one(0.04), zeros[0]], {}),
        ("DequantizeLinear", [a, scales(64), bytes_of(dtype, 64)], {"axis": 1}),
        ("QuantizeLinear", [data(4, 5) * 100, one(0.4), zeros[0]], {}),
        (
            "QuantizeLinear",
            [data(4, 5) * 9, scales(5), bytes_of(dtype, 5)],
            {"axis": 1},
        ),
    ]


EIGHT_BITS = [*eight_bit_cases("uint8"), *eight_bit_cases("int8")]


def product_cases(right: str) -> list[tuple[str, list[Any], dict[str, Any]]]:
    a, b = bytes_of("uint8", 40, 600), bytes_of(right, 600, 24, seed=1)
    za, zb, zc = np.array(120, "uint8"), np.array(3, right), np.array(99, "uint8")
    bias = draws(2).integers(-9000, 9000, 24).astype(np.int32)
    columns = [scales(24), bytes_of(right, 24, seed=3)]
    image = bytes_of("uint8", 1, 7, 6, 5)
    filters = bytes_of(right, 8, 5, 3, 3)
    taps = draws(0).integers(-900, 900, 8).astype(np.int32)
    hidden, weight = bytes_of("uint8", 2, 6, 32), bytes_of(right, 32, 48)
    per_column = [scales(48) / 10, None, za, bytes_of(right, 48, seed=2)]
    heads = {"num_heads": 2}
    into = [one(2), zc]
    return [
        ("DynamicQuantizeMatMul", [data(40, 600), b, one(0.03), zb, data(24)], {}),
        ("DynamicQuantizeMatMul", [data(2, 5, 600), b, *columns], {}),
        ("MatMulIntegerToFloat", [a, b, one(0.02), one(0.03), za, zb, data(24)], {}),
        ("MatMulIntegerToFloat", [a, b, one(0.02), columns[0], za, columns[1]], {}),
        ("MatMulIntegerToFloat", [a, b, one(0.02), one(0.03)], {}),
        ("QGemm", [a, one(0.02), za, b, one(0.03), zb], {}),
        ("QGemm", [a, one(0.02), za, b, one(0.03), zb, bias, *into], {"alpha": 0.5}),
        (
            "QGemm",
            [a.T.copy(), one(0.02), za, b.T.copy(), *columns, bias, *into],
            {"transA": 1, "transB": 1},
        ),
        (
            "QLinearConv",
            [image, one(0.02), za, filters, one(0.03), zb, one(0.5), zc, taps],
            {"channels_last": 1, "pads": [1, 1, 1, 1]},
        ),
        (
            "QLinearConv",
            [
                bytes_of("uint8", 1, 5, 7, 6),
                one(0.02),
                za,
                filters,
                scales(8),
                np.zeros(8, right),
                one(0.5),
                zc,
            ],
            {"strides": [2, 2]},
        ),
        (
            "QAttention",
            [hidden, weight, data(48), one(0.02), one(0.01), None, za, zb],
            heads,
        ),
        (
            "QAttention",
            [
                hidden,
                weight,
                data(48),
                one(0.02),
                one(0.01),
                np.array([6, 3], np.int32),
                za,
                zb,
            ],
            heads,
        ),
        (
            "QAttention",
            [hidden, weight, data(48), one(0.02), *per_column, data(2, 2, 2, 3, 8)],
            {**heads, "unidirectional": 1, "outputs": (True, True)},
        ),
    ]


PRODUCTS = [*product_cases("uint8"), *product_cases("int8")]


def bits_cases() -> list[tuple[str, list[Any], dict[str, Any]]]:
    cases: list[tuple[str, list[Any], dict[str, Any]]] = []
    sizes = {"K": 200, "N": 48}
    for bits, block in (
        (2, 16),
        (2, 128),
        (4, 16),
        (4, 32),
        (4, 128),
        (8, 32),
        (8, 128),
    ):
        blocks = -(-200 // block)
        packed = bytes_of("uint8", 48, blocks, block * bits // 8)
        scale, kind = scales(48 * blocks), {**sizes, "bits": bits, "block_size": block}
        zeros = bytes_of("uint8", 48 * -(-blocks * bits // 8))
        cases.append(("MatMulNBits", [data(5, 200), packed, scale], kind))
        operands = [data(2, 3, 200), packed, scale, zeros, None, data(48)]
        cases.append(("MatMulNBits", operands, kind))
    packed, scale = bytes_of("uint8", 48, 8, 16), scales(48, 8)
    kind = {"K": 256, "N": 48, "bits": 4, "block_size": 32}
    order = draws(0).permutation(np.repeat(np.arange(8), 32)).astype(np.int32)
    first = [data(5, 256), packed, scale]
    half = [x.astype(np.float16) if x.dtype == np.float32 else x for x in first]
    for operands in (
        [*first, data(48, 8) * 3],
        [*first, None, order],
        [*first, data(48, 8) * 3, order],
        half,
    ):
        cases.append(("MatMulNBits", operands, kind))
    cases += [("MatMulNBits", first, {**kind, "accuracy_level": n}) for n in (1, 4)]
    for quant_type in (0, 1):
        operands = [data(5, 128), bytes_of("uint8", 24 * 64), scales(24 * 2)]
        sizes = {"K": 128, "N": 24, "block_size": 64, "quant_type": quant_type}
        cases.append(("MatMulBnb4", operands, sizes))
    return cases


def gather_cases() -> list[tuple[str, list[Any], dict[str, Any]]]:
    table, places = bytes_of("uint8", 10, 64), np.array([[1, 3], [9, -1]])
    cases: list[tuple[str, list[Any], dict[str, Any]]] = []
    for zeros in (None, bytes_of("uint8", 10, 4)):
        four, eight = [table, places, scales(10, 8)], [table, places, scales(10, 4)]
        deep = [table.reshape(5, 2, 64), np.array([1, 3]), scales(5, 2, 8)]
        by = {"block_size": 16, "gather_axis": 0}
        more = [] if zeros is None else [zeros]
        deeper = [] if zeros is None else [zeros.reshape(5, 2, 4)]
        name = "GatherBlockQuantized"
        cases.append((name, four + more, {**by, "bits": 4, "quantize_axis": 1}))
        cases.append((name, eight + more, {**by, "bits": 8, "quantize_axis": 1}))
        cases.append((name, deep + deeper, {**by, "bits": 4, "quantize_axis": 2}))
    return cases


def expert_cases() -> list[tuple[str, list[Any], dict[str, Any]]]:
    cases: list[tuple[str, list[Any], dict[str, Any]]] = []
    rows, router = data(6, 32), data(6, 4, seed=3)
    for bits in (4, 8):
        p = 8 // bits
        kind = {"expert_weight_bits": bits}
        second = [bytes_of("uint8", 4, 32, 64 // p, seed=5), scales(4, 32), data(4, 32)]
        plain = [bytes_of("uint8", 4, 64, 32 // p), scales(4, 64), data(4, 64)]
        double = [bytes_of("uint8", 4, 128, 32 // p), scales(4, 128), data(4, 128)]
        gated = {**kind, "k": 2, "activation_type": "swiglu", "swiglu_fusion": 1}
        limits = {
            "activation_alpha": 1.702,
            "activation_beta": 1.0,
            "swiglu_limit": 7.0,
        }
        for act, k, normalize in (("relu", 1, 0), ("gelu", 2, 0), ("silu", 2, 1)):
            how = {
                "activation_type": act,
                "k": k,
                "normalize_routing_weights": normalize,
            }
            cases.append(("QMoE", [rows, router, *plain, *second], {**kind, **how}))
        cases.append(("QMoE", [rows, router, *double, *second], {**gated, **limits}))
        blocks = [double[0], scales(4, 128, 2), double[2], second[0], scales(4, 32, 4)]
        zeros = [
            bytes_of("uint8", 4, 128, 2 // p),
            bytes_of("uint8", 4, 32, 4 // p),
        ]
        operands = [rows, router, *blocks, second[2], None, None, None, *zeros]
        cases.append(("QMoE", operands, {**gated, "block_size": 16}))
    return cases


REAL = [*bits_cases(), *gather_cases(), *expert_cases()]


def titles(cases: list[Any]) -> list[str]:
    return [f"{name} {i}" for i, (name, _, _) in enumerate(cases)]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", [*EIGHT_BITS, *REAL], ids=titles([*EIGHT_BITS, *REAL]))
def test_runtime(check_runtime: Any, case: Any, backend: str) -> None:
    name, arrays, attributes = case
    steps = 0 if backend == "numpy" else 1
    check_runtime(name, arrays, backend, steps=steps, **attributes)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", PRODUCTS, ids=titles(PRODUCTS))
def test_products(
    check_runtime: Any, multiplied_right: Any, case: Any, backend: str
) -> None:
    name, arrays, attributes = case
    operands = [multiplied_right(a) for a in arrays]
    steps = 0 if backend == "numpy" else 1
    check_runtime(name, operands, backend, steps=steps, **attributes)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("right", ["int8", "uint8"])
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
def test_lstm(
    check_runtime: Any, multiplied_right: Any, direction: str, right: str, backend: str
) -> None:
    """A batch of one: ONNX Runtime quantizes the states of its threads apart."""
    n = 2 if direction == "bidirectional" else 1
    zeros = np.full(n, 3, right)
    arrays = [
        data(5, 1, 6),
        multiplied_right(bytes_of(right, n, 6, 32)),
        multiplied_right(bytes_of(right, n, 8, 32, seed=2)),
        data(n, 64),
        None,
        data(n, 1, 8, seed=3),
        data(n, 1, 8, seed=4),
        data(n, 24),
        np.full(n, 0.01, np.float32),
        zeros,
        np.full(n, 0.02, np.float32),
        zeros,
    ]
    flags = (True, True, True)
    kind = {"hidden_size": 8, "direction": direction}
    # ONNX Runtime's sigmoid and tanh are polynomials of their own.
    check_runtime("DynamicQuantizeLSTM", arrays, backend, 4, flags, **kind)
    # A scale per column; ONNX Runtime takes no zero points then.
    none = np.zeros((n, 32), right)
    arrays[8:] = [scales(n, 32), none, scales(n, 32, seed=1), none]
    check_runtime("DynamicQuantizeLSTM", arrays, backend, 4, flags, **kind)


@pytest.mark.parametrize("backend", BACKENDS)
def test_lstm_of_lengths(run_kernel: Any, backend: str) -> None:
    """Sequences that end stay as they are, whatever the others do."""
    n = 3
    arrays = [
        data(5, n, 6),
        bytes_of("int8", 1, 6, 32),
        bytes_of("int8", 1, 8, 32, seed=2),
        None,
        np.array([5, 2, 0], np.int32),
        *[None] * 3,
        *[np.full(1, 0.01, np.float32), np.zeros(1, np.int8)] * 2,
    ]
    names = [f"x{i}" if a is not None else "" for i, a in enumerate(arrays)]
    node = helper.make_node(
        "DynamicQuantizeLSTM",
        names,
        ["y", "h", "c"],
        domain="com.microsoft",
        hidden_size=8,
    )
    y, h, _ = run_kernel(node, arrays, backend)
    assert not y[2:, 0, 1].any()
    assert not y[:, 0, 2].any()
    np.testing.assert_array_equal(h[0, 1], y[1, 0, 1])
    np.testing.assert_array_equal(h[0, 0], y[4, 0, 0])


def call(
    run_kernel: Any, op_type: str, arrays: list[Any], backend: str, **how: Any
) -> Any:
    names = [f"x{i}" if a is not None else "" for i, a in enumerate(arrays)]
    node = helper.make_node(op_type, names, ["y"], domain="com.microsoft", **how)
    return run_kernel(node, arrays, backend)[0]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_integers_without_oracle(run_kernel: Any, dtype: str, backend: str) -> None:
    """Those that ONNX Runtime has no code for on CPUs, by their formulas."""
    a, b = bytes_of(dtype, 3, 40), bytes_of(dtype, 40, seed=1)
    za, zb = np.array(7, dtype), np.array(9, dtype)
    wide = [x.astype(np.int32) for x in (a, b)]
    y = call(run_kernel, "MulInteger", [a, za, b, zb], backend)
    np.testing.assert_array_equal(y, (wide[0] - 7) * (wide[1] - 9))
    assert y.dtype == np.int32
    y = call(run_kernel, "ReduceSumInteger", [a], backend, axes=[1], keepdims=0)
    np.testing.assert_array_equal(y, wide[0].sum(1))
    assert y.dtype == (np.int32 if dtype == "int8" else np.uint32)
    operands = [a, one(0.25), za, one(0.5), zb]
    y = call(run_kernel, "QLinearReduceMean", operands, backend, axes=[1], keepdims=1)
    mean = (wide[0] - 7.0).mean(1, keepdims=True) * 0.25
    limits = np.iinfo(dtype)
    wanted = np.clip(np.rint(mean / 0.5) + 9, limits.min, limits.max)
    np.testing.assert_array_equal(y, wanted.astype(dtype))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("dtype", "depth"), [("int16", 9), ("int16", 4096), ("uint16", 9)]
)
def test_matmul_integer16(
    run_kernel: Any, dtype: str, depth: int, backend: str
) -> None:
    """As int32 (uint32) arithmetic, which overflows here."""
    a, b = bytes_of(dtype, 4, depth), bytes_of(dtype, depth, 5, seed=1)
    result = np.int32 if dtype == "int16" else np.uint32
    wanted = (a.astype(np.int64) @ b.astype(np.int64)).astype(result)
    y = call(run_kernel, "MatMulInteger16", [a, b], backend)
    np.testing.assert_array_equal(y, wanted)
    assert y.dtype == result


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", ["int4", "uint4", "int16", "uint16"])
def test_other_widths(run_kernel: Any, dtype: str, backend: str) -> None:
    """ONNX Runtime's own QuantizeLinear for 4 and 16 bits, and back."""
    kind = np.dtype(getattr(ml_dtypes, dtype, dtype))
    limits = ml_dtypes.iinfo(kind)
    x, zero = data(30, 4) * 20, np.array(5, kind)
    y = call(run_kernel, "QuantizeLinear", [x, one(0.5), zero], backend)
    wanted = np.clip(np.rint(x / 0.5) + 5, int(limits.min), int(limits.max))
    np.testing.assert_array_equal(y.astype(np.float32), wanted)
    back = call(run_kernel, "DequantizeLinear", [y, one(0.5), zero], backend)
    np.testing.assert_array_equal(back, (wanted - 5) * np.float32(0.5))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", ["int4", "uint4"])
@pytest.mark.parametrize("axes", [(0, 1), (1, 1), (1, 0)])
def test_gather_of_4_bits(
    run_kernel: Any, dtype: str, axes: tuple[int, int], backend: str
) -> None:
    """Gathering the dequantized whole is the formula."""
    kind, (gathers, blocks) = np.dtype(getattr(ml_dtypes, dtype)), axes
    codes = draws(0).integers(0, 8, (32, 48)).astype(kind)
    shape = tuple(
        size // 16 if i == blocks else size for i, size in enumerate((32, 48))
    )
    scale, zeros = scales(*shape), draws(1).integers(0, 8, shape).astype(kind)
    wide = [np.repeat(x.astype(np.float32), 16, axis=blocks) for x in (scale, zeros)]
    whole = (codes.astype(np.float32) - wide[1]) * wide[0]
    places = np.array([[3, -1], [0, 31]])
    how = {"gather_axis": gathers, "quantize_axis": blocks, "block_size": 16}
    y = call(
        run_kernel,
        "GatherBlockQuantized",
        [codes, places, scale, zeros],
        backend,
        **how,
    )
    np.testing.assert_array_equal(y, np.take(whole, places, axis=gathers))


def test_refusals() -> None:
    nbits, experts = KERNELS["microsoft.MatMulNBits"], KERNELS["microsoft.QMoE"]
    packed = bytes_of("uint8", 48, 8, 16)
    with pytest.raises(ValueError, match="found 3 bits"):
        contrib_quantized_blocks.unpacked(np, packed, 3)
    with pytest.raises(ValueError, match="weight_prepacked 1"):
        nbits(np, data(5, 256), packed, scales(48, 8), K=256, N=48, weight_prepacked=1)
    with pytest.raises(ValueError, match="quant_type 2"):
        KERNELS["microsoft.MatMulBnb4"](
            np, data(5, 8), packed, scales(1), K=8, N=1, quant_type=2
        )
    with pytest.raises(ValueError, match="quant_type 'fp4'"):
        experts(np, data(6, 32), data(6, 4), packed, quant_type="fp4")
    with pytest.raises(ValueError, match="router_weights"):
        experts(np, data(6, 32), data(6, 4), packed, router_weights=data(6, 4))
    with pytest.raises(ValueError, match="without scales"):
        experts(np, data(6, 32), data(6, 4), packed)
    with pytest.raises(ValueError, match="do_rotary"):
        KERNELS["microsoft.QAttention"](
            np, *[data(1)] * 5, num_heads=1, do_rotary=1, outputs=(True, False)
        )
