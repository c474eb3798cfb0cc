"""
What the op class of every ONNX operator shares; `classes` makes them from the schemas.

Inputs are operands (an absent optional input is an `onnx.none` value), outputs are
results (an output that nobody asked for has type ``none``), attributes are properties,
graph attributes are regions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

from onnx.defs import OpSchema
from typing_extensions import TypeVar
from xdsl.dialects.builtin import (
    NoneType,
    StringAttr,
    TensorType,
)
from xdsl.ir import Attribute, Operation, Region, SSAValue
from xdsl.irdl import (
    AttrConstraint,
    IntConstraint,
    IRDLOperation,
    VerificationContext,
    irdl_op_definition,
    result_def,
    traits_def,
    var_operand_def,
)
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.traits import IsTerminator, Pure
from xdsl.utils.exceptions import VerifyException

from .attributes import AttributeValue, attribute, python_value
from .types import (
    DTYPE_NAMES,
    DenseAttr,
    MapType,
    OptionalType,
    SequenceType,
    SparseTensorType,
    WeightAttr,
    element_of,
    is_none,
    static_shape,
    verify_tensor,
)

PREFIXES = {
    "": "onnx",
    "ai.onnx.ml": "onnx_ml",
    "ai.onnx.preview": "onnx_preview",
    "ai.onnx.preview.training": "onnx_training",
    "com.microsoft": "microsoft",
    "com.microsoft.nchwc": "microsoft_nchwc",
    "sardonyx.fourier": "fourier",
    "sardonyx.nhwc": "nhwc",
    "sardonyx.sparse": "sparse",
}
"""The dialect of each ONNX domain."""
DOMAINS = {prefix: domain for domain, prefix in PREFIXES.items()}

SCHEMAS: dict[str, OpSchema] = {}
"""The schema that an op's class was built from, by op name (``onnx.Conv``)."""

_ONNX_NAMES = {
    "float32": "float",
    "float64": "double",
    "float8_e4m3fn": "float8e4m3fn",
    "float8_e4m3fnuz": "float8e4m3fnuz",
    "float8_e5m2": "float8e5m2",
    "float8_e5m2fnuz": "float8e5m2fnuz",
    "float8_e8m0fnu": "float8e8m0",
    "float6_e2m3fn": "float6e2m3",
    "float6_e3m2fn": "float6e3m2",
    "float4_e2m1fn": "float4e2m1",
}


@lru_cache(maxsize=4096)
def type_string(kind: Attribute) -> str:
    """ONNX's name of a type without its shape: ``tensor(float)``."""
    if isinstance(kind, SequenceType):
        return f"seq({type_string(kind.element)})"
    if isinstance(kind, OptionalType):
        return f"optional({type_string(kind.element)})"
    if isinstance(kind, MapType):
        # ONNX writes a map to scalars without the tensor that each of them is.
        scalar = element_of(kind.value)
        value = type_string(kind.value) if scalar is None else element_string(scalar)
        return f"map({element_string(kind.key)}, {value})"
    if isinstance(kind, SparseTensorType):
        return f"sparse_{type_string(kind.dense)}"
    element = element_of(kind)
    if element is None:
        raise VerifyException(f"{kind} is not an ONNX type")
    return f"tensor({element_string(element)})"


def element_string(element: Attribute) -> str:
    """ONNX's name of an element type: ``float``."""
    if element not in DTYPE_NAMES:
        raise VerifyException(f"{element} is not an ONNX element type")
    name = DTYPE_NAMES[element]
    return _ONNX_NAMES.get(name, name)


@dataclass(frozen=True)
class ValueConstraint(AttrConstraint):
    """
    A schema's constraint on an input or output.

    The type is one of `allowed` (ONNX type strings) or, if `optional`, absent; all
    values of one `variable` have the same element type.
    """

    allowed: frozenset[str]
    variable: str | None
    optional: bool

    def verify(self, attr: Attribute, constraint_context: VerificationContext) -> None:
        if is_none(attr):
            if not self.optional:
                raise VerifyException("a value that is not optional has type none")
            return
        if isinstance(attr, TensorType):
            attr = cast(TensorType[Attribute], attr)
            verify_tensor(attr)
        found = type_string(attr)
        if found not in self.allowed:
            wanted = ", ".join(sorted(self.allowed))
            raise VerifyException(f"found {found}, wanted one of {wanted}")
        if self.variable is None:
            return
        bound = constraint_context.get_variable(self.variable)
        if bound is None:
            constraint_context.set_attr_variable(self.variable, StringAttr(found))
        elif bound != StringAttr(found):
            wanted = cast(StringAttr, bound).data
            raise VerifyException(
                f"found {found} where {self.variable} is already {wanted}"
            )

    def mapping_type_vars(
        self, type_var_mapping: Mapping[TypeVar, AttrConstraint | IntConstraint]
    ) -> ValueConstraint:
        return self


class OnnxOp(IRDLOperation):
    """An ONNX operator: ``%y = onnx.Relu(%x) : (tensor<2xf32>) -> tensor<2xf32>``."""

    @classmethod
    def schema(cls) -> OpSchema:
        """The operator's newest schema."""
        return SCHEMAS[cls.name]

    @classmethod
    def op_type(cls) -> str:
        """The operator's name in ONNX: ``Conv``."""
        return cls.name.partition(".")[2]

    @classmethod
    def domain(cls) -> str:
        """The operator's domain in ONNX; the default one is empty."""
        return DOMAINS[cls.name.partition(".")[0]]

    def __init__(
        self,
        *operands: SSAValue,
        result_types: Sequence[Attribute],
        **attributes: AttributeValue | Region | None,
    ):
        """
        An op on `operands` in the schema's order, attributes by ONNX name.

        A region is the attribute that is a graph. Raises ValueError for an attribute
        that the operator lacks or a value of another kind. `infer.build` finds the
        result types.
        """
        schema = self.schema()
        properties: dict[str, Attribute] = {}
        regions: dict[str, Region] = {}
        for name, value in attributes.items():
            if isinstance(value, Region):
                regions[name] = value
            elif value is not None:
                properties[name] = attribute(schema, name, value)
        wanted = [name for name, _ in self.get_irdl_definition().regions]
        if sorted(regions) != sorted(wanted):
            raise ValueError(
                f"{self.name}: found regions {sorted(regions)}, wanted {sorted(wanted)}"
            )
        Operation.__init__(
            self,
            operands=operands,
            result_types=result_types,
            properties=properties,
            regions=[regions[name] for name in wanted],
        )

    @property
    def has_body(self) -> bool:
        """
        Whether a graph attribute is set; one that is optional may be an empty region.
        """
        return any(region.blocks for region in self.regions)

    def python_attributes(self) -> dict[str, Any]:
        """
        The attributes that are set, as Python values: int, float, str, tuples of these.

        Tensors stay DenseAttr or WeightAttr, types stay types.
        """
        return {name: python_value(a) for name, a in self.properties.items()}

    def print(self, printer: Printer) -> None:
        printer.print_operands(self.operands)
        printer.print_op_attributes({**self.properties, **self.attributes})
        printer.print_regions(self.regions)
        printer.print_string(" : ")
        printer.print_function_type(self.operand_types, self.result_types)

    @classmethod
    def parse(cls, parser: Parser) -> OnnxOp:
        arguments = parser.parse_op_args_list()
        properties, attributes = cls._parse_attributes(parser)
        regions = parser.parse_region_list()
        parser.parse_punctuation(":")
        position = parser.pos
        kind = parser.parse_function_type()
        operands = parser.resolve_operands(arguments, kind.inputs.data, position)
        return cls.create(
            operands=operands,
            result_types=kind.outputs.data,
            properties=properties,
            attributes=attributes,
            regions=regions,
        )

    @classmethod
    def _parse_attributes(
        cls, parser: Parser
    ) -> tuple[dict[str, Attribute], dict[str, Attribute]]:
        """
        The operator's own attributes, and others' notes (``{my.note = 1}``).

        A note has its dialect's prefix: anything else is a misspelt attribute.
        """
        start = parser.pos
        entries = parser.parse_optional_attr_dict()
        known = cls.get_irdl_definition().properties
        for name in entries:
            if name not in known and "." not in name:
                parser.raise_error(f"{cls.op_type()} has no attribute {name!r}", start)
        properties = {n: a for n, a in entries.items() if n in known}
        return properties, {n: a for n, a in entries.items() if n not in known}


class ConstantBase(OnnxOp):
    """
    Adds to `onnx.Constant` its short form and what a constant must be.

    ``%w = onnx.Constant #onnx.weight<"conv1.weight"> : tensor<64x3x7x7xf32>``
    ``%s = onnx.Constant dense<[1, -1]> : tensor<2xi64>``
    """

    def print(self, printer: Printer) -> None:
        value = self.properties.get("value")
        if len(self.properties) != 1 or self.attributes:
            super().print(printer)
        elif isinstance(value, DenseAttr):
            printer.print_string(" dense")
            with printer.in_angle_brackets():
                value.print_items(printer)
            printer.print_string(" : ")
            printer.print_attribute(value.type)
        elif isinstance(value, WeightAttr):
            printer.print_string(" ")
            printer.print_attribute(value)
            printer.print_string(" : ")
            printer.print_attribute(self.results[0].type)
        else:
            super().print(printer)

    @classmethod
    def parse(cls, parser: Parser) -> OnnxOp:
        if parser.parse_optional_punctuation("(") is not None:
            parser.parse_punctuation(")")
            properties, attributes = cls._parse_attributes(parser)
            parser.parse_punctuation(":")
            kind = parser.parse_function_type()
            return cls.create(
                result_types=kind.outputs.data,
                properties=properties,
                attributes=attributes,
            )
        if parser.parse_optional_keyword("dense"):
            with parser.in_angle_brackets():
                items = DenseAttr.parse_items(parser)
            dense = DenseAttr.parse_typed(parser, items)
            return cls.create(result_types=[dense.type], properties={"value": dense})
        value = parser.parse_attribute()
        parser.parse_punctuation(":")
        kind = parser.parse_type()
        return cls.create(result_types=[kind], properties={"value": value})

    def verify_(self) -> None:
        value, kind = self.properties.get("value"), self.results[0].type
        if isinstance(value, DenseAttr) and value.type != kind:
            raise VerifyException(f"found a value of {value.type}, wanted {kind}")
        if isinstance(value, WeightAttr) and static_shape(kind) is None:
            raise VerifyException(f"found {kind} for a weight, wanted a static shape")


@irdl_op_definition
class NoneOp(IRDLOperation):
    """The value of an optional input that is absent: ``%none = onnx.none : none``."""

    name = "onnx.none"
    result = result_def(NoneType)
    traits = traits_def(Pure())
    assembly_format = "attr-dict `:` type($result)"

    def __init__(self) -> None:
        super().__init__(result_types=[NoneType()])


@irdl_op_definition
class YieldOp(IRDLOperation):
    """
    Ends a region with the subgraph's outputs: ``onnx.yield(%a, %b) : (...) -> ()``.
    """

    name = "onnx.yield"
    arguments = var_operand_def()
    traits = traits_def(IsTerminator(), Pure())
    assembly_format = (
        "`(` $arguments `)` attr-dict `:` `(` type($arguments) `)` `->` `(` `)`"
    )

    def __init__(self, *operands: SSAValue) -> None:
        super().__init__(operands=[operands])
