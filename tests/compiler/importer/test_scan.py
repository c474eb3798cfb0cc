"""The scanner: what it leaves out goes back to its place, and no bytes crash it."""

import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from google.protobuf.message import DecodeError
from hypothesis import example, given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from sardonyx.compiler import import_model
from sardonyx.compiler.importer import ModelError
from sardonyx.compiler.importer.scan import MIN_BYTES, Skeleton, skeleton

GRAPH, INITIALIZER, RAW_DATA = 7, 5, 9


def values(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(count).astype(np.float32)


def make_model(*tensors: onnx.TensorProto) -> onnx.ModelProto:
    nodes = [helper.make_node("Identity", [t.name], [f"{t.name}_y"]) for t in tensors]
    outputs = [
        helper.make_tensor_value_info(f"{t.name}_y", t.data_type, t.dims)
        for t in tensors
    ]
    graph = helper.make_graph(nodes, "g", [], outputs, tensors, doc_string="scanned")
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])


def mixed_model() -> onnx.ModelProto:
    """Initializers above and below the limit, and one whose values are no raw bytes."""
    listed = helper.make_tensor("listed", TensorProto.FLOAT, [600], values(600, 1))
    return make_model(
        numpy_helper.from_array(values(300), "large"),
        numpy_helper.from_array(values(8), "small"),
        listed,
        numpy_helper.from_array(values(MIN_BYTES // 4), "at_the_limit"),
        numpy_helper.from_array(values(MIN_BYTES // 4 - 1), "below_the_limit"),
    )


def restored(content: bytes, split: Skeleton) -> onnx.ModelProto:
    """The model with the bytes put back that were left out."""
    proto = onnx.ModelProto.FromString(split.content)
    for number, place in split.weights.items():
        tensor = proto.graph.initializer[number]
        assert not tensor.HasField("raw_data")
        tensor.raw_data = content[place]
    return proto


def field(number: int, content: bytes) -> bytes:
    """A length-delimited field of protobuf's wire format."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(number: int) -> bytes:
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


# --- meaning ---


def test_stripped_model_and_slices_give_the_model_back() -> None:
    model = mixed_model()
    content = model.SerializeToString()
    split = skeleton(memoryview(content))
    assert restored(content, split) == model
    assert sorted(split.weights) == [0, 3]
    assert values(8).tobytes() in split.content
    assert values(300).tobytes() not in split.content


def test_a_slice_of_another_tensor_is_noticed() -> None:
    content = mixed_model().SerializeToString()
    split = skeleton(memoryview(content))
    place = split.weights[0]
    wrong = Skeleton(
        split.content,
        {**split.weights, 0: slice(place.start + 4, place.stop + 4)},
    )
    assert restored(content, wrong) != mixed_model()


def test_initializers_before_nodes_and_between_them() -> None:
    # Any order of the fields is one model; writers other than onnx differ in it.
    model = mixed_model()
    tensors = [t.SerializeToString() for t in model.graph.initializer]
    rest = onnx.GraphProto()
    rest.CopyFrom(model.graph)
    rest.ClearField("initializer")
    body = (
        field(INITIALIZER, tensors[0])
        + rest.SerializeToString()
        + b"".join(field(INITIALIZER, t) for t in tensors[1:])
    )
    outer = onnx.ModelProto()
    outer.CopyFrom(model)
    outer.ClearField("graph")
    content = field(GRAPH, body) + outer.SerializeToString()
    split = skeleton(memoryview(content))
    assert sorted(split.weights) == [0, 3]
    assert restored(content, split) == model


def test_raw_data_before_the_other_fields_of_a_tensor() -> None:
    tensor = numpy_helper.from_array(values(300), "large")
    raw = tensor.raw_data
    tensor.ClearField("raw_data")
    moved = field(RAW_DATA, raw) + tensor.SerializeToString()
    content = field(GRAPH, field(INITIALIZER, moved))
    split = skeleton(memoryview(content))
    assert restored(content, split) == onnx.ModelProto.FromString(content)
    assert content[split.weights[0]] == raw


def test_repeated_raw_data_stays() -> None:
    # Protobuf takes the last; leaving one of them out would take another.
    twice = field(RAW_DATA, b"\1" * 2000) + field(RAW_DATA, b"\2" * 2000)
    content = field(GRAPH, field(INITIALIZER, twice))
    split = skeleton(memoryview(content))
    assert split.weights == {}
    assert onnx.ModelProto.FromString(split.content).graph.initializer[0].raw_data == (
        b"\2" * 2000
    )


def test_several_graph_fields_stay() -> None:
    # Protobuf merges them: the numbers of the initializers would be other ones.
    parts = [make_model(numpy_helper.from_array(values(300), name)) for name in "ab"]
    content = b"".join(part.SerializeToString() for part in parts)
    split = skeleton(memoryview(content))
    assert (split.content, split.weights) == (content, {})
    merged = onnx.ModelProto.FromString(split.content)
    assert [t.name for t in merged.graph.initializer] == ["a", "b"]


def test_no_graph() -> None:
    content = onnx.ModelProto(ir_version=10).SerializeToString()
    assert skeleton(memoryview(content)) == Skeleton(content, {})
    assert skeleton(memoryview(b"")) == Skeleton(b"", {})


# --- bytes that are no model ---


def check_bytes(content: bytes) -> None:
    """ValueError, or what onnx makes of these bytes too."""
    try:
        split = skeleton(memoryview(content))
    except ValueError:
        return
    try:
        found = restored(content, split)
    except DecodeError:
        with pytest.raises(DecodeError):
            onnx.ModelProto.FromString(content)
        return
    wanted = onnx.ModelProto.FromString(content)
    # Deterministic bytes: a nan is not equal to itself.
    assert found.SerializeToString(deterministic=True) == wanted.SerializeToString(
        deterministic=True
    )


def small_model() -> bytes:
    model = make_model(
        numpy_helper.from_array(values(300), "large"),
        numpy_helper.from_array(values(3), "small"),
    )
    return model.SerializeToString()


SMALL = small_model()
PLACE = skeleton(memoryview(SMALL)).weights[0]


def test_truncated_at_every_byte() -> None:
    for length in range(len(SMALL)):
        check_bytes(SMALL[:length])


def test_a_file_truncated_within_its_weights_is_refused() -> None:
    with pytest.raises(ValueError, match="a field ends beyond its message"):
        skeleton(memoryview(SMALL[: PLACE.stop - 1]))


structure = [*range(PLACE.start + 2), *range(PLACE.stop - 2, len(SMALL))]


@given(
    st.lists(
        st.tuples(st.sampled_from(structure), st.integers(0, 255)),
        min_size=1,
        max_size=4,
    )
)
@example([(0, 0xFF)])
def test_mutated_bytes(mutations: list[tuple[int, int]]) -> None:
    content = bytearray(SMALL)
    for place, byte in mutations:
        content[place] = byte
    check_bytes(bytes(content))


@given(
    st.lists(
        st.tuples(st.sampled_from(structure), st.integers(0, 255)),
        min_size=1,
        max_size=3,
    )
)
def test_mutated_models_are_imported_or_refused(
    tmp_path_factory: pytest.TempPathFactory, mutations: list[tuple[int, int]]
) -> None:
    content = bytearray(SMALL)
    for place, byte in mutations:
        content[place] = byte
    path = tmp_path_factory.getbasetemp() / "mutated.onnx"
    path.write_bytes(content)
    with suppress(ModelError):
        import_model(path)


@given(st.binary(max_size=200))
def test_random_bytes(content: bytes) -> None:
    check_bytes(content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x3a", "the file ends in the middle of a field"),
        (b"\x3a\xff", "the file ends in the middle of a field"),
        (b"\x3a\x05ab", "a field ends beyond its message"),
        (b"\x3b", "wire type 3 is not known"),
        (b"\x3f", "wire type 7 is not known"),
        (b"\x3a" + b"\xff" * 11, "an integer is too long"),
        (b"\x09abc", "a field ends beyond its message"),
        (b"\x0dab", "a field ends beyond its message"),
        (field(GRAPH, b"\x2a\x7fab"), "a field ends beyond its message"),
        (field(GRAPH, field(INITIALIZER, b"\x4a\x7fab")), "a field ends beyond"),
    ],
)
def test_refusals(content: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        skeleton(memoryview(content))


# --- the size of files ---


def test_weights_in_the_model_file_are_not_read(tmp_path: Path) -> None:
    # One gigabyte of zeros that the file system does not even hold.
    size = 1 << 30
    tensor = numpy_helper.from_array(values(1), "w")
    tensor.dims[:] = [size // 4]
    tensor.ClearField("raw_data")
    node = helper.make_node("Shape", ["w"], ["y"])
    output = helper.make_tensor_value_info("y", TensorProto.INT64, [1])
    rest = helper.make_graph([node], "g", [], [output]).SerializeToString()
    head = varint(RAW_DATA << 3 | 2) + varint(size)
    inner = tensor.SerializeToString() + head
    begin = varint(INITIALIZER << 3 | 2) + varint(len(inner) + size) + inner
    opset = onnx.ModelProto(
        ir_version=10, opset_import=[helper.make_opsetid("", 21)]
    ).SerializeToString()
    graph = varint(GRAPH << 3 | 2) + varint(len(rest) + len(begin) + size)
    path = tmp_path / "large.onnx"
    with path.open("wb") as file:
        file.write(opset + graph + rest + begin)
        file.truncate(file.tell() + size)
    assert grown_memory(path) < 64 << 20


def test_reading_the_weights_would_be_noticed(tmp_path: Path) -> None:
    path = tmp_path / "read.onnx"
    array = np.ones(40 << 18, np.float32)
    path.write_bytes(
        make_model(numpy_helper.from_array(array, "w")).SerializeToString()
    )
    touched = "model.context.store['w'].array().copy()"
    assert grown_memory(path, f"kept = {touched}") > 32 << 20
    assert grown_memory(path) < 32 << 20


def grown_memory(path: Path, then: str = "") -> int:
    """By how many bytes a process grows that imports the model at `path`."""
    return int(subprocess.check_output([sys.executable, "-c", MEASURE, path, then]))


MEASURE = """
import sys
from sardonyx.compiler import import_model

def resident():
    with open("/proc/self/status") as file:
        lines = dict(line.split(":", 1) for line in file)
    return sum(int(lines[name].split()[0]) for name in ("RssAnon", "RssFile")) << 10

before = resident()
model = import_model(sys.argv[1])
exec(sys.argv[2])
print(resident() - before)
"""


def test_a_mapped_weight_has_its_values(tmp_path: Path, assert_close: Any) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(SMALL)
    store = import_model(path).context.store
    assert_close(store["large"].array(), values(300))
