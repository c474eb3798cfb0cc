"""
The oracles: the user's own file, run by ONNX Runtime or ONNX's reference evaluator.

Neither sees anything of ours, so what agrees with them is right.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx

from ..dialects.errors import SardonyxError
from ..dialects.onnx.types import Array

ORACLES = ("onnxruntime", "reference")

_INTEGER_PRODUCTS = {
    *("ConvInteger", "DynamicQuantizeMatMul", "MatMulInteger", "MatMulIntegerToFloat"),
    *("QAttention", "QGemm", "QLinearConv", "QLinearMatMul"),
}


class OracleError(SardonyxError):
    """An oracle that is not there, or that refuses the model."""


def run_oracle(
    oracle: str,
    source: str | Path | onnx.ModelProto,
    inputs: Mapping[str, Array],
    tensors: Sequence[str],
) -> dict[str, Array]:
    """
    The values of `tensors` (outputs, or any in the graph) when `oracle` runs the model.

    ONNX Runtime runs without optimizations, so that it computes what the file says.
    Raises OracleError.
    """
    proto = source if isinstance(source, onnx.ModelProto) else _load(source)
    run = _run_onnxruntime if oracle == "onnxruntime" else _run_reference
    if oracle not in ORACLES:
        raise OracleError(f"found oracle {oracle!r}, wanted {' or '.join(ORACLES)}")
    names = list(dict.fromkeys(tensors))
    if not names:
        return {}
    return dict(zip(names, run(proto, inputs, names), strict=True))


def graph_tensors(source: str | Path | onnx.ModelProto) -> set[str]:
    """The names of the tensors that the nodes of the main graph compute."""
    loaded = isinstance(source, onnx.ModelProto)
    proto = source if loaded else _load(source, external=False)
    return {name for node in proto.graph.node for name in node.output if name}


def doubt(oracle: str, source: str | Path | onnx.ModelProto) -> str:
    """Why `oracle` may be wrong about a model rather than we; "" if nothing says so."""
    loaded = isinstance(source, onnx.ModelProto)
    nodes = (source if loaded else _load(source, external=False)).graph.node
    products = [node for node in nodes if node.op_type in _INTEGER_PRODUCTS]
    if oracle != "onnxruntime" or not products or not saturates():
        return ""
    return (
        "on this processor onnxruntime adds products of uint8 by int8 in 16 bits, "
        f"which saturate (node {products[0].name!r}): see --against reference"
    )


@functools.cache
def saturates() -> bool:
    """
    Whether ONNX Runtime's products of uint8 by int8 saturate on this processor.

    Without VNNI it adds two of them in 16 bits.
    """
    from onnx.parser import parse_model

    product = parse_model(
        '<ir_version: 8, opset_import: ["": 17]> product '
        "(uint8[1,2] a, int8[2,1] b) => (int32[1,1] y) { y = MatMulInteger(a, b) }"
    )
    feeds = {"a": np.full((1, 2), 255, np.uint8), "b": np.full((2, 1), 127, np.int8)}
    (found,) = _run_onnxruntime(product, feeds, ["y"])
    return int(found.item()) != 2 * 255 * 127


def _load(path: str | Path, external: bool = True) -> onnx.ModelProto:
    return onnx.load(str(path), load_external_data=external)  # pyright: ignore[reportUnknownMemberType]


def _run_reference(
    proto: onnx.ModelProto, inputs: Mapping[str, Array], names: list[str]
) -> list[Array]:
    from onnx.reference import ReferenceEvaluator

    try:
        evaluator = cast(Any, ReferenceEvaluator(proto))
        return list(evaluator.run(names, dict(inputs)))
    except Exception as error:
        # The evaluator raises whatever its operators' NumPy code raises.
        raise OracleError(f"the reference evaluator refuses: {_line(error)}") from error


def _run_onnxruntime(
    proto: onnx.ModelProto, inputs: Mapping[str, Array], names: list[str]
) -> list[Array]:
    try:
        import onnxruntime  # pyright: ignore[reportMissingTypeStubs]
    except ImportError as error:
        raise OracleError(
            "onnxruntime is not installed: pip install onnxruntime, or "
            "--against reference"
        ) from error
    exposed = onnx.ModelProto()
    exposed.CopyFrom(proto)
    outputs = {info.name for info in exposed.graph.output}
    exposed.graph.output.extend(
        onnx.ValueInfoProto(name=name) for name in names if name not in outputs
    )
    # It comes without types.
    runtime = cast(Any, onnxruntime)
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = runtime.InferenceSession(
            exposed.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        return list(session.run(names, dict(inputs)))
    except Exception as error:
        # ONNX Runtime's exceptions share no base class of their own.
        raise OracleError(f"onnxruntime refuses: {_line(error)}") from error


def _line(error: Exception) -> str:
    text: Any = str(error).strip().replace("\n", " ")
    return text[:600] or type(error).__name__
