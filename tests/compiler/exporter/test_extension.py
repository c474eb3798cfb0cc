"""Ops that ONNX lacks leave as functions, and come back as what they mean."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from sardonyx.compiler.exporter import ExportError, to_proto
from sardonyx.compiler.exporter.graph import FUNCTION_DOMAIN
from sardonyx.compiler.importer import import_model
from sardonyx.compiler.model import Model
from sardonyx.dialects.onnx import OnnxBuilder
from sardonyx.dialects.onnx.extension import ExtensionOp
from sardonyx.dialects.onnx.provenance import location
from xdsl.dialects.builtin import FloatAttr
from xdsl.ir import Dialect, SSAValue
from xdsl.irdl import (
    irdl_op_definition,
    opt_prop_def,
    var_operand_def,
    var_result_def,
)
from xdsl.parser import Parser

X = np.random.default_rng(0).standard_normal((2, 3)).astype(np.float32)

TABLE = np.arange(30, dtype=np.float32)
"""Too large for the text: in an op's meaning it is a weight."""


class ToyOp(ExtensionOp):
    """An op of no certain number of operands and results."""

    operands_ = var_operand_def()
    results_ = var_result_def()
    factor = opt_prop_def(FloatAttr)

    def scale(self, builder: OnnxBuilder) -> SSAValue:
        factor = 2.0 if self.factor is None else self.factor.value.data
        return builder.constant(np.array(factor, np.float32))


@irdl_op_definition
class ScaleOp(ToyOp):
    """``relu(factor * x)``."""

    name = "toy.scale"

    def onnx_body(
        self, builder: OnnxBuilder, operands: Sequence[SSAValue]
    ) -> Sequence[SSAValue]:
        scaled = builder.value("onnx.Mul", operands[0], self.scale(builder))
        return [builder.value("onnx.Relu", scaled)]


@irdl_op_definition
class HandOp(ToyOp):
    """``x, x, 2 x, 2 x``: an operand and a value are given twice."""

    name = "toy.hand"

    def onnx_body(
        self, builder: OnnxBuilder, operands: Sequence[SSAValue]
    ) -> Sequence[SSAValue]:
        scaled = builder.value("onnx.Mul", operands[0], self.scale(builder))
        return [operands[0], operands[0], scaled, scaled]


@irdl_op_definition
class NestOp(ToyOp):
    """An op whose meaning holds another such op, and a large constant."""

    name = "toy.nest"

    def onnx_body(
        self, builder: OnnxBuilder, operands: Sequence[SSAValue]
    ) -> Sequence[SSAValue]:
        inner = ScaleOp.create(operands=operands, result_types=[operands[0].type])
        builder.insert(inner)
        total = builder.value("onnx.ReduceSum", builder.constant(TABLE), keepdims=0)
        return [builder.value("onnx.Add", inner.results[0], total)]


@irdl_op_definition
class ShortOp(ToyOp):
    """An op that does not say what all its results are."""

    name = "toy.short"

    def onnx_body(
        self, builder: OnnxBuilder, operands: Sequence[SSAValue]
    ) -> Sequence[SSAValue]:
        return []


@irdl_op_definition
class SilentOp(ToyOp):
    """An op that says nothing."""

    name = "toy.silent"


TOY = Dialect("toy", [ScaleOp, HandOp, NestOp, ShortOp, SilentOp], [])

MODULE = 'func.func @main(%x: tensor<2x3xf32> {{onnx.name = "x"}}) -> ({}) {{ {} }}'


@pytest.fixture(name="model")
def model_fixture(pair_proto: onnx.ModelProto) -> Callable[..., Model]:
    """``model(body, *results)``: a module on ``%x`` that returns `results`."""

    def model(body: str, *results: str) -> Model:
        context = import_model(pair_proto).context
        context.load_dialect(TOY)
        types = ", ".join(["tensor<2x3xf32>"] * len(results))
        end = f"func.return {', '.join(results)} : {types}"
        text = MODULE.format(types, body + end)
        return Model(Parser(context, text).parse_module(), context)

    return model


def scale(name: str, operand: str, more: str = "") -> str:
    kind = "tensor<2x3xf32>"
    where = f'loc("{name}"("{name}"))'
    return f'%{name} = "toy.scale"(%{operand}) {more} : ({kind}) -> {kind} {where} '


def test_an_op_is_a_function(
    model: Any, exported: Any, evaluate: Any, assert_close: Any
) -> None:
    proto = exported(model(scale("a", "x"), "%a"))
    (function,) = proto.functions
    assert (function.domain, function.name) == (FUNCTION_DOMAIN, "toy.scale")
    assert [n.op_type for n in function.node] == ["Constant", "Mul", "Relu"]
    (node,) = proto.graph.node
    assert (node.domain, node.op_type, node.name) == (FUNCTION_DOMAIN, "toy.scale", "a")
    opsets = {entry.domain: entry.version for entry in proto.opset_import}
    assert opsets == {"": 13, FUNCTION_DOMAIN: 1}
    (found,) = evaluate(proto, {"x": X})
    assert_close(found, np.maximum(2 * X, 0))


def test_what_comes_back_is_what_it_means(model: Any, exported: Any) -> None:
    proto = exported(model(scale("a", "x"), "%a"))
    imported = import_model(proto)
    ops = [op for op in imported.main.body.block.ops if op.name.startswith("onnx.")]
    assert [op.name for op in ops] == ["onnx.Constant", "onnx.Mul", "onnx.Relu"]
    assert ops[-1].location == location("a/Relu", ["Relu.out"])


def test_one_op_is_one_function(
    model: Any, exported: Any, evaluate: Any, assert_close: Any
) -> None:
    body = scale("a", "x") + scale("b", "a") + scale("c", "b", "<{factor = 3.0 : f32}>")
    proto = exported(model(body, "%c"))
    assert [f.name for f in proto.functions] == ["toy.scale", "toy.scale.1"]
    called = [node.op_type for node in proto.graph.node]
    assert called == ["toy.scale", "toy.scale", "toy.scale.1"]
    (found,) = evaluate(proto, {"x": X})
    assert_close(found, 12 * np.maximum(X, 0))


def test_an_op_on_another_type_is_another_function(model: Any, exported: Any) -> None:
    other = """
      %s = "onnx.Constant"() <{value = #onnx.dense<[1.0] : tensor<1xf32>>}>
         : () -> tensor<1xf32>
      %t = "toy.scale"(%s) : (tensor<1xf32>) -> tensor<1xf32>
      %u = "onnx.Add"(%a, %t)
         : (tensor<2x3xf32>, tensor<1xf32>) -> tensor<2x3xf32>
    """
    proto = exported(model(scale("a", "x") + other, "%u"))
    assert [f.name for f in proto.functions] == ["toy.scale", "toy.scale.1"]


def test_operands_and_values_given_twice(
    model: Any, exported: Any, evaluate: Any
) -> None:
    kind = "tensor<2x3xf32>"
    kinds = ", ".join([kind] * 4)
    body = f'%y:4 = "toy.hand"(%x) : ({kind}) -> ({kinds}) '
    proto = exported(model(body, "%y#0", "%y#1", "%y#2", "%y#3"))
    given = list(proto.functions[0].output)
    assert len({*given}) == 4
    found = evaluate(proto, {"x": X})
    assert [f.tobytes() for f in found] == [a.tobytes() for a in (X, X, 2 * X, 2 * X)]


def test_functions_within_functions(
    model: Any, exported: Any, evaluate: Any, assert_close: Any
) -> None:
    """A function sees no initializer, so its constants are its own."""
    kind = "tensor<2x3xf32>"
    body = f'%y = "toy.nest"(%x) : ({kind}) -> {kind} '
    proto = exported(model(body, "%y"))
    assert [f.name for f in proto.functions] == ["toy.scale", "toy.nest"]
    assert not proto.graph.initializer
    (found,) = evaluate(proto, {"x": X})
    assert_close(found, np.maximum(2 * X, 0) + TABLE.sum())
    names = [op.name for op in import_model(proto).main.body.block.ops]
    assert names.count("onnx.Relu") == 1


def test_an_op_that_says_too_little_is_refused(model: Any) -> None:
    kind = "tensor<2x3xf32>"
    body = f'%y = "toy.short"(%x) : ({kind}) -> {kind} loc("mine") '
    wanted = r"node 'mine' \(short\): its meaning in ONNX has 0 results, wanted 1"
    with pytest.raises(ExportError, match=wanted):
        to_proto(model(body, "%y"))


def test_an_op_that_says_nothing_is_not_finished(model: Any) -> None:
    kind = "tensor<2x3xf32>"
    body = f'%y = "toy.silent"(%x) : ({kind}) -> {kind} '
    with pytest.raises(NotImplementedError, match=r"toy\.silent does not say"):
        to_proto(model(body, "%y"))
