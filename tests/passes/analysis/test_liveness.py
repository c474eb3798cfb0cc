"""Liveness beside a simulation that counts references, and what regions hold."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from sardonyx.compiler.importer import import_model
from sardonyx.dialects.onnx import Dim, OnnxBuilder, WeightStore
from sardonyx.dialects.onnx.types import ELEMENT_TYPES, tensor
from sardonyx.passes.analysis.liveness import MAX_PEAKS, Liveness
from sardonyx.passes.analysis.storage import bytes_of
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Operation, Region, SSAValue

VIEWS = ("onnx.Identity",)


@dataclass(frozen=True)
class Plan:
    """A random program: per op its kind and which values it takes."""

    steps: tuple[tuple[str, int, int], ...]
    outputs: tuple[int, ...]


places = st.integers(0, 1000)
steps = st.tuples(
    st.sampled_from(["Neg", "Identity", "Concat", "Einsum"]), places, places
)
plans = st.builds(
    Plan,
    st.lists(steps, min_size=1, max_size=14).map(tuple),
    st.lists(places, min_size=1, max_size=3).map(tuple),
)


def written(plan: Plan, n: int | str = "n", batch: int | str = "batch") -> Block:
    """The program on matrices of `n` columns, of 3 and of `batch` rows."""
    f32 = ELEMENT_TYPES["float32"]
    block = Block(arg_types=[tensor(f32, (3, n)), tensor(f32, (batch, n))])
    builder = OnnxBuilder(block.add_op, WeightStore())
    values: list[SSAValue] = list(block.args)
    for kind, first, second in plan.steps:
        a, b = values[first % len(values)], values[second % len(values)]
        if kind == "Concat":
            values.append(builder.value("onnx.Concat", a, b, axis=0))
        elif kind == "Einsum":
            made = builder.value("onnx.Einsum", a, b, equation="ij,kl->jl")
            values.append(made)
        else:
            values.append(builder.value(f"onnx.{kind}", a))
    block.add_op(ReturnOp(*(values[place % len(values)] for place in plan.outputs)))
    return block


def simulated(block: Block) -> list[int]:
    """The bytes held while each op runs: a buffer is freed when its last user ran."""
    ops = list(block.ops)
    pending = Counter(operand for op in ops for operand in op.operands)
    sizes: dict[SSAValue, int] = {}
    held: Counter[SSAValue] = Counter()
    buffer: dict[SSAValue, SSAValue] = {}

    def hold(value: SSAValue, source: SSAValue) -> None:
        buffer[value] = source
        held[source] += 1
        size = bytes_of(source.type)
        assert size is not None
        assert size.constant is not None
        sizes[source] = size.constant

    for argument in block.args:
        hold(argument, argument)
    found: list[int] = []
    for op in ops:
        for result in op.results:
            view = op.name in VIEWS
            hold(result, buffer[op.operands[0]] if view else result)
        found.append(sum(sizes[value] for value in +held))
        pending.subtract(op.operands)
        for value in list(buffer):
            if not pending[value]:
                held[buffer.pop(value)] -= 1
    return found


@settings(max_examples=120)
@given(plans, st.integers(1, 9), st.integers(1, 9))
def test_the_footprint_is_what_a_simulation_holds(
    plan: Plan, batch: int, n: int
) -> None:
    fixed = written(plan, n, batch)
    wanted = simulated(fixed)
    live = Liveness.of(fixed)
    assert [amount.constant for amount in live.footprint] == wanted
    assert live.peak_at({}) == (max(wanted), wanted.index(max(wanted)))
    assert [peak.bytes.constant for peak in live.peaks] == [max(wanted)]
    assert live.peaks[0].index == wanted.index(max(wanted))
    for index in range(len(wanted)):
        sizes = [buffer.size for buffer in live.live(index)]
        assert sum(s.constant or 0 for s in sizes if s is not None) == wanted[index]


@settings(max_examples=60)
@given(plans, st.integers(1, 40), st.integers(1, 40))
def test_a_symbolic_peak_is_the_peak_for_all_sizes(
    plan: Plan, batch: int, n: int
) -> None:
    symbolic = Liveness.of(written(plan))
    wanted = max(simulated(written(plan, n, batch)))
    found = symbolic.peak_at({"batch": batch, "n": n})
    assert found is not None
    assert found[0] == wanted
    assert len(symbolic.peaks) < MAX_PEAKS
    values = [p.bytes.substitute({"batch": batch, "n": n}) for p in symbolic.peaks]
    assert max(amount.constant or 0 for amount in values) == wanted


def test_intervals_and_views() -> None:
    plan = Plan((("Neg", 0, 0), ("Identity", 2, 0), ("Neg", 1, 0), ("Neg", 3, 0)), (5,))
    block = written(plan, 2)
    live = Liveness.of(block)
    neg, view, other, last = (op.results[0] for op in list(block.ops)[:4])
    assert [(live.intervals[v].first, live.intervals[v].last) for v in block.args] == [
        (0, 0),
        (0, 2),
    ]
    assert (live.intervals[neg].last, live.buffers[neg].last) == (1, 3)
    assert live.intervals[view].buffer is neg
    assert view not in live.buffers
    # Nobody uses it: it is held while it is made.
    assert (live.intervals[other].first, live.intervals[other].last) == (2, 2)
    assert live.intervals[last].last == 4


def test_a_function_is_its_body_and_weights_are_no_activations(mlp_proto: Any) -> None:
    model = import_model(mlp_proto)
    live = Liveness.of(model.main)
    assert all(v.owner.name != "onnx.Constant" for v in live.intervals if _made(v))
    # The 8 inputs of a row beside its 6 products.
    wanted = Dim.parse("4*14*batch")
    assert [peak.bytes for peak in live.peaks] == [wanted]
    assert live.peaks[0].op.name == "onnx.MatMul"
    assert Liveness.of(FuncOp("f", ([], []), Region(_returning()))).footprint == (
        Dim.of(0),
    )


def _made(value: SSAValue) -> bool:
    return isinstance(value.owner, Operation)


def _returning() -> Block:
    block = Block()
    block.add_op(ReturnOp())
    return block


def test_what_is_larger_for_some_sizes_stands_beside() -> None:
    plan = Plan((("Einsum", 0, 0), ("Neg", 2, 2)), (3,))
    found = Liveness.of(written(plan))
    # What is returned, or the two matrices that are multiplied beside their product.
    assert [str(p.bytes) for p in found.peaks] == ["4*batch*n + 12*n + 4*n*n", "8*n*n"]


def test_unknown_sizes_are_named_and_left_out() -> None:
    f32 = ELEMENT_TYPES["float32"]
    block = Block(arg_types=[tensor(f32, (None, 2)), tensor(f32, (3,))])
    block.add_op(ReturnOp(*block.args))
    live = Liveness.of(block)
    assert live.unknown == (block.args[0],)
    assert live.peak_at({}) == (12, 0)


def test_more_symbols_than_an_expression_takes() -> None:
    f32 = ELEMENT_TYPES["float32"]
    names = [f"d{n}" for n in range(90)]
    block = Block(arg_types=[tensor(f32, (name,)) for name in names])
    builder = OnnxBuilder(block.add_op, WeightStore())
    made = [builder.value("onnx.Neg", argument) for argument in block.args]
    block.add_op(ReturnOp(*made))
    found = Liveness.of(block).peak_at(dict.fromkeys(names, 2))
    assert found == (8 * 91, 0)
    assert Liveness.of(block).peak_at({}) is None


# --- regions ---


def branch(name: str, nodes: list[onnx.NodeProto]) -> onnx.GraphProto:
    out = helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)
    return helper.make_graph(nodes, name, [], [out])


@pytest.mark.parametrize("after", [False, True])
def test_an_if_holds_what_its_branch_holds(
    model_of: Any, value_info: Any, after: bool
) -> None:
    nodes = [
        helper.make_node("Expand", ["x", "wide"], ["big"]),
        helper.make_node("ReduceSum", ["big"], ["then"]),
    ]
    small = branch("small", [helper.make_node("ReduceSum", ["x"], ["else"])])
    node = helper.make_node(
        "If", ["c"], ["y"], then_branch=branch("large", nodes), else_branch=small
    )
    last = helper.make_node("Add", ["y", "x" if after else "y"], ["z"])
    wide = onnx.numpy_helper.from_array(_shape(50, 4), "wide")
    inputs = [value_info("c", [], "BOOL"), value_info("x", [1, 4])]
    model = import_model(
        model_of([node, last], inputs, [value_info("z", None)], [wide])
    )
    live = Liveness.of(model.main)
    # x, 200 elements, their sum; the condition.
    assert max(amount.constant or 0 for amount in live.footprint) == (
        4 * (4 + 200 + 1) + 1
    )
    assert live.peaks[0].op.name == "onnx.If"


def test_a_loop_holds_its_results_beside_its_body(
    model_of: Any, value_info: Any, tensor_proto: Any
) -> None:
    state = value_info("held", [6])
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["on"]),
            helper.make_node("Neg", ["held"], ["next"]),
        ],
        "body",
        [value_info("i", [], "INT64"), value_info("go", [], "BOOL"), state],
        [value_info("on", [], "BOOL"), value_info("next", [6])],
    )
    node = helper.make_node("Loop", ["five", ""], ["y"], body=body)
    node.input.append("x")
    infos = [[value_info(name, [6])] for name in "xy"]
    five = tensor_proto("five", _shape(5).reshape(()))
    live = Liveness.of(import_model(model_of([node], *infos, [five])).main)
    # x and y; in the body the condition, the state and the next one.
    assert max(amount.constant or 0 for amount in live.footprint) == 4 * 24 + 1


def _shape(*sizes: int) -> Any:
    return np.array(sizes, np.int64)
