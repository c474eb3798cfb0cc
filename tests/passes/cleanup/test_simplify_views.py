"""Values are given another shape in one step, by constants where they suffice."""

from typing import Any

import numpy as np
import pytest
from sardonyx.compiler.driver import compile_model
from sardonyx.dialects.onnx import Dim
from sardonyx.passes.cleanup.simplify_views import target_of

SPEC = "simplify-views,dce"
B, S = Dim.of("batch"), Dim.of("seq")


def dims(*sizes: int | str | None) -> tuple[Dim | None, ...]:
    return tuple(None if size is None else Dim.of(size) for size in sizes)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (
            "a (float[batch,seq,8] x) => (float[batch,seq,2,4] y) <int64[1] z = {0},"
            "int64[1] o = {1}, int64[1] t = {2}, int64[2] r = {2, 4}> { s = Shape(x)"
            "b = Gather(s, z) c = Gather(s, o) f = Concat <axis = 0> (b, c, r)"
            "y = Reshape(x, f) }",
            ["Reshape"],
        ),
        (
            "a (float[batch,seq] x) => (float[batch,1,seq,1] y) <int64[1] o = {1},"
            "int64[1] e = {-1}> { d = Unsqueeze(x, e) y = Unsqueeze(d, o) }",
            ["Unsqueeze"],
        ),
        (
            "a (float[batch,1,seq,1] x) => (float[batch,seq] y) <int64[1] o = {1},"
            "int64[1] e = {-1}> { d = Squeeze(x, e) y = Squeeze(d, o) }",
            ["Squeeze"],
        ),
        (
            "a (float[batch,seq] x) => (float[batch,seq] y) <int64[1] o = {1}>"
            "{ d = Unsqueeze(x, o) e = Squeeze(d, o) y = Abs(e) }",
            ["Abs"],
        ),
        (
            "a (float[batch,2,3] x) => (float[batch,3,2] y) <int64[3] r = {-1, 3, 2}>"
            "{ d = Flatten(x) y = Reshape(d, r) }",
            ["Reshape"],
        ),
        # The program has a -1 and may not have a batch of 0 already.
        (
            "a (float[batch,4,2,seq] x) => (float[batch,8,seq] y) <int64[1] z = {0},"
            "int64[1] three = {3}, int64[1] m = {-1}> { s = Shape(x) b = Gather(s, z)"
            "c = Gather(s, three) f = Concat <axis = 0> (b, m, c) y = Reshape(x, f) }",
            ["Reshape"],
        ),
    ],
)
def test_simplifies(text: str, left: list[str], rewritten: Any) -> None:
    assert rewritten(text, SPEC).ops == left


@pytest.mark.parametrize(
    ("before", "after", "target"),
    [
        (dims("batch", "seq", 8), dims("batch", "seq", 2, 4), [0, 0, 2, 4]),
        (dims("batch", "seq", 8), dims("batch*seq", 8), "more"),
        (dims("batch", "seq", 8), (B * S, Dim.of(8)), [-1, 8]),
        (dims(2, None, 3), dims(None, 6), [-1, 6]),
        (dims("batch", None), dims("batch", None), "may be 0"),
        (dims("batch", "seq"), dims("batch", "seq", 1), [0, 0, 1]),
        (dims("batch", "seq"), dims("seq", "batch"), "more than one"),
        (dims(4, "batch"), dims("batch", 4), [-1, 4]),
        (dims("batch", 0), dims(0, "batch"), "a size is 0"),
        (dims("batch", 0), dims("batch", 0), [0, 0]),
        (dims(None, None), dims(None, None), "more than one"),
    ],
)
def test_targets(before: Any, after: Any, target: list[int] | str) -> None:
    found = target_of(before, after)
    if target == "more":
        # One symbol whose name is a product, which is no size of the operand.
        assert found == [-1, 8]
    elif isinstance(target, str):
        assert target in found
    else:
        assert found == target


def test_a_minus_one_beside_a_zero_is_no_risk_where_it_was_one() -> None:
    before, after = dims("batch", 4, 2, "seq"), dims("batch", 8, "seq")
    assert isinstance(target_of(before, after), str)
    assert target_of(before, after, divided=[B, S]) == [0, 8, -1]


def test_an_empty_batch_stays_one(rewritten: Any) -> None:
    made = rewritten(
        "a (float[batch,seq,8] x) => (float[batch,seq,2,4] y) <int64[1] z = {0},"
        "int64[1] o = {1}, int64[2] r = {2, 4}> { s = Shape(x)"
        "b = Gather(s, z) c = Gather(s, o) f = Concat <axis = 0> (b, c, r)"
        "y = Reshape(x, f) }",
        SPEC,
    )
    run = compile_model(made.model, backend="numpy", pipeline="O0")
    (found,) = run(x=np.zeros((0, 5, 8), np.float32))
    assert found.shape == (0, 5, 2, 4)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "a (float[batch,seq] x) => (float[seq,batch] y) <int64[1] z = {0},"
            "int64[1] o = {1}> { s = Shape(x) b = Gather(s, z) c = Gather(s, o)"
            "f = Concat <axis = 0> (c, b) y = Reshape(x, f) }",
            "more than one size is not known",
        ),
        (
            "a (float[batch,4,2,seq] x) => (float[batch,8,seq] y) <int64[1] z = {0},"
            "int64[1] three = {3}, int64[1] m = {8}> { s = Shape(x) b = Gather(s, z)"
            "c = Gather(s, three) f = Concat <axis = 0> (b, m, c) y = Reshape(x, f) }",
            "a size beside the one that is not known may be 0",
        ),
    ],
)
def test_declines(text: str, reason: str, rewritten: Any) -> None:
    made = rewritten(text, SPEC)
    assert reason in made.reasons
    assert "Concat" in made.ops
