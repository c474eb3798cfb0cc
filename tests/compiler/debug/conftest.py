"""A small network, and passes with planted faults that pipelines may name."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import helper
from sardonyx.compiler import pipelines
from sardonyx.dialects.onnx import OnnxBuilder, OnnxOp, WeightStore, ops
from sardonyx.dialects.onnx.provenance import node_names
from sardonyx.passes.patterns import Declined, OnnxPattern, journal_of, rewrite_module
from xdsl.dialects.builtin import UnitAttr
from xdsl.ir import SSAValue
from xdsl.passes import ModulePass


@dataclass(frozen=True)
class Swap(OnnxPattern[bool]):
    """
    Exchanges the first two operands: of every Add, which is right, and of the Concats
    of `node`, which is wrong.
    """

    name = "swap-operands"
    roots = frozenset(["onnx.Add", "onnx.Concat"])

    node: str

    def decide(self, op: OnnxOp) -> bool | Declined:
        if "swapped" in op.attributes:
            return Declined("it is swapped already", near=False)
        if op.name == "onnx.Concat" and self.node not in node_names(op):
            return Declined("another node")
        return True

    def rewrite(
        self, op: OnnxOp, found: bool, builder: OnnxBuilder
    ) -> list[SSAValue | None]:
        first, second, *rest = op.operands
        kinds = op.result_types
        new = builder.create(
            op.name, [second, first, *rest], dict(op.properties), types=kinds
        )
        new.attributes["swapped"] = UnitAttr()
        return [new.results[0]]


@dataclass(frozen=True)
class SwapPass(ModulePass):
    """Exchanges operands, rightly and wrongly."""

    name = "test-swap"

    node: str = ""

    def apply(self, ctx: Any, op: Any) -> None:
        pattern = Swap(ctx.store or WeightStore(), journal_of(ctx), self.node)
        rewrite_module(op, pattern, recursively=False)


@dataclass(frozen=True)
class SilentPass(ModulePass):
    """Exchanges the operands of one Concat without a word in the journal."""

    name = "test-silent"

    node: str = ""

    def apply(self, ctx: Any, op: Any) -> None:
        for one in op.walk():
            if isinstance(one, ops.ConcatOp) and self.node in node_names(one):
                first, second, *rest = one.operands
                one.operands = [second, first, *rest]


@dataclass(frozen=True)
class CrashPass(ModulePass):
    """Cannot take a Tanh whose result a Concat takes."""

    name = "test-crash"

    def apply(self, ctx: Any, op: Any) -> None:
        for one in op.walk():
            if isinstance(one, ops.TanhOp):
                users = [use.operation.name for use in one.results[0].uses]
                if "onnx.Concat" in users:
                    raise IndexError("a Concat takes a Tanh")


@dataclass(frozen=True)
class BrokenPass(ModulePass):
    """Leaves a Tanh of nothing."""

    name = "test-broken"

    def apply(self, ctx: Any, op: Any) -> None:
        for one in op.walk():
            if isinstance(one, ops.TanhOp):
                one.operands = []


PASSES = {one.name: one for one in (SwapPass, SilentPass, CrashPass, BrokenPass)}


@pytest.fixture(name="planted")
def planted_fixture(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pipelines may name the passes with planted faults."""
    real = pipelines.all_passes

    def known() -> dict[str, Callable[[], type[ModulePass]]]:
        return {**real(), **{name: (lambda k=k: k) for name, k in PASSES.items()}}

    monkeypatch.setattr(pipelines, "all_passes", known)


@pytest.fixture(name="joined")
def joined_fixture(tmp_path: Path, model_of: Any, value_info: Any) -> Path:
    """A network of eleven ops: three sums and two Concats among them."""
    nodes = [
        helper.make_node("Relu", ["x"], ["r"], name="relu"),
        helper.make_node("Identity", ["r"], ["i"], name="same"),
        helper.make_node("Sigmoid", ["i"], ["s"], name="sigmoid"),
        helper.make_node("Add", ["r", "s"], ["a"], name="sum1"),
        helper.make_node("Concat", ["r", "a"], ["c"], name="join1", axis=1),
        helper.make_node("Tanh", ["c"], ["t"], name="tanh"),
        helper.make_node("Add", ["c", "t"], ["b"], name="sum2"),
        helper.make_node("Concat", ["t", "b"], ["d"], name="join2", axis=1),
        helper.make_node("Exp", ["d"], ["e"], name="exp"),
        helper.make_node("Add", ["d", "e"], ["f"], name="sum3"),
        helper.make_node("Neg", ["f"], ["y"], name="neg"),
    ]
    path = tmp_path / "joined.onnx"
    inputs, outputs = value_info("x", ["n", 3, 4]), value_info("y", ["n", 12, 4])
    onnx.save(model_of(nodes, [inputs], [outputs], name="joined"), path)
    return path
