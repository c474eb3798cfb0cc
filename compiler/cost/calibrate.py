"""
Measures what this machine does, for `targets.Rates`, and writes it as a target.

    sardonyx calibrate            writes the target that `host_target` reads
"""

from __future__ import annotations

import importlib
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ...passes.analysis.targets import Engine, Rates, Target, read_target
from ..bench.machine import describe_machine
from ..bench.protocol import Report, quiet
from ..caches import cache_folder

SHIPPED_HOST = "host-cpu"
"""The target that stands for a machine that was not calibrated."""
BACKENDS = ("numpy", "jax")
PER_PROBE_SECONDS = 0.5
ROUNDS = 5
"""Each probe is timed so often, all in turn: what disturbs one spoils one round."""
CACHE_BYTES = 1 << 20
"""Arrays of less than this together are counted as those that a cache holds."""


def calibrated_path() -> Path | None:
    """Where the target of this machine is kept: ``targets/host.toml`` in the cache."""
    folder = cache_folder("targets")
    return None if folder is None else folder / "host.toml"


def host_target() -> Target:
    """What `sardonyx calibrate` found here; `SHIPPED_HOST` if it was not run."""
    path = calibrated_path()
    return read_target(path if path is not None and path.exists() else SHIPPED_HOST)


def calibrate(
    backends: Sequence[str] = BACKENDS,
    probe_seconds: float = PER_PROBE_SECONDS,
    report: Report = quiet,
) -> Target:
    """
    Measure this machine with the threads that a program gets, as a target.

    Takes about `probe_seconds` for each of six probes of every backend.
    """
    found: dict[str, Rates] = {}
    for place, name in enumerate(backends):
        report(name, place, len(backends))
        found[name] = rates_of(name, probe_seconds)
    report("done", len(backends), len(backends))
    machine = describe_machine()
    # A kernel may run off the cache or the memory; the timeline knows memory alone.
    base = read_target(SHIPPED_HOST).engines[0]
    best = max(found.values(), key=lambda rates: rates.flops)
    rates = {**base.flops, "float32": best.flops, "float64": best.flops / 2}
    engine = Engine(
        base.name, rates, best.bandwidth, base.memory_bytes, best.launch_seconds
    )
    described = f"{machine.processor}, {machine.cores} cores, measured"
    return Target("host", described, (engine,), (), found)


def rates_of(backend: str, probe_seconds: float = PER_PROBE_SECONDS) -> Rates:
    """The rates of one backend; see `calibrate`."""
    package = (__package__ or "").rpartition(".compiler.")[0]
    module: Any = importlib.import_module(f"{package}.backends.{backend}.rates")
    probes: Mapping[str, tuple[Callable[[], Any], float]] = module.probes()
    times: dict[str, list[float]] = {name: [] for name in probes}
    for _ in range(ROUNDS):
        for name, (run, _amount) in probes.items():
            times[name].append(_seconds(run, probe_seconds / ROUNDS))
    taken = {name: statistics.median(times[name]) for name in probes}
    done = {name: amount for name, (_, amount) in probes.items()}
    call = taken["call_seconds"]
    launch = taken["launch_seconds"] / done["launch_seconds"]
    empty = Rates(1.0, 1.0, 1.0, CACHE_BYTES, 1.0, launch, call, module.FUSES)
    names = ("flops", "bandwidth", "cache_bandwidth", "transcendentals")
    # What a call takes is no part of the work.
    worked = {name: done[name] / max(taken[name] - call, 1e-9) for name in names}
    return replace(empty, **worked)


def _seconds(run: Callable[[], Any], budget: float) -> float:
    """The median time of a call, in about `budget` seconds."""
    clock, found = time.perf_counter, list[float]()
    run()
    stop = clock() + budget
    while len(found) < 3 or (clock() < stop and len(found) < 1000):
        start = clock()
        run()
        found.append(clock() - start)
    return statistics.median(found)


def target_text(target: Target) -> str:
    """The target as TOML that `read_target` reads."""
    lines = [
        f"name = {_quoted(target.name)}",
        f"description = {_quoted(target.description)}",
    ]
    for engine in target.engines:
        lines += ["", "[[engines]]", f"name = {_quoted(engine.name)}"]
        for name in ("memory_bytes", "bandwidth", "launch_seconds"):
            lines.append(f"{name} = {getattr(engine, name):.4e}")
        lines += ["", "[engines.flops]"]
        lines += [f"{element} = {rate:.4e}" for element, rate in engine.flops.items()]
    for name, rates in target.backends.items():
        lines += ["", f"[backends.{name}]"]
        lines += [f"{rate} = {_amount(value)}" for rate, value in asdict(rates).items()]
    return "\n".join(lines) + "\n"


def _amount(value: float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:.4e}"


def _quoted(text: str) -> str:
    printable = "".join(c if c.isprintable() else " " for c in text)
    return '"' + printable.replace("\\", "\\\\").replace('"', '\\"') + '"'
