"""Products of one value with constant matrices become one product, split."""

from typing import Any

import numpy as np

F = np.float32


def weight(width: int, seed: int) -> Any:
    return np.random.default_rng(seed).standard_normal((6, width)).astype(F)


def test_merged(graph: Any, fused: Any) -> None:
    g = graph()
    x = g.input("x", weight(3, 0).T.copy()[None], ("n", 3, 6))
    a, b, c = (g.MatMul(x, weight(n, n)) for n in (4, 2, 2))
    left = fused(g, [g.Add(b, c), a], "merge-products")
    assert left == {"MatMul": 1, "Split": 1, "Add": 1}


def test_other_values_stay(graph: Any, fused: Any) -> None:
    g = graph()
    x, y = g.input("x", weight(3, 0).T.copy()), g.input("y", weight(3, 1).T.copy())
    w = g.input("w", weight(4, 2))
    outputs = [g.MatMul(x, weight(4, 3)), g.MatMul(y, weight(4, 3)), g.MatMul(x, w)]
    assert fused(g, outputs, "merge-products") == {"MatMul": 3}
