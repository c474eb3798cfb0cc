"""The backends behind onnx's interface, driven by onnx's own runner."""

import unittest
import warnings
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx.backend.test import BackendTest
from sardonyx.compiler.onnx_backend import JaxBackend, NumpyBackend
from sardonyx.dialects.errors import SardonyxError

BACKENDS = pytest.mark.parametrize(
    "backend", [NumpyBackend, JaxBackend], ids=lambda backend: backend.name
)

# One of each kind: plain, of opset 6 and below, strings, sequences, optionals, a shape
# that is an input, a size that depends on data, subgraphs, training.
TESTS = (
    "test_conv_with_strides_padding",
    "test_PReLU_2d_multiparam",
    "test_operator_add_size1_broadcast",
    "test_string_concat",
    "test_sequence_insert_at_back",
    "test_if_opt",
    "test_reshape_negative_dim",
    "test_nonzero_example",
    "test_tfidfvectorizer_tf_uniandbigrams_skip5",
    "test_scan_sum",
    "test_flexattention_causal_mask",
    "test_linear_attention_gated_delta_gqa",
    "test_adam_multiple",
    "test_gradient_of_add_and_mul",
)


@pytest.fixture(scope="module")
def suites() -> dict[type, Any]:
    with warnings.catch_warnings():
        # The suite computes expected infinities as it loads.
        warnings.simplefilter("ignore")
        return {b: BackendTest(b, __name__).tests for b in (NumpyBackend, JaxBackend)}


def outcome(suites: dict[type, Any], backend: type, test: str) -> unittest.TestResult:
    result = unittest.TestResult()
    suites[backend](test).run(result)
    assert result.testsRun == 1
    return result


@BACKENDS
@pytest.mark.parametrize("test", TESTS)
def test_of_the_suite(suites: Any, backend: Any, test: str) -> None:
    result = outcome(suites, backend, f"{test}_cpu")
    assert (result.errors, result.failures, result.skipped) == ([], [], [])


@BACKENDS
def test_no_other_device_is_claimed(suites: Any, backend: Any) -> None:
    assert len(outcome(suites, backend, "test_relu_cuda").skipped) == 1
    assert backend.supports_device("CPU")
    with pytest.raises(SardonyxError, match="found device 'CUDA:1', wanted 'CPU'"):
        backend.prepare(double(), "CUDA:1")


def test_a_wrong_result_is_noticed(suites: Any, monkeypatch: Any) -> None:
    def halved(self: Any, inputs: Any) -> Any:
        return tuple(y / 2 for y in self.executable(*inputs))

    monkeypatch.setattr("sardonyx.compiler.onnx_backend.PreparedModel.run", halved)
    assert outcome(suites, NumpyBackend, "test_relu_cpu").failures


def double() -> onnx.ModelProto:
    info = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n"]) for n in "xy"]
    nodes = [helper.make_node("Add", ["x", "x"], ["y"])]
    graph = helper.make_graph(nodes, "double", info[:1], info[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])


X = np.array([1, -2], np.float32)


@BACKENDS
def test_inputs_by_position_and_by_name(backend: Any) -> None:
    prepared = backend.prepare(double(), pipeline="O0")
    for inputs in ([X], {"x": X}):
        (y,) = prepared.run(inputs)
        assert isinstance(y, np.ndarray)
        np.testing.assert_array_equal(y, 2 * X)
    np.testing.assert_array_equal(backend.run_model(double(), [X])[0], 2 * X)


@BACKENDS
def test_run_node(backend: Any) -> None:
    node = helper.make_node("Clip", ["x", "", "high"], ["y"])
    (y,) = backend.run_node(node, [X, np.array(0.5, np.float32)])
    np.testing.assert_array_equal(y, [0.5, -2])
    old = helper.make_node("Clip", ["x"], ["y"], max=0.5)
    np.testing.assert_array_equal(backend.run_node(old, [X], opset_version=6)[0], y)


@BACKENDS
def test_run_node_on_other_types(backend: Any) -> None:
    length = helper.make_node("SequenceLength", ["s"], ["n"])
    assert backend.run_node(length, [[X, X[:1]]])[0] == 2
    words = helper.make_node("StringConcat", ["a", "b"], ["c"])
    (joined,) = backend.run_node(words, [np.array(["a"]), np.array(["b"])])
    assert joined.tolist() == ["ab"]
    scaler = helper.make_node("Binarizer", ["x"], ["y"], domain="ai.onnx.ml")
    np.testing.assert_array_equal(backend.run_node(scaler, [X])[0], [1, 0])


def test_what_is_refused() -> None:
    node = helper.make_node("Add", ["x", "y"], ["z"])
    with pytest.raises(ValueError, match="found 1 inputs, wanted 2"):
        NumpyBackend.run_node(node, [X])
    with pytest.raises(TypeError, match="found option 'level', wanted pipeline"):
        NumpyBackend.prepare(double(), level=2)
    with pytest.raises(TypeError, match="found option 'fast', wanted none"):
        NumpyBackend.prepare(double()).run([X], fast=True)
    node = helper.make_node("SequenceLength", ["s"], ["n"])
    with pytest.raises(ValueError, match="found an empty sequence"):
        NumpyBackend.run_node(node, [[]])
