"""Programs on targets: closed forms on a chain of equal products."""

from typing import Any

import numpy as np
import pytest
from onnx import helper
from sardonyx.compiler.driver import load
from sardonyx.compiler.pipelines import run_pipeline
from sardonyx.dialects.onnx.integers import IntegerValues
from sardonyx.passes.analysis.targets import Engine, Link, Target
from sardonyx.passes.schedule.pipelining import PipelineOrder, bubble
from sardonyx.passes.schedule.staging import Schedule, scheduled

SIZE = 8
FLOPS = 2.0 * SIZE**3


def engine(name: str) -> Engine:
    """A product takes a second; memory takes none."""
    return Engine(name, {"float32": FLOPS}, 1e30, 1e9)


ONE = Target("one", "", (engine("a"),))
TWO = Target("two", "", (engine("a"), engine("b")))
LINKED = Target("linked", "", TWO.engines, (Link(("a", "b"), 4.0 * SIZE**2, 0.5),))


@pytest.fixture(name="chain")
def chain_fixture(model_of: Any, value_info: Any, tensor_proto: Any) -> Any:
    """Six products of square matrices, one after another."""
    matrix = tensor_proto("w", np.eye(SIZE, dtype=np.float32))
    nodes = [
        helper.make_node("MatMul", [f"h{n}", "w"], [f"h{n + 1}"], f"m{n}")
        for n in range(6)
    ]
    shape = [SIZE, SIZE]
    ends = [value_info("h0", shape)], [value_info("h6", shape)]
    return load(model_of(nodes, *ends, [matrix]))


def on(model: Any, target: Target, microbatches: int) -> Schedule:
    integers = IntegerValues(model.context.store)
    block = model.main.body.block
    return scheduled(block, target, {}, integers, microbatches, PipelineOrder.GPIPE)


def test_one_engine_runs_op_after_op(chain: Any) -> None:
    found = on(chain, ONE, 1)
    assert found.timeline.makespan == 6
    assert found.timeline.bubble(found.engines) == 0
    assert found.unknown == 0
    assert "m0" in found.timeline.spans[0].job.name


@pytest.mark.parametrize("microbatches", [1, 2, 5])
def test_two_engines_are_a_pipeline(chain: Any, microbatches: int) -> None:
    found = on(chain, TWO, microbatches)
    assert found.timeline.makespan == 3 * (microbatches + 1)
    share = found.timeline.bubble(found.engines)
    assert share == pytest.approx(bubble(2, microbatches))
    assert [str(op.location).count("m3") for op in found.firsts if op] == [0, 1]


def test_a_link_takes_its_time(chain: Any) -> None:
    found = on(chain, LINKED, 1)
    # One matrix of 256 bytes, at as many a second, after half a second.
    assert found.timeline.makespan == 3 + 1.5 + 3
    assert "a > b" in found.timeline.engines


def test_a_fused_region_is_what_its_ops_are(chain: Any) -> None:
    plain = on(chain, ONE, 1).timeline.makespan
    run_pipeline(chain, "fuse-regions")
    found = on(chain, ONE, 1)
    assert (found.timeline.makespan, found.unknown) == (plain, 0)


def test_what_is_not_known_is_left_out_and_counted(mlp_proto: Any) -> None:
    # The batch has no size here.
    found = on(load(mlp_proto), ONE, 1)
    assert found.unknown == 5
    assert found.timeline.spans == ()
