"""Which nodes an op came from, through locations and their text."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sardonyx.dialects.onnx.provenance import (
    describe,
    fused,
    location,
    node_names,
    nodes_only,
    tensor_names,
)
from xdsl.dialects import test as placeholder
from xdsl.dialects.builtin import UNKNOWN_LOC, ModuleOp
from xdsl.ir import Operation

NAMES = st.text(st.characters())


def op(node: str | None = None, *tensors: str) -> Operation:
    made = placeholder.TestOp()
    if node is not None:
        made.location = location(node, tensors)
    return made


@given(NAMES, st.lists(NAMES, max_size=3))
def test_names_come_back(node: str, tensors: list[str]) -> None:
    made = op(node, *tensors)
    assert node_names(made) == (node,)
    assert tensor_names(made) == tuple(tensors)


@pytest.mark.parametrize(
    "name", ["conv1", "", "a\nb", 'q"', "\\", "</script>", "é形", "\udc80", "fused"]
)
@pytest.mark.parametrize("count", [0, 1, 2])
def test_names_survive_text(name: str, count: int, reparse: Any) -> None:
    tensors = [f"{name}:{index}" for index in range(count)]
    module = ModuleOp([op(name, *tensors), fusion(name, "other")])
    again = list(reparse(module).ops)
    assert node_names(again[0]) == (name,)
    assert tensor_names(again[0]) == tuple(tensors)
    assert node_names(again[1]) == (name, "other")


def fusion(*nodes: str) -> Operation:
    made = placeholder.TestOp()
    made.location = fused([op(node, f"{node}_out") for node in nodes])
    return made


def test_a_fusion_unites() -> None:
    made = fusion("conv", "norm")
    assert node_names(made) == ("conv", "norm")
    assert tensor_names(made) == ("norm_out",)
    again = placeholder.TestOp()
    again.location = fused([made, op("relu", "y")])
    assert node_names(again) == ("conv", "norm", "relu")
    assert tensor_names(again) == ("y",)


def test_a_fusion_of_the_same_is_one() -> None:
    assert fused([op("a"), op("a")]) == location("a")
    assert fused([op()]) == UNKNOWN_LOC
    assert fused([]) == UNKNOWN_LOC


def test_nodes_only() -> None:
    assert nodes_only(location("a", ["x"])) == location("a")
    assert nodes_only(UNKNOWN_LOC) == UNKNOWN_LOC
    made = placeholder.TestOp()
    made.location = nodes_only(fusion("a", "b").location)
    assert node_names(made) == ("a", "b")
    assert tensor_names(made) == ()


def test_describe() -> None:
    assert describe(op("conv1")) == "node 'conv1' (op)"
    assert describe(op("a\nb")) == "node 'a\\nb' (op)"
    assert describe(fusion("a", "b")) == "node 'a', 'b' (op)"
    assert describe(op()) == "op test.op"
