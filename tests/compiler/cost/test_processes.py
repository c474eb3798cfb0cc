"""What is learned of whole programs: their features, their level, and their gains."""

from dataclasses import replace

import numpy as np
import pytest
from sardonyx.compiler.cost.facts import OpFacts
from sardonyx.compiler.cost.processes import (
    PROGRAM_FEATURES,
    Processes,
    Programs,
    processes_from,
    program_vector,
)
from sardonyx.passes.analysis.targets import Rates

RATES = Rates(1e11, 1e10, 4e10, 1e6, 1e9, 1e-6, 2e-6)
FEATURES = len(PROGRAM_FEATURES)


@pytest.fixture(name="drawn", scope="module")
def drawn_fixture() -> Programs:
    """
    Twenty models of four programs: what they take is as one feature says and the hour,
    how they differ as another.
    """
    generator = np.random.default_rng(0)
    vectors = generator.standard_normal((80, FEATURES))
    model = np.repeat(np.arange(20), 4)
    vectors[:, 0] = vectors[model * 4, 0]
    hour = 0.5 * generator.standard_normal(20)
    over = 2 * vectors[:, 0] + hour[model] + 0.2 * vectors[:, 1]
    names = tuple(f"model {n}" for n in model)
    return Programs(vectors, np.ones(80), over, names, names)


@pytest.fixture(name="processes", scope="module")
def processes_fixture(drawn: Programs) -> Processes:
    return drawn.processes(drawn.kernels())


def test_a_program_is_described_by_its_shares(product_of, pointwise_of) -> None:
    ops: list[OpFacts] = [product_of(256, 256, 256), pointwise_of("Relu", 256, 256)]
    vector = dict(zip(PROGRAM_FEATURES, program_vector(ops, RATES), strict=True))
    assert vector["count product"] == vector["count elementwise"] == 1
    assert 0 < vector["share elementwise"] < vector["share product"] < 1
    assert vector["ops"] == np.log2(3)
    assert vector["small"] == 0.5
    assert np.isfinite(list(vector.values())).all()
    assert np.isfinite(program_vector([], RATES)).all()


def test_what_a_model_has_in_common_is_no_gain(
    drawn: Programs, processes: Processes
) -> None:
    generator = np.random.default_rng(1)
    asked = generator.standard_normal((50, FEATURES))
    other = asked + generator.standard_normal((50, FEATURES)) * (
        np.arange(FEATURES) > 0
    )
    wanted = 0.2 * (other[:, 1] - asked[:, 1])
    found = processes.gain(other, asked)
    assert np.corrcoef(found, wanted)[0, 1] > 0.6
    np.testing.assert_allclose(processes.gain(asked, asked), 0, atol=1e-12)
    # Another hour for each model changes its level, and no gain.
    hours = generator.standard_normal(20)[np.arange(80) // 4]
    later = replace(drawn, over=drawn.over + hours)
    again = later.processes(drawn.kernels())
    moved = np.abs(again.of(drawn.vectors) - processes.of(drawn.vectors)).mean()
    gained = np.abs(again.gain(other, asked) - found).mean()
    assert gained < 0.2 * moved


def test_what_is_far_off_is_bounded(processes: Processes) -> None:
    far = processes.of(np.full((1, FEATURES), 1e9))
    assert abs(far) < 100
    np.testing.assert_array_equal(far, processes.of(np.full((1, FEATURES), 1e12)))


def test_what_is_left_out_is_not_learned_from(drawn: Programs) -> None:
    kernels = drawn.kernels()
    kept = drawn.kept(np.arange(80) < 60)
    assert len(kept.processes(kernels).level.weights) == 60
    assert kept.families == drawn.families[:60]
    wrong = replace(drawn, over=np.where(np.arange(80) < 60, drawn.over, 1e3))
    again = wrong.kept(np.arange(80) < 60).processes(kernels)
    np.testing.assert_array_equal(
        again.level.weights, kept.processes(kernels).level.weights
    )


def test_arrays_and_back(drawn: Programs, processes: Processes) -> None:
    again = processes_from(processes.arrays())
    rows, plain = drawn.vectors, drawn.vectors[::-1]
    np.testing.assert_array_equal(again.of(rows), processes.of(rows))
    np.testing.assert_array_equal(again.gain(rows, plain), processes.gain(rows, plain))
    damage = {"rows": "features", "middle": "features", "gains.near": "features"}
    for name, what in {**damage, "level.weights": "programs"}.items():
        damaged = {**processes.arrays(), name: np.zeros(2)}
        with pytest.raises(ValueError, match=f"process of other {what}"):
            processes_from(damaged)
    with pytest.raises(KeyError):
        processes_from({})
