"""ONNX Runtime's attention of grouped queries, beside ONNX Runtime."""

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator


def on_backends(cases: list[Any]) -> Any:
    """Every case on NumPy, and on JAX, which compiles for long, every third."""
    chosen = [(case, "numpy") for case in cases] + [(c, "jax") for c in cases[::3]]
    names = [f"{case[0]}-{backend}" for case, backend in chosen]
    return pytest.mark.parametrize(("case", "backend"), chosen, ids=names)


def data(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def ints(*values: int, dtype: Any = np.int32) -> Any:
    return np.array(values, dtype)


BATCH, LENGTH = 2, 3
NQ, NK, HS = 4, 2, 16
GQ, GK, GV = (
    data(BATCH, LENGTH, NQ * HS),
    *(data(BATCH, LENGTH, NK * HS, seed=s) for s in (1, 2)),
)
PACKED = data(BATCH, LENGTH, (NQ + 2 * NK) * HS)
ONE = tuple(x[:, :1] for x in (GQ, GK, GV))
GPAST = tuple(data(BATCH, NK, 5, HS, seed=s) for s in (3, 4))
ROTARY = (data(12, HS // 2, seed=5), data(12, HS // 2, seed=6))
FIRST = (ints(2, 2), ints(LENGTH).reshape(()))
FULL = (True, True, True)


def grouped(
    qkv: Any, past: Any, lengths: Any, total: int, *rest: Any, **options: Any
) -> tuple[list[Any], dict[str, Any]]:
    operands = [*qkv, *(past or (None, None)), lengths, ints(total).reshape(()), *rest]
    return operands, {"outputs": FULL, **options}


QKV = (GQ, GK, GV)
ONES = (PACKED, None, None)
GROUPED = {
    "prompt": grouped(QKV, None, ints(2, 2), 3),
    "prompt, packed": grouped(ONES, None, ints(2, 2), 3, scale=0.2),
    "prompt, rotary": grouped(QKV, None, ints(2, 2), 3, *ROTARY, do_rotary=1),
    "prompt, interleaved": grouped(
        ONES, None, ints(2, 2), 3, *ROTARY, do_rotary=1, rotary_interleaved=1
    ),
    "prompt, positions": grouped(
        QKV,
        None,
        ints(2, 2),
        3,
        *ROTARY,
        ints(1, 2, 3, 4, 5, 6, dtype=np.int64).reshape(2, 3),
        do_rotary=1,
    ),
    "step": grouped(ONE, GPAST, ints(5, 5), 6, *ROTARY, do_rotary=1),
    "step, ragged": grouped(ONE, GPAST, ints(3, 5), 6, *ROTARY, do_rotary=1),
    "step, positions": grouped(
        ONE,
        GPAST,
        ints(5, 5),
        6,
        *ROTARY,
        ints(7, 8, dtype=np.int64).reshape(2, 1),
        do_rotary=1,
    ),
    "step, larger buffer": grouped(
        ONE, tuple(data(BATCH, NK, 9, HS, seed=s) for s in (3, 4)), ints(5, 3), 6
    ),
    "several tokens": grouped(
        tuple(x[:1] for x in QKV),
        tuple(x[:1] for x in GPAST),
        ints(7),
        8,
        *ROTARY,
        do_rotary=1,
    ),
    "window": grouped(QKV, None, ints(2, 2), 3, local_window_size=2),
    "step, window": grouped(ONE, GPAST, ints(5, 4), 6, local_window_size=3),
    "softcap": grouped(QKV, None, ints(2, 2), 3, softcap=0.7),
    "smooth": grouped(QKV, None, ints(2, 2), 3, smooth_softmax=1),
    "sink": grouped(QKV, None, ints(2, 2), 3, None, None, None, None, data(NQ)),
    "bias": grouped(
        QKV,
        None,
        ints(2, 2),
        3,
        None,
        None,
        None,
        data(BATCH, NQ, LENGTH, LENGTH),
        softcap=2.0,
    ),
    "step, bias": grouped(
        ONE, GPAST, ints(5, 5), 6, None, None, None, data(1, 1, 1, 6)
    ),
    "not causal": grouped(QKV, None, ints(2, 2), 3, causal=0),
    "scores": grouped(QKV, None, ints(2, 2), 3, qk_output=1, outputs=(*FULL, True)),
    "weights": grouped(QKV, None, ints(2, 2), 3, qk_output=2, outputs=(*FULL, True)),
}


def grouped_node(arrays: list[Any], outputs: int, options: dict[str, Any]) -> Any:
    names = [f"x{i}" if a is not None else "" for i, a in enumerate(arrays)]
    heads = {"num_heads": NQ, "kv_num_heads": NK}
    return helper.make_node(
        "GroupQueryAttention",
        names,
        [f"y{i}" for i in range(outputs)],
        domain="com.microsoft",
        **(heads | options),
    )


# --- a cache of 8 bits, or of 4, of which two lie in a byte ---


def few_bits(bits: int, *shape: int, seed: int = 0) -> Any:
    generator = np.random.default_rng(seed)
    if bits == 8:
        return generator.integers(-128, 128, shape).astype(np.int8)
    return generator.integers(0, 256, (*shape[:-1], shape[-1] // 2)).astype(np.uint8)


def quantized(
    qkv: Any, bits: int, kind: str, past: int, lengths: Any, *rest: Any, **options: Any
) -> tuple[list[Any], dict[str, Any]]:
    """A case with a cache of `past` rows; ONNX Runtime wants one, if an empty one."""
    cache = [few_bits(bits, BATCH, NK, past, HS, seed=s) for s in (3, 4)]
    count = 1 if kind == "PER_TENSOR" else NK * HS
    step = 2.5 / 2 ** (bits - 1)
    scales = [(np.abs(data(count, seed=s)) + 0.2) * step for s in (5, 6)]
    rest = (*rest, *[None] * (5 - len(rest)), *scales)
    kinds = {"k_quant_type": kind, "v_quant_type": kind, "kv_cache_bit_width": bits}
    return grouped(qkv, cache, lengths, max(lengths) + 1, *rest, **kinds, **options)


SINK = (None, None, None, None, data(NQ))
PROMPT = ints(2, 2)
GROUPED_FEW_BITS = {
    "8 bits": quantized(QKV, 8, "PER_TENSOR", 0, PROMPT),
    "8 bits, packed": quantized(ONES, 8, "PER_CHANNEL", 0, PROMPT, scale=0.2),
    "4 bits": quantized(QKV, 4, "PER_TENSOR", 0, PROMPT),
    "4 bits, by channel": quantized(QKV, 4, "PER_CHANNEL", 0, PROMPT),
    "8 bits, rotary": quantized(ONES, 8, "PER_TENSOR", 0, PROMPT, *ROTARY, do_rotary=1),
    "8 bits, step": quantized(ONE, 8, "PER_TENSOR", 5, ints(5, 3)),
    "4 bits, step": quantized(ONE, 4, "PER_TENSOR", 5, ints(5, 3)),
    "4 bits, step by channel": quantized(
        ONE, 4, "PER_CHANNEL", 5, ints(5, 5), *ROTARY, do_rotary=1
    ),
    "8 bits, larger buffer": quantized(ONE, 8, "PER_CHANNEL", 9, ints(5, 3)),
    "8 bits, window": quantized(QKV, 8, "PER_TENSOR", 0, PROMPT, local_window_size=2),
    "4 bits, step, window": quantized(
        ONE, 4, "PER_CHANNEL", 5, ints(5, 4), local_window_size=3
    ),
    "8 bits, softcap": quantized(QKV, 8, "PER_CHANNEL", 0, PROMPT, softcap=0.7),
    "4 bits, smooth": quantized(QKV, 4, "PER_TENSOR", 0, PROMPT, smooth_softmax=1),
    "8 bits, sink": quantized(QKV, 8, "PER_TENSOR", 0, PROMPT, *SINK),
    "4 bits, everything": quantized(
        (PACKED[:, :1], None, None),
        4,
        "PER_CHANNEL",
        9,
        ints(8, 5),
        *ROTARY,
        *SINK[2:],
        do_rotary=1,
        rotary_interleaved=1,
        local_window_size=4,
        softcap=3.0,
    ),
}
GROUPED |= GROUPED_FEW_BITS


@on_backends([(name, *case) for name, case in GROUPED.items()])
def test_grouped(check_runtime: Any, case: Any, backend: str) -> None:
    _, arrays, options = case
    heads = {"num_heads": NQ, "kv_num_heads": NK}
    op_type = "GroupQueryAttention"
    check_runtime(op_type, arrays, backend, 8, **heads, **options)


# --- chunks of a prompt, padded on the right ---


BUFFER = tuple(data(BATCH, NK, 12, HS, seed=s) for s in (3, 4))
PLACES = ints(3, 4, 5, 4, 5, 6, dtype=np.int64).reshape(2, 3)
CHUNKS: dict[str, Any] = {
    "ragged": ((2, 3), (5, 7), 8, (), {}),
    "rotary": ((1, 3), (5, 3), 8, ROTARY, {"do_rotary": 1}),
    "idle": ((0, 3), (5, 7), 9, ROTARY, {"do_rotary": 1, "rotary_interleaved": 1}),
    "window": ((2, 3), (5, 7), 7, (), {"local_window_size": 3}),
    "first": ((2, 3), (2, 3), 3, ROTARY, {"do_rotary": 1}),
    "positions": ((2, 3), (5, 7), 8, (*ROTARY, PLACES), {"do_rotary": 1}),
}


@on_backends([(name, *case) for name, case in CHUNKS.items()])
def test_padded_chunks(
    run_kernel: Any, run_runtime: Any, assert_close: Any, case: Any, backend: str
) -> None:
    """As ONNX Runtime, in the rows and the part of the cache that hold tokens."""
    _, counts, totals, most, rest, options = case
    rest = (*rest, *[None] * (9 - len(rest)), ints(*counts))
    arrays, _ = grouped(QKV, BUFFER, ints(*totals) - 1, most, *rest)
    node = grouped_node(arrays, 3, options)
    wanted = run_runtime(node, arrays)
    found = run_kernel(node, arrays, backend)[:3]
    assert [a.shape for a in found] == [a.shape for a in wanted]
    for i, (count, total) in enumerate(zip(counts, totals, strict=True)):
        assert_close(found[0][i, :count], wanted[0][i, :count], 8)
        for a, b in zip(found[1:], wanted[1:], strict=True):
            assert_close(a[i, :, :total], b[i, :, :total], 4)


# --- what ONNX Runtime runs on other devices alone: by what it runs here ---


def run(
    run_kernel: Any, backend: str, arrays: list[Any], outputs: int, **options: Any
) -> Any:
    node = grouped_node(arrays, outputs, options)
    return run_kernel(node, arrays, backend)[:outputs]


def normed(x: Any, heads: int, weight: Any, epsilon: float) -> Any:
    """Every head by ONNX's RMSNormalization."""
    node = helper.make_node("RMSNormalization", ["x", "w"], ["y"], epsilon=epsilon)
    evaluator = ReferenceEvaluator(
        helper.make_model(
            helper.make_graph(
                [node],
                "norm",
                [
                    helper.make_tensor_value_info("x", TensorProto.FLOAT, None),
                    helper.make_tensor_value_info("w", TensorProto.FLOAT, None),
                ],
                [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
            )
        )
    )
    split = x.reshape(*x.shape[:2], heads, -1)
    return evaluator.run(None, {"x": split, "w": weight})[0].reshape(x.shape)


@pytest.mark.parametrize("backend", ["numpy", "jax"])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("apart_epsilons", [False, True])
def test_normalized_queries_and_keys(
    run_kernel: Any,
    assert_close: Any,
    backend: str,
    packed: bool,
    apart_epsilons: bool,
) -> None:
    weights = data(HS, seed=7), data(HS, seed=8)
    options = {"do_rotary": 1, "qk_norm_epsilon": 0.125}
    epsilons = (0.125, 0.125)
    if apart_epsilons:
        epsilons = (0.5, 0.25)
        options |= {"q_norm_epsilon": 0.5, "k_norm_epsilon": 0.25}
    apart = GQ, GK, GV
    given = (np.concatenate(apart, 2), None, None) if packed else apart
    rest = [*ROTARY, *[None] * 5]
    arrays, _ = grouped(given, None, PROMPT, 3, *rest, *weights)
    found = run(run_kernel, backend, arrays, 3, **options)
    q, k = (
        normed(x, n, w, epsilon)
        for x, n, w, epsilon in zip(apart[:2], (NQ, NK), weights, epsilons, strict=True)
    )
    arrays, _ = grouped((q, k, GV), None, PROMPT, 3, *ROTARY)
    wanted = run(run_kernel, "numpy", arrays, 3, do_rotary=1)
    for a, b in zip(found, wanted, strict=True):
        assert_close(a, b, 4)


@pytest.mark.parametrize("backend", ["numpy", "jax"])
@pytest.mark.parametrize("kind", ["float8", "values alone", "no past"])
def test_caches_of_few_bits(
    run_kernel: Any, assert_close: Any, backend: str, kind: str
) -> None:
    """As attention over what the cache stands for, taken apart by hand."""
    dtype = ml_dtypes.float8_e4m3fn if kind == "float8" else np.int8
    scale = np.float32([0.0625])
    past = [few_bits(8, BATCH, NK, 5, HS, seed=s) for s in (3, 4)]
    past = [p.view(np.int8).astype(np.float32).astype(dtype) for p in past]
    keys = "NONE" if kind == "values alone" else "PER_TENSOR"
    if kind == "values alone":
        past[0] = data(BATCH, NK, 5, HS)
    qkv, length, cache = ONE, 6, past
    if kind == "no past":
        qkv, length, cache = QKV, 3, None
    lengths = ints(length - 1, length - 1)
    rest = [*[None] * 5, None if keys == "NONE" else scale, scale]
    arrays, _ = grouped(qkv, cache, lengths, length, *rest)
    options = {
        "k_quant_type": keys,
        "v_quant_type": "PER_TENSOR",
        "kv_cache_bit_width": 8,
    }
    y, k, v = run(run_kernel, backend, arrays, 3, **options)
    assert v.dtype == dtype
    assert v.shape == (BATCH, NK, length, HS)

    def rounded(x: Any) -> Any:
        """`x` in units of the scale, as the cache keeps it."""
        units = x / scale
        kept = np.rint(units).clip(-128, 127) if dtype == np.int8 else units
        return kept.astype(dtype).astype(np.float32) * scale

    seen = (qkv[0], qkv[1] if keys == "NONE" else rounded(qkv[1]), rounded(qkv[2]))
    wide = None
    if cache is not None:
        factors = (1 if keys == "NONE" else scale, scale)
        wide = [p.astype(np.float32) * f for p, f in zip(past, factors, strict=True)]
    arrays, _ = grouped(seen, wide, lengths, length)
    wanted = run(run_kernel, "numpy", arrays, 3)
    assert_close(y, wanted[0], 4)
    found = [k if keys == "NONE" else k.astype(np.float32) * scale]
    found.append(v.astype(np.float32) * scale)
    for a, b in zip(found, wanted[1:], strict=True):
        assert_close(a, b)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sliding_window_cache": 1}, "found sliding_window_cache 1"),
        ({"k_quant_type": "PER_TENSOR", "kv_cache_bit_width": 8}, "scale False"),
        ({"v_quant_type": "PER_CHANNEL"}, "found a cache of 0 bits"),
    ],
)
def test_refusals(run_kernel: Any, options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run(run_kernel, "numpy", GROUPED["step"][0], 1, **options)


def test_padded_chunks_want_a_past_and_order(run_kernel: Any) -> None:
    counts = ints(2, 3)
    arrays, _ = grouped(QKV, None, PROMPT, 3, *[None] * 9, counts)
    with pytest.raises(ValueError, match="found query_seqlens, wanted a past"):
        run(run_kernel, "numpy", arrays, 1)
    arrays, _ = grouped(QKV, BUFFER, PROMPT, 3, *[None] * 9, counts)
    with pytest.raises(ValueError, match="found query_seqlens, wanted a past"):
        run(run_kernel, "numpy", arrays, 1, causal=0)
