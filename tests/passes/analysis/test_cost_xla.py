"""
The work of operators beside what XLA counts for their formulas.

XLA's cost analysis, too, counts a multiply-add as 2, a reduction of n elements to m as
n - m, and transcendentals apart. It does not count what falls on padding, so that there
is none here.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from sardonyx.passes.analysis.cost import op_cost


def xla(function: Callable[..., Any], *shapes: tuple[int, ...]) -> tuple[int, int]:
    """The flops and transcendentals that XLA counts."""
    arrays = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    found = jax.jit(function).lower(*arrays).cost_analysis()
    return int(found.get("flops", 0)), int(found.get("transcendentals", 0))


def conv(**options: Any) -> Callable[..., Any]:
    def run(x: Any, w: Any) -> Any:
        strides = options.get("strides", (1, 1))
        dilations = options.get("dilations", (1, 1))
        groups = options.get("group", 1)
        return lax.conv_general_dilated(
            x, w, strides, "VALID", None, dilations, feature_group_count=groups
        )

    return run


def conv_with_bias(x: Any, w: Any, b: Any) -> Any:
    return conv()(x, w) + b[:, None, None]


def gemm(a: Any, b: Any, c: Any) -> Any:
    return 0.5 * (a.T @ b) + 0.25 * jnp.broadcast_to(c, (3, 4))


def softmax(x: Any) -> Any:
    raised = jnp.exp(x - lax.reduce_max(x, (1,))[:, None])
    return raised / lax.reduce_sum(raised, (1,))[:, None]


def log_softmax(x: Any) -> Any:
    moved = x - lax.reduce_max(x, (1,))[:, None]
    return moved - jnp.log(lax.reduce_sum(jnp.exp(moved), (1,)))[:, None]


def log_sum_exp(x: Any) -> Any:
    largest = lax.reduce_max(x, (1,))
    return jnp.log(lax.reduce_sum(jnp.exp(x - largest[:, None]), (1,))) + largest


def layer_norm(x: Any, scale: Any, bias: Any) -> Any:
    centred = x - (lax.reduce_sum(x, (1,)) / 5)[:, None]
    var = lax.reduce_sum(centred * centred, (1,)) / 5
    return centred * (1 / lax.sqrt(var + 1e-5))[:, None] * scale + bias


def rms_norm(x: Any, scale: Any) -> Any:
    square = lax.reduce_sum(x * x, (1,)) / 5
    return x * (1 / lax.sqrt(square + 1e-5))[:, None] * scale


def batch_norm(x: Any, scale: Any, b: Any, mean: Any, var: Any) -> Any:
    def wide(v: Any) -> Any:
        return v[None, :, None, None]

    return (x - wide(mean)) * wide(scale / lax.sqrt(var + 1e-5)) + wide(b)


def window(operation: Any, start: float) -> Callable[..., Any]:
    def run(x: Any) -> Any:
        shape = (1, 1, 2, 2)
        return lax.reduce_window(x, start, operation, shape, shape, "VALID")

    return run


def gelu(x: Any) -> Any:
    return 0.5 * x * (1 + lax.erf(x / 1.4142))


def gelu_tanh(x: Any) -> Any:
    return 0.5 * x * (1 + jnp.tanh(0.797 * (x + 0.0447 * (x * x * x))))


def attention(q: Any, k: Any, v: Any) -> Any:
    scores = lax.dot_general(q, k, (((3,), (3,)), ((0, 1), (0, 1)))) * 0.5
    raised = jnp.exp(scores - lax.reduce_max(scores, (3,))[..., None])
    weights = raised / lax.reduce_sum(raised, (3,))[..., None]
    return weights @ v


CASES: dict[str, tuple[tuple[Any, ...], dict[str, Any], Callable[..., Any]]] = {
    "Conv": (((2, 3, 9, 8), (4, 3, 3, 2)), {}, conv()),
    "Conv-strides": (
        ((1, 4, 9, 9), (6, 2, 3, 3)),
        {"strides": (2, 2), "group": 2},
        conv(strides=(2, 2), group=2),
    ),
    "Conv-dilations": (
        ((1, 2, 9, 9), (3, 2, 3, 3)),
        {"dilations": (2, 2)},
        conv(dilations=(2, 2)),
    ),
    "Conv-bias": (((1, 3, 5, 5), (4, 3, 2, 2), (4,)), {}, conv_with_bias),
    "MatMul": (((5, 2, 3), (5, 3, 4)), {}, lambda a, b: a @ b),
    "MatMul-vector": (((3,), (3, 4)), {}, lambda a, b: a @ b),
    "Gemm": (
        ((5, 3), (5, 4), (4,)),
        {"transA": 1, "alpha": 0.5, "beta": 0.25},
        gemm,
    ),
    "Einsum": (
        ((2, 3, 4), (2, 4, 5)),
        {"equation": "bij,bjk->bik"},
        lambda a, b: a @ b,
    ),
    "Einsum-outer": (
        ((3,), (4,)),
        {"equation": "i,j"},
        lambda a, b: a[:, None] * b[None, :],
    ),
    "Einsum-sum": (
        ((3, 4),),
        {"equation": "ij->i"},
        lambda a: lax.reduce_sum(a, (1,)),
    ),
    "Softmax": (((4, 5),), {"axis": 1}, softmax),
    "LogSoftmax": (((4, 5),), {}, log_softmax),
    "ReduceSum": (
        ((4, 5), np.array([1])),
        {"keepdims": 0},
        lambda x: lax.reduce_sum(x, (1,)),
    ),
    "ReduceMean": (
        ((4, 5), np.array([0])),
        {"keepdims": 0},
        lambda x: lax.reduce_sum(x, (0,)) / 4,
    ),
    "ReduceLogSumExp": (((4, 5), np.array([1])), {"keepdims": 0}, log_sum_exp),
    "ReduceL2": (
        ((4, 5), np.array([1])),
        {"keepdims": 0},
        lambda x: lax.sqrt(lax.reduce_sum(x * x, (1,))),
    ),
    "LayerNormalization": (((4, 5), (5,), (5,)), {}, layer_norm),
    "RMSNormalization": (((4, 5), (5,)), {}, rms_norm),
    "BatchNormalization": (((2, 3, 4, 5), *[(3,)] * 4), {}, batch_norm),
    "MaxPool": (
        ((1, 3, 8, 6),),
        {"kernel_shape": (2, 2), "strides": (2, 2)},
        window(lax.max, -np.inf),
    ),
    "Gelu": (((4, 5),), {}, gelu),
    "Gelu-tanh": (((4, 5),), {"approximate": "tanh"}, gelu_tanh),
    "Softplus": (((4, 5),), {}, lambda x: jnp.log(1 + jnp.exp(x))),
    "Swish": (((4, 5),), {"alpha": 2.0}, lambda x: x * lax.logistic(2 * x)),
    "Elu": (
        ((4, 5),),
        {},
        # The comparison and its choice are two operations to XLA.
        lambda x: lax.max(0.3 * (jnp.exp(x) - 1), x),
    ),
    "Add": (((4, 1), (1, 5)), {}, lambda a, b: a + b),
    "Max": (((4, 5),) * 3, {}, lambda a, b, c: lax.max(lax.max(a, b), c)),
    "Tanh": (((4, 5),), {}, jnp.tanh),
    "Transpose": (((4, 5),), {}, lambda x: x.T),
    "Attention": (
        ((2, 3, 4, 6), (2, 3, 5, 6), (2, 3, 5, 7)),
        {},
        attention,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_as_much_as_xla_counts(op_of: Any, name: str) -> None:
    given, attributes, function = CASES[name]
    cost = op_cost(op_of(name.partition("-")[0], *given, **attributes))
    shapes = [one for one in given if isinstance(one, tuple)]
    assert cost.flops is not None
    assert cost.transcendentals is not None
    found = cost.flops.constant, cost.transcendentals.constant
    assert found == xla(function, *shapes)


def test_as_many_bytes_as_xla_counts(op_of: Any) -> None:
    def product(a: Any, b: Any) -> Any:
        return a @ b

    arrays = [jax.ShapeDtypeStruct(s, jnp.float32) for s in ((4, 5), (5, 6))]
    wanted = jax.jit(product).lower(*arrays).cost_analysis()["bytes accessed"]
    cost = op_cost(op_of("MatMul", (4, 5), (5, 6)))
    assert cost.bytes_read is not None
    assert cost.bytes_written is not None
    assert (cost.bytes_read + cost.bytes_written).constant == wanted


# --- recurrent: the steps unrolled, without sharing anything between them ---

STEPS, BATCH, INPUT, HIDDEN = 3, 2, 5, 4


def lstm(xs: Any, w: Any, r: Any, b: Any) -> Any:
    h = c = jnp.zeros((BATCH, HIDDEN))
    for step in range(STEPS):
        sums = xs[step] @ w[0].T + h @ r[0].T + b[0, : 4 * HIDDEN] + b[0, 4 * HIDDEN :]
        i, o, f, g = jnp.split(sums, 4, axis=1)
        c = lax.logistic(f) * c + lax.logistic(i) * jnp.tanh(g)
        h = lax.logistic(o) * jnp.tanh(c)
    return h


def gru(xs: Any, w: Any, r: Any, b: Any) -> Any:
    h = jnp.zeros((BATCH, HIDDEN))
    split = 2 * HIDDEN
    for step in range(STEPS):
        one = xs[step] @ w[0].T + b[0, : 3 * HIDDEN]
        two = h @ r[0, :split].T + b[0, 3 * HIDDEN : 3 * HIDDEN + split]
        z, reset = jnp.split(lax.logistic(one[:, :split] + two), 2, axis=1)
        back = (reset * h) @ r[0, split:].T + b[0, 3 * HIDDEN + split :]
        h = (1 - z) * jnp.tanh(one[:, split:] + back) + z * h
    return h


def rnn(xs: Any, w: Any, r: Any, b: Any) -> Any:
    h = jnp.zeros((BATCH, HIDDEN))
    for step in range(STEPS):
        h = jnp.tanh(xs[step] @ w[0].T + h @ r[0].T + b[0, :HIDDEN] + b[0, HIDDEN:])
    return h


@pytest.mark.parametrize(
    ("name", "gates", "function"), [("LSTM", 4, lstm), ("GRU", 3, gru), ("RNN", 1, rnn)]
)
@pytest.mark.parametrize("directions", [1, 2])
def test_recurrent(
    op_of: Any, name: str, gates: int, function: Any, directions: int
) -> None:
    def shapes(count: int) -> list[tuple[int, ...]]:
        rows = gates * HIDDEN
        return [
            (STEPS, BATCH, INPUT),
            (count, rows, INPUT),
            (count, rows, HIDDEN),
            (count, 2 * rows),
        ]

    both = "bidirectional" if directions == 2 else "forward"
    op = op_of(name, *shapes(directions), direction=both, hidden_size=HIDDEN)
    wanted = xla(function, *shapes(1))
    cost = op_cost(op)
    assert cost.flops is not None
    assert cost.transcendentals is not None
    assert cost.flops.constant == directions * wanted[0]
    assert cost.transcendentals.constant == directions * wanted[1]
