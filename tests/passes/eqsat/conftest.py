"""What the tests of saturation share: functions in a text, and their cost."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from sardonyx.compiler.context import make_context
from sardonyx.compiler.model import Model
from sardonyx.compiler.pipelines import run_pipeline
from sardonyx.passes.eqsat.costs import Machine
from sardonyx.passes.eqsat.graph import GraphIntegers
from xdsl.parser import Parser


def cost_of(module: Any, store: Any, machine: Machine | None = None) -> float:
    """The seconds of all ops of a module, by the cost that saturation uses."""
    chosen, integers = machine or Machine(), GraphIntegers(store)
    return sum(
        chosen.seconds(op, integers)
        for function in module.ops
        for op in function.body.block.ops
        if op.name.startswith("onnx.")
    )


@pytest.fixture(name="cost_of")
def cost_of_fixture() -> Callable[..., float]:
    return cost_of


@dataclass
class Saturated:
    """A module in a text after a pipeline."""

    model: Model
    runs: list[Any]
    before: float
    after: float

    @property
    def ops(self) -> list[str]:
        """The operators that are left, constants aside."""
        names = [op.name for op in self.model.module.walk()]
        quiet = ("onnx.Constant", "onnx.none")
        return [n[5:] for n in names if n.startswith("onnx.") and n not in quiet]

    @property
    def reasons(self) -> list[str]:
        """Why the last pass declined."""
        return list(self.runs[-1].journal.reasons())

    @property
    def patterns(self) -> list[str]:
        """What the last pass rewrote by."""
        return [rewrite.pattern for rewrite in self.runs[-1].journal.rewrites]


@pytest.fixture(name="saturated")
def saturated_fixture() -> Callable[..., Saturated]:
    """``saturated(text, spec)``: a module in a text after the passes of `spec`."""

    def run(text: str, spec: str = "saturate") -> Saturated:
        context = make_context()
        module = Parser(context, text).parse_module()
        module.verify()
        model = Model(module, context)
        before = cost_of(module, context.store)
        runs = run_pipeline(model, spec)
        return Saturated(model, runs, before, cost_of(module, context.store))

    return run
