"""Where something was timed: processor, cores, memory, versions of libraries."""

from __future__ import annotations

import os
import platform
from collections import defaultdict
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, cast

import numpy as np

PACKAGES = (
    "sardonyx",
    "numpy",
    "jax",
    "onnx",
    "onnxruntime",
    "openvino",
    "jaxonnxruntime",
)

TELLING_FLAGS = (
    "avx2",
    "fma",
    "f16c",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "avx_vnni",
    "amx_bf16",
    "amx_int8",
    "asimd",
    "asimddp",
    "bf16",
    "i8mm",
    "sve",
)
"""The extensions of a processor that decide how fast matrix products are."""


@dataclass(frozen=True)
class Machine:
    """What a time depends on, beside the program."""

    processor: str
    cores: int
    """Physical cores that this process may use."""
    flags: tuple[str, ...]
    memory_bytes: int | None
    system: str
    python: str
    load: float | None
    """How many processes wanted to run, over the last minute: before the timing."""


def describe_machine() -> Machine:
    """The machine that this runs on."""
    known = _cpuinfo()
    name = known.get("model name") or platform.processor() or platform.machine()
    flags = (known.get("flags") or known.get("Features") or "").split()
    return Machine(
        processor=name,
        cores=len(distinct_cores()) or os.cpu_count() or 1,
        flags=tuple(flag for flag in TELLING_FLAGS if flag in flags),
        memory_bytes=_memory(),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=platform.python_version(),
        load=round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    )


def describe_versions() -> dict[str, str | None]:
    """The versions of what is compared, and of NumPy's BLAS; None if not there."""
    found: dict[str, str | None] = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    config = cast(Any, np.show_config(mode="dicts"))
    blas = config.get("Build Dependencies", {}).get("blas", {})
    found["blas"] = f"{blas.get('name')} {blas.get('version')}" if blas else None
    return found


def measured_on() -> str:
    """A sentence that says where a page's numbers are from."""
    machine, versions = describe_machine(), describe_versions()
    there = [f"{name} {number}" for name, number in versions.items() if number]
    return (
        f"Measured on {machine.processor} ({' '.join(machine.flags)}), "
        f"{machine.cores} cores; {', '.join(there)}."
    )


def distinct_cores() -> list[int]:
    """
    The processors that this process may use, one per physical core first.

    Only those ones: of the threads that share a core, the first. Empty where the system
    has no affinity.
    """
    if not hasattr(os, "sched_getaffinity"):
        return []
    usable = sorted(os.sched_getaffinity(0))
    cores: defaultdict[str, list[int]] = defaultdict(list)
    for cpu in usable:
        cores[_siblings(cpu)].append(cpu)
    return [members[0] for members in cores.values()]


def busy_seconds() -> float | None:
    """How long the processors have worked, for anyone; None if the system hides it."""
    path = Path("/proc/stat")
    if not path.exists():
        return None
    names = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
    numbers = path.read_text().split("\n", 1)[0].split()[1:]
    ticks = dict(zip(names, map(int, numbers), strict=False))
    worked = sum(n for name, n in ticks.items() if name not in ("idle", "iowait"))
    return worked / os.sysconf("SC_CLK_TCK")


def cpu_seconds() -> float:
    """How long this process and those that it has waited for have worked."""
    times = os.times()
    return sum(times[:4])


def _siblings(cpu: int) -> str:
    topology = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
    return topology.read_text().strip() if topology.exists() else str(cpu)


def _cpuinfo() -> dict[str, str]:
    """The first processor's entries; none where there is no such file."""
    path = Path("/proc/cpuinfo")
    if not path.exists():
        return {}
    entries: dict[str, str] = {}
    for line in path.read_text(errors="replace").splitlines():
        key, _, value = line.partition(":")
        if not key.strip():
            break
        entries[key.strip()] = value.strip()
    return entries


def _memory() -> int | None:
    names: tuple[str, ...] = ("SC_PAGE_SIZE", "SC_PHYS_PAGES")
    if any(name not in os.sysconf_names for name in names):
        return None
    size, pages = (os.sysconf(name) for name in names)
    return size * pages
