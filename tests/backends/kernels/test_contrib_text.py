"""Tokens and hashes beside ONNX Runtime's."""

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnxruntime import InferenceSession
from sardonyx.compiler import compile_model


def texts(*rows: Any) -> Any:
    return np.array(rows, object)


def model_of(op_type: str, x: Any, to: int, **attributes: Any) -> onnx.ModelProto:
    kind = (
        TensorProto.STRING
        if x.dtype == object
        else helper.np_dtype_to_tensor_dtype(x.dtype)
    )
    node = helper.make_node(op_type, ["x"], ["y"], domain="com.microsoft", **attributes)
    graph = helper.make_graph(
        [node],
        "text",
        [helper.make_tensor_value_info("x", kind, x.shape)],
        [helper.make_tensor_value_info("y", to, None)],
    )
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


def agrees(model: onnx.ModelProto, x: Any, backend: str) -> None:
    (wanted,) = InferenceSession(model.SerializeToString()).run(None, {"x": x})
    (found,) = compile_model(model, backend, "O0")(x)
    assert (found.shape, found.dtype) == (wanted.shape, wanted.dtype)
    assert np.asarray(found).tolist() == wanted.tolist()


SPACE = [" "]
TOKENS: list[tuple[Any, dict[str, Any]]] = [
    (texts("a b  c", "dd e"), {"separators": SPACE}),
    (texts("a b  c", "", "dd e"), {"separators": SPACE, "mark": 1}),
    (texts("a bb  c", "dd e", "é"), {"separators": SPACE, "mincharnum": 2}),
    (texts("a,b; c,;d", ""), {"separators": [",", ";"]}),
    (texts("aXYbXcY", "XY"), {"separators": ["X", "XY"]}),
    (texts("aXYbXcY", "XY"), {"separators": ["XY", "X"]}),
    (texts("a.b", "c"), {"separators": ["[.]"]}),
    (texts(["héé llo", "b"], ["c d e", ""]), {"separators": SPACE, "mark": 1}),
    (texts("héy", "ab"), {"separators": [""], "mark": 1}),
    (texts("Hello, it's me", "1 2"), {"tokenexp": "[a-zA-Z0-9_]+"}),
    (texts("Hello, it's me", "1 2"), {"tokenexp": "[a-z]+", "mark": 1}),
    (texts("Hello, it's me"), {"tokenexp": "[a-z]+", "mincharnum": 3}),
    (texts("abcb"), {"tokenexp": "b*"}),
    (texts("", ""), {"separators": SPACE, "mark": 1}),
]


@pytest.mark.parametrize(("x", "how"), TOKENS)
def test_tokens(x: Any, how: dict[str, Any]) -> None:
    given = {"mark": 0, "mincharnum": 1, "pad_value": "#"} | how
    agrees(model_of("Tokenizer", x, TensorProto.STRING, **given), x, "numpy")


def test_tokens_by_nothing() -> None:
    x = texts("a b")
    given = {"mark": 0, "mincharnum": 1, "pad_value": "#"}
    model = model_of("Tokenizer", x, TensorProto.STRING, **given)
    run = compile_model(model, "numpy", "O0")
    with pytest.raises(ValueError, match="found neither separators nor tokenexp"):
        run(x)


HASHED = [
    texts("", "a", "ab", "abc", "abcd", "héllo wörld", "a\0\0\0"),
    np.array([[0, 1], [-1, 2**31 - 1]], np.int32),
    np.array([0, 1, 2**32 - 1], np.uint32),
    np.array([0, 1, -1, 2**40], np.int64),
    np.array([0, 2**63], np.uint64),
    np.float32([0, 1.5, -np.inf]),
    np.float64([0, 1.5, np.pi]),
]


@pytest.mark.parametrize("backend", ["numpy", "jax"])
@pytest.mark.parametrize("x", HASHED, ids=lambda x: x.dtype.name)
@pytest.mark.parametrize("how", [{}, {"positive": 0, "seed": 7}])
def test_hashes(x: Any, how: dict[str, Any], backend: str) -> None:
    to = TensorProto.INT32 if how else TensorProto.UINT32
    agrees(model_of("MurmurHash3", x, to, **how), x, backend)
