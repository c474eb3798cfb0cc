"""What -O3 was chosen among, as a line and as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.markup import escape
from rich.table import Table

from ..show import out, printable, show

MOST_ROWS = 8
"""So many of the fastest are shown, and what was taken and -O2 in any case."""


def show_considered(considered: Mapping[str, Any], wholly: bool = False) -> None:
    """
    Print what the cost model took of what it considered; `wholly`, a table of the best.

    Nothing where it considered nothing. `considered` is as a manifest has it.
    """
    if not considered:
        return
    show(printable(told(considered)))
    if wholly:
        out.print(considered_table(considered))


def told(considered: Mapping[str, Any]) -> str:
    """What was taken, what is predicted for it and for -O2, and of how many."""
    choices, taken = considered["choices"], considered["taken"]
    chosen, first = choices[taken], choices[0]
    said = f"{chosen['choice']}, {chosen['predicted_ms']:.4g} ms predicted"
    if taken:
        said += f" ({first['choice']} {first['predicted_ms']:.4g} ms)"
    return f"-O3, of {len(choices)} pipelines: {said}"


def considered_table(considered: Mapping[str, Any]) -> Table:
    """A row for each of the fastest; why a prediction is the roofline's, if it is."""
    table = Table(box=None)
    table.add_column("pipeline", overflow="fold")
    for column in ("ms predicted", "of -O2"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("by the roofline alone, for", overflow="fold")
    choices, taken = considered["choices"], considered["taken"]
    whole = choices[0]["predicted_ms"] or 1.0
    order = sorted(range(len(choices)), key=lambda n: choices[n]["predicted_ms"])
    shown = {*order[:MOST_ROWS], 0, taken}
    for place in (n for n in order if n in shown):
        row = choices[place]
        numbers = f"{row['predicted_ms']:.4g}", f"{row['predicted_ms'] / whole:.2f}"
        words = [escape(printable(row[name])) for name in ("choice", "reason")]
        style = "bold" if place == taken else None
        table.add_row(words[0], *numbers, words[1], style=style)
    if len(shown) < len(choices):
        table.add_row(f"and {len(choices) - len(shown)} more", "", "", "")
    return table
