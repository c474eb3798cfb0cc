"""
How the attributes of tree ensembles become arrays that all samples descend at once.

A forest's *positions* are the nodes of all trees, leaves among them. Each has the
positions of its children; a leaf is its own child, so that after `depth` steps every
sample is at its leaf.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = Any
Forest: TypeAlias = dict[str, Any]
# roots [T]; per position features, splits, modes, missing, members [P, M], children
# [2 P] (false, true) and leaves (the row of `weights` [L, K], 0 for inner nodes); the
# `targets` that have votes, and the `least` of these.

MODES = (
    "BRANCH_LEQ",
    "BRANCH_LT",
    "BRANCH_GTE",
    "BRANCH_GT",
    "BRANCH_EQ",
    "BRANCH_NEQ",
    "BRANCH_MEMBER",
)
"""The comparisons of nodes, in the order of TreeEnsemble's numbers."""

LEAF = -1
"""The mode of a position that compares nothing."""

AGGREGATES = ("AVERAGE", "SUM", "MIN", "MAX")
"""The values of `aggregate_function`, in the order of TreeEnsemble's numbers."""


# --- once per model ---

ARRANGED: dict[tuple[Any, ...], tuple[tuple[Any, ...], Forest]] = {}
"""The forests of attributes that were seen before, by the attributes' identity."""

MAX_ARRANGED = 64
"""How many forests are kept."""


def arranged_once(make: Callable[..., Forest], *parts: Any) -> Forest:
    """
    ``make(*parts)``, made again only for other objects.

    A program hands over the same constants in every call; arranging them takes longer
    than a small batch.
    """
    plain = (int, str, type(None))
    identity = [part if isinstance(part, plain) else id(part) for part in parts]
    key = (make.__name__, *identity)
    if key not in ARRANGED:
        if len(ARRANGED) >= MAX_ARRANGED:
            ARRANGED.clear()
        # The parts are kept: an identity is theirs as long as they live.
        ARRANGED[key] = parts, make(*parts)
    return ARRANGED[key][1]


# --- TreeEnsembleClassifier and TreeEnsembleRegressor ---


def voted_forest(
    trees: tuple[int, ...] | None,
    nodes: tuple[int, ...] | None,
    features: tuple[int, ...] | None,
    modes: tuple[str, ...] | None,
    values: tuple[float, ...] | None,
    values_tensor: Array | None,
    false_nodes: tuple[int, ...] | None,
    true_nodes: tuple[int, ...] | None,
    missing: tuple[int, ...] | None,
    vote_trees: tuple[int, ...] | None,
    vote_nodes: tuple[int, ...] | None,
    vote_targets: tuple[int, ...] | None,
    weights: tuple[float, ...] | None,
    weights_tensor: Array | None,
    count: int | None,
    aggregate: str,
    dtype: str,
) -> Forest:
    """
    The forest of TreeEnsembleClassifier's and Regressor's attributes, for `dtype`.

    Without `count` there are as many targets as votes name.
    """
    targets = ids_of(vote_targets)
    forest = arranged_forest(
        ids_of(trees),
        ids_of(nodes),
        ids_of(features),
        modes or (),
        numbers_of(values, values_tensor, dtype),
        (ids_of(false_nodes), ids_of(true_nodes)),
        ids_of(missing or (0,) * len(modes or ())),
    )
    return with_votes(
        forest,
        ids_of(vote_trees),
        ids_of(vote_nodes),
        targets,
        numbers_of(weights, weights_tensor, dtype),
        int(targets.max(initial=0)) + 1 if count is None else count,
        aggregate,
    )


def arranged_forest(
    trees: Array,
    nodes: Array,
    features: Array,
    modes: tuple[str, ...],
    splits: Array,
    branches: tuple[Array, Array],
    missing: Array,
) -> Forest:
    """
    The forest of nodes that name each other by tree and node id.

    `branches` are the ids for false and true. A tree begins at its first node. Raises
    ValueError for ids that are missing, given twice, or that lead in a circle.
    """
    count = len(trees)
    fields = (nodes, features, modes, splits, *branches, missing)
    lengths = sorted({count, *(len(field) for field in fields)})
    if len(lengths) > 1:
        raise ValueError(f"found lists of {lengths} nodes, wanted one length")
    numbers = np.array([mode_number(mode) for mode in modes], np.int32)
    keys = zip(trees.tolist(), nodes.tolist(), strict=True)
    place = {key: i for i, key in enumerate(keys)}
    if len(place) != count:
        raise ValueError("two nodes have one tree id and node id")
    children = np.arange(count).repeat(2).reshape((count, 2))
    for i in np.flatnonzero(numbers != LEAF).tolist():
        for side in (0, 1):
            child = trees[i].item(), branches[side][i].item()
            if child not in place:
                raise ValueError(f"tree {child[0]} has no node {child[1]}")
            children[i, side] = place[child]
    _, roots = np.unique(trees, return_index=True)
    inner = numbers != LEAF
    return finished_forest(
        roots=np.sort(roots),
        features=np.where(inner, features, 0),
        splits=splits,
        modes=numbers,
        missing=missing.astype(bool) & inner,
        children=children,
        place=place,
    )


def mode_number(mode: str) -> int:
    """The number of a node's mode."""
    if mode == "LEAF":
        return LEAF
    if mode not in MODES[:-1]:
        raise ValueError(
            f"nodes_modes has {mode!r}, wanted LEAF or one of {MODES[:-1]}"
        )
    return MODES.index(mode)


def finished_forest(**fields: Any) -> Forest:
    """The forest of `fields`, with its depth; its indices as narrow as they may be."""
    children, roots = fields["children"], fields["roots"]
    if len(fields["features"]) and fields["features"].min() < 0:
        raise ValueError("a node has a negative feature id")
    at, depth = np.unique(roots), 0
    while (fields["modes"][at] != LEAF).any():
        if depth > len(children):
            raise ValueError("the nodes of a tree lead in a circle")
        at, depth = np.unique(children[at]), depth + 1
    used = [int(mode) for mode in np.unique(fields["modes"]) if mode != LEAF]
    fields["depth"], fields["used"] = depth, used
    # nan differs from every split, and follows the true branch all the same only if
    # the node says so.
    differs = MODES.index("BRANCH_NEQ") in used
    fields["tracks_missing"] = bool(fields["missing"].any()) or differs
    fields["width"] = int(fields["features"].max(initial=-1)) + 1
    fields["roots"] = roots.astype(np.int32)
    fields["features"] = fields["features"].astype(np.int32)
    fields["children"] = children.astype(np.int32).reshape(-1)
    return fields


def with_votes(
    forest: Forest,
    trees: Array,
    nodes: Array,
    targets: Array,
    weights: Array,
    count: int,
    aggregate: str,
) -> Forest:
    """`forest` with its leaves' votes for `count` targets, by tree and node id."""
    lengths = sorted({len(trees), len(nodes), len(targets), len(weights)})
    if len(lengths) > 1:
        raise ValueError(f"found lists of {lengths} votes, wanted one length")
    if len(targets) and not 0 <= targets.min() <= targets.max() < count:
        raise ValueError(f"a vote is for target {targets.max()}, wanted one of {count}")
    place = forest["place"]
    leaves = np.zeros(len(forest["modes"]), np.int32)
    rows: list[int] = []
    for key in zip(trees.tolist(), nodes.tolist(), strict=True):
        if key not in place:
            raise ValueError(
                f"a vote is of tree {key[0]}, node {key[1]}: there is none"
            )
        if not leaves[place[key]]:
            leaves[place[key]] = leaves.max(initial=0) + 1
        rows.append(int(leaves[place[key]]))
    # Row 0 is that of leaves without votes.
    shape = (max(rows, default=0) + 1, count)
    table = np.full(shape, neutral(aggregate), weights.dtype)
    combine = {"MIN": np.minimum, "MAX": np.maximum}.get(aggregate, np.add)
    combine.at(table, (rows, targets), weights)
    return {
        **forest,
        "leaves": leaves,
        "weights": table,
        "targets": np.unique(targets),
        "least": weights.min(initial=0),
    }


def neutral(aggregate: str) -> float:
    """What changes nothing under `aggregate`; ValueError if it is not known."""
    if aggregate not in AGGREGATES:
        wanted = ", ".join(AGGREGATES)
        raise ValueError(f"aggregate_function is {aggregate!r}, wanted one of {wanted}")
    return {"MIN": np.inf, "MAX": -np.inf}.get(aggregate, 0.0)


def numbers_of(
    floats: tuple[float, ...] | None, tensor: Array | None, dtype: Any
) -> Array:
    """The numbers of an attribute or its tensor, at least as wide as `dtype`."""
    if tensor is not None:
        return np.asarray(tensor).reshape(-1).astype(np.result_type(tensor, dtype))
    return np.array(floats or (), dtype)


def ids_of(values: tuple[int, ...] | None) -> Array:
    """A list attribute as an array; an absent one is empty."""
    return np.array(values or (), np.int64)


# --- TreeEnsemble ---


def leaf_forest(
    leaf_targets: tuple[int, ...],
    leaf_weights: Array,
    false_leaves: tuple[int, ...],
    false_nodes: tuple[int, ...],
    features: tuple[int, ...],
    node_modes: Array,
    splits: Array,
    true_leaves: tuple[int, ...],
    true_nodes: tuple[int, ...],
    roots: tuple[int, ...],
    members: Array | None,
    count: int | None,
    missing: tuple[int, ...] | None,
    aggregate: str,
    dtype: str,
) -> Forest:
    """The forest of TreeEnsemble's attributes: leaves stand behind the nodes."""
    inner, leaves = len(features), len(leaf_targets)
    modes = np.asarray(node_modes).reshape(-1).astype(np.int32)
    if len(modes) and modes.max() >= len(MODES):
        raise ValueError(f"nodes_modes has {modes.max()}, wanted 0 to 6")
    children = np.stack(
        [
            child_positions(false_nodes, false_leaves, inner, leaves),
            child_positions(true_nodes, true_leaves, inner, leaves),
        ],
        axis=1,
    )
    own = inner + np.arange(leaves)
    tracks = np.array(missing or (0,) * inner, bool)
    forest = finished_forest(
        roots=checked_roots(roots, inner),
        features=padded(ids_of(features), inner, leaves, 0),
        splits=padded(np.asarray(splits).reshape(-1), inner, leaves, 0),
        modes=padded(modes, inner, leaves, LEAF),
        missing=padded(tracks, inner, leaves, False),
        children=np.concatenate([children, np.stack([own, own], axis=1)]),
        members=member_table(modes, members, inner + leaves),
        place={(0, i): i for i in own.tolist()},
    )
    targets, weights = ids_of(leaf_targets), np.asarray(leaf_weights).reshape(-1)
    return with_votes(
        forest,
        np.zeros(leaves, np.int64),
        own,
        targets,
        weights.astype(np.result_type(weights, dtype)),
        int(targets.max(initial=0)) + 1 if count is None else count,
        aggregate,
    )


def checked_roots(roots: tuple[int, ...], count: int) -> Array:
    """The roots of the trees as an array; ValueError unless each is a node."""
    found = ids_of(roots)
    if not len(found) or found.min() < 0 or found.max() >= count:
        raise ValueError(f"tree_roots is {roots[:8]}, wanted nodes below {count}")
    return found


def child_positions(
    ids: tuple[int, ...], are_leaves: tuple[int, ...], count: int, leaves: int
) -> Array:
    """The positions of children: leaves stand behind the `count` nodes."""
    if len(ids) != count or len(are_leaves) != count:
        found = f"{len(ids)} children and {len(are_leaves)} flags"
        raise ValueError(f"found {found}, wanted {count} of each")
    places, flags = ids_of(ids), np.array(are_leaves, bool)
    limit = np.where(flags, leaves, count)
    if (places < 0).any() or (places >= limit).any():
        raise ValueError(f"a node's child is not one of {count} nodes, {leaves} leaves")
    return np.asarray(np.where(flags, places + count, places), np.int64)


def padded(values: Array, count: int, leaves: int, fill: Any) -> Array:
    """`values` of the `count` nodes, and `fill` for the leaves."""
    if len(values) != count:
        raise ValueError(f"found a list of {len(values)} nodes, wanted {count}")
    return np.concatenate([values, np.full(leaves, fill, values.dtype)])


def member_table(modes: Array, members: Array | None, count: int) -> Array:
    """The members of each of `count` positions [count, M], filled with nan."""
    nodes = np.flatnonzero(modes == MODES.index("BRANCH_MEMBER"))
    if not len(nodes):
        return np.zeros((count, 0), np.float32)
    flat = np.zeros(0) if members is None else np.asarray(members).reshape(-1)
    ends = np.flatnonzero(np.isnan(flat))
    if len(ends) != len(nodes):
        raise ValueError(f"found {len(ends)} member sets, wanted {len(nodes)}")
    starts = np.concatenate([[0], ends[:-1] + 1])
    table = np.full((count, max(1, int((ends - starts).max()))), np.nan, flat.dtype)
    for node, start, end in zip(nodes, starts, ends, strict=True):
        table[node, : end - start] = flat[start:end]
    return table
