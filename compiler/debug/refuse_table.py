"""What `--refuse-slower` measured, as a table."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from ..show import out, printable, show
from .refuse import Decision, Outcome, Refusal

STYLES = {Outcome.undone: "yellow", Outcome.partly: "yellow"}


def show_refusal(refusal: Refusal, title: str) -> None:
    """Print the table of what was measured, and on what."""
    show(printable(title))
    if refusal.decisions:
        out.print(refusal_table(refusal))
    show(told(refusal))


def refusal_table(refusal: Refusal) -> Table:
    """A row per pass; below one that is slower, a row per shape of its rewrites."""
    table = Table(box=None)
    table.add_column("pass", overflow="fold")
    for column in ("rewrites", "ms with", "ms without", "ratio", "low - high"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("verdict", overflow="fold")
    for row in refusal.decisions:
        table.add_row(*_cells(row), style=STYLES.get(row.outcome))
    return table


def _cells(row: Decision) -> list[str]:
    name = f"  {row.shape}" if row.shape else row.name
    said = row.outcome.value + (f": {row.reason}" if row.reason else "")
    numbers = ["", "", "", ""]
    if row.ratios is not None:
        median, low, high = row.ratios
        numbers = [
            _milliseconds(row.with_seconds),
            _milliseconds(row.without_seconds),
            f"{median:.2f}",
            f"{low:.2f} - {high:.2f}",
        ]
    return [
        escape(printable(name)),
        str(row.rewrites),
        *numbers,
        escape(printable(said)),
    ]


def _milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{1e3 * seconds:.4g}"


def told(refusal: Refusal) -> str:
    """On what it was measured, in a line."""
    sizes = ", ".join(
        f"{printable(name)}: {dtype}{list(shape)}"
        for name, dtype, shape in refusal.inputs
    )
    return (
        f"measured on {refusal.threads} threads in {refusal.seconds:.0f} s, "
        f"on {sizes or 'no inputs'}; a ratio above 1 says that the pass is slower"
    )
