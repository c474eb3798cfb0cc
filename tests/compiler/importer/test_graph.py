"""Graphs: what they become, under which names, and how wrong ones are refused."""

import re
import time
from itertools import pairwise
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, defs, helper, numpy_helper
from sardonyx.compiler import compile_model, import_model
from sardonyx.compiler.importer import ModelError
from sardonyx.compiler.importer.graph import MAX_DEPTH
from sardonyx.compiler.importer.opsets import OLDEST_OPSET
from sardonyx.compiler.model import Model
from sardonyx.dialects.onnx.provenance import node_names, tensor_names

X = np.random.default_rng(0).standard_normal((2, 3)).astype(np.float32)


def value(name: str, shape: Any, element: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, element, shape)


def make_model(
    nodes: list[onnx.NodeProto],
    inputs: list[Any],
    outputs: list[Any],
    weights: list[onnx.TensorProto] | None = None,
    opset: int = 21,
    ir_version: int = 10,
    **more: Any,
) -> onnx.ModelProto:
    graph = helper.make_graph(nodes, "g", inputs, outputs, weights or [], **more)
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=ir_version)


def unary(node: onnx.NodeProto, opset: int = 21) -> onnx.ModelProto:
    """A model of one node from x to y."""
    return make_model([node], [value("x", [2, 3])], [value("y", None)], opset=opset)


def ops(model: Model) -> list[Any]:
    made = (op for op in model.module.walk() if op.name.startswith("onnx."))
    return [op for op in made if op.name != "onnx.none"]


# --- inputs ---


def test_initializers_among_the_inputs(oracle: Any, assert_close: Any) -> None:
    # Before IR version 4 all of them were; since then it means a default.
    weight = numpy_helper.from_array(2 * X, "w")
    node = helper.make_node("Mul", ["x", "w"], ["y"])
    model = make_model(
        [node],
        [value("w", [2, 3]), value("x", [2, 3])],
        [value("y", [2, 3])],
        [weight],
        opset=8,
        ir_version=3,
    )
    imported = import_model(model)
    assert [i.name for i in imported.inputs] == ["x"]
    for backend in ("numpy", "jax"):
        found = compile_model(model, backend=backend)(x=X)[0]
        assert_close(found, oracle(model, {"x": X})[0])


def test_symbolic_dimensions_keep_their_names() -> None:
    node = helper.make_node("Concat", ["x", "w"], ["y"], axis=1)
    model = make_model(
        [node],
        [value("x", ["batch", "seq len", None]), value("w", ["batch", 4, 7])],
        [value("y", None)],
    )
    imported = import_model(model)
    assert '#onnx.dims<"batch", "\\22seq len\\22", "?">' in imported.text()
    compiled = compile_model(imported, backend="numpy")
    assert compiled.inputs[0].shape == ("batch", "seq len", "?x.2")
    assert compiled.outputs[0].shape == ("batch", '"seq len" + 4', 7)


def test_a_declared_shape_fills_what_inference_leaves_open() -> None:
    model = make_model(
        [
            helper.make_node("NonZero", ["x"], ["z"]),
            helper.make_node("Neg", ["z"], ["y"]),
        ],
        [value("x", [2, 3])],
        [value("y", [2, "count"], TensorProto.INT64)],
    )
    (output,) = import_model(model).outputs
    assert '"count"' in str(output.type)


def test_an_empty_graph() -> None:
    imported = import_model(make_model([], [], []))
    assert (imported.inputs, imported.outputs) == ((), ())
    for backend in ("numpy", "jax"):
        assert compile_model(imported, backend=backend)() == ()


def test_an_output_that_is_an_input(assert_close: Any) -> None:
    model = make_model([], [value("x", [2, 3])], [value("x", [2, 3])])
    for backend in ("numpy", "jax"):
        assert_close(compile_model(model, backend=backend)(X)[0], X)


@pytest.mark.parametrize("count", [3, 30], ids=["small", "large"])
def test_an_output_that_is_an_initializer(count: int, assert_close: Any) -> None:
    array = np.arange(count, dtype=np.float32)
    weight = numpy_helper.from_array(array, "w")
    model = make_model([], [], [value("w", [count])], [weight])
    for backend in ("numpy", "jax"):
        assert_close(compile_model(model, backend=backend)()[0], array)


def test_an_output_given_twice(assert_close: Any) -> None:
    node = helper.make_node("Neg", ["x"], ["y"])
    model = make_model([node], [value("x", [2, 3])], [value("y", [2, 3])] * 2)
    first, second = compile_model(model, backend="numpy")(X)
    assert_close(first, -X)
    assert_close(second, -X)


def test_the_default_domain_has_two_names(assert_close: Any) -> None:
    node = helper.make_node("Neg", ["x"], ["y"], domain="ai.onnx")
    model = unary(node)
    assert_close(compile_model(model, backend="numpy")(X)[0], -X)
    model.opset_import[0].domain = "ai.onnx"
    assert_close(compile_model(model, backend="numpy")(X)[0], -X)
    model.graph.node[0].domain = ""
    assert_close(compile_model(model, backend="numpy")(X)[0], -X)


def test_optional_outputs(oracle: Any, assert_close: Any) -> None:
    x = np.random.default_rng(0).standard_normal((4, 8)).astype(np.float32)
    for names in (["v"], ["v", "i"], ["v", ""]):
        kept = [n for n in names if n]
        kinds = {"v": TensorProto.FLOAT, "i": TensorProto.INT64}
        model = make_model(
            [helper.make_node("MaxPool", ["x"], names, kernel_shape=[2])],
            [value("x", [1, 4, 8])],
            [value(n, None, kinds[n]) for n in kept],
        )
        found = compile_model(model, backend="numpy")(x[None])
        full = make_model(
            [helper.make_node("MaxPool", ["x"], ["v", "i"], kernel_shape=[2])],
            [value("x", [1, 4, 8])],
            [value(n, None, kinds[n]) for n in "vi"],
        )
        wanted = dict(zip("vi", oracle(full, {"x": x[None]}), strict=True))
        for name, array in zip(kept, found, strict=True):
            assert_close(array, wanted[name], what=str(names))


def test_first_outputs_that_are_not_wanted(oracle: Any, assert_close: Any) -> None:
    rng = np.random.default_rng(0)
    weights = [
        numpy_helper.from_array(rng.standard_normal(shape).astype(np.float32), name)
        for name, shape in (("w", (1, 16, 3)), ("r", (1, 16, 4)))
    ]
    node = helper.make_node("LSTM", ["x", "w", "r"], ["", "", "c"], hidden_size=4)
    model = make_model([node], [value("x", [5, 2, 3])], [value("c", None)], weights)
    x = rng.standard_normal((5, 2, 3)).astype(np.float32)
    wanted = oracle(model, {"x": x})[0]
    for backend in ("numpy", "jax"):
        assert_close(compile_model(model, backend=backend)(x)[0], wanted, factor=4)


# --- names ---


def test_provenance() -> None:
    nodes = [
        helper.make_node("Neg", ["x"], ["a"], name="first"),
        helper.make_node("Split", ["a"], ["b", "c"], axis=0, num_outputs=2),
        helper.make_node("Add", ["b", "c"], ["y"], name='q"uo\nte\\ """ </script> ..'),
    ]
    model = make_model(nodes, [value("x", [2, 3])], [value("y", [1, 3])])
    imported = import_model(model)
    found = [(node_names(op), tensor_names(op)) for op in ops(imported)]
    assert found == [
        (("first",), ("a",)),
        (("b",), ("b", "c")),
        (('q"uo\nte\\ """ </script> ..',), ("y",)),
    ]
    hints = [r.name_hint for op in ops(imported) for r in op.results]
    assert hints == ["a", "b", "c", "y"]


def test_value_names_differ_in_the_text() -> None:
    # The first five become the same identifier; the last leaves nothing of itself.
    names = ["a.b", "a/b", "a b", "a_b", "a:b", "a_b_1", "3", "\u00e9"]
    nodes = [
        helper.make_node("Neg", [names[i - 1] if i else "x"], [name])
        for i, name in enumerate(names)
    ]
    model = make_model(nodes, [value("x", [2, 3])], [value(names[-1], [2, 3])])
    text = import_model(model).text()
    defined = re.findall(r"(%\w+) = onnx.Neg", text)
    assert len(set(defined)) == len(names)
    assert defined[0] == "%a_b"
    assert defined[6] == "%t3"


def test_the_ops_of_an_upgrade_carry_the_nodes_name() -> None:
    # Dropout-7's mask, BatchNormalization's, Upsample … become several ops.
    node = helper.make_node("Softmax", ["x"], ["y"], name="soft", axis=1)
    model = make_model([node], [value("x", [2, 3, 4])], [value("y", None)], opset=11)
    made = [op for op in ops(import_model(model)) if op.name != "onnx.Constant"]
    assert len(made) > 1
    assert {name for op in made for name in node_names(op)} == {"soft"}
    assert [tensor_names(op) for op in made if tensor_names(op)] == [("y",)]


def test_model_metadata() -> None:
    model = unary(helper.make_node("Neg", ["x"], ["y"]))
    model.producer_name, model.doc_string = "someone", 'a\n"doc"'
    helper.set_model_props(model, {"key": "va\nlue"})
    attributes = {k: str(v) for k, v in import_model(model).module.attributes.items()}
    assert "someone" in attributes["onnx.producer_name"]
    assert "va\\\\x0alue" in attributes["onnx.metadata"]
    assert f"{defs.onnx_opset_version()}" in attributes["onnx.opset"]


# --- constants ---

CONSTANTS: dict[str, tuple[Any, np.ndarray]] = {
    "value": (numpy_helper.from_array(X), X),
    "value_float": (2.5, np.array(2.5, np.float32)),
    "value_floats": ([1.0, 2.5], np.array([1, 2.5], np.float32)),
    "value_int": (-7, np.array(-7, np.int64)),
    "value_ints": ([1, -2, 1 << 40], np.array([1, -2, 1 << 40], np.int64)),
    "sparse_value": (
        helper.make_sparse_tensor(
            numpy_helper.from_array(np.array([1.5, 2], np.float32)),
            numpy_helper.from_array(np.array([1, 5])),
            [2, 3],
        ),
        np.array([[0, 1.5, 0], [0, 0, 2]], np.float32),
    ),
}


@pytest.mark.parametrize("name", CONSTANTS)
def test_constants(name: str, assert_close: Any) -> None:
    given, wanted = CONSTANTS[name]
    node = helper.make_node("Constant", [], ["y"], **{name: given})
    element = helper.np_dtype_to_tensor_dtype(wanted.dtype)
    model = make_model([node], [], [value("y", wanted.shape, element)])
    for backend in ("numpy", "jax"):
        assert_close(compile_model(model, backend=backend)()[0], wanted)


@pytest.mark.parametrize(
    ("name", "given", "wanted"),
    [
        ("value_string", "straße\n", np.array("straße\n", object)),
        ("value_strings", ["a", 'b"'], np.array(["a", 'b"'], object)),
    ],
)
def test_string_constants(name: str, given: Any, wanted: np.ndarray) -> None:
    node = helper.make_node("Constant", [], ["y"], **{name: given})
    model = make_model([node], [], [value("y", wanted.shape, TensorProto.STRING)])
    (found,) = compile_model(model, backend="numpy")()
    assert found.shape == wanted.shape
    assert found.tolist() == wanted.tolist()


def test_an_empty_list_constant(assert_close: Any) -> None:
    node = helper.make_node("Constant", [], ["y"])
    node.attribute.add(name="value_ints", type=onnx.AttributeProto.INTS)
    model = make_model([node], [], [value("y", [0], TensorProto.INT64)])
    assert_close(compile_model(model, backend="numpy")()[0], np.zeros(0, np.int64))


# --- refusals ---


def constant(**attributes: Any) -> onnx.ModelProto:
    node = helper.make_node("Constant", [], ["y"], name="it", **attributes)
    return make_model([node], [], [value("y", None)])


def nodes(*given: onnx.NodeProto, **more: Any) -> onnx.ModelProto:
    return make_model([*given], [value("x", [2, 3])], [value("y", None)], **more)


def with_domain(domain: str, imported: bool) -> onnx.ModelProto:
    model = nodes(helper.make_node("Neg", ["x"], ["y"], name="it", domain=domain))
    if imported:
        model.opset_import.add(domain=domain, version=1)
    return model


def sparse_input() -> onnx.ModelProto:
    model = nodes(helper.make_node("Neg", ["x"], ["y"], name="it"))
    model.graph.input[0].type.Clear()
    return model


neg = helper.make_node("Neg", ["x"], ["y"], name="it")
NEWEST = defs.onnx_opset_version()

REFUSED: dict[str, tuple[onnx.ModelProto, str]] = {
    "unknown operator": (
        nodes(helper.make_node("Nonsense", ["x"], ["y"], name="it")),
        r"node 'it' \(Nonsense\): no operator 'Nonsense' in domain 'ai.onnx'",
    ),
    "unnamed node": (
        nodes(helper.make_node("Nonsense", ["x"], ["y"])),
        r"node 'y' \(Nonsense\): no operator",
    ),
    "unknown domain": (
        with_domain("com.example", True),
        r"node 'it' \(Neg\): no operator 'Neg' in domain 'com.example'",
    ),
    "domain not imported": (
        with_domain("com.example", False),
        r"node 'it' \(Neg\): the model imports no opset of domain 'com.example'",
    ),
    "operator of another domain": (
        with_domain("ai.onnx.ml", True),
        r"node 'it' \(Neg\): no operator 'Neg' in domain 'ai.onnx.ml'",
    ),
    "opset too new": (
        nodes(neg, opset=NEWEST + 1),
        rf"node 'it' \(Neg\): found opset {NEWEST + 1} of domain 'ai.onnx', "
        rf"wanted {OLDEST_OPSET} to {NEWEST}",
    ),
    "opset too old": (
        nodes(neg, opset=OLDEST_OPSET - 1),
        rf"node 'it' \(Neg\): found opset {OLDEST_OPSET - 1} of domain 'ai.onnx'",
    ),
    "operator newer than the opset": (
        nodes(helper.make_node("Gelu", ["x"], ["y"], name="it"), opset=13),
        r"node 'it' \(Gelu\): 'Gelu' is not in opset 13",
    ),
    "missing attribute": (
        nodes(helper.make_node("Concat", ["x", "x"], ["y"], name="it")),
        r"node 'it' \(Concat\): attribute 'axis' is missing",
    ),
    "missing attribute of an older form": (
        nodes(helper.make_node("Concat", ["x", "x"], ["y"], name="it"), opset=11),
        r"node 'it' \(Concat\): attribute 'axis' is missing",
    ),
    "unknown attribute": (
        nodes(helper.make_node("Concat", ["x"], ["y"], name="it", axis=0, much=1)),
        r"node 'it' \(Concat\): Concat has no attribute 'much'",
    ),
    "unknown attribute of an older form": (
        nodes(helper.make_node("Relu", ["x"], ["y"], name="it", much=1), opset=7),
        r"node 'it' \(Relu\): Relu has no attribute 'much'",
    ),
    "attribute of the wrong type": (
        nodes(helper.make_node("Concat", ["x"], ["y"], name="it", axis=0.5)),
        r"node 'it' \(Concat\): attribute 'axis' is FLOAT, wanted INT",
    ),
    "attribute of the wrong type in an older form": (
        nodes(helper.make_node("Concat", ["x"], ["y"], name="it", axis=0.5), opset=11),
        r"node 'it' \(Concat\): attribute 'axis' is FLOAT, wanted INT",
    ),
    "attribute that is a tensor": (
        nodes(
            helper.make_node(
                "Concat", ["x"], ["y"], name="it", axis=numpy_helper.from_array(X)
            )
        ),
        r"node 'it' \(Concat\): attribute 'axis' is TENSOR, wanted INT",
    ),
    "tensor attribute that is a number": (
        nodes(helper.make_node("ConstantOfShape", ["x"], ["y"], name="it", value=1)),
        r"node 'it' \(ConstantOfShape\): attribute 'value' is INT, wanted TENSOR",
    ),
    "attribute that is a graph": (
        nodes(
            helper.make_node(
                "Neg", ["x"], ["y"], name="it", body=helper.make_graph([], "b", [], [])
            )
        ),
        r"node 'it' \(Neg\): Neg has no attribute 'body'",
    ),
    "undefined tensor": (
        nodes(helper.make_node("Add", ["x", "z"], ["y"], name="it")),
        r"node 'it' \(Add\): tensor 'z' is not defined before it is used",
    ),
    "undefined output": (
        make_model([], [value("x", [2, 3])], [value("y", [2, 3])]),
        "output 'y': tensor 'y' is not defined before it is used",
    ),
    "nodes out of order": (
        nodes(
            helper.make_node("Neg", ["z"], ["y"], name="late"),
            helper.make_node("Neg", ["x"], ["z"], name="early"),
        ),
        r"node 'late' \(Neg\): tensor 'z' is not defined before it is used",
    ),
    "cycle": (
        nodes(
            helper.make_node("Add", ["x", "y"], ["z"], name="one"),
            helper.make_node("Neg", ["z"], ["y"], name="two"),
        ),
        r"node 'one' \(Add\): tensor 'y' is not defined before it is used",
    ),
    "node on itself": (
        nodes(helper.make_node("Add", ["x", "y"], ["y"], name="one")),
        r"node 'one' \(Add\): tensor 'y' is not defined",
    ),
    "duplicate tensor": (
        nodes(neg, helper.make_node("Abs", ["x"], ["y"])),
        "tensor 'y' is defined twice",
    ),
    "duplicate output of a node": (
        nodes(helper.make_node("Split", ["x"], ["y", "y"], num_outputs=2)),
        "tensor 'y' is defined twice",
    ),
    "tensor named like an input": (
        nodes(helper.make_node("Neg", ["x"], ["x"])),
        "tensor 'x' is defined twice",
    ),
    "duplicate initializer": (
        make_model(
            [neg],
            [value("x", [2, 3])],
            [value("y", None)],
            [numpy_helper.from_array(X, "w")] * 2,
        ),
        "tensor 'w' is defined twice",
    ),
    "duplicate input": (
        make_model([neg], [value("x", [2, 3])] * 2, [value("y", None)]),
        "input 'x' is defined twice",
    ),
    "input without a type": (sparse_input(), "input 'x': type None is not known"),
    "input of an unknown element": (
        make_model([neg], [value("x", [2, 3], 99)], [value("y", None)]),
        "input 'x': element type 99 is not known",
    ),
    "too many inputs": (
        nodes(helper.make_node("Neg", ["x", "x"], ["y"], name="it")),
        r"node 'it' \(Neg\): found 2 inputs, wanted 1",
    ),
    "too few inputs": (
        nodes(helper.make_node("Add", ["x"], ["y"], name="it")),
        r"node 'it' \(Add\): found 1 inputs?, wanted 2",
    ),
    "required input left out": (
        nodes(helper.make_node("Add", ["", "x"], ["y"], name="it")),
        r"node 'it' \(Add\): ",
    ),
    "too many outputs": (
        nodes(helper.make_node("Neg", ["x"], ["y", "z"], name="it")),
        r"node 'it' \(Neg\): found 2 outputs, wanted 1",
    ),
    "no outputs": (
        nodes(neg, helper.make_node("Neg", ["x"], [], name="none")),
        r"node 'none' \(Neg\): ",
    ),
    "ranks that do not fit": (
        make_model(
            [helper.make_node("MatMul", ["x", "x"], ["y"], name="it")],
            [value("x", [2, 3])],
            [value("y", None)],
        ),
        r"node 'it' \(MatMul\): .*[Ii]ncompatible",
    ),
    "element types that do not fit": (
        make_model(
            [helper.make_node("Add", ["x", "i"], ["y"], name="it")],
            [value("x", [2, 3]), value("i", [2, 3], TensorProto.INT64)],
            [value("y", None)],
        ),
        r"node 'it' \(Add\): ",
    ),
    "element type that is not allowed": (
        make_model(
            [helper.make_node("And", ["x", "x"], ["y"], name="it")],
            [value("x", [2, 3])],
            [value("y", None, TensorProto.BOOL)],
        ),
        r"node 'it' \(And\): ",
    ),
    "output of another element type": (
        make_model([neg], [value("x", [2, 3])], [value("y", [2, 3], 7)]),
        "output 'y': found tensor<2x3xf32>, declared tensor<2x3xi64>",
    ),
    "constant without a value": (
        constant(),
        r"node 'it' \(Constant\): found 0 attributes, wanted one value",
    ),
    "constant of two values": (
        constant(value_int=1, value_float=1.0),
        r"node 'it' \(Constant\): found 2 attributes, wanted one value",
    ),
    "constant of an unknown form": (
        constant(value_complex=1),
        r"node 'it' \(Constant\): Constant has no attribute 'value_complex'",
    ),
    "constant of a wrong type": (
        constant(value_int=1.5),
        r"node 'it' \(Constant\): attribute 'value_int' is FLOAT, wanted INT",
    ),
    "constant whose tensor is a number": (
        constant(value=1.5),
        r"node 'it' \(Constant\): attribute 'value' is FLOAT, wanted TENSOR",
    ),
    "constant without an output": (
        nodes(neg, helper.make_node("Constant", [], [], name="none", value_int=1)),
        r"node 'none' \(Constant\): ",
    ),
    "constant with an input": (
        nodes(helper.make_node("Constant", ["x"], ["y"], name="it", value_int=1)),
        r"node 'it' \(Constant\): found 1 inputs?, wanted 0",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refusals(what: str) -> None:
    model, message = REFUSED[what]
    with pytest.raises(ModelError, match=message) as caught:
        import_model(model)
    assert "\n" not in str(caught.value)


def test_messages_begin_with_the_file(tmp_path: Any) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(REFUSED["unknown operator"][0].SerializeToString())
    with pytest.raises(ModelError, match="node 'it'") as caught:
        import_model(path)
    assert str(caught.value).startswith(f"{path}: node 'it' (Nonsense): ")


def test_a_node_name_cannot_break_a_message() -> None:
    name = "a\nb\x1b[31m"
    model = nodes(helper.make_node(name, ["x"], ["y"], name=name))
    with pytest.raises(ModelError) as caught:
        import_model(model)
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)


# --- subgraphs ---


def branch(name: str, *made: onnx.NodeProto, output: str = "") -> onnx.GraphProto:
    last = output or made[-1].output[0]
    return helper.make_graph([*made], name, [], [value(last, None)])


def choice(then: onnx.GraphProto, otherwise: onnx.GraphProto, **more: Any) -> Any:
    node = helper.make_node(
        "If", ["c"], ["y"], name="it", then_branch=then, else_branch=otherwise, **more
    )
    inputs = [value("c", [], TensorProto.BOOL), value("x", [2, 3])]
    return make_model([node], inputs, [value("y", None)])


def loop(body: onnx.GraphProto, *operands: str, outputs: int = 1) -> onnx.ModelProto:
    names = [f"y{i}" for i in range(outputs)]
    node = helper.make_node("Loop", [*operands], names, name="it", body=body)
    inputs = [value("n", [], TensorProto.INT64), value("x", [2, 3])]
    return make_model([node], inputs, [value(n, None) for n in names])


def scan(body: onnx.GraphProto, **attributes: Any) -> onnx.ModelProto:
    node = helper.make_node("Scan", ["x"], ["y"], name="it", body=body, **attributes)
    return make_model([node], [value("x", [2, 3])], [value("y", None)])


BODY = helper.make_graph(
    [
        helper.make_node("Identity", ["go"], ["more"]),
        helper.make_node("Neg", ["s"], ["t"]),
    ],
    "body",
    [value("k", [], 7), value("go", [], 9), value("s", [2, 3])],
    [value("more", [], 9), value("t", [2, 3])],
)
SLICE = helper.make_graph(
    [helper.make_node("Neg", ["r"], ["o"])],
    "slice",
    [value("r", [3])],
    [value("o", [3])],
)
NEG = branch("neg", helper.make_node("Neg", ["x"], ["a"]))
ABS = branch("abs", helper.make_node("Abs", ["x"], ["b"]))


def shortened(graph: onnx.GraphProto, field: str) -> onnx.GraphProto:
    copy = onnx.GraphProto()
    copy.CopyFrom(graph)
    getattr(copy, field).pop()
    return copy


IN_SUBGRAPHS: dict[str, tuple[onnx.ModelProto, str]] = {
    "inner node": (
        choice(branch("t", helper.make_node("Nonsense", ["x"], ["a"], name="in")), ABS),
        r"node 'in' \(Nonsense\): no operator",
    ),
    "undefined inner tensor": (
        choice(branch("t", helper.make_node("Neg", ["q"], ["a"], name="in")), ABS),
        r"node 'in' \(Neg\): tensor 'q' is not defined",
    ),
    "undefined inner output": (
        choice(branch("t", helper.make_node("Neg", ["x"], ["a"]), output="q"), ABS),
        "subgraph 't': tensor 'q' is not defined",
    ),
    "tensor of the other branch": (
        choice(NEG, branch("t", helper.make_node("Abs", ["a"], ["b"], name="in"))),
        r"node 'in' \(Abs\): tensor 'a' is not defined",
    ),
    "different numbers of outputs": (
        choice(shortened(NEG, "output"), ABS),
        r"node 'it' \(If\): the branches give different numbers of outputs",
    ),
    "different element types": (
        choice(branch("t", helper.make_node("Cast", ["x"], ["a"], to=7)), ABS),
        r"node 'it' \(If\): one branch gives tensor<2x3x.*>, another tensor<2x3x",
    ),
    "branch with inputs": (
        choice(helper.make_graph(NEG.node, "t", [value("x", None)], NEG.output), ABS),
        r"node 'it' \(If\): subgraph 't' has 1 inputs, wanted 0",
    ),
    "unknown attribute beside subgraphs": (
        choice(NEG, ABS, much=1),
        r"node 'it' \(If\): If has no attribute 'much'",
    ),
    "missing subgraph": (
        nodes(helper.make_node("If", ["x"], ["y"], name="it", then_branch=NEG)),
        r"node 'it' \(If\): attribute 'else_branch' is missing",
    ),
    "body with too few inputs": (
        loop(shortened(BODY, "input"), "n", "", "x"),
        r"node 'it' \(Loop\): subgraph 'body' has 2 inputs, wanted 3",
    ),
    "body with too few outputs": (
        loop(shortened(BODY, "output"), "n", "", "x"),
        r"node 'it' \(Loop\): the body yields 0 of 1 states",
    ),
    "too many loop outputs": (
        loop(BODY, "n", "", "x", outputs=2),
        r"node 'it' \(Loop\): found 2 outputs, wanted 1",
    ),
    "scan without a count": (
        scan(SLICE),
        r"node 'it' \(Scan\): attribute 'num_scan_inputs' is missing",
    ),
    "scan of too many": (
        scan(SLICE, num_scan_inputs=2),
        r"node 'it' \(Scan\): found 2 scan inputs of 1 inputs",
    ),
    "scan axis out of range": (
        scan(SLICE, num_scan_inputs=1, scan_input_axes=[2]),
        r"node 'it' \(Scan\): scan axis 2 is not in tensor<2x3xf32>",
    ),
    "scan output axis out of range": (
        scan(SLICE, num_scan_inputs=1, scan_output_axes=[2]),
        r"node 'it' \(Scan\): scan axis 2 is not in a stack of tensor<3xf32>",
    ),
    "number of scan axes": (
        scan(SLICE, num_scan_inputs=1, scan_input_axes=[0, 1]),
        r"node 'it' \(Scan\): found 2 scan_input_axes, wanted 1",
    ),
    "number of scan output axes": (
        scan(SLICE, num_scan_inputs=1, scan_output_axes=[0, 1]),
        r"node 'it' \(Scan\): found 2 scan_output_axes, wanted 1",
    ),
    "number of scan directions": (
        scan(SLICE, num_scan_inputs=1, scan_input_directions=[0, 1]),
        r"node 'it' \(Scan\): found 2 scan_input_directions, wanted 1",
    ),
    "number of scan output directions": (
        scan(SLICE, num_scan_inputs=1, scan_output_directions=[0, 1]),
        r"node 'it' \(Scan\): found 2 scan_output_directions, wanted 1",
    ),
}


@pytest.mark.parametrize("what", IN_SUBGRAPHS)
def test_refusals_in_subgraphs(what: str) -> None:
    model, message = IN_SUBGRAPHS[what]
    with pytest.raises(ModelError, match=message) as caught:
        import_model(model)
    assert "\n" not in str(caught.value)


def nested(depth: int) -> onnx.ModelProto:
    """An If in an If …, built in place: copied, it could not be as deep."""
    model = choice(NEG, ABS)
    node = model.graph.node[0]
    for level in range(depth):
        graph = next(a.g for a in node.attribute if a.name == "then_branch")
        graph.ClearField("node")
        node = graph.node.add(op_type="If", input=["c"], output=[f"l{level}"])
        graph.output[0].name = f"l{level}"
        for name, inner in (("then_branch", NEG), ("else_branch", ABS)):
            made = node.attribute.add(name=name, type=onnx.AttributeProto.GRAPH)
            made.g.CopyFrom(inner)
    return model


def field(number: int, content: bytes) -> bytes:
    """A length-delimited field of protobuf's wire format."""
    length, size = bytearray(), len(content)
    while size >= 0x80:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([number << 3 | 2, *length, size]) + content


def nested_bytes(depth: int) -> bytes:
    """The same as a file, which onnx would not write."""
    graph = NEG.SerializeToString()
    kind = bytes([0xA0, 0x01, onnx.AttributeProto.GRAPH])
    otherwise = field(1, b"else_branch") + field(6, ABS.SerializeToString()) + kind
    for _ in range(depth):
        then = field(1, b"then_branch") + field(6, graph) + kind
        node = field(1, b"c") + field(2, b"l") + field(4, b"If")
        node += field(5, then) + field(5, otherwise)
        graph = field(1, node) + field(2, b"g") + field(12, field(1, b"l"))
    rest = choice(NEG, ABS)
    rest.graph.ClearField("node")
    rest.graph.output[0].name = "l"
    graph += rest.graph.SerializeToString()
    rest.ClearField("graph")
    return rest.SerializeToString() + field(7, graph)


def test_depth_of_subgraphs(assert_close: Any) -> None:
    compiled = compile_model(nested(15), backend="numpy", pipeline="O0")
    assert_close(compiled(np.array(True), X)[0], -X)
    with pytest.raises(ModelError, match=f"subgraphs nest deeper than {MAX_DEPTH}"):
        import_model(nested(MAX_DEPTH + 1))


def test_a_deep_file_is_refused_in_one_line(tmp_path: Any) -> None:
    # Protobuf itself stops at a hundred messages in one another.
    path = tmp_path / "deep.onnx"
    path.write_bytes(nested_bytes(5))
    assert compile_model(path, backend="numpy")(np.array(True), X)[0].shape == (2, 3)
    path.write_bytes(nested_bytes(60))
    with pytest.raises(ModelError) as caught:
        import_model(path)
    assert "\n" not in str(caught.value)


def test_import_is_linear_in_the_nodes() -> None:
    def seconds(count: int) -> float:
        names = ["x", *(f"t{i}" for i in range(count - 1)), "y"]
        chain = [helper.make_node("Neg", [a], [b]) for a, b in pairwise(names)]
        model = nodes(*chain)
        start = time.process_time()
        import_model(model)
        return time.process_time() - start

    seconds(10)
    assert seconds(2000) < 40 * seconds(200)
