"""
How large the arenas of models are, beside the least that they could be; and what a
limit on the weights in memory costs.

    python tests/bench/memory.py MODEL.onnx… [--large DIR] -o docs/memory.md

Free sizes are 1 where they come first in an input's shape, else 16. Weights are
streamed from DIR/bert-base.onnx, as make_large.py writes it, or without it from
BERT-base's shapes with random weights; see streaming.py. Exit code 1 if an arena is
more than 5 % over the live-set lower bound, or if weights beyond 100 MB are in memory
under a limit of 80 MB.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import streaming
from bert_base import write_bert_base
from sardonyx.compiler.debug.report.facts import assumed_sizes
from sardonyx.compiler.driver import load, specialize
from sardonyx.compiler.pipelines import run_pipeline, spec_of
from sardonyx.dialects.sched import ALIGNMENT
from sardonyx.passes.analysis.buffers import demands_of
from sardonyx.passes.schedule.orders import best_order
from sardonyx.passes.schedule.plan_memory import planned
from sardonyx.passes.schedule.reorder import graph_of, tasks_of

MOST = 1.05
LIMIT, MOST_RESIDENT = 80_000_000, 100_000_000
"""The limit on weights that is measured, and what may be in memory under it: bytes."""
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
`python tests/bench/memory.py MODEL.onnx… [--large DIR] -o docs/memory.md`; free sizes
are 1 where they come first in an input's shape, else 16.

- *apart*: every result in memory of its own; views and what leaves the function are not
  in it.
- *lower bound*: the most that is held at one time, results written over operands
  counted once. No plan is smaller.
- *arena*: what `plan-memory` finds.
- *best order*: the lower bound of the order that `reorder` finds, and whether it is
  proven that no order's is smaller.

{table}

## Weights under a limit

`compile -b numpy --memory-limit 80MB`: weights stay in the file, a window of them is in
memory, what comes next is read ahead. *In memory*: the most that `/proc/PID/smaps` said
of the weights' file, looked at every few milliseconds. *Ratio*: the median over rounds,
blocks of calls with the limit and without it in turns; the file is in the page cache.
Outputs are the same bytes. {model}

{streamed}
"""

SHAPES = "The model: BERT-base's shapes, random weights."
WRITTEN = "The model: what `make_large.py bert-base` writes."


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


def limited(large: Path | None) -> tuple[str, streaming.Streamed]:
    """Which model was streamed, in words, and what was measured."""
    path = None if large is None else large / "bert-base.onnx"
    if path is not None and path.is_file():
        return WRITTEN, streaming.streamed(path, LIMIT, {})
    with tempfile.TemporaryDirectory() as scratch:
        made = write_bert_base(Path(scratch) / "bert-base.onnx")
        return SHAPES, streaming.streamed(made, LIMIT, {})


def table_of(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table as Markdown, all columns but the first to the right."""
    lines = [header, ["---", *("---:" for _ in header[1:])], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Plan the models given and write the table."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").strip().split("\n\n")[0]
    )
    parser.add_argument("models", nargs="+", type=Path, metavar="MODEL.onnx")
    parser.add_argument("--large", type=Path, metavar="DIR")
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    lines: list[list[str]] = []
    worst = 1.0
    for path in given.models:
        cells, over = row(path)
        worst = max(worst, over)
        lines.append(cells)
        print(*cells, flush=True)
    model, found = limited(given.large)
    print(*found.row(), flush=True)
    page = TEXT.format(
        table=table_of(HEADER, lines),
        model=model,
        streamed=table_of(streaming.HEADER, [found.row()]),
    )
    given.output.write_text(page, encoding="utf-8")
    if worst > MOST:
        sys.exit(f"found an arena {worst:.3f} times its bound, wanted at most {MOST}")
    if found.window_resident > MOST_RESIDENT:
        sys.exit(
            f"found {found.window_resident} bytes of weights in memory, wanted at most "
            f"{MOST_RESIDENT}"
        )


if __name__ == "__main__":
    main()
