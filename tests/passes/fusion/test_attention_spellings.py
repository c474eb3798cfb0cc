"""Every spelling of scaled dot-product attention becomes the operator."""

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

CORE = "fuse-attention"
WHOLE = (
    "fuse-attention,simplify-transposes,simplify-views,remove-identities,cse,dce,"
    "fuse-attention,simplify-views,remove-identities"
)
F = np.float32
B, H, S, T, D = 2, 4, 5, 7, 8


def values(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(F)


def shape(*numbers: int) -> Any:
    return np.array(numbers, np.int64)


def qkv(g: Any, keys: int = T, heads: int = H) -> tuple[str, str, str]:
    return (
        g.input("q", values(B, H, S, D)),
        g.input("k", values(B, heads, keys, D, seed=1)),
        g.input("v", values(B, heads, keys, D, seed=2)),
    )


def turned(g: Any, k: str) -> str:
    return g.Transpose(k, perm=[0, 1, 3, 2])


def root(g: Any, scores: str, v: str) -> str:
    return g.MatMul(g.Softmax(scores, axis=-1), v)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_drawn_scale(data: Any, graph: Any, fused: Any) -> None:
    """The scale is before or behind the product, by Mul or Div, on Q, K or both."""
    g = graph(nodes=data.draw(st.booleans()))
    q, k, v = qkv(g)
    place = data.draw(st.sampled_from(["q", "k", "k before", "both", "behind", "none"]))
    by = data.draw(st.sampled_from(["Mul", "Div"]))
    scale = F(data.draw(st.sampled_from([D**-0.5, 0.3])))

    def scaled(x: str, factor: Any) -> str:
        if by == "Div":
            return g.Div(x, F(1) / factor)
        return g.Mul(*data.draw(st.permutations([x, factor])))

    if place in ("q", "both"):
        q = scaled(q, np.sqrt(scale) if place == "both" else scale)
    if place == "k before":
        k = scaled(k, scale)
    k = turned(g, k)
    if place in ("k", "both"):
        k = scaled(k, np.sqrt(scale) if place == "both" else scale)
    scores = g.MatMul(q, k)
    if place == "behind":
        scores = scaled(scores, scale)
    if data.draw(st.booleans()):
        mask = g.input("m", values(B, 1, S, T, seed=3))
        scores = g.Add(*data.draw(st.permutations([scores, mask])))
    assert fused(g, root(g, scores, v), CORE) == {"Attention": 1}


MASKS = {
    "matrix": values(S, T, seed=3),
    "heads": values(H, S, T, seed=3),
    "batch": values(B, 1, S, T, seed=3),
    "whole": values(B, H, S, T, seed=3),
    "keys": values(B, 1, 1, T, seed=3),
    "alibi": -np.abs(np.arange(T) - np.arange(S)[:, None]).astype(F)
    * np.array([0.5, 0.25, 0.125, 0.0625], F)[:, None, None],
}


@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize("name", MASKS)
def test_added_mask(name: str, constant: bool, graph: Any, fused: Any) -> None:
    g = graph()
    q, k, v = qkv(g)
    mask = MASKS[name] if constant else g.input("m", MASKS[name])
    scores = g.Add(g.Mul(g.MatMul(q, turned(g, k)), F(D**-0.5)), mask)
    left = fused(g, root(g, scores, v), f"{CORE},fold-constants")
    assert left["Attention"] == 1
    assert left.keys() <= {"Attention", "Expand"}


@pytest.mark.parametrize("fill", [-np.inf, np.finfo(F).min, -1e9])
@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("sizes", [(B, 1, S, T), (1, 1, S, T), (B, 1, 1, T)])
def test_mask_by_where(
    fill: float, swapped: bool, sizes: tuple[int, ...], graph: Any, fused: Any
) -> None:
    g = graph()
    q, k, v = qkv(g)
    allowed = np.random.default_rng(7).random(sizes) > 0.3
    allowed[..., 0] = True
    condition = g.input("m", ~allowed if swapped else allowed)
    scores = g.MatMul(g.Mul(q, F(0.4)), turned(g, k))
    order = (F(fill), scores) if swapped else (scores, F(fill))
    left = fused(g, root(g, g.Where(condition, *order), v), CORE)
    assert left["Attention"] == 1
    assert left.keys() <= {"Attention", "Expand", "Where", "Not"}
    assert "Softmax" not in left


def test_two_masks(graph: Any, fused: Any) -> None:
    g = graph()
    q, k, v = qkv(g)
    bias, mask = g.input("b", values(1, H, S, T)), g.input("m", values(B, 1, S, T))
    scores = g.Add(g.Add(g.MatMul(q, turned(g, k)), bias), mask)
    assert fused(g, root(g, scores, v), CORE) == {"Attention": 1, "Add": 1}


def test_nan_of_masked_rows_is_taken_out(graph: Any, fused: Any) -> None:
    """PyTorch's safe softmax: a row that is masked wholly gives 0."""
    g = graph()
    q, k, v = qkv(g)
    allowed = np.ones((B, 1, S, T), bool)
    allowed[0, 0, 2] = False
    bias = g.Where(g.input("m", allowed), F(0), F(-np.inf))
    weights = g.Softmax(g.Add(g.MatMul(q, turned(g, k)), bias), axis=-1)
    weights = g.Where(g.IsNaN(weights), F(0), weights)
    left = fused(g, g.MatMul(weights, v), CORE)
    assert left == {"Attention": 1, "Where": 1}


def test_softcap(graph: Any, fused: Any) -> None:
    g = graph()
    q, k, v = qkv(g)
    scores = g.Mul(g.Tanh(g.Div(g.MatMul(q, turned(g, k)), F(2))), F(2))
    assert fused(g, root(g, scores, v), CORE) == {"Attention": 1}


@pytest.mark.parametrize("softmax", [False, True])
def test_half_floats(softmax: bool, graph: Any, fused: Any) -> None:
    g = graph()
    q, k, v = (
        g.input(name, (values(B, H, S, D, seed=i) / 2).astype(np.float16))
        for i, name in enumerate("qkv")
    )
    scores = g.MatMul(q, turned(g, k))
    weights = g.Softmax(g.Cast(scores, to=1) if softmax else scores, axis=-1)
    weights = g.Cast(weights, to=10) if softmax else weights
    left = fused(g, g.MatMul(weights, v), CORE, exported=False)
    assert left == {"Attention": 1}


# --- causal ---


def future(g: Any) -> list[Any]:
    upper = np.triu(np.ones((S, S), bool), 1)
    keys, rows = g.Range(0, S, 1), g.Range(0, S, 1)
    rows = g.Unsqueeze(rows, shape(1))
    return [
        np.where(upper, F(-np.inf), F(0)),
        np.where(upper, F(-1e9), F(0))[None, None],
        g.Trilu(np.full((S, S), -1e4, F), np.int64(1), upper=1),
        g.Where(np.tril(np.ones((S, S), bool)), F(0), F(-np.inf)),
        g.Where(upper, np.full((), np.finfo(F).min, F), F(0)),
        g.Where(g.LessOrEqual(keys, rows), F(0), F(-1e9)),
        g.Where(g.Greater(keys, rows), F(-np.inf), F(0)),
        g.Where(g.Not(g.Less(rows, keys)), F(0), F(-np.inf)),
    ]


@pytest.mark.parametrize("place", range(8))
@pytest.mark.parametrize("folded", [False, True])
def test_mask_of_the_future(place: int, folded: bool, graph: Any, fused: Any) -> None:
    g = graph()
    q, k, v = qkv(g, S)
    scores = g.Add(g.MatMul(q, turned(g, k)), future(g)[place])
    spec = f"{CORE},fold-constants,{CORE}" if folded else CORE
    assert fused(g, root(g, scores, v), spec) == {"Attention": 1}


def test_future_and_padding(graph: Any, fused: Any) -> None:
    g = graph()
    q, k, v = qkv(g, S)
    keep = np.ones((B, 1, 1, S), bool)
    keep[1, ..., -2:] = False
    rows = g.Unsqueeze(g.Range(0, S, 1), shape(1))
    allowed = g.And(g.LessOrEqual(g.Range(0, S, 1), rows), g.input("m", keep))
    scores = g.Where(allowed, g.MatMul(q, turned(g, k)), F(-np.inf))
    left = fused(g, root(g, scores, v), CORE)
    assert left == {"Attention": 1, "Expand": 1}


def test_a_finite_future_beside_padding_stays(graph: Any, reasons: Any) -> None:
    g = graph()
    q, k, v = qkv(g, S)
    future_ = np.triu(np.full((S, S), -1e9, F), 1)
    mask = g.Add(future_, g.input("m", values(B, 1, S, S)))
    scores = g.Add(g.MatMul(q, turned(g, k)), mask)
    told = reasons(g, root(g, scores, v), CORE)
    assert any("beside a second mask" in reason for reason in told)


def test_a_mask_of_nothing_goes(graph: Any, fused: Any) -> None:
    g = graph()
    q, k, v = qkv(g)
    scores = g.Add(g.MatMul(q, turned(g, k)), np.zeros((1, 1, S, T), F))
    assert fused(g, root(g, scores, v), CORE) == {"Attention": 1}


# --- groups, heads and cache ---


def repeated(g: Any, x: str, keys: int, way: str) -> str:
    if way == "gather":
        return g.Gather(x, shape(0, 0, 1, 1), axis=1)
    wide = g.Expand(g.Unsqueeze(x, shape(2)), shape(B, 2, 2, keys, D))
    return g.Reshape(wide, shape(B, H, keys, D))


@pytest.mark.parametrize("way", ["expand", "gather"])
def test_groups(way: str, graph: Any, fused: Any) -> None:
    g = graph()
    q, k, v = qkv(g, T, 2)
    k, v = (repeated(g, x, T, way) for x in (k, v))
    assert fused(g, root(g, g.MatMul(q, turned(g, k)), v), CORE) == {"Attention": 1}


def test_groups_by_broadcasting(graph: Any, fused: Any) -> None:
    g = graph()
    q, k, v = qkv(g, T, 1)
    assert fused(g, root(g, g.MatMul(q, turned(g, k)), v), CORE) == {"Attention": 1}


@pytest.mark.parametrize("key_at_once", [False, True])
@pytest.mark.parametrize("batch", [B, "batch"])
def test_heads(key_at_once: bool, batch: Any, graph: Any, fused: Any) -> None:
    g = graph()
    names = [
        g.input(n, values(B, S, H * D, seed=i), (batch, "seq", H * D))
        for i, n in enumerate("qkv")
    ]
    q, k, v = (g.Reshape(x, shape(0, 0, H, D)) for x in names)
    q, v = (g.Transpose(x, perm=[0, 2, 1, 3]) for x in (q, v))
    k = g.Transpose(k, perm=[0, 2, 3, 1] if key_at_once else [0, 2, 1, 3])
    scores = g.MatMul(q, k if key_at_once else turned(g, k))
    y = root(g, g.Mul(scores, F(D**-0.5)), v)
    y = g.Reshape(g.Transpose(y, perm=[0, 2, 1, 3]), shape(0, 0, H * D))
    assert fused(g, y, WHOLE) == {"Attention": 1}


def test_one_head_of_rank_three(graph: Any, fused: Any) -> None:
    g = graph()
    q, k, v = (g.input(n, values(B, S, D, seed=i)) for i, n in enumerate("qkv"))
    mask = g.input("m", values(B, S, S, seed=4))
    scores = g.Add(g.MatMul(q, g.Transpose(k, perm=[0, 2, 1])), mask)
    left = fused(g, root(g, scores, v), CORE)
    assert left == {"Attention": 1, "Unsqueeze": 1}


@pytest.mark.parametrize("shown", [False, True])
@pytest.mark.parametrize("causal", [False, True])
def test_cache(shown: bool, causal: bool, graph: Any, fused: Any) -> None:
    g = graph()
    q, k, v = qkv(g, S)
    past = [g.input(n, values(B, H, 3, D, seed=9)) for n in ("pk", "pv")]
    k, v = (g.Concat(p, x, axis=2) for p, x in zip(past, (k, v), strict=True))
    scores = g.MatMul(q, turned(g, k))
    if causal:
        mask = np.triu(np.full((S, S + 3), -np.inf, F), 4)
        scores = g.Add(scores, mask)
    outputs = [root(g, scores, v), *([k, v] if shown else [])]
    assert fused(g, outputs, CORE) == {"Attention": 1}


# --- refusals ---


def plain(g: Any, **change: Any) -> str:
    q, k, v = qkv(g)
    scores = g.MatMul(q, turned(g, k))
    scores = change.get("scores", lambda g, s: s)(g, scores)
    return g.MatMul(g.Softmax(scores, axis=change.get("axis", -1)), v)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"axis": 1}, "the Softmax is over axis 1, not the last"),
        (
            {"scores": lambda g, s: g.Add(s, g.input("m", values(S, 1)))},
            "the mask's last size is 1, that of the keys 7",
        ),
        (
            {"scores": lambda g, s: g.Where(np.ones((S, T), bool), s, F(-1))},
            "masked scores become -1.0, which does not make others forget them",
        ),
    ],
)
def test_near_misses_are_told(
    change: Any, told: str, graph: Any, fused: Any, reasons: Any
) -> None:
    g = graph()
    y = plain(g, **change)
    assert "Attention" not in fused(g, y, CORE)
    assert told in reasons(g, y, CORE)


def test_float64_keeps_masked_scores(graph: Any, fused: Any, reasons: Any) -> None:
    """A row that is masked wholly by -1e9 has equal weights; the sum would not."""
    g = graph()
    q, k, v = (
        g.input(n, values(B, H, S, D, seed=i).astype(np.float64))
        for i, n in enumerate("qkv")
    )
    allowed = np.zeros((S, S), bool)
    scores = g.Where(allowed, g.MatMul(q, turned(g, k)), np.float64(-1e9))
    y = root(g, scores, v)
    assert "Attention" not in fused(g, y, CORE)
    (reason,) = reasons(g, y, CORE)
    assert "float64" in reason


def test_scale_that_varies_is_no_scale(graph: Any, fused: Any) -> None:
    g = graph()
    y = plain(g, scores=lambda g, s: g.Mul(s, g.input("m", values(S, T))))
    assert "Attention" not in fused(g, y, CORE)
