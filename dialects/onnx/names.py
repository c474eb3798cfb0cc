"""
Names of SSA values: valid, telling, and each once in a module.

xDSL's printer tells equal hints apart with a suffix, `_1`, that another value's hint
may already have, and then the text does not parse. Where no hint ends so, it never
comes to that.
"""

from __future__ import annotations

import re

from xdsl.ir import Operation, SSAValue

_INVALID = re.compile(r"[^A-Za-z0-9_]+")
_SUFFIX = re.compile(r"_\d+$")
_SUFFIXES = re.compile(r"(_\d+)+$")
MAX_LENGTH = 48


def hint(tensor: str) -> str | None:
    """A value name that resembles a tensor's name; None if nothing of it can stand."""
    name = _INVALID.sub("_", tensor).strip("_")
    if len(name) > MAX_LENGTH:
        # The end tells most; a word that would be cut goes whole.
        name = name[-MAX_LENGTH:]
        name = (name.partition("_")[2] or name).strip("_")
    if not name:
        return None
    return f"t{name}" if name[0].isdigit() else name


class Names:
    """Gives out names, each once."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._next: dict[str, int] = {}

    def copy(self) -> Names:
        """The same names given out, to go on apart."""
        names = Names()
        names._taken, names._next = set(self._taken), dict(self._next)
        return names

    def unique(self, name: str) -> str:
        """`name`, or with a number appended if it was given out before."""
        if name not in self._taken:
            self._taken.add(name)
            return name
        base = _SUFFIX.sub("", name)
        count = self._next.get(base, 0)
        while f"{base}_{count}" in self._taken:
            count += 1
        self._next[base] = count + 1
        self._taken.add(f"{base}_{count}")
        return f"{base}_{count}"


def name_values(root: Operation) -> None:
    """Make the names that xDSL prints below `root` differ: no hint ends in a number."""
    for op in root.walk():
        for value in (*op.results, *_block_arguments(op)):
            if value.name_hint is not None:
                value.name_hint = _SUFFIXES.sub("", value.name_hint) or None


def _block_arguments(op: Operation) -> list[SSAValue]:
    blocks = [block for region in op.regions for block in region.blocks]
    return [argument for block in blocks for argument in block.args]
