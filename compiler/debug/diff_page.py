"""A `Difference` as one HTML page that needs nothing else: no network, no script."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from ..show import printable
from .diff import Change, Changed, Difference, Note

STYLE = """
:root { color-scheme: light dark; --line: #8884; --add: #1a7f37; --gone: #cf222e; }
@media (prefers-color-scheme: dark) { :root { --add: #3fb950; --gone: #f85149; } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto;
  padding: 0 1rem; background: Canvas; color: CanvasText; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .2rem .6rem;
  border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
summary { cursor: pointer; font-weight: 600; margin: 1rem 0 .3rem; }
code { font-size: .9em; } .add { color: var(--add); } .gone { color: var(--gone); }
"""


def page(found: Difference) -> str:
    """The page; all text that comes from a model is escaped."""
    verdict = "the same" if found.same else "different"
    title = f"{verdict}: {found.a} | {found.b}"
    parts = [
        f"<h1>Two models, {verdict}</h1>",
        f'<p><span class="gone">A</span> {_code(found.a)}<br>'
        f'<span class="add">B</span> {_code(found.b)}</p>',
        _amounts(found),
        _errors(found),
        _section("Interface", map(_change, found.interface), ("what", "A", "B")),
        _section("Removed", map(_note, found.removed), NOTE, "gone"),
        _section("Added", map(_note, found.added), NOTE, "add"),
        _section("Changed", _pairs(found.changed), ("op", "what", "A", "B")),
        _section("Moved", (_note(one.after) for one in found.moved), NOTE),
        _section("Renamed", map(_renamed, found.renamed), ("operator", "A", "B")),
    ]
    body = "\n".join(part for part in parts if part)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(title)}</title>\n<style>{STYLE}</style></head>\n"
        f"<body>\n{body}\n</body></html>\n"
    )


NOTE = ("operator", "node", "results")


def _amounts(found: Difference) -> str:
    rows = [
        [
            _text(delta.name + (f" ({delta.unit})" if delta.unit else "")),
            *(
                _text("?" if amount is None else str(amount))
                for amount in (delta.before, delta.after, delta.difference)
            ),
        ]
        for delta in found.deltas
    ]
    return _table(("amount", "A", "B", "B - A"), rows)


def _errors(found: Difference) -> str:
    if found.not_run:
        return f"<p>Outputs are not compared: {_text(found.not_run)}.</p>"
    rows = [
        [
            _code(error.name),
            _text(f"{error.dtype}{list(error.shape)}"),
            f"{error.absolute:.3g}",
            f"{error.relative:.3g}",
        ]
        for error in found.errors
    ]
    heads = ("output, on random inputs", "type", "max abs error", "max rel error")
    return _table(heads, rows)


def _pairs(pairs: Iterable[Changed]) -> Iterable[Sequence[str]]:
    for pair in pairs:
        title = f"{_text(pair.after.op)} {_names(pair.after)}"
        for change in pair.changes:
            yield [title, *_change(change)]
            title = ""


def _renamed(pair: Changed) -> Sequence[str]:
    return [_text(pair.after.op), _names(pair.before), _names(pair.after)]


def _note(note: Note) -> Sequence[str]:
    return [_text(note.op), _names(note), _text(", ".join(note.results))]


def _names(note: Note) -> str:
    return ", ".join(map(_code, note.nodes)) or "<i>no name</i>"


def _change(change: Change) -> Sequence[str]:
    return [_text(change.what), _code(change.before), _code(change.after)]


def _section(
    title: str, rows: Iterable[Sequence[str]], heads: Sequence[str], kind: str = ""
) -> str:
    lines = list(rows)
    if not lines:
        return ""
    named = f'<span class="{kind}">{title}</span>' if kind else title
    shown = f"<summary>{named}: {len(lines)}</summary>\n{_table(heads, lines)}"
    return f"<details open>{shown}</details>"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{_text(name)}</th>" for name in heads)
    lines = ("".join(f"<td>{cell}</td>" for cell in row) for row in rows)
    body = "\n".join(f"<tr>{line}</tr>" for line in lines)
    return f"<table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table>"


def _code(text: str) -> str:
    return f"<code>{_text(text)}</code>"


def _text(text: str) -> str:
    return escape(printable(text))
