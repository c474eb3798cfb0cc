"""Programs that once came out wrong: each beside ONNX's reference evaluator."""

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper, parser
from onnx.reference import ReferenceEvaluator
from sardonyx.compiler.driver import compile_model
from sardonyx.compiler.importer import import_model
from sardonyx.dialects.errors import SardonyxError

HEADER = '<ir_version: 10, opset_import: ["" : 20]>\n'
BACKENDS = ("numpy", "jax")
LEVELS = ("O0", "O2")


def model_of(text: str, **weights: Any) -> onnx.ModelProto:
    model = parser.parse_model(HEADER + text)
    for name, array in weights.items():
        model.graph.initializer.append(numpy_helper.from_array(array, name))
    return model


def agrees(model: onnx.ModelProto, backend: str, level: str, *inputs: Any) -> None:
    names = [info.name for info in model.graph.input]
    wanted = ReferenceEvaluator(model).run(None, dict(zip(names, inputs, strict=True)))
    found = compile_model(model, backend, level)(*inputs)
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(np.asarray(a), b)
        assert np.asarray(a).dtype == b.dtype


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("op_type", ["Div", "Mod"])
def test_shapes_by_arithmetic(backend: str, level: str, op_type: str):
    """JAX's own kernels would trace what NumPy must know while JAX traces."""
    model = model_of(f"""
        g (float[N,M] x) => (float[A,B] y) <int64 axis = {{1}}, int64[1] two = {{2}},
        int64[1] rest = {{-1}}, int64[1] one = {{1}}> {{
            s = Shape(x) m = Gather(s, axis) r = Reshape(m, one) h = {op_type}(r, two)
            k = Add(h, one) t = Concat<axis = 0>(rest, one) u = Mul(k, one)
            z = ConstantOfShape(u) y0 = Reshape(x, t) y = Add(y0, z)
        }}""")
    agrees(model, backend, level, np.ones((2, 2), np.float32))


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_condition_that_is_a_state(backend: str, level: str):
    model = model_of("""
        g (bool a, float x) => (bool b, float y) <int64 n = {10}, bool go = {1}> {
            b, y = Loop(n, go, a, x) <body = body (int64 i, bool c, bool s, float v)
                => (bool co, bool sn, float vn) <float one = {1}> {
                    co = Identity(s) sn = Not(s) vn = Add(v, one) }>
        }""")
    for start in (True, False):
        agrees(model, backend, level, np.array(start), np.float32(0))


@pytest.mark.parametrize("level", LEVELS)
def test_steps_that_are_not_known(level: str):
    model = model_of("""
        g (int64[1] steps) => (int64[1] y) <int64[4] data = {1, 2, 3, 4},
        int64[1] start = {0}, int64[1] end = {4}, int64[1] axes = {0}> {
            s = Slice(data, start, end, axes, steps) y = ReduceSum(s)
        }""")
    agrees(model, "numpy", level, np.array([2]))
    agrees(model, "numpy", level, np.array([1]))


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_integers_that_wrap(backend: str, level: str):
    model = model_of("""
        g (float[1] x) => (int64[1] y) <int32[1] a = {65536}, int32[1] b = {65537}> {
            m = Mul(a, b) n = Cast<to = 7>(m) c = ConstantOfShape(n) y = Shape(c)
        }""")
    agrees(model, backend, level, np.zeros(1, np.float32))


def test_integers_beyond_int64():
    big = np.array([2**63 + 1], np.uint64)
    model = model_of(
        "g (uint64[1] x) => (uint64[1] y) { i = Identity(w) y = Add(i, x) }"
    )
    model.graph.initializer.append(numpy_helper.from_array(big, "w"))
    agrees(model, "numpy", "O2", np.array([1], np.uint64))


@pytest.mark.parametrize("level", LEVELS)
def test_no_turns_keep_the_rank(level: str):
    model = model_of("""
        g (float[N,3] x, int64 n) => (float[T,N,3] y) <bool go = {1}> {
            y = Loop(n, go) <body = body (int64 i, bool c) => (bool co, float[N,3] s) {
                co = Identity(c) s = Identity(x) }>
        }""")
    executable = compile_model(model, "numpy", level)
    (found,) = executable(np.ones((2, 3), np.float32), np.array(0))
    assert found.ndim == 3
    assert found.shape[::2] == (0, 3)


@pytest.mark.parametrize("name", ["stack_turns", "scan_slice", "ml_dtypes", "np", "w"])
def test_names_of_the_program(name: str):
    model = model_of(f"""
        g (float[2] {name}, int64 n) => (float[T,2] y, bfloat16[1] z) <bool go = {{1}},
        bfloat16[1] k = {{1}}> {{
            z = Identity(k)
            y = Loop(n, go) <body = body (int64 i, bool c) => (bool co, float[2] s) {{
                co = Identity(c) s = Identity({name}) }}>
        }}""")
    (found, _) = compile_model(model, "numpy", "O0")(
        np.ones(2, np.float32), np.array(3)
    )
    np.testing.assert_array_equal(found, np.ones((3, 2), np.float32))


def test_a_weight_with_safetensors_own_key(tmp_path: Any):
    text = "g (float[40] x) => (float[40] y) { y = Add(x, __metadata__) }"
    model = model_of(text, __metadata__=np.arange(40, dtype=np.float32))
    executable = compile_model(model, "numpy")
    folder = executable.save(tmp_path / "out")
    from sardonyx.compiler.artifact import load_artifact

    x = np.ones(40, np.float32)
    np.testing.assert_array_equal(load_artifact(folder)(x)[0], executable(x)[0])


def test_a_fold_that_overflows_is_declined():
    f16 = np.float16
    model = parser.parse_model("""
        <ir_version: 10, opset_import: ["" : 20]>
        g (float16[1,1,2] x) => (float16[1,1,2] y) {
            c = Conv(x, w) y = BatchNormalization(c, s, b, m, v)
        }""")
    arrays = {"w": [[[100]]], "s": [100], "b": [0], "m": [0], "v": [0]}
    for name, values in arrays.items():
        array = np.array(values, f16)
        model.graph.initializer.append(numpy_helper.from_array(array, name))
    x = np.full((1, 1, 2), 1e-3, f16)
    before = compile_model(model, "numpy", "O0")(x)[0]
    after = compile_model(model, "numpy", "O2")(x)[0]
    assert np.isfinite(after).all()
    np.testing.assert_array_equal(before, after)


def test_outputs_share_no_memory():
    model = model_of(
        "g (float[4] x) => (float[4] y, float[2,2] z) <int64[2] s = {2, 2}> "
        "{ y = Identity(x) z = Reshape(x, s) }"
    )
    x = np.arange(4, dtype=np.float32)
    y, z = compile_model(model, "numpy", "O0")(x)
    y[0], z[1, 1] = 9, 9
    np.testing.assert_array_equal(x, [0, 1, 2, 3])
    np.testing.assert_array_equal(y, [9, 1, 2, 3])


def test_an_empty_table_of_strings():
    model = model_of("g (float[1] x) => (string[0,3] y) { y = Identity(w) }")
    tensor = onnx.helper.make_tensor("w", TensorProto.STRING, [0, 3], [])
    model.graph.initializer.append(tensor)
    assert compile_model(model, "numpy")(np.ones(1, np.float32))[0].shape == (0, 3)


def test_a_dash_in_a_dimension():
    x = onnx.helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch-size"])
    y = onnx.helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch-size"])
    node = onnx.helper.make_node("Relu", ["x"], ["y"])
    model = onnx.helper.make_model(
        onnx.helper.make_graph([node], "g", [x], [y]),
        opset_imports=[onnx.helper.make_opsetid("", 20)],
        ir_version=10,
    )
    executable = compile_model(model, "numpy", dims={"batch-size": 2})
    assert executable.inputs[0].shape == (2,)


def test_a_long_chain_on_a_large_weight():
    """Each step of a chain is computed once, not once for every step behind it."""
    body = " ".join(f"v{i + 1} = Mul(v{i}, v{i})" for i in range(40))
    text = (
        f"g (float[1] x) => (float[300000] y) {{ v0 = Neg(w) {body} y = Add(v40, x) }}"
    )
    model = model_of(text, w=np.ones(300000, np.float32))
    found = compile_model(model, "numpy", "O2")(np.ones(1, np.float32))[0]
    np.testing.assert_array_equal(found, np.full(300000, 2, np.float32))


def test_a_size_that_would_be_multiplied_out_for_ever():
    factors = "*".join(f"(a{i}+b{i})" for i in range(22))
    x = onnx.helper.make_tensor_value_info("x", TensorProto.FLOAT, [factors])
    y = onnx.helper.make_tensor_value_info("y", TensorProto.FLOAT, [factors])
    node = onnx.helper.make_node("Relu", ["x"], ["y"])
    graph = onnx.helper.make_graph([node], "g", [x], [y])
    opsets = [onnx.helper.make_opsetid("", 20)]
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=10)
    assert factors in str(import_model(model).inputs[0].type)


def test_a_constant_that_cannot_be_computed_stays():
    """Folding declines; running the op says what is wrong."""
    model = model_of(
        "g (float[1] x) => (float y) <float[2] w = {1, 2}, int64 i = {7}> "
        "{ y = Gather(w, i) }"
    )
    executable = compile_model(model, "numpy", "O2")
    with pytest.raises(IndexError):
        executable(np.ones(1, np.float32))


def test_a_large_constant_that_cannot_be_computed_names_its_node(tmp_path: Any):
    """It is computed when it is asked for, so that is when it is refused."""
    model = model_of(
        "g (float[1] x) => (float[1,300000] y) <int64[1] i = {7}> "
        "{ [pick] c = Gather(w, i) y = Add(c, x) }",
        w=np.ones((2, 300000), np.float32),
    )
    executable = compile_model(model, "numpy", "O2")
    with pytest.raises(SardonyxError, match=r"'pick'.*out of bounds"):
        executable(np.ones(1, np.float32))
    with pytest.raises(SardonyxError, match="'pick'"):
        executable.save(tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_sizes_that_cannot_be():
    x = onnx.helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n"])
    y = onnx.helper.make_tensor_value_info("y", TensorProto.FLOAT, ["m"])
    node = onnx.helper.make_node("Pad", ["x", "p"], ["y"], name="pad")
    pads = numpy_helper.from_array(np.array([-3, -3]), "p")
    graph = onnx.helper.make_graph([node], "g", [x], [y], [pads])
    opsets = [onnx.helper.make_opsetid("", 20)]
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=10)
    with pytest.raises(SardonyxError, match="pad"):
        compile_model(model, "numpy", dims={"n": 2})


def test_control_flow_that_python_cannot_nest():
    text = "b24 = Identity(c24) y24 = Identity(x)"
    for depth in range(24, 0, -1):
        head = f"body{depth} (int64 i{depth}, bool c{depth}, float v{depth})"
        body = f"<body = {head} => (bool b{depth}, float y{depth}) {{ {text} }}>"
        loop = f"y{depth - 1} = Loop(n, go, x) {body}"
        text = f"b{depth - 1} = Identity(c{depth - 1}) {loop}" if depth > 1 else loop
    weights = "<int64 n = {1}, bool go = {1}>"
    model = model_of(f"g (float x) => (float y0) {weights} {{ {text} }}")
    with pytest.raises(SardonyxError, match="nests deeper"):
        compile_model(model, "numpy", "O0")
