"""Why a pass declines: the functions that decide, on the modules of the text tests."""

import re
from pathlib import Path
from typing import Any

import pytest
from sardonyx.compiler.context import make_context
from sardonyx.dialects.onnx import WeightStore
from sardonyx.passes import fold_batch_norm, fold_constants, remove_identities
from xdsl.parser import Parser

FOLDER = Path(__file__).parent.parent / "filecheck" / "passes"


def op_in(file: str, function: str, name: str) -> Any:
    """The last op called `name` in `function` of a text test."""
    for chunk in (FOLDER / file).read_text(encoding="utf-8").split("// -----"):
        if f"@{function}(" in chunk:
            module = Parser(make_context(), chunk).parse_module()
            (found,) = [op for op in module.ops if op.sym_name.data == function]
            return [op for op in found.walk() if op.name == name][-1]
    raise AssertionError(f"{file} has no @{function}")


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        ("folded", None),
        ("used", "the convolution has other uses"),
        ("producer", "the producer is not a Conv"),
        ("argument", "the producer is not a Conv"),
        ("training", "the normalization is in training mode"),
        ("computed", "a parameter is not constant"),
        ("scale", "a parameter is not constant"),
        ("mixed", "the parameters have different element types"),
    ],
)
def test_batch_norm(function: str, reason: str | None) -> None:
    op = op_in("fold-batch-norm.mlir", function, "onnx.BatchNormalization")
    assert fold_batch_norm.blocked(op, WeightStore()) == reason


@pytest.mark.parametrize(
    ("function", "name", "reason"),
    [
        ("add", "onnx.Add", None),
        ("add", "onnx.Constant", "not an operator on values"),
        ("add", "func.return", "not an operator on values"),
        ("operand", "onnx.Add", "an operand is not constant"),
        ("absent", "onnx.Add", "an operand is not constant"),
        ("growth", "onnx.ConstantOfShape", "2 elements would become 1000000"),
        ("held", "onnx.Cast", r"no constant holds tensor\(float6e2m3\)"),
        ("size", "onnx.NonZero", "a result's size is not known"),
        ("region", "onnx.If", "no kernel|not a pure function of its operands"),
        ("random", "onnx.RandomUniform", "no kernel|not a pure function.*"),
    ],
)
def test_constants(function: str, name: str, reason: str | None) -> None:
    op = op_in("fold-constants.mlir", function, name)
    found = fold_constants.blocked(op, WeightStore(), 65536)
    assert (found is None) == (reason is None)
    assert re.fullmatch(reason or "None", str(found))


@pytest.mark.parametrize(
    ("function", "name", "reason"),
    [
        ("mask", "onnx.Dropout", "another result is used"),
        ("training", "onnx.Dropout", "dropout in training mode"),
        ("changed", "onnx.Cast", "it changes its operand"),
        ("changed", "onnx.Concat", "it changes its operand"),
        ("reversed", "onnx.Transpose", "it changes its operand"),
        ("unknown", "onnx.Reshape", "it changes its operand"),
        ("mask", "func.return", "not an operator on values"),
    ],
)
def test_identities(function: str, name: str, reason: str) -> None:
    op = op_in("remove-identities.mlir", function, name)
    assert remove_identities.same_as(op) == reason


@pytest.mark.parametrize(
    ("function", "name"),
    [
        ("removed", "onnx.Identity"),
        ("removed", "onnx.Sum"),
        ("symbolic", "onnx.Reshape"),
        ("inference", "onnx.Dropout"),
    ],
)
def test_identities_name_the_operand(function: str, name: str) -> None:
    op = op_in("remove-identities.mlir", function, name)
    assert remove_identities.same_as(op) is op.operands[0]
