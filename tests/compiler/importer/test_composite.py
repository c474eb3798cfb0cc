"""Operators that become others at import: Scan-8, Gradient, FlexAttention."""

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import parser
from onnx.reference import ReferenceEvaluator
from sardonyx.compiler.driver import compile_model
from sardonyx.compiler.importer.files import ModelError

BACKENDS = pytest.mark.parametrize("backend", ["numpy", "jax"])
TRAINING = '"ai.onnx.preview.training": 1'


def parsed(text: str, opset: int = 21, more: str = TRAINING) -> onnx.ModelProto:
    head = f'<ir_version: 10, opset_import: ["": {opset}, {more}]>\n'
    return parser.parse_model(head + text)


def doubles(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).uniform(0.5, 1.5, shape)


# --- Scan-8 ---

SCAN = """g (float[2,3] start, float[2,4,3] x) => (float[2,3] last, float[2,4,3] all) {
  last, all = Scan <num_scan_inputs = 1 %s, body = b (float[3] s, float[3] e)
    => (float[3] t, float[3] u) { t = Add(s, e) u = Identity(t) }> (%s start, x)
}"""


@BACKENDS
@pytest.mark.parametrize("backwards", [False, True])
def test_scan_of_a_batch(backend: str, backwards: bool, assert_close: Any) -> None:
    text = SCAN % (", directions = [1]" if backwards else "", '"",')
    start, x = (doubles(*s).astype(np.float32) for s in ((2, 3), (2, 4, 3)))
    last, every = compile_model(parsed(text, 8), backend)(start, x)
    turned = x[:, ::-1] if backwards else x
    wanted = start[:, None] + turned.cumsum(1)
    assert_close(every, wanted)
    assert_close(last, wanted[:, -1])


def test_scan_with_lengths_is_refused() -> None:
    text = SCAN.replace("(float[2,3]", "(int64[2] n, float[2,3]", 1) % ("", "n,")
    with pytest.raises(ModelError, match="their own sequence_lens"):
        compile_model(parsed(text, 8), "numpy")


# --- Gradient ---

FORMULAS = {
    "Add": "y = Add(a, b)",
    "Sub": "y = Sub(b, a)",
    "Mul": "y = Mul(a, b)",
    "Div": "y = Div(a, b)",
    "Neg": "c = Neg(a) y = Mul(c, b)",
    "Exp": "c = Exp(a) y = Mul(c, b)",
    "Log": "c = Log(a) y = Mul(c, b)",
    "Relu": "d = Sub(a, b) c = Relu(d) y = Mul(c, b)",
    "Sigmoid": "c = Sigmoid(a) y = Mul(c, b)",
    "Tanh": "c = Tanh(a) y = Mul(c, b)",
    "Identity": "c = Identity(a) y = Mul(c, c)",
    "MatMul": "t = Transpose(b) y = MatMul(a, a)",
    "twice": "c = Mul(a, b) d = Exp(c) y = Add(d, c)",
}


def gradient_model(formula: str, shape: str) -> onnx.ModelProto:
    call = 'ai.onnx.preview.training.Gradient <xs = ["a", "b"], y = "y"> (a, b)'
    head = f"g (double[3,3] a, double[{shape}] b) => (double[3,3] y, double[] da, "
    return parsed(head + f"double[] db) {{ {formula} da, db = {call} }}", 12)


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize(
    ("backend", "shape"),
    [("numpy", (3, 3)), ("numpy", (3,)), ("jax", (1, 3))],
    ids=str,
)
def test_gradient_is_the_slope(backend: str, name: str, shape: tuple[int, ...]) -> None:
    model = gradient_model(FORMULAS[name], ",".join(map(str, shape)))
    inputs = [doubles(3, 3), doubles(*shape, seed=1)]
    _, *found = compile_model(model, backend)(*inputs)
    plain = parsed(
        f"g (double[3,3] a, double[{','.join(map(str, shape))}] b) => (double[3,3] y) "
        f"{{ {FORMULAS[name]} }}",
        12,
    )
    evaluator = ReferenceEvaluator(plain)
    for place, key in enumerate("ab"):
        slopes = np.zeros_like(inputs[place])
        for index in np.ndindex(slopes.shape):
            ends = []
            for step in (1e-6, -1e-6):
                moved = [x.copy() for x in inputs]
                moved[place][index] += step
                ends.append(evaluator.run(None, dict(zip("ab", moved, strict=True)))[0])
            slopes[index] = (ends[0] - ends[1]).sum() / 2e-6
        np.testing.assert_allclose(
            found[place], slopes, rtol=1e-6, atol=1e-8, err_msg=key
        )


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("y = Sin(a)", r"no gradient goes through .*Sin"),
        ("c = Mul(a, a) y = MatMul(a, b)", "not of matrices"),
    ],
)
def test_gradient_is_refused(formula: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        compile_model(gradient_model(formula, "3"), "numpy")


def test_gradient_of_other_inputs_is_refused() -> None:
    text = """g (double a, double b) => (double da) {
      y = Mul(a, b)
      da = ai.onnx.preview.training.Gradient <xs = ["a"], y = "y"> (b)
    }"""
    with pytest.raises(ModelError, match="are not the tensors"):
        compile_model(parsed(text, 12), "numpy")


# --- FlexAttention ---


@BACKENDS
def test_subgraph_of_attention_sees_what_is_around_it(backend: str) -> None:
    text = """g (float[1,2,3,4] q, float bias) => (float[1,2,3,4] y) {
      y = ai.onnx.preview.FlexAttention <
        score_mod = m (float[B,H,L,S] s) => (float[B,H,L,S] t) { t = Mul(s, bias) }
      > (q, q, q)
    }"""
    model = parsed(text, 26, '"ai.onnx.preview": 1')
    q = doubles(1, 2, 3, 4).astype(np.float32)
    (found,) = compile_model(model, backend)(q, np.array(3, np.float32))
    scores = 3 * (q @ q.swapaxes(-1, -2)) / 2
    weights = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    np.testing.assert_allclose(found, weights @ q, rtol=1e-5)
