"""Encodings: their text, their exact sizes, what they refuse, and round trips."""

from fractions import Fraction
from io import StringIO
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sardonyx.compiler.context import make_context
from sardonyx.dialects.sparse import (
    NM,
    Bitmap,
    Block,
    Encoding,
    EncodingAttr,
    EncodingError,
    GroupShared,
)
from sardonyx.dialects.sparse.arrays import Gathered, decoded, encoded, rows_of
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.utils.exceptions import ParseError

SHAPE = (48, 32)


def weight(encoding: Encoding) -> Any:
    """A random weight of `SHAPE` that has no more than `encoding` keeps."""
    rng = np.random.default_rng(7)
    whole = rng.standard_normal(SHAPE).astype(np.float32)
    depth, width = SHAPE
    keep = np.zeros(SHAPE, bool)
    if isinstance(encoding, NM):
        for start in range(0, depth, encoding.m):
            shared = rng.permutation(encoding.m)[: encoding.n]
            for n in range(width):
                own = rng.permutation(encoding.m)[: encoding.n]
                keep[start + (shared if encoding.shared else own), n] = True
    elif isinstance(encoding, GroupShared):
        for start in range(0, width, encoding.group):
            rows = rng.permutation(depth)[: encoding.kept]
            keep[rows, start : start + encoding.group] = True
    elif isinstance(encoding, Block):
        size = encoding.inputs
        for start in range(0, width, encoding.outputs):
            for block in rng.permutation(depth // size)[: encoding.kept]:
                rows = slice(block * size, (block + 1) * size)
                keep[rows, start : start + encoding.outputs] = True
    elif isinstance(encoding, Bitmap):
        keep.reshape(-1)[rng.permutation(keep.size)[: encoding.nonzero]] = True
    return np.where(keep, whole, np.float32(0))


ENCODINGS = {
    "nm 2 4": NM(2, 4),
    "nm 1 8": NM(1, 8),
    "nm 2 4 shared": NM(2, 4, True),
    "group_shared 8 20": GroupShared(8, 20),
    "group_shared 32 1": GroupShared(32, 1),
    "block 4 16 5": Block(4, 16, 5),
    "block 16 1 2": Block(16, 1, 2),
    "bitmap 700": Bitmap(700),
    "bitmap 0": Bitmap(0),
    "bitmap 1536": Bitmap(1536),
}


@pytest.mark.parametrize("text", ENCODINGS)
def test_text_round_trips(text: str) -> None:
    attribute = EncodingAttr(ENCODINGS[text])
    stream = StringIO()
    Printer(stream).print_attribute(attribute)
    assert stream.getvalue() == f"#sparse.encoding<{text}>"
    parsed = Parser(make_context(), stream.getvalue()).parse_attribute()
    assert parsed == attribute


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("csr 4", "found encoding 'csr'"),
        ("nm 2", "found 'nm 2'"),
        ("nm 5 4", "found nm 5 of 4"),
        ("nm 0 4", "found nm with n 0"),
        ("group_shared 0 4", "found group_shared with group 0"),
        ("block 4 4 0", "found block with kept 0"),
        ("bitmap", "found 'bitmap'"),
        ("bitmap 4 shared", "found 'bitmap 4 shared'"),
    ],
)
def test_text_that_is_none_is_refused(text: str, message: str) -> None:
    with pytest.raises(ParseError) as error:
        Parser(make_context(), f"#sparse.encoding<{text}>").parse_attribute()
    assert message in str(error.value)


@pytest.mark.parametrize("text", ENCODINGS)
def test_round_trip_and_exact_sizes(text: str) -> None:
    encoding = ENCODINGS[text]
    whole = weight(encoding)
    packed = encoded(whole, encoding)
    np.testing.assert_array_equal(decoded(packed, SHAPE), whole)
    stored = packed.values.size if encoding != Bitmap(0) else 0
    assert encoding.stored(SHAPE) == stored
    assert encoding.density(SHAPE) == Fraction(stored, whole.size)
    index = packed.indices if isinstance(packed, Gathered) else packed.mask
    assert encoding.index_bytes(SHAPE) == index.nbytes
    assert encoding.bytes(SHAPE, 4) == stored * 4 + index.nbytes


@pytest.mark.parametrize("text", [t for t in ENCODINGS if t != "bitmap 1536"])
def test_one_element_more_is_refused(text: str) -> None:
    encoding = ENCODINGS[text]
    whole = weight(encoding)
    # Where the first output has what it may have, the next input is too much.
    whole[np.flatnonzero((whole == 0).any(1))[0], :] = 1
    whole[: encoding.m if isinstance(encoding, NM) else 0] = 1
    with pytest.raises(EncodingError):
        encoded(whole, encoding)


@pytest.mark.parametrize(
    "encoding",
    [
        NM(2, 5),
        GroupShared(5, 4),
        GroupShared(8, 49),
        Block(5, 8, 1),
        Block(4, 5, 1),
        Block(4, 8, 13),
        Bitmap(2000),
    ],
)
def test_shapes_that_do_not_fit(encoding: Encoding) -> None:
    with pytest.raises(EncodingError):
        encoded(np.zeros(SHAPE, np.float32), encoding)


def test_fewer_than_kept_is_no_matter() -> None:
    whole = np.zeros(SHAPE, np.float32)
    whole[5, 9] = 2
    for encoding in (NM(2, 4), NM(2, 4, True), GroupShared(8, 20), Block(4, 16, 5)):
        np.testing.assert_array_equal(decoded(encoded(whole, encoding), SHAPE), whole)


@given(st.integers(1, 8), st.integers(1, 8), st.integers(0, 2**32 - 1))
def test_nm_keeps_n_of_every_m(n: int, m: int, seed: int) -> None:
    n = min(n, m)
    rng = np.random.default_rng(seed)
    whole = rng.integers(1, 9, (3 * m, 5)).astype(np.float32)
    for start in range(0, 3 * m, m):
        for column in range(5):
            whole[start + rng.permutation(m)[n:], column] = 0
    packed = encoded(whole, NM(n, m))
    assert packed.values.size == 3 * n * 5
    np.testing.assert_array_equal(decoded(packed, whole.shape), whole)


def test_rows_of_runs() -> None:
    packed = Gathered(np.zeros((1, 6, 2)), np.array([[0, 2]], np.int32), 3)
    assert rows_of(packed).tolist() == [[0, 1, 2, 6, 7, 8]]
