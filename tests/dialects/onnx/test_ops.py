"""Every operator's class: built from its schema, printed, parsed back, and its stub."""

import ast
import itertools
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import defs
from sardonyx.dialects.onnx import NoneOp, YieldOp, ops
from sardonyx.dialects.onnx.attributes import default_attribute, python_value
from sardonyx.dialects.onnx.base import PREFIXES, SCHEMAS, type_string
from sardonyx.dialects.onnx.classes import field_names, op_name
from sardonyx.dialects.onnx.ops import DIALECTS, OPS
from sardonyx.dialects.onnx.schemas import all_schemas, get
from sardonyx.dialects.onnx.types import (
    ELEMENT_TYPES,
    DenseAttr,
    MapType,
    OptionalType,
    SequenceType,
    SparseTensorType,
    tensor,
)
from xdsl.dialects.builtin import (
    ArrayAttr,
    DenseArrayBase,
    FloatAttr,
    IntegerAttr,
    ModuleOp,
    NoneType,
    StringAttr,
    TensorType,
    f32,
    i32,
    i64,
)
from xdsl.ir import Attribute, Block, OpResult, Region, SSAValue
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

KINDS = defs.OpSchema.AttrType
SINGLE = defs.OpSchema.FormalParameterOption.Single
OPTIONAL = defs.OpSchema.FormalParameterOption.Optional
VARIADIC = defs.OpSchema.FormalParameterOption.Variadic

# ONNX's own names of element types, written apart from the dialect's table.
ELEMENTS = {
    "float": ELEMENT_TYPES["float32"],
    "double": ELEMENT_TYPES["float64"],
    "float8e4m3fn": ELEMENT_TYPES["float8_e4m3fn"],
    "float8e4m3fnuz": ELEMENT_TYPES["float8_e4m3fnuz"],
    "float8e5m2": ELEMENT_TYPES["float8_e5m2"],
    "float8e5m2fnuz": ELEMENT_TYPES["float8_e5m2fnuz"],
    "float8e8m0": ELEMENT_TYPES["float8_e8m0fnu"],
    "float6e2m3": ELEMENT_TYPES["float6_e2m3fn"],
    "float6e3m2": ELEMENT_TYPES["float6_e3m2fn"],
    "float4e2m1": ELEMENT_TYPES["float4_e2m1fn"],
    **{k: v for k, v in ELEMENT_TYPES.items() if not k.startswith("float")},
    "float16": ELEMENT_TYPES["float16"],
}


def type_of(text: str) -> Attribute:
    """An IR type of ONNX's ``seq(tensor(float))``."""
    word, _, rest = text.partition("(")
    inner = rest.removesuffix(")")
    match word:
        case "tensor":
            return tensor(ELEMENTS[inner], [2, "n"])
        case "sparse_tensor":
            return SparseTensorType(tensor(ELEMENTS[inner], [2, 3]))
        case "seq":
            return SequenceType(type_of(inner))
        case "optional":
            return OptionalType(type_of(inner))
        case "map":
            key, value = inner.split(", ")
            return MapType(ELEMENTS[key], TensorType(ELEMENTS[value], []))
        case _:
            raise AssertionError(text)


def attribute_value(kind: Any) -> Attribute:
    """A value of each kind of attribute, to be given where one is required."""
    match kind:
        case KINDS.INT:
            return IntegerAttr(1, i64)
        case KINDS.FLOAT:
            return FloatAttr(0.5, f32)
        case KINDS.STRING:
            return StringAttr("text")
        case KINDS.INTS:
            return DenseArrayBase.from_list(i64, [1, -2])
        case KINDS.FLOATS:
            return DenseArrayBase.from_list(f32, [0.5, -1.0])
        case KINDS.STRINGS:
            return ArrayAttr([StringAttr("a"), StringAttr("b")])
        case KINDS.TENSOR:
            return DenseAttr.of(np.array([1.5, -0.0], np.float32))
        case KINDS.TYPE_PROTO:
            return tensor(f32, ["n", 2])
        case _:
            return StringAttr(str(kind))


def parameter_types(schema: Any, parameters: Any, choice: int) -> Iterator[Any]:
    """``(parameter, type)`` of each value, two for a variadic one."""
    allowed = {c.type_param_str: c.allowed_type_strs for c in schema.type_constraints}
    for parameter in parameters:
        texts = sorted(allowed.get(parameter.type_str, [parameter.type_str]))
        kind = type_of(texts[choice % len(texts)])
        for _ in range(2 if parameter.option == VARIADIC else 1):
            yield parameter, kind


def region() -> Region:
    block = Block(arg_types=[tensor(f32, ["n"])])
    block.add_op(YieldOp(block.args[0]))
    return Region(block)


def build(schema: Any, placeholders: Any, choice: int, full: bool) -> ModuleOp:
    """
    A module with an op of `schema`: the types by `choice`; `full` gives what is
    optional.
    """
    kinds = [
        kind if full or parameter.option != OPTIONAL else NoneType()
        for parameter, kind in parameter_types(schema, schema.inputs, choice)
    ]
    results = [
        kind if full or parameter.option != OPTIONAL else NoneType()
        for parameter, kind in parameter_types(schema, schema.outputs, choice)
    ]
    properties, regions = {}, []
    for name, declared in schema.attributes.items():
        if declared.type == KINDS.GRAPH:
            regions.append(region())
        elif declared.required or (full and schema.name != "Constant"):
            properties[name] = attribute_value(declared.type)
    if schema.name == "Constant":
        value = DenseAttr.of(np.array([1, 2]))
        properties, results = {"value": value}, [value.type]
    source = placeholders(*kinds)
    op = OPS[op_name(schema)].create(
        operands=source.results,
        result_types=results,
        properties=properties,
        regions=regions,
    )
    return ModuleOp([source, op])


def variants(schema: Any) -> int:
    return max((len(c.allowed_type_strs) for c in schema.type_constraints), default=1)


@pytest.mark.parametrize("name", sorted(OPS))
def test_round_trip(name: str, placeholders: Any, reparse: Any) -> None:
    schema = OPS[name].schema()
    for choice, full in itertools.product(range(variants(schema)), (True, False)):
        module = build(schema, placeholders, choice, full)
        module.verify()
        again = reparse(module)
        again.verify()
        assert module.is_structurally_equivalent(again)


def test_every_schema_has_a_class() -> None:
    wanted = {(s.domain, s.name) for s in all_schemas()}
    assert wanted >= {(s.domain, s.name) for s in defs.get_all_schemas()}
    found = {(made.domain(), made.op_type()) for made in OPS.values()}
    assert found == wanted
    held = {op.name for dialect in DIALECTS for op in dialect.operations}
    assert held == OPS.keys() | {"onnx.none", "onnx.yield"}
    # Those of another layout, of spectra and of sparse weights are ours.
    ours = {"sardonyx.fourier", "sardonyx.nhwc", "sardonyx.sparse"}
    assert {domain for domain, _ in wanted} == PREFIXES.keys() - ours


# onnx takes AffineGrid for random, for the If in its function body.
RANDOM = ("Random", "Multinomial", "Bernoulli", "Dropout", "AffineGrid")


@pytest.mark.parametrize("name", sorted(OPS))
def test_the_class_is_its_newest_schema(name: str) -> None:
    made = OPS[name]
    schema = get(made.op_type(), made.domain())
    assert made.schema().since_version == schema.since_version
    assert SCHEMAS[name] is made.schema()
    assert getattr(ops, made.__name__) is made
    assert made.__doc__ == schema.doc
    graphs = any(a.type == KINDS.GRAPH for a in schema.attributes.values())
    assert made.has_trait(Pure) == (not graphs and not schema.name.startswith(RANDOM))


# --- the fields ---


@cache
def stub_fields() -> dict[str, dict[str, str]]:
    """The fields of every class in the stub, with their types."""
    path = Path(ops.__file__).with_suffix(".pyi")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {
        node.name: {
            ast.unparse(line.target): ast.unparse(line.annotation)
            for line in node.body
            if isinstance(line, ast.AnnAssign)
        }
        for node in tree.body
        if isinstance(node, ast.ClassDef)
    }


FIELD_TYPES = {
    "SSAValue": SSAValue,
    "OpResult": OpResult,
    "IntegerAttr[Any]": IntegerAttr,
    "FloatAttr[Any]": FloatAttr,
    "StringAttr": StringAttr,
    "DenseArrayBase[Any]": DenseArrayBase,
    "ArrayAttr[StringAttr]": ArrayAttr,
    "Region": Region,
    "Attribute": Attribute,
}


@pytest.mark.parametrize("name", sorted(OPS))
def test_fields_are_those_of_the_stub(name: str, placeholders: Any) -> None:
    made = OPS[name]
    fields = stub_fields()[made.__name__]
    assert list(fields) == list(field_names(made.schema()).values())
    for full in (True, False):
        op = list(build(made.schema(), placeholders, 0, full).ops)[1]
        for field, annotation in fields.items():
            value = getattr(op, field)
            kind, _, optional = annotation.partition(" | ")
            if value is None:
                assert optional == "None", f"{field} is absent, the stub says {kind}"
                continue
            several = re.fullmatch(r"Sequence\[(\w+)\]", kind)
            for item in value if several else [value]:
                assert isinstance(item, FIELD_TYPES[several[1] if several else kind])


def test_the_stub_has_no_other_classes() -> None:
    assert stub_fields().keys() == {made.__name__ for made in OPS.values()}


def test_an_attribute_has_its_default() -> None:
    source = NoneOp()
    op = ops.EluOp(source.result, result_types=[tensor(f32, [2])])
    assert python_value(op.alpha) == 1.0
    assert op.python_attributes() == {}
    schema = OPS["onnx.Elu"].schema()
    assert default_attribute(schema, "alpha") == FloatAttr(1.0, f32)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"alhpa": 1.0}, "Elu has no attribute 'alhpa'"),
        ({"alpha": "much"}, "Elu: attribute 'alpha' is 'much', wanted FLOAT"),
        ({"alpha": [1.0]}, r"Elu: attribute 'alpha' is \[1.0\], wanted FLOAT"),
    ],
)
def test_refused_attributes(attributes: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ops.EluOp(NoneOp().result, result_types=[tensor(f32, [2])], **attributes)


def test_refused_regions() -> None:
    with pytest.raises(ValueError, match=r"found regions \['then_branch'\], wanted"):
        ops.IfOp(NoneOp().result, result_types=[], then_branch=region())


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ({"alpha": 2}, {"alpha": 2.0}),
        ({"alpha": None}, {}),
        ({"alpha": FloatAttr(3.0, f32)}, {"alpha": 3.0}),
    ],
)
def test_attributes_from_python(value: Any, wanted: Any) -> None:
    op = ops.EluOp(NoneOp().result, result_types=[tensor(f32, [2])], **value)
    assert op.python_attributes() == wanted


def test_type_strings() -> None:
    for schema in defs.get_all_schemas():
        for constraint in schema.type_constraints:
            for text in constraint.allowed_type_strs:
                assert type_string(type_of(text)) == text


# --- refusals ---


def test_a_planted_wrong_type_is_refused(placeholders: Any) -> None:
    wrong = 0
    for name in ("onnx.Conv", "onnx.Add", "onnx.Gemm", "onnx_ml.Scaler"):
        module = build(OPS[name].schema(), placeholders, 0, True)
        op = list(module.ops)[1]
        op.operands[0] = placeholders(i32).results[0]
        with pytest.raises(VerifyException, match="i32 is not an ONNX type"):
            op.verify()
        wrong += 1
    assert wrong == 4


def test_opset_of_the_installed_onnx_is_new_enough() -> None:
    assert onnx.defs.onnx_opset_version() >= 25
