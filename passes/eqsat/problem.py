"""
What extraction chooses from: classes, the nodes that give them, what a node takes.

A selection names a node for each class that is needed; its cost is that of its nodes,
each counted once however many others need it. Plain numbers: nothing here knows ops.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

Selection = dict[int, int]
"""The node that gives each class, by their numbers."""


@dataclass(frozen=True)
class Node:
    """A way to get the classes in `gives` from others, those in `needs`."""

    cost: float
    """Seconds."""
    gives: tuple[int, ...]
    needs: tuple[int, ...]


@dataclass(frozen=True)
class Problem:
    """Nodes, the classes that are wanted, and one selection that gives them."""

    nodes: tuple[Node, ...]
    roots: tuple[int, ...]
    start: Mapping[int, int]

    @cached_property
    def givers(self) -> dict[int, list[int]]:
        """The nodes that give each class."""
        found: dict[int, list[int]] = {}
        for number, node in enumerate(self.nodes):
            for one in node.gives:
                found.setdefault(one, []).append(number)
        return found

    def used(self, selection: Mapping[int, int]) -> Selection:
        """What of `selection` the roots need."""
        found: Selection = {}
        waiting = list(self.roots)
        while waiting:
            one = waiting.pop()
            if one not in found:
                found[one] = selection[one]
                waiting.extend(self.nodes[selection[one]].needs)
        return found

    def cost(self, selection: Mapping[int, int]) -> float:
        """The seconds of what the roots need, each node once."""
        return self.cost_of(self.used(selection).values())

    def cost_of(self, nodes: Iterable[int]) -> float:
        """The seconds of several nodes; of one that is named twice, once."""
        return sum(self.nodes[number].cost for number in sorted(set(nodes)))

    def order(self, selection: Mapping[int, int]) -> list[int] | None:
        """
        The nodes that the roots need, each behind what it needs; None for a cycle.
        """
        done: dict[int, bool] = {}
        order: dict[int, None] = {}
        stack = [(one, False) for one in reversed(self.roots)]
        while stack:
            one, left = stack.pop()
            if left:
                done[one] = True
                order[selection[one]] = None
            elif one not in done:
                done[one] = False
                stack.append((one, True))
                needs = self.nodes[selection[one]].needs
                if any(done.get(need) is False for need in needs):
                    return None
                stack.extend((need, False) for need in reversed(needs))
        return list(order)

    def components(self) -> dict[int, int]:
        """
        The number of each class's strongly connected component (Tarjan, 1972).

        A selection has no cycle but within one.
        """
        return _Components(self).run()


class _Components:
    def __init__(self, problem: Problem):
        self.below = {
            one: [n for g in givers for n in problem.nodes[g].needs]
            for one, givers in problem.givers.items()
        }
        self.index: dict[int, int] = {}
        self.low: dict[int, int] = {}
        self.open: dict[int, None] = {}
        self.found: dict[int, int] = {}

    def run(self) -> dict[int, int]:
        for one in self.below:
            if one not in self.index:
                self.visit(one)
        return self.found

    def visit(self, start: int) -> None:
        stack = [(start, iter(self.below[start]))]
        self.enter(start)
        while stack:
            one, rest = stack[-1]
            need = next(rest, None)
            if need is None:
                stack.pop()
                self.leave(one)
                if stack:
                    above = stack[-1][0]
                    self.low[above] = min(self.low[above], self.low[one])
            elif need not in self.index:
                self.enter(need)
                stack.append((need, iter(self.below[need])))
            elif need in self.open:
                self.low[one] = min(self.low[one], self.index[need])

    def enter(self, one: int) -> None:
        self.index[one] = self.low[one] = len(self.index)
        self.open[one] = None

    def leave(self, one: int) -> None:
        if self.low[one] != self.index[one]:
            return
        while True:
            last, _ = self.open.popitem()
            self.found[last] = self.index[one]
            if last == one:
                return
