"""Any text as an MLIR string, and back."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sardonyx.compiler.context import make_context
from sardonyx.dialects.onnx import WeightAttr
from sardonyx.dialects.onnx.text import attr_text, decode, encode, text_attr
from sardonyx.dialects.onnx.types import DenseAttr, DimsAttr
from xdsl.dialects.builtin import StringAttr
from xdsl.parser import Parser

# Any character, surrogates included.
TEXT = st.text(st.characters())
CONTEXT = make_context()
HOSTILE = [
    "",
    "plain name",
    'say "hi"',
    '"""',
    "\\",
    "\\\\",
    "\\x41",
    "\\\\x41",
    "\\u0041",
    "\\n",
    "a\nb\r\tc",
    "\x00\x07\x7f",
    "é ß 形 \U0001f600",
    "\udc80\ud800",
    "</script>",
    "../../etc",
    "${HOME} $(id) `id` %s {0}",
    "\\22",
    "\u2028",
]


def through_text(attribute: Any) -> Any:
    return Parser(CONTEXT, str(attribute)).parse_attribute()


@given(TEXT)
def test_text_survives(text: str) -> None:
    attribute = text_attr(text)
    assert attr_text(attribute) == text
    assert attribute.data.isascii()
    assert attr_text(through_text(attribute)) == text


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_survives(text: str) -> None:
    assert attr_text(through_text(text_attr(text))) == text
    assert through_text(WeightAttr(text)) == WeightAttr(text)
    dims = DimsAttr((2, text, "?"))
    assert through_text(dims) == dims
    strings = DenseAttr((DenseAttr.of(as_objects(text)).type, (text,)))
    assert through_text(strings) == strings


def as_objects(*texts: str) -> Any:
    import numpy as np

    return np.array(texts, object)


@given(TEXT)
def test_weight_keys_survive(key: str) -> None:
    assert through_text(WeightAttr(key)) == WeightAttr(key)


@given(st.lists(TEXT, max_size=4))
def test_string_tensors_survive(texts: list[str]) -> None:
    dense = DenseAttr.of(as_objects(*texts))
    again = through_text(dense)
    assert again == dense
    assert again.array().tolist() == texts


@given(st.binary())
def test_bytes_survive(raw: bytes) -> None:
    assert encode(decode(raw)) == raw


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("é", "\\xe9"), ("形", "\\u5f62"), ("\U0001f600", "\\U0001f600"), ("\\", "\\\\")],
)
def test_form(text: str, wanted: str) -> None:
    assert text_attr(text).data == wanted


def test_an_escape_left_out_is_caught() -> None:
    # A string attribute made by hand, as if no escape were needed.
    assert attr_text(StringAttr("\\x41")) != "\\x41"
