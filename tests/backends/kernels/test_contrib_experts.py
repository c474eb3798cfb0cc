"""ONNX Runtime's routers and gated activations, beside it and by their parts."""

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from onnx import helper

BACKENDS = ["numpy", "jax"]


def data(*shape: int, seed: int = 0, dtype: Any = np.float32) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def node_of(
    op_type: str, arrays: list[Any], outputs: tuple[bool, ...], **attributes: Any
) -> Any:
    names = [f"x{i}" if a is not None else "" for i, a in enumerate(arrays)]
    results = [f"y{i}" if flag else "" for i, flag in enumerate(outputs)]
    domain = "com.microsoft"
    return helper.make_node(op_type, names, results, domain=domain, **attributes)


# --- the router of groups, which ONNX Runtime runs here ---


def logits(*shape: int, dtype: Any = np.float32) -> Any:
    """Logits in whose first row all experts are equal."""
    x = data(*shape, dtype=dtype)
    x.reshape(-1, shape[-1])[0] = 0
    return x


BIAS = data(16, seed=1)
ROUTERS: dict[str, dict[str, Any]] = {
    "one group": {"top_k": 2},
    "two groups of four": {"top_k": 3, "n_group": 4, "topk_group": 2},
    "three of a group": {"top_k": 2, "n_group": 4, "group_topk": 3},
    "sentinel": {"top_k": 1, "n_group": 2, "router_sentinel": -7.0},
    "more than are left": {"top_k": 5, "n_group": 4, "group_topk": 1},
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ROUTERS)
def test_router(check_runtime: Any, name: str, backend: str) -> None:
    for x in (logits(6, 16), logits(2, 3, 16), logits(6, 16, dtype=np.float16)):
        check_runtime("MoEGroupRouter", [x, BIAS], backend, 4, **ROUTERS[name])


@pytest.mark.parametrize("backend", BACKENDS)
def test_all_scores(check_runtime: Any, backend: str) -> None:
    outputs = (False, True, True)
    arrays = [logits(6, 16), BIAS]
    check_runtime("MoEGroupRouter", arrays, backend, 8, outputs, top_k=2)
    arrays = [data(5, 256), BIAS, data(16, 256, seed=2) / 16]
    check_runtime("MoEGroupRouter", arrays, backend, 16, outputs, top_k=2)


# --- what ONNX Runtime runs on other devices alone: by its description ---


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x.astype(np.float64)))


GATE, UP = data(4, 6) * 3, data(4, 6, seed=1) * 3


@pytest.mark.parametrize("backend", BACKENDS)
def test_swiglu_is_the_one_of_onnx(
    run_kernel: Any, assert_close: Any, backend: str
) -> None:
    plain = helper.make_node("SwiGLU", ["g", "u"], ["y"], alpha=1.5)
    (wanted,) = run_kernel(plain, [GATE, UP], backend)
    for arrays in ([GATE, UP], [np.concatenate((GATE, UP), -1), None]):
        node = node_of("SwiGLU", arrays, (True,), activation_alpha=1.5)
        (found,) = run_kernel(node, arrays, backend)
        assert_close(found, wanted, 4)


@pytest.mark.parametrize("backend", BACKENDS)
def test_swiglu_within_a_limit(
    run_kernel: Any, assert_close: Any, backend: str
) -> None:
    options = {"limit": 1.25, "activation_beta": 0.5}
    gate, up = np.minimum(GATE, 1.25), np.clip(UP, -1.25, 1.25)
    wanted = gate * sigmoid(gate) * (up + 0.5)
    node = node_of("SwiGLU", [GATE, UP], (True,), **options)
    (found,) = run_kernel(node, [GATE, UP], backend)
    assert_close(found, wanted.astype(np.float32), 8)


@pytest.mark.parametrize("backend", BACKENDS)
def test_swiglu_rounds_once_or_twice(run_kernel: Any, backend: str) -> None:
    kind = ml_dtypes.bfloat16
    gate, up = (np.tile(x, (40, 1)).astype(kind) for x in (GATE, UP))
    wide = gate.astype(np.float32) * sigmoid(gate).astype(np.float32)
    once = (wide * up.astype(np.float32)).astype(kind)
    twice = (wide.astype(kind).astype(np.float32) * up.astype(np.float32)).astype(kind)
    assert (once != twice).any()
    for rounds, wanted in ((0, once), (1, twice)):
        node = node_of("SwiGLU", [gate, up], (True,), round_activation=rounds)
        (found,) = run_kernel(node, [gate, up], backend)
        assert found.dtype == kind
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("backend", BACKENDS)
def test_router_and_gate_are_one_product(
    run_kernel: Any, assert_close: Any, backend: str
) -> None:
    x, w = data(2, 3, 8, dtype=np.float16), data(8, 3 + 2 * 5, dtype=np.float16)
    options = {"activation_alpha": 1.5, "activation_beta": 1.0, "limit": 2.0}
    node = node_of("RouterGateUpProj", [x, w], (True, True), router_size=3, **options)
    router, hidden = run_kernel(node, [x, w], backend)
    y = (x.astype(np.float64) @ w.astype(np.float64)).astype(np.float16)
    assert_close(router, y[..., :3], 2)
    halves = [y[..., 3:8], y[..., 8:]]
    gated = node_of("SwiGLU", halves, (True,), **options)
    (wanted,) = run_kernel(gated, halves, "numpy")
    assert_close(hidden, wanted, 4)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_limit_after_the_activation(
    run_kernel: Any, assert_close: Any, backend: str
) -> None:
    rows, first, second = data(5, 8), data(1, 12, 8, seed=1), data(1, 8, 6, seed=2)
    arrays = [rows, data(5, 1), first, None, second]
    node = node_of(
        "MoE",
        arrays,
        (True,),
        activation_type="swiglu",
        swiglu_fusion=2,
        swiglu_limit=0.75,
        swiglu_limit_after_activation=1,
        activation_beta=0.5,
    )
    y = rows.astype(np.float64) @ first[0].T
    gate, linear = y[:, :6], np.clip(y[:, 6:], -0.75, 0.75)
    hidden = np.minimum(gate * sigmoid(gate), 0.75) * (linear + 0.5)
    wanted = (hidden @ second[0].T).astype(np.float32)
    (found,) = run_kernel(node, arrays, backend)
    assert_close(found, wanted, 8)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_gate_from_an_activation(run_kernel: Any, backend: str) -> None:
    kind = ml_dtypes.bfloat16
    x, y, gate = (data(2, 3, 8, seed=s).astype(kind) for s in range(3))
    weight = data(8, 1, seed=3).astype(kind)
    arrays = [x, y, gate, weight]
    node = node_of("GatedAdd", arrays, (True,))
    (found,) = run_kernel(node, arrays, backend)
    logits = (gate.astype(np.float32) @ weight.astype(np.float32)).astype(kind)
    share = sigmoid(logits).astype(kind)
    product = (y.astype(np.float32) * share.astype(np.float32)).astype(kind)
    wanted = (x.astype(np.float32) + product.astype(np.float32)).astype(kind)
    np.testing.assert_array_equal(found, wanted)


def test_refusals(run_kernel: Any) -> None:
    arrays = [data(2, 4), data(4, 8)]
    node = node_of(
        "RouterGateUpProj", arrays, (True, True), router_size=2, activation="gelu"
    )
    with pytest.raises(ValueError, match="found activation 'gelu', wanted 'swiglu'"):
        run_kernel(node, arrays, "numpy")
