"""What the IR says of an encoding."""

from __future__ import annotations

from xdsl.ir import Data
from xdsl.irdl import irdl_attr_definition
from xdsl.parser import AttrParser
from xdsl.printer import Printer

from .encodings import Encoding, EncodingError, parse_encoding


@irdl_attr_definition
class EncodingAttr(Data[Encoding]):
    """How a weight is stored: ``#sparse.encoding<group_shared 128 512>``."""

    name = "sparse.encoding"

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> Encoding:
        with parser.in_angle_brackets():
            position = parser.pos
            words = [parser.parse_identifier()]
            while (number := parser.parse_optional_integer()) is not None:
                words.append(str(number))
            if parser.parse_optional_keyword("shared") is not None:
                words.append("shared")
            try:
                return parse_encoding(" ".join(words))
            except EncodingError as error:
                parser.raise_error(str(error), position, parser.pos)

    def print_parameter(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            printer.print_string(str(self.data))
