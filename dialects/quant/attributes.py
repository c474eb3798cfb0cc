"""The quantization of a tensor as attributes: ``#quant.scheme<int4, group 0 32>``."""

from __future__ import annotations

from xdsl.ir import Data
from xdsl.irdl import irdl_attr_definition
from xdsl.parser import AttrParser
from xdsl.printer import Printer

from .formats import Format, Granularity, Scheme


@irdl_attr_definition
class FormatAttr(Data[Format]):
    """A format: ``#quant.format<int8>``, ``#quant.format<uint8 affine>``."""

    name = "quant.format"

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> Format:
        with parser.in_angle_brackets():
            return _format(parser)

    def print_parameter(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            printer.print_string(str(self.data))


@irdl_attr_definition
class GranularityAttr(Data[Granularity]):
    """What shares a scale: ``#quant.per<tensor>``, ``<axis 1>``, ``<group 0 32>``."""

    name = "quant.per"

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> Granularity:
        with parser.in_angle_brackets():
            return _granularity(parser)

    def print_parameter(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            printer.print_string(str(self.data))


@irdl_attr_definition
class SchemeAttr(Data[Scheme]):
    """Both: ``#quant.scheme<uint4 affine, group 0 32>``."""

    name = "quant.scheme"

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> Scheme:
        with parser.in_angle_brackets():
            form = _format(parser)
            parser.parse_punctuation(",")
            return Scheme(form, _granularity(parser))

    def print_parameter(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            printer.print_string(str(self.data))


def _format(parser: AttrParser) -> Format:
    position = parser.pos
    name = parser.parse_identifier()
    affine = parser.parse_optional_keyword("affine") is not None
    try:
        return Format(name, not affine)
    except ValueError as error:
        parser.raise_error(str(error), position, parser.pos)


def _granularity(parser: AttrParser) -> Granularity:
    position = parser.pos
    kind = parser.parse_identifier()
    if kind not in ("tensor", "axis", "group"):
        wanted = "tensor, axis or group"
        parser.raise_error(f"found {kind!r}, wanted {wanted}", position, parser.pos)
    axis = None if kind == "tensor" else parser.parse_integer()
    size = parser.parse_integer(allow_negative=False) if kind == "group" else 0
    if kind == "group" and size == 0:
        parser.raise_error("found groups of 0", position, parser.pos)
    return Granularity(axis, size)
