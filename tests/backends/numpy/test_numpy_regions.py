"""Fused regions as functions of NumPy programs, and the kernels that they call."""

import inspect
from typing import Any

import numpy as np
import onnx.parser
import pytest
from sardonyx.backends.numpy import TABLE
from sardonyx.backends.numpy.regions import is_one_kernel
from sardonyx.compiler import compile_model
from sardonyx.compiler.driver import load
from sardonyx.compiler.pipelines import run_pipeline
from sardonyx.dialects.fusion import (
    EITHER_IN_PLACE,
    ELEMENTWISE,
    PRODUCTS,
    RegionOp,
)

BINARY = ("Add", "Div", "Max", "Mean", "Min", "Mul", "PRelu", "Pow", "Sub", "Sum")
CHANNELS = ("nhwc.BatchNormalization", "onnx.BatchNormalization")


def operands_of(name: str) -> list[Any]:
    """Arrays that the elementwise op `name` takes, large enough to be cut up."""
    rng = np.random.default_rng(3)
    shape = (2, 3, 100, 130)
    x = rng.uniform(0.1, 2, shape).astype(np.float32)
    if name in CHANNELS:
        count = shape[-1] if name.startswith("nhwc") else shape[1]
        return [x, *(rng.uniform(0.5, 1, (4, count)).astype(np.float32))]
    if name == "onnx.Where":
        return [x > 1, x, rng.standard_normal(shape).astype(np.float32)]
    if name == "onnx.Clip":
        return [x, np.float32(0.5), np.float32(1.5)]
    others = 1 if name.removeprefix("onnx.") in BINARY else 0
    return [x, *(rng.uniform(0.1, 2, shape).astype(np.float32) for _ in range(others))]


def call(name: str, operands: list[Any], **named: Any) -> Any:
    kernel = TABLE[name]
    if "outputs" in inspect.signature(kernel).parameters:
        named["outputs"] = (True, False, False)
        return kernel(np, *operands, **named)[0]
    return kernel(np, *operands, **named)


def takes_out(name: str) -> bool:
    return "out" in inspect.signature(TABLE[name]).parameters


KNOWN = sorted(name for name in ELEMENTWISE if name in TABLE)
IN_PLACE = [name for name in KNOWN if takes_out(name) and name != "onnx.Where"]
"""The first operand of Where is no float: it is not what a function has made."""


def test_there_is_a_kernel_of_every_elementwise_op() -> None:
    # What has none is expanded; into ops that have one, or the region is inlined.
    assert set(ELEMENTWISE) - set(KNOWN) <= {"onnx.Mean"}
    assert {"onnx.Relu", "onnx.Add", "onnx.Sigmoid"} <= set(IN_PLACE)


@pytest.mark.parametrize("name", KNOWN)
def test_results_are_new_memory(name: str) -> None:
    operands = operands_of(name)
    found = call(name, operands)
    assert found.shape == operands[0].shape
    assert not any(np.may_share_memory(found, operand) for operand in operands)


@pytest.mark.parametrize("name", IN_PLACE)
def test_the_first_operand_may_be_written_over(name: str) -> None:
    operands = operands_of(name)
    wanted = call(name, operands)
    first = operands[0].copy()
    found = call(name, [first, *operands[1:]], out=first)
    assert found is first or np.shares_memory(found, first)
    np.testing.assert_array_equal(first, wanted)


@pytest.mark.parametrize("name", sorted(EITHER_IN_PLACE))
def test_the_second_operand_may_be_written_over(name: str) -> None:
    operands = operands_of(name)
    wanted = call(name, operands)
    second = operands[1].copy()
    call(name, [operands[0], second], out=second)
    np.testing.assert_array_equal(second, wanted)


def compiled(text: str) -> Any:
    proto = onnx.parser.parse_model(
        f'<ir_version: 9, opset_import: ["": 18]>\na {text}'
    )
    model = load(proto)
    run_pipeline(model, "fuse-regions")
    return compile_model(model, backend="numpy", pipeline="O0")


def function(source: str, name: str) -> str:
    """The text of the function `name` of a program."""
    return source[source.index(f"def {name}(") :].partition("\n\n\n")[0]


ROWS = "(float[2,4] x, float[4,4] w, float[2,4] r) => (float[2,4] y)"


def test_a_region_is_a_readable_function() -> None:
    text = f"{ROWS} {{ [a] c = MatMul(x, w) [b] s = Add(r, c) [d] y = Relu(s) }}"
    net = compiled(text)
    assert "y = matmul_add_relu(x, w_1, r)  # MatMul+Add+Relu a, b, d" in net.source
    assert function(net.source, "matmul_add_relu").splitlines() == [
        "def matmul_add_relu(a, b, other, out=None):",
        '    """``Relu(Add(other, MatMul(a, b)))``."""',
        "    y = matmul(np, a, b, out=out)",
        "    y = add(np, other, y, out=y)",
        "    return relu(np, y, out=y)",
    ]


def test_what_the_product_reads_is_given_its_shape_first() -> None:
    text = (
        "(float[4,2] x, float[4,4] w, float[2,4] r) => (float[2,4] y)"
        "{ t = Transpose <perm = [1, 0]> (x) c = MatMul(t, w) y = Add(c, r) }"
    )
    lines = function(compiled(text).source, "transpose_matmul_add").splitlines()
    assert lines[2:] == [
        "    seen = transpose(np, data, perm=(1, 0))",
        "    y = matmul(np, seen, b, out=out)",
        "    return add(np, y, other, out=y)",
    ]


def test_a_value_that_is_read_again_is_not_written_over() -> None:
    text = f"{ROWS} {{ c = MatMul(x, w) s = Sigmoid(c) t = Mul(s, c) y = Add(t, r) }}"
    lines = function(compiled(text).source, "matmul_sigmoid_mul_add").splitlines()
    assert lines[3:] == [
        "    z = sigmoid(np, y)",
        "    y = mul(np, z, y, out=y)",
        "    return add(np, y, other, out=y)",
    ]


def test_equal_regions_share_a_function_and_others_have_their_own() -> None:
    text = (
        "(float[2,4] x, float[4,4] w) => (float[2,4] y)"
        "{ a = MatMul(x, w) b = LeakyRelu <alpha = 0.5> (a)"
        "c = MatMul(b, w) d = LeakyRelu <alpha = 0.5> (c)"
        "e = MatMul(d, w) y = LeakyRelu <alpha = 0.25> (e) }"
    )
    source = compiled(text).source
    assert source.count("def matmul_leakyrelu(") == 1
    assert source.count(" = matmul_leakyrelu(") == 2
    assert source.count(" = matmul_leakyrelu_2(") == 1
    assert "alpha=0.25" in function(source, "matmul_leakyrelu_2")


def test_the_product_s_attributes_are_the_call_s() -> None:
    text = (
        "(float[1,1,4,4] x, float[1,1,2,2] w) => (float[1,1,h,v] y)"
        "{ a = Conv <strides = [2, 2]> (x, w) b = Relu(a)"
        "c = Conv <pads = [1, 1, 1, 1]> (b, w) y = Relu(c) }"
    )
    net = compiled(text)
    assert net.source.count("def conv_relu(") == 1
    assert "strides=(2, 2)" in net.source
    x = np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4)
    w = np.ones((1, 1, 2, 2), np.float32)
    (found,) = net(x, w)
    sums = np.array([[10, 18], [42, 50]], np.float32)
    padded = np.pad(sums, 1)
    wanted = padded[:-1, :-1] + padded[1:, :-1] + padded[:-1, 1:] + padded[1:, 1:]
    np.testing.assert_array_equal(found[0, 0], wanted)


def test_operands_are_never_written_over() -> None:
    net = compiled(f"{ROWS} {{ c = Mul(x, r) s = Neg(r) d = Add(c, s) y = Abs(d) }}")
    rng = np.random.default_rng(0)
    shapes = ((2, 4), (4, 4), (2, 4))
    given = [rng.standard_normal(shape).astype(np.float32) for shape in shapes]
    kept = [array.copy() for array in given]
    (found,) = net(*given)
    np.testing.assert_allclose(found, np.abs(kept[0] * kept[2] - kept[2]), rtol=1e-6)
    for array, copy in zip(given, kept, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_a_region_of_other_ops_is_inlined() -> None:
    text = f"{ROWS} {{ c = MatMul(x, w) d = Add(c, r) y = Relu(d) }}"
    proto = onnx.parser.parse_model(
        f'<ir_version: 9, opset_import: ["": 18]>\na {text}'
    )
    model = load(proto)
    run_pipeline(model, "fuse-regions")
    (region,) = (op for op in model.module.walk() if isinstance(op, RegionOp))
    assert is_one_kernel(region, TABLE)
    without = {name: TABLE[name] for name in TABLE if name not in PRODUCTS}
    assert not is_one_kernel(region, without)
    # As a pass may leave it: what is in the region is no epilogue of a product.
    (add,) = (op for op in region.ops if op.name == "onnx.Add")
    softmax = load(
        onnx.parser.parse_model(
            '<ir_version: 9, opset_import: ["": 18]>\n'
            "a (float[2,4] x) => (float[2,4] y) { y = Softmax(x) }"
        )
    )
    (other,) = (op for op in softmax.module.walk() if op.name == "onnx.Softmax")
    copy = other.clone({other.operands[0]: add.operands[0]})
    region.block.insert_op_before(copy, add)
    add.operands[0] = copy.results[0]
    model.module.verify()
    assert not is_one_kernel(region, TABLE)
    source = compile_model(model, backend="numpy", pipeline="O0").source
    assert "matmul_softmax" not in source
    assert "softmax(np, " in source


def test_a_profile_times_a_region_as_one_op() -> None:
    from sardonyx.compiler.debug.measure import profile_model

    text = f"{ROWS} {{ c = MatMul(x, w) d = Add(c, r) y = Relu(d) }}"
    proto = onnx.parser.parse_model(
        f'<ir_version: 9, opset_import: ["": 18]>\na {text}'
    )
    told = profile_model(proto, pipeline="fuse-regions", budget_seconds=0.01)
    assert [op.op for op in told.ops] == ["MatMul+Add+Relu"]
    assert told.ops[0].calls == 1
    assert told.ops[0].flops == 2 * 4 * 2 * 4 + 2 * 2 * 4
