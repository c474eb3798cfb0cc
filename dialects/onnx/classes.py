"""
Builds the op class of an operator from its schema.

Inputs become operands, attributes properties under ONNX's names and defaults, graph
attributes regions, outputs results. Nothing about an operator is typed by hand.
"""

from __future__ import annotations

import keyword
from types import new_class
from typing import Any, TypeVar, cast

from onnx.defs import OpSchema
from xdsl.ir import OpTrait
from xdsl.irdl import (
    AnyAttr,
    IRDLOperation,
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
from xdsl.traits import Pure, RecursiveMemoryEffect

from .attributes import CONSTRAINTS, default_attribute
from .base import (
    PREFIXES,
    SCHEMAS,
    OnnxOp,
    ValueConstraint,
    element_string,
)
from .types import DTYPE_NAMES

Made = TypeVar("Made", bound=OnnxOp)

_KINDS = OpSchema.AttrType
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
    """
    The Python name of the op's class: ``ConvOp``, ``MicrosoftGeluOp``.

    ONNX Runtime's operators have their dialect's name before their own, for many are
    called as onnx's are.
    """
    if not schema.domain.startswith("com."):
        return f"{schema.name}Op"
    dialect = "".join(map(str.capitalize, PREFIXES[schema.domain].split("_")))
    return f"{dialect}{schema.name}Op"


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
    return [f"tensor({element_string(element)})" for element in DTYPE_NAMES]


def _effects(schema: OpSchema) -> tuple[OpTrait, ...]:
    has_graph = any(a.type == _KINDS.GRAPH for a in schema.attributes.values())
    if has_graph:
        return (RecursiveMemoryEffect(),)
    # onnx's stubs leave this property out. Where onnx says nothing (SpaceToDepth, say)
    # the operator is a function of its inputs as the others are: none has state.
    determinism = cast(Any, schema).node_determinism
    random = determinism == OpSchema.NodeDeterminism.NonDeterministic
    return () if random else (Pure(),)


def op_class(schema: OpSchema, base: type[Made] = OnnxOp) -> type[Made]:
    """
    The op class of an operator's schema, a subclass of `base`; registers the schema in
    `SCHEMAS`.
    """
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
        constraint = CONSTRAINTS.get(declared.type, AnyAttr())
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
    SCHEMAS[op_name(schema)] = schema
    made = new_class(class_name(schema), (base,), {}, lambda space: space.update(body))
    made.__module__ = __name__.rpartition(".")[0] + ".ops"
    return cast(type[Made], irdl_op_definition(made))
