"""
How large the arenas of models are, beside the least that they could be.

    python tests/bench/memory.py MODEL.onnx… -o docs/memory.md

Free sizes are 1 where they come first in an input's shape, else 16. Exit code 1 if an
arena is more than 5 % over the live-set lower bound.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from sardonyx.compiler.debug.report.facts import assumed_sizes
from sardonyx.compiler.driver import load, specialize
from sardonyx.compiler.pipelines import run_pipeline, spec_of
from sardonyx.dialects.sched import ALIGNMENT
from sardonyx.passes.analysis.buffers import demands_of
from sardonyx.passes.schedule.orders import best_order
from sardonyx.passes.schedule.plan_memory import planned
from sardonyx.passes.schedule.reorder import graph_of, tasks_of

MOST = 1.05
HEADER = (
    "model",
    "buffers",
    "apart, kB",
    "lower bound, kB",
    "arena, kB",
    "over the bound",
    "planned in, ms",
    "best order, kB",
    "proven",
)

TEXT = """# Arenas

What results take in one block of memory, after `-O2 -b numpy`. Written by
`python tests/bench/memory.py MODEL.onnx… -o docs/memory.md`; free sizes are 1 where
they come first in an input's shape, else 16.

- *apart*: every result in memory of its own; views and what leaves the function are not
  in it.
- *lower bound*: the most that is held at one time, results written over operands
  counted once. No plan is smaller.
- *arena*: what `plan-memory` finds.
- *best order*: the lower bound of the order that `reorder` finds, and whether it is
  proven that no order's is smaller.

{table}
"""


def row(path: Path) -> tuple[list[str], float]:
    """A row of the table, and how far the arena is over the bound."""
    model = load(str(path))
    sizes = assumed_sizes(model, {})
    if sizes:
        specialize(model, sizes)
    run_pipeline(model, spec_of("O2", "numpy"))
    start = time.perf_counter()
    buffers, plan = planned(model.main)
    spent = time.perf_counter() - start
    block = model.main.body.block
    apart = sum(demand.bytes for demand in demands_of(block))
    order = best_order(graph_of(block, tasks_of(block)))
    over = plan.size / max(plan.bound, 1)
    held = (plan.bound, plan.size)
    bound, arena = (f"{size * ALIGNMENT / 1e3:.1f}" for size in held)
    better = f"{order.peak * ALIGNMENT / 1e3:.1f}"
    return [
        path.stem,
        str(len(buffers)),
        f"{apart / 1e3:.1f}",
        bound,
        arena,
        f"{100 * (over - 1):.1f} %",
        f"{1e3 * spent:.0f}",
        f"**{better}**" if order.peak < plan.bound else better,
        "yes" if order.exact else "no",
    ], over


def main() -> None:
    """Plan the models given and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip())
    parser.add_argument("models", nargs="+", type=Path, metavar="MODEL.onnx")
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    lines = [list(HEADER), ["---", *("---:" for _ in HEADER[1:])]]
    worst = 1.0
    for path in given.models:
        cells, over = row(path)
        worst = max(worst, over)
        lines.append(cells)
        print(*cells, flush=True)
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    given.output.write_text(TEXT.format(table=table), encoding="utf-8")
    if worst > MOST:
        sys.exit(f"found an arena {worst:.3f} times its bound, wanted at most {MOST}")


if __name__ == "__main__":
    main()
