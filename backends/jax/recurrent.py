"""Recurrent layers whose time runs in ``lax.scan``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

from jax import lax

from ..kernels.recurrent import (
    layer_settings,
    masked_step,
    run_gru,
    run_lstm,
    run_rnn,
)

Array: TypeAlias = Any
State: TypeAlias = tuple[Any, ...]


def scan_step(
    xp: Any, step: Callable[..., State], state: State, now: tuple[Array, Array | None]
) -> tuple[State, Array]:
    """One turn of the scan: what enters at a time is its gates and who still runs."""
    return masked_step(xp, step, state, *now)


def scan_loop(
    xp: Any,
    step: Callable[..., State],
    state: State,
    gates: Array,
    live: Array | None,
    reverse: bool,
) -> tuple[Array, State]:
    """(outputs by time, last state) of `step` over the first axis of `gates`."""
    turn = partial(scan_step, xp, step)
    state, results = lax.scan(turn, state, (gates, live), reverse=reverse)
    return results, state


def rnn(
    xp: Any,
    x: Array,
    w: Array,
    r: Array,
    b: Array | None = None,
    sequence_lens: Array | None = None,
    initial_h: Array | None = None,
    activation_alpha: tuple[float, ...] | None = None,
    activation_beta: tuple[float, ...] | None = None,
    activations: tuple[str, ...] = ("Tanh", "Tanh"),
    clip: float | None = None,
    direction: str = "forward",
    hidden_size: int | None = None,
    layout: int = 0,
    outputs: tuple[bool, ...] = (True, True),
) -> tuple[Array | None, ...]:
    """``h = f(x @ w.T + h @ r.T + b)`` over time."""
    parameters = (activation_alpha, activation_beta, clip, layout)
    settings = layer_settings(
        xp, r, direction, hidden_size, activations, ("Tanh",), *parameters
    )
    operands = (x, w, r, b, sequence_lens, initial_h)
    return run_rnn(xp, scan_loop, *operands, settings, outputs)


def gru(
    xp: Any,
    x: Array,
    w: Array,
    r: Array,
    b: Array | None = None,
    sequence_lens: Array | None = None,
    initial_h: Array | None = None,
    activation_alpha: tuple[float, ...] | None = None,
    activation_beta: tuple[float, ...] | None = None,
    activations: tuple[str, ...] | None = None,
    clip: float | None = None,
    direction: str = "forward",
    hidden_size: int | None = None,
    layout: int = 0,
    linear_before_reset: int = 0,
    outputs: tuple[bool, ...] = (True, True),
) -> tuple[Array | None, ...]:
    """``h = (1 - z) * g(x, r * h) + z * h`` over time, with gates z and r."""
    parameters = (activation_alpha, activation_beta, clip, layout)
    settings = layer_settings(
        xp, r, direction, hidden_size, activations, ("Sigmoid", "Tanh"), *parameters
    )
    operands = (x, w, r, b, sequence_lens, initial_h, linear_before_reset)
    return run_gru(xp, scan_loop, *operands, settings, outputs)


def lstm(
    xp: Any,
    x: Array,
    w: Array,
    r: Array,
    b: Array | None = None,
    sequence_lens: Array | None = None,
    initial_h: Array | None = None,
    initial_c: Array | None = None,
    p: Array | None = None,
    activation_alpha: tuple[float, ...] | None = None,
    activation_beta: tuple[float, ...] | None = None,
    activations: tuple[str, ...] | None = None,
    clip: float | None = None,
    direction: str = "forward",
    hidden_size: int | None = None,
    input_forget: int = 0,
    layout: int = 0,
    outputs: tuple[bool, ...] = (True, True, True),
) -> tuple[Array | None, ...]:
    """``c = f * c + i * g(x, h)``, ``h = o * tanh(c)`` over time; gates i, o, f."""
    defaults = ("Sigmoid", "Tanh", "Tanh")
    parameters = (activation_alpha, activation_beta, clip, layout)
    settings = layer_settings(
        xp, r, direction, hidden_size, activations, defaults, *parameters
    )
    operands = (x, w, r, b, sequence_lens, (initial_h, initial_c), p, input_forget)
    return run_lstm(xp, scan_loop, *operands, settings, outputs)


KERNELS: dict[str, Callable[..., Any]] = {
    "GRU": gru,
    "LSTM": lstm,
    "RNN": rnn,
}
