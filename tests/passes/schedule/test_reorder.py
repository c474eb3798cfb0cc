"""Programs in another order: the same results, and less memory."""

from typing import Any

import numpy as np
import pytest
from onnx import helper
from sardonyx.compiler.driver import compile_model, load
from sardonyx.compiler.pipelines import run_pipeline
from sardonyx.dialects.onnx.journal import Journal
from sardonyx.dialects.sched import ALIGNMENT, arena_of
from sardonyx.passes.patterns import Declined
from sardonyx.passes.schedule.plan_memory import planned
from sardonyx.passes.schedule.reorder import ReorderPass, decided

WIDTH = 64


@pytest.fixture(name="fan")
def fan_fixture(model_of: Any, value_info: Any, tensor_proto: Any) -> Any:
    """``fan(rows)``: three wide products, each summed up only after all of them."""

    def fan(rows: int | str = 3, first: str = "MatMul") -> Any:
        rng = np.random.default_rng(0)
        weights = [
            tensor_proto(f"w{n}", rng.normal(size=(8, WIDTH)).astype(np.float32))
            for n in range(3)
        ]
        nodes = []
        for n in range(3):
            takes = ["x", f"w{n}"] if first == "MatMul" else [f"w{n}"]
            nodes.append(helper.make_node(first, takes, [f"p{n}"], f"wide{n}"))
        for n in range(3):
            nodes.append(helper.make_node("ReduceSum", [f"p{n}"], [f"s{n}"], f"sum{n}"))
        nodes.append(helper.make_node("Sum", ["s0", "s1", "s2"], ["t"], "total"))
        nodes.append(helper.make_node("Relu", ["t"], ["y"], "last"))
        infos = [value_info("x", [rows, 8])], [value_info("y", None)]
        return model_of(nodes, *infos, weights)

    return fan


def names(model: Any) -> list[str]:
    return [op.name.partition(".")[2] for op in model.main.body.block.ops]


def test_each_product_is_summed_up_before_the_next(fan: Any, assert_close: Any) -> None:
    model = load(fan())
    before = planned(model.main)[1].bound
    run_pipeline(model, "reorder")
    computed = [n for n in names(model) if n not in ("Constant", "none", "return")]
    assert computed == ["MatMul", "ReduceSum"] * 3 + ["Sum", "Relu"]
    after = planned(model.main)[1].bound
    product = 3 * WIDTH * 4 // ALIGNMENT
    # Three products and a first sum; then one product beside all sums.
    assert (before, after) == (3 * product + 1, product + 3)
    x = {"x": np.arange(24, dtype=np.float32).reshape(3, 8)}
    wanted = compile_model(fan(), backend="numpy", pipeline="O0")(**x)
    found = compile_model(fan(), backend="numpy", pipeline="reorder")(**x)
    assert_close(found[0], wanted[0])


def test_constants_stand_before_what_needs_them(fan: Any) -> None:
    model = load(fan())
    run_pipeline(model, "reorder")
    found = names(model)
    firsts = [place for place, name in enumerate(found) if name == "MatMul"]
    # The weight of each product just before it.
    assert [found[place - 1] for place in firsts] == ["Constant"] * 3


def test_the_best_order_stays(mlp_proto: Any) -> None:
    model = load(mlp_proto)
    run_pipeline(model, 'specialize-dims{dims="batch=2"}')
    before = model.text()
    journal = model.context.journal = Journal()
    ReorderPass().apply(model.context, model.module)
    assert model.text() == before
    assert "no order holds less than" in next(iter(journal.reasons()))


def test_free_sizes_are_not_ordered(fan: Any) -> None:
    found = decided(load(fan("n")).main.body.block)
    assert isinstance(found, Declined)
    assert "wanted a static shape" in found.reason


def test_random_numbers_are_drawn_in_their_order(fan: Any) -> None:
    model = load(fan(first="RandomNormalLike"))
    run_pipeline(model, "reorder")
    drawn = [op for op in model.main.walk() if op.name == "onnx.RandomNormalLike"]
    assert [str(op.location).count("wide") for op in drawn] == [1, 1, 1]
    places = [str(op.location) for op in drawn]
    assert places == sorted(places)


def test_a_limit_stops_it(fan: Any) -> None:
    model = load(fan())
    before = model.text()
    model.context.journal = Journal(limit=0)
    ReorderPass().apply(model.context, model.module)
    assert model.text() == before


def test_what_is_too_large_stays(fan: Any) -> None:
    """All before the sum of sums is one part: seven ops, up to which no cut is."""
    model = load(fan())
    assert isinstance(decided(model.main.body.block, largest=6), Declined)
    assert not isinstance(decided(model.main.body.block, largest=7), Declined)


def test_numpy_s_arenas_are_those_of_the_better_order(fan: Any) -> None:
    lowered = compile_model(fan(), backend="numpy", pipeline="O0").model
    ordered = compile_model(fan(), backend="numpy", pipeline="O2").model
    run_pipeline(lowered, "plan-memory")
    less, more = (arena_of(model.main) for model in (ordered, lowered))
    assert less is not None
    assert more is not None
    assert less < more
