"""
Times each op of a compiled model.

NumPy is measured op by op, by a program that looks at the clock before and after each.
JAX compiles the whole program, so there XLA's profiler tells what each of its kernels
takes, and which ops are in it.
"""

from __future__ import annotations

import importlib
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xdsl.ir import Block, Operation

from ...backends import runtime
from ...dialects.fusion import RegionOp
from ...dialects.onnx import Dim, OnnxOp
from ...dialects.onnx.integers import IntegerValues
from ...dialects.onnx.provenance import node_names, tensor_names
from ...passes.analysis.cost import Cost, op_cost
from ...passes.analysis.storage import CONSTANTS, evaluated
from ..driver import (
    Executable,
    call_by_name,
    load,
    lower,
    random_by_name,
    specialize,
)
from ..inspect import label_of
from ..model import Model
from ..pipelines import run_pipeline, spec_of
from .profile import Event, KernelTime, OpTime, Profile, ProfileError


@dataclass(frozen=True)
class _Subject:
    """What is measured: the executable, its inputs, and its ops by place."""

    executable: Executable
    arrays: Mapping[str, Any]
    ops: tuple[OnnxOp | RegionOp, ...]
    costs: tuple[tuple[int | None, int | None, int | None], ...]
    """FLOPs, bytes read and written of each op, at the sizes of the inputs."""
    sizes: Mapping[str, int]

    @property
    def values(self) -> list[Any]:
        """The inputs in the model's order, checked."""
        spec = [entry.entry() for entry in self.executable.inputs]
        return runtime.bind(spec, (), self.arrays)

    def time(
        self, place: int, seconds: float | None, calls: int, shared: bool
    ) -> OpTime:
        """The entry of the op at `place`."""
        op, costs = self.ops[place], self.costs[place]
        inside = op.parent_op() is not self.executable.model.main
        names = node_names(op), tensor_names(op)
        return OpTime(label_of(op), *names, seconds, calls, inside, shared, *costs)


def profile_model(
    source: str | Path | Model,
    backend: str = "numpy",
    pipeline: str = "O2",
    dims: Mapping[str, int] | None = None,
    seed: int = 0,
    inputs: Mapping[str, Any] | None = None,
    budget_seconds: float = 2.0,
) -> Profile:
    """
    Compile a model and time its ops on (random) inputs for about `budget_seconds`.

    Raises SardonyxError for a model that does not compile or run, and on JAX for one
    that is not compiled as a whole.
    """
    model = load(source)
    if dims:
        specialize(model, dims)
    spec = spec_of(pipeline, backend)
    runs = run_pipeline(model, spec)
    executable = Executable(model, backend, spec, lower(model, backend), runs)
    return profile_executable(executable, dims, seed, inputs, budget_seconds)


def profile_executable(
    executable: Executable,
    dims: Mapping[str, int] | None = None,
    seed: int = 0,
    inputs: Mapping[str, Any] | None = None,
    budget_seconds: float = 2.0,
) -> Profile:
    """
    As `profile_model`, of what is compiled: the ops are those of `counted_ops`.
    """
    arrays = random_by_name(executable, dims or {}, seed, inputs)
    # A model that cannot run says so here, in one line.
    call_by_name(executable, arrays)
    subject = _subject(executable, arrays, dims or {})
    on_backend = _on_numpy if executable.backend == "numpy" else _on_jax
    return on_backend(subject, budget_seconds)


def counted_ops(executable: Executable) -> tuple[OnnxOp | RegionOp, ...]:
    """
    The ops that a profile has, in its order.

    On NumPy also those in subgraphs, on JAX those of the function alone; the ops within
    a fused region are one.
    """
    main = executable.model.main
    everything = main.walk() if executable.backend == "numpy" else main.body.block.ops
    found = filter(_counts, everything)
    return tuple(op for op in found if isinstance(op, OnnxOp | RegionOp))


def sizes_of(
    executable: Executable, arrays: Mapping[str, Any], dims: Mapping[str, int]
) -> dict[str, int]:
    """What the symbolic dimensions of the inputs are in `arrays`; else as in `dims`."""
    sizes = dict(dims)
    for spec in executable.inputs:
        for dim, size in zip(spec.shape or (), arrays[spec.name].shape, strict=False):
            if isinstance(dim, str):
                sizes.setdefault(dim, int(size))
    return sizes


def _subject(
    executable: Executable, arrays: Mapping[str, Any], dims: Mapping[str, int]
) -> _Subject:
    sizes = sizes_of(executable, arrays, dims)
    ops = counted_ops(executable)
    integers = IntegerValues(executable.model.context.store)
    costs = tuple(sized_cost(op_cost(op, integers), sizes) for op in ops)
    return _Subject(executable, arrays, ops, costs, sizes)


def _counts(op: Operation) -> bool:
    if isinstance(op.parent_op(), RegionOp):
        # It is one kernel, which has one time.
        return False
    return (
        isinstance(op, OnnxOp | RegionOp)
        and op.name not in CONSTANTS
        and isinstance(op.parent, Block)
        and bool(op.results)
    )


def sized_cost(
    cost: Cost, sizes: Mapping[str, int]
) -> tuple[int | None, int | None, int | None]:
    """FLOPs, bytes read and bytes written for `sizes` of the symbols."""

    def at(amount: Dim | None) -> int | None:
        return None if amount is None else evaluated(amount, sizes)

    return at(cost.flops), at(cost.bytes_read), at(cost.bytes_written)


# --- NumPy: each op between two looks at the clock ---


def _on_numpy(subject: _Subject, budget_seconds: float) -> Profile:
    executable, clock, values = subject.executable, time.perf_counter, subject.values
    model = executable.model
    places: dict[Operation, int] = {op: n for n, op in enumerate(subject.ops)}
    program = _of_backend("numpy.timing").timed_program(
        model.main, model.context.store, places, executable.inputs
    )
    run = program.prepared(clock, executable.params)
    whole, spans = list[float](), list[list[tuple[int, float, float]]]()
    run(values)
    stop = clock() + budget_seconds
    # The plain run and the one with the clock alternate: both see the same machine.
    while len(spans) < 3 or (clock() < stop and len(spans) < 200):
        start = clock()
        executable(**subject.arrays)
        whole.append(clock() - start)
        spans.append(run(values))
    overhead = clock_overhead()
    times = _op_times(subject, spans, overhead)
    typical = spans[_typical([one[-1][2] - one[0][1] if one else 0.0 for one in spans])]
    method = (
        "NumPy, op by op: the program looks at the clock before and after each op; "
        f"the median of {len(spans)} runs, less {1e9 * overhead:.0f} ns per op for the "
        "clock; an op in a region is within the time of the op around it"
    )
    first = min((begun for _, begun, _ in typical), default=0.0)
    trace = tuple(
        Event(times[place].op, begun - first, ended - begun, (place,))
        for place, begun, ended in sorted(typical, key=lambda span: span[1])
    )
    return _profile(subject, method, whole, overhead, times, (), trace)


def _op_times(
    subject: _Subject,
    runs: Sequence[Sequence[tuple[int, float, float]]],
    overhead: float,
) -> tuple[OpTime, ...]:
    """The median over `runs` of what each op took in one, all its calls together."""
    totals: list[list[float]] = [[] for _ in subject.ops]
    calls = [0] * len(subject.ops)
    for run in runs:
        summed = [0.0] * len(subject.ops)
        calls = [0] * len(subject.ops)
        for place, begun, ended in run:
            summed[place] += max(0.0, ended - begun - overhead)
            calls[place] += 1
        for total, seconds in zip(totals, summed, strict=True):
            total.append(seconds)
    return tuple(
        subject.time(place, statistics.median(total), calls[place], False)
        for place, total in enumerate(totals)
    )


def _of_backend(name: str) -> Any:
    """A module of a backend, loaded when it is wanted: JAX is heavy."""
    package = (__package__ or "").rpartition(".compiler.")[0]
    return importlib.import_module(f"{package}.backends.{name}")


def clock_overhead() -> float:
    """What two looks at the clock and a call around nothing take, in seconds."""
    spans: list[tuple[int, float, float]] = []
    clock = time.perf_counter

    def spent(place: int, begun: float, ended: float) -> None:
        spans.append((place, begun, ended))

    for place in range(2000):
        begun = clock()
        spent(place, begun, clock())
    return statistics.median(ended - begun for _, begun, ended in spans)


def _typical(seconds: Sequence[float]) -> int:
    """The place of the median."""
    return sorted(range(len(seconds)), key=lambda n: seconds[n])[len(seconds) // 2]


# --- JAX: XLA's kernels, and the ops in them ---


def _on_jax(subject: _Subject, budget_seconds: float) -> Profile:
    executable = subject.executable
    model = executable.model
    places: dict[Operation, int] = {op: n for n, op in enumerate(subject.ops)}
    profiler = _of_backend("jax.profiling")
    program = profiler.scoped_program(
        model.main, model.context.store, places, executable.inputs
    )
    store = model.context.store
    weights = {key: store[key].array() for key in program.weights}
    compiled = profiler.compiled_program(program, weights, subject.values)
    measured = compiled.measured(budget_seconds)
    if not measured.runs:
        raise ProfileError("profile: XLA's profiler told of no kernel on this platform")
    kernels = _kernels(measured.runs)
    parts = _parts(subject, kernels)
    times = tuple(
        subject.time(place, *parts.get(place, (None, 1, False)))
        for place in range(len(subject.ops))
    )
    method = (
        "JAX, XLA's profiler: the time of each kernel is measured, the median of "
        f"{len(measured.runs)} runs; the time of a kernel that holds several ops is "
        "divided among them by FLOPs and bytes, which is an estimate (marked ~); an op "
        "without a time is in no kernel: it was computed in compiling, or costs nothing"
    )
    typical = measured.runs[
        _typical([sum(k.seconds for k in r) for r in measured.runs])
    ]
    trace = tuple(Event(k.kernel, k.begun, k.seconds, k.places) for k in typical)
    return _profile(subject, method, measured.whole, 0.0, times, kernels, trace)


def _kernels(runs: Sequence[Sequence[Any]]) -> tuple[KernelTime, ...]:
    """The kernels of the runs, in the order of the first; a loop's summed up."""
    found: dict[str, list[float]] = {}
    places: dict[str, tuple[int, ...]] = {}
    for run in runs:
        summed: dict[str, float] = {}
        for kernel in run:
            places[kernel.kernel] = kernel.places
            before = summed.get(kernel.kernel, 0.0)
            summed[kernel.kernel] = before + kernel.seconds
        for name, seconds in summed.items():
            found.setdefault(name, []).append(seconds)
    return tuple(
        KernelTime(name, statistics.median(seconds), places[name])
        for name, seconds in found.items()
    )


def _parts(
    subject: _Subject, kernels: Sequence[KernelTime]
) -> dict[int, tuple[float, int, bool]]:
    """What each op has of the kernels: seconds, 1 call, whether it shares one."""
    seconds: dict[int, float] = {}
    shared: set[int] = set()
    for kernel in kernels:
        weights = [1 + sum(c or 0 for c in subject.costs[n]) for n in kernel.ops]
        for place, weight in zip(kernel.ops, weights, strict=True):
            part = kernel.seconds * weight / sum(weights)
            seconds[place] = seconds.get(place, 0.0) + part
        if len(kernel.ops) > 1:
            shared.update(kernel.ops)
    return {place: (spent, 1, place in shared) for place, spent in seconds.items()}


def _profile(
    subject: _Subject,
    method: str,
    whole: Sequence[float],
    overhead: float,
    times: tuple[OpTime, ...],
    kernels: tuple[KernelTime, ...],
    trace: tuple[Event, ...],
) -> Profile:
    executable = subject.executable
    return Profile(
        model=executable.model.name,
        backend=executable.backend,
        pipeline=executable.pipeline,
        dims=subject.sizes,
        method=method,
        runs=len(whole),
        whole_seconds=statistics.median(whole),
        overhead_seconds=overhead,
        ops=times,
        kernels=kernels,
        trace=trace,
    )
