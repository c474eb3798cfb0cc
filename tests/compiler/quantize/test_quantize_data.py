"""Data to calibrate with: archives, folders, loaders; and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sardonyx.backends.program import InputSpec
from sardonyx.compiler.driver import load
from sardonyx.compiler.quantize.calibrate import (
    cache_folder,
    calibrated,
    kept_calibration,
)
from sardonyx.compiler.quantize.data import Batches, DataError, read_batches
from sardonyx.dialects.errors import SardonyxError

FREE = (InputSpec("x", "float32", ("n", 8)),)
FIXED = (InputSpec("x", "float32", (4, 8)),)
PAIR = (InputSpec("a", "float32", ("n", 3)), InputSpec("b", "float32", ("m", 3)))


def rows(count: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal((count, 8)).astype(np.float32)


def test_an_archive_is_cut_as_the_model_takes_it(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, x=rows(40), labels=np.arange(40), other=np.zeros(3))
    free = read_batches(path, FREE, ["labels"])
    assert [b["x"].shape[0] for b in free] == [16, 16, 8]
    assert [b["labels"][0] for b in free] == [0, 16, 32]
    assert set(free.arrays[0]) == {"x", "labels"}
    fixed = read_batches(path, FIXED)
    assert len(fixed) == 10
    np.testing.assert_array_equal(np.concatenate([b["x"] for b in fixed]), rows(40))


def test_arrays_of_several_lengths_are_one_batch(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, a=np.zeros((40, 3), "f"), b=np.zeros((2, 3), "f"))
    assert len(read_batches(path, PAIR)) == 1


def test_a_folder_is_taken_in_order(tmp_path: Path) -> None:
    for number in (2, 1):
        np.savez(tmp_path / f"{number}.npz", x=rows(2, number))
    (tmp_path / "notes.txt").write_text("no data")
    found = read_batches(tmp_path, FREE)
    np.testing.assert_array_equal(found.arrays[0]["x"], rows(2, 1))
    assert len(found) == 2


def test_a_loader_is_run(tmp_path: Path) -> None:
    path = tmp_path / "loader.py"
    path.write_text(
        "import numpy as np\n"
        "def batches():\n"
        "    for n in (1, 2):\n"
        "        yield {'x': np.ones((n, 8), np.float32)}\n"
    )
    assert [b["x"].shape[0] for b in read_batches(path, FREE)] == [1, 2]


def test_hashes_tell_contents_apart() -> None:
    one = Batches(({"x": rows(3)},))
    assert one.hash == Batches(({"x": rows(3)},)).hash
    others = [
        Batches(({"x": rows(3, 1)},)),
        Batches(({"y": rows(3)},)),
        Batches(({"x": rows(3).astype(np.float64)},)),
        Batches(({"x": rows(3).reshape(8, 3)},)),
    ]
    assert len({one.hash, *(o.hash for o in others)}) == 5


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.npz", None, "cannot be read: no such file"),
        ("x.npz", "none", "found no .npz of plain arrays"),
        ("x.py", "x = 1", r"found no function batches\(\)"),
        ("x.py", "def batches(): return 1", "gave int, wanted batches"),
        ("x.py", "def batches(): return [1]", "found a batch of int, wanted a dict"),
        ("x.py", "def batches(): return []", "found no data"),
        ("x.py", "def batches(): return [{'y': 1}]", "found no 'x', wanted every"),
        ("x.py", "1 / 0", "x.py:1: cannot be loaded: ZeroDivisionError"),
    ],
)
def test_refusals(tmp_path: Path, name: str, text: str | None, message: str) -> None:
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    with pytest.raises(SardonyxError, match=message) as caught:
        read_batches(path, FREE)
    assert len(str(caught.value).splitlines()) == 1


def test_pickles_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, x=np.array([Path], object))
    with pytest.raises(DataError, match=r"found no \.npz of plain arrays"):
        read_batches(path, FREE)


def test_samples_that_fill_no_batch_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, x=rows(6))
    with pytest.raises(DataError, match="found 6 samples, wanted a multiple of 4"):
        read_batches(path, FIXED)


# --- calibration ---


def test_what_is_measured_is_the_value(mlp: Path) -> None:
    x = rows(12)
    told: list[int] = []
    model = load(mlp)
    before = model.text()
    batches = Batches(({"x": x[:4]}, {"x": x[4:]}))
    found = calibrated(model, batches, second=True, told=told.append).values
    assert model.text() == before
    assert told == [1, 1]
    assert set(found) == {"x", "hidden"}
    assert (found["x"].low, found["x"].high) == (x.min(), x.max())
    assert found["hidden"].low == 0
    np.testing.assert_allclose(found["x"].second, x.T @ x / 12, rtol=1e-5)


def test_bad_data_name_the_value(mlp: Path) -> None:
    batches = Batches(({"x": np.full((1, 8), np.nan, np.float32)},))
    with pytest.raises(SardonyxError, match="batch 0: value 'x': found values that"):
        calibrated(load(mlp), batches)


def test_calibrations_are_kept_by_content(
    mlp: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches, ran = Batches(({"x": rows(4)},)), list[int]()
    assert cache_folder("calibration") is None
    kept_calibration(load(mlp), batches, told=ran.append)
    monkeypatch.setenv("SARDONYX_CACHE", str(tmp_path / "kept"))
    for _ in range(2):
        kept_calibration(load(mlp), batches, told=ran.append)
    assert ran == [1, 1]
    kept_calibration(load(mlp), Batches(({"x": rows(4, 1)},)), told=ran.append)
    kept_calibration(load(mlp), batches, second=True, told=ran.append)
    files = sorted((tmp_path / "kept" / "calibration").iterdir())
    assert (len(ran), len(files)) == (4, 3)
    files[0].write_bytes(files[0].read_bytes()[:99])
    for one in ({"x": rows(4)}, {"x": rows(4, 1)}):
        kept_calibration(load(mlp), Batches((one,)), told=ran.append)
    kept_calibration(load(mlp), batches, second=True, told=ran.append)
    assert len(ran) == 5
