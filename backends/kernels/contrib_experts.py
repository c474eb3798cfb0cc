"""Kernels: ONNX Runtime's mixtures of experts, their routers and gated activations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from .contrib_attention import wanted
from .contrib_fused import activated
from .convolution import widened
from .elementwise import gelu as plain_gelu
from .normalization import softmax

Array: TypeAlias = Any


# --- gated activations ---


def swished(xp: Any, gate: Array, alpha: float) -> Array:
    """``g * sigmoid(alpha * g)``."""
    with np.errstate(over="ignore"):
        return gate / (1 + xp.exp(-alpha * gate))


def swiglu(
    xp: Any,
    gate: Array,
    linear: Array,
    alpha: float,
    beta: float,
    limit: float | None,
    after: int = 0,
) -> Array:
    """
    ``g * sigmoid(alpha * g) * (l + beta)``, both clamped by `limit` first.

    `after`: the gate is clamped once it is activated instead.
    """
    if limit is not None:
        linear = xp.clip(linear, -limit, limit)
        gate = gate if after else xp.minimum(gate, limit)
    active = swished(xp, gate, alpha)
    if limit is not None and after:
        active = xp.minimum(active, limit)
    return active * (linear + beta)


def halves(x: Array, start: int = 0) -> tuple[Array, Array]:
    """The two halves of the last axis from `start` on."""
    middle = (start + x.shape[-1]) // 2
    return x[..., start:middle], x[..., middle:]


def gated_swiglu(
    xp: Any,
    gate: Array,
    up: Array | None = None,
    activation_alpha: float = 1.0,
    activation_beta: float = 0.0,
    limit: float = 0.0,
    round_activation: int = 0,
) -> Array:
    """
    ``g * sigmoid(alpha * g) * (up + beta)``, clamped by a positive `limit` (Shazeer
    2020); without `up`, `gate` has both one behind the other.

    Computed in float32 and rounded once, or before the last product, too
    (`round_activation`).
    """
    if up is None:
        gate, up = halves(gate)
    wide, linear = widened(xp, gate), widened(xp, up)
    if limit > 0:
        wide, linear = xp.minimum(wide, limit), xp.clip(linear, -limit, limit)
    active = swished(xp, wide, activation_alpha)
    if round_activation:
        active = widened(xp, active.astype(gate.dtype))
    return (active * (linear + activation_beta)).astype(gate.dtype)


def router_gate_up(
    xp: Any,
    x: Array,
    w: Array,
    activation: str = "swiglu",
    activation_alpha: float = 1.0,
    activation_beta: float = 0.0,
    limit: float = 0.0,
    router_size: int = 1,
    outputs: tuple[bool, ...] = (True, True),
) -> tuple[Array | None, ...]:
    """``x @ w``: a router's logits, then the gate and the linear half of SwiGLU."""
    if activation != "swiglu":
        raise ValueError(f"found activation {activation!r}, wanted 'swiglu'")
    y = xp.matmul(widened(xp, x), widened(xp, w)).astype(x.dtype)
    gate, up = halves(y, router_size)
    hidden = gated_swiglu(xp, gate, up, activation_alpha, activation_beta, limit)
    return wanted((y[..., :router_size], hidden), outputs)


# --- routers ---


def ranks(xp: Any, x: Array) -> Array:
    """The place of each in the falling order of the last axis; equal ones by index."""
    order = xp.argsort(-x, axis=-1, stable=True)
    return xp.argsort(order, axis=-1, stable=True)


def mixture(xp: Any, probabilities: Array, k: int, normalize: int) -> Array:
    """
    The weight of every expert for every row: the softmax of the router's logits at the
    `k` largest, 0 elsewhere; summing to one if `normalize`.
    """
    weights = softmax(xp, widened(xp, probabilities), -1)
    kept = xp.where(ranks(xp, weights) < k, weights, 0)
    return kept / xp.sum(kept, axis=-1, keepdims=True) if normalize else kept


def group_router(
    xp: Any,
    logits: Array,
    expert_bias: Array,
    projection_weight: Array | None = None,
    group_topk: int = 2,
    n_group: int = 1,
    router_sentinel: float = -10000.0,
    top_k: int = 1,
    topk_group: int = 1,
    outputs: tuple[bool, ...] = (True, False, False),
) -> tuple[Array | None, ...]:
    """
    Experts' scores, a sigmoid of the logits, for the `top_k` best with their bias alone
    (DeepSeek-AI 2024); all others have `router_sentinel`.

    They come from the `topk_group` groups whose `group_topk` best have the largest sum.
    The result is the scores' logarithm, or all scores with their bias and without.
    """
    wide = widened(xp, logits)
    if projection_weight is not None:
        wide = xp.matmul(wide, widened(xp, projection_weight).T)
    wide = wide.reshape(-1, wide.shape[-1])
    with np.errstate(over="ignore"):
        scores = 1 / (1 + xp.exp(-wide))
    chosen = scores + expert_bias
    groups = chosen.reshape(chosen.shape[0], n_group, -1)
    best = xp.where(ranks(xp, groups) < group_topk, groups, 0)
    inside = ranks(xp, xp.sum(best, axis=-1)) < topk_group
    left = xp.where(inside[..., None], groups, -np.inf).reshape(chosen.shape)
    kept = (ranks(xp, left) < top_k) & (left > -np.inf)
    logs = xp.where(kept, xp.log(xp.maximum(scores, 1e-20)), router_sentinel)
    return wanted((logs.astype(logits.dtype), chosen, scores), outputs)


# --- experts ---


def expert_activation(xp: Any, x: Array, name: str) -> Array:
    """The activation of an expert's first layer; ONNX Runtime's gelu is by tanh."""
    if name == "gelu":
        return plain_gelu(xp, x, "tanh")
    names = {"relu": "Relu", "silu": "Silu", "identity": None}
    if name not in names:
        raise ValueError(f"found activation_type {name!r}, wanted gelu or {[*names]}")
    return activated(xp, x, names[name], ())


def mixture_of_experts(
    xp: Any,
    x: Array,
    router_probs: Array,
    fc1_experts_weights: Array,
    fc1_experts_bias: Array | None = None,
    fc2_experts_weights: Array = None,
    fc2_experts_bias: Array | None = None,
    fc3_experts_weights: Array | None = None,
    fc3_experts_bias: Array | None = None,
    activation_alpha: float = 1.0,
    activation_beta: float = 0.0,
    activation_type: str = "relu",
    k: int = 1,
    normalize_routing_weights: int = 0,
    swiglu_fusion: int = 0,
    swiglu_limit: float | None = None,
    swiglu_limit_after_activation: int = 0,
    use_sparse_mixer: int = 0,
) -> Array:
    """
    Each row through its `k` best experts (Shazeer et al. 2017), two layers each.

    Weights are ``[experts, outputs, inputs]``. With a third layer, or two in the first
    one (`swiglu_fusion`), the activation gates it.
    """
    if use_sparse_mixer:
        raise ValueError("found use_sparse_mixer 1, wanted 0")
    rows = widened(xp, x).reshape(-1, x.shape[-1])
    weights = mixture(xp, router_probs, k, normalize_routing_weights)
    total: Any = 0
    for e in range(fc1_experts_weights.shape[0]):
        first = layer(xp, rows, fc1_experts_weights, fc1_experts_bias, e)
        if activation_type == "swiglu":
            if swiglu_fusion == 1:
                gate, linear = first[:, 0::2], first[:, 1::2]
            elif swiglu_fusion == 2:
                gate, linear = halves(first)
            else:
                gate = first
                linear = layer(xp, rows, fc3_experts_weights, fc3_experts_bias, e)
            hidden = swiglu(
                xp,
                gate,
                linear,
                activation_alpha,
                activation_beta,
                swiglu_limit,
                swiglu_limit_after_activation,
            )
        else:
            hidden = expert_activation(xp, first, activation_type)
            if fc3_experts_weights is not None:
                hidden = hidden * layer(
                    xp, rows, fc3_experts_weights, fc3_experts_bias, e
                )
        y = layer(xp, hidden, fc2_experts_weights, fc2_experts_bias, e)
        total = total + y * weights[:, e : e + 1]
    return total.reshape(x.shape).astype(x.dtype)


def layer(
    xp: Any, x: Array, weights: Array | None, bias: Array | None, expert: int
) -> Array:
    """``x @ weights[expert]^T + bias[expert]``."""
    if weights is None:
        raise ValueError("found no weights of the third layer, wanted them for swiglu")
    y = xp.matmul(x, widened(xp, weights[expert]).T)
    return y if bias is None else y + widened(xp, bias[expert])


KERNELS: dict[str, Callable[..., Any]] = {
    "microsoft.MoE": mixture_of_experts,
    "microsoft.MoEGroupRouter": group_router,
    "microsoft.RouterGateUpProj": router_gate_up,
    "microsoft.SwiGLU": gated_swiglu,
}

STATIC: dict[str, tuple[int, ...]] = {}
