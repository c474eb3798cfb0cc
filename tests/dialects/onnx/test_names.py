"""Names of SSA values: valid, and each once in a module."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sardonyx.dialects.onnx.names import MAX_LENGTH, Names, hint, name_values
from xdsl.dialects import test as placeholder
from xdsl.dialects.builtin import ModuleOp, i64
from xdsl.ir import Block, Region
from xdsl.utils.exceptions import ParseError


@pytest.mark.parametrize(
    ("tensor", "wanted"),
    [
        ("conv1", "conv1"),
        ("/layer.0/Add_output_0", "layer_0_Add_output_0"),
        ("1", "t1"),
        ("a b\nc", "a_b_c"),
        ("", None),
        ("...", None),
        ("形", None),
        ("é1", "t1"),
        ("x" * 60, "x" * MAX_LENGTH),
    ],
)
def test_hint(tensor: str, wanted: str | None) -> None:
    assert hint(tensor) == wanted


@given(st.text(st.characters()))
def test_a_hint_is_a_name(tensor: str) -> None:
    name = hint(tensor)
    assert name is None or re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name)


@given(st.lists(st.sampled_from(["x", "x_1", "x_2", "x_1_1", "y", "y_0"]), max_size=9))
def test_names_are_given_once(wanted: list[str]) -> None:
    names = Names()
    given = [names.unique(name) for name in wanted]
    assert len(set(given)) == len(given)
    for name in set(wanted):
        # The first to ask gets it, unless it was made for an earlier one.
        assert name in given


def test_a_copy_goes_on_apart() -> None:
    names = Names()
    assert names.unique("x") == "x"
    copy = names.copy()
    assert copy.unique("x") == names.unique("x")
    copy.unique("y")
    assert names.unique("y") == "y"


HINTS = ["x", "x_1", "x_1_1", "x_1_1_1", "x", "x_2_1_1", "_1_1", "t_1_1_1", "t", "t"]


@pytest.mark.parametrize("hints", [HINTS, HINTS[::-1]])
def test_values_of_a_module(hints: list[str], reparse: Any) -> None:
    inner = Block(arg_types=[i64] * len(hints))
    outer = placeholder.TestOp(
        result_types=[i64] * (len(hints) + 1), regions=[Region(inner)]
    )
    for values in (inner.args, outer.results):
        for value, name in zip(values, hints, strict=False):
            value.name_hint = name
    module = ModuleOp([outer])
    name_values(module)
    reparse(module)


def test_without_it_names_meet(reparse: Any) -> None:
    outer = placeholder.TestOp(result_types=[i64] * 3)
    for value, name in zip(outer.results, ("t_1_1", "t", "t"), strict=True):
        value.name_hint = name
    with pytest.raises(ParseError, match="already defined"):
        reparse(ModuleOp([outer]))
