"""Sequence, optional and text kernels against ONNX's node tests and plain Python."""

from typing import Any

import jax
import numpy as np
import pytest
from sardonyx.backends.kernels import sequences

BACKENDS = ("numpy", "jax")
OFFICIAL = [
    "OptionalGetElement",
    "OptionalHasElement",
    "SequenceInsert",
    "SplitToSequence",
]
TEXT = [
    "RegexFullMatch",
    "StringConcat",
    "StringNormalizer",
    "StringSplit",
    "TfIdfVectorizer",
]


def ints(*values: int) -> Any:
    return np.array(values, np.int64)


def texts(*values: Any) -> Any:
    return np.array(values, object)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("op_type", OFFICIAL)
def test_official(check_official: Any, op_type: str, backend: str):
    check_official(op_type, backend)


@pytest.mark.parametrize("op_type", TEXT)
def test_official_text(check_official: Any, op_type: str):
    check_official(op_type, "numpy")


@pytest.mark.parametrize("position", [0, 2, 3, -1, -3])
def test_insert_and_erase(position: int):
    """Both count from the end below zero, and leave their operand as it is."""
    start = [ints(i) for i in range(3)]
    wanted = start.copy()
    wanted.insert(position, ints(9))
    found = sequences.sequence_insert(np, start, ints(9), np.array(position))
    assert [int(a[0]) for a in found] == [int(a[0]) for a in wanted]
    assert len(start) == 3
    place = position if position >= 0 else position + 3
    assert sequences.sequence_erase(np, found, np.array(place)) == start


def test_positions():
    parts = [ints(1), ints(2)]
    assert sequences.sequence_at(np, parts, np.array(-1)).tolist() == [2]
    assert sequences.sequence_erase(np, parts) == parts[:1]
    assert sequences.sequence_insert(np, parts, ints(3))[2].tolist() == [3]
    for position in (2, -3):
        with pytest.raises(IndexError, match="outside a sequence of 2"):
            sequences.sequence_at(np, parts, np.array(position))


def test_construct_and_length():
    parts = sequences.sequence_construct(np, ints(1), ints(2, 3))
    length = sequences.sequence_length(np, parts)
    assert (length.dtype, length.shape, int(length)) == (np.int64, (), 2)
    assert sequences.sequence_empty(np, "float16") == []


def test_traces_with_static_lengths():
    """Split, change and join a traced array."""

    def program(x: Any) -> Any:
        parts = sequences.split_to_sequence(jax.numpy, x, ints(1, 2))
        parts = sequences.sequence_insert(jax.numpy, parts, x * 2, np.array(0))
        joined = sequences.concat_from_sequence(jax.numpy, parts, axis=0)
        rows = sequences.split_to_sequence(jax.numpy, joined, keepdims=0)
        return sequences.concat_from_sequence(jax.numpy, rows, axis=-1, new_axis=1)

    x = np.arange(6, dtype=np.float32).reshape(3, 2)
    assert np.array_equal(jax.jit(program)(x), np.concatenate((x * 2, x)).T)


def test_split_by_size():
    x = np.arange(10).reshape(2, 5)
    parts = sequences.split_to_sequence(np, x, np.array(2), axis=-1, keepdims=0)
    assert [a.shape for a in parts] == [(2, 2), (2, 2), (2, 1)]
    assert sequences.split_to_sequence(np, x[:0]) == []
    with pytest.raises(ValueError, match="cannot split size 5"):
        sequences.split_to_sequence(np, x, ints(2, 2), axis=1)


def test_optional():
    assert sequences.optional(np) is None
    assert sequences.optional(np, [ints(1)], type="seq") == [ints(1)]
    with pytest.raises(ValueError, match="empty optional"):
        sequences.optional_get_element(np, None)


def test_string_split_shapes():
    x = texts(["a,b", ""], ["c", ",,d"])
    parts, counts = sequences.string_split(np, x, delimiter=",", maxsplit=1)
    assert parts is not None
    assert counts is not None
    assert parts.tolist() == [[["a", "b"], ["", ""]], [["c", ""], ["", ",d"]]]
    assert counts.tolist() == [[2, 1], [1, 2]]
    parts, counts = sequences.string_split(np, texts(" a  b "), outputs=(True, False))
    assert parts is not None
    assert parts.tolist() == [["a", "b"]]
    assert counts is None


def test_string_normalizer_refusals():
    with pytest.raises(ValueError, match="locale is 'tr_TR'"):
        sequences.string_normalizer(np, texts("I"), locale="tr_TR")
    with pytest.raises(ValueError, match="'TITLE'"):
        sequences.string_normalizer(np, texts("a"), case_change_action="TITLE")


@pytest.mark.parametrize(
    ("mode", "wanted"),
    [("TF", [0, 1, 3]), ("IDF", [0, 0.5, 2]), ("TFIDF", [0, 0.5, 6])],
)
def test_tf_idf_modes(mode: str, wanted: list[float]):
    """Words a and b, pair (a, b), with weights 2, 7 and 0.5."""
    y = sequences.tf_idf_vectorizer(
        np,
        texts(["a", "b", "a", "a"]),
        max_gram_length=2,
        max_skip_count=0,
        min_gram_length=1,
        mode=mode,
        ngram_counts=(0, 2),
        ngram_indexes=(2, 0, 1),
        pool_strings=("a", "c", "a", "b"),
        weights=(2.0, 7.0, 0.5),
    )
    assert (y.dtype, y.tolist()) == (np.float32, [wanted])


def test_tf_idf_refuses_mode():
    with pytest.raises(ValueError, match="'BM25'"):
        sequences.tf_idf_vectorizer(np, ints(1), 1, 0, 1, "BM25", (0,), (0,), (1,))
