"""Passes keep the meaning: models run before and after each, and beside the oracle."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator
from sardonyx.compiler.driver import compile_model, load
from sardonyx.compiler.pipelines import PIPELINES, run_pipeline
from sardonyx.dialects.onnx import ops
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass
from xdsl.pattern_rewriter import (
    PatternRewriter,
    PatternRewriteWalker,
    RewritePattern,
    op_type_rewrite_pattern,
)

SEEDS = range(6)

EXACT = (
    "fold-constants",
    "fold-constants{max_growth=1}",
    "remove-identities",
    "cse",
    "dce",
    'specialize-dims{dims="batch=2","rows=3"}',
    'specialize-dims{dims="rows=3"},fold-constants,dce',
    ",".join(PIPELINES["O1"]),
)
ROUNDED = (
    "fold-batch-norm",
    'expand-functions{ops="Mish","HardSwish","BatchNormalization"}',
    ",".join(PIPELINES["O2"]),
    ",".join(PIPELINES["O3"]),
)


def run(model: Any, inputs: dict[str, Any]) -> tuple[Any, ...]:
    """The outputs of a model as it is, on the NumPy backend."""
    return compile_model(model, backend="numpy", pipeline="O0")(**inputs)


@pytest.mark.parametrize("spec", [*EXACT, *ROUNDED])
@pytest.mark.parametrize("seed", SEEDS)
def test_meaning_stays(
    spec: str, seed: int, random_model: Any, assert_close: Any
) -> None:
    proto, inputs = random_model(seed)
    before, after = load(proto), load(proto)
    run_pipeline(after, spec)
    wanted, found = run(before, inputs), run(after, inputs)
    for a, b in zip(found, wanted, strict=True):
        if spec in EXACT:
            np.testing.assert_array_equal(a, b)
        else:
            assert_close(a, b, 4, "convolutions one after another")


@pytest.mark.parametrize("seed", SEEDS)
def test_the_oracle_agrees(seed: int, random_model: Any, assert_close: Any) -> None:
    proto, inputs = random_model(seed)
    wanted = ReferenceEvaluator(proto).run(None, inputs)
    for level in ("O0", "O2"):
        found = compile_model(proto, backend="numpy", pipeline=level)(**inputs)
        for a, b in zip(found, wanted, strict=True):
            assert_close(a, b, 8, level)


@pytest.mark.parametrize("spec", [*EXACT, *ROUNDED])
def test_what_a_pass_leaves_can_be_printed(spec: str, random_model: Any) -> None:
    from sardonyx.compiler.context import make_context
    from xdsl.parser import Parser

    model = load(random_model(0)[0])
    run_pipeline(model, spec)
    text = model.text()
    again = Parser(make_context(), text).parse_module()
    again.verify()
    assert type(model)(again, model.context).text() == text


@pytest.mark.parametrize(
    ("spec", "gone"),
    [
        ("fold-constants,dce", "onnx.Exp"),
        ('specialize-dims{dims="batch=2","rows=3"},fold-constants,dce', "onnx.Gather"),
        ("remove-identities", "onnx.Identity"),
        ("dce", "onnx.Sqrt"),
        ('expand-functions{ops="Mish"}', "onnx.Mish"),
    ],
)
def test_each_pass_did_something(spec: str, gone: str, random_model: Any) -> None:
    model = load(random_model(0)[0])
    assert gone in {op.name for op in model.module.walk()}
    run_pipeline(model, spec)
    assert gone not in {op.name for op in model.module.walk()}


def test_some_normalizations_fold_and_some_do_not(random_model: Any) -> None:
    left = set()
    for seed in SEEDS:
        model = load(random_model(seed)[0])
        run_pipeline(model, "fold-batch-norm")
        names = [op.name for op in model.module.walk()]
        left.add(names.count("onnx.BatchNormalization"))
    assert 0 in left
    assert left != {0}


def test_a_pass_run_twice_changes_nothing(random_model: Any) -> None:
    model = load(random_model(1)[0])
    for spec in PIPELINES["O2"]:
        run_pipeline(model, spec)
    run_pipeline(model, ",".join(PIPELINES["O2"]))
    text = model.text()
    run_pipeline(model, ",".join(PIPELINES["O2"]))
    assert model.text() == text


def test_the_input_model_is_left_alone(random_model: Any) -> None:
    model = load(random_model(2)[0])
    text = model.text()
    compile_model(model, backend="numpy", pipeline="O2")
    assert model.text() == text


# --- a wrong rewrite is caught ---


class DropTanh(RewritePattern):
    """``Tanh(x) -> x``, which is right at 0 alone."""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: ops.TanhOp, rewriter: PatternRewriter) -> None:
        rewriter.replace_all_uses_with(op.output, op.input)
        rewriter.erase(op)


@dataclass(frozen=True)
class DropTanhPass(ModulePass):
    """A planted error."""

    name = "drop-tanh"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        PatternRewriteWalker(DropTanh()).rewrite_module(op)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_wrong_rewrite_is_caught(
    seed: int, random_model: Any, assert_close: Any
) -> None:
    proto, inputs = random_model(seed)
    after = load(proto)
    DropTanhPass().apply(after.context, after.module)
    after.module.verify()
    wanted, found = run(load(proto), inputs), run(after, inputs)
    with pytest.raises(AssertionError):
        assert_close(found[1], wanted[1], 4)


def test_a_slightly_wrong_normalization_is_caught(
    random_model: Any, assert_close: Any
) -> None:
    proto, inputs = random_model(3)
    wrong = onnx.ModelProto()
    wrong.CopyFrom(proto)
    for node in wrong.graph.node:
        if node.op_type == "BatchNormalization":
            node.attribute[0].f *= 1.01
    found, wanted = run(load(wrong), inputs), run(load(proto), inputs)
    with pytest.raises(AssertionError):
        assert_close(found[0], wanted[0], 4)
