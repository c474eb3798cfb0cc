"""Extraction on plain numbers: against all selections there are."""

import itertools
import math
import random

import pytest
from sardonyx.passes.eqsat.greedy import cheapest_trees, extract_greedily
from sardonyx.passes.eqsat.integer import MAX_NODES, extract_by_program
from sardonyx.passes.eqsat.problem import Node, Problem


def drawn(seed: int, classes: int = 7) -> Problem:
    """A random problem: its start needs only classes of lower numbers."""
    rng = random.Random(seed)
    nodes, start = [], {}
    for one in range(classes):
        for _ in range(rng.randint(1, 3)):
            # The first node of a class makes it possible; others may go round.
            below = range(one) if one not in start else range(classes)
            needs = rng.sample(below, min(len(below), rng.randint(0, 3)))
            gives = [one]
            needs = [need for need in needs if need != one]
            other = rng.randrange(classes)
            if rng.random() < 0.3 and other not in (one, *needs):
                gives.append(other)
            start.setdefault(one, len(nodes))
            cost = float(rng.choice([0, 1, 1, 2, 3, 5, 8]))
            nodes.append(Node(cost, tuple(gives), tuple(needs)))
    return Problem(tuple(nodes), (classes - 1, classes - 2), start)


def least(problem: Problem) -> float:
    """The cost of the cheapest selection of all."""
    classes = sorted(problem.givers)
    best = math.inf
    for chosen in itertools.product(*(problem.givers[one] for one in classes)):
        selection = dict(zip(classes, chosen, strict=True))
        if problem.order(selection) is not None:
            best = min(best, problem.cost(selection))
    return best


@pytest.mark.parametrize("seed", range(40))
def test_the_program_finds_the_cheapest(seed: int) -> None:
    problem = drawn(seed)
    found = extract_by_program(problem, 10)
    greedy = extract_greedily(problem)
    assert not isinstance(found, str)
    assert problem.order(found) is not None
    assert problem.order(greedy) is not None
    assert problem.cost(found) == pytest.approx(least(problem))
    assert problem.cost(found) <= problem.cost(greedy) <= problem.cost(problem.start)


def test_descent_is_often_the_cheapest_too() -> None:
    problems = [drawn(seed) for seed in range(40)]
    right = [p.cost(extract_greedily(p)) == pytest.approx(least(p)) for p in problems]
    assert sum(right) >= 32


def test_sharing_is_counted_once() -> None:
    """
    Both roots can be got from class 0, which is dear alone: 4 + 1 + 1 < 5 + 5.

    The cheapest trees are the two of 5 - 0.5.
    """
    nodes = (
        Node(4, (0,), ()),
        Node(1, (1,), (0,)),
        Node(1, (2,), (0,)),
        Node(4.5, (1,), ()),
        Node(4.5, (2,), ()),
    )
    problem = Problem(nodes, (1, 2), {0: 0, 1: 1, 2: 2})
    assert problem.cost(cheapest_trees(problem)) == 9
    assert problem.cost(extract_greedily(problem)) == 6


def test_choices_that_pay_together_need_the_program() -> None:
    """One node that gives both roots: taking it for one of them is dearer."""
    nodes = (
        Node(5, (0,), ()),
        Node(5, (1,), ()),
        Node(7, (2, 3), ()),
        Node(0.5, (0,), (2,)),
        Node(0.5, (1,), (3,)),
    )
    problem = Problem(nodes, (0, 1), {0: 0, 1: 1})
    assert problem.cost(extract_greedily(problem)) == 10
    found = extract_by_program(problem, 10)
    assert not isinstance(found, str)
    assert found == {0: 3, 1: 4, 2: 2, 3: 2}
    assert problem.cost(found) == 8


def test_no_extraction_goes_round() -> None:
    """Each of two classes from the other is free, and no program."""
    nodes = (
        Node(3, (0,), ()),
        Node(5, (1,), ()),
        Node(0, (0,), (1,)),
        Node(0, (1,), (0,)),
    )
    problem = Problem(nodes, (0, 1), {0: 0, 1: 1})
    assert problem.order({0: 2, 1: 3}) is None
    assert problem.cost(extract_greedily(problem)) == 3
    assert extract_by_program(problem, 10) == {0: 0, 1: 3}


def test_deep_problems_need_no_deep_stack() -> None:
    count = 5000
    nodes = [Node(1.0, (0,), ())]
    nodes += [Node(1.0, (i,), (i - 1, i - 1)) for i in range(1, count)]
    nodes += [Node(0.5, (count - 1,), (count - 3,))]
    start = {i: i for i in range(count)}
    problem = Problem(tuple(nodes), (count - 1,), start)
    assert problem.cost(extract_greedily(problem)) == count - 2 + 0.5


def test_what_the_program_does_not_begin() -> None:
    node = Node(1, (0,), ())
    large = Problem((node,) * (MAX_NODES + 1), (0,), {0: 0})
    told = extract_by_program(large, 10)
    assert told == f"found {MAX_NODES + 1} nodes, wanted at most {MAX_NODES} for ilp"
    assert extract_by_program(Problem((node,), (0,), {0: 0}), 0) == (
        "no time was left for ilp"
    )


def test_no_steps_are_tried_after_the_deadline() -> None:
    nodes = (Node(3, (0,), ()), Node(2, (1,), ()), Node(0.5, (0,), (1,)))
    nodes += (Node(2, (2,), (1,)), Node(1.9, (2,), ()))
    problem = Problem(nodes, (0, 2), {0: 0, 1: 1, 2: 4})
    assert problem.cost(extract_greedily(problem)) == pytest.approx(4.4)
    late = extract_greedily(problem, deadline=0)
    assert problem.cost(late) <= problem.cost(problem.start)
