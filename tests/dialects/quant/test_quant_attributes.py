"""The attributes of the quant dialect, in text."""

from io import StringIO

import pytest
from sardonyx.compiler.context import make_context
from sardonyx.dialects.quant import (
    Format,
    FormatAttr,
    Granularity,
    GranularityAttr,
    Scheme,
    SchemeAttr,
)
from xdsl.ir import Attribute
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.utils.exceptions import ParseError

ATTRIBUTES = {
    "#quant.format<int8>": FormatAttr(Format("int8")),
    "#quant.format<uint3 affine>": FormatAttr(Format("uint3", False)),
    "#quant.format<e4m3>": FormatAttr(Format("e4m3")),
    "#quant.per<tensor>": GranularityAttr(Granularity()),
    "#quant.per<axis 1>": GranularityAttr(Granularity(1)),
    "#quant.per<group 0 32>": GranularityAttr(Granularity(0, 32)),
    "#quant.scheme<uint4 affine, group 0 32>": SchemeAttr(
        Scheme(Format("uint4", False), Granularity(0, 32))
    ),
}


def parse(text: str) -> Attribute:
    return Parser(make_context(), text).parse_attribute()


@pytest.mark.parametrize("text", ATTRIBUTES)
def test_text_round_trips(text: str) -> None:
    stream = StringIO()
    Printer(stream).print_attribute(ATTRIBUTES[text])
    assert stream.getvalue() == text
    assert parse(text) == ATTRIBUTES[text]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("#quant.format<int1>", "found format 'int1'"),
        ("#quant.format<e5m2 affine>", "found e5m2 affine, wanted symmetric"),
        ("#quant.per<block 1>", "found 'block', wanted tensor, axis or group"),
        ("#quant.per<group 0 0>", "found groups of 0"),
    ],
)
def test_refusals(text: str, message: str) -> None:
    with pytest.raises(ParseError, match=message):
        parse(text)
