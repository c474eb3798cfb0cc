"""Model-local functions: inlined under the names of their calls."""

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper
from sardonyx.compiler import compile_model, import_model
from sardonyx.compiler.importer import ModelError
from sardonyx.compiler.importer.graph import MAX_DEPTH
from sardonyx.dialects.onnx.provenance import node_names

X = np.random.default_rng(0).standard_normal((2, 3)).astype(np.float32)
HEAD = '<domain: "local", opset_import: ["": 21, "local": 1]>\n'


@pytest.fixture
def check(oracle: Any, assert_close: Any) -> Any:
    """Run a model on both backends beside ONNX Runtime."""

    def checked(model: onnx.ModelProto, **inputs: Any) -> None:
        wanted = oracle(model, inputs)
        for backend in ("numpy", "jax"):
            found = compile_model(model, backend=backend, pipeline="O0")(**inputs)
            for a, b in zip(found, wanted, strict=True):
                assert_close(a, b, what=backend)

    return checked


def names(model: onnx.ModelProto) -> list[str]:
    """The names that the ops of the imported model carry."""
    ops = import_model(model).module.walk()
    return [
        name
        for op in ops
        if op.name.startswith("onnx.") and op.name != "onnx.Constant"
        for name in node_names(op)
    ]


# --- meaning ---


def test_nested_calls(parse: Any, check: Any) -> None:
    model = parse(
        """g (float[2,3] x) => (float[2,3] y, float[2,3] z) {
          [first] y = local.outer(x)
          z = local.outer(y)
        }
        """
        + HEAD
        + """inner (a, b) => (c) { [sum] c = Add(a, b) }
        """
        + HEAD
        + """outer (a) => (c) {
          t = Exp(a)
          [call] s = local.inner(t, a)
          c = local.inner(s, s)
        }"""
    )
    check(model, x=X)
    assert names(model) == [
        "first/t",
        "first/call/sum",
        "first/c/sum",
        "z/t",
        "z/call/sum",
        "z/c/sum",
    ]


def test_several_outputs_some_unwanted(parse: Any, assert_close: Any) -> None:
    model = parse(
        """g (float[2,3] x) => (float[2,3] y, float[2,3] z) {
          , w = local.two(x)
          v = local.two(w)
          y, z = local.two(v)
        }
        """
        + HEAD
        + "two (a) => (b, c) { b = Neg(a) c = Abs(a) }"
    )
    for backend in ("numpy", "jax"):
        y, z = compile_model(model, backend=backend)(X)
        assert_close(y, np.abs(X))
        assert_close(z, np.abs(X))


def test_an_output_that_is_an_input(parse: Any, assert_close: Any) -> None:
    model = parse(
        "g (float[2,3] x) => (float[2,3] y) { z = local.same(x) y = Neg(z) }\n"
        + HEAD
        + "same (a) => (a) { b = Abs(a) }"
    )
    for backend in ("numpy", "jax"):
        assert_close(compile_model(model, backend=backend)(X)[0], -X)


ATTRIBUTES = (
    HEAD
    + """leak <slope: float = 0.25> (a) => (b) { b = LeakyRelu <alpha = @slope> (a) }
    """
    + HEAD
    + """through <slope: float = 0.75> (a) => (b) {
      b = local.leak <slope = @slope> (a)
    }
    """
    + HEAD
    + "bare <slope> (a) => (b) { b = LeakyRelu <alpha: float = @slope> (a) }"
)


@pytest.mark.parametrize(
    ("call", "slope"),
    [
        ("local.leak (x)", 0.25),
        ("local.leak <slope = 0.5> (x)", 0.5),
        ("local.through (x)", 0.75),
        ("local.through <slope = 0.125> (x)", 0.125),
        ("local.bare <slope = 0.0625> (x)", 0.0625),
        # An attribute that refers to one not given is absent: the operator's default.
        ("local.bare (x)", 0.01),
    ],
)
def test_attribute_references(
    parse: Any, call: str, slope: float, assert_close: Any
) -> None:
    text = f"g (float[2,3] x) => (float[2,3] y) {{ y = {call} }}\n{ATTRIBUTES}"
    text = text.replace("alpha = @", "alpha: float = @")
    text = text.replace("slope = @", "slope: float = @")
    model = parse(text)
    wanted = np.where(X < 0, X * np.float32(slope), X)
    for backend in ("numpy", "jax"):
        assert_close(compile_model(model, backend=backend)(X)[0], wanted)
    with pytest.raises(AssertionError):
        assert_close(wanted, np.where(X < 0, X * np.float32(slope * 1.01), X))


def test_attribute_references_of_constants(parse: Any, assert_close: Any) -> None:
    # The value, its form and a list all come from the call.
    model = parse(
        """g (float[2,3] x) => (float[2,3] y, float[3] z, int64[2] w) {
          y, z, w = local.f <k = 2.5, many = [1.0, 2.0, 3.0],
            t = int64[2] {7, 8}> (x)
        }
        """
        + HEAD
        + """f <k, many, t> (a) => (b, c, d) {
          s = Constant <value_float: float = @k> ()
          b = Mul(a, s)
          c = Constant <value_floats: floats = @many> ()
          d = Constant <value: tensor = @t> ()
        }"""
    )
    y, z, w = compile_model(model, backend="numpy")(X)
    assert_close(y, X * np.float32(2.5))
    assert_close(z, np.array([1, 2, 3], np.float32))
    assert_close(w, np.array([7, 8]))


def test_absent_optional_inputs(parse: Any, assert_close: Any) -> None:
    model = parse(
        """g (float[2,3] x, float low, float high)
          => (float[2,3] a, float[2,3] b, float[2,3] c, float[2,3] d) {
          a = local.bound(x, low, high)
          b = local.bound(x, , high)
          c = local.bound(x, low)
          d = local.bound(x)
        }
        """
        + HEAD
        + "bound (v, l, h) => (o) { o = Clip(v, l, h) }"
    )
    low, high = np.float32(-0.1).reshape(()), np.float32(0.1).reshape(())
    wanted = (np.clip(X, low, high), np.minimum(X, high), np.maximum(X, low), X)
    for backend in ("numpy", "jax"):
        found = compile_model(model, backend=backend)(X, low, high)
        for a, b in zip(found, wanted, strict=True):
            assert_close(a, b)


def test_overloads(parse: Any, assert_close: Any) -> None:
    model = parse(
        """g (float[2,3] x) => (float[2,3] y, float[2,3] z) {
          y = local.f:neg(x)
          z = local.f:abs(x)
        }
        <domain: "local", overload: "neg", opset_import: ["": 21]>
        f (a) => (b) { b = Neg(a) }
        <domain: "local", overload: "abs", opset_import: ["": 21]>
        f (a) => (b) { b = Abs(a) }"""
    )
    y, z = compile_model(model, backend="numpy")(X)
    assert_close(y, -X)
    assert_close(z, np.abs(X))


@pytest.mark.parametrize("condition", [True, False])
def test_functions_with_subgraphs(parse: Any, check: Any, condition: bool) -> None:
    # The branches see the function's values and its attributes, and call functions.
    model = parse(
        """g (bool c, float[2,3] x) => (float[2,3] y) {
          t = Neg(x)
          y = local.choose <slope = 0.5> (c, t)
        }
        """
        + HEAD
        + """choose <slope> (c, t) => (y) {
          e = Exp(t)
          y = If (c) <
            then_branch = th () => (float[2,3] p) {
              r = LeakyRelu <alpha: float = @slope> (t)
              p = Add(r, e)
            },
            else_branch = el () => (float[2,3] q) { q = local.double(e) }>
        }
        """
        + HEAD
        + "double (v) => (w) { w = Add(v, v) }"
    )
    check(model, c=np.array(condition), x=X)


def test_a_call_in_a_loop(parse: Any, check: Any) -> None:
    model = parse(
        """g (int64 n, float[2,3] x) => (float[2,3] y) {
          y = Loop (n, , x) <
            body = b (int64 k, bool go, float[2,3] s) => (bool more, float[2,3] t) {
              more = Identity(go)
              t = local.double(s)
            }>
        }
        """
        + HEAD
        + "double (v) => (w) { w = Add(v, v) }"
    )
    for count in (0, 1, 3):
        check(model, n=np.array(count), x=X)


def test_a_functions_own_opset(parse: Any, assert_close: Any) -> None:
    # Softmax-11 flattens, Softmax-13 does not; "ai.onnx" is the default domain.
    model = parse(
        """g (float[2,3,4] x) => (float[2,3,4] y, float[2,3,4] z) {
          y = local.old(x)
          z = Softmax(x)
        }
        <domain: "local", opset_import: ["ai.onnx": 11]>
        old (a) => (b) { b = Softmax(a) }"""
    )
    x = np.random.default_rng(0).standard_normal((2, 3, 4)).astype(np.float32)
    y, z = compile_model(model, backend="numpy")(x)

    def softmax(v: np.ndarray, axis: Any) -> np.ndarray:
        e = np.exp(v - v.max(axis, keepdims=True))
        return e / e.sum(axis, keepdims=True)

    assert_close(y, softmax(x, (1, 2)))
    assert_close(z, softmax(x, 2))


def test_a_function_may_replace_an_operator(parse: Any, assert_close: Any) -> None:
    model = parse(
        """g (float[2,3] x) => (float[2,3] y) { y = Relu(x) }
        <domain: "", opset_import: ["": 21]>
        Relu (a) => (b) { b = Neg(a) }"""
    )
    assert_close(compile_model(model, backend="numpy")(X)[0], -X)


def test_names_in_a_function_are_its_own(parse: Any, check: Any) -> None:
    model = parse(
        """g (float[2,3] a) => (float[2,3] y) {
          t = Neg(a)
          u = local.f(t)
          y = Sub(t, u)
        }
        """
        + HEAD
        + "f (a) => (y) { t = Exp(a) u = Mul(t, a) y = Add(u, t) }"
    )
    check(model, a=X)


# --- refusals ---


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "g (float x) => (float y) { [call] y = local.f(x) }\n"
            + HEAD
            + "f (a) => (b) { [again] b = local.f(a) }",
            r"node 'call/again' \(function f\): the function calls itself",
        ),
        (
            "g (float x) => (float y) { [call] y = local.f(x) }\n"
            + HEAD
            + "f (a) => (b) { [one] b = local.h(a) }\n"
            + HEAD
            + "h (a) => (b) { [two] b = local.f(a) }",
            r"node 'call/one/two' \(function f\): the function calls itself",
        ),
        (
            "g (float x) => (float y) { [call] y = local.f(x, x) }\n"
            + HEAD
            + "f (a) => (b) { b = Neg(a) }",
            r"node 'call' \(function f\): found 2 inputs, wanted 1",
        ),
        (
            "g (float x) => (float y) { [call] y, z = local.f(x) }\n"
            + HEAD
            + "f (a) => (b) { b = Neg(a) }",
            r"node 'call' \(function f\): found 2 outputs, wanted 1",
        ),
        (
            "g (float x) => (float y) { [call] y = local.f <k = 1> (x) }\n"
            + HEAD
            + "f (a) => (b) { b = Neg(a) }",
            r"node 'call' \(function f\): the function has no attribute 'k'",
        ),
        (
            "g (float x) => (float y) { [call] y = local.f(x) }\n"
            + HEAD
            + "f (a) => (b) { [inside] b = Add(a, c) }",
            r"node 'call/inside' \(Add\): tensor 'c' is not defined",
        ),
        (
            "g (float x) => (float y) { [call] y = local.f(x) }\n"
            + HEAD
            + "f (a) => (b) { c = Neg(a) }",
            r"node 'call' \(function f\): tensor 'b' is not defined",
        ),
        (
            "g (float x) => (float y) { k = Neg(x) [call] y = local.f(x) }\n"
            + HEAD
            + "f (a) => (b) { [inside] b = Add(a, k) }",
            r"node 'call/inside' \(Add\): tensor 'k' is not defined",
        ),
        (
            "g (float x) => (float y) { y = Neg(x) [call] y = local.f(x) }\n"
            + HEAD
            + "f (a) => (b) { b = Neg(a) }",
            "tensor 'y' is defined twice",
        ),
        (
            "g (float x) => (float y) { [call] y = local.f(x) }\n"
            + HEAD
            + "f (a) => (b) { [inside] b = Nonsense(a) }",
            r"node 'call/inside' \(Nonsense\): no operator 'Nonsense'",
        ),
        (
            "g (float x) => (float y) { [call] y = local.f(x) }\n"
            + '<domain: "local", opset_import: ["local": 1]>\n'
            + "f (a) => (b) { [inside] b = Neg(a) }",
            r"node 'call/inside' \(Neg\): the model imports no opset of domain",
        ),
        (
            "g (float x) => (float y) { [call] y = Elu <alpha: float = @k> (x) }",
            r"node 'call' \(Elu\): attribute 'alpha' refers to 'k' outside a function",
        ),
        (
            "g (float x) => (float y) { [call] y = local.missing(x) }\n"
            + HEAD
            + "f (a) => (b) { b = Neg(a) }",
            r"node 'call' \(missing\): no operator 'missing' in domain 'local'",
        ),
    ],
)
def test_refusals(parse: Any, text: str, message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        import_model(parse(text))
    assert "\n" not in str(caught.value)


def chain(length: int) -> onnx.ModelProto:
    """Functions that call one another, `length` deep."""
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("local", 1)]
    functions = []
    for level in range(length):
        last = level == length - 1
        node = (
            helper.make_node("Neg", ["a"], ["b"])
            if last
            else helper.make_node(f"f{level + 1}", ["a"], ["b"], domain="local")
        )
        functions.append(
            helper.make_function("local", f"f{level}", ["a"], ["b"], [node], opsets)
        )
    value = [helper.make_tensor_value_info(n, 1, [2, 3]) for n in "xy"]
    call = helper.make_node("f0", ["x"], ["y"], domain="local")
    graph = helper.make_graph([call], "g", value[:1], value[1:])
    return helper.make_model(graph, opset_imports=opsets, functions=functions)


def test_depth_of_calls(assert_close: Any) -> None:
    compiled = compile_model(chain(MAX_DEPTH), backend="numpy", pipeline="O0")
    assert_close(compiled(X)[0], -X)
    with pytest.raises(ModelError, match=f"calls nest deeper than {MAX_DEPTH}"):
        import_model(chain(MAX_DEPTH + 1))


def test_calls_that_multiply(monkeypatch: pytest.MonkeyPatch) -> None:
    # Each level calls the next twice: few bytes, and 2 ** 30 nodes.
    monkeypatch.setattr("sardonyx.compiler.importer.graph.MAX_NODES", 1000)
    model = chain(30)
    for function in model.functions[:-1]:
        again = function.node.add()
        again.CopyFrom(function.node[0])
        again.output[0] = "c"
    with pytest.raises(ModelError, match="more than 1000 nodes with functions inlined"):
        import_model(model)
