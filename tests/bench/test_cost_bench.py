"""What docs/cost-model.md counts, and that what is drawn at random are models."""

import statistics
import sys
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from sardonyx.compiler import import_model
from sardonyx.compiler.cost.choose import preferred
from sardonyx.compiler.cost.measurements import (
    Measurement,
    line_of,
    read_measurements,
)
from sardonyx.compiler.cost.turns import settled
from sardonyx.passes.analysis.targets import Rates

sys.path.insert(0, str(Path(__file__).parent))
import cost_model
import cost_models
import cost_parts
import cost_scores
import cost_subjects

RATES = Rates(1e11, 1e10, 4e10, 1e6, 1e9, 1e-6, 2e-6)
FAMILIES = {**cost_models.FAMILIES, **cost_parts.PARTS}


def program(*rounds: float) -> Measurement:
    held = (), (), rounds
    return Measurement("", "m", "f", "numpy", "", "", RATES, min(rounds), *held)


FAST = program(1.0, 1.0, 1.1, 1.2, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0)
SLOW = program(1.2, 1.2, 1.3, 1.4, 1.2, 1.2, 1.2, 1.2, 1.2, 1.2, 1.2, 1.2)


def test_an_order_is_certain_where_almost_all_rounds_agree() -> None:
    assert cost_scores.ordered(FAST, SLOW) == -1
    assert cost_scores.ordered(SLOW, FAST) == 1
    twice = replace(SLOW, rounds=(0.9, 0.9, *SLOW.rounds[2:]))
    assert cost_scores.ordered(FAST, twice) == -1
    thrice = replace(SLOW, rounds=(0.9, 0.9, 0.9, *SLOW.rounds[3:]))
    assert cost_scores.ordered(FAST, thrice) == 0
    close = program(*(1.02 * one for one in FAST.rounds))
    assert cost_scores.ordered(FAST, close) == 0


def test_what_was_measured_anew_takes_the_place_of_the_old(tmp_path: Path) -> None:
    old = [replace(FAST, key=key, model=key) for key in "abc"]
    anew = [replace(SLOW, key=key, model=key) for key in "bd"]
    for name, lines in (("old", old), ("new", anew)):
        text = "".join(map(line_of, lines))
        (tmp_path / f"{name}.jsonl").write_text(text, encoding="utf-8")
    for name in ("old", "new"):
        options = Namespace(measured=[tmp_path / f"{name}.jsonl"], into=tmp_path)
        cost_model.run_merge(options)
    found = read_measurements(tmp_path / "numpy.jsonl.gz")
    assert found == [old[0], anew[0], old[2], anew[1]]
    assert not (tmp_path / "jax.jsonl.gz").exists()
    before = (tmp_path / "numpy.jsonl.gz").read_bytes()
    cost_model.run_merge(options)
    assert (tmp_path / "numpy.jsonl.gz").read_bytes() == before


@pytest.mark.parametrize(("rounds", "wanted"), [(4, 5), (8, 8), (12, 10), (24, 18)])
def test_in_how_many_rounds_it_is_no_chance(rounds: int, wanted: int) -> None:
    # Of a coin, scipy.stats.binom.isf(0.025, rounds, 0.5) + 1.
    assert cost_scores.certain(rounds) == wanted


def test_tau_counts_what_is_certain() -> None:
    slower = program(*(2 * one for one in SLOW.rounds))
    programs = [FAST, slower, SLOW]
    assert cost_scores.kendall(programs, [1.0, 3.0, 2.0]) == 1
    assert cost_scores.kendall(programs, [3.0, 1.0, 2.0]) == -1
    assert cost_scores.kendall(programs, [1.0, 2.0, 3.0]) == pytest.approx(1 / 3)
    assert cost_scores.kendall([FAST, FAST], [1.0, 2.0]) is None


def test_fair_regret_has_no_winner_s_luck() -> None:
    # Equal programs, whose least times are in other rounds.
    noise = np.random.default_rng(0).lognormal(0, 0.1, (16, 12))
    programs = [program(*map(float, row)) for row in noise]
    times = settled([one.rounds for one in programs])
    assert statistics.mean(times) / min(times) - 1 > 0.04
    found = [cost_scores.fair_regret(programs, place) for place in range(16)]
    assert abs(statistics.mean(found)) < 0.02
    slower = [FAST, program(*(1.5 * one for one in FAST.rounds))]
    assert cost_scores.fair_regret(slower, 1) == pytest.approx(0.5)
    assert cost_scores.fair_regret(slower, 0) == pytest.approx(0)


def test_the_first_is_left_for_a_gain_alone() -> None:
    assert preferred([1.0, 0.99, 1.2]) == 0
    assert preferred([1.0, 0.9, 0.8, 1.2]) == 2


@pytest.mark.parametrize("name", FAMILIES)
def test_what_is_drawn_is_a_model(name: str) -> None:
    model = cost_models.drawn(FAMILIES, name, 999, 0)
    assert model.graph.name == cost_models.name_of(name, 999, 0)
    onnx.checker.check_model(model, full_check=True)
    assert import_model(model).outputs
    again = cost_models.drawn(FAMILIES, name, 999, 0)
    assert again.SerializeToString() == model.SerializeToString()


def test_what_is_measured_is_real_and_drawn_in_one_order(tmp_path: Path) -> None:
    asked = cost_subjects.everything(tmp_path)
    assert [one.name for one in asked] == [
        one.name for one in cost_subjects.everything(tmp_path)
    ]
    drawn = [one for one in asked if one.is_drawn]
    assert len({one.name for one in asked}) == len(asked)
    assert {one.family.removeprefix(cost_subjects.DRAWN) for one in drawn} == {
        *FAMILIES
    }
    assert [one.family for one in drawn] != sorted(one.family for one in drawn)
    digits = next(one for one in drawn if one.family == "drawn-digits")
    first, *others = digits.subjects("numpy")
    assert (first.model, first.family) == (digits.name, "drawn-digits")
    assert len(others) < cost_subjects.DRAWN_MOST["numpy"]
