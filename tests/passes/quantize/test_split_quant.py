"""Weights split by value, against scikit-learn's k-means and plain rounding."""

from typing import Any

import numpy as np
import pytest
from sardonyx.compiler.quantize.report import report_of
from sardonyx.dialects.errors import SardonyxError
from sardonyx.dialects.quant.numbers import signal_to_noise
from sardonyx.passes.quantize.split_quant import Split, clusters
from sklearn.cluster import KMeans


def values(seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    parts = [rng.normal(-3, 0.5, 40), rng.normal(0, 0.2, 300), rng.normal(4, 1, 30)]
    return np.concatenate(parts).astype(np.float32)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_clusters_are_those_of_k_means(count: int) -> None:
    x = values()
    limits = clusters(x, count)
    assert limits.shape == (count - 1,)
    place = np.searchsorted(limits, x, side="right")
    means = np.array([[x[place == one].mean()] for one in range(count)])
    theirs = KMeans(count, init=means, n_init=1).fit(x[:, None].astype(np.float64))
    np.testing.assert_array_equal(place, theirs.labels_)


@pytest.mark.parametrize("bits", [2, 3, 4])
@pytest.mark.parametrize("count", [1, 3])
def test_codes_are_the_nearest_of_their_cluster(bits: int, count: int) -> None:
    x = values(1).reshape(10, -1)
    split = Split.of(x, bits, count)
    assert split.table.shape == (count, 2**bits)
    place, code = split.codes(x)
    found = split.table[place, code]
    for one in range(count):
        within = x[place == one]
        distance = np.abs(within[:, None] - split.table[one]).min(1)
        np.testing.assert_allclose(np.abs(found[place == one] - within), distance)
        assert (split.table[one][[0, -1]] == [within.min(), within.max()]).all()


@pytest.mark.parametrize("bits", [2, 4])
def test_split_beats_plain_rounding(bits: int, quantized: Any) -> None:
    x = {"x": np.random.default_rng(9).standard_normal((5, 3, 4, 4)).astype("f")}
    noise = []
    for count in (1, 3):
        done = quantized(f"split-quant{{bits={bits} clusters={count}}}")
        wanted, found, theirs = done.results(x)
        np.testing.assert_allclose(found, theirs, rtol=1e-4, atol=1e-5)
        noise.append(signal_to_noise(found, wanted))
    assert noise[1] > noise[0] + 5


def test_it_is_the_sum_of_three_layers(quantized: Any) -> None:
    weight = values(2)[:360].reshape(60, 6)
    split = Split.of(weight, 4, 3)
    place, code = split.codes(weight)
    whole = split.table[place, code]
    parts = [np.where(place == one, split.table[one][code], 0) for one in range(3)]
    x = np.random.default_rng(3).standard_normal((4, 60))
    np.testing.assert_allclose(sum(x @ part for part in parts), x @ whole, rtol=1e-12)


@pytest.mark.parametrize(("bits", "wide"), [(2, 4), (3, 6), (4, 6)])
def test_bytes_do_not_triple(bits: int, wide: int, quantized: Any) -> None:
    done = quantized(f"split-quant{{bits={bits}}},dce")
    # With two codes to a weight there are the width of a row and four shifts, too.
    table = 4 * 3 * 2**bits + (4 + 4 if wide == 6 else 0)
    for layer in report_of(done.before, done.model).layers:
        assert layer.bytes_after == layer.elements * wide / 8 + table
    plain = quantized("split-quant{bits=2 clusters=1},dce")
    for layer in report_of(plain.before, plain.model).layers:
        assert layer.bytes_after == layer.elements / 4 + 4 * 4 + 4


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("split-quant{bits=5}", "found bits=5, wanted 2, 3 or 4"),
        ("split-quant{clusters=5}", "found clusters=5, wanted 1 to 4"),
        ("split-quant{clusters=0}", "found clusters=0, wanted 1 to 4"),
    ],
)
def test_refusals(spec: str, message: str, quantized: Any) -> None:
    with pytest.raises(SardonyxError, match=message):
        quantized(spec)
