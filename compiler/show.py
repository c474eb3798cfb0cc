"""How the command line prints: lines, tables, JSON. Names from models are data."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from ..backends.runtime import summary

if TYPE_CHECKING:
    from ..passes.sharding.traffic import Collective
    from .pipelines import PassRun

# Where there is no terminal nothing is cut: whoever reads the lines has room.
out = Console(highlight=False, width=None if sys.stdout.isatty() else 240)
err = Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else 240)


def show(text: str) -> None:
    """Print a line as it is: names are data, not markup."""
    out.print(text, markup=False, soft_wrap=True)


def printable(name: str) -> str:
    """A name from a model with what could disturb a terminal escaped."""
    return name if name.isprintable() else ascii(name)[1:-1]


def shape_text(shape: Sequence[int | str] | None) -> str:
    """``[batch, 3]``; nothing for an unknown rank."""
    return (
        "" if shape is None else "[" + ", ".join(printable(str(d)) for d in shape) + "]"
    )


def show_traffic(found: Sequence[Collective]) -> None:
    """What each device of a divided program sends in a call; nothing for none."""
    from ..passes.sharding.traffic import traffic

    if not found:
        return
    table = Table(title="collectives of a call", box=None, title_justify="left")
    table.add_column("kind")
    for column in ("devices", "count", "bytes each", "bytes", "sent by each device"):
        table.add_column(column, justify="right")
    for row in traffic(found):
        numbers = (row.devices, row.count, row.bytes, row.count * row.bytes)
        cells = (f"{number:,}" for number in (*numbers, round(row.sent)))
        table.add_row(row.kind, *cells)
    out.print(table)
    total = round(sum(one.sent for one in found))
    show(f"{len(found)} collectives; each device sends {total:,} bytes")


def show_lost(runs: Sequence[PassRun]) -> None:
    """On stderr, a line for each pass that lost shardings; nothing for none."""
    for run in runs:
        if run.lost:
            first, more = printable(run.lost[0]), len(run.lost) - 1
            others = f" (and {more} more)" if more else ""
            text = f"{run.name} lost shardings: {first}{others}"
            err.print(text, markup=False, soft_wrap=True)


def text_of(value: Any) -> str:
    """An output in one line, a sequence by its length."""
    return summary(value)


def first_line(error: BaseException) -> str:
    """The first line of what an error says."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def describe_array(value: Any) -> dict[str, Any]:
    """An array for JSON."""
    if isinstance(value, list) or value is None:
        items = cast(list[Any], value or [])
        return {"sequence": [describe_array(item) for item in items]}
    if isinstance(value, dict):
        return {"map": json_map(cast(dict[Any, Any], value))}
    array = np.asarray(value)
    found: dict[str, Any] = {"dtype": str(array.dtype), "shape": list(array.shape)}
    if array.size and array.dtype.kind not in "OUScV":
        wide = array.astype(np.float64)
        for key, number in (
            ("min", wide.min()),
            ("mean", wide.mean()),
            ("max", wide.max()),
        ):
            found[key] = float(number) if np.isfinite(number) else str(number)
    return found


def json_map(items: dict[Any, Any]) -> dict[str, Any]:
    """A map to scalars for JSON, whose keys are text; what is not finite as text."""
    plain = {str(k): np.asarray(v).item() for k, v in items.items()}
    return {
        k: str(v) if isinstance(v, float) and not np.isfinite(v) else v
        for k, v in plain.items()
    }


def print_json(content: object) -> None:
    """Print JSON and nothing else."""
    sys.stdout.write(json.dumps(content, indent=2) + "\n")


MAX_ROWS = 24


def print_comparisons(comparisons: Sequence[Any], first: Any = None) -> None:
    """A table of the outputs, of the `first` op that diverges, and of the worst ops."""
    table = Table(box=None)
    table.add_column("value", overflow="fold")
    for column in ("", "type", "max abs", "max rel", "max ulp", ""):
        table.add_column(column, no_wrap=True)
    ops = [c for c in comparisons if c.kind == "op"]
    worst = sorted(ops, key=lambda c: (c is not first, -c.relative))[:MAX_ROWS]
    for c in [*(c for c in comparisons if c.kind != "op"), *worst]:
        table.add_row(
            escape(printable(c.name)),
            c.kind,
            escape(f"{c.dtype}{list(c.shape)}"),
            f"{c.absolute:.2g}",
            f"{c.relative:.2g}",
            f"{c.ulp:.3g}",
            "ok" if c.ok else f"over {c.tolerance:.1g}",
        )
    out.print(table)
    if len(ops) > MAX_ROWS:
        show(f"({len(ops)} ops compared, the {MAX_ROWS} with the largest error shown)")


@contextmanager
def progress(what: str, total: int) -> Generator[Callable[[int], object]]:
    """
    A bar over `total` bytes on a terminal, elsewhere nothing.

    What it gives is told how many bytes more are done.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
    )
    bar = Progress(*columns, console=err, transient=True, disable=not err.is_terminal)
    with bar:
        task = bar.add_task(escape(what), total=total)
        yield lambda count: bar.advance(task, count)


@contextmanager
def counting(what: str) -> Generator[Callable[[str, int, int], object]]:
    """
    A bar over steps on a terminal, elsewhere nothing.

    What it gives is told before every step: its name, how many are done, of how many.
    It draws nothing in between, so that it takes no time from what is timed.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    hidden = not err.is_terminal
    bar = Progress(
        *columns, console=err, transient=True, auto_refresh=False, disable=hidden
    )
    with bar:
        task = bar.add_task(escape(what))

        def report(step: str, done: int, total: int) -> None:
            text = escape(printable(f"{what}: {step}"))
            bar.update(task, description=text, completed=done, total=total)
            bar.refresh()

        yield report


@contextmanager
def stepping(what: str, total: int) -> Generator[Callable[[int], object]]:
    """As `progress`, over `total` things that are counted."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    bar = Progress(*columns, console=err, transient=True, disable=not err.is_terminal)
    with bar:
        task = bar.add_task(escape(what), total=total)
        yield lambda count: bar.advance(task, count)


def working(what: str) -> AbstractContextManager[Any]:
    """A spinner on a terminal; elsewhere nothing."""
    return err.status(escape(what))


def telling(spinner: Any) -> Callable[[str], object]:
    """What changes the words of a spinner that `working` gave."""
    return lambda text: spinner.update(escape(printable(text)))


def tell_line(text: str) -> None:
    """A line on stderr if that is a terminal: where a spinner would be in the way."""
    if err.is_terminal:
        err.print(printable(text), markup=False, soft_wrap=True)
