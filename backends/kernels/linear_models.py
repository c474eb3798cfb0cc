"""Linear models and support vector machines of ai.onnx.ml."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any, TypeAlias

import numpy as np

from .scores import (
    float_of,
    label_count,
    labels_at,
    logistic,
    matrix_of,
    post_transformed,
)

Array: TypeAlias = Any


# --- linear models ---


def linear_regressor(
    xp: Any,
    x: Array,
    coefficients: tuple[float, ...] | None = None,
    intercepts: tuple[float, ...] | None = None,
    post_transform: str = "NONE",
    targets: int = 1,
) -> Array:
    """``x @ coefficients.T + intercepts``: [N, targets], float32, of `x` [N, F]."""
    x = float_of(matrix_of(x))
    scores = linear_scores(xp, x, coefficients or (), intercepts, targets)
    return post_transformed(xp, scores, post_transform).astype(np.float32)


def linear_scores(
    xp: Any,
    x: Array,
    coefficients: tuple[float, ...],
    intercepts: tuple[float, ...] | None,
    targets: int,
) -> Array:
    """The scores [N, `targets`] of `x` [N, F]."""
    if len(coefficients) != targets * x.shape[1]:
        wanted = f"{targets} of {x.shape[1]} features"
        raise ValueError(f"found {len(coefficients)} coefficients, wanted {wanted}")
    weights = np.array(coefficients, x.dtype).reshape((targets, x.shape[1]))
    scores = xp.matmul(x, xp.asarray(weights.T))
    if not intercepts:
        return scores
    if len(intercepts) not in (1, targets):
        raise ValueError(f"found {len(intercepts)} intercepts, wanted {targets}")
    return scores + xp.asarray(np.array(intercepts, x.dtype))


def linear_classifier(
    xp: Any,
    x: Array,
    coefficients: tuple[float, ...],
    classlabels_ints: tuple[int, ...] | None = None,
    classlabels_strings: tuple[str, ...] | None = None,
    intercepts: tuple[float, ...] | None = None,
    multi_class: int = 0,
    post_transform: str = "NONE",
    outputs: tuple[bool, ...] = (True, True),
) -> tuple[Array | None, ...]:
    """
    The label [N] and the scores [N, E], float32, of each sample of `x` [N, F].

    Two labels may share one row of coefficients, the score of the second.
    """
    x = float_of(matrix_of(x))
    count = label_count(classlabels_ints, classlabels_strings)
    targets = max(1, len(coefficients) // max(1, x.shape[1]))
    scores = linear_scores(xp, x, coefficients, intercepts, targets)
    if targets == 1 and count == 2:
        places = (scores[:, 0] > 0).astype(np.int64)
        scores = two_classes(xp, scores, post_transform, 1)
    elif targets == count and count > 1:
        places = xp.argmax(scores, axis=1)
        scores = post_transformed(xp, scores, post_transform)
    else:
        raise ValueError(f"found {count} class labels for {targets} scores")
    labels = labels_at(xp, places, classlabels_ints, classlabels_strings)
    return labels if outputs[0] else None, scores.astype(np.float32)


def two_classes(xp: Any, score: Array, post_transform: str, whole: int) -> Array:
    """
    The scores [N, 2] of two classes of which only the second has a `score` [N, 1].

    The first has the rest of `whole`. LOGISTIC gives both their probabilities; a
    softmax is for scores of several classes, and as in ONNX Runtime changes nothing.
    """
    if post_transform == "LOGISTIC":
        return logistic(xp, xp.concatenate([-score, score], axis=1))
    rest = whole - score if post_transform == "NONE" else 1 - score
    pair = xp.concatenate([rest, score], axis=1)
    return post_transformed(xp, pair, "PROBIT") if post_transform == "PROBIT" else pair


# --- support vector machines ---


def kernel_values(
    xp: Any, x: Array, vectors: Array, kernel_type: str, params: tuple[float, ...]
) -> Array:
    """The kernel [N, V] of `x` [N, F] and `vectors` [V, F]."""
    gamma, bias, degree = (*params, 0.0, 0.0, 0.0)[:3]
    vectors = xp.asarray(vectors.astype(x.dtype))
    if kernel_type == "RBF":
        # Not by a product of the two: that loses what is close together.
        difference = x[:, None, :] - vectors[None, :, :]
        return xp.exp(-gamma * xp.sum(difference * difference, axis=-1))
    products = xp.matmul(x, vectors.T)
    if kernel_type == "LINEAR":
        return products
    if kernel_type == "POLY":
        return (gamma * products + bias) ** int(degree)
    if kernel_type == "SIGMOID":
        return xp.tanh(gamma * products + bias)
    wanted = "LINEAR, POLY, RBF or SIGMOID"
    raise ValueError(f"kernel_type is {kernel_type!r}, wanted {wanted}")


def support_vectors_of(
    x: Array, support_vectors: tuple[float, ...] | None, count: int
) -> Array:
    """The support vectors [V, F] of an attribute; ValueError if they do not fit `x`."""
    flat = np.array(support_vectors or (), np.float32)
    if flat.size != count * x.shape[1]:
        wanted = f"{count} vectors of {x.shape[1]} features"
        raise ValueError(f"support_vectors has {flat.size} numbers, wanted {wanted}")
    return flat.reshape((count, x.shape[1]))


def svm_regressor(
    xp: Any,
    x: Array,
    coefficients: tuple[float, ...] | None = None,
    kernel_params: tuple[float, ...] | None = None,
    kernel_type: str = "LINEAR",
    n_supports: int = 0,
    one_class: int = 0,
    post_transform: str = "NONE",
    rho: tuple[float, ...] | None = None,
    support_vectors: tuple[float, ...] | None = None,
) -> Array:
    """
    The regression value [N, 1], float32, of `x` [N, F]; 1 or -1 if `one_class`.

    Without support vectors the model is linear in `x`.
    """
    x = float_of(matrix_of(x))
    if n_supports:
        vectors = support_vectors_of(x, support_vectors, n_supports)
        values = kernel_values(xp, x, vectors, kernel_type, kernel_params or ())
    else:
        values = x
    scores = linear_scores(xp, values, coefficients or (), rho, 1)
    if one_class:
        scores = xp.where(scores > 0, xp.ones_like(scores), -xp.ones_like(scores))
    return post_transformed(xp, scores, post_transform).astype(np.float32)


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
    """
    The label [N] and the scores [N, E], float32, of each sample of `x` [N, F].

    With support vectors every pair of classes has a decision value (libsvm's order),
    and votes decide; `prob_a` and `prob_b` turn the values into E probabilities.
    Without, each class has a linear score.
    """
    return run_svm_classifier(
        xp,
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


def run_svm_classifier(
    xp: Any,
    x: Array,
    class_labels: tuple[tuple[int, ...] | None, tuple[str, ...] | None],
    coefficients: tuple[float, ...],
    kernel: tuple[str, tuple[float, ...]],
    post_transform: str,
    probabilities: tuple[tuple[float, ...], tuple[float, ...]],
    rho: tuple[float, ...],
    support_vectors: tuple[float, ...] | None,
    vectors_per_class: tuple[int, ...],
    outputs: tuple[bool, ...],
) -> tuple[Array | None, ...]:
    """`svm_classifier`, its attributes taken together."""
    x = float_of(matrix_of(x))
    count = label_count(*class_labels)
    if not sum(vectors_per_class):
        # One bias for all classes, in every runtime.
        scores = linear_scores(xp, x, coefficients, rho[:1], count)
        places = xp.argmax(scores, axis=1)
        scores = post_transformed(xp, scores, post_transform)
    else:
        vectors = support_vectors_of(x, support_vectors, sum(vectors_per_class))
        values, votes = pairwise_decisions(
            xp,
            kernel_values(xp, x, vectors, *kernel),
            count,
            np.array(coefficients, x.dtype),
            rho,
            vectors_per_class,
        )
        places = xp.argmax(votes, axis=1)
        if probabilities[0]:
            pairs = pair_probabilities(xp, values, count, *probabilities)
            scores = post_transformed(xp, coupled(xp, pairs, count), post_transform)
        elif count == 2:
            scores = two_classes(xp, values, post_transform, 0)
        else:
            scores = post_transformed(xp, values, post_transform)
    labels = labels_at(xp, places, *class_labels) if outputs[0] else None
    return labels, scores.astype(np.float32)


def pairwise_decisions(
    xp: Any,
    kernel: Array,
    count: int,
    coefficients: Array,
    rho: tuple[float, ...],
    vectors_per_class: tuple[int, ...],
) -> tuple[Array, Array]:
    """
    The decision values [N, pairs] of all pairs of classes, and the votes [N, `count`].

    `kernel` is that of samples and vectors [N, V]; `coefficients` [count - 1, V] hold
    for a vector those towards the other classes, its own left out.
    """
    total, pairs = sum(vectors_per_class), list(combinations(range(count), 2))
    if len(vectors_per_class) != count or coefficients.size != (count - 1) * total:
        found = f"{len(vectors_per_class)} classes, {coefficients.size} coefficients"
        raise ValueError(f"found {found}, wanted {count}, {(count - 1) * total}")
    if len(rho) != len(pairs):
        raise ValueError(f"found {len(rho)} values of rho, wanted {len(pairs)}")
    table = coefficients.reshape((count - 1, total))
    ends = np.cumsum(vectors_per_class)
    weights = np.zeros((len(pairs), total), coefficients.dtype)
    for row, (i, j) in enumerate(pairs):
        first = slice(ends[i] - vectors_per_class[i], ends[i])
        second = slice(ends[j] - vectors_per_class[j], ends[j])
        weights[row, first], weights[row, second] = (
            table[j - 1, first],
            table[i, second],
        )
    values = xp.matmul(kernel, xp.asarray(weights.T))
    values = values + xp.asarray(np.array(rho, coefficients.dtype))
    # Whom a pair's value votes for: the first class where it is positive.
    firsts, seconds = np.eye(count, dtype=np.float32)[np.array(pairs).T]
    won = (values > 0)[:, :, None]
    votes = xp.where(won, xp.asarray(firsts), xp.asarray(seconds))
    return values, xp.sum(votes, axis=1)


def pair_probabilities(
    xp: Any,
    values: Array,
    count: int,
    prob_a: tuple[float, ...],
    prob_b: tuple[float, ...],
) -> Array:
    """
    How probable class i is against class j [N, `count`, `count`], 0 where i is j.

    ``1 / (1 + exp(a * value + b))`` for a pair's decision value (Platt, 1999).
    """
    pairs = list(combinations(range(count), 2))
    if not len(prob_a) == len(prob_b) == len(pairs):
        found = f"{len(prob_a)} and {len(prob_b)}"
        raise ValueError(f"prob_a, prob_b have {found} numbers, wanted {len(pairs)}")
    slope = xp.asarray(np.array(prob_a, values.dtype))
    bias = xp.asarray(np.array(prob_b, values.dtype))
    first = xp.clip(logistic(xp, -(values * slope + bias)), 1e-7, 1 - 1e-7)
    # Column p of `first` goes to (i, j), its complement to (j, i).
    place = np.zeros((2, len(pairs), count * count), np.float32)
    for p, (i, j) in enumerate(pairs):
        place[0, p, i * count + j] = place[1, p, j * count + i] = 1
    place = place.astype(values.dtype)
    flat = xp.matmul(first, xp.asarray(place[0]))
    flat = flat + xp.matmul(1 - first, xp.asarray(place[1]))
    return flat.reshape((-1, count, count))


def coupled(xp: Any, pairs: Array, count: int) -> Array:
    """
    Class probabilities [N, `count`] that agree best with those of `pairs`.

    The second method of Wu, Lin and Weng, "Probability estimates for multi-class
    classification by pairwise coupling" (2004), with libsvm's stopping rule.
    """
    q, p = coupling_start(xp, pairs, count)
    for _ in range(max(100, count)):
        done = coupling_done(xp, q, p, count)
        if bool(xp.all(done)):
            break
        p = xp.where(done, p, coupling_turn(xp, q, p, count))
    return p


def coupling_start(xp: Any, pairs: Array, count: int) -> tuple[Array, Array]:
    """The matrix Q [N, `count`, `count`] of the problem, and equal probabilities."""
    # Q[t, t] sums r[j, t]^2 over j; Q[t, j] is -r[j, t] * r[t, j].
    swapped = xp.swapaxes(pairs, 1, 2)
    diagonal = xp.sum(pairs * pairs, axis=1)
    identity = xp.asarray(np.eye(count, dtype=pairs.dtype))
    q = diagonal[:, :, None] * identity - pairs * swapped
    return q, xp.full(pairs.shape[:2], 1 / count, pairs.dtype)


def coupling_done(xp: Any, q: Array, p: Array, count: int) -> Array:
    """Whether each sample's probabilities `p` solve its problem `q`: [N, 1]."""
    products = xp.sum(q * p[:, None, :], axis=2)
    error = xp.abs(products - xp.sum(p * products, axis=1, keepdims=True))
    return xp.max(error, axis=1, keepdims=True) < 0.005 / count


def coupling_turn(xp: Any, q: Array, p: Array, count: int) -> Array:
    """`p` after one turn: each class's probability is set to its optimum, in order."""
    products = xp.sum(q * p[:, None, :], axis=2)
    value = xp.sum(p * products, axis=1)
    for t in range(count):
        diagonal = q[:, t, t]
        step = (value - products[:, t]) / diagonal
        whole = 1 + step
        value = (value + step * (step * diagonal + 2 * products[:, t])) / whole**2
        products = (products + step[:, None] * q[:, t, :]) / whole[:, None]
        unit = xp.asarray(np.eye(count, dtype=p.dtype)[t])
        p = (p + step[:, None] * unit) / whole[:, None]
    return p


KERNELS: dict[str, Callable[..., Any]] = {
    "onnx_ml.LinearClassifier": linear_classifier,
    "onnx_ml.LinearRegressor": linear_regressor,
    "onnx_ml.SVMClassifier": svm_classifier,
    "onnx_ml.SVMRegressor": svm_regressor,
}

STATIC: dict[str, tuple[int, ...]] = {}
