"""What the passes of a pipeline did, in numbers: as tables and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table

from ..pipelines import PassRun
from ..show import printable


def statistics(runs: Sequence[PassRun]) -> list[dict[str, Any]]:
    """
    A dictionary per pass, for JSON.

    ``matched`` counts the ops where a pattern's shape was there: ``rewritten`` ones and
    those of which ``declined`` has the reasons. All three are null for a pass that
    keeps no journal. ``lost`` has a line for each sharding that no value has any more.
    """
    return [_entry(run) for run in runs]


def _entry(run: PassRun) -> dict[str, Any]:
    journal = run.journal
    declined = journal.reasons()
    rewritten = len(journal.rewrites)
    by_pattern = Counter(rewrite.pattern for rewrite in journal.rewrites)
    kept = journal.kept
    return {
        "place": run.place + 1,
        "pass": run.name,
        "spec": run.spec,
        "seconds": run.seconds,
        "verify_seconds": run.verify_seconds,
        "ops_before": run.ops_before,
        "ops_after": run.ops_after,
        "matched": rewritten + declined.total() if kept else None,
        "rewritten": rewritten if kept else None,
        "rewritten_by_pattern": dict(sorted(by_pattern.items())) if kept else None,
        "declined": dict(sorted(declined.items())) if kept else None,
        "lost": list(run.lost),
    }


def statistics_table(runs: Sequence[PassRun]) -> Table:
    """A row per pass; '-' where it keeps no journal."""
    table = Table(box=None)
    table.add_column("pass", overflow="fold")
    for column in ("matched", "rewritten", "declined", "ops", "ms"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("why declined", overflow="fold")
    for entry in statistics(runs):
        counts: dict[str, int] | None = entry["declined"]
        reasons = sorted((counts or {}).items(), key=lambda item: (-item[1], item[0]))
        amounts = (
            entry["matched"],
            entry["rewritten"],
            None if counts is None else sum(counts.values()),
        )
        table.add_row(
            escape(printable(entry["spec"])),
            *("-" if amount is None else str(amount) for amount in amounts),
            ops_text(entry["ops_before"], entry["ops_after"]),
            f"{1e3 * entry['seconds']:.2f}",
            escape(printable("; ".join(f"{n} x {why}" for why, n in reasons))),
        )
    return table


def timing_table(runs: Sequence[PassRun]) -> Table:
    """A row per pass and one for all: the pass, verifying after it, the share."""
    table = Table(box=None)
    table.add_column("pass", overflow="fold")
    for column in ("ms", "verify ms", "share"):
        table.add_column(column, justify="right", no_wrap=True)
    whole = sum(run.seconds + run.verify_seconds for run in runs)
    for run in runs:
        took = run.seconds + run.verify_seconds
        table.add_row(
            escape(printable(run.spec)), *_times(run.seconds, run.verify_seconds),
            f"{100 * took / whole:.0f} %" if whole else "",
        )  # fmt: skip
    table.add_section()
    spent = sum(run.seconds for run in runs)
    table.add_row("all", *_times(spent, whole - spent), "", style="bold")
    return table


def _times(seconds: float, verifying: float) -> tuple[str, str]:
    return f"{1e3 * seconds:.2f}", f"{1e3 * verifying:.2f}"


def ops_text(before: int, after: int) -> str:
    """``12``, or ``12 -> 8``."""
    return str(before) if before == after else f"{before} -> {after}"
