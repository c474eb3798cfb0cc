"""Kernels on sequences (Python lists), optional values (None where empty) and text."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = Any


# --- sequences: positions and lengths are static operands ---


def sequence_construct(xp: Any, *xs: Array) -> list[Array]:
    """The sequence of `xs`."""
    return list(xs)


def sequence_empty(xp: Any, dtype: str | None = None) -> list[Array]:
    """A sequence of nothing."""
    return []


def sequence_insert(
    xp: Any, sequence: list[Array], x: Array, position: Array | None = None
) -> list[Array]:
    """`sequence` with `x` before `position`; at the end by default."""
    place = len(sequence) if position is None else checked(position, len(sequence), 1)
    return [*sequence[:place], x, *sequence[place:]]


def sequence_erase(
    xp: Any, sequence: list[Array], position: Array | None = None
) -> list[Array]:
    """`sequence` without the element at `position`; the last one by default."""
    place = -1 if position is None else position
    place = checked(np.asarray(place), len(sequence), 0)
    return [*sequence[:place], *sequence[place + 1 :]]


def sequence_at(xp: Any, sequence: list[Array], position: Array) -> Array:
    """The element at `position`."""
    return sequence[checked(position, len(sequence), 0)]


def checked(position: Array, length: int, beyond: int) -> int:
    """`position` counted from the front, at most `beyond` behind the last element."""
    place = int(np.asarray(position).reshape(()))
    if not -length <= place < length + beyond:
        raise IndexError(f"position {place} is outside a sequence of {length}")
    return place + length if place < 0 else place


def sequence_length(xp: Any, sequence: list[Array]) -> Array:
    """How many elements `sequence` has."""
    return np.array(len(sequence), np.int64)


def concat_from_sequence(
    xp: Any, sequence: list[Array], axis: int, new_axis: int = 0
) -> Array:
    """The elements one after another along `axis`, or stacked on a new one."""
    if new_axis:
        return xp.stack(sequence, axis=axis)
    return xp.concatenate(sequence, axis=axis)


def split_to_sequence(
    xp: Any, x: Array, split: Array | None = None, axis: int = 0, keepdims: int = 1
) -> list[Array]:
    """The parts of `x` along `axis`: each of size `split`, or of the sizes in it."""
    axis = axis + len(x.shape) if axis < 0 else axis
    size, before = x.shape[axis], (slice(None),) * axis
    if split is None and not keepdims:
        return [x[(*before, i)] for i in range(size)]
    if split is None or len(split.shape) == 0:
        step = 1 if split is None else int(split)
        stops = [*range(0, size, step), size]
    else:
        stops = [0, *np.cumsum(split).tolist()]
    if stops[-1] != size:
        raise ValueError(f"cannot split size {size} at {stops[1:]}")
    parts = [slice(start, stop) for start, stop in pairwise(stops)]
    return [x[(*before, part)] for part in parts]


# --- optional values ---


def optional(xp: Any, x: Any = None, type: Any = None) -> Any:
    """`x`, which may be absent; `type` says of what type."""
    return x


def optional_get_element(xp: Any, x: Any) -> Any:
    """The value that `x` has."""
    if x is None:
        raise ValueError("found an empty optional, wanted an element")
    return x


def optional_has_element(xp: Any, x: Any = None) -> Array:
    """Whether `x` has a value: known before the program runs."""
    return np.array(x is not None)


# --- text: object arrays, in NumPy ---


def string_concat(xp: Any, x: Array, y: Array) -> Array:
    """The texts of `x`, each followed by that of `y`."""
    return np.asarray(np.add(x.astype(object), y.astype(object)), dtype=object)


def string_split(
    xp: Any,
    x: Array,
    delimiter: str | None = None,
    maxsplit: int | None = None,
    outputs: tuple[bool, ...] = (True, True),
) -> tuple[Array | None, ...]:
    """The parts of each text on a new last axis, filled with "", and their number."""
    limit = -1 if maxsplit is None else maxsplit
    if delimiter:
        parts = [text.split(delimiter, limit) for text in x.flat]
    else:
        parts = [text.strip().split(None, limit) for text in x.flat]
    counts = np.array([len(part) for part in parts], np.int64)
    width = int(counts.max(initial=0))
    rows = [part + [""] * (width - len(part)) for part in parts]
    table = np.array(rows, object).reshape((*x.shape, width))
    numbers = counts.reshape(x.shape)
    return table if outputs[0] else None, numbers if outputs[1] else None


def string_normalizer(
    xp: Any,
    x: Array,
    case_change_action: str = "NONE",
    is_case_sensitive: int = 0,
    locale: str | None = None,
    stopwords: tuple[str, ...] | None = None,
) -> Array:
    """The words of `x` without `stopwords`, in one case; one empty text if none."""
    if locale is not None and locale[:2] in ("az", "lt", "tr"):
        raise ValueError(f"locale is {locale!r}, whose case rules are its own")
    stops = set(stopwords or ())
    if not is_case_sensitive:
        stops = {word.lower() for word in stops}
    words: list[str] = []
    for word in x.flat:
        if (word if is_case_sensitive else word.lower()) not in stops:
            words.append(in_case(word, case_change_action))
    shape = (1, -1) if len(x.shape) == 2 else (-1,)
    return np.array(words or [""], object).reshape(shape)


def in_case(word: str, action: str) -> str:
    """`word` in the letters that `action` asks for."""
    if action == "LOWER":
        return word.lower()
    if action == "UPPER":
        return word.upper()
    if action == "NONE":
        return word
    raise ValueError(f"case_change_action is {action!r}, not LOWER, UPPER or NONE")


def regex_full_match(xp: Any, x: Array, pattern: str | None = None) -> Array:
    """Whether `pattern` matches each whole text."""
    wanted = re.compile(pattern or "")
    found = [wanted.fullmatch(text) is not None for text in x.flat]
    return np.array(found, bool).reshape(x.shape)


def tf_idf_vectorizer(
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
    pool = pool_ngrams(pool_strings or pool_int64s or (), ngram_counts)
    rows = x.reshape((-1, x.shape[-1]))
    counts = np.zeros((len(rows), len(pool)), np.float32)
    for i, row in enumerate(rows.tolist()):
        for n in range(min_gram_length, max_gram_length + 1):
            # Skips do not tell grams of one element apart.
            for stride in range(1, 2 if n == 1 else max_skip_count + 2):
                count_ngrams(counts[i], row, pool, n, stride)
    if mode == "IDF":
        counts = np.minimum(counts, 1)
    if mode != "TF" and weights is not None:
        counts = counts * np.array(weights, np.float32)
    y = np.zeros((len(rows), max(ngram_indexes) + 1), np.float32)
    for number, place in enumerate(ngram_indexes):
        y[:, place] += counts[:, number]
    return y.reshape((*x.shape[:-1], y.shape[-1]))


def pool_ngrams(
    pool: tuple[Any, ...], starts: tuple[int, ...]
) -> dict[tuple[Any, ...], int]:
    """The number of each n-gram of `pool`, whose n-grams begin at ``starts[n - 1]``."""
    numbers: dict[tuple[Any, ...], int] = {}
    for n, (start, stop) in enumerate(
        zip(starts, (*starts[1:], len(pool)), strict=True), 1
    ):
        for i in range(start, stop, n):
            numbers[pool[i : i + n]] = len(numbers)
    return numbers


def count_ngrams(
    counts: Array, row: list[Any], pool: dict[tuple[Any, ...], int], n: int, stride: int
) -> None:
    """Add to `counts` the n-grams of every `stride`-th element of `row`."""
    for start in range(len(row) - (n - 1) * stride):
        number = pool.get(tuple(row[start : start + (n - 1) * stride + 1 : stride]))
        if number is not None:
            counts[number] += 1


KERNELS: dict[str, Callable[..., Any]] = {
    "ConcatFromSequence": concat_from_sequence,
    "Optional": optional,
    "OptionalGetElement": optional_get_element,
    "OptionalHasElement": optional_has_element,
    "RegexFullMatch": regex_full_match,
    "SequenceAt": sequence_at,
    "SequenceConstruct": sequence_construct,
    "SequenceEmpty": sequence_empty,
    "SequenceErase": sequence_erase,
    "SequenceInsert": sequence_insert,
    "SequenceLength": sequence_length,
    "SplitToSequence": split_to_sequence,
    "StringConcat": string_concat,
    "StringNormalizer": string_normalizer,
    "StringSplit": string_split,
    "TfIdfVectorizer": tf_idf_vectorizer,
}

STATIC: dict[str, tuple[int, ...]] = {
    "SequenceAt": (1,),
    "SequenceErase": (1,),
    "SequenceInsert": (2,),
    "SplitToSequence": (1,),
}
