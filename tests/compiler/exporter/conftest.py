"""Exports, checked by onnx and run by ONNX Runtime or the reference evaluator."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, parser
from sardonyx.compiler.exporter import to_proto
from sardonyx.compiler.importer import import_model
from sardonyx.compiler.oracle import OracleError, run_oracle


def evaluated(model: onnx.ModelProto, inputs: Mapping[str, Any]) -> list[Any] | None:
    """The outputs by the first oracle that runs the model; None if none does."""
    names = [info.name for info in model.graph.output]
    for oracle in ("onnxruntime", "reference"):
        try:
            found = run_oracle(oracle, model, inputs, names)
        except OracleError:
            continue
        return [found[name] for name in names]
    return None


@pytest.fixture(name="evaluate")
def evaluate_fixture() -> Callable[..., list[Any] | None]:
    """``evaluate(model, inputs)``: see `evaluated`."""
    return evaluated


def is_valid(model: onnx.ModelProto) -> bool:
    """Whether onnx's checker passes a model; it wants a rank of every output, say."""
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError):
        return False
    return True


@pytest.fixture(name="exported")
def exported_fixture() -> Callable[[Any], onnx.ModelProto]:
    """``exported(model)``: the export of an imported model, valid to onnx."""

    def exported(model: Any) -> onnx.ModelProto:
        proto = to_proto(model)
        onnx.checker.check_model(proto, full_check=True)
        return proto

    return exported


@pytest.fixture(name="round_trip")
def round_trip_fixture(flow_of: Any) -> Callable[..., onnx.ModelProto]:
    """
    ``round_trip(model)``: the export of what is imported from a ModelProto, which is
    valid if that is, and imports to the same IR.
    """

    def round_trip(model: onnx.ModelProto) -> onnx.ModelProto:
        imported = import_model(model)
        proto = to_proto(imported)
        if is_valid(model):
            onnx.checker.check_model(proto, full_check=True)
        assert flow_of(import_model(proto)) == flow_of(imported)
        return proto

    return round_trip


@pytest.fixture(name="same_outputs")
def same_outputs_fixture() -> Callable[..., None]:
    """``same_outputs(found, wanted, inputs)``: ONNX Runtime gives both bit for bit."""

    def same_outputs(
        found: onnx.ModelProto, wanted: onnx.ModelProto, inputs: Mapping[str, Any]
    ) -> None:
        names = [info.name for info in wanted.graph.output]
        ours = run_oracle("onnxruntime", found, inputs, names)
        theirs = run_oracle("onnxruntime", wanted, inputs, names)
        for name in names:
            a, b = np.asarray(ours[name]), np.asarray(theirs[name])
            assert (a.dtype, a.shape) == (b.dtype, b.shape)
            assert a.tolist() == b.tolist() if a.dtype == object else bits(a) == bits(b)

    return same_outputs


def bits(array: Any) -> bytes:
    return array.tobytes()


@pytest.fixture(name="program")
def program_fixture() -> Callable[..., onnx.ModelProto]:
    """``program(text, opset=21)``: a model from ONNX's textual graph."""

    def program(text: str, opset: int = 21) -> onnx.ModelProto:
        head = f'<ir_version: 10, opset_import: ["": {opset}]>\n'
        return parser.parse_model(head + text)

    return program


@pytest.fixture(name="one_node")
def one_node_fixture(value_info: Any, tensor_proto: Any) -> Callable[..., Any]:
    """
    ``one_node(op_type, inputs, **attributes)``: a node of the newest opset.

    Its inputs are by name an element type and a shape, or an array if constant.
    """

    def one_node(
        op_type: str, inputs: Mapping[str, Any], **attributes: Any
    ) -> onnx.ModelProto:
        weights = [
            tensor_proto(name, given)
            for name, given in inputs.items()
            if isinstance(given, np.ndarray)
        ]
        infos = [
            value_info(name, given[1], given[0])
            for name, given in inputs.items()
            if not isinstance(given, np.ndarray)
        ]
        node = helper.make_node(op_type, list(inputs), ["y"], "it", **attributes)
        output = onnx.ValueInfoProto(name="y")
        graph = helper.make_graph([node], "g", infos, [output], weights)
        return helper.make_model(graph, ir_version=10)

    return one_node
