"""Exponentials divided by their sum become a softmax."""

from typing import Any

import numpy as np
import pytest

SPEC = "fuse-softmax"
F = np.float32


def scores() -> Any:
    rng = np.random.default_rng(1)
    return rng.standard_normal((2, 3, 5)).astype(F) * 3


def axes(*numbers: int) -> Any:
    return np.array(numbers, np.int64)


def kept(g: Any, x: str, axis: int) -> str:
    e = g.Exp(g.Sub(x, g.ReduceMax(x, axes(axis), keepdims=1)))
    return g.Div(e, g.ReduceSum(e, axes(axis), keepdims=1))


def lost(g: Any, x: str, axis: int) -> str:
    """As jax2tf and TensorFlow write it, the axis brought back by a view."""
    peak = g.Max(F(-np.inf), g.ReduceMax(x, axes(axis), keepdims=0))
    e = g.Exp(g.Sub(x, g.Unsqueeze(peak, axes(axis))))
    total = g.ReduceSum(e, axes(axis), keepdims=0)
    return g.Div(e, g.Unsqueeze(total, axes(axis)))


def bare(g: Any, x: str, axis: int) -> str:
    e = g.Exp(x)
    return g.Mul(g.Reciprocal(g.ReduceSum(e, axes(axis))), e)


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("spell", [kept, lost, bare])
def test_spelling(spell: Any, axis: int, graph: Any, fused: Any) -> None:
    g = graph()
    assert fused(g, spell(g, g.input("x", scores()), axis), SPEC) == {"Softmax": 1}


@pytest.mark.parametrize(
    ("spell", "left"),
    [
        (lambda g, x: g.Log(g.Softmax(x, axis=1)), "LogSoftmax"),
        (lambda g, x: g.Exp(g.LogSoftmax(x, axis=1)), "Softmax"),
        (lambda g, x: g.Sub(x, g.ReduceLogSumExp(x, axes(2))), "LogSoftmax"),
    ],
)
def test_logarithm(spell: Any, left: str, graph: Any, fused: Any) -> None:
    g = graph()
    assert fused(g, spell(g, g.input("x", scores())), SPEC) == {left: 1}


@pytest.mark.parametrize(
    ("spell", "told"),
    [
        (
            lambda g, x: (lambda e: g.Div(e, g.ReduceSum(e, axes(1, 2))))(g.Exp(x)),
            "the sum is over 2 axes",
        ),
        (
            lambda g, x: (lambda e: g.Div(g.Mul(e, F(2)), g.ReduceSum(e, axes(2))))(
                g.Exp(x)
            ),
            "the quotient is scaled",
        ),
    ],
)
def test_near_misses_are_told(spell: Any, told: str, graph: Any, reasons: Any) -> None:
    g = graph()
    assert told in reasons(g, spell(g, g.input("x", scores())), SPEC)


def test_sum_along_another_axis_is_kept(graph: Any, fused: Any, reasons: Any) -> None:
    """The sum lost its axis, and stands along another."""
    g = graph()
    x = g.input("x", np.random.default_rng(0).standard_normal((5, 5)).astype(F))
    e = g.Exp(x)
    y = g.Div(e, g.ReduceSum(e, axes(1), keepdims=0))
    assert "Softmax" not in fused(g, y, SPEC)
    told = "the sum does not stand along the axis that it is over"
    assert reasons(g, y, SPEC) == [told]


def test_other_maximum_is_kept(graph: Any, fused: Any) -> None:
    """Less the maximum along another axis it is still the softmax of what is left."""
    g = graph()
    x = g.input("x", scores())
    shifted = g.Sub(x, g.ReduceMax(x, axes(1)))
    e = g.Exp(shifted)
    left = fused(g, g.Div(e, g.ReduceSum(e, axes(2))), SPEC)
    assert left == {"Softmax": 1, "Sub": 1, "ReduceMax": 1}
