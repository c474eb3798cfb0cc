"""`spare`: which rewrites it holds back, and that it holds back no others."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper
from onnx.reference import ReferenceEvaluator
from sardonyx.compiler import import_model
from sardonyx.compiler.driver import compile_model
from sardonyx.compiler.pipelines import (
    Instrument,
    PipelineError,
    run_pipeline,
)


@pytest.fixture(name="sums")
def sums_fixture(model_of: Any, value_info: Any) -> onnx.ModelProto:
    """Three sums with 0, the last of them the constant's and its own."""
    zero = onnx.numpy_helper.from_array(np.zeros(1, np.float32), "zero")
    nodes = [
        helper.make_node("Add", ["x", "zero"], ["a"], name="first"),
        helper.make_node("Add", ["a", "zero"], ["b"], name="second"),
        helper.make_node("Add", ["b", "zero"], ["c"], name="third"),
        helper.make_node("Neg", ["c"], ["y"], name="neg"),
    ]
    x, y = value_info("x", [3]), value_info("y", [3])
    return model_of(nodes, [x], [y], [zero])


def left(proto: onnx.ModelProto, spec: str) -> list[str]:
    """The nodes of the sums that are left."""
    model = import_model(proto)
    run_pipeline(model, spec)
    text = model.text().splitlines()
    return [n for n in ("first", "second", "third") if any(f'"{n}"' in t for t in text)]


@pytest.mark.parametrize(
    ("nodes", "wanted"),
    [
        ('"first"', ["first"]),
        ('"first","third"', ["first", "third"]),
        ('"neg"', []),
        ('"not there"', []),
    ],
)
def test_rewrites_at_spared_nodes_are_held_back(
    sums: onnx.ModelProto, nodes: str, wanted: list[str]
) -> None:
    spec = f'spare{{nodes={nodes} passes="remove-neutral"}}'
    assert left(sums, spec) == wanted
    # Also within a fixpoint, which comes to rest with what is spared.
    quoted = spec.replace('"', '\\"')
    assert left(sums, f'fixpoint{{passes="{quoted},dce"}}') == wanted
    # What runs after it is free again.
    assert left(sums, f"{spec},remove-neutral") == []


def test_spares_add_up(sums: onnx.ModelProto) -> None:
    inner = 'spare{nodes=\\"third\\" passes=\\"remove-neutral\\"}'
    spec = f'spare{{nodes="first" passes="{inner}"}}'
    assert left(sums, spec) == ["first", "third"]


def test_the_result_is_the_same(sums: onnx.ModelProto) -> None:
    spec = 'spare{nodes="second" passes="remove-neutral"}'
    x = np.array([1.5, -2, 0], np.float32)
    (wanted,) = ReferenceEvaluator(sums).run(None, {"x": x})
    (found,) = compile_model(sums, "numpy", spec)(x)
    np.testing.assert_array_equal(found, wanted)


def test_a_folding_pass_heeds_it(model_of: Any, value_info: Any) -> None:
    # It asks the journal itself, without a pattern.
    two = onnx.numpy_helper.from_array(np.full(1, 2, np.float32), "two")
    nodes = [
        helper.make_node("Neg", ["two"], ["a"], name="kept"),
        helper.make_node("Exp", ["two"], ["b"], name="folded"),
        helper.make_node("Add", ["a", "b"], ["y"], name="sum"),
    ]
    proto = model_of(nodes, [], [value_info("y", [1])], [two])
    model = import_model(proto)
    run_pipeline(model, 'spare{nodes="kept" passes="fold-constants"}')
    assert "onnx.Neg" in model.text()
    assert "onnx.Exp" not in model.text()


def test_the_journal_says_so(sums: onnx.ModelProto) -> None:
    spec = 'spare{nodes="second" passes="remove-neutral"}'
    (run,) = run_pipeline(import_model(sums), spec)
    assert len(run.journal.rewrites) == 2
    assert dict(run.journal.reasons()) == {"its node is spared": 1}


class _First(Instrument):
    def before(self, model: Any, place: int, one: Any) -> None:
        model.context.journal.limit = 1


def test_a_limit_counts_what_is_within(sums: onnx.ModelProto) -> None:
    # So bisect finds the rewrite to blame in a spared pass, too.
    spec = 'spare{nodes="first" passes="remove-neutral"}'
    (run,) = run_pipeline(import_model(sums), spec, [_First()])
    assert len(run.journal.rewrites) == 1


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ('spare{nodes="a" passes="cze"}', "found pass 'cze', wanted one"),
        ('spare{nodes="a" passes="O1"}', "found pass 'O1', wanted one"),
        ('spare{nodes="a" pass="cse"}', "pass"),
    ],
)
def test_what_cannot_be_read(spec: str, said: str, mlp: Path) -> None:
    with pytest.raises(PipelineError, match=said):
        run_pipeline(import_model(mlp), spec)
