"""Types and attributes: every element type, in text and as arrays."""

import itertools
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto
from sardonyx.dialects.onnx.dims import Dim
from sardonyx.dialects.onnx.packing import dtype_of
from sardonyx.dialects.onnx.proto import TENSOR_TYPES
from sardonyx.dialects.onnx.types import (
    DTYPE_NAMES,
    ELEMENT_TYPES,
    DenseAttr,
    DimsAttr,
    element_of,
    element_type,
    integer_range,
    is_none,
    numpy_dtype,
    shape_of,
    static_shape,
    tensor,
    verify_tensor,
)
from xdsl.dialects.builtin import NoneAttr, NoneType, TensorType, f32, f80, i64
from xdsl.parser import Parser
from xdsl.utils.exceptions import ParseError, VerifyException

NUMBERS = sorted(set(ELEMENT_TYPES) - {"string"})


def patterns(name: str) -> Any:
    """Every bit pattern of a narrow dtype; random ones, and the edges, of a wide."""
    kind = dtype_of(name)
    if name == "bool":
        return np.array([False, True])
    if name in ("int2", "int4", "uint2", "uint4"):
        low, high = integer_range(kind)
        return np.arange(low, high + 1).astype(kind)
    if kind.itemsize == 1:
        bits = {"float4_e2m1fn": 4, "float6_e2m3fn": 6, "float6_e3m2fn": 6}.get(name, 8)
        return np.arange(1 << bits).astype(np.uint8).view(kind)
    if kind.itemsize == 2:
        return np.arange(1 << 16).astype(np.uint16)[::37].copy().view(kind)
    raw = np.random.default_rng(7).integers(0, 256, 64 * kind.itemsize, np.uint8)
    items = [raw.view(kind)]
    if kind.kind in "fc":
        edges = [np.nan, np.inf, -np.inf, -0.0, 0.0, 1 / 3, 1e30, 1e-45]
        items.append(np.array(edges).astype(kind))
    if kind.kind == "c":
        items.append(np.array([complex(-0.0, np.nan), complex(1, -2)], kind))
    if kind.kind in "iu":
        items.append(np.array([np.iinfo(kind).min, np.iinfo(kind).max], kind))
    return np.concatenate(items)


def same_bits(a: Any, b: Any) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_every_element_survives_bit_by_bit(name: str, reparse_attribute: Any) -> None:
    array = patterns(name)
    dense = DenseAttr.of(array)
    assert same_bits(dense.array(), array)
    again = reparse_attribute(dense)
    assert same_bits(again.array(), array)
    assert again == dense


@pytest.mark.parametrize("name", sorted(ELEMENT_TYPES))
@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3), (1,), (2, 1, 3)])
def test_every_shape_survives(
    name: str, shape: tuple[int, ...], reparse_attribute: Any
) -> None:
    array = np.zeros(shape, dtype_of(name))
    if name == "string":
        array[...] = "é"
    again = reparse_attribute(DenseAttr.of(array)).array()
    assert again.shape == shape
    assert again.dtype == array.dtype
    assert again.tolist() == array.tolist()


def test_layout_is_row_major_whatever_the_array(reparse_attribute: Any) -> None:
    array = np.arange(6, dtype=np.int32).reshape(2, 3).T
    dense = DenseAttr.of(array)
    assert str(dense) == "#onnx.dense<[0, 3, 1, 4, 2, 5] : tensor<3x2xi32>>"
    np.testing.assert_array_equal(reparse_attribute(dense).array(), array)


def test_equality_is_by_bits() -> None:
    zero, minus = np.array([0.0]), np.array([-0.0])
    assert DenseAttr.of(zero) != DenseAttr.of(minus)
    nan = np.array([np.nan])
    assert DenseAttr.of(nan) == DenseAttr.of(nan.copy())
    assert hash(DenseAttr.of(nan)) == hash(DenseAttr.of(nan.copy()))
    assert DenseAttr.of(np.array([1], np.int8)) != DenseAttr.of(np.array([1], np.uint8))


def test_a_lost_bit_is_caught() -> None:
    quiet = np.array([0x7FC00000], np.uint32).view(np.float32)
    other = np.array([0x7FC00001], np.uint32).view(np.float32)
    assert not same_bits(quiet, other)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1, 2, 3] : tensor<2xi64>", "3 elements do not fill"),
        ("[] : tensor<2xi64>", "0 elements do not fill"),
        ("[1] : i64", "expected a tensor type, got i64"),
        ("[1] : tensor<1xf80>", "not an ONNX element type"),
        ("[128] : tensor<1xi8>", r"128 is not in \[-128, 127\]"),
        ("[-1] : tensor<1xui8>", r"-1 is not in \[0, 255\]"),
        ("[8] : tensor<1xi4>", r"8 is not in \[-8, 7\]"),
        ("[1.5] : tensor<1xi64>", "not an element of tensor<1xi64>: 1.5"),
        ("[1] : tensor<1xi1>", "not an element of tensor<1xi1>: 1"),
        ("[true] : tensor<1xi64>", "not an element of tensor<1xi64>: True"),
        ('["a"] : tensor<1xf32>', "not an element of tensor<1xf32>: 'a'"),
        ("[1] : tensor<1x!onnx.string>", "expected string literals"),
        ("[0x100000000] : tensor<1xf32>", "not an element"),
    ],
)
def test_refused_text(text: str, message: str) -> None:
    from sardonyx.compiler.context import make_context

    with pytest.raises(ParseError, match=message):
        Parser(make_context(), f"#onnx.dense<{text}>").parse_attribute()


def test_refused_bytes() -> None:
    with pytest.raises(VerifyException, match="3 bytes do not fill tensor<1xf32>"):
        DenseAttr((TensorType(f32, [1]), b"abc"))


# --- element types ---


def test_every_onnx_element_type_has_one_of_ours() -> None:
    known = set(TensorProto.DataType.values()) - {TensorProto.UNDEFINED}
    assert set(TENSOR_TYPES.values()) == known
    assert len(DTYPE_NAMES) == len(ELEMENT_TYPES) == len(TENSOR_TYPES)


@pytest.mark.parametrize("name", sorted(ELEMENT_TYPES))
def test_dtypes(name: str) -> None:
    kind = ELEMENT_TYPES[name]
    assert element_type(numpy_dtype(kind)) == kind
    assert numpy_dtype(kind) == dtype_of(name)


def test_refused_element_types() -> None:
    with pytest.raises(ValueError, match="f80 is not an ONNX element type"):
        numpy_dtype(f80)
    with pytest.raises(ValueError, match="no element type datetime64"):
        element_type(np.dtype("datetime64[s]"))


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        (np.dtype(np.int16), (-(2**15), 2**15 - 1)),
        (np.dtype(ml_dtypes.uint2), (0, 3)),
        (np.dtype(np.uint64), (0, 2**64 - 1)),
    ],
)
def test_integer_range(kind: Any, wanted: tuple[int, int]) -> None:
    assert integer_range(kind) == wanted


# --- tensor types ---

DIMENSIONS = st.one_of(
    st.none(), st.integers(0, 9), st.sampled_from(["n", "n + 1", "a b", "max", "?x"])
)


@given(st.lists(DIMENSIONS, max_size=5))
def test_shape_of_inverts_tensor(shape: list[Any]) -> None:
    kind = tensor(f32, shape)
    wanted = [
        None if d is None else Dim.parse(d) if isinstance(d, str) else Dim.of(d)
        for d in shape
    ]
    assert shape_of(kind) == tuple(wanted)
    assert tensor(f32, wanted) == kind
    assert element_of(kind) == f32
    verify_tensor(kind)
    sizes = tuple(shape)
    numbers = all(isinstance(d, int) for d in shape)
    assert static_shape(kind) == (sizes if numbers else None)


def test_only_symbols_need_an_encoding() -> None:
    assert isinstance(tensor(f32, [1, None]).encoding, NoneAttr)
    assert tensor(f32, [Dim.of(3), "2 + 1"]) == TensorType(f32, [3, 3])
    symbolic = tensor(f32, ["n", None, 2])
    assert symbolic.encoding == DimsAttr(("n", "?", 2))
    assert str(symbolic) == 'tensor<?x?x2xf32, #onnx.dims<"n", "?", 2>>'


def test_what_is_no_tensor() -> None:
    assert shape_of(tensor(f32, None)) is None
    assert static_shape(tensor(f32, None)) is None
    assert element_of(tensor(f32, None)) == f32
    assert shape_of(i64) is None
    assert static_shape(i64) is None
    assert element_of(i64) is None
    assert is_none(NoneType())
    assert not is_none(i64)


def test_a_negative_size_is_refused() -> None:
    with pytest.raises(ValueError, match="a dimension cannot be -2"):
        tensor(f32, [3, -2])


@pytest.mark.parametrize(
    "entries",
    [c for c in itertools.product([3, "n", "?"], repeat=2) if c[0] != 3 or c[1] == 3],
)
def test_dims_that_do_not_fit(entries: tuple[Any, Any]) -> None:
    kind = TensorType(f32, [3, -1], DimsAttr(entries))
    with pytest.raises(VerifyException, match="do not fit the shape"):
        verify_tensor(kind)


def test_dims_of_another_rank() -> None:
    with pytest.raises(VerifyException, match=r"dims \['n'\] do not fit"):
        verify_tensor(TensorType(f32, [-1, -1], DimsAttr(("n",))))
