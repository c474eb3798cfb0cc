"""
Runs a check on many seeds in worker processes that cannot take the machine with them.

A worker has a limit of memory and, for each seed, one of time; one that dies names the
seed that it died of. Whoever uses this gives a script that calls `serve` when it is
started with ``--worker``.
"""

from __future__ import annotations

import json
import resource
import selectors
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, Any

MEMORY = 1 << 30
"""How many bytes a worker may take beyond what it has before its first seed."""
SECONDS = 5.0
"""How much processor time one seed may take."""
PATIENCE = 240.0
"""
After how many seconds by the clock a worker that says nothing is ended: it may also be
waiting for a busy machine.
"""
BATCH = 250
"""How many seeds a worker takes before another takes its place."""


_READY = "ready"
"""What a worker says before its first seed."""


class WorkersError(Exception):
    """Workers that cannot start."""


class Overtime(BaseException):
    """A seed took too long. No handler of ordinary exceptions may stop it."""


@dataclass(frozen=True)
class Report:
    """What became of one seed."""

    seed: int
    outcome: str
    """A word or two to count by; ``failed`` says that `detail` is a failure."""
    detail: str = ""
    seconds: float = 0.0
    """Processor time."""
    grown: int = 0
    """By how many bytes the worker's peak memory exceeds what it began with."""


# --- in a worker ---


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise Overtime in the block once it has used `seconds` of processor time."""

    def stop(*_: Any) -> None:
        raise Overtime(f"more than {seconds:g} s of processor time")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _held() -> int:
    """The bytes of address space that this process has."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def serve(check: Callable[[int], tuple[str, str]], memory: int = MEMORY) -> None:
    """
    Read seeds from standard input and write a report of each, until there are no more.

    `check` returns an outcome and a detail; whatever it raises is a failure.
    """
    answers = sys.stdout
    sys.stdout = sys.stderr
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (_held() + memory,) * 2)
    before = _peak()
    print(_READY, file=answers, flush=True)
    for line in sys.stdin:
        seed = int(line)
        start = time.process_time()
        outcome, detail = examined(check, seed)
        used = time.process_time() - start
        answer = {"seed": seed, "outcome": outcome, "detail": detail}
        answer |= {"seconds": used, "grown": _peak() - before}
        print(json.dumps(answer), file=answers, flush=True)


def examined(check: Callable[[int], tuple[str, str]], seed: int) -> tuple[str, str]:
    """What `check` says of `seed`; ``failed`` and the traceback if it raises."""
    try:
        return check(seed)
    except (Exception, Overtime):
        return "failed", traceback.format_exc()


# --- in the parent ---


@dataclass
class _Worker:
    process: subprocess.Popen[str]
    seeds: list[int]
    """Those that it has not reported, the one at hand first."""
    ready: bool = False
    since: float = field(default_factory=time.monotonic)

    @property
    def answers(self) -> IO[str]:
        """Where it writes its reports."""
        assert self.process.stdout is not None, "it was started with a pipe"
        return self.process.stdout


def reports(
    command: Sequence[str],
    seeds: Sequence[int],
    jobs: int,
    patience: float = PATIENCE,
    batch: int = BATCH,
) -> Iterator[Report]:
    """
    A report of every seed, in no order, by `jobs` workers started by `command`.

    Raises WorkersError if one ends before it is ready: its own message is on stderr.
    """
    waiting = list(reversed(seeds))
    with selectors.DefaultSelector() as selector:
        try:
            while waiting or selector.get_map():
                while waiting and len(selector.get_map()) < jobs:
                    taken = [waiting.pop() for _ in range(min(batch, len(waiting)))]
                    worker = _start(command, taken)
                    selector.register(worker.answers, selectors.EVENT_READ, worker)
                ready = {key.data.process.pid for key, _ in selector.select(1)}
                for key in list(selector.get_map().values()):
                    worker: _Worker = key.data
                    if worker.process.pid in ready:
                        yield from _heard(worker, selector, waiting)
                    elif time.monotonic() - worker.since > patience:
                        worker.process.kill()
        finally:
            for key in list(selector.get_map().values()):
                key.data.process.kill()
                key.data.process.wait()
                key.data.answers.close()


def _start(command: Sequence[str], seeds: list[int]) -> _Worker:
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    assert process.stdin is not None, "it was started with a pipe"
    # Fits into a pipe whole: nothing waits for the worker to read.
    process.stdin.write("".join(f"{seed}\n" for seed in seeds))
    process.stdin.close()
    return _Worker(process, list(seeds))


def _heard(
    worker: _Worker, selector: selectors.BaseSelector, waiting: list[int]
) -> Iterator[Report]:
    """The next report of a worker; that of its death, if it has none."""
    line = worker.answers.readline()
    if line.strip() == _READY:
        worker.ready = True
        return
    if line:
        report = Report(**json.loads(line))
        worker.seeds.remove(report.seed)
        worker.since = time.monotonic()
        yield report
        return
    selector.unregister(worker.answers)
    worker.answers.close()
    code = worker.process.wait()
    if not worker.ready:
        raise WorkersError(f"a worker ended with {code} before its first seed")
    if not worker.seeds:
        return
    seed, *rest = worker.seeds
    waiting.extend(reversed(rest))
    how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    yield Report(seed, "failed", f"the worker died: {how}")
