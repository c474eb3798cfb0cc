"""Linear algebra kernels."""

from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from onnx import helper
from sardonyx.backends.jax.attention import attention

BACKENDS = ("numpy", "jax")
OPS = (
    "Attention",
    "Einsum",
    "Gemm",
    "MatMul",
    "MatMulInteger",
    "QLinearMatMul",
    "RotaryEmbedding",
)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("op_type", OPS)
def test_official(check_official: Any, op_type: str, backend: str) -> None:
    check_official(op_type, backend)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.int32])
@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((3, 4), (4, 5)),
        ((4,), (4,)),
        ((2, 1, 3, 4), (5, 4, 2)),
        ((4,), (3, 4, 2)),
        ((3, 0), (0, 5)),
        ((0, 4), (4, 5)),
        ((2, 3, 0), (0, 5)),
        ((2, 3, 4), (4, 0)),
        ((2, 0, 4), (4, 5)),
    ],
)
def test_matmul(
    check_reference: Any, left: Any, right: Any, dtype: Any, backend: str
) -> None:
    a = (4 * rng().standard_normal(left)).astype(dtype)
    b = (4 * rng(1).standard_normal(right)).astype(dtype)
    check_reference(helper.make_node("MatMul", ["a", "b"], ["y"]), [a, b], backend)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("c", [(), (5,), (3, 1), (1, 5), (3, 5), None])
def test_gemm(check_reference: Any, c: Any, backend: str) -> None:
    a = rng().standard_normal((4, 3)).astype(np.float32)
    b = rng(1).standard_normal((5, 4)).astype(np.float32)
    arrays = [a, b] if c is None else [a, b, rng(2).random(c).astype(np.float32)]
    names = ["a", "b", "c"][: len(arrays)]
    attributes = {"transA": 1, "transB": 1, "alpha": 0.5, "beta": 0.25}
    node = helper.make_node("Gemm", names, ["y"], **attributes)
    check_reference(node, arrays, backend)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("equation", "shapes"),
    [
        ("bij, bjk -> bik", [(2, 3, 4), (2, 4, 5)]),
        ("ij,jk", [(3, 4), (4, 5)]),
        ("...ii->...i", [(2, 3, 3)]),
        ("i,j,k->kji", [(2,), (3,), (4,)]),
        ("ij->", [(3, 4)]),
        ("b...d,d->b...", [(2, 3, 4), (4,)]),
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.int16])
def test_einsum(
    check_reference: Any, equation: str, shapes: Any, dtype: Any, backend: str
) -> None:
    arrays = [
        (9 * rng(i).standard_normal(s)).astype(dtype) for i, s in enumerate(shapes)
    ]
    names = [f"x{i}" for i in range(len(arrays))]
    node = helper.make_node("Einsum", names, ["y"], equation=equation)
    check_reference(node, arrays, backend)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("depth", [3, 258, 259, 1000])
def test_matmul_integer_is_exact(run_kernel: Any, depth: int, backend: str) -> None:
    a = np.full((2, 3, depth), 255, np.uint8)
    a[0] = rng().integers(0, 256, (3, depth))
    b = np.full((depth, 4), -128, np.int8)
    b[:, 1:] = rng(1).integers(-128, 128, (depth, 3))
    a0, b0 = np.array([1, 2, 3], np.uint8), np.array([127, 1, -4, 0], np.int8)
    node = helper.make_node("MatMulInteger", ["a", "b", "a0", "b0"], ["y"])
    (y,) = run_kernel(node, [a, b, a0, b0], backend)
    left = a.astype(np.int64) - a0.reshape(-1, 1)
    assert y.dtype == np.int32
    np.testing.assert_array_equal(y, left @ (b.astype(np.int64) - b0))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("mode", [0, 1, 2, 3])
@pytest.mark.parametrize(
    ("mask", "attributes"),
    [
        (None, {"is_causal": 1}),
        (np.float32, {}),
        (bool, {"left_window_size": 2, "right_window_size": 1}),
        (bool, {"is_causal": 1, "scale": 0.3}),
    ],
)
def test_grouped_attention_with_a_cache(
    check_reference: Any, mask: Any, attributes: Any, mode: int, backend: str
) -> None:
    q = rng().standard_normal((2, 6, 4, 8)).astype(np.float32)
    k, v = (rng(i).standard_normal((2, 2, 4, 8)).astype(np.float32) for i in (1, 2))
    past = [rng(i).standard_normal((2, 2, 3, 8)).astype(np.float32) for i in (3, 4)]
    arrays = [q, k, v, None, *past]
    names = ["q", "k", "v", "", "pk", "pv"]
    if mask is not None:
        values = rng(5).standard_normal((2, 1, 4, 7))
        # The last query of the first sample sees nothing.
        arrays[3] = values > 0 if mask is bool else values.astype(mask)
        if mask is bool:
            arrays[3][0, 0, 3] = False
        names[3] = "mask"
    outputs = ["y", "present_key", "present_value", "scores"]
    node = helper.make_node(
        "Attention", names, outputs, qk_matmul_output_mode=mode, **attributes
    )
    check_reference(node, arrays, backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_attention_over_padded_keys(check_reference: Any, backend: str) -> None:
    q = rng().standard_normal((2, 4, 24)).astype(np.float32)
    k, v = (rng(i).standard_normal((2, 6, 8)).astype(np.float32) for i in (1, 2))
    lengths = np.array([3, 6], np.int64)
    names = ["q", "k", "v", "", "", "", "n"]
    heads = {"q_num_heads": 6, "kv_num_heads": 2, "is_causal": 1}
    node = helper.make_node("Attention", names, ["y"], **heads)
    check_reference(node, [q, k, v, None, None, None, lengths], backend)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("precision", [None, 1, 11])
def test_query_that_sees_nothing(
    check_reference: Any, precision: int | None, backend: str
) -> None:
    """Its row is 0, not NaN, and the others' are as without it."""
    q, k, v = (
        rng(i).standard_normal((1, 2, 3, 4)).astype(np.float32) for i in range(3)
    )
    mask = np.where(rng(4).standard_normal((3, 3)) > 0, 0, -np.inf).astype(np.float32)
    mask[1] = -np.inf
    attributes = {} if precision is None else {"softmax_precision": precision}
    names = ["q", "k", "v", "mask"]
    node = helper.make_node("Attention", names, ["y"], **attributes)
    check_reference(node, [q, k, v, mask], backend)


def test_gradients_beside_a_query_that_sees_nothing() -> None:
    q, k, v = (
        rng(i).standard_normal((1, 2, 3, 4)).astype(np.float32) for i in range(3)
    )
    mask = np.zeros((3, 3), np.float32)
    mask[1] = -np.inf

    def total(*arrays: Any) -> Any:
        y, *_ = attention(jnp, *arrays, mask, outputs=(True, False, False, False))
        assert y is not None
        return y.sum()

    found = jax.grad(total, argnums=(0, 1, 2))(q, k, v)
    assert all(np.isfinite(gradient).all() for gradient in found)
    assert (np.asarray(found[0])[:, :, 1] == 0).all()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("interleaved", [0, 1])
def test_partial_rotary_embedding(
    check_reference: Any, interleaved: int, backend: str
) -> None:
    x = rng().standard_normal((2, 5, 24)).astype(np.float32)
    caches = [rng(i).standard_normal((9, 2)).astype(np.float32) for i in (1, 2)]
    positions = rng(3).integers(0, 9, (2, 5))
    attributes = {
        "num_heads": 3,
        "rotary_embedding_dim": 4,
        "interleaved": interleaved,
    }
    names = ["x", "cos", "sin", "positions"]
    node = helper.make_node("RotaryEmbedding", names, ["y"], **attributes)
    check_reference(node, [x, *caches, positions], backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_attention_shows_scores_before_the_soft_cap(
    run_kernel: Any, assert_close: Any, backend: str
) -> None:
    """ONNX's evaluator shows them capped; the operator's text says raw."""
    q, k, v = (
        rng(i).standard_normal((1, 2, 3, 4)).astype(np.float32) for i in range(3)
    )
    outputs, found = ["y", "", "", "scores"], []
    for mode in (0, 1):
        attributes = {"softcap": 0.5, "scale": 1.0, "qk_matmul_output_mode": mode}
        node = helper.make_node("Attention", ["q", "k", "v"], outputs, **attributes)
        found.append(run_kernel(node, [q, k, v], backend)[3])
    raw = q.astype(np.float64) @ k.astype(np.float64).swapaxes(2, 3)
    assert_close(found[0], raw.astype(np.float32))
    assert_close(found[1], (0.5 * np.tanh(raw / 0.5)).astype(np.float32))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", ["float8_e4m3fn", "float8_e5m2"])
def test_qlinear_matmul_of_float8(
    run_kernel: Any, assert_close: Any, dtype: str, backend: str
) -> None:
    kind = np.dtype(getattr(ml_dtypes, dtype))
    a = rng().standard_normal((3, 5)).astype(kind)
    b = (300 * rng(1).standard_normal((5, 2))).astype(kind)
    scale, zero = np.array(0.5, np.float32), np.zeros((), kind)
    names = ["a", "as", "a0", "b", "bs", "b0", "ys", "y0"]
    node = helper.make_node("QLinearMatMul", names, ["y"])
    (y,) = run_kernel(node, [a, scale, zero, b, scale, zero, scale, zero], backend)
    wide = a.astype(np.float32) @ b.astype(np.float32) * 0.5
    limit = float(ml_dtypes.finfo(kind).max)
    assert_close(y, np.clip(wide, -limit, limit).astype(kind))
