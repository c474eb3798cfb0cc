"""
The stages of a compilation, one after another: import, specialize, optimize, lower,
write.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import onnx

from ..backends import runtime
from ..backends.program import Buckets, InputSpec, LoweringError, Program
from ..dialects.errors import SardonyxError
from ..dialects.fusion import inline_regions
from ..passes.expand_functions import expand_where
from ..passes.schedule.plan_memory import plan_again
from ..passes.specialize_dims import SpecializeDimsPass
from .buckets import buckets_of
from .collection import collection_paused
from .importer import import_model
from .inputs import input_specs, output_specs
from .model import Model
from .pipelines import Instrument, PassRun, run_pipeline, spec_of
from .text import read_text
from .weights import Progress, ignored

BACKENDS = ("numpy", "jax")

CHOOSING = "O3"
"""The level of which the cost model chooses the passes."""

RUNS_REGIONS = frozenset(["numpy"])
"""Those that write a fused region as one kernel; XLA fuses by itself."""


@dataclass(repr=False)
class Executable:
    """
    A compiled model. Call it with arrays by position or by input name.

    The outputs come as a tuple in the model's order, as NumPy or JAX arrays by the
    backend.
    """

    model: Model
    backend: str
    pipeline: str
    """The spec of the passes that ran."""
    program: Program
    passes: list[PassRun] = field(default_factory=list[PassRun])
    seconds: dict[str, float] = field(default_factory=dict[str, float])
    """How long each stage took."""
    refused: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What `--refuse-slower` measured before, for the manifest; else nothing."""
    considered: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What -O3 was chosen among, for the manifest; see `cost.choose`."""

    def __repr__(self) -> str:
        takes = ", ".join(map(str, self.inputs))
        gives = ", ".join(map(str, self.outputs))
        return f"<{self.backend} executable of {self.model.name!r}: {takes} -> {gives}>"

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        """The inputs in the model's order."""
        return self.program.inputs

    @property
    def outputs(self) -> tuple[InputSpec, ...]:
        """The outputs in the model's order."""
        return self.program.outputs

    @property
    def source(self) -> str:
        """The program's text, the artifact's ``model.py``."""
        return self.program.source

    @cached_property
    def params(self) -> dict[str, Any]:
        """
        The weights by name, as the backend's arrays: the pure function's first
        argument.

        What a NumPy program makes of them once is there too, see `numpy.prepared`.
        """
        weights = _backend(self.backend).prepare_weights(self._weights())
        prepared = self._namespace.get("prepared")
        return weights if prepared is None else prepared(weights)

    def _weights(self) -> dict[str, Any]:
        store = self.model.context.store
        return {key: store[key].array() for key in self.program.weights}

    @cached_property
    def function(self) -> Any:
        """
        The pure function ``(params, *inputs) -> outputs``, to jit, grad, vmap and
        shard.

        On JAX, a model with 64-bit integers owes it the caller's ``jax.enable_x64``;
        calling the executable itself needs nothing.
        """
        return self._namespace["forward"]

    @cached_property
    def _namespace(self) -> dict[str, Any]:
        name = ascii(self.model.name)[1:-1] or "model"
        code = compile(self.source, f"<sardonyx {name}>", "exec")
        namespace: dict[str, Any] = {"__name__": "sardonyx_program", "__file__": ""}
        exec(code, namespace)
        return namespace

    def __call__(self, /, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """Run; TypeError or ValueError says which input was found and which wanted."""
        spec = [entry.entry() for entry in self.inputs]
        values = runtime.bind(spec, args, kwargs)
        first = "params" not in self.__dict__
        # The first call traces and compiles, beside a module that is large and stays.
        with collection_paused() if first else nullcontext():
            if first:
                self._compile_ahead(values)
            namespace = self._namespace
            forward = namespace.get("jitted", self.function)
            return namespace["call"](forward, self.params, values)

    def _compile_ahead(self, values: Sequence[Any]) -> None:
        """Compile for inputs like these while a thread prepares the weights."""
        compile_ahead = getattr(_backend(self.backend), "compile_ahead", None)
        if compile_ahead is None:
            return
        store = self.model.context.store
        weights = {key: store[key].kind for key in self.program.weights}
        with ThreadPoolExecutor(1, "weights") as worker:
            prepared = worker.submit(lambda: self.params)
            compile_ahead(self._namespace, weights, values)
            prepared.result()

    def random_inputs(
        self, dims: Mapping[str, int] | None = None, seed: int = 0
    ) -> dict[str, Any]:
        """
        A random array for every input, free sizes from `dims` (1 for the first, else
        16).
        """
        spec = [entry.entry() for entry in self.inputs]
        return runtime.random_inputs(spec, dims or {}, seed)

    def exported(self, platforms: Sequence[str] = ("cpu", "cuda", "tpu")) -> Any:
        """
        The function as a ``jax.export.Exported``, to serialize and run where only JAX
        is.

        Its ``call`` takes the weights (a dictionary like `params`) and the inputs;
        free dimensions are symbolic. Raises LoweringError where JAX cannot export:
        for a platform, or for every size of a free dimension.
        """
        if self.backend != "jax":
            raise LoweringError(
                f"found backend {self.backend!r}, wanted 'jax': StableHLO is JAX's"
            )
        chosen = _backend(self.backend)
        return chosen.exported(self.function, self._weights(), self.inputs, platforms)

    def save(
        self,
        folder: str | Path,
        stablehlo: bool = False,
        progress: Progress = ignored,
    ) -> Path:
        """
        Write the artifact into `folder`, with ``model.stablehlo`` if asked for.

        `progress` hears how many bytes of weights are written. See
        `artifact.write_artifact`.
        """
        from .artifact import write_artifact

        return write_artifact(self, Path(folder), stablehlo, progress)


class InputError(SardonyxError):
    """Inputs that a model cannot run on."""


def call_by_name(executable: Any, arrays: Mapping[str, Any]) -> tuple[Any, ...]:
    """
    What `executable` (or an artifact) gives for `arrays`, by input name.

    Raises InputError, in one line, if the model cannot run on them.
    """
    try:
        return executable(**arrays)
    except MemoryError as error:
        raise InputError(f"not enough memory to run on these sizes: {error}") from error
    except (TypeError, ValueError, IndexError, ZeroDivisionError) as error:
        # A shape that only running shows to be wrong fails in a kernel, on arrays.
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise InputError(lines[0]) from error


def random_by_name(
    executable: Any,
    dims: Mapping[str, int],
    seed: int,
    given: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """
    `given`, and random arrays for the other inputs of `executable` (or an artifact).

    Raises InputError for an input of which there is no random value.
    """
    held = given or {}
    entries = [spec.entry() for spec in executable.inputs]
    free = [entry for entry in entries if entry[0] not in held]
    try:
        drawn = runtime.random_inputs(free, dims, seed)
    except (ValueError, MemoryError) as error:
        raise InputError(str(error) or "the inputs do not fit in memory") from error
    return {name: held.get(name, drawn.get(name)) for name, *_ in entries}


def load(source: str | Path | onnx.ModelProto | Model) -> Model:
    """The model at a path (``.onnx`` or ``.mlir``), in memory, or imported already."""
    if isinstance(source, Model):
        return source.clone()
    if not isinstance(source, onnx.ModelProto) and Path(source).suffix == ".mlir":
        return read_text(Path(source))
    return import_model(source)


def compile_model(
    source: str | Path | onnx.ModelProto | Model,
    backend: str = "jax",
    pipeline: str = "O2",
    dims: Mapping[str, int] | None = None,
    vmap: bool = False,
    instruments: Sequence[Instrument] = (),
    buckets: Mapping[str, Sequence[int]] | None = None,
    memory_limit: int | None = None,
) -> Executable:
    """
    Compile a model: a path, a ModelProto or an imported `Model` (left as it is).

    `pipeline` is a level (``O0`` … ``O3``) or a pass spec; `dims` gives symbolic
    dimensions their sizes. With `vmap` (on JAX) every input and output gets a new first
    axis, ``batch``, and the model runs on each slice of it. `instruments` look on as
    the passes run. With `buckets` (on JAX), the sizes of a dimension, inputs are padded
    to the next of them, so that no more shapes are compiled; what is longer than all is
    compiled for its own. With `memory_limit` (on NumPy), the artifact that is saved
    holds at most so many bytes of its weights in memory; see `numpy.streaming`. Raises
    SardonyxError in one line.
    """
    if backend not in BACKENDS:
        raise SardonyxError(
            f"found backend {backend!r}, wanted {' or '.join(BACKENDS)}"
        )
    if vmap and buckets:
        raise SardonyxError("found vmap and buckets, wanted one of them")
    seconds: dict[str, float] = {}
    start = time.perf_counter()
    model = load(source)
    start = _lap(seconds, "import", start)
    if dims:
        specialize(model, dims)
    # Padding is looked at before passes write the graph in other operators.
    padded = buckets_of(model, buckets) if buckets else None
    spec, considered = choice_of(model, backend, pipeline)
    passes = run_pipeline(model, spec, instruments)
    start = _lap(seconds, "passes", start)
    program = lower(model, backend, vmap, padded, memory_limit)
    _lap(seconds, "lower", start)
    made = Executable(model, backend, spec, program, passes, seconds)
    made.considered = considered
    return made


def chosen_spec(model: Model, backend: str, pipeline: str) -> str:
    """
    The spec that `pipeline` stands for; of -O3 what the cost model chooses.
    """
    return choice_of(model, backend, pipeline)[0]


def choice_of(model: Model, backend: str, pipeline: str) -> tuple[str, dict[str, Any]]:
    """As `chosen_spec`, and what it was chosen among: see `cost.choose.Chosen`."""
    if pipeline != CHOOSING:
        return spec_of(pipeline, backend), {}
    from .cost.choose import choose

    found = choose(model, backend)
    return found.spec, found.as_json()


def specialize(model: Model, dims: Mapping[str, int]) -> None:
    """Give symbolic dimensions their sizes, in place."""
    entries = tuple(f"{name}={size}" for name, size in sorted(dims.items()))
    SpecializeDimsPass(entries).apply(model.context, model.module)


@collection_paused()
def lower(
    model: Model,
    backend: str,
    vmap: bool = False,
    buckets: Buckets | None = None,
    memory_limit: int | None = None,
) -> Program:
    """
    The program of `model`; LoweringError names what the backend cannot do.

    With `vmap` it runs on a batch of what the model takes, with `buckets` it pads that;
    with `memory_limit` it holds at most so many bytes of its weights.
    """
    for option, given in (("vmap", vmap), ("buckets", buckets)):
        if given and backend != "jax":
            raise LoweringError(f"{option}: found backend {backend!r}, wanted 'jax'")
    options: dict[str, Any] = {"vmap": True} if vmap else {}
    if buckets:
        options["buckets"] = buckets
    if memory_limit is not None:
        if backend != "numpy":
            found = f"memory limit: found backend {backend!r}"
            raise LoweringError(f"{found}, wanted 'numpy'")
        options["memory_limit"] = memory_limit
    chosen = _backend(backend)
    table = chosen.TABLE
    if backend not in RUNS_REGIONS:
        inline_regions(model.module)
    expand_where(
        model.module,
        model.context.store,
        lambda op: op.name not in table and op.name != "onnx.Constant",
    )
    # What was expanded, or rewritten by passes after it, is not as it was planned.
    plan_again(model.main)
    title = f"{ascii(model.name)[1:-1] or 'model'}, compiled by sardonyx for {backend}."
    try:
        return chosen.write_program(
            model.main,
            model.context.store,
            title,
            input_specs(model),
            output_specs(model),
            **options,
        )
    except LoweringError as error:
        raise LoweringError(f"backend {backend}: {error}") from error


def _backend(name: str) -> ModuleType:
    package = __package__.rpartition(".")[0] if __package__ else ""
    return importlib.import_module(f"{package}.backends.{name}")


def _lap(seconds: dict[str, float], stage: str, start: float) -> float:
    now = time.perf_counter()
    seconds[stage] = now - start
    return now
