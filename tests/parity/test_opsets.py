"""
That every rule for an older form is run beside that form, at its own opset.

Most cases are in ``tests/compiler/importer/test_upgrades*.py``; here are those of forms
that share a rule with one that is there, as whole models.
"""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import defs, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from sardonyx.compiler import compile_model
from sardonyx.compiler.importer.upgrades import RULES

CASES = Path(__file__).parents[1] / "compiler" / "importer"
X = np.random.default_rng(0).standard_normal((2, 3, 4)).astype(np.float32)
ELSEWHERE = {
    ("GRU", 1): "test_upgrades_old.test_recurrent",
    ("GRU", 3): "test_upgrades_old.test_recurrent",
    ("LSTM", 1): "test_upgrades_old.test_recurrent",
    ("RNN", 1): "test_upgrades_old.test_recurrent",
    ("Upsample", 10): "withdrawn at that opset: no oracle runs it; as Upsample-9",
}
"""Forms without a case of their own, and why."""

REDUCTIONS = (
    ("ReduceL1", 13),
    ("ReduceL2", 13),
    ("ReduceLogSum", 13),
    ("ReduceLogSumExp", 13),
    ("ReduceMax", 13),
    ("ReduceMin", 12),
    ("ReduceProd", 13),
    ("ReduceSumSquare", 11),
    ("ReduceSumSquare", 13),
)
CONSTANTS = (1, 9, 11, 12, 13, 19, 21, 23, 24, 25)


def model(node: onnx.NodeProto, opset: int, inputs: dict[str, Any]) -> onnx.ModelProto:
    """One node at an opset."""
    infos = [
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
        )
        for name, array in inputs.items()
    ]
    results = [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)]
    graph = helper.make_graph([node], "old", infos, results)
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def agrees(old: onnx.ModelProto, inputs: dict[str, Any], assert_close: Any) -> None:
    wanted = ReferenceEvaluator(old).run(None, inputs)
    for level in ("O0", "O2"):
        found = compile_model(old, "numpy", level)(**inputs)
        assert_close(found[0], wanted[0], 4)


@pytest.mark.parametrize(("name", "opset"), REDUCTIONS)
@pytest.mark.parametrize("axes", [None, [1], [0, -1]])
def test_reduction(name: str, opset: int, axes: Any, assert_close: Any) -> None:
    given = {} if axes is None else {"axes": axes, "keepdims": 0}
    inputs = {"x": np.abs(X) + 0.5}
    agrees(
        model(helper.make_node(name, ["x"], ["y"], **given), opset, inputs),
        inputs,
        assert_close,
    )


@pytest.mark.parametrize("opset", CONSTANTS)
def test_constant(opset: int, assert_close: Any) -> None:
    node = helper.make_node("Constant", [], ["y"], value=numpy_helper.from_array(X))
    agrees(model(node, opset, {}), {}, assert_close)


def test_scatter(assert_close: Any) -> None:
    inputs = {"x": X, "i": np.array([[[1, 0]]]), "u": np.float32([[[7, 8]]])}
    node = helper.make_node("Scatter", ["x", "i", "u"], ["y"], axis=1)
    found = compile_model(model(node, 11, inputs), "numpy", "O0")(**inputs)
    wanted = X.copy()
    wanted[0, 1, 0], wanted[0, 0, 1] = 7, 8
    assert_close(found[0], wanted)


# --- completeness ---


def cases(name: str) -> Iterator[Any]:
    """The cases that the tests in file `name` are parametrized by, refused ones not."""
    spec = importlib.util.spec_from_file_location(f"cases_{name}", CASES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up while it is executed.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    for held in list(vars(module).values()):
        if isinstance(held, list | tuple):
            yield from (item for item in held if isinstance(item, module.Case))


def form(case: Any) -> tuple[str, int]:
    schema = defs.get_schema(case.op_type, case.opset, getattr(case, "domain", ""))
    return case.op_type, schema.since_version


def test_every_rule_has_a_case() -> None:
    found = {
        form(case)
        for name in ("test_upgrades", "test_upgrades_old")
        for case in cases(name)
    }
    here = {*REDUCTIONS, ("Scatter", 11), *(("Constant", n) for n in CONSTANTS)}
    assert sorted(RULES.keys() - found - here) == sorted(ELSEWHERE)
