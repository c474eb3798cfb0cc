"""What calibration measures, against NumPy on all data at once; the table as a file."""

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sardonyx.dialects.quant import Format
from sardonyx.dialects.quant.numbers import parameters
from sardonyx.passes.quantize.calibration import Calibration, CalibrationError
from sardonyx.passes.quantize.statistics import BINS, Observer, Statistics


def observed(batches: Any, axis: int = -1, second: bool = True) -> Statistics:
    observer = Observer(axis, second)
    for batch in batches:
        observer.update(batch)
    found = observer.statistics()
    assert found is not None
    return found


def batches(seed: int = 0) -> list[Any]:
    rng = np.random.default_rng(seed)
    return [
        (rng.standard_t(4, (3, n, 6)) * size).astype(np.float32)
        for n, size in ((4, 1), (9, 0.1), (2, 30))
    ]


def test_it_measures_what_numpy_does() -> None:
    data = batches()
    found = observed(data)
    rows = np.concatenate([b.reshape(-1, 6) for b in data]).astype(np.float64)
    assert (found.low, found.high) == (rows.min(), rows.max())
    np.testing.assert_array_equal(found.channels, np.abs(rows).max(0).astype("f"))
    np.testing.assert_allclose(found.second, rows.T @ rows / len(rows), rtol=1e-5)
    edges = np.linspace(-found.reach, found.reach, BINS + 1)
    wanted = np.histogram(rows.reshape(-1), edges)[0]
    # A value at an edge may be counted on its other side.
    assert np.abs(np.cumsum(found.bins) - np.cumsum(wanted)).max() <= 1
    assert found.bins.sum() == rows.size


def test_the_order_of_batches_is_no_matter() -> None:
    first, *rest = (
        observed(order, second=False) for order in itertools.permutations(batches())
    )
    for other in rest:
        assert (first.low, first.high, first.reach) == (
            other.low,
            other.high,
            other.reach,
        )
        np.testing.assert_array_equal(first.bins, other.bins)


def test_channels_of_images() -> None:
    x = np.random.default_rng(1).standard_normal((2, 5, 4, 3)).astype(np.float32)
    np.testing.assert_array_equal(
        observed([x], axis=1).channels, np.abs(x).max((0, 2, 3))
    )


@pytest.mark.parametrize("percent", [90.0, 99.0])
def test_percentiles_are_numpy_s(percent: float) -> None:
    data = batches(2)
    rows = np.concatenate([b.reshape(-1) for b in data])
    low, high = observed(data).range("percentile", Format("uint8", False), percent)
    aside = (100 - percent) / 2
    step = 2 * observed(data).reach / BINS
    wanted = np.percentile(rows, [aside, 100 - aside], method="nearest")
    # Where values are rare the next one may be far: it is a matter of counts.
    assert np.mean(rows < low - step) <= aside / 100 <= np.mean(rows <= low + step)
    assert np.mean(rows > high + step) <= aside / 100 <= np.mean(rows >= high - step)
    assert low <= 0.9 * wanted[0]
    assert high >= 0.9 * wanted[1]


@pytest.mark.parametrize(
    "form", [Format("uint8", False), Format("int8"), Format("int4"), Format("e4m3")]
)
def test_the_range_of_least_error(form: Format) -> None:
    if form.is_float:
        pytest.importorskip("ml_dtypes")
    rng = np.random.default_rng(3)
    x = rng.standard_t(3, 20000).astype(np.float32) + 0.5
    found = observed([x[:, None]])

    def squared(limits: tuple[float, float]) -> float:
        fitted = parameters(np.asarray(limits[0]), np.asarray(limits[1]), form)
        codes = np.clip(np.rint(x / fitted.scale) + fitted.zero, form.low, form.high)
        return float(np.square((codes - fitted.zero) * fitted.scale - x).mean())

    chosen = found.range("mse", form, 0)
    full = found.range("min-max", form, 0)
    assert full == (found.low, found.high)
    assert full[0] <= chosen[0] < chosen[1] <= full[1]
    if not form.is_float:
        tried = [squared((full[0] * p, full[1] * p)) for p in np.linspace(0.3, 1, 36)]
        assert squared(chosen) <= min(tried) * 1.05
        assert squared(chosen) < squared(full)


def test_it_refuses_what_is_not_finite() -> None:
    with pytest.raises(ValueError, match="not finite"):
        Observer(-1).update(np.float32([1, np.nan]))
    with pytest.raises(ValueError, match="not finite"):
        Observer(-1).update(np.float32([1, np.inf]))


def test_nothing_seen_is_nothing_known() -> None:
    observer = Observer(-1)
    observer.update(np.zeros((0, 4), np.float32))
    assert observer.statistics() is None
    zeros = observed([np.zeros((2, 3), np.float32)])
    assert zeros.range("mse", Format("uint8", False), 0) == (0, 0)


def test_the_table_is_a_file(tmp_path: Path) -> None:
    names = ["plain", "new\nline", "ünï", ""]
    table = Calibration({n: observed(batches(i)) for i, n in enumerate(names)})
    path, again = tmp_path / "a.npz", tmp_path / "b.npz"
    table.save(path)
    found = Calibration.load(path)
    assert list(found.values) == names
    for name, wanted in table.values.items():
        have = found.values[name]
        assert (have.low, have.high, have.reach) == (
            wanted.low,
            wanted.high,
            wanted.reach,
        )
        for field in ("channels", "bins", "second"):
            np.testing.assert_array_equal(getattr(have, field), getattr(wanted, field))
    found.save(again)
    assert path.read_bytes() == again.read_bytes()


def _spoiled(tmp_path: Path, **changes: Any) -> Path:
    path = tmp_path / "bad.npz"
    Calibration({"a": observed(batches())}).save(path)
    arrays = dict(np.load(path))
    np.savez(path, **(arrays | changes))
    return path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": np.int64(2)}, "found form 2"),
        ({"ranges": np.zeros((2, 3))}, "for 1 names"),
        ({"ranges": np.float64([[1, 0, 2]])}, "found no histogram of 'a'"),
        ({"bins/0": np.zeros(4)}, "found no histogram of 'a'"),
        ({"names": np.array([b"a", b"b"])}, "for 2 names"),
    ],
)
def test_a_spoiled_table_is_refused(tmp_path: Path, changes: Any, message: str) -> None:
    with pytest.raises(CalibrationError, match=message) as caught:
        Calibration.load(_spoiled(tmp_path, **changes))
    assert len(str(caught.value).splitlines()) == 1


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    with pytest.raises(CalibrationError, match="cannot be read"):
        Calibration.load(path)
    path.write_bytes(b"none")
    with pytest.raises(CalibrationError, match="not a calibration"):
        Calibration.load(path)
    np.savez(path, names=np.array([replace], object))
    with pytest.raises(CalibrationError, match="not a calibration"):
        Calibration.load(path)
