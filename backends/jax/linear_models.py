"""SVMClassifier, whose probabilities are found in a ``lax.while_loop``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

from jax import lax

from ..kernels.linear_models import (
    coupling_done,
    coupling_start,
    coupling_turn,
    run_svm_classifier,
)

Array: TypeAlias = Any
State: TypeAlias = tuple[Any, Array]


def coupled_in_loop(xp: Any, pairs: Array, count: int) -> Array:
    """Class probabilities [N, `count`] that agree best with those of `pairs`."""
    q, p = coupling_start(xp, pairs, count)
    unsolved = partial(coupling_unsolved, xp, q, count)
    turn = partial(coupling_step, xp, q, count)
    return lax.while_loop(unsolved, turn, (0, p))[1]


def coupling_unsolved(xp: Any, q: Array, count: int, state: State) -> Array:
    """Whether a sample is left to solve, and a turn."""
    turns, p = state
    return (turns < max(100, count)) & ~xp.all(coupling_done(xp, q, p, count))


def coupling_step(xp: Any, q: Array, count: int, state: State) -> State:
    """One turn, for the samples that are not solved."""
    turns, p = state
    done = coupling_done(xp, q, p, count)
    return turns + 1, xp.where(done, p, coupling_turn(xp, q, p, count))


def svm_classifier(
    xp: Any,
    x: Array,
    classlabels_ints: tuple[int, ...] | None = None,
    classlabels_strings: tuple[str, ...] | None = None,
    coefficients: tuple[float, ...] | None = None,
    kernel_params: tuple[float, ...] | None = None,
    kernel_type: str = "LINEAR",
    post_transform: str = "NONE",
    prob_a: tuple[float, ...] | None = None,
    prob_b: tuple[float, ...] | None = None,
    rho: tuple[float, ...] | None = None,
    support_vectors: tuple[float, ...] | None = None,
    vectors_per_class: tuple[int, ...] | None = None,
    outputs: tuple[bool, ...] = (True, True),
) -> tuple[Array | None, ...]:
    """The label [N] and the scores [N, E], float32, of each sample of `x` [N, F]."""
    return run_svm_classifier(
        xp,
        coupled_in_loop,
        x,
        (classlabels_ints, classlabels_strings),
        coefficients or (),
        (kernel_type, kernel_params or ()),
        post_transform,
        (prob_a or (), prob_b or ()),
        rho or (),
        support_vectors,
        vectors_per_class or (),
        outputs,
    )


KERNELS: dict[str, Callable[..., Any]] = {"onnx_ml.SVMClassifier": svm_classifier}
