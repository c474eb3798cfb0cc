"""Passes: each rewrites the IR into IR of the same meaning.

One file per pass; `get_all_passes` is the phone book, which loads a pass when it is called for.
"""

from collections.abc import Callable

from xdsl.passes import ModulePass


def get_all_passes() -> dict[str, Callable[[], type[ModulePass]]]:
    """Every pass of ours by name; the values import it."""
    return {}
