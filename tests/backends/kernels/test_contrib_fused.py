"""ONNX Runtime's fused, normalizing and plain operators, beside ONNX Runtime."""

import math
from typing import Any

import numpy as np
import pytest
from onnx import helper

BACKENDS = ["numpy", "jax"]


def data(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def ints(*values: int, dtype: Any = np.int32) -> Any:
    return np.array(values, dtype)


IMAGE = data(1, 4, 7, 6)
WEIGHT = data(6, 4, 3, 3, seed=1) * 0.3
ROWS = data(2, 5, 8)
SKIP = data(2, 5, 8, seed=1)
GAMMA, BETA, BIAS = data(8, seed=2), data(8, seed=3), data(8, seed=4)
TOKENS = np.random.default_rng(5).integers(0, 9, (2, 5)).astype(np.int32)
SEGMENTS = (TOKENS % 2).astype(np.int32)
TABLES = (data(9, 8), data(12, 8, seed=1), data(2, 8, seed=2))
MASK = ints(*[1] * 5, *[1, 1, 1, 0, 0]).reshape(2, 5)
SKIPS = (True, False, False, True)

CASES: list[tuple[str, list[Any], dict[str, Any]]] = [
    ("Gelu", [ROWS], {}),
    ("BiasGelu", [ROWS, BIAS], {}),
    ("FastGelu", [ROWS], {}),
    ("FastGelu", [ROWS, BIAS], {}),
    ("QuickGelu", [ROWS * 20], {}),
    ("QuickGelu", [ROWS], {"alpha": 0.7}),
    ("FusedMatMul", [data(3, 4), data(4, 5)], {"alpha": 0.5}),
    ("FusedMatMul", [data(2, 4, 3), data(2, 4, 5)], {"transA": 1}),
    ("FusedMatMul", [data(3, 4), data(2, 5, 4)], {"transB": 1, "alpha": -2.0}),
    ("FusedMatMul", [data(3, 2, 4), data(2, 4, 5)], {"transBatchA": 1}),
    (
        "FusedMatMul",
        [data(4, 2, 3), data(5, 2, 4)],
        {"transBatchA": 1, "transBatchB": 1, "transA": 1, "transB": 1},
    ),
    ("FusedMatMul", [data(3, 2, 6, 4), data(2, 6, 4, 5)], {"transBatchA": 1}),
    ("FusedMatMul", [data(4), data(4, 5)], {}),
    ("TransposeMatMul", [data(4, 3), data(5, 4)], {"transA": 1, "transB": 1}),
    ("FusedGemm", [data(3, 4), data(4, 5)], {"activation": "Relu"}),
    (
        "FusedGemm",
        [data(4, 3), data(5, 4), data(5)],
        {
            "activation": "LeakyRelu",
            "activation_alpha": 0.2,
            "transA": 1,
            "transB": 1,
            "alpha": 0.5,
            "beta": 2.0,
        },
    ),
    ("FusedGemm", [data(3, 4), data(4, 5)], {"activation": "Tanh"}),
    ("FusedGemm", [data(3, 4), data(4, 5)], {"activation": "Sigmoid"}),
    ("FusedConv", [IMAGE, WEIGHT], {"activation": "Relu"}),
    ("FusedConv", [IMAGE, WEIGHT, data(6)], {"activation": "Sigmoid"}),
    (
        "FusedConv",
        [IMAGE, WEIGHT, data(6), data(1, 6, 7, 6)],
        {"activation": "Relu", "pads": [1, 1, 1, 1]},
    ),
    (
        "FusedConv",
        [IMAGE, WEIGHT],
        {"activation": "Clip", "activation_params": [-0.5, 0.5], "strides": [2, 2]},
    ),
    (
        "FusedConv",
        [IMAGE, WEIGHT],
        {"activation": "LeakyRelu", "activation_params": [0.3], "auto_pad": "VALID"},
    ),
    (
        "FusedConv",
        [IMAGE, data(4, 1, 3, 3)],
        {"activation": "HardSigmoid", "activation_params": [0.2, 0.5], "group": 4},
    ),
    ("FusedConv", [IMAGE, WEIGHT], {"activation": "Tanh", "dilations": [2, 1]}),
    ("SkipLayerNormalization", [ROWS, SKIP, GAMMA], {}),
    (
        "SkipLayerNormalization",
        [ROWS, SKIP, GAMMA, BETA, BIAS],
        {"epsilon": 1e-3, "outputs": SKIPS},
    ),
    ("SkipLayerNormalization", [ROWS, SKIP[:1], GAMMA, BETA], {"outputs": SKIPS}),
    ("SkipLayerNormalization", [ROWS, SKIP[0], GAMMA, BETA], {"outputs": SKIPS}),
    ("SkipSimplifiedLayerNormalization", [ROWS, SKIP, GAMMA], {"outputs": SKIPS}),
    (
        "SkipSimplifiedLayerNormalization",
        [ROWS, SKIP, GAMMA, BIAS],
        {"epsilon": 1e-5, "outputs": SKIPS},
    ),
    ("SimplifiedLayerNormalization", [ROWS, GAMMA], {"domain": ""}),
    (
        "SimplifiedLayerNormalization",
        [ROWS, data(5, 8)],
        {"domain": "", "axis": 1, "outputs": (True, True)},
    ),
    (
        "EmbedLayerNormalization",
        [TOKENS, SEGMENTS, *TABLES, GAMMA, BETA],
        {"outputs": (True, True)},
    ),
    (
        "EmbedLayerNormalization",
        [TOKENS, None, *TABLES[:2], None, GAMMA, BETA, MASK],
        {"outputs": (True, True, True), "epsilon": 1e-5},
    ),
    (
        "EmbedLayerNormalization",
        [TOKENS, SEGMENTS, *TABLES, GAMMA, BETA, MASK, TOKENS],
        {"outputs": (True, True, True)},
    ),
    (
        "MoE",
        [
            data(6, 8),
            data(6, 4),
            data(4, 16, 8),
            data(4, 16),
            data(4, 8, 16),
            data(4, 8),
        ],
        {"k": 2, "activation_type": "gelu", "normalize_routing_weights": 1},
    ),
    (
        "MoE",
        [data(2, 3, 8), data(6, 4), data(4, 16, 8), None, data(4, 8, 16)],
        {"k": 1, "activation_type": "relu"},
    ),
    (
        "MoE",
        [data(6, 8), data(6, 4), data(4, 32, 8), data(4, 32), data(4, 8, 16)],
        {
            "k": 2,
            "activation_type": "swiglu",
            "swiglu_fusion": 1,
            "swiglu_limit": 1.5,
            "activation_alpha": 1.7,
            "activation_beta": 1.0,
        },
    ),
    ("Trilu", [data(2, 4, 5), ints(1, dtype=np.int64).reshape(())], {"upper": 0}),
    (
        "Unique",
        [data(3).repeat(2)[[0, 5, 1, 2, 4, 3]]],
        {"outputs": (True, True, True)},
    ),
    ("Pad", [data(2, 3), ints(0, 1, 2, 3, dtype=np.int64)], {}),
    (
        "Pad",
        [data(2, 3), ints(0, 1, 1, 1, dtype=np.int64)],
        {"mode": "reflect"},
    ),
    ("Range", [np.array(1, np.float32), np.array(7.5, np.float32)], {}),
    ("Range", [ints(9).reshape(()), ints(1).reshape(()), ints(-3).reshape(())], {}),
    ("ExpandDims", [data(2, 3), ints(-1).reshape(())], {}),
    ("ExpandDims", [data(2, 3), ints(1).reshape(())], {}),
    ("GatherND", [data(4, 3, 2), ints(1, 2, 3, 0, dtype=np.int64).reshape(2, 2)], {}),
    ("Inverse", [data(2, 3, 3) + 2 * np.eye(3, dtype=np.float32)], {}),
    ("CDist", [data(4, 3), data(5, 3, seed=1)], {}),
    ("CDist", [data(4, 3), data(5, 3, seed=1)], {"metric": "euclidean"}),
    (
        "NGramRepeatBlock",
        [ints(1, 2, 3, 1, 2, 5, 5, 4, 5, 5, dtype=np.int64).reshape(2, 5), data(2, 7)],
        {"ngram_size": 3},
    ),
    (
        "CropAndResize",
        [
            data(2, 3, 6, 5),
            np.float32([[0, 0, 1, 1], [0.2, 0.1, 0.7, 1.2]]),
            ints(0, 1),
            ints(4, 3),
        ],
        {"extrapolation_value": -1.0},
    ),
    (
        "CropAndResize",
        [data(2, 3, 6, 5), np.float32([[0.13, 0.02, 0.87, 0.98]]), ints(1), ints(3, 4)],
        {"mode": "nearest"},
    ),
    ("GridSample", [data(1, 2, 5, 5), data(1, 3, 4, 2) * 0.6], {}),
    (
        "GridSample",
        [data(1, 2, 5, 5), data(1, 3, 4, 2) * 0.6],
        {"mode": "bicubic", "padding_mode": "reflection", "align_corners": 1},
    ),
    (
        "GridSample",
        [data(1, 2, 5, 5), data(1, 3, 4, 2)],
        {"mode": "bicubic", "padding_mode": "border", "align_corners": 1},
    ),
    ("UnfoldTensor", [data(3, 9)], {"dim": 1, "size": 4, "step": 2}),
    ("UnfoldTensor", [data(7, 2)], {"dim": 0, "size": 3}),
    ("DynamicTimeWarping", [data(1, 5, 7)], {}),
    (
        "ConvTransposeWithDynamicPads",
        [data(1, 2, 4, 4), data(2, 3, 3, 3), ints(1, 0, 1, 1, dtype=np.int64)],
        {"strides": [2, 2]},
    ),
    (
        "NhwcMaxPool",
        [np.random.default_rng(0).integers(-9, 9, (1, 5, 6, 4)).astype(np.int8)],
        {"kernel_shape": [2, 3], "strides": [2, 1], "pads": [1, 0, 0, 1]},
    ),
]


# Compiling takes JAX a while: it gets the first case of each operator.
FIRST = [n for n, c in enumerate(CASES) if c[0] not in {d[0] for d in CASES[:n]}]
EVERY = [(n, "numpy") for n in range(len(CASES))] + [(n, "jax") for n in FIRST]


@pytest.mark.parametrize(
    ("case", "backend"), EVERY, ids=[f"{CASES[n][0]}-{n}-{b}" for n, b in EVERY]
)
def test_as_in_onnx_runtime(check_runtime: Any, case: int, backend: str) -> None:
    op_type, arrays, options = CASES[case]
    check_runtime(op_type, arrays, backend, factor=8, **options)


# --- operators without a CPU kernel in ONNX Runtime: against their formulas ---


def run(
    run_kernel: Any, backend: str, op_type: str, arrays: list[Any], **attributes: Any
) -> Any:
    names = [f"x{i}" if a is not None else "" for i, a in enumerate(arrays)]
    outputs = attributes.pop("outputs", 1)
    results = [f"y{i}" for i in range(outputs)]
    node = helper.make_node(
        op_type, names, results, domain="com.microsoft", **attributes
    )
    return run_kernel(node, arrays, backend)


def gelu(x: Any) -> Any:
    return x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / 2


def softmax(x: Any) -> Any:
    powers = np.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


GROUPED = data(2, 3, 4, 8)
CHANNELS = data(2, 8, seed=7)


def normalized_groups(x: Any, groups: int, epsilon: float = 1e-5) -> Any:
    """Channels last, before scale and offset."""
    parts = x.astype(np.float64).reshape(x.shape[0], -1, groups, x.shape[-1] // groups)
    mean = parts.mean((1, 3), keepdims=True)
    deviation = np.sqrt(parts.var((1, 3), keepdims=True) + epsilon)
    return ((parts - mean) / deviation).reshape(x.shape)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("activation", [0, 1])
def test_group_norm(
    run_kernel: Any, assert_close: Any, backend: str, activation: int
) -> None:
    options = {"groups": 2, "activation": activation}
    (found,) = run(run_kernel, backend, "GroupNorm", [GROUPED, GAMMA, BETA], **options)
    y = normalized_groups(GROUPED, 2) * GAMMA + BETA
    wanted = (y * sigmoid(y) if activation else y).astype(np.float32)
    assert_close(found, wanted, 4)
    (found,) = run(
        run_kernel,
        backend,
        "GroupNorm",
        [GROUPED.transpose(0, 3, 1, 2), GAMMA, BETA],
        channels_last=0,
        **options,
    )
    assert_close(found, wanted.transpose(0, 3, 1, 2), 4)


@pytest.mark.parametrize("backend", BACKENDS)
def test_skip_group_norm(run_kernel: Any, assert_close: Any, backend: str) -> None:
    y, total = run(
        run_kernel,
        backend,
        "SkipGroupNorm",
        [GROUPED, GAMMA, BETA, CHANNELS, BIAS],
        groups=4,
        activation=0,
        epsilon=1e-3,
        outputs=2,
    )
    wanted = GROUPED + CHANNELS[:, None, None] + BIAS
    assert_close(total, wanted)
    scaled = normalized_groups(wanted, 4, 1e-3) * GAMMA + BETA
    assert_close(y, scaled.astype(np.float32), 8)


@pytest.mark.parametrize("backend", BACKENDS)
def test_formulas(run_kernel: Any, assert_close: Any, backend: str) -> None:
    wide = ROWS.astype(np.float64)
    z = ROWS * np.float32(0.5)
    cases = [
        (
            "BiasSplitGelu",
            [ROWS, BIAS],
            {},
            (wide + BIAS)[..., :4] * gelu((wide + BIAS)[..., 4:]),
        ),
        ("BiasAdd", [ROWS, BIAS, SKIP], {}, wide + BIAS + SKIP),
        ("GemmFastGelu", [ROWS, data(8, 3) * 1e-3], {}, gelu(wide @ data(8, 3) * 1e-3)),
        ("ScaledSiLU", [ROWS], {"alpha": 0.5}, z * sigmoid(z)),
        ("GatedAdd", [ROWS, SKIP, SKIP[..., :1]], {}, ROWS + SKIP * SKIP[..., :1]),
        ("TorchEmbedding", [GAMMA, TOKENS % 8], {}, GAMMA[TOKENS % 8]),
        (
            "NhwcFusedConv",
            [IMAGE.transpose(0, 2, 3, 1), WEIGHT[:, :, :1, :1], BIAS[:6]],
            {"activation": "Relu"},
            np.maximum(
                IMAGE.transpose(0, 2, 3, 1) @ WEIGHT[:, :, 0, 0].T + BIAS[:6], 0
            ),
        ),
        (
            "NhwcConv",
            [IMAGE.transpose(0, 2, 3, 1), WEIGHT[:, :, :1, :1]],
            {},
            IMAGE.transpose(0, 2, 3, 1) @ WEIGHT[:, :, 0, 0].T,
        ),
        (
            "GatedRMSNorm",
            [ROWS, GAMMA, SKIP],
            {},
            wide
            / np.sqrt((wide**2).mean(-1, keepdims=True) + 1e-5)
            * GAMMA
            * SKIP
            * sigmoid(SKIP),
        ),
        (
            "FusedMatMulActivation",
            [ROWS, data(8, 3)],
            {"activation": "Softmax", "activation_axis": -1, "alpha": 0.5},
            softmax(wide @ data(8, 3) * 0.5),
        ),
    ]
    for op_type, arrays, options, wanted in cases:
        (found,) = run(run_kernel, backend, op_type, arrays, **options)
        assert_close(found, wanted.astype(np.float32), 8, op_type)


@pytest.mark.parametrize("backend", BACKENDS)
def test_bias_softmax(run_kernel: Any, assert_close: Any, backend: str) -> None:
    x = data(2, 3, 4, 5)
    for inner, bias in ((1, data(2, 1, 1, 5)), (0, data(1, 1, 4, 5)), (0, data(5))):
        (found,) = run(
            run_kernel,
            backend,
            "BiasSoftmax",
            [x, bias],
            axis=3,
            is_inner_broadcast=inner,
        )
        assert_close(found, softmax(x + bias), 4)


@pytest.mark.parametrize("backend", BACKENDS)
def test_spectra_and_complex_products(
    run_kernel: Any, assert_close: Any, backend: str
) -> None:
    x = data(3, 4, 6)
    for count in (1, 2):
        wanted = np.fft.rfftn(x, axes=range(-count, 0))
        pairs = np.stack((wanted.real, wanted.imag), -1).astype(np.float32)
        (found,) = run(run_kernel, backend, "Rfft", [x], signal_ndim=count)
        assert_close(found, pairs, 4)
        (back,) = run(run_kernel, backend, "Irfft", [pairs], signal_ndim=count)
        assert_close(back, x, 4)
    a, b = data(4, 2), data(4, 2, seed=1)
    product = (a[:, 0] + 1j * a[:, 1]) * (b[:, 0] + 1j * b[:, 1])
    (found,) = run(run_kernel, backend, "ComplexMul", [a, b])
    assert_close(found[:, 0] + 1j * found[:, 1], product.astype(np.complex64))
    product = (a[:, 0] + 1j * a[:, 1]) * (b[:, 0] - 1j * b[:, 1])
    (found,) = run(run_kernel, backend, "ComplexMulConj", [a, b])
    assert_close(found[:, 0] + 1j * found[:, 1], product.astype(np.complex64))


@pytest.mark.parametrize("backend", BACKENDS)
def test_all_finite(run_kernel: Any, backend: str) -> None:
    for values, finite, no_nan, no_infinity in (
        ([1, 2], True, True, True),
        ([1, np.inf], False, True, False),
        ([np.nan, 1], False, False, True),
    ):
        arrays = [data(3), np.array(values, np.float32)]
        assert run(run_kernel, backend, "IsAllFinite", arrays)[0] == finite
        found = run(run_kernel, backend, "IsAllFinite", arrays, isnan_only=1)
        assert found[0] == no_nan
        found = run(run_kernel, backend, "IsAllFinite", arrays, isinf_only=1)
        assert found[0] == no_infinity


def test_padding_goes_and_comes_back(run_kernel: Any) -> None:
    x = data(2, 3, 4)
    x[0, 2:] = 0
    tokens, offsets, starts, longest = run(
        run_kernel, "numpy", "RemovePadding", [x, ints(2, 3)], outputs=4
    )
    np.testing.assert_array_equal(tokens, np.concatenate((x[0, :2], x[1])))
    np.testing.assert_array_equal(offsets, [[0, 1, 3], [4, 5, 2]])
    np.testing.assert_array_equal(starts, [0, 2, 5])
    assert longest == [3]
    for backend in BACKENDS:
        (back,) = run(run_kernel, backend, "RestorePadding", [tokens, offsets])
        np.testing.assert_array_equal(back, x)


@pytest.mark.parametrize(
    ("op_type", "arrays", "options", "message"),
    [
        (
            "FusedConv",
            [IMAGE, WEIGHT],
            {"activation": "Cube"},
            "found activation 'Cube'",
        ),
        (
            "MoE",
            [ROWS[0], data(5, 2), data(2, 4, 8), None, data(2, 8, 4)],
            {"activation_type": "cube"},
            "found activation_type 'cube'",
        ),
        (
            "MoE",
            [ROWS[0], data(5, 2), data(2, 4, 8), None, data(2, 8, 4)],
            {"use_sparse_mixer": 1},
            "found use_sparse_mixer 1",
        ),
        ("CDist", [ROWS[0], ROWS[1]], {"metric": "cosine"}, "found metric 'cosine'"),
        ("Rfft", [ROWS], {"onesided": 0}, "found normalized or two-sided"),
    ],
)
def test_refusals(
    run_kernel: Any, op_type: str, arrays: Any, options: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        run(run_kernel, "numpy", op_type, arrays, **options)
