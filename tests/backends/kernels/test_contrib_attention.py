"""ONNX Runtime's attention operators, beside ONNX Runtime."""

import math
from typing import Any

import numpy as np
import pytest
from onnx import helper


def on_backends(cases: list[Any]) -> Any:
    """Every case on NumPy, and on JAX, which compiles for long, every third."""
    chosen = [(case, "numpy") for case in cases] + [(c, "jax") for c in cases[::3]]
    names = [f"{case[0]}-{backend}" for case, backend in chosen]
    return pytest.mark.parametrize(("case", "backend"), chosen, ids=names)


BATCH, LENGTH, HEADS, SIZE, PAST = 2, 3, 2, 4, 2
HIDDEN, TOTAL = HEADS * SIZE, PAST + LENGTH


def data(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def ints(*values: int, dtype: Any = np.int32) -> Any:
    return np.array(values, dtype)


def mask_of(*shape: int) -> Any:
    """Zeros and ones; the first key always counts."""
    mask = np.random.default_rng(7).integers(0, 2, shape).astype(np.int32)
    mask[..., 0] = 1
    return mask


X = data(BATCH, LENGTH, 5)
W = data(5, 3 * HIDDEN, seed=1)
WB = data(3 * HIDDEN, seed=2)
CACHE = data(2, BATCH, HEADS, PAST, SIZE, seed=3)
SCORES = data(1, HEADS, LENGTH, LENGTH, seed=4)
WIDE = data(BATCH, 1, LENGTH, TOTAL, seed=4)
BOTH = (True, True)

ATTENTION: list[tuple[str, list[Any], dict[str, Any]]] = [
    ("plain", [X, W, WB], {}),
    ("scale", [X, W, WB], {"scale": 0.3}),
    ("causal", [X, W, WB], {"unidirectional": 1}),
    ("lengths", [X, W, WB, ints(3, 2)], {}),
    ("ends and starts", [X, W, WB, ints(3, 2, 1, 0)], {}),
    ("raw mask", [X, W, WB, mask_of(BATCH, LENGTH)], {"mask_filter_value": -3.0}),
    ("causal mask", [X, W, WB, mask_of(BATCH, LENGTH)], {"unidirectional": 1}),
    ("mask per query", [X, W, WB, mask_of(BATCH, LENGTH, LENGTH)], {}),
    ("bias of scores", [X, W, WB, None, None, SCORES], {}),
    ("cache", [X, W, WB, None, CACHE], {"outputs": BOTH}),
    (
        "cache and mask",
        [X, W, WB, mask_of(BATCH, TOTAL), CACHE],
        {"outputs": BOTH, "unidirectional": 1},
    ),
    (
        "sizes",
        [X, data(5, 2 * HIDDEN + 6, seed=1), data(2 * HIDDEN + 6, seed=2)],
        {"qkv_hidden_sizes": [HIDDEN, HIDDEN, 6]},
    ),
    ("everything masked", [X, W, WB, np.zeros((BATCH, LENGTH), np.int32)], {}),
]


@on_backends(ATTENTION)
def test_attention(check_runtime: Any, case: Any, backend: str) -> None:
    _, arrays, options = case
    op_type = "Attention"
    check_runtime(op_type, arrays, backend, 8, num_heads=HEADS, **options)


Q, K, V = (data(BATCH, LENGTH, HIDDEN, seed=s) for s in range(3))
LONG = 5
K2, V2 = data(BATCH, LONG, HIDDEN, seed=5), data(BATCH, LONG, 6, seed=6)
KH, VH = (data(BATCH, HEADS, LONG, SIZE, seed=s) for s in (5, 6))
PK, PV = CACHE
OUT3 = (True, True, True)

MULTI_HEAD: list[tuple[str, list[Any], dict[str, Any]]] = [
    ("plain", [Q, K, V], {}),
    ("bias", [Q, K, V, WB], {"scale": 0.7}),
    ("causal", [Q, K, V, WB], {"unidirectional": 1}),
    ("cross", [Q, K2, V2], {}),
    ("cross with bias", [Q, K2, V2, data(2 * HIDDEN + 6)], {}),
    ("heads of KV", [Q, KH, VH], {}),
    ("lengths", [Q, K2, V2, None, ints(5, 2)], {}),
    ("padding", [Q, K2, V2, None, mask_of(BATCH, LONG)], {"mask_filter_value": -5.0}),
    ("mask per query", [Q, K2, V2, None, mask_of(BATCH, LENGTH, LONG)], {}),
    ("bias of scores", [Q, K, V, None, None, SCORES], {}),
    ("cache", [Q, K, V, None, None, None, PK, PV], {"outputs": OUT3}),
    (
        "cache, everything",
        [Q, K, V, WB, mask_of(BATCH, TOTAL), WIDE, PK, PV],
        {"outputs": OUT3, "unidirectional": 1},
    ),
    ("present", [Q, K, V, WB], {"outputs": OUT3}),
]


@on_backends(MULTI_HEAD)
def test_multi_head(check_runtime: Any, case: Any, backend: str) -> None:
    _, arrays, options = case
    op_type = "MultiHeadAttention"
    check_runtime(op_type, arrays, backend, 8, num_heads=HEADS, **options)


# --- one query per sequence ---

Q1, K1, V1 = (data(BATCH, 1, HIDDEN, seed=s) for s in range(3))
BUFFER = (data(BATCH, HEADS, 6, SIZE, seed=8), data(BATCH, HEADS, 6, SIZE, seed=9))
START = ints(3)
STEP: list[tuple[str, list[Any], dict[str, Any]]] = [
    ("cross", [Q1, KH, VH], {}),
    ("cross, masked", [Q1, KH, VH, mask_of(BATCH, LONG)], {}),
    (
        "shared buffer",
        [Q1, K1, V1, None, None, *BUFFER, START],
        {"past_present_share_buffer": 1, "outputs": OUT3},
    ),
    (
        "shared buffer, masked",
        [Q1, K1, V1, mask_of(BATCH, 4), None, *BUFFER, START, None, None, WB],
        {"past_present_share_buffer": 1, "outputs": OUT3},
    ),
    (
        "beams",
        [
            Q1,
            K1,
            V1,
            None,
            None,
            *BUFFER,
            START,
            ints(2),
            ints(1, 0, 1, 0, 0, 0, 0, 1, 1, 0, 0, 0).reshape(1, 2, 6),
        ],
        {"past_present_share_buffer": 1, "outputs": OUT3},
    ),
]


@on_backends(STEP)
def test_decoder_step(check_runtime: Any, case: Any, backend: str) -> None:
    _, arrays, options = case
    op_type = "DecoderMaskedMultiHeadAttention"
    check_runtime(op_type, arrays, backend, 8, num_heads=HEADS, **options)


# --- positions ---

TURNED = data(2, 3, 16)
CACHES = (data(8, 4, seed=1), data(8, 4, seed=2))
IDS = ints(0, 3, 5, 2, 1, 7, dtype=np.int64).reshape(2, 3)
POSITIONS: list[tuple[str, list[Any], dict[str, Any]]] = [
    ("RotaryEmbedding", [TURNED, IDS, *CACHES], {}),
    ("RotaryEmbedding", [TURNED, ints(2, dtype=np.int64), *CACHES], {"interleaved": 1}),
    (
        "RotaryEmbedding",
        [TURNED, IDS, *(c[:, :2] for c in CACHES)],
        {"num_heads": 2, "rotary_embedding_dim": 4},
    ),
    ("RotaryEmbedding", [data(2, 2, 3, 8), IDS, *CACHES], {"scale": 3.0}),
]


@on_backends(POSITIONS)
def test_positions(check_runtime: Any, case: Any, backend: str) -> None:
    op_type, arrays, options = case
    check_runtime(op_type, arrays, backend, 4, **options)


# --- what ONNX Runtime runs on other devices alone: against what it runs here ---


def run(
    run_kernel: Any, backend: str, op_type: str, arrays: list[Any], **attributes: Any
) -> Any:
    names = [f"x{i}" if a is not None else "" for i, a in enumerate(arrays)]
    node = helper.make_node(op_type, names, ["y"], domain="com.microsoft", **attributes)
    return run_kernel(node, arrays, backend)[0]


def heads_of(x: Any) -> Any:
    return x.reshape(*x.shape[:2], HEADS, SIZE)


@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_packed_forms_are_the_plain_one(
    run_kernel: Any, assert_close: Any, backend: str
) -> None:
    wanted = run(run_kernel, backend, "MultiHeadAttention", [Q, K, V], num_heads=HEADS)
    three = np.stack([heads_of(x) for x in (Q, K, V)], axis=3)
    two = np.stack([heads_of(x) for x in (K, V)], axis=3)
    for arrays in ([three], [Q, two]):
        op_type = "MultiHeadAttention"
        found = run(run_kernel, backend, op_type, arrays, num_heads=HEADS)
        assert_close(found, wanted)


@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_tokens_without_padding(
    run_kernel: Any, assert_close: Any, backend: str
) -> None:
    lengths = ints(3, 2)
    kept = np.arange(LENGTH)[None] < lengths[:, None]
    offsets = np.argsort(~kept.reshape(-1), kind="stable").reshape(BATCH, LENGTH)
    about = [offsets.astype(np.int32), ints(0, 3, 5)]
    padded = [X, W, WB, lengths]
    wanted = run(run_kernel, backend, "Attention", padded, num_heads=HEADS)
    arrays = [X[kept], W, WB, *about]
    found = run(run_kernel, backend, "PackedAttention", arrays, num_heads=HEADS)
    assert_close(found, wanted[kept], 4)
    op_type = "MultiHeadAttention"
    wanted = run(run_kernel, backend, op_type, [Q, K, V, WB, lengths], num_heads=HEADS)
    arrays = [Q[kept], K[kept], V[kept], WB, *about]
    op_type = "PackedMultiHeadAttention"
    found = run(run_kernel, backend, op_type, arrays, num_heads=HEADS)
    assert_close(found, wanted[kept], 4)


def test_self_attention_of_a_decoder(run_kernel: Any, assert_close: Any) -> None:
    one, past = X[:, :1], np.stack(BUFFER)
    arrays = [one, W, WB, None, past[:, :, :, :3]]
    wanted = run(run_kernel, "numpy", "Attention", arrays, num_heads=HEADS)
    found = run(
        run_kernel,
        "numpy",
        "DecoderMaskedSelfAttention",
        [one, W, WB, None, past, None, START],
        num_heads=HEADS,
        past_present_share_buffer=1,
    )
    assert_close(found, wanted, 4)


def bucket(distance: int, count: int, furthest: int, both: bool) -> int:
    """T5's bucket of a distance, from its definition."""
    offset = 0
    if both:
        count //= 2
        offset = count if distance > 0 else 0
        distance = abs(distance)
    else:
        distance = max(-distance, 0)
    exact = count // 2
    if distance < exact:
        return offset + distance
    share = math.log(distance / exact) / math.log(furthest / exact)
    return offset + min(exact + int(share * (count - exact)), count - 1)


@pytest.mark.parametrize("both", [0, 1])
@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_relative_position_bias(run_kernel: Any, backend: str, both: int) -> None:
    table, length = data(8, 3), ints(9, dtype=np.int64)
    found = run(
        run_kernel,
        backend,
        "RelativePositionBias",
        [table, length, length],
        max_distance=7,
        is_bidirectional=both,
    )
    wanted = [[bucket(k - q, 8, 7, bool(both)) for k in range(9)] for q in range(9)]
    np.testing.assert_array_equal(found, table[wanted].transpose(2, 0, 1)[None])


@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_gated_relative_position_bias(
    run_kernel: Any, assert_close: Any, backend: str
) -> None:
    bias, places = data(HIDDEN), data(1, HEADS, LENGTH, LENGTH)
    weight, offset, factor = data(SIZE, 6), data(6), data(1, HEADS, 1, 1)
    found = run(
        run_kernel,
        backend,
        "GatedRelativePositionBias",
        [Q, bias, places, weight, offset, factor],
        num_heads=HEADS,
    )
    query = heads_of(Q + bias).transpose(0, 2, 1, 3).astype(np.float64)
    gates = (query @ weight + offset).reshape(BATCH, HEADS, LENGTH, 2, 3).sum(-1)
    u, r = np.moveaxis(1 / (1 + np.exp(-gates)), -1, 0)[..., None]
    wanted = (u * (r * factor - 1) + 2) * places
    assert_close(found, wanted.astype(np.float32), 4)


def test_bias_and_cache_together(run_kernel: Any, assert_close: Any) -> None:
    """ONNX Runtime refuses it in Attention; MultiHeadAttention takes it."""
    q, k, v = np.split(X @ W + WB, 3, axis=2)
    arrays = [q, k, v, None, None, WIDE, *CACHE]
    wanted = run(run_kernel, "numpy", "MultiHeadAttention", arrays, num_heads=HEADS)
    arrays = [X, W, WB, None, CACHE, WIDE]
    found = run(run_kernel, "numpy", "Attention", arrays, num_heads=HEADS)
    assert_close(found, wanted, 4)


@pytest.mark.parametrize(
    ("op_type", "arrays", "options", "message"),
    [
        ("Attention", [X, W, WB], {"do_rotary": 1}, "found do_rotary 1, wanted 0"),
    ],
)
def test_refusals(
    run_kernel: Any, op_type: str, arrays: Any, options: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        run(run_kernel, "numpy", op_type, arrays, num_heads=HEADS, **options)
