"""
What XLA's own profiler says of a program, kernel by kernel.

The program is written once more with a named scope around each op. XLA carries the
scopes through its passes into the metadata of its instructions, and the profiler names
the instruction of every kernel that runs: so a kernel is known by the ops in it.
"""

from __future__ import annotations

import importlib
import re
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

import jax
import numpy as np
from jax.profiler import ProfileData  # pyright: ignore[reportUnknownVariableType]
from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation

from ...dialects.fusion import RegionOp
from ...dialects.onnx import OnnxOp, WeightStore
from ...dialects.onnx.provenance import describe
from ..program import InputSpec, LoweringError, assemble
from .calls import call, prepare_weights
from .segment_calls import with_fixed
from .segmented import SegmentedEmitter

SCOPE = "sardonyx_op_"


@dataclass
class ScopedEmitter(SegmentedEmitter):
    """Writes each op that has a place inside a scope that is named by it."""

    places: Mapping[Operation, int] = field(default_factory=dict[Operation, int])

    def _emit_op(self, op: OnnxOp | RegionOp) -> None:
        place = self.places.get(op)
        if place is None:
            super()._emit_op(op)
            return
        self.line(f'with jax.named_scope("{SCOPE}{place}"):')
        self.level += 1
        super()._emit_op(op)
        self.level -= 1


@dataclass(frozen=True)
class KernelRun:
    """One kernel of one run of the program."""

    kernel: str
    """The name of XLA's instruction."""
    places: tuple[int, ...]
    """The ops in it; none for what XLA adds of its own."""
    begun: float
    """Seconds since the first kernel of the run."""
    seconds: float
    """Without the kernels that ran within it, such as those of a loop's body."""


@dataclass(frozen=True)
class Measured:
    """What was measured of a program."""

    runs: tuple[tuple[KernelRun, ...], ...]
    """The kernels of each run under the profiler."""
    whole: tuple[float, ...]
    """Seconds of each run without the profiler."""


@dataclass(frozen=True)
class ScopedProgram:
    """The text of a program with scopes, its weights, and what fixes its shapes."""

    source: str
    weights: tuple[str, ...]
    fixed: tuple[int, ...]


def scoped_program(
    main: FuncOp,
    store: WeightStore,
    places: Mapping[Operation, int],
    inputs: Sequence[InputSpec],
) -> ScopedProgram:
    """The program of `main`; LoweringError unless JAX compiles it as a whole."""
    emitter = ScopedEmitter(_table(), store, places=places)
    for needed in ("import jax", "import jax.numpy as jnp", "from jax import lax"):
        emitter.pasted.imports[needed] = None
    forward = emitter.emit(main, [spec.name for spec in inputs])
    if emitter.in_segments(main):
        reasons = [f"{describe(op)}: {why}" for op, why in emitter.plan.reasons.items()]
        reasons += [
            f"{describe(op)}: the size of its result depends on data"
            for op in emitter.plan.bounds.sources
        ]
        found = reasons[0] if reasons else "values that are no arrays of numbers"
        raise LoweringError(
            f"profile: {found}, wanted a program that JAX compiles as a whole "
            "(--backend numpy takes any)"
        )
    source = assemble("Profiled.", emitter, forward, inputs, (), [call], "")
    return ScopedProgram(
        source, tuple(emitter.weights), tuple(emitter.fixed_inputs(main))
    )


def _table() -> Mapping[str, Any]:
    from . import TABLE

    return TABLE


@dataclass(frozen=True)
class CompiledProgram:
    """A program that is compiled, and what it runs on."""

    compiled: Any
    weights: Any
    inputs: tuple[Any, ...]

    def whole(self, budget_seconds: float) -> tuple[float, ...]:
        """What calls in a row take, for about `budget_seconds`."""
        with jax.enable_x64(True):
            once = _timer(self.compiled, self.weights, self.inputs)
            once()
            seconds = once()
            count = max(3, min(100, int(budget_seconds / max(seconds, 1e-6))))
            return tuple(once() for _ in range(count))

    def measured(self, budget_seconds: float) -> Measured:
        """
        Run it for about `budget_seconds`, half of it under XLA's profiler.
        """
        whole = self.whole(budget_seconds / 2)
        with jax.enable_x64(True):
            once = _timer(self.compiled, self.weights, self.inputs)
            with tempfile.TemporaryDirectory() as folder:
                with jax.profiler.trace(folder):  # pyright: ignore[reportUnknownMemberType]
                    marks = min(len(whole), 20)
                    for _ in range(marks):
                        once()
                (path,) = Path(folder).rglob("*.xplane.pb")
                data = cast(Any, ProfileData).from_file(str(path))
        runs = _kernel_runs(data, scopes_of(self.compiled.as_text()))
        return Measured(tuple(runs), whole)


def compiled_program(
    program: ScopedProgram, weights: Mapping[str, Any], inputs: Sequence[Any]
) -> CompiledProgram:
    """
    `program` compiled anew for `inputs`: JAX's cache may hold the same program without
    scopes, which are no part of its key.
    """
    namespace: dict[str, Any] = {"__name__": "sardonyx_program"}
    exec(compile(program.source, "<sardonyx profiled>", "exec"), namespace)
    fixed = {place: np.asarray(inputs[place]) for place in program.fixed}
    function: Callable[..., Any] = partial(with_fixed, namespace["forward"], fixed)
    others = [value for place, value in enumerate(inputs) if place not in fixed]
    with jax.enable_x64(True), _uncached():
        given = prepare_weights(weights)
        jit = cast(Any, jax.jit)  # pyright: ignore[reportUnknownMemberType]
        jitted = jit(function, compiler_options=namespace["COMPILER_OPTIONS"])
        compiled = jitted.lower(given, *others).compile()
    return CompiledProgram(compiled, given, tuple(others))


def _uncached() -> AbstractContextManager[Any]:
    """A context in which this thread's compilations leave JAX's cache alone."""
    # As in `cached_compilation`: JAX's public switch is for all threads and for good.
    states = getattr(importlib.import_module("jax._src.config"), "config_states", {})
    switch = states.get("jax_enable_compilation_cache")
    return nullcontext() if switch is None else switch(False)


def _timer(compiled: Any, weights: Any, inputs: Sequence[Any]) -> Callable[[], float]:
    def once() -> float:
        start = time.perf_counter()
        jax.block_until_ready(compiled(weights, *inputs))  # pyright: ignore[reportUnknownMemberType]
        return time.perf_counter() - start

    return once


# --- XLA's text: which ops are in an instruction ---

_HEAD = re.compile(r"^(?:ENTRY )?%?([\w.\-]+) \(.*\{$")
_INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%?([\w.\-]+) = ")
_CALLED = re.compile(
    r"(?:calls|to_apply|body|condition|true_computation|false_computation)="
    r"%?([\w.\-]+)|branch_computations=\{([^}]*)\}"
)
_NAME = re.compile(r'op_name="([^"]*)"')
_PLACE = re.compile(SCOPE + r"(\d+)")


def scopes_of(text: str) -> dict[str, tuple[int, ...]]:
    """The places of the ops in each instruction of a compiled module's text."""
    inside: dict[str, list[str]] = {}
    own: dict[str, set[int]] = {}
    called: dict[str, list[str]] = {}
    current: list[str] = []
    for line in text.splitlines():
        head, found = _HEAD.match(line), _INSTRUCTION.match(line)
        if found:
            name = found[1]
            current.append(name)
            named = _NAME.search(line)
            own[name] = {int(n) for n in _PLACE.findall(named[1])} if named else set()
            called[name] = [
                other.strip().lstrip("%")
                for one, several in _CALLED.findall(line)
                for other in (one or several).split(",")
            ]
        elif head:
            current = inside.setdefault(head[1], [])

    def places(name: str) -> set[int]:
        below = [i for c in called[name] for i in inside.get(c, [])]
        return own[name].union(*map(places, below)) if below else own[name]

    return {name: tuple(sorted(places(name))) for name in own}


# --- the profiler's events ---


@dataclass
class _Event:
    name: str
    run: Any
    begun: float
    ended: float
    nested: float = 0.0


def _kernel_runs(
    data: Any, scopes: Mapping[str, tuple[int, ...]]
) -> list[tuple[KernelRun, ...]]:
    """The kernels by run of the program, in the order of the runs."""
    by_plane = {
        plane.name: [event for line in plane.lines for event in _events(line, scopes)]
        for plane in data.planes
    }
    # An accelerator's own plane tells the time there; the host's that of launching.
    devices = [n for n, found in by_plane.items() if found and "/device:" in n]
    chosen = devices or list(by_plane)
    grouped: dict[Any, list[_Event]] = {}
    for event in (event for name in chosen for event in by_plane[name]):
        grouped.setdefault(event.run, []).append(event)
    groups = sorted(grouped.values(), key=lambda g: min(e.begun for e in g))
    return [_run(sorted(group, key=lambda e: e.begun), scopes) for group in groups]


def _run(
    events: Sequence[_Event], scopes: Mapping[str, tuple[int, ...]]
) -> tuple[KernelRun, ...]:
    first = events[0].begun
    return tuple(
        KernelRun(
            e.name,
            scopes[e.name],
            (e.begun - first) * 1e-9,
            max(0.0, e.ended - e.begun - e.nested) * 1e-9,
        )
        for e in events
    )


def _events(line: Any, scopes: Mapping[str, tuple[int, ...]]) -> list[_Event]:
    """The kernels that ran on one thread, each with what ran within it."""
    found: list[_Event] = []
    for event in line.events:
        stats = dict(event.stats)
        name = stats.get("hlo_op")
        if name in scopes:
            begun = float(event.start_ns)
            ended = begun + float(event.duration_ns)
            found.append(_Event(str(name), stats.get("run_id"), begun, ended))
    found.sort(key=lambda e: (e.begun, -e.ended))
    around: list[_Event] = []
    for event in found:
        while around and around[-1].ended <= event.begun:
            around.pop()
        if around:
            around[-1].nested += event.ended - event.begun
        around.append(event)
    return found
