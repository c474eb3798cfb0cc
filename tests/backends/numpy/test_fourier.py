"""Transforms as products of matrices, beside NumPy's own."""

from typing import Any

import numpy as np
import pytest
from sardonyx.backends.kernels.fourier import fourier_conv
from sardonyx.backends.numpy import fourier
from sardonyx.dialects.fourier import shortest, spectrum


def correlated(x: Any, w: Any, b: Any, group: int, pads: Any) -> Any:
    """A convolution as it is defined, in double precision."""
    rank = w.ndim - 2
    room = ((0, 0), (0, 0), *zip(pads[:rank], pads[rank:], strict=True))
    wide = np.pad(x.astype(np.float64), room)
    axes = tuple(range(2, 2 + rank))
    seen = np.lib.stride_tricks.sliding_window_view(wide, w.shape[2:], axes)
    n, c = x.shape[:2]
    seen = seen.reshape(n, group, c // group, *seen.shape[2:])
    filters = w.astype(np.float64).reshape(group, -1, c // group, *w.shape[2:])
    places, kernel = "xy"[:rank], "ij"[:rank]
    equation = f"ngc{places}{kernel},gmc{kernel}->ngm{places}"
    y = np.einsum(equation, seen, filters)
    return y.reshape(n, -1, *y.shape[3:]) + b.reshape(-1, *(1,) * rank)


CASES = [
    # Channels, groups, maps; the kernel; the image; pads.
    ((4, 4, 4), (5,), (12,), (4, 0)),
    ((4, 4, 8), (5,), (3,), (4, 4)),
    ((4, 2, 6), (9,), (40,), (0, 0)),
    ((6, 6, 6), (7, 3), (11, 14), (0, 2, 6, 1)),
    ((2, 2, 4), (7, 3), (11, 14), (3, 1, 3, 1)),
    ((4, 2, 6), (5, 9), (16, 15), (0, 0, 0, 0)),
    ((1, 1, 3), (11, 11), (20, 20), (5, 5, 5, 5)),
]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_convolution_by_matrices_and_by_transforms(
    assert_close: Any, monkeypatch: pytest.MonkeyPatch, case: Any, dtype: str
) -> None:
    (channels, group, maps), kernel, sizes, pads = case
    rng, rank = np.random.default_rng(5), len(kernel)
    w = rng.standard_normal((maps, channels // group, *kernel)).astype(dtype)
    x = rng.standard_normal((2, channels, *sizes)).astype(dtype)
    b = rng.standard_normal(maps).astype(dtype)
    pairs = [*zip(pads[:rank], pads[rank:], strict=True)]
    lengths = tuple(map(shortest, sizes, pairs, kernel))
    s = np.ascontiguousarray(spectrum(w, group, lengths, pads[:rank]))
    window = {"kernel_shape": kernel, "lengths": lengths, "pads": pads}
    wanted = correlated(x, w, b, group, pads).astype(dtype)
    assert_close(fourier_conv(np, x, s, b, group, **window), wanted)
    # A view with other strides, as a Transpose leaves it; some channels at a time.
    turned = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    for longest, planes in ((fourier.LONGEST, 1 << 17), (0, 1), (15, 500)):
        monkeypatch.setattr(fourier, "LONGEST", longest)
        monkeypatch.setattr(fourier, "PLANES", planes)
        out = np.full(wanted.shape, np.nan, dtype)
        found = fourier.blas_fourier_conv(np, turned, s, b, group, **window, out=out)
        assert found is out
        assert_close(out, wanted)
        again = fourier.blas_fourier_conv(np, x, s, b, group, **window)
        assert_close(again, wanted)
