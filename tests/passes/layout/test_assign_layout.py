"""Convolutional regions with channels last: what they mean, and what is left."""

from collections import Counter
from typing import Any

import numpy as np
import onnx
import onnx.parser
import onnxruntime
import pytest
from onnx import numpy_helper
from sardonyx.backends.kernels.nhwc import KERNELS as SHARED
from sardonyx.compiler.driver import compile_model, load
from sardonyx.compiler.exporter import to_proto
from sardonyx.compiler.pipelines import LOWERING, run_pipeline, spec_of
from sardonyx.dialects import nhwc
from sardonyx.dialects.onnx import WeightAttr
from sardonyx.dialects.onnx.provenance import node_names, tensor_names
from sardonyx.dialects.onnx.store import DerivedWeight
from xdsl.parser import Parser

SPEC = "assign-layout,cse"
SIZES = {"n": 2, "h": 9, "w": 7}

IMAGE = "(float[n,3,h,w] x"
CONV = "c = Conv<pads = [1, 1, 1, 1]>(x, w0)"
W0 = "float[4,3,3,3] w0"


def model(text: str) -> onnx.ModelProto:
    """The model in ONNX's text; inputs called w0, w1 … become random constants."""
    proto = onnx.parser.parse_model(f'<ir_version: 9, opset_import: ["": 18]>\n{text}')
    rng = np.random.default_rng(len(text))
    for value in [v for v in proto.graph.input if v.name[0] == "w"]:
        shape = [d.dim_value for d in value.type.tensor_type.shape.dim]
        array = rng.uniform(0.2, 1, shape).astype(np.float32)
        array *= rng.choice([-1, 1], shape) if value.name[1] != "p" else 1
        proto.graph.initializer.append(
            numpy_helper.from_array(array.astype(np.float32), value.name)
        )
        proto.graph.input.remove(value)
    onnx.checker.check_model(proto)
    return proto


def in_onnxruntime(proto: onnx.ModelProto, inputs: dict[str, Any]) -> list[Any]:
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return list(session.run(None, inputs))


def drawn(proto: onnx.ModelProto) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    arrays: dict[str, Any] = {}
    for value in proto.graph.input:
        dims = value.type.tensor_type.shape.dim
        shape = [SIZES.get(d.dim_param, d.dim_value) for d in dims]
        arrays[value.name] = rng.standard_normal(shape).astype(np.float32)
    return arrays


@pytest.fixture(name="laid_out")
def laid_out_fixture(assert_close: Any) -> Any:
    """
    ``laid_out(text)``: the model after the pass, and its journals.

    On JAX, on NumPy, and in ONNX Runtime when exported, it gives what the file gives.
    """

    def lay_out(text: str) -> tuple[Any, Any]:
        proto = model(text)
        inputs = drawn(proto)
        wanted = in_onnxruntime(proto, inputs)
        after = load(proto)
        runs = run_pipeline(after, SPEC)
        found = [
            compile_model(after, backend="jax", pipeline="O0")(**inputs),
            compile_model(after, backend="numpy", pipeline="O0")(**inputs),
            in_onnxruntime(to_proto(after), inputs),
        ]
        for results in found:
            for a, b in zip(results, wanted, strict=True):
                assert_close(np.asarray(a), b, 4, text)
        return after, runs[0].journal

    return lay_out


def counted(after: Any) -> Counter[str]:
    quiet = ("onnx.Constant", "onnx.none", "builtin.module", "func.func", "func.return")
    return Counter(op.name for op in after.module.walk() if op.name not in quiet)


@pytest.mark.parametrize(
    ("parameters", "body", "left"),
    [
        (W0, f"{CONV} y = Relu(c)", "nhwc.Conv onnx.Relu"),
        (f"{W0}, float[4] w1", "y = Conv<strides = [2, 1]>(x, w0, w1)", "nhwc.Conv"),
        (W0, 'y = Conv<auto_pad = "SAME_LOWER", strides = [2, 2]>(x, w0)', "nhwc.Conv"),
        (W0, "y = Conv<dilations = [2, 1]>(x, w0)", "nhwc.Conv"),
        ("float[3,1,3,3] w0", "y = Conv<group = 3>(x, w0)", "nhwc.Conv"),
        ("float[6,1,3,3] w0", "y = Conv<group = 3>(x, w0)", "nhwc.Conv"),
        (
            "float[5,1,3,2] w0, float[5,3,1,1] w1",
            "c = Conv(x, w1) y = Conv<group = 5, strides = [2, 1], "
            "pads = [2, 0, 1, 1], dilations = [1, 2]>(c, w0)",
            "nhwc.Conv nhwc.Conv",
        ),
        (
            "float[8,3,1,1] w0, float[6,4,1,1] w1, float[6,2,3,3] w2",
            "c = Conv<strides = [2, 2]>(x, w0) d = Conv<group = 2>(c, w1)"
            "y = Conv<group = 3, pads = [1, 1, 1, 1]>(d, w2)",
            "nhwc.Conv nhwc.Conv nhwc.Conv",
        ),
        ("float[4,3,1,1] w0", "y = Conv<pads = [1, 0, 0, 2]>(x, w0)", "nhwc.Conv"),
        (
            W0,
            f"{CONV} y = MaxPool<kernel_shape = [3, 2], strides = [2, 2],"
            "pads = [1, 0, 1, 1], ceil_mode = 1>(c)",
            "nhwc.Conv nhwc.MaxPool",
        ),
        (
            W0,
            f"{CONV} y = AveragePool<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(c)",
            "nhwc.Conv nhwc.AveragePool",
        ),
        (
            W0,
            f"{CONV} y = AveragePool<kernel_shape = [3, 3], pads = [1, 1, 1, 1],"
            "count_include_pad = 1, strides = [2, 2]>(c)",
            "nhwc.Conv nhwc.AveragePool",
        ),
        (W0, f"{CONV} y = LRN<size = 3, alpha = 0.5>(c)", "nhwc.Conv nhwc.LRN"),
        (
            f"{W0}, float[4] w1, float[4] w2, float[4] w3, float[4] wp",
            f"{CONV} y = BatchNormalization<epsilon = 0.1>(c, w1, w2, w3, wp)",
            "nhwc.Conv nhwc.BatchNormalization",
        ),
        (W0, f"{CONV} y = GlobalAveragePool(c)", "nhwc.Conv onnx.ReduceMean"),
        (W0, f"{CONV} y = GlobalMaxPool(c)", "nhwc.Conv onnx.ReduceMax"),
        (
            f"{W0}, float[4,3,3,3] w1",
            f"{CONV} d = Conv<pads = [1, 1, 1, 1]>(x, w1) s = Sigmoid(d) e = Mul(c, s)"
            "y = Concat<axis = -3>(e, c)",
            "nhwc.Conv nhwc.Conv onnx.Concat onnx.Mul onnx.Sigmoid",
        ),
        (
            f"{W0}, float[4,1,1] w1, float w2",
            f"{CONV} d = Mul(c, w1) e = Add(w2, d) y = PRelu(e, w1)",
            "nhwc.Conv onnx.Add onnx.Mul onnx.PRelu",
        ),
    ],
)
def test_means_what_it_meant(
    parameters: str, body: str, left: str, laid_out: Any
) -> None:
    text = f"a {IMAGE}, {parameters}) => (float[a,b,c,d] y) {{ {body} }}"
    after, _ = laid_out(text)
    # One transpose where the image comes in and one where it leaves.
    wanted = Counter({**Counter(left.split()), "onnx.Transpose": 2})
    assert counted(after) == wanted


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("<int64[2] axes = {2, 3}> { %s y = ReduceMean(c, axes) }", "[n,4,1,1]"),
        (
            "<int64[2] axes = {-1, 2}>{ %s y = ReduceSum<keepdims = 0>(c, axes) }",
            "[n,4]",
        ),
        (
            "<int64[1] axes = {1}> { %s y = ReduceMax<keepdims = 0>(c, axes) }",
            "[n,h,w]",
        ),
        ("<int64[8] p = {0, 1, 0, 2, 0, 0, 3, 0}> { %s y = Pad(c, p) }", "[n,5,a,b]"),
        (
            "<int64[2] p = {1, 2}, int64[1] axes = {-2}>"
            '{ %s y = Pad<mode = "edge">(c, p, , axes) }',
            "[n,4,a,b]",
        ),
        (
            "<int64[2] s = {1, 2}, int64[2] e = {4, 5}, int64[2] axes = {1, 2}>"
            "{ %s y = Slice(c, s, e, axes) }",
            "[n,3,3,w]",
        ),
        (
            "<int64[2] s = {0, 1}, int64[2] e = {1, 3}> { %s y = Slice(c, s, e) }",
            "[1,2,h,w]",
        ),
        (
            '<float[4] s = {1, 1, 2, 3}>{ %s y = Resize<mode = "nearest">(c, , s) }',
            "[n,4,a,b]",
        ),
        ("{ %s y, z = Split<axis = 1, num_outputs = 2>(c) }", "[n,2,h,w]"),
        ("{ %s d = Transpose<perm = [0, 2, 3, 1]>(c) y = Relu(d) }", "[n,h,w,4]"),
        ("<float m = {0.}> { %s y = Clip(c, m) }", "[n,4,h,w]"),
    ],
)
def test_numbers_follow_their_axes(body: str, kind: str, laid_out: Any) -> None:
    text = f"a {IMAGE}, {W0}) => (float{kind} y) " + body % CONV
    after, _ = laid_out(text)
    plain = kind in ("[n,4]", "[n,h,w]", "[n,h,w,4]")
    assert counted(after)["onnx.Transpose"] == (1 if plain else 2)
    assert counted(after)["nhwc.Conv"] == 1


def test_a_shuffle_of_channels_stays_on_the_last_axis(laid_out: Any) -> None:
    text = (
        "a (float[n,3,8,6] x, float[6,3,3,3] w0) => (float[n,6,8,6] y) "
        "<int64[5] apart = {-1, 2, 3, 8, 6}, int64[4] back = {-1, 6, 8, 6}>"
        f"{{ {CONV} d = Reshape(c, apart) e = Transpose<perm = [0, 2, 1, 3, 4]>(d)"
        "f = Reshape(e, back) y = Relu(f) }"
    )
    after, _ = laid_out(text)
    orders = [
        op.properties["perm"].get_values()
        for op in after.module.walk()
        if op.name == "onnx.Transpose"
    ]
    assert orders == [nhwc.TO_NHWC, (0, 1, 2, 4, 3), nhwc.TO_NCHW]


def test_a_matrix_is_packed(laid_out: Any) -> None:
    text = (
        "a (float[n,5] x, float[4,5] w0, float[4] w1) => (float[n,4] y)"
        "{ y = Gemm<transB = 1, alpha = 0.5>(x, w0, w1) }"
    )
    after, _ = laid_out(text)
    (gemm,) = (op for op in after.module.walk() if op.name == "onnx.Gemm")
    assert "transB" not in gemm.properties
    assert gemm.operands[1].type.get_shape() == (5, 4)


def test_a_weight_is_packed_when_it_is_asked_for() -> None:
    text = f"a {IMAGE}, float[64,32,3,3] w0) => (float[n,a,b,c] y)"
    after = load(model(text.replace("3,h", "32,h") + "{ y = Conv(x, w0) }"))
    run_pipeline(after, SPEC)
    (key,) = (
        op.properties["value"].data
        for op in after.module.walk()
        if op.name == "onnx.Constant" and isinstance(op.properties["value"], WeightAttr)
    )
    assert isinstance(after.context.store[key], DerivedWeight)
    assert after.context.store[key].shape == (3, 3, 32, 64)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "a (float[n,3,h,w] x, float[4,3,3,3] v) => (float[n,4,a,b] y)"
            "{ y = Conv(x, v) }",
            "its weight is not constant",
        ),
        (
            "a (float[n,3,h] x, float[4,3,3] w0) => (float[n,4,a] y)"
            "{ y = Conv(x, w0) }",
            "its spatial axes are 1, wanted 2",
        ),
        (
            "a (float[n,5] x, float[4,5] v) => (float[n,4] y)"
            "{ y = Gemm<transB = 1>(x, v) }",
            "its matrix is not constant",
        ),
        (
            f"a {IMAGE}, {W0}) => (float[n,4,h,w] y, int64[n,4,a,b] z)"
            f"{{ {CONV} y, z = MaxPool<kernel_shape = [1, 1]>(c) }}",
            "more than its first result is wanted",
        ),
        (
            f"a {IMAGE}, {W0}, float[n,4,h,w] u, float[n,4,h,w] v)"
            f"=> (float[n,4,h,w] y) {{ {CONV} y = Sum(c, u, v) }}",
            "more operands have their channels second than last",
        ),
        (
            f"a {IMAGE}, {W0}, float[h,w] v) => (float[n,4,h,w] y)"
            f"{{ {CONV} y = Add(c, v) }}",
            "an operand is no image",
        ),
        (
            f"a {IMAGE}, {W0}, float[2,1,1,1,1] w1) => (float[2,n,4,h,w] y)"
            f"{{ {CONV} y = Add(c, w1) }}",
            "a constant has more axes than an image",
        ),
        (
            f"a {IMAGE}, {W0}) => (float[n,h,4] y) <int64[1] axes = {{3}}>"
            f"{{ {CONV} y = ReduceMax<keepdims = 0>(c, axes) }}",
            "the axes that are left would change their order",
        ),
        (
            f"a {IMAGE}, {W0}) => (float[a,b,c,d] y)"
            f"{{ {CONV} y = ReduceMax<keepdims = 1>(c) }}",
            "its axes are not known",
        ),
    ],
)
def test_declines(text: str, reason: str, laid_out: Any) -> None:
    _, journal = laid_out(text)
    assert reason in journal.reasons()


def test_what_has_another_layout_has_no_tensor_of_the_file() -> None:
    proto = model(f"a {IMAGE}, {W0}) => (float[n,4,h,w] y) {{ {CONV} y = Relu(c) }}")
    for number, node in enumerate(proto.graph.node):
        node.name = f"node{number}"
    after = load(proto)
    run_pipeline(after, SPEC)
    block = after.main.body.block
    named = {op.name: (node_names(op), tensor_names(op)) for op in block.ops}
    assert named["nhwc.Conv"] == (("node0",), ())
    assert named["onnx.Relu"] == (("node1",), ())
    assert named["onnx.Transpose"] == (("node1",), ("y",))


def test_programs_are_lowered_so() -> None:
    proto = model(f"a {IMAGE}, {W0}) => (float[n,4,h,w] y) {{ {CONV} y = Relu(c) }}")
    names = {
        (backend, level): [run.name for run in compiled.passes]
        for backend in ("numpy", "jax")
        for level in ("O1", "O2", "O3")
        for compiled in [compile_model(proto, backend=backend, pipeline=level)]
    }
    lowered = [place for place, ran in names.items() if "assign-layout" in ran]
    both = [(backend, n) for backend in ("numpy", "jax") for n in ("O2", "O3")]
    assert lowered == both
    assert spec_of("O2", "jax").endswith(",".join(LOWERING["jax"]))
    assert spec_of("cse", "jax") == "cse"


def test_sizes_can_be_fixed_afterwards(assert_close: Any) -> None:
    proto = model(f"a {IMAGE}, {W0}) => (float[n,4,h,w] y) {{ {CONV} y = Relu(c) }}")
    spec = f'{SPEC},specialize-dims{{dims="h=9","w=7"}}'
    executable = compile_model(proto, backend="jax", pipeline=spec)
    inputs = drawn(proto)
    (found,) = executable(**inputs)
    assert_close(np.asarray(found), in_onnxruntime(proto, inputs)[0], 4, spec)
    assert executable.outputs[0].shape == ("n", 4, 9, 7)


def test_the_text_parses_back() -> None:
    after = load(model(f"a {IMAGE}, {W0}) => (float[a,b,c,d] y) {{ y = Conv(x, w0) }}"))
    run_pipeline(after, SPEC)
    again = Parser(after.context, str(after.module)).parse_module()
    assert str(again) == str(after.module)


# --- each way in which JAX computes a convolution ---


@pytest.mark.parametrize(
    ("x", "w", "group", "way"),
    [
        ((2, 5, 6, 7), (1, 1, 7, 4), 1, "pointwise"),
        ((2, 5, 6, 8), (1, 1, 4, 6), 2, "pointwise"),
        ((2, 5, 6, 8), (3, 3, 1, 8), 8, "depthwise"),
        ((1, 7, 7, 128), (3, 3, 128, 5), 1, "unfolded"),
        ((2, 9, 9, 3), (3, 6, 3, 8), 1, "unfolded"),
        ((2, 9, 9, 3), (3, 3, 3, 8), 1, "by_rows"),
        ((2, 9, 9, 1), (3, 3, 1, 64), 1, "by_rows"),
        ((2, 9, 9, 4), (3, 3, 2, 8), 2, "in_groups"),
        ((2, 9, 9, 10), (3, 3, 2, 10), 5, "convolution"),
        ((2, 9, 9, 5), (3, 3, 5, 8), 1, "convolution"),
        ((2, 9, 1, 4), (3, 1, 4, 8), 1, "lying"),
        ((2, 9, 1, 4), (3, 1, 1, 4), 4, "lying"),
    ],
)
def test_every_way_to_convolve_is_the_same(
    x: Any, w: Any, group: int, way: str, assert_close: Any, monkeypatch: Any
) -> None:
    import jax.numpy as jnp
    from sardonyx.backends.jax import nhwc as by_jax

    ways = (
        *("pointwise", "depthwise", "unfolded", "in_groups", "convolution"),
        *("by_rows", "lying"),
    )
    rng = np.random.default_rng(0)
    image = rng.standard_normal(x).astype(np.float32)
    weight = rng.standard_normal(w).astype(np.float32)
    gone = []
    for one in ways:
        held = getattr(by_jax, one)
        monkeypatch.setattr(
            by_jax, one, lambda *a, one=one, held=held: gone.append(one) or held(*a)
        )
    strides = (2, 1)
    wanted = SHARED["nhwc.Conv"](np, image, weight, group=group, strides=strides)
    found = by_jax.nhwc_conv_by_shape(
        jnp, jnp.asarray(image), jnp.asarray(weight), group=group, strides=strides
    )
    assert gone[0] == way
    assert_close(np.asarray(found), wanted, 8, way)


def convolved(x: Any, w: Any, **attributes: Any) -> Any:
    """What ONNX Runtime makes of an image and a weight with channels last."""
    node = onnx.helper.make_node("Conv", ["x", "w"], ["y"], **attributes)
    values = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
        for name in "xwy"
    ]
    graph = onnx.helper.make_graph([node], "a", values[:2], values[2:])
    opset = onnx.helper.make_opsetid("", 18)
    proto = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=9)
    inputs = {"x": x.transpose(nhwc.TO_NCHW), "w": w.transpose(nhwc.TO_OIHW)}
    return in_onnxruntime(proto, inputs)[0].transpose(nhwc.TO_NHWC)


@pytest.mark.parametrize(
    ("kernel", "strides", "pads"),
    [
        ((3, 3), (1, 1), (1, 1, 1, 1)),
        ((3, 3), (2, 2), (0, 0, 0, 0)),
        ((3, 3), (2, 2), (0, 2, 1, 0)),
        ((2, 5), (1, 3), (3, 0, 0, 1)),
        ((1, 3), (3, 1), (0, 0, 0, 0)),
        ((4, 1), (1, 4), (0, 3, 2, 0)),
        ((2, 4), (3, 2), (1, 1, 1, 2)),
    ],
)
def test_a_thin_image_is_convolved_by_rows(
    kernel: Any, strides: Any, pads: Any, assert_close: Any
) -> None:
    import jax.numpy as jnp
    from sardonyx.backends.jax.nhwc import by_rows

    rng = np.random.default_rng(0)
    image = rng.standard_normal((2, 15, 10, 3)).astype(np.float32)
    weight = rng.standard_normal((*kernel, 3, 4)).astype(np.float32)
    pairs = tuple(zip(pads[:2], pads[2:], strict=True))
    found = by_rows(jnp, jnp.asarray(image), jnp.asarray(weight), pairs, strides)
    wanted = convolved(image, weight, strides=strides, pads=pads)
    assert_close(np.asarray(found), wanted, 8)


@pytest.mark.parametrize(
    "window",
    [
        {},
        {"pads": (2, 0, 1, 0), "strides": (2, 1)},
        {"auto_pad": "SAME_LOWER", "strides": (3, 2)},
        {"dilations": (3, 1), "group": 2},
    ],
)
def test_a_column_is_convolved_as_the_row_it_is(window: Any, assert_close: Any) -> None:
    import jax.numpy as jnp
    from sardonyx.backends.jax.nhwc import nhwc_conv_by_shape

    rng = np.random.default_rng(1)
    group = window.get("group", 1)
    image = rng.standard_normal((2, 20, 1, 4)).astype(np.float32)
    weight = rng.standard_normal((5, 1, 4 // group, 6)).astype(np.float32)
    found = nhwc_conv_by_shape(jnp, jnp.asarray(image), jnp.asarray(weight), **window)
    assert_close(np.asarray(found), convolved(image, weight, **window), 8)
    nothing = nhwc_conv_by_shape(
        jnp, jnp.asarray(image[:0]), jnp.asarray(weight), **window
    )
    assert nothing.shape == (0, *found.shape[1:])


@pytest.mark.parametrize(
    ("image", "kept"), [((2, 3, 5, 4), True), ((2, 8, 4, 4), False)]
)
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_many_rows_are_multiplied_by_eigen(
    image: Any, kept: bool, dtype: str, assert_close: Any
) -> None:
    import jax
    import jax.numpy as jnp
    from sardonyx.backends.jax.nhwc import product

    rng = np.random.default_rng(1)
    rows = rng.standard_normal(image).astype(dtype)
    matrix = rng.standard_normal((4, 6)).astype(dtype)
    jitted = jax.jit(lambda *given: product(jnp, *given))
    # What YNNPACK is not handed is a convolution until it is too late.
    text = jitted.lower(rows, matrix).as_text()
    assert ("stablehlo.dot_general" in text) is kept
    assert ("stablehlo.convolution" in text) is not kept
    wanted = rows.astype(np.float64) @ matrix.astype(np.float64)
    assert_close(np.asarray(jitted(rows, matrix)), wanted.astype(np.float32), 4)


# --- groups of channels ---


@pytest.mark.parametrize("bias", ["", ", w1"])
def test_a_product_for_each_group(bias: str, laid_out: Any) -> None:
    parameters = "float[6,2,1,1] w0, float[6] w1" if bias else "float[6,2,1,1] w0"
    after, _ = laid_out(
        f"a (float[n,4,8,6] x, {parameters}) => (float[n,6,8,6] y)"
        f"{{ c = Relu(x) d = Conv<group = 2>(c, w0{bias}) y = Relu(d) }}"
    )
    found = counted(after)
    assert found["onnx.MatMul"] == 1
    assert found["nhwc.Conv"] == found["onnx.Conv"] == 0
    (product,) = (op for op in after.module.walk() if op.name == "onnx.MatMul")
    assert product.operands[1].type.get_shape() == (2, 2, 3)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("(float[n,4,h,6] x, float[6,2,1,1] w0)", "its image's size is not known"),
        ("(float[n,4,8,6] x, float[6,2,1,1] v)", "its weight is not constant"),
        ("<2>(float[n,4,8,6] x, float[6,2,1,1] w0)", "it has pads or strides"),
    ],
)
def test_which_groups_are_no_products(text: str, reason: str, laid_out: Any) -> None:
    strides = ", strides = [2, 1]" if text[0] == "<" else ""
    head = text.removeprefix("<2>")
    weight = "v" if " v)" in head else "w0"
    body = f"y = Conv<group = 2{strides}>(x, {weight})"
    after, journal = laid_out(f"a {head} => (float[n,6,k,l] y) {{ {body} }}")
    assert reason in journal.reasons()
    assert counted(after)["onnx.MatMul"] == 0
