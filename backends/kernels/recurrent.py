"""
Kernels: recurrent layers (RNN, GRU, LSTM).

A layer is a step from the state and one input to the next state, and a loop that takes
it over time. The loop is a parameter, so that a backend may bring its own.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

from .convolution import widened

Array: TypeAlias = Any
State: TypeAlias = tuple[Any, ...]


def rectified(xp: Any, x: Array, alpha: float, beta: float) -> Array:
    """``max(x, 0)``."""
    return xp.maximum(x, 0)


def hyperbolic(xp: Any, x: Array, alpha: float, beta: float) -> Array:
    """``tanh(x)``."""
    return xp.tanh(x)


def logistic(xp: Any, x: Array, alpha: float, beta: float) -> Array:
    """``1 / (1 + exp(-x))``, as a tanh that cannot overflow."""
    return 0.5 * xp.tanh(0.5 * x) + 0.5


def affine(xp: Any, x: Array, alpha: float, beta: float) -> Array:
    """``alpha * x + beta``."""
    return alpha * x + beta


def leaky(xp: Any, x: Array, alpha: float, beta: float) -> Array:
    """`x`, or ``alpha * x`` where negative."""
    return xp.where(x >= 0, x, alpha * x)


def thresholded(xp: Any, x: Array, alpha: float, beta: float) -> Array:
    """`x`, or 0 below `alpha`."""
    return xp.where(x >= alpha, x, xp.zeros_like(x))


def scaled_hyperbolic(xp: Any, x: Array, alpha: float, beta: float) -> Array:
    """``alpha * tanh(beta * x)``."""
    return alpha * xp.tanh(beta * x)


def hard_logistic(xp: Any, x: Array, alpha: float, beta: float) -> Array:
    """``alpha * x + beta`` within [0, 1]."""
    return xp.clip(alpha * x + beta, 0, 1)


def exponential_linear(xp: Any, x: Array, alpha: float, beta: float) -> Array:
    """`x`, or ``alpha * (exp(x) - 1)`` where negative."""
    return xp.where(x >= 0, x, alpha * xp.expm1(xp.minimum(x, 0)))


def soft_sign(xp: Any, x: Array, alpha: float, beta: float) -> Array:
    """``x / (1 + |x|)``."""
    return x / (1 + xp.abs(x))


def soft_plus(xp: Any, x: Array, alpha: float, beta: float) -> Array:
    """``log(1 + exp(x))``."""
    return xp.logaddexp(x, xp.zeros_like(x))


def gate_function(
    xp: Any, name: str, alpha: float | None, beta: float | None
) -> Callable[[Array], Array]:
    """The activation `name`, with ONNX's defaults where alpha or beta is absent."""
    table: dict[str, tuple[Callable[..., Array], float, float]] = {
        "affine": (affine, 1.0, 0.0),
        "elu": (exponential_linear, 1.0, 0.0),
        "hardsigmoid": (hard_logistic, 0.2, 0.5),
        "leakyrelu": (leaky, 0.01, 0.0),
        "relu": (rectified, 0.0, 0.0),
        "scaledtanh": (scaled_hyperbolic, 1.0, 1.0),
        "sigmoid": (logistic, 0.0, 0.0),
        "softplus": (soft_plus, 0.0, 0.0),
        "softsign": (soft_sign, 0.0, 0.0),
        "tanh": (hyperbolic, 0.0, 0.0),
        "thresholdedrelu": (thresholded, 1.0, 0.0),
    }
    if name.lower() not in table:
        raise ValueError(f"found activation {name!r}, wanted one of {sorted(table)}")
    function, first, second = table[name.lower()]
    alpha, beta = first if alpha is None else alpha, second if beta is None else beta
    return partial(_activated, function, xp, alpha, beta)


def _activated(
    function: Callable[..., Array], xp: Any, alpha: float, beta: float, x: Array
) -> Array:
    """``function(x)``, its parameters bound."""
    return function(xp, x, alpha, beta)


def gate_functions(
    xp: Any,
    names: tuple[str, ...],
    alphas: tuple[float, ...] | None,
    betas: tuple[float, ...] | None,
) -> list[Callable[[Array], Array]]:
    """A layer's activations; the parameters go, in order, to those that take them."""
    with_alpha = ("affine", "elu", "hardsigmoid", "leakyrelu", "scaledtanh")
    with_beta = ("affine", "hardsigmoid", "scaledtanh")
    alpha_left, beta_left = list(alphas or ()), list(betas or ())
    functions: list[Callable[[Array], Array]] = []
    for name in names:
        alpha: float | None = None
        beta: float | None = None
        if name.lower() in (*with_alpha, "thresholdedrelu") and alpha_left:
            alpha = alpha_left.pop(0)
        if name.lower() in with_beta and beta_left:
            beta = beta_left.pop(0)
        functions.append(gate_function(xp, name, alpha, beta))
    return functions


def clipped(xp: Any, x: Array, clip: float | None) -> Array:
    """`x` within ``[-clip, clip]``; `x` itself without a bound."""
    return x if clip is None else xp.clip(x, -clip, clip)


def rnn_step(
    xp: Any,
    r: Array,
    functions: list[Any],
    clip: float | None,
    state: State,
    gates: Array,
) -> State:
    """``h' = f(gates + h @ r.T)``, where `gates` is the input's share."""
    return (functions[0](clipped(xp, gates + state[0] @ r.T, clip)),)


def gru_step(
    xp: Any,
    r: Array,
    bias: Array,
    linear_before_reset: int,
    functions: list[Any],
    clip: float | None,
    state: State,
    gates: Array,
) -> State:
    """
    One step of a gated recurrent unit (arXiv:1406.1078), gates in the order z, r, h.

    `bias` is the hidden gate's recurrent one, which `linear_before_reset` puts inside
    the product with the reset gate.
    """
    h, size = state[0], r.shape[1]
    both = gates[:, : 2 * size] + h @ r[: 2 * size].T
    both = functions[0](clipped(xp, both, clip))
    update, reset = both[:, :size], both[:, size:]
    if linear_before_reset:
        share = reset * (h @ r[2 * size :].T + bias)
    else:
        share = (reset * h) @ r[2 * size :].T + bias
    hidden = functions[1](clipped(xp, gates[:, 2 * size :] + share, clip))
    return ((1 - update) * hidden + update * h,)


def lstm_step(
    xp: Any,
    r: Array,
    peepholes: Array | None,
    input_forget: int,
    functions: list[Any],
    clip: float | None,
    state: State,
    gates: Array,
) -> State:
    """One step of a long short-term memory, gates in the order i, o, f, c."""
    total = gates + state[0] @ r.T
    return lstm_cell(xp, total, peepholes, input_forget, functions, clip, state[1])


def lstm_cell(
    xp: Any,
    total: Array,
    peepholes: Array | None,
    input_forget: int,
    functions: list[Any],
    clip: float | None,
    c: Array,
) -> State:
    """The next state of a long short-term memory from what its gates add up to."""
    size = c.shape[1]
    i, o, f, g = (total[:, k * size : (k + 1) * size] for k in range(4))
    if peepholes is not None:
        i, f = i + peepholes[:size] * c, f + peepholes[2 * size :] * c
    i = functions[0](clipped(xp, i, clip))
    f = 1 - i if input_forget else functions[0](clipped(xp, f, clip))
    c = f * c + i * functions[1](clipped(xp, g, clip))
    if peepholes is not None:
        o = o + peepholes[size : 2 * size] * c
    o = functions[0](clipped(xp, o, clip))
    return o * functions[2](clipped(xp, c, clip)), c


def masked_step(
    xp: Any, step: Callable[..., State], state: State, gates: Array, live: Array | None
) -> tuple[State, Array]:
    """(next state, output); samples not `live` now keep their state, and put out 0."""
    after = step(state, gates)
    if live is None:
        return after, after[0]
    kept = tuple(xp.where(live, a, b) for a, b in zip(after, state, strict=True))
    return kept, xp.where(live, after[0], xp.zeros_like(after[0]))


def time_loop(
    xp: Any,
    step: Callable[..., State],
    state: State,
    gates: Array,
    live: Array | None,
    reverse: bool,
) -> tuple[Array, State]:
    """(outputs by time, last state) of `step` over the first axis of `gates`."""
    times = range(gates.shape[0])
    results: list[Array] = []
    for t in reversed(times) if reverse else times:
        mask = None if live is None else live[t]
        state, result = masked_step(xp, step, state, gates[t], mask)
        results.append(result)
    if not results:
        return xp.zeros((0, *state[0].shape), state[0].dtype), state
    return xp.stack(results[::-1] if reverse else results), state


def live_steps(xp: Any, lengths: Array | None, times: int) -> Array | None:
    """``[time, batch, 1]``: whether each sequence still runs then; None if all do."""
    if lengths is None:
        return None
    return (xp.arange(times)[:, None] < lengths)[..., None]


def direction_flags(direction: str) -> tuple[bool, ...]:
    """Whether each direction of a layer runs backwards."""
    table = {
        "forward": (False,),
        "reverse": (True,),
        "bidirectional": (False, True),
    }
    if direction not in table:
        raise ValueError(f"found direction {direction!r}, wanted {sorted(table)}")
    return table[direction]


def by_time(x: Array, layout: int) -> Array:
    """`x` as ``[time, batch, size]``, wide enough to add up in."""
    return x.swapaxes(0, 1) if layout else x


def initial_states(
    xp: Any,
    x: Array,
    hidden: int,
    directions: int,
    layout: int,
    *values: Array | None,
) -> list[Array]:
    """Each state as ``[direction, batch, hidden]``; zeros where none is given."""
    states: list[Array] = []
    for value in values:
        if value is None:
            states.append(xp.zeros((directions, x.shape[1], hidden), x.dtype))
        else:
            states.append(by_time(widened(xp, value), layout))
    return states


def layer_outputs(
    xp: Any,
    runs: list[tuple[Array, State]],
    layout: int,
    dtype: Any,
    outputs: tuple[bool, ...],
) -> tuple[Array | None, ...]:
    """(Y, then every last state) from the runs of a layer's directions."""
    results: list[Array | None] = []
    for index, wanted in enumerate(outputs):
        if not wanted:
            results.append(None)
        elif index == 0:
            y = xp.stack([y for y, _ in runs], axis=1)
            y = y.transpose(2, 0, 1, 3) if layout else y
            results.append(y.astype(dtype))
        else:
            last = xp.stack([state[index - 1] for _, state in runs])
            results.append(by_time(last, layout).astype(dtype))
    return tuple(results)


def gated_inputs(xp: Any, x: Array, w: Array, b: Array | None, held: int) -> Array:
    """
    ``x @ w.T`` plus both biases, for all times at once.

    The last `held` recurrent biases are left out: the step adds them itself.
    """
    gates = x @ w.T
    if b is None:
        return gates
    size = w.shape[0]
    inner = xp.concatenate((b[size : 2 * size - held], xp.zeros(held, b.dtype)))
    return gates + b[:size] + inner


def run_rnn(
    xp: Any,
    x: Array,
    w: Array,
    r: Array,
    b: Array | None,
    sequence_lens: Array | None,
    initial_h: Array | None,
    settings: tuple[tuple[bool, ...], list[Any], float | None, int],
    outputs: tuple[bool, ...],
) -> tuple[Array | None, ...]:
    """A simple recurrent layer."""
    directions, functions, clip, layout = settings
    inputs, w, r = by_time(widened(xp, x), layout), widened(xp, w), widened(xp, r)
    (h,) = initial_states(xp, inputs, r.shape[2], len(directions), layout, initial_h)
    live = live_steps(xp, sequence_lens, inputs.shape[0])
    runs: list[tuple[Array, State]] = []
    for d, reverse in enumerate(directions):
        bias = None if b is None else widened(xp, b)[d]
        gates = gated_inputs(xp, inputs, w[d], bias, 0)
        step = partial(rnn_step, xp, r[d], functions[d : d + 1], clip)
        runs.append(time_loop(xp, step, (h[d],), gates, live, reverse))
    return layer_outputs(xp, runs, layout, x.dtype, outputs)


def run_gru(
    xp: Any,
    x: Array,
    w: Array,
    r: Array,
    b: Array | None,
    sequence_lens: Array | None,
    initial_h: Array | None,
    linear_before_reset: int,
    settings: tuple[tuple[bool, ...], list[Any], float | None, int],
    outputs: tuple[bool, ...],
) -> tuple[Array | None, ...]:
    """A gated recurrent layer."""
    directions, functions, clip, layout = settings
    inputs, w, r = by_time(widened(xp, x), layout), widened(xp, w), widened(xp, r)
    size = r.shape[2]
    (h,) = initial_states(xp, inputs, size, len(directions), layout, initial_h)
    live = live_steps(xp, sequence_lens, inputs.shape[0])
    runs: list[tuple[Array, State]] = []
    for d, reverse in enumerate(directions):
        bias = None if b is None else widened(xp, b)[d]
        gates = gated_inputs(xp, inputs, w[d], bias, size)
        held = xp.zeros(size, inputs.dtype) if bias is None else bias[5 * size :]
        bound = (
            xp,
            r[d],
            held,
            linear_before_reset,
            functions[2 * d : 2 * d + 2],
            clip,
        )
        runs.append(
            time_loop(xp, partial(gru_step, *bound), (h[d],), gates, live, reverse)
        )
    return layer_outputs(xp, runs, layout, x.dtype, outputs)


def run_lstm(
    xp: Any,
    x: Array,
    w: Array,
    r: Array,
    b: Array | None,
    sequence_lens: Array | None,
    initial: tuple[Array | None, Array | None],
    p: Array | None,
    input_forget: int,
    settings: tuple[tuple[bool, ...], list[Any], float | None, int],
    outputs: tuple[bool, ...],
) -> tuple[Array | None, ...]:
    """A long short-term memory layer."""
    directions, functions, clip, layout = settings
    inputs, w, r = by_time(widened(xp, x), layout), widened(xp, w), widened(xp, r)
    h, c = initial_states(xp, inputs, r.shape[2], len(directions), layout, *initial)
    live = live_steps(xp, sequence_lens, inputs.shape[0])
    runs: list[tuple[Array, State]] = []
    for d, reverse in enumerate(directions):
        bias = None if b is None else widened(xp, b)[d]
        gates = gated_inputs(xp, inputs, w[d], bias, 0)
        peepholes = None if p is None else widened(xp, p)[d]
        bound = (xp, r[d], peepholes, input_forget, functions[3 * d : 3 * d + 3], clip)
        step = partial(lstm_step, *bound)
        runs.append(time_loop(xp, step, (h[d], c[d]), gates, live, reverse))
    return layer_outputs(xp, runs, layout, x.dtype, outputs)


def layer_settings(
    xp: Any,
    r: Array,
    direction: str,
    hidden_size: int | None,
    activations: tuple[str, ...] | None,
    defaults: tuple[str, ...],
    alphas: tuple[float, ...] | None,
    betas: tuple[float, ...] | None,
    clip: float | None,
    layout: int,
) -> tuple[tuple[bool, ...], list[Any], float | None, int]:
    """(is each direction backwards, all activations, clip, layout), once checked."""
    if hidden_size is not None and hidden_size != r.shape[2]:
        raise ValueError(
            f"found hidden_size {hidden_size}, wanted {r.shape[2]} as in R"
        )
    directions = direction_flags(direction)
    names = tuple(activations or defaults * len(directions))
    if len(names) < len(defaults) * len(directions):
        wanted = len(defaults) * len(directions)
        raise ValueError(f"found {len(names)} activations, wanted {wanted}")
    return directions, gate_functions(xp, names, alphas, betas), clip, layout


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
    return run_rnn(xp, *operands, settings, outputs)


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
    return run_gru(xp, *operands, settings, outputs)


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
    return run_lstm(xp, *operands, settings, outputs)


KERNELS: dict[str, Callable[..., Any]] = {
    "GRU": gru,
    "LSTM": lstm,
    "RNN": rnn,
}

STATIC: dict[str, tuple[int, ...]] = {}
