"""Recurrent kernels."""

from typing import Any

import numpy as np
import pytest
from onnx import helper

BACKENDS = ("numpy", "jax")
OPS = (
    "GRU",
    "LSTM",
    "RNN",
)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("op_type", OPS)
def test_official(check_official: Any, op_type: str, backend: str) -> None:
    check_official(op_type, backend)


def weights(op_type: str, directions: int, biased: bool = True) -> list[Any]:
    """w, r and b of a layer of 3 inputs and 4 hidden."""
    gates = {"RNN": 1, "GRU": 3, "LSTM": 4}[op_type]
    shapes = [(directions, 4 * gates, 3), (directions, 4 * gates, 4)]
    shapes += [(directions, 8 * gates)] if biased else []
    return [rng(i).standard_normal(s).astype(np.float32) for i, s in enumerate(shapes)]


def outputs(op_type: str) -> list[str]:
    return ["y", "y_h", "y_c"][: 3 if op_type == "LSTM" else 2]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("op_type", OPS)
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("layout", [0, 1])
def test_direction_and_layout(
    check_reference: Any, op_type: str, direction: str, layout: int, backend: str
) -> None:
    directions = 2 if direction == "bidirectional" else 1
    x = rng(5).standard_normal((2, 6, 3)).astype(np.float32)
    h = rng(6).standard_normal((directions, 6, 4)).astype(np.float32)
    h = h if layout == 0 else rng(6).standard_normal((2, directions, 4))
    names = ["x", "w", "r", "b", "", "h"]
    attributes = {"direction": direction, "layout": layout, "hidden_size": 4}
    node = helper.make_node(op_type, names, outputs(op_type)[:2], **attributes)
    arrays = [x, *weights(op_type, directions), None, h.astype(np.float32)]
    check_reference(node, arrays, backend)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("op_type", OPS)
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
def test_lengths_cut_each_sequence(
    run_kernel: Any, assert_close: Any, op_type: str, direction: str, backend: str
) -> None:
    parameters = weights(op_type, 2 if direction == "bidirectional" else 1)
    x = rng(5).standard_normal((5, 3, 3)).astype(np.float32)
    lengths = np.array([5, 2, 3], np.int32)
    attributes = {"direction": direction, "hidden_size": 4}
    names = ["x", "w", "r", "b", "lengths"]
    node = helper.make_node(op_type, names, outputs(op_type), **attributes)
    y, *last = run_kernel(node, [x, *parameters, lengths], backend)
    alone = helper.make_node(op_type, names[:4], outputs(op_type), **attributes)
    for i, n in enumerate(lengths):
        one, *ends = run_kernel(alone, [x[:n, i : i + 1], *parameters], backend)
        assert_close(y[:n, :, i : i + 1], one)
        assert not y[n:, :, i].any()
        for found, wanted in zip(last, ends, strict=True):
            assert_close(found[:, i : i + 1], wanted)


def unbound(x: Any, alpha: float, beta: float) -> dict[str, Any]:
    """ONNX's table of activations, in float64."""
    return {
        "Relu": np.maximum(x, 0),
        "Tanh": np.tanh(x),
        "Sigmoid": 1 / (1 + np.exp(-x)),
        "Affine": alpha * x + beta,
        "LeakyRelu": np.where(x >= 0, x, alpha * x),
        "ThresholdedRelu": np.where(x >= alpha, x, 0),
        "ScaledTanh": alpha * np.tanh(beta * x),
        "HardSigmoid": np.clip(alpha * x + beta, 0, 1),
        "Elu": np.where(x >= 0, x, alpha * (np.exp(x) - 1)),
        "Softsign": x / (1 + np.abs(x)),
        "Softplus": np.log1p(np.exp(x)),
    }


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", sorted(unbound(np.zeros(1), 0, 0)))
def test_activations_and_clip(
    run_kernel: Any, assert_close: Any, name: str, backend: str
) -> None:
    x = rng(5).standard_normal((1, 6, 3)).astype(np.float32)
    w, r = weights("RNN", 1, biased=False)
    attributes: dict[str, Any] = {"activations": [name], "clip": 1.5}
    if name in ("Affine", "HardSigmoid", "ScaledTanh"):
        attributes["activation_beta"] = [0.625]
    if name not in ("Relu", "Tanh", "Sigmoid", "Softsign", "Softplus"):
        attributes["activation_alpha"] = [0.375]
    node = helper.make_node("RNN", ["x", "w", "r"], ["y"], **attributes)
    y = run_kernel(node, [x, w, r], backend)[0]
    inside = np.clip(x[0].astype(np.float64) @ w[0].T.astype(np.float64), -1.5, 1.5)
    wanted = unbound(inside, 0.375, 0.625)[name]
    assert_close(y[0, 0], wanted.astype(np.float32))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("input_forget", [0, 1])
def test_lstm_peepholes(
    run_kernel: Any, assert_close: Any, input_forget: int, backend: str
) -> None:
    x = rng(5).standard_normal((1, 2, 3)).astype(np.float32)
    w, r, b = weights("LSTM", 1)
    h, c = (rng(i).standard_normal((1, 2, 4)).astype(np.float32) for i in (6, 7))
    p = rng(8).standard_normal((1, 12)).astype(np.float32)
    names = ["x", "w", "r", "b", "", "h", "c", "p"]
    node = helper.make_node("LSTM", names, ["", "h", "c"], input_forget=input_forget)
    _, *found = run_kernel(node, [x, w, r, b, None, h, c, p], backend)
    total = x[0] @ w[0].T + h[0] @ r[0].T + b[0, :16] + b[0, 16:]
    i, o, f, g = np.split(total.astype(np.float64), 4, axis=1)
    i = 1 / (1 + np.exp(-(i + p[0, :4] * c[0])))
    f = 1 - i if input_forget else 1 / (1 + np.exp(-(f + p[0, 8:] * c[0])))
    cell = f * c[0] + i * np.tanh(g)
    hidden = np.tanh(cell) / (1 + np.exp(-(o + p[0, 4:8] * cell)))
    assert_close(found[0][0], hidden.astype(np.float32))
    assert_close(found[1][0], cell.astype(np.float32))


@pytest.mark.parametrize("backend", BACKENDS)
def test_gru_linear_before_reset(check_reference: Any, backend: str) -> None:
    x = rng(5).standard_normal((4, 2, 3)).astype(np.float32)
    attributes = {"linear_before_reset": 1, "hidden_size": 4}
    node = helper.make_node("GRU", ["x", "w", "r", "b"], ["y", "h"], **attributes)
    check_reference(node, [x, *weights("GRU", 1)], backend)
