"""Every spelling of the rotary embedding becomes the operator."""

from typing import Any

import numpy as np
import pytest

SPEC = "fuse-rotary"
F = np.float32
B, H, S, D = 2, 3, 5, 8
ANGLES = (np.arange(S)[:, None] * 0.7 ** np.arange(D // 2)).astype(F)


def shape(*numbers: int) -> Any:
    return np.array(numbers, np.int64)


def heads(g: Any, *sizes: int) -> str:
    sizes = sizes or (B, H, S, D)
    return g.input("x", np.random.default_rng(0).standard_normal(sizes).astype(F))


def halves(g: Any, x: str, way: str) -> tuple[str, str]:
    if way == "split":
        return g.node("Split", x, results=2, axis=-1, num_outputs=2)
    return (
        g.Slice(x, shape(0), shape(D // 2), shape(3)),
        g.Slice(x, shape(D // 2), shape(2**62), shape(-1)),
    )


def neighbours(g: Any, x: str, way: str) -> tuple[str, str]:
    if way == "strided":
        return tuple(
            g.Slice(x, shape(i), shape(2**62), shape(3), shape(2)) for i in (0, 1)
        )
    pairs = g.Reshape(x, shape(0, 0, 0, D // 2, 2))
    if way == "gathered":
        return tuple(g.Gather(pairs, np.int64(i), axis=-1) for i in (0, 1))
    return tuple(
        g.Squeeze(p, shape(-1))
        for p in g.node("Split", pairs, results=2, axis=4, num_outputs=2)
    )


def stacked(g: Any, a: str, b: str, x: tuple[int, ...] = (B, H, S, D)) -> str:
    columns = [g.Unsqueeze(v, shape(-1)) for v in (a, b)]
    return g.Reshape(g.Concat(*columns, axis=-1), shape(*x))


def turned(g: Any, a: str, b: str, cos: Any, sin: Any) -> tuple[str, str]:
    first = g.Sub(g.Mul(a, cos), g.Mul(sin, b))
    return first, g.Add(g.Mul(b, cos), g.Mul(sin, a))


@pytest.mark.parametrize("computed", [False, True])
@pytest.mark.parametrize("rank", [2, 3, 4])
@pytest.mark.parametrize("way", ["split", "slice"])
def test_halves(way: str, rank: int, computed: bool, graph: Any, fused: Any) -> None:
    g = graph()
    x = heads(g)
    angles = ANGLES.reshape((1,) * (rank - 2) + ANGLES.shape)
    cos, sin = np.cos(angles), np.sin(angles)
    if computed:
        given = g.input("angles", angles)
        cos, sin = g.Cos(given), g.Sin(given)
    y = g.Concat(*turned(g, *halves(g, x, way), cos, sin), axis=-1)
    left = fused(g, y, f"{SPEC},fold-constants")
    assert left["RotaryEmbedding"] == 1
    assert left.keys() <= {"RotaryEmbedding", "Cos", "Sin", "Expand", "Squeeze"}


@pytest.mark.parametrize("way", ["strided", "gathered", "split"])
def test_neighbours(way: str, graph: Any, fused: Any) -> None:
    g = graph()
    x = heads(g)
    parts = turned(g, *neighbours(g, x, way), np.cos(ANGLES), np.sin(ANGLES))
    left = fused(g, stacked(g, *parts), f"{SPEC},fold-constants")
    assert left == {"RotaryEmbedding": 1}


@pytest.mark.parametrize("computed", [False, True])
@pytest.mark.parametrize("swapped", [False, True])
def test_rotate_half(swapped: bool, computed: bool, graph: Any, fused: Any) -> None:
    """Hugging Face's: ``x * cos + rotate_half(x) * sin``, each angle twice."""
    g = graph()
    x = heads(g)
    first, second = halves(g, x, "slice")
    rotated = g.Concat(g.Neg(second), first, axis=-1)
    cos, sin = (
        f(np.concatenate([ANGLES] * 2, -1))[None, None] for f in (np.cos, np.sin)
    )
    if computed:
        given = g.input("angles", ANGLES[None])
        twice = g.Concat(given, given, axis=-1)
        cos, sin = (g.Unsqueeze(v, shape(1)) for v in (g.Cos(twice), g.Sin(twice)))
    terms = [g.Mul(x, cos), g.Mul(sin, rotated)]
    left = fused(g, g.Add(*(terms[::-1] if swapped else terms)), SPEC)
    assert left["RotaryEmbedding"] == 1
    assert not left.keys() & {"Mul", "Add", "Neg"}


def test_rotate_every_two(graph: Any, fused: Any) -> None:
    """GPT-J's: neighbours, each angle repeated."""
    g = graph()
    x = heads(g)
    first, second = neighbours(g, x, "strided")
    rotated = stacked(g, g.Neg(second), first)
    cos, sin = (np.repeat(f(ANGLES), 2, -1) for f in (np.cos, np.sin))
    y = g.Add(g.Mul(x, cos), g.Mul(rotated, sin))
    left = fused(g, y, f"{SPEC},fold-constants")
    assert left == {"RotaryEmbedding": 1}


def test_positions_before_heads(graph: Any, fused: Any) -> None:
    g = graph()
    x = heads(g, B, S, H, D)
    cos, sin = (f(ANGLES)[:, None] for f in (np.cos, np.sin))
    y = g.Concat(*turned(g, *halves(g, x, "slice"), cos, sin), axis=-1)
    left = fused(g, y, f"{SPEC},fold-constants")
    assert left == {"RotaryEmbedding": 1, "Reshape": 2}


def test_part_of_a_head(graph: Any, fused: Any) -> None:
    g = graph()
    x = heads(g, B, H, S, 12)
    head, rest = (
        g.Slice(x, shape(a), shape(b), shape(3)) for a, b in ((0, D), (D, 12))
    )
    cos, sin = np.cos(ANGLES), np.sin(ANGLES)
    y = g.Concat(*turned(g, *halves(g, head, "slice"), cos, sin), axis=-1)
    left = fused(g, g.Concat(y, rest, axis=-1), f"{SPEC},fold-constants")
    assert left == {"RotaryEmbedding": 1}


def wrong_turn(g: Any, x: str) -> str:
    a, b = halves(g, x, "slice")
    cos, sin = np.cos(ANGLES), np.sin(ANGLES)
    first = g.Sub(g.Mul(a, cos), g.Mul(b, sin))
    return g.Concat(first, g.Add(g.Mul(a, cos), g.Mul(b, sin)), axis=-1)


def unequal_angles(g: Any, x: str) -> str:
    a, b = halves(g, x, "slice")
    whole = np.concatenate([ANGLES, ANGLES + F(0.1)], -1)
    rotated = g.Concat(g.Neg(b), a, axis=-1)
    return g.Add(g.Mul(x, np.cos(whole)), g.Mul(rotated, np.sin(whole)))


def angles_of_heads(g: Any, x: str) -> str:
    a, b = halves(g, x, "slice")
    whole = np.random.default_rng(3).standard_normal((H, S, D // 2)).astype(F)
    return g.Concat(*turned(g, a, b, np.cos(whole), np.sin(whole)), axis=-1)


def mixed_pairs(g: Any, x: str) -> str:
    a, b = halves(g, x, "slice")
    return stacked(g, *turned(g, a, b, np.cos(ANGLES), np.sin(ANGLES)))


@pytest.mark.parametrize(
    ("spell", "told"),
    [
        (wrong_turn, "the second part is not turned by the angle of the first"),
        (unequal_angles, "the two of a pair have different angles, or may have"),
        (angles_of_heads, "the angles do not follow an axis of positions"),
        (mixed_pairs, "it pairs elements otherwise than it joins them"),
    ],
)
def test_near_misses_are_told(
    spell: Any, told: str, graph: Any, fused: Any, reasons: Any
) -> None:
    g = graph()
    y = spell(g, heads(g))
    assert "RotaryEmbedding" not in fused(g, y, SPEC)
    assert told in reasons(g, y, SPEC)
