"""``sardonyx why``: what a pass did with a model, and why it left the rest alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from ..arguments import Level, pipeline_of
from ..debug.why import Explanation, explain
from ..show import print_json, printable, show
from .options import JsonOption, ModelPath, PassesOption, PluginOption

SHOWN = 10
"""How many nodes of one reason, or of one pattern, are listed; --json has all."""


def why(
    model: ModelPath,
    spec: Annotated[str, typer.Argument(metavar="PASS", help="A pass: 'a{x=1}'.")],
    op: Annotated[
        list[str] | None,
        typer.Option("--op", metavar="NODE", help="Tell of this node alone."),
    ] = None,
    level: Annotated[
        Level | None,
        typer.Option("-O", help="What runs before: a level. Else -O2 up to PASS."),
    ] = None,
    passes: PassesOption = None,
    plugin: PluginOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Tell what PASS rewrites in MODEL, and what it nearly did: which constraint failed.
    """
    del plugin  # reading the option has loaded it
    before = None
    if level is not None or passes is not None:
        before = pipeline_of(level or Level.O0, passes)
    found = explain(model, spec, before, op or ())
    if as_json:
        print_json(found.as_json())
        return
    print_explanation(found)


def print_explanation(found: Explanation) -> None:
    """The explanation in lines."""
    show(f"{printable(found.spec)} on {printable(found.model) or 'the model'}")
    show(f"  after {printable(found.before) or 'nothing'}")
    if not found.has_journal:
        changed = f"{found.ops_before} ops became {found.ops_after}"
        show(f"the pass keeps no journal, so it cannot say why; {changed}")
        return
    print_applied(found)
    print_misses(found)
    if found.others and not found.ops:
        show("not of its shape (--op NODE tells of one)")
        for reason, count in sorted(found.others.items(), key=lambda o: (-o[1], o[0])):
            show(f"  {printable(reason)}: {plural(count, 'op')}")
    for name in found.gone:
        show(f"node {printable(name)!r} was gone before: a pass before rewrote it")
    for name in found.unseen:
        show(f"node {printable(name)!r}: no pattern of the pass begins there")


def print_applied(found: Explanation) -> None:
    """What was rewritten, by pattern."""
    show(f"rewrote {plural(len(found.applied), 'time')}")
    by_pattern: dict[str, list[str]] = {}
    for one in found.applied:
        made = ", ".join(name.partition(".")[2] for name in one.gave)
        gave = f" -> {made}" if made else ""
        line = f"{nodes_text(one.nodes)} ({one.op.partition('.')[2]}){gave}"
        by_pattern.setdefault(one.pattern, []).append(line)
    for pattern, lines in by_pattern.items():
        show(f"  {printable(pattern)}: {plural(len(lines), 'time')}")
        print_some(lines)


def print_misses(found: Explanation) -> None:
    """What was left alone, by the constraint that failed."""
    near = "left alone" if found.ops else "nearly rewrote"
    show(f"{near} {plural(len(found.misses), 'op')}")
    for (pattern, reason), count in found.reasons().most_common():
        show(f"  {printable(pattern)}: {printable(reason)}: {plural(count, 'op')}")
        ops = [m for m in found.misses if (m.pattern, m.reason) == (pattern, reason)]
        print_some([f"{nodes_text(m.nodes)} ({m.op.partition('.')[2]})" for m in ops])


def print_some(lines: Sequence[str]) -> None:
    """The first lines, and how many more there are."""
    for line in lines[:SHOWN]:
        show(f"    {line}")
    if len(lines) > SHOWN:
        show(f"    {len(lines) - SHOWN} more in --json")


def nodes_text(nodes: Sequence[str]) -> str:
    """The user's names, each quoted."""
    return "node " + ", ".join(f"'{printable(name)}'" for name in nodes or ["?"])


def plural(count: int, word: str) -> str:
    """``1 op``, ``2 ops``."""
    return f"{count} {word}" + ("" if count == 1 else "s")
