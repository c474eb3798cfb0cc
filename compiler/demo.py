"""
``sardonyx demo``: a real network, compiled by both backends and checked.

The network is resnet50's architecture from the installed onnx package. The file that
ships there fills every weight with one constant, so that any input gives the same
output and nothing can be checked on it. Here the weights are seeded draws, scaled layer
by layer on a random image so that activations keep unit variance (LSUV: Mishkin and
Matas, 2015), and the batch statistics are the measured ones: outputs differ from each
other and follow the input.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
from onnx import helper, numpy_helper, version_converter
from onnx.reference import ReferenceEvaluator

from ..dialects.errors import SardonyxError
from ..dialects.onnx.types import Array
from .driver import BACKENDS, compile_model
from .oracle import run_oracle
from .verify import compare

ARCHITECTURE = "backend/test/data/light/light_resnet50.onnx"
TIMED_CALLS = 5


@dataclass(frozen=True)
class DemoRow:
    """One backend in the demo's table."""

    backend: str
    compile_seconds: float
    """From the file to the first result: import, passes, lowering, tracing."""
    call_seconds: float
    """The median of the calls after the first."""
    error: float
    """``max|a-b| / max|b|`` against ONNX's reference evaluator, on the logits."""
    tolerance: float
    folder: Path

    @property
    def ok(self) -> bool:
        """Whether the error is within its tolerance."""
        return self.error <= self.tolerance


def run_demo(folder: Path, say: Callable[[str], object]) -> list[DemoRow]:
    """
    Write the network and both backends' artifacts below `folder`, and compare.

    `say` is told of each step that takes a while.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "resnet50.onnx"
    say("drawing weights for resnet50")
    proto = seeded_model(shipped_architecture(), seed=0)
    onnx.save(proto, path)  # pyright: ignore[reportUnknownMemberType]
    image = proto.graph.input[0]
    shape = [dim.dim_value for dim in image.type.tensor_type.shape.dim]
    x = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    say("running ONNX's reference evaluator")
    wanted = run_oracle("reference", proto, {image.name: x}, [_output(proto)])
    rows: list[DemoRow] = []
    for backend in BACKENDS:
        say(f"compiling for {backend}")
        row = _row(backend, path, folder / f"resnet50-{backend}", x, wanted)
        rows.append(row)
    return rows


def _row(
    backend: str, path: Path, folder: Path, x: Array, wanted: dict[str, Array]
) -> DemoRow:
    start = time.perf_counter()
    executable = compile_model(path, backend)
    (found,) = executable(x)
    compiled = time.perf_counter() - start
    calls: list[float] = []
    for _ in range(TIMED_CALLS):
        start = time.perf_counter()
        executable(x)
        calls.append(time.perf_counter() - start)
    (name,) = wanted
    compared = compare(name, "output", "", found, wanted[name])
    executable.save(folder)
    median = sorted(calls)[len(calls) // 2]
    tolerance = compared.tolerance
    return DemoRow(backend, compiled, median, compared.relative, tolerance, folder)


def shipped_architecture() -> onnx.ModelProto:
    """
    resnet50 as the onnx package ships it, up to its logits; SardonyxError if it does
    not.
    """
    found = find_spec("onnx")
    origin = Path(found.origin).parent if found and found.origin else Path()
    path = origin / ARCHITECTURE
    if not path.is_file():
        raise SardonyxError(f"{path}: the installed onnx ships no resnet50")
    # At opset 9, as shipped, the reference evaluator normalizes by the batch's
    # statistics.
    shipped = onnx.load(path)  # pyright: ignore[reportUnknownMemberType]
    proto = version_converter.convert_version(shipped, 17)
    # The softmax saturates on drawn weights; the logits before it can be compared.
    if proto.graph.node[-1].op_type == "Softmax":
        softmax = proto.graph.node.pop()
        proto.graph.output[0].name = softmax.input[0]
    return proto


def _output(proto: onnx.ModelProto) -> str:
    return proto.graph.output[0].name


def seeded_model(proto: onnx.ModelProto, seed: int) -> onnx.ModelProto:
    """
    `proto` with its generated weights drawn from a normal distribution, as
    initializers.

    Every convolution and matrix product is scaled to unit variance on a random image;
    the statistics of a batch normalization are those of its input.
    """
    graph, rng = proto.graph, np.random.default_rng(seed)
    values = {
        tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer
    }
    image = next(info for info in graph.input if info.name not in values)
    generators = [node for node in graph.node if node.op_type == "ConstantOfShape"]
    nodes = [node for node in graph.node if node.op_type != "ConstantOfShape"]
    drawn = {
        node.output[0]: _draw(rng, tuple(values[node.input[0]].tolist()))
        for node in generators
    }
    values.update(drawn)
    shape = [dim.dim_value for dim in image.type.tensor_type.shape.dim]
    values[image.name] = rng.standard_normal(shape).astype(np.float32)
    opsets = list(proto.opset_import)
    for node in nodes:
        if node.op_type == "BatchNormalization":
            _measure(node, values)
        values[node.output[0]] = _run(node, values, opsets)
        if node.op_type in ("Conv", "Gemm"):
            scale = np.float32(1 / values[node.output[0]].std())
            values[node.input[1]] = values[node.input[1]] * scale
            values[node.output[0]] = _run(node, values, opsets)
    used = dict.fromkeys(name for node in nodes for name in node.input)
    computed = {name for node in nodes for name in node.output} | {image.name}
    kept = [numpy_helper.from_array(values[n], n) for n in used if n not in computed]
    body = helper.make_graph(nodes, graph.name, [image], list(graph.output), kept)
    return helper.make_model(body, opset_imports=opsets, ir_version=8)


def _draw(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """He's initialization for a matrix or filter; gains near one for a vector."""
    if len(shape) < 2:
        return (1 + 0.1 * rng.standard_normal(shape)).astype(np.float32)
    fan_in = int(np.prod(shape[1:]))
    return (rng.standard_normal(shape) * np.sqrt(2 / fan_in)).astype(np.float32)


def _measure(norm: onnx.NodeProto, values: dict[str, Array]) -> None:
    x = values[norm.input[0]]
    axes = (0, *range(2, x.ndim))
    shift = values[norm.input[2]]
    # Shifts below zero keep the ReLUs behind sparse, as training does.
    values[norm.input[2]] = (0.3 * shift - 0.6).astype(np.float32)
    values[norm.input[3]] = x.mean(axes).astype(np.float32)
    values[norm.input[4]] = (x.var(axes) + 1e-3).astype(np.float32)


def _run(
    node: onnx.NodeProto,
    values: dict[str, Array],
    opsets: Sequence[onnx.OperatorSetIdProto],
) -> Array:
    """The first output of one node."""
    infos = [
        helper.make_tensor_value_info(
            name,
            helper.np_dtype_to_tensor_dtype(values[name].dtype),
            values[name].shape,
        )
        for name in dict.fromkeys(node.input)
    ]
    outputs = [onnx.ValueInfoProto(name=name) for name in node.output[:1]]
    graph = helper.make_graph([node], "node", infos, outputs)
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    given = {name: values[name] for name in node.input}
    evaluator = cast(Any, ReferenceEvaluator(model))
    return evaluator.run(None, given)[0]
