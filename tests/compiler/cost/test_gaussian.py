"""Gaussian processes: scikit-learn's own, and what is learned of their features."""

import sys

import numpy as np
import pytest
from sardonyx.compiler.cost.gaussian import (
    Kernel,
    fitted,
    learned_kernel,
    likelihood,
    usual_kernel,
)
from sardonyx.compiler.cost.trees import TrainingError
from scipy.optimize import approx_fprime
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import DotProduct, Matern

FEATURES = 5


@pytest.fixture(name="drawn")
def drawn_fixture() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, what is wanted for them, and their groups: two of each."""
    generator = np.random.default_rng(0)
    rows = generator.standard_normal((60, FEATURES))
    return rows, np.sin(2 * rows[:, 0]) + 0.5 * rows[:, 1], np.arange(60) // 2


def test_it_is_scikit_learn_s_process(drawn) -> None:
    rows, wanted, _ = drawn
    near, linear = np.array([0.5, 0.1, 0.2, 0.3, 1.0]), np.full(FEATURES, 0.3)
    found = fitted(Kernel(near, linear, 1.0, 0.1, 0.02), rows, wanted, np.arange(60))
    # Each is of a group of its own: that is noise.
    kernel = Matern(1 / np.sqrt(near), "fixed", nu=1.5)
    kernel += 0.3 * DotProduct(0.0, "fixed")
    theirs = GaussianProcessRegressor(kernel, alpha=0.12, optimizer=None)
    theirs.fit(rows, wanted - found.mean)
    asked = np.random.default_rng(1).standard_normal((20, FEATURES))
    mine = found.of(asked, rows) - found.mean
    np.testing.assert_allclose(mine, theirs.predict(asked), atol=1e-5)


def test_the_likelihood_is_scikit_learn_s(drawn) -> None:
    rows, wanted, _ = drawn
    kernel = Kernel(np.full(FEATURES, 0.2), np.full(FEATURES, 0.3), 1.0, 0.1, 0.02)
    mean = fitted(kernel, rows, wanted, np.arange(60)).mean
    theirs = GaussianProcessRegressor(
        Matern(5**0.5, "fixed", nu=1.5) + 0.3 * DotProduct(0.0, "fixed"),
        alpha=0.12,
        optimizer=None,
    ).fit(rows, wanted - mean)
    value, _ = likelihood(kernel, rows, wanted, np.arange(60))
    constant = 30 * np.log(2 * np.pi)
    told = theirs.log_marginal_likelihood_value_
    assert value - constant == pytest.approx(told, rel=1e-6)


def test_its_slopes_are_those_of_differences(drawn) -> None:
    kernel = Kernel(
        np.array([0.5, 0.1, 0.2, 0.3, 1.0]), np.full(FEATURES, 0.3), 0.7, 0.1, 0.05
    )

    def value(logs: np.ndarray) -> float:
        near, linear = np.exp(logs[:FEATURES]), np.exp(logs[FEATURES:-3])
        moved = Kernel(near, linear, *map(float, np.exp(logs[-3:])))
        return likelihood(moved, *drawn)[0]

    _, slopes = likelihood(kernel, *drawn)
    by_hand = approx_fprime(kernel.logs(), value, 1e-6)
    np.testing.assert_allclose(slopes, by_hand, rtol=1e-3, atol=1e-3)


def test_what_matters_is_learned(drawn) -> None:
    rows, wanted, group = drawn
    usual = usual_kernel(FEATURES)
    found = learned_kernel(rows, wanted, group, usual, 1.5)
    assert np.argmax(found.near) == 0
    assert found.near[0] > 5 * np.median(found.near)
    asked = np.random.default_rng(1).standard_normal((200, FEATURES))
    truth = np.sin(2 * asked[:, 0]) + 0.5 * asked[:, 1]
    off = [
        np.abs(fitted(one, rows, wanted, group).of(asked, rows) - truth).mean()
        for one in (found, usual)
    ]
    assert off[0] < 0.5 * off[1]
    # Held to what was known before, little is learned.
    held = learned_kernel(rows, wanted, group, usual, 0.01)
    np.testing.assert_allclose(held.near, usual.near, rtol=0.1)


def test_what_a_group_has_in_common_may_be_given(drawn) -> None:
    start = usual_kernel(FEATURES, 10.0)
    assert learned_kernel(*drawn, start, 0.2, fixed_same=True).same == pytest.approx(10)
    assert learned_kernel(*drawn, start, 0.2).same < 1


def test_programs_of_one_group_count_less() -> None:
    rows = np.zeros((10, FEATURES))
    wanted = np.array([0.0] * 9 + [1.0])
    kernel = usual_kernel(FEATURES)
    alone = fitted(kernel, rows, wanted, np.array([0] * 9 + [1])).of(rows[:1], rows)
    equal = fitted(kernel, rows, wanted, np.arange(10)).of(rows[:1], rows)
    assert equal < 0.15 < 0.4 < alone


def test_training_without_scipy_is_one_line(
    drawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    with pytest.raises(TrainingError, match="found no SciPy, wanted it for training"):
        learned_kernel(*drawn, usual_kernel(FEATURES), 1.0)
