"""Where tensors lie: in the model, beside it, out of bounds; and every element type."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, defs, helper, numpy_helper
from sardonyx.compiler import compile_model, import_model
from sardonyx.compiler.importer import ModelError
from sardonyx.compiler.model import Model
from sardonyx.dialects.onnx import DenseAttr, WeightAttr
from sardonyx.dialects.onnx.store import MappedWeight


def model_of(tensor: onnx.TensorProto) -> onnx.ModelProto:
    """A model that gives the tensor as it is; where nothing can, as float32."""
    node = helper.make_node("Identity", [tensor.name], ["y"])
    element = tensor.data_type
    if element in (TensorProto.FLOAT6E2M3, TensorProto.FLOAT6E3M2):
        element = TensorProto.FLOAT
        node = helper.make_node("Cast", [tensor.name], ["y"], to=element)
    output = helper.make_tensor_value_info("y", element, tensor.dims)
    graph = helper.make_graph([node], "g", [], [output], [tensor])
    opset = helper.make_opsetid("", defs.onnx_opset_version())
    return helper.make_model(graph, opset_imports=[opset])


def held(model: Model) -> np.ndarray:
    """The value of the model's one constant."""
    for op in model.module.walk():
        if op.name == "onnx.Constant":
            value = op.properties["value"]
            if isinstance(value, WeightAttr):
                return model.context.store[value.data].array()
            assert isinstance(value, DenseAttr)
            return value.array()
    raise AssertionError("no constant")


def external(array: np.ndarray, **entries: Any) -> onnx.TensorProto:
    """A tensor whose bytes lie where `entries` say."""
    tensor = numpy_helper.from_array(array, "w")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=str(value))
    return tensor


def write(folder: Path, tensor: onnx.TensorProto) -> Path:
    path = folder / "m.onnx"
    path.write_bytes(model_of(tensor).SerializeToString())
    return path


ARRAY = np.random.default_rng(0).standard_normal((5, 8)).astype(np.float32)


# --- external data ---


@pytest.mark.parametrize(
    "entries",
    [
        {"offset": 0, "length": 160},
        {"offset": 64, "length": 160},
        {"offset": 3, "length": 160},
        {"offset": 7},
        {"length": 160},
        {},
    ],
    ids=str,
)
def test_external_data(
    tmp_path: Path, entries: dict[str, Any], assert_close: Any
) -> None:
    before = entries.get("offset", 0)
    after = 5 if "length" in entries else 0
    content = b"\xaa" * before + ARRAY.tobytes() + b"\xbb" * after
    (tmp_path / "w.bin").write_bytes(content)
    path = write(tmp_path, external(ARRAY, location="w.bin", **entries))
    assert_close(held(import_model(path)), ARRAY)
    for backend in ("numpy", "jax"):
        assert_close(compile_model(path, backend=backend)()[0], ARRAY, what=backend)


def test_a_wrong_offset_gives_other_values(tmp_path: Path, assert_close: Any) -> None:
    (tmp_path / "w.bin").write_bytes(b"\xaa" * 8 + ARRAY.tobytes())
    path = write(
        tmp_path, external(ARRAY, location="w.bin", offset=4, length=ARRAY.nbytes)
    )
    with pytest.raises(AssertionError):
        assert_close(held(import_model(path)), ARRAY)


def test_external_data_that_onnx_wrote(tmp_path: Path, assert_close: Any) -> None:
    path = tmp_path / "m.onnx"
    model = model_of(numpy_helper.from_array(ARRAY, "w"))
    onnx.save(
        model, str(path), save_as_external_data=True, location="d.bin", size_threshold=0
    )
    assert (tmp_path / "d.bin").exists()
    assert_close(held(import_model(path)), ARRAY)


def test_external_data_in_a_folder_below(tmp_path: Path, assert_close: Any) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "w.bin").write_bytes(ARRAY.tobytes())
    path = write(tmp_path, external(ARRAY, location="data/../data/w.bin"))
    assert_close(held(import_model(path)), ARRAY)


def test_the_models_folder_may_be_a_symlink(tmp_path: Path, assert_close: Any) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "w.bin").write_bytes(ARRAY.tobytes())
    write(tmp_path / "real", external(ARRAY, location="w.bin"))
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert_close(held(import_model(tmp_path / "link" / "m.onnx")), ARRAY)


def test_external_data_is_relative_to_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, assert_close: Any
) -> None:
    (tmp_path / "w.bin").write_bytes(ARRAY.tobytes())
    write(tmp_path, external(ARRAY, location="w.bin"))
    monkeypatch.chdir(tmp_path)
    assert_close(held(import_model("m.onnx")), ARRAY)


def test_an_attribute_may_be_external(tmp_path: Path, assert_close: Any) -> None:
    (tmp_path / "w.bin").write_bytes(ARRAY.tobytes())
    node = helper.make_node("Constant", [], ["y"], value=external(ARRAY))
    node.attribute[0].t.external_data.add(key="location", value="w.bin")
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, ARRAY.shape)
    path = tmp_path / "m.onnx"
    path.write_bytes(
        helper.make_model(
            helper.make_graph([node], "g", [], [output]),
            opset_imports=[helper.make_opsetid("", 21)],
        ).SerializeToString()
    )
    assert_close(held(import_model(path)), ARRAY)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"location": "gone.bin"}, "external data file 'gone.bin' is missing"),
        ({"location": "."}, "external data file '.' is missing"),
        ({"location": "/etc/hostname"}, "leaves the model's folder"),
        ({"location": "../out.bin"}, "external data '../out.bin' leaves the model's"),
        ({"location": "a/../../out.bin"}, "leaves the model's folder"),
        ({"location": "link.bin"}, "external data 'link.bin' leaves the model's"),
        ({"location": "linked/out.bin"}, "leaves the model's folder"),
        ({"location": ""}, "external data location '' is no file name"),
        ({}, "external data location '' is no file name"),
        ({"location": "w.bin\0"}, "is no file name"),
        (
            {"location": "w.bin", "offset": 8, "length": 160},
            "bytes 8 to 168 of 'w.bin', which has 160",
        ),
        (
            {"location": "w.bin", "offset": 1000},
            "bytes 1000 to 1000 of 'w.bin', which has 160",
        ),
        ({"location": "w.bin", "offset": 8}, r"152 bytes for float32\[5, 8\]: 160"),
        ({"location": "w.bin", "length": 100}, r"100 bytes for float32\[5, 8\]: 160"),
        ({"location": "w.bin", "length": 0}, r"0 bytes for float32\[5, 8\]: 160"),
        ({"location": "w.bin", "offset": "-4"}, "'-4' is no offset or length"),
        ({"location": "w.bin", "offset": "1e1"}, "'1e1' is no offset or length"),
        ({"location": "w.bin", "offset": "²"}, "'²' is no offset or length"),
        ({"location": "w.bin", "length": ""}, "'' is no offset or length"),
        ({"location": "w.bin", "length": "9" * 400}, "is no offset or length"),
        ({"location": "empty.bin"}, r"0 bytes for float32\[5, 8\]: 160"),
        ({"location": "x" * 5000}, "tensor 'w': "),
    ],
    ids=lambda value: str(value)[:60],
)
def test_refused_external_data(
    tmp_path: Path, entries: dict[str, Any], message: str
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "w.bin").write_bytes(ARRAY.tobytes())
    (folder / "empty.bin").touch()
    (tmp_path / "out.bin").write_bytes(ARRAY.tobytes())
    (folder / "link.bin").symlink_to(tmp_path / "out.bin")
    (folder / "linked").symlink_to(tmp_path)
    path = write(folder, external(ARRAY, **entries))
    with pytest.raises(ModelError, match=message) as caught:
        import_model(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: tensor 'w': ")
    assert "\n" not in text


def test_external_data_of_a_model_in_memory() -> None:
    with pytest.raises(
        ModelError, match=r"^tensor 'w': external data of a model in memory"
    ):
        import_model(model_of(external(ARRAY, location="w.bin")))


def test_external_weights_are_not_read(tmp_path: Path) -> None:
    size = 1 << 30
    with (tmp_path / "w.bin").open("wb") as file:
        file.truncate(size)
    tensor = external(ARRAY, location="w.bin")
    tensor.dims[:] = [size // 4]
    path = write(tmp_path, tensor)
    assert isinstance(import_model(path).context.store["w"], MappedWeight)
    script = """
import sys
from sardonyx.compiler import import_model

def resident():
    with open("/proc/self/status") as file:
        lines = dict(line.split(":", 1) for line in file)
    return int(lines["RssAnon"].split()[0]) << 10

before = resident()
model = import_model(sys.argv[1])
print(resident() - before)
"""
    grown = int(subprocess.check_output([sys.executable, "-c", script, path]))
    assert grown < 64 << 20


# --- files ---


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an ONNX model: found no graph or no opset"),
        (b"\x08\x0a", "not an ONNX model: found no graph or no opset"),
        (b"hello world", "not an ONNX model, or truncated"),
        (b"PK\x03\x04" + bytes(100), "not an ONNX model, or truncated"),
    ],
    ids=["empty", "no graph", "text", "archive"],
)
def test_no_model(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=message) as caught:
        import_model(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_truncated_model(tmp_path: Path) -> None:
    content = model_of(numpy_helper.from_array(ARRAY, "w")).SerializeToString()
    path = tmp_path / "m.onnx"
    for length in range(0, len(content), 7):
        path.write_bytes(content[:length])
        with pytest.raises(ModelError) as caught:
            import_model(path)
        assert "\n" not in str(caught.value)


def test_no_opset(tmp_path: Path) -> None:
    model = model_of(numpy_helper.from_array(ARRAY, "w"))
    model.ClearField("opset_import")
    path = tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="found no graph or no opset"):
        import_model(path)


@pytest.mark.parametrize(
    "field",
    [b"w", b"y", b"Identity"],
    ids=["tensor", "output", "operator"],
)
def test_names_that_are_not_utf_8(tmp_path: Path, field: bytes) -> None:
    content = model_of(numpy_helper.from_array(ARRAY, "w")).SerializeToString()
    wrong = b"\xff" + field[1:]
    path = tmp_path / "m.onnx"
    length = bytes([len(field)])
    path.write_bytes(content.replace(length + field, length + wrong))
    with pytest.raises(ModelError, match="is not UTF-8") as caught:
        import_model(path)
    assert ascii(wrong)[1:] in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"gone.onnx: cannot be read: no such file"):
        import_model(tmp_path / "gone.onnx")
    with pytest.raises(ModelError, match="cannot be read: is a directory"):
        import_model(tmp_path)


# --- element types ---

NUMBERS = [
    name
    for name, number in TensorProto.DataType.items()
    if number not in (TensorProto.UNDEFINED, TensorProto.STRING)
]
LISTED = [name for name in NUMBERS if name not in ("COMPLEX64", "COMPLEX128")]


def sample(element: int, count: int) -> np.ndarray:
    """Values over the range of an element type, the extremes among them."""
    kind = helper.tensor_dtype_to_np_dtype(element)
    rng = np.random.default_rng(3)
    if kind == np.bool_:
        return rng.integers(0, 2, count).astype(bool)
    if kind.kind == "c":
        parts = rng.standard_normal((2, count))
        return (parts[0] + 1j * parts[1]).astype(kind)
    if kind.kind in "iu" or kind.name.startswith(("int", "uint")):
        info = ml_dtypes.iinfo(kind)
        low, high = int(info.min), int(info.max)
        ends = np.array([low, high], dtype=object)
        between = [int(low + (high - low) * p) for p in rng.random(count - 2)]
        return np.array([*ends, *between], object).astype(kind)
    values = rng.standard_normal(count) * 4
    if kind.name == "float8_e8m0fnu":
        values = np.abs(values)
    return values.astype(kind)


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("count", [7, 2041], ids=["small", "large"])
@pytest.mark.parametrize("form", ["raw", "listed", "external"])
def test_every_element_type(
    tmp_path: Path, name: str, count: int, form: str, assert_close: Any
) -> None:
    element = TensorProto.DataType.Value(name)
    array = sample(element, count)
    tensor = numpy_helper.from_array(array, "w")
    if form == "listed":
        tensor = helper.make_tensor("w", element, [count], array)
        assert not tensor.HasField("raw_data")
    if form == "external":
        (tmp_path / "w.bin").write_bytes(tensor.raw_data)
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="w.bin")
    else:
        assert_close(numpy_helper.to_array(tensor), array)
    path = write(tmp_path, tensor)
    found = held(import_model(path))
    assert found.tobytes() == array.tobytes()
    assert_close(found, array)
    (given,) = compile_model(path, backend="numpy", pipeline="O0")()
    assert_close(given, array.astype(given.dtype))


@pytest.mark.parametrize("name", ["INT4", "UINT4", "INT2", "UINT2", "FLOAT4E2M1"])
def test_a_rest_of_a_byte_is_ignored(tmp_path: Path, name: str) -> None:
    element = TensorProto.DataType.Value(name)
    array = sample(element, 2041)
    tensor = numpy_helper.from_array(array, "w")
    tensor.raw_data = tensor.raw_data[:-1] + bytes([tensor.raw_data[-1] | 0xC0])
    assert held(import_model(write(tmp_path, tensor))).tobytes() == array.tobytes()


def test_strings(tmp_path: Path) -> None:
    texts = [b"plain", "straße".encode(), b"", b'q"uote\n', b"\xff\xfe", b"nul\0"] * 5
    tensor = TensorProto(
        name="w", data_type=TensorProto.STRING, dims=[5, 6], string_data=texts
    )
    path = write(tmp_path, tensor)
    (found,) = compile_model(path, backend="numpy")()
    assert found.shape == (5, 6)
    encoded = [text.encode("utf-8", "surrogateescape") for text in found.flat]
    assert encoded == texts


def test_scalars_and_empty_tensors(tmp_path: Path, assert_close: Any) -> None:
    for array in (np.float32(2.5).reshape(()), np.zeros((0, 3), np.float32)):
        path = write(tmp_path, numpy_helper.from_array(array, "w"))
        for backend in ("numpy", "jax"):
            assert_close(compile_model(path, backend=backend)()[0], array)


def raw(element: int, dims: list[int], content: bytes) -> onnx.TensorProto:
    return TensorProto(name="w", data_type=element, dims=dims, raw_data=content)


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (raw(1, [3], bytes(8)), r"8 bytes do not fill float32\[3\]"),
        (raw(1, [3], bytes(16)), r"16 bytes do not fill float32\[3\]"),
        (raw(1, [3000], bytes(8000)), r"8000 bytes for float32\[3000\]: 12000"),
        (raw(22, [5], bytes(2)), r"2 bytes do not fill int4\[5\]"),
        (raw(1, [-1], b""), r"shape \[-1\] is not possible"),
        (raw(1, [1 << 40, 1 << 40], b""), "is not possible"),
        (raw(1, [1] * 65, bytes(4)), "is not possible"),
        (raw(99, [1], bytes(4)), "element type 99 is not known"),
        (raw(0, [1], bytes(4)), "element type 0 is not known"),
        (
            TensorProto(name="w", data_type=1, dims=[3], float_data=[1.0]),
            "tensor 'w'",
        ),
        (
            TensorProto(name="w", data_type=22, dims=[40], int32_data=[1]),
            "tensor 'w'",
        ),
        (
            TensorProto(name="w", data_type=8, dims=[3], string_data=[b"a"]),
            r"1 strings do not fill \[3\]",
        ),
        (TensorProto(name="w", data_type=1, dims=[2]), "tensor 'w'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_refused_tensors(
    tmp_path: Path, tensor: onnx.TensorProto, message: str
) -> None:
    path = write(tmp_path, tensor)
    with pytest.raises(ModelError, match=message) as caught:
        import_model(path)
    assert "tensor 'w'" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_raw_strings_are_refused(tmp_path: Path) -> None:
    tensor = external(ARRAY, location="w.bin")
    tensor.data_type = TensorProto.STRING
    (tmp_path / "w.bin").write_bytes(ARRAY.tobytes())
    with pytest.raises(ModelError, match="tensor 'w'"):
        import_model(write(tmp_path, tensor))


# --- sparse initializers ---


def sparse_model(
    values: np.ndarray, indices: np.ndarray, dims: list[int]
) -> onnx.ModelProto:
    sparse = helper.make_sparse_tensor(
        numpy_helper.from_array(values, "s"),
        numpy_helper.from_array(indices, "s_indices"),
        dims,
    )
    node = helper.make_node("Neg", ["s"], ["y"])
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, dims)
    graph = helper.make_graph([node], "g", [], [output], sparse_initializer=[sparse])
    opset = helper.make_opsetid("", 21)
    return helper.make_model(graph, opset_imports=[opset], ir_version=10)


@pytest.mark.parametrize(
    "indices",
    [np.array([1, 7, 23]), np.array([[0, 1], [1, 1], [3, 5]])],
    ids=["flat", "by coordinates"],
)
def test_sparse_initializers(
    indices: np.ndarray, oracle: Any, assert_close: Any
) -> None:
    values = np.array([1.5, -2, 3], np.float32)
    model = sparse_model(values, indices, [4, 6])
    wanted = np.zeros((4, 6), np.float32)
    wanted[(0, 1, 3), (1, 1, 5)] = values
    assert_close(oracle(model, {})[0], -wanted)
    for backend in ("numpy", "jax"):
        assert_close(compile_model(model, backend=backend)()[0], -wanted)


def test_a_sparse_initializer_without_values(assert_close: Any) -> None:
    model = sparse_model(np.zeros(0, np.float32), np.zeros(0, np.int64), [2, 3])
    found = compile_model(model, backend="numpy")()[0]
    assert_close(found, -np.zeros((2, 3), np.float32))


@pytest.mark.parametrize(
    ("indices", "dims"),
    [
        ([24], [4, 6]),
        ([-1], [4, 6]),
        ([[4, 0]], [4, 6]),
        ([[0, -1]], [4, 6]),
        ([[0, 0, 0]], [4, 6]),
        ([0, 1], [4, 6]),
        ([0], [-4, 6]),
        ([0], [1 << 20, 1 << 20]),
    ],
    ids=str,
)
def test_refused_sparse_initializers(indices: list[Any], dims: list[int]) -> None:
    model = sparse_model(np.ones(1, np.float32), np.array(indices, np.int64), dims)
    with pytest.raises(ModelError, match=r"^sparse tensor 's': ") as caught:
        import_model(model)
    assert "\n" not in str(caught.value)


def test_an_unreadable_file(tmp_path: Path) -> None:
    # A named pipe has no size; reading it would wait for ever.
    path = tmp_path / "pipe.bin"
    os.mkfifo(path)
    with pytest.raises(ModelError, match=r"external data file 'pipe\.bin' is missing"):
        import_model(write(tmp_path, external(ARRAY, location="pipe.bin")))
