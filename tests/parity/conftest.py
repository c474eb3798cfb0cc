"""
Writes quantized models with ONNX Runtime's tools, and compares node by node.

The trained models are those beside the project, where it has any; the classifiers come
with onnx, their weights are drawn; two small models are built here.
"""

import inspect
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper, version_converter
from sardonyx.backends.jax.kernels import KERNELS as JAX
from sardonyx.backends.kernels import KERNELS
from sardonyx.backends.kernels.apply import kernel_attributes, wanted_outputs
from sardonyx.backends.numpy.kernels import KERNELS as NUMPY
from sardonyx.compiler import import_model
from sardonyx.compiler.demo import seeded_model
from sardonyx.dialects.onnx import DenseAttr, OnnxOp
from sardonyx.dialects.onnx.provenance import tensor_names
from sardonyx.dialects.onnx.types import is_none

SHARED = Path(__file__).parents[3] / "shared" / "models"
LIGHT = Path(find_spec("onnx").origin).parent / "backend" / "test" / "data" / "light"
TRAINED = sorted(path.stem for path in SHARED.glob("*.onnx"))
SIZES = {"batch": 2, "seq": 16, "sequence": 16}
NAMESPACES = {"numpy": (np, {**KERNELS, **NUMPY}), "jax": (jnp, {**KERNELS, **JAX})}
QUANTIZED = ("Integer", "QLinear", "QGemm", "uantize", "NBits")


# --- models ---


def convolutional() -> onnx.ModelProto:
    """Two convolutions, the pools, a residual, a concatenation and a Gemm."""
    rng = np.random.default_rng(3)
    shapes = {"w1": (8, 3, 3, 3), "b1": (8,), "w2": (8, 8, 3, 3), "b2": (8,)}
    shapes |= {"w3": (16, 10), "b3": (10,)}
    weights = [
        numpy_helper.from_array(rng.standard_normal(s).astype(np.float32) * 0.3, name)
        for name, s in shapes.items()
    ]
    same = {"pads": [1, 1, 1, 1]}
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["c1"], name="c1", **same),
        helper.make_node("Relu", ["c1"], ["r1"], name="r1"),
        helper.make_node("Conv", ["r1", "w2", "b2"], ["c2"], name="c2", **same),
        helper.make_node("LeakyRelu", ["c2"], ["l2"], name="l2", alpha=0.1),
        helper.make_node("Add", ["l2", "r1"], ["s"], name="s"),
        helper.make_node("Sigmoid", ["s"], ["g"], name="g"),
        helper.make_node("Concat", ["s", "g"], ["k"], name="k", axis=1),
        helper.make_node("AveragePool", ["k"], ["p"], name="p", kernel_shape=[2, 2]),
        helper.make_node("GlobalAveragePool", ["p"], ["v"], name="v"),
        helper.make_node("Flatten", ["v"], ["f"], name="f"),
        helper.make_node("Gemm", ["f", "w3", "b3"], ["m"], name="m"),
        helper.make_node("Softmax", ["m"], ["y"], name="y"),
    ]
    return small_model(nodes, [2, 3, 12, 12], [2, 10], weights)


def projected() -> onnx.ModelProto:
    """``softmax(q @ k^T) @ v`` of projections, gated by a product."""
    rng = np.random.default_rng(4)
    weights = [
        numpy_helper.from_array(rng.standard_normal((64, 64)).astype(np.float32), name)
        for name in ("wq", "wk", "wv", "wo")
    ]
    nodes = [
        helper.make_node("MatMul", ["x", f"w{n}"], [n], name=n) for n in ("q", "k", "v")
    ]
    nodes += [
        helper.make_node("Transpose", ["k"], ["kt"], name="kt", perm=[0, 2, 1]),
        helper.make_node("MatMul", ["q", "kt"], ["scores"], name="scores"),
        helper.make_node("Softmax", ["scores"], ["w"], name="w", axis=-1),
        helper.make_node("MatMul", ["w", "v"], ["seen"], name="seen"),
        helper.make_node("Mul", ["seen", "x"], ["gated"], name="gated"),
        helper.make_node("MatMul", ["gated", "wo"], ["y"], name="y"),
    ]
    return small_model(nodes, [2, 9, 64], [2, 9, 64], weights)


def small_model(nodes: Any, x: Any, y: Any, weights: Any) -> onnx.ModelProto:
    infos = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)]
        for name, shape in (("x", x), ("y", y))
    ]
    graph = helper.make_graph(nodes, "small", *infos, weights)
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10
    )


SMALL = {"convolutional": convolutional, "projected": projected}


def model_proto(name: str) -> onnx.ModelProto:
    """A model by its name, at an opset that has quantization along an axis."""
    if name in SMALL:
        return SMALL[name]()
    if name in TRAINED:
        proto = onnx.load(SHARED / f"{name}.onnx")
    else:
        proto = seeded_model(onnx.load(LIGHT / f"light_{name}.onnx"), seed=0)
    opset = next(o.version for o in proto.opset_import if o.domain in ("", "ai.onnx"))
    return proto if opset >= 13 else version_converter.convert_version(proto, 13)


# --- quantization ---


def feeds_of(session: onnxruntime.InferenceSession, seed: int) -> dict[str, Any]:
    """Random values for the inputs; a mask that keeps all but the last token."""
    rng = np.random.default_rng(seed)
    feeds: dict[str, Any] = {}
    for entry in session.get_inputs():
        shape = [d if isinstance(d, int) else SIZES.get(d, 1) for d in entry.shape]
        if "int" not in entry.type:
            feeds[entry.name] = rng.standard_normal(shape).astype(np.float32)
            continue
        dtype = entry.type[len("tensor(") : -1]
        feeds[entry.name] = rng.integers(1, 90, shape).astype(dtype)
        if "mask" in entry.name or "type" in entry.name:
            feeds[entry.name][...] = "mask" in entry.name
        if "mask" in entry.name:
            feeds[entry.name][0, -1] = 0
    return feeds


def session_of(model: Any) -> onnxruntime.InferenceSession:
    """What runs a model as it is written, on one thread."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    # With several, DynamicQuantizeLSTM quantizes the state of each part of a batch.
    options.intra_op_num_threads = 1
    disabled = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.graph_optimization_level = disabled
    source = model.SerializeToString() if isinstance(model, onnx.ModelProto) else model
    return onnxruntime.InferenceSession(source, options)


def calibration(proto: onnx.ModelProto) -> Any:
    """Two random inputs, as a reader that ONNX Runtime's calibration takes."""
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            session = session_of(proto)
            self.feeds: Iterator[Any] = iter([feeds_of(session, s) for s in (0, 1)])

        def get_next(self) -> Any:
            return next(self.feeds, None)

    return Reader()


def few_bits(proto: onnx.ModelProto, bits: int, block: int, *kinds: str) -> Any:
    """MatMulNBits for MatMul, GatherBlockQuantized for Gather if asked, as a model."""
    from onnxruntime.quantization import QuantFormat
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    quantizer = MatMulNBitsQuantizer(
        proto,
        bits=bits,
        block_size=block,
        is_symmetric="symmetric" in kinds,
        quant_format=QuantFormat.QDQ if "qdq" in kinds else QuantFormat.QOperator,
        op_types_to_quantize=("MatMul", "Gather") if "gather" in kinds else ("MatMul",),
    )
    quantizer.process()
    return quantizer.model


def write(name: str, kind: str, path: Path, saturates: bool) -> None:
    """
    Write the `kind` of quantized model at `path`.

    Kinds: ``dynamic``, ``qdq`` (int8), ``qop`` (uint8), each maybe ``-channel``, and
    ``nbits-<bits>-<block>``, maybe with ``-symmetric``, ``-gather``, ``-qdq``. Weights
    have 7 bits where ONNX Runtime's products of integers saturate (`saturates`).
    """
    proto = model_proto(name)
    first, *others = kind.split("-")
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if first == "nbits":
                bits, block, *kinds = others
                model = few_bits(proto, int(bits), int(block), *kinds)
                model.save_model_to_file(str(path))
            else:
                write_integers(proto, first, "channel" in others, path, saturates)
    finally:
        logging.disable(logging.NOTSET)


def write_integers(
    proto: onnx.ModelProto, kind: str, per_channel: bool, path: Path, saturates: bool
) -> None:
    from onnxruntime.quantization import (
        QuantFormat,
        QuantType,
        quantize_dynamic,
        quantize_static,
    )

    if kind == "dynamic":
        quantize_dynamic(proto, path, per_channel=per_channel, reduce_range=saturates)
        return
    quantize_static(
        proto,
        path,
        calibration(proto),
        quant_format=QuantFormat.QDQ if kind == "qdq" else QuantFormat.QOperator,
        per_channel=per_channel,
        activation_type=QuantType.QInt8 if kind == "qdq" else QuantType.QUInt8,
        reduce_range=kind != "qdq" and saturates,
    )


# --- node by node ---


@dataclass
class Judged:
    """How far our nodes are from ONNX Runtime's, on its own inputs."""

    quantized: int = 0
    """How many quantized nodes were judged."""
    moved: int = 0
    """How many integers were one step off."""
    integers: int = 0
    """How many integers were judged."""
    faults: list[str] = field(default_factory=list)
    """The nodes that are further off than they may be."""

    def add(self, name: str, found: Any, wanted: Any, limit: float) -> None:
        """Judge a result: integers by steps, real values relative to the largest."""
        found = np.asarray(found)
        if found.dtype != wanted.dtype or found.shape != wanted.shape:
            was = f"{found.dtype}{found.shape}"
            self.faults.append(f"{name}: {was}, not {wanted.dtype}{wanted.shape}")
            return
        if wanted.dtype.kind not in "iuf" or not wanted.size:
            return
        same = found == wanted
        # An infinity that both have is no distance.
        away = np.zeros(wanted.shape)
        np.subtract(found, wanted, out=away, where=~same)
        away = np.abs(away)
        if wanted.dtype in (np.int8, np.uint8):
            self.moved += np.count_nonzero(away)
            self.integers += wanted.size
            if away.max() > 1:
                self.faults.append(f"{name}: {away.max():.0f} steps")
        elif wanted.dtype.kind in "iu":
            if away.any():
                self.faults.append(f"{name}: integers differ")
        else:
            largest = np.abs(wanted[np.isfinite(wanted)]).max(initial=1e-6)
            error = away.max() / largest
            if not error <= limit:
                self.faults.append(f"{name}: error {error:.2g}")


def judge_nodes(path: Path, backend: str, limit: float) -> Judged:
    """Every node of the model, our kernel beside ONNX Runtime, on the same inputs."""
    proto = onnx.load(path)
    exposed = onnx.ModelProto()
    exposed.CopyFrom(proto)
    known = {info.name for info in proto.graph.output}
    computed = [name for node in proto.graph.node for name in node.output if name]
    exposed.graph.output.extend(
        onnx.ValueInfoProto(name=name) for name in computed if name not in known
    )
    session = session_of(exposed)
    feeds = feeds_of(session, 7)
    names = [output.name for output in session.get_outputs()]
    truth = dict(zip(names, session.run(None, feeds), strict=True)) | feeds
    judged = Judged()
    model = import_model(proto)
    values: dict[Any, Any] = {}
    block = model.main.body.block
    for argument, entry in zip(block.args, model.inputs, strict=True):
        values[argument] = feeds[entry.name]
    for op in block.ops:
        if op.name == "onnx.none":
            values[op.results[0]] = None
        elif isinstance(op, OnnxOp):
            step(op, model.context.store, values, truth, backend, judged, limit)
    return judged


def step(
    op: OnnxOp,
    store: Any,
    values: dict[Any, Any],
    truth: dict[str, Any],
    backend: str,
    judged: Judged,
    limit: float,
) -> None:
    """Run `op`, judge its results, and go on with what ONNX Runtime has instead."""
    if op.name == "onnx.Constant":
        held = op.properties["value"]
        array = (
            held.array() if isinstance(held, DenseAttr) else store[held.data].array()
        )
        values[op.results[0]] = array
        return
    wanted = [result for result in op.results if not is_none(result.type)]
    tensors = dict(zip(wanted, tensor_names(op), strict=False))
    quantized = any(word in op.name for word in QUANTIZED)
    xp, table = NAMESPACES[backend]
    judges = op.name in table and (quantized or backend == "numpy")
    found: list[Any] = [None] * len(op.results)
    if judges:
        found = run_op(xp, table[op.name], op, [values[v] for v in op.operands])
    for result, value in zip(op.results, found, strict=True):
        name = tensors.get(result)
        if judges and value is not None and name in truth:
            judged.add(f"{op.name} {name}", value, truth[name], limit)
        values[result] = truth.get(name, value)
    judged.quantized += judges and quantized


def run_op(xp: Any, kernel: Any, op: OnnxOp, operands: list[Any]) -> list[Any]:
    attributes = kernel_attributes(op)
    if "outputs" in inspect.signature(kernel).parameters:
        attributes["outputs"] = wanted_outputs(op)
    with np.errstate(all="ignore"), jax.enable_x64(True):
        if xp is jnp:
            operands = [None if a is None else jnp.asarray(a) for a in operands]
        found = kernel(xp, *operands, **attributes)
    return list(found) if isinstance(found, tuple) else [found]


@pytest.fixture(scope="session", name="quantized_model")
def quantized_model_fixture(tmp_path_factory: Any, saturates: bool) -> Any:
    """``quantized_model(name, kind)``: the file of a model's quantized version."""
    folder = tmp_path_factory.mktemp("quantized")

    def quantized_model(name: str, kind: str) -> Path:
        path = folder / f"{name}.{kind}.onnx"
        if not path.exists():
            write(name, kind, path, saturates)
        return path

    return quantized_model


@pytest.fixture(name="judge")
def judge_fixture() -> Any:
    """``judge(path, backend, limit)``: every node beside ONNX Runtime's."""
    return judge_nodes


@pytest.fixture(name="run_as_written")
def run_as_written_fixture() -> Any:
    """``run_as_written(path)``: random inputs, and what ONNX Runtime makes of them."""

    def run(path: Path) -> tuple[dict[str, Any], list[Any]]:
        session = session_of(path)
        feeds = feeds_of(session, 7)
        return feeds, session.run(None, feeds)

    return run


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Leave the larger sets of this folder out, unless ``-m`` says what to run."""
    if config.option.markexpr:
        return
    here = Path(__file__).parent
    large = [
        i for i in items if here in i.path.parents and i.get_closest_marker("large")
    ]
    if large:
        config.hook.pytest_deselected(items=large)
        items[:] = [item for item in items if item not in large]
