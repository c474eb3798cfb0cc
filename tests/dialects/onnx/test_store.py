"""The store: bytes as ONNX writes them, lazy weights, stable keys."""

import hashlib
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from onnx import numpy_helper
from sardonyx.dialects.onnx import OnnxContext, WeightStore, store_of
from sardonyx.dialects.onnx.packing import BITS, dtype_of, file_bytes, pack, unpack
from sardonyx.dialects.onnx.store import (
    ALIGNMENT,
    ArrayWeight,
    DerivedWeight,
    MappedWeight,
    aligned_empty,
)
from sardonyx.dialects.onnx.types import ELEMENT_TYPES
from xdsl.context import Context

NUMBERS = sorted(set(ELEMENT_TYPES) - {"string"})


def sample(name: str, count: int) -> Any:
    rng = np.random.default_rng(count)
    kind = dtype_of(name)
    bits = BITS.get(name, 8)
    if name == "bool":
        return rng.integers(0, 2, count).astype(bool)
    if name in ("int2", "int4"):
        return rng.integers(-(1 << bits - 1), 1 << bits - 1, count).astype(kind)
    raw = rng.integers(0, 1 << bits, count * kind.itemsize).astype(np.uint8)
    return raw.view(kind)


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("shape", [(), (0,), (1,), (2,), (3,), (5,), (2, 7), (3, 0, 2)])
def test_bytes_are_those_of_onnx(name: str, shape: tuple[int, ...]) -> None:
    array = sample(name, int(np.prod(shape))).reshape(shape)
    raw = pack(array, name)
    wanted = numpy_helper.from_array(array).raw_data
    assert bytes(raw) == wanted
    assert len(raw) == file_bytes(name, shape)
    again = unpack(raw, name, shape)
    assert again.dtype == array.dtype
    assert again.shape == shape
    assert again.tobytes() == array.tobytes()


@pytest.mark.parametrize("name", sorted(BITS))
def test_every_packed_value(name: str) -> None:
    # Every byte there is, against onnx's own reading of it.
    raw = bytes(range(256)) * 3
    shape = (len(raw) * 8 // BITS[name],)
    proto = numpy_helper.from_array(sample(name, 2))
    proto.raw_data = raw
    proto.dims[0] = shape[0]
    found = unpack(memoryview(raw), name, shape)
    wanted = numpy_helper.to_array(proto)
    np.testing.assert_array_equal(
        found.astype(np.float32), wanted.astype(np.float32), name
    )
    assert bytes(pack(found, name)) == raw


def test_another_nibble_order_is_caught() -> None:
    array = np.array([1, 2], ml_dtypes.uint4)
    swapped = bytes([1 << 4 | 2])
    assert bytes(pack(array, "uint4")) != swapped


def test_a_mapped_weight_is_a_view() -> None:
    content = memoryview(np.arange(6, dtype=np.float32).tobytes())
    weight = MappedWeight("float32", (2, 3), content)
    assert weight.raw() is content
    assert not weight.array().flags.owndata
    np.testing.assert_array_equal(weight.array(), np.arange(6).reshape(2, 3))
    assert str(weight.type) == "tensor<2x3xf32>"
    assert (weight.size, weight.file_bytes) == (6, 24)


def test_a_mapped_weight_of_the_wrong_size() -> None:
    with pytest.raises(ValueError, match=r"5 bytes for float32\[2, 3\]: 24"):
        MappedWeight("float32", (2, 3), memoryview(b"12345"))


def test_a_derived_weight_is_computed_when_asked_for() -> None:
    calls = []

    def compute() -> Any:
        calls.append(1)
        return np.full((2, 2), 7, np.int8)

    weight = DerivedWeight("int8", (2, 2), compute)
    assert str(weight.type) == "tensor<2x2xi8>"
    assert weight.file_bytes == 4
    assert not calls
    assert bytes(weight.raw()) == b"\7\7\7\7"
    assert calls == [1]


def test_a_derived_weight_that_is_kept_is_computed_once() -> None:
    calls = []

    def compute() -> Any:
        calls.append(1)
        return np.arange(6, dtype=np.float32).reshape(2, 3)

    weight = DerivedWeight("float32", (2, 3), compute, kept=True)
    assert weight.kind == ((2, 3), np.dtype(np.float32))
    assert not calls
    assert weight.array() is weight.array()
    assert bytes(weight.raw()) == weight.array().tobytes()
    assert calls == [1]


@pytest.mark.parametrize("shape", [(), (0,), (3,), (17, 5)])
@pytest.mark.parametrize("element", ["float32", "bfloat16", "int4", "bool"])
def test_an_aligned_array(element: str, shape: tuple[int, ...]) -> None:
    array = aligned_empty(shape, dtype_of(element))
    assert array.shape == shape
    assert array.dtype == dtype_of(element)
    assert array.flags.c_contiguous
    assert array.flags.writeable
    assert not array.size or array.ctypes.data % ALIGNMENT == 0


def test_a_derived_weight_keeps_its_promise() -> None:
    weight = DerivedWeight("int8", (3,), lambda: np.zeros((2, 2), np.int8))
    with pytest.raises(AssertionError, match="the shape it promised"):
        weight.array()


def test_a_weight_of_no_element_type() -> None:
    with pytest.raises(ValueError, match="cannot hold object"):
        ArrayWeight(np.array(["text"], object))
    with pytest.raises(ValueError, match="cannot hold >f4"):
        ArrayWeight(np.zeros(2, ">f4"))


def test_hash() -> None:
    one = np.arange(4, dtype=np.int16)
    wanted = hashlib.sha256(b"int16(4,)" + one.tobytes()).hexdigest()
    assert ArrayWeight(one).hash == wanted
    mapped = MappedWeight("int16", (4,), memoryview(one.tobytes()))
    assert mapped.hash == wanted
    assert ArrayWeight(one.reshape(2, 2)).hash != wanted
    assert ArrayWeight(one.astype(np.uint16)).hash != wanted
    assert ArrayWeight(one + np.int16(1)).hash != wanted


# --- keys ---


def test_keys_are_stable() -> None:
    store = WeightStore()
    given = [store.add("w", np.full(2, i)) for i in range(3)]
    assert given == ["w", "w.1", "w.2"]
    for value, key in enumerate(given):
        np.testing.assert_array_equal(store[key].array(), np.full(2, value))
    assert list(store) == given
    assert len(store) == 3
    assert "w.1" in store
    assert "x" not in store
    store.keep(frozenset(["w.2"]))
    assert store.keys() == {"w.2"}
    # A key that is free again may be given out again.
    assert store.add("w.2", np.zeros(1)) == "w.2.1"


def test_a_copy_grows_apart() -> None:
    store = WeightStore()
    store.add("w", np.zeros(1))
    copy = store.copy()
    copy.add("v", np.zeros(1))
    assert (len(store), len(copy)) == (1, 2)
    assert copy["w"] is store["w"]


def test_the_context_carries_the_store() -> None:
    context = OnnxContext()
    context.store.add("w", np.zeros(1))
    clone = context.clone()
    assert isinstance(clone, OnnxContext)
    assert "w" in clone.store
    clone.store.add("v", np.zeros(1))
    assert "v" not in context.store
    assert store_of(context) is context.store
    assert store_of(Context()) is None
