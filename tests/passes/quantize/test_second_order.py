"""The second-order solver, against brute force and rounding to the nearest."""

from typing import Any

import numpy as np
import pytest
from sardonyx.dialects.quant import Format, Granularity, Scheme
from sardonyx.dialects.quant.numbers import Fitted, fit, quantized, restored, rounded
from sardonyx.passes.quantize.second_order import Solver, loss


def problem(seed: int, depth: int, width: int = 5, rows: int = 200) -> tuple[Any, Any]:
    """A weight, and the second moments of inputs that are correlated."""
    rng = np.random.default_rng(seed)
    weight = rng.standard_normal((depth, width)).astype(np.float32)
    mixed = rng.standard_normal((rows, depth)) @ rng.standard_normal((depth, depth))
    return weight, (mixed.T @ mixed / rows).astype(np.float32)


def brute_force(weight: Any, hessian: Any, order: Any, scheme: Scheme) -> Any:
    """
    Optimal Brain Quantization in a given order: round a row, then solve for all rows
    to come, by least squares, from nothing but the loss.
    """
    fitted = fit(weight, scheme)
    wanted = weight.astype(np.float64)
    rows = wanted.copy()
    done: list[int] = []
    for row in order:
        codes = quantized(rows, fitted, scheme)
        rows[row] = restored(codes, fitted, scheme)[row]
        done.append(row)
        rest = [r for r in order if r not in done]
        if rest:
            # min over e_rest of the loss of e, e_done given.
            error = rows[done] - wanted[done]
            right = -hessian[np.ix_(rest, done)] @ error
            solved = np.linalg.solve(hessian[np.ix_(rest, rest)], right)
            rows[rest] = wanted[rest] + solved
    return rows


@pytest.mark.parametrize("depth", [2, 5, 8])
@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("bits", [2, 4])
def test_it_is_brute_force(depth: int, ordered: bool, bits: int) -> None:
    scheme = Scheme(Format(f"uint{bits}", False), Granularity(0, 16))
    weight, second = problem(depth, depth)
    hessian = second + 0.01 * np.diag(np.full(depth, np.diagonal(second).mean()))
    order = list(np.argsort(-np.diagonal(hessian))) if ordered else list(range(depth))
    rows = brute_force(weight, hessian.astype(np.float64), order, scheme)
    nearest = rounded(weight, scheme)
    better = loss(rows - weight, hessian) <= loss(nearest - weight, hessian)
    wanted = np.where(better, rows, nearest)
    solver = Solver(scheme, 0.01, ordered, least_error=False)
    codes, fitted = solver.solve(weight, second)
    found = restored(codes, fitted, scheme)
    np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("symmetric", [True, False])
def test_no_column_is_worse_than_the_nearest(ordered: bool, symmetric: bool) -> None:
    scheme = Scheme(Format("uint4", symmetric), Granularity(0, 32))
    gains = []
    for seed in range(4):
        weight, second = problem(seed, 300, 16, 600)
        codes, fitted = Solver(scheme, 0.01, ordered).solve(weight, second)
        assert fitted.scale.shape == scheme.per.scales(weight.shape)
        found = restored(codes, fitted, scheme)
        nearest = rounded(weight, scheme, least_error=True)
        ours, theirs = (loss(y - weight, second) for y in (found, nearest))
        assert (ours <= theirs * 1.01).all()
        gains.append(ours.sum() / theirs.sum())
    assert np.mean(gains) < 0.5


def test_the_order_of_activations_helps_on_average() -> None:
    scheme = Scheme(Format("uint2", False), Granularity(0, 32))
    ratios = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        weight = rng.standard_normal((64, 8)).astype(np.float32)
        spread = np.exp(rng.standard_normal(64))
        mixed = (
            rng.standard_normal((300, 64)) @ rng.standard_normal((64, 64))
        ) * spread
        second = (mixed.T @ mixed / 300).astype(np.float32)
        lost = [
            loss(
                restored(*Solver(scheme, 0.01, o).solve(weight, second), scheme)
                - weight,
                second,
            ).sum()
            for o in (True, False)
        ]
        ratios.append(lost[0] / lost[1])
    assert np.exp(np.mean(np.log(ratios))) < 1


def test_inputs_that_are_never_used_are_rounded_alone() -> None:
    scheme = Scheme(Format("uint4", False), Granularity(0, 16))
    weight, second = problem(1, 32)
    second[5] = second[:, 5] = 0
    codes, fitted = Solver(scheme, least_error=False).solve(weight, second)
    found = restored(codes, fitted, scheme)
    np.testing.assert_allclose(found[5], rounded(weight, scheme)[5], atol=1e-6)
    assert np.isfinite(found).all()


def test_a_wrong_matrix_is_refused() -> None:
    solver = Solver(Scheme(Format("uint4"), Granularity(0, 16)))
    with pytest.raises(ValueError, match=r"found \(3, 3\), wanted \(4, 4\)"):
        solver.solve(np.ones((4, 2), np.float32), np.eye(3))


def test_codes_and_scales_belong_together() -> None:
    scheme = Scheme(Format("uint8", False), Granularity(0, 16))
    weight, second = problem(2, 40)
    codes, fitted = Solver(scheme).solve(weight, second)
    assert isinstance(fitted, Fitted)
    assert codes.dtype == fitted.zero.dtype == np.uint8
    np.testing.assert_allclose(restored(codes, fitted, scheme), weight, atol=0.05)
