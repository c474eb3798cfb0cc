"""Equality saturation on every real model: never dearer, and the same results."""

from pathlib import Path
from typing import Any

import pytest
from sardonyx.compiler.driver import load
from sardonyx.compiler.pipelines import run_pipeline
from sardonyx.compiler.verify import verify
from sardonyx.passes.eqsat.costs import Machine
from sardonyx.passes.eqsat.graph import GraphIntegers
from xdsl.dialects.func import FuncOp

SPEC = 'saturate{nodes=400 seconds=1 extract="greedy"}'
RUN = ["bert_tiny_dynamic", "mnist", "mobilenetv2_tiny", "squeezenet"]
"""Models of all kinds that run in a moment."""


def held(name: str) -> bool:
    """Whether the folder of shared models is there and has it."""
    shared = Path(__file__).parents[3] / "shared" / "models"
    return (shared / f"{name}.onnx").exists()


def cost_of(model: Any) -> float:
    integers = GraphIntegers(model.context.store)
    return sum(
        Machine().seconds(op, integers)
        for function in model.module.ops
        if isinstance(function, FuncOp)
        for op in function.body.block.ops
        if op.name.startswith("onnx.")
    )


def test_never_dearer(model: str, path_of: Any) -> None:
    loaded = load(path_of(model))
    before = cost_of(loaded)
    (run,) = run_pipeline(loaded, SPEC)
    after = cost_of(loaded)
    if run.journal.rewrites:
        assert after < before
    else:
        assert after == before
        assert any("no program is cheaper" in why for why in run.journal.reasons())


@pytest.mark.parametrize("name", [n for n in RUN if n == "squeezenet" or held(n)])
def test_results_stay(name: str, path_of: Any) -> None:
    dims = {"batch": 2, "seq": 16} if name.startswith("bert") else {}
    found = verify(path_of(name), "numpy", SPEC.replace("greedy", "ilp"), dims=dims)
    assert found.ok, found.comparisons
