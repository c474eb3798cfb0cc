"""A small network, calibrated and quantized, and run on NumPy and on ONNX Runtime."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper
from sardonyx.compiler.driver import compile_model, load
from sardonyx.compiler.exporter import to_proto
from sardonyx.compiler.model import Model
from sardonyx.compiler.pipelines import PassRun, run_pipeline
from sardonyx.compiler.quantize.calibrate import calibrated
from sardonyx.compiler.quantize.data import Batches

QUIET = {"Constant", "none", "module", "func", "return"}


def network(dtype: Any = np.float32) -> onnx.ModelProto:
    """A convolution, a Gemm of a transposed weight, and a product of matrices."""
    rng = np.random.default_rng(5)
    nodes = [
        helper.make_node("Conv", ["x", "k", "kb"], ["c"], "conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"], "relu"),
        helper.make_node("Flatten", ["r"], ["f"], "flat"),
        helper.make_node("Gemm", ["f", "g", "gb"], ["h"], "gemm", transB=1),
        helper.make_node("Tanh", ["h"], ["t"], "tanh"),
        helper.make_node("MatMul", ["t", "m"], ["y"], "last"),
    ]
    shapes = {"k": (4, 3, 3, 3), "kb": (4,), "g": (48, 64), "gb": (48,), "m": (48, 5)}
    weights = [
        numpy_helper.from_array((rng.standard_normal(s) / 4).astype(dtype), n)
        for n, s in shapes.items()
    ]
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", kind, ["batch", 3, 4, 4])],
        [helper.make_tensor_value_info("y", kind, ["batch", 5])],
        weights,
    )
    imports = [helper.make_opsetid("", 21)]
    return helper.make_model(graph, opset_imports=imports, ir_version=10)


def images(seed: int, count: int = 64) -> Any:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((count, 3, 4, 4)).astype(np.float32)


def on_onnxruntime(
    proto: onnx.ModelProto, inputs: dict[str, Any], saturates: bool
) -> list[Any]:
    """
    As it is written; where products of integers saturate, by those that do not.

    One of its optimizations makes them so.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    levels = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_DISABLE_ALL
    if saturates and any("Integer" in node.op_type for node in proto.graph.node):
        options.graph_optimization_level = levels.ORT_ENABLE_EXTENDED
        options.add_session_config_entry("session.x64quantprecision", "1")
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options)
    return session.run(None, inputs)


def on_numpy(model: Model, inputs: dict[str, Any]) -> Any:
    return compile_model(model, backend="numpy", pipeline="O0")(**inputs)


@dataclass(frozen=True)
class Quantized:
    """A model before and after passes, and what they did."""

    before: Model
    model: Model
    runs: list[PassRun]
    saturates: bool = False
    """See the fixture of this name."""

    @property
    def kinds(self) -> Counter[str]:
        found = (op.name.partition(".")[2] for op in self.model.module.walk())
        return Counter(kind for kind in found if kind not in QUIET)

    @property
    def reasons(self) -> set[str]:
        return set(self.runs[-1].journal.reasons())

    def results(self, inputs: dict[str, Any]) -> tuple[Any, Any, Any]:
        """On NumPy before, and on NumPy and ONNX Runtime after."""
        (wanted,) = on_numpy(self.before, inputs)
        (found,) = on_numpy(self.model, inputs)
        (theirs,) = on_onnxruntime(to_proto(self.model), inputs, self.saturates)
        return wanted, found, theirs


@pytest.fixture(name="quantized")
def quantized_fixture(tmp_path: Path, saturates: bool) -> Callable[..., Quantized]:
    """
    ``quantized(spec, proto=network(), data=(images,))``: a model after `spec`.

    ``CALIBRATION`` in the spec stands for a file of what `data` gave, with second
    moments; passes before the mark ``|`` run before it is made.
    """

    def run(
        spec: str, proto: onnx.ModelProto | None = None, data: Any = None
    ) -> Quantized:
        model = load(network() if proto is None else proto)
        first, _, rest = spec.rpartition("|")
        run_pipeline(model, first)
        before = model.clone()
        if "CALIBRATION" in rest:
            batches = [{"x": images(1)}, {"x": images(2)}] if data is None else data
            path = tmp_path / "calibration.npz"
            calibrated(model, Batches(tuple(batches)), second=True).save(path)
            rest = rest.replace("CALIBRATION", f'"{path}"')
        return Quantized(before, model, run_pipeline(model, rest), saturates)

    return run
