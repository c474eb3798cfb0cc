"""Masks beside their definitions in loops, and the search for groups."""

from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sardonyx.dialects.errors import SardonyxError
from sardonyx.dialects.sparse import NM, Bitmap, Block, GroupShared
from sardonyx.passes.sparsity.grouping import grouped, retained
from sardonyx.passes.sparsity.importance import importance
from sardonyx.passes.sparsity.patterns import (
    groups_in,
    longest_run,
    mask_of,
    nm_of,
    pattern_of,
)

RNG = np.random.default_rng(0)
WEIGHT = RNG.standard_normal((16, 12)).astype(np.float32)
INPUTS = RNG.standard_normal((40, 16)) * RNG.uniform(0.1, 5, 16)
SECOND = (INPUTS.T @ INPUTS / 40).astype(np.float32)


def score(k: int, n: int, wanda: bool) -> float:
    """Wanda's and magnitude's, as their papers have it."""
    norm = np.sqrt(np.mean(INPUTS[:, k] ** 2)) if wanda else 1.0
    return abs(float(WEIGHT[k, n])) * float(norm)


def found_mask(name: str, wanda: bool, sparsity: float = 0.5, **options: Any) -> Any:
    pattern = pattern_of("test", name, sparsity, **options)
    return mask_of(importance(WEIGHT, SECOND if wanda else None, 1.0), pattern, wanda)


def brute(name: str, wanda: bool) -> Any:
    """The mask of half of `WEIGHT`, element by element."""
    keep = np.zeros(WEIGHT.shape, bool)
    depth, width = WEIGHT.shape
    if name == "unstructured":
        return brute_unstructured(wanda)
    if name.startswith("2:4"):
        size, rows, columns = 4, 1, width if name.endswith("shared") else 1
    else:
        size, rows, columns = depth, 2 if name == "block" else 1, 4
    for start in range(0, depth, size):
        for first in range(0, width, columns):
            runs = sorted(
                range(start, start + size, rows),
                key=lambda at: -energy(at, rows, first, columns, wanda),
            )
            for at in runs[: len(runs) // 2]:
                keep[at : at + rows, first : first + columns] = True
    return keep


def brute_unstructured(wanda: bool) -> Any:
    """Wanda compares within an output, magnitude within the layer."""
    keep = np.zeros(WEIGHT.shape, bool)
    depth, width = WEIGHT.shape
    every = [(k, n) for k in range(depth) for n in range(width)]
    for some in ([p for p in every if p[1] == n] for n in range(width)):
        if wanda:
            ranked = sorted(some, key=lambda at: -score(*at, True))
            for at in ranked[: depth // 2]:
                keep[at] = True
    if not wanda:
        for at in sorted(every, key=lambda at: -score(*at, False))[: keep.size // 2]:
            keep[at] = True
    return keep


def energy(row: int, rows: int, column: int, columns: int, wanda: bool) -> float:
    """The squares of the scores of some rows and columns, summed."""
    return sum(
        score(k, n, wanda) ** 2
        for k in range(row, row + rows)
        for n in range(column, column + columns)
    )


@pytest.mark.parametrize("wanda", [False, True], ids=["magnitude", "wanda"])
@pytest.mark.parametrize(
    "name", ["unstructured", "2:4", "2:4-shared", "group-shared", "block"]
)
def test_masks_are_what_they_are_defined_as(name: str, wanda: bool) -> None:
    found = found_mask(name, wanda, group=4, run=2)
    np.testing.assert_array_equal(found, brute(name, wanda))
    assert found.mean() == 0.5


@given(
    st.integers(1, 6),
    st.integers(1, 6),
    st.integers(0, 2**32 - 1),
    st.booleans(),
)
def test_n_of_every_m_are_kept(n: int, m: int, seed: int, shared: bool) -> None:
    n = min(n, m)
    values = np.random.default_rng(seed).integers(0, 3, (4 * m, 7)).astype(float)
    pattern = pattern_of("test", f"{n}:{m}{'-shared' if shared else ''}", 0)
    keep = mask_of(values, pattern, True)
    assert (keep.reshape(4, m, 7).sum(1) == n).all()
    if shared:
        assert (keep == keep[:, :1]).all()


@pytest.mark.parametrize("sparsity", [0.0, 0.1, 0.3, 0.75, 0.9])
def test_so_much_is_left_out(sparsity: float) -> None:
    kept = found_mask("unstructured", False, sparsity).sum()
    assert kept == WEIGHT.size - int(sparsity * WEIGHT.size)
    group = found_mask("group-shared", False, sparsity, group=4)
    rows = round((1 - sparsity) * 16)
    assert (groups_in(np.where(group, 1, 0), 4).sum(1) == rows).all()


def test_groups_fit_the_outputs() -> None:
    # No group of 5 fits 12 outputs: groups of 4.
    pattern = pattern_of("test", "group-shared", 0.5, 5)
    assert pattern.encoding(WEIGHT.shape, 0) == GroupShared(4, 8)
    assert pattern_of("test", "block", 0.5, 12, 4).encoding(WEIGHT.shape, 0) == Block(
        4, 12, 2
    )
    assert pattern_of("test", "2:4-shared", 0).encoding((8, 8), 0) == NM(2, 4, True)
    assert pattern_of("test", "unstructured", 0.5).encoding((8, 8), 9) == Bitmap(9)


@pytest.mark.parametrize(
    ("name", "shape", "reason"),
    [
        ("2:4", (6, 8), "its 6 inputs are no multiple of 4"),
        ("block", (24, 8), "its 24 inputs are no multiple of the run of 16"),
        ("group-shared", (8, 131), "its 131 outputs have no groups near 128"),
        ("block", (16, 8), "nothing would be left"),
        ("unstructured", (5, 7), None),
    ],
)
def test_shapes_that_do_not_fit(
    name: str, shape: tuple[int, int], reason: str | None
) -> None:
    assert pattern_of("test", name, 0.6).reason(shape) == reason


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("csr", 0.5), "prune: found pattern 'csr', wanted unstructured, N:M"),
        (("5:4", 0.5), "prune: found 5:4, wanted N up to M"),
        (("block", 1.0), "prune: found sparsity 1, wanted 0 up to 1"),
        (("block", 0.5, 0), "prune: found groups of 0, wanted 1 or more"),
    ],
)
def test_patterns_that_are_none(options: Any, message: str) -> None:
    with pytest.raises(SardonyxError, match=message):
        pattern_of("prune", *options)


def test_what_a_weight_has() -> None:
    used = np.array([[1, 1, 0, 0, 1, 1, 0, 0], [0, 0, 1, 1, 1, 1, 0, 0]], bool)
    assert longest_run(used) == 2
    used[0, 4] = False
    # The first group uses fewer: the runs of the other still hold it.
    assert longest_run(used) == 2
    used[0, 6] = True
    assert longest_run(used) == 1
    assert nm_of(np.tile(np.eye(4), (2, 1))) == NM(1, 4)
    assert nm_of(np.ones((8, 2))) is None


# --- the search for groups ---


def planted(groups: int, group: int, depth: int, seed: int) -> tuple[Any, Any]:
    """Outputs that use one of `groups` sets of inputs, in random order; and which."""
    rng = np.random.default_rng(seed)
    matters = np.zeros((depth, groups * group))
    kinds = rng.permutation(np.repeat(np.arange(groups), group))
    for kind in range(groups):
        rows = rng.permutation(depth)[: depth // 2]
        for place in np.flatnonzero(kinds == kind):
            matters[rows, place] = rng.uniform(0.5, 1, len(rows))
    return matters, kinds


@pytest.mark.parametrize("seed", range(4))
def test_planted_groups_are_found(seed: int) -> None:
    matters, kinds = planted(4, 8, 64, seed)
    pattern = pattern_of("test", "group-shared", 0.5, 8)
    order = grouped(matters, pattern)
    assert sorted(order) == list(range(32))
    assert retained(matters, pattern) < 0.8
    assert retained(matters[:, order], pattern) == pytest.approx(1)
    assert all(len(set(part)) == 1 for part in kinds[order].reshape(4, 8))


def test_the_best_of_all_orders_is_nearly_reached() -> None:
    pattern = pattern_of("test", "group-shared", 0.5, 3)
    for seed in range(5):
        matters = np.random.default_rng(seed).exponential(size=(8, 6)) ** 2
        best = max(
            retained(matters[:, list(order)], pattern)
            for order in permutations(range(6))
            if list(order[:3]) == sorted(order[:3])
        )
        found = retained(matters[:, grouped(matters, pattern)], pattern)
        assert retained(matters, pattern) <= found <= best + 1e-12
        assert found >= best * 0.98
