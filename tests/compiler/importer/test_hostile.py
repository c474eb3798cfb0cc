"""
What a hostile file asks for is refused in one line, before any memory is given to it.

Each case is the smallest file that asks; `tests/fuzz` makes many more.
"""

import os
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from sardonyx.compiler import compile_model, import_model
from sardonyx.compiler.importer import MAX_DOC, ModelError
from sardonyx.compiler.importer.order import why_undefined
from sardonyx.dialects.errors import LONGEST, SardonyxError
from sardonyx.dialects.onnx.text import attr_text

INT64 = TensorProto.INT64


def model(
    *nodes: onnx.NodeProto,
    functions: Any = (),
    initializers: Any = (),
    shape: Any = (2,),
    output: str = "y",
) -> onnx.ModelProto:
    """A model of `nodes` on a float input x, its output's type not declared."""
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [onnx.ValueInfoProto(name=output)],
        initializers,
    )
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("own", 1)]
    return helper.make_model(
        graph, opset_imports=opsets, functions=functions, ir_version=10
    )


def node(op_type: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(
        op_type, inputs.split(), outputs.split(), name=outputs, **attributes
    )


def refusal(given: onnx.ModelProto | Path) -> str:
    """The line that refuses `given`."""
    with pytest.raises(ModelError) as caught:
        import_model(given)
    text = str(caught.value)
    assert len(text.splitlines()) == 1
    assert len(text) <= LONGEST
    return text


# --- order and names ---


def test_a_cycle() -> None:
    line = refusal(
        model(node("Add", "x b", "a"), node("Neg", "a", "b"), node("Neg", "b", "y"))
    )
    assert line.startswith(
        "node 'a' (Add): tensor 'b' is not defined before it is used"
    )
    assert line.endswith("it depends on itself: 'b' <- 'a' <- 'b'")


def test_a_node_that_reads_its_own_output() -> None:
    line = refusal(model(node("Add", "x y", "y")))
    assert line.endswith("it depends on itself: 'y' <- 'y'")


def test_a_long_cycle_is_not_told_whole() -> None:
    ring = [node("Neg", f"t{(i + 1) % 300}", f"t{i}") for i in range(300)]
    line = refusal(model(*ring, output="t0"))
    assert line.endswith("'t1' <- 't2' <- 't3' <- 't4' <- 't5' <- …")


def test_nodes_out_of_order() -> None:
    line = refusal(model(node("Neg", "a", "y"), node("Neg", "x", "a")))
    assert line.endswith("'a' is not defined before it is used: the node that gives it "
                         "comes later")  # fmt: skip
    body = helper.make_graph(
        [node("Neg", "late", "r")], "b", [], [onnx.ValueInfoProto(name="r")]
    )
    inner = node("If", "c", "y", then_branch=body, else_branch=body)
    line = refusal(model(node("IsNaN", "x", "c"), inner, node("Neg", "x", "late")))
    assert line.endswith("the node that gives it comes later")


def test_a_tensor_that_nothing_gives() -> None:
    assert refusal(model(node("Neg", "z", "y"))).endswith("nothing gives it")
    # What a function's caller has is not the function's.
    opsets = [helper.make_opsetid("", 21)]
    body = helper.make_function(
        "own", "f", ["p"], ["q"], [node("Neg", "late", "q")], opsets
    )
    call = node("f", "x", "y", domain="own")
    line = refusal(model(call, node("Neg", "x", "late"), functions=[body]))
    assert line.endswith("nothing gives it")


def test_a_cycle_among_many_paths_is_found_at_once() -> None:
    # 2 ** 200 paths lead from the first tensor to the last.
    rungs = [node("Add", f"t{i + 1} t{i + 1}", f"t{i}") for i in range(200)]
    bodies = [[*rungs, node("Neg", "t0", "t200")]]
    start = time.process_time()
    assert why_undefined("t0", bodies).startswith("it depends on itself: 't0' <- 't1'")
    assert time.process_time() - start < 1


def test_names_given_twice() -> None:
    value = numpy_helper.from_array(np.ones(2, np.float32), "w")
    cases = [
        (model(node("Neg", "x", "y"), node("Abs", "x", "y")), "tensor 'y'"),
        (model(node("Neg", "x", "y y")), "found 2 outputs"),
        (model(node("Neg", "x", "x")), "tensor 'x'"),
        (model(node("Neg", "w", "y"), initializers=[value, value]), "tensor 'w'"),
        (model(node("Neg", "x", "w"), initializers=[value]), "tensor 'w'"),
    ]
    for given, wanted in cases:
        line = refusal(given)
        assert wanted in line
        assert "twice" in line or "found 2" in line
    twice = model(node("Neg", "x", "y"))
    twice.graph.input.append(twice.graph.input[0])
    assert refusal(twice) == "input 'x' is defined twice"


def test_a_function_given_twice() -> None:
    body = helper.make_function(
        "own", "f", ["p"], ["q"], [node("Neg", "p", "q")], [helper.make_opsetid("", 21)]
    )
    call = node("f", "x", "y", domain="own")
    assert refusal(model(call, functions=[body, body])) == (
        "function 'f' is defined twice"
    )


@pytest.mark.parametrize("field", ["node", "tensor", "operator", "dimension", "graph"])
def test_a_name_of_100_megabytes(tmp_path: Path, field: str) -> None:
    name = "n" * 100_000_000
    given = model(node("Neg", "x", "y"))
    match field:
        case "node":
            given.graph.node[0].name = name
        case "tensor":
            given.graph.node[0].output[0] = name
        case "operator":
            given.graph.node[0].op_type = name
        case "graph":
            given.graph.name = name
        case _:
            kind = given.graph.input[0].type.tensor_type
            kind.shape.dim[0].dim_param = name
    line = refusal(given)
    assert "of 100000000 characters, wanted at most 65536: 'nnn" in line


def test_long_names_are_told_short() -> None:
    name = "n" * 60_000
    line = refusal(model(helper.make_node("Neg", [name], ["y"], name="a" + name)))
    assert line.startswith("node 'annn")
    assert line.endswith("nothing gives it")
    assert " … " in line


def test_the_beginning_of_a_long_doc_is_kept() -> None:
    given = model(node("Neg", "x", "y"))
    given.doc_string = "d" * 1_000_000
    doc = import_model(given).module.attributes["onnx.doc_string"]
    assert attr_text(doc) == "d" * MAX_DOC


# --- shapes ---


@pytest.mark.parametrize("sizes", [[1] * 65, [1] * 5000], ids=len)
def test_absurd_ranks_of_tensors(sizes: list[int]) -> None:
    tensor = TensorProto(name="w", data_type=1, dims=sizes, raw_data=bytes(4))
    line = refusal(model(node("Neg", "w", "y"), initializers=[tensor]))
    assert line.startswith("tensor 'w': shape [1, 1, ")
    assert line.endswith("is not possible")


@pytest.mark.parametrize(
    "sizes",
    [[-1], [1 << 62, 4], [1 << 32, 1 << 32], [(1 << 63) - 1], [0, 1 << 62, 1 << 62]],
    ids=str,
)
@pytest.mark.parametrize("external", [False, True])
def test_absurd_sizes_of_tensors(
    tmp_path: Path, sizes: list[int], external: bool
) -> None:
    tensor = TensorProto(name="w", data_type=1, dims=sizes)
    if external:
        (tmp_path / "w.bin").write_bytes(bytes(64))
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="w.bin")
    else:
        tensor.raw_data = bytes(64)
    path = tmp_path / "m.onnx"
    made = model(node("Neg", "w", "y"), initializers=[tensor])
    path.write_bytes(made.SerializeToString())
    assert refusal(path).startswith(f"{path}: tensor 'w': ")


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [([1] * 65, "rank 65, wanted at most 64"), ([1] * 9999, "rank 9999, wanted")],
    ids=["65", "9999"],
)
def test_absurd_ranks_of_inputs(shape: list[int], wanted: str) -> None:
    line = refusal(model(node("Neg", "x", "y"), shape=shape))
    assert line.startswith("input 'x': ")
    assert wanted in line


def test_ranks_up_to_64(assert_close: Any) -> None:
    given = model(node("Neg", "x", "y"), shape=[1] * 63 + [2])
    x = np.arange(2, dtype=np.float32).reshape([1] * 63 + [2])
    assert_close(compile_model(given, backend="numpy")(x)[0], -x)


def test_an_absurd_rank_in_the_graph() -> None:
    shape = numpy_helper.from_array(np.ones(100, np.int64), "s")
    line = refusal(model(node("Expand", "x s", "y"), initializers=[shape]))
    assert line == "node 'y' (Expand): found rank 100, wanted at most 64"


# --- what takes too much ---


def constant(name: str, *values: int) -> onnx.NodeProto:
    return helper.make_node("Constant", [], [name], value_ints=values)


def test_outputs_without_end() -> None:
    line = refusal(model(node("Split", "x", "y", num_outputs=1 << 52)))
    assert line == (
        "node 'y' (Split): found num_outputs 4503599627370496, wanted 1"
    )  # fmt: skip


def test_expressions_without_end() -> None:
    nodes = [node("Shape", "x", "s0"), constant("two", 2)]
    for i in range(60):
        nodes.append(node("Div", f"s{i} two", f"h{i}"))
        nodes.append(node("Max", f"s{i} h{i}", f"m{i}"))
        nodes.append(node("Min", f"m{i} h{i}", f"s{i + 1}"))
    nodes.append(node("ConstantOfShape", "s60", "y"))
    start = time.process_time()
    text = import_model(model(*nodes, shape=("n",))).text()
    assert time.process_time() - start < 3
    assert len(text) < 200_000


def test_constants_that_double() -> None:
    nodes = [constant("c0", 1, 2)]
    for i in range(60):
        nodes.append(node("Neg", f"c{i}", f"d{i}"))
        nodes.append(node("Concat", f"c{i} d{i}", f"c{i + 1}", axis=0))
    nodes.append(node("Identity", "c60", "y"))
    start, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF)
    compile_model(model(*nodes), backend="numpy")
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before.ru_maxrss
    assert time.process_time() - start < 3
    assert grown < 300 << 10


def test_calls_that_multiply() -> None:
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("own", 1)]
    functions = []
    for level in range(39):
        callee = {"op_type": f"f{level - 1}", "domain": "own"} if level else {
            "op_type": "Neg"
        }  # fmt: skip
        body = [
            helper.make_node(inputs=[a], outputs=[b], **callee)
            for a, b in (("p", "q"), ("q", "r"))
        ]
        functions.append(
            helper.make_function("own", f"f{level}", ["p"], ["r"], body, opsets)
        )
    start = time.process_time()
    line = refusal(model(node("f38", "x", "y", domain="own"), functions=functions))
    assert line == "more than 8192 nodes with functions inlined"
    assert time.process_time() - start < 5


def test_a_function_that_calls_itself() -> None:
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("own", 1)]
    functions = [
        helper.make_function(
            "own", one, ["p"], ["q"], [node(other, "p", "q", domain="own")], opsets
        )
        for one, other in (("f", "g"), ("g", "f"))
    ]
    line = refusal(model(node("f", "x", "y", domain="own"), functions=functions))
    assert line.endswith("(function f): the function calls itself")


def test_a_call_that_refers_to_an_attribute_outside_a_function() -> None:
    body = helper.make_function(
        "own",
        "f",
        ["p"],
        ["q"],
        [node("Neg", "p", "q")],
        [helper.make_opsetid("", 21)],
        ["alpha"],
    )
    call = node("f", "x", "y", domain="own")
    call.attribute.add(name="alpha", ref_attr_name="beta", type=1)
    assert refusal(model(call, functions=[body])) == (
        "node 'y' (function f): attribute 'alpha' refers to 'beta' outside a function"
    )


def test_a_pattern_that_matches_for_ever() -> None:
    words = helper.make_tensor("w", TensorProto.STRING, [1], [b"a" * 40])
    match = node("RegexFullMatch", "w", "y", pattern="(a*)*b")
    start = time.process_time()
    compile_model(model(match, initializers=[words]), backend="numpy")
    assert time.process_time() - start < 3


def test_padding_without_end() -> None:
    # One element comes out; between the two of the kernel lie 2 ** 40.
    x = numpy_helper.from_array(np.ones((1, 1, 1), np.float32), "i")
    w = numpy_helper.from_array(np.ones((1, 1, 2), np.float32), "w")
    far = 1 << 40
    conv = node("Conv", "i w", "y", dilations=[far], pads=[0, far])
    compile_model(model(conv, initializers=[x, w]), backend="numpy")


def test_an_equation_without_end() -> None:
    ones = numpy_helper.from_array(np.ones(64, np.float32), "w")
    letters = "abcdefghijkl"
    einsum = node("Einsum", " ".join("w" * 12), "y", equation=f"{','.join(letters)}->")
    start = time.process_time()
    compile_model(model(einsum, initializers=[ones]), backend="numpy")
    assert time.process_time() - start < 3


def test_an_empty_result_with_a_huge_axis() -> None:
    image = numpy_helper.from_array(np.ones((1, 1, 2, 2), np.float32), "i")
    sizes = numpy_helper.from_array(np.array([1, 1, 0, 1 << 41]), "s")
    resize = helper.make_node("Resize", ["i", "", "", "s"], ["y"], mode="linear")
    compile_model(model(resize, initializers=[image, sizes]), backend="numpy")


# --- depth ---


def field(number: int, content: bytes) -> bytes:
    """A length-delimited field of protobuf's wire format."""
    header = bytearray()
    for value in (number << 3 | 2, len(content)):
        while value >= 0x80:
            header.append(value & 0x7F | 0x80)
            value >>= 7
        header.append(value)
    return bytes(header) + content


@pytest.mark.parametrize("depth", [50, 200, 20_000])
def test_nested_graphs(tmp_path: Path, depth: int) -> None:
    # protobuf takes a hundred messages within each other; a graph in a graph is three.
    graph = b""
    for _ in range(depth):
        graph = field(1, field(5, field(6, graph)))
    path = tmp_path / "m.onnx"
    path.write_bytes(field(7, graph) + field(8, b"\x10\x15"))
    assert refusal(path).startswith(f"{path}: not an ONNX model, or truncated: ")


@pytest.mark.parametrize("depth", [60, 20_000])
def test_nested_types(tmp_path: Path, depth: int) -> None:
    kind = field(1, b"\x08\x01")
    for _ in range(depth):
        kind = field(4, field(1, kind))
    graph = field(11, field(1, b"x") + field(2, kind)) + field(12, field(1, b"x"))
    path = tmp_path / "m.onnx"
    path.write_bytes(field(7, graph) + field(8, b"\x10\x15"))
    assert refusal(path).startswith(f"{path}: not an ONNX model, or truncated: ")


# --- external data ---


@pytest.fixture(name="beside")
def beside_fixture(tmp_path: Path) -> Any:
    """``beside(location=…)``: the line that refuses a tensor that says so."""

    def refused(**entries: str) -> str:
        tensor = TensorProto(name="w", data_type=1, dims=[4])
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in entries.items():
            tensor.external_data.add(key=key, value=value)
        path = tmp_path / "m.onnx"
        made = model(node("Neg", "w", "y"), initializers=[tensor])
        path.write_bytes(made.SerializeToString())
        line = refusal(path)
        head = f"{path}: tensor 'w': "
        assert line.startswith(head)
        return line.removeprefix(head)

    return refused


@pytest.mark.parametrize("goal", ["/dev/zero", "/dev/stdin", "/proc/self/environ"])
def test_devices(tmp_path: Path, beside: Any, goal: str) -> None:
    assert beside(location=goal).endswith("leaves the model's folder")
    (tmp_path / "w.bin").symlink_to(goal)
    assert beside(location="w.bin").endswith("leaves the model's folder")


def test_what_is_no_file(tmp_path: Path, beside: Any) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder"):
        assert beside(location=name) == f"external data file {name!r} is missing"


def test_a_loop_of_links(tmp_path: Path, beside: Any) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    wanted = (
        "external data 'a' is a loop of links",
        "external data file 'a' is missing",
    )
    assert beside(location="a") in wanted


@pytest.mark.parametrize(
    "entries",
    [
        {"offset": str((1 << 64) - 16), "length": "16"},
        {"offset": "16"},
        {"offset": "0", "length": "17"},
        {"length": str(1 << 40)},
    ],
    ids=str,
)
def test_beyond_the_file(tmp_path: Path, beside: Any, entries: dict[str, str]) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(16))
    line = beside(location="w.bin", **entries)
    assert (
        "which has 16" in line or "is no offset" in line or line.startswith("0 bytes")
    )


# --- types ---


def test_an_operand_of_another_type() -> None:
    # onnx's inference does not look at what a Loop is given.
    body = helper.make_graph(
        [node("Identity", "k", "m"), node("Identity", "s", "t")],
        "b",
        [helper.make_tensor_value_info(n, 1, None) for n in ("i", "k", "s")],
        [onnx.ValueInfoProto(name=n) for n in ("m", "t")],
    )
    line = refusal(model(helper.make_node("Loop", ["x", "", "x"], ["y"], body=body)))
    assert line.startswith("node 'y' (Loop): operand 'M'")
    assert line.endswith("found tensor(float), wanted one of tensor(int64)")


def test_the_command_refuses_in_one_line(tmp_path: Path, sardonyx: Any) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(model(node("Add", "x y", "y")).SerializeToString())
    said = sardonyx("compile", path, "-o", tmp_path / "out")
    assert (said.code, said.out) == (2, "")
    assert len(said.err.splitlines()) == 1


def test_errors_are_short() -> None:
    assert str(SardonyxError("short")) == "short"
    long = str(SardonyxError("a" * 5000 + "b" * 5000))
    assert len(long) <= LONGEST
    assert long.startswith("aaa")
    assert long.endswith("bbb")
