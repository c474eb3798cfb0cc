"""
Gradient-boosted regression trees as arrays: trained by scikit-learn, run by NumPy.

Friedman, "Greedy Function Approximation: A Gradient Boosting Machine" (2001). What is
stored are arrays, so that a model is data and needs no scikit-learn to predict.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from ...dialects.errors import SardonyxError

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

NAMES = ("roots", "feature", "threshold", "left", "right", "value")
MAX_DEPTH = 64
"""Of what is read from a file: deeper trees are none that we wrote."""


class TrainingError(SardonyxError):
    """A model that cannot be trained."""


@dataclass(frozen=True)
class Trees:
    """
    The sum of what each tree gives, and `base`.

    A node sends a row left if its `feature` is at most `threshold`; a leaf is its own
    left and right, so that rows that have arrived stay.
    """

    base: float
    roots: Array
    """The first node of every tree."""
    feature: Array
    threshold: Array
    left: Array
    right: Array
    value: Array
    """What the leaf adds; of other nodes it is not looked at."""

    def predict(self, rows: Array) -> Array:
        """What the trees give for ``rows[n, features]``: ``[n]``."""
        places = np.arange(len(rows))[:, None]
        nodes = np.broadcast_to(self.roots, (len(rows), len(self.roots)))
        for _ in range(MAX_DEPTH):
            goes_left = rows[places, self.feature[nodes]] <= self.threshold[nodes]
            following = np.where(goes_left, self.left[nodes], self.right[nodes])
            if np.array_equal(following, nodes):
                break
            nodes = following
        return self.base + self.value[nodes].sum(axis=1)

    def arrays(self) -> dict[str, Array]:
        """By the names of `NAMES`, and ``base``."""
        held = {name: getattr(self, name) for name in NAMES}
        return {"base": np.array(self.base), **held}


def trees_from(arrays: Mapping[str, Array], features: int) -> Trees:
    """
    What `Trees.arrays` gave. Raises KeyError or ValueError for what is none.
    """
    roots, feature, threshold, left, right, value = (arrays[n] for n in NAMES)
    count = len(feature)
    for name, items in (("left", left), ("right", right), ("roots", roots)):
        if items.ndim != 1 or (
            items.size and not (0 <= items.min() <= items.max() < count)
        ):
            raise ValueError(f"{name}: found a node that is not there")
    if count and not 0 <= feature.min() <= feature.max() < features:
        raise ValueError("feature: found one that is not there")
    if not len(threshold) == len(left) == len(right) == len(value) == count:
        raise ValueError("found arrays of several lengths, wanted one")
    return Trees(
        float(arrays["base"].item()),
        roots,
        feature,
        threshold,
        left,
        right,
        value,
    )


@dataclass(frozen=True)
class Settings:
    """How trees are boosted."""

    trees: int = 200
    depth: int = 6
    rate: float = 0.07
    part: float = 0.6
    """Of the rows, drawn for each tree."""
    features: float = 0.5
    """Of the features, drawn for each node."""
    leaf: int = 4
    """Rows in a leaf at least."""


def grown(
    rows: Array, wanted: Array, weights: Array, seed: int, settings: Settings
) -> Any:
    """
    One tree of scikit-learn's, for ``wanted[n]`` of ``rows[n, features]``.

    Raises TrainingError where scikit-learn is not installed.
    """
    try:
        found: Any = importlib.import_module("sklearn.tree")
    except ImportError as error:
        raise TrainingError(
            "found no scikit-learn, wanted it for training: "
            "pip install 'sardonyx[tune]'"
        ) from error
    tree = found.DecisionTreeRegressor(
        max_depth=settings.depth,
        max_features=settings.features,
        min_samples_leaf=settings.leaf,
        random_state=seed,
    )
    return tree.fit(rows, wanted, sample_weight=weights)


def joined(base: float, trees: Sequence[Any], rate: float) -> Trees:
    """What trees of scikit-learn's give: `base`, and `rate` times the sum of all."""
    return _gathered(base, [one.tree_ for one in trees], rate)


def averaged(several: Sequence[Trees]) -> Trees:
    """Trees that give the mean of what `several` give."""
    firsts = np.cumsum([0, *(len(one.feature) for one in several[:-1])])

    def moved(parts: Sequence[Array]) -> Array:
        places = zip(parts, firsts, strict=True)
        return np.concatenate([part + first for part, first in places]).astype(np.int32)

    return Trees(
        float(np.mean([one.base for one in several])),
        moved([one.roots for one in several]),
        np.concatenate([one.feature for one in several]),
        np.concatenate([one.threshold for one in several]),
        moved([one.left for one in several]),
        moved([one.right for one in several]),
        np.concatenate([one.value for one in several]) / np.float32(len(several)),
    )


def _gathered(base: float, trees: Sequence[Any], rate: float) -> Trees:
    roots: list[int] = []
    parts: list[tuple[Array, ...]] = []
    count = 0
    for tree in trees:
        roots.append(count)
        parts.append(_nodes(tree, count, rate))
        count += len(parts[-1][0])
    columns = zip(*parts, strict=True)
    return Trees(base, np.array(roots, np.int32), *map(np.concatenate, columns))


def _nodes(tree: Any, first: int, rate: float) -> tuple[Array, ...]:
    """The arrays of one tree, whose root is node `first`."""
    children = [np.asarray(tree.children_left), np.asarray(tree.children_right)]
    is_leaf = children[0] < 0
    own = np.arange(len(is_leaf))
    left, right = (np.where(is_leaf, own, child) + first for child in children)
    feature = np.where(is_leaf, 0, np.asarray(tree.feature))
    threshold = np.where(is_leaf, np.inf, np.asarray(tree.threshold))
    value = np.where(is_leaf, rate * np.asarray(tree.value)[:, 0, 0], 0.0)
    return (
        feature.astype(np.int32),
        threshold.astype(np.float32),
        left.astype(np.int32),
        right.astype(np.int32),
        value.astype(np.float32),
    )
