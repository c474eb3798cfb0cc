"""Trees as arrays: what scikit-learn's say, and what is no tree."""

from dataclasses import replace

import numpy as np
import pytest
from sardonyx.compiler.cost import trees as module
from sardonyx.compiler.cost.trees import (
    Settings,
    TrainingError,
    Trees,
    averaged,
    grown,
    joined,
    trees_from,
)
from sklearn.tree import DecisionTreeRegressor

SETTINGS = Settings(trees=2, depth=3, rate=0.1, features=0.5, leaf=2)


@pytest.fixture(name="drawn")
def drawn_fixture() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    rows = generator.standard_normal((300, 5)).astype(np.float32)
    wanted = np.where(rows[:, 0] > 0.3, rows[:, 1], -rows[:, 2])
    return rows, wanted, generator.random(300) + 0.1


def two(drawn, base: float = 0.25, seed: int = 0) -> Trees:
    trees = [grown(*drawn, seed + place, SETTINGS) for place in range(2)]
    return joined(base, trees, 0.1)


def test_they_are_scikit_learn_s(drawn) -> None:
    rows, wanted, weights = drawn
    theirs = 0.25
    for seed in range(2):
        tree = DecisionTreeRegressor(
            max_depth=3, max_features=0.5, min_samples_leaf=2, random_state=seed
        )
        tree.fit(rows, wanted, sample_weight=weights)
        theirs = theirs + 0.1 * tree.predict(rows)
    ours = two(drawn).predict(rows)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    assert np.ptp(ours) > 0.1


def test_the_mean_of_several(drawn) -> None:
    several = [two(drawn), two(drawn, 1.0, 5), replace(two(drawn, 2.0, 9), base=4.0)]
    mean = np.mean([one.predict(drawn[0]) for one in several], axis=0)
    np.testing.assert_allclose(averaged(several).predict(drawn[0]), mean, rtol=1e-6)


def test_arrays_and_back(drawn) -> None:
    ours = two(drawn)
    again = trees_from(ours.arrays(), 5)
    np.testing.assert_array_equal(again.predict(drawn[0]), ours.predict(drawn[0]))


@pytest.mark.parametrize("name", ["left", "right", "roots", "feature"])
def test_what_points_nowhere_is_refused(drawn, name: str) -> None:
    arrays = two(drawn).arrays()
    arrays[name] = arrays[name] + 10**6
    with pytest.raises(ValueError, match=f"{name}: found"):
        trees_from(arrays, 5)
    arrays["value"] = arrays["value"][:-1]
    with pytest.raises(ValueError, match="found"):
        trees_from(arrays, 10**7)


def test_a_loop_among_nodes_ends() -> None:
    one = np.array([0], np.int32)
    looped = trees_from(
        {
            "base": np.array(1.0),
            "roots": one,
            "feature": np.zeros(2, np.int32),
            "threshold": np.zeros(2, np.float32),
            "left": np.array([1, 0], np.int32),
            "right": np.array([1, 0], np.int32),
            "value": np.zeros(2, np.float32),
        },
        1,
    )
    assert looped.predict(np.zeros((3, 1), np.float32)).tolist() == [1.0] * 3


def test_without_scikit_learn(drawn, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(module.importlib, "import_module", missing)
    with pytest.raises(TrainingError, match=r"pip install 'sardonyx\[tune\]'"):
        grown(*drawn, 0, SETTINGS)
