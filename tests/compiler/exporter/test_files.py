"""Exported files: what stands in them, and what stays when writing fails."""

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from sardonyx.compiler import exporter
from sardonyx.compiler.exporter import ExportError, export_model, files, to_proto
from sardonyx.compiler.importer import import_model
from sardonyx.compiler.oracle import run_oracle

SIZES = {"small": 5, "middle": 40, "large": 3000, "larger": 5000}
"""The elements of each weight: in the text, in the file, and outside."""


@pytest.fixture(name="source")
def source_fixture(tmp_path: Path) -> Path:
    """A model that gives the sum of each of its weights, as a file."""
    rng = np.random.default_rng(0)
    weights = [
        numpy_helper.from_array(rng.standard_normal(size).astype(np.float32), name)
        for name, size in SIZES.items()
    ]
    nodes = [helper.make_node("ReduceSum", [n], [f"{n}.sum"], n) for n in SIZES]
    outputs = [
        helper.make_tensor_value_info(f"{n}.sum", TensorProto.FLOAT, [1]) for n in SIZES
    ]
    graph = helper.make_graph(nodes, "sums", [], outputs, weights)
    path = tmp_path / "source" / "model.onnx"
    path.parent.mkdir()
    opsets = [helper.make_opsetid("", 13)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return path


def sums(path: Path) -> list[Any]:
    found = run_oracle("onnxruntime", path, {}, [f"{name}.sum" for name in SIZES])
    return [array.tobytes() for array in found.values()]


def tree(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_what_is_written_is_the_model(source: Path, tmp_path: Path) -> None:
    """Written piece by piece, the file holds what onnx would write."""
    model = import_model(source)
    path = export_model(model, tmp_path / "x.onnx")
    assert path == tmp_path / "x.onnx"
    assert onnx.load(path) == to_proto(model)
    assert path.stat().st_size == to_proto(model).ByteSize()
    onnx.checker.check_model(path, full_check=True)
    assert sums(path) == sums(source)
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["x.onnx"]


def test_weights_come_in_pieces(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "PIECE", 1000)
    told: list[int] = []
    model = import_model(source)
    export_model(model, tmp_path / "x.onnx", progress=told.append)
    assert onnx.load(tmp_path / "x.onnx") == to_proto(model)
    assert max(told) == 1000
    assert sum(told) == 4 * (40 + 3000 + 5000)


# --- external data ---


def test_external_data(source: Path, tmp_path: Path, flow_of: Any) -> None:
    model = import_model(source)
    path = export_model(model, tmp_path / "x.onnx", external=True)
    beside = tmp_path / "x.onnx.data"
    assert {*tree(tmp_path)} == {path.name, beside.name}
    tensors = onnx.load(path, load_external_data=False).graph.initializer
    places = {
        t.name: {entry.key: entry.value for entry in t.external_data} for t in tensors
    }
    assert not places["small"]
    assert not places["middle"]
    end = 0
    for name in ("large", "larger"):
        place = places[name]
        assert place["location"] == beside.name
        assert int(place["offset"]) % 4096 == 0
        assert int(place["offset"]) >= end
        assert int(place["length"]) == 4 * SIZES[name]
        end = int(place["offset"]) + int(place["length"])
    assert beside.stat().st_size == end
    assert path.stat().st_size < 2000
    onnx.checker.check_model(path, full_check=True)
    assert sums(path) == sums(source)
    assert flow_of(import_model(path)) == flow_of(model)


@pytest.mark.parametrize("limit", [4 * 8040 - 1, 4 * 8040])
def test_what_is_too_large_for_one_file_goes_beside(
    limit: int, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporter, "MAX_INLINE", limit)
    export_model(import_model(source), tmp_path / "x.onnx")
    assert (tmp_path / "x.onnx.data").exists() == (limit < 4 * 8040)
    export_model(import_model(source), tmp_path / "y.onnx", external=False)
    assert not (tmp_path / "y.onnx.data").exists()


def test_nothing_goes_beside_where_all_is_small(pair: Path) -> None:
    export_model(import_model(pair), pair.parent / "x.onnx", external=True)
    assert {*tree(pair.parent)} == {"pair.onnx", "x.onnx"}


# --- over what is there ---


@pytest.mark.parametrize("external", [False, True])
def test_over_the_file_that_is_mapped(external: bool, source: Path) -> None:
    wanted = sums(source)
    for _ in range(2):
        model = import_model(source)
        export_model(model, source, external)
        assert sums(source) == wanted
    # The model still has its weights, and back they go.
    export_model(model, source, not external)
    assert sums(source) == wanted


def test_a_link_gives_way_to_the_file(source: Path, tmp_path: Path) -> None:
    before = source.read_bytes()
    link = tmp_path / "link.onnx"
    link.symlink_to(source)
    export_model(import_model(link), link)
    assert not link.is_symlink()
    assert source.read_bytes() == before


# --- what cannot be written ---


@pytest.mark.parametrize("external", [False, True])
@pytest.mark.parametrize("failing", [0, 1, 2])
def test_a_failure_leaves_what_was(
    failing: int,
    external: bool,
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whichever piece does not fit, the old files stay and no new one does."""
    goal = tmp_path / "x.onnx"
    export_model(import_model(source), goal, external)
    before = tree(tmp_path)
    written: list[int] = []

    def full(count: int) -> None:
        written.append(count)
        if len(written) > failing:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    model = import_model(source)
    with pytest.raises(ExportError, match=r"x\.onnx: cannot be written: no space left"):
        export_model(model, goal, external, full)
    assert tree(tmp_path) == before


@pytest.mark.parametrize("external", [False, True])
def test_an_interruption_leaves_what_was(
    external: bool, source: Path, tmp_path: Path
) -> None:
    def interrupted(count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_model(import_model(source), tmp_path / "x.onnx", external, interrupted)
    assert not tree(tmp_path)


@pytest.mark.parametrize(
    ("goal", "wanted"),
    [
        ("folder", "is a directory"),
        ("none/x.onnx", "no such file or directory"),
        ("file/x.onnx", "not a directory"),
        ("n" * 300, "file name too long"),
        (".", "is a directory"),
    ],
)
def test_where_nothing_can_be_written(
    goal: str, wanted: str, source: Path, tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("in the way")
    before = tree(tmp_path)
    for external in (False, True):
        with pytest.raises(ExportError) as refused:
            export_model(import_model(source), tmp_path / goal, external)
        assert str(refused.value) == f"{tmp_path / goal}: cannot be written: {wanted}"
    assert tree(tmp_path) == before


def test_a_folder_where_the_data_would_be(source: Path, tmp_path: Path) -> None:
    (tmp_path / "x.onnx.data").mkdir()
    with pytest.raises(
        ExportError, match=r"x\.onnx: cannot be written: is a directory"
    ):
        export_model(import_model(source), tmp_path / "x.onnx", external=True)
    assert not tree(tmp_path)


def test_data_whose_name_no_model_can_say(source: Path, tmp_path: Path) -> None:
    goal = tmp_path / os.fsdecode(b"\xff.onnx")
    with pytest.raises(ExportError, match="its name is no text"):
        export_model(import_model(source), goal, external=True)
    assert not tree(tmp_path)
    export_model(import_model(source), goal, external=False)
    assert len(tree(tmp_path)) == 1
