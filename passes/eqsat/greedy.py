"""
Extraction by descent: never dearer than where it starts, and sharing is counted.

Two starts: the input's own selection, and for each class the node whose tree is
cheapest (Knuth's generalization of Dijkstra's algorithm, 1977). From each, one class at
a time takes another node where the whole becomes cheaper by it: what only the old node
needed goes, what others need already is free. Choices that pay only together are not
found; `integer` finds them.
"""

from __future__ import annotations

import heapq
import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence

from .problem import Problem, Selection

GAIN = 1e-9
"""The part of the whole cost that a step must save at least."""
ROUNDS = 8
"""How often every class is looked at, at most."""


def extract_greedily(problem: Problem, deadline: float = math.inf) -> Selection:
    """
    A cheap selection of what the roots need; at worst the one to start from.

    `deadline` is a time of `time.monotonic`: behind it no more steps are tried.
    """
    trees = cheapest_trees(problem)
    found: list[Selection] = []
    for start in (problem.start, trees):
        descent = _Descent(problem, trees, problem.used(start), deadline)
        descent.run()
        found.append(problem.used(descent.choice))
    return min(found, key=problem.cost)


def cheapest_trees(problem: Problem) -> Selection:
    """For each class the node whose tree is cheapest; together they have no cycle."""
    nodes, best = problem.nodes, dict[int, float]()
    choice: Selection = {}
    waiting = [len(set(node.needs)) for node in nodes]
    takers: dict[int, list[int]] = {}
    for number, node in enumerate(nodes):
        for need in set(node.needs):
            takers.setdefault(need, []).append(number)
    ready = [(node.cost, i) for i, node in enumerate(nodes) if not node.needs]
    heapq.heapify(ready)
    while ready:
        cost, number = heapq.heappop(ready)
        for one in nodes[number].gives:
            if one in best:
                continue
            best[one], choice[one] = cost, number
            for taker in takers.get(one, ()):
                waiting[taker] -= 1
                if not waiting[taker]:
                    needs = nodes[taker].needs
                    total = nodes[taker].cost + sum(best[need] for need in needs)
                    heapq.heappush(ready, (total, taker))
    return choice


class _Descent:
    """A selection, and how many need each of its classes and nodes."""

    def __init__(
        self,
        problem: Problem,
        trees: Mapping[int, int],
        start: Mapping[int, int],
        deadline: float,
    ):
        self.problem = problem
        self.trees = trees
        self.deadline = deadline
        self.choice: Selection = {}
        self.needed: Counter[int] = Counter()
        """By class: the nodes in use that need it, and the roots."""
        self.giving: Counter[int] = Counter()
        """By node: the classes in use that it gives."""
        self.trail: list[tuple[dict[int, int], int, int | None]] = []
        """What entries were before the step at hand changed them."""
        self.take(problem.roots, start, exactly=True)
        self.least = GAIN * problem.cost(start)

    def run(self) -> None:
        """Take steps until none is left, or no time."""
        for _ in range(ROUNDS):
            before = dict(self.choice)
            for one in before:
                if time.monotonic() > self.deadline:
                    return
                for number in self.problem.givers[one]:
                    self.step(one, number)
            if self.choice == before:
                return

    def step(self, one: int, number: int) -> None:
        """Let node `number` give the class, if that is cheaper."""
        if one not in self.choice or self.choice[one] == number:
            return
        self.trail.clear()
        change = self.release([self.choice[one]])
        self.put(self.choice, one, number)
        change += self.engage(number, self.trees)
        if change < -self.least and self.problem.order(self.choice) is not None:
            return
        for entries, key, before in reversed(self.trail):
            if before is None:
                del entries[key]
            else:
                entries[key] = before

    def put(self, entries: dict[int, int], key: int, value: int) -> None:
        """Set an entry so that it can be set back."""
        self.trail.append((entries, key, entries.get(key)))
        entries[key] = value

    def engage(self, number: int, choices: Mapping[int, int]) -> float:
        """One more class is given by the node: the seconds that it adds."""
        self.put(self.giving, number, self.giving[number] + 1)
        if self.giving[number] > 1:
            return 0.0
        node = self.problem.nodes[number]
        return node.cost + self.take(node.needs, choices)

    def take(
        self, classes: Sequence[int], choices: Mapping[int, int], exactly: bool = False
    ) -> float:
        """Each of the classes is needed once more: the seconds that it adds."""
        waiting, added = list(reversed(classes)), 0.0
        while waiting:
            one = waiting.pop()
            self.put(self.needed, one, self.needed[one] + 1)
            if self.needed[one] > 1:
                continue
            number = choices[one]
            if not exactly:
                # What gives another class already costs nothing.
                givers = self.problem.givers[one]
                number = next((g for g in givers if self.giving[g]), number)
            self.put(self.choice, one, number)
            self.put(self.giving, number, self.giving[number] + 1)
            if self.giving[number] == 1:
                added += self.problem.nodes[number].cost
                waiting.extend(reversed(self.problem.nodes[number].needs))
        return added

    def release(self, nodes: Sequence[int]) -> float:
        """Each node gives one class less: the seconds, negative, that go."""
        waiting, gone = list(nodes), 0.0
        while waiting:
            number = waiting.pop()
            self.put(self.giving, number, self.giving[number] - 1)
            if self.giving[number]:
                continue
            gone -= self.problem.nodes[number].cost
            for need in self.problem.nodes[number].needs:
                self.put(self.needed, need, self.needed[need] - 1)
                if not self.needed[need]:
                    waiting.append(self.choice[need])
                    self.trail.append((self.choice, need, self.choice.pop(need)))
        return gone
