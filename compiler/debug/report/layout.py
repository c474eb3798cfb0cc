"""
Where the children of each group stand: layers and columns, by igraph's Sugiyama layout.

K. Sugiyama, S. Tagawa, M. Toda, Methods for Visual Understanding of Hierarchical System
Structures (1981). Each group is laid out by itself, as if it were alone and its
children of one size; the page adds up what is open. So a group that did not change is
laid out once for all stages.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ....dialects.errors import SardonyxError
from .scopes import Group

Edge = tuple[int, int]
MAX_SWEEPS = 24
"""How often igraph sweeps over the layers to take crossings away."""


class ReportError(SardonyxError):
    """A report that cannot be made."""


@dataclass
class Layouts:
    """The layouts of groups, each different one once."""

    entries: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    _places: dict[Any, int] = field(default_factory=dict[Any, int])

    def add(self, root: Group, edges: Sequence[Edge]) -> int:
        """Lay out `root` and all groups in it; the place of its entry."""
        places: dict[int, int] = {}
        inner = _edges_by_group(root, edges)
        for group in reversed(list(_groups(root))):
            places[id(group)] = self._one(group, inner.get(id(group), []), places)
        return places[id(root)]

    def _one(
        self, group: Group, edges: Sequence[Edge], places: Mapping[int, int]
    ) -> int:
        children = [
            {"g": places[id(child)]} if isinstance(child, Group) else {"t": child}
            for child in group.children
        ]
        key = (
            group.path,
            group.title,
            tuple(tuple(child.items()) for child in children),
            tuple(edges),
        )
        place = self._places.get(key)
        if place is None:
            place = self._places[key] = len(self.entries)
            self.entries.append(
                {
                    "id": "/".join(group.path),
                    "title": group.title,
                    "ops": sum(1 for _ in group.tracks),
                    "children": children,
                    **sugiyama(len(children), edges),
                }
            )
        return place


def _groups(root: Group) -> Iterator[Group]:
    waiting = [root]
    while waiting:
        group = waiting.pop()
        yield group
        waiting += [child for child in group.children if isinstance(child, Group)]


def _edges_by_group(root: Group, edges: Sequence[Edge]) -> dict[int, list[Edge]]:
    """
    The edges between the children of each group, by their places there.

    An edge between ops belongs to the smallest group that holds both.
    """
    chain: dict[int, tuple[tuple[int, int], ...]] = {}
    waiting: list[tuple[Group, tuple[tuple[int, int], ...]]] = [(root, ())]
    while waiting:
        group, above = waiting.pop()
        for place, child in enumerate(group.children):
            here = (*above, (id(group), place))
            if isinstance(child, Group):
                waiting.append((child, here))
            else:
                chain[child] = here
    found: dict[int, dict[Edge, None]] = {}
    for source, target in edges:
        pairs = zip(chain[source], chain[target], strict=False)
        for (group, a), (_, b) in pairs:
            if a != b:
                found.setdefault(group, {})[a, b] = None
                break
    return {group: list(pairs) for group, pairs in found.items()}


def layers_of(count: int, edges: Sequence[Edge]) -> list[int]:
    """
    The layer of each child: below all that it depends on, sources next to their users.

    Children stand in the order of the program; an edge against it (two scopes that take
    turns) does not count.
    """
    layers = [0] * count
    forward = sorted((a, b) for a, b in edges if a < b)
    for source, target in forward:
        layers[target] = max(layers[target], layers[source] + 1)
    fed = {target for _, target in forward}
    first_use: dict[int, int] = {}
    for source, target in forward:
        first_use[source] = min(layers[target], first_use.get(source, count))
    for source, layer in first_use.items():
        if source not in fed:
            layers[source] = layer - 1
    return layers


def sugiyama(count: int, edges: Sequence[Edge]) -> dict[str, Any]:
    """
    The layer and column of every child, and the bends of edges over several layers.

    Columns are numbers, 1 apart at least within a layer; a bend is a layer and one.
    """
    layers = layers_of(count, edges)
    # igraph wants edges that go down; within a layer there is nothing to route.
    down = [(a, b) if layers[a] < layers[b] else (b, a) for a, b in edges]
    routed = [n for n, (a, b) in enumerate(down) if layers[a] != layers[b]]
    columns = [0.0] * count
    bends: dict[int, list[list[float]]] = {}
    graph = _igraph().Graph(count, [down[n] for n in routed], directed=True)
    # igraph gives the bends of one component to the edges of another (1.0.0): each is
    # laid out by itself, and they stand side by side.
    left = 0.0
    for part in sorted(graph.connected_components("weak"), key=min):
        members = {child: place for place, child in enumerate(part)}
        inside = [n for n in routed if down[n][0] in members]
        right = left
        for child, column in _columns(part, members, layers, down, inside, bends, left):
            columns[child] = column
            right = max(right, column + 1)
        for points in (bends[n] for n in inside):
            right = max([right, *(column + 1 for _, column in points)])
        left = right
    turned = {n for n in routed if down[n] != edges[n]}
    paths = [bends.get(n, [])[:: -1 if n in turned else 1] for n in range(len(edges))]
    return {
        "layer": layers,
        "x": columns,
        "edges": [[a, b, path] for (a, b), path in zip(edges, paths, strict=True)],
    }


def _columns(
    part: Sequence[int],
    members: Mapping[int, int],
    layers: Sequence[int],
    down: Sequence[Edge],
    inside: Sequence[int],
    bends: dict[int, list[list[float]]],
    left: float,
) -> list[tuple[int, float]]:
    """Lay out one component from column `left` on; its edges' bends go to `bends`."""
    pairs = [(members[down[n][0]], members[down[n][1]]) for n in inside]
    graph = _igraph().Graph(len(part), pairs, directed=True)
    ranks = [layers[child] for child in part]
    found = graph.layout_sugiyama(layers=ranks, maxiter=MAX_SWEEPS)
    points = [x for x, _ in found.coords]
    points += [x for path in found.edge_routing for x, _ in path]
    shift = left - min(points)
    for n, path in zip(inside, found.edge_routing, strict=True):
        bends[n] = [[round(y), round(x + shift, 3)] for x, y in path]
    columns = [round(x + shift, 3) for x, _ in found.coords]
    return list(zip(part, columns, strict=True))


def _igraph() -> Any:
    try:
        return importlib.import_module("igraph")
    except ImportError as error:
        raise ReportError(
            "view: found no igraph, which lays the graph out: "
            "pip install 'sardonyx[report]'"
        ) from error
