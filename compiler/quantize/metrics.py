"""How much worse a quantized model is: one number, in percent, 0 for no worse."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...dialects.errors import SardonyxError
from ...dialects.onnx.types import Array

LABELS = "labels"
"""The array, beside the inputs, of the right classes of the first output."""


class MetricError(SardonyxError):
    """Outputs that a metric cannot judge."""


def error(found: Sequence[Array], wanted: Sequence[Array], labels: Any) -> float:
    """``100 |found - wanted| / |wanted|`` over all floating point outputs."""
    noise = signal = 0.0
    for ours, theirs in zip(found, wanted, strict=True):
        if theirs.dtype.kind == "f":
            difference = ours.astype(np.float64) - theirs
            noise += float(np.square(difference).sum())
            signal += float(np.square(theirs, dtype=np.float64).sum())
    return 100 * (noise / signal) ** 0.5 if signal else 0.0


def agreement(found: Sequence[Array], wanted: Sequence[Array], labels: Any) -> float:
    """The share in percent of samples whose largest first output is another."""
    ours, theirs = found[0].argmax(-1), wanted[0].argmax(-1)
    return 100 * float((ours != theirs).mean())


def accuracy(found: Sequence[Array], wanted: Sequence[Array], labels: Any) -> float:
    """The loss of accuracy in points, of the first output beside the labels."""
    right = _labels(labels, wanted[0])
    ours = float((found[0].argmax(-1) == right).mean())
    return 100 * (float((wanted[0].argmax(-1) == right).mean()) - ours)


def perplexity(found: Sequence[Array], wanted: Sequence[Array], labels: Any) -> float:
    """The increase in percent of ``exp(cross entropy)`` of logits and labels."""
    right = _labels(labels, wanted[0])
    growth = _entropy(found[0], right) - _entropy(wanted[0], right)
    return 100 * float(np.expm1(growth))


def _labels(labels: Any, scores: Array) -> Array:
    if labels is None:
        raise MetricError(
            f"found no array {LABELS!r} beside the inputs, wanted classes"
        )
    right = np.asarray(labels)
    if right.shape != scores.shape[:-1] or right.dtype.kind not in "iu":
        wanted = list(scores.shape[:-1])
        raise MetricError(
            f"found {LABELS} {right.dtype}{list(right.shape)}, wanted integers {wanted}"
        )
    return right


def _entropy(logits: Array, right: Array) -> float:
    wide = logits.astype(np.float64)
    wide = wide - wide.max(-1, keepdims=True)
    log_total = np.log(np.exp(wide).sum(-1))
    picked = np.take_along_axis(wide, right[..., None].astype(np.int64), -1)[..., 0]
    return float((log_total - picked).mean())


METRICS: dict[str, Callable[[Sequence[Array], Sequence[Array], Any], float]] = {
    "error": error,
    "agreement": agreement,
    "accuracy": accuracy,
    "perplexity": perplexity,
}
"""What `--metric` names."""
