"""Counting n-grams of numbers with comparisons of whole arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from ..kernels.sequences import pool_ngrams

Array: TypeAlias = Any


def tf_idf_traced(
    xp: Any,
    x: Array,
    max_gram_length: int,
    max_skip_count: int,
    min_gram_length: int,
    mode: str,
    ngram_counts: tuple[int, ...],
    ngram_indexes: tuple[int, ...],
    pool_int64s: tuple[int, ...] | None = None,
    pool_strings: tuple[str, ...] | None = None,
    weights: tuple[float, ...] | None = None,
) -> Array:
    """How often each n-gram of the pool is in each row, weighted as `mode` says."""
    if mode not in ("TF", "IDF", "TFIDF"):
        raise ValueError(f"mode is {mode!r}, not TF, IDF or TFIDF")
    pool = pool_ngrams(pool_int64s or (), ngram_counts)
    rows = x.reshape((-1, x.shape[-1]))
    counts = xp.zeros((rows.shape[0], len(pool)), xp.float32)
    for n in range(min_gram_length, max_gram_length + 1):
        grams = [(gram, number) for gram, number in pool.items() if len(gram) == n]
        if not grams:
            continue
        wanted = np.array([gram for gram, _ in grams])
        numbers = np.array([number for _, number in grams])
        # Skips do not tell grams of one element apart.
        for stride in range(1, 2 if n == 1 else max_skip_count + 2):
            found = grams_in_rows(xp, rows, wanted, stride)
            counts = counts.at[:, numbers].add(found)
    if mode == "IDF":
        counts = xp.minimum(counts, 1)
    if mode != "TF" and weights is not None:
        counts = counts * xp.asarray(weights, xp.float32)
    y = xp.zeros((rows.shape[0], max(ngram_indexes) + 1), xp.float32)
    y = y.at[:, np.array(ngram_indexes)].add(counts)
    return y.reshape((*x.shape[:-1], y.shape[-1]))


def grams_in_rows(xp: Any, rows: Array, grams: Array, stride: int) -> Array:
    """How often each of `grams` is among every `stride`-th elements of each row."""
    length = grams.shape[1]
    places = rows.shape[1] - (length - 1) * stride
    if places <= 0:
        return xp.zeros((rows.shape[0], grams.shape[0]), xp.float32)
    same = [
        rows[:, i * stride : i * stride + places, None] == grams[None, None, :, i]
        for i in range(length)
    ]
    return xp.all(xp.stack(same), axis=0).sum(axis=1).astype(xp.float32)


KERNELS: dict[str, Callable[..., Any]] = {"TfIdfVectorizer": tf_idf_traced}
