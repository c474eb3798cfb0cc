"""
Compares NumPy, JAX and ONNX's reference evaluator on random graphs.

Hypothesis draws them, some for each seed, and shrinks one that fails. Exit code 1 if
one does; each failure says how to see it again.
"""

from __future__ import annotations

import argparse
import os
import sys

# Before NumPy is imported: threads would count against the workers' limits.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("SARDONYX_CACHE", "")

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn
from workers import Report, reports, serve

PER_SEED = 20
"""How many graphs a seed stands for."""
MEMORY = 6 << 30
"""The address space of a worker beyond its start: XLA reserves much."""
PATIENCE = 600.0
STEP = 20
JOBS = len(os.sched_getaffinity(0))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=5000, help="how many graphs")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--jobs", type=int, default=JOBS, help="how many processes")
    parser.add_argument("--replay", type=int, help="this seed alone, with traceback")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        serve(check_seed, MEMORY)
        return 0
    if given.replay is not None:
        print(*check_seed(given.replay))
        return 0
    return fuzz(given.first, -(-given.count // PER_SEED), given.jobs)


def check_seed(seed: int) -> tuple[str, str]:
    """Check the graphs of a seed; raises for the first that fails, shrunk."""
    from graph_check import JAX, NUMPY, check
    from graph_drawing import Drawn, drawn_graphs
    from graph_steps import STEPS
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import seed as seeded

    # JAX compiles for most of the time: a seed has one level of it.
    ways = (*NUMPY, JAX[seed % len(JAX)])

    @seeded(seed)
    @settings(
        max_examples=PER_SEED,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
        print_blob=False,
        # One failure of a seed is enough to shrink, and to read.
        report_multiple_bugs=False,
    )
    @given(drawn_graphs(STEPS))
    def all_agree(drawn: Drawn) -> None:
        check(drawn, ways)

    all_agree()
    return "agree", ""


def fuzz(first: int, count: int, jobs: int) -> int:
    """Check the graphs of `count` seeds; 1 if one fails."""
    command = [sys.executable, __file__, "--worker"]
    outcomes: dict[str, int] = {}
    failed: list[int] = []
    bar = Progress(
        f"random graphs, {PER_SEED} at a time",
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        disable=not sys.stdout.isatty(),
    )
    with bar:
        task = bar.add_task("", total=count)
        seeds = range(first, first + count)
        for report in reports(command, seeds, jobs, PATIENCE, batch=25):
            outcomes[report.outcome] = outcomes.get(report.outcome, 0) + PER_SEED
            if report.outcome == "failed":
                failed.append(report.seed)
                bar.console.print(told(report), markup=False, soft_wrap=True)
            bar.advance(task)
            done = sum(outcomes.values())
            if bar.disable and done % (STEP * PER_SEED) == 0:
                print(f"{done} of {count * PER_SEED}: {outcomes}", flush=True)
    for outcome, number in sorted(outcomes.items()):
        print(f"{number:7} {outcome}")
    if failed:
        print("failed seeds:", *sorted(failed))
    return 1 if failed else 0


def told(report: Report) -> str:
    """A failure with its shrunk graph, and how to see it again."""
    again = f"{sys.executable} {__file__} --replay {report.seed}"
    text = "\n".join(ascii(line)[1:-1] for line in report.detail.splitlines()[-60:])
    return f"seed {report.seed} failed; see it again with\n  {again}\n{text}\n"


if __name__ == "__main__":
    sys.exit(main())
