"""
Extraction by an integer linear program: the cheapest selection, sharing counted.

    minimize    sum of cost(n) x(n)
    subject to  a root is given:          sum of s(n, r)                 >= 1
                what is needed is given:  sum of s(m, c)                 >= x(n)
                what gives is there:      x(n)                           >= s(n, c)
                no cycle:                 t(c) - t(d) - (K + 1) s(n, c)  >= -K

where x(n) says that node n is taken and s(n, c) that it gives c (x(n) itself where it
gives no other), the second holds for each c that n needs, and in the last n gives c and
needs d, both in one strongly connected component of K classes: t(c) in 0 ... K is the
place of c in an order.
(Yang et al., TENSAT, MLSys 2021, with the orders only where cycles can be.) HiGHS
solves it, through SciPy.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...dialects.onnx.types import Array
from .problem import Problem, Selection

MAX_NODES = 20_000
"""Larger problems are not begun: HiGHS would use its time before its first solution."""


@dataclass
class _Rows:
    """The constraints: sparse rows, each with its lower bound."""

    rows: list[int] = field(default_factory=list[int])
    columns: list[int] = field(default_factory=list[int])
    values: list[float] = field(default_factory=list[float])
    least: list[float] = field(default_factory=list[float])

    def add(self, least: float, terms: Iterable[tuple[int, float]]) -> None:
        """``sum of value * variable >= least``; terms of one variable add up."""
        for column, value in terms:
            self.rows.append(len(self.least))
            self.columns.append(column)
            self.values.append(value)
        self.least.append(least)


@dataclass
class _Layout:
    """Which column each variable is."""

    gives: dict[tuple[int, int], int]
    """By node and class: what says that one gives the other."""
    by_class: dict[int, list[int]]
    """The columns of what may give each class."""
    places: dict[int, int]
    """By class: its place in an order."""
    whole: int
    """How many of the columns, from the first, are 0 or 1."""

    @property
    def width(self) -> int:
        return self.whole + len(self.places)

    def given(self, one: int) -> list[tuple[int, float]]:
        """The terms that say how often the class is given."""
        return [(column, 1.0) for column in self.by_class[one]]

    @staticmethod
    def of(problem: Problem) -> _Layout:
        """The columns: nodes first, then what gives what, then places."""
        whole = len(problem.nodes)
        gives: dict[tuple[int, int], int] = {}
        by_class: dict[int, list[int]] = {}
        for number, node in enumerate(problem.nodes):
            for one in node.gives:
                several = len(node.gives) > 1
                column = whole if several else number
                whole += several
                gives[number, one] = column
                by_class.setdefault(one, []).append(column)
        places = {one: whole + index for index, one in enumerate(sorted(by_class))}
        return _Layout(gives, by_class, places, whole)


def extract_by_program(problem: Problem, seconds: float) -> Selection | str:
    """
    The cheapest selection that HiGHS finds in `seconds`, or why there is none.

    One that it did not prove the cheapest is given all the same.
    """
    count = len(problem.nodes)
    if count > MAX_NODES:
        return f"found {count} nodes, wanted at most {MAX_NODES} for ilp"
    if seconds <= 0:
        return "no time was left for ilp"
    layout = _Layout.of(problem)
    rows, upper = _Rows(), np.ones(layout.width)
    for one in problem.roots:
        rows.add(1, layout.given(one))
    for number, node in enumerate(problem.nodes):
        for need in dict.fromkeys(node.needs):
            rows.add(0, [*layout.given(need), (number, -1.0)])
        for one in node.gives:
            column = layout.gives[number, one]
            if column != number:
                rows.add(0, [(number, 1.0), (column, -1.0)])
    _forbid_cycles(problem, rows, layout, upper)
    costs = np.zeros(layout.width)
    # In units of the dearest node, which is what tolerances are made for.
    scale = max((node.cost for node in problem.nodes), default=0.0) or 1.0
    costs[:count] = [node.cost / scale for node in problem.nodes]
    result = _solve(costs, layout.whole, rows, upper, seconds)
    if result.x is None:
        return f"ilp found no program: {result.message.partition('.')[0]}"
    return _selection(problem, layout, result.x)


def _solve(costs: Array, count: int, rows: _Rows, upper: Array, seconds: float) -> Any:
    """What HiGHS says; the first `count` variables are 0 or 1."""
    # Loading SciPy takes a while, and who extracts greedily needs none.
    from scipy import optimize, sparse  # pyright: ignore[reportMissingTypeStubs]

    library: Any = optimize
    shape = (len(rows.least), len(costs))
    matrix = sparse.csr_array((rows.values, (rows.rows, rows.columns)), shape=shape)
    return library.milp(
        costs,
        integrality=np.arange(len(costs)) < count,
        bounds=library.Bounds(0, upper),
        constraints=library.LinearConstraint(matrix, lb=np.array(rows.least)),
        options={"time_limit": seconds, "mip_rel_gap": 0},
    )


def _forbid_cycles(
    problem: Problem, rows: _Rows, layout: _Layout, upper: Array
) -> None:
    """Order the classes of each component by what gives them."""
    component = problem.components()
    sizes = Counter(component.values())
    for one, column in layout.places.items():
        upper[column] = sizes[component[one]]
    for (number, one), column in layout.gives.items():
        size = sizes[component[one]]
        for need in dict.fromkeys(problem.nodes[number].needs):
            if component[need] == component[one]:
                order = [(layout.places[one], 1.0), (layout.places[need], -1.0)]
                rows.add(-size, [*order, (column, -(size + 1.0))])


def _selection(problem: Problem, layout: _Layout, values: Array) -> Selection | str:
    """What the variables say: of several nodes that give a class, the cheapest."""
    taken = [pair for pair, column in layout.gives.items() if values[column] > 0.5]
    selection: Selection = {}
    for number, one in sorted(taken, key=lambda pair: problem.nodes[pair[0]].cost):
        selection.setdefault(one, number)
    if problem.order(selection) is None:
        return "ilp left a cycle"
    return problem.used(selection)
