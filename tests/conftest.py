"""What tests share: the tolerance of every dtype, and the comparison that uses it."""

from typing import Any

import numpy as np
import pytest
from hypothesis import settings

settings.register_profile("sardonyx", derandomize=True, deadline=None)
settings.load_profile("sardonyx")

# max|a - b| / max|b| per element type; integers, booleans and strings are compared
# exactly.
TOLERANCE = {
    "float64": 1e-12,
    "complex128": 1e-12,
    "float32": 2e-6,
    "complex64": 2e-6,
    "float16": 2e-3,
    "bfloat16": 1.6e-2,
}


def assert_close(found: Any, wanted: Any, factor: float = 1.0, what: str = "") -> None:
    """
    Raise AssertionError unless both agree in dtype, shape and value.

    nan equals nan and infinities equal themselves; `factor` scales the tolerance where
    a test says why (a long sum, say).
    """
    found, wanted = np.asarray(found), np.asarray(wanted)
    assert found.dtype == wanted.dtype, (
        f"{what}: dtype {found.dtype}, not {wanted.dtype}"
    )
    assert found.shape == wanted.shape, (
        f"{what}: shape {found.shape}, not {wanted.shape}"
    )
    tolerance = TOLERANCE.get(wanted.dtype.name)
    if tolerance is None:
        if wanted.dtype.kind in "fV":
            # The narrow floats, of which NumPy takes no nan for another.
            found, wanted = found.astype(np.float32), wanted.astype(np.float32)
        np.testing.assert_array_equal(found, wanted, what)
        return
    wide = np.complex128 if wanted.dtype.kind == "c" else np.float64
    found, wanted = found.astype(wide), wanted.astype(wide)
    finite = np.isfinite(wanted)
    np.testing.assert_array_equal(found[~finite], wanted[~finite], what)
    if not finite.any():
        return
    scale = max(np.abs(wanted[finite]).max(), np.finfo(np.float32).tiny)
    error = np.abs(found[finite] - wanted[finite]).max() / scale
    # False for nan, too.
    assert error <= tolerance * factor, (
        f"{what}: error {error:.3g} over {tolerance * factor:.3g}"
    )


@pytest.fixture(name="assert_close")
def assert_close_fixture() -> Any:
    return assert_close
