"""``sardonyx passes``: what passes there are."""

from __future__ import annotations

import sys
from inspect import cleandoc
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from ...dialects.errors import SardonyxError
from ..pipelines import PIPELINES, all_passes, spec_of
from ..show import out, show


def passes(
    name: Annotated[str | None, typer.Argument(help="Show this pass alone.")] = None,
) -> None:
    """List the passes and what -O0 to -O3 run; with NAME, explain one."""
    from xdsl.passes import get_pass_option_infos

    from ...passes import get_all_passes

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
        return
    table = Table("pass", "what it does", box=None)
    ours = get_all_passes()
    for each in sorted({*ours, "cse", "dce", "canonicalize"}):
        chosen = all_passes()[each]()
        doc = (chosen.__doc__ or "").strip() if each in ours else "xDSL's own"
        table.add_row(each, escape(doc.splitlines()[0]))
    out.print(table)
    for level, specs in PIPELINES.items():
        show(f"-{level}  {spec_of(level) if specs else '(nothing)'}")
