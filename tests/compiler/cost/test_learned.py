"""The learned residual: better than the roofline, with honest bounds and a gate."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from sardonyx.compiler.cost.learned import (
    BackendModel,
    CostModel,
    CostModelError,
    backend_model_from,
    read_cost_model,
    shipped_cost_model,
)
from sardonyx.compiler.cost.processes import program_vector
from sardonyx.compiler.cost.roofline import program_roofline
from sardonyx.compiler.cost.training import COVERED, train
from sardonyx.compiler.cost.trees import TrainingError


@pytest.fixture(name="halves", scope="module")
def halves_fixture(measurements):
    """Eight families to learn from, four to be asked about."""
    kept = {f"family {n}" for n in range(8)}
    return (
        [one for one in measurements if one.family in kept],
        [one for one in measurements if one.family not in kept],
    )


@pytest.fixture(name="model", scope="module")
def model_fixture(halves) -> BackendModel:
    return train(halves[0])


def test_held_out_families_are_predicted(halves, model: BackendModel) -> None:
    off, line_off, inside = [], [], 0
    for one in halves[1]:
        found = model.predict(one.ops, one.rates)
        off.append(abs(np.log2(found.seconds / one.seconds)))
        line_off.append(abs(np.log2(found.roofline / one.seconds)))
        inside += found.low <= one.seconds <= found.high
        assert found.reason == ""
    assert np.median(off) < np.log2(1.2)
    assert np.median(off) < np.median(line_off) / 3
    assert inside / len(halves[1]) >= COVERED - 0.15


def test_unlike_ops_are_left_to_the_roofline(
    model: BackendModel, halves, measured_of, product_of, pointwise_of
) -> None:
    rates = halves[0][0].rates
    huge = measured_of([product_of(1 << 15, 1 << 15, 1 << 15)])
    found = model.predict(huge.ops, rates)
    assert "100% of it is in ops unlike those measured" in found.reason
    ratio = found.high / found.low
    usual = model.predict(halves[1][0].ops, rates)
    assert ratio > usual.high / usual.low
    # A little of it does not matter.
    large = [product_of(400, 400, 400)] * 8
    few = measured_of([*large, product_of(1, 1, 1)])
    assert model.predict(few.ops, rates).reason == ""


def test_a_variant_is_told_by_what_it_gains(model: BackendModel, halves) -> None:
    plain, variant = halves[1][0].ops, halves[1][1].ops
    rates = halves[1][0].rates
    base = model.predict(plain, rates).seconds
    found = model.predict(variant, rates, plain).seconds
    assert found == pytest.approx(base * model.gain(variant, plain, rates))
    assert found != pytest.approx(model.predict(variant, rates).seconds)
    assert model.predict(plain, rates, plain).seconds == pytest.approx(base)
    # Between the least and the most that is said.
    by_ops, by_program = (
        told(variant, rates) / told(plain, rates)
        for told in (model.by_ops, model.by_program)
    )
    vectors = [np.array([program_vector(one, rates)]) for one in (variant, plain)]
    line = program_roofline(variant, rates) / program_roofline(plain, rates)
    by_gains = line * 2 ** model.programs.gain(*vectors)[0]
    product = by_ops * by_program * by_gains
    assert (found / base) ** 3 == pytest.approx(product)


def test_a_variant_unlike_all_is_told_by_the_roofline(
    model: BackendModel, halves
) -> None:
    plain, rates = halves[1][0].ops, halves[1][0].rates
    base = model.predict(plain, rates)
    strange = [replace(op, op="NonMaxSuppression") for op in plain]
    found = model.predict(strange, rates, plain)
    assert "unlike those measured" in found.reason
    assert found.seconds / base.seconds == pytest.approx(found.roofline / base.roofline)
    # Where the program itself is unlike them, so is every variant: they are compared.
    again = model.predict(plain, rates, strange)
    assert "unlike those measured" in again.reason
    gain = model.gain(plain, strange, rates)
    assert again.seconds == pytest.approx(model.predict(strange, rates).seconds * gain)


def test_an_empty_program_takes_a_call(model: BackendModel, halves) -> None:
    rates = halves[0][0].rates
    assert model.predict([], rates).seconds == rates.call_seconds


def test_the_same_seed_gives_the_same_model(halves, model: BackendModel) -> None:
    again = train(halves[0])
    for name, value in model.arrays().items():
        np.testing.assert_array_equal(again.arrays()[name], value)


def test_one_family_is_not_enough(measurements) -> None:
    with pytest.raises(TrainingError, match="wanted two or more"):
        train([one for one in measurements if one.family == "family 1"])


# --- files ---


def test_files_and_back(model: BackendModel, halves, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file(CostModel({"numpy": model}).arrays(), path)
    again = read_cost_model(path).backends["numpy"]
    for one in halves[1]:
        assert again.predict(one.ops, one.rates) == model.predict(one.ops, one.rates)


def test_damage_is_one_line(model: BackendModel, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    with pytest.raises(CostModelError, match="cannot be read"):
        read_cost_model(path)
    path.write_bytes(b"\x00" * 64)
    with pytest.raises(CostModelError, match="found no cost model"):
        read_cost_model(path)
    arrays = CostModel({"numpy": model}).arrays()
    del arrays["numpy/low"]
    save_file(arrays, path)
    with pytest.raises(CostModelError, match="found no cost model"):
        read_cost_model(path)
    short = {**model.arrays(), "low": np.zeros(1)}
    with pytest.raises(ValueError, match="bounds of other features"):
        backend_model_from(short)


def test_the_shipped_model_knows_both_backends() -> None:
    assert set(shipped_cost_model().backends) == {"numpy", "jax"}
