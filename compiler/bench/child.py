"""The other end of `process`: what a contender's process does between its lines."""

from __future__ import annotations

import ctypes
import gc
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WARM_CALLS, WARM_SECONDS = 3, 1.0
"""After the first call: this many more, or until that time has passed."""


@dataclass(frozen=True)
class Runner:
    """A program ready to be called."""

    call: Callable[[], Sequence[Any]]
    """The outputs, computed: not a promise of them."""
    pool: Callable[[], int | None] = lambda: None
    """The size of its thread pool, if its library says."""


Make = Callable[[Mapping[str, Any]], Runner]
"""A ``start`` request -> the program that it describes."""


@dataclass
class Server:
    """Answers requests about one program."""

    make: Make
    runner: Runner | None = None
    results: Sequence[Any] = ()

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """What is asked for, or the reason why not."""
        try:
            match request["do"]:
                case "start":
                    return self.start(request)
                case "block":
                    return self.block(request["calls"])
                case "outputs":
                    return self.outputs(Path(request["folder"]))
                case other:
                    return {"error": f"found request {other!r}"}
        except Exception as error:
            # Whatever a runtime raises is its row in the table.
            return {"error": reason(error)}

    def start(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Load, call for the first time, and warm up."""
        leave_no_orphan(request["parent"])
        begin = time.perf_counter()
        runner = self.make(request)
        loaded = time.perf_counter()
        self.results = runner.call()
        called = time.perf_counter()
        self.runner = runner
        # The compiler's IR is not the program's to walk at every collection.
        gc.collect()
        gc.freeze()
        warm = self.calls(1)
        while len(warm) < WARM_CALLS and sum(warm) < WARM_SECONDS:
            warm += self.calls(1)
        return {
            "load_seconds": loaded - begin,
            "first_seconds": called - loaded,
            "call_seconds": min(warm),
            "affinity": affinity(),
            "os_threads": len(thread_names()) or None,
            "pool": runner.pool(),
        }

    def block(self, calls: int) -> dict[str, Any]:
        """Time back-to-back calls."""
        return {"seconds": self.calls(calls)}

    def calls(self, count: int) -> list[float]:
        """The seconds of each of `count` calls."""
        assert self.runner is not None, "start comes first"
        call, clock = self.runner.call, time.perf_counter
        seconds: list[float] = []
        for _ in range(count):
            begin = clock()
            self.results = call()
            seconds.append(clock() - begin)
        return seconds

    def outputs(self, folder: Path) -> dict[str, Any]:
        """Write what the last call gave."""
        from .process import write_arrays

        entries = write_arrays(folder, list(self.results))
        return {"outputs": entries, "peak_bytes": peak_bytes()}


def serve(make: Make) -> None:
    """Answer the requests on stdin, one per line, until it ends."""
    # What a library prints is no answer: from here on it goes to stderr.
    channel = os.dup(1)
    os.dup2(2, 1)
    server = Server(make)
    with os.fdopen(channel, "w") as answers:
        for line in sys.stdin:
            answers.write(json.dumps(server.answer(json.loads(line))) + "\n")
            answers.flush()


def leave_no_orphan(parent: int) -> None:
    """
    Die with the parent, even when stopped; be the first that a lack of memory ends.

    Linux only; elsewhere the end of stdin ends a process that is not stopped.
    """
    if sys.platform != "linux":
        return
    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("the process that asked has ended")
    with suppress(OSError):
        # Where this is not allowed, the kernel chooses by size as ever.
        Path("/proc/self/oom_score_adj").write_text("1000")


def reason(error: Exception) -> str:
    """What an error says, in one line, with its type unless it is one of ours."""
    from ...dialects.errors import SardonyxError

    text = " ".join(str(error).split())[:600]
    if isinstance(error, MemoryError):
        return f"out of memory: {text}" if text else "out of memory"
    if isinstance(error, SardonyxError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


# --- what the process is ---


def affinity() -> int | None:
    """The cores that this process may use; None where the system does not say."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None


def thread_names() -> list[str]:
    """The names of this process's threads; none where the system does not say."""
    names: list[str] = []
    for task in Path("/proc/self/task").glob("*/comm"):
        with suppress(OSError):
            # A thread may end while it is looked at.
            names.append(task.read_text().strip())
    return names


def peak_bytes() -> int:
    """The most memory that this process has had resident."""
    status = Path("/proc/self/status")
    if status.exists():
        # getrusage counts what the parent had when it forked.
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most
