"""``sardonyx diff``: how two models, or one before and after passes, differ."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from ...dialects.onnx import Dim
from ...passes.analysis.liveness import SAMPLE
from ..arguments import Level, parse_dims, pipeline_of
from ..debug.diff import Change, Changed, Delta, Difference, Note
from ..debug.diff import diff as diff_models
from ..show import out, print_json, printable, show, working
from ..weights import write_beside
from .inspect import amount_text
from .options import DimOption, JsonOption, ModelPath, SeedOption
from .why import nodes_text, plural

SHOWN = 10
"""How many ops of a kind are listed; --json and --html have all."""


def diff(
    a: ModelPath,
    b: Annotated[
        Path | None, typer.Argument(help="Another model; by default A again.")
    ] = None,
    a_passes: Annotated[
        str,
        typer.Option(metavar="SPEC|@FILE", help="What runs on A first: 'O1', 'cse'."),
    ] = "",
    b_passes: Annotated[
        str, typer.Option(metavar="SPEC|@FILE", help="What runs on B first.")
    ] = "",
    dim: DimOption = None,
    run: Annotated[
        bool, typer.Option(help="Run both on random inputs and compare (NumPy).")
    ] = True,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a page, too.")
    ] = None,
) -> None:
    """
    Compare models A and B, or A before and after passes; exit 1 if they differ.
    """
    with working("comparing"):
        found = diff_models(
            a,
            a if b is None else b,
            pipeline_of(Level.O0, a_passes),
            pipeline_of(Level.O0, b_passes),
            parse_dims(dim),
            run,
            seed,
        )
    if html is not None:
        from ..debug.diff_page import page

        write_beside(html, page(found))
    if as_json:
        print_json(found.as_json())
    else:
        print_difference(found)
    if not found.same:
        raise typer.Exit(1)


def print_difference(found: Difference) -> None:
    """The difference in lines."""
    show(f"A  {printable(found.a)}")
    show(f"B  {printable(found.b)}")
    print_changes("interface", found.interface)
    print_notes("removed", found.removed)
    print_notes("added", found.added)
    print_pairs("changed", found.changed)
    print_notes("moved", [pair.after for pair in found.moved])
    if found.renamed:
        show(f"renamed {plural(len(found.renamed), 'op')} (no difference)")
    print_deltas(found.deltas)
    print_errors(found)
    show("same" if found.same else "different")


def print_notes(word: str, notes: Sequence[Note]) -> None:
    """A line for each of the first ops."""
    if notes:
        show(f"{word} {plural(len(notes), 'op')}")
    for note in notes[:SHOWN]:
        kinds = printable(", ".join(note.results))
        show(f"  {note_text(note)} -> {kinds}")
    print_rest(len(notes))


def print_pairs(word: str, pairs: Sequence[Changed]) -> None:
    """The first pairs, each with what is otherwise."""
    if pairs:
        show(f"{word} {plural(len(pairs), 'op')}")
    for pair in pairs[:SHOWN]:
        renamed = pair.before.nodes != pair.after.nodes
        was = f", was {nodes_text(pair.before.nodes)}" if renamed else ""
        show(f"  {note_text(pair.after)}{was}")
        for change in pair.changes:
            show(f"    {change_text(change)}")
    print_rest(len(pairs))


def print_changes(word: str, changes: Sequence[Change]) -> None:
    """A line for each of the first changes."""
    if changes:
        show(word)
    for change in changes[:SHOWN]:
        show(f"  {change_text(change)}")
    print_rest(len(changes))


def print_rest(count: int) -> None:
    """How many are not shown."""
    if count > SHOWN:
        show(f"  {count - SHOWN} more in --json and --html")


def print_deltas(deltas: Sequence[Delta]) -> None:
    """A table of the amounts."""
    table = Table("", "A", "B", "B - A", box=None)
    for delta in deltas:
        amounts = (delta.before, delta.after, delta.difference)
        cells = [amount(one, delta.unit) for one in amounts]
        table.add_row(delta.name, *map(escape, cells))
    out.print(table)


def amount(value: Dim | None, unit: str) -> str:
    """An amount in human units, polynomials by their largest terms."""
    names = () if value is None else sorted(value.symbols)
    return amount_text(value, dict.fromkeys(names, SAMPLE), unit)


def print_errors(found: Difference) -> None:
    """How far the outputs are apart."""
    if found.not_run:
        show(f"outputs are not compared: {printable(found.not_run)}")
    for error in found.errors:
        off = f"max abs {error.absolute:.2g}, max rel {error.relative:.2g}"
        show(f"output {printable(error.name)}: {off}")


def note_text(note: Note) -> str:
    """``node 'conv1' (Conv)``."""
    return f"{nodes_text(note.nodes)} ({printable(note.op)})"


def change_text(change: Change) -> str:
    """``operand X: a -> b``."""
    text = f"{change.what}: {change.before} -> {change.after}"
    return printable(text)
