"""Orders beside all orders there are, and what they hold beside a simulation."""

from collections.abc import Iterator
from functools import cache
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sardonyx.passes.schedule.orders import Graph, Memory, best_order


@st.composite
def graphs(draw: st.DrawFn, most: int = 8, edges: int = 10) -> Graph:
    """Tasks that read what earlier ones made; some may write over what they read."""
    count = draw(st.integers(1, most))
    pairs = st.tuples(st.integers(0, count - 1), st.integers(0, count - 1))
    reads = {(a, b) for a, b in draw(st.lists(pairs, max_size=edges)) if a < b}
    before: list[set[int]] = [set() for _ in range(count)]
    memory: list[Memory] = []
    sizes = draw(st.lists(st.integers(0, 9), min_size=count, max_size=count))
    for task, size in enumerate(sizes):
        readers = frozenset(b for a, b in reads if a == task)
        same = frozenset(b for b in readers if sizes[b] == size)
        over = same if draw(st.booleans()) else frozenset[int]()
        memory.append(Memory(task, size, readers, over))
        for reader in readers:
            before[reader].add(task)
    return Graph(tuple(frozenset(b) for b in before), tuple(memory))


def orders(graph: Graph, done: tuple[int, ...] = ()) -> Iterator[tuple[int, ...]]:
    """Every order in which the tasks may run."""
    if len(done) == len(graph.before):
        yield done
    for task, before in enumerate(graph.before):
        if task not in done and before <= {*done}:
            yield from orders(graph, (*done, task))


def simulated(graph: Graph, order: tuple[int, ...]) -> int:
    """The most that is held, by a list of what is held at each moment."""
    held: dict[int, int] = {}
    pending = {i: set(memory.readers) for i, memory in enumerate(graph.memory)}
    peak = 0
    for task in order:
        lasts = [m for m, readers in pending.items() if readers == {task}]
        over = any(task in graph.memory[m].over for m in lasts)
        made = {i: m.size for i, m in enumerate(graph.memory) if m.maker == task}
        peak = max(peak, sum(held.values()) + (0 if over else sum(made.values())))
        held |= made
        for readers in pending.values():
            readers.discard(task)
        held = {i: size for i, size in held.items() if pending[i]}
    return peak


@settings(max_examples=100)
@given(graphs())
def test_the_peak_is_what_a_simulation_holds(graph: Graph) -> None:
    for order in islice(orders(graph), 20):
        assert graph.peak(order) == simulated(graph, order)


@settings(max_examples=60)
@given(graphs(most=6))
def test_the_best_order_is_the_best_of_all(graph: Graph) -> None:
    found = best_order(graph)
    assert found.exact
    assert found.peak == min(simulated(graph, order) for order in orders(graph))
    assert simulated(graph, found.tasks) == found.peak
    assert sorted(found.tasks) == list(range(len(graph.before)))
    for place, task in enumerate(found.tasks):
        assert graph.before[task] <= {*found.tasks[:place]}


def least(graph: Graph) -> int:
    """The least peak, by way of every set of tasks that may be done first."""
    everything = frozenset(range(len(graph.before)))

    @cache
    def of_rest(done: frozenset[int]) -> int:
        mask = sum(1 << task for task in done)
        ready = (t for t in everything - done if graph.before[t] <= done)
        after = ((graph.step(mask, t)[0], t) for t in ready)
        found = (max(live(done) + now, of_rest(done | {t})) for now, t in after)
        return min(found, default=0)

    def live(done: frozenset[int]) -> int:
        return sum(m.size for m in graph.memory if m.maker in done and m.readers - done)

    return of_rest(frozenset())


@settings(max_examples=60)
@given(graphs(most=9, edges=20))
def test_nine_tasks(graph: Graph) -> None:
    found = best_order(graph)
    assert found.peak == least(graph)
    assert found.exact


@settings(max_examples=60)
@given(graphs(most=5))
def test_least_is_the_least_of_all_orders(graph: Graph) -> None:
    assert least(graph) == min(simulated(graph, order) for order in orders(graph))


@settings(max_examples=80)
@given(graphs(most=30, edges=60), st.integers(1, 30))
def test_never_worse_than_the_order_given(graph: Graph, states: int) -> None:
    given = tuple(range(len(graph.before)))
    found, better = best_order(graph, states), best_order(graph)
    assert better.peak <= found.peak <= graph.peak(given)
    assert found.peak == simulated(graph, found.tasks)
    assert not found.exact or found.peak == better.peak
    if found.peak == graph.peak(given):
        assert found.tasks == given


def ladder(rungs: int) -> Graph:
    """Every task makes 9 for one that leaves 1; the sums are taken at the end."""
    before: list[frozenset[int]] = []
    memory: list[Memory] = []
    for task in range(rungs):
        before.append(frozenset())
        memory.append(Memory(task, 9, frozenset([rungs + task])))
    for task in range(rungs, 2 * rungs):
        before.append(frozenset([task - rungs]))
        memory.append(Memory(task, 1, frozenset([2 * rungs])))
    return Graph((*before, frozenset(range(rungs, 2 * rungs))), tuple(memory))


@pytest.mark.parametrize("rungs", [3, 40])
def test_each_rung_is_finished_before_the_next(rungs: int) -> None:
    graph = ladder(rungs)
    assert graph.peak(range(2 * rungs + 1)) == 9 * rungs + 1
    found = best_order(graph)
    assert found.peak == 9 + rungs
    # All sets of rungs that are finished are alike: too many to look at.
    assert found.exact == (rungs == 3)


def test_one_ladder_after_another() -> None:
    one, count = ladder(6), 13
    before = [
        *one.before,
        *(frozenset({count - 1} | {t + count for t in b}) for b in one.before),
    ]
    memory = [*one.memory]
    for m in one.memory:
        readers = frozenset(t + count for t in m.readers)
        memory.append(Memory(m.maker + count, m.size, readers))
    graph = Graph(tuple(before), tuple(memory))
    assert best_order(graph, states=1000).exact
    assert best_order(graph).peak == 15
