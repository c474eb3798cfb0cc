"""``sardonyx passes``: what passes there are."""

from __future__ import annotations

import sys
from inspect import cleandoc
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from ...dialects.errors import SardonyxError
from ..pipelines import (
    LOWERING,
    LOWERING_LEVELS,
    PIPELINES,
    XDSL_PASSES,
    all_passes,
    spec_of,
)
from ..plugins import other_passes
from ..show import out, printable, show
from .options import PluginOption

if TYPE_CHECKING:
    from ...passes.rules import RulesPass


def passes(
    name: Annotated[str | None, typer.Argument(help="Show this pass alone.")] = None,
    plugin: PluginOption = None,
) -> None:
    """List the passes and what -O0 to -O3 run; with NAME, explain one."""
    from xdsl.passes import get_pass_option_infos

    from ...passes import get_all_passes
    from ...passes.rules import RulesPass

    if name is not None:
        known = all_passes()
        if name not in known:
            raise SardonyxError(f"found pass {name!r}, wanted one of sardonyx passes")
        chosen = known[name]()
        show(name)
        doc = chosen.__doc__
        if name in get_all_passes():
            doc = sys.modules[chosen.__module__].__doc__
        show(cleandoc(doc or "a pass of xDSL's"))
        for option in get_pass_option_infos(chosen):
            default = (
                "" if option.default_value is None else f" = {option.default_value}"
            )
            show(f"  {option.name.replace('_', '-')}: {option.expected_type}{default}")
        if issubclass(chosen, RulesPass):
            show_rules(chosen)
        return
    table = Table("pass", "what it does", box=None)
    known, others = all_passes(), other_passes()
    for each in sorted({*get_all_passes(), *others, *XDSL_PASSES}):
        doc = (known[each]().__doc__ or "").strip()
        doc = "xDSL's own" if each in XDSL_PASSES else doc or "(it says nothing)"
        origin = f" ({printable(others[each])})" if each in others else ""
        table.add_row(each, escape(doc.splitlines()[0] + origin))
    out.print(table)
    for level, specs in PIPELINES.items():
        show(f"-{level}  {spec_of(level) if specs else '(nothing)'}")
    for backend, specs in LOWERING.items():
        levels = ", ".join(f"-{level}" for level in sorted(LOWERING_LEVELS))
        show(f"{levels} for {backend}, at the end:  {','.join(specs)}")
    show("compile -O3 and bench -O3 time the program and undo the passes that slow it")
    show("-p takes a spec, with levels and options: 'O1,fold-constants{max-growth=1}'")
    show('-p @FILE reads one per line; fixpoint{passes="a,b"} repeats until it settles')


def show_rules(chosen: type[RulesPass]) -> None:
    """The rules of a pass, by name and docstring."""
    show("rules:")
    for rule in chosen.rules().rules:
        show(f"  {rule.name}: {rule.doc or '(it says nothing)'}")
