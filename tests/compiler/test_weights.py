"""Weight files: written, read by us and by the safetensors library, and refused."""

import json
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file
from sardonyx.backends import runtime
from sardonyx.compiler.weights import (
    WeightsError,
    read_weights,
    write_beside,
    write_weights,
)
from sardonyx.dialects.onnx.store import (
    ArrayWeight,
    DerivedWeight,
    MappedWeight,
    WeightStore,
)
from sardonyx.dialects.onnx.types import DTYPE_NAMES

NAMES = sorted(name for name in DTYPE_NAMES.values() if name != "string")
PLAIN = sorted(set(runtime.FILE_DTYPES.values()) - {"bfloat16"})


def dtype(name: str) -> np.dtype:
    return np.dtype(getattr(ml_dtypes, name, name))


def drawn(name: str, shape: tuple[int, ...] = (3, 5)) -> Any:
    values = np.random.default_rng(1).standard_normal(shape) * 3
    if name == "bool":
        return values > 0
    if name.startswith("uint"):
        values = np.abs(values)
    return values.astype(dtype(name))


def store_of(**arrays: Any) -> WeightStore:
    store = WeightStore()
    for key, array in arrays.items():
        store.add(key, array)
    return store


def reread(path: Path) -> WeightStore:
    store = WeightStore()
    read_weights(path, store)
    return store


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(3, 5), (), (0, 2), (1,), (2, 3, 7)], ids=str)
def test_every_element_type_survives(
    tmp_path: Path, name: str, shape: tuple[int, ...]
) -> None:
    array = drawn(name, shape)
    array = np.asarray(array, dtype(name))
    path = tmp_path / "w.safetensors"
    other = drawn("float32")
    write_weights(path, store_of(a=array, other=other), ["a", "other"])
    for found in (reread(path)["a"].array(), runtime.read_weights(str(path))["a"]):
        assert found.dtype == array.dtype
        assert found.shape == array.shape
        assert found.tobytes() == array.tobytes()
    assert np.array_equal(reread(path)["other"].array(), other)


@pytest.mark.parametrize("name", PLAIN)
def test_the_safetensors_library_reads_ours(tmp_path: Path, name: str) -> None:
    array = drawn(name)
    path = tmp_path / "w.safetensors"
    write_weights(path, store_of(a=array, é=drawn("int8")), ["a", "é"])
    with safe_open(path, "numpy") as file:
        assert sorted(file.keys()) == ["a", "é"]
        found = file.get_tensor("a")
    assert found.dtype == array.dtype
    assert np.array_equal(found, array)


def test_the_library_opens_what_it_has_no_names_for(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    names = [name for name in NAMES if name not in PLAIN and name != "bfloat16"]
    arrays = {name: drawn(name) for name in names}
    write_weights(path, store_of(**arrays), arrays)
    with safe_open(path, "numpy") as file:
        assert sorted(file.keys()) == sorted(names)
        logical = json.loads(file.metadata()["logical"])
        for name, array in arrays.items():
            assert logical[name] == [name_of(reread(path), name), list(array.shape)]
            assert file.get_tensor(name).dtype == np.uint8


def name_of(store: WeightStore, key: str) -> str:
    return store[key].element


@pytest.mark.parametrize("name", PLAIN)
def test_we_read_what_the_library_wrote(tmp_path: Path, name: str) -> None:
    array = drawn(name)
    path = tmp_path / "w.safetensors"
    save_file({"a": array, "b": drawn("float64")}, path, {"format": "np"})
    found = reread(path)["a"].array()
    assert found.dtype == array.dtype
    assert np.array_equal(found, array)
    assert np.array_equal(runtime.read_weights(str(path))["a"], array)


def test_every_kind_of_weight_is_written(tmp_path: Path) -> None:
    array = drawn("float32")
    store = WeightStore()
    store.add("array", ArrayWeight(array))
    raw = memoryview(array.tobytes())
    store.add("mapped", MappedWeight("float32", (3, 5), raw))
    store.add("derived", DerivedWeight("float32", (3, 5), lambda: array * 2))
    path = tmp_path / "w.safetensors"
    write_weights(path, store, store.keys())
    found = reread(path)
    assert np.array_equal(found["array"].array(), array)
    assert np.array_equal(found["mapped"].array(), array)
    assert np.array_equal(found["derived"].array(), array * 2)
    assert isinstance(found["array"], MappedWeight)


def test_only_what_is_asked_for_is_written(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    write_weights(path, store_of(a=drawn("float32"), b=drawn("float32")), ["b"])
    assert list(reread(path)) == ["b"]
    write_weights(path, store_of(), [])
    assert list(reread(path)) == []


def test_the_order_of_the_keys_changes_nothing(tmp_path: Path) -> None:
    arrays = {name: drawn(name) for name in NAMES}
    contents = []
    for number, keys in enumerate((list(arrays), list(arrays)[::-1])):
        path = tmp_path / f"{number}"
        write_weights(path, store_of(**arrays), keys)
        contents.append(path.read_bytes())
    assert contents[0] == contents[1]


def test_every_tensor_is_aligned_to_its_elements(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    arrays = {name: drawn(name, (3,)) for name in NAMES}
    write_weights(path, store_of(**arrays), arrays)
    for name, array in runtime.read_weights(str(path)).items():
        assert array.flags.aligned, name


def test_any_text_is_a_key(tmp_path: Path) -> None:
    keys = ["", "a\nb", '"', "\\", "\x00", "é\u2028", "__metadata", "../x", "a" * 5000]
    store = WeightStore()
    for number, key in enumerate(keys):
        store.add(key, np.array([number]))
    path = tmp_path / "w.safetensors"
    write_weights(path, store, keys)
    found = reread(path)
    assert {key: found[key].array()[0] for key in found} == {
        key: number for number, key in enumerate(keys)
    }


# --- what is refused ---


def file_of(header: Any, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def entry(**changes: Any) -> dict[str, Any]:
    return {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **changes}


LOGICAL = {"logical": json.dumps({"a": ["int4", [2]]})}
BAD = {
    "empty": b"",
    "short": b"\x08\x00\x00",
    "header too long": (2**63).to_bytes(8, "little") + b"{}",
    "header beyond the file": (99).to_bytes(8, "little") + b"{}",
    "no json": file_of(b"{"),
    "no utf-8": file_of(b"\xff\xfe"),
    "a list": file_of([]),
    "a number": file_of(3),
    "an entry that is none": file_of({"a": 3}),
    "no dtype": file_of({"a": {"shape": [2], "data_offsets": [0, 8]}}, bytes(8)),
    "unknown dtype": file_of({"a": entry(dtype="F33")}, bytes(8)),
    "no shape": file_of({"a": {"dtype": "F32", "data_offsets": [0, 8]}}, bytes(8)),
    "a shape that is none": file_of({"a": entry(shape="x")}, bytes(8)),
    "negative shape": file_of({"a": entry(shape=[-2])}, bytes(8)),
    "two negatives": file_of({"a": entry(shape=[-1, -2])}, bytes(8)),
    "too large a shape": file_of({"a": entry(shape=[3])}, bytes(8)),
    "too small a shape": file_of({"a": entry(shape=[1])}, bytes(8)),
    "huge shape": file_of({"a": entry(shape=[2**62, 4])}, bytes(8)),
    "no offsets": file_of({"a": {"dtype": "F32", "shape": [2]}}, bytes(8)),
    "offsets beyond": file_of({"a": entry(data_offsets=[4, 12])}, bytes(8)),
    "offsets backwards": file_of({"a": entry(data_offsets=[8, 0])}, bytes(8)),
    "negative offsets": file_of({"a": entry(data_offsets=[-8, 0])}, bytes(8)),
    "one offset": file_of({"a": entry(data_offsets=[0])}, bytes(8)),
    "text offsets": file_of({"a": entry(data_offsets=["0", "8"])}, bytes(8)),
    "metadata is a list": file_of({"__metadata__": [], "a": entry()}, bytes(8)),
    "logical is no json": file_of({"__metadata__": {"logical": "{"}}),
    "logical of another size": file_of(
        {"__metadata__": LOGICAL, "a": entry()}, bytes(8)
    ),
    "nested deeply": file_of(b"[" * 100_000),
}


@pytest.mark.parametrize("content", BAD.values(), ids=BAD.keys())
def test_a_corrupt_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"w\.safetensors: not a weight file") as e:
        reread(path)
    assert len(str(e.value)) < 500 + len(str(path))


def test_the_entry_that_the_bad_ones_vary_is_good(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(file_of({"a": entry()}, np.array([1, 2], "f").tobytes()))
    assert reread(path)["a"].array().tolist() == [1, 2]


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    write_weights(path, store_of(a=drawn("float32"), b=drawn("int4")), ["a", "b"])
    content = path.read_bytes()
    for size in range(len(content)):
        path.write_bytes(content[:size])
        with pytest.raises(WeightsError):
            reread(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="none: cannot be read: no such file"):
        reread(tmp_path / "none")


def test_a_key_that_is_taken_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    store = store_of(a=drawn("float32"))
    write_weights(path, store, ["a"])
    with pytest.raises(WeightsError, match="'a'"):
        read_weights(path, store)


# --- text ---


def test_a_text_is_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    goal = tmp_path / "x.mlir"
    write_beside(goal, "before")

    def fails(self: Path, target: Path) -> None:
        raise OSError("the disk is gone")

    monkeypatch.setattr(Path, "replace", fails)
    with pytest.raises(OSError, match="gone"):
        write_beside(goal, "after")
    assert goal.read_text() == "before"
    assert list(tmp_path.iterdir()) == [goal]
