"""Boosted trees as arrays: what scikit-learn's say, and what is no tree."""

import numpy as np
import pytest
from sardonyx.compiler.cost import trees as module
from sardonyx.compiler.cost.trees import Settings, TrainingError, fit, trees_from
from sklearn.ensemble import GradientBoostingRegressor

SETTINGS = Settings(trees=20, depth=3, rate=0.1, part=1.0, leaf=2)


@pytest.fixture(name="drawn")
def drawn_fixture() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    rows = generator.standard_normal((300, 5)).astype(np.float32)
    wanted = np.where(rows[:, 0] > 0.3, rows[:, 1], -rows[:, 2])
    return rows, wanted, generator.random(300) + 0.1


def test_they_are_scikit_learn_s(drawn) -> None:
    rows, wanted, weights = drawn
    model = GradientBoostingRegressor(
        n_estimators=20,
        max_depth=3,
        learning_rate=0.1,
        subsample=1.0,
        max_features=0.5,
        min_samples_leaf=2,
        random_state=7,
    )
    theirs = model.fit(rows, wanted, sample_weight=weights).predict(rows)
    ours = fit(rows, wanted, weights, 7, SETTINGS)
    np.testing.assert_allclose(ours.predict(rows), theirs, rtol=1e-5, atol=1e-6)
    assert np.abs(theirs - wanted).mean() < np.abs(wanted - wanted.mean()).mean()


def test_arrays_and_back(drawn) -> None:
    rows, wanted, weights = drawn
    ours = fit(rows, wanted, weights, 0, SETTINGS)
    again = trees_from(ours.arrays(), 5)
    np.testing.assert_array_equal(again.predict(rows), ours.predict(rows))


@pytest.mark.parametrize("name", ["left", "right", "roots", "feature"])
def test_what_points_nowhere_is_refused(drawn, name: str) -> None:
    rows, wanted, weights = drawn
    arrays = fit(rows, wanted, weights, 0, SETTINGS).arrays()
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
        fit(*drawn, 0, SETTINGS)
