"""The Gaussian process over whole programs: near what was measured, and far from it."""

import numpy as np
import pytest
from sardonyx.compiler.cost.facts import OpFacts
from sardonyx.compiler.cost.processes import (
    PROGRAM_FEATURES,
    Programs,
    fitted,
    process_from,
    program_vector,
)
from sardonyx.passes.analysis.targets import Rates
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import DotProduct, Matern

RATES = Rates(1e11, 1e10, 4e10, 1e6, 1e9, 1e-6, 2e-6)
FEATURES = len(PROGRAM_FEATURES)


@pytest.fixture(name="drawn")
def drawn_fixture() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    rows = generator.standard_normal((60, FEATURES))
    return rows, np.sin(rows[:, 0]) + 0.5 * rows[:, 1]


def test_it_is_scikit_learn_s_process(drawn) -> None:
    rows, wanted = drawn
    models = [f"model {n}" for n in range(len(rows))]
    found = fitted(rows, wanted, models)
    # Both kernels by the mean over features; each model has one program.
    scaled = (rows - found.middle) / found.scale / np.sqrt(FEATURES)
    kernel = Matern(2.0, "fixed", nu=0.5) + 0.3 * DotProduct(0.0, "fixed")
    theirs = GaussianProcessRegressor(kernel, alpha=0.12, optimizer=None)
    theirs.fit(scaled, wanted - found.mean)
    asked = scaled + 0.02
    mine = found.of(asked * np.sqrt(FEATURES) * found.scale + found.middle)
    np.testing.assert_allclose(mine - found.mean, theirs.predict(asked), atol=1e-5)


def test_many_programs_of_one_model_count_less(drawn) -> None:
    rows, _ = drawn
    same = np.repeat(rows[:1], 10, axis=0)
    wanted = np.array([0.0] * 9 + [1.0])
    alone = fitted(same, wanted, ["a"] * 9 + ["b"]).of(same[:1])
    equal = fitted(same, wanted, [str(n) for n in range(10)]).of(same[:1])
    assert equal < 0.15 < 0.4 < alone


def test_what_is_far_off_is_bounded(drawn) -> None:
    rows, wanted = drawn
    process = fitted(rows, wanted, ["m"] * len(rows))
    far = process.of(np.full((1, FEATURES), 1e9))
    assert abs(far) < 20
    np.testing.assert_array_equal(far, process.of(np.full((1, FEATURES), 1e12)))


def test_a_program_is_described_by_its_shares(product_of, pointwise_of) -> None:
    ops: list[OpFacts] = [product_of(256, 256, 256), pointwise_of("Relu", 256, 256)]
    vector = dict(zip(PROGRAM_FEATURES, program_vector(ops, RATES), strict=True))
    assert vector["count product"] == vector["count elementwise"] == 1
    assert 0 < vector["share elementwise"] < vector["share product"] < 1
    assert vector["ops"] == np.log2(3)
    assert vector["small"] == 0.5
    assert np.isfinite(list(vector.values())).all()
    assert np.isfinite(program_vector([], RATES)).all()


def test_what_is_left_out_is_not_learned_from(measurements) -> None:
    programs = Programs.of(measurements[:20])
    kept = np.arange(20) < 15
    assert len(programs.process(kept).weights) == 15
    assert len(programs.process().weights) == 20


def test_arrays_and_back(drawn) -> None:
    rows, wanted = drawn
    process = fitted(rows, wanted, ["m"] * len(rows))
    again = process_from(process.arrays())
    np.testing.assert_array_equal(again.of(rows), process.of(rows))
    for name in ("rows", "middle", "weights"):
        damaged = {**process.arrays(), name: np.zeros(2)}
        with pytest.raises(ValueError, match="process of other features"):
            process_from(damaged)
    with pytest.raises(KeyError):
        process_from({})
