"""Which library computes products, and what YNNPACK computes together with them."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import onnx.parser
import pytest
from onnx.reference import ReferenceEvaluator
from sardonyx.backends.jax.attention import attention
from sardonyx.backends.jax.calls import COMPILER_OPTIONS
from sardonyx.compiler import compile_model

HEAD = '<ir_version: 9, opset_import: ["": 18]> t '


def compiled(text: str) -> tuple[onnx.ModelProto, Any, dict[str, Any]]:
    """The model of `text`, what it is compiled to, and inputs."""
    proto, rng = onnx.parser.parse_model(HEAD + text), np.random.default_rng(3)
    drawn: dict[str, Any] = {}
    for value in list(proto.graph.input):
        # What is symbolic is 3.
        shape = [d.dim_value or 3 for d in value.type.tensor_type.shape.dim]
        drawn[value.name] = rng.standard_normal(shape).astype(np.float32)
    executable = compile_model(proto, backend="jax", pipeline="O0")
    return proto, executable, drawn


FUSED = [
    # Nothing behind the product, a bias, and the rows of another stack.
    "(float[4,6,8] x, float[4,8,5] w) => (float[4,6,5] y)"
    "{p = MatMul(x, w) y = Relu(p)}",
    "(float[4,6,8] x, float[4,8,5] w, float[4,1,5] b) => (float[4,6,5] y)"
    "{p = MatMul(x, w) s = Add(p, b) y = Relu(s)}",
    "(float[4,6,8] x, float[4,8,5] w, float[4,1,5] b, float[4,6,5] z)"
    "=> (float[4,6,5] y) {p = MatMul(x, w) s = Add(b, p) t = Sum(z, s) y = Relu(t)}",
]
APART = [
    # One product; a sum that is wanted elsewhere, too; no product at all.
    "(float[6,8] x, float[8,5] w) => (float[6,5] y) {p = MatMul(x, w) y = Relu(p)}",
    "(float[4,6,8] x, float[4,8,5] w) => (float[4,6,5] y, float[4,6,5] p)"
    "{p = MatMul(x, w) y = Relu(p)}",
    "(float[4,6,8] x, float[4,6,8] w) => (float[4,6,8] y) {p = Add(x, w) y = Relu(p)}",
    # Products that are large.
    "(float[4,512,128] x, float[4,128,128] w) => (float[4,512,128] y)"
    "{p = MatMul(x, w) y = Relu(p)}",
]


@pytest.mark.parametrize(("text", "fused"), [(t, t in FUSED) for t in FUSED + APART])
def test_relu_is_fused_into_stacks_of_products(
    text: str, fused: bool, assert_close: Any
) -> None:
    proto, run, drawn = compiled(text)
    source = run.program.source
    assert ("relu_in_product(" in source) is fused
    assert ("\nfuse_products()\n" in source) is fused
    wanted = ReferenceEvaluator(proto).run(None, drawn)
    for found, value in zip(run(**drawn), wanted, strict=True):
        assert_close(np.asarray(found), value, 8, text)


LARGE = [
    "(float[8,256] x, float[256,256] w) => (float[8,256] y) {y = MatMul(x, w)}",
    "(float[2,4,512] x, float[512,128] w) => (float[2,4,128] y) {y = MatMul(x, w)}",
    "(float[256,8] x, float[256,256] w) => (float[8,256] y)"
    "{y = Gemm <transA = 1> (x, w)}",
    "(float[rows,256] x, float[256,256] w) => (float[rows,256] y) {y = MatMul(x, w)}",
    # A small product beside it is the lesser work.
    "(float[8,256] x, float[256,256] w, float[256,64] v) => (float[8,64] y)"
    "{p = MatMul(x, w) y = MatMul(p, v)}",
]
SMALL = [
    # Few elements, few rows, a stack, and the lesser work.
    "(float[99,64] x, float[64,64] w) => (float[99,64] y) {y = MatMul(x, w)}",
    "(float[4,256] x, float[256,256] w) => (float[4,256] y) {y = MatMul(x, w)}",
    "(float[4,8,256] x, float[4,256,256] w) => (float[4,8,256] y) {y = MatMul(x, w)}",
    "(float[8,256] x, float[256,256] w, float[99,64] a, float[64,128] b)"
    "=> (float[8,256] y, float[99,128] z) {y = MatMul(x, w) z = MatMul(a, b)}",
    "(float[8] x) => (float[8] y) {y = Relu(x)}",
]


@pytest.mark.parametrize(("text", "large"), [(t, t in LARGE) for t in LARGE + SMALL])
def test_large_products_may_be_kept(text: str, large: bool, assert_close: Any) -> None:
    proto, run, drawn = compiled(text)
    assert ("\nkeep_products()\n" in run.program.source) is large
    wanted = ReferenceEvaluator(proto).run(None, drawn)
    for found, value in zip(run(**drawn), wanted, strict=True):
        assert_close(np.asarray(found), value, 16, text)


def test_nan_and_infinities_stay() -> None:
    text = FUSED[1]
    _, run, drawn = compiled(text)
    drawn["b"][:, 0, :4] = [np.nan, np.inf, -np.inf, -1e30]
    (y,) = run(**drawn)
    assert np.isnan(y[..., 0]).all()
    assert np.isposinf(y[..., 1]).all()
    assert (np.asarray(y)[..., 2:4] == 0).all()


def shape(*sizes: int, dtype: Any = np.float32) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(sizes, dtype)


def together(function: Callable[..., Any], *operands: jax.ShapeDtypeStruct) -> bool:
    """Whether XLA has products and exponentials in one call of its program."""
    jitted = jax.jit(function, compiler_options=COMPILER_OPTIONS)
    bodies = jitted.lower(*operands).compile().as_text().split("\n\n")
    return any(" dot(" in body and " exponential(" in body for body in bodies)


def exponentials(x: Any, w: Any) -> Any:
    """The simplest that XLA could compute so."""
    product = x @ w
    return jnp.exp(product - product.max(axis=-1, keepdims=True))


@pytest.mark.parametrize("bias", ["none", "floats", "booleans", "causal"])
@pytest.mark.parametrize("shared", [1, 3])
def test_exponentials_are_taken_with_the_scores(bias: str, shared: int) -> None:
    """XLA's program has one call from a head's queries and keys to what it adds up."""
    masks = {"floats": np.float32, "booleans": np.bool_}
    shapes = [shape(1, 128, 32 * n) for n in (6, 6 // shared, 6 // shared)]
    if bias in masks:
        shapes.append(shape(1, 1, 1, 128, dtype=masks[bias]))

    def heads(*arrays: Any) -> Any:
        numbers = {"q_num_heads": 6, "kv_num_heads": 6 // shared}
        wanted = (True, False, False, False)
        causal = int(bias == "causal")
        return attention(jnp, *arrays, is_causal=causal, outputs=wanted, **numbers)[0]

    if not together(exponentials, shape(6, 128, 32), shape(6, 32, 128)):
        pytest.skip("XLA computes nothing together with products on this processor")
    assert together(heads, *shapes), bias
