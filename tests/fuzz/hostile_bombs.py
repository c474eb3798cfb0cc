"""
Small files that ask for too much: memory, time, depth.

Each bomb draws its sizes from a generator of random numbers and returns a serialized
model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

import onnx
from onnx import TensorProto, helper

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64

_SIZES = (3, 17, 300, 4096, 65536, 1 << 20, 1 << 24, 1 << 31, 1 << 40, 1 << 52, 1 << 62)
_DEPTHS = (1, 5, 18, 21, 39, 41, 60, 90, 101, 300, 2000)
_COUNTS = (3, 10, 20, 30, 60)


def model(
    nodes: Sequence[onnx.NodeProto],
    functions: Sequence[onnx.FunctionProto] = (),
    outputs: Sequence[str] = ("y",),
    opset: int = 21,
    shape: Sequence[int | str] = (2,),
) -> onnx.ModelProto:
    """A model of `nodes` on one float input x; its outputs have no declared type."""
    given = [helper.make_tensor_value_info("x", FLOAT, shape)]
    given.append(helper.make_tensor_value_info("n", INT64, ()))
    results = [onnx.ValueInfoProto(name=name) for name in outputs]
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("own", 1)]
    graph = helper.make_graph(nodes, "g", given, results)
    return helper.make_model(
        graph, functions=functions, opset_imports=opsets, ir_version=10
    )


def constant(name: str, values: float | Sequence[int | float]) -> onnx.NodeProto:
    """A Constant of int64 or float32, a vector or a scalar."""
    listed = isinstance(values, Sequence)
    first = values[0] if isinstance(values, Sequence) and values else values
    kind = "value_float" if isinstance(first, float) else "value_int"
    node = helper.make_node("Constant", [], [name])
    attribute = helper.make_attribute(
        kind + "s" * listed,
        list(values) if isinstance(values, Sequence) else values,
        attr_type=None if not listed or values else onnx.AttributeProto.INTS,
    )
    node.attribute.append(attribute)
    return node


# --- sizes ---

_ASKING = (
    ("ConstantOfShape", ("big",), {}),
    ("ConstantOfShape", ("bigs",), {}),
    ("ConstantOfShape", ("rank",), {}),
    ("Range", ("zero", "large", "one"), {}),
    ("Range", ("large", "zero", "minus"), {}),
    ("Expand", ("x", "bigs"), {}),
    ("Expand", ("two", "big"), {}),
    ("Expand", ("x", "rank"), {}),
    ("Tile", ("two", "big"), {}),
    ("Tile", ("x", "big"), {}),
    ("Pad", ("two", "both"), {}),
    ("Pad", ("x", "both"), {"mode": "edge"}),
    ("Pad", ("x", "both"), {"mode": "wrap"}),
    ("Reshape", ("x", "bigs"), {}),
    ("Reshape", ("two", "rank"), {}),
    ("Reshape", ("x", "rank"), {"allowzero": 1}),
    ("OneHot", ("two", "large", "two"), {}),
    ("OneHot", ("two", "big", "floats"), {}),
    ("Resize", ("image", "", "scales"), {}),
    ("Resize", ("image", "", "", "sizes"), {"mode": "linear"}),
    ("Resize", ("image", "", "", "sizes"), {"mode": "cubic", "antialias": 1}),
    ("Upsample", ("image", "scales"), {}),
    ("HannWindow", ("large",), {}),
    ("BlackmanWindow", ("large",), {"periodic": 0}),
    ("MelWeightMatrix", ("large", "large", "large", "floats", "floats"), {}),
    ("DFT", ("signal", "large"), {}),
    ("STFT", ("signal", "one", "", "large"), {}),
    ("EyeLike", ("square",), {}),
    ("Trilu", ("square", "large"), {}),
    ("TopK", ("x", "big"), {"outputs": 2}),
    ("Split", ("x",), {"num_outputs": "large"}),
    ("Split", ("x", "bigs"), {"outputs": 2}),
    ("SplitToSequence", ("two", "large"), {}),
    ("Unsqueeze", ("x", "bigs"), {}),
    ("Squeeze", ("x", "bigs"), {}),
    ("Gather", ("x", "bigs"), {}),
    ("Gather", ("two", "grid"), {}),
    ("GatherND", ("square", "grid"), {}),
    ("Slice", ("x", "bigs", "bigs", "bigs", "bigs"), {}),
    ("CenterCropPad", ("two", "big"), {}),
    ("Col2Im", ("image", "bigs", "bigs"), {}),
    ("CumSum", ("square", "large"), {}),
    ("ReduceSum", ("square", "bigs"), {}),
    ("MaxPool", ("image",), {"kernel_shape": "bigs"}),
    ("MaxPool", ("image",), {"kernel_shape": [2, 2], "pads": "pads"}),
    ("AveragePool", ("image",), {"kernel_shape": [1, 1], "pads": "pads"}),
    ("LpPool", ("image",), {"kernel_shape": "bigs", "pads": "pads"}),
    ("Conv", ("image", "image"), {"pads": "pads"}),
    ("Conv", ("image", "image"), {"dilations": "bigs"}),
    ("Conv", ("image", "image"), {"group": "large"}),
    ("ConvTranspose", ("image", "image"), {"strides": "bigs"}),
    ("ConvTranspose", ("image", "image"), {"output_shape": "bigs"}),
    ("MaxUnpool", ("image", "indices", "sizes"), {"kernel_shape": [1, 1]}),
    ("DepthToSpace", ("image",), {"blocksize": "large"}),
    ("SpaceToDepth", ("image",), {"blocksize": "large"}),
    ("Transpose", ("x",), {"perm": "bigs"}),
    ("Concat", ("x", "two"), {"axis": "large"}),
    ("Flatten", ("x",), {"axis": "large"}),
    ("Softmax", ("x",), {"axis": "large"}),
    ("Shape", ("x",), {"start": "large", "end": "large"}),
    ("LRN", ("image",), {"size": "large"}),
    ("RandomNormal", (), {"shape": "bigs"}),
    ("RandomUniform", (), {"shape": "bigs"}),
    ("Multinomial", ("square",), {"sample_size": "large"}),
    ("BitShift", ("two", "bigs"), {"direction": "LEFT"}),
    ("Pow", ("two", "bigs"), {}),
    ("Mod", ("two", "zero"), {}),
    ("Div", ("two", "zero"), {}),
    ("Mul", ("bigs", "bigs"), {}),
    ("Cast", ("bigs",), {"to": "large"}),
    ("Cast", ("bigs",), {"to": 3}),
    ("RoiAlign", ("image", "square", "two"), {"output_height": "large"}),
    ("GridSample", ("image", "image"), {}),
    ("LSTM", ("signal", "signal", "signal"), {"hidden_size": "large"}),
    ("NonMaxSuppression", ("signal", "signal", "large"), {}),
    ("Einsum", ("square", "square"), {"equation": "ab,cd->abcdefgh"}),
    ("Einsum", ("square", "square"), {"equation": "a" * 3000 + "," + "b" * 60}),
    ("Einsum", ("x", "x"), {"equation": "...,...->" + "." * 90}),
    ("Einsum", ("square",) * 40, {"equation": ",".join(["ab"] * 40)}),
    ("Compress", ("square", "mask"), {"axis": "large"}),
    ("ReverseSequence", ("square", "bigs"), {}),
    ("ScatterElements", ("two", "bigs", "two"), {}),
    ("ScatterND", ("square", "grid", "square"), {}),
    ("Loop", ("large", "mask"), {}),
    ("GroupNormalization", ("image", "floats", "floats"), {"num_groups": "large"}),
    ("Attention", ("signal",) * 3, {"q_num_heads": "large", "kv_num_heads": 1}),
    ("QuantizeLinear", ("square", "floats"), {"axis": "large", "block_size": "large"}),
    ("Celu", ("x",), {"alpha": "infinite"}),
    ("Gemm", ("square", "square"), {"alpha": "infinite"}),
    ("ImageDecoder", ("two",), {}),
    ("StringSplit", ("words",), {"maxsplit": "large"}),
    ("RegexFullMatch", ("words",), {"pattern": "(a*)*b"}),
)
"""An operator, its inputs, and the attributes that are not its defaults."""


def asking(rng: Random) -> bytes:
    """One or two operators on absurd sizes."""
    large = rng.choice(_SIZES) * rng.choice((1, 1, 1, -1))
    bigs = [rng.choice((*_SIZES, 0, -1, 1, 2)) for _ in range(rng.choice((1, 2, 2, 4)))]
    values: dict[str, int | float | Sequence[int | float]] = {
        "zero": 0,
        "one": 1,
        "minus": -1,
        "large": large,
        "big": [large],
        "bigs": bigs,
        "both": [rng.choice((0, large)), large],
        "rank": [rng.choice((1, 2))] * rng.choice((9, 33, 65, 200, 5000)),
        "two": [1, 2],
        "floats": [1.0, 2.0],
        "scales": [1.0, 1.0, float(rng.choice(_SIZES)), rng.choice((1e30, 0.0, -2.0))],
        "sizes": [1, 1, large, rng.choice((1, large))],
    }
    numbers = {"large": large, "bigs": bigs, "infinite": float("inf")}
    numbers["pads"] = [rng.choice((0, large)) for _ in range(4)]
    nodes = [constant(name, value) for name, value in values.items()]
    nodes += _inputs()
    outputs: list[str] = []
    for place in range(rng.choice((1, 1, 2))):
        operator, operands, given = rng.choice(_ASKING)
        known = [f"{name}" for name in operands]
        if outputs and known:
            known[rng.randrange(len(known))] = outputs[0]
        attributes = {
            name: numbers[value]
            if isinstance(value, str) and value in numbers
            else value
            for name, value in given.items()
        }
        count = int(attributes.pop("outputs", 1))
        made = [f"y{place}_{i}" for i in range(count)]
        nodes.append(helper.make_node(operator, known, made, **attributes))
        outputs += made
    opset = 9 if any(node.op_type == "Upsample" for node in nodes) else 23
    return model(nodes, outputs=outputs, opset=opset).SerializeToString()


def _inputs() -> list[onnx.NodeProto]:
    held = {
        "image": (FLOAT, [1, 1, 3, 3], [float(i) for i in range(9)]),
        "indices": (INT64, [1, 1, 3, 3], [1 << 40] * 9),
        "signal": (FLOAT, [1, 4, 1], [1.0, 2.0, 3.0, 4.0]),
        "square": (FLOAT, [2, 2], [1.0, 2.0, 3.0, 4.0]),
        "grid": (INT64, [2, 2], [0, 1, 1, 0]),
        "mask": (TensorProto.BOOL, [], [True]),
        "words": (TensorProto.STRING, [1], [b"a" * 40]),
    }
    made = [
        helper.make_node(
            "Constant", [], [name], value=helper.make_tensor(name, kind, shape, content)
        )
        for name, (kind, shape, content) in held.items()
    ]
    return made


def doubling(rng: Random) -> bytes:
    """A constant that every node doubles: ``c = Concat(c, c)``, forty times."""
    operator = rng.choice(("Concat", "Expand", "Tile", "Add", "Gather", "Pad", "Where"))
    count = rng.choice(_COUNTS)
    nodes = [
        constant("c0", [1, 2]),
        constant("twice", [2]),
        constant("more", [0, 2]),
        constant("rows", [[0, 1]][0]),
    ]
    inputs = {
        "Concat": lambda i: [f"c{i}", f"c{i}"],
        "Expand": lambda i: [f"c{i}", f"s{i}"],
        "Tile": lambda i: [f"c{i}", "twice"],
        "Add": lambda i: [f"r{i}", f"c{i}"],
        "Gather": lambda i: [f"c{i}", f"g{i}"],
        "Pad": lambda i: [f"c{i}", "more"],
        "Where": lambda i: [f"b{i}", f"c{i}", f"r{i}"],
    }[operator]
    for i in range(count):
        nodes += _steps(operator, i)
        keys = {"axis": 0} if operator == "Concat" else {}
        nodes.append(helper.make_node(operator, inputs(i), [f"c{i + 1}"], **keys))
        if operator in ("Add", "Where"):
            nodes.append(constant(f"flat{i}", [-1]))
            nodes[-2].output[0] = f"d{i}"
            last = helper.make_node("Reshape", [f"d{i}", f"flat{i}"], [f"c{i + 1}"])
            nodes.append(last)
    nodes.append(helper.make_node("Cast", [f"c{count}"], ["y"], to=FLOAT))
    return model(nodes).SerializeToString()


def _steps(operator: str, i: int) -> list[onnx.NodeProto]:
    """What the `i`-th doubling needs beside the last result."""
    make = helper.make_node
    if operator == "Expand":
        return [
            make("Size", [f"c{i}"], [f"n{i}"]),
            make("Unsqueeze", [f"n{i}", "axis"], [f"m{i}"]),
            make("Concat", ["twice", f"m{i}"], [f"s{i}"], axis=0),
        ]
    if operator == "Gather":
        return [make("Concat", [f"c{i}", f"c{i}"], [f"g{i}"], axis=0)]
    if operator in ("Add", "Where"):
        steps = [make("Unsqueeze", [f"c{i}", "twice"], [f"r{i}"])]
        steps[0].input[1] = f"one{i}"
        steps.insert(0, constant(f"one{i}", [1]))
        return [*steps, make("Cast", [f"c{i}"], [f"b{i}"], to=TensorProto.BOOL)]
    return []


def expressions(rng: Random) -> bytes:
    """Symbolic sizes whose expressions grow with every node."""
    make = helper.make_node
    nodes = [make("Shape", ["x"], ["s0"]), constant("k", [rng.choice((2, 3, 1 << 40))])]
    operator = rng.choice(("Add", "Mul", "Sub", "Max", "Min", "Div", "Mod", "mixed"))
    for i in range(rng.choice(_COUNTS)):
        kind = operator
        if operator == "mixed":
            kind = rng.choice(("Add", "Mul", "Max", "Min", "Div", "Mod"))
        other = rng.choice((f"s{i}", "k", "s0", f"h{i}"))
        nodes.append(make("Div", [f"s{i}", "k"], [f"h{i}"]))
        pair = [f"s{i}", other]
        rng.shuffle(pair)
        nodes.append(make(kind, pair, [f"s{i + 1}"]))
        last = f"s{i + 1}"
    nodes.append(make(rng.choice(("ConstantOfShape", "Identity")), [last], ["y"]))
    if rng.random() < 0.3:
        nodes.append(make("Expand", ["x", last], ["z"]))
    named = rng.choice(("seq", "a + b*c", "max(a, b)", "a*a - 3"))
    return model(
        nodes, shape=(named, "other")[: rng.choice((1, 2))]
    ).SerializeToString()


def dimensions(rng: Random) -> bytes:
    """Inputs and declared tensors of absurd ranks and sizes."""
    made = model([helper.make_node("Neg", ["x"], ["y"])])
    rank = rng.choice((0, 1, 9, 32, 33, 64, 65, 1000, 20000))
    info = rng.choice(("input", "output", "value"))
    goal = made.graph.input[0]
    if info != "input":
        goal = made.graph.output[0] if info == "output" else made.graph.value_info.add()
        goal.name = "y"
    goal.type.tensor_type.elem_type = FLOAT
    goal.type.tensor_type.shape.ClearField("dim")
    texts = ("a", "a*b", "a+1", "0", "-1", "a//0", "a%a", "max(a,b)", "(a", "((a))")
    deep = (
        "(" * 300 + "a" + ")" * 300,
        "max(a, " * 30 + "b" + ")" * 30,
        "a*" * 99 + "a",
    )
    sums = ("*".join(["(a+b+c+d)"] * 19), "+".join(f"s{i}" for i in range(99)))
    powers = ("9" * 400, "*".join(["(a+b)"] * 60), "-" * 90 + "a", "a" * 100000)
    for _ in range(rank):
        dim = goal.type.tensor_type.shape.dim.add()
        if rng.random() < 0.5:
            dim.dim_value = rng.choice((0, 1, 2, -1, 1 << 31, 1 << 62, -(1 << 63)))
        elif rank < 10:
            dim.dim_param = rng.choice((*texts, *deep, *sums, *powers))
    return made.SerializeToString()


def tensors(rng: Random) -> bytes:
    """An initializer whose shape, element type and content do not fit."""
    made = model([helper.make_node("Identity", ["w"], ["y"])])
    tensor = made.graph.initializer.add(name="w", data_type=rng.randrange(-1, 30))
    sizes = (0, 0, 1, 2, 3, 16, 1 << 31, 1 << 32, 1 << 40, 1 << 62, -1)
    tensor.dims.extend(rng.choice(sizes) for _ in range(rng.choice((0, 1, 2, 3, 65))))
    if rng.random() < 0.3:
        tensor.dims[:] = [1] * rng.choice((32, 33, 63, 64, 65, 5000))
    for _ in range(rng.choice((0, 1, 1, 2))):
        match rng.choice(("raw", "raw", "int32", "int64", "float", "string", "uint64")):
            case "raw":
                tensor.raw_data = bytes(rng.choice((0, 1, 4, 8, 64, 1024, 5000)))
            case "string":
                texts = (b"", b"a", b"\xff", b"\0", b"x" * 9999)
                tensor.string_data.extend([rng.choice(texts)] * rng.choice((1, 3, 500)))
            case kind:
                number = rng.choice((0, 1, 3, 255))
                items = getattr(tensor, f"{kind}_data")
                items.extend([number] * rng.choice((1, 2, 3, 16)))
    return made.SerializeToString()


# --- depth and number ---


def _varint(number: int) -> bytes:
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*out, number))


def _within(number: int, content: bytes) -> bytes:
    """`content` as the message in field `number`."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _model_with(graph: bytes) -> bytes:
    opset = _within(8, _within(1, b"") + b"\x10\x15")
    return b"\x08\x0a" + _within(7, graph) + opset


def nested_graphs(rng: Random) -> bytes:
    """If in If in If; protobuf itself ends it near a hundred messages."""
    make = helper.make_node
    graph = helper.make_graph(
        [make("Neg", ["x"], ["r"])], "g", [], [onnx.ValueInfoProto(name="r")]
    ).SerializeToString()
    end = _within(2, b"g") + _within(12, _within(1, b"r"))
    other = rng.choice((graph, b""))
    for _ in range(rng.choice(_DEPTHS)):
        branches = [
            _within(5, _within(1, name) + b"\xa0\x01\x05" + _within(6, body))
            for name, body in ((b"then_branch", graph), (b"else_branch", other))
        ]
        node = _within(1, b"c") + _within(2, b"r") + _within(4, b"If")
        graph = _within(1, node + b"".join(branches)) + end
    first = make("IsNaN", ["x"], ["c"]).SerializeToString()
    info = helper.make_tensor_value_info("x", FLOAT, ()).SerializeToString()
    return _model_with(_within(1, first) + _within(11, info) + graph)


def nested_loops(rng: Random) -> bytes:
    """Loops within each other whose states change their types from turn to turn."""
    depth = rng.choice((1, 2, 4, 7, 10, 13))
    grow = rng.choice((True, True, False))
    inner = [helper.make_node("Concat", ["s0", "s0"], ["r0"], axis=0)]
    if not grow:
        inner = [helper.make_node("Neg", ["s0"], ["r0"])]
    for level in range(depth):
        given = [
            helper.make_tensor_value_info(f"i{level}", INT64, ()),
            helper.make_tensor_value_info(f"k{level}", TensorProto.BOOL, ()),
            helper.make_tensor_value_info(f"s{level}", FLOAT, None),
        ]
        results = [onnx.ValueInfoProto(name=f"k{level}")]
        results.append(onnx.ValueInfoProto(name=f"r{level}"))
        body = helper.make_graph(inner, f"b{level}", given, results)
        source = "x" if level == depth - 1 else f"s{level + 1}"
        loop = helper.make_node("Loop", ["n", "", source], [f"r{level + 1}"], body=body)
        inner = [loop]
    return model([*inner], outputs=[f"r{depth}"]).SerializeToString()


def nested_types(rng: Random) -> bytes:
    """A sequence of sequences of …, optional or not."""
    kind = _within(1, b"\x08\x01")
    number = rng.choice((4, 9))
    for _ in range(rng.choice(_DEPTHS)):
        kind = _within(number, _within(1, kind))
    info = _within(1, b"x") + _within(2, kind)
    node = _within(1, b"x") + _within(2, b"y") + _within(4, b"Identity")
    results = _within(12, _within(1, b"y"))
    return _model_with(_within(1, node) + _within(11, info) + results)


def nested_groups(rng: Random) -> bytes:
    """Fields that no schema has, as deep as it goes."""
    depth = rng.choice((10, 90, 101, 10000))
    made = model([helper.make_node("Neg", ["x"], ["y"])]).SerializeToString()
    if rng.random() < 0.5:
        return made + b"\xa3\x06" * depth + b"\xa4\x06" * depth
    inner = b""
    for _ in range(min(depth, 2000)):
        inner = _within(100, inner)
    return made + inner


def calls(rng: Random) -> bytes:
    """Functions that call each other twice, or themselves."""
    depth, width = rng.choice(_DEPTHS[:-1]), rng.choice((1, 2, 2, 10))
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("own", 1)]
    functions = []
    for level in range(depth):
        callee = f"f{level - 1}" if level else rng.choice(("f0", f"f{depth - 1}", ""))
        kind = {"domain": "own"} if callee else {}
        nodes = [
            helper.make_node(callee or "Neg", [f"t{i}"], [f"t{i + 1}"], **kind)
            for i in range(width)
        ]
        functions.append(
            helper.make_function(
                "own", f"f{level}", ["t0"], [f"t{width}"], nodes, opsets
            )
        )
    last = helper.make_node(f"f{depth - 1}", ["x"], ["y"], domain="own")
    return model([last], functions).SerializeToString()


def many(rng: Random) -> bytes:
    """Very many nodes, names, inputs, attributes, opsets, or entries of a list."""
    make = helper.make_node
    made = model([make("Neg", ["x"], ["y"])])
    count = rng.choice((100, 1000, 2000))
    match rng.choice(
        ("nodes", "inputs", "outputs", "opsets", "values", "ints", "props")
    ):
        case "nodes":
            made.graph.node.extend(
                make("Neg", [f"a{i - 1}" if i else "x"], [f"a{i}"])
                for i in range(count)
            )
        case "inputs":
            made.graph.node.append(make("Sum", ["x"] * count, ["z"]))
        case "outputs":
            made.graph.node.append(
                make("Split", ["x"], [f"z{i}" for i in range(count)])
            )
        case "opsets":
            for i in range(count * 10):
                made.opset_import.add(domain=f"d{i}", version=1)
        case "values":
            for i in range(count * 10):
                made.graph.value_info.add(
                    name=f"v{i % 7}"
                ).type.tensor_type.elem_type = 1
        case "ints":
            perm = [rng.choice((0, 0, 1 << 40))] * count * 100
            made.graph.node.append(make("Transpose", ["x"], ["z"], perm=perm))
        case _:
            for i in range(count * 10):
                made.metadata_props.add(key=f"k{i % 7}", value="v")
    return made.SerializeToString()


def names(rng: Random) -> bytes:
    """One very long name, or a text of anything."""
    text = rng.choice(("a", "é", "\n", '"', "\\", "/", "a_", "_", "9", "\0", "🪨"))
    text *= rng.choice((1, 100, 70_000, 1_000_000))
    made = model([helper.make_node("Neg", ["x"], ["y"], name="node")])
    node = made.graph.node[0]
    match rng.choice(
        ("node", "tensor", "op", "domain", "graph", "doc", "input", "dim")
    ):
        case "node":
            node.name = text
        case "tensor":
            node.output[0] = made.graph.output[0].name = text
        case "op":
            node.op_type = text
        case "domain":
            node.domain = text
        case "graph":
            made.graph.name = text
        case "doc":
            made.doc_string = text
        case "input":
            node.input[0] = text
        case _:
            shape = made.graph.input[0].type.tensor_type.shape
            shape.dim[0].dim_param = text
    return made.SerializeToString()


BOMBS: Sequence[Callable[[Random], bytes]] = (
    *[asking] * 8,
    *[doubling] * 2,
    *[expressions] * 3,
    *[dimensions] * 3,
    *[tensors] * 3,
    nested_graphs,
    nested_loops,
    nested_types,
    nested_groups,
    calls,
    many,
    names,
)
