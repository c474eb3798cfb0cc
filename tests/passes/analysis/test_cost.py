"""Costs: what is counted, what stays symbolic, what is said to be unknown."""

import math
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from sardonyx.compiler.importer import import_model
from sardonyx.dialects.onnx import Dim, OnnxOp
from sardonyx.dialects.onnx.integers import IntegerValues
from sardonyx.dialects.onnx.ops import OPS
from sardonyx.passes.analysis.cost import block_cost, op_cost, weights_of
from sardonyx.passes.analysis.flops import MOVES, RULES, UNKNOWN
from sardonyx.passes.analysis.storage import bytes_of, evaluated, total
from xdsl.dialects.builtin import NoneType
from xdsl.ir import Block, Operation

LIGHT = Path(find_spec("onnx").origin).parent / "backend" / "test" / "data" / "light"


def number(amount: Dim | None) -> int:
    assert amount is not None
    assert amount.constant is not None, str(amount)
    return amount.constant


def imported(proto: onnx.ModelProto) -> tuple[list[Operation], IntegerValues]:
    """The ops of a model's graph, in order, and what is known of its integers."""
    model = import_model(proto)
    return list(model.main.body.block.ops), IntegerValues(model.context.store)


# --- the tables ---


def test_every_operator_is_in_one_table() -> None:
    ours = {name for name in OPS if name.startswith("onnx.")}
    unknown = {f"onnx.{name}" for name in UNKNOWN}
    # Operators of other domains have rules where a cost model needs them.
    rules = {name for name in RULES if name.startswith("onnx.")}
    tables = (MOVES, rules, unknown)
    assert set.union(*map(set, tables)) == ours
    assert sum(map(len, tables)) == len(ours)


# --- bytes ---


@pytest.mark.parametrize("dtype", ["float32", "float16", "int64", "bool", "complex64"])
def test_bytes_are_numpy_s(typed: Any, dtype: str) -> None:
    wanted = np.zeros((3, 5), dtype).nbytes
    assert number(bytes_of(typed(dtype, 3, 5))) == wanted


@pytest.mark.parametrize("dtype", ["int4", "uint2", "float6_e2m3fn"])
@pytest.mark.parametrize("count", [1, 7, 8])
def test_narrow_elements_are_packed(typed: Any, dtype: str, count: int) -> None:
    bits = {"int4": 4, "uint2": 2, "float6_e2m3fn": 6}[dtype]
    assert number(bytes_of(typed(dtype, count))) == math.ceil(count * bits / 8)
    symbolic = bytes_of(typed(dtype, "n"))
    assert symbolic is not None
    assert evaluated(symbolic, {"n": count}) == math.ceil(count * bits / 8)


def test_a_type_that_does_not_say_its_size_has_no_bytes(typed: Any) -> None:
    assert bytes_of(typed("string", 2)) is None
    assert bytes_of(typed("float32", 2, None)) is None


def test_a_total_takes_more_terms_than_a_sum() -> None:
    names = [f"d{n}" for n in range(100)]
    found = total([Dim.of(name) for name in names] * 2)
    assert evaluated(found, dict.fromkeys(names, 1)) == 200
    assert evaluated(found, {}) is None
    small = [Dim.parse("n*m + 2"), Dim.parse("m - 2"), Dim.of(3)]
    assert total(small) == small[0] + small[1] + small[2]


def test_an_operand_that_is_used_twice_is_read_once(op_of: Any) -> None:
    op = op_of("Neg", (3, 4))
    twice = OPS["onnx.Mul"].create(
        operands=[op.operands[0]] * 2, result_types=op.result_types
    )
    assert number(op_cost(twice).bytes_read) == 48


def test_views_and_questions_of_shape_move_nothing(op_of: Any) -> None:
    view = op_cost(op_of("Reshape", (3, 4), np.array([4, 3])))
    assert (number(view.bytes_read), number(view.bytes_written)) == (0, 0)
    shape = op_cost(op_of("Shape", (3, 4)))
    assert (number(shape.bytes_read), number(shape.bytes_written)) == (0, 16)
    quiet = op_cost(op_of("Dropout", (3, 4)))
    assert (number(quiet.flops), number(quiet.bytes_read)) == (0, 0)


def test_gather_reads_what_it_picks(op_of: Any, typed: Any) -> None:
    cost = op_cost(op_of("Gather", (1000, 8), typed("int64", 3)))
    assert number(cost.bytes_read) == 3 * 8 * 4 + 3 * 8
    assert number(cost.bytes_written) == 3 * 8 * 4


# --- flops by hand ---


def test_quantized_products(op_of: Any, typed: Any) -> None:
    zero = np.zeros((), np.uint8)
    operands = (typed("uint8", 3, 4), typed("uint8", 4, 5), zero, zero)
    found = op_cost(op_of("MatMulInteger", *operands))
    assert number(found.flops) == 2 * 3 * 4 * 5 + 12 + 20
    scale = np.ones((), np.float32)
    a, b = operands[:2]
    found = op_cost(op_of("QLinearMatMul", a, scale, zero, b, scale, zero, scale, zero))
    assert number(found.flops) == 2 * 3 * 4 * 5 + 12 + 20 + 5 * 15


def test_transposed_convolution_is_that_of_the_convolution(op_of: Any) -> None:
    # Its adjoint, without a stride that drops products, takes as many.
    forward = op_cost(op_of("Conv", (2, 4, 9, 9), (6, 2, 3, 3), group=2))
    back = op_cost(op_of("ConvTranspose", (2, 6, 7, 7), (6, 2, 3, 3), group=2))
    assert number(forward.flops) == number(back.flops)


def test_einsum_of_three_contracts_from_the_left(op_of: Any) -> None:
    op = op_of("Einsum", (2, 3), (3, 4), (4, 5), equation="ij,jk,kl->il")
    assert number(op_cost(op).flops) == 2 * 2 * 3 * 4 + 2 * 2 * 4 * 5
    dotted = op_of("Einsum", (7, 2, 3), (1, 3, 4), equation="...ij,...jk")
    assert number(op_cost(dotted).flops) == 7 * 2 * 2 * 3 * 4


def test_attention_with_grouped_heads_and_a_past(op_of: Any) -> None:
    shapes = [(2, 4, 24), (2, 3, 12), (2, 3, 12), None, (2, 2, 5, 6), (2, 2, 5, 6)]
    op = op_of("Attention", *shapes, outputs=3, q_num_heads=4, kv_num_heads=2)
    scores, queries = 2 * 4 * 4 * 8, 2 * 4 * 4
    wanted = scores * (2 * 6 + 2 * 6 + 1 + 4) - 2 * queries
    assert number(op_cost(op).flops) == wanted


def test_fourier_transform(op_of: Any) -> None:
    op = op_of("DFT", (3, 16, 2), None, np.array(1))
    assert number(op_cost(op).flops) == 3 * 5 * 16 * 4


# --- symbols, and what is not known ---


def test_amounts_stay_symbolic(op_of: Any) -> None:
    op = op_of("MatMul", ("batch", "seq", 8), (8, 5))
    fixed = op_of("MatMul", (3, 7, 8), (8, 5))
    sizes = {"batch": 3, "seq": 7}
    assert str(op_cost(op).flops) == "80*batch*seq"
    for one, other in zip(op_cost(op).amounts, op_cost(fixed).amounts, strict=True):
        assert one is not None
        assert evaluated(one, sizes) == number(other)


def test_what_is_not_known_is_none(op_of: Any, typed: Any) -> None:
    random = op_cost(op_of("RandomUniform", shape=(2, 3)))
    assert (random.flops, number(random.bytes_written)) == (None, 24)
    sizeless = op_cost(op_of("Relu", (2, None)))
    assert (sizeless.flops, sizeless.bytes_read, sizeless.parameters) == (None, None, 0)
    texts = op_cost(op_of("StringConcat", *[typed("string", 2)] * 2))
    assert (number(texts.flops), texts.bytes_read) == (0, None)
    assert op_cost(op_of("TopK", ("n",), np.array([1]), outputs=2)).flops is None


MISFITS: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "Gemm": (((3,), (4,), None), {}),
    "Softmax": (((),), {"axis": 7}),
    "MatMul": (((), (3,)), {}),
    "Einsum": (((), (3,)), {"equation": "ij,jk->zz"}),
    "LSTM": (((1, 1, 1), (10**12, 4, 1), (10**12, 4, 1)), {"hidden_size": 1}),
    "Attention": (((1, 2, 4), (1, 2, 4), (1, 2, 4)), {}),
}


@pytest.mark.parametrize("name", MISFITS)
def test_operands_that_do_not_fit_have_no_known_work(typed: Any, name: str) -> None:
    shapes, attributes = MISFITS[name]
    kinds = [NoneType() if s is None else typed("float32", *s) for s in shapes]
    made = OPS[f"onnx.{name}"]
    fixed = len(made.get_irdl_definition().operands)
    kinds += [NoneType()] * (fixed - len(kinds) if name != "Einsum" else 0)
    results = len(made.get_irdl_definition().results)
    op = made(
        *Block(arg_types=kinds).args,
        result_types=[typed("float32", 3)] * results,
        **attributes,
    )
    assert op_cost(op).flops is None


def test_parameters_in_attributes_are_not_known(value_info: Any) -> None:
    node = helper.make_node(
        "LinearRegressor",
        ["x"],
        ["y"],
        domain="ai.onnx.ml",
        coefficients=[1.0, 2.0],
        intercepts=[0.0],
    )
    graph = helper.make_graph([node], "g", [value_info("x", [1, 2])], [])
    graph.output.append(value_info("y", [1, 1]))
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("ai.onnx.ml", 1)]
    ops, _ = imported(helper.make_model(graph, opset_imports=opsets))
    assert op_cost(ops[0]).parameters is None


# --- parameters ---


def test_parameters_are_elements_of_weights(op_of: Any) -> None:
    weight, bias = np.zeros((6, 2, 3, 3), np.float32), np.zeros(6, np.float32)
    assert op_cost(op_of("Conv", (1, 2, 5, 5), weight, bias)).parameters == 114
    narrow = np.zeros((5, 2), ml_dtypes.int4)
    dequantized = op_of("DequantizeLinear", narrow, np.ones((), np.float32))
    assert op_cost(dequantized).parameters == 10
    # Neither a shape, nor a scalar.
    assert op_cost(op_of("Reshape", (3, 4), np.array([4, 3]))).parameters == 0
    assert op_cost(op_of("Mul", (3, 4), np.array(2, np.float32))).parameters == 0


def test_a_shared_weight_counts_once(
    model_of: Any, value_info: Any, tensor_proto: Any
) -> None:
    for count in (3, 30):  # in the text, and in the store
        nodes = [
            helper.make_node("Mul", ["x", "w"], ["y"]),
            helper.make_node("Add", ["y", "w"], ["z"]),
        ]
        weights = [tensor_proto("w", np.ones(count, np.float32))]
        infos = [[value_info(name, [count])] for name in "xz"]
        ops, integers = imported(model_of(nodes, *infos, weights))
        assert [sum(weights_of(op).values()) for op in ops[-3:]] == [count, count, 0]
        block = ops[0].parent
        assert block is not None
        assert block_cost(block, integers).parameters == count


def resnet50_products() -> int:
    """The multiply-adds of ResNet-50 (He et al. 2015, table 1), strides in the 3x3."""
    products = 64 * 3 * 49 * 112 * 112
    size, channels = 56, 64
    for blocks, width, first in ((3, 64, 1), (4, 128, 2), (6, 256, 2), (3, 512, 2)):
        for block in range(blocks):
            out = size // (1 if block else first)
            products += channels * width * size**2 + 9 * width * width * out**2
            products += width * 4 * width * out**2
            if not block:
                products += channels * 4 * width * out**2
            size, channels = out, 4 * width
    return products + 2048 * 1000


def zeros_for_fills(proto: onnx.ModelProto) -> None:
    """Make weights of the nodes that fill the shipped classifiers' weights."""
    shapes = {t.name: onnx.numpy_helper.to_array(t) for t in proto.graph.initializer}
    kept = []
    for node in proto.graph.node:
        if node.op_type != "ConstantOfShape":
            kept.append(node)
            continue
        shape = shapes[node.input[0]].tolist()
        content = bytes(4 * math.prod(shape))
        proto.graph.initializer.add(
            name=node.output[0],
            dims=shape,
            data_type=TensorProto.FLOAT,
            raw_data=content,
        )
    del proto.graph.node[:]
    proto.graph.node.extend(kept)


def test_resnet50_is_as_published() -> None:
    proto = onnx.load(LIGHT / "light_resnet50.onnx")
    zeros_for_fills(proto)
    ops, integers = imported(proto)
    kinds = {op: op.name.partition(".")[2] for op in ops}
    products = [op_cost(op) for op, kind in kinds.items() if kind in ("Conv", "Gemm")]
    biases = 1000
    assert sum(number(c.flops) for c in products) == 2 * resnet50_products() + biases
    block = ops[0].parent
    assert block is not None
    norms = [op for op, kind in kinds.items() if kind == "BatchNormalization"]
    statistics = sum(2 * number(total([_channels(op)])) for op in norms)
    # torchvision's resnet50 has 25 557 032, which leaves out the statistics.
    assert block_cost(block, integers).parameters == 25_557_032 + statistics


def _channels(op: Operation) -> Dim:
    found = bytes_of(op.operands[1].type)
    assert found is not None
    return found // Dim.of(4)


def test_as_many_bytes_as_onnx_infers() -> None:
    proto = onnx.load(LIGHT / "light_squeezenet.onnx")
    inferred = onnx.shape_inference.infer_shapes(proto).graph
    sizes = {
        info.name: 4 * math.prod(d.dim_value for d in info.type.tensor_type.shape.dim)
        for info in (*inferred.value_info, *inferred.output)
    }
    wanted = sum(sizes[n.output[0]] for n in proto.graph.node if n.op_type == "Conv")
    ops, _ = imported(proto)
    convs = [op_cost(op) for op in ops if op.name == "onnx.Conv"]
    assert len(convs) == 26
    assert sum(number(c.bytes_written) for c in convs) == wanted


# --- regions ---


def branch(name: str, nodes: list[onnx.NodeProto]) -> onnx.GraphProto:
    out = helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)
    return helper.make_graph(nodes, name, [], [out])


def test_an_if_costs_the_larger_branch(model_of: Any, value_info: Any) -> None:
    small = branch("small", [helper.make_node("Neg", ["x"], ["a"])])
    large = branch("large", [helper.make_node("Gemm", ["x", "x"], ["b"])])
    node = helper.make_node("If", ["c"], ["y"], then_branch=small, else_branch=large)
    inputs = [value_info("c", [], "BOOL"), value_info("x", ["n", "n"])]
    ops, _ = imported(model_of([node], inputs, [value_info("y", None)]))
    found = op_cost(ops[0]).flops
    assert found is not None
    assert evaluated(found, {"n": 5}) == 2 * 5**3


LOOPS = {
    "counted": ("five", "yes", "Identity", "go", "30"),
    "without a condition": ("five", "", "Identity", "go", "30"),
    "symbolic": ("rows", "yes", "Identity", "go", "6*n"),
    "while": ("", "yes", "Identity", "go", None),
    "ended by its body": ("five", "yes", "Not", "go", None),
    "perhaps not begun": ("five", "maybe", "Identity", "go", None),
}


@pytest.mark.parametrize("case", LOOPS)
def test_a_loop_costs_its_trips(
    model_of: Any, value_info: Any, tensor_proto: Any, case: str
) -> None:
    trips, condition, source, named, wanted = LOOPS[case]
    state = value_info("held", [2, 3])
    body = helper.make_graph(
        [
            helper.make_node(source, [named], ["on"]),
            helper.make_node("Add", ["held", "held"], ["next"]),
        ],
        "body",
        [value_info("i", [], "INT64"), value_info("go", [], "BOOL"), state],
        [value_info("on", [], "BOOL"), value_info("next", [2, 3])],
    )
    nodes = [
        helper.make_node("Shape", ["t"], ["shape"]),
        helper.make_node("Squeeze", ["shape"], ["rows"]),
        helper.make_node("Loop", [trips, condition, "x"], ["y"], body=body),
    ]
    inputs = [value_info("x", [2, 3]), value_info("t", ["n"])]
    inputs.append(value_info("maybe", [], "BOOL"))
    weights = [tensor_proto("five", np.array(5)), tensor_proto("yes", np.array(True))]
    model = model_of(nodes, inputs, [value_info("y", [2, 3])], weights)
    ops, integers = imported(model)
    loop = next(op for op in ops if op.name == "onnx.Loop")
    assert isinstance(loop, OnnxOp)
    cost = op_cost(loop, integers)
    assert (None if cost.flops is None else str(cost.flops)) == wanted
    assert (cost.bytes_read is None) == (wanted is None)


def test_a_scan_costs_its_slices(model_of: Any, value_info: Any) -> None:
    body = helper.make_graph(
        [
            helper.make_node("Add", ["held", "one"], ["next"]),
            helper.make_node("Exp", ["next"], ["out"]),
        ],
        "body",
        [value_info("held", [3]), value_info("one", [3])],
        [value_info("next", [3]), value_info("out", [3])],
    )
    node = helper.make_node(
        "Scan",
        ["start", "xs"],
        ["end", "ys"],
        body=body,
        num_scan_inputs=1,
        scan_input_axes=[1],
    )
    inputs = [value_info("start", [3]), value_info("xs", [3, "t"])]
    outputs = [value_info("end", [3]), value_info("ys", ["t", 3])]
    ops, _ = imported(model_of([node], inputs, outputs))
    cost = op_cost(ops[0])
    assert (str(cost.flops), str(cost.transcendentals)) == ("3*t", "3*t")
    assert str(cost.bytes_read) == f"{12 * 3}*t"
