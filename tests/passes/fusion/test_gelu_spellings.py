"""Every spelling of a value times its gate becomes the operator that it is."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

SPEC = "fuse-gelu"
F = np.float32
ROOT = F(math.sqrt(2 / math.pi))


def numbers() -> Any:
    rng = np.random.default_rng(0)
    return rng.standard_normal((2, 3, 5)).astype(F) * 3


def cube(g: Any, x: str) -> str:
    return g.Mul(g.Mul(x, x), x)


SPELLINGS: dict[str, tuple[Any, str]] = {
    # --- Gelu by erf ---
    "torchscript": (
        lambda g, x: g.Mul(
            g.Mul(x, g.Add(g.Erf(g.Div(x, F(math.sqrt(2)))), F(1))), F(0.5)
        ),
        "Gelu",
    ),
    "half first": (
        lambda g, x: g.Mul(
            g.Mul(F(0.5), x), g.Add(F(1), g.Erf(g.Mul(x, F(math.sqrt(0.5)))))
        ),
        "Gelu",
    ),
    "half of the gate": (
        lambda g, x: g.Mul(
            x, g.Mul(F(0.5), g.Add(g.Erf(g.Mul(F(0.70710677), x)), F(1)))
        ),
        "Gelu",
    ),
    "divided by two": (
        lambda g, x: g.Div(g.Mul(g.Add(F(1), g.Erf(g.Div(x, F(1.41421354)))), x), F(2)),
        "Gelu",
    ),
    "half within the gate": (
        lambda g, x: g.Mul(
            x, g.Add(F(0.5), g.Mul(g.Erf(g.Mul(x, F(math.sqrt(0.5)))), F(0.5)))
        ),
        "Gelu",
    ),
    "one less erf of the negative": (
        lambda g, x: g.Mul(
            g.Mul(F(0.5), x),
            g.Sub(F(1), g.Erf(g.Mul(g.Neg(x), F(math.sqrt(0.5))))),
        ),
        "Gelu",
    ),
    # --- Gelu by tanh ---
    "gpt2": (
        lambda g, x: g.Mul(
            g.Mul(x, F(0.5)),
            g.Add(
                g.Tanh(g.Mul(ROOT, g.Add(x, g.Mul(F(0.044715), g.Pow(x, F(3)))))),
                F(1),
            ),
        ),
        "Gelu",
    ),
    "jax": (
        lambda g, x: g.Mul(
            x,
            g.Mul(
                F(0.5),
                g.Add(
                    F(1),
                    g.Tanh(g.Mul(ROOT, g.Add(x, g.Mul(F(0.044715), cube(g, x))))),
                ),
            ),
        ),
        "Gelu",
    ),
    "factored": (
        lambda g, x: g.Mul(
            g.Mul(F(0.5), x),
            g.Add(
                F(1),
                g.Tanh(
                    g.Mul(
                        g.Mul(ROOT, x),
                        g.Add(F(1), g.Mul(F(0.044715), g.Mul(x, x))),
                    )
                ),
            ),
        ),
        "Gelu",
    ),
    "tanh as sigmoid": (
        lambda g, x: g.Mul(
            x,
            g.Sigmoid(g.Mul(2 * ROOT, g.Add(x, g.Mul(F(0.044715), g.Pow(x, F(3)))))),
        ),
        "Gelu",
    ),
    # --- Swish ---
    "silu": (lambda g, x: g.Mul(x, g.Sigmoid(x)), "Swish"),
    "quick gelu": (lambda g, x: g.Mul(g.Sigmoid(g.Mul(x, F(1.702))), x), "Swish"),
    "quotient": (
        lambda g, x: g.Div(x, g.Add(F(1), g.Exp(g.Neg(x)))),
        "Swish",
    ),
    "reciprocal": (
        lambda g, x: g.Mul(x, g.Reciprocal(g.Add(g.Exp(g.Mul(x, F(-1))), F(1)))),
        "Swish",
    ),
    "silu by tanh": (
        lambda g, x: g.Mul(g.Mul(x, F(0.5)), g.Add(g.Tanh(g.Mul(x, F(0.5))), F(1))),
        "Swish",
    ),
    # --- others ---
    "hard swish": (lambda g, x: g.Mul(x, g.HardSigmoid(x, alpha=1 / 6)), "HardSwish"),
    "relu6": (
        lambda g, x: g.Div(g.Mul(x, g.Clip(g.Add(x, F(3)), F(0), F(6))), F(6)),
        "HardSwish",
    ),
    "relu6 of sixths": (
        lambda g, x: g.Mul(x, g.Mul(g.Clip(g.Add(F(3), x), F(0), F(6)), F(1 / 6))),
        "HardSwish",
    ),
    "mish": (lambda g, x: g.Mul(x, g.Tanh(g.Softplus(x))), "Mish"),
    "mish by log": (
        lambda g, x: g.Mul(x, g.Tanh(g.Log(g.Add(g.Exp(x), F(1))))),
        "Mish",
    ),
}


@pytest.mark.parametrize("nodes", [False, True])
@pytest.mark.parametrize("name", SPELLINGS)
def test_spelling(name: str, nodes: bool, graph: Any, fused: Any) -> None:
    spell, kind = SPELLINGS[name]
    g = graph(nodes=nodes)
    assert fused(g, spell(g, g.input("x", numbers())), SPEC) == {kind: 1}


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_drawn_spelling(data: Any, graph: Any, fused: Any) -> None:
    """Commuted, reassociated, with the scale anywhere: one Gelu."""
    g = graph(nodes=data.draw(st.booleans()))
    x = g.input("x", numbers())

    def mul(a: Any, b: Any) -> Any:
        pair = data.draw(st.permutations([a, b]))
        return g.Mul(*pair)

    root = F(math.sqrt(0.5))
    inner = mul(x, root) if data.draw(st.booleans()) else g.Div(x, 1 / root)
    gate = g.Add(*data.draw(st.permutations([g.Erf(inner), F(1)])))
    first, second, third = data.draw(st.permutations([x, gate, F(0.5)]))
    assert fused(g, mul(mul(first, second), third), SPEC) == {"Gelu": 1}


def test_gate_of_another_value_is_kept(graph: Any, fused: Any) -> None:
    g = graph()
    x, y = g.input("x", numbers()), g.input("y", numbers() + 1)
    assert fused(g, g.Mul(x, g.Sigmoid(y)), SPEC) == {"Mul": 1, "Sigmoid": 1}


def test_a_third_factor_stays(graph: Any, fused: Any) -> None:
    g = graph()
    x, up = g.input("x", numbers()), g.input("y", numbers() + 1)
    value = g.Mul(x, g.Mul(up, g.Sigmoid(x)))
    assert fused(g, value, SPEC) == {"Swish": 1, "Mul": 1}


def test_swiglu_if_asked(graph: Any, fused: Any) -> None:
    g = graph()
    x, up = g.input("x", numbers()), g.input("y", numbers() + 1)
    value = g.Mul(g.Mul(x, g.Sigmoid(x)), up)
    spec = "fuse-gelu{swiglu=true}"
    assert fused(g, value, spec, exported=False) == {"SwiGLU": 1}


@pytest.mark.parametrize(
    "spell",
    [
        # The wrong root, scale, argument and sign.
        lambda g, x: g.Mul(g.Mul(x, g.Add(g.Erf(g.Div(x, F(1.5))), F(1))), F(0.5)),
        lambda g, x: g.Mul(g.Mul(x, g.Add(g.Erf(g.Div(x, F(1.41421))), F(1))), F(0.6)),
        lambda g, x: g.Mul(x, g.Sigmoid(g.Add(x, F(1)))),
        lambda g, x: g.Mul(x, g.Tanh(g.Mul(x, F(0.5)))),
        lambda g, x: g.Mul(x, g.Clip(g.Add(x, F(3)), F(0), F(6))),
        lambda g, x: g.Div(x, g.Add(F(2), g.Exp(g.Neg(x)))),
    ],
)
def test_near_misses_are_told(spell: Any, graph: Any, fused: Any, reasons: Any) -> None:
    g = graph()
    y = spell(g, g.input("x", numbers()))
    left = fused(g, y, SPEC)
    assert not left.keys() & {"Gelu", "Swish", "HardSwish", "Mish"}
    (reason,) = reasons(g, y, SPEC)
    assert "is that of no activation" in reason


def test_a_constant_that_stretches_is_told(graph: Any, reasons: Any) -> None:
    g = graph()
    x = g.input("x", numbers())
    y = g.Mul(g.Mul(x, np.ones((1, 1, 1, 1), F)), g.Sigmoid(x))
    (reason,) = reasons(g, y, SPEC)
    assert reason == "a constant in it stretches it"
