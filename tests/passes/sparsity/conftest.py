"""Products with sparse weights, run on both backends and on ONNX Runtime."""

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


def product_proto(
    weight: Any,
    shape: list[Any],
    left: bool = False,
    bias: Any = None,
    operator: str = "MatMul",
    **attributes: Any,
) -> onnx.ModelProto:
    """``y = x w``, or ``w x``, as a model; a Gemm has a bias."""
    kind = helper.np_dtype_to_tensor_dtype(weight.dtype)
    constants = [numpy_helper.from_array(weight, "w")]
    operands = ["w", "x"] if left else ["x", "w"]
    if bias is not None:
        constants.append(numpy_helper.from_array(bias, "b"))
        operands.append("b")
    rank = [None] * len(shape)
    graph = helper.make_graph(
        [helper.make_node(operator, operands, ["y"], "product", **attributes)],
        "one",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("y", kind, rank)],
        constants,
    )
    imports = [helper.make_opsetid("", 21)]
    return helper.make_model(graph, opset_imports=imports, ir_version=10)


def on_onnxruntime(proto: onnx.ModelProto, inputs: dict[str, Any]) -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options)
    return session.run(None, inputs)[0]


@dataclass(frozen=True)
class Ran:
    """A model after passes, and what the last one did."""

    before: Model
    model: Model
    runs: list[PassRun]

    @property
    def reasons(self) -> set[str]:
        return set(self.runs[-1].journal.reasons())

    def op(self, name: str) -> Any:
        (found,) = [op for op in self.model.module.walk() if op.name == name]
        return found

    def constant(self, name: str = "onnx.MatMul", place: int = 1) -> Any:
        """The constant that is an operand of the only op of that name."""
        value = self.op(name).operands[place].owner.properties["value"]
        return self.model.context.store[value.data].array()

    def twice(self, x: Any) -> tuple[Any, Any]:
        """What it gives on NumPy, and as ONNX on ONNX Runtime."""
        (y,) = compile_model(self.model, "numpy", "O0")(x=x)
        return y, on_onnxruntime(to_proto(self.model), {"x": x})

    def everywhere(self, x: Any) -> dict[str, Any]:
        """What it gives on both backends, lowered or not, and on ONNX Runtime."""
        found = {"onnxruntime": on_onnxruntime(to_proto(self.model), {"x": x})}
        for backend, level in (("numpy", "O0"), ("numpy", "O2"), ("jax", "O2")):
            (y,) = compile_model(self.model, backend, level)(x=x)
            found[f"{backend} {level}"] = np.asarray(y)
        return found


@pytest.fixture(name="ran")
def ran_fixture(tmp_path: Path) -> Callable[..., Ran]:
    """
    ``ran(proto, spec, data=())``: a model after the passes of `spec`.

    ``CALIBRATION`` in it stands for a file of what `data`, batches of x, gave.
    """

    def run(proto: onnx.ModelProto, spec: str, data: Any = ()) -> Ran:
        model = load(proto)
        before = model.clone()
        if "CALIBRATION" in spec:
            path = tmp_path / "calibration.npz"
            batches = Batches(tuple({"x": x} for x in data))
            calibrated(model, batches, second=True).save(path)
            spec = spec.replace("CALIBRATION", f'"{path}"')
        return Ran(before, model, run_pipeline(model, spec))

    return run
