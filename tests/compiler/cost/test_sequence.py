"""The network over tokens: its gradient, what it learns, what tokens are."""

from dataclasses import replace

import numpy as np
import pytest
from sardonyx.compiler.cost import sequence
from sardonyx.compiler.cost.roofline import program_roofline
from sardonyx.compiler.cost.sequence import train_sequences
from sardonyx.compiler.cost.tokens import VOCABULARY, tokens_of


def test_tokens_are_operators_sizes_and_types(product_of) -> None:
    one, other = tokens_of([product_of(8, 16, 32)]), tokens_of([product_of(8, 16, 64)])
    # MatMul ( 8 x 16 x f32 , 16 x 32 x f32 ) -> 8 x 32 x f32
    assert len(one) == len(other) == 1 + 3 + 3 + 1 + 3
    assert sum(a != b for a, b in zip(one, other, strict=True)) == 2
    assert all(0 < token < VOCABULARY for token in one)
    assert tokens_of([product_of(8, 16, 32)]) == one


def test_the_gradient_is_the_difference_quotient() -> None:
    generator = np.random.default_rng(0)
    drawn = sequence._drawn(generator, 0.3)
    weights = {name: w.astype(np.float64) for name, w in drawn.items()}
    tokens = generator.integers(0, VOCABULARY, 50)
    scalars, wanted, step = np.array([0.3, 0.2]), 0.1, 1e-5
    slopes = sequence._gradient(weights, tokens, scalars, wanted)

    def error() -> float:
        return float((sequence._forward(weights, tokens, scalars)[0] - wanted) ** 2)

    for name, array in weights.items():
        for _ in range(5):
            place = tuple(int(generator.integers(0, size)) for size in array.shape)
            if name == "embedding":
                place = int(generator.choice(tokens)), place[1]
            held = array[place]
            array[place] = held + step
            above = error()
            array[place] = held - step
            below = error()
            array[place] = held
            assert slopes[name][place] == pytest.approx(
                (above - below) / (2 * step), rel=1e-3, abs=1e-5
            )


def test_it_learns_what_the_roofline_misses(measurements) -> None:
    kept = [one for one in measurements if one.family < "family 8"]
    told: list[int] = []
    model = train_sequences(kept, epochs=8, report=told.append)
    assert told == list(range(1, 9))
    ours = [abs(np.log2(model.seconds(one) / one.seconds)) for one in kept]
    lines = [
        abs(np.log2(program_roofline(one.ops, one.rates) / one.seconds)) for one in kept
    ]
    assert np.median(ours) < np.median(lines) / 2


def test_it_does_not_see_the_time(measurements) -> None:
    model = train_sequences(measurements[:8], epochs=1)
    one = measurements[0]
    assert model.seconds(replace(one, seconds=1.0)) == model.seconds(one)
