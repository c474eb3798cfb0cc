"""Result types against onnx's shape inference and its node tests' outputs."""

import itertools
import warnings
from functools import cache
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper, shape_inference
from onnx.backend.test import loader
from sardonyx.dialects.onnx.dims import Dim
from sardonyx.dialects.onnx.infer import (
    InferenceError,
    broadcast,
    merge_types,
    stacked,
)
from sardonyx.dialects.onnx.ops import OPS
from sardonyx.dialects.onnx.proto import (
    array_from_proto,
    attribute_from_proto,
    type_from_proto,
)
from sardonyx.dialects.onnx.types import (
    DenseAttr,
    OptionalType,
    SequenceType,
    element_of,
    shape_of,
    static_shape,
    tensor,
)
from xdsl.dialects.builtin import NoneType, f32, f64, i64

# --- every operator, on the shapes of its official tests ---


@cache
def official_models() -> dict[str, list[onnx.ModelProto]]:
    """The official tests of one node at the newest opset, by operator."""
    models: dict[str, list[onnx.ModelProto]] = {}
    # ONNX makes its tests as they load, with overflows on purpose.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases = loader.load_model_tests(kind="node")
    for case in cases:
        node = case.model.graph.node[0]
        name = f"onnx.{node.op_type}"
        newest = OPS[name].schema().since_version if name in OPS else None
        plain = not any(a.type == onnx.AttributeProto.GRAPH for a in node.attribute)
        alone = len(case.model.graph.node) == 1 and not node.domain
        version = case.model.opset_import[0].version
        if alone and plain and newest is not None and version >= newest:
            models.setdefault(name, []).append(case.model)
    return models


def built(workbench: Any, model: onnx.ModelProto) -> list[Any]:
    """The results of the model's node as our op."""
    node = model.graph.node[0]
    schema = OPS[f"onnx.{node.op_type}"].schema()
    bench = workbench(*(type_from_proto(i.type) for i in model.graph.input))
    values = dict(zip((i.name for i in model.graph.input), bench.args, strict=True))
    properties = {
        a.name: DenseAttr.of(array_from_proto(a.t))
        if a.type == onnx.AttributeProto.TENSOR
        else attribute_from_proto(schema, a)
        for a in node.attribute
        if a.type != onnx.AttributeProto.SPARSE_TENSOR
    }
    operands = [values[name] if name else None for name in node.input]
    outputs = [bool(name) for name in node.output]
    op = bench.builder.create(f"onnx.{node.op_type}", operands, properties, outputs)
    op.verify()
    return [result for result, name in zip(op.results, node.output, strict=False)]


@pytest.mark.parametrize("part", range(8))
def test_types_agree_with_onnx(part: int, workbench: Any) -> None:
    compared = 0
    for name in sorted(official_models())[part::8]:
        for model in official_models()[name]:
            inferred = shape_inference.infer_shapes(stripped(model))
            wanted = {i.name: i.type for i in inferred.graph.output}
            declared = {i.name: i.type for i in model.graph.output}
            results = built(workbench, model)
            for result, output in zip(results, model.graph.node[0].output, strict=True):
                if not output:
                    assert result.type == NoneType()
                    continue
                agrees(result.type, type_from_proto(declared[output]), name)
                if wanted[output].WhichOneof("value"):
                    refines(result.type, type_from_proto(wanted[output]), name)
                compared += 1
    assert compared > 50


def stripped(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model without what it says of its outputs."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for output in copy.graph.output:
        output.ClearField("type")
    return copy


def agrees(found: Any, declared: Any, name: str) -> None:
    """What we say is what the test's author declared, as far as we say it."""
    if shape_of(found) is None or shape_of(declared) is None:
        assert element_of(found) == element_of(declared), name
        return
    assert element_of(found) == element_of(declared), name
    pairs = zip(shape_of(found), shape_of(declared), strict=True)
    known = [(a, b) for a, b in pairs if a is not None and b is not None]
    assert all(a.equals(b) is not False for a, b in known), f"{name}: {found}"


def refines(found: Any, wanted: Any, name: str) -> None:
    """What onnx's inference knows, we know too."""
    shape = shape_of(wanted)
    if shape is None:
        return
    for ours, theirs in zip(shape_of(found), shape, strict=True):
        if theirs is not None and theirs.constant is not None:
            assert ours == theirs, f"{name}: {found}, onnx says {wanted}"


def test_most_operators_are_covered() -> None:
    assert len(official_models()) > 150


# --- what the operands do not allow ---


@pytest.mark.parametrize(
    ("name", "shapes", "attributes", "message"),
    [
        ("onnx.Add", [[2], [3]], {}, "Incompatible dimensions"),
        ("onnx.MatMul", [[2, 3], [4, 5]], {}, "Incompatible dimensions"),
        ("onnx.Concat", [[2], [2, 2]], {"axis": 0}, "rank"),
        ("onnx.Transpose", [[2, 3]], {"perm": [0, 5]}, "perm"),
        ("onnx.Gemm", [[2], [3]], {}, "rank"),
    ],
)
def test_refused_operands(
    name: str, shapes: Any, attributes: Any, message: str, workbench: Any
) -> None:
    bench = workbench(*(tensor(f32, shape) for shape in shapes))
    with pytest.raises(InferenceError, match=message):
        bench.value(name, *bench.args, **attributes)


def test_a_result_that_nothing_tells(workbench: Any) -> None:
    bench = workbench(tensor(f32, [2]))
    with pytest.raises(InferenceError, match="nothing tells the type of result 0"):
        bench.value("onnx_training.Gradient", bench.args[0], xs=["x"], y="y")


def test_slice_from_where_nobody_knows(workbench: Any) -> None:
    bounds = [tensor(i64, [1])] * 2
    bench = workbench(tensor(f32, [4, "n"]), *bounds)
    x, start, end = bench.args
    assert shapes_of(bench, bench.value("onnx.Slice", x, start, end)) == ["?", "?"]
    axis = bench.constant(np.array([0]))
    value = bench.value("onnx.Slice", x, start, end, axis)
    assert shapes_of(bench, value) == ["?", "n"]


# --- symbolic shapes ---


def shapes_of(bench: Any, value: Any) -> str:
    return [str(d) if d is not None else "?" for d in shape_of(value.type)]


@pytest.mark.parametrize(
    ("a", "b", "wanted"),
    [
        (["n", 3, 4], ["n", 4, 5], ["n", "3", "5"]),
        (["n", 1, 3, 4], ["h", 4, 5], ["n", "h", "3", "5"]),
        (["n", "m", "k"], ["k", 5], ["n", "m", "5"]),
        ([1, "m", 4], ["n", 4, "p"], ["n", "m", "p"]),
        (["n", 3, 4], ["m", 4, 5], ["?", "3", "5"]),
    ],
)
def test_matmul(a: Any, b: Any, wanted: Any, workbench: Any) -> None:
    bench = workbench(tensor(f32, a), tensor(f32, b))
    assert shapes_of(bench, bench.value("onnx.MatMul", *bench.args)) == wanted


@pytest.mark.parametrize(
    ("a", "b", "wanted"),
    [
        (["n"], [1], "n"),
        (["n"], ["n"], "n"),
        (["n"], [3], "3"),
        (["n"], [None], None),
        ([None], [1], None),
        ([None], [3], "3"),
        (["n"], ["m"], None),
        (["n"], ["2*n"], "2*n"),
        (["n + 1"], ["n + 2"], "n + 2"),
        (["min(n, 512)"], ["n"], "n"),
        # 0 beside 1 is 0, not 1.
        (["n"], ["n + 1"], None),
        (["min(n, m)"], ["n"], None),
        ([0], [1], "0"),
        ([0], ["n"], "0"),
    ],
)
def test_broadcast(a: Any, b: Any, wanted: str | None) -> None:
    dims = [[None if d is None else Dim.parse(str(d)) for d in s] for s in (a, b)]
    expected = None if wanted is None else Dim.parse(wanted)
    assert broadcast([tuple(dims[0]), tuple(dims[1])]) == (expected,)
    assert broadcast([tuple(dims[1]), tuple(dims[0])]) == (expected,)


EXPRESSIONS = ["n", "m", "n + 1", "2*n", "n*m", "min(n, m)", "min(n, 2)", "max(n, m)"]


@settings(max_examples=300)
@given(
    st.lists(st.sampled_from([*EXPRESSIONS, "1", "3"]), max_size=3),
    st.lists(st.sampled_from([*EXPRESSIONS, "1", "3"]), max_size=3),
)
def test_broadcast_is_sound(a: list[str], b: list[str]) -> None:
    shapes = [tuple(Dim.parse(d) for d in shape) for shape in (a, b)]
    found = broadcast(shapes)
    for n, m in itertools.product(range(4), repeat=2):
        now = [
            tuple(d.substitute({"n": n, "m": m}).constant for d in shape)
            for shape in shapes
        ]
        try:
            wanted = np.broadcast_shapes(*now)
        except ValueError:
            continue
        for dim, size in zip(found, wanted, strict=True):
            value = None if dim is None else dim.substitute({"n": n, "m": m}).constant
            assert value in (None, size), f"{a} and {b} at n={n}, m={m}"


@pytest.mark.parametrize(
    ("shape", "build", "wanted"),
    [
        (["n", 3], lambda b, x: b.value("onnx.Concat", x, x, axis=0), ["2*n", "3"]),
        (["n", 3], lambda b, x: b.value("onnx.Flatten", x, axis=0), ["1", "3*n"]),
        (["n", "m"], lambda b, x: b.value("onnx.Flatten", x, axis=-1), ["n", "m"]),
        (
            ["n", "m"],
            lambda b, x: b.value("onnx.Tile", x, b.constant(np.array([2, 3]))),
            ["2*n", "3*m"],
        ),
        (
            ["n", "m"],
            lambda b, x: b.value("onnx.Pad", x, b.constant(np.array([1, 0, 2, 0]))),
            ["n + 3", "m"],
        ),
        (
            ["n", "m"],
            lambda b, x: b.value(
                "onnx.Slice",
                x,
                b.constant(np.array([1])),
                b.constant(np.array([2**63 - 1])),
                b.constant(np.array([-1])),
            ),
            ["n", "max(0, m - min(1, m))"],
        ),
        (["n", None], lambda b, x: b.value("onnx.Add", x, x), ["n", "?"]),
        (
            ["n", 4],
            lambda b, x: b.value("onnx.MeanVarianceNormalization", x),
            ["n", "4"],
        ),
    ],
)
def test_symbolic_shapes(shape: Any, build: Any, wanted: Any, workbench: Any) -> None:
    bench = workbench(tensor(f32, shape))
    found = build(bench, bench.args[0])
    assert found.type == tensor(f32, [None if d == "?" else d for d in wanted])


def test_where_both_know_onnx_stands(workbench: Any) -> None:
    bench = workbench(tensor(f32, [4, 3]))
    target = bench.constant(np.array([2, -1]))
    value = bench.value("onnx.Reshape", bench.args[0], target)
    assert static_shape(value.type) == (2, 6)


# --- regions ---


@pytest.mark.parametrize(
    ("a", "b", "wanted"),
    [
        (tensor(f32, [2, "n"]), tensor(f32, [2, "n"]), tensor(f32, [2, "n"])),
        (tensor(f32, [2, "n"]), tensor(f32, [3, "n"]), tensor(f32, [None, "n"])),
        (tensor(f32, [2]), tensor(f32, [2, 2]), tensor(f32, None)),
        (tensor(f32, [2]), tensor(f32, None), tensor(f32, None)),
        (
            SequenceType(tensor(f32, [2])),
            SequenceType(tensor(f32, [3])),
            SequenceType(tensor(f32, [None])),
        ),
    ],
)
def test_merge_types(a: Any, b: Any, wanted: Any) -> None:
    assert merge_types(a, b) == wanted
    assert merge_types(b, a) == wanted


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (tensor(f32, [2]), tensor(f64, [2])),
        (tensor(f32, [2]), SequenceType(tensor(f32, [2]))),
        (OptionalType(tensor(f32, [2])), SequenceType(tensor(f32, [3]))),
        (i64, f32),
    ],
)
def test_branches_that_differ(a: Any, b: Any) -> None:
    with pytest.raises(InferenceError, match=r"one branch gives .*, another"):
        merge_types(a, b)


def test_stacked() -> None:
    n = Dim.of("n")
    assert stacked(tensor(f32, [2, 3])) == tensor(f32, [None, 2, 3])
    assert stacked(tensor(f32, [2, 3]), -1, n) == tensor(f32, [2, 3, "n"])
    assert stacked(tensor(f32, [2, 3]), 1, n) == tensor(f32, [2, "n", 3])
    assert stacked(tensor(f32, None)) == tensor(f32, None)
    with pytest.raises(InferenceError, match=r"a scan output is .*, wanted a tensor"):
        stacked(SequenceType(tensor(f32, [2])))


def test_a_contradiction_is_caught(workbench: Any) -> None:
    node = helper.make_node("Relu", ["x"], ["y"])
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        [node],
        "g",
        [info("x", onnx.TensorProto.FLOAT, [2, 3])],
        [info("y", onnx.TensorProto.FLOAT, [2, 4])],
    )
    (result,) = built(workbench, helper.make_model(graph))
    with pytest.raises(AssertionError):
        agrees(result.type, tensor(f32, [2, 4]), "onnx.Relu")
