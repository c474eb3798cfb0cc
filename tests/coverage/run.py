"""
Runs the ONNX backend suite on both backends and writes docs/onnx_coverage.md.

``python tests/coverage/run.py`` is what ``make coverage`` does: it prints two scores
and fails if one is lower than the one in scores.json (``--record`` writes them there).
``--only softmax --backend jax`` runs a part, prints what fails and writes nothing.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import onnx
from judge import BACKENDS, Result, load_suite, run_test
from report import coverage_page
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

ROOT = Path(__file__).parents[2]
SCORES = Path(__file__).with_name("scores.json")
PAGE = ROOT / "docs" / "onnx_coverage.md"

SECONDS = 240
"""How long one test may take."""

FORGET = 150
"""After how many tests a worker drops what JAX compiled."""


# --- workers ---


@dataclass
class Worker:
    """A process that runs tests one at a time, and which one it is at."""

    process: Any
    pipe: Connection
    busy: tuple[int, str] | None = None
    since: float = 0.0


def serve(pipe: Connection) -> None:
    """Run the tests whose (number, backend) come through `pipe`, until None comes."""
    # Compiling is part of what is tested: nothing comes from the user's cache.
    os.environ["SARDONYX_CACHE"] = ""
    cases = load_suite()
    done = 0
    while (job := pipe.recv()) is not None:
        number, backend = job
        pipe.send(run_test(cases[number], backend))
        done += 1
        if backend == "jax" and done % FORGET == 0:
            import jax

            jax.clear_caches()


def start_worker() -> Worker:
    """A new process, idle."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs,), daemon=True)
    process.start()
    theirs.close()
    return Worker(process, ours)


def run_all(
    jobs: Sequence[tuple[int, str]], names: Sequence[str], count: int
) -> Iterator[Result]:
    """The result of every job, as they come; a process that dies is a result too."""
    waiting = list(reversed(jobs))
    workers = [start_worker() for _ in range(min(count, len(jobs)))]
    left = len(jobs)
    while left:
        for worker in workers:
            if worker.busy is None and waiting:
                worker.busy, worker.since = waiting.pop(), time.monotonic()
                worker.pipe.send(worker.busy)
        ready = wait([w.pipe for w in workers if w.busy is not None], timeout=5)
        for place, worker in enumerate(workers):
            if worker.busy is None:
                continue
            result = outcome(worker, worker.pipe in ready, names)
            if result is None:
                continue
            left -= 1
            if worker.process.exitcode is None and worker.process.is_alive():
                worker.busy = None
            else:
                workers[place] = start_worker()
            yield result
    for worker in workers:
        worker.pipe.send(None)
        worker.process.join()


def outcome(worker: Worker, ready: bool, names: Sequence[str]) -> Result | None:
    """What `worker` has to tell: its result, its death, that it takes too long."""
    assert worker.busy is not None, "an idle worker has no test"
    number, backend = worker.busy
    if ready:
        try:
            return worker.pipe.recv()
        except EOFError:
            worker.process.join()
            code = worker.process.exitcode
            reason = f"the process died (exit code {code})"
            return Result(names[number], backend, "error", reason)
    if time.monotonic() - worker.since < SECONDS:
        return None
    worker.process.kill()
    worker.process.join()
    return Result(names[number], backend, "error", f"took more than {SECONDS} s")


# --- the whole suite ---


def main() -> int:
    """Run, print, write; the exit code."""
    options = arguments()
    console = Console(highlight=False)
    names = [case.name for case in load_suite()]
    chosen = [n for n, name in enumerate(names) if re.search(options.only, name)]
    jobs = [(n, backend) for backend in options.backend for n in chosen]
    results: list[Result] = []
    start = time.monotonic()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[failed]} failed"),
    )
    with Progress(*columns, console=console) as progress:
        tasks = {
            backend: progress.add_task(backend, total=len(chosen), failed=0)
            for backend in options.backend
        }
        for result in run_all(jobs, names, options.workers):
            results.append(result)
            failed = sum(
                r.backend == result.backend and r.status != "pass" for r in results
            )
            progress.update(tasks[result.backend], advance=1, failed=failed)
    seconds = time.monotonic() - start
    if options.results:
        options.results.write_text(
            json.dumps([vars(result) for result in results], indent=1)
        )
    scores = {
        backend: sum(r.status == "pass" for r in results if r.backend == backend)
        for backend in options.backend
    }
    whole = len(chosen) == len(names) and set(options.backend) == set(BACKENDS)
    if not whole:
        for result in results:
            if result.status != "pass":
                console.print(
                    f"{result.backend} {result.status} {result.name}: {result.reason}",
                    markup=False,
                    soft_wrap=True,
                )
    for backend, score in scores.items():
        hosted = sum(bool(r.host) for r in results if r.backend == backend)
        also = f", {hosted} of all with a part on the host" if hosted else ""
        console.print(f"{backend}: {score} of {len(chosen)} pass{also}")
    console.print(f"{seconds:.0f} s with {options.workers} processes")
    if not whole:
        return 0 if all(score == len(chosen) for score in scores.values()) else 1
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(coverage_page(results, names, onnx.__version__), encoding="utf-8")
    console.print(f"wrote {PAGE.relative_to(ROOT)}")
    return compare(scores, len(names), options.record, console)


def compare(scores: dict[str, int], tests: int, record: bool, console: Console) -> int:
    """1 if a score is below its record; `record` makes these scores the record."""
    found = {"onnx": onnx.__version__, "tests": tests, **scores}
    if record:
        SCORES.write_text(json.dumps(found, indent=2) + "\n")
        console.print(f"recorded in {SCORES.relative_to(ROOT)}")
        return 0
    kept = json.loads(SCORES.read_text())
    if (kept["onnx"], kept["tests"]) != (onnx.__version__, tests):
        console.print(
            f"found onnx {onnx.__version__} with {tests} tests, the record is of onnx "
            f"{kept['onnx']} with {kept['tests']}: nothing to compare with"
        )
        return 1
    lower = [name for name, score in scores.items() if score < kept[name]]
    for name in lower:
        console.print(f"{name}: found {scores[name]}, the record is {kept[name]}")
    return 1 if lower else 0


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--backend", nargs="+", choices=BACKENDS, default=[*BACKENDS])
    parser.add_argument("--only", default="", help="tests that match this expression")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--results", type=Path, help="write every result as JSON")
    parser.add_argument(
        "--record", action="store_true", help="make these scores the record"
    )
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
