"""Arenas of real models, as they are written: near the least that they could be."""

from typing import Any

from sardonyx.compiler.debug.report.facts import assumed_sizes
from sardonyx.compiler.driver import load, specialize
from sardonyx.passes.schedule.plan_memory import planned

MOST = 1.05


def test_arenas_are_near_the_bound(model: str, path_of: Any) -> None:
    loaded = load(path_of(model))
    sizes = assumed_sizes(loaded, {})
    if sizes:
        specialize(loaded, sizes)
    buffers, plan = planned(loaded.main)
    assert buffers
    assert plan.bound <= plan.size <= MOST * plan.bound
