"""Graphs as nodes: names, types, constants and bodies are what the model has."""

import json
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from sardonyx.compiler.exporter import ExportError, to_proto
from sardonyx.compiler.importer import import_model
from sardonyx.compiler.pipelines import run_pipeline
from sardonyx.compiler.text import parse_text
from sardonyx.dialects.onnx.provenance import PROVENANCE

X = np.random.default_rng(0).standard_normal((2, 3)).astype(np.float32)


def names(entries: Any) -> list[str]:
    return [entry.name for entry in entries]


# --- names ---


def test_names_are_kept(
    mlp_proto: onnx.ModelProto, round_trip: Any, same_outputs: Any
) -> None:
    proto = round_trip(mlp_proto)
    ours, theirs = proto.graph, mlp_proto.graph
    assert ours.name == theirs.name
    for field in ("node", "input", "output", "initializer"):
        assert names(getattr(ours, field)) == names(getattr(theirs, field))
    for a, b in zip(ours.node, theirs.node, strict=True):
        assert (a.op_type, a.input, a.output) == (b.op_type, b.input, b.output)
    assert not any(node.metadata_props for node in ours.node)
    same_outputs(proto, mlp_proto, {"x": np.ones((2, 8), np.float32)})


RETURNED = {
    "an input": ("float[2,3] y", "y = Identity(x)", "Identity"),
    "an input twice": (
        "float[2,3] y, float[2,3] z",
        "y = Identity(x) z = Identity(x)",
        "Identity Identity",
    ),
    "a value twice": (
        "float[2,3] y, float[2,3] z",
        "y = Neg(x) z = Identity(y)",
        "Neg Identity",
    ),
    "a constant": (
        "float[2] y, float[2,3] z",
        "k = Constant <value_floats = [1.0, 2.0]> () y = Identity(k) z = Neg(x)",
        "Constant Neg",
    ),
    "a constant twice": (
        "float[2] y, float[2] z",
        "y = Constant <value_floats = [1.0, 2.0]> () z = Identity(y)",
        "Constant Identity",
    ),
}


@pytest.mark.parametrize("returned", RETURNED)
def test_what_is_returned(
    returned: str, program: Any, exported: Any, same_outputs: Any, flow_of: Any
) -> None:
    outputs, body, wanted = RETURNED[returned]
    model = program(f"g (float[2,3] x) => ({outputs}) {{ {body} }}")
    imported = import_model(model)
    run_pipeline(imported, "remove-identities")
    proto = exported(imported)
    assert sorted(n.op_type for n in proto.graph.node) == sorted(wanted.split())
    assert names(proto.graph.output) == names(model.graph.output)
    assert flow_of(import_model(proto)) == flow_of(imported)
    same_outputs(proto, model, {"x": X})


def test_a_large_constant_is_returned(
    model_of: Any, value_info: Any, tensor_proto: Any, round_trip: Any
) -> None:
    array = np.arange(40, dtype=np.float32)
    outputs = [value_info("w", [40])]
    proto = round_trip(model_of([], [], outputs, [tensor_proto("w", array)]))
    assert names(proto.graph.initializer) == ["w"]
    assert not proto.graph.node


def test_one_weight_is_one_initializer(exported: Any, evaluate: Any) -> None:
    # Two constants of one tensor, of which both are outputs.
    held = '"onnx.Constant"() <{value = #onnx.weight<"w">}> : () -> tensor<20xf32>'
    proto = import_model(
        helper.make_model(
            helper.make_graph(
                [],
                "g",
                [],
                [helper.make_tensor_value_info("w", TensorProto.FLOAT, [20])],
                [numpy_helper.from_array(np.arange(20, dtype=np.float32), "w")],
            )
        )
    )
    from sardonyx.compiler.model import Model
    from xdsl.parser import Parser

    text = f"""
    func.func @main() -> (tensor<20xf32> {{onnx.name = "y"}},
                          tensor<20xf32> {{onnx.name = "z"}}, tensor<20xf32>) {{
      %a = {held}
      %b = {held}
      %c = "onnx.Neg"(%b) : (tensor<20xf32>) -> tensor<20xf32>
      func.return %a, %b, %c : tensor<20xf32>, tensor<20xf32>, tensor<20xf32>
    }}"""
    module = Parser(proto.context, text).parse_module()
    found = exported(Model(module, proto.context))
    assert names(found.graph.initializer) == ["y"]
    assert names(found.graph.output) == ["y", "z", "output2"]
    y, z, minus = evaluate(found, {})
    assert y.tolist() == z.tolist() == (-minus).tolist() == list(range(20))


def test_weights_of_one_name_stay_apart(
    program: Any, round_trip: Any, same_outputs: Any
) -> None:
    """Those of two branches, which become initializers of the main graph."""
    values = [", ".join(str(float(n + k)) for n in range(20)) for k in (0, 100)]
    branch = "float[20] r) <float[20] w = {{{}}}> {{ r = Add(x, w) }}"
    model = program(
        f"""g (bool c, float[20] x) => (float[20] y) {{
          y = If (c) <
            then_branch = t () => ({branch.format(values[0])},
            else_branch = e () => ({branch.format(values[1])}>
        }}"""
    )
    proto = round_trip(model)
    assert sorted(names(proto.graph.initializer)) == ["w", "w.1"]
    for c in (True, False):
        same_outputs(proto, model, {"c": np.array(c), "x": np.ones(20, np.float32)})


HOSTILE = (
    "a\nb",
    'q"uo"te',
    "back\\slash",
    "'); import os",
    "é\x00",
    " ",
    "n" * 5000,
    "y.identity",
    "node",
    "x.1",
)


def test_hostile_names(model_of: Any, value_info: Any, round_trip: Any) -> None:
    last, nodes = "in", []
    for text in HOSTILE:
        nodes.append(helper.make_node("Neg", [last], [text], name=text, doc_string="d"))
        last = text
    model = model_of(nodes, [value_info("in", [2])], [value_info(last, [2])])
    proto = round_trip(model)
    assert tuple(names(proto.graph.node)) == HOSTILE
    assert [node.output[0] for node in proto.graph.node] == list(HOSTILE)


@pytest.mark.parametrize("what", ["onnx.name", "onnx.graph_name", "onnx.doc_string"])
def test_a_name_that_is_no_text_is_refused(what: str, tmp_path: Any) -> None:
    """The IR keeps bytes that are not UTF-8; a file's names cannot."""
    said = {"onnx.name": "x", "onnx.graph_name": "g", "onnx.doc_string": "d"}
    said[what] = r"a\\udc80"
    module = ", ".join(f'{k} = "{v}"' for k, v in said.items() if k != "onnx.name")
    name = said["onnx.name"]
    text = f"""builtin.module attributes {{{module}}} {{
      func.func @main(%x: tensor<2xf32> {{onnx.name = "{name}"}}) -> tensor<2xf32> {{
        func.return %x : tensor<2xf32>
      }}
    }}"""
    with pytest.raises(ExportError, match=r"utf-8.*udc80.*surrogates"):
        to_proto(parse_text(text, tmp_path / "x.mlir"))


@pytest.mark.parametrize(
    ("arguments", "results", "wanted"),
    [
        (("a", "a"), ("y", "z"), "found input 'a' twice"),
        (("", "b"), ("y", "z"), "found input '' twice, or without name"),
        (("a", "b"), ("y", "y"), "output 'y': found two values of that name"),
        (("a", "b"), ("a", "z"), "output 'a': found two values of that name"),
    ],
)
def test_names_that_clash_are_refused(
    arguments: Any, results: Any, wanted: str, tmp_path: Any
) -> None:
    a, b = (f'tensor<2xf32> {{onnx.name = "{name}"}}' for name in arguments)
    y, z = (f'tensor<2xf32> {{onnx.name = "{name}"}}' for name in results)
    text = f"""func.func @main(%a: {a}, %b: {b}) -> ({y}, {z}) {{
      %y = "onnx.Neg"(%a) : (tensor<2xf32>) -> tensor<2xf32>
      %z = "onnx.Neg"(%b) : (tensor<2xf32>) -> tensor<2xf32>
      func.return %y, %z : tensor<2xf32>, tensor<2xf32>
    }}"""
    with pytest.raises(ExportError, match=wanted):
        to_proto(parse_text(text, tmp_path / "x.mlir"))


def test_values_without_names_get_some(exported: Any, tmp_path: Any) -> None:
    text = """func.func @main(%0: tensor<2xf32>) -> tensor<2xf32> {
      %1 = "onnx.Neg"(%0) : (tensor<2xf32>) -> tensor<2xf32> loc(""(""))
      %2 = "onnx.Neg"(%1) : (tensor<2xf32>) -> tensor<2xf32> loc("n"(""))
      %3 = "onnx.Neg"(%2) : (tensor<2xf32>) -> tensor<2xf32>
      func.return %3 : tensor<2xf32>
    }"""
    proto = exported(parse_text(text, tmp_path / "x.mlir"))
    tensors = [node.output[0] for node in proto.graph.node]
    assert all(tensors)
    assert len({*tensors}) == 3


def test_what_is_no_op_of_onnx_is_refused(tmp_path: Any) -> None:
    text = """func.func @main(%x: tensor<2xf32>) -> tensor<2xf32> {
      %y = "arith.negf"(%x) : (tensor<2xf32>) -> tensor<2xf32> loc("mine")
      func.return %y : tensor<2xf32>
    }"""
    with pytest.raises(ExportError, match=r"node 'mine' \(negf\): ONNX has no such op"):
        to_proto(parse_text(text, tmp_path / "x.mlir"))


# --- nodes ---


def test_absent_inputs_and_outputs(
    program: Any, round_trip: Any, same_outputs: Any
) -> None:
    model = program(
        """g (float[4,1,2] x, float[1,12,2] w, float[1,12,3] r, float[1,1,3] h)
             => (float[4,1,1,3] y, float[1,1,3] last) {
          y, , last = LSTM <hidden_size = 3> (x, w, r, , , h)
        }"""
    )
    node = round_trip(model).graph.node[0]
    assert list(node.input) == ["x", "w", "r", "", "", "h"]
    assert list(node.output) == ["y", "", "last"]
    rng = np.random.default_rng(1)
    shapes = {"x": (4, 1, 2), "w": (1, 12, 2), "r": (1, 12, 3), "h": (1, 1, 3)}
    inputs = {k: rng.standard_normal(s).astype(np.float32) for k, s in shapes.items()}
    same_outputs(round_trip(model), model, inputs)


def test_absent_ends_are_left_out(program: Any, round_trip: Any) -> None:
    model = program("g (float[2] x, float l) => (float[2] y) { y = Clip(x, l, ) }")
    assert list(round_trip(model).graph.node[0].input) == ["x", "l"]


def test_programs(case: Any, round_trip: Any, evaluate: Any) -> None:
    """If, Loop, Scan and SequenceMap, their bodies seeing values from around them."""
    model = case.model()
    proto = round_trip(model)
    for number, inputs in enumerate(case.inputs):
        found = evaluate(proto, inputs)
        if found is None:
            assert case.wanted, "ONNX Runtime or the evaluator runs it"
            continue
        wanted = case.wanted[number] if case.wanted else evaluate(model, inputs)
        for a, b in zip(found, wanted, strict=True):
            assert np.array_equal(a, b, equal_nan=True)


def test_an_export_of_an_export_is_the_same(case: Any, round_trip: Any) -> None:
    once = round_trip(case.model())
    again = round_trip(once)
    assert once.SerializeToString() == again.SerializeToString()


def test_a_body_gives_what_is_not_its_own(
    program: Any, exported: Any, same_outputs: Any
) -> None:
    """Its argument, a value from around it, and one of its own twice."""
    model = program(
        """g (int64 n, float[2] x, float[2] w)
             => (float[2] y, float[2] z, float[m,2] s) {
          y, z, s = Loop (n, , x, w) <
            body = b (int64 k, bool go, float[2] p, float[2] q)
              => (bool more, float[2] t, float[2] u, float[2] v) {
              more = Identity(go) t = Identity(w) u = Add(p, q) v = Identity(u)
            }>
        }"""
    )
    imported = import_model(model)
    run_pipeline(imported, "remove-identities")
    proto = exported(imported)
    body = proto.graph.node[0].attribute[0].g
    given = {name for node in body.node for name in node.output}
    assert len({*names(body.output)}) == 4
    assert {*names(body.output)} <= given
    x = np.array([1, 2], np.float32)
    for n in (0, 1, 3):
        same_outputs(proto, model, {"n": np.array(n), "x": x, "w": 10 * x})


# --- types and constants ---


@pytest.mark.parametrize(
    "text",
    [
        "(seq(float[n]) q, int64 i) => (float[n] y) { y = SequenceAt(q, i) }",
        """(optional(float[2]) o) => (bool y, float[2] z) {
          y = OptionalHasElement(o) z = OptionalGetElement(o)
        }""",
        "(optional(seq(float[2])) o) => (bool y) { y = OptionalHasElement(o) }",
        "(string[2] s) => (string[2] y) { y = StringNormalizer (s) }",
        """(float[batch,past,4] a, float[batch,seq,4] b) => (float[batch,t,4] y) {
          c = Concat <axis = 1> (a, b) y = Neg(c)
        }""",
        """() => (string[2] y) {
          y = Constant <value = string[2] {"a", "b"}> ()
        }""",
    ],
)
def test_types(text: str, program: Any, round_trip: Any) -> None:
    model = program(f"g {text}", 24)
    graph = round_trip(model).graph
    assert [i.type for i in graph.input] == [i.type for i in model.graph.input]


def test_symbolic_sizes_are_kept(program: Any, exported: Any) -> None:
    model = program(
        """g (float[batch,past,4] a, float[batch,seq,4] b) => (float[batch,t,4] y) {
          c = Concat <axis = 1> (a, b) y = Neg(c)
        }"""
    )
    graph = exported(import_model(model)).graph
    infos = {i.name: i for i in (*graph.input, *graph.value_info, *graph.output)}
    dims = {
        name: [d.dim_param or d.dim_value for d in info.type.tensor_type.shape.dim]
        for name, info in infos.items()
    }
    assert dims["a"] == ["batch", "past", 4]
    assert dims["c"] == ["batch", "past + seq", 4]
    assert dims["y"][0] == "batch"


STORED = [
    *(ml_dtypes.int4, ml_dtypes.uint4, ml_dtypes.int2, ml_dtypes.uint2),
    *(ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2, ml_dtypes.float8_e8m0fnu),
    *(ml_dtypes.float4_e2m1fn, ml_dtypes.bfloat16, np.float16, np.complex64),
    *(np.bool_, np.uint64, np.float64),
]


@pytest.mark.parametrize("count", [3, 4, 41])
@pytest.mark.parametrize("kind", STORED, ids=lambda kind: np.dtype(kind).name)
@pytest.mark.parametrize("where", ["initializer", "node"])
def test_constants_are_exact(kind: Any, count: int, where: str, exported: Any) -> None:
    dtype = np.dtype(kind)
    wide = np.random.default_rng(3).integers(0, 2, count)
    array = wide.astype(np.float32).astype(dtype)
    tensor = numpy_helper.from_array(array, "w")
    output = helper.make_tensor_value_info("w", tensor.data_type, [count])
    node = helper.make_node("Constant", [], ["w"], "c", value=tensor)
    inside = where == "initializer"
    graph = helper.make_graph(
        [] if inside else [node], "g", [], [output], [tensor] if inside else []
    )
    model = helper.make_model(graph)
    found = exported(import_model(model)).graph
    held = [*found.initializer, *(n.attribute[0].t for n in found.node)]
    assert len(held) == 1
    assert held[0].data_type == tensor.data_type
    assert numpy_helper.to_array(held[0]).tobytes() == array.tobytes()
    small = where == "node" and count <= 16
    assert bool(found.node) == small


def test_strings_are_exact(model_of: Any, value_info: Any, round_trip: Any) -> None:
    texts = [b"", b"a\nb", b"\xff\xfe", "é".encode()] * 10
    tensor = TensorProto(name="s", data_type=TensorProto.STRING, dims=[40])
    tensor.string_data.extend(texts)
    graph = round_trip(
        model_of([], [], [value_info("s", [40], "STRING")], [tensor])
    ).graph
    assert list(graph.initializer[0].string_data) == texts


# --- what the file says of itself and of its nodes ---


def test_what_a_model_says_of_itself(mlp_proto: Any, round_trip: Any) -> None:
    mlp_proto.producer_name, mlp_proto.producer_version = "some\none", "1"
    mlp_proto.doc_string = 'long "doc"\n'
    helper.set_model_props(mlp_proto, {"key": "value", "": "é\n"})
    proto = round_trip(mlp_proto)
    for field in ("producer_name", "producer_version", "doc_string", "metadata_props"):
        assert getattr(proto, field) == getattr(mlp_proto, field)


def test_a_nameless_producer_is_us(pair_proto: Any, exported: Any) -> None:
    assert exported(import_model(pair_proto)).producer_name == "sardonyx"


def provenance(node: onnx.NodeProto) -> Any:
    (entry,) = node.metadata_props
    assert entry.key == PROVENANCE
    return json.loads(entry.value)


def test_origins_of_upgraded_nodes(program: Any, round_trip: Any) -> None:
    model = program(
        "g (float[2,3,4] x) => (float[2,3,4] y) { [soft] y = Softmax(x) }", 7
    )
    nodes = round_trip(model).graph.node
    assert len(nodes) > 1
    said = [provenance(n) if n.metadata_props else [[n.name, ["y"]]] for n in nodes]
    assert {part[0] for parts in said for part in parts} == {"soft"}


def test_origins_of_fused_nodes(exported: Any, flow_of: Any) -> None:
    rng = np.random.default_rng(0)
    arrays = {
        "w": rng.standard_normal((3, 3, 3, 3)),
        **{name: rng.uniform(0.5, 1, 3) for name in ("s", "b", "m", "v")},
    }
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], "conv"),
        helper.make_node(
            "BatchNormalization", ["c", "s", "b", "m", "v"], ["y"], "norm"
        ),
    ]
    weights = [
        numpy_helper.from_array(a.astype(np.float32), n) for n, a in arrays.items()
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3, 6, 6])],
        weights,
    )
    imported = import_model(helper.make_model(graph, ir_version=10))
    run_pipeline(imported, "fold-batch-norm")
    proto = exported(imported)
    (node,) = proto.graph.node
    assert provenance(node) == [["conv", ["c"]], ["norm", ["y"]]]
    assert (node.name, list(node.output)) == ("norm", ["y"])
    assert flow_of(import_model(proto)) == flow_of(imported)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[1]", "[[]]", '[["a"]]', "[[1, []]]", "[" * 9000, '[["\\ud800", []]]'],
    ids=range(8),
)
def test_origins_that_are_none_are_not_believed(
    text: str, pair_proto: Any, flow_of: Any
) -> None:
    plain = flow_of(import_model(pair_proto))
    pair_proto.graph.node[0].metadata_props.add(key=PROVENANCE, value=text)
    assert flow_of(import_model(pair_proto)) == plain


@pytest.mark.parametrize(
    ("domain", "op_type"), [("ai.onnx.ml", "Binarizer"), ("com.microsoft", "Gelu")]
)
def test_domains_are_kept(
    domain: str, op_type: str, round_trip: Any, same_outputs: Any
) -> None:
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node(op_type, ["x"], ["y"], "it", domain=domain)],
        "g",
        [info("x", TensorProto.FLOAT, [2, 3])],
        [info("y", TensorProto.FLOAT, [2, 3])],
    )
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid(domain, 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    proto = round_trip(model)
    assert proto.graph.node[0].domain == domain
    assert domain in {entry.domain for entry in proto.opset_import}
    same_outputs(proto, model, {"x": X})
