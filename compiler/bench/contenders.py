"""
The contenders: our backends, artifacts, and the runtimes beside which they are timed.

This module is what a contender's process runs; only there are the runtimes imported.
"""

from __future__ import annotations

import importlib
import importlib.util
import io
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from ...dialects.errors import SardonyxError
from .child import Runner, serve, thread_names
from .process import read_array

PEERS = ("onnxruntime", "openvino", "reference", "jaxonnxruntime")

PACKAGES = {
    "onnxruntime": "onnxruntime",
    "openvino": "openvino",
    "reference": "onnx",
    "jaxonnxruntime": "jaxonnxruntime",
}
"""What must be installed for a peer."""


def absence(peer: str) -> str | None:
    """Why a peer cannot take part, in one line; None if it can."""
    package = PACKAGES[peer]
    if importlib.util.find_spec(package) is not None:
        return None
    return f"{peer}: not installed: pip install {package}"


# --- descriptions, which travel as JSON ---


def compiled(
    model: str | Path, backend: str, pipeline: str, dims: Mapping[str, int]
) -> dict[str, Any]:
    """The contender that compiles `model` and runs it."""
    return {
        "kind": "compiled",
        "model": str(model),
        "backend": backend,
        "pipeline": pipeline,
        "dims": dict(dims),
    }


def artifact(folder: str | Path) -> dict[str, Any]:
    """The contender that runs an artifact. This executes its ``model.py``."""
    return {"kind": "artifact", "folder": str(folder)}


def peer(name: str, model: str | Path, dims: Mapping[str, int]) -> dict[str, Any]:
    """The contender that runs `model` in one of `PEERS`."""
    return {"kind": name, "model": str(model), "dims": dict(dims)}


def oracle(name: str, model: str | Path, tensors: Sequence[str]) -> dict[str, Any]:
    """No contender in the race: gives the values of tensors within the model."""
    return {"kind": "oracle", "oracle": name, "model": str(model), "tensors": tensors}


# --- what runs in the process ---


def make(request: Mapping[str, Any]) -> Runner:
    """The program that a ``start`` request describes."""
    folder, described = Path(request["folder"]), request["contender"]
    arrays = {e["name"]: read_array(folder, e) for e in request["inputs"]}
    return MAKERS[described["kind"]](described, arrays, request["threads"])


def make_compiled(
    described: Mapping[str, Any], arrays: Mapping[str, Any], threads: int
) -> Runner:
    """Our program, compiled here. XLA's threads follow the process's cores."""
    from ..driver import compile_model

    model, backend = Path(described["model"]), described["backend"]
    program = compile_model(model, backend, described["pipeline"], described["dims"])
    return Runner(lambda: program(**arrays), xla_threads)


def make_artifact(
    described: Mapping[str, Any], arrays: Mapping[str, Any], threads: int
) -> Runner:
    """Our program, compiled before."""
    from ..artifact import load_artifact

    program = load_artifact(described["folder"])
    return Runner(lambda: program(**arrays), xla_threads)


def xla_threads() -> int | None:
    """The size of XLA's pool, None if this process has none."""
    return sum(name.startswith("tf_XLAEigen") for name in thread_names()) or None


def make_onnxruntime(
    described: Mapping[str, Any], arrays: Mapping[str, Any], threads: int
) -> Runner:
    """ONNX Runtime with all its optimizations, told the same sizes as we are."""
    import onnxruntime  # pyright: ignore[reportMissingTypeStubs]

    runtime = cast(Any, onnxruntime)
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    for name, size in described["dims"].items():
        options.add_free_dimension_override_by_name(name, size)
    session = runtime.InferenceSession(
        described["model"], options, providers=["CPUExecutionProvider"]
    )
    feed = dict(arrays)
    used = session.get_session_options().intra_op_num_threads
    return Runner(lambda: session.run(None, feed), lambda: used)


def make_openvino(
    described: Mapping[str, Any], arrays: Mapping[str, Any], threads: int
) -> Runner:
    """OpenVINO, tuned for latency, in the model's own precision."""
    # By name, so that a type checker need not have it installed.
    core = cast(Any, importlib.import_module("openvino")).Core()
    model = core.read_model(described["model"])
    if described["dims"]:
        model.reshape({name: list(a.shape) for name, a in arrays.items()})
    hints: dict[str, Any] = {
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        # By itself it computes in bfloat16 where the processor can.
        "INFERENCE_PRECISION_HINT": "f32",
    }
    loaded = core.compile_model(model, "CPU", hints)
    request = loaded.create_infer_request()
    feed, outputs = dict(arrays), list(loaded.outputs)

    def call() -> list[Any]:
        found = request.infer(feed, share_inputs=True, share_outputs=True)
        return [found[output] for output in outputs]

    return Runner(call, lambda: int(loaded.get_property("INFERENCE_NUM_THREADS")))


def make_reference(
    described: Mapping[str, Any], arrays: Mapping[str, Any], threads: int
) -> Runner:
    """ONNX's reference evaluator."""
    import onnx
    from onnx.reference import ReferenceEvaluator

    proto = onnx.load(described["model"])  # pyright: ignore[reportUnknownMemberType]
    evaluator = cast(Any, ReferenceEvaluator(proto))
    feed = dict(arrays)
    return Runner(lambda: evaluator.run(None, feed))


def make_jaxonnxruntime(
    described: Mapping[str, Any], arrays: Mapping[str, Any], threads: int
) -> Runner:
    """The other importer of ONNX into JAX: its function, jitted."""
    import onnx

    proto = onnx.load(described["model"])  # pyright: ignore[reportUnknownMemberType]
    importer = cast(Any, importlib.import_module("jaxonnxruntime.call_onnx"))
    jax = cast(Any, importlib.import_module("jax"))
    # Of a graph that it does not understand it asks in a debugger: nobody answers.
    sys.stdin = io.StringIO()
    feed = dict(arrays)
    function, weights = importer.call_onnx_model(proto, feed)
    jitted = jax.jit(function)

    def call() -> list[Any]:
        return list(jax.block_until_ready(jitted(weights, feed)))

    return Runner(call, xla_threads)


def make_oracle(
    described: Mapping[str, Any], arrays: Mapping[str, Any], threads: int
) -> Runner:
    """The values of some tensors, computed as the file says."""
    from ..oracle import run_oracle

    name, model, tensors = (described[k] for k in ("oracle", "model", "tensors"))
    values = run_oracle(name, model, arrays, tensors)
    return Runner(lambda: [values[tensor] for tensor in tensors])


MAKERS: dict[str, Callable[[Mapping[str, Any], Mapping[str, Any], int], Runner]] = {
    "compiled": make_compiled,
    "artifact": make_artifact,
    "onnxruntime": make_onnxruntime,
    "openvino": make_openvino,
    "reference": make_reference,
    "jaxonnxruntime": make_jaxonnxruntime,
    "oracle": make_oracle,
}


def check_peers(names: Sequence[str]) -> None:
    """Raise SardonyxError unless every name is a peer's."""
    for name in names:
        if name not in PEERS:
            raise SardonyxError(f"found peer {name!r}, wanted {', '.join(PEERS)}")


if __name__ == "__main__":
    serve(make)
