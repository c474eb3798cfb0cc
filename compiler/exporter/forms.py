"""
Which opset an exported model states: the lowest in which every op can be said as it is.

The IR has every operator in its newest form. Most forms differ from the one before in
the types that they take, so a model of usual types can be said in an opset that
runtimes have known for years; what an older form lacks makes the model newer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import onnx
from onnx import defs
from xdsl.ir import Attribute, SSAValue

from ...dialects.onnx import OnnxOp, WeightStore
from ...dialects.onnx.attributes import python_value
from ...dialects.onnx.base import type_string
from ...dialects.onnx.dims import Dim
from ...dialects.onnx.facts import Facts, inferred_by_onnx
from ...dialects.onnx.integers import IntegerValues
from ...dialects.onnx.types import is_none, shape_of
from ..importer.upgrades import UNCHANGED

OLDEST = 13
"""The oldest opset that is written: what runs models today knows it."""

_SAME_OUTSIDE_RULES = {
    # The importer refuses integers in them; the newest form has none.
    "ReduceLogSum": (18,),
    "ReduceLogSumExp": (18,),
    # The number of heads of 4-D operands is an attribute less in the IR.
    "Attention": (23, 24),
    # The importer's rule only gathers the ways to state the value.
    "Constant": (1, 9, 11, 12, 13, 19, 21, 23, 24),
}

_NEWER_VALUES = {
    ("Pad", "mode", "wrap"): 19,
    ("ScatterElements", "reduction", "max"): 18,
    ("ScatterElements", "reduction", "min"): 18,
    ("ScatterND", "reduction", "max"): 18,
    ("ScatterND", "reduction", "min"): 18,
}
"""The form that brought a value of an attribute which older forms have without it."""


def opset_imports(ops: Iterable[OnnxOp]) -> dict[str, int]:
    """The lowest opset of each domain in which `ops` mean what they mean in the IR."""
    versions = {"": OLDEST}
    for op in ops:
        domain = op.domain()
        versions[domain] = max(versions.get(domain, 1), lowest_form(op))
    return versions


def lowest_form(op: OnnxOp) -> int:
    """The oldest version of its operator from which on `op` can be said."""
    newest = op.schema().since_version
    lowest = newest
    for schema in _older(op.op_type(), op.domain(), newest):
        known = UNCHANGED.get(op.op_type(), ())
        same = _SAME_OUTSIDE_RULES.get(op.op_type(), ())
        if schema.since_version not in (*known, *same) or not _fits(op, schema):
            break
        lowest = schema.since_version
    return lowest


def _older(op_type: str, domain: str, newest: int) -> Iterator[defs.OpSchema]:
    """The schemas of an operator before `newest`, newest first."""
    version = newest - 1
    while version > 0 and defs.has(op_type, version, domain):
        schema = defs.get_schema(op_type, version, domain)
        yield schema
        version = schema.since_version - 1


def _fits(op: OnnxOp, schema: defs.OpSchema) -> bool:
    """Whether an older form has the attributes, operands and types of `op`."""
    if not all(_has(schema, name, value) for name, value in op.properties.items()):
        return False
    if "ceil_mode" in op.properties and not _has_as_many_windows(op, schema):
        return False
    if op.op_type() == "Attention" and not _masks_every_column(op, schema):
        return False
    operands = [value.type for value in op.operands]
    results = [result.type for result in op.results]
    return _takes(schema, schema.inputs, operands) and _takes(
        schema, schema.outputs, results
    )


def _has(schema: defs.OpSchema, name: str, value: Attribute) -> bool:
    """Whether an older form has an attribute, and this value for it."""
    if name not in schema.attributes:
        return False
    if schema.attributes[name].type != defs.OpSchema.AttrType.STRING:
        return True
    key = (schema.name, name, python_value(value))
    return schema.since_version >= _NEWER_VALUES.get(key, 0)


def _takes(
    schema: defs.OpSchema,
    parameters: Sequence[defs.OpSchema.FormalParameter],
    kinds: Sequence[Attribute],
) -> bool:
    allowed = {c.type_param_str: c.allowed_type_strs for c in schema.type_constraints}
    variadic = defs.OpSchema.FormalParameterOption.Variadic
    single = defs.OpSchema.FormalParameterOption.Single
    for place, kind in enumerate(kinds):
        if is_none(kind):
            if place < len(parameters) and parameters[place].option == single:
                return False
            continue
        if place >= len(parameters):
            if not parameters or parameters[-1].option != variadic:
                return False
            place = len(parameters) - 1
        name = parameters[place].type_str
        if type_string(kind) not in allowed.get(name, (name,)):
            return False
    return True


def _masks_every_column(op: OnnxOp, schema: defs.OpSchema) -> bool:
    """Attention-23 broadcast a mask of one column, later forms pad it."""
    mask: SSAValue | None = op.operands[3] if len(op.operands) > 3 else None
    if schema.since_version > 23 or mask is None or is_none(mask.type):
        return True
    shape = shape_of(mask.type)
    columns = shape[-1] if shape else None
    return columns is not None and columns.equals(Dim.of(1)) is False


def _has_as_many_windows(op: OnnxOp, schema: defs.OpSchema) -> bool:
    """Pools before 22 counted a last window that begins in the padding behind."""
    facts = Facts(op.name, op.operands, op.properties, IntegerValues(WeightStore()))
    (older,) = inferred_by_onnx(schema, facts, [True])
    sizes = None if older is None else shape_of(older)
    pairs = zip(sizes or (), shape_of(op.results[0].type) or (), strict=False)
    return not any(
        a is not None and b is not None and a.equals(b) is False for a, b in pairs
    )


_ELEMENT_IR_VERSIONS = {
    "FLOAT8E4M3FN": 9,
    "FLOAT8E4M3FNUZ": 9,
    "FLOAT8E5M2": 9,
    "FLOAT8E5M2FNUZ": 9,
    "UINT4": 10,
    "INT4": 10,
    "FLOAT4E2M1": 11,
    "FLOAT8E8M0": 12,
    "UINT2": 13,
    "INT2": 13,
    "FLOAT6E2M3": 14,
    "FLOAT6E3M2": 14,
}


def ir_version(opsets: dict[str, int], elements: Iterable[int]) -> int:
    """
    The IR version that a file of these opsets and element types needs.

    `elements` are numbers of ``TensorProto.DataType``.
    """
    entries = [
        onnx.helper.make_opsetid(name, number) for name, number in opsets.items()
    ]
    least = onnx.helper.find_min_ir_version_for(entries, ignore_unknown=True)
    names = {onnx.TensorProto.DataType.Name(number) for number in elements}
    return max([8, least, *(_ELEMENT_IR_VERSIONS.get(name, 0) for name in names)])
