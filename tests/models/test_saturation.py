"""Equality saturation on every real model: never dearer, and the same results."""

from typing import Any

from sardonyx.compiler.driver import load
from sardonyx.compiler.pipelines import run_pipeline
from sardonyx.compiler.verify import verify
from sardonyx.passes.eqsat.costs import Machine
from sardonyx.passes.eqsat.graph import GraphIntegers
from xdsl.dialects.func import FuncOp

SPEC = 'saturate{nodes=400 seconds=1 extract="greedy"}'
RUN = ["bert_tiny_dynamic", "mnist", "mobilenetv2_tiny", "squeezenet"]
"""Models of all kinds that run in a moment."""


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


def test_results_stay(model: str, path_of: Any) -> None:
    if model not in RUN:
        return
    dims = {"batch": 2, "seq": 16} if model.startswith("bert") else {}
    found = verify(path_of(model), "numpy", SPEC.replace("greedy", "ilp"), dims=dims)
    assert found.ok, found.comparisons
