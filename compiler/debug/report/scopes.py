"""The modules that nodes' names tell of: ``/encoder/layer.0/attention/MatMul``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Scope = tuple[str, ...]
MIN_OPS = 2
"""A scope of fewer ops is no group of its own."""


def scope_of(record: Mapping[str, Any]) -> Scope:
    """
    The scope of an op: what the names of its nodes share before their last parts.

    An op without nodes goes by the names of its tensors.
    """
    names: Sequence[str] = record["nodes"] or record["tensors"]
    if record["kind"] != "op" or not names:
        return ()
    paths = [tuple(filter(None, name.split("/")))[:-1] for name in names]
    shared: list[str] = []
    for parts in zip(*paths, strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return tuple(shared)


@dataclass
class Group:
    """A scope, and what stands in it: ops (tracks) and smaller scopes, in order."""

    path: Scope
    title: str = ""
    children: list[int | Group] = field(default_factory=list["int | Group"])

    @property
    def tracks(self) -> Iterator[int]:
        """The ops in it, at any depth."""
        for child in self.children:
            if isinstance(child, Group):
                yield from child.tracks
            else:
                yield child


def tree(scopes: Mapping[int, Scope]) -> Group:
    """
    The groups of ops by their scopes; children stand in the order of their first ops.

    A group with one op gives it to the one around it; one with nothing but a smaller
    group becomes one with it.
    """
    root = Group(())
    groups: dict[Scope, Group] = {(): root}

    def group(path: Scope) -> Group:
        # Scopes may nest as deep as a name is long.
        missing = [path[:n] for n in range(1, len(path) + 1) if path[:n] not in groups]
        for one in missing:
            groups[one] = Group(one, one[-1])
            groups[one[:-1]].children.append(groups[one])
        return groups[path]

    for track, scope in scopes.items():
        group(scope).children.append(track)
    for path in sorted(groups, key=len, reverse=True):
        _simplify(groups[path])
    return root


def _simplify(group: Group) -> None:
    """Take in what is too small; children are simple already."""
    children: list[int | Group] = []
    for child in group.children:
        small = isinstance(child, Group) and len(child.children) < MIN_OPS
        children += child.children if small and isinstance(child, Group) else [child]
    group.children = children
    for child in children:
        if isinstance(child, Group) and child.path:
            child.title = "/".join(child.path[len(group.path) :])
