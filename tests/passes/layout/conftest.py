"""What a model in ONNX's text is after passes, and that it still computes the same."""

from typing import Any

import numpy as np
import onnx
import onnx.parser
import onnxruntime
import pytest
from onnx import numpy_helper
from sardonyx.compiler.driver import compile_model, load
from sardonyx.compiler.exporter import to_proto
from sardonyx.compiler.pipelines import run_pipeline

SIZES = {"n": 2, "q": 40}


@pytest.fixture(name="lowered")
def lowered_fixture(assert_close: Any) -> Any:
    """
    ``lowered(text, spec)``: the names of the ops that are left, and the reasons.

    Inputs called w0, w1 … are random constants. On JAX, on NumPy, and in ONNX Runtime
    when exported, what the passes leave gives what ONNX Runtime makes of the file.
    """

    def lower(text: str, spec: str) -> tuple[list[str], Any]:
        head = '<ir_version: 9, opset_import: ["": 18]>\n'
        proto, rng = onnx.parser.parse_model(head + text), np.random.default_rng(7)
        inputs: dict[str, Any] = {}
        for value in list(proto.graph.input):
            dims = value.type.tensor_type.shape.dim
            shape = [SIZES.get(d.dim_param, d.dim_value) for d in dims]
            inputs[value.name] = rng.standard_normal(shape).astype(np.float32)
            if value.name[0] == "w":
                held = numpy_helper.from_array(inputs.pop(value.name), value.name)
                proto.graph.initializer.append(held)
                proto.graph.input.remove(value)
        (wanted,) = in_onnxruntime(proto, inputs)
        after = load(proto)
        runs = run_pipeline(after, spec)
        found = [
            compile_model(after, backend="jax", pipeline="O0")(**inputs),
            compile_model(after, backend="numpy", pipeline="O0")(**inputs),
            in_onnxruntime(to_proto(after), inputs),
        ]
        for (result,) in found:
            assert_close(np.asarray(result), wanted, 8, text)
        names = [op.name.partition(".")[2] for op in after.main.body.block.ops]
        quiet = ("Constant", "none", "return")
        reasons = [reason for run in runs for reason in run.journal.reasons()]
        return [name for name in names if name not in quiet], reasons

    return lower


def in_onnxruntime(proto: onnx.ModelProto, inputs: dict[str, Any]) -> list[Any]:
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return list(session.run(None, inputs))
