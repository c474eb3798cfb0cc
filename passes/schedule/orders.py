"""
Orders of tasks that hold as little memory as possible at their worst moment.

Plain arithmetic on a graph of tasks. The exact search goes through sets of tasks that
are done, each met once (SERENITY, Ahn et al., arXiv:2003.02369), under a budget that is
halved until none is left; the graph is parted at tasks that all others come before or
after. Where that takes too long, the best of several greedy and depth-first orders.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Memory:
    """Memory that a task makes, and that is held until its last reader has run."""

    maker: int
    size: int
    readers: frozenset[int]
    over: frozenset[int] = frozenset()
    """
    Readers that write what they make over it, in as many bytes, if they are the last.
    """


def bits(mask: int) -> Iterator[int]:
    """The places of the bits that are set, ascending."""
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


@dataclass(frozen=True)
class Graph:
    """Tasks by number; sets of tasks are integers, a bit for each."""

    before: tuple[frozenset[int], ...]
    """For each task those that must run before it."""
    memory: tuple[Memory, ...]

    @cached_property
    def needs(self) -> tuple[int, ...]:
        """For each task the set of those just before it."""
        return tuple(sum(1 << i for i in tasks) for tasks in self.before)

    @cached_property
    def after(self) -> tuple[int, ...]:
        """For each task the set of those just after it."""
        found = [0] * len(self.before)
        for task, tasks in enumerate(self.before):
            for other in tasks:
                found[other] |= 1 << task
        return tuple(found)

    @cached_property
    def readers(self) -> tuple[int, ...]:
        """For each memory the set of its readers."""
        return tuple(sum(1 << i for i in held.readers) for held in self.memory)

    @cached_property
    def made(self) -> tuple[tuple[int, ...], ...]:
        """For each task the memory that it makes."""
        found: list[list[int]] = [[] for _ in self.before]
        for index, held in enumerate(self.memory):
            found[held.maker].append(index)
        return tuple(map(tuple, found))

    @cached_property
    def reads(self) -> tuple[tuple[int, ...], ...]:
        """For each task the memory that it reads."""
        found: list[list[int]] = [[] for _ in self.before]
        for index, held in enumerate(self.memory):
            for task in held.readers:
                found[task].append(index)
        return tuple(map(tuple, found))

    def step(self, done: int, task: int) -> tuple[int, int]:
        """
        What running `task` adds while it runs, and what it adds for good.

        Both in the memory's unit, the second less what is not needed any more.
        """
        done |= 1 << task
        made = sum(self.memory[m].size for m in self.made[task])
        over = freed = 0
        for m in self.reads[task]:
            if not self.readers[m] & ~done:
                freed += self.memory[m].size
                if task in self.memory[m].over:
                    over = made
        unread = sum(
            self.memory[m].size for m in self.made[task] if not self.readers[m]
        )
        return made - over, made - freed - unread

    def peak(self, order: Sequence[int]) -> int:
        """The most memory that is held as the tasks run in `order`."""
        done = held = peak = 0
        for task in order:
            now, kept = self.step(done, task)
            peak = max(peak, held + now)
            held += kept
            done |= 1 << task
        return peak


@dataclass(frozen=True)
class Order:
    """Tasks in an order, and the most memory that is held then."""

    tasks: tuple[int, ...]
    peak: int
    exact: bool
    """Whether no order has a smaller peak."""


STATES = 10_000
"""How many sets of done tasks the searches may meet in a part of the graph."""


def best_order(graph: Graph, states: int = STATES, largest: int = 0) -> Order:
    """
    The order of least peak that is found; tasks ``0, 1, …`` must be an order.

    If that is as good as any found it is the result, unchanged. Parts of the graph with
    more than `largest` tasks stay as they are, unless that is 0.
    """
    given = tuple(range(len(graph.before)))
    order: list[int] = []
    exact, done, held, proven = True, 0, 0, 0
    for part in _parts(graph):
        some = _Part(graph, done, held, part, states)
        left = 0 < largest < len(part)
        found = some.given() if left else some.solve()
        order += found.tasks
        if found.exact:
            proven = max(proven, found.peak)
        exact = exact and found.exact
        for task in found.tasks:
            held += graph.step(done, task)[1]
            done |= 1 << task
    peak, before = graph.peak(order), graph.peak(given)
    # A part that is left open does not matter below the peak of one that is proven.
    exact = exact or peak == proven
    return (
        Order(given, before, exact) if before <= peak else Order((*order,), peak, exact)
    )


def _parts(graph: Graph) -> list[list[int]]:
    """
    The tasks between those that every other comes before or after, one of these at the
    end of each part but the last.
    """
    everything = (1 << len(graph.before)) - 1
    ancestors: list[int] = []
    for needs in graph.needs:
        ancestors.append(needs)
        for task in bits(needs):
            ancestors[-1] |= ancestors[task]
    descendants = [0] * len(graph.before)
    for task in reversed(range(len(graph.before))):
        descendants[task] = graph.after[task]
        for other in bits(graph.after[task]):
            descendants[task] |= descendants[other]
    parts: list[list[int]] = []
    done = 0
    for task in range(len(graph.before)):
        if ancestors[task] | descendants[task] | 1 << task == everything:
            parts.append([*bits(ancestors[task] & ~done), task])
            done |= ancestors[task] | 1 << task
    rest = list(bits(everything & ~done))
    return [*parts, rest] if rest else parts


@dataclass(frozen=True)
class _Part:
    """Some tasks that run when others are done and `held` is held."""

    graph: Graph
    done: int
    held: int
    tasks: Sequence[int]
    states: int

    def given(self) -> Order:
        """The tasks as they are."""
        tasks = tuple(self.tasks)
        return Order(tasks, self.peak(tasks), False)

    def solve(self) -> Order:
        """The best order that is found within the number of states."""
        orders = [tuple(self.tasks), *(self._by(choose) for choose in _CHOICES)]
        best = min(orders, key=self.peak)
        most, least, left = self.peak(best), self._at_least(), self.states
        exact = True
        while least < most:
            # What one search may take leaves some for those that follow.
            search = _Search(self, (least + most - 1) // 2, left // 2)
            found = search.run()
            left -= search.met
            if found is not None:
                best, most = found, self.peak(found)
            else:
                least = search.budget + 1
                exact = exact and not search.spent
        return Order(best, most, exact)

    def peak(self, order: Sequence[int]) -> int:
        """The most memory that is held as the part runs in `order`."""
        done, held, peak = self.done, self.held, 0
        for task in order:
            now, kept = self.graph.step(done, task)
            peak = max(peak, held + now)
            held += kept
            done |= 1 << task
        return peak

    def _at_least(self) -> int:
        """What no order is below: each task holds what it reads and what it makes."""
        return max((self._alone(task) for task in self.tasks), default=0)

    def _alone(self, task: int) -> int:
        """The least that can be held while `task` runs."""
        graph = self.graph
        reads = sum(graph.memory[m].size for m in graph.reads[task])
        made = sum(graph.memory[m].size for m in graph.made[task])
        over = any(task in graph.memory[m].over for m in graph.reads[task])
        return reads + (0 if over else made)

    def ready(self, done: int, waiting: int) -> list[int]:
        """The tasks of `waiting` that may run."""
        return [t for t in bits(waiting) if not self.graph.needs[t] & ~done]

    def _by(
        self, choose: Callable[[_Part, int, int], tuple[int, ...]]
    ) -> tuple[int, ...]:
        """The order in which always that ready task comes which `choose` puts first."""
        done = self.done
        waiting: int = sum(1 << task for task in self.tasks)
        order: list[int] = []
        when: dict[int, int] = dict.fromkeys(self.tasks, 0)
        while waiting:
            ready = self.ready(done, waiting)
            ranks = {t: (choose(self, done, t), -when[t], t) for t in ready}
            task = min(ready, key=ranks.__getitem__)
            order.append(task)
            done |= 1 << task
            waiting ^= 1 << task
            for other in bits(self.graph.after[task] & waiting):
                when[other] = len(order)
        return tuple(order)


def _least_kept(part: _Part, done: int, task: int) -> tuple[int, ...]:
    now, kept = part.graph.step(done, task)
    return kept, now


def _least_now(part: _Part, done: int, task: int) -> tuple[int, ...]:
    now, kept = part.graph.step(done, task)
    return max(kept, 0), now, kept


def _latest(part: _Part, done: int, task: int) -> tuple[int, ...]:
    # Depth first: what became ready last.
    return (0 if part.graph.step(done, task)[1] <= 0 else 1,)


_CHOICES = (_least_kept, _least_now, _latest)


@dataclass
class _Search:
    """A depth-first search for an order that holds at most `budget`."""

    part: _Part
    budget: int
    states: int
    met: int = 0
    """How many states it met."""
    spent: bool = False
    """Whether it ended without having met every state."""

    def run(self) -> tuple[int, ...] | None:
        """The order; None if there is none, or if too many states were met."""
        part = self.part
        waiting = sum(1 << task for task in part.tasks)
        start = self._eased(part.done, part.held, waiting)
        met = {start[0]}
        stack = [(start, iter(self._choices(*start[:3])))]
        while stack:
            (done, held, waiting, _), choices = stack[-1]
            if not waiting:
                return tuple(task for state, _ in stack for task in state[3])
            task = next(choices, None)
            if task is None:
                stack.pop()
                continue
            kept = part.graph.step(done, task)[1]
            bit = 1 << task
            state = self._eased(done | bit, held + kept, waiting ^ bit)
            if state[0] in met:
                continue
            if self.met >= self.states:
                self.spent = True
                return None
            met.add(state[0])
            self.met += 1
            state = (*state[:3], (task, *state[3]))
            stack.append((state, iter(self._choices(*state[:3]))))
        return None

    def _choices(self, done: int, held: int, waiting: int) -> list[int]:
        """The tasks that fit into the budget now, those that keep least first."""
        steps = {
            t: self.part.graph.step(done, t) for t in self.part.ready(done, waiting)
        }
        fitting = [t for t, (now, _) in steps.items() if held + now <= self.budget]
        return sorted(fitting, key=lambda t: (steps[t][1], t))

    def _eased(
        self, done: int, held: int, waiting: int
    ) -> tuple[int, int, int, tuple[int, ...]]:
        """
        The state after all tasks that cost nothing to run at once, and these.

        A task that fits and keeps nothing may come first in any order: all others find
        no more held than if it came later.
        """
        order: list[int] = []
        settled = False
        while not settled:
            settled = True
            for task in self.part.ready(done, waiting):
                now, kept = self.part.graph.step(done, task)
                if kept <= 0 and held + now <= self.budget:
                    order.append(task)
                    done |= 1 << task
                    waiting ^= 1 << task
                    held += kept
                    settled = False
        return done, held, waiting, tuple(order)
