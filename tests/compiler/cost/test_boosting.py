"""Trees for ops whose times are known only as sums, those of programs."""

from dataclasses import replace

import numpy as np
from sardonyx.compiler.cost.boosting import Sums, boost
from sardonyx.compiler.cost.trees import Settings

SETTINGS = Settings(trees=150, depth=3, rate=0.2, part=1.0, features=1.0, leaf=3)
SLOWNESS = np.array([1.0, 8.0, 2.5])
"""What an op of a kind takes over its roofline."""
CALL, CALLED = 1e-6, 4.0


def drawn(models: int, each: int = 3, seed: int = 0) -> Sums:
    """
    Models of `each` programs; an op is of three kinds and of any size.

    A model as a whole takes up to twice or half of what its ops say, as if it was
    measured on a slow or fast day.
    """
    generator = np.random.default_rng(seed)
    count = 40 * models
    kinds = generator.integers(3, size=count)
    lines = 2 ** generator.uniform(-20, -14, count)
    program = np.repeat(np.arange(models * each), 8)
    op = np.concatenate(
        [
            generator.choice(40, 8, replace=False) + 40 * (place // each)
            for place in range(models * each)
        ]
    )
    calls = np.full(models * each, CALL)
    sums = Sums(
        np.stack([kinds, np.log2(lines)], axis=1).astype(np.float32),
        lines,
        np.log2(SLOWNESS)[kinds],
        np.zeros(count),
        program,
        op,
        calls,
        calls,
        np.repeat(np.arange(models), each),
    )
    days = np.repeat(2 ** generator.uniform(-1, 1, models), each)
    truth = sums.predicted(sums.wanted, np.log2(CALLED))
    return replace(sums, seconds=days * truth)


def test_ops_are_told_apart_by_their_programs() -> None:
    sums = drawn(60)
    trees, _ = boost(sums, 0, SETTINGS)
    said = trees.predict(sums.rows)
    # Of small ones no program tells; how fast all are is what the days make it.
    large = sums.lines > 2**-16
    means = [said[large & (sums.rows[:, 0] == kind)].mean() for kind in range(3)]
    found = np.subtract(means, means[0])
    np.testing.assert_allclose(found, np.log2(SLOWNESS / SLOWNESS[0]), atol=0.5)


def test_a_call_is_told_from_the_ops() -> None:
    sums = drawn(60)
    small = replace(sums, lines=sums.lines / 256)
    small = replace(small, seconds=small.predicted(sums.wanted, np.log2(CALLED)))
    _, extra = boost(small, 0, SETTINGS)
    assert extra > np.log2(CALLED / 1.5)


def test_programs_of_a_model_are_ordered_whatever_the_day() -> None:
    trees, extra = boost(drawn(60), 0, SETTINGS)
    asked = drawn(40, seed=1)
    said = asked.predicted(trees.predict(asked.rows), extra)
    agreed = [
        np.sign(said[a] - said[b]) == np.sign(asked.seconds[a] - asked.seconds[b])
        for model in range(40)
        for a, b in ((3 * model, 3 * model + 1), (3 * model + 1, 3 * model + 2))
        if abs(np.log(asked.seconds[a] / asked.seconds[b])) > 0.1
    ]
    assert len(agreed) > 40
    assert np.mean(agreed) > 0.85


def test_what_a_profiler_tells_counts() -> None:
    sums = drawn(4)
    trees, _ = boost(replace(sums, shares=np.full(len(sums.lines), 0.2)), 0, SETTINGS)
    off = trees.predict(sums.rows) - sums.wanted
    alone, _ = boost(sums, 0, SETTINGS)
    assert (
        np.abs(off).mean() < 0.3 < np.abs(alone.predict(sums.rows) - sums.wanted).max()
    )


def test_a_part_of_the_programs_has_its_ops_alone() -> None:
    sums = drawn(4)
    kept = sums.model != 1
    some = sums.of(kept)
    np.testing.assert_array_equal(some.seconds, sums.seconds[kept])
    np.testing.assert_array_equal(np.unique(some.model), [0, 1, 2])
    assert len(some.rows) == len(np.unique(sums.op[kept[sums.program]]))
    given = some.predicted(some.wanted, 1.0)
    np.testing.assert_allclose(given, sums.predicted(sums.wanted, 1.0)[kept])
