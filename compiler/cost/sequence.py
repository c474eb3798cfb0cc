"""
A network over the tokens of the IR's text: the seed systems' form of a cost model.

    embedding -> convolution over three tokens -> ReLU -> mean and maximum -> two layers

After Das and Mannarswamy, "ML-driven Hardware Cost Model for MLIR" (2023). It predicts
the residual of the whole program over its roofline, and stands beside the trees for
comparison. Plain NumPy: it is small, and its gradient is written out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from .measurements import Measurement
from .roofline import program_roofline
from .tokens import VOCABULARY, tokens_of

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
Weights: TypeAlias = dict[str, Array]

WIDTH, MAPS, HIDDEN, REACH = 24, 48, 32, 3
EPOCHS, BATCH, RATE = 15, 16, 3e-3


@dataclass(frozen=True)
class Sequences:
    """A trained network."""

    weights: Weights

    def seconds(self, one: Measurement) -> float:
        """What a call of the program is expected to take."""
        line = program_roofline(one.ops, one.rates)
        residual, _ = _forward(self.weights, _tokens(one), _scalars(one, line))
        return line * 2 ** float(residual)


def train_sequences(
    measurements: Sequence[Measurement],
    seed: int = 0,
    epochs: int = EPOCHS,
    report: Callable[[int], object] = lambda done: None,
) -> Sequences:
    """
    A network trained by Adam (Kingma and Ba 2015) on log2(seconds / roofline), squared.
    """
    generator = np.random.default_rng(seed)
    lines = [program_roofline(one.ops, one.rates) for one in measurements]
    texts = [_tokens(one) for one in measurements]
    given = [_scalars(one, line) for one, line in zip(measurements, lines, strict=True)]
    wanted = [
        math.log2(one.seconds / line)
        for one, line in zip(measurements, lines, strict=True)
    ]
    weights = _drawn(generator, float(np.median(wanted)))
    moments = {
        name: (np.zeros_like(w), np.zeros_like(w)) for name, w in weights.items()
    }
    step = 0
    for epoch in range(epochs):
        order = [int(n) for n in generator.permutation(len(measurements))]
        rate = RATE * 0.5 * (1 + math.cos(math.pi * epoch / epochs))
        for first in range(0, len(order), BATCH):
            batch = order[first : first + BATCH]
            total = {name: np.zeros_like(w) for name, w in weights.items()}
            for place in batch:
                for name, slope in _gradient(
                    weights, texts[place], given[place], wanted[place]
                ).items():
                    total[name] += slope / len(batch)
            step += 1
            _adam(weights, total, moments, rate, step)
        report(epoch + 1)
    return Sequences(weights)


def _drawn(generator: np.random.Generator, offset: float) -> Weights:
    def normal(*shape: int) -> Array:
        scale = 1 / math.sqrt(math.prod(shape[:-1]))
        return generator.standard_normal(shape).astype(np.float32) * np.float32(scale)

    return {
        "embedding": normal(VOCABULARY, WIDTH) * np.float32(math.sqrt(VOCABULARY / 4)),
        "filters": normal(REACH * WIDTH, MAPS),
        "bias": np.zeros(MAPS, np.float32),
        "inner": normal(2 * MAPS + 2, HIDDEN),
        "inner_bias": np.zeros(HIDDEN, np.float32),
        "outer": normal(HIDDEN, 1) * np.float32(0.1),
        "offset": np.array([offset], np.float32),
    }


def _tokens(one: Measurement) -> Array:
    edge = [0] * (REACH // 2)
    return np.array([*edge, *tokens_of(one.ops), *edge], np.int32)


def _scalars(one: Measurement, line: float) -> Array:
    return np.array(
        [(math.log2(line) + 10) / 5, math.log2(1 + len(one.ops)) / 5], np.float32
    )


def _forward(weights: Weights, tokens: Array, scalars: Array) -> tuple[Any, Any]:
    """The residual, and what the gradient needs."""
    rows = weights["embedding"][tokens]
    seen = np.concatenate(
        [rows[k : len(rows) - REACH + 1 + k] for k in range(REACH)], axis=1
    )
    maps = np.maximum(seen @ weights["filters"] + weights["bias"], 0)
    highest = maps.argmax(axis=0)
    pooled = np.concatenate(
        [maps.mean(axis=0), maps[highest, np.arange(MAPS)], scalars]
    )
    hidden = np.maximum(pooled @ weights["inner"] + weights["inner_bias"], 0)
    residual = (hidden @ weights["outer"] + weights["offset"])[0]
    return residual, (seen, maps, highest, pooled, hidden)


def _gradient(
    weights: Weights, tokens: Array, scalars: Array, wanted: float
) -> Weights:
    """Of the squared error, by every weight."""
    residual, (seen, maps, highest, pooled, hidden) = _forward(weights, tokens, scalars)
    # Huber's: one program that is far off does not decide a step.
    error = np.float32(np.clip(2 * (residual - wanted), -2, 2))
    to_hidden = error * weights["outer"][:, 0] * (hidden > 0)
    to_pooled = weights["inner"] @ to_hidden
    to_maps = np.broadcast_to(to_pooled[:MAPS] / len(maps), maps.shape).copy()
    to_maps[highest, np.arange(MAPS)] += to_pooled[MAPS : 2 * MAPS]
    to_maps *= maps > 0
    to_seen = to_maps @ weights["filters"].T
    to_rows = np.zeros((len(tokens), WIDTH), np.float32)
    for k in range(REACH):
        to_rows[k : k + len(to_seen)] += to_seen[:, k * WIDTH : (k + 1) * WIDTH]
    embedding = np.zeros_like(weights["embedding"])
    np.add.at(embedding, tokens, to_rows)
    return {
        "embedding": embedding,
        "filters": seen.T @ to_maps,
        "bias": to_maps.sum(axis=0),
        "inner": np.outer(pooled, to_hidden),
        "inner_bias": to_hidden,
        "outer": (error * hidden)[:, None],
        "offset": np.array([error], np.float32),
    }


def _adam(
    weights: Weights,
    slopes: Weights,
    moments: dict[str, tuple[Array, Array]],
    rate: float,
    step: int,
) -> None:
    for name, slope in slopes.items():
        first, second = moments[name]
        first += 0.1 * (slope - first)
        second += 0.001 * (slope * slope - second)
        level = math.sqrt(1 - 0.999**step) / (1 - 0.9**step)
        weights[name] -= np.float32(rate * level) * first / (np.sqrt(second) + 1e-8)
