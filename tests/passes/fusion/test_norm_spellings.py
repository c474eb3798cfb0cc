"""Every spelling of a normalization becomes the operator that it is."""

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

SPEC = "fuse-layer-norm"
F = np.float32
EPS = F(1e-5)


def values(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(F) * 2 + 1


def axes(*numbers: int) -> Any:
    return np.array(numbers, np.int64)


SCALE, BIAS = values(6, seed=1), values(6, seed=2)


def mean(g: Any, x: str, *over: int) -> str:
    return g.ReduceMean(x, axes(*(over or (-1,))))


def torch_export(g: Any, x: str) -> str:
    c = g.Sub(x, mean(g, x))
    deviation = g.Sqrt(g.Add(mean(g, g.Pow(c, F(2))), EPS))
    return g.Add(g.Mul(g.Div(c, deviation), SCALE), BIAS)


def centred_twice(g: Any, x: str) -> str:
    c, d = g.Sub(x, mean(g, x)), g.Sub(x, mean(g, x))
    variance = mean(g, g.Mul(d, d))
    inverse = g.Reciprocal(g.Sqrt(g.Add(EPS, variance)))
    return g.Add(BIAS, g.Mul(SCALE, g.Mul(inverse, c)))


def flax(g: Any, x: str) -> str:
    """mean(x^2) - mean(x)^2, above 0; the scale on the deviation."""
    m = mean(g, x)
    variance = g.Max(F(0), g.Sub(mean(g, g.Mul(x, x)), g.Mul(m, m)))
    factor = g.Mul(g.Reciprocal(g.Sqrt(g.Add(variance, EPS))), SCALE)
    return g.Add(g.Mul(g.Sub(x, m), factor), BIAS)


def keras(g: Any, x: str) -> str:
    """x * m + (b - mean * m), the sums times 1 / 6."""
    m = g.Mul(g.ReduceSum(x, axes(-1)), F(1 / 6))
    c = g.Sub(x, m)
    variance = g.Mul(g.ReduceSum(g.Mul(c, c), axes(-1)), F(1 / 6))
    factor = g.Mul(g.Pow(g.Add(variance, EPS), F(-0.5)), SCALE)
    return g.Add(g.Mul(x, factor), g.Sub(BIAS, g.Mul(m, factor)))


def lost_axis(g: Any, x: str) -> str:
    m = g.ReduceMean(x, axes(-1), keepdims=0)
    square = g.ReduceMean(g.Mul(x, x), axes(-1), keepdims=0)
    variance = g.Unsqueeze(g.Sub(square, g.Mul(m, m)), axes(-1))
    c = g.Sub(x, g.Unsqueeze(m, axes(-1)))
    return g.Add(g.Mul(g.Div(c, g.Sqrt(g.Add(variance, EPS))), SCALE), BIAS)


def half_fused(g: Any, x: str) -> str:
    y = g.LayerNormalization(x, np.ones(6, F), epsilon=1e-5)
    return g.Add(g.Mul(y, SCALE), BIAS)


LAYERS = [torch_export, centred_twice, flax, keras, lost_axis, half_fused]


@pytest.mark.parametrize("nodes", [False, True])
@pytest.mark.parametrize("spell", LAYERS)
def test_layer_norm(spell: Any, nodes: bool, graph: Any, fused: Any) -> None:
    g = graph(nodes=nodes)
    y = spell(g, g.input("x", values(2, 3, 6)))
    assert fused(g, y, SPEC, factor=20) == {"LayerNormalization": 1}


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_drawn_rms_norm(data: Any, graph: Any, fused: Any) -> None:
    """x, 1 / rms and scale multiplied in any order and association."""
    g = graph(nodes=data.draw(st.booleans()))
    x = g.input("x", values(2, 3, 6))
    square = g.Pow(x, F(2)) if data.draw(st.booleans()) else g.Mul(x, x)
    total = g.Add(*data.draw(st.permutations([mean(g, square), EPS])))
    inverse = data.draw(
        st.sampled_from(
            [
                lambda: g.Reciprocal(g.Sqrt(total)),
                lambda: g.Div(F(1), g.Sqrt(total)),
                lambda: g.Pow(total, F(-0.5)),
                lambda: g.Sqrt(g.Reciprocal(total)),
            ]
        )
    )()
    a, b, c = data.draw(st.permutations([x, inverse, SCALE]))
    pair = data.draw(st.permutations([g.Mul(a, b), c]))
    assert fused(g, g.Mul(*pair), SPEC) == {"RMSNormalization": 1}


def test_rms_norm_without_scale(graph: Any, fused: Any) -> None:
    g = graph()
    x = g.input("x", values(2, 3, 6))
    y = g.Div(x, g.Sqrt(g.Add(mean(g, g.Mul(x, x)), EPS)))
    assert fused(g, y, SPEC) == {"RMSNormalization": 1}


def test_casts_of_half_floats_are_the_operators_own(graph: Any, fused: Any) -> None:
    g = graph()
    x = g.input("x", values(2, 3, 6).astype(np.float16))
    wide = g.Cast(x, to=1)
    inverse = g.Reciprocal(g.Sqrt(g.Add(mean(g, g.Pow(wide, F(2))), EPS)))
    y = g.Mul(g.Cast(g.Mul(wide, inverse), to=10), SCALE.astype(np.float16))
    left = fused(g, y, f"{SPEC},fold-constants,{SPEC}", exported=False)
    assert left == {"RMSNormalization": 1}


def test_scale_that_is_no_constant(graph: Any, fused: Any) -> None:
    g = graph()
    x, scale = g.input("x", values(2, 3, 6)), g.input("s", SCALE)
    inverse = g.Reciprocal(g.Sqrt(g.Add(mean(g, g.Mul(x, x)), EPS)))
    y = g.Mul(g.Mul(x, inverse), scale)
    assert fused(g, y, SPEC) == {"RMSNormalization": 1}


def test_over_channels_it_stands_between_transposes(graph: Any, fused: Any) -> None:
    g = graph()
    x = g.input("x", values(2, 6, 4))
    c = g.Sub(x, mean(g, x, 1))
    y = g.Div(c, g.Sqrt(g.Add(mean(g, g.Mul(c, c), 1), EPS)))
    y = g.Add(g.Mul(y, SCALE[:, None]), BIAS[:, None])
    left = fused(g, y, SPEC)
    assert left["Transpose"] == 2
    assert left["LayerNormalization"] == 1


def test_instance_norm(graph: Any, fused: Any) -> None:
    g = graph()
    x = g.input("x", values(2, 6, 4, 5))
    c = g.Sub(x, mean(g, x, 2, 3))
    y = g.Div(c, g.Sqrt(g.Add(mean(g, g.Mul(c, c), 2, 3), EPS)))
    y = g.Add(g.Mul(y, SCALE[:, None, None]), BIAS[:, None, None])
    assert fused(g, y, SPEC, factor=20) == {"InstanceNormalization": 1}


@pytest.mark.parametrize("decomposed", [False, True])
def test_group_norm(decomposed: bool, graph: Any, fused: Any) -> None:
    g = graph()
    x = g.input("x", values(2, 6, 4, 5))
    y = g.Reshape(x, axes(2, 3, -1))
    if decomposed:
        c = g.Sub(y, mean(g, y, 2))
        y = g.Div(c, g.Sqrt(g.Add(mean(g, g.Mul(c, c), 2), EPS)))
    else:
        y = g.InstanceNormalization(y, np.ones(3, F), np.zeros(3, F))
    y = g.Reshape(y, axes(2, 6, 4, 5))
    y = g.Add(g.Mul(y, SCALE[:, None, None]), BIAS[:, None, None])
    assert fused(g, y, SPEC, factor=20) == {"GroupNormalization": 1}


# --- refusals ---


def test_float64_is_not_rounded(graph: Any, fused: Any, reasons: Any) -> None:
    g = graph()
    x = g.input("x", values(2, 3, 6).astype(np.float64))
    y = g.Div(x, g.Sqrt(g.Add(mean(g, g.Mul(x, x)), np.float64(1e-5))))
    assert "RMSNormalization" not in fused(g, y, SPEC)
    assert reasons(g, y, SPEC) == ["the operator would round float64 to float32"]


def over(g: Any, x: str, source: str) -> str:
    return g.Div(x, g.Sqrt(g.Add(mean(g, g.Mul(source, source)), EPS)))


@pytest.mark.parametrize(
    ("spell", "told"),
    [
        (
            lambda g, x: over(g, x, g.input("z", values(2, 3, 6, seed=5))),
            "what is divided is not what the mean square is of",
        ),
        (
            lambda g, x: g.Div(
                x,
                g.Mul(
                    g.Sqrt(g.Add(mean(g, g.Mul(x, x)), EPS)),
                    g.input("z", values(2, 3, 6, seed=5)),
                ),
            ),
            "it is divided by more than its root mean square",
        ),
        (
            lambda g, x: g.Mul(over(g, x, x), values(2, 3, 6, seed=4)),
            "the factor cannot be its scale: it varies along axis 0",
        ),
        (
            lambda g, x: g.Div(x, g.Sqrt(g.Add(mean(g, g.Mul(x, x), 0, 2), EPS))),
            "it is normalized over axes [0, 2] of 3",
        ),
    ],
)
def test_near_misses_are_told(
    spell: Any, told: str, graph: Any, fused: Any, reasons: Any
) -> None:
    g = graph()
    y = spell(g, g.input("x", values(2, 3, 6)))
    fused(g, y, SPEC)
    assert told in reasons(g, y, SPEC)
