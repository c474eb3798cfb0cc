"""Blocks of convolutions that run some rows at a time, beside ONNX Runtime."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx.parser
import onnxruntime
import pytest
from onnx import numpy_helper
from sardonyx.backends.numpy import TABLE
from sardonyx.backends.numpy.depth_first import runs_by_rows
from sardonyx.compiler.context import make_context
from sardonyx.compiler.driver import compile_model, load
from sardonyx.compiler.exporter import to_proto
from sardonyx.compiler.pipelines import run_pipeline
from sardonyx.dialects.fusion import EITHER_IN_PLACE, ELEMENTWISE, RegionOp
from sardonyx.dialects.onnx.journal import Journal
from sardonyx.passes.analysis.targets import SHIPPED
from sardonyx.passes.fusion import depth_first
from sardonyx.passes.fusion.depth_first import DepthFirstPass
from xdsl.parser import Parser

SMALL = "depth-first{cache_bytes=1 tile_bytes=40000}"
"""Tiles of few rows, in images that would not be worth it."""


@pytest.fixture(name="free_calls")
def free_calls_fixture(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the estimate of calls keeps small images from tiles."""
    monkeypatch.setattr(depth_first, "CALL_SECONDS", 0.0)


def model_of(text: str) -> tuple[Any, dict[str, Any]]:
    """A model whose inputs called w0, w1 … are random constants, and other inputs."""
    proto = onnx.parser.parse_model(f'<ir_version: 9, opset_import: ["": 18]> {text}')
    rng, inputs = np.random.default_rng(3), {}
    for value in list(proto.graph.input):
        shape = [d.dim_value or 2 for d in value.type.tensor_type.shape.dim]
        array = rng.standard_normal(shape).astype(np.float32)
        if value.name[0] == "w":
            proto.graph.initializer.append(numpy_helper.from_array(array, value.name))
            proto.graph.input.remove(value)
        else:
            inputs[value.name] = array
    return proto, inputs


def in_onnxruntime(proto: Any, inputs: dict[str, Any]) -> Any:
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, inputs)[0]


def block(body: str, size: str = "1,6,37,30", more: str = "") -> str:
    """
    A graph of an image `x`; `w0` makes 12 maps of its 6, `w1` is by channel, `w2` back.
    """
    weights = "float[12,6,1,1] w0, float[12,1,3,3] w1, float[6,12,1,1] w2, float[6] w3"
    given = f"float[{size}] x, {weights}{more}"
    return f"t ({given}) => (float[n,c,h,v] z) {{ {body} }}"


UNIT = (
    "a = Conv(x, w0) b = Relu(a)"
    "c = Conv<group = 12, pads = [1, 1, 1, 1]>(b, w1) d = HardSwish(c)"
    "e = Conv(d, w2, w3)"
)

BLOCKS = {
    "residual": block(f"{UNIT} z = Add(e, x)"),
    "residual, and more": block(f"{UNIT} f = Add(x, e) z = Relu(f)"),
    "two images": block(f"{UNIT} z = Add(e, x)", "2,6,37,30"),
    "strides, a pad on one side": block(
        "a = Conv(x, w0) b = Relu(a)"
        "c = Conv<group = 12, strides = [2, 2], pads = [0, 1, 1, 0]>(b, w1)"
        "z = Conv(c, w2, w3)"
    ),
    "dilations and no pads": block(
        "a = Conv(x, w0) c = Conv<group = 12, dilations = [3, 2]>(a, w1)"
        "z = Conv(c, w2, w3)"
    ),
    "windows on windows": block(
        "a = Conv<pads = [1, 0, 1, 0]>(x, w4) b = LeakyRelu(a)"
        'c = Conv<auto_pad = "SAME_LOWER", strides = [2, 1]>(b, w5) d = Tanh(c)'
        "z = Conv<pads = [2, 1, 2, 1]>(d, w6)",
        more=", float[5,6,3,2] w4, float[7,5,4,3] w5, float[3,7,5,3] w6",
    ),
    "others of fewer sizes": block(
        "a = Conv(x, w0) b = Mul(a, w4) c = Add(b, w5) d = Mul(p, c)"
        "z = Conv<pads = [1, 1, 1, 1]>(d, w6)",
        more=", float[12,1,1] w4, float[37,30] w5, float[1,1,37,1] p"
        ", float[2,12,3,3] w6",
    ),
    "over the second operand": block(
        "a = Conv(x, w0) b = Sub(w4, a) d = Max(p, b) e = Clip(d, low, high)"
        "z = Conv<pads = [1, 1, 1, 1]>(e, w6)",
        more=", float[12,1,1] w4, float[1,1,37,1] p, float low, float high"
        ", float[2,12,3,3] w6",
    ),
}


@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.usefixtures("free_calls")
def test_a_block_by_rows(name: str, assert_close: Any) -> None:
    proto, inputs = model_of(BLOCKS[name])
    wanted = in_onnxruntime(proto, inputs)
    spec = f"O2,assign-layout,cse,{SMALL},fuse-regions,plan-memory"
    made = compile_model(proto, "numpy", spec)
    (region,) = [op for op in made.model.main.walk() if by_rows(op)]
    assert sum(op.name == "nhwc.Conv" for op in region.ops) >= 2
    assert f"for first in range(0, {region.outputs[0].type.get_shape()[1]}, " in (
        made.source
    )
    for _ in range(2):
        (found,) = made(**inputs)
        assert_close(found, wanted, factor=4, what=name)


def by_rows(op: Any) -> bool:
    return isinstance(op, RegionOp) and op.rows is not None


@pytest.mark.usefixtures("free_calls")
@pytest.mark.parametrize("rows", [1, 3, 8, 37])
def test_any_number_of_rows_gives_the_same(rows: int, assert_close: Any) -> None:
    proto, inputs = model_of(BLOCKS["windows on windows"])
    model = load(proto)
    run_pipeline(model, f"O2,assign-layout,cse,{SMALL}")
    (region,) = [op for op in model.main.walk() if by_rows(op)]
    kind = region.attributes["fusion.rows"].type
    region.attributes["fusion.rows"] = type(region.attributes["fusion.rows"])(
        rows, kind
    )
    (found,) = compile_model(model, "numpy", "plan-memory")(**inputs)
    assert_close(found, in_onnxruntime(proto, inputs), factor=4)


@pytest.mark.usefixtures("free_calls")
def test_it_is_plain_convolutions_elsewhere(assert_close: Any) -> None:
    proto, inputs = model_of(BLOCKS["residual"])
    wanted = in_onnxruntime(proto, inputs)
    model = load(proto)
    run_pipeline(model, f"O2,assign-layout,cse,{SMALL}")
    assert any(map(by_rows, model.main.walk()))
    (found,) = compile_model(model, "jax", "cse")(**inputs)
    assert_close(np.asarray(found), wanted, factor=4)
    assert_close(in_onnxruntime(to_proto(model), inputs), wanted, factor=4)


def test_what_is_between_is_never_there_as_a_whole() -> None:
    text = (
        "t (float[1,8,256,256] x, float[96,8,1,1] w0, float[8,96,1,1] w1)"
        "=> (float[n,c,h,v] z) { a = Conv(x, w0) b = Relu(a) c = Conv(b, w1)"
        "d = Add(c, x) z = Relu(d) }"
    )
    proto, _ = model_of(text)
    made = compile_model(proto, "numpy")
    assert any(map(by_rows, made.model.main.walk())), "-O2 has the pass"
    between = 4 * 96 * 256 * 256
    rooms = re.findall(r"room = np.empty\((.*?), np.float32\)", made.source)
    assert len(rooms) == 1
    assert 4 * np.prod([int(n) for n in re.findall(r"\d+", rooms[0])]) < between / 7
    arena = re.search(r"^ARENA = (\d+)", made.source, re.MULTILINE)
    assert arena is None or int(arena[1]) < between


@pytest.mark.parametrize(
    ("body", "size", "options", "reason"),
    [
        (
            f"{UNIT} z = Add(e, x)",
            "1,6,37,30",
            "",
            "what is between takes N bytes: the cache holds it",
        ),
        (
            f"{UNIT} z = Add(e, x)",
            "1,6,37,30",
            "{cache_bytes=1 tile_bytes=5000}",
            "a tile of N rows fits in the cache, wanted N",
        ),
        (
            f"{UNIT} z = Add(e, x)",
            "1,6,37,30",
            "{cache_bytes=1}",
            "it would save N us, and spend N on tiles",
        ),
        (
            "a = Conv(x, w0) z = Conv(a, w2)",
            "n,6,37,30",
            "{cache_bytes=1}",
            "the sizes of its images are not known",
        ),
        (
            "a = Conv<pads = [1, 0, 0, 0]>(x, w0) z = Conv(a, w2)",
            "1,6,37,30",
            "{cache_bytes=1}",
            "its pads are ((N, N), (N, N)), wanted less than its kernel",
        ),
    ],
)
def test_what_runs_layer_by_layer(
    body: str, size: str, options: str, reason: str
) -> None:
    model = load(model_of(block(body, size))[0])
    runs = run_pipeline(model, f"assign-layout,depth-first{options}")
    reasons = [re.sub(r"\d+", "N", told) for told in runs[-1].journal.reasons()]
    assert reason in reasons
    assert not any(map(by_rows, model.main.walk()))


# --- the pass and the backend agree ---

IMAGE = "1x37x30x12"
TOLD = {
    IMAGE: None,
    "1x1x30x12": None,
    "1x30x12": None,
    "30x12": None,
    "12": None,
    "": None,
    "37x30x12": "the rows of an operand [37, 30, 12] are not its second axis",
    "1x37x?x12": "the sizes of an operand are not known",
    "1x?x30x1": "the sizes of an operand are not known",
}
"""By an operand's shape, why an op that has it cannot run by rows."""
BINARY = [
    *("onnx.Add", "onnx.Div", "onnx.Max", "onnx.Mean", "onnx.Min"),
    *("onnx.Mul", "onnx.PRelu", "onnx.Pow", "onnx.Sub", "onnx.Sum"),
]
SEVERAL = ("nhwc.BatchNormalization", "onnx.BatchNormalization", "onnx.Where")
UNARY = sorted(ELEMENTWISE - {*BINARY, *SEVERAL})


def marked(op: str, other: str = "12") -> tuple[bool, Any]:
    """
    Whether the pass marks a convolution, `op` of what it gives, and another one.

    `op` reads %a, and perhaps %o of shape `other`. If so, the backend agrees.
    """
    kind = f"tensor<{IMAGE}xf32>"
    operand = f"tensor<{other}{'x' if other else ''}f32>"
    kinds = {"%a": kind, "%o": operand, "%c": f"tensor<{IMAGE}xi1>"}
    given = ", ".join(kinds[name] for name in re.findall(r"%\w", op))
    normalizes = op.startswith("onnx.BatchNormalization")
    more, made = (", %p, %q", f"({kind}, none, none)") if normalizes else ("", kind)
    text = f"""
    func.func @main(%a: {kind}, %v: tensor<1x1x12x12xf32>, %o: {operand},
                    %c: {kinds["%c"]}) -> {kind} {{
      %none = onnx.none : none
      %x = nhwc.Conv(%a, %v, %none)
        : ({kind}, tensor<1x1x12x12xf32>, none) -> {kind}
      %b{more} = {op.replace("%a", "%x")} : ({given}) -> {made}
      %z = nhwc.Conv(%b, %v, %none)
        : ({kind}, tensor<1x1x12x12xf32>, none) -> {kind}
      func.return %z : {kind}
    }}
    """
    context = make_context()
    module = Parser(context, text).parse_module()
    module.verify()
    context.journal = journal = Journal()
    DepthFirstPass(cache_bytes=1, tile_bytes=400_000).apply(context, module)
    module.verify()
    regions = [op for op in module.walk() if by_rows(op)]
    assert all(runs_by_rows(region, TABLE) for region in regions), str(module)
    assert all(len(region.ops) == 3 for region in regions)
    return bool(regions), journal.reasons()


@pytest.mark.parametrize("name", UNARY)
@pytest.mark.usefixtures("free_calls")
def test_the_backend_runs_what_is_marked_of_one_operand(name: str) -> None:
    op = f"{name}(%a, %o, %o)" if name == "onnx.Clip" else f"{name}(%a)"
    assert marked(op, "")[0]


@pytest.mark.parametrize("other", TOLD)
@pytest.mark.parametrize("name", BINARY)
@pytest.mark.usefixtures("free_calls")
def test_the_backend_runs_what_is_marked_of_two(name: str, other: str) -> None:
    assert marked(f"{name}(%a, %o)", other) == (
        TOLD[other] is None,
        {TOLD[other]: 1} if TOLD[other] else {},
    )
    assert marked(f"{name}(%o, %a)", other)[0] == (
        TOLD[other] is None and name in EITHER_IN_PLACE
    )


@pytest.mark.usefixtures("free_calls")
def test_the_backend_runs_what_is_marked_of_several() -> None:
    assert marked("nhwc.BatchNormalization(%a, %o, %o, %o, %o)", "12")[0]
    assert not marked("onnx.BatchNormalization(%a, %o, %o, %o, %o)", "37")[0]
    assert not marked("onnx.Where(%c, %a, %o)")[0]


@pytest.mark.parametrize("element", ["f32", "f64"])
@pytest.mark.usefixtures("free_calls")
def test_what_is_computed_twice_goes_at_its_type_s_rate(
    element: str, tmp_path: Path
) -> None:
    described = (SHIPPED / "host-cpu.toml").read_text()
    target = tmp_path / "slow.toml"
    target.write_text(re.sub(r"float64 = \S+", "float64 = 1.0", described))
    image, weight = (f"tensor<{s}x{element}>" for s in (IMAGE, "3x3x12x12"))
    conv = "nhwc.Conv({}, %w, %none) {{pads = array<i64: 1, 1, 1, 1>}}"
    kind = f"({image}, {weight}, none) -> {image}"
    text = f"""
    func.func @main(%x: {image}, %w: {weight}) -> {image} {{
      %none = onnx.none : none
      %y = {conv.format("%x")} : {kind}
      %z = {conv.format("%y")} : {kind}
      func.return %z : {image}
    }}
    """
    context = make_context()
    module = Parser(context, text).parse_module()
    DepthFirstPass(str(target), 1, 200_000).apply(context, module)
    assert any(map(by_rows, module.walk())) == (element == "f32")
