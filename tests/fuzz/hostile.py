"""
Feeds hostile model files to the compiler.

Every file must import correctly or be refused in one line, within bounds of time and
memory. Exit code 1 if one does not; each failure says how to see it again.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path

# Before NumPy is imported: threads would count against the workers' limits.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn
from workers import Report, reports, serve

STEP = 1000
"""How often a run without a terminal says how far it is."""
JOBS = len(os.sched_getaffinity(0))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2000, help="how many files")
    parser.add_argument("--first", type=int, default=0, help="the first one's seed")
    parser.add_argument("--jobs", type=int, default=JOBS, help="how many processes")
    parser.add_argument("--replay", type=int, help="this seed alone, with traceback")
    parser.add_argument("--keep", type=Path, help="with --replay: put its files here")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        from hostile_check import check

        serve(check)
        return 0
    if given.replay is not None:
        return replay(given.replay, given.keep)
    return fuzz(given.first, given.count, given.jobs)


def replay(seed: int, folder: Path | None) -> int:
    """Show what becomes of one seed."""
    from hostile_check import check_command, check_file
    from hostile_files import mutant

    found = mutant(seed)
    with contextlib.ExitStack() as stack:
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        path = found.write(folder)
        print(f"seed {seed}: {found.made!a}, {path.stat().st_size} bytes")
        outcome, detail = check_file(path, seed)
        print(f"{outcome} {ascii(detail)[1:-1]}")
        check_command(path, outcome)
    return 0


def fuzz(first: int, count: int, jobs: int) -> int:
    """Feed `count` files; 1 if one fails."""
    command = [sys.executable, __file__, "--worker"]
    counts: Counter[str] = Counter()
    failures: list[Report] = []
    slowest = largest = Report(-1, "")
    bar = Progress(
        "hostile model files",
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        disable=not sys.stdout.isatty(),
    )
    with bar:
        task = bar.add_task("", total=count)
        for report in reports(command, range(first, first + count), jobs):
            counts[report.outcome] += 1
            slowest = max(slowest, report, key=lambda r: r.seconds)
            largest = max(largest, report, key=lambda r: r.grown)
            if report.outcome == "failed":
                failures.append(report)
                bar.console.print(told(report), markup=False, soft_wrap=True)
            bar.advance(task)
            if bar.disable and counts.total() % STEP == 0:
                print(f"{counts.total()} of {count}: {dict(counts)}", flush=True)
    for outcome, number in counts.most_common():
        print(f"{number:7} {outcome}")
    print(f"{slowest.seconds:7.2f} s for the slowest, seed {slowest.seed}")
    print(f"{largest.grown >> 20:7} MiB at most, by seed {largest.seed}")
    if failures:
        print("failed seeds:", *sorted(report.seed for report in failures))
    return 1 if failures else 0


def told(report: Report) -> str:
    """A failure, its last lines, and how to see it again."""
    lines = report.detail.strip().splitlines()[-12:]
    last = "\n".join(ascii(line)[1:-1][:400] for line in lines)
    again = f"{sys.executable} {__file__} --replay {report.seed}"
    return f"seed {report.seed} failed; see it again with\n  {again}\n{last}\n"


if __name__ == "__main__":
    sys.exit(main())
