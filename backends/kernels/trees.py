"""Ensembles of decision trees: every sample goes down every tree, level by level."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from .forests import (
    AGGREGATES,
    MODES,
    Forest,
    arranged_once,
    leaf_forest,
    numbers_of,
    voted_forest,
)
from .scores import (
    TRANSFORMS,
    float_of,
    label_count,
    labels_at,
    logistic,
    matrix_of,
    post_transformed,
)

Array: TypeAlias = Any

# --- running ---


def leaves_of(xp: Any, x: Array, forest: Forest) -> Array:
    """The row of `weights` [N, T] at which each sample of `x` [N, F] ends per tree."""
    if forest["width"] > x.shape[1]:
        found = f"{x.shape[1]} features"
        raise ValueError(f"found {found}, wanted {forest['width']} at least")
    size = (x.shape[0], len(forest["roots"]))
    at = xp.broadcast_to(xp.asarray(forest["roots"]), size)
    for _ in range(forest["depth"]):
        feature = xp.take(xp.asarray(forest["features"]), at, mode="clip")
        value = xp.take_along_axis(x, feature, axis=1)
        branch = goes_true(xp, value, at, forest).astype(at.dtype)
        at = xp.take(xp.asarray(forest["children"]), 2 * at + branch, mode="clip")
    return xp.take(xp.asarray(forest["leaves"]), at, mode="clip")


def goes_true(xp: Any, value: Array, at: Array, forest: Forest) -> Array:
    """Whether the comparison at each position `at` holds of `value`, both [N, T]."""
    split = xp.take(xp.asarray(forest["splits"]), at, mode="clip")
    mode = xp.take(xp.asarray(forest["modes"]), at, mode="clip")
    used: list[int] = forest["used"]
    result = xp.zeros(value.shape, bool)
    for number in used:
        if MODES[number] == "BRANCH_MEMBER":
            members = xp.take(xp.asarray(forest["members"]), at, axis=0, mode="clip")
            holds = xp.any(value[..., None] == members, axis=-1)
        else:
            holds = compared(value, split, MODES[number])
        result = holds if len(used) == 1 else xp.where(mode == number, holds, result)
    if forest["tracks_missing"]:
        missing = xp.take(xp.asarray(forest["missing"]), at, mode="clip")
        result = xp.where(xp.isnan(value), missing, result)
    return result


def compared(value: Array, split: Array, mode: str) -> Array:
    """The comparison `mode` of `value` with `split`."""
    if mode == "BRANCH_LEQ":
        return value <= split
    if mode == "BRANCH_LT":
        return value < split
    if mode == "BRANCH_GTE":
        return value >= split
    if mode == "BRANCH_GT":
        return value > split
    return value == split if mode == "BRANCH_EQ" else value != split


def aggregated(xp: Any, rows: Array, forest: Forest, aggregate: str) -> Array:
    """The weights [N, K] of the leaves `rows` [N, T], joined as `aggregate` says."""
    found = xp.take(xp.asarray(forest["weights"]), rows, axis=0, mode="clip")
    if aggregate in ("SUM", "AVERAGE"):
        total = xp.sum(found, axis=1)
        return total / len(forest["roots"]) if aggregate == "AVERAGE" else total
    best = xp.min(found, axis=1) if aggregate == "MIN" else xp.max(found, axis=1)
    # A target without a vote has no least and no greatest one.
    return xp.where(xp.isinf(best), xp.zeros_like(best), best)


def with_base(scores: Array, base: Array) -> Array:
    """`scores` [N, K] and the base value of each target, if there are any."""
    if not len(base):
        return scores
    if len(base) != scores.shape[1]:
        wanted = scores.shape[1]
        raise ValueError(f"found {len(base)} base values, wanted {wanted}")
    return scores + base.astype(scores.dtype)


# --- the operators ---


def tree_ensemble(
    xp: Any,
    x: Array,
    leaf_targetids: tuple[int, ...],
    leaf_weights: Array,
    nodes_falseleafs: tuple[int, ...],
    nodes_falsenodeids: tuple[int, ...],
    nodes_featureids: tuple[int, ...],
    nodes_modes: Array,
    nodes_splits: Array,
    nodes_trueleafs: tuple[int, ...],
    nodes_truenodeids: tuple[int, ...],
    tree_roots: tuple[int, ...],
    aggregate_function: int = 1,
    membership_values: Array | None = None,
    n_targets: int | None = None,
    nodes_hitrates: Array | None = None,
    nodes_missing_value_tracks_true: tuple[int, ...] | None = None,
    post_transform: int = 0,
) -> Array:
    """
    The targets [N, K] of `x` [N, F], in its element type.

    float16 is summed in float32 and rounded once.
    """
    if not 0 <= aggregate_function < len(AGGREGATES):
        raise ValueError(f"aggregate_function is {aggregate_function}, wanted 0 to 3")
    if not 0 <= post_transform < len(TRANSFORMS):
        raise ValueError(f"post_transform is {post_transform}, wanted 0 to 4")
    aggregate = AGGREGATES[aggregate_function]
    values = float_of(x)
    forest = arranged_once(
        leaf_forest,
        leaf_targetids,
        leaf_weights,
        nodes_falseleafs,
        nodes_falsenodeids,
        nodes_featureids,
        nodes_modes,
        nodes_splits,
        nodes_trueleafs,
        nodes_truenodeids,
        tree_roots,
        membership_values,
        n_targets,
        nodes_missing_value_tracks_true,
        aggregate,
        values.dtype.name,
    )
    rows = leaves_of(xp, values, forest)
    scores = aggregated(xp, rows, forest, aggregate)
    return post_transformed(xp, scores, TRANSFORMS[post_transform]).astype(x.dtype)


def tree_ensemble_regressor(
    xp: Any,
    x: Array,
    aggregate_function: str = "SUM",
    base_values: tuple[float, ...] | None = None,
    base_values_as_tensor: Array | None = None,
    n_targets: int | None = None,
    nodes_falsenodeids: tuple[int, ...] | None = None,
    nodes_featureids: tuple[int, ...] | None = None,
    nodes_hitrates: tuple[float, ...] | None = None,
    nodes_hitrates_as_tensor: Array | None = None,
    nodes_missing_value_tracks_true: tuple[int, ...] | None = None,
    nodes_modes: tuple[str, ...] | None = None,
    nodes_nodeids: tuple[int, ...] | None = None,
    nodes_treeids: tuple[int, ...] | None = None,
    nodes_truenodeids: tuple[int, ...] | None = None,
    nodes_values: tuple[float, ...] | None = None,
    nodes_values_as_tensor: Array | None = None,
    post_transform: str = "NONE",
    target_ids: tuple[int, ...] | None = None,
    target_nodeids: tuple[int, ...] | None = None,
    target_treeids: tuple[int, ...] | None = None,
    target_weights: tuple[float, ...] | None = None,
    target_weights_as_tensor: Array | None = None,
) -> Array:
    """The targets [N, K], float32, of `x` [N, F]: votes aggregated over the trees."""
    x = float_of(matrix_of(x))
    forest = arranged_once(
        voted_forest,
        nodes_treeids,
        nodes_nodeids,
        nodes_featureids,
        nodes_modes,
        nodes_values,
        nodes_values_as_tensor,
        nodes_falsenodeids,
        nodes_truenodeids,
        nodes_missing_value_tracks_true,
        target_treeids,
        target_nodeids,
        target_ids,
        target_weights,
        target_weights_as_tensor,
        n_targets,
        aggregate_function,
        x.dtype.name,
    )
    rows = leaves_of(xp, x, forest)
    scores = aggregated(xp, rows, forest, aggregate_function)
    scores = with_base(scores, numbers_of(base_values, base_values_as_tensor, x.dtype))
    return post_transformed(xp, scores, post_transform).astype(np.float32)


def tree_ensemble_classifier(
    xp: Any,
    x: Array,
    base_values: tuple[float, ...] | None = None,
    base_values_as_tensor: Array | None = None,
    class_ids: tuple[int, ...] | None = None,
    class_nodeids: tuple[int, ...] | None = None,
    class_treeids: tuple[int, ...] | None = None,
    class_weights: tuple[float, ...] | None = None,
    class_weights_as_tensor: Array | None = None,
    classlabels_int64s: tuple[int, ...] | None = None,
    classlabels_strings: tuple[str, ...] | None = None,
    nodes_falsenodeids: tuple[int, ...] | None = None,
    nodes_featureids: tuple[int, ...] | None = None,
    nodes_hitrates: tuple[float, ...] | None = None,
    nodes_hitrates_as_tensor: Array | None = None,
    nodes_missing_value_tracks_true: tuple[int, ...] | None = None,
    nodes_modes: tuple[str, ...] | None = None,
    nodes_nodeids: tuple[int, ...] | None = None,
    nodes_treeids: tuple[int, ...] | None = None,
    nodes_truenodeids: tuple[int, ...] | None = None,
    nodes_values: tuple[float, ...] | None = None,
    nodes_values_as_tensor: Array | None = None,
    post_transform: str = "NONE",
    outputs: tuple[bool, ...] = (True, True),
) -> tuple[Array | None, ...]:
    """
    The label [N] and the scores [N, E], float32, of each sample of `x` [N, F].

    Where all votes are for one of two classes, they are the positive class's score; as
    ONNX Runtime does, the threshold is 0.5 if no vote is negative, else 0.
    """
    x = float_of(matrix_of(x))
    count = label_count(classlabels_int64s, classlabels_strings)
    forest = arranged_once(
        voted_forest,
        nodes_treeids,
        nodes_nodeids,
        nodes_featureids,
        nodes_modes,
        nodes_values,
        nodes_values_as_tensor,
        nodes_falsenodeids,
        nodes_truenodeids,
        nodes_missing_value_tracks_true,
        class_treeids,
        class_nodeids,
        class_ids,
        class_weights,
        class_weights_as_tensor,
        count,
        "SUM",
        x.dtype.name,
    )
    scores = aggregated(xp, leaves_of(xp, x, forest), forest, "SUM")
    base = numbers_of(base_values, base_values_as_tensor, x.dtype)
    only = forest["targets"]
    if count <= 2 and len(only) == 1:
        # One score: a class beside it has none of its own.
        score = with_base(scores[:, only[0] : only[0] + 1], base)
        cut = 0.5 if count == 2 and forest["least"] >= 0 else 0.0
        places = (score[:, 0] > cut).astype(np.int64)
        scores = spread(xp, score, post_transform, count, int(only[0]), cut)
    else:
        scores = with_base(scores, base)
        places = xp.argmax(scores, axis=1)
        scores = post_transformed(xp, scores, post_transform)
    if count == 1:
        if classlabels_strings:
            raise ValueError("found one class label that is a string, wanted two")
        classlabels_int64s = (0, 1)
    labels = (
        labels_at(xp, places, classlabels_int64s, classlabels_strings)
        if outputs[0]
        else None
    )
    return labels, scores.astype(np.float32) if outputs[1] else None


def spread(
    xp: Any, score: Array, post_transform: str, count: int, place: int, cut: float
) -> Array:
    """
    The scores [N, `count`] of two classes (or one) of which only one has a `score`.

    Votes for the class at `place` 1 leave the other 0. Votes for place 0 count for the
    positive class, the other has the rest: ``1 - s`` where `cut` is 0.5, else ``-s``.
    """
    if count == 1:
        is_probit = post_transform == "PROBIT"
        return post_transformed(xp, score, "PROBIT") if is_probit else score
    if place == 1:
        pair = xp.concatenate([xp.zeros_like(score), score], axis=1)
        return post_transformed(xp, pair, post_transform)
    if post_transform == "LOGISTIC":
        return logistic(xp, xp.concatenate([-score, score], axis=1))
    rest = 1 - score if cut else -score
    pair = xp.concatenate([rest, score], axis=1)
    return post_transformed(xp, pair, "PROBIT") if post_transform == "PROBIT" else pair


KERNELS: dict[str, Callable[..., Any]] = {
    "onnx_ml.TreeEnsemble": tree_ensemble,
    "onnx_ml.TreeEnsembleClassifier": tree_ensemble_classifier,
    "onnx_ml.TreeEnsembleRegressor": tree_ensemble_regressor,
}

STATIC: dict[str, tuple[int, ...]] = {}
