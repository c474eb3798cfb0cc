"""Measurements of programs that were never run: their times follow a formula."""

from collections.abc import Callable

import numpy as np
import pytest
from sardonyx.compiler.cost.facts import OpFacts
from sardonyx.compiler.cost.measurements import Measurement
from sardonyx.compiler.cost.roofline import roofline_seconds
from sardonyx.passes.analysis.targets import Rates

RATES = Rates(1e11, 1e10, 4e10, 1e6, 1e9, 1e-6, 2e-6)
SLOWNESS = {"MatMul": 2.0, "Relu": 8.0, "Softmax": 3.0}
"""What an op of a kind takes over its roofline: what is to be learned."""


def product(m: int, k: int, n: int) -> OpFacts:
    text = f"MatMul({m}x{k}xf32, {k}x{n}xf32) -> {m}x{n}xf32"
    moved = 4 * (m * k + k * n)
    return OpFacts(
        text, "MatMul", 0, "float32", 2 * m * k * n, 0, moved, 4 * m * n, 4 * k * n,
        1, 1, 1, "", "Relu", 1, False, True, False,
    )  # fmt: skip


def pointwise(kind: str, m: int, n: int) -> OpFacts:
    size = m * n
    curves = size if kind == "Softmax" else 0
    return OpFacts(
        f"{kind}({m}x{n}xf32) -> {m}x{n}xf32", kind, 0, "float32", size, curves,
        4 * size, 4 * size, 0, 1, 1, 1, "MatMul", "MatMul", 1, True, True, False,
    )  # fmt: skip


def drawn(family: int, place: int) -> Measurement:
    generator = np.random.default_rng([family, place])
    ops: list[OpFacts] = []
    for _ in range(int(generator.integers(3, 12))):
        m, k, n = (int(2 ** generator.uniform(4, 9)) for _ in range(3))
        ops += [
            product(m, k, n),
            pointwise(str(generator.choice(["Relu", "Softmax"])), m, n),
        ]
    return measured(ops, f"model {family} {place}", f"family {family}")


def measured(ops: list[OpFacts], model: str = "m", family: str = "f") -> Measurement:
    seconds = [SLOWNESS[op.op] * roofline_seconds(op, RATES) for op in ops]
    whole = 1.1 * sum(seconds) + RATES.call_seconds
    return Measurement(
        f"{model}.key", model, family, "numpy", "", "a machine", RATES, whole,
        tuple(ops), tuple(seconds),
    )  # fmt: skip


@pytest.fixture(name="measurements", scope="session")
def measurements_fixture() -> list[Measurement]:
    """Twelve families of six programs."""
    return [drawn(family, place) for family in range(12) for place in range(6)]


@pytest.fixture(name="measured_of", scope="session")
def measured_of_fixture() -> Callable[..., Measurement]:
    """``measured_of(ops)``: ops of `product_of` and `pointwise_of` as if measured."""
    return measured


@pytest.fixture(name="product_of", scope="session")
def product_of_fixture() -> Callable[..., OpFacts]:
    """``product_of(m, k, n)``: a matrix product."""
    return product


@pytest.fixture(name="pointwise_of", scope="session")
def pointwise_of_fixture() -> Callable[..., OpFacts]:
    """``pointwise_of(kind, m, n)``: an op on each element."""
    return pointwise
