"""
Every rule for opsets 1 to 6, from a model of that opset to what NumPy computes.

The oracle is the evaluator on what onnx's own version converter makes of the model, or,
where the converter has no adapter, the arithmetic that the old specification states.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper, version_converter
from onnx.reference import ReferenceEvaluator
from sardonyx.compiler.driver import compile_model
from sardonyx.compiler.importer.files import ModelError
from sardonyx.compiler.importer.upgrades_old import OLD_RULES


def data(*shape: int, seed: int = 0, dtype: Any = np.float32) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


@dataclass(frozen=True)
class Case:
    """A node of an old opset, its inputs, and what it gives."""

    op_type: str
    opset: int
    arrays: tuple[Any, ...]
    attributes: dict[str, Any] = field(default_factory=dict)
    wanted: Any = None
    """The output; None where the converter can say."""
    constant: tuple[int, ...] = ()
    outputs: int = 1

    def __str__(self) -> str:
        return f"{self.op_type}-{self.opset} {self.attributes}"[:70]

    def model(self) -> onnx.ModelProto:
        names = [f"x{i}" for i in range(len(self.arrays))]
        results = [f"y{i}" for i in range(self.outputs)]
        node = helper.make_node(self.op_type, names, results, "it", **self.attributes)
        infos = [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
            )
            for name, array in zip(names, self.arrays, strict=True)
        ]
        weights = [
            numpy_helper.from_array(self.arrays[i], f"x{i}") for i in self.constant
        ]
        kind = self.arrays[0].dtype if self.wanted is None else self.wanted.dtype
        number = helper.np_dtype_to_tensor_dtype(np.dtype(kind))
        ends = [helper.make_tensor_value_info(name, number, None) for name in results]
        graph = helper.make_graph([node], "old", infos, ends, weights)
        opsets = [helper.make_opsetid("", self.opset)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=3)

    def feeds(self) -> dict[str, Any]:
        given = enumerate(self.arrays)
        return {f"x{i}": array for i, array in given if i not in self.constant}


X = data(2, 3, 4, 5)
FLAGS = X > 0
POSITIVE = np.abs(X) + 0.5
CONSUMED = {"consumed_inputs": [0]}
PLACED = {"broadcast": 1, "axis": 1}
B34 = np.abs(data(3, 4, seed=1)) + 0.5


def unary(name: str, x: Any, wanted: Any) -> Case:
    return Case(name, 1, (x,), CONSUMED, wanted.astype(x.dtype))


def placed(name: str, opset: int, function: Any, a: Any = X, b: Any = B34) -> Case:
    return Case(name, opset, (a, b), PLACED, function(a, b[None, :, :, None]))


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


ELEMENTWISE = (
    unary("Abs", X, np.abs(X)),
    unary("Ceil", X, np.ceil(X)),
    unary("Elu", X, np.where(X > 0, X, np.expm1(X))),
    unary("Exp", X, np.exp(X)),
    unary("Floor", X, np.floor(X)),
    unary("HardSigmoid", X, np.clip(0.2 * X + 0.5, 0, 1)),
    unary("LeakyRelu", X, np.where(X > 0, X, 0.01 * X)),
    unary("Log", POSITIVE, np.log(POSITIVE)),
    unary("Neg", X, -X),
    unary("Reciprocal", POSITIVE, 1 / POSITIVE),
    unary("Relu", X, np.maximum(X, 0)),
    unary("Selu", X, 1.0507 * np.where(X > 0, X, 1.6732 * np.expm1(X))),
    unary("Sigmoid", X, sigmoid(X)),
    unary("Sqrt", POSITIVE, np.sqrt(POSITIVE)),
    unary("Tanh", X, np.tanh(X)),
    Case("Max", 1, (X, -X), CONSUMED, np.abs(X)),
    Case("Min", 1, (X, -X), CONSUMED, -np.abs(X)),
    Case("Mean", 1, (X, POSITIVE), CONSUMED, (X + POSITIVE) / 2),
    Case("Sum", 1, (X, POSITIVE), CONSUMED, X + POSITIVE),
    Case("Clip", 1, (X,), {**CONSUMED, "min": -0.5, "max": 0.25}, X.clip(-0.5, 0.25)),
    Case("Clip", 1, (X,), {"max": 0.25}, np.minimum(X, np.float32(0.25))),
)

BINARY = (
    *(placed("Add", n, np.add) for n in (1, 6)),
    *(placed("Sub", n, np.subtract) for n in (1, 6)),
    *(placed("Mul", n, np.multiply) for n in (1, 6)),
    *(placed("Div", n, np.divide) for n in (1, 6)),
    placed("Pow", 1, np.power, POSITIVE),
    placed("Greater", 1, np.greater),
    placed("Less", 1, np.less),
    placed("Equal", 1, np.equal, (4 * X).astype(np.int32), (4 * B34).astype(np.int32)),
    placed("And", 1, np.logical_and, FLAGS, B34 > 1),
    placed("Or", 1, np.logical_or, FLAGS, B34 > 1),
    placed("Xor", 1, np.logical_xor, FLAGS, B34 > 1),
    # Without an axis the shape is a suffix; one element goes everywhere.
    Case("Add", 6, (X, data(4, 5)), {"broadcast": 1}, X + data(4, 5)),
    Case("Add", 6, (X, data(2)), {"broadcast": 1, "axis": 0}, X + data(2, 1, 1, 1)),
    Case("Add", 6, (X, data(1, 1, 1, 1, 1)), {"broadcast": 1}, X + data(1)),
    Case("Add", 6, (X, data(1)), {"broadcast": 1, "axis": 2}, X + data(1)),
    Case("Add", 6, (X, data(5)), {"broadcast": 1, "axis": -1}, X + data(5)),
    Case("Add", 6, (X, X), {}, X + X),
)

SCALE, SHIFT, MEAN = data(3, seed=1), data(3, seed=2), data(3, seed=3)
VARIANCE = np.abs(data(3, seed=4)) + 1


def normalized(x: Any, mean: Any, variance: Any) -> Any:
    columns = [v.reshape(1, 3, 1, 1) for v in (mean, variance, SCALE, SHIFT)]
    mean, variance, scale, shift = columns
    return (x - mean) / np.sqrt(variance + 1e-5) * scale + shift


BATCH = (X, SCALE, SHIFT, MEAN, VARIANCE)
AXES = (0, 2, 3)
A, B, C = data(3, 4), data(4, 5, seed=1), data(5, seed=2)
WEIGHTS = (data(2, 3, 4), data(1, 8, 4, seed=1), data(1, 8, 2, seed=2))

OTHERS = (
    *(
        Case(
            "BatchNormalization",
            opset,
            BATCH,
            {"is_test": 1, **({"consumed_inputs": [0] * 5} if opset < 6 else {})},
            normalized(X, MEAN, VARIANCE),
        )
        for opset in (1, 6)
    ),
    Case("BatchNormalization", 6, BATCH, {}, normalized(X, X.mean(AXES), X.var(AXES))),
    Case(
        "InstanceNormalization",
        1,
        (X[:1], SCALE, SHIFT),
        CONSUMED,
        normalized(X[:1], X[:1].mean(AXES), X[:1].var(AXES)),
    ),
    *(Case("Dropout", n, (X,), {"is_test": 1}, X) for n in (1, 6)),
    *(Case("Gemm", n, (A, B, C), {"broadcast": 1}, A @ B + C) for n in (1, 6)),
    *(
        Case("PRelu", n, (X, SCALE), {}, np.where(X > 0, X, X * SCALE[:, None, None]))
        for n in (1, 6)
    ),
    Case("PRelu", 6, (X, data(1)), {}, np.where(X > 0, X, X * data(1))),
    Case("Cast", 1, (X,), {"to": "INT32"}, X.astype(np.int32)),
    Case("Concat", 1, (X, X), {}, np.concatenate([X, X], 1)),
    Case("Concat", 1, (X, X), {"axis": 3}, np.concatenate([X, X], 3)),
    Case("Reshape", 1, (X,), {"shape": [0, -1], **CONSUMED}, X.reshape(2, -1)),
    Case("Split", 1, (X,), {"axis": 1, "split": [1, 2]}, X[:, :1], outputs=2),
    Case("Split", 1, (X,), {"axis": 2}, X[:, :, :2], outputs=2),
    Case("Split", 1, (X, np.array([2, 1], np.float32)), {"axis": 1}, X[:, :2], (1,), 2),
    Case(
        "Tile",
        1,
        (X, np.array(2, np.float32), np.array(1, np.float32)),
        {},
        np.concatenate([X, X], 1),
        (1, 2),
    ),
    Case(
        "Upsample",
        1,
        (X,),
        {"height_scale": 2.0, "width_scale": 3.0},
        X.repeat(2, 2).repeat(3, 3),
    ),
    Case(
        "LpPool",
        1,
        (X,),
        {"kernel_shape": [4, 5], "p": 3.0},
        (np.abs(X) ** 3).sum((2, 3), keepdims=True) ** (1 / 3),
    ),
    Case("GlobalLpPool", 1, (X,), {}, np.sqrt((X**2).sum((2, 3), keepdims=True))),
)


@pytest.mark.parametrize("case", [*ELEMENTWISE, *BINARY, *OTHERS], ids=str)
def test_rule(case: Case, assert_close: Any) -> None:
    compiled = compile_model(case.model(), "numpy", "O0")
    found = compiled(**case.feeds())[0]
    assert_close(found, case.wanted.astype(found.dtype), 4)
    assert case.wanted.dtype.kind == found.dtype.kind


@pytest.mark.parametrize(
    ("name", "opset"), [("LSTM", 1), ("GRU", 1), ("GRU", 3), ("RNN", 1)]
)
def test_recurrent(name: str, opset: int, assert_close: Any) -> None:
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[name]
    arrays = (
        data(2, 3, 4),
        data(1, 2 * gates, 4, seed=1),
        data(1, 2 * gates, 2, seed=2),
    )
    attributes = {"hidden_size": 2, "output_sequence": 1}
    case = Case(name, opset, arrays, attributes, outputs=2)
    found = compile_model(case.model(), "numpy", "O0")(**case.feeds())
    newer = Case(name, 7, arrays, {"hidden_size": 2}, outputs=2)
    wanted = ReferenceEvaluator(newer.model()).run(None, newer.feeds())
    for one, other in zip(found, wanted, strict=True):
        assert_close(one, other, 4)


CONVERTED = (
    *(Case(n, 6, (X, data(4, 5)), {"broadcast": 1}) for n in ("Add", "Div", "Mul")),
    Case("Gemm", 6, (A, B, C), {"broadcast": 1}),
    Case("Concat", 1, (X, X), {}),
    Case("Relu", 1, (X,), CONSUMED),
)


@pytest.mark.parametrize("case", CONVERTED, ids=str)
def test_as_the_version_converter_has_it(case: Case, assert_close: Any) -> None:
    compiled = compile_model(case.model(), "numpy", "O0")
    newer = version_converter.convert_version(case.model(), 8)
    wanted = ReferenceEvaluator(newer).run(None, case.feeds())
    assert_close(compiled(**case.feeds())[0], wanted[0], 4)


def test_every_rule_is_tested() -> None:
    cases = [*ELEMENTWISE, *BINARY, *OTHERS]
    tested = {
        (c.op_type, onnx.defs.get_schema(c.op_type, c.opset).since_version)
        for c in cases
    }
    tested |= {("LSTM", 1), ("GRU", 1), ("GRU", 3), ("RNN", 1)}
    assert tested == OLD_RULES.keys()


ODD = np.array(1.5, np.float32)


@pytest.mark.parametrize(
    ("case", "message"),
    [
        (Case("Add", 6, (X, data(5))), r"without broadcast = 1"),
        (Case("Add", 6, (X, data(5)), {"broadcast": 1, "axis": 4}), "outside of"),
        (Case("BatchNormalization", 6, BATCH, {"is_test": 1, "spatial": 0}), "spatial"),
        (Case("BatchNormalization", 6, BATCH, {}, outputs=5), "saved_mean"),
        (
            Case("BatchNormalization", 6, BATCH, {"is_test": 1}, outputs=2),
            "of training",
        ),
        (Case("Dropout", 6, (X,)), r"random dropout \(is_test = 0\)"),
        (Case("Dropout", 6, (X,), {"is_test": 1}, outputs=2), "found a mask"),
        (Case("Cast", 1, (X,), {"to": "NUMBER"}), "found to = 'NUMBER'"),
        (Case("LpPool", 1, (X,), {"kernel_shape": [1, 1], "p": 1.5}), "p = 1.5"),
        (Case("Reshape", 1, (X,)), "'shape' is missing"),
        (Case("Split", 1, (X,), outputs=2), "'axis' is missing"),
        (Case("Split", 1, (X, data(2)), {"axis": 1}, outputs=2), "no constant"),
        (Case("Tile", 1, (X, ODD, np.array(9, np.float32)), {}, X, (1, 2)), "axis 9"),
        (Case("Upsample", 1, (X,), {"height_scale": 0.5, "width_scale": 1.0}), "below"),
        (Case("Pad", 1, (X,), {"paddings": [0] * 8}), "two orders for paddings"),
    ],
    ids=str,
)
def test_refused(case: Case, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        compile_model(case.model(), "numpy", "O0")
