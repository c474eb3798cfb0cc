"""ONNX's protobufs of types, tensors and attributes, to the IR and back."""

from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import AttributeProto, TensorProto, defs, helper, numpy_helper
from sardonyx.dialects.onnx.attributes import python_value
from sardonyx.dialects.onnx.dims import Dim
from sardonyx.dialects.onnx.packing import dtype_of
from sardonyx.dialects.onnx.proto import (
    TENSOR_TYPES,
    array_from_proto,
    attribute_from_proto,
    attribute_to_proto,
    attribute_value,
    dim_from_proto,
    element_name,
    is_default,
    refine,
    tensor_shape,
    tensor_to_proto,
    type_from_proto,
    type_to_proto,
)
from sardonyx.dialects.onnx.types import ELEMENT_TYPES, DenseAttr, tensor
from xdsl.dialects.builtin import FloatAttr, IntegerAttr, f32, i64

SHAPES = st.one_of(
    st.none(),
    st.lists(
        st.one_of(st.none(), st.integers(0, 5), st.sampled_from(["n", "2*n + 1"])),
        max_size=4,
    ),
)
TENSORS = st.builds(
    helper.make_tensor_type_proto,
    st.sampled_from(sorted(TENSOR_TYPES.values())),
    SHAPES,
)
SPARSE = st.builds(
    helper.make_sparse_tensor_type_proto, st.just(TensorProto.FLOAT), SHAPES
)
MAPS = st.builds(
    helper.make_map_type_proto,
    st.sampled_from([TensorProto.INT64, TensorProto.STRING]),
    TENSORS,
)
TYPES = st.recursive(
    st.one_of(TENSORS, SPARSE, MAPS),
    lambda inner: st.one_of(
        st.builds(helper.make_sequence_type_proto, inner),
        st.builds(helper.make_optional_type_proto, inner),
    ),
    max_leaves=3,
)


@given(TYPES)
def test_types_round_trip(proto: onnx.TypeProto) -> None:
    assert type_to_proto(type_from_proto(proto)) == proto


def test_a_type_that_says_nothing() -> None:
    with pytest.raises(ValueError, match="type None is not known"):
        type_from_proto(onnx.TypeProto())
    unknown = helper.make_tensor_type_proto(TensorProto.UNDEFINED, [])
    with pytest.raises(ValueError, match="element type 0 is not known"):
        type_from_proto(unknown)
    with pytest.raises(ValueError, match="i64 is not an ONNX type"):
        type_to_proto(i64)


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({}, None),
        ({"dim_value": 3}, Dim.of(3)),
        ({"dim_value": 0}, Dim.of(0)),
        ({"dim_value": -1}, None),
        ({"dim_param": "n"}, Dim.of("n")),
        ({"dim_param": ""}, None),
        ({"dim_param": "a b"}, Dim.of("a b")),
        ({"dim_param": "n + 1"}, Dim.of("n") + Dim.of(1)),
    ],
)
def test_dimensions(fields: Any, wanted: Dim | None) -> None:
    assert dim_from_proto(onnx.TensorShapeProto.Dimension(**fields)) == wanted


# --- tensors ---


def plain(array: Any) -> Any:
    """Narrow floats as float32, where NumPy takes a nan for a nan."""
    return array.astype(np.float32) if array.dtype.kind == "V" else array


@pytest.mark.parametrize("name", sorted(ELEMENT_TYPES))
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3)])
def test_tensors_round_trip(name: str, shape: tuple[int, ...]) -> None:
    count = int(np.prod(shape))
    if name == "string":
        array = np.array([f"é{n}" for n in range(count)], object).reshape(shape)
    else:
        codes = np.arange(count) % 2
        array = codes.astype(dtype_of(name)).reshape(shape)
    proto = tensor_to_proto(array, "w")
    assert (proto.name, proto.data_type) == ("w", TENSOR_TYPES[name])
    again = array_from_proto(proto)
    assert again.dtype == array.dtype
    assert again.shape == shape
    np.testing.assert_array_equal(plain(again), plain(array))
    assert tensor_to_proto(again, "w") == proto
    assert element_name(proto.data_type) == name


@pytest.mark.parametrize("name", ["FLOAT", "INT4", "UINT2", "BFLOAT16", "COMPLEX64"])
def test_tensors_in_typed_fields(name: str) -> None:
    number = TensorProto.DataType.Value(name)
    proto = helper.make_tensor("w", number, [3], [1, 0, 1])
    assert not proto.HasField("raw_data")
    np.testing.assert_array_equal(
        array_from_proto(proto).astype(np.complex64), [1, 0, 1]
    )


def test_strings_that_are_not_utf8() -> None:
    proto = TensorProto(data_type=TensorProto.STRING, dims=[1], string_data=[b"\xff"])
    assert array_from_proto(proto).tolist() == ["\udcff"]
    assert tensor_to_proto(array_from_proto(proto)).string_data == [b"\xff"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"data_type": 1, "dims": [2], "raw_data": b"1"},
            "1 bytes do not fill float32",
        ),
        ({"data_type": 22, "dims": [3], "raw_data": b"1"}, "1 bytes do not fill int4"),
        ({"data_type": 8, "dims": [2]}, r"0 strings do not fill \[2\]"),
        ({"data_type": 1, "dims": [-1]}, r"shape \[-1\] is not possible"),
        ({"data_type": 1, "dims": [1 << 30, 1 << 30]}, "is not possible"),
        ({"data_type": 1, "dims": [1] * 65}, "is not possible"),
        ({"data_type": 99, "dims": [1]}, "element type 99 is not known"),
        ({"data_type": 0, "dims": [1]}, "element type 0 is not known"),
        ({"data_type": 1, "dims": [3], "float_data": [1.0]}, "reshape"),
    ],
)
def test_refused_tensors(fields: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        array_from_proto(TensorProto(**fields))


def test_tensor_shape() -> None:
    assert tensor_shape(TensorProto(dims=[2, 0])) == (2, 0)


# --- attributes ---


def values(kind: Any) -> list[Any]:
    """Values of each kind of attribute, the awkward ones among them."""
    kinds = defs.OpSchema.AttrType
    return {
        kinds.INT: [0, -1, 2**63 - 1, -(2**63)],
        kinds.FLOAT: [0.0, -0.5, float("inf"), 1e-45],
        kinds.STRING: ["", "text", 'a "b"\n', "é", b"\xff"],
        kinds.INTS: [[], [1, -2]],
        kinds.FLOATS: [[], [0.5, float("-inf")]],
        kinds.STRINGS: [[], ["a", "é\\"]],
        kinds.TYPE_PROTO: [helper.make_tensor_type_proto(TensorProto.FLOAT, ["n"])],
    }.get(kind, [])


def test_attributes_of_every_schema_round_trip() -> None:
    seen = set()
    for schema in defs.get_all_schemas():
        for name, declared in schema.attributes.items():
            number = int(declared.type)
            for value in values(declared.type):
                proto = helper.make_attribute(name, value, attr_type=number)
                attribute = attribute_from_proto(schema, proto)
                assert attribute_to_proto(schema, name, attribute) == proto
                seen.add(declared.type.name)
    assert len(seen) == 7


def test_every_default_is_known() -> None:
    for schema in defs.get_all_schemas():
        for name, declared in schema.attributes.items():
            default = declared.default_value
            if default.type == AttributeProto.UNDEFINED or default.name == "":
                continue
            assert is_default(schema, name, attribute_from_proto(schema, default))


def test_a_nan_stays_one() -> None:
    schema = defs.get_schema("Elu")
    proto = helper.make_attribute("alpha", float("nan"))
    attribute = attribute_from_proto(schema, proto)
    assert np.isnan(attribute_to_proto(schema, "alpha", attribute).f)


def test_a_tensor_attribute() -> None:
    schema = defs.get_schema("ConstantOfShape")
    dense = DenseAttr.of(np.array([7], np.int8))
    proto = attribute_to_proto(schema, "value", dense)
    assert proto.type == AttributeProto.TENSOR
    np.testing.assert_array_equal(numpy_helper.to_array(proto.t), [7])


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("alpha", 1, "attribute 'alpha' is INT, wanted FLOAT"),
        ("alpha", "1", "attribute 'alpha' is STRING, wanted FLOAT"),
        ("alpha", [1.0], "attribute 'alpha' is FLOATS, wanted FLOAT"),
        ("beta", 1.0, "Elu has no attribute 'beta'"),
    ],
)
def test_refused_attributes(name: str, value: Any, message: str) -> None:
    proto = helper.make_attribute(name, value)
    with pytest.raises(ValueError, match=message):
        attribute_from_proto(defs.get_schema("Elu"), proto)


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (3, 3),
        (0.5, 0.5),
        ("é", "é"),
        (b"\xff", "\udcff"),
        ([1, 2], [1, 2]),
        (["a", "b"], ["a", "b"]),
    ],
)
def test_attribute_value(value: Any, wanted: Any) -> None:
    assert attribute_value(helper.make_attribute("a", value)) == wanted


@pytest.mark.parametrize(
    ("attribute", "wanted"),
    [
        (IntegerAttr(-3, i64), -3),
        (FloatAttr(0.5, f32), 0.5),
        (f32, f32),
    ],
)
def test_python_value(attribute: Any, wanted: Any) -> None:
    assert python_value(attribute) == wanted


# --- refining ---


@pytest.mark.parametrize(
    ("ours", "theirs", "wanted"),
    [
        ([None, "n"], ["m", None], ["m", "n"]),
        (["n"], [3], [3]),
        ([3], ["n"], [3]),
        (["n"], ["m"], ["m"]),
        ([2], [3], [3]),
        (None, [3], [3]),
        ([3], None, [3]),
        ([1, 2], [3], [3]),
    ],
)
def test_refine(ours: Any, theirs: Any, wanted: Any) -> None:
    assert refine(tensor(f32, ours), tensor(f32, theirs)) == tensor(f32, wanted)
