"""
From an ONNX operator schema to an xDSL op class.

Every operator of the installed onnx becomes a class: inputs are operands (an absent
optional input is an `onnx.none` value), outputs are results (an output that nobody
asked for has type ``none``), attributes are properties under ONNX's names and defaults,
graph attributes are regions. Nothing about an operator is typed by hand.
"""

from __future__ import annotations

import keyword
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import new_class
from typing import Any, TypeAlias, cast

import numpy as np
from onnx.defs import OpSchema
from typing_extensions import TypeVar
from xdsl.dialects.builtin import (
    ArrayAttr,
    DenseArrayBase,
    FloatAttr,
    IntegerAttr,
    NoneType,
    StringAttr,
    TensorType,
    f32,
    i64,
)
from xdsl.ir import Attribute, Operation, OpTrait, Region, SSAValue
from xdsl.irdl import (
    AnyAttr,
    AttrConstraint,
    BaseAttr,
    IntConstraint,
    IRDLOperation,
    VerificationContext,
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    prop_def,
    region_def,
    result_def,
    traits_def,
    var_operand_def,
    var_result_def,
)
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.traits import IsTerminator, Pure, RecursiveMemoryEffect
from xdsl.utils.exceptions import VerifyException

from .text import attr_text, decode, text_attr
from .types import (
    DTYPE_NAMES,
    Array,
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
}
"""The dialect of each ONNX domain."""
DOMAINS = {prefix: domain for domain, prefix in PREFIXES.items()}

SCHEMAS: dict[str, OpSchema] = {}
"""The schema that an op's class was built from, by op name (``onnx.Conv``)."""

AttributeValue: TypeAlias = (
    Attribute
    | bool
    | int
    | float
    | str
    | bytes
    | Sequence[int]
    | Sequence[float]
    | Sequence[str]
    | Array
)
"""What an attribute may be given as: an IR attribute, or a Python value of its kind."""

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
        value = type_string(kind.value) if scalar is None else _element_string(scalar)
        return f"map({_element_string(kind.key)}, {value})"
    if isinstance(kind, SparseTensorType):
        return f"sparse_{type_string(kind.dense)}"
    element = element_of(kind)
    if element is None:
        raise VerifyException(f"{kind} is not an ONNX type")
    return f"tensor({_element_string(element)})"


def _element_string(element: Attribute) -> str:
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
        """The operator's schema in the installed onnx."""
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
        entries = parser.parse_optional_attr_dict()
        regions = parser.parse_region_list()
        parser.parse_punctuation(":")
        position = parser.pos
        kind = parser.parse_function_type()
        operands = parser.resolve_operands(arguments, kind.inputs.data, position)
        known = cls.get_irdl_definition().properties
        return cls.create(
            operands=operands,
            result_types=kind.outputs.data,
            properties={n: a for n, a in entries.items() if n in known},
            attributes={n: a for n, a in entries.items() if n not in known},
            regions=regions,
        )


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
            entries = parser.parse_optional_attr_dict()
            parser.parse_punctuation(":")
            kind = parser.parse_function_type()
            known = cls.get_irdl_definition().properties
            return cls.create(
                result_types=kind.outputs.data,
                properties={n: a for n, a in entries.items() if n in known},
                attributes={n: a for n, a in entries.items() if n not in known},
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


# --- attributes ---

_KINDS = OpSchema.AttrType


def attribute(schema: OpSchema, name: str, value: AttributeValue) -> Attribute:
    """
    `value` as the IR attribute of `schema` called `name`.

    Raises ValueError if the operator has no such attribute, or one of another kind.
    """
    if name not in schema.attributes:
        raise ValueError(f"{schema.name} has no attribute {name!r}")
    if isinstance(value, Attribute):
        return value
    kind = schema.attributes[name].type
    try:
        return _attribute_of_kind(kind, value)
    except (TypeError, AttributeError, ValueError) as error:
        wanted = str(kind).rpartition(".")[2]
        raise ValueError(
            f"{schema.name}: attribute {name!r} is {value!r}, wanted {wanted}"
        ) from error


def _attribute_of_kind(kind: OpSchema.AttrType, value: Any) -> Attribute:
    match kind:
        case _KINDS.INT:
            return IntegerAttr(int(value), i64)
        case _KINDS.FLOAT:
            return FloatAttr(float(value), f32)
        case _KINDS.STRING:
            return text_attr(decode(value) if isinstance(value, bytes) else str(value))
        case _KINDS.INTS:
            return DenseArrayBase.from_list(i64, [int(v) for v in value])
        case _KINDS.FLOATS:
            return DenseArrayBase.from_list(f32, [float(v) for v in value])
        case _KINDS.STRINGS:
            return ArrayAttr([_attribute_of_kind(_KINDS.STRING, v) for v in value])
        case _KINDS.TENSOR:
            return DenseAttr.of(np.asarray(value))
        case _:
            raise ValueError(value)


def python_value(value: Attribute) -> Any:
    """An attribute as int, float, str or a tuple of these; others as they are."""
    if isinstance(value, IntegerAttr):
        return cast(IntegerAttr[Any], value).value.data
    if isinstance(value, FloatAttr):
        return cast(FloatAttr[Any], value).value.data
    if isinstance(value, StringAttr):
        return attr_text(value)
    if isinstance(value, DenseArrayBase):
        return tuple(cast(DenseArrayBase[Any], value).get_values())
    if isinstance(value, ArrayAttr):
        return tuple(python_value(v) for v in cast(ArrayAttr[Attribute], value).data)
    return value


def default_attribute(schema: OpSchema, name: str) -> Attribute | None:
    """The value that an attribute has when it is absent, if the schema states one."""
    default = schema.attributes[name].default_value
    match default.type:
        case default.INT:
            return IntegerAttr(default.i, i64)
        case default.FLOAT:
            return FloatAttr(default.f, f32)
        case default.STRING:
            return text_attr(decode(default.s))
        case default.INTS:
            return DenseArrayBase.from_list(i64, list(default.ints))
        case default.FLOATS:
            return DenseArrayBase.from_list(f32, list(default.floats))
        case default.STRINGS:
            return ArrayAttr([text_attr(decode(s)) for s in default.strings])
        case _:
            return None


_ATTRIBUTE_CONSTRAINTS: dict[OpSchema.AttrType, AttrConstraint] = {
    _KINDS.INT: BaseAttr(IntegerAttr),
    _KINDS.FLOAT: BaseAttr(FloatAttr),
    _KINDS.STRING: BaseAttr(StringAttr),
    _KINDS.INTS: BaseAttr(DenseArrayBase),
    _KINDS.FLOATS: BaseAttr(DenseArrayBase),
    _KINDS.STRINGS: BaseAttr(ArrayAttr),
}


# --- classes ---

_Single = OpSchema.FormalParameterOption.Single
_Variadic = OpSchema.FormalParameterOption.Variadic


def field_names(schema: OpSchema) -> dict[tuple[str, str], str]:
    """
    The Python name of each ("input" | "attribute" | "output", ONNX name).

    ONNX's own name unless Python or xDSL has taken it or an earlier field has it, then
    the name with an underscore.
    """
    taken = set(dir(IRDLOperation)) | {"schema", "op_type", "domain", "name"}
    names: dict[tuple[str, str], str] = {}
    fields = (
        ("input", [parameter.name for parameter in schema.inputs]),
        ("attribute", list(schema.attributes)),
        ("output", [parameter.name for parameter in schema.outputs]),
    )
    for kind, members in fields:
        for onnx_name in members:
            name = onnx_name
            while name in taken or keyword.iskeyword(name):
                name += "_"
            taken.add(name)
            names[kind, onnx_name] = name
    return names


def class_name(schema: OpSchema) -> str:
    """The Python name of the op's class: ``ConvOp``."""
    return f"{schema.name}Op"


def op_name(schema: OpSchema) -> str:
    """The name of the op in the IR: ``onnx.Conv``."""
    return f"{PREFIXES[schema.domain]}.{schema.name}"


def _constraint(
    schema: OpSchema, parameter: OpSchema.FormalParameter
) -> ValueConstraint:
    if schema.name == "Constant":
        # Initializers are constants too, and may have any element type.
        return ValueConstraint(frozenset(_all_tensors()), None, False)
    allowed = {c.type_param_str: c.allowed_type_strs for c in schema.type_constraints}
    type_name = parameter.type_str
    optional = parameter.option != _Single
    if type_name not in allowed:
        return ValueConstraint(frozenset([type_name]), None, optional)
    heterogeneous = parameter.option == _Variadic and not parameter.is_homogeneous
    variable = None if heterogeneous else type_name
    return ValueConstraint(frozenset(allowed[type_name]), variable, optional)


def _all_tensors() -> list[str]:
    return [f"tensor({_element_string(element)})" for element in DTYPE_NAMES]


def _effects(schema: OpSchema) -> tuple[OpTrait, ...]:
    has_graph = any(a.type == _KINDS.GRAPH for a in schema.attributes.values())
    if has_graph:
        return (RecursiveMemoryEffect(),)
    # onnx's stubs leave this property out. Where onnx says nothing (SpaceToDepth, say)
    # the operator is a function of its inputs as the others are: none has state.
    determinism = cast(Any, schema).node_determinism
    random = determinism == OpSchema.NodeDeterminism.NonDeterministic
    return () if random else (Pure(),)


def op_class(schema: OpSchema) -> type[OnnxOp]:
    """The op class of an operator's schema; registers the schema in `SCHEMAS`."""
    names = field_names(schema)
    body: dict[str, Any] = {"name": op_name(schema), "__doc__": schema.doc}
    for parameter in schema.inputs:
        define = var_operand_def if parameter.option == _Variadic else operand_def
        field = names["input", parameter.name]
        body[field] = define(_constraint(schema, parameter))
    for name, declared in schema.attributes.items():
        field = names["attribute", name]
        if declared.type == _KINDS.GRAPH:
            body[field] = region_def()
            continue
        constraint = _ATTRIBUTE_CONSTRAINTS.get(declared.type, AnyAttr())
        if declared.required:
            body[field] = prop_def(constraint, prop_name=name)
            continue
        default = default_attribute(schema, name)
        body[field] = opt_prop_def(constraint, default_value=default, prop_name=name)
    for parameter in schema.outputs:
        define = var_result_def if parameter.option == _Variadic else result_def
        field = names["output", parameter.name]
        body[field] = define(_constraint(schema, parameter))
    body["traits"] = traits_def(*_effects(schema))
    base = ConstantBase if op_name(schema) == "onnx.Constant" else OnnxOp
    SCHEMAS[op_name(schema)] = schema
    made = new_class(class_name(schema), (base,), {}, lambda space: space.update(body))
    made.__module__ = __name__.rpartition(".")[0] + ".ops"
    return cast(type[OnnxOp], irdl_op_definition(made))
